package api

import (
	"reflect"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

func TestTheShortestManifestIsFilledIn(t *testing.T) {
	t.Parallel()
	cases := map[string]map[string]any{
		"KafkaCluster": {
			"spec.listeners":           nil, // the default is the operator's: an external cluster has none
			"spec.external":            nil,
			"spec.pools.0.roles":       []any{"Controller", "Broker"},
			"spec.pools.0.firstNodeId": nil,
			"spec.rack.topologyKey":    "topology.kubernetes.io/zone",
			"spec.rolling.unavailable": "Proceed",
			"spec.authorization":       nil,
			"spec.config":              nil,
			"spec.version":             "4.3.1",
		},
		"KafkaTopic": {
			"spec.name": nil, "spec.partitions": nil, "spec.replicationFactor": nil, "spec.deletionPolicy": nil, "spec.placement": nil,
			"spec.adoption": "Never", "spec.recreate": "Never", "spec.management": "Full", "spec.configPolicy": "Merge",
		},
		"KafkaUser": {
			"spec.name": nil, "spec.acls": nil, "spec.grants": nil, "spec.aclPolicy": "Exact", "spec.quotas": nil,
		},
	}
	for kind, fields := range cases {
		kept, err := tryCreate(t, manifest(t, kind, "{}"))
		if err != nil {
			t.Errorf("the shortest %s is refused: %v", kind, err)
			continue
		}
		for path, want := range fields {
			if got := dig(kept, path); !reflect.DeepEqual(got, want) {
				t.Errorf("%s: %s is %#v, expected %#v", kind, path, got, want)
			}
		}
	}
}

func TestDefaultsInsideLists(t *testing.T) {
	t.Parallel()
	kept, err := tryCreate(t, manifest(t, "KafkaCluster", listeners("{name: plain, port: 9092, encryption: None}")))
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]any{
		"name": "plain", "port": int64(9092), "encryption": "None", "exposure": map[string]any{"type": "Internal"},
	}
	if got := dig(kept, "spec.listeners.0"); !reflect.DeepEqual(got, want) {
		t.Errorf("a listener without authentication became %v, expected %v", got, want)
	}
	// A port is a number or a template of one, and both are kept as they are written.
	for text, want := range map[string]any{"443": int64(443), `"9000+{nodeId}"`: "9000+{nodeId}"} {
		kept, err = tryCreate(t, manifest(t, "KafkaCluster",
			listeners("{name: a, port: 9092, exposure: {advertised: {portTemplate: "+text+"}}}")))
		if err != nil {
			t.Fatal(err)
		}
		if got := dig(kept, "spec.listeners.0.exposure.advertised.portTemplate"); got != want {
			t.Errorf("the port %s became %v", text, got)
		}
	}
	kept, err = tryCreate(t, manifest(t, "KafkaUser", rule("{type: Topic, name: a}", "Read")))
	if err != nil {
		t.Fatal(err)
	}
	// The list of rules has one owner as a whole: what the server added would show to tools as a change.
	want = map[string]any{"resource": map[string]any{"type": "Topic", "name": "a"}, "operations": []any{"Read"}}
	if got := dig(kept, "spec.acls.0"); !reflect.DeepEqual(got, want) {
		t.Errorf("a rule became %v, expected %v", got, want)
	}
}

func TestWhatCannotChange(t *testing.T) {
	t.Parallel()
	cases := map[string]struct {
		kind, first, then string
		says              []string
	}{
		"a topic's cluster": {
			"KafkaTopic",
			`{}`,
			`spec: {clusterRef: {name: other}}`,
			[]string{"spec.clusterRef", "immutable", "make a new KafkaTopic"},
		},
		"a topic's name": {
			"KafkaTopic",
			`spec: {name: a}`,
			`spec: {name: b}`,
			[]string{"spec.name", "immutable", "make a new KafkaTopic"},
		},
		"a topic's name, set":    {"KafkaTopic", `{}`, `spec: {name: b}`, []string{"spec.name", "immutable"}},
		"a topic's name, to own": {"KafkaTopic", `{}`, `spec: {name: orders}`, []string{"spec.name", "immutable"}},
		"a topic's name, unset":  {"KafkaTopic", `spec: {name: a}`, `spec: {name: null}`, []string{"spec.name", "immutable"}},
		"a user's cluster": {
			"KafkaUser",
			`{}`,
			`spec: {clusterRef: {name: other}}`,
			[]string{"spec.clusterRef", "immutable", "make a new KafkaUser"},
		},
		"a user's name": {
			"KafkaUser",
			`spec: {name: a}`,
			`spec: {name: b}`,
			[]string{"spec.name", "immutable", "make a new KafkaUser"},
		},
		"a user's name, set":   {"KafkaUser", `{}`, `spec: {name: b}`, []string{"spec.name", "immutable"}},
		"a user's name, unset": {"KafkaUser", `spec: {name: a}`, `spec: {name: null}`, []string{"spec.name", "immutable"}},
		"an own cluster, to external": {"KafkaCluster", `{}`, external(`bootstrapServers: ["a:9092"]`),
			[]string{"spec.external cannot be added", "make a new KafkaCluster"}},
		"an external cluster, to own": {
			"KafkaCluster",
			external(`bootstrapServers: ["a:9092"]`),
			`spec: {version: 4.3.1, external: null, pools: [{name: main, replicas: 1, storage: {volumes: [{name: data, ` +
				`size: 1Gi}]}}]}`,
			[]string{"spec.external cannot be added", "removed from it"},
		},
		"a pool's first id": {
			"KafkaCluster",
			pool("firstNodeId: 10"),
			pool("firstNodeId: 20"),
			[]string{"spec.pools[0]", "firstNodeId is immutable", "make a new pool"},
		},
		"a pool's first id, set": {
			"KafkaCluster",
			pool("replicas: 3"),
			pool("firstNodeId: 0"),
			[]string{"firstNodeId is immutable"},
		},
		"a pool's first id, unset": {"KafkaCluster", pool("firstNodeId: 0"), pool("replicas: 3"),
			[]string{"firstNodeId is immutable"}},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			live := create(t, namespace(t), manifest(t, c.kind, c.first))
			mustRefuse(t, update(t, live, c.then), c.says...)
		})
	}
}

func TestWhatMayChange(t *testing.T) {
	t.Parallel()
	cases := map[string]struct{ kind, first, then string }{
		"replicas": {"KafkaCluster", pool("replicas: 3"), pool("replicas: 4")},
		"config":   {"KafkaCluster", `{}`, `spec: {config: {log.retention.hours: "1"}}`},
		"a pool more with a first id": {
			"KafkaCluster",
			`{}`,
			`spec: {pools: [{name: main, replicas: 3, storage: {volumes: [{name: data, size: 10Gi}]}}, {name: more, ` +
				`replicas: 1, firstNodeId: 50, roles: [Broker], storage: {volumes: [{name: data, size: 10Gi}]}}]}`,
		},
		"access": {
			"KafkaCluster",
			`{}`,
			`spec: {access: {namespaces: {matchLabels: {example.com/team: a}, matchExpressions: [{key: b.c/d, operator: In, ` +
				`values: [c, d]}]}}}`,
		},
		"what guests may have, be called and lose": {
			"KafkaCluster",
			`spec: {access: {namespaces: {}, limits: {topics: 1}, names: {prefixes: [a]}, evicted: [b], grants: ` +
				`[{namespace: a, permissions: [Adopt]}]}}`,
			`spec: {access: {namespaces: {}, limits: {topics: 0, partitions: 10, users: 1, plainUsers: 1}, names: {prefixes: ` +
				`["{namespace}."]}, evicted: [a], grants: [{namespace: b, permissions: [InternalTopics], clusterOperations: ` +
				`[IdempotentWrite]}]}}`,
		},
		"what guests may have, taken back": {
			"KafkaCluster",
			`spec: {access: {namespaces: {}, limits: {partitions: 1}, names: {prefixes: [a]}, evicted: [b], grants: ` +
				`[{namespace: a, permissions: [Adopt]}]}}`,
			`spec: {access: {namespaces: {}, limits: null, names: null, evicted: null, grants: null}}`,
		},
		"everything of an external cluster": {"KafkaCluster", external(`bootstrapServers: ["a:9092"]`),
			`spec: {external: {bootstrapServers: ["b:9093"], tls: {caSecret: {name: trust}}, authentication: {mechanism: ` +
				`TLS, secretName: login}}}`},
		"partitions":                {"KafkaTopic", `{}`, `spec: {partitions: 12}`},
		"a topic's deletion policy": {"KafkaTopic", `{}`, `spec: {deletionPolicy: Retain}`},
		"a topic's care": {
			"KafkaTopic",
			`spec: {partitions: 1, replicationFactor: 1}`,
			`spec: {adoption: Always, recreate: Always, management: Observe, configPolicy: Exact, replicationFactor: 2, ` +
				`placement: {racks: [a]}}`,
		},
		"an internal topic's config": {
			"KafkaTopic",
			`spec: {name: __consumer_offsets}`,
			`spec: {config: {segment.bytes: "1"}}`,
		},
		"a user's mechanisms and ACLs": {
			"KafkaUser",
			`{}`,
			`spec: {authentication: {mechanisms: [PLAIN]}, acls: [{resource: {type: Cluster}, operations: [Describe]}]}`,
		},
		"a user's credential, to elsewhere": {"KafkaUser", `{}`, `spec: {authentication: {mechanisms: [External]}}`},
		"a user's credential, from elsewhere": {
			"KafkaUser", `spec: {name: app, authentication: {mechanisms: [External]}}`,
			`spec: {authentication: {mechanisms: [PLAIN]}}`,
		},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if err := update(t, create(t, namespace(t), manifest(t, c.kind, c.first)), c.then); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestStatusIsASubresource(t *testing.T) {
	t.Parallel()
	for kind, status := range map[string]string{
		"KafkaCluster": `status: {brokers: 3/3, observedGeneration: 1}`,
		"KafkaTopic":   `status: {topicId: x, observedGeneration: 1}`,
		"KafkaUser":    `status: {name: app, observedGeneration: 1}`,
	} {
		live := create(t, namespace(t), manifest(t, kind, status))
		if got := dig(live, "status"); !reflect.DeepEqual(got, map[string]any{"observedGeneration": int64(-1)}) {
			t.Errorf("%s: creation kept the status %v, expected only the default", kind, got)
		}
		live.Object = lay(live.Object, parse(t, status))
		live.SetLabels(map[string]string{"changed": "yes"})
		if err := kube.Status().Update(t.Context(), live); err != nil {
			t.Errorf("%s: %v", kind, err)
			continue
		}
		if dig(live, "status.observedGeneration") != int64(1) || live.GetLabels() != nil || live.GetGeneration() != 1 {
			t.Errorf(
				"%s: after a write of status alone: status %v, labels %v, generation %d",
				kind,
				dig(live, "status"),
				live.GetLabels(),
				live.GetGeneration(),
			)
		}
		if err := update(t, live, "status: null"); err != nil {
			t.Errorf("%s: %v", kind, err)
		}
		if err := kube.Get(t.Context(), client.ObjectKeyFromObject(live), live); err != nil || dig(live, "status") == nil {
			t.Errorf("%s: an update of the object took its status away (error %v)", kind, err)
		}
	}
}

// managedFields that name each field of a status cost the API server more than the write itself.
func TestAStatusIsOneValueToManagedFields(t *testing.T) {
	t.Parallel()
	for kind := range shortest {
		live := create(t, namespace(t), manifest(t, kind, "{}"))
		patch := client.RawPatch(types.MergePatchType, []byte(`{"status":{"observedGeneration":1,"operator":"a/b"}}`))
		if err := kube.Status().Patch(t.Context(), live, patch, client.FieldOwner("castellan")); err != nil {
			t.Fatal(err)
		}
		owned := ""
		for _, entry := range live.GetManagedFields() {
			if entry.Subresource == "status" {
				owned += entry.Manager + " " + entry.FieldsV1.GetRawString()
			}
		}
		if owned != `castellan {"f:status":{}}` {
			t.Errorf("%s: %s", kind, owned)
		}
	}
}

// applyAs applies YAML under a manager's name.
func applyAs(t *testing.T, manager, namespace, text string) error {
	t.Helper()
	u := &unstructured.Unstructured{Object: parse(t, text)}
	u.SetNamespace(namespace)
	u.SetName("events")
	u.SetAPIVersion("kafka.castellan.dev/v1alpha1")
	u.SetKind("KafkaCluster")
	return kube.Apply(t.Context(), client.ApplyConfigurationFromUnstructured(u), client.FieldOwner(manager))
}

func TestTwoManagersShareTheListsOfACluster(t *testing.T) {
	t.Parallel()
	const (
		base = `spec: {version: 4.3.1, pools: [{name: main, replicas: 3, storage: {volumes: [{name: data, size: ` +
			`1Gi}]}}], listeners: [{name: clients, port: 9092}]}`
		extra = `spec: {pools: [{name: extra, replicas: 1, roles: [Broker], storage: {volumes: [{name: data, size: ` +
			`1Gi}]}}], listeners: [{name: outside, port: 9094, exposure: {type: NodePort}}]}`
		none = `spec: {}`
	)
	ns := namespace(t)
	steps := []struct {
		manager, text    string
		pools, listeners int
	}{
		{"team-a", base, 1, 1},
		{"team-b", extra, 2, 2},
		{"team-a", base, 2, 2},
		{"team-b", none, 1, 1},
	}
	for i, s := range steps {
		if err := applyAs(t, s.manager, ns, s.text); err != nil {
			t.Fatalf("step %d: %v", i, err)
		}
		live := manifest(t, "KafkaCluster", "{}")
		if err := kube.Get(t.Context(), client.ObjectKey{Namespace: ns, Name: "events"}, live); err != nil {
			t.Fatal(err)
		}
		pools, _ := dig(live, "spec.pools").([]any)
		listeners, _ := dig(live, "spec.listeners").([]any)
		if len(pools) != s.pools || len(listeners) != s.listeners {
			t.Errorf(
				"after %s applied (step %d): %d pools and %d listeners, expected %d and %d",
				s.manager,
				i,
				len(pools),
				len(listeners),
				s.pools,
				s.listeners,
			)
		}
	}
	err := applyAs(t, "team-b", ns, `spec: {pools: [{name: main, replicas: 5}]}`)
	if !apierrors.IsConflict(err) {
		t.Errorf("two managers of one field: error %v, expected a conflict", err)
	} else {
		mustRefuse(t, err, "team-a", `pools[name="main"].replicas`)
	}
}

func TestASecondManagersListenerStandsInPlaceOfTheDefaultOne(t *testing.T) {
	t.Parallel()
	ns := namespace(t)
	create(t, ns, manifest(t, "KafkaCluster", "{}"))
	if err := applyAs(t, "other", ns, `spec: {listeners: [{name: outside, port: 9094}]}`); err != nil {
		t.Fatal(err)
	}
	live := manifest(t, "KafkaCluster", "{}")
	if err := kube.Get(t.Context(), client.ObjectKey{Namespace: ns, Name: "events"}, live); err != nil {
		t.Fatal(err)
	}
	if got, _ := dig(live, "spec.listeners").([]any); len(got) != 1 {
		t.Errorf("listeners: %v, expected outside alone", got)
	}
}
