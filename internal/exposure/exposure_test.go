package exposure

import (
	"fmt"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"

	"github.com/castellan-dev/castellan/api/v1alpha1"
	"github.com/castellan-dev/castellan/internal/model"
)

// ports answers every Service with a port, and with an address of a load balancer.
func ports(row Row, c *model.Cluster, l model.Listener) Given {
	given := Given{Ports: map[string]int32{l.Service: 30000}, Balanced: map[string][]string{l.Service: {"192.0.2.1"}}}
	for i := range c.Nodes {
		if service := row.Node(c, &c.Nodes[i], l, Given{}).Service; service != "" {
			given.Ports[service] = 30001 + int32(i)
			given.Balanced[service] = []string{fmt.Sprintf("lb-%d.example.com", i)}
		}
	}
	return given
}

func TestEveryExposureIsACompleteRow(t *testing.T) {
	c := &model.Cluster{
		Namespace: "shop", Name: "events", Domain: "cluster.local",
		Pools: []model.Pool{{Name: "main", Broker: true}},
		Nodes: []model.Node{
			{ID: 0, Pool: "main", PodName: "events-main-0", Host: "events-main-0.events-nodes.shop.svc.cluster.local"},
			{ID: 1, Pool: "main", PodName: "events-main-1", Host: "events-main-1.events-nodes.shop.svc.cluster.local"},
		},
	}
	hosts := map[int32]model.HostIPs{0: {"10.0.0.7"}, 1: {"fd00::7"}}
	seen := map[string]bool{}
	for _, row := range Rows {
		name := string(row.Type)
		v := reflect.ValueOf(row)
		for i := range v.NumField() {
			if v.Field(i).IsZero() {
				t.Fatalf("%s lacks %s", name, v.Type().Field(i).Name)
			}
		}
		if seen[name] {
			t.Errorf("%s has two rows", name)
		}
		seen[name] = true
		l := model.Listener{Name: "clients", Port: 9092, Exposure: row.Type, TLS: true,
			Service: c.BootstrapService("clients")}
		given := ports(row, c, l)
		l.Balanced = given.Balanced[l.Service]
		if l.BootstrapPort = row.BootstrapPort(l, given); l.BootstrapPort == 0 {
			t.Errorf("%s: nobody knows where clients begin", name)
		}
		advertised := map[string]bool{}
		for i := range c.Nodes {
			n := &c.Nodes[i]
			a := Advertise(c, n, l, given)
			if a.Host == "" || a.Port == 0 || a.Waiting != "" || a.Late != "" {
				t.Errorf("%s: with all that Kubernetes says, node %d is at %+v", name, n.ID, a)
			}
			none := row.Node(c, n, l, Given{})
			if (none.Port == 0) != (none.Waiting != "") {
				t.Errorf("%s: an address without a port is waited for, and one with a port is not: %+v", name, none)
			}
			if late := none.Host == ""; late != (none.Late != "") || late != (row.Known == KnownLate) {
				t.Errorf("%s: an address without a host comes late, and no other does: %+v", name, none)
			}
			if row.PerNode() != (a.Service != "") {
				t.Errorf("%s: each broker has a Service: %t, and it is %q", name, row.PerNode(), a.Service)
			}
			names := CertificateNames(c, n, l, a)
			if !slices.Contains(names, a.Host) && !a.HostIP {
				t.Errorf("%s: node %d advertises %s, and its certificate holds %v", name, n.ID, a.Host, names)
			}
			advertised[a.Host+"/"+a.Service] = true
		}
		if len(advertised) != len(c.Nodes) {
			t.Errorf("%s: two nodes have one address: %v", name, advertised)
		}
		if row.Bootstrap(c, l, hosts) == "" || strings.Contains(row.Bootstrap(c, l, hosts), "@") {
			t.Errorf("%s: clients type %q", name, row.Bootstrap(c, l, hosts))
		}
		spec := corev1.ServiceSpec{Ports: []corev1.ServicePort{{Port: l.Port}}}
		if row.Open(&spec, l, 30001); spec.Type == "" || (spec.Ports[0].NodePort == 30001) != row.GivesPorts(l) {
			t.Errorf("%s: a Service of type %q at port %d", name, spec.Type, spec.Ports[0].NodePort)
		}
		if row.Dial("advertised:1", "") != "advertised:1" {
			t.Errorf("%s: while the pod is not known, %q is dialled", name, row.Dial("advertised:1", ""))
		}
	}
	crd, err := os.ReadFile("../../config/crd/bases/kafka.castellan.dev_kafkaclusters.yaml")
	if err != nil {
		t.Fatal(err)
	}
	found := regexp.MustCompile(`(?s)\n +exposure:\n.*?enum:\n((?: +- [^\n]+\n)* +- Internal\n(?: +- [^\n]+\n)*)`).FindSubmatch(crd)
	if found == nil {
		t.Fatal("the schema has no exposure")
	}
	offered := map[string]bool{}
	for line := range strings.Lines(string(found[1])) {
		offered[strings.TrimPrefix(strings.TrimSpace(line), "- ")] = true
	}
	if !reflect.DeepEqual(offered, seen) {
		t.Errorf("the schema offers %v, and the table has %v", offered, seen)
	}
}

func TestWhatIsNoExposureIsNamedAndTreatedAsTheDefault(t *testing.T) {
	if Names() != "Internal, ClusterIP, NodePort, LoadBalancer, TLSRoute or TCPRoute" ||
		PerNodeTypes() != "ClusterIP, NodePort, LoadBalancer, TLSRoute or TCPRoute" || Known("") || Known("Pigeon") || !Known(v1alpha1.ExposureNodePort) {
		t.Error(Names())
	}
	if Of("").Type != v1alpha1.ExposureInternal || Of("Pigeon").Type != v1alpha1.ExposureInternal {
		t.Error(Of("").Type)
	}
}

func TestClientsOutsideBeginAtAFewKubernetesNodes(t *testing.T) {
	c := &model.Cluster{Pools: []model.Pool{{Name: "main", Broker: true}, {Name: "control", Controller: true}}}
	hosts := map[int32]model.HostIPs{0: {"10.0.0.9"}, 1: {"10.0.0.7"}, 2: {"fd00::7"}, 3: {"10.0.0.7"}, 4: {"10.0.0.8"}, 9: {"10.0.0.1"}}
	for id := range int32(5) {
		c.Nodes = append(c.Nodes, model.Node{ID: id, Pool: "main"})
	}
	c.Nodes = append(c.Nodes, model.Node{ID: 9, Pool: "control"})
	l := model.Listener{Name: "outside", BootstrapPort: 30000}
	row := Of(v1alpha1.ExposureNodePort)
	if got := row.Bootstrap(c, l, hosts); got != "10.0.0.7:30000,10.0.0.8:30000,10.0.0.9:30000" {
		t.Error(got)
	}
	if got := row.Bootstrap(c, l, map[int32]model.HostIPs{2: {"fd00::7"}}); got != "[fd00::7]:30000" {
		t.Error(got)
	}
	l.BootstrapPort = 0
	if got := row.Bootstrap(c, l, hosts); got != "" {
		t.Errorf("without a port: %q", got)
	}
}
