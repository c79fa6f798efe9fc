package e2e

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/castellan-dev/castellan/api/v1alpha1"
	"github.com/castellan-dev/castellan/test/timeline"
)

// fleet has six brokers in three zones, two in each, and three controllers of their own: the smallest cluster in which
// restarting a rack at once differs from restarting one broker.
var fleet = sharedCluster{what: "fleet", manifest: fleetManifest, grow: []func(kafkaCluster){
	func(c kafkaCluster) { c.Spec.Pools[1].Replicas = new(int32(3)) },
	func(c kafkaCluster) { c.Spec.Pools[0].Replicas = new(int32(6)) },
}}

const fleetManifest = `
kind: KafkaCluster
metadata: {name: events}
spec:
  version: "4.3.1"
  pools:
  - name: main
    replicas: 3
    roles: [Broker]
    storage: {volumes: [{name: data, size: 1Gi}]}
    jvm: {heap: 256Mi}
    podTemplate: {metadata: {labels: {example.com/cluster: fleet}}}
  - name: ctl
    replicas: 1
    roles: [Controller]
    storage: {volumes: [{name: data, size: 1Gi}]}
    jvm: {heap: 256Mi}
    podTemplate: {metadata: {labels: {example.com/cluster: fleet}}}
  listeners:
  - {name: outside, port: 9094, encryption: None, exposure: {type: NodePort}, authentication: {mechanisms: [SCRAM-SHA-512]}}
  authorization: {type: Simple, superUsers: [admin]}
  config:
    auto.create.topics.enable: "false"
    offsets.topic.num.partitions: "3"
    group.initial.rebalance.delay.ms: "0"
`

// fleetLabel selects the fleet's pods among those of a Kubernetes node.
const fleetLabel = "example.com/cluster=fleet"

// Names of the fleet's brokers, as a recorder has them.
var fleetBrokers = []string{"main-0", "main-1", "main-2", "main-3", "main-4", "main-5"}

// once says that each of these brokers was restarted once.
func once(names ...string) map[string]int {
	want := map[string]int{}
	for _, name := range names {
		want[name] = 1
	}
	return want
}

// voyage is one case on a recorded cluster under load.
type voyage struct {
	ns      string
	cluster kafkaCluster
	login   login
	flow    *flow
	rec     *recorder
	first   map[string]string // Kubernetes nodes at the start of a drain, by broker
}

// sail begins a case on the cluster: it is healthy, records flow, and every broker is watched.
func (s *sharedCluster) sail(t *testing.T) *voyage {
	t.Helper()
	if s.get(t) {
		figureSeconds(t, s.what+"-apply-to-ready", s.readyIn)
	}
	l := s.login(t)
	waitInSync(t, l.admin(t))
	v := &voyage{ns: s.namespace, cluster: clusterNamed(s.namespace, sharedName), login: l}
	if err := refresh(t.Context(), v.cluster); err != nil {
		t.Fatal(err)
	}
	v.flow = startFlow(t, l, sharedTopic, "flow-of-"+t.Name())
	v.rec = startRecorder(t, s.namespace, sharedName, l)
	return v
}

// arrive ends the case: the cluster is Ready and in sync, the clients noticed nothing, and no partition fell below its
// minimum. It returns what was seen.
func (v *voyage) arrive(t *testing.T, within time.Duration, title string) *timeline.Record {
	t.Helper()
	waitReady(t, within, v.cluster)
	waitInSync(t, v.login.admin(t))
	v.flow.stopServed(t)
	return v.rec.finish(t, title)
}

// setMain sets a key for the pool of brokers alone.
func setMain(c kafkaCluster, key, value string) {
	if mainPool(c).Config == nil {
		mainPool(c).Config = v1alpha1.Config{}
	}
	mainPool(c).Config[key] = value
}

// waitRestarts waits until so many of the recorded brokers were restarted.
func (v *voyage) waitRestarts(t *testing.T, n int) []string {
	t.Helper()
	var names []string
	eventually(t, 2*time.Minute, fmt.Sprintf("%d brokers are restarted", n), func(ctx context.Context) error {
		if names = v.rec.restarted(); len(names) >= n {
			return nil
		}
		return fmt.Errorf("restarted are %v: %w", names, isReady(ctx, v.cluster))
	})
	return names
}

// restarted lists the brokers that have had another life since the record began, whether they serve again or not.
func (r *recorder) restarted() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	var names []string
	for name, n := range r.record.Restarts() {
		if pod := r.pods[name]; n > 0 || pod == nil || pod.DeletionTimestamp != nil {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}
