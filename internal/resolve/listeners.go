package resolve

import (
	"cmp"
	"slices"
	"strings"

	"github.com/castellan-dev/castellan/api/v1alpha1"
	"github.com/castellan-dev/castellan/internal/exposure"
	"github.com/castellan-dev/castellan/internal/model"
)

// nodeListeners is the one place that says which listeners a node has, where they are reached, and what their
// certificates must name. ports are the node ports that Kubernetes gave out, by Service name. The second result names
// the fact that is waited for; empty = none.
func nodeListeners(
	c *model.Cluster, pool *model.Pool, n *model.Node, ports map[string]int32,
) ([]model.NodeListener, string) {
	var listeners []model.NodeListener
	if pool.Controller {
		listeners = append(listeners, model.NodeListener{
			Name: "CONTROLLER", Port: model.PortController, SecurityProtocol: "SSL",
			AdvertisedHost: n.Host, AdvertisedPort: model.PortController,
			SANs: []string{n.Host, c.ServiceHost(c.ControllersService()), c.ServiceHost(c.HandoverService())},
		})
	}
	if !pool.Broker {
		return listeners, ""
	}
	listeners = append(listeners, model.NodeListener{
		Name: "REPLICATION", Port: model.PortReplication, SecurityProtocol: "SSL",
		AdvertisedHost: n.Host, AdvertisedPort: model.PortReplication,
		SANs: []string{n.Host, c.ServiceHost(c.NodesService())},
	})
	var waiting []string
	for _, l := range c.Listeners {
		address := exposure.Advertise(c, n, l, ports)
		nl := model.NodeListener{
			Name: strings.ToUpper(l.Name), Port: l.Port, SecurityProtocol: l.SecurityProtocol(),
			AdvertisedHost: address.Host, AdvertisedPort: address.Port,
			Service: address.Service, NodePort: address.NodePort,
		}
		if l.TLS {
			nl.SANs, nl.NeedsHostIP = exposure.CertificateNames(c, n, l, address), address.HostIP
		}
		if address.Waiting != "" {
			waiting = append(waiting, address.Waiting)
		}
		listeners = append(listeners, nl)
	}
	return listeners, strings.Join(waiting, "; ")
}

// resolveListeners gives the client listeners in the order of their names, so that their order in the spec means
// nothing.
func resolveListeners(c *model.Cluster, spec *v1alpha1.KafkaClusterSpec, ports map[string]int32) []model.Listener {
	var listeners []model.Listener
	for _, l := range spec.EffectiveListeners() {
		listener := model.Listener{
			Name: l.Name, Port: l.Port, Exposure: exposureOf(l), TLS: l.Encryption != v1alpha1.EncryptionNone,
			Service: c.BootstrapService(l.Name),
		}
		if l.Authentication != nil {
			listener.Mechanisms = slices.Sorted(slices.Values(l.Authentication.Mechanisms))
		}
		if a := l.Exposure.Advertised; a != nil {
			listener.Advertised = *a
		}
		if b := l.Exposure.Bootstrap; b != nil {
			listener.Hosts, listener.HostsPort = exposure.Plain(b.Hosts), cmp.Or(b.Port, exposure.FixedPort(listener))
		}
		listener.BootstrapPort = exposure.Of(listener.Exposure).BootstrapPort(listener, ports)
		listeners = append(listeners, listener)
	}
	slices.SortFunc(listeners, func(a, b model.Listener) int { return strings.Compare(a.Name, b.Name) })
	return listeners
}

func exposureOf(l v1alpha1.Listener) v1alpha1.ExposureType {
	return cmp.Or(l.Exposure.Type, exposure.Rows[0].Type)
}

// reservedListenerNames are refused because a bootstrap Service of that name would be one of the cluster's own, or a
// listener of that name would be one of Kafka's internal ones.
var reservedListenerNames = map[string]string{
	"controller":  "it is the cluster's own listener",
	"replication": "it is the cluster's own listener",
	"nodes":       "its Service would have the name of the headless Service over all nodes",
	"controllers": "its Service would have the name of the headless Service over all controllers",
	"handover":    "its Service would have the name of the headless Service over a controller that stays",
}
