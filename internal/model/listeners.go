package model

import (
	"slices"
	"strings"
)

// ClientListener returns what clients see of the whole cluster under a listener's name in Kafka (upper case), or nil
// for the cluster's own listeners.
func (c *Cluster) ClientListener(name string) *Listener {
	for i := range c.Listeners {
		if strings.ToUpper(c.Listeners[i].Name) == name {
			return &c.Listeners[i]
		}
	}
	return nil
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

// AllListeners are those that a node has, and those whose addresses it awaits.
func (n *Node) AllListeners() []NodeListener { return slices.Concat(n.Listeners, n.Awaited) }

// HasFixedPort tells whether the spec says which node port a Service of the cluster has.
func (c *Cluster) HasFixedPort(service string) bool {
	for _, l := range c.Listeners {
		if l.Service == service && l.NodePort != 0 {
			return true
		}
	}
	for i := range c.Nodes {
		for _, l := range c.Nodes[i].AllListeners() {
			if l.Service == service && l.FixedPort != 0 {
				return true
			}
		}
	}
	return false
}

// StillTold are the Services of single brokers that have an address at a listener with one Service still to come:
// clients may know theirs from before, and go on there.
func (c *Cluster) StillTold() map[string]bool {
	services := map[string]bool{}
	for i := range c.Nodes {
		n := &c.Nodes[i]
		for _, nl := range n.AllListeners() {
			if l := c.ClientListener(nl.Name); l != nil && l.OneService && nl.Late != "" {
				services[NodeService(n.PodName, l.Name)] = true
			}
		}
	}
	return services
}
