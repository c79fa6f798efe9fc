// Package balancing reads what a plan of moves takes, and carries out what internal/plan has decided: it has moves put
// on record before it begins them, sets and removes their throttle, and takes off the record what has ended. It decides
// nothing.
package balancing

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/castellan-dev/castellan/api/v1alpha1"
	"github.com/castellan-dev/castellan/controllers/batch"
	"github.com/castellan-dev/castellan/controllers/moving"
	"github.com/castellan-dev/castellan/internal/balance/course"
	"github.com/castellan-dev/castellan/internal/kafka"
	"github.com/castellan-dev/castellan/internal/model"
	"github.com/castellan-dev/castellan/internal/moves"
	"github.com/castellan-dev/castellan/internal/topics"
)

// +kubebuilder:rbac:groups=kafka.castellan.dev,resources=kafkatopics,verbs=list;watch

// loadsPatience bounds the reading of the sizes of replicas.
const loadsPatience = 10 * time.Second

// Balancer moves replicas to where there is room. A nil Balancer moves none. It remembers the last plan of each cluster; an operator that takes
// over makes it anew.
type Balancer struct {
	client.Client
	// Rate is how many bytes per second each broker may send and receive where the KafkaCluster does not say; zero = no
	// limit.
	Rate int64

	mu    sync.Mutex
	plans map[types.NamespacedName]model.Remembered
}

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
	}
}

// Forget forgets a cluster that is gone.
func (b *Balancer) Forget(cluster types.NamespacedName) { b.Remember(cluster, model.Remembered{}) }

// Seen is what a plan of moves may ask for. Nothing is asked before that, and nothing twice.
func (b *Balancer) Seen(ctx context.Context, cluster types.NamespacedName, admin kafka.Admin) model.BalancingSeen {
	if b == nil {
		return model.BalancingSeen{}
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	return model.BalancingSeen{
		Remembered: b.plans[cluster],
		Loads: sync.OnceValues(func() (map[int32][]kafka.LoadDir, error) {
			ctx, cancel := context.WithTimeout(ctx, loadsPatience)
			defer cancel()
			return admin.Loads(ctx)
		}),
		Topics: sync.OnceValues(func() ([]model.PlacedTopic, error) { return b.topics(ctx, cluster) }),
	}
}

// topics lists the KafkaTopics of a cluster that place replicas or move them.
func (b *Balancer) topics(ctx context.Context, cluster types.NamespacedName) ([]model.PlacedTopic, error) {
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
	Moves       []v1alpha1.MovingPartition
	// Write puts a record in the place of Record, or fails if somebody has written meanwhile.
	Write func(*v1alpha1.BalancingStatus) error
}

// mover moves under the limit that the cluster asks for.
func (b *Balancer) mover(w Work) moving.Mover {
	if w.Settings.Rate > 0 {
		return moving.Mover{Rate: w.Settings.Rate}
	}
	return moving.Mover{Rate: b.Rate}
}

// Begin records moves, sets the limit and the throttle, and begins them, in this order: an operator that takes over
// finds nothing under way that it does not know.
func (b *Balancer) Begin(ctx context.Context, w Work) error {
	live, err := w.Admin.DescribeTopics(ctx, names(w.Moves))
	if err != nil {
		return fmt.Errorf("read the topics whose replicas are to move: %w", err)
	}
	copies := false
	begun := make([]v1alpha1.MovingPartition, 0, len(w.Moves))
	for _, m := range w.Moves {
		m.ForeignThrottle = w.isForeign(live[m.Topic])
		begun = append(begun, m)
		copies = copies || w.copies(live[m.Topic], m)
	}
	rate := b.mover(w).Rate
	if !copies {
		rate = w.Record.BytesPerSecond
	}
	next := course.With(*w.Record, begun, rate)
	if err := w.Write(&next); err != nil {
		return err
	}
	if err := b.limit(ctx, w, &next); err != nil {
		return fmt.Errorf("limit what brokers copy: %w", err)
	}
	work := moving.Work{Throttle: w.throttle(live, &next), Moves: map[string][]kafka.Move{}}
	for _, m := range begun {
		work.Moves[m.Topic] = append(work.Moves[m.Topic],
			kafka.Move{Partition: m.Partition, Replicas: m.Replicas, KeepFactor: true})
	}
	return b.carry(ctx, w, work)
}

// End takes the throttle off what has arrived, then the limit off the brokers if nothing is under way any more, and then
// the moves off the record.
func (b *Balancer) End(ctx context.Context, w Work) error {
	live, err := w.Admin.DescribeTopics(ctx, names(w.Moves))
	if err != nil {
		return fmt.Errorf("read the topics whose replicas have moved: %w", err)
	}
	next := course.Without(*w.Record, w.Moves)
	if err := b.carry(ctx, w, moving.Work{Throttle: w.throttle(live, next)}); err != nil {
		return err
	}
	if err := b.limit(ctx, w, next); err != nil {
		return fmt.Errorf("remove the limit of what brokers copy: %w", err)
	}
	return w.Write(next)
}

func (b *Balancer) carry(ctx context.Context, w Work, work moving.Work) error {
	refused, err := b.mover(w).Carry(ctx, w.Admin, work)
	errs := []error{err}
	for topic, r := range refused {
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

// isForeign tells whether a topic has a throttle of somebody else's. It holds for what the operator moves, too, and
// stays as it is.
func (w Work) isForeign(topic kafka.Topic) bool {
	for _, m := range w.Record.InFlight {
		if m.Topic == topic.Name {
			return m.ForeignThrottle
		}
	}
	_, leader := topic.Config[moves.LeaderThrottled]
	_, follower := topic.Config[moves.FollowerThrottled]
	return leader || follower
}

// copies tells whether a move adds a replica.
func (w Work) copies(topic kafka.Topic, m v1alpha1.MovingPartition) bool {
	if int(m.Partition) >= len(topic.Replicas) {
		return false
	}
	for _, id := range m.Replicas {
		if !slices.Contains(topic.Replicas[m.Partition], id) {
			return true
		}
	}
	return false
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

func names(some []v1alpha1.MovingPartition) []string {
	var all []string
	for _, m := range some {
		all = append(all, m.Topic)
	}
	slices.Sort(all)
	return slices.Compact(all)
}
