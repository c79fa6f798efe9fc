package users

import (
	"crypto/rand"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

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
		"not yet an hour old":          {v1alpha1.MechanismPlain, &v1alpha1.PasswordRotation{IntervalSeconds: &hour}, "", Made{At: made}, 59 * time.Minute, false, false, time.Hour},
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
		if r.Due != c.due || r.Overlap != c.overlap || next != c.next || r.Fault != nil {
			t.Errorf("%s: due %t, overlap %t, next after %s", name, r.Due, r.Overlap, next)
		}
	}
}

func TestHowAPasswordCameAboutIsReadAgainAsItWasWritten(t *testing.T) {
	at := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	for _, made := range []Made{{At: at}, {At: at, Rotated: true}, {At: at, Request: "a b"}, {at, true, "1772366400"}} {
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
