package model

import (
	"testing"

	"github.com/castellan-dev/castellan/internal/kafka"
)

// A quorum changes between node 0, a combined one, and nodes 1000 and 1001.
func TestTheSuccessorKnowsTheLeaderAndIsThereOnlyWhileTheQuorumChanges(t *testing.T) {
	ready := func(name string) ObservedNode {
		return ObservedNode{Pod: &ObservedPod{Name: name, Controller: true, Ready: true}}
	}
	all := map[int32]ObservedNode{0: ready("main-0"), 1000: ready("ctl-1000"), 1001: ready("ctl-1001")}
	dedicated := map[int32]ObservedNode{
		0:    {Pod: &ObservedPod{Name: "main-0", Broker: true, Ready: true}},
		1000: all[1000],
		1001: all[1001],
	}
	starting := map[int32]ObservedNode{
		0:    all[0],
		1000: {Pod: &ObservedPod{Name: "ctl-1000", Controller: true}},
		1001: all[1001],
	}
	cases := map[string]struct {
		founding bool
		combined bool // node 0 is asked to be a controller, and nobody else
		nodes    map[int32]ObservedNode
		voters   []int32 // nil = there is no view of Kafka
		want     string
	}{
		"nothing changes":                        {nodes: dedicated, voters: []int32{1000, 1001}},
		"the quorum is not yet founded":          {founding: true, nodes: dedicated},
		"two join, of whom none votes":           {nodes: all, voters: []int32{0}, want: "main-0"},
		"two join, of whom one votes":            {nodes: all, voters: []int32{0, 1001}, want: "ctl-1001"},
		"one leaves, and those that stay vote":   {nodes: all, voters: []int32{0, 1000, 1001}, want: "ctl-1000"},
		"one has left the quorum and still runs": {nodes: all, voters: []int32{1000, 1001}, want: "ctl-1000"},
		"one leaves, and the first is not ready": {nodes: starting, voters: []int32{0, 1000, 1001}, want: "ctl-1001"},
		"a voter has no pod any more":            {nodes: dedicated, voters: []int32{1000, 1001, 1002}, want: "ctl-1000"},
		"nothing is known":                       {nodes: all, want: "ctl-1000"},
		"two leave for one that does not vote yet": {
			combined: true,
			nodes:    all,
			voters:   []int32{1000, 1001},
			want:     "ctl-1000",
		},
		"two leave for one that votes": {
			combined: true,
			nodes:    all,
			voters:   []int32{0, 1000, 1001},
			want:     "main-0",
		},
		"nobody is ready": {nodes: map[int32]ObservedNode{1000: starting[1000]}},
	}
	for name, test := range cases {
		t.Run(name, func(t *testing.T) {
			c := &Cluster{
				ClusterID: "id", Bootstrapped: !test.founding,
				Pools: []Pool{{Name: "main", Broker: true, Controller: test.combined}, {Name: "ctl", Controller: !test.combined}},
				Nodes: []Node{{ID: 0, Pool: "main"}, {ID: 1000, Pool: "ctl"}, {ID: 1001, Pool: "ctl"}},
			}
			if test.combined {
				c.Nodes = c.Nodes[:1]
			}
			o := &Observation{Nodes: test.nodes}
			if test.voters != nil {
				o.Kafka = &kafka.Snapshot{ClusterID: "id"}
				for _, id := range test.voters {
					o.Kafka.Quorum.LeaderID = id
					o.Kafka.Quorum.Voters = append(o.Kafka.Quorum.Voters, kafka.QuorumReplica{ID: id})
				}
			}
			if got := c.FindSuccessor(o); got != test.want {
				t.Errorf("%q, expected %q", got, test.want)
			}
		})
	}
}
