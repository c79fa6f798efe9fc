package report

import (
	"fmt"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/castellan-dev/castellan/api/v1alpha1"
	"github.com/castellan-dev/castellan/internal/model"
	"github.com/castellan-dev/castellan/internal/reach"
)

// ofBrokers is a cluster of some brokers, and of a controller that no client reaches.
func ofBrokers(n int) *model.Cluster {
	c := &model.Cluster{Pools: []model.Pool{{Name: "main", Broker: true}, {Name: "control", Controller: true}}}
	for i := range n {
		c.Nodes = append(c.Nodes, model.Node{ID: int32(i), Pool: "main"})
	}
	c.Nodes = append(c.Nodes, model.Node{ID: 1000, Pool: "control"})
	return c
}

func tried(node int32, state reach.State, faults ...reach.Fault) reach.Known {
	k := reach.Known{State: state, Way: reach.Way{Listener: "clients", Node: node, Host: fmt.Sprintf("b%d", node), Port: 9092}}
	for _, fault := range faults {
		k.Finding.Fail(fault, k.Way.Host)
	}
	return k
}

func TestAListenerIsReachedWhenEveryBrokerIs(t *testing.T) {
	for name, c := range map[string]struct {
		before v1alpha1.ListenerStatus
		known  []reach.Known
		want   metav1.ConditionStatus
		lines  int
	}{
		"every one": {known: []reach.Known{tried(0, reach.Tried), tried(1, reach.Tried)}, want: metav1.ConditionTrue},
		"one is not": {known: []reach.Known{tried(0, reach.Tried), tried(1, reach.Tried, reach.FaultNoHost)},
			want: metav1.ConditionFalse, lines: 1},
		"one is not up":            {known: []reach.Known{tried(0, reach.Tried)}, want: metav1.ConditionUnknown},
		"one is tried again":       {known: []reach.Known{tried(0, reach.Tried), tried(1, reach.Pending)}, want: metav1.ConditionUnknown},
		"nothing is known":         {want: metav1.ConditionUnknown},
		"nothing was ever tried":   {known: []reach.Known{tried(0, reach.Untried), tried(1, reach.Untried)}, want: metav1.ConditionUnknown},
		"one fails, one is not up": {known: []reach.Known{tried(0, reach.Tried, reach.FaultRefused)}, want: metav1.ConditionFalse, lines: 1},
		"that of another listener": {known: []reach.Known{{State: reach.Tried, Way: reach.Way{Listener: "other"}}}, want: metav1.ConditionUnknown},
		"an operator that has just started": {
			before: v1alpha1.ListenerStatus{Name: "clients", ReachableFromInside: metav1.ConditionFalse, Unreachable: []string{"as it was"}},
			known:  []reach.Known{tried(0, reach.Tried), tried(1, reach.Untried)}, want: metav1.ConditionFalse, lines: 1},
		"that knows better now": {
			before: v1alpha1.ListenerStatus{Name: "clients", ReachableFromInside: metav1.ConditionFalse, Unreachable: []string{"as it was"}},
			known:  []reach.Known{tried(0, reach.Tried), tried(1, reach.Tried)}, want: metav1.ConditionTrue},
	} {
		statuses := []v1alpha1.ListenerStatus{{Name: "clients"}}
		setReach(statuses, []v1alpha1.ListenerStatus{c.before}, ofBrokers(2), c.known)
		if got := statuses[0]; got.ReachableFromInside != c.want || len(got.Unreachable) != c.lines {
			t.Errorf("%s: %+v, want %s and %d lines", name, got, c.want, c.lines)
		}
	}
}

func TestOfManyBrokersThatAreNotReachedTenLinesAreTold(t *testing.T) {
	var known []reach.Known
	for i := range 200 {
		known = append(known, tried(int32(i), reach.Tried, reach.FaultNoHost))
	}
	statuses := []v1alpha1.ListenerStatus{{Name: "clients"}}
	setReach(statuses, nil, ofBrokers(200), known)
	got := statuses[0].Unreachable
	if len(got) != 10 || got[9] != "and 191 more" || !strings.HasPrefix(got[0], "broker 0 at b0:9092: DNS does not know b0; ") {
		t.Errorf("%q", got)
	}
}
