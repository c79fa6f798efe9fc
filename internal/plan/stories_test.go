package plan

import (
	"github.com/castellan-dev/castellan/api/v1alpha1"
	"github.com/castellan-dev/castellan/internal/model"
)

// restartStories tell why nodes restart, how many together, and when not.
var restartStories = []story{
	{"creation", func() *sim { return newSim(simPools("main:0:3:cb")) }, func(*sim) {}},
	{"static change over three combined nodes", threeCombined, func(s *sim) { s.edit("v2") }},
	{"static change over dedicated controllers and brokers", dedicated, func(s *sim) { s.edit("v2") }},
	{"static change goes rack by rack", zoned, func(s *sim) { s.edit("v2", 1000, 1001, 1002, 1003, 1004, 1005) }},
	{"no more nodes than allowed restart together", func() *sim {
		s := newSim(simPools("ctl:0:3:c", "brk:1000:9:b"))
		s.users.racks, s.c.RackKey, s.c.MaxUnavailable = 3, "zone", 2
		s.settle(300)
		s.topic("orders", 2, []int32{1000, 1001, 1002})
		return toldAnew(s)
	}, func(s *sim) { s.editTemplate("brk", "t2") }},
	{"two brokers without racks restart together when that is allowed", func() *sim {
		s := dedicated()
		s.c.MaxUnavailable = 2
		return s
	}, func(s *sim) { s.edit("v2", 1000, 1001, 1002, 1003) }},
	{"brokers of one rack that share a partition go one after the other", func() *sim {
		s := zoned()
		s.topic("close", 2, []int32{1000, 1003, 1001})
		return toldAnew(s)
	}, func(s *sim) { s.edit("v2", 1000, 1003) }},
	{"run-time change", threeCombined, func(s *sim) {
		s.kafka.config = map[string]string{"message.max.bytes": "1", "min.insync.replicas": "2"}
		s.c.DynamicConfig = map[string]string{"min.insync.replicas": "1", "log.cleaner.threads": "2"}
	}},
	{"another operator version restarts nobody", threeCombined, func(s *sim) { s.upgradeOperator() }},
	{"what another operator version changes goes along with the next restart", threeCombined, func(s *sim) {
		s.upgradeOperator()
		s.run(10)
		s.note("(the user changes the files of node 1)")
		s.edit("v2", 1)
	}},
	{"a restart on demand", threeCombined, func(s *sim) { s.askRestart(1) }},
	{"a partition of one replica pauses", func() *sim {
		s := threeCombined()
		s.topic("single", 1, []int32{1})
		return toldAnew(s)
	}, func(s *sim) { s.edit("v2") }},
	{"a partition of one replica waits for consent", func() *sim {
		s := threeCombined()
		s.topic("single", 1, []int32{1})
		s.c.Unavailable = v1alpha1.UnavailableWait
		return toldAnew(s)
	}, func(s *sim) {
		s.edit("v2")
		s.run(60)
		s.note("(the user consents)")
		s.c.Unavailable = v1alpha1.UnavailableProceed
	}},
	{"a change taken back restarts only those that took it", dedicated, func(s *sim) {
		s.edit("v2", 1000, 1001, 1002, 1003)
		for s.started[1001] == 0 {
			s.run(1)
		}
		s.note("(the user takes the change back)")
		s.edit("v1", 1000, 1001, 1002, 1003)
	}},
	{"stale cache cannot delete two pods", func() *sim {
		s := threeCombined()
		s.lag = 3
		return s
	}, func(s *sim) { s.edit("v2") }},
	{"no view of Kafka in mid-roll", dedicated, func(s *sim) {
		s.edit("v2", 1000, 1001, 1002, 1003)
		s.run(20)
		s.note("(the operator cannot reach Kafka)")
		s.dark, s.cached = true, nil
		s.run(30)
		s.note("(the operator can reach Kafka)")
		s.dark = false
	}},
	{"a node waits for a fact and the others go on", dedicated, func(s *sim) {
		s.learn(1001, "the NodePort of broker 1001")
		s.editTemplate("brk", "t2")
		s.run(90)
		s.note("(the NodePort is known)")
		s.learn(1001, "")
	}},
}

// repairStories tell what becomes of what is broken.
var repairStories = []story{
	{"bad value and back", threeCombined, func(s *sim) {
		s.bad["v2"] = true
		s.edit("v2")
		s.run(60)
		s.note("(the user takes the value back)")
		s.edit("v1")
	}},
	{"a StatefulSet of one node that is scaled up by hand", func() *sim {
		s := newSim(simPools("main:0:1:cb"))
		s.settle(300)
		s.topic("orders", 1, []int32{0})
		return toldAnew(s)
	}, func(s *sim) { s.scaleByHand("main", 3) }},
	{"StatefulSets that are scaled by hand", dedicated, func(s *sim) {
		s.scaleByHand("ctl", 5)
		s.scaleByHand("brk", 6)
		s.run(60)
		s.scaleByHand("brk", 3)
	}},
	{"a broker that is scaled away by hand while Kafka remembers another", func() *sim {
		s := atRest("ctl:0:3:c", "brk:1000:4:b")
		s.topic("orders", 1, []int32{1000, 1001})
		return toldAnew(s)
	}, func(s *sim) {
		s.note("(somebody moves orders-0 to broker 1002, whose pod is scaled away, while broker 1003 leaves)")
		s.scale("brk", 3)
		s.run(5)
		s.scaleByHand("brk", 2)
		s.reassign(s.part("orders", 0), []int32{1000, 1002})
	}},
	{"bad template and forward", threeCombined, func(s *sim) {
		s.bad["t2"] = true
		s.editTemplate("main", "t2")
		s.run(60)
		s.note("(the user mends the template)")
		s.editTemplate("main", "t3")
	}},
	{"bad value from the very first start", func() *sim { return newSim(simPools("main:0:3:cb")) }, func(s *sim) {
		s.bad["v1"] = true
		s.run(20)
		s.note("(the user mends the value)")
		s.edit("v2")
	}},
	{"brokers that hang from the very first start",
		func() *sim { return newSim(simPools("ctl:0:3:c", "brk:1000:2:b")) }, func(s *sim) {
			s.hangs["bad"] = true
			s.edit("bad", 1000, 1001)
			s.run(20)
			s.note("(the user mends the value)")
			s.edit("v2", 1000, 1001)
		}},
	{"controllers that never find each other", func() *sim { return newSim(simPools("ctl:0:3:c", "brk:1000:2:b")) },
		func(s *sim) {
			s.hangs["bad"] = true
			s.edit("bad", 0, 1, 2)
			s.run(20)
			s.note("(the user mends the value)")
			s.edit("v2", 0, 1, 2)
		}},
	{"a template that no pod can be made from", threeCombined, func(s *sim) {
		s.refused["t2"] = true
		s.editTemplate("main", "t2")
		s.run(20)
		s.note("(the user mends the template)")
		s.editTemplate("main", "t3")
	}},
	{"a pod that Kubernetes refuses is made soon after the quota is raised", threeCombined, func(s *sim) {
		s.refused["t2"] = true
		s.editTemplate("main", "t2")
		s.run(200)
		s.note("(the user raises the quota)")
		s.refused["t2"] = false
		s.run(30)
		if s.nodes[1].pod == nil {
			s.violate("node 1 has no pod 30 s after the quota was raised")
		}
	}},
	{"a sidecar that ends at once costs one node, and is taken back", threeCombined, func(s *sim) {
		s.flaky["t2"] = true
		s.editTemplate("main", "t2")
		s.run(120)
		s.note("(the user takes the sidecar back)")
		s.editTemplate("main", "t1")
	}},
	{"a sidecar that turns unready in every pod is mended", threeCombined, func(s *sim) {
		for _, n := range s.order {
			n.sidecarIn = 1 << 20
		}
		s.run(30)
		s.note("(the user mends the sidecar)")
		s.editTemplate("main", "t2")
	}},
	{"a pod whose revision is gone fails and is replaced", threeCombined, func(s *sim) {
		n := s.nodes[1]
		n.change(func(p *model.ObservedPod) { p.Files, p.Template = model.Fingerprint{}, model.Fingerprint{} })
		s.run(5)
		s.note("(its process fails)")
		n.fails = true
	}},
	{"a pod made from an edited StatefulSet is replaced, and no other", threeCombined, func(s *sim) {
		s.nodes[1].change(func(p *model.ObservedPod) {
			p.Template = model.Fingerprint{User: "edited", Whole: "edited"}
			p.Edited = "its container kafka has image b, not a: it was made from an edited StatefulSet"
		})
	}},
	{"pod deleted in mid-roll", threeCombined, func(s *sim) {
		s.edit("v2")
		s.run(6)
		s.note("(somebody deletes the pod of node 2)")
		s.stop(s.nodes[2])
	}},
	{"node lost in mid-roll", threeCombined, func(s *sim) {
		s.edit("v2")
		s.run(20)
		s.note("(the machine of node 2 loses power)")
		s.power(s.nodes[2], true)
		s.run(60)
		s.note("(the machine of node 2 is back)")
		s.power(s.nodes[2], false)
	}},
	{"a broker's disk is lost and replaced when that is permitted", dedicated, func(s *sim) {
		s.note("(the disk of node 1001 is lost)")
		s.users.replaceAfter = 40
		s.loseDisk(s.nodes[1001])
	}},
	{"a controller's disk is lost and replaced when that is permitted", dedicated, func(s *sim) {
		s.note("(the disk of node 1 is lost)")
		s.loseDisk(s.nodes[1])
	}},
	{"a claim deleted by mistake keeps its pod until its disk can be spared", threeCombined, func(s *sim) {
		s.note("(somebody deletes the claim of node 1)")
		s.users.replaceAfter = 0
		s.nodes[1].going = true
		s.run(5)
		s.note("(the user changes the files, and drains the machine of node 1)")
		s.edit("v2")
		s.drain(1)
		s.run(60)
		s.note("(the user permits an empty disk)")
		s.nodes[1].replace = true
	}},
	{"a disk that is emptied never founds a quorum", threeCombined, func(s *sim) {
		s.note("(the disk of node 1 is emptied)")
		s.wipe(s.nodes[1])
		s.kill(s.nodes[1])
	}},
	{"one failed disk of several is replaced under a broker that serves", twoDisks, func(s *sim) {
		s.note("(the second disk of node 1 fails)")
		s.users.replaceAfter = 30
		s.failDisk(s.nodes[1])
		s.run(10)
		s.note("(the user changes the files)")
		s.edit("v2")
	}},
	{"of two disks the one that works is not replaced", twoDisks, func(s *sim) {
		s.note("(the second disk of node 1 fails, and the user permits the first to be replaced)")
		s.users.replaceAfter = 30
		s.nodes[1].replace = true
		s.failDisk(s.nodes[1])
		s.run(60)
		s.note("(the user takes that permission back)")
		s.nodes[1].replace = false
	}},
	{"a failed disk with the last copy of a partition stays", twoDisks, func(s *sim) {
		s.topic("single", 1, []int32{1})
		s.note("(the second disk of node 1 fails)")
		s.users.replaceAfter = 10
		s.failDisk(s.nodes[1])
		s.run(60)
		s.note("(the user deletes the topic)")
		s.kafka.parts = s.kafka.parts[:3]
	}},
	{"the failed disks of two brokers are replaced one after the other", twoDisks, func(s *sim) {
		s.kafka.parts = s.kafka.parts[:0]
		s.topic("lean", 1, []int32{0, 1, 2}, []int32{1, 2, 0})
		s.note("(the second disks of nodes 1 and 2 fail)")
		s.users.replaceAfter = 10
		s.failDisk(s.nodes[1])
		s.failDisk(s.nodes[2])
	}},
	{"the replacement of a failed disk that was cut short is ended", twoDisks, func(s *sim) {
		s.note("(the second disk of node 1 fails, and the operator dies once it has deleted its claim)")
		s.failDisk(s.nodes[1])
		s.nodes[1].second.replace, s.nodes[1].second.going = true, true
	}},
	{"a replacement that was cut short does not wait for a sidecar elsewhere", twoDisks, func(s *sim) {
		s.nodes[2].sidecarIn = 1 << 20
		s.run(20)
		s.note("(the second disk of node 1 fails, and the operator dies once it has deleted its claim)")
		s.failDisk(s.nodes[1])
		s.nodes[1].second.replace, s.nodes[1].second.going = true, true
		s.note("(the user mends the sidecar of node 2)")
		s.editTemplate("main", "t2")
	}},
	{"a disk that serves is not replaced", threeCombined, func(s *sim) {
		s.nodes[1].replace = true
		s.run(20)
		s.note("(the user takes the permission back)")
		s.nodes[1].replace = false
	}},
}
