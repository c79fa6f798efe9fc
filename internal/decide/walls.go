package decide

import (
	"strings"

	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/castellan-dev/castellan/internal/observe"
	"github.com/castellan-dev/castellan/internal/render"
)

// Walls is what becomes of the NetworkPolicies of a cluster.
type Walls struct {
	Policy *networkingv1.NetworkPolicy // nil = none is made
	// Surplus goes at once, whatever else is under way: it may be what holds that up.
	Surplus []*networkingv1.NetworkPolicy
}

// walls leaves a policy as it is while the operator does not know which pods are its own.
func walls(
	cluster metav1.Object, d *Decision, ran func() map[int32]render.NodeFiles, live *observe.Live,
) Walls {
	c := d.Model
	var w Walls
	switch {
	case c.Walls.Ingress && !c.Walls.Operator.IsKnown():
		return w
	case c.Walls.Ingress:
		w.Policy = render.Policy(c, live.Policies[c.Name], listening(live), unsettled(d, ran()))
		return w
	}
	// One without a controller was orphaned, and is the cluster's by its labels and its mark.
	if policy := live.Policies[c.Name]; policy != nil && policy.DeletionTimestamp == nil &&
		(metav1.IsControlledBy(policy, cluster) || metav1.GetControllerOf(policy) == nil) {
		w.Surplus = append(w.Surplus, policy)
	}
	return w
}

// unsettled are the ports at which some node still runs another listener than the one that shall be there, or the same
// in another way: without TLS, say. Whoever is let in there now may not be meant to reach that one.
func unsettled(d *Decision, ran map[int32]render.NodeFiles) map[int32]bool {
	ports := map[int32]bool{}
	for id, files := range ran {
		desired, known := d.Files[id]
		for _, l := range d.Model.Listeners {
			name := strings.ToUpper(l.Name)
			runs := render.ListenerAt(files, l.Port)
			if runs != "" && (runs != name || known && !render.SameListener(files, desired, name)) {
				ports[l.Port] = true
			}
		}
	}
	return ports
}

// listening are the ports at which the pods serve.
func listening(live *observe.Live) []int32 {
	var ports []int32
	for i := range live.Pods {
		for _, container := range live.Pods[i].Spec.Containers {
			if container.Name != render.ContainerName {
				continue
			}
			for _, port := range container.Ports {
				ports = append(ports, port.ContainerPort)
			}
		}
	}
	return ports
}
