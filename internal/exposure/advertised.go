package exposure

import (
	"cmp"
	"fmt"
	"net"
	"net/netip"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/castellan-dev/castellan/internal/model"
)

// The placeholders of templates. What stands in other braces is no placeholder: JSON in an annotation, for example.
const (
	placeNodeID    = "{nodeId}"
	placePod       = "{pod}"
	placeCluster   = "{cluster}"
	placeNamespace = "{namespace}"
)

var placeholder = regexp.MustCompile(`\{[A-Za-z]+\}`)

// Places lists the placeholders for a sentence.
const Places = placeNodeID + ", " + placePod + ", " + placeCluster + " and " + placeNamespace

// Fill puts the values of a node into a template.
func Fill(template string, c *model.Cluster, n *model.Node) string {
	return strings.NewReplacer(placeNodeID, fmt.Sprint(n.ID), placePod, n.PodName, placeCluster, c.Name,
		placeNamespace, c.Namespace).Replace(template)
}

// UnknownPlace is the first placeholder of a template that stands for nothing; empty = there is none.
func UnknownPlace(template string) string {
	for _, place := range placeholder.FindAllString(template, -1) {
		if !slices.Contains([]string{placeNodeID, placePod, placeCluster, placeNamespace}, place) {
			return place
		}
	}
	return ""
}

// OfBroker is the first placeholder of a template that only a broker has a value for; empty = there is none.
func OfBroker(template string) string {
	for _, place := range []string{placeNodeID, placePod} {
		if strings.Contains(template, place) {
			return place
		}
	}
	return ""
}

// Number is a template of numbers: Base, to which the node id is added if PerNode.
type Number struct {
	Base    int
	PerNode bool
}

var numberTemplate = regexp.MustCompile(`^([0-9]{1,5})(\+\{nodeId\})?$`)

// ParseNumber reads a template of numbers, such as 443 or 9000+{nodeId}; nil is the number 0.
func ParseNumber(template *intstr.IntOrString) (Number, error) {
	if template == nil {
		return Number{}, nil
	}
	found := numberTemplate.FindStringSubmatch(template.String())
	if found == nil {
		return Number{}, fmt.Errorf("%q is neither a number nor a number to which the node id is added", template.String())
	}
	base, err := strconv.Atoi(found[1])
	return Number{Base: base, PerNode: found[2] != ""}, err
}

// Of is the number of a node.
func (t Number) Of(nodeID int32) int {
	if t.PerNode {
		return t.Base + int(nodeID)
	}
	return t.Base
}

// Asked is the host and the port that templates and overrides give to a node; empty and 0 = none.
func Asked(c *model.Cluster, n *model.Node, l model.Listener) (host string, port int) {
	template, _ := ParseNumber(l.Advertised.PortTemplate) // a wrong one has been refused
	host, port = Fill(l.Advertised.HostTemplate, c, n), template.Of(n.ID)
	for _, o := range l.Advertised.Overrides {
		if o.NodeID == n.ID {
			host, port = cmp.Or(o.Host, host), cmp.Or(int(o.Port), port)
		}
	}
	return plain(host), port
}

// Advertise is what a node advertises at a listener: what its type of exposure gives, under templates and overrides. A
// node goes on with what it advertises while the address that takes its place is not known.
func Advertise(c *model.Cluster, n *model.Node, l model.Listener, given Given) Address {
	row := Of(l.Exposure)
	a := row.Node(c, n, l, given)
	host, port := Asked(c, n, l)
	if host != "" {
		a.Host, a.Late = host, ""
		a.HostIP = a.HostIP && len(l.Hosts) == 0 // clients may begin at the Kubernetes nodes all the same
	}
	if port != 0 {
		a.Port, a.Waiting = int32(port), ""
	}
	if a.Late == "" && row.Known == KnownLate && l.TLS && len(l.Hosts) == 0 && len(l.Balanced) == 0 {
		a.Late = Awaits(l, l.Service) // the certificate has to name the address at which clients begin
	}
	if l.OneService && !given.WritesSlices {
		a.Late = given.noSlices() // nothing leads to the node
	}
	if a.Late != "" {
		now := given.Advertised[n.ID][strings.ToUpper(l.Name)]
		a.Host, a.Port, a.HostIP = now.Host, now.Port, model.IsHostIP(now.Host)
	}
	return a
}

// CertificateNames are the DNS names and addresses that the certificate of a node has to hold: every one that a client
// may have typed or been told. a is what the node advertises.
func CertificateNames(c *model.Cluster, n *model.Node, l model.Listener, a Address) []string {
	names := Of(l.Exposure).Names(c, n, l)
	for _, name := range append([]string{a.Host}, l.Hosts...) {
		if name != "" && !model.IsHostIP(name) && !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	return names
}

// Bootstrap is bootstrap.servers of a listener: the hosts of the user's own, and then where the type of exposure lets
// clients begin. hosts are the addresses of the Kubernetes nodes on which brokers run, by node id. Empty = not known
// yet.
func Bootstrap(c *model.Cluster, l model.Listener, hosts map[int32]model.HostIPs) string {
	var servers []string
	if port := cmp.Or(l.HostsPort, l.BootstrapPort); port != 0 {
		for _, host := range l.Hosts {
			servers = append(servers, net.JoinHostPort(host, fmt.Sprint(port)))
		}
	}
	// A certificate of the user's own need not name what the type of exposure gives beside the user's hosts.
	if given := Of(l.Exposure).Bootstrap(c, l, hosts); given != "" && (l.CertificateSecret == "" || len(servers) == 0) {
		servers = append(servers, given)
	}
	return strings.Join(servers, ",")
}

// FixedPort is the port that all brokers of a listener are told to advertise; 0 = each has its own.
func FixedPort(l model.Listener) int32 {
	if template, err := ParseNumber(l.Advertised.PortTemplate); err == nil && !template.PerNode {
		return int32(template.Base)
	}
	return 0
}

// Plain gives hosts as certificates name them: an address has one spelling.
func Plain(hosts []string) []string {
	var all []string
	for _, host := range hosts {
		all = append(all, plain(host))
	}
	return all
}

func plain(host string) string {
	if address, err := netip.ParseAddr(host); err == nil && address.Zone() == "" {
		return address.Unmap().String()
	}
	return host
}
