package plan

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

// roundsBound is the most rounds in which a change of the files of all nodes may be carried out.
//
// A round that takes brokers of a rack and leaves one of that rack behind does so because it is full, or because it
// takes a neighbour: another broker of the rack with which the one left behind shares a partition that cannot spare
// both. So a rack takes at most one round more than its broadest broker has neighbours, and as many more as full rounds
// fit into it. To that come one round a pool, in which a new revision is tried alone, one for each voter (the majority
// may let only one go), and one for the quorum's leader. Without racks every broker is one of a single rack, and a
// round holds one unless the user allows more.
func (s *sim) roundsBound() int {
	rounds := len(s.c.Pools) + len(s.kafka.voters) + 1
	racks := map[string][]int32{}
	for _, n := range s.order {
		if s.wantedBroker(n.id) {
			racks[n.rack] = append(racks[n.rack], n.id)
		}
	}
	most := int(s.c.MaxUnavailable)
	if most == 0 && s.users.racks == 0 {
		most = 1
	}
	for _, brokers := range racks {
		broadest := 0
		for _, id := range brokers {
			broadest = max(broadest, s.neighbours(id, brokers))
		}
		full := 0
		if most > 0 {
			full = (len(brokers) - 1) / most
		}
		rounds += min(len(brokers), 1+broadest+full)
	}
	return rounds
}

// neighbours counts brokers of the same rack with which one shares a partition that cannot spare all of them.
func (s *sim) neighbours(id int32, rack []int32) int {
	found := map[int32]bool{}
	for i := range s.kafka.parts {
		p := &s.kafka.parts[i]
		if !slices.Contains(p.Replicas, id) {
			continue
		}
		var near []int32
		for _, other := range p.Replicas {
			if slices.Contains(rack, other) {
				near = append(near, other)
			}
		}
		if len(near) > len(p.Replicas)-int(p.MinISR) {
			for _, other := range near {
				found[other] = other != id
			}
		}
	}
	count := 0
	for _, is := range found {
		if is {
			count++
		}
	}
	return count
}

func TestFiftyBrokersInThreeRacksRestartInSixRounds(t *testing.T) {
	for _, tt := range []struct {
		name      string
		rackAware bool
		most      int
	}{{"one replica in every rack", true, 6}, {"replicas anywhere", false, 0}} {
		t.Run(tt.name, func(t *testing.T) {
			s := newSim(simPools("ctl:0:3:c", "brk:1000:50:b"))
			s.users.racks, s.c.RackKey, s.mute = 3, "zone", true
			s.settle(300)
			s.assignAtRandom(1000, 50, 300, tt.rackAware)
			s.run(2)
			s.rounds = 0
			var brokers []int32
			for id := range int32(50) {
				brokers = append(brokers, 1000+id)
			}
			s.edit("v2", brokers...)
			if !s.settle(6000) || len(s.wrong) > 0 {
				t.Fatalf("it does not end well: %s", strings.Join(s.wrong, "\n"))
			}
			if complaint := s.atRest(); complaint != "" {
				t.Error(complaint)
			}
			bound := s.roundsBound()
			t.Logf("%d rounds, at most %d by racks and assignments", s.rounds, bound)
			if tt.most > 0 && s.rounds > tt.most || s.rounds > bound {
				t.Errorf("%d rounds, want at most %d and %d", s.rounds, tt.most, bound)
			}
		})
	}
}

// assignAtRandom makes partitions with three replicas and min ISR 2, one in each of three racks or anywhere.
func (s *sim) assignAtRandom(first, brokers, partitions int32, rackAware bool) {
	rng := rand.New(rand.NewPCG(1, 2))
	var assignments [][]int32
	for range partitions {
		var replicas []int32
		for len(replicas) < 3 {
			id := first + rng.Int32N(brokers)
			if slices.Contains(replicas, id) || rackAware &&
				slices.ContainsFunc(replicas, func(o int32) bool { return o%3 == id%3 }) {
				continue
			}
			replicas = append(replicas, id)
		}
		assignments = append(assignments, replicas)
	}
	s.topic("orders", 2, assignments...)
}

// Where nothing but one change happens, a roll takes no more rounds than racks and assignments ask for.
func TestARollTakesNoMoreRoundsThanItsBound(t *testing.T) {
	runs, seed := max(1, envInt("CASTELLAN_PROPERTY_RUNS", defaultPropertyRuns)/20),
		uint64(envInt("CASTELLAN_PROPERTY_SEED", 1))
	for i := range uint64(runs) {
		r := newRandomRun(seed+i, true)
		r.render()
		r.settle(600)
		r.topics()
		r.run(15)
		r.rounds = 0
		r.edit("v2")
		settled := r.settle(3000)
		complaint := strings.Join(r.wrong, "; ")
		if bound := r.roundsBound(); complaint == "" && r.rounds > bound {
			complaint = fmt.Sprintf("%d rounds and the bound is %d", r.rounds, bound)
		}
		if complaint == "" && !settled {
			complaint = "the plan is never empty"
		}
		if complaint != "" {
			t.Fatalf("CASTELLAN_PROPERTY_SEED=%d CASTELLAN_PROPERTY_RUNS=20: %s", seed+i, complaint)
		}
	}
}
