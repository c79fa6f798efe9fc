// Package exposure is the table of the ways in which a listener is reached. A type of exposure is one row, and the row
// is all there is to say of it: where addresses come from, what is advertised, which names a certificate holds, how
// Services are opened, what clients type first, and how the operator dials. Rooms that need to know ask the row. It is
// pure.
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

// Address is where clients reach one node.
type Address struct {
	Host string // may be a placeholder of internal/model
	Port int32  // 0 = not known yet
	// Service leads to this node alone, and NodePort is what Kubernetes gave to it; empty and 0 = there is none.
	Service  string
	NodePort int32
	// HostIP tells that clients come by the address of the Kubernetes node, which a certificate has to name.
	HostIP bool
	// Waiting says what the address still needs; empty = nothing.
	Waiting string
}

// Row is one type of exposure. No column may be empty.
type Row struct {
	Type v1alpha1.ExposureType
	// Node is what a node advertises at the listener. ports are the node ports that Kubernetes gave out, by Service
	// name.
	Node func(n *model.Node, l model.Listener, ports map[string]int32) Address
	// BootstrapPort is the port that clients connect to first; 0 = not known yet.
	BootstrapPort func(l model.Listener, ports map[string]int32) int32
	// Names are the DNS names inside the Kubernetes cluster that the certificate of a node has to hold.
	Names func(c *model.Cluster, n *model.Node, l model.Listener) []string
	// Open makes the Services of the listener lead there: the bootstrap Service, and those of single nodes. port is the
	// one that clients know already where Kubernetes gives them out; 0 = none.
	Open func(spec *corev1.ServiceSpec, port int32)
	// Bootstrap is bootstrap.servers beside the hosts of the user's own. hosts are the addresses of the Kubernetes nodes on which brokers run, by node id.
	// Empty = not known yet, or the user's own are all that there is.
	Bootstrap func(c *model.Cluster, l model.Listener, hosts map[int32]string) string
	// Dial is where the operator, which sits inside, dials a broker: at the address that it advertises, or at its pod.
	// The latter is empty when it is not known.
	Dial  func(advertised, pod string) string
	Reach Reach
}

// Rows are all types of exposure; the first is the default.
var Rows = []Row{
	{
		Type: v1alpha1.ExposureInternal,
		Node: func(n *model.Node, l model.Listener, _ map[string]int32) Address {
			return Address{Host: n.Host, Port: l.Port}
		},
		BootstrapPort: func(l model.Listener, _ map[string]int32) int32 { return l.Port },
		Names:         namesInside,
		Open:          func(spec *corev1.ServiceSpec, _ int32) { spec.Type = corev1.ServiceTypeClusterIP },
		Bootstrap: func(c *model.Cluster, l model.Listener, _ map[int32]string) string {
			return fmt.Sprintf("%s:%d", c.ServiceHost(l.Service), l.BootstrapPort)
		},
		Dial:  func(advertised, _ string) string { return advertised },
		Reach: ReachInside,
	},
	{
		Type: v1alpha1.ExposureNodePort,
		Node: func(n *model.Node, l model.Listener, ports map[string]int32) Address {
			service := model.NodeService(n.PodName, l.Name)
			port := ports[service]
			a := Address{Host: model.HostIPPlaceholder, Port: port, Service: service, NodePort: port, HostIP: true}
			if a.Port == 0 {
				a.Waiting = fmt.Sprintf("Service %s has no node port yet", service)
			}
			return a
		},
		BootstrapPort: func(l model.Listener, ports map[string]int32) int32 { return ports[l.Service] },
		Names:         namesInside,
		// The traffic stays on the Kubernetes node that it came to: clients are sent only to nodes that run a broker,
		// the certificate there names that very node, and ACLs see the client's own address.
		Open: func(spec *corev1.ServiceSpec, port int32) {
			spec.Type, spec.Ports[0].NodePort = corev1.ServiceTypeNodePort, port
			spec.ExternalTrafficPolicy = corev1.ServiceExternalTrafficPolicyLocal
		},
		Bootstrap: atKubernetesNodes,
		// What stands between the operator and a port of a Kubernetes node is not what is to be proven.
		Dial:  func(advertised, pod string) string { return cmp.Or(pod, advertised) },
		Reach: ReachOutside,
	},
}

// GivesPorts tells whether Kubernetes gives out the ports that clients come to.
func (r Row) GivesPorts(l model.Listener) bool { return r.BootstrapPort(l, nil) == 0 }

// namesInside are those under which clients in the Kubernetes cluster reach a broker: its own, and those of the
// bootstrap Service, which may be typed short.
func namesInside(c *model.Cluster, n *model.Node, l model.Listener) []string {
	return []string{
		n.Host,
		c.ServiceHost(l.Service),
		l.Service + "." + c.Namespace + ".svc",
		l.Service + "." + c.Namespace,
		l.Service,
	}
}

// maxBootstrapHosts bounds bootstrap.servers of a listener that is reached at Kubernetes nodes.
const maxBootstrapHosts = 3

func atKubernetesNodes(c *model.Cluster, l model.Listener, hosts map[int32]string) string {
	if l.BootstrapPort == 0 || len(l.Hosts) > 0 {
		return ""
	}
	var distinct []string
	for i := range c.Nodes {
		if n := &c.Nodes[i]; c.IsBroker(n) && hosts[n.ID] != "" && !slices.Contains(distinct, hosts[n.ID]) {
			distinct = append(distinct, hosts[n.ID])
		}
	}
	slices.Sort(distinct)
	var servers []string
	for _, host := range distinct[:min(len(distinct), maxBootstrapHosts)] {
		servers = append(servers, net.JoinHostPort(host, strconv.Itoa(int(l.BootstrapPort))))
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
	names := make([]string, len(Rows))
	for i, row := range Rows {
		names[i] = string(row.Type)
	}
	last := len(names) - 1
	return strings.Join(names[:last], ", ") + " or " + names[last]
}
