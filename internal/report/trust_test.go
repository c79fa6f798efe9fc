package report

import (
	"testing"
	"time"

	"github.com/castellan-dev/castellan/api/v1alpha1"
)

func TestTheStatusKeepsSinceWhenItNamesWhomClientsTrust(t *testing.T) {
	begin := time.Date(2026, 3, 1, 12, 0, 0, 5, time.UTC)
	for name, c := range map[string]struct {
		before, after string
		isNew         bool
		changed       bool
	}{
		"nothing was ever provided":         {},
		"a listener comes with what signs":  {after: "a", isNew: true, changed: true},
		"another authority is named":        {before: "a", after: "ab", changed: true},
		"the former one goes":               {before: "ab", after: "b", changed: true},
		"the cluster's own signs again":     {before: "ab", after: "", changed: true},
		"nothing changes":                   {before: "a", after: "a"},
		"a new listener of the cluster's":   {isNew: true},
		"the cluster's own goes on to sign": {},
	} {
		t.Run(name, func(t *testing.T) {
			before := []v1alpha1.ListenerStatus{{Name: "a", CACertificates: c.before}}
			if setTrustChangedAt(before, nil, begin); c.before == "" && before[0].TrustChangedAt != nil {
				t.Fatal("what was never changed has a time")
			}
			known := before[0].TrustChangedAt
			if c.isNew {
				before = nil
			}
			after := []v1alpha1.ListenerStatus{{Name: "a", CACertificates: c.after}}
			setTrustChangedAt(after, before, begin.Add(time.Hour))
			switch got := after[0].TrustChangedAt; {
			case c.changed && (got == nil || !got.Time.Equal(begin.Add(time.Hour).Truncate(time.Second))):
				t.Errorf("changed at %v", got)
			case !c.changed && got != known:
				t.Errorf("%v became %v", known, got)
			}
		})
	}
}
