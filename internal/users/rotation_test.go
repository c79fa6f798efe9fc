package users

import (
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/castellan-dev/castellan/api/v1alpha1"
	"github.com/castellan-dev/castellan/internal/plainauth"
)

func TestWhenAPasswordIsReplaced(t *testing.T) {
	made := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	hour, none := int32(3600), int32(0)
	for name, c := range map[string]struct {
		mechanism v1alpha1.Mechanism
		spec      *v1alpha1.PasswordRotation
		request   string
		made      Made
		after     time.Duration
		due       bool
		overlap   bool
		next      time.Duration // after made; 0 = never
	}{
		"nobody asks":                  {v1alpha1.MechanismPlain, nil, "", Made{At: made}, time.Hour, false, false, 0},
		"asked for":                    {v1alpha1.MechanismPlain, nil, "a", Made{At: made}, time.Hour, true, false, time.Hour},
		"carried out":                  {v1alpha1.MechanismPlain, nil, "a", Made{At: made, Request: "a"}, time.Hour, false, false, 0},
		"in the overlap":               {v1alpha1.MechanismPlain, nil, "a", Made{made, true, "a"}, time.Minute, false, true, 5 * time.Minute},
		"at its end":                   {v1alpha1.MechanismPlain, nil, "a", Made{made, true, "a"}, 5 * time.Minute, false, false, 0},
		"asked for again in it":        {v1alpha1.MechanismPlain, nil, "b", Made{made, true, "a"}, time.Minute, false, true, 5 * time.Minute},
		"asked for again at its end":   {v1alpha1.MechanismPlain, nil, "b", Made{made, true, "a"}, 5 * time.Minute, true, false, 5 * time.Minute},
		"SCRAM has no overlap":         {v1alpha1.MechanismScram512, nil, "b", Made{made, true, "a"}, time.Minute, true, false, time.Minute},
		"none wanted":                  {v1alpha1.MechanismPlain, &v1alpha1.PasswordRotation{OverlapSeconds: &none}, "b", Made{made, true, "a"}, time.Minute, true, false, time.Minute},
		"not yet an hour old":          {v1alpha1.MechanismPlain, &v1alpha1.PasswordRotation{IntervalSeconds: &hour}, "", Made{At: made}, 53 * time.Minute, false, false, time.Hour},
		"an hour old":                  {v1alpha1.MechanismPlain, &v1alpha1.PasswordRotation{IntervalSeconds: &hour}, "", Made{At: made}, time.Hour, true, false, time.Hour},
		"made anew, not in its place":  {v1alpha1.MechanismPlain, nil, "a", Made{At: made, Request: "a"}, time.Second, false, false, 0},
		"an hour old, asked for again": {v1alpha1.MechanismPlain, &v1alpha1.PasswordRotation{IntervalSeconds: &hour}, "b", Made{At: made}, 2 * time.Hour, true, false, 2 * time.Hour},
	} {
		u := &v1alpha1.KafkaUser{ObjectMeta: metav1.ObjectMeta{
			Annotations: map[string]string{v1alpha1.AnnotationRotatePassword: c.request}}}
		u.Spec.Authentication = v1alpha1.UserAuthentication{Mechanisms: []v1alpha1.Mechanism{c.mechanism},
			PasswordRotation: c.spec}
		r := RotationOf(u, c.made, made.Add(c.after))
		next := time.Duration(0)
		if !r.Next.IsZero() {
			next = r.Next.Sub(made)
		}
		if c.spec != nil && c.spec.IntervalSeconds != nil && c.request == "" && next > c.next-c.next/10 {
			next = c.next // up to a tenth before
		}
		if r.Due != c.due || r.Overlap != c.overlap || next != c.next || r.Fault != nil {
			t.Errorf("%s: due %t, overlap %t, next after %s", name, r.Due, r.Overlap, next)
		}
	}
}

func TestHowAPasswordCameAboutIsReadAgainAsItWasWritten(t *testing.T) {
	at := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	for _, made := range []Made{{At: at}, {At: at, Rotated: true}, {At: at, Request: "a b"}, {at, true, "1772366400"},
		{at, true, "1772366400 "}, {at, true, " "}, {At: at, Request: " a  b\n"}} {
		got := MadeOf(map[string]string{v1alpha1.AnnotationPasswordMade: made.String()}, time.Time{})
		if got != made {
			t.Errorf("%+v from %q", got, made.String())
		}
	}
	for _, text := range []string{"", "yesterday rotated a"} {
		if got := MadeOf(map[string]string{v1alpha1.AnnotationPasswordMade: text}, at); got != (Made{At: at}) {
			t.Errorf("%+v from %q", got, text)
		}
	}
}

func TestThePasswordBeforeStaysForAsLongAsItOverlapsAndARetainedLineForAsLongAsNobodyAsks(t *testing.T) {
	all := map[string]bool{"a": true}
	file, _, _, err := PlainFile(nil, all, map[string]PlainUser{"a": {Password: "one"}}, rand.Reader, nil)
	if err != nil {
		t.Fatal(err)
	}
	opens := func(when string, want ...string) {
		t.Helper()
		lines, _ := plainauth.ParseUsersFile(file)
		for _, password := range []string{"one", "two", "three"} {
			open, wanted := false, false
			for _, e := range lines["a"] {
				open = open || e.Verify(password)
			}
			for _, w := range want {
				wanted = wanted || w == password
			}
			if open != wanted {
				t.Errorf("%s: %q opens: %t", when, password, open)
			}
		}
	}
	write := func(user PlainUser, names map[string]bool, retained map[string]bool) {
		t.Helper()
		set := map[string]PlainUser{}
		if user.Password != "" {
			set["a"] = user
		}
		if file, _, _, err = PlainFile(file, names, set, rand.Reader, retained); err != nil {
			t.Fatal(err)
		}
	}
	write(PlainUser{Password: "two", Overlap: true}, all, nil)
	opens("in the overlap", "one", "two")
	same := string(file)
	write(PlainUser{Password: "two", Overlap: true}, all, nil)
	if string(file) != same {
		t.Error("it is written anew")
	}
	write(PlainUser{}, all, nil) // another flush, of other users
	opens("beside others", "one", "two")
	write(PlainUser{Password: "three", Overlap: true}, all, nil)
	opens("the next overlap", "two", "three")
	write(PlainUser{Password: "three"}, all, nil)
	opens("afterwards", "three")
	write(PlainUser{}, nil, map[string]bool{"a": true})
	opens("retained", "three")
	if !plainauth.Retained(file)["a"] {
		t.Error("the file does not say that it stays")
	}
	write(PlainUser{}, nil, nil)
	opens("not retained any more")
}

func TestUsersThatWereMadeTogetherHaveNewPasswordsOneAfterTheOther(t *testing.T) {
	made := Made{At: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)}
	for _, interval := range []int32{3600, 30 * 24 * 3600, 1<<31 - 1} {
		length := time.Duration(interval) * time.Second
		inTenth := map[int]int{} // of the spread
		for n := range 6000 {
			u := &v1alpha1.KafkaUser{ObjectMeta: metav1.ObjectMeta{UID: types.UID(fmt.Sprintf("6f2f0e9c-%d", n))}}
			u.Spec.Authentication = v1alpha1.UserAuthentication{Mechanisms: []v1alpha1.Mechanism{v1alpha1.MechanismPlain},
				PasswordRotation: &v1alpha1.PasswordRotation{IntervalSeconds: &interval}}
			next := RotationOf(u, made, made.At).Next
			if again := RotationOf(u, made, made.At.Add(time.Minute)).Next; !again.Equal(next) {
				t.Fatalf("at first %s, then %s", next, again)
			}
			early := length - next.Sub(made.At)
			if early < 0 || early > length/10 {
				t.Fatalf("%s before %s are over", early, length)
			}
			inTenth[int(early/(length/100))]++
		}
		for tenth := range 10 {
			if n := inTenth[tenth]; n < 400 || n > 800 {
				t.Errorf("%d of 6000 in tenth %d: %v", n, tenth, inTenth)
			}
		}
	}
}

func TestTheFileOfPlainUsersFitsWhateverOverlaps(t *testing.T) {
	line := func(name string, n int) string {
		return fmt.Sprintf("%s:4096:%s:%s\n", name, base64.StdEncoding.EncodeToString(make([]byte, 16)),
			base64.StdEncoding.EncodeToString(append(make([]byte, 31), byte(n))))
	}
	file := func(lines ...string) []byte { return []byte("# a header\n" + strings.Join(lines, "")) }
	current := file("#retained stays\n", line("both", 1), line("both", 2), line("one", 1), line("other", 1),
		line("stays", 1))
	next := file("#retained stays\n", line("both", 1), line("both", 2), line("new", 1), line("newer", 1),
		line("one", 2), line("one", 1), line("other", 2), line("other", 1), line("stays", 1))
	short := len(line("one", 1))
	for name, c := range map[string]struct {
		over           int
		ended, refused []string
	}{
		"it fits":                             {over: -1},
		"an overlap that begins goes first":   {1, []string{"one"}, nil},
		"then the next one":                   {short + 1, []string{"one", "other"}, nil},
		"then one that was there":             {2*short + 3, []string{"one", "other", "both"}, nil},
		"then newcomers stay out":             {3*short + 5, []string{"one", "other", "both"}, []string{"newer"}},
		"but nobody who is in loses his line": {1 << 20, []string{"one", "other", "both"}, []string{"new", "newer"}},
	} {
		room := len(next) - len("# a header\n") + headBytes - c.over
		for _, who := range []string{"both", "new", "newer", "one", "other"} { // each may stay
			room += plainauth.RetainedSize(who)
		}
		parts, all := []Part{{Users: current}}, next
		for n := 1; n < plainauth.MaxParts; n++ { // each is full by one user
			left := room - headBytes - len(line("n", 1)) - plainauth.RetainedSize("n")
			name := fmt.Sprintf("%d%s", n, strings.Repeat("z", max(0, left/2)))
			parts, all = append(parts, Part{Users: file(line(name, 1))}), append(slices.Clone(all), line(name, 1)...)
		}
		spread := SpreadOver(Part{Users: all}, parts, room, plainauth.MaxParts)
		fitted, ended, refused := spread.Parts[0].Users, spread.Ended, spread.Refused
		if !slices.Equal(ended, c.ended) || !slices.Equal(refused, c.refused) {
			t.Errorf("%s: ended %v, refused %v", name, ended, refused)
		}
		entries, _ := plainauth.ParseUsersFile(fitted)
		for _, who := range []string{"both", "one", "other", "stays"} {
			if len(entries[who]) == 0 {
				t.Errorf("%s: %s has no line", name, who)
			}
		}
		newest, _ := plainauth.ParseUsersFile(next)
		if entries["one"][0] != newest["one"][0] || !plainauth.Retained(fitted)["stays"] {
			t.Errorf("%s: %s", name, fitted)
		}
		if c.over < 1<<20 && len(fitted) > len(next)-c.over+100 { // the header differs
			t.Errorf("%s: %d bytes", name, len(fitted))
		}
	}
}
