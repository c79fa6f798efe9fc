package exposure

import (
	"cmp"
	"fmt"

	"github.com/castellan-dev/castellan/api/v1alpha1"
	"github.com/castellan-dev/castellan/internal/model"
)

// RouteKind is the kind of the objects that lead from a Gateway to Services.
type RouteKind string

// What leads there.
const (
	RouteNone RouteKind = "None" // nothing: the type of exposure needs no Gateway
	RouteTLS  RouteKind = "TLSRoute"
	RouteTCP  RouteKind = "TCPRoute"
)

const (
	// portOfTLS is where Gateways pass TLS on.
	portOfTLS int32 = 443
	// firstPortOfTCP is the port at a Gateway of the broker with node id 0.
	firstPortOfTCP int32 = 9000
)

// tlsRoute is reached by names that the user gives, one a broker: resolve refuses it without them.
var tlsRoute = Row{
	Type: v1alpha1.ExposureTLSRoute,
	Node: func(c *model.Cluster, n *model.Node, l model.Listener, _ Given) Address {
		service := model.NodeService(n.PodName, l.Name)
		return Address{Host: c.ServiceHost(service), Port: portOfTLS, Service: service}
	},
	BootstrapPort: func(model.Listener, Given) int32 { return portOfTLS },
	Names:         namesOfServices,
	Open:          openInside,
	Bootstrap: func(c *model.Cluster, l model.Listener, _ map[int32]model.HostIPs) string {
		if len(l.Hosts) > 0 {
			return ""
		}
		return fmt.Sprintf("%s:%d", c.ServiceHost(l.Service), l.Port)
	},
	Dial:        podFirst,
	Reach:       ReachOutside,
	Known:       KnownAtOnce,
	KeepsSource: always, // the source is the Gateway
	Route:       RouteTLS,
	Sharing:     SharesNone,
}

// tcpRoute is reached at the one address of a Gateway, each broker at a port of its own.
var tcpRoute = Row{
	Type: v1alpha1.ExposureTCPRoute,
	Node: func(c *model.Cluster, n *model.Node, l model.Listener, given Given) Address {
		a := Address{Port: firstPortOfTCP + n.ID, Service: model.NodeService(n.PodName, l.Name)}
		a.stand(n, l, given, atGateway(c, l, given), l.Service)
		return a
	},
	BootstrapPort: func(l model.Listener, _ Given) int32 { return cmp.Or(l.OfBootstrap.Port, l.Port) },
	Names: func(c *model.Cluster, n *model.Node, l model.Listener) []string {
		return append(namesOfServices(c, n, l), l.Balanced...)
	},
	Open: openInside,
	Bootstrap: func(_ *model.Cluster, l model.Listener, _ map[int32]model.HostIPs) string {
		if len(l.Hosts) > 0 {
			return ""
		}
		return serversAt(l.Balanced, l.BootstrapPort)
	},
	Dial:        podFirst,
	Reach:       ReachOutside,
	Known:       KnownLate,
	KeepsSource: always, // the source is the Gateway
	Route:       RouteTCP,
	Sharing:     SharesNone,
}

// Balanced are the addresses at which clients of a listener begin, best first: of its load balancer, or of its Gateway,
// which a host that all brokers share is the name of.
func Balanced(c *model.Cluster, l model.Listener, given Given) []string {
	switch row := Of(l.Exposure); {
	case row.Known != KnownLate:
		return nil
	case row.Route != RouteNone:
		return atGateway(c, l, given)
	default:
		return given.Balanced[l.Service]
	}
}

func atGateway(c *model.Cluster, l model.Listener, given Given) []string {
	if shared := l.Advertised.HostTemplate; shared != "" && OfBroker(shared) == "" {
		return Plain([]string{Fill(shared, c, &model.Node{})})
	}
	return given.Balanced[l.Service]
}

// Route leads from a Gateway to a Service of the same name.
type Route struct {
	Kind    RouteKind
	Name    string
	Node    *model.Node // nil = to any broker
	Hosts   []string    // that clients name in the handshake, with TLSRoute
	Port    int32       // of the Gateway, with TCPRoute
	Service int32       // port of the Service
}

// String is what the route is called.
func (r Route) String() string { return string(r.Kind) + " " + r.Name }

// Routes are those of a listener: the one at which clients begin, and one a broker.
func Routes(c *model.Cluster, l model.Listener) []Route {
	kind := Of(l.Exposure).Route
	if kind == RouteNone || l.Gateway.Name == "" {
		return nil
	}
	routes := []Route{{Kind: kind, Name: l.Service, Hosts: l.Hosts, Port: cmp.Or(l.OfBootstrap.Port, l.Port),
		Service: l.Port}}
	for i := range c.Nodes {
		n := &c.Nodes[i]
		if !c.IsBroker(n) {
			continue
		}
		host, port := Asked(c, n, l)
		routes = append(routes, Route{Kind: kind, Name: model.NodeService(n.PodName, l.Name), Node: n, Hosts: []string{host},
			Port: cmp.Or(int32(port), firstPortOfTCP+n.ID), Service: l.Port})
	}
	for i := range routes {
		if kind == RouteTLS {
			routes[i].Port = 0
		} else {
			routes[i].Hosts = nil
		}
	}
	return routes
}

// GatewayName names what routes attach to, for a sentence.
func GatewayName(g v1alpha1.GatewayReference) string {
	return fmt.Sprintf("%s %s/%s", cmp.Or(g.Kind, v1alpha1.GatewayKindGateway), g.Namespace, g.Name)
}

// RouteTypes lists the types that need a Gateway, for a sentence.
func RouteTypes() string {
	return namesWhere(func(r Row) bool { return r.Route != RouteNone })
}

// namesOfServices are those under which clients in the Kubernetes cluster reach a broker with a Service of its own.
func namesOfServices(c *model.Cluster, n *model.Node, l model.Listener) []string {
	return append(namesInside(c, n, l), serviceNames(c, model.NodeService(n.PodName, l.Name))...)
}
