// Package course carries a plan of internal/balance through many passes: it says when a plan is due, which of its moves
// begin now, what is on record before they do, what has arrived, and how far it all is. It is pure: what is seen, what
// is on record and the time come in, and what follows comes out. Whether moving may begin at all is internal/plan's to
// say.
package course

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/castellan-dev/castellan/api/v1alpha1"
	"github.com/castellan-dev/castellan/internal/balance"
	"github.com/castellan-dev/castellan/internal/kafka"
	"github.com/castellan-dev/castellan/internal/model"
	"github.com/castellan-dev/castellan/internal/moves"
	"github.com/castellan-dev/castellan/internal/verdict"
)

const (
	// every is how often Continuous looks at the sizes of replicas.
	every = 5 * time.Minute
	// pause is for how long a plan that has nothing left to begin stands, before another one is made for the same.
	pause = 15 * time.Second
	// stale is how old a plan may become that waits for the word of a person.
	stale = 24 * time.Hour
	// maxStuck is the most that the status tells of what cannot be moved.
	maxStuck = 10
)

// Inputs is what a course follows from.
type Inputs struct {
	Settings model.Balancing
	Seen     model.BalancingSeen
	Snapshot *kafka.Snapshot
	Brokers  []Broker // of the cluster, sorted by id; those that leave among them
	// Volumes are those of the pools of brokers that stay, as pool/volume; sorted.
	Volumes []string
	// KeepLeaders: preferred leaders stay what they are. Somebody else places them.
	KeepLeaders bool
	Now         time.Time
}

// Broker is a broker of the cluster.
type Broker struct {
	ID      int32
	Leaving bool
	// Cordoned: somebody has cordoned log directories of it. It takes nothing.
	Cordoned bool
	// Capacity is that of its claims, in bytes by the path of the log directory.
	Capacity map[string]int64
	// Leaves are the paths of its log directories that shall hold nothing.
	Leaves []string
}

// Course is what one pass makes of it.
type Course struct {
	in     Inputs
	before v1alpha1.BalancingStatus
	known  bool // there was a record

	stay, leave []int32
	holding     map[int32]int // partitions on a leaving broker, by broker
	coming      []int32       // brokers that have not got their share
	volumes     []string      // that have not got their share
	clearing    map[dir]int   // replicas in log directories that leave, or on their way there; none = not told, or empty
	current     map[kafka.PartitionID]*kafka.Partition
	flying      []v1alpha1.MovingPartition // on record and under way
	ended       []v1alpha1.MovingPartition // on record and under way no more
	foreign     []kafka.PartitionID        // under way, and on nobody's record
	wants       Wants

	spreads bool // brokers are to be evened out, while a window is open
	open    bool // one is
	purpose string
	plan    *balance.Plan
	left    []progress // what is left of the plan, in its order
	begun   []v1alpha1.MovingPartition
	swaps   [][2]kafka.PartitionID // of what begins
	held    string                 // why nothing begins

	// Remembered is what is to be remembered of the plan.
	Remembered model.Remembered
}

// progress is a move of the plan that is not complete.
type progress struct {
	balance.Move
	at        int  // in the plan
	flies     bool // under way
	held      bool // until a window opens, or for good: what it was to change places with is elsewhere
	startable bool // its partition is as the move finds it
}

// New looks at what is under way and what is due.
func New(in Inputs) *Course {
	c := &Course{in: in, Remembered: in.Seen.Remembered, holding: map[int32]int{},
		clearing: map[dir]int{},
		current:  map[kafka.PartitionID]*kafka.Partition{}}
	if c.known = in.Settings.Record != nil; c.known {
		c.before = *in.Settings.Record.DeepCopy()
	}
	for _, b := range in.Brokers {
		if b.Leaving {
			c.leave = append(c.leave, b.ID)
		} else {
			c.stay = append(c.stay, b.ID)
		}
	}
	for _, id := range c.stay {
		if c.known && !slices.Contains(c.before.Spread, id) && !c.cordoned(id) {
			c.coming = append(c.coming, id)
		}
	}
	for _, volume := range in.Volumes {
		if c.known && c.before.SpreadVolumes != nil && !slices.Contains(c.before.SpreadVolumes, volume) {
			c.volumes = append(c.volumes, volume)
		}
	}
	if in.Snapshot != nil {
		c.look(in.Snapshot)
	}
	if c.off() {
		c.Remembered = model.Remembered{}
		return c
	}
	c.spreads = len(c.coming)+len(c.volumes) > 0 || in.Settings.Mode == v1alpha1.BalancingContinuous
	c.open = in.Settings.InWindow(in.Now)
	c.purpose = fmt.Sprint(c.stay, c.leave, c.spreads, c.takes(), in.Settings.Tolerance, in.Settings.Exclude,
		in.KeepLeaders, c.volumes, leaves(in.Brokers), c.alone())
	if r := c.Remembered; in.Snapshot != nil && r.Plan != nil && r.Of == c.purpose && !c.old() {
		c.follow(r.Plan)
		c.abandon()
	}
	return c
}

func (c *Course) off() bool {
	return c.in.Settings.Mode == v1alpha1.BalancingOff || c.in.Settings.Mode == ""
}

func (c *Course) cordoned(id int32) bool {
	return slices.ContainsFunc(c.in.Brokers, func(b Broker) bool { return b.ID == id && b.Cordoned })
}

// takes are the brokers that stay and take replicas.
func (c *Course) takes() []int32 { return slices.DeleteFunc(slices.Clone(c.stay), c.cordoned) }

// look finds what is under way, and what leaving brokers hold.
func (c *Course) look(s *kafka.Snapshot) {
	for i := range s.Partitions {
		p := &s.Partitions[i]
		c.current[kafka.PartitionID{Topic: p.Topic, Number: p.Number}] = p
		for _, id := range p.Replicas {
			if slices.Contains(c.leave, id) {
				c.holding[id]++
			}
		}
	}
	c.lookAtDirs(s)
	mine := map[kafka.PartitionID]bool{}
	for _, m := range c.before.InFlight {
		if m.Broker != nil {
			if c.shifts(m) {
				c.flying = append(c.flying, m)
			} else {
				c.ended = append(c.ended, m)
			}
			continue
		}
		r, under := s.Reassignments[m.Topic][m.Partition]
		if under && slices.Equal(Target(r), m.Replicas) {
			c.flying = append(c.flying, m)
			mine[kafka.PartitionID{Topic: m.Topic, Number: m.Partition}] = true
		} else {
			c.ended = append(c.ended, m)
		}
	}
	if c.off() {
		return
	}
	for topic, partitions := range s.Reassignments {
		for number := range partitions {
			id := kafka.PartitionID{Topic: topic, Number: number}
			if !mine[id] && !c.isTopics(id) {
				c.foreign = append(c.foreign, id)
			}
		}
	}
	slices.SortFunc(c.foreign, func(a, b kafka.PartitionID) int {
		return cmp.Or(cmp.Compare(a.Topic, b.Topic), cmp.Compare(a.Number, b.Number))
	})
}

// Wants is what a course lacks to say what begins, or whose a reassignment is. Once it is in Inputs.Seen, the course is
// made anew. What cannot be read is there as an error, and is wanted no more in this pass.
type Wants struct{ Topics, Sizes bool }

// Any tells whether anything is lacking.
func (w Wants) Any() bool { return w.Topics || w.Sizes }

// Wants tells what is lacking. A nil Course wants nothing.
func (c *Course) Wants() Wants {
	if c == nil {
		return Wants{}
	}
	return c.wants
}

// others are the topics that a KafkaTopic places or moves. Until somebody has looked they are none, and wanted.
func (c *Course) others() []model.PlacedTopic {
	if c.in.Seen.Topics == nil {
		c.wants.Topics = true
		return nil
	}
	return c.in.Seen.Topics.Placed
}

// Moves tells whether a partition is on record and under way.
func (c *Course) Moves(topic string, number int32) bool {
	return slices.ContainsFunc(c.flying, func(m v1alpha1.MovingPartition) bool {
		return m.Topic == topic && m.Partition == number
	})
}

// isTopics tells whether a partition is on the record of a KafkaTopic.
func (c *Course) isTopics(id kafka.PartitionID) bool {
	return slices.ContainsFunc(c.others(), func(t model.PlacedTopic) bool {
		_, moving := t.Moving[id.Number]
		return t.Name == id.Topic && moving
	})
}

// Target is where a reassignment leads.
func Target(r kafka.Reassignment) []int32 {
	return slices.DeleteFunc(slices.Clone(r.Replicas), func(id int32) bool { return slices.Contains(r.Removing, id) })
}

// follow finds what is left of a plan. A partition may have several moves, one after the other, and come back to where
// it was: how many of them are past is remembered. Of a partition that is elsewhere than its moves lead no move is
// made: somebody else has moved it meanwhile.
func (c *Course) follow(p *balance.Plan) {
	c.plan = p
	chains := map[kafka.PartitionID][]balance.Move{}
	for _, m := range p.Moves {
		id := kafka.PartitionID{Topic: m.Topic, Number: m.Partition}
		chains[id] = append(chains[id], m)
	}
	past := make(map[kafka.PartitionID]int, len(chains))
	elsewhere := map[kafka.PartitionID]bool{}
	for id, chain := range chains {
		past[id] = c.past(id, chain, c.Remembered.Past[id])
		elsewhere[id] = past[id] == len(chain) && !c.lies(id, chain[len(chain)-1].After)
	}
	c.Remembered.Past = past
	at := make(map[kafka.PartitionID]int, len(chains))
	for i, m := range p.Moves {
		id := kafka.PartitionID{Topic: m.Topic, Number: m.Partition}
		if at[id]++; at[id] <= past[id] {
			continue
		}
		_, under := c.in.Snapshot.Reassignments[m.Topic][m.Partition]
		first := at[id] == past[id]+1
		held := c.waits(m) || elsewhere[swapped(p.Moves, i)]
		next := progress{Move: m, at: i, flies: first && under, held: held,
			startable: first && !under && !held && slices.Equal(c.current[id].Replicas, m.Before)}
		if m.Within() {
			where, coming, _ := c.find(m.Broker, id)
			next.flies, next.startable = first && coming == m.To, next.startable && where == m.From && coming == ""
		}
		c.left = append(c.left, next)
	}
}

// lies tells whether a partition lies on these brokers, and is to stay there.
func (c *Course) lies(id kafka.PartitionID, replicas []int32) bool {
	_, under := c.in.Snapshot.Reassignments[id.Topic][id.Number]
	now, exists := c.current[id]
	return exists && !under && slices.Equal(now.Replicas, replicas)
}

// swapped is the partition that changes places with the one of a move; none = there is no such.
func swapped(all []balance.Move, i int) kafka.PartitionID {
	switch {
	case all[i].Paired && i+1 < len(all):
		return kafka.PartitionID{Topic: all[i+1].Topic, Number: all[i+1].Partition}
	case i > 0 && all[i-1].Paired:
		return kafka.PartitionID{Topic: all[i-1].Topic, Number: all[i-1].Partition}
	}
	return kafka.PartitionID{}
}

// past counts the moves of a partition that are past.
func (c *Course) past(id kafka.PartitionID, chain []balance.Move, before int) int {
	now, exists := c.current[id]
	r, under := c.in.Snapshot.Reassignments[id.Topic][id.Number]
	switch {
	case !exists:
		return len(chain)
	case before < len(chain) && chain[before].Within():
		if under || !slices.Equal(now.Replicas, chain[before].Before) {
			return len(chain)
		}
		return before + c.pastWithin(id, chain[before], len(chain)-before)
	case under && before < len(chain) && slices.Equal(Target(r), chain[before].After):
		return before
	case under:
		return len(chain)
	}
	if before < len(chain) && slices.Equal(now.Replicas, chain[before].After) {
		before++
	}
	if before < len(chain) && !slices.Equal(now.Replicas, chain[before].Before) && !between(now.Replicas, chain[before]) {
		return len(chain)
	}
	return before
}

// between tells whether a partition has all replicas of a move, those before it and those after: it has just ended, and
// the broker that was asked for partitions has not heard of it.
func between(now []int32, m balance.Move) bool {
	lacks := func(id int32) bool { return !slices.Contains(now, id) }
	return len(now) > len(m.Before) && !slices.ContainsFunc(slices.Concat(m.Before, m.After), lacks)
}

// empties tells whether some broker or disk leaves that holds something.
func (c *Course) empties() bool { return len(c.holding)+len(c.clearing) > 0 }

// Has tells whether there is something to begin, or to look for.
func (c *Course) Has() (bool, string) {
	if c.off() || c.in.Snapshot == nil || !c.known {
		return false, ""
	}
	if c.plan == nil {
		return c.due()
	}
	if !slices.ContainsFunc(c.left, func(p progress) bool { return p.startable }) {
		if len(c.left) == 0 && len(c.flying) == 0 && c.in.Now.Sub(c.Remembered.At) >= pause {
			return c.due()
		}
		return false, ""
	}
	if c.room() < c.least() || c.in.Settings.Manual && c.in.Settings.Approved != c.plan.Hash() {
		return false, ""
	}
	return true, c.why()
}

// partial tells whether another plan follows this one.
func (c *Course) partial() bool { return c.plan != nil && c.Remembered.Partial }

// due tells whether a plan is to be made.
func (c *Course) due() (bool, string) {
	late := c.in.Settings.Mode == v1alpha1.BalancingContinuous && c.open &&
		c.in.Now.Sub(c.Remembered.At) >= every
	rest := c.plan == nil || c.Remembered.Partial
	spreads := c.spreads && c.open && rest && (len(c.coming)+len(c.volumes) > 0 || c.plan != nil)
	return c.empties() || spreads || late, c.why()
}

func (c *Course) why() string {
	switch {
	case c.empties():
		return c.leavers()
	case len(c.coming) > 0:
		return ids(c.coming) + " get" + s(len(c.coming)) + " " + its(len(c.coming)) + " share"
	case len(c.volumes) > 0:
		return volumes(c.volumes) + " get" + s(len(c.volumes)) + " " + its(len(c.volumes)) + " share"
	}
	return "brokers are evened out"
}

// emptying are the leaving brokers that hold something.
func (c *Course) emptying() []int32 {
	return slices.DeleteFunc(slices.Clone(c.leave), func(id int32) bool { return c.holding[id] == 0 })
}

// limit is how many partitions move at a time.
func (c *Course) limit() int {
	return min(cmp.Or(c.in.Settings.MaxMoving, moves.MaxMoving), moves.MaxMoving)
}

// alone tells whether one partition moves at a time, so that no two can change places.
func (c *Course) alone() bool { return c.limit() < 2 }

// room is how many more may begin. What KafkaTopics move counts against the limit of the cluster.
func (c *Course) room() int {
	survey := moves.Survey{Reassigning: c.in.Snapshot.Reassignments}
	survey.Grant(append(Ledger(&c.before), c.ledger()...))
	return min(c.limit()-len(c.flying), survey.Free)
}

// least is how many have to have room before some begin: each beginning is a write to the status.
func (c *Course) least() int {
	if len(c.flying) == 0 {
		return 1
	}
	return (c.limit() + 3) / 4
}

// ledger is what KafkaTopics have on record.
func (c *Course) ledger() moves.Ledger {
	var ledger moves.Ledger
	for _, t := range c.others() {
		entry := moves.Entry{Topic: t.Name, Record: moves.Record{BytesPerSecond: t.BytesPerSecond}}
		for partition, replicas := range t.Moving {
			entry.InFlight = append(entry.InFlight, moves.Assignment{Partition: partition, Replicas: replicas})
		}
		if len(t.Moving) > 0 {
			ledger = append(ledger, entry)
		}
	}
	return ledger
}

// Ledger is what a status has on record, an entry a topic; nil = nothing.
func Ledger(status *v1alpha1.BalancingStatus) moves.Ledger {
	if status == nil {
		return nil
	}
	var ledger moves.Ledger
	for _, m := range status.InFlight {
		if last := len(ledger) - 1; last < 0 || ledger[last].Topic != m.Topic {
			ledger = append(ledger, moves.Entry{Topic: m.Topic,
				Record: moves.Record{BytesPerSecond: status.BytesPerSecond}})
		}
		entry := &ledger[len(ledger)-1]
		entry.InFlight = append(entry.InFlight, moves.Assignment{Partition: m.Partition, Replicas: m.Replicas})
	}
	return ledger
}

// Ended are the moves on record that are under way no more, once it is worth a write to the status to take them off.
func (c *Course) Ended() []v1alpha1.MovingPartition {
	if len(c.ended) == 0 || len(c.flying) > 0 && len(c.ended) < c.least() {
		return nil
	}
	return c.ended
}

// Recalled are moves under way to a broker that leaves. What it copies would have to go again, and one that is down
// copies nothing, so that the move would never end. A new replica that others lack in sync stays.
func (c *Course) Recalled() []v1alpha1.MovingPartition {
	if c.off() || c.in.Snapshot == nil {
		return nil
	}
	var some []v1alpha1.MovingPartition
	for _, m := range c.flying {
		id := kafka.PartitionID{Topic: m.Topic, Number: m.Partition}
		adding := c.in.Snapshot.Reassignments[m.Topic][m.Partition].Adding
		leaves := func(broker int32) bool { return slices.Contains(c.leave, broker) }
		if m.Broker == nil && slices.ContainsFunc(adding, leaves) && !c.needs(id, adding) &&
			!c.in.Seen.Refused[id].Until.After(c.in.Now) {
			some = append(some, m)
		}
	}
	return some
}

// needs tells whether some of these brokers are in sync with a partition, and not all of its others are.
func (c *Course) needs(id kafka.PartitionID, some []int32) bool {
	p, exists := c.current[id]
	if !exists {
		return false
	}
	helps, lacks := false, false
	for _, broker := range p.Replicas {
		in, new := slices.Contains(p.ISR, broker), slices.Contains(some, broker)
		helps, lacks = helps || new && in, lacks || !new && !in
	}
	return helps && lacks
}

// Hold says why nothing begins.
func (c *Course) Hold(why string) { c.held = why }

// Begin makes a plan where one is due, and returns what begins now. Nothing does while something is wanted for that.
func (c *Course) Begin() []v1alpha1.MovingPartition {
	if c.off() {
		return nil
	}
	anew := c.plan == nil || len(c.left) == 0
	if due, _ := c.due(); anew && (!due || len(c.Recalled()) > 0) {
		return nil
	}
	c.others()
	c.wants.Sizes = anew && c.in.Seen.Sizes == nil
	switch topics := c.in.Seen.Topics; {
	case c.wants.Any():
		return nil
	case topics.Err != "":
		c.held = topics.Err
		return nil
	case anew && !c.make(c.in.Seen.Sizes):
		return nil
	}
	if c.in.Settings.Manual && c.in.Settings.Approved != c.plan.Hash() {
		return nil
	}
	c.begin()
	return c.begun
}

// placesNow tells whether a KafkaTopic moves replicas of its topic. Its throttle names those.
func (c *Course) placesNow(topic string) bool {
	return slices.ContainsFunc(c.others(), func(t model.PlacedTopic) bool { return t.Name == topic && len(t.Moving) > 0 })
}

// Text is one line on what is done or waited for; empty = there is nothing to tell.
func (c *Course) Text() string {
	if c.off() || !c.known || c.in.Snapshot == nil {
		return ""
	}
	status := c.Status()
	return status.Message
}

// ids names brokers.
func ids(some []int32) string {
	what := "broker"
	parts := make([]string, len(some))
	for i, id := range some {
		parts[i] = fmt.Sprint(id)
	}
	if len(some) != 1 {
		what += "s"
	}
	return what + " " + strings.Join(parts, ", ")
}

func s(n int) string {
	if n == 1 {
		return "s"
	}
	return ""
}

func its(n int) string {
	if n == 1 {
		return "its"
	}
	return "their"
}

func moved(n int) string { return verdict.Counted(n, "move") }
