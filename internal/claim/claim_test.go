package claim

import (
	"slices"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/castellan-dev/castellan/api/v1alpha1"
)

// thing is an object of which the name says all: "recorded", "begun", "observing", "guest" (of a namespace that is not
// admitted) and "evicted" may occur in it.
type thing = metav1.ObjectMeta

func object(name string, age time.Duration, leaving bool) *thing {
	o := &thing{
		Name:              name,
		UID:               types.UID(name),
		Namespace:         "home",
		CreationTimestamp: metav1.NewTime(time.Unix(1e9, 0).Add(-age)),
	}
	if strings.Contains(name, "guest") {
		o.Namespace = "guests"
	}
	if leaving {
		o.DeletionTimestamp = &metav1.Time{Time: time.Unix(1e9, 0)}
	}
	return o
}

func names(objects []*thing) string {
	all := make([]string, len(objects))
	for i, o := range objects {
		all[i] = o.Name
	}
	return strings.Join(all, " ")
}

func namesOf(objects []Barred[*thing]) string {
	all := make([]string, len(objects))
	for i, o := range objects {
		all[i] = o.Object.Name
	}
	return strings.Join(all, " ")
}

func TestWhoHoldsAName(t *testing.T) {
	has := func(word string) func(*thing) bool {
		return func(o *thing) bool { return strings.Contains(o.Name, word) }
	}
	rules := Rules[*thing]{
		Recorded: has("recorded"), Begun: has("begun"), Observes: has("observing"),
		Bars: func(o *thing) *Bar {
			if evicted := strings.Contains(o.Name, "evicted"); evicted || o.Namespace != "home" {
				return &Bar{Evicts: evicted}
			}
			return nil
		},
	}
	for name, c := range map[string]struct {
		objects                                             []*thing
		holder, losers, leaving, observers, barred, evicted string
		frozen                                              bool
	}{
		"nobody":                {},
		"the only one":          {objects: []*thing{object("a", 0, false)}, holder: "a"},
		"the oldest":            {objects: []*thing{object("a", 1, false), object("b", 2, false)}, holder: "b", losers: "a"},
		"of one age by the UID": {objects: []*thing{object("b", 1, false), object("a", 1, false)}, holder: "a", losers: "b"},
		"whoever has begun comes before the oldest": {
			objects: []*thing{object("old", 2, false), object("begun", 1, false)}, holder: "begun", losers: "old"},
		"the record comes before whoever has begun": {
			objects: []*thing{object("begun", 2, false), object("recorded", 1, false)}, holder: "recorded", losers: "begun"},
		"one that is being deleted hands over": {
			objects: []*thing{object("recorded", 2, true), object("young", 1, false)}, holder: "young", leaving: "recorded"},
		"an observer holds nothing, however old": {
			objects: []*thing{object("observing", 2, false), object("a", 1, false)}, holder: "a", observers: "observing"},
		"an observer that is being deleted is leaving": {
			objects: []*thing{object("observing", 2, true)}, leaving: "observing"},
		"who is not admitted takes no part": {
			objects: []*thing{object("guest", 2, false), object("a", 1, false)}, holder: "a", barred: "guest"},
		"not even by having begun": {
			objects: []*thing{object("guest begun", 2, false), object("a", 1, false)}, holder: "a", barred: "guest begun"},
		"who was admitted once keeps what it has, frozen": {
			objects: []*thing{object("guest recorded", 2, false), object("a", 3, false)}, holder: "guest recorded", losers: "a", frozen: true},
		"who is evicted loses what it has": {
			objects: []*thing{object("evicted recorded", 2, false), object("a", 1, false)}, holder: "a", evicted: "evicted recorded"},
		"who is evicted and has nothing is barred": {
			objects: []*thing{object("evicted begun", 2, false)}, barred: "evicted begun"},
		"who is evicted and is being deleted hands over": {
			objects: []*thing{object("evicted recorded", 2, true), object("a", 1, false)}, holder: "a", leaving: "evicted recorded"},
	} {
		t.Run(name, func(t *testing.T) {
			got := Sort("x", c.objects, rules)
			holder := ""
			if got.HasHolder() {
				holder = got.Holder.Name
			}
			if holder != c.holder || names(got.Losers) != c.losers || names(got.Leaving) != c.leaving || names(got.Observers) != c.observers ||
				namesOf(got.Barred) != c.barred || namesOf(got.Evicted) != c.evicted || (got.Frozen != nil) != c.frozen ||
				got.Name != "x" {
				t.Errorf(
					"%q holds it; losers %q, leaving %q, observers %q, barred %q, evicted %q, frozen %v",
					holder,
					names(got.Losers),
					names(got.Leaving),
					names(got.Observers),
					namesOf(got.Barred),
					namesOf(got.Evicted),
					got.Frozen,
				)
			}
			living := slices.Concat(got.Losers, got.Observers)
			if got.HasHolder() {
				living = append([]*thing{got.Holder}, living...)
			}
			if !slices.Equal(got.Living(), living) {
				t.Errorf("living are %q", names(got.Living()))
			}
		})
	}
}

func TestHeldAreTheLeavingThatOurFinalizerKeeps(t *testing.T) {
	kept, foreign := object("kept", 1, true), object("foreign", 2, true)
	kept.Finalizers, foreign.Finalizers = []string{"else", v1alpha1.Finalizer}, []string{"else"}
	c := Claim[*thing]{Leaving: []*thing{foreign, kept}}
	if got := names(c.Held()); got != "kept" {
		t.Errorf("held are %q", got)
	}
}
