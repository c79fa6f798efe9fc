package resolve

import (
	"cmp"
	"fmt"
	"net/netip"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/castellan-dev/castellan/api/v1alpha1"
	"github.com/castellan-dev/castellan/internal/exposure"
	"github.com/castellan-dev/castellan/internal/model"
	"github.com/castellan-dev/castellan/internal/verdict"
)

// GatewayOf is what leads clients of a listener to the brokers, its namespace and kind filled in; the zero value =
// there is none. namespace is that of the cluster.
func GatewayOf(namespace string, l v1alpha1.Listener) v1alpha1.GatewayReference {
	if l.Exposure.Gateway == nil {
		return v1alpha1.GatewayReference{}
	}
	g := *l.Exposure.Gateway
	g.Namespace, g.Kind = cmp.Or(g.Namespace, namespace), cmp.Or(g.Kind, v1alpha1.GatewayKindGateway)
	return g
}

// validateGateway checks what a listener says of its Gateway, and what the routes of its type cannot do without.
func validateGateway(l v1alpha1.Listener) verdict.List {
	var faults verdict.List
	refuse := func(field, format string, args ...any) {
		faults.Refuse(model.ListenerField(l.Name, field), format, args...)
	}
	kind, g := exposureOf(l), l.Exposure.Gateway
	route := exposure.Of(kind).Route
	switch {
	case route == exposure.RouteNone && g != nil:
		refuse("exposure.gateway", "%s has no use for it; remove it, or use the type %s", kind, exposure.RouteTypes())
		return faults
	case route == exposure.RouteNone:
		return nil
	case g == nil || g.Name == "":
		refuse("exposure.gateway", "%s leads from a Gateway to the brokers, and none is named; name it", kind)
		return faults
	}
	if wrong := validation.IsDNS1123Subdomain(g.Name); len(wrong) > 0 {
		refuse("exposure.gateway.name", "%q can be no Gateway's name: %s; correct it", g.Name, wrong[0])
	}
	if wrong := validation.IsDNS1123Label(g.Namespace); g.Namespace != "" && len(wrong) > 0 {
		refuse("exposure.gateway.namespace", "%q can be no namespace: %s; correct it", g.Namespace, wrong[0])
	}
	if k := g.Kind; k != "" && k != v1alpha1.GatewayKindGateway && k != v1alpha1.GatewayKindListenerSet {
		refuse("exposure.gateway.kind", "use %s or %s", v1alpha1.GatewayKindGateway, v1alpha1.GatewayKindListenerSet)
	}
	if route == exposure.RouteTLS {
		return append(faults, validateTLSRoute(l)...)
	}
	return append(faults, validateTCPRoute(l)...)
}

// validateTLSRoute asks for what a client says in its handshake: names, by which alone the Gateway tells brokers apart.
func validateTLSRoute(l v1alpha1.Listener) verdict.List {
	var faults verdict.List
	refuse := func(field, format string, args ...any) {
		faults.Refuse(model.ListenerField(l.Name, field), format, args...)
	}
	if l.Encryption == v1alpha1.EncryptionNone {
		refuse("encryption", "a TLSRoute finds a broker by the name in the TLS handshake, and there is none; set it "+
			"to TLS, or use the type TCPRoute")
	}
	if a := l.Exposure.Advertised; a == nil || a.HostTemplate == "" {
		refuse("exposure.advertised.hostTemplate", "a TLSRoute finds a broker by its name, and there is none; write "+
			"one such as broker-{nodeId}.kafka.example.com")
	}
	if b := l.Exposure.Bootstrap; b == nil || len(b.Hosts) == 0 {
		refuse("exposure.bootstrap.hosts",
			"a TLSRoute needs a name at which clients begin; write one such as kafka.example.com")
	}
	return faults
}

// validateTCPRoute asks for a port a broker: the Gateway has nothing else to tell them apart by.
func validateTCPRoute(l v1alpha1.Listener) verdict.List {
	var faults verdict.List
	refuse := func(field, format string, args ...any) {
		faults.Refuse(model.ListenerField(l.Name, field), format, args...)
	}
	e := l.Exposure
	if e.Gateway.SectionName != "" {
		refuse("exposure.gateway.sectionName", "a TCPRoute finds the Gateway's listener by its port; remove it")
	}
	a := e.Advertised
	if a != nil && a.PortTemplate != nil {
		if t, err := exposure.ParseNumber(a.PortTemplate); err == nil && !t.PerNode {
			refuse("exposure.advertised.portTemplate", "a TCPRoute finds a broker by its port; give each broker one of "+
				"its own, as in %d+{nodeId}", t.Base)
		}
	}
	if b := e.Bootstrap; e.Gateway.Kind == v1alpha1.GatewayKindListenerSet && (a == nil || a.HostTemplate == "" ||
		exposure.OfBroker(a.HostTemplate) != "" && (b == nil || len(b.Hosts) == 0)) {
		refuse("exposure.advertised.hostTemplate", "a ListenerSet says no address; write the host at which clients "+
			"reach its Gateway")
	}
	return faults
}

func isAddress(host string) bool {
	_, err := netip.ParseAddr(host)
	return err == nil
}

// validateRoutes refuses a route that a Gateway could not choose, or not between it and another: by an IP address or a
// name twice with TLSRoute, by a port twice with TCPRoute.
func validateRoutes(c *model.Cluster) verdict.List {
	var faults verdict.List
	taken := map[string]string{}
	for _, l := range c.Listeners {
		gateway := exposure.GatewayName(l.Gateway)
		refused := false // one sentence a listener
		refuse := func(r exposure.Route, format string, args ...any) {
			if !refused {
				faults.Refuse(model.ListenerField(l.Name, "exposure."+fieldOf(l, r)), format, args...)
			}
			refused = true
		}
		for _, r := range exposure.Routes(c, l) {
			if r.Kind == exposure.RouteTCP && exposure.FixedPort(l) != 0 {
				break // it is refused already
			}
			to := "clients of listener " + l.Name + " begin"
			if r.Node != nil {
				to = fmt.Sprintf("node %d at listener %s is reached", r.Node.ID, l.Name)
			}
			for _, place := range placesOf(r) {
				key := gateway + " " + place
				kind, name, _ := strings.Cut(place, " ")
				if isAddress(name) {
					refuse(r, "a TLSRoute is found by a name, and %s is an IP address; write a host name", name)
				} else if taken[key] != "" {
					refuse(r, "%s of %s leads to where %s, and %s there too; give each a %s of its own", place, gateway, taken[key],
						to, kind)
				}
				taken[key] = to
			}
		}
	}
	return faults
}

// fieldOf is what says by which name or port the Gateway finds a route.
func fieldOf(l model.Listener, r exposure.Route) string {
	if r.Node == nil {
		if r.Kind == exposure.RouteTCP {
			return "bootstrap.port"
		}
		return "bootstrap.hosts"
	}
	host, port := askedBy(l, r.Node.ID)
	if r.Kind == exposure.RouteTCP {
		return "advertised." + cmp.Or(port, "portTemplate")
	}
	return "advertised." + host
}

// placesOf are the names or the port by which a Gateway chooses a route.
func placesOf(r exposure.Route) []string {
	if r.Kind == exposure.RouteTCP {
		return []string{fmt.Sprintf("port %d", r.Port)}
	}
	var places []string
	for _, host := range r.Hosts {
		if host != "" {
			places = append(places, "name "+host)
		}
	}
	return places
}

// validateServicePorts checks which ports the Services of the brokers that there are shall have, where they are to
// share an address with that at which clients begin.
func validateServicePorts(c *model.Cluster) verdict.List {
	var faults verdict.List
	for _, l := range c.Listeners {
		field := model.ListenerField(l.Name, "exposure.brokers.portTemplate")
		for i := range c.Nodes {
			n := &c.Nodes[i]
			port := exposure.ServicePort(n, l)
			if !c.IsBroker(n) || port <= maxPort && port != l.Port {
				continue
			}
			if port > maxPort {
				faults.Refuse(field, "it makes port %d of node %d, and a port is 1 to %d; begin at a lower number", port, n.ID,
					maxPort)
			} else {
				faults.Refuse(field, "it makes port %d of node %d, at which the bootstrap Service is already; begin at another "+
					"number, or give the listener another port", port, n.ID)
			}
			break
		}
	}
	return faults
}
