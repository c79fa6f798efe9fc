package observe

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/castellan-dev/castellan/api/v1alpha1"
	"github.com/castellan-dev/castellan/internal/exposure"
	"github.com/castellan-dev/castellan/internal/model"
	"github.com/castellan-dev/castellan/internal/verdict"
)

// Gateways is what is seen of the Gateway API.
type Gateways struct {
	// Off says, by kind of route, why nothing can be seen or made of it; empty = it can.
	Off map[exposure.RouteKind]string
	// Routes are those of the cluster, by exposure.Route.String.
	Routes map[string]*unstructured.Unstructured
	// Taken says which routes are somebody else's, each by exposure.Route.String.
	Taken map[string]bool
	// Gateways are what listeners name, by exposure.GatewayName; nil = it does not exist. One that may not be read is left
	// out.
	Gateways map[string]*unstructured.Unstructured
}

// gateway is what the operator reads of a Gateway or a ListenerSet.
type gateway struct {
	Spec struct {
		Listeners []gatewayListener `json:"listeners"`
	} `json:"spec"`
	Status struct {
		Addresses []struct {
			Type  string `json:"type"`
			Value string `json:"value"`
		} `json:"addresses"`
	} `json:"status"`
}

type gatewayListener struct {
	Name     string `json:"name"`
	Port     int32  `json:"port"`
	Protocol string `json:"protocol"`
	TLS      struct {
		Mode string `json:"mode"`
	} `json:"tls"`
}

// routeStatus is what Gateways say of a route.
type routeStatus struct {
	Status struct {
		Parents []struct {
			ParentRef struct {
				Kind      string `json:"kind"`
				Namespace string `json:"namespace"`
				Name      string `json:"name"`
			} `json:"parentRef"`
			Conditions []metav1.Condition `json:"conditions"`
		} `json:"parents"`
	} `json:"status"`
}

// read makes a value of an object of the Gateway API. What is of another shape is nothing.
func read[T any](object *unstructured.Unstructured) T {
	var value, none T
	if object == nil || runtime.DefaultUnstructuredConverter.FromUnstructured(object.Object, &value) != nil {
		return none
	}
	return value
}

// Addresses are those of a Gateway, best first.
func (g *Gateways) Addresses(of v1alpha1.GatewayReference) []string {
	var ingress []corev1.LoadBalancerIngress
	for _, a := range read[gateway](g.Gateways[exposure.GatewayName(of)]).Status.Addresses {
		_, err := netip.ParseAddr(a.Value)
		switch {
		case a.Type == "Hostname":
			ingress = append(ingress, corev1.LoadBalancerIngress{Hostname: a.Value})
		case err == nil && (a.Type == "" || a.Type == "IPAddress"):
			ingress = append(ingress, corev1.LoadBalancerIngress{IP: a.Value})
		}
	}
	return exposure.Balance(ingress, nil)
}

// Problems say, by listener, what keeps clients from being led to the brokers, in the Gateway's own words where it has
// any.
func (g *Gateways) Problems(c *model.Cluster) map[string][]string {
	found := map[string][]string{}
	for _, l := range c.Listeners {
		if problems := g.problems(c, l); len(problems) > 0 {
			found[l.Name] = problems
		}
	}
	return found
}

func (g *Gateways) problems(c *model.Cluster, l model.Listener) []string {
	routes := exposure.Routes(c, l)
	if len(routes) == 0 {
		return nil
	}
	if off := g.Off[routes[0].Kind]; off != "" {
		return []string{off}
	}
	name := exposure.GatewayName(l.Gateway)
	seen, known := g.Gateways[name]
	if known && seen == nil {
		return []string{name + " does not exist; make it, or correct exposure.gateway"}
	}
	if known {
		if lacks := lacking(read[gateway](seen), l, routes); lacks != "" {
			return []string{name + " " + lacks}
		}
	}
	var problems []string
	for _, r := range routes {
		if g.Taken[r.String()] {
			problems = append(problems, r.String()+" exists and is not this KafkaCluster's; remove it, or rename the listener")
		} else if says := g.says(c, l, r); says != "" {
			problems = append(problems, says)
		}
	}
	return problems
}

// lacking is what has to be changed of a Gateway, which is its owner's to change.
func lacking(g gateway, l model.Listener, routes []exposure.Route) string {
	if routes[0].Kind == exposure.RouteTLS {
		suits := func(at gatewayListener) bool {
			return l.Gateway.SectionName == "" && at.Protocol == "TLS" || at.Name == l.Gateway.SectionName
		}
		at := slices.IndexFunc(g.Spec.Listeners, suits)
		switch {
		case at < 0 && l.Gateway.SectionName != "":
			return fmt.Sprintf("has no listener %s: add it, with protocol TLS and mode Passthrough", l.Gateway.SectionName)
		case at < 0:
			return "has no listener with protocol TLS: add one, with mode Passthrough"
		case !slices.ContainsFunc(g.Spec.Listeners, func(at gatewayListener) bool {
			return suits(at) && at.Protocol == "TLS" && at.TLS.Mode == "Passthrough"
		}):
			return fmt.Sprintf("does not pass TLS on at its listener %s: set its protocol to TLS and its "+
				"tls.mode to Passthrough", g.Spec.Listeners[at].Name)
		}
		return ""
	}
	var missing []string
	for _, r := range routes {
		if !slices.ContainsFunc(g.Spec.Listeners, func(at gatewayListener) bool {
			return at.Port == r.Port && at.Protocol == "TCP"
		}) {
			missing = append(missing, fmt.Sprint(r.Port))
		}
	}
	switch len(missing) {
	case 0:
		return ""
	case 1:
		return fmt.Sprintf("has no listener with protocol TCP for port %s: add it", missing[0])
	}
	const most = 10
	return fmt.Sprintf("has no listeners with protocol TCP for the ports %s: add them", verdict.Few(most, missing))
}

// says is what the Gateway says of a route that it does not serve yet; empty = it serves it.
func (g *Gateways) says(c *model.Cluster, l model.Listener, r exposure.Route) string {
	object, name := g.Routes[r.String()], exposure.GatewayName(l.Gateway)
	for _, parent := range read[routeStatus](object).Status.Parents {
		ref := parent.ParentRef
		of := exposure.GatewayName(v1alpha1.GatewayReference{
			Kind: v1alpha1.GatewayKind(ref.Kind), Name: ref.Name, Namespace: cmp.Or(ref.Namespace, c.Namespace)})
		if of != name {
			continue
		}
		accepted := false
		for _, condition := range parent.Conditions {
			if condition.Type != "Accepted" && condition.Type != "ResolvedRefs" ||
				condition.ObservedGeneration < object.GetGeneration() {
				continue
			}
			if condition.Status == metav1.ConditionFalse {
				return fmt.Sprintf("%s rejects %s: %s (%q)", name, r, condition.Reason, condition.Message)
			}
			accepted = accepted || condition.Type == "Accepted" && condition.Status == metav1.ConditionTrue
		}
		if accepted {
			return ""
		}
	}
	return fmt.Sprintf("%s has not accepted %s yet", name, r)
}

// Warnings tell of a Gateway at another port than clients are told, which is right only if something stands before it.
func (g *Gateways) Warnings(c *model.Cluster) []string {
	var warnings []string
	for _, l := range c.Listeners {
		routes := exposure.Routes(c, l)
		seen := g.Gateways[exposure.GatewayName(l.Gateway)]
		if len(routes) == 0 || routes[0].Kind != exposure.RouteTLS || seen == nil {
			continue
		}
		var ports []int32
		for _, at := range read[gateway](seen).Spec.Listeners {
			if at.Protocol == "TLS" && (l.Gateway.SectionName == "" || at.Name == l.Gateway.SectionName) {
				ports = append(ports, at.Port)
			}
		}
		told := exposure.Advertise(c, routes[len(routes)-1].Node, l, exposure.Given{}).Port
		if len(ports) > 0 && !slices.Contains(ports, told) {
			warnings = append(warnings, fmt.Sprintf("listener %s: clients are told port %d, and %s passes TLS on at port "+
				"%d; set exposure.advertised.portTemplate to %[4]d unless something before the Gateway changes the port",
				l.Name, told, exposure.GatewayName(l.Gateway), ports[0]))
		}
	}
	return warnings
}
