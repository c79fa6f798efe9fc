package status

import (
	"reflect"
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

var t0 = time.Date(2026, 1, 2, 3, 4, 5, 600, time.UTC)

func types(conds []metav1.Condition) string {
	var all []string
	for _, c := range conds {
		all = append(all, c.Type+"="+string(c.Status))
	}
	return strings.Join(all, " ")
}

func TestOneOfReconcilingAndStalledStandsBesideReady(t *testing.T) {
	var conds []metav1.Condition
	Reconciling(&conds, 1, "Waiting", "for a broker", t0)
	if got := types(conds); got != "Ready=False Reconciling=True" {
		t.Errorf("Reconciling: %s", got)
	}
	Stalled(&conds, 1, "Bad", "spec.x: no", t0)
	if got := types(conds); got != "Ready=False Stalled=True" {
		t.Errorf("Stalled: %s", got)
	}
	Ready(&conds, 2, "InForce", "done", t0)
	if got := types(conds); got != "Ready=True" {
		t.Errorf("Ready: %s", got)
	}
	if !IsReady(conds, 2) || IsReady(conds, 3) {
		t.Error("IsReady speaks of one generation only")
	}
}

func TestTheTransitionTimeChangesOnlyWithTheStatus(t *testing.T) {
	var conds []metav1.Condition
	Reconciling(&conds, 1, "A", "a", t0)
	before := append([]metav1.Condition{}, conds...)
	Reconciling(&conds, 1, "A", "a", t0.Add(time.Hour))
	if !reflect.DeepEqual(before, conds) {
		t.Errorf("an equal condition changed: %v", conds)
	}
	Stalled(&conds, 1, "B", "b", t0.Add(time.Hour))
	ready := meta.FindStatusCondition(conds, "Ready")
	if !ready.LastTransitionTime.Equal(&before[0].LastTransitionTime) {
		t.Error("Ready stayed False and moved its time")
	}
	Ready(&conds, 1, "C", "", t0.Add(time.Hour))
	if ready := meta.FindStatusCondition(conds, "Ready"); ready.LastTransitionTime.Equal(&before[0].LastTransitionTime) {
		t.Error("Ready became True and kept its time")
	}
}

func TestALongMessageIsCutBetweenCharacters(t *testing.T) {
	var conds []metav1.Condition
	Set(&conds, "Warning", metav1.ConditionTrue, 1, "Long", strings.Repeat("é", 3000), t0)
	if got := conds[0].Message; len(got) > maxMessage+3 || !strings.HasSuffix(got, "é...") {
		t.Errorf("%d bytes, ends with %q", len(got), got[len(got)-8:])
	}
}
