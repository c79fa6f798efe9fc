// Package exposure is the table of the ways in which a listener is reached. A type of exposure is one row, and the row
// is all there is to say of it: where addresses come from, what is advertised, which names a certificate holds, how
// Services are opened, what clients type first, and how the operator dials. Rooms that need to know ask the row, or the
// functions that lay what a user asks for over it. It is pure.
package exposure

import (
	"cmp"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/castellan-dev/castellan/api/v1alpha1"
	"github.com/castellan-dev/castellan/internal/model"
)

// Reach says who gets to a listener.
type Reach int

// Who gets to it.
const (
	ReachInside  Reach = iota + 1 // pods of the same Kubernetes cluster
	ReachOutside                  // clients elsewhere, too; those inside have better listeners
)

// When says when the addresses of a listener are known.
type When int

// When they are known.
const (
	KnownAtOnce When = iota + 1 // as soon as the Services are there: a node starts with all of them
	KnownLate                   // much later, or never: a node that has not started does without the listener
)

// Given is what Kubernetes gave to Services, and what brokers do already. All of it may be incomplete.
type Given struct {
	// Ports are the node ports of Services, by Service name.
	Ports map[string]int32
	// Balanced are the addresses of the load balancers of Services, best first, by Service name.
	Balanced map[string][]string
	// Advertised is what each node advertises in the files that it runs, by node id and by the listener's name in Kafka.
	Advertised map[int32]map[string]model.HostPort
	// WritesSlices tells that the operator may write EndpointSlices, SlicesDenied why Kubernetes does not let it although
	// it is told to, and Families are those of Services' addresses, by
	// Service name.
	WritesSlices bool
	SlicesDenied string
	Families     map[string][]corev1.IPFamily
}

// Address is where clients reach one node.
type Address struct {
	Host string // may be a placeholder of internal/model; empty = not known yet
	Port int32  // 0 = not known yet
	// Service leads to this node alone, and NodePort is what Kubernetes gave to it; empty and 0 = there is none.
	Service  string
	NodePort int32
	// HostIP tells that clients come by the address of the Kubernetes node, which a certificate has to name.
	HostIP bool
	// Waiting says what the address still needs, which comes in a moment; empty = nothing.
	Waiting string
	// Late says what the address still needs, which may take long; empty = nothing.
	Late string
}

// Row is one type of exposure. No column may be empty.
type Row struct {
	Type v1alpha1.ExposureType
	// Node is what a node advertises at the listener.
	Node func(c *model.Cluster, n *model.Node, l model.Listener, given Given) Address
	// BootstrapPort is the port that clients connect to first; 0 = not known yet.
	BootstrapPort func(l model.Listener, given Given) int32
	// Names are the DNS names inside the Kubernetes cluster that the certificate of a node has to hold.
	Names func(c *model.Cluster, n *model.Node, l model.Listener) []string
	// Open makes the Services of the listener lead there: the bootstrap Service, and those of single nodes. port is the
	// one that clients know already where Kubernetes gives them out; 0 = none.
	Open func(spec *corev1.ServiceSpec, l model.Listener, port int32)
	// Bootstrap is bootstrap.servers beside the hosts of the user's own. hosts are the addresses of the Kubernetes nodes
	// on which brokers run, by node id. Empty = not known yet, or the user's own are all that there is.
	Bootstrap func(c *model.Cluster, l model.Listener, hosts map[int32]model.HostIPs) string
	// Dial is where the operator, which sits inside, dials a broker: at the address that it advertises, or at its pod.
	// The latter is empty when it is not known.
	Dial func(advertised, pod string) string
	// KeepsSource tells whether connections reach a broker from the address of whoever makes them. Else they come from
	// that of a Kubernetes node, and no NetworkPolicy can tell them apart.
	KeepsSource func(l model.Listener) bool
	Reach       Reach
	Known       When
	// Route is what leads from a Gateway to the Services.
	Route RouteKind
	// Sharing tells whether all brokers may be behind the bootstrap Service.
	Sharing Sharing
}

// Rows are all types of exposure; the first is the default.
var Rows = []Row{
	{
		Type: v1alpha1.ExposureInternal,
		Node: func(_ *model.Cluster, n *model.Node, l model.Listener, _ Given) Address {
			return Address{Host: n.Host, Port: l.Port}
		},
		BootstrapPort: func(l model.Listener, _ Given) int32 { return l.Port },
		Names:         namesInside,
		Open:          openInside,
		Bootstrap:     atBootstrapService,
		Dial:          func(advertised, _ string) string { return advertised },
		KeepsSource:   always,
		Reach:         ReachInside,
		Known:         KnownAtOnce,
		Route:         RouteNone,
		Sharing:       SharesNone,
	},
	{
		Type: v1alpha1.ExposureClusterIP,
		Node: func(c *model.Cluster, n *model.Node, l model.Listener, _ Given) Address {
			service := model.NodeService(n.PodName, l.Name)
			return Address{Host: c.ServiceHost(service), Port: l.Port, Service: service}
		},
		BootstrapPort: func(l model.Listener, _ Given) int32 { return l.Port },
		Names:         namesOfServices,
		Open:          openInside,
		// Whoever has hosts of their own has clients to whom the names inside mean nothing.
		Bootstrap: func(c *model.Cluster, l model.Listener, hosts map[int32]model.HostIPs) string {
			if len(l.Hosts) > 0 {
				return ""
			}
			return atBootstrapService(c, l, hosts)
		},
		Dial:        podFirst,
		KeepsSource: always, // the source is the router of the user's own
		Reach:       ReachOutside,
		Known:       KnownAtOnce,
		Route:       RouteNone,
		Sharing:     SharesNone,
	},
	{
		Type: v1alpha1.ExposureNodePort,
		Node: func(_ *model.Cluster, n *model.Node, l model.Listener, given Given) Address {
			service := model.NodeService(n.PodName, l.Name)
			port := given.Ports[service]
			a := Address{Host: hostIP(l), Port: port, Service: service, NodePort: port, HostIP: true}
			if a.Port == 0 {
				a.Waiting = fmt.Sprintf("Service %s has no node port yet", service)
			}
			return a
		},
		BootstrapPort: func(l model.Listener, given Given) int32 { return given.Ports[l.Service] },
		Names:         namesInside,
		// The traffic stays on the Kubernetes node that it came to: clients are sent only to nodes that run a broker,
		// the certificate there names that very node, and ACLs see the client's own address.
		Open: func(spec *corev1.ServiceSpec, l model.Listener, port int32) {
			spec.Type, spec.Ports[0].NodePort = corev1.ServiceTypeNodePort, port
			spec.ExternalTrafficPolicy = cmp.Or(l.Services.ExternalTrafficPolicy, corev1.ServiceExternalTrafficPolicyLocal)
		},
		Bootstrap: atKubernetesNodes,
		// What stands between the operator and a port of a Kubernetes node is not what is to be proven.
		Dial: podFirst,
		KeepsSource: func(l model.Listener) bool {
			return l.Services.ExternalTrafficPolicy != corev1.ServiceExternalTrafficPolicyCluster
		},
		Reach:   ReachOutside,
		Known:   KnownAtOnce,
		Route:   RouteNone,
		Sharing: SharesNone,
	},
	{
		Type:          v1alpha1.ExposureLoadBalancer,
		Node:          atLoadBalancer,
		BootstrapPort: func(l model.Listener, _ Given) int32 { return l.Port },
		Names: func(c *model.Cluster, n *model.Node, l model.Listener) []string {
			return append(namesInside(c, n, l), l.Balanced...)
		},
		Open: func(spec *corev1.ServiceSpec, l model.Listener, _ int32) {
			spec.Type = corev1.ServiceTypeLoadBalancer
			spec.ExternalTrafficPolicy = l.Services.ExternalTrafficPolicy
			spec.LoadBalancerSourceRanges = l.Services.SourceRanges
			spec.AllocateLoadBalancerNodePorts = l.Services.AllocateNodePorts
			if class := l.Services.LoadBalancerClass; class != "" {
				spec.LoadBalancerClass = &class
			}
		},
		Bootstrap: func(_ *model.Cluster, l model.Listener, _ map[int32]model.HostIPs) string {
			return serversAt(l.Balanced, l.BootstrapPort)
		},
		// From inside a load balancer is often not reached, and proves nothing of the way from outside.
		Dial: podFirst,
		KeepsSource: func(l model.Listener) bool {
			return l.Services.ExternalTrafficPolicy == corev1.ServiceExternalTrafficPolicyLocal
		},
		Reach:   ReachOutside,
		Known:   KnownLate,
		Route:   RouteNone,
		Sharing: SharesOne,
	},
	tlsRoute,
	tcpRoute,
}

// GivesPorts tells whether Kubernetes gives out the ports that clients come to.
func (r Row) GivesPorts(l model.Listener) bool { return r.BootstrapPort(l, Given{}) == 0 }

// PerNode tells whether each broker has a Service of its own.
func (r Row) PerNode() bool {
	return r.Node(&model.Cluster{}, &model.Node{}, model.Listener{Exposure: r.Type}, Given{}).Service != ""
}

func openInside(spec *corev1.ServiceSpec, _ model.Listener, _ int32) {
	spec.Type = corev1.ServiceTypeClusterIP
}

func always(model.Listener) bool { return true }

func podFirst(advertised, pod string) string { return cmp.Or(pod, advertised) }

func atBootstrapService(c *model.Cluster, l model.Listener, _ map[int32]model.HostIPs) string {
	return fmt.Sprintf("%s:%d", c.ServiceHost(l.Service), l.BootstrapPort)
}

// namesInside are those under which clients in the Kubernetes cluster reach a broker: its own, and those of the
// bootstrap Service, which may be typed short.
func namesInside(c *model.Cluster, n *model.Node, l model.Listener) []string {
	return append([]string{n.Host}, serviceNames(c, l.Service)...)
}

// serviceNames are the names of a Service, which may be typed short.
func serviceNames(c *model.Cluster, service string) []string {
	return []string{
		c.ServiceHost(service), service + "." + c.Namespace + ".svc", service + "." + c.Namespace, service,
	}
}

// atLoadBalancer is where the load balancer of a node's own Service is, or of that which all share.
func atLoadBalancer(_ *model.Cluster, n *model.Node, l model.Listener, given Given) Address {
	a := Address{Port: cmp.Or(ServicePort(n, l), l.Port), Service: model.NodeService(n.PodName, l.Name)}
	before := a.Service
	if l.OneService {
		before, a.Service = l.Service, ""
	}
	a.stand(n, l, given, given.Balanced[before], before)
	return a
}

// stand puts an address at one of those that are known. It keeps to what the node advertises as long as that is among
// them. Where certificates are checked, a node waits for the address at which clients begin as well: its certificate
// has to name it.
func (a *Address) stand(n *model.Node, l model.Listener, given Given, known []string, service string) {
	if len(known) == 0 {
		a.Late = Awaits(l, service)
		return
	}
	a.Host = known[0]
	if now := given.Advertised[n.ID][strings.ToUpper(l.Name)].Host; slices.Contains(known, now) {
		a.Host = now
	}
}

// Awaits says that what stands before a Service has no address.
func Awaits(l model.Listener, service string) string {
	if l.Exposure == v1alpha1.ExposureTCPRoute {
		return GatewayName(l.Gateway) + " has no address yet"
	}
	return fmt.Sprintf("Service %s waits for an address of its load balancer", service)
}

// Shared says that the load balancer of a Service has the address at which clients reach another node.
func Shared(service string, at model.HostPort, owner int32) string {
	return fmt.Sprintf("Service %s has the address of broker %d, %s: a load balancer of its own has another one",
		service, owner, net.JoinHostPort(at.Host, strconv.Itoa(int(at.Port))))
}

// hostIP stands for the address of a Kubernetes node at which a listener is reached: of the family that its Services
// have first. In the other one the port need not be open.
func hostIP(l model.Listener) string {
	if families := l.Services.IPFamilies; len(families) == 0 {
		return model.HostIPPlaceholder
	} else if families[0] == corev1.IPv6Protocol {
		return model.HostIPv6Placeholder
	}
	return model.HostIPv4Placeholder
}

// maxBootstrapHosts bounds bootstrap.servers of a listener that is reached at several addresses.
const maxBootstrapHosts = 3

func atKubernetesNodes(c *model.Cluster, l model.Listener, hosts map[int32]model.HostIPs) string {
	if len(l.Hosts) > 0 {
		return ""
	}
	var distinct []string
	for i := range c.Nodes {
		n := &c.Nodes[i]
		if host := hosts[n.ID].At(hostIP(l)); c.IsBroker(n) && host != "" && !slices.Contains(distinct, host) {
			distinct = append(distinct, host)
		}
	}
	slices.Sort(distinct)
	return serversAt(distinct, l.BootstrapPort)
}

// serversAt is bootstrap.servers of the first of some hosts; empty without a port.
func serversAt(hosts []string, port int32) string {
	if port == 0 {
		return ""
	}
	var servers []string
	for _, host := range hosts[:min(len(hosts), maxBootstrapHosts)] {
		servers = append(servers, net.JoinHostPort(host, strconv.Itoa(int(port))))
	}
	return strings.Join(servers, ",")
}

// Of returns the row of a type. An empty or unheard-of one stands for the default.
func Of(t v1alpha1.ExposureType) Row {
	return Rows[max(0, index(t))]
}

// Known tells whether there is such a type.
func Known(t v1alpha1.ExposureType) bool { return index(t) >= 0 }

func index(t v1alpha1.ExposureType) int {
	return slices.IndexFunc(Rows, func(r Row) bool { return r.Type == t })
}

// Names lists the types for a sentence: "A, B or C".
func Names() string {
	return namesWhere(func(Row) bool { return true })
}

func namesWhere(suits func(Row) bool) string {
	var names []string
	for _, row := range Rows {
		if suits(row) {
			names = append(names, string(row.Type))
		}
	}
	last := len(names) - 1
	if last == 0 {
		return names[0]
	}
	return strings.Join(names[:last], ", ") + " or " + names[last]
}
