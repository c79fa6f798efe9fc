package resolve

import (
	"cmp"
	"fmt"
	"net"
	"net/netip"
	"regexp"
	"slices"
	"strings"

	"github.com/castellan-dev/castellan/api/v1alpha1"
	"github.com/castellan-dev/castellan/internal/exposure"
	"github.com/castellan-dev/castellan/internal/model"
	"github.com/castellan-dev/castellan/internal/verdict"
)

const (
	maxPort     = 65535
	maxHostName = 253 // RFC 1035, written without the root
)

var (
	hostLabel = regexp.MustCompile(`^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$`)
	allDigits = regexp.MustCompile(`^[0-9]+$`)
)

// wrongHost says what keeps a host from being advertised or dialled; empty = nothing.
func wrongHost(host string) string {
	if address, err := netip.ParseAddr(host); err == nil {
		if address.Zone() != "" || address.IsUnspecified() || address.IsMulticast() {
			return "no client can connect to this address"
		}
		return ""
	}
	if len(host) > maxHostName {
		return fmt.Sprintf("a host name has at most %d characters, and this one has %d", maxHostName, len(host))
	}
	labels := strings.Split(host, ".")
	for _, label := range labels {
		if !hostLabel.MatchString(label) {
			return "it is neither an IP address nor a host name, whose parts between the dots have 1 to 63 lower-case " +
				"letters, digits and dashes and begin and end with a letter or digit"
		}
	}
	if allDigits.MatchString(labels[len(labels)-1]) {
		return "it is neither an IP address nor a host name, whose last part is no number"
	}
	return ""
}

// validateAdvertised checks what a listener says of hosts and ports, as far as no node is needed for it.
func validateAdvertised(l v1alpha1.Listener) verdict.List {
	var faults verdict.List
	if a := l.Exposure.Advertised; a != nil {
		field := func(name string) string { return model.ListenerField(l.Name, "exposure.advertised."+name) }
		if place := exposure.UnknownPlace(a.HostTemplate); place != "" {
			faults.Refuse(field("hostTemplate"), "%s stands for nothing; use %s", place, exposure.Places)
		}
		if _, err := exposure.ParseNumber(a.PortTemplate); err != nil {
			faults.Refuse(field("portTemplate"), "%s; write one such as 443 or 9000+{nodeId}", err)
		}
		var seen []int32
		for _, o := range a.Overrides {
			at := field(fmt.Sprintf("overrides[%d]", o.NodeID))
			switch {
			case slices.Contains(seen, o.NodeID):
				faults.Refuse(at, "node %d has two overrides; keep one of them", o.NodeID)
			case o.Host == "" && o.Port == 0:
				faults.Refuse(at, "it has neither a host nor a port; give it one, or remove it")
			case o.Host != "" && wrongHost(o.Host) != "":
				faults.Refuse(at+".host", "%q: %s; write the host that clients of node %d connect to", o.Host, wrongHost(o.Host),
					o.NodeID)
			case o.Port < 0 || o.Port > maxPort:
				faults.Refuse(at+".port", "a port is 1 to %d", maxPort)
			}
			seen = append(seen, o.NodeID)
		}
	}
	return append(faults, validateBootstrap(l)...)
}

func validateBootstrap(l v1alpha1.Listener) verdict.List {
	b := l.Exposure.Bootstrap
	if b == nil {
		return nil
	}
	var faults verdict.List
	for i, host := range b.Hosts {
		at := model.ListenerField(l.Name, "exposure.bootstrap.hosts["+host+"]")
		if wrong := wrongHost(host); wrong != "" {
			faults.Refuse(at, "%s; write the host alone, without a port or a scheme", wrong)
		} else if slices.Contains(b.Hosts[:i], host) {
			faults.Refuse(at, "it stands there twice; remove one")
		}
	}
	if b.Port < 0 || b.Port > maxPort {
		faults.Refuse(model.ListenerField(l.Name, "exposure.bootstrap.port"), "a port is 1 to %d", maxPort)
	} else if b.Port != 0 && len(b.Hosts) == 0 && exposureOf(l) != v1alpha1.ExposureTCPRoute {
		faults.Refuse(model.ListenerField(l.Name, "exposure.bootstrap.port"),
			"it is the port of exposure.bootstrap.hosts, and there are none; add the hosts, or remove it")
	}
	return faults
}

// validateAddresses checks what templates and overrides make of the nodes that there are: hosts and ports that exist,
// and no two brokers at one address.
func validateAddresses(c *model.Cluster) verdict.List {
	var faults verdict.List
	taken := map[string]string{} // who is at an address that a template or an override has made
	for _, l := range c.Listeners {
		refused := map[string]bool{} // one sentence a field, however many nodes it is wrong for
		refuse := func(field, format string, args ...any) {
			if !refused[field] {
				faults.Refuse(model.ListenerField(l.Name, "exposure.advertised."+field), format, args...)
			}
			refused[field] = true
		}
		for i := range c.Nodes {
			n := &c.Nodes[i]
			host, port := exposure.Asked(c, n, l)
			if !c.IsBroker(n) || host == "" && port == 0 {
				continue
			}
			hostField, portField := askedBy(l, n.ID)
			if exposure.UnknownPlace(host) != "" {
				continue // it is refused already
			}
			if wrong := wrongHost(host); host != "" && hostField == "hostTemplate" && wrong != "" {
				refuse(hostField, "it makes %q of node %d: %s; write one such as broker-{nodeId}.kafka.example.com", host, n.ID,
					wrong)
				continue
			}
			if port < 0 || port > maxPort {
				refuse(portField, "it makes port %d of node %d, and a port is 1 to %d; begin at a lower number", port, n.ID,
					maxPort)
				continue
			}
			nl := n.Listener(strings.ToUpper(l.Name))
			if nl == nil || model.IsHostIP(nl.AdvertisedHost) || nl.AdvertisedPort == 0 {
				continue // it is not known yet
			}
			at := net.JoinHostPort(nl.AdvertisedHost, fmt.Sprint(nl.AdvertisedPort))
			who := fmt.Sprintf("node %d at listener %s", n.ID, l.Name)
			if other := taken[at]; other != "" {
				refuse(cmp.Or(hostField, portField), "it puts %s at %s, where %s is already; give each broker an address of its "+
					"own, with {nodeId} in hostTemplate or in portTemplate", who, at, other)
			}
			taken[at] = who
		}
	}
	return faults
}

// validateNodePorts checks which ports the Services of the nodes that there are shall have: ports that exist, each
// once.
func validateNodePorts(c *model.Cluster) verdict.List {
	var faults verdict.List
	taken := map[int32]string{}
	claim := func(l model.Listener, field, service string, port int32) {
		path := model.ListenerField(l.Name, "exposure."+field)
		switch other := taken[port]; {
		case port == 0:
		case port < 0 || port > maxPort:
			faults.Refuse(path, "it makes node port %d of Service %s, and a port is 1 to %d; begin at a lower number", port,
				service, maxPort)
		case other != "":
			faults.Refuse(path, "it gives node port %d to Service %s, and %s has it already; choose another",
				port, service, other)
		default:
			taken[port] = "Service " + service
		}
	}
	for _, l := range c.Listeners {
		claim(l, "bootstrap.nodePort", l.Service, l.NodePort)
	}
	for _, l := range c.Listeners {
		if template, err := exposure.ParseNumber(l.OfBrokers.NodePortTemplate); err != nil || !template.PerNode {
			continue // there is none, or it is refused already
		}
		before := len(faults)
		for i := range c.Nodes {
			for _, nl := range c.Nodes[i].AllListeners() {
				if nl.Name == strings.ToUpper(l.Name) && len(faults) == before { // one sentence, however many nodes
					claim(l, "brokers.nodePortTemplate", nl.Service, nl.FixedPort)
				}
			}
		}
	}
	return faults
}

// askedBy names the fields that the host and the port of a node come from.
func askedBy(l model.Listener, nodeID int32) (host, port string) {
	if l.Advertised.HostTemplate != "" {
		host = "hostTemplate"
	}
	if l.Advertised.PortTemplate != nil {
		port = "portTemplate"
	}
	for _, o := range l.Advertised.Overrides {
		at := fmt.Sprintf("overrides[%d]", nodeID)
		if o.NodeID == nodeID && o.Host != "" {
			host = at + ".host"
		}
		if o.NodeID == nodeID && o.Port != 0 {
			port = at + ".port"
		}
	}
	return host, port
}
