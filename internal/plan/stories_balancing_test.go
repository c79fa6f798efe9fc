package plan

import (
	"slices"
	"strings"
	"testing"

	"github.com/castellan-dev/castellan/api/v1alpha1"
	"github.com/castellan-dev/castellan/internal/kafka"
	"github.com/castellan-dev/castellan/internal/model"
	"github.com/castellan-dev/castellan/internal/version"
)

// balancingStories tell of data that goes where there is room.
var balancingStories = []story{
	{"a broker is added, gets its share and leaves again", func() *sim {
		s := newSim(simPools("main:0:3:cb", "more:1000:0:b"))
		s.c.Balancing = model.Balancing{Mode: v1alpha1.BalancingOnScale, Tolerance: 10, MaxMoving: 2}
		s.users.emptyAfter = 0
		s.settle(300)
		s.topic("orders", 1, []int32{0, 1}, []int32{1, 2}, []int32{2, 0}, []int32{0, 2}, []int32{1, 0}, []int32{2, 1})
		return toldAnew(s)
	}, func(s *sim) {
		s.scale("more", 1)
		s.settle(600)
		s.note("(the user asks for one broker less)")
		s.scale("more", 0)
		s.settle(600)
	}},
	{"a broker that gets its share is not asked for any more while it is down", func() *sim {
		s := newSim(simPools("main:0:3:cb", "more:1000:0:b"))
		s.c.Balancing = model.Balancing{Mode: v1alpha1.BalancingOnScale, Tolerance: 10, MaxMoving: 2}
		s.users.emptyAfter = 0
		s.settle(300)
		s.topic("orders", 1, []int32{0, 1}, []int32{1, 2}, []int32{2, 0}, []int32{0, 2}, []int32{1, 0}, []int32{2, 1})
		s.scale("more", 1)
		s.ticks.sync = 30
		for len(s.kafka.throttled) == 0 {
			s.run(1)
		}
		return toldAnew(s)
	}, func(s *sim) {
		s.note("(the machine of broker 1000 is down)")
		s.power(s.nodes[1000], true)
		s.run(2 * s.ticks.session)
		s.note("(the user asks for one broker less)")
		s.scale("more", 0)
		s.run(60)
		s.note("(its machine is back)")
		s.power(s.nodes[1000], false)
		s.settle(600)
	}},
	{"a roll goes before replicas that have not begun to move", func() *sim {
		s := growing()
		return toldAnew(s)
	}, func(s *sim) { s.edit("v2") }},
}

// balancedSim is a cluster at rest with one topic of many partitions on brokers 0 to 2, which the operator balances.
func balancedSim(t *testing.T, mode v1alpha1.BalancingMode) *sim {
	t.Helper()
	s := newSim(simPools("main:0:3:cb", "more:1000:0:b"))
	s.users.emptyAfter = 0
	s.c.Balancing = model.Balancing{Mode: mode, Tolerance: 10, MaxMoving: 4}
	if !s.settle(200) {
		t.Fatal("the cluster is never complete: ", s.last)
	}
	var assignments [][]int32
	for i := range int32(12) {
		assignments = append(assignments, []int32{i % 3, (i + 1) % 3})
	}
	s.topic("orders", 1, assignments...)
	return s
}

func held(s *sim, id int32) int {
	n := 0
	for i := range s.kafka.parts {
		if slices.Contains(s.kafka.parts[i].Replicas, id) {
			n++
		}
	}
	return n
}

func TestABrokerThatIsAddedGetsItsShareAndOneThatLeavesIsEmptied(t *testing.T) {
	s := balancedSim(t, v1alpha1.BalancingOnScale)
	s.scale("more", 2)
	if !s.settle(600) {
		t.Fatal(s.last)
	}
	for _, id := range []int32{0, 1, 2, 1000, 1001} {
		if n := held(s, id); n < 4 || n > 6 {
			t.Errorf("broker %d holds %d of 24 replicas", id, n)
		}
	}
	if got := s.c.Balancing.Record.Spread; !slices.Equal(got, []int32{0, 1, 2, 1000, 1001}) {
		t.Errorf("on record as having their share: %v", got)
	}
	s.scale("more", 0)
	if !s.settle(600) {
		t.Fatal(s.last)
	}
	if complaint := s.atRest(); complaint != "" || len(s.wrong) > 0 {
		t.Error(complaint, s.wrong, "\n", strings.Join(s.trace, "\n"))
	}
	trace := strings.Join(s.trace, "\n")
	for _, told := range []string{"node 1001 leaves once its ", "balancing: ", "of orders-", "replicas have arrived: orders-"} {
		if !strings.Contains(trace, told) {
			t.Errorf("nobody is told %q:\n%s", told, trace)
		}
	}
}

func TestWithModeOffNothingMovesAndTheUserIsToldToMoveIt(t *testing.T) {
	s := balancedSim(t, v1alpha1.BalancingOff)
	s.scale("more", 1)
	s.settle(200)
	s.scale("more", 0)
	if !s.settle(200) {
		t.Fatal(s.last) // it holds nothing, and goes
	}
	s.scale("main", 2)
	s.run(60)
	if held(s, 2) != 8 || s.c.Balancing.Record != nil {
		t.Errorf("broker 2 holds %d replicas, and on record is %v", held(s, 2), s.c.Balancing.Record)
	}
	if trace := strings.Join(s.trace, "\n"); !strings.Contains(trace, "move them to other brokers") {
		t.Error(trace)
	}
}

func TestAMoveOfSomebodyElseIsLeftToEndAndNamed(t *testing.T) {
	s := balancedSim(t, v1alpha1.BalancingOnScale)
	s.scale("more", 1)
	s.ticks.sync = 40
	s.reassign(s.part("orders", 0), []int32{2, 1})
	s.run(30)
	if p := s.part("orders", 0); !slices.Equal(p.target, []int32{2, 1}) {
		t.Errorf("it leads to %v", p.target)
	}
	if trace := strings.Join(s.trace, "\n"); !strings.Contains(trace, "a reassignment of orders-0 that somebody else has begun") {
		t.Error(trace)
	}
	if !s.settle(3000) || len(s.wrong) > 0 {
		t.Error(s.wrong, s.last)
	}
}

// What somebody else has begun and what never ends keeps no other replica from moving, and the broker that it leaves
// from stays until it has ended.
func TestAMoveOfSomebodyElseThatNeverEndsKeepsNothingElseWaiting(t *testing.T) {
	s := balancedSim(t, v1alpha1.BalancingOnScale)
	s.scale("more", 1)
	if !s.settle(1500) || held(s, 1000) == 0 {
		t.Fatal("broker 1000 gets nothing: ", s.last)
	}
	at := slices.IndexFunc(s.kafka.parts, func(p simPart) bool { return slices.Contains(p.Replicas, 1000) })
	p := &s.kafka.parts[at]
	before := slices.DeleteFunc(slices.Clone(p.Replicas), func(id int32) bool { return id == 1000 })
	target := []int32{before[0], (before[0] + 1) % 3}
	s.reassign(p, target)
	p.wait = 1 << 30
	s.scale("more", 0)
	s.run(600)
	if n := held(s, 1000); n != 1 || !slices.Equal(p.target, target) || s.nodes[1000] == nil || s.nodes[1000].pod == nil {
		t.Errorf("broker 1000 holds %d replicas, and the move leads to %v: %s", n, p.target, s.last)
	}
	named := "a reassignment of " + p.name() + " that somebody else has begun"
	if told := strings.Join(s.trace, "\n"); !strings.Contains(told, named) {
		t.Errorf("%q is not told: %s", named, told)
	}
	p.wait = 0
	if !s.settle(1500) || len(s.wrong) > 0 || s.nodes[1000] != nil && s.nodes[1000].pod != nil {
		t.Error(s.wrong, s.last)
	}
}

func TestAnOperatorThatTakesOverGoesOnFromTheRecord(t *testing.T) {
	for after := range 12 {
		s := balancedSim(t, v1alpha1.BalancingOnScale)
		s.scale("more", 2)
		for len(s.kafka.throttled) == 0 {
			s.run(1)
		}
		s.crashAt = s.steps + after
		if !s.settle(1000) {
			t.Fatal(after, s.last)
		}
		if complaint := s.atRest(); complaint != "" || len(s.wrong) > 0 || held(s, 1000) < 4 {
			t.Errorf("after %d steps: %s %v, broker 1000 holds %d", after, complaint, s.wrong, held(s, 1000))
		}
	}
}

func TestWhatWasToLeaveAndIsAskedForAgainGetsItsShareAgain(t *testing.T) {
	s := balancedSim(t, v1alpha1.BalancingOnScale)
	s.scale("main", 2)
	for held(s, 2) > 4 {
		if s.run(1); s.tick > 500 {
			t.Fatal("nothing moves: ", s.last)
		}
	}
	s.scale("main", 3)
	left := held(s, 2)
	if !s.settle(600) || held(s, 2) <= left || len(s.wrong) > 0 {
		t.Errorf("broker 2 held %d of 24 replicas and holds %d; %v; %s", left, held(s, 2), s.wrong, s.last)
	}
	share, largest := int64(0), int64(0)
	for i := range s.kafka.parts {
		share, largest = share+2*bytesOf(&s.kafka.parts[i])/3, max(largest, bytesOf(&s.kafka.parts[i]))
	}
	var has int64
	for i := range s.kafka.parts {
		if p := &s.kafka.parts[i]; slices.Contains(p.Replicas, 2) {
			has += bytesOf(p)
		}
	}
	if has < share*9/10-largest {
		t.Errorf("broker 2 holds %d bytes, and its share is %d", has, share)
	}
}

func TestWhoseCordonKeepsABrokerFromTakingReplicas(t *testing.T) {
	for name, c := range map[string]struct {
		dirs string
		own  bool
		want bool
	}{
		"nobody's":                          {"", false, false},
		"the operator's, about to be off":   {allDirs, true, false},
		"somebody's":                        {allDirs, false, true},
		"of one disk":                       {"/disk", false, true},
		"of one disk in the operator's way": {"/disk", true, true},
	} {
		v := &view{c: &model.Cluster{Cordoned: map[int32]bool{1: c.own}}, kafka: &evidence{snapshot: &kafka.Snapshot{
			BrokerConfigs: map[int32]map[string]string{1: {version.CordonKey: c.dirs}}}}}
		if got := v.cordonedByOthers(&node{Node: &model.Node{ID: 1}}); got != c.want {
			t.Errorf("%s: %t", name, got)
		}
	}
}

func TestAStatefulSetIsMadeAnewWhileReplicasMove(t *testing.T) {
	s := newSim(simPools("main:0:3:cb"))
	s.users.emptyAfter = 0
	s.c.Balancing = model.Balancing{Mode: v1alpha1.BalancingOnScale, Tolerance: 10, MaxMoving: 1}
	if !s.settle(200) {
		t.Fatal("the cluster is never complete: ", s.last)
	}
	var assignments [][]int32
	for i := range int32(12) {
		assignments = append(assignments, []int32{i % 3, (i + 1) % 3})
	}
	s.topic("orders", 1, assignments...)
	s.ticks.sync = 10
	s.scale("main", 4)
	for len(s.kafka.throttled) == 0 {
		s.run(1)
	}
	s.growDisks("main")
	begun := len(s.trace)
	if !s.settle(1000) {
		t.Fatal(s.last)
	}
	if complaint := s.atRest(); complaint != "" || len(s.wrong) > 0 || held(s, 3) < 4 {
		t.Errorf("%s %v, broker 3 holds %d", complaint, s.wrong, held(s, 3))
	}
	trace := strings.Join(s.trace[begun:], "\n")
	_, after, renewed := strings.Cut(trace, "renew the claim templates of pool main")
	if !renewed || !strings.Contains(after, "move replicas of") {
		t.Error("neither waits for the end of the other:\n", trace)
	}
}

// An operator that knows no balancing has added brokers, and they hold nothing. The next one moves nothing before the
// spec changes, however often it dies, and puts on record who is there before it moves anything.
func TestAnOperatorThatComesToKnowBalancingMovesNothingInAClusterAtRest(t *testing.T) {
	s := balancedSim(t, v1alpha1.BalancingOff)
	s.scale("more", 2)
	if !s.settle(300) || s.c.Balancing.Record != nil {
		t.Fatalf("%s, on record is %+v", s.last, s.c.Balancing.Record)
	}
	s.c.Balancing.Mode = v1alpha1.BalancingOnScale
	for range 3 {
		s.crashAt = s.steps + 1
		if !s.settle(300) || held(s, 1000)+held(s, 1001) > 0 || len(s.kafka.throttled) > 0 {
			t.Fatalf("brokers 1000 and 1001 hold %d and %d replicas; %s", held(s, 1000), held(s, 1001), s.last)
		}
	}
	if got := s.c.Balancing.Record.Spread; !slices.Equal(got, []int32{0, 1, 2, 1000, 1001}) {
		t.Errorf("on record as being there: %v", got)
	}
	s.scale("more", 3)
	if !s.settle(900) || held(s, 1002) < 3 || len(s.wrong) > 0 {
		t.Errorf("broker 1002 holds %d replicas; %v; %s", held(s, 1002), s.wrong, s.last)
	}
}

// Whoever comes while another broker is down is not there before its operator has seen all of them serve. Until then
// nothing is on record, and nothing moves.
func TestWhoIsThereIsOnRecordOnceAllServe(t *testing.T) {
	s := balancedSim(t, v1alpha1.BalancingOff)
	s.power(s.nodes[2], true)
	s.run(2 * s.ticks.session) // Kafka takes broker 2 for alive until its session has ended
	s.c.Balancing.Mode = v1alpha1.BalancingOnScale
	s.scale("more", 1)
	s.run(60)
	if r := s.c.Balancing.Record; r != nil || !s.up(1000) || s.up(2) {
		t.Errorf("with broker 2 down, and broker 1000 serving (%t): %+v", s.up(1000), r)
	}
	s.power(s.nodes[2], false)
	if !s.settle(300) || !slices.Equal(s.c.Balancing.Record.Spread, []int32{0, 1, 2, 1000}) || held(s, 1000) > 0 {
		t.Errorf("broker 1000 holds %d replicas; %+v; %s", held(s, 1000), s.c.Balancing.Record, s.last)
	}
	s.scale("more", 2)
	if !s.settle(600) || held(s, 1001) < 3 || len(s.wrong) > 0 {
		t.Errorf("broker 1001 holds %d replicas; %v; %s", held(s, 1001), s.wrong, s.last)
	}
}

func TestAPoolThatIsRemovedIsEmptiedAndGoes(t *testing.T) {
	s := balancedSim(t, v1alpha1.BalancingOnScale)
	s.scale("more", 3)
	if !s.settle(600) || held(s, 1000)+held(s, 1001)+held(s, 1002) < 9 {
		t.Fatal(s.last)
	}
	s.removePool("more")
	if !s.settle(900) || s.sets["more"] != nil || held(s, 1000)+held(s, 1001)+held(s, 1002) > 0 {
		t.Fatalf("StatefulSet %+v; %s", s.sets["more"], s.last)
	}
	if complaint := s.atRest(); complaint != "" || len(s.wrong) > 0 {
		t.Error(complaint, s.wrong, "\n", strings.Join(s.trace, "\n"))
	}
	told := strings.Join(s.trace, "\n")
	for _, event := range []string{"node 1002 leaves once its ", "remove more-1002", "unregister broker 1000", "remove pool more"} {
		if !strings.Contains(told, event) {
			t.Errorf("nobody is told %q:\n%s", event, told)
		}
	}
}

// What leaves and does not start cannot be copied from: the user is told what only the user can do.
func TestABrokerThatLeavesAndDoesNotStartIsLeftToItsUser(t *testing.T) {
	s := balancedSim(t, v1alpha1.BalancingOnScale)
	s.bad["v2"] = true
	s.edit("v2", 2)
	s.run(60)
	if s.up(2) || held(s, 2) == 0 {
		t.Fatalf("broker 2 serves (%t), and holds %d replicas: it was to be the one that does not start", s.up(2), held(s, 2))
	}
	s.scale("main", 2)
	s.run(60)
	p := next(s.c, s.want, s.observe(), s.now, s.tables)
	i := slices.IndexFunc(p.Held, func(h Held) bool { return h.Predicate == "holdsNothing" })
	if i < 0 {
		t.Fatalf("nothing holds back what leaves: %+v; %s", p.Held, s.last)
	}
	if h := p.Held[i]; h.Field != "spec.pools[main].replicas" || !strings.Contains(h.Message, "move them to other brokers") {
		t.Errorf("%+v", h)
	}
}

func TestThreeBrokersBecomeSixAndThreeAgain(t *testing.T) {
	s := balancedSim(t, v1alpha1.BalancingOnScale)
	s.scale("main", 6)
	if !s.settle(1500) || held(s, 3) < 3 || held(s, 4) < 3 || held(s, 5) < 3 {
		t.Fatalf("brokers 3 to 5 hold %d, %d and %d replicas; %s", held(s, 3), held(s, 4), held(s, 5), s.last)
	}
	s.scale("main", 3)
	if !s.settle(1500) || held(s, 0)+held(s, 1)+held(s, 2) != 24 || s.sets["main"].replicas != 3 {
		t.Fatalf("the pool has %d nodes; %s", s.sets["main"].replicas, s.last)
	}
	if complaint := s.atRest(); complaint != "" || len(s.wrong) > 0 {
		t.Error(complaint, s.wrong, "\n", strings.Join(s.trace, "\n"))
	}
}
