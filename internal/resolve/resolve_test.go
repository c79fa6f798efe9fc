package resolve

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/castellan-dev/castellan/api/v1alpha1"
	"github.com/castellan-dev/castellan/internal/identity"
	"github.com/castellan-dev/castellan/internal/model"
	"github.com/castellan-dev/castellan/internal/report"
)

func mustResolve(t *testing.T, in Inputs) *model.Cluster {
	t.Helper()
	c, faults := Resolve(in)
	if len(faults) > 0 {
		t.Fatalf("refused: %v", faults)
	}
	return c
}

func TestTheShortestManifestHasEveryDefault(t *testing.T) {
	in := running(
		t,
		`{version: "4.3.1", pools: [{name: main, replicas: 3, storage: {volumes: [{name: data, size: 1Gi}]}}]}`,
	)
	c := mustResolve(t, in)
	l := c.Listeners[0]
	if l.Name != "clients" || l.Port != 9092 || l.SecurityProtocol() != "SASL_SSL" ||
		l.Exposure != v1alpha1.ExposureInternal ||
		!slices.Equal(l.Mechanisms, []v1alpha1.Mechanism{v1alpha1.MechanismScram512}) {
		t.Errorf("listener: %+v", l)
	}
	if want := (v1alpha1.Defaults{ReplicationFactor: 3, MinInsyncReplicas: 2, Authorization: v1alpha1.AuthorizationSimple}); c.Defaults != want {
		t.Errorf("defaults: %+v", c.Defaults)
	}
	if c.Authorization != v1alpha1.AuthorizationSimple || c.Unavailable != v1alpha1.UnavailableProceed ||
		c.RackKey != "topology.kubernetes.io/zone" || c.TrustWindow != 24*time.Hour {
		t.Errorf("cluster: %+v", c)
	}
	if c.DynamicConfig[minISRKey] != "2" || c.Pools[0].HeapBytes != 1<<30 || c.Image != "apache/kafka:4.3.1" {
		t.Errorf("min ISR %s, heap %d, image %s", c.DynamicConfig[minISRKey], c.Pools[0].HeapBytes, c.Image)
	}
	if warnings := Warnings(c); len(warnings) > 0 {
		t.Errorf("warnings: %v", warnings)
	}
}

func TestConfigurationIsSplitByWhatARestartNeeds(t *testing.T) {
	in := running(t, `
version: "4.3.1"
pools:
- {name: control, replicas: 3, roles: [Controller], storage: {volumes: [{name: d, size: 1Gi}]}, config: {num.network.threads: "2"}}
- {name: brokers, replicas: 3, roles: [Broker], storage: {volumes: [{name: d, size: 1Gi}]}, config: {num.io.threads: "9", num.partitions: "5"}}
config: {log.retention.hours: "1", log.retention.ms: "5", num.partitions: "3", some.plugin: x, config.providers: env}
unmanagedConfig: [min.insync.replicas, max.connections]
`)
	c := mustResolve(t, in)
	for name, got := range map[string]map[string]string{
		"log.retention.ms:5": c.DynamicConfig,
		"config.providers:env log.retention.hours:1 num.network.threads:2 num.partitions:3 some.plugin:x": c.Pools[0].StaticConfig,
		"": c.Pools[0].DynamicConfig,
		"config.providers:env log.retention.hours:1 num.partitions:5 some.plugin:x": c.Pools[1].StaticConfig,
		"num.io.threads:9": c.Pools[1].DynamicConfig,
	} {
		var pairs []string
		for _, key := range sortedKeys(got) {
			pairs = append(pairs, key+":"+got[key])
		}
		if strings.Join(pairs, " ") != name {
			t.Errorf("got %v, want %s", pairs, name)
		}
	}
	if warnings := strings.Join(Warnings(c), "\n"); !strings.Contains(
		warnings,
		"spec.config[some.plugin]: Kafka 4.3.1 has no such key; it is passed on for a plug-in to read; check its spelling",
	) {
		t.Errorf("warnings: %s", warnings)
	}
}

func TestNodeIDs(t *testing.T) {
	pool := func(name string, replicas int32, first int32) v1alpha1.Pool {
		p := v1alpha1.Pool{Name: name, Replicas: &replicas}
		if first >= 0 {
			p.FirstNodeID = &first
		}
		return p
	}
	for _, tc := range []struct {
		name     string
		pools    []v1alpha1.Pool
		recorded []v1alpha1.PoolStatus
		want     string
		fault    string
	}{
		{"pools get thousands", []v1alpha1.Pool{pool("a", 3, -1), pool("b", 3, -1)}, nil, "[{a 0} {b 1000}]", ""},
		{"an id that was chosen is kept clear", []v1alpha1.Pool{pool("a", 3, -1), pool("b", 3, 950)}, nil, "[{b 950} {a 2000}]", ""},
		{"recorded ids stay", []v1alpha1.Pool{pool("b", 3, -1)}, []v1alpha1.PoolStatus{{Name: "b", FirstNodeID: 5000}}, "[{b 5000}]", ""},
		{"ids of a pool that is gone are never used again", []v1alpha1.Pool{pool("b", 3, -1)}, []v1alpha1.PoolStatus{{Name: "a", FirstNodeID: 0}}, "[{a 0} {b 1000}]", ""},
		{"neighbours may touch", []v1alpha1.Pool{pool("a", 3, 0), pool("b", 3, 3)}, nil, "[{a 0} {b 3}]", ""},
		{"neighbours may not grow into each other", []v1alpha1.Pool{pool("a", 4, 0), pool("b", 3, 3)}, nil, "[{a 0} {b 3}]", "spec.pools[b].firstNodeId"},
		{"ids of a pool that is gone cannot be chosen", []v1alpha1.Pool{pool("b", 1, 7)}, []v1alpha1.PoolStatus{{Name: "a", FirstNodeID: 0}}, "[{a 0} {b 7}]", "spec.pools[b].firstNodeId"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got, faults := identity.AssignNodeIDs(&v1alpha1.KafkaClusterSpec{Pools: tc.pools}, tc.recorded)
			if fmt.Sprint(got) != tc.want {
				t.Errorf("got %v, want %s", got, tc.want)
			}
			if (tc.fault == "") != (len(faults) == 0) || len(faults) > 0 && faults[0].Field != tc.fault {
				t.Errorf("faults: %v", faults)
			}
		})
	}
}

func TestControllerIDs(t *testing.T) {
	in := running(t, small)
	if got := identity.ControllerIDs(in.Spec, in.Cluster.Status.Pools); !slices.Equal(got, []int32{0, 1, 2}) {
		t.Errorf("controllers %v", got)
	}
}

func TestChangesThatAreAccepted(t *testing.T) {
	for name, change := range map[string]func(in *Inputs){
		"nothing":       func(*Inputs) {},
		"more brokers":  func(in *Inputs) { in.Spec.Pools[1].Replicas = new(int32(3)) },
		"a broker pool": func(in *Inputs) { p := in.Spec.Pools[1]; p.Name = "third"; in.Spec.Pools = append(in.Spec.Pools, p) },
		"another order": func(in *Inputs) { p := in.Spec.Pools; p[0], p[1] = p[1], p[0] },
		"no authorizer": func(in *Inputs) { in.Spec.Authorization = &v1alpha1.Authorization{Type: v1alpha1.AuthorizationNone} },
		"another heap":  func(in *Inputs) { in.Spec.Pools[0].JVM.Heap = ptr(resource.MustParse("2Gi")) },
		"a listener": func(in *Inputs) {
			in.Spec.Listeners = append(in.Spec.Listeners, v1alpha1.Listener{Name: "x", Port: 9099})
		},
		"a pod template": template(`{"spec":{"terminationGracePeriodSeconds":60,"serviceAccountName":"x","nodeSelector":{"a":"b"}}}`),
		"the same size in other words": func(in *Inputs) {
			in.Spec.Pools[0].Storage.Volumes[0].Size = resource.MustParse("10240Mi")
		},
		"more controllers before there is a quorum": func(in *Inputs) {
			in.Cluster.Status.Bootstrapped = false
			in.Spec.Pools[0].Replicas = new(int32(5))
		},
	} {
		t.Run(name, func(t *testing.T) {
			in := running(t, small)
			change(&in)
			mustResolve(t, in)
		})
	}
}

func TestAnAcceptedSpecThatIsNoLongerValidIsStillCaredFor(t *testing.T) {
	in := running(t, small)
	in.Spec.Config["node.id"] = "1"
	if c, faults := Resolve(in); c == nil || len(faults) != 1 {
		t.Errorf("cluster %v, faults %v", c, faults)
	}
}

func TestAnEvenNumberOfControllersIsAWarning(t *testing.T) {
	in := running(t, small)
	in.Accepted, in.Cluster.Status.Bootstrapped = nil, false
	in.Spec.Pools[0].Replicas = new(int32(2))
	in.Spec.Config[minISRKey] = "9"
	all := strings.Join(Warnings(mustResolve(t, in)), "\n")
	for _, want := range []string{"2 controllers survive no more failures than 1", "9 is more than the 4 brokers"} {
		if !strings.Contains(all, want) {
			t.Errorf("%q is not among the warnings:\n%s", want, all)
		}
	}
}

func TestWarningsOfPermissionsNameTheField(t *testing.T) {
	login := v1alpha1.Listener{Name: "clients", Port: 9092, Encryption: v1alpha1.EncryptionTLS,
		Authentication: &v1alpha1.ListenerAuthentication{Mechanisms: []v1alpha1.Mechanism{v1alpha1.MechanismScram512}}}
	open := v1alpha1.Listener{Name: "open", Port: 9093, Encryption: v1alpha1.EncryptionTLS}
	const simple, none = v1alpha1.AuthorizationSimple, v1alpha1.AuthorizationNone
	for name, c := range map[string]struct {
		recorded   v1alpha1.AuthorizationType
		listeners  []v1alpha1.Listener
		superUsers []string
		federated  []string
		want       string // how the one warning begins; empty = there is none
	}{
		"all log in, and ACLs decide": {recorded: simple, listeners: []v1alpha1.Listener{login}},
		"nobody logs in":              {recorded: none, listeners: []v1alpha1.Listener{open}},
		"a login that means nothing": {recorded: none, listeners: []v1alpha1.Listener{open, login},
			want: "spec.authorization.type: it is None, so that everybody may do everything, though spec.listeners[clients]"},
		"some do not log in": {recorded: simple, listeners: []v1alpha1.Listener{open, login},
			want: "spec.listeners[open]: everybody there is User:ANONYMOUS, who may do nothing without an ACL; give it some"},
		"whoever does not log in is a super user": {recorded: simple, listeners: []v1alpha1.Listener{open, login},
			superUsers: []string{"ANONYMOUS"}, want: "spec.authorization.superUsers[ANONYMOUS]: whoever reaches " +
				"spec.listeners[open] may do everything without a login; remove it"},
		"whoever will not log in is a super user": {recorded: simple, listeners: []v1alpha1.Listener{login},
			superUsers: []string{"ANONYMOUS"}, want: "spec.authorization.superUsers[ANONYMOUS]: as soon as a listener asks"},
		"whoever does not log in is a super user by the owner's word": {recorded: simple,
			listeners: []v1alpha1.Listener{open, login}, federated: []string{"ops", "ANONYMOUS"},
			want: "spec.authorization.federatedSuperUsers[ANONYMOUS]: whoever reaches spec.listeners[open] may do everything"},
	} {
		t.Run(name, func(t *testing.T) {
			in := running(t, small)
			in.Spec.Listeners = c.listeners
			in.Cluster.Status.Defaults.Authorization = c.recorded
			in.Spec.Authorization = &v1alpha1.Authorization{SuperUsers: c.superUsers, FederatedSuperUsers: c.federated}
			in.Accepted = nil
			model, _ := Resolve(in)
			warnings := permissions(model)
			if c.want == "" && len(warnings) > 0 ||
				c.want != "" && (len(warnings) != 1 || !strings.HasPrefix(warnings[0], c.want)) {
				t.Errorf("%q", warnings)
			}
		})
	}
}

func TestASecretInAVariableIsWelcome(t *testing.T) {
	in := running(t, small)
	in.Accepted = nil
	in.Spec.Config["delegation.token.secret.key"] = "${env:KEY}"
	in.Spec.Config["config.providers"] = "env"
	in.Spec.Config["some.plugin.password.file"] = "/etc/x"
	mustResolve(t, in)
}

func TestListenerStatusIsWhatClientsType(t *testing.T) {
	in := running(t, small)
	in.NodePorts = map[string]int32{
		"events-outside":        30000,
		"events-main-0-outside": 30001,
		"events-main-1-outside": 30002,
	}
	c := mustResolve(t, in)
	status := report.ListenerStatus(c, map[int32]model.HostIPs{0: {"10.0.0.2"}, 1: {"10.0.0.1"}, 1000: {"10.0.0.2"}})
	if got, want := status[0].BootstrapServers, "events-clients.shop.svc.cluster.local:9092"; got != want {
		t.Errorf("clients type %s, want %s", got, want)
	}
	if got, want := status[1].BootstrapServers, "10.0.0.1:30000,10.0.0.2:30000"; got != want {
		t.Errorf("clients outside type %s, want %s", got, want)
	}
	if got, want := fmt.Sprint(status[1].Addresses), "[{0 10.0.0.2 30001} {1 10.0.0.1 30002}]"; got != want {
		t.Errorf("addresses outside are %s, want %s", got, want)
	}
	if got := len(status[0].Addresses); got != 5 {
		t.Errorf("%d addresses inside, want 5", got)
	}
}
