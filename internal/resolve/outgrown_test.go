package resolve

import (
	"strings"
	"testing"

	"github.com/castellan-dev/castellan/api/v1alpha1"
	"github.com/castellan-dev/castellan/internal/identity"
)

// What is recorded for the first size stays, and a cluster that has outgrown it is told so until somebody decides.
func TestOutgrownDefaultsAreToldUntilTheyAreSet(t *testing.T) {
	const made = `{version: "4.3.1", pools: [{name: main, replicas: 1, storage: {volumes: [{name: data, size: 1Gi}]}}]}`
	brokers := func(n int32) func(*Inputs) { return func(in *Inputs) { in.Spec.Pools[0].Replicas = new(n) } }
	set := func(config v1alpha1.Config, n int32) func(*Inputs) {
		return func(in *Inputs) { in.Spec.Pools[0].Replicas, in.Spec.Config = &n, config }
	}
	const factor, minISR = "default.replication.factor", minISRKey
	const began, end = "spec.config: the cluster was made with ", ", or the values that shall stay"
	cases := map[string]struct {
		change func(*Inputs)
		want   string
	}{
		"one broker as at the beginning": {brokers(1), ""},
		"grown to three": {brokers(3), began + `1 broker and has 3, and topics still get 1 replica and min.insync.replicas 1; ` +
			`set default.replication.factor: "3" (restarts brokers) and min.insync.replicas: "2"` + end},
		"grown to two": {brokers(2), began + `1 broker and has 2, and topics still get 1 replica; ` +
			`set default.replication.factor: "2" (restarts brokers)` + end},
		"grown to three, and the factor is set": {set(v1alpha1.Config{factor: "3"}, 3), began +
			`1 broker and has 3, and topics still get min.insync.replicas 1; set min.insync.replicas: "2"` + end},
		"grown to three, and min ISR is set to what it was": {set(v1alpha1.Config{minISR: "1"}, 3), began +
			`1 broker and has 3, and topics still get 1 replica; set default.replication.factor: "3" (restarts brokers)` + end},
		"grown to three, and both are set": {set(v1alpha1.Config{factor: "1", minISR: "1"}, 3), ""},
		"grown to three, and others set min ISR": {func(in *Inputs) {
			set(v1alpha1.Config{factor: "3"}, 3)(in)
			in.Spec.UnmanagedConfig = []string{minISR}
		}, ""},
		"grown to three, and the only pool with brokers sets the factor": {func(in *Inputs) {
			set(v1alpha1.Config{minISR: "2"}, 3)(in)
			in.Spec.Pools[0].Config = v1alpha1.Config{factor: "3"}
		}, ""},
		"made with two and grown to three": {func(in *Inputs) {
			brokers(2)(in)
			*in.Cluster.Status.Defaults = identity.Defaults(in.Spec)
			brokers(3)(in)
		}, began + `2 brokers and has 3, and topics still get 2 replicas and min.insync.replicas 1; ` +
			`set default.replication.factor: "3" (restarts brokers) and min.insync.replicas: "2"` + end},
		"made with three and shrunk to one": {func(in *Inputs) {
			brokers(3)(in)
			*in.Cluster.Status.Defaults = identity.Defaults(in.Spec)
			brokers(1)(in)
		}, ""},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			in := running(t, made)
			c.change(&in)
			cluster, _ := Resolve(in)
			if got := strings.Join(Outgrown(cluster, in.Spec), "\n"); got != c.want {
				t.Errorf("got  %q\nwant %q", got, c.want)
			}
		})
	}
}
