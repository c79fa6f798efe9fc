package plainauth

import (
	"archive/zip"
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "rewrite testdata/users")

// login is one row of testdata/logins, which the Java tests read too.
type login struct {
	sentence, name, password string
	accepted                 bool
}

func readLogins(t *testing.T) []login {
	t.Helper()
	var logins []login
	sentence := ""
	for line := range strings.Lines(readFile(t, "testdata/logins")) {
		line = strings.TrimSuffix(line, "\n")
		if comment, ok := strings.CutPrefix(line, "# "); ok {
			sentence = comment
			continue
		}
		fields := strings.Fields(line)
		if len(fields) != 3 || fields[0] != "accepted" && fields[0] != "refused" {
			t.Fatalf("testdata/logins: odd line %q", line)
		}
		logins = append(logins, login{sentence, unbase64(t, fields[1]), unbase64(t, fields[2]), fields[0] == "accepted"})
	}
	return logins
}

func unbase64(t *testing.T, text string) string {
	t.Helper()
	if text == "-" {
		return ""
	}
	data, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func readFile(t *testing.T, name string) string {
	t.Helper()
	data, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// saltOf is a salt that is good for tests only: it is the same every time.
func saltOf(name string) []byte {
	sum := sha256.Sum256([]byte("salt of " + name))
	return sum[:MinSaltBytes]
}

func mustHash(t *testing.T, name, password string) Entry {
	t.Helper()
	e, err := Hash(name, password, saltOf(name), MinIterations)
	if err != nil {
		t.Fatalf("hash %q: %v", name, err)
	}
	return e
}

func TestTheSharedUsersFileIsWhatThisPackageWrites(t *testing.T) {
	var entries []Entry
	for _, l := range readLogins(t) {
		if l.accepted {
			entries = append(entries, mustHash(t, l.name, l.password))
		}
	}
	got := UsersFile(entries)
	if *update {
		if err := os.WriteFile("testdata/users", got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if want := readFile(t, "testdata/users"); string(got) != want {
		t.Errorf(
			"testdata/users differs; if this is meant, run with -update, then java/build.sh.\ngot:\n%s\nwant:\n%s",
			got,
			want,
		)
	}
}

func TestEverySharedLoginHasItsOutcome(t *testing.T) {
	entries, err := ParseUsersFile([]byte(readFile(t, "testdata/users")))
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range readLogins(t) {
		t.Run(l.sentence, func(t *testing.T) {
			got := slices.ContainsFunc(entries[l.name], func(e Entry) bool { return e.Verify(l.password) })
			if got != l.accepted {
				t.Errorf("accepted = %v, want %v", got, l.accepted)
			}
		})
	}
}

func TestEverySharedLineHasItsOutcome(t *testing.T) {
	file := readFile(t, "testdata/lines")
	_, err := ParseUsersFile([]byte(file))
	faulty := map[int]string{}
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		for _, fault := range joined.Unwrap() {
			var line LineError
			if !errors.As(fault, &line) {
				t.Fatalf("not a LineError: %v", fault)
			}
			faulty[line.Line] = line.Reason
		}
	}
	lines := strings.Split(file, "\n")
	for i := 2; i < len(lines); i += 2 {
		outcome, sentence, _ := strings.Cut(strings.TrimPrefix(lines[i-1], "# "), ": ")
		t.Run(sentence, func(t *testing.T) {
			reason, refused := faulty[i+1]
			if refused != (outcome == "refused") {
				t.Errorf("line %d: refused = %v (%s), want %s", i+1, refused, reason, outcome)
			}
		})
	}
}

func TestAFileReadAndWrittenAgainIsTheSame(t *testing.T) {
	file := []byte(readFile(t, "testdata/users"))
	entries, err := ParseUsersFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var shuffled []Entry
	for _, e := range entries { // in the random order of a map
		shuffled = append(shuffled, e...)
	}
	if got := UsersFile(shuffled); !bytes.Equal(got, file) {
		t.Errorf("got:\n%s\nwant:\n%s", got, file)
	}
}

func TestUsersFile(t *testing.T) {
	anna, bert := mustHash(t, "anna", "a"), mustHash(t, "bert", "b")
	other, third := mustHash(t, "anna", "another"), mustHash(t, "anna", "third")
	for _, c := range []struct {
		sentence  string
		in, wants []Entry
	}{
		{"no users give a file of the header alone", nil, nil},
		{"lines are sorted by name", []Entry{bert, anna}, []Entry{anna, bert}},
		{"two entries of a name are written in the order given", []Entry{bert, other, anna}, []Entry{other, anna, bert}},
		{"a third entry of a name is left out", []Entry{other, anna, third, bert}, []Entry{other, anna, bert}},
		{"the zero entry is left out", []Entry{{}, anna}, []Entry{anna}},
	} {
		t.Run(c.sentence, func(t *testing.T) {
			want := header
			for _, e := range c.wants {
				want += e.line()
			}
			given := slices.Clone(c.in)
			if got := string(UsersFile(c.in)); got != want {
				t.Errorf("got:\n%s\nwant:\n%s", got, want)
			}
			if !slices.Equal(given, c.in) {
				t.Error("the caller's slice was reordered")
			}
		})
	}
}

func TestHashRefuses(t *testing.T) {
	salt := saltOf("x")
	for _, c := range []struct {
		sentence, name, password string
		salt                     []byte
		iterations               int
	}{
		{"an empty name", "", "p", salt, DefaultIterations},
		{"a NUL in the name", "a\x00b", "p", salt, DefaultIterations},
		{"a name that is not UTF-8", "a\xff", "p", salt, DefaultIterations},
		{"an empty password", "a", "", salt, DefaultIterations},
		{"a NUL in the password", "a", "p\x00", salt, DefaultIterations},
		{"a password that is not UTF-8", "a", "p\xff", salt, DefaultIterations},
		{"too short a salt", "a", "p", salt[:MinSaltBytes-1], DefaultIterations},
		{"too long a salt", "a", "p", make([]byte, MaxSaltBytes+1), DefaultIterations},
		{"too few iterations", "a", "p", salt, MinIterations - 1},
		{"too many iterations", "a", "p", salt, MaxIterations + 1},
	} {
		t.Run(c.sentence, func(t *testing.T) {
			e, err := Hash(c.name, c.password, c.salt, c.iterations)
			if err == nil || e != (Entry{}) {
				t.Errorf("got %v, %v; want no entry and an error", e, err)
			}
		})
	}
}

func TestAnEntryOutlivesTheSaltItWasGiven(t *testing.T) {
	salt := saltOf("anna")
	e, err := Hash("anna", "p", salt, MinIterations)
	if err != nil {
		t.Fatal(err)
	}
	clear(salt)
	if !e.Verify("p") {
		t.Error("changing the caller's salt changed the entry")
	}
}

func TestTheZeroEntryVerifiesNothing(t *testing.T) {
	if (Entry{}).Verify("") || (Entry{}).Verify("p") {
		t.Error("the zero entry verified a password")
	}
}

func TestAnEntryPrintsNoHash(t *testing.T) {
	e := mustHash(t, "anna", "p")
	for _, format := range []string{"%v", "%+v", "%#v", "%s"} {
		if got := fmt.Sprintf(format, e); got != `plain user "anna"` {
			t.Errorf("%s prints %s", format, got)
		}
	}
}

func TestJaasConfigQuotesThePath(t *testing.T) {
	want := `org.apache.kafka.common.security.plain.PlainLoginModule required users.file="/a \"b\" \\c";`
	if got := JaasConfig(`/a "b" \c`); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

// Java needs not be installed to see that somebody changed the class and forgot the jar.
func TestTheJarHoldsWhatItsSourcesGive(t *testing.T) {
	archive, err := zip.NewReader(bytes.NewReader(Jar()), int64(len(Jar())))
	if err != nil {
		t.Fatal(err)
	}
	sources, err := filepath.Glob("java/src/main/java/dev/castellan/kafka/*.java")
	if err != nil || len(sources) < 3 {
		t.Fatal(sources, err)
	}
	for _, source := range sources {
		path := strings.TrimSuffix(strings.TrimPrefix(source, "java/src/main/java/"), ".java")
		if _, err := archive.Open(path + ".class"); err != nil {
			t.Errorf("%s is not in the jar: %v", path, err)
		}
		packed, err := archive.Open(path + ".java")
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(packed)
		if err != nil {
			t.Fatal(err)
		}
		if string(text) != readFile(t, source) {
			t.Errorf("the jar was built from another %s: run java/build.sh", source)
		}
	}
	for _, class := range []string{HandlerClass, PrincipalBuilderClass} {
		if _, err := archive.Open(strings.ReplaceAll(class, ".", "/") + ".class"); err != nil {
			t.Errorf("brokers are told of a class that is not in the jar: %v", err)
		}
	}
}

func BenchmarkHash(b *testing.B) {
	for b.Loop() {
		if _, err := Hash("anna", "correct horse battery staple", saltOf("anna"), DefaultIterations); err != nil {
			b.Fatal(err)
		}
	}
}

func TestNamesThatAreRetainedAreReadAgainAndLetNobodyIn(t *testing.T) {
	anna := mustHash(t, "anna", "a")
	file := UsersFile([]Entry{anna}, "b: c", "anna", "anna")
	if got := Retained(file); len(got) != 2 || !got["anna"] || !got["b: c"] {
		t.Errorf("%v from\n%s", got, file)
	}
	if entries, err := ParseUsersFile(file); err != nil || len(entries) != 1 || len(entries["anna"]) != 1 {
		t.Errorf("%v, %v", entries, err)
	}
	if got := Retained(UsersFile([]Entry{anna})); len(got) != 0 {
		t.Errorf("%v", got)
	}
}
