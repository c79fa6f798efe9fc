package resolve

import (
	"reflect"
	"testing"

	"github.com/castellan-dev/castellan/api/v1alpha1"
	"github.com/castellan-dev/castellan/internal/verdict"
)

// scaled leaves the number of nodes of a pool to spec.replicas.
func scaled(pool int, replicas int32) func(in *Inputs) {
	return func(in *Inputs) { in.Spec.Pools[pool].Replicas, in.Spec.Replicas = nil, &replicas }
}

var replicasFaults = []badInput{
	{"two pools that say no number", func(in *Inputs) {
		scaled(0, 3)(in)
		scaled(1, 2)(in)
	}, verdict.ReasonInvalid, "spec.pools[extra].replicas", "pools main, extra have no replicas, and spec.replicas is for one " +
		"alone; say how many nodes each of the others has"},
	{"a pool of which nothing says a number", func(in *Inputs) { in.Spec.Pools[1].Replicas = nil },
		verdict.ReasonInvalid, "spec.pools[extra].replicas", "set it here, or in spec.replicas"},
	{"a number that is for no pool", func(in *Inputs) { in.Spec.Replicas = ptr[int32](3) },
		verdict.ReasonInvalid, "spec.replicas", "take replicas out of the pool that it is for, or remove spec.replicas"},
	{"more than a pool can have, by spec.replicas", scaled(1, 101), verdict.ReasonInvalid, "spec.replicas", "0 to 100 nodes"},
	{"no controllers, by spec.replicas", scaled(0, 0), verdict.ReasonInvalid, "spec.pools", "no node has the role Controller"},
	{"ids of another pool, by spec.replicas", func(in *Inputs) {
		in.Cluster.Status.Pools = []v1alpha1.PoolStatus{{Name: "main", FirstNodeID: 0}, {Name: "extra", FirstNodeID: 3}}
		scaled(0, 4)(in)
	}, verdict.ReasonInvalid, "spec.pools[extra].replicas", "overlap those of pool main"},
	{"more founders, by spec.replicas", func(in *Inputs) {
		in.Cluster.Status.Bootstrapped = false
		in.Cluster.Status.InitialVoters = []v1alpha1.InitialVoter{{NodeID: 0, DiskUID: "disk"}, {NodeID: 1}, {NodeID: 2}}
		scaled(0, 5)(in)
	}, verdict.ReasonInvalid, "spec.replicas", "set replicas back to 3"},
}

// Whoever hands a pool over to kubectl scale changes nothing by that, on the way there and back.
func TestAPoolIsTheSameWhicheverFieldSaysHowManyNodesItHas(t *testing.T) {
	for pool, replicas := range map[int]int32{0: 3, 1: 2} {
		in := running(t, small)
		before, faults := Resolve(in)
		if len(faults) > 0 {
			t.Fatal(faults)
		}
		scaled(pool, replicas)(&in)
		after, faults := Resolve(in)
		if len(faults) > 0 {
			t.Fatalf("pool %d: %v", pool, faults)
		}
		for i := range after.Pools {
			if after.Pools[i].Scaled != (i == pool) {
				t.Errorf("pool %d: that spec.replicas is for pool %s: %t", pool, after.Pools[i].Name, after.Pools[i].Scaled)
			}
			after.Pools[i].Scaled = false
		}
		if !reflect.DeepEqual(before, after) {
			t.Errorf("pool %d: %+v, expected %+v", pool, after, before)
		}
		in.Accepted, in.Spec = in.Spec, in.Accepted
		if back, faults := Resolve(in); len(faults) > 0 || !reflect.DeepEqual(before, back) {
			t.Errorf("pool %d, back: %v; %+v, expected %+v", pool, faults, back, before)
		}
	}
}

func TestThePoolThatIsScaledHasSoManyNodes(t *testing.T) {
	in := running(t, small)
	scaled(1, 2)(&in)
	in.Accepted = in.Spec.DeepCopy()
	scaled(1, 5)(&in)
	c, faults := Resolve(in)
	if len(faults) > 0 || c.Pool("extra").Replicas != 5 || len(c.Nodes) != 8 || c.Pool("main").Replicas != 3 {
		t.Errorf("%v; %+v", faults, c.Pools)
	}
}
