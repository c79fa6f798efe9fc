package moves

import (
	"cmp"
	"hash/fnv"
	"slices"
	"strings"

	"github.com/castellan-dev/castellan/internal/kafka"
	"github.com/castellan-dev/castellan/internal/verdict"
)

// Placement is where the replicas of each partition of a topic shall be.
type Placement struct {
	Factor int      // how many; 0 = as many as there are
	Racks  []string // spread evenly over exactly these racks; none = anywhere
	Fields Fields
}

// Fields are the paths of the fields that ask for a placement, for verdicts.
type Fields struct{ Factor, Placement, Racks string }

// asks tells whether anything is asked for.
func (p Placement) asks() bool { return p.Factor != 0 || len(p.Racks) > 0 }

// New returns an assignment for a topic that is to be created, or why there is none.
func New(topic string, partitions int32, want Placement, brokers []kafka.Broker) ([][]int32, *verdict.Verdict) {
	p, impossible := newPlacer(topic, want, brokers)
	if impossible != nil {
		return nil, impossible
	}
	return p.assign(make([][]int32, partitions))
}

// Relocate returns the replicas of a topic as they are once none is on a broker that is not among those given, with as
// few new ones as that takes, or why that cannot be. Racks are kept to.
func Relocate(topic string, current, isr [][]int32, want Placement, brokers []kafka.Broker) (
	[][]int32, *verdict.Verdict,
) {
	p, impossible := newPlacer(topic, want, brokers)
	if impossible != nil {
		return nil, impossible
	}
	p.isr = isr
	return p.assign(current)
}

// placer computes assignments for one topic. A broker that is registered and fenced keeps its replicas, as being down
// is no reason to move, and gets no new ones.
type placer struct {
	want    Placement
	brokers map[int32]kafka.Broker
	usable  []int32 // unfenced ones in the wanted racks, in an order of the topic's own
	low     map[string]int
	extras  int           // how many racks of a partition hold one replica more than low
	load    map[int32]int // replicas of the topic by broker
	leads   map[int32]int // preferred leaders of the topic by broker
	isr     [][]int32     // in-sync replicas by partition; none where they are not known
}

// newPlacer returns a placer, or why no assignment can be as wanted.
func newPlacer(topic string, want Placement, brokers []kafka.Broker) (*placer, *verdict.Verdict) {
	p := &placer{
		want: want, brokers: map[int32]kafka.Broker{}, low: map[string]int{}, load: map[int32]int{}, leads: map[int32]int{},
	}
	racks := map[string]int{}
	for _, b := range brokers {
		p.brokers[b.ID] = b
		racks[b.Rack]++
		if p.wanted(b.ID) && !b.Fenced {
			p.usable = append(p.usable, b.ID)
		}
	}
	slices.Sort(p.usable)
	// Where all is equal the first is taken: it must not be the same broker for every topic.
	if n := len(p.usable); n > 0 {
		h := fnv.New32a()
		_, _ = h.Write([]byte(topic))
		cut := int(h.Sum32() % uint32(n))
		p.usable = slices.Concat(p.usable[cut:], p.usable[:cut])
	}
	if v := p.impossible(racks, len(brokers)); v != nil {
		return nil, v
	}
	p.spread(racks)
	return p, nil
}

// impossible says why no assignment can be as wanted; nil = one can.
func (p *placer) impossible(racks map[string]int, brokers int) *verdict.Verdict {
	for _, rack := range p.want.Racks {
		if racks[rack] > 0 {
			continue
		}
		known := make([]string, 0, len(racks))
		for r := range racks {
			if r != "" {
				known = append(known, r)
			}
		}
		slices.Sort(known)
		if len(known) == 0 {
			v := verdict.Stalled(ReasonPlacement, p.want.Fields.Racks,
				"no broker is in rack %q, as none has a rack (broker.rack); label the Kubernetes nodes with "+
					"topology.kubernetes.io/zone (in an external cluster set broker.rack), and restart the brokers", rack)
			return &v
		}
		v := verdict.Stalled(ReasonPlacement, p.want.Fields.Racks,
			"no broker is in rack %q; the racks are: %s", rack, strings.Join(known, ", "))
		return &v
	}
	where, n := "", brokers
	if len(p.want.Racks) > 0 {
		where, n = " in the racks of "+p.want.Fields.Placement, 0
		for _, rack := range p.want.Racks {
			n += racks[rack]
		}
	}
	if p.want.Factor > n {
		v := verdict.Stalled(ReasonReplication, p.want.Fields.Factor, "%s asked, %s%s; lower it, or add brokers",
			verdict.Counted(p.want.Factor, "replica"), verdict.Counted(n, "broker"), where)
		return &v
	}
	return nil
}

// spread finds how many replicas of a partition each rack holds: as even as the racks' brokers allow.
func (p *placer) spread(racks map[string]int) {
	if len(p.want.Racks) == 0 {
		return
	}
	p.extras = p.want.Factor
	for level, before := 1, 0; ; level++ {
		sum := 0
		for _, rack := range p.want.Racks {
			sum += min(level, racks[rack])
		}
		if sum > p.want.Factor || sum == before {
			return
		}
		for _, rack := range p.want.Racks {
			p.low[rack] = min(level, racks[rack])
		}
		p.extras, before = p.want.Factor-sum, sum
	}
}

// wanted tells whether a replica may stay where it is. Of a broker that is not registered only the node id is known.
func (p *placer) wanted(id int32) bool {
	return len(p.want.Racks) == 0 || p.brokers[id].Rack != "" && slices.Contains(p.want.Racks, p.brokers[id].Rack)
}

// satisfied tells whether a partition needs no move.
func (p *placer) satisfied(replicas []int32) bool {
	return (p.want.Factor == 0 || len(replicas) == p.want.Factor) && len(p.keep(replicas, nil)) == len(replicas)
}

// assign returns the assignment in which every partition is as wanted, with as few new replicas as that takes, spread
// evenly over brokers and racks. What is as wanted stays, and so does the preferred leader where its replica does;
// where it does not, the replica leads whose broker leads least.
func (p *placer) assign(current [][]int32) ([][]int32, *verdict.Verdict) {
	target := make([][]int32, len(current))
	for _, replicas := range current {
		for _, id := range replicas {
			p.load[id]++
		}
	}
	for i, replicas := range current {
		var isr []int32
		if i < len(p.isr) {
			isr = p.isr[i]
		}
		target[i] = p.keep(replicas, isr)
		for _, id := range replicas {
			if !slices.Contains(target[i], id) {
				p.load[id]--
			}
		}
		if leads(target[i], replicas) {
			p.leads[target[i][0]]++
		}
	}
	for i := range target {
		led := leads(target[i], current[i])
		for p.want.Factor > 0 && len(target[i]) < p.want.Factor {
			id, ok := p.next(target[i])
			if !ok {
				v := verdict.Waiting(ReasonReplication, "", look, look,
					"waiting for brokers that are down: %d replicas asked, and too few brokers serve", p.want.Factor)
				return nil, &v
			}
			p.load[id]++
			target[i] = append(slices.Clone(target[i]), id)
		}
		if !led && len(target[i]) > 0 {
			slices.SortStableFunc(target[i], func(a, b int32) int { return cmp.Compare(p.leads[a], p.leads[b]) })
			p.leads[target[i][0]]++
		}
	}
	return target, nil
}

// leads tells whether the preferred leader of a partition is among those of its replicas that stay.
func leads(kept, current []int32) bool { return len(kept) > 0 && kept[0] == current[0] }

// keep returns those replicas of a partition that stay, in their order.
func (p *placer) keep(replicas, isr []int32) []int32 {
	kept := slices.DeleteFunc(slices.Clone(replicas), func(id int32) bool { return !p.wanted(id) })
	for i := p.surplus(kept, isr); i >= 0; i = p.surplus(kept, isr) {
		kept = append(kept[:i], kept[i+1:]...)
	}
	return kept
}

// surplus returns the index of the replica to take away; -1 = none is too many. One that is not in sync goes first,
// as does that of a broker that is down, then the rack that holds most, then the broker that does; the preferred
// leader goes last.
func (p *placer) surplus(replicas, isr []int32) int {
	count := p.byRack(replicas)
	over := 0 // racks that use one of the extras
	for rack, n := range count {
		if n > p.low[rack] {
			over++
		}
	}
	candidate := func(id int32) bool {
		if len(p.want.Racks) == 0 {
			return p.want.Factor > 0 && len(replicas) > p.want.Factor
		}
		rack := p.brokers[id].Rack
		return count[rack] > p.low[rack]+1 || count[rack] > p.low[rack] && over > p.extras
	}
	best := -1
	for i, id := range replicas {
		if !candidate(id) {
			continue
		}
		if best < 0 || p.ratherDropped(replicas, isr, count, i, best) {
			best = i
		}
	}
	return best
}

func (p *placer) ratherDropped(replicas, isr []int32, count map[string]int, i, than int) bool {
	rank := func(i int) (down, first, inRack, load int) {
		b, registered := p.brokers[replicas[i]]
		if b.Fenced || !registered || len(isr) > 0 && !slices.Contains(isr, replicas[i]) {
			down = 1
		}
		if i == 0 {
			first = 1
		}
		return down, first, count[b.Rack], p.load[replicas[i]]
	}
	downA, firstA, rackA, loadA := rank(i)
	downB, firstB, rackB, loadB := rank(than)
	return cmp.Or(
		cmp.Compare(downA, downB), cmp.Compare(firstB, firstA), cmp.Compare(rackA, rackB), cmp.Compare(loadA, loadB), 1,
	) > 0
}

// next returns the broker for one more replica: in the rack that holds fewest of the partition, then the least loaded.
func (p *placer) next(replicas []int32) (int32, bool) {
	count := p.byRack(replicas)
	over := 0
	for rack, n := range count {
		if n > p.low[rack] {
			over++
		}
	}
	best, found := int32(0), false
	for _, id := range p.usable {
		rack := p.brokers[id].Rack
		full := len(p.want.Racks) > 0 && (count[rack] > p.low[rack] || count[rack] == p.low[rack] && over >= p.extras)
		if full || slices.Contains(replicas, id) {
			continue
		}
		other := p.brokers[best].Rack
		if !found || cmp.Or(cmp.Compare(count[rack], count[other]), cmp.Compare(p.load[id], p.load[best])) < 0 {
			best, found = id, true
		}
	}
	return best, found
}

func (p *placer) byRack(replicas []int32) map[string]int {
	count := map[string]int{}
	for _, id := range replicas {
		count[p.brokers[id].Rack]++
	}
	return count
}
