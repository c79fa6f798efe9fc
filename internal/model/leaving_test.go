package model

import "testing"

// A quorum of nodes 0 to 2 gives way to one of nodes 1000 to 1002, or the other way round.
func TestTheSuccessorIsAControllerThatStaysAndIsThereOnlyWhileOthersLeave(t *testing.T) {
	c := &Cluster{
		Pools: []Pool{{Name: "main", Broker: true}, {Name: "ctl", Controller: true}},
		Nodes: []Node{{ID: 0, Pool: "main", PodName: "main-0"}, {ID: 1000, Pool: "ctl", PodName: "ctl-1000"}, {ID: 1001, Pool: "ctl", PodName: "ctl-1001"}},
	}
	controller, starting := ObservedNode{Pod: &ObservedPod{Controller: true, Ready: true}}, ObservedNode{Pod: &ObservedPod{Controller: true}}
	broker := ObservedNode{Pod: &ObservedPod{Broker: true, Ready: true}}
	cases := map[string]struct {
		nodes map[int32]ObservedNode
		want  string
	}{
		"nobody leaves":                     {map[int32]ObservedNode{0: broker, 1000: controller, 1001: controller}, ""},
		"a node loses the role":             {map[int32]ObservedNode{0: controller, 1000: controller, 1001: controller}, "ctl-1000"},
		"a controller leaves":               {map[int32]ObservedNode{0: broker, 1000: controller, 1001: controller, 1002: controller}, "ctl-1000"},
		"the first of those that stay":      {map[int32]ObservedNode{0: controller, 1001: controller, 1000: starting}, "ctl-1001"},
		"nobody who stays is ready":         {map[int32]ObservedNode{0: controller, 1000: starting}, ""},
		"no pod of those that stay is seen": {map[int32]ObservedNode{0: controller, 1000: {}}, ""},
	}
	for name, test := range cases {
		t.Run(name, func(t *testing.T) {
			if got := c.FindSuccessor(&Observation{Nodes: test.nodes}); got != test.want {
				t.Errorf("%q, expected %q", got, test.want)
			}
		})
	}
}
