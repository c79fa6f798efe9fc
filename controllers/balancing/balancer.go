// Package balancing reads what a plan of moves takes, and carries out what internal/plan has decided: it has moves put
// on record before it begins them, sets and removes their throttle, and takes off the record what has ended. It decides
// nothing.
package balancing

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/castellan-dev/castellan/api/v1alpha1"
	"github.com/castellan-dev/castellan/controllers/batch"
	"github.com/castellan-dev/castellan/controllers/moving"
	"github.com/castellan-dev/castellan/internal/balance"
	"github.com/castellan-dev/castellan/internal/course"
	"github.com/castellan-dev/castellan/internal/kafka"
	"github.com/castellan-dev/castellan/internal/model"
	"github.com/castellan-dev/castellan/internal/moves"
	"github.com/castellan-dev/castellan/internal/topics"
)

// +kubebuilder:rbac:groups=kafka.castellan.dev,resources=kafkatopics,verbs=list;watch

// loadsPatience bounds the reading of the sizes of replicas.
const loadsPatience = 10 * time.Second

// Balancer moves replicas to where there is room. A nil Balancer moves none. It remembers the last plan of each
// cluster; an operator that takes over makes it anew.
type Balancer struct {
	client.Client
	// Rate is how many bytes per second each broker may send and receive where the KafkaCluster does not say; zero = no
	// limit.
	Rate int64

	mu    sync.Mutex
	plans map[types.NamespacedName]model.Remembered
	// unnamed are the topics of a cluster with a throttle that names nothing of what was to move, and until when they
	// are left alone.
	unnamed map[types.NamespacedName]map[string]time.Time
	// refused are the moves of a cluster that Kafka has refused, and has not begun since.
	refused map[types.NamespacedName]map[kafka.PartitionID]model.RefusedMove
	// lately are the moves of a cluster that have ended, and until when a broker may still tell of their throttle.
	lately map[types.NamespacedName]map[kafka.PartitionID]time.Time
}

// behindFor is for how long a broker may be behind with what it tells of topics: one that has just started is, and one
// on a machine with much to do.
const behindFor = time.Minute

// unnamedFor is for how long a topic is left alone whose throttle does not name what was to move.
const unnamedFor = time.Minute

// Remember keeps what is known of the plan of a cluster.
func (b *Balancer) Remember(cluster types.NamespacedName, r model.Remembered) {
	if b == nil {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.plans == nil {
		b.plans = map[types.NamespacedName]model.Remembered{}
	}
	if b.plans[cluster] = r; r.Plan == nil {
		delete(b.plans, cluster)
		delete(b.unnamed, cluster)
		delete(b.refused, cluster)
	}
}

// Planned are the moves that are left of the plan that is remembered of a cluster.
func (b *Balancer) Planned(cluster types.NamespacedName) []balance.Move {
	if b == nil {
		return nil
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.plans[cluster].Left()
}

// Forget forgets a cluster that is gone.
func (b *Balancer) Forget(cluster types.NamespacedName) {
	b.Remember(cluster, model.Remembered{})
	if b == nil {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.lately, cluster)
}

// ended notes moves whose throttle has been taken off.
func (b *Balancer) ended(w Work) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.lately == nil {
		b.lately = map[types.NamespacedName]map[kafka.PartitionID]time.Time{}
	}
	if b.lately[w.Cluster] == nil {
		b.lately[w.Cluster] = map[kafka.PartitionID]time.Time{}
	}
	for _, m := range w.Moves {
		if m.ForeignThrottle || m.Broker != nil {
			continue // no throttle of the operator's was on it
		}
		b.lately[w.Cluster][idOf(m)] = w.Now.Add(behindFor)
	}
}

// endedLately are the moves of a cluster that have ended so lately that a broker may still tell of their throttle.
func (b *Balancer) endedLately(w Work) map[kafka.PartitionID]time.Time {
	b.mu.Lock()
	defer b.mu.Unlock()
	maps.DeleteFunc(b.lately[w.Cluster], func(_ kafka.PartitionID, until time.Time) bool { return !until.After(w.Now) })
	return maps.Clone(b.lately[w.Cluster])
}

// Seen is what is remembered of a cluster. Where moves of a plan are left, or replicas move, the topics are there, too:
// each such pass wants them.
func (b *Balancer) Seen(ctx context.Context, cluster types.NamespacedName, shot *kafka.Snapshot) model.BalancingSeen {
	if b == nil {
		return model.BalancingSeen{}
	}
	b.mu.Lock()
	seen := model.BalancingSeen{Remembered: b.plans[cluster], Rate: b.Rate, Unnamed: maps.Clone(b.unnamed[cluster]),
		Refused: maps.Clone(b.refused[cluster])}
	b.mu.Unlock()
	if len(seen.Remembered.Left()) > 0 || shot != nil && shot.Reassigning > 0 {
		seen.Topics = b.topicsSeen(ctx, cluster)
	}
	return seen
}

// Read adds what a plan of moves wants to know. What cannot be read is there as an error.
func (b *Balancer) Read(
	ctx context.Context, cluster types.NamespacedName, wants course.Wants,
	sizes func(context.Context) (map[int32][]kafka.LoadDir, error), seen *model.BalancingSeen,
) {
	if wants.Topics {
		seen.Topics = b.topicsSeen(ctx, cluster)
	}
	if wants.Sizes {
		ctx, cancel := context.WithTimeout(ctx, loadsPatience)
		defer cancel()
		dirs, err := sizes(ctx)
		seen.Sizes = &model.SizesSeen{Dirs: dirs, Err: textOf(err)}
	}
}

func (b *Balancer) topicsSeen(ctx context.Context, cluster types.NamespacedName) *model.TopicsSeen {
	placed, err := b.topics(ctx, cluster)
	return &model.TopicsSeen{Placed: placed, Err: textOf(err)}
}

func textOf(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

// topics lists the KafkaTopics of a cluster that place replicas or move them. A nil Balancer knows of none.
func (b *Balancer) topics(ctx context.Context, cluster types.NamespacedName) ([]model.PlacedTopic, error) {
	if b == nil {
		return nil, nil
	}
	list := &v1alpha1.KafkaTopicList{}
	if err := b.List(ctx, list, client.MatchingFields{batch.ClusterIndex: cluster.String()}); err != nil {
		return nil, fmt.Errorf("list the KafkaTopics of cluster %s: %w", cluster, err)
	}
	var placed []model.PlacedTopic
	for i := range list.Items {
		t := &list.Items[i]
		next := model.PlacedTopic{Name: topics.Name(t)}
		if t.Spec.Placement != nil && t.Spec.Management != v1alpha1.ManagementObserve {
			next.Racks = t.Spec.Placement.Racks
			if t.Spec.ReplicationFactor != nil {
				next.Factor = int(*t.Spec.ReplicationFactor)
			}
		}
		if record := topics.MovingOf(t.Status.Reassignment); record != nil {
			next.Moving, next.BytesPerSecond = map[int32][]int32{}, record.BytesPerSecond
			for _, a := range record.InFlight {
				next.Moving[a.Partition] = a.Replicas
			}
		}
		if len(next.Racks) > 0 || len(next.Moving) > 0 {
			placed = append(placed, next)
		}
	}
	return placed, nil
}

// Work is moves that begin or end.
type Work struct {
	Admin       kafka.Admin
	Cluster     types.NamespacedName
	Settings    model.Balancing
	Record      *v1alpha1.BalancingStatus
	Reassigning map[string]map[int32]kafka.Reassignment
	// Found are the partitions as they were when the moves were decided.
	Found []kafka.Partition
	Moves []v1alpha1.MovingPartition
	// Swaps are pairs of them of which neither begins without the other.
	Swaps [][2]kafka.PartitionID
	Now   time.Time
	// Write puts a record in the place of Record, or fails if somebody has written meanwhile.
	Write func(*v1alpha1.BalancingStatus) error

	lately map[kafka.PartitionID]time.Time
}

// mover moves under the limit that the cluster asks for.
func (b *Balancer) mover(w Work) moving.Mover {
	return moving.Mover{Rate: cmp.Or(w.Settings.Rate, b.Rate)}
}

// Begin records moves, sets the limit and the throttle, and begins them, in this order: an operator that takes over
// finds nothing under way that it does not know. It looks at their partitions before, for what is to be on record, and
// once they are on record: what somebody else has moved until then is left alone.
func (b *Balancer) Begin(ctx context.Context, w Work) ([]v1alpha1.MovingPartition, error) {
	live, begun, err := w.look(ctx, w.Moves)
	if err != nil {
		return nil, err
	}
	w.lately = b.endedLately(w)
	copies := false
	begun = w.together(b.named(w, begun, live))
	for i := range begun {
		m := &begun[i]
		m.ForeignThrottle = w.isForeign(live[m.Topic])
		copies = copies || m.Broker != nil || len(adding(live[m.Topic], *m)) > 0
	}
	if w.Moves = begun; len(begun) == 0 {
		return nil, nil
	}
	rate := b.mover(w).Rate
	if !copies {
		rate = w.Record.BytesPerSecond
	}
	next := course.With(*w.Record, begun, rate)
	if err := w.Write(&next); err != nil {
		return nil, err
	}
	live, begun, err = w.look(ctx, begun)
	if err != nil {
		return nil, err
	}
	if begun = w.together(begun); len(begun) < len(w.Moves) {
		next = *course.Without(next, w.except(begun))
		if err := w.Write(&next); err != nil || len(begun) == 0 {
			return nil, err
		}
	}
	if err := b.limit(ctx, w, &next); err != nil {
		return nil, fmt.Errorf("limit what brokers copy: %w", err)
	}
	work := moving.Work{Throttle: w.throttle(live, &next), Moves: map[string][]kafka.Move{}}
	within := map[int32]map[kafka.PartitionID]string{}
	failed := map[kafka.PartitionID]error{}
	for _, m := range begun {
		if m.Broker != nil {
			if within[*m.Broker] == nil {
				within[*m.Broker] = map[kafka.PartitionID]string{}
			}
			within[*m.Broker][idOf(m)] = m.LogDir
			continue
		}
		work.Moves[m.Topic] = append(work.Moves[m.Topic],
			kafka.Move{Partition: m.Partition, Replicas: m.Replicas, KeepFactor: true})
	}
	err = errors.Join(b.carry(ctx, w, work, failed), moveWithin(ctx, w.Admin, within, failed))
	b.tried(w, begun, failed)
	return begun, err
}

// moveWithin has brokers move replicas between their disks. What failed it adds.
func moveWithin(
	ctx context.Context, admin kafka.Admin,
	some map[int32]map[kafka.PartitionID]string, failed map[kafka.PartitionID]error,
) error {
	var errs []error
	for _, id := range slices.Sorted(maps.Keys(some)) {
		results, err := admin.MoveWithin(ctx, id, some[id])
		errs = append(errs, err)
		for _, partition := range slices.SortedFunc(maps.Keys(some[id]), kafka.PartitionID.Compare) {
			if refused := results[partition]; refused != nil {
				errs = append(errs, fmt.Errorf("move %s-%d to log directory %s of broker %d: %w",
					partition.Topic, partition.Number, some[id][partition], id, refused))
			}
			if no := cmp.Or(err, results[partition]); no != nil {
				failed[partition] = no
			}
		}
	}
	return errors.Join(errs...)
}

// refusedFor is for how long a move is left alone that Kafka has refused once. It doubles with each refusal, up to
// refusedLimit: each attempt is two writes to the status and some requests.
const (
	refusedFor   = 15 * time.Second
	refusedLimit = 10 * time.Minute
)

// tried notes which moves Kafka has refused.
func (b *Balancer) tried(w Work, some []v1alpha1.MovingPartition, failed map[kafka.PartitionID]error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, m := range some {
		id := idOf(m)
		no := failed[id]
		if no == nil {
			delete(b.refused[w.Cluster], id)
			continue
		}
		if b.refused == nil {
			b.refused = map[types.NamespacedName]map[kafka.PartitionID]model.RefusedMove{}
		}
		if b.refused[w.Cluster] == nil {
			b.refused[w.Cluster] = map[kafka.PartitionID]model.RefusedMove{}
		}
		next := model.RefusedMove{Times: b.refused[w.Cluster][id].Times + 1, Why: no.Error()}
		next.Until = w.Now.Add(min(refusedLimit, refusedFor<<min(next.Times-1, 10)))
		b.refused[w.Cluster][id] = next
	}
}

// together are those of some moves that do not lack the one with which they change places.
func (w *Work) together(some []v1alpha1.MovingPartition) []v1alpha1.MovingPartition {
	lacking := map[kafka.PartitionID]bool{}
	has := func(id kafka.PartitionID) bool {
		return slices.ContainsFunc(some, func(m v1alpha1.MovingPartition) bool { return idOf(m) == id })
	}
	for _, pair := range w.Swaps {
		if !has(pair[0]) || !has(pair[1]) {
			lacking[pair[0]], lacking[pair[1]] = true, true
		}
	}
	return slices.DeleteFunc(slices.Clone(some), func(m v1alpha1.MovingPartition) bool { return lacking[idOf(m)] })
}

func idOf(m v1alpha1.MovingPartition) kafka.PartitionID {
	return kafka.PartitionID{Topic: m.Topic, Number: m.Partition}
}

// named are the moves of topics without a throttle of somebody else's, or with one that holds for all that moves.
// Others would copy without a limit. It remembers their topics.
func (b *Balancer) named(
	w Work, some []v1alpha1.MovingPartition, live map[string]kafka.Topic,
) []v1alpha1.MovingPartition {
	unnamed := map[string]bool{}
	for _, m := range some {
		topic := live[m.Topic]
		unnamed[m.Topic] = unnamed[m.Topic] || b.mover(w).Rate > 0 && w.isForeign(topic) && !names(topic, m)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	for topic, is := range unnamed {
		if !is {
			delete(b.unnamed[w.Cluster], topic)
			continue
		}
		if b.unnamed == nil {
			b.unnamed = map[types.NamespacedName]map[string]time.Time{}
		}
		if b.unnamed[w.Cluster] == nil {
			b.unnamed[w.Cluster] = map[string]time.Time{}
		}
		b.unnamed[w.Cluster][topic] = w.Now.Add(unnamedFor)
	}
	return slices.DeleteFunc(slices.Clone(some), func(m v1alpha1.MovingPartition) bool { return unnamed[m.Topic] })
}

// names tells whether the throttle of a topic names all replicas between which a move copies.
func names(topic kafka.Topic, m v1alpha1.MovingPartition) bool {
	added := adding(topic, m)
	if len(added) == 0 {
		return true
	}
	has := func(key string, some []int32) bool {
		entries := strings.Split(topic.Config[key], ",")
		return slices.Contains(entries, "*") || !slices.ContainsFunc(some, func(id int32) bool {
			return !slices.Contains(entries, fmt.Sprintf("%d:%d", m.Partition, id))
		})
	}
	return has(moves.LeaderThrottled, topic.Replicas[m.Partition]) && has(moves.FollowerThrottled, added)
}

// look returns topics as they are, and those of some moves that find their partitions as they were when the moves were
// decided.
func (w *Work) look(ctx context.Context, some []v1alpha1.MovingPartition) (
	map[string]kafka.Topic, []v1alpha1.MovingPartition, error,
) {
	var err error
	if w.Reassigning, err = w.Admin.Reassignments(ctx); err != nil {
		return nil, nil, fmt.Errorf("look for reassignments: %w", err)
	}
	live, err := w.Admin.DescribeTopics(ctx, topicsOf(some))
	if err != nil {
		return nil, nil, fmt.Errorf("read the topics whose replicas are to move: %w", err)
	}
	return live, slices.DeleteFunc(slices.Clone(some), func(m v1alpha1.MovingPartition) bool {
		_, under := w.Reassigning[m.Topic][m.Partition]
		return under || !w.isAsFound(live[m.Topic], m)
	}), nil
}

func (w *Work) isAsFound(topic kafka.Topic, m v1alpha1.MovingPartition) bool {
	i := slices.IndexFunc(w.Found, func(p kafka.Partition) bool { return p.Topic == m.Topic && p.Number == m.Partition })
	return i >= 0 && int(m.Partition) < len(topic.Replicas) &&
		slices.Equal(w.Found[i].Replicas, topic.Replicas[m.Partition])
}

// except are the moves that are not among some.
func (w *Work) except(some []v1alpha1.MovingPartition) []v1alpha1.MovingPartition {
	return slices.DeleteFunc(slices.Clone(w.Moves), func(m v1alpha1.MovingPartition) bool {
		return slices.ContainsFunc(some, func(o v1alpha1.MovingPartition) bool {
			return o.Topic == m.Topic && o.Partition == m.Partition
		})
	})
}

// Recall cancels moves. They stay on record, and under their throttle, until Kafka has undone them. What somebody else
// has sent elsewhere meanwhile is left alone.
func (b *Balancer) Recall(ctx context.Context, w Work) error {
	under, err := w.Admin.Reassignments(ctx)
	if err != nil {
		return fmt.Errorf("look for reassignments: %w", err)
	}
	work := moving.Work{Moves: map[string][]kafka.Move{}}
	for _, m := range w.Moves {
		if r, is := under[m.Topic][m.Partition]; is && slices.Equal(course.Target(r), m.Replicas) {
			work.Moves[m.Topic] = append(work.Moves[m.Topic], kafka.Move{Partition: m.Partition})
		}
	}
	failed := map[kafka.PartitionID]error{}
	err = b.carry(ctx, w, work, failed)
	b.tried(w, w.Moves, failed)
	return err
}

// End takes the throttle off what has arrived, then the limit off the brokers if nothing is under way any more, and
// then the moves off the record.
func (b *Balancer) End(ctx context.Context, w Work) error {
	live, err := w.Admin.DescribeTopics(ctx, topicsOf(w.Moves))
	if err != nil {
		return fmt.Errorf("read the topics whose replicas have moved: %w", err)
	}
	w.lately = b.endedLately(w)
	next := course.Without(*w.Record, w.Moves)
	if err := b.carry(ctx, w, moving.Work{Throttle: w.throttle(live, next)}, nil); err != nil {
		return err
	}
	b.ended(w)
	if err := b.limit(ctx, w, next); err != nil {
		return fmt.Errorf("remove the limit of what brokers copy: %w", err)
	}
	return w.Write(next)
}

// carry adds the moves that Kafka refuses to those that failed.
func (b *Balancer) carry(ctx context.Context, w Work, work moving.Work, failed map[kafka.PartitionID]error) error {
	refused, err := b.mover(w).Carry(ctx, w.Admin, work)
	errs := []error{err}
	for _, topic := range slices.Sorted(maps.Keys(refused)) {
		r := refused[topic]
		for _, m := range work.Moves[topic] {
			failed[kafka.PartitionID{Topic: topic, Number: m.Partition}] = r.Err
		}
		errs = append(errs, fmt.Errorf("move replicas of topic %q: %s: %w", topic, r.Attempted, r.Err))
	}
	return errors.Join(errs...)
}

// limit has the rate of the brokers hold while replicas copy by the operator's word, those of KafkaTopics included.
func (b *Balancer) limit(ctx context.Context, w Work, next *v1alpha1.BalancingStatus) error {
	if w.Record.BytesPerSecond == 0 && next.BytesPerSecond == 0 {
		return nil
	}
	l := moves.Limit{
		Rate: b.mover(w).Rate, Known: []int64{w.Record.BytesPerSecond}, Copying: next.BytesPerSecond > 0,
		Shifting: course.Shifts(next),
	}
	others, err := b.topics(ctx, w.Cluster)
	if err != nil {
		return err
	}
	for _, t := range others {
		if len(t.Moving) > 0 {
			l.Add(moves.Record{BytesPerSecond: t.BytesPerSecond})
		}
	}
	return b.mover(w).Limit(ctx, w.Admin, l)
}

// isForeign tells whether a topic has a throttle of somebody else's: it names more than what is on record, and than
// what has left it a moment ago. It holds for what the operator moves, too, and stays as it is.
func (w Work) isForeign(topic kafka.Topic) bool {
	own := map[string]bool{}
	for _, m := range w.Record.InFlight {
		if m.Topic == topic.Name && m.ForeignThrottle {
			return true
		}
		own[fmt.Sprint(m.Partition)] = own[fmt.Sprint(m.Partition)] || m.Topic == topic.Name && m.Broker == nil
	}
	for id := range w.lately {
		own[fmt.Sprint(id.Number)] = own[fmt.Sprint(id.Number)] || id.Topic == topic.Name
	}
	for _, key := range []string{moves.LeaderThrottled, moves.FollowerThrottled} {
		value, set := topic.Config[key]
		for _, entry := range strings.Split(value, ",") {
			if partition, _, _ := strings.Cut(entry, ":"); set && !own[partition] {
				return true
			}
		}
	}
	return false
}

// adding are the brokers to which a move copies; none where its partition is gone.
func adding(topic kafka.Topic, m v1alpha1.MovingPartition) []int32 {
	if int(m.Partition) >= len(topic.Replicas) {
		return nil
	}
	now := topic.Replicas[m.Partition]
	return slices.DeleteFunc(slices.Clone(m.Replicas), func(id int32) bool { return slices.Contains(now, id) })
}

// throttle names, for each topic of the moves, the replicas that copy by the record.
func (w Work) throttle(live map[string]kafka.Topic, record *v1alpha1.BalancingStatus) map[string][]kafka.ConfigChange {
	survey := moves.Survey{Reassigning: w.Reassigning}
	under := map[string][]moves.Assignment{}
	for _, entry := range course.Ledger(record) {
		under[entry.Topic] = entry.InFlight
	}
	changes := map[string][]kafka.ConfigChange{}
	for _, m := range w.Moves {
		topic, exists := live[m.Topic]
		if !exists || topic.Denied != nil || changes[m.Topic] != nil || w.isForeign(topic) {
			continue
		}
		base := survey.Base(moves.Topic{Name: topic.Name, Replicas: topic.Replicas})
		inFlight := make([]moves.Assignment, 0, len(under[m.Topic]))
		for _, a := range under[m.Topic] {
			if int(a.Partition) < len(base) {
				inFlight = append(inFlight, a)
			}
		}
		if some, _ := moves.Throttle(topic.Config, base, inFlight); len(some) > 0 {
			changes[m.Topic] = some
		}
	}
	return changes
}

func topicsOf(some []v1alpha1.MovingPartition) []string {
	var all []string
	for _, m := range some {
		all = append(all, m.Topic)
	}
	slices.Sort(all)
	return slices.Compact(all)
}
