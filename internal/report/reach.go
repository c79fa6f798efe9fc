package report

import (
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/castellan-dev/castellan/api/v1alpha1"
	"github.com/castellan-dev/castellan/internal/model"
	"github.com/castellan-dev/castellan/internal/reach"
	"github.com/castellan-dev/castellan/internal/verdict"
)

// setReach says of each listener whether its brokers are reached. What an operator that has just started has not tried
// yet stays as its predecessor said.
func setReach(statuses, before []v1alpha1.ListenerStatus, c *model.Cluster, known []reach.Known) {
	type way struct {
		listener string
		node     int32
	}
	index := map[way]reach.Known{}
	for _, k := range known {
		index[way{k.Way.Listener, k.Way.Node}] = k
	}
	for i := range statuses {
		s := &statuses[i]
		s.ReachableFromInside = metav1.ConditionTrue
		untried, pending := false, len(known) == 0
		for n := range c.Nodes {
			if !c.IsBroker(&c.Nodes[n]) {
				continue
			}
			k, is := index[way{s.Name, c.Nodes[n].ID}]
			switch {
			case !is, k.State == reach.Pending:
				pending = true
			case k.State == reach.Untried:
				untried = true
			case !k.Finding.OK():
				s.Unreachable = append(s.Unreachable, k.Line())
			}
		}
		s.Unreachable = verdict.Shortened(maxTold, s.Unreachable)
		switch {
		case untried:
			s.ReachableFromInside, s.Unreachable = said(before, s.Name)
		case len(s.Unreachable) > 0:
			s.ReachableFromInside = metav1.ConditionFalse
		case pending:
			s.ReachableFromInside = metav1.ConditionUnknown
		}
	}
}

// said is what the status says of a listener so far.
func said(before []v1alpha1.ListenerStatus, listener string) (metav1.ConditionStatus, []string) {
	i := slices.IndexFunc(before, func(s v1alpha1.ListenerStatus) bool { return s.Name == listener })
	if i < 0 || before[i].ReachableFromInside == "" {
		return metav1.ConditionUnknown, nil
	}
	return before[i].ReachableFromInside, before[i].Unreachable
}
