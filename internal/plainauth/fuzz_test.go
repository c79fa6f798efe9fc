package plainauth

import (
	"maps"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

// What is written of users is read as it was, whatever they are called and whatever else stands in the file; and what
// is read of any bytes is written in one way.
func FuzzUsersFile(f *testing.F) {
	for _, s := range [][4]string{
		{"app", "other", "secret", ""},
		{"CN=app,OU=Team A,O=Example", "CN=a\\,b", "päss wörd", "app:4096:AAAA:BBBB"},
		{"a:b", "a%3Ab", "a:b:c", "a%3ab:4096:c2FsdHNhbHRzYWx0c2FsdA==:x"},
		{"line\nbreak", "#retained app", "#", "#retained a\n#retained %zz\r\n\n:::\n"},
		{"Müller", "\u202eapp", "\U0001f511", "\xff\xfe"},
		{"app", "app", "x", strings.Repeat("app:4096:", 40)},
		{"+", " ", "\"", "app:04096:c2FsdHNhbHRzYWx0c2FsdA==:" + strings.Repeat("A", 43) + "="},
	} {
		f.Add(s[0], s[1], s[2], s[3])
	}
	f.Fuzz(func(t *testing.T, name, other, password, junk string) {
		salt := []byte("0123456789abcdef")
		one, err := Hash(name, password, salt, MinIterations)
		two, otherErr := Hash(other, password+"2", salt, MinIterations)
		if err != nil || otherErr != nil {
			return // it is refused before it comes into a file
		}
		file := UsersFile([]Entry{two, one}, other)
		for what, text := range map[string]string{"alone": string(file), "with junk": string(file) + junk} {
			read, err := ParseUsersFile([]byte(text))
			if err != nil && junk == "" {
				t.Errorf("%s: %v", what, err)
			}
			if len(read[name]) == 0 || len(read[other]) == 0 || !slices.Contains(read[name], one) ||
				!slices.Contains(read[other], two) {
				t.Fatalf("%s: %q and %q are read as %v", what, name, other, read)
			}
			if !Retained([]byte(text))[other] || what == "alone" && len(Retained([]byte(text))) != 1 {
				t.Errorf("%s: retained are %v", what, Retained([]byte(text)))
			}
		}
		if !one.Verify(password) || one.Verify(password+"2") {
			t.Errorf("%q does not know its password", name)
		}
		read, _ := ParseUsersFile([]byte(junk))
		again := UsersFile(slices.Concat(slices.Collect(maps.Values(read))...),
			slices.Collect(maps.Keys(Retained([]byte(junk))))...)
		if back, err := ParseUsersFile(again); err != nil || !reflect.DeepEqual(back, read) {
			t.Errorf("%q is read as %v, and written and read again as %v (%v)", junk, read, back, err)
		}
	})
}

// A list of certificates likewise. Nothing in it stands for two users.
func FuzzCertificateList(f *testing.F) {
	print := strings.Repeat("0a", 32)
	for _, s := range []string{
		"", "app:" + print + ":1893456000\n", "app:" + print + ":1893456000\nother:" + print + ":1893456000\n",
		"app:" + print + ":01\napp:" + strings.ToUpper(print) + ":1\n", "CN=app,O=Example:" + print + ":1\n",
		"app:" + print + ":999999999999\n", "app:" + print + ":9999999999999999999\n", "#app\n\r\n::\n", "\xff:" + print + ":1",
	} {
		f.Add("app", s, int64(1893456000))
	}
	f.Fuzz(func(t *testing.T, name, junk string, end int64) {
		read, _ := ParseCertificateList([]byte(junk))
		prints := map[string]bool{}
		for _, c := range read {
			if prints[c.Fingerprint] {
				t.Errorf("%s stands for two", c.Fingerprint)
			}
			prints[c.Fingerprint] = true
		}
		back, err := ParseCertificateList(CertificateList(read))
		if err != nil || len(back) != len(read) {
			t.Errorf("%q is read as %v, and written and read again as %v (%v)", junk, read, back, err)
		}
		for _, c := range read {
			if !slices.ContainsFunc(back, func(b UserCertificate) bool { return b.Name == c.Name && b.End.Equal(c.End) }) {
				t.Errorf("%v is lost", c)
			}
		}
		if !regexp.MustCompile(`^[A-Za-z0-9._@+-]{1,128}$`).MatchString(name) || end < 1 || end > 999_999_999_999 {
			return // no user's name, and no certificate's end
		}
		own := UserCertificate{Name: name, Fingerprint: strings.Repeat("f", 64), End: time.Unix(end, 0).UTC()}
		list, err := ParseCertificateList(CertificateList([]UserCertificate{own}))
		if err != nil || !slices.Equal(list, []UserCertificate{own}) {
			t.Errorf("%v is read as %v (%v)", own, list, err)
		}
	})
}
