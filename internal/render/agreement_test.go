package render

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	k8slabels "k8s.io/apimachinery/pkg/labels"

	"github.com/castellan-dev/castellan/api/v1alpha1"
	"github.com/castellan-dev/castellan/internal/exposure"
	"github.com/castellan-dev/castellan/internal/model"
	"github.com/castellan-dev/castellan/internal/report"
)

// TestWhatIsSaidOfAListenerAgreesEverywhere reads the rendered text and objects back and holds them against each other.
func TestWhatIsSaidOfAListenerAgreesEverywhere(t *testing.T) {
	for name, spec := range map[string]string{"demo": demo, "dedicated": dedicated, "single": single} {
		t.Run(name, func(t *testing.T) {
			c := cluster(t, name, spec)
			services := map[string]*corev1.Service{}
			for _, object := range Quiet(c) {
				if s, is := object.(*corev1.Service); is {
					services[s.Name] = s
				}
			}
			hosts := map[int32]model.HostIPs{}
			for _, n := range c.Nodes {
				hosts[n.ID] = model.HostIPs{"10.0.0.7"}
			}
			for _, n := range c.Nodes {
				checkNode(t, c, &n, Nodes(c)[n.ID], services, report.ListenerStatus(c, hosts))
			}
		})
	}
}

func checkNode(
	t *testing.T,
	c *model.Cluster,
	n *model.Node,
	files NodeFiles,
	services map[string]*corev1.Service,
	status []v1alpha1.ListenerStatus,
) {
	t.Helper()
	properties := map[string]string{}
	for line := range strings.Lines(files.Data[fileProperties]) {
		key, value, _ := strings.Cut(strings.TrimSpace(line), "=")
		properties[key] = value
	}
	advertised := strings.Split(properties["advertised.listeners"], ",")
	listeners := strings.Split(properties["listeners"], ",")
	if len(advertised) != len(n.Listeners) || len(listeners) != len(n.Listeners) {
		t.Fatalf("node %d: %d listeners, rendered %v and %v", n.ID, len(n.Listeners), listeners, advertised)
	}
	for i, l := range n.Listeners {
		if want := fmt.Sprintf("%s://:%d", l.Name, l.Port); listeners[i] != want {
			t.Errorf("node %d binds %s, want %s", n.ID, listeners[i], want)
		}
		if want := fmt.Sprintf("%s://%s:%d", l.Name, bracketed(l.AdvertisedHost), l.AdvertisedPort); advertised[i] != want {
			t.Errorf("node %d advertises %s, want %s", n.ID, advertised[i], want)
		}
		if !slices.Contains(strings.Split(properties["listener.security.protocol.map"], ","), l.Name+":"+l.SecurityProtocol) {
			t.Errorf(
				"node %d: %s:%s is not in %s",
				n.ID,
				l.Name,
				l.SecurityProtocol,
				properties["listener.security.protocol.map"],
			)
		}
		checkNames(t, n, l, files)
		checkService(t, c, n, l, services)
		checkStatus(t, n, l, status)
	}
}

func checkNames(t *testing.T, n *model.Node, l model.NodeListener, files NodeFiles) {
	t.Helper()
	tls := strings.HasSuffix(l.SecurityProtocol, "SSL")
	if tls != (len(l.SANs) > 0) {
		t.Errorf("node %d, %s: protocol %s with the names %v", n.ID, l.Name, l.SecurityProtocol, l.SANs)
	}
	certificate := strings.ToLower(l.Name)
	if l.IsInternal() {
		certificate = "internal"
	}
	asked := strings.Split(files.Data[fileNames], "\n")
	if tls && !slices.Contains(asked, certificate+" "+l.AdvertisedHost) {
		t.Errorf(
			"node %d advertises %s at %s, and its certificate need not name that: %v",
			n.ID,
			l.Name,
			l.AdvertisedHost,
			asked,
		)
	}
	for _, name := range l.SANs {
		if !slices.Contains(asked, certificate+" "+name) {
			t.Errorf("node %d: start.sh does not wait for %s", n.ID, name)
		}
	}
}

func checkService(
	t *testing.T,
	c *model.Cluster,
	n *model.Node,
	l model.NodeListener,
	services map[string]*corev1.Service,
) {
	t.Helper()
	headless := services[c.NodesService()]
	if !slices.ContainsFunc(headless.Spec.Ports, func(p corev1.ServicePort) bool { return p.Port == l.Port }) {
		t.Errorf("the headless Service lacks port %d of %s", l.Port, l.Name)
	}
	if l.Service != "" {
		s := services[l.Service]
		if s == nil || s.Spec.Ports[0].Port != l.Port || s.Spec.Selector["statefulset.kubernetes.io/pod-name"] != n.PodName {
			t.Errorf("Service %s does not lead to port %d of %s: %+v", l.Service, l.Port, n.PodName, s)
		}
	}
	if l.IsInternal() {
		return
	}
	bootstrap := services[c.BootstrapService(strings.ToLower(l.Name))]
	if bootstrap == nil || bootstrap.Spec.Ports[0].Port != l.Port {
		t.Fatalf("the bootstrap Service of %s does not lead to port %d: %+v", l.Name, l.Port, bootstrap)
	}
	if c.ClientListener(l.Name).OneService {
		port := slices.IndexFunc(bootstrap.Spec.Ports, func(p corev1.ServicePort) bool { return p.Name == exposure.BrokerPort(n.ID) })
		if port < 0 || l.Service != "" || len(bootstrap.Spec.Ports) != 1+len(c.Reached()) {
			t.Errorf("%s does not lead to node %d alone: %+v", bootstrap.Name, n.ID, bootstrap.Spec.Ports)
		}
	}
	if name := c.ServiceHost(bootstrap.Name); len(l.SANs) > 0 && !slices.Contains(l.SANs, name) {
		t.Errorf("clients connect to %s first, which is not among %v", name, l.SANs)
	}
}

func checkStatus(t *testing.T, n *model.Node, l model.NodeListener, status []v1alpha1.ListenerStatus) {
	t.Helper()
	if l.IsInternal() {
		return
	}
	for _, s := range status {
		if s.Name != strings.ToLower(l.Name) {
			continue
		}
		if s.SecurityProtocol != l.SecurityProtocol || s.BootstrapServers == "" {
			t.Errorf("status of %s: %+v", l.Name, s)
		}
		host := strings.ReplaceAll(l.AdvertisedHost, model.HostIPPlaceholder, "10.0.0.7")
		if !slices.Contains(s.Addresses, v1alpha1.NodeAddress{NodeID: n.ID, Host: host, Port: l.AdvertisedPort}) {
			t.Errorf("status of %s lacks %s:%d of node %d: %v", l.Name, host, l.AdvertisedPort, n.ID, s.Addresses)
		}
		return
	}
	t.Errorf("listener %s has no status", l.Name)
}

func TestEveryPodKeepsToTheRestrictedStandard(t *testing.T) {
	c := cluster(t, "dedicated", dedicated)
	for i := range c.Pools {
		spec := StatefulSet(c, &c.Pools[i], "r", 1, nil).Spec.Template.Spec
		s := spec.SecurityContext
		if !*s.RunAsNonRoot || *s.RunAsUser != 1000 || s.SeccompProfile.Type != corev1.SeccompProfileTypeRuntimeDefault ||
			*spec.AutomountServiceAccountToken {
			t.Errorf("pod security: %+v", s)
		}
		for _, container := range append(spec.InitContainers, spec.Containers...) {
			s := container.SecurityContext
			if *s.AllowPrivilegeEscalation || !slices.Equal(s.Capabilities.Drop, []corev1.Capability{"ALL"}) {
				t.Errorf("container %s: %+v", container.Name, s)
			}
		}
	}
}

func TestTheBudgetCloses(t *testing.T) {
	c := cluster(t, "demo", demo)
	for _, evictable := range []int32{0, 1} {
		if got := Budget(c, evictable, nil, false).Spec.MaxUnavailable.IntValue(); got != int(evictable) {
			t.Errorf("evictable %d: maxUnavailable %d", evictable, got)
		}
	}
}

// A number of pods that have to stay is counted over pods, and not over what their StatefulSets ask for.
func TestASealedBudgetLetsNobodyGoWhateverStatefulSetsThereAre(t *testing.T) {
	spec := Budget(cluster(t, "demo", demo), 1, nil, true).Spec
	if spec.MaxUnavailable != nil || spec.MinAvailable == nil || spec.MinAvailable.IntValue() < 2000 {
		t.Errorf("%+v", spec)
	}
}

func TestTheBudgetSpeaksOfEveryPodButTheSpared(t *testing.T) {
	c := cluster(t, "demo", demo)
	selector, err := metav1.LabelSelectorAsSelector(Budget(c, 0, []string{"demo-main-1"}, false).Spec.Selector)
	if err != nil {
		t.Fatal(err)
	}
	for pod, want := range map[string]bool{"demo-main-0": true, "demo-main-1": false} {
		set := k8slabels.Set{v1alpha1.LabelCluster: c.Name, appsv1.StatefulSetPodNameLabel: pod}
		if got := selector.Matches(set); got != want {
			t.Errorf("pod %s: covered %t, want %t", pod, got, want)
		}
	}
}
