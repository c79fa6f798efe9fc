package model

import (
	"fmt"
	"slices"
	"strings"

	"github.com/castellan-dev/castellan/api/v1alpha1"
)

// nodeListeners is the one place that says which listeners a node has, where they are reached, and what their
// certificates must name. ports are the node ports that Kubernetes gave out, by Service name. The second result names
// the fact that is waited for; empty = none.
func nodeListeners(c *Cluster, pool *Pool, n *Node, ports map[string]int32) ([]NodeListener, string) {
	var listeners []NodeListener
	if pool.Controller {
		listeners = append(listeners, NodeListener{
			Name: "CONTROLLER", Port: PortController, SecurityProtocol: "SSL",
			AdvertisedHost: n.Host, AdvertisedPort: PortController,
			SANs: []string{n.Host, c.ServiceHost(c.ControllersService()), c.ServiceHost(c.HandoverService())},
		})
	}
	if !pool.Broker {
		return listeners, ""
	}
	listeners = append(listeners, NodeListener{
		Name: "REPLICATION", Port: PortReplication, SecurityProtocol: "SSL",
		AdvertisedHost: n.Host, AdvertisedPort: PortReplication,
		SANs: []string{n.Host, c.ServiceHost(c.NodesService())},
	})
	var waiting []string
	for _, l := range c.Listeners {
		nl := NodeListener{
			Name: strings.ToUpper(l.Name), Port: l.Port, SecurityProtocol: l.SecurityProtocol(),
			AdvertisedHost: n.Host, AdvertisedPort: l.Port,
		}
		if l.Exposure == v1alpha1.ExposureNodePort {
			nl.Service = NodeService(n.PodName, l.Name)
			nl.AdvertisedHost, nl.AdvertisedPort = HostIPPlaceholder, ports[nl.Service]
			nl.NeedsHostIP = l.TLS
			if nl.AdvertisedPort == 0 {
				waiting = append(waiting, fmt.Sprintf("Service %s has no node port yet", nl.Service))
			}
		}
		if l.TLS {
			nl.SANs = clientNames(c, n, l)
		}
		listeners = append(listeners, nl)
	}
	return listeners, strings.Join(waiting, "; ")
}

// clientNames are the DNS names under which clients reach one broker: its own, and those of the bootstrap Service, which
// inside the Kubernetes cluster may be typed short.
func clientNames(c *Cluster, n *Node, l Listener) []string {
	return []string{
		n.Host,
		c.ServiceHost(l.Service),
		l.Service + "." + c.Namespace + ".svc",
		l.Service + "." + c.Namespace,
		l.Service,
	}
}

// resolveListeners gives the client listeners in the order of their names, so that their order in the spec means nothing.
func resolveListeners(c *Cluster, spec *v1alpha1.KafkaClusterSpec, ports map[string]int32) []Listener {
	var listeners []Listener
	for _, l := range spec.EffectiveListeners() {
		listener := Listener{
			Name: l.Name, Port: l.Port, Exposure: exposureOf(l), TLS: l.Encryption != v1alpha1.EncryptionNone,
			Service: c.BootstrapService(l.Name), BootstrapPort: l.Port,
		}
		if l.Authentication != nil {
			listener.Mechanisms = slices.Sorted(slices.Values(l.Authentication.Mechanisms))
		}
		if listener.Exposure == v1alpha1.ExposureNodePort {
			listener.BootstrapPort = ports[listener.Service]
		}
		listeners = append(listeners, listener)
	}
	slices.SortFunc(listeners, func(a, b Listener) int { return strings.Compare(a.Name, b.Name) })
	return listeners
}

func exposureOf(l v1alpha1.Listener) v1alpha1.ExposureType {
	if l.Exposure.Type == "" {
		return v1alpha1.ExposureInternal
	}
	return l.Exposure.Type
}

// Listener returns what a node has under a listener's name in Kafka (upper case), or nil.
func (n *Node) Listener(name string) *NodeListener {
	for i := range n.Listeners {
		if n.Listeners[i].Name == name {
			return &n.Listeners[i]
		}
	}
	return nil
}

// IsInternal tells the cluster's own listeners from those of clients.
func (l NodeListener) IsInternal() bool { return l.Name == "CONTROLLER" || l.Name == "REPLICATION" }

// maxBootstrapHosts bounds bootstrap.servers of a listener that is reached node by node.
const maxBootstrapHosts = 3

// ListenerStatus tells what clients type. hosts are the addresses of the Kubernetes nodes on which brokers run, by node
// id; what is not known is left out.
func ListenerStatus(c *Cluster, hosts map[int32]string) []v1alpha1.ListenerStatus {
	var statuses []v1alpha1.ListenerStatus
	for _, l := range c.Listeners {
		status := v1alpha1.ListenerStatus{Name: l.Name, SecurityProtocol: l.SecurityProtocol()}
		for i := range c.Nodes {
			if address, known := addressOf(&c.Nodes[i], l, hosts); known {
				status.Addresses = append(status.Addresses, address)
			}
		}
		status.BootstrapServers = bootstrapServers(c, l, hosts)
		statuses = append(statuses, status)
	}
	return statuses
}

func addressOf(n *Node, l Listener, hosts map[int32]string) (v1alpha1.NodeAddress, bool) {
	nl := n.Listener(strings.ToUpper(l.Name))
	if nl == nil || nl.AdvertisedPort == 0 {
		return v1alpha1.NodeAddress{}, false
	}
	address := v1alpha1.NodeAddress{NodeID: n.ID, Host: nl.AdvertisedHost, Port: nl.AdvertisedPort}
	if address.Host == HostIPPlaceholder {
		address.Host = hosts[n.ID]
	}
	return address, address.Host != ""
}

func bootstrapServers(c *Cluster, l Listener, hosts map[int32]string) string {
	if l.BootstrapPort == 0 {
		return ""
	}
	if l.Exposure == v1alpha1.ExposureInternal {
		return fmt.Sprintf("%s:%d", c.ServiceHost(l.Service), l.BootstrapPort)
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
		servers = append(servers, hostPort(host, l.BootstrapPort))
	}
	return strings.Join(servers, ",")
}

// hostPort puts an IPv6 address in brackets.
func hostPort(host string, port int32) string {
	if strings.Contains(host, ":") {
		host = "[" + host + "]"
	}
	return fmt.Sprintf("%s:%d", host, port)
}
