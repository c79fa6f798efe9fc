// Package report writes the status of a KafkaCluster from the model, the observation and the plan. It is pure: the
// clock is an argument, and equal input gives an equal status.
package report

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/castellan-dev/castellan/api/v1alpha1"
	"github.com/castellan-dev/castellan/internal/exposure"
	"github.com/castellan-dev/castellan/internal/model"
)

// ListenerStatus tells what clients type. hosts are the addresses of the Kubernetes nodes on which brokers run, by node
// id; what is not known is left out.
func ListenerStatus(c *model.Cluster, hosts map[int32]model.HostIPs) []v1alpha1.ListenerStatus {
	var statuses []v1alpha1.ListenerStatus
	for _, l := range c.Listeners {
		status := v1alpha1.ListenerStatus{Name: l.Name, Type: l.Exposure, Port: l.Port,
			SecurityProtocol: l.SecurityProtocol(), Mechanisms: l.Mechanisms}
		for i := range c.Nodes {
			if address, known := addressOf(&c.Nodes[i], l, hosts); known {
				status.Addresses = append(status.Addresses, address)
			}
		}
		status.Message = awaited(c, l)
		status.NodePorts, status.LoadBalancerAddresses = nodePorts(c, l), l.Balanced
		status.BootstrapServers = exposure.Bootstrap(c, l, hosts)
		status.CACertificates, status.PublicAuthority = l.Trust.Anchors, l.Trust.Public
		statuses = append(statuses, status)
	}
	return statuses
}

// setTrustChangedAt tells since when clients are to trust whom they are. What was never changed has no time.
func setTrustChangedAt(statuses, before []v1alpha1.ListenerStatus, now time.Time) {
	for i := range statuses {
		l := &statuses[i]
		n := slices.IndexFunc(before, func(b v1alpha1.ListenerStatus) bool { return b.Name == l.Name })
		switch {
		case n >= 0 && before[n].CACertificates == l.CACertificates:
			l.TrustChangedAt = before[n].TrustChangedAt
		case n >= 0 || l.CACertificates != "":
			at := metav1.NewTime(now.Truncate(time.Second))
			l.TrustChangedAt = &at
		}
	}
}

// awaited is what a listener waits for, in one line; empty = nothing.
func awaited(c *model.Cluster, l model.Listener) string {
	var waits []string
	for i := range c.Nodes {
		for _, nl := range c.Nodes[i].AllListeners() {
			if nl.Name == strings.ToUpper(l.Name) && nl.Late != "" && !slices.Contains(waits, nl.Late) {
				waits = append(waits, nl.Late)
			}
		}
	}
	begin := exposure.Awaits(l, l.Service)
	if exposure.Of(l.Exposure).Known == exposure.KnownLate && len(l.Balanced)+len(l.Hosts) == 0 &&
		!slices.Contains(waits, begin) {
		waits = append(waits, begin)
	}
	if len(waits) == 0 {
		return ""
	}
	return First(waits)
}

// lacking says which brokers do not have a listener yet; empty = all have it.
func lacking(brokers []int32) string {
	if len(brokers) == 0 {
		return ""
	}
	var sentences []string
	for _, id := range brokers {
		sentences = append(sentences, fmt.Sprintf("broker %d does not have it yet", id))
	}
	return First(sentences) + "; clients are told of it then"
}

// nodePorts are the ports that Kubernetes gave to the listener's Services.
func nodePorts(c *model.Cluster, l model.Listener) map[string]int32 {
	if !exposure.Of(l.Exposure).GivesPorts(l) {
		return nil
	}
	ports := map[string]int32{l.Service: l.BootstrapPort}
	for i := range c.Nodes {
		if nl := c.Nodes[i].Listener(strings.ToUpper(l.Name)); nl != nil && nl.Service != "" && nl.NodePort != 0 {
			ports[nl.Service] = nl.NodePort
		}
	}
	maps.DeleteFunc(ports, func(_ string, port int32) bool { return port == 0 })
	return ports
}

func addressOf(n *model.Node, l model.Listener, hosts map[int32]model.HostIPs) (v1alpha1.NodeAddress, bool) {
	nl := n.Listener(strings.ToUpper(l.Name))
	if nl == nil || nl.AdvertisedPort == 0 {
		return v1alpha1.NodeAddress{}, false
	}
	address := v1alpha1.NodeAddress{NodeID: n.ID, Host: nl.AdvertisedHost, Port: nl.AdvertisedPort}
	if model.IsHostIP(address.Host) {
		address.Host = hosts[n.ID].At(address.Host)
	}
	return address, address.Host != ""
}
