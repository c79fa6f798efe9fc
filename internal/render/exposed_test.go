package render

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/castellan-dev/castellan/api/v1alpha1"
	"github.com/castellan-dev/castellan/internal/exposure"
	"github.com/castellan-dev/castellan/internal/model"
	"github.com/castellan-dev/castellan/internal/report"
	"github.com/castellan-dev/castellan/internal/resolve"
)

// randomPods are the pods of the two pools, by node id.
var randomPods = map[int32]string{
	0: "demo-main-0", 1: "demo-main-1", 2: "demo-main-2", 1000: "demo-more-1000", 1001: "demo-more-1001",
}

// randomListener is a listener that no rule refuses beside others of other names and ports.
func randomListener(r *rand.Rand, name string, port int32) v1alpha1.Listener {
	l := v1alpha1.Listener{Name: name, Port: port}
	l.Exposure.Type = exposure.Rows[r.IntN(len(exposure.Rows))].Type
	l.Encryption = []v1alpha1.Encryption{v1alpha1.EncryptionTLS, v1alpha1.EncryptionNone}[r.IntN(2)]
	if r.IntN(2) == 0 {
		l.Authentication = &v1alpha1.ListenerAuthentication{Mechanisms: []v1alpha1.Mechanism{v1alpha1.MechanismPlain}}
	}
	if r.IntN(2) == 0 {
		a := &v1alpha1.Advertised{}
		if r.IntN(2) == 0 {
			a.HostTemplate = "b{nodeId}." + name + ".example.com"
		}
		if r.IntN(2) == 0 {
			template := intstr.FromString(fmt.Sprintf("%d+{nodeId}", 10000*(1+r.IntN(5))+int(port)))
			a.PortTemplate = &template
		}
		if r.IntN(2) == 0 {
			a.Overrides = []v1alpha1.AdvertisedOverride{{NodeID: slices.Sorted(maps.Keys(randomPods))[r.IntN(5)], Host: name + ".override.example.com",
				Port: []int32{0, 443}[r.IntN(2)]}}
		}
		l.Exposure.Advertised = a
	}
	if r.IntN(3) == 0 {
		l.Exposure.Bootstrap = &v1alpha1.BootstrapExposure{Hosts: []string{name + ".example.com", "2001:db8::7"}}
	}
	if l.Exposure.Type == v1alpha1.ExposureLoadBalancer && r.IntN(2) == 0 {
		template := intstr.FromString(fmt.Sprintf("%d+{nodeId}", 20000+port))
		l.Exposure.Brokers = &v1alpha1.BrokersExposure{ServicePolicy: v1alpha1.ServiceShared, PortTemplate: &template}
	}
	return behindAGateway(l, r)
}

// behindAGateway gives a listener what its routes cannot do without.
func behindAGateway(l v1alpha1.Listener, r *rand.Rand) v1alpha1.Listener {
	kind := exposure.Of(l.Exposure.Type).Route
	if kind == exposure.RouteNone {
		return l
	}
	l.Exposure.Gateway = &v1alpha1.GatewayReference{Name: "public-" + l.Name, Namespace: []string{"", "infra"}[r.IntN(2)]}
	if kind == exposure.RouteTLS {
		l.Encryption = v1alpha1.EncryptionTLS
		l.Exposure.Bootstrap = &v1alpha1.BootstrapExposure{Hosts: []string{l.Name + ".example.com"}}
		if l.Exposure.Advertised == nil {
			l.Exposure.Advertised = &v1alpha1.Advertised{}
		}
		l.Exposure.Advertised.HostTemplate = "{pod}." + l.Name + ".example.com"
	}
	return l
}

// randomInputs are a cluster of a few pools with up to four listeners, and as much of what Kubernetes gives as chance has
// it: every node port, and some of the addresses of load balancers.
func randomInputs(t *testing.T, r *rand.Rand) resolve.Inputs {
	in := inputs(t, "demo", `
version: "4.3.1"
pools:
- {name: main, replicas: 3, storage: {volumes: [{name: data, size: 1Gi}]}}
- {name: more, replicas: 2, roles: [Broker], storage: {volumes: [{name: data, size: 1Gi}]}}
`)
	in.NodePorts, in.Balanced = map[string]int32{}, map[string][]string{}
	in.Advertised, in.EndpointSlices = map[int32]map[string]model.HostPort{}, r.IntN(3) > 0
	for i := range 1 + r.IntN(4) {
		in.Spec.Listeners = append(in.Spec.Listeners, randomListener(r, fmt.Sprint("l", i), int32(9100+i)))
	}
	for i := range 5 {
		give(r, &in, fmt.Sprint("l", i))
	}
	return in
}

func give(r *rand.Rand, in *resolve.Inputs, listener string) {
	services := []string{"demo-" + listener}
	for _, id := range slices.Sorted(maps.Keys(randomPods)) {
		pod := randomPods[id]
		services = append(services, model.NodeService(pod, listener))
		if r.IntN(4) == 0 {
			if in.Advertised[id] == nil {
				in.Advertised[id] = map[string]model.HostPort{}
			}
			in.Advertised[id][strings.ToUpper(listener)] = model.HostPort{Host: fmt.Sprintf("old-%s-%d.org", listener, id), Port: 9}
		}
	}
	for _, service := range services {
		in.NodePorts[service] = int32(30000 + len(in.NodePorts))
		if r.IntN(2) == 0 {
			in.Balanced[service] = []string{service + ".lb.example.com", fmt.Sprintf("192.0.2.%d", len(in.NodePorts))}
		}
	}
}

// TestRandomListenersAreSaidAlikeEverywhere: listeners, advertised.listeners, the protocol map, certificates, Services and
// the status print one value. An edit of one listener changes nothing of another.
func TestRandomListenersAreSaidAlikeEverywhere(t *testing.T) {
	for seed := range uint64(150) {
		r := rand.New(rand.NewPCG(seed, 14))
		in := randomInputs(t, r)
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			c := resolved(t, in)
			checkCluster(t, c)
			checkUsers(t, in, c)
			edited := in
			edited.Spec = in.Spec.DeepCopy()
			at := r.IntN(len(in.Spec.Listeners))
			name := edited.Spec.Listeners[at].Name
			switch r.IntN(3) {
			case 0:
				edited.Spec.Listeners[at] = randomListener(r, name, edited.Spec.Listeners[at].Port+100)
			case 1:
				edited.Spec.Listeners = append(edited.Spec.Listeners, randomListener(r, "l4", 9200))
				name = "l4"
			case 2:
				edited.Spec.Listeners = slices.Delete(edited.Spec.Listeners, at, at+1)
				if len(edited.Spec.Listeners) == 0 {
					return
				}
			}
			after := resolved(t, edited)
			checkCluster(t, after)
			checkUsers(t, edited, after)
			for i := range c.Nodes {
				for _, l := range c.Nodes[i].AllListeners() {
					if l.Name == strings.ToUpper(name) {
						continue
					}
					others := after.Nodes[i].AllListeners()
					k := slices.IndexFunc(others, func(o model.NodeListener) bool { return o.Name == l.Name })
					if k < 0 || fmt.Sprint(others[k]) != fmt.Sprint(l) {
						t.Errorf("an edit of %s changed %+v of node %d", name, l, i)
					}
				}
			}
		})
	}
}

func checkCluster(t *testing.T, c *model.Cluster) {
	t.Helper()
	services, files := servicesOf(c), Nodes(c)
	checkRoutes(t, c, services)
	hosts := map[int32]model.HostIPs{}
	for i := range c.Nodes {
		hosts[c.Nodes[i].ID] = model.HostIPs{"10.0.0.7"}
	}
	status := report.ListenerStatus(c, hosts)
	waits := map[string]bool{}
	for i := range c.Nodes {
		n := &c.Nodes[i]
		if n.Waiting != "" {
			t.Fatalf("node %d waits: %s", n.ID, n.Waiting)
		}
		properties := readProperties(files[n.ID].Data[fileProperties])
		for _, l := range n.Listeners {
			if l.IsInternal() {
				continue
			}
			checkNames(t, n, l, files[n.ID])
			checkService(t, c, n, l, services)
			k := slices.IndexFunc(status, func(s v1alpha1.ListenerStatus) bool { return strings.ToUpper(s.Name) == l.Name })
			host := strings.ReplaceAll(l.AdvertisedHost, model.HostIPPlaceholder, "10.0.0.7")
			if !slices.Contains(status[k].Addresses, v1alpha1.NodeAddress{NodeID: n.ID, Host: host, Port: l.AdvertisedPort}) {
				t.Errorf("node %d: the status of %s has %v, want %s:%d", n.ID, l.Name, status[k].Addresses, host, l.AdvertisedPort)
			}
		}
		advertised := Advertised(files[n.ID])
		if len(advertised) != len(n.Listeners) || len(strings.Split(properties["listeners"], ",")) != len(n.Listeners) {
			t.Errorf("node %d has %d listeners: %s, %s", n.ID, len(n.Listeners), properties["listeners"],
				properties["advertised.listeners"])
		}
		for _, l := range n.Listeners {
			if advertised[l.Name] != (model.HostPort{Host: l.AdvertisedHost, Port: l.AdvertisedPort}) {
				t.Errorf("node %d: read back is %+v of %+v", n.ID, advertised[l.Name], l)
			}
		}
		for _, l := range n.AllListeners() {
			waits[strings.ToLower(l.Name)] = waits[strings.ToLower(l.Name)] || l.Late != ""
			if l.Service != "" && services[l.Service] == nil {
				t.Errorf("node %d: Service %s is not made, so that its address can never be known", n.ID, l.Service)
			}
		}
		for _, l := range n.Awaited {
			text := strings.Join(slices.Collect(maps.Values(files[n.ID].Data)), "\n")
			if strings.Contains(text, l.Name+":") || strings.Contains(text, "listener.name."+strings.ToLower(l.Name)+".") {
				t.Errorf("node %d has no address at %s, and its files speak of it", n.ID, l.Name)
			}
		}
	}
	for i, l := range c.Listeners {
		nowhere := exposure.Of(l.Exposure).Known == exposure.KnownLate && len(l.Balanced)+len(l.Hosts) == 0 // for clients to begin
		waits[l.Name] = waits[l.Name] || nowhere
		if nowhere != (status[i].BootstrapServers == "") {
			t.Errorf("listener %s: clients begin at %q", l.Name, status[i].BootstrapServers)
		}
		if waits[l.Name] != (status[i].Message != "") {
			t.Errorf("listener %s waits: %t, and the status says %q", l.Name, waits[l.Name], status[i].Message)
		}
		kind := services[l.Service].Spec.Type
		if (l.Exposure == v1alpha1.ExposureLoadBalancer) != (kind == corev1.ServiceTypeLoadBalancer) {
			t.Errorf("listener %s of type %s has a Service of type %s", l.Name, l.Exposure, kind)
		}
	}
}

// checkUsers: what users are told of the listeners is what the status says, whatever the spec asks for by then.
func checkUsers(t *testing.T, in resolve.Inputs, c *model.Cluster) {
	t.Helper()
	cluster := in.Cluster.DeepCopy()
	cluster.Status.Listeners = report.ListenerStatus(c, map[int32]model.HostIPs{0: {"10.0.0.7"}})
	cluster.Spec.Listeners = []v1alpha1.Listener{{Name: "l0", Port: 9999, Encryption: v1alpha1.EncryptionNone}}
	told := map[string]model.HostListener{}
	for _, l := range resolve.HostOf(cluster).Listeners {
		told[l.Name] = l
	}
	for i, l := range c.Listeners {
		status, users := cluster.Status.Listeners[i], told[l.Name]
		if users.TLS != l.TLS || users.Bootstrap != status.BootstrapServers || !slices.Equal(users.Mechanisms, l.Mechanisms) ||
			len(users.Addresses) != len(status.Addresses) || users.Inside != (l.Exposure == v1alpha1.ExposureInternal) {
			t.Errorf("of listener %+v users are told %+v", l, users)
		}
	}
}

// TestWhatAdvertisedFilesSayIsReadBack keeps the reading of older files to their form.
func TestWhatAdvertisedFilesSayIsReadBack(t *testing.T) {
	files := NodeFiles{Data: map[string]string{fileProperties: "a=b\nadvertised.listeners=REPLICATION://h:9091," +
		"OUT://@HOST_IP@:30001,SIX://[fd00::1]:9092,BAD,WORSE://x:y\n"}}
	want := map[string]model.HostPort{
		"REPLICATION": {Host: "h", Port: 9091}, "OUT": {Host: model.HostIPPlaceholder, Port: 30001}, "SIX": {Host: "fd00::1", Port: 9092},
	}
	if got := Advertised(files); !maps.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
	if got := Advertised(NodeFiles{}); len(got) != 0 {
		t.Errorf("nothing says %v", got)
	}
}

// TestAListenersOwnRulesOfTLSAndLogins are in the file where they are asked for, and a reason to restart; nobody else's
// file changes with a new operator.
func TestAListenersOwnRulesOfTLSAndLogins(t *testing.T) {
	in := inputs(t, "demo", dedicated)
	before := resolved(t, in)
	if text := Nodes(before)[100].Data[fileProperties]; strings.Contains(text, "enabled.protocols") ||
		strings.Contains(text, "cipher") || !strings.Contains(text, "listener.name.clients.connections.max.reauth.ms=300000\n") {
		t.Errorf("by default:\n%s", text)
	}
	seconds := int32(60)
	in.Spec.Listeners[0].Authentication.ReauthenticateSeconds = &seconds
	in.Spec.Listeners[0].TLS = &v1alpha1.ListenerTLS{Protocols: []string{"TLSv1.3", "TLSv1.2"},
		CipherSuites: []string{"TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384", "TLS_AES_256_GCM_SHA384"}}
	after := resolved(t, in)
	properties := readProperties(Nodes(after)[100].Data[fileProperties])
	for key, want := range map[string]string{
		"listener.name.clients.ssl.enabled.protocols":     "TLSv1.2,TLSv1.3",
		"listener.name.clients.ssl.cipher.suites":         "TLS_AES_256_GCM_SHA384,TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384",
		"listener.name.clients.connections.max.reauth.ms": "60000",
		"listener.name.outside.connections.max.reauth.ms": "300000",
	} {
		if properties[key] != want {
			t.Errorf("%s is %q, want %q", key, properties[key], want)
		}
	}
	if desired(before).Files[100].User == desired(after).Files[100].User {
		t.Error("what is asked for differs, and no broker restarts for it")
	}
	limit := int32(5)
	in.Spec.Listeners[0].Limits = &v1alpha1.ListenerLimits{Connections: &limit}
	if limited := desired(resolved(t, in)); limited.Files[100] != desired(after).Files[100] {
		t.Error("a limit, which Kafka changes at run time, is in the file")
	}
}

// TestServicesFollowTheListenerIntoEachPod: a Service leads to the container's port of the listener's name, which each pod
// has where it listens now.
func TestServicesFollowTheListenerIntoEachPod(t *testing.T) {
	in := inputs(t, "demo", demo)
	before := resolved(t, in)
	in.Spec.Listeners[1].Port = 9095
	after := resolved(t, in)
	for _, name := range []string{"demo-outside", "demo-main-0-outside"} {
		target := servicesOf(after)[name].Spec.Ports[0].TargetPort.String()
		for c, want := range map[*model.Cluster]int32{before: 9094, after: 9095} {
			ports := StatefulSet(c, &c.Pools[0], "r", 1, nil).Spec.Template.Spec.Containers[0].Ports
			k := slices.IndexFunc(ports, func(p corev1.ContainerPort) bool { return p.Name == target })
			if k < 0 || ports[k].ContainerPort != want {
				t.Errorf("Service %s leads to port %q of pods with %v, want %d there", name, target, ports, want)
			}
		}
	}
}

func TestRolesAreThoseOfANodesFiles(t *testing.T) {
	for _, tt := range []struct {
		roles                     string
		controller, broker, known bool
	}{
		{"broker", false, true, true}, {"controller", true, false, true}, {"broker,controller", true, true, true},
		{"", false, false, false},
	} {
		files := NodeFiles{Data: map[string]string{fileProperties: "process.roles=" + tt.roles + "\n"}}
		if controller, broker, known := Roles(files); controller != tt.controller || broker != tt.broker || known != tt.known {
			t.Errorf("%q: controller %t, broker %t, known %t", tt.roles, controller, broker, known)
		}
	}
}
