package decide

import (
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/castellan-dev/castellan/internal/model"
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
func walls(cluster metav1.Object, c *model.Cluster, live *observe.Live) Walls {
	var w Walls
	switch {
	case c.Walls.Ingress && !c.Walls.Operator.IsKnown():
		return w
	case c.Walls.Ingress:
		w.Policy = render.Policy(c, live.Policies[c.Name], listening(live))
	}
	for name, policy := range live.Policies {
		if (w.Policy == nil || name != w.Policy.Name) && policy.DeletionTimestamp == nil &&
			metav1.IsControlledBy(policy, cluster) {
			w.Surplus = append(w.Surplus, policy)
		}
	}
	return w
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
