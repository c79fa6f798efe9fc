package external

import (
	"testing"

	"k8s.io/apimachinery/pkg/types"

	"github.com/castellan-dev/castellan/controllers/tenure"
	"github.com/castellan-dev/castellan/internal/claim"
)

// installed makes the reconciler that of an installation of the operator.
func (w *outsideWorld) installed(name string) {
	w.reconciler.Tenure = &tenure.Keeper{Client: w.reconciler.Client, APIReader: w.Client, Now: w.Clock.Now,
		Recorder: w.reconciler.Recorder, Installation: claim.Installation{Name: name},
		Wake: func(types.NamespacedName) { w.woken++ }}
}

// An external cluster is no less one operator's: nobody else's even asks Kafka.
func TestAnExternalClusterOfAnotherOperatorIsNotAsked(t *testing.T) {
	w := newOutsideWorld(t, loginSecret("right"))
	w.installed("a/castellan")
	c := w.look()
	if c.Status.Operator != "a/castellan" || stateOf(c) != "Ready/AsSpecified" {
		t.Fatalf("%s of %q", stateOf(c), c.Status.Operator)
	}
	asked := w.at.asked
	w.Reset()
	w.look()
	if w.APIWrites() != 0 {
		t.Errorf("at rest it writes: %v", w.Requests)
	}
	w.installed("b/castellan")
	w.Reset()
	before := w.at.asked
	if w.look(); w.APIWrites() != 0 || w.at.asked != before || before == asked {
		t.Errorf("another one writes %v and asks Kafka %d times", w.Requests, w.at.asked-before)
	}
}
