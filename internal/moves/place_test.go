package moves

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/castellan-dev/castellan/internal/kafka"
)

func brokersIn(racks ...string) []kafka.Broker {
	var all []kafka.Broker
	for i, rack := range racks {
		all = append(all, kafka.Broker{ID: int32(i), Rack: rack})
	}
	return all
}

func place(t *testing.T, want Placement, brokers []kafka.Broker, current [][]int32) [][]int32 {
	t.Helper()
	p, fault := newPlacer("orders", want, brokers)
	if fault != nil {
		t.Fatal(fault)
	}
	target, fault := p.assign(current)
	if fault != nil {
		t.Fatal(fault)
	}
	return target
}

// TestRandomPlacements checks, on random clusters and topics, everything that an assignment promises.
func TestRandomPlacements(t *testing.T) {
	for seed := range uint64(3000) {
		r := rand.New(rand.NewPCG(seed, 7))
		racks := []string{"a", "b", "c", "d"}[:1+r.IntN(4)]
		var brokers []kafka.Broker
		for id := range int32(1 + r.IntN(9)) {
			brokers = append(brokers, kafka.Broker{ID: id * 3, Rack: racks[r.IntN(len(racks))], Fenced: r.IntN(8) == 0})
		}
		var want Placement
		perRack, unfenced := map[string]int{}, map[string]int{}
		for _, b := range brokers {
			perRack[b.Rack]++
			if !b.Fenced {
				unfenced[b.Rack]++
			}
		}
		room := len(brokers)
		if r.IntN(2) == 0 {
			room = 0
			for _, rack := range racks {
				if perRack[rack] > 0 && r.IntN(2) == 0 {
					want.Racks = append(want.Racks, rack)
					room += perRack[rack]
				}
			}
			if len(want.Racks) == 0 {
				room = len(brokers)
			}
		}
		want.Factor = 1 + r.IntN(room)
		current := make([][]int32, 1+r.IntN(12))
		for i := range current {
			for _, b := range r.Perm(len(brokers))[:1+r.IntN(len(brokers))] {
				current[i] = append(current[i], brokers[b].ID)
			}
		}
		p, fault := newPlacer("orders", want, brokers)
		if fault != nil {
			t.Fatalf("seed %d: %s", seed, fault.Text())
		}
		target, fault := p.assign(current)
		if fault != nil {
			if fault.Passes() && slices.ContainsFunc(brokers, func(b kafka.Broker) bool { return b.Fenced }) {
				continue // too few serve
			}
			t.Fatalf("seed %d: %s", seed, fault.Text())
		}
		check(
			t,
			fmt.Sprintf("seed %d: %v on %v: %v -> %v", seed, want, brokers, current, target),
			p,
			want,
			brokers,
			current,
			target,
		)
	}
}

func check(t *testing.T, at string, p *placer, want Placement, brokers []kafka.Broker, current, target [][]int32) {
	t.Helper()
	for i, replicas := range target {
		if len(replicas) != want.Factor || len(slices.Compact(slices.Sorted(slices.Values(replicas)))) != want.Factor {
			t.Fatalf("%s: partition %d has not %d different replicas", at, i, want.Factor)
		}
		if !p.satisfied(replicas) {
			t.Fatalf("%s: partition %d would move again", at, i)
		}
		if p.satisfied(current[i]) && !slices.Equal(replicas, current[i]) {
			t.Fatalf("%s: partition %d was as wanted and moves", at, i)
		}
		if slices.Contains(replicas, current[i][0]) && replicas[0] != current[i][0] {
			t.Fatalf("%s: partition %d loses its preferred leader", at, i)
		}
		count, stay := map[string]int{}, 0
		for _, id := range replicas {
			b := brokers[id/3]
			count[b.Rack]++
			if slices.Contains(current[i], id) {
				stay++
			} else if b.Fenced {
				t.Fatalf("%s: partition %d is placed on broker %d, which is down", at, i, id)
			}
		}
		if best := mostThatCanStay(want, brokers, current[i]); stay != best {
			t.Fatalf("%s: partition %d keeps %d replicas of %d", at, i, stay, best)
		}
		for _, rack := range want.Racks {
			for _, other := range want.Racks {
				if count[rack] > count[other]+1 && count[other] < inRack(brokers, other) {
					t.Fatalf("%s: partition %d is uneven over racks", at, i)
				}
			}
		}
		for rack := range count {
			if len(want.Racks) > 0 && !slices.Contains(want.Racks, rack) {
				t.Fatalf("%s: partition %d is in rack %s", at, i, rack)
			}
		}
	}
}

// mostThatCanStay finds by trying all subsets how many replicas of a partition an assignment as wanted can keep.
func mostThatCanStay(want Placement, brokers []kafka.Broker, current []int32) int {
	best := 0
	for set := range 1 << len(current) {
		count, n := map[string]int{}, 0
		for i, id := range current {
			if set&(1<<i) != 0 {
				count[brokers[id/3].Rack]++
				n++
			}
		}
		if n > best && n <= want.Factor && canGrow(want, brokers, count) {
			best = n
		}
	}
	return best
}

// canGrow tells whether replicas so spread over racks can be filled up to an even spread.
func canGrow(want Placement, brokers []kafka.Broker, count map[string]int) bool {
	if len(want.Racks) == 0 {
		return true
	}
	even := map[string]int{}
	for n := 0; n < want.Factor; n++ {
		least := ""
		for _, rack := range want.Racks {
			if even[rack] < inRack(brokers, rack) && (least == "" || even[rack] < even[least]) {
				least = rack
			}
		}
		even[least]++
	}
	top := 0
	for _, n := range even {
		top = max(top, n)
	}
	extras, used := 0, 0 // racks at the top level are exchangeable among those with brokers for it
	for _, rack := range want.Racks {
		low := min(top-1, inRack(brokers, rack))
		extras += max(even[rack]-low, 0)
		if count[rack] > low+1 || count[rack] > inRack(brokers, rack) {
			return false
		}
		used += max(count[rack]-low, 0)
	}
	for rack, n := range count {
		if n > 0 && !slices.Contains(want.Racks, rack) {
			return false
		}
	}
	return used <= extras
}

func inRack(brokers []kafka.Broker, rack string) int {
	n := 0
	for _, b := range brokers {
		if b.Rack == rack {
			n++
		}
	}
	return n
}

func TestReplicasSpreadEvenlyOverBrokersAndLeadersToo(t *testing.T) {
	for _, brokers := range [][]kafka.Broker{brokersIn("", "", "", "", "", ""), brokersIn("a", "a", "b", "b", "c", "c")} {
		current := make([][]int32, 24)
		for i := range current {
			current[i] = []int32{int32(i % len(brokers))}
		}
		for factor := 2; factor <= 3; factor++ {
			current = place(t, Placement{Factor: factor}, brokers, current)
			if low, high := extremes(current, len(brokers)); high-low > 1 {
				t.Errorf("factor %d: between %d and %d replicas a broker", factor, low, high)
			}
		}
		current = place(t, Placement{Factor: 2}, brokers, current)
		if low, high := extremes(current, len(brokers)); high-low > 2 {
			t.Errorf("back to 2: between %d and %d replicas a broker", low, high)
		}
	}
	fresh := place(
		t,
		Placement{Factor: 2, Racks: []string{"b", "c"}},
		brokersIn("a", "a", "b", "b", "c", "c"),
		make([][]int32, 12),
	)
	leads := map[int32]int{}
	for _, replicas := range fresh {
		leads[replicas[0]]++
	}
	for id := range int32(6) {
		if want := map[bool]int{true: 3}[id >= 2]; leads[id] != want {
			t.Errorf("broker %d is the preferred leader of %d partitions, want %d", id, leads[id], want)
		}
	}
}

func extremes(assignment [][]int32, brokers int) (low, high int) {
	load := make([]int, brokers)
	for _, replicas := range assignment {
		for _, id := range replicas {
			load[id]++
		}
	}
	return slices.Min(load), slices.Max(load)
}

func TestLeadersOfARackThatIsLeftAreSharedOut(t *testing.T) {
	brokers := brokersIn("a", "b", "c")
	var current [][]int32
	for i := range 12 {
		current = append(current, []int32{int32(i % 2), int32(1 - i%2)})
	}
	for _, racks := range [][]string{{"b", "c"}, {"a", "c"}} {
		leads := map[int32]int{}
		for _, replicas := range place(t, Placement{Factor: 2, Racks: racks}, brokers, current) {
			leads[replicas[0]]++
		}
		if len(leads) != 2 || leads[2] != 6 {
			t.Errorf("to racks %v: preferred leaders by broker: %v", racks, leads)
		}
	}
}

func TestSmallTopicsDoNotAllGoToTheSameBroker(t *testing.T) {
	used := map[int32]bool{}
	for i := range 40 {
		p, _ := newPlacer(fmt.Sprintf("t%d", i), Placement{Factor: 1}, brokersIn("", "", ""))
		target, _ := p.assign(make([][]int32, 1))
		used[target[0][0]] = true
	}
	if len(used) != 3 {
		t.Errorf("only %v", used)
	}
}

func TestWhatCannotBePlacedIsSaid(t *testing.T) {
	brokers := brokersIn("a", "a", "b")
	for name, c := range map[string]struct {
		want   Placement
		reason string
	}{
		"an unknown rack":                      {Placement{Factor: 1, Racks: []string{"x"}}, ReasonPlacement},
		"more replicas than brokers":           {Placement{Factor: 4}, ReasonReplication},
		"more replicas than brokers in a rack": {Placement{Factor: 3, Racks: []string{"a"}}, ReasonReplication},
	} {
		if _, fault := newPlacer("orders", c.want, brokers); fault == nil || fault.Reason != c.reason || fault.Passes() {
			t.Errorf("%s: %+v", name, fault)
		}
	}
	brokers[2].Fenced = true
	p, _ := newPlacer("orders", Placement{Factor: 3}, brokers)
	if _, fault := p.assign([][]int32{{0}}); fault == nil || !fault.Passes() {
		t.Errorf("a broker that is down is waited for: %+v", fault)
	}
}

func TestAReplicaThatIsNotInSyncIsTakenAwayBeforeOneThatIs(t *testing.T) {
	for _, racks := range [][]string{{"a", "b", "c"}, {"", "", ""}} {
		for _, behind := range []int32{0, 1, 2} {
			p, fault := newPlacer("orders", Placement{Factor: 2}, brokersIn(racks...))
			if fault != nil {
				t.Fatal(fault)
			}
			current := []int32{0, 1, 2}
			p.isr = [][]int32{without(current, []int32{behind})}
			target, fault := p.assign([][]int32{current})
			if fault != nil || len(target[0]) != 2 || slices.Contains(target[0], behind) {
				t.Errorf("%d is behind, and what stays is %v (%v)", behind, target, fault)
			}
		}
	}
}

// asked is a placement that a KafkaTopic asks for.
func asked(want Placement) Placement {
	want.Fields = Fields{Factor: "spec.replicationFactor", Placement: "spec.placement", Racks: "spec.placement.racks"}
	return want
}

func TestWhereReplicasCannotBeIsSaidWithItsCure(t *testing.T) {
	for name, c := range map[string]struct {
		want    Placement
		brokers []string
		message string
	}{
		"a rack that no broker is in": {Placement{Factor: 1, Racks: []string{"x"}}, []string{"b", "", "a"},
			`spec.placement.racks: no broker is in rack "x"; the racks are: a, b`},
		"a rack where there are none": {Placement{Factor: 1, Racks: []string{"x"}}, []string{"", ""},
			`spec.placement.racks: no broker is in rack "x", as none has a rack (broker.rack); label the Kubernetes nodes ` +
				`with ` +
				"topology.kubernetes.io/zone (in an external cluster set broker.rack), and restart the brokers"},
		"more replicas than one broker": {Placement{Factor: 2}, []string{""},
			"spec.replicationFactor: 2 replicas asked, 1 broker; lower it, or add brokers"},
		"more replicas than brokers in the racks": {Placement{Factor: 3, Racks: []string{"a"}}, []string{"a", "b", "a"},
			"spec.replicationFactor: 3 replicas asked, 2 brokers in the racks of spec.placement; lower it, or add brokers"},
	} {
		if _, fault := newPlacer("orders", asked(c.want), brokersIn(c.brokers...)); fault == nil ||
			fault.Text() != c.message {
			t.Errorf("%s: %+v", name, fault)
		}
	}
}
