package exposure

import (
	"cmp"
	"net/netip"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/castellan-dev/castellan/api/v1alpha1"
	"github.com/castellan-dev/castellan/internal/model"
)

// externalDNS are the annotations by which external-dns takes names: that of its releases from 0.22 on, and the one
// that all before them know.
var externalDNS = []string{"external-dns.kubernetes.io/hostname", "external-dns.alpha.kubernetes.io/hostname"}

// Shape gives a Service of a listener what its exposure asks for: the type, and all that goes with it. port is the node
// port that it has or has to have; 0 = any. n is the node that the Service leads to; nil = to any.
func Shape(service *corev1.Service, c *model.Cluster, l model.Listener, n *model.Node, port int32) {
	spec := &service.Spec
	Of(l.Exposure).Open(spec, l, port)
	spec.IPFamilies = l.Services.IPFamilies
	if policy := l.Services.IPFamilyPolicy; policy != "" {
		spec.IPFamilyPolicy = &policy
	}
	own, labels, names := l.OfBootstrap.Annotations, l.OfBootstrap.Labels, l.Hosts
	if n == nil && l.OneService {
		spec.Ports = append(spec.Ports, sharedPorts(c, l)...)
		names = append(slices.Clone(names), sharedNames(c, l)...)
	}
	if n != nil {
		host, _ := Asked(c, n, l)
		spec.Ports[0].Port = cmp.Or(ServicePort(n, l), spec.Ports[0].Port)
		own, labels, names = l.OfBrokers.Annotations, l.OfBrokers.Labels, []string{host}
	}
	annotations := map[string]string{}
	if l.Services.ExternalDNS {
		names = slices.DeleteFunc(slices.Clone(names), func(name string) bool {
			_, err := netip.ParseAddr(name)
			return name == "" || err == nil
		})
		for _, key := range externalDNS {
			if len(names) > 0 {
				annotations[key] = strings.Join(names, ",")
			}
		}
	}
	where := n
	if where == nil {
		where = &model.Node{}
	}
	for _, wanted := range []map[string]string{l.Services.Annotations, own} {
		for key, value := range wanted {
			annotations[key] = Fill(value, c, where)
		}
	}
	if len(annotations) > 0 {
		service.Annotations = annotations
	}
	for _, wanted := range []map[string]string{l.Services.Labels, labels} {
		for key, value := range wanted {
			service.Labels[key] = Fill(value, c, where)
		}
	}
}

// OfPodNames says of which families the addresses behind the names of pods are: of all that there are, if a listener at
// which brokers advertise these names asks for families; else of the Kubernetes cluster's first.
func OfPodNames(c *model.Cluster) *corev1.IPFamilyPolicy {
	for _, l := range c.Listeners {
		asks := len(l.Services.IPFamilies) > 0 || l.Services.IPFamilyPolicy == corev1.IPFamilyPolicyPreferDualStack ||
			l.Services.IPFamilyPolicy == corev1.IPFamilyPolicyRequireDualStack
		if asks && Of(l.Exposure).Type == v1alpha1.ExposureInternal {
			policy := corev1.IPFamilyPolicyPreferDualStack
			return &policy
		}
	}
	return nil
}

// FixedNodePort is the node port that the Service of a node has to have; 0 = any.
func FixedNodePort(n *model.Node, l model.Listener) int32 {
	template, _ := ParseNumber(l.OfBrokers.NodePortTemplate) // a wrong one has been refused
	return int32(template.Of(n.ID))
}

// ServicePort is the port that the Service of a node has to have; 0 = that of the listener.
func ServicePort(n *model.Node, l model.Listener) int32 {
	template, _ := ParseNumber(l.OfBrokers.PortTemplate) // a wrong one has been refused
	return int32(template.Of(n.ID))
}

// PerNodeTypes lists the types with a Service for each broker, for a sentence.
func PerNodeTypes() string { return namesWhere(Row.PerNode) }

// Balance orders the addresses of a load balancer, the best first: names before addresses, because where there are both
// the name is the one that is meant, those of the first family before those of the second, and each of them sorted. No
// family stands for IPv4.
func Balance(ingress []corev1.LoadBalancerIngress, families []corev1.IPFamily) []string {
	sixFirst := len(families) > 0 && families[0] == corev1.IPv6Protocol
	var hosts []string
	for _, i := range ingress {
		if host := cmp.Or(i.Hostname, i.IP); host != "" {
			hosts = append(hosts, plain(strings.ToLower(strings.TrimSuffix(host, "."))))
		}
	}
	rank := func(host string) int {
		address, err := netip.ParseAddr(host)
		switch {
		case err != nil:
			return 0
		case address.Is6() == sixFirst:
			return 1
		default:
			return 2
		}
	}
	slices.SortFunc(hosts, func(a, b string) int { return cmp.Or(cmp.Compare(rank(a), rank(b)), cmp.Compare(a, b)) })
	return slices.Compact(hosts)
}
