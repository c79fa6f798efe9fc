package plan

import (
	"fmt"
	"slices"
)

// upgradeStories tell of versions of Kafka.
var upgradeStories = []story{
	{"upgrade, then metadata.version", func() *sim {
		c := simPools("ctl:0:3:c", "brk:1000:3:b")
		c.Version = "4.2.2"
		s := newSim(c)
		s.settle(300)
		s.topic("orders", 2, []int32{1000, 1001, 1002})
		return toldAnew(s)
	}, func(s *sim) {
		s.c.MetadataVersion = 30
		s.editVersion("4.3.1")
	}},
	{"downgrade", func() *sim {
		s := dedicated()
		s.kafka.level = 29
		return toldAnew(s)
	}, func(s *sim) { s.editVersion("4.2.2") }},
	{"upgrade taken back in the middle", func() *sim {
		c := simPools("ctl:0:3:c", "brk:1000:3:b")
		c.Version = "4.2.2"
		s := newSim(c)
		s.settle(300)
		s.topic("orders", 2, []int32{1000, 1001, 1002})
		return toldAnew(s)
	}, func(s *sim) {
		s.editVersion("4.3.1")
		for s.started[1] == 0 {
			s.run(1)
		}
		s.note("(the user takes the upgrade back)")
		s.editVersion("4.2.2")
	}},
}

// quorumStories tell of controllers that come and go.
var quorumStories = []story{
	{"one controller becomes three, five, and three again", func() *sim {
		s := atRest("ctl:0:1:c", "brk:1000:3:b")
		s.topic("orders", 2, []int32{1000, 1001, 1002})
		return toldAnew(s)
	}, func(s *sim) {
		for _, controllers := range []int32{3, 5, 3} {
			s.note("(the user asks for %d controllers)", controllers)
			s.scale("ctl", controllers)
			s.settle(600)
		}
	}},
	{"combined becomes dedicated", threeCombined, func(s *sim) {
		s.addPool("ctl:100:3:c")
		s.setRoles("main", "b")
	}},
	{"dedicated becomes combined", dedicated, func(s *sim) {
		s.removePool("ctl")
		s.setRoles("brk", "cb")
	}},
	{"a pool whose sidecars are unready hands its controllers to another", handsOver, func(s *sim) {
		for _, id := range []int32{0, 1, 2} {
			s.nodes[id].sidecarIn = 1 << 20
		}
		s.run(30)
		s.note("(the user mends the sidecar, and gives the role Controller to pool more)")
		s.editTemplate("main", "t2")
		s.setRoles("main", "b")
		s.setRoles("more", "cb")
	}},
	{"a pool with a failed disk hands its controllers to another", handsOver, func(s *sim) {
		s.note("(the second disk of node 1 fails, and the user gives the role Controller to pool more)")
		s.failDisk(s.nodes[1])
		s.setRoles("main", "b")
		s.setRoles("more", "cb")
	}},
	{"a pool with a failed disk that is being deleted hands its controllers to another", handsOver, func(s *sim) {
		s.note("(the second disk of node 1 fails, and the operator dies once it has deleted its claim)")
		s.failDisk(s.nodes[1])
		s.nodes[1].second.replace, s.nodes[1].second.going = true, true
		s.note("(the user gives the role Controller to pool more)")
		s.setRoles("main", "b")
		s.setRoles("more", "cb")
	}},
	{"five controllers are wanted, and then three again in the middle", dedicated, func(s *sim) {
		s.scale("ctl", 5)
		for len(s.kafka.voters) < 4 {
			s.run(1)
		}
		s.note("(the user asks for 3 controllers again)")
		s.scale("ctl", 3)
	}},
	{"a controller that is gone for good leaves the quorum at once", func() *sim {
		s := atRest("ctl:0:5:c", "brk:1000:3:b")
		return toldAnew(s)
	}, func(s *sim) {
		s.note("(the machine of node 4 loses power)")
		s.power(s.nodes[4], true)
		s.run(20)
		s.note("(the user asks for 3 controllers)")
		s.scale("ctl", 3)
		s.run(60)
		s.note("(the machine of node 4 is back)")
		s.power(s.nodes[4], false)
	}},
	{"the leader of the quorum leaves last", dedicated, func(s *sim) {
		s.addPool("new:100:3:c")
		s.removePool("ctl")
	}},
}

// sizeStories tell of pools that grow, shrink, come and go.
var sizeStories = []story{
	{"disks grow and the StatefulSet follows", func() *sim {
		s := atRest("main:0:3:cb")
		s.topic("orders", 2, []int32{0, 1, 2})
		return toldAnew(s)
	}, func(s *sim) {
		s.growDisks("main")
		s.settle(60)
		s.note("(the user asks for one more node)")
		s.scale("main", 4)
	}},
	{"disks grow while a node is down", func() *sim {
		s := atRest("main:0:3:cb")
		s.topic("orders", 2, []int32{0, 1, 2})
		return toldAnew(s)
	}, func(s *sim) {
		s.kill(s.nodes[1])
		s.growDisks("main")
	}},
	{"a pool shrinks while its StatefulSet is renewed", func() *sim {
		s := atRest("main:0:4:cb")
		s.topic("orders", 2, []int32{0, 1, 3})
		return toldAnew(s)
	}, func(s *sim) {
		s.growDisks("main")
		for !s.sets["main"].orphaned {
			s.run(1)
		}
		s.note("(the user asks for three nodes)")
		s.scale("main", 3)
	}},
	{"disks of one pool of several grow and no StatefulSet is renewed", func() *sim {
		return toldAnew(atRest("ctl:0:3:c", "brk:1000:3:b"))
	}, func(s *sim) { s.growDisks("brk") }},
	{"the claims of a broker go with it", func() *sim {
		s := atRest("ctl:0:3:c", "brk:1000:4:b")
		s.topic("orders", 2, []int32{1000, 1001, 1003})
		return toldAnew(s)
	}, func(s *sim) {
		s.deleteWhenScaled("brk")
		s.run(2)
		s.scale("brk", 3)
	}},
	{"scale from three to four", threeCombined, func(s *sim) { s.scale("main", 4) }},
	{"a broker leaves once it is empty", dedicated, func(s *sim) {
		s.users.emptyAfter = 30
		s.scale("brk", 3)
	}},
	{"a broker that is wanted again stays", dedicated, func(s *sim) {
		s.users.emptyAfter = 0
		s.scale("brk", 3)
		s.run(20)
		s.note("(the user wants the broker again)")
		s.scale("brk", 4)
	}},
	{"a reassignment by somebody else stops a departure", func() *sim {
		s := dedicated()
		s.kafka.parts = s.kafka.parts[:1]
		return toldAnew(s)
	}, func(s *sim) {
		s.note("(somebody moves orders-0, and it does not end)")
		s.broken[1003] = true
		s.nodes[1003].syncIn = 1
		s.reassign(&s.kafka.parts[0], []int32{1000, 1001, 1003})
		s.addPool("more:2000:1:b")
		s.run(40)
		s.removePool("more")
		s.run(40)
		s.note("(the reassignment ends)")
		s.broken[1003] = false
	}},
	{"a broker that leaves gets no new replica", dedicated, func(s *sim) {
		s.users.emptyAfter = 30
		s.scale("brk", 3)
		s.run(5)
		for i := range 4 {
			s.create(fmt.Sprintf("late-%d", i), 1, 3)
		}
		if s.kafka.own[1003][cordonKey] != "*" || slices.ContainsFunc(s.kafka.parts[2:],
			func(p simPart) bool { return slices.Contains(p.Replicas, 1003) }) {
			s.violate("broker 1003 leaves and gets a new replica")
		}
		s.settle(300)
		s.note("(the user asks for 4 brokers again)")
		s.scale("brk", 4)
	}},
	{"a broker that got a replica at its last moment comes back", older, func(s *sim) {
		s.scale("brk", 3)
		s.getsReplicaAtItsEnd(1003)
	}},
	{"a broker of a pool that is removed comes back", func() *sim {
		s := older()
		s.addPool("more:2000:1:b")
		s.settle(300)
		return toldAnew(s)
	}, func(s *sim) {
		s.removePool("more")
		s.getsReplicaAtItsEnd(2000)
	}},
	{"a broker that Kafka has forgotten comes back when a partition names it", older, func(s *sim) {
		s.scale("brk", 3)
		s.settle(300)
		s.note("(somebody assigns a new topic to broker 1003)")
		s.topic("late", 1, []int32{1000, 1003})
		s.kafka.parts[len(s.kafka.parts)-1].ISR = []int32{1000}
	}},
	{"a pool of brokers is replaced by another", dedicated, func(s *sim) {
		s.addPool("new:2000:3:b")
		s.run(60)
		s.removePool("brk")
	}},
	{"a change of files in the middle of a departure", dedicated, func(s *sim) {
		s.users.emptyAfter = 60
		s.scale("brk", 3)
		s.run(10)
		s.edit("v2")
	}},
}

// careStories tell of drains and of a pause.
var careStories = []story{
	{"two nodes are drained at once", dedicated, func(s *sim) { s.drain(1000, 1001) }},
	{"a controller and a broker are drained in mid-roll", dedicated, func(s *sim) {
		s.edit("v2", 1000, 1001, 1002, 1003)
		s.run(20)
		s.drain(0, 1003)
	}},
	{"a rack is drained", zoned, func(s *sim) { s.drain(0, 1001, 1004) }},
	{"two machines are drained at once and no disk can leave them", zoned, func(s *sim) {
		drained := [][]int32{{1, 1000, 1003}, {2, 1001, 1004}}
		for _, nodes := range drained {
			s.cordon(true, nodes...)
			s.drain(nodes...)
		}
		for range drained {
			s.run(60)
			for _, nodes := range drained {
				if s.nodes[nodes[0]].cordoned &&
					!slices.ContainsFunc(nodes,
						func(id int32) bool { _, waits := s.users.draining[id]; return waits }) {
					s.note("(the machine of nodes %v is back)", nodes)
					s.cordon(false, nodes...)
				}
			}
		}
		if len(s.users.draining) > 0 {
			s.violate("a machine is never drained")
		}
		for _, nodes := range drained {
			s.cordon(false, nodes...)
		}
	}},
	{"paused", dedicated, func(s *sim) {
		s.edit("v2", 1000, 1001, 1002, 1003)
		s.scale("ctl", 5)
		s.run(10)
		s.note("(the user pauses)")
		s.c.Paused = true
		s.run(60)
		s.note("(a pod is lost all the same)")
		s.kill(s.nodes[1002])
		s.run(30)
		s.note("(the user goes on)")
		s.c.Paused = false
	}},
}
