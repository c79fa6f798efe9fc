package exposure

import (
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/castellan-dev/castellan/internal/model"
)

// Sharing says whether all brokers of a listener may be behind one Service.
type Sharing int

// Whether they may.
const (
	SharesNone Sharing = iota + 1 // each has a Service of its own, or none has
	SharesOne                     // they may be behind the bootstrap Service, each at a port of its own
)

// byOperator is the target port of brokers at a Service that they share. No container has a port of that name, so that
// Kubernetes' own EndpointSlices for the Service, which go on leading to any ready broker, leave such a port out: only
// those that the operator writes lead there.
const byOperator = "endpointslice"

// withoutSlices says why nothing leads to the brokers of a listener with one Service.
const withoutSlices = "the operator is not told to write EndpointSlices, which alone lead to single brokers behind " +
	"one Service: set endpointSlices.enabled in the values of its chart"

// noSlices says which of two it is: nobody has told the operator to write EndpointSlices, or Kubernetes denies it.
func (g Given) noSlices() string {
	if g.SlicesDenied == "" {
		return withoutSlices
	}
	return "the operator may not work with EndpointSlices, which alone lead to single brokers behind one Service (" +
		g.SlicesDenied + "): give its role the rules of config/endpoint-slices, as endpointSlices.enabled of its chart does"
}

// BrokerPort names the port of a broker at a Service that all share. No listener has a name with a dash, so that it is
// never that of the port at which clients begin.
func BrokerPort(nodeID int32) string { return fmt.Sprintf("broker-%d", nodeID) }

// sharedPorts are those of the brokers that clients reach. What Kubernetes would refuse is left out: a broker that
// leaves may stand in the way of a template that was accepted without it.
func sharedPorts(c *model.Cluster, l model.Listener) []corev1.ServicePort {
	var ports []corev1.ServicePort
	taken := []int32{l.Port}
	for _, n := range c.Reached() {
		port := ServicePort(&n, l)
		if port < 1 || port > maxPort || slices.Contains(taken, port) {
			continue
		}
		taken = append(taken, port)
		ports = append(ports, corev1.ServicePort{Name: BrokerPort(n.ID), Port: port, Protocol: corev1.ProtocolTCP,
			TargetPort: intstr.FromString(byOperator)})
	}
	return ports
}

const maxPort = 65535

// sharedNames are the hosts that brokers are told to advertise, each once.
func sharedNames(c *model.Cluster, l model.Listener) []string {
	var names []string
	for _, n := range c.Reached() {
		if host, _ := Asked(c, &n, l); !slices.Contains(names, host) && !slices.Contains(l.Hosts, host) {
			names = append(names, host)
		}
	}
	return names
}
