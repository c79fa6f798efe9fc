package claim

import (
	"testing"

	"github.com/castellan-dev/castellan/api/v1alpha1"
)

func TestTheNamespaceComesBeforeTheOperatorAndAGuestLiftsNothing(t *testing.T) {
	const retain, remove = v1alpha1.DeletionRetain, v1alpha1.DeletionDelete
	says := func(value string) map[string]string {
		return map[string]string{v1alpha1.AnnotationDeletionPolicy: value}
	}
	for name, c := range map[string]struct {
		annotations map[string]string
		guest       bool
		operator    v1alpha1.DeletionPolicy
		want        v1alpha1.DeletionPolicy
	}{
		"nobody says anything":                       {nil, false, remove, ""},
		"the operator retains":                       {nil, false, retain, retain},
		"the operator retains for guests":            {nil, true, retain, retain},
		"the namespace retains":                      {says("Retain"), false, remove, retain},
		"the namespace lifts the operator's default": {says("Delete"), false, retain, ""},
		"a guest does not lift it":                   {says("Delete"), true, retain, retain},
		"a guest retains":                            {says("Retain"), true, remove, retain},
		"a misspelt value retains":                   {says("retained"), false, remove, retain},
		"an empty value retains":                     {says(""), false, remove, retain},
	} {
		if got := DefaultPolicy(c.annotations, c.guest, c.operator); got != c.want {
			t.Errorf("%s: %q, expected %q", name, got, c.want)
		}
	}
}
