package resolve

import (
	"cmp"
	"slices"
	"strings"

	"github.com/castellan-dev/castellan/api/v1alpha1"
	"github.com/castellan-dev/castellan/internal/exposure"
	"github.com/castellan-dev/castellan/internal/model"
)

// addListeners is the one place that says which listeners a node has, where they are reached, and what their
// certificates must name.
func addListeners(c *model.Cluster, pool *model.Pool, n *model.Node, given exposure.Given) {
	if pool.Controller {
		n.Listeners = append(n.Listeners, model.NodeListener{
			Name: "CONTROLLER", Port: model.PortController, SecurityProtocol: "SSL",
			AdvertisedHost: n.Host, AdvertisedPort: model.PortController,
			SANs: []string{n.Host, c.ServiceHost(c.ControllersService()), c.ServiceHost(c.HandoverService())},
		})
	}
	if !pool.Broker {
		return
	}
	n.Listeners = append(n.Listeners, model.NodeListener{
		Name: "REPLICATION", Port: model.PortReplication, SecurityProtocol: "SSL",
		AdvertisedHost: n.Host, AdvertisedPort: model.PortReplication,
		SANs: []string{n.Host, c.ServiceHost(c.NodesService())},
	})
	var waiting []string
	for _, l := range c.Listeners {
		address := exposure.Advertise(c, n, l, given)
		nl := model.NodeListener{
			Name: strings.ToUpper(l.Name), Port: l.Port, SecurityProtocol: l.SecurityProtocol(),
			AdvertisedHost: address.Host, AdvertisedPort: address.Port, Late: address.Late,
			Service: address.Service, NodePort: address.NodePort, FixedPort: exposure.FixedNodePort(n, l),
		}
		if l.TLS {
			nl.SANs, nl.NeedsHostIP = exposure.CertificateNames(c, n, l, address), address.HostIP
		}
		if address.Waiting != "" {
			waiting = append(waiting, address.Waiting)
		}
		if address.Host == "" {
			n.Awaited = append(n.Awaited, nl)
		} else {
			n.Listeners = append(n.Listeners, nl)
		}
	}
	n.Waiting = strings.Join(waiting, "; ")
}

// keepApart has a node do without a listener whose load balancer gave it the address of another node: the clients of
// both would end at one of them. Tunnels of small clusters give every Service one address. Who advertises it already
// keeps it, and else the node with the lowest id.
func keepApart(c *model.Cluster, nodes []model.Node, given exposure.Given) {
	owners := map[model.HostPort]*model.Node{}
	each := func(do func(n *model.Node, l *model.NodeListener, at model.HostPort)) {
		for i := range nodes {
			n := &nodes[i]
			for k := range n.Listeners {
				l := &n.Listeners[k]
				if client := c.ClientListener(l.Name); client != nil &&
					exposure.Of(client.Exposure).Known == exposure.KnownLate {
					do(n, l, model.HostPort{Host: l.AdvertisedHost, Port: l.AdvertisedPort})
				}
			}
		}
	}
	each(func(n *model.Node, l *model.NodeListener, at model.HostPort) {
		if owners[at] == nil || given.Advertised[owners[at].ID][l.Name] != at && given.Advertised[n.ID][l.Name] == at {
			owners[at] = n
		}
	})
	each(func(n *model.Node, l *model.NodeListener, at model.HostPort) {
		host, _ := exposure.Asked(c, n, *c.ClientListener(l.Name))
		if owner := owners[at]; owner != n && host == "" { // what is asked for is refused instead
			service := cmp.Or(l.Service, c.ClientListener(l.Name).Service)
			l.Late = exposure.Shared(service, at, owner.ID)
			if given.Advertised[n.ID][l.Name] != at { // one that runs keeps what it has
				l.AdvertisedHost = ""
				n.Awaited = append(n.Awaited, *l)
			}
		}
	})
	for i := range nodes {
		nodes[i].Listeners = slices.DeleteFunc(nodes[i].Listeners,
			func(l model.NodeListener) bool { return l.AdvertisedHost == "" })
	}
}

// resolveListeners gives the client listeners in the order of their names, so that their order in the spec means
// nothing.
func resolveListeners(c *model.Cluster, spec *v1alpha1.KafkaClusterSpec, given exposure.Given) []model.Listener {
	var listeners []model.Listener
	for _, l := range spec.EffectiveListeners() {
		listener := model.Listener{
			Name: l.Name, Port: l.Port, Exposure: exposureOf(l), TLS: l.Encryption != v1alpha1.EncryptionNone,
			Service: c.BootstrapService(l.Name), Peers: l.NetworkPolicyPeers,
		}
		if l.Authentication != nil {
			listener.Mechanisms = slices.Sorted(slices.Values(l.Authentication.Mechanisms))
			if seconds := l.Authentication.ReauthenticateSeconds; seconds != nil {
				listener.ReauthSeconds = *seconds
			}
			for _, secret := range l.Authentication.ClientAuthorities {
				listener.ClientAuthorities = append(listener.ClientAuthorities, secret.Name)
			}
			listener.RefusedSubjects = slices.Sorted(slices.Values(l.Authentication.RefusedSubjects))
			listener.OAuth, listener.Custom = oauthOf(l), customOf(l)
		}
		if l.TLS != nil {
			listener.Protocols = slices.Sorted(slices.Values(l.TLS.Protocols))
			listener.CipherSuites = slices.Sorted(slices.Values(l.TLS.CipherSuites))
			if secret := l.TLS.CertificateSecret; secret != nil && listener.TLS {
				listener.CertificateSecret = secret.Name
			}
		}
		setExposure(&listener, l.Exposure)
		if listener.OneService = sharesService(l); listener.OneService && given.WritesSlices {
			listener.Families = given.Families[listener.Service]
		}
		listener.BootstrapPort = exposure.Of(listener.Exposure).BootstrapPort(listener, given)
		listener.Gateway = GatewayOf(c.Namespace, l)
		listener.Balanced = exposure.Balanced(c, listener, given)
		listeners = append(listeners, listener)
	}
	slices.SortFunc(listeners, func(a, b model.Listener) int { return strings.Compare(a.Name, b.Name) })
	return listeners
}

func setExposure(l *model.Listener, e v1alpha1.Exposure) {
	if e.Advertised != nil {
		l.Advertised = *e.Advertised
	}
	if e.Bootstrap != nil {
		l.OfBootstrap, l.NodePort = *e.Bootstrap, e.Bootstrap.NodePort
		l.Hosts, l.HostsPort = exposure.Plain(e.Bootstrap.Hosts), cmp.Or(e.Bootstrap.Port, exposure.FixedPort(*l))
	}
	if e.Brokers != nil {
		l.OfBrokers = *e.Brokers
	}
	if e.Services != nil {
		l.Services = *e.Services
	}
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
