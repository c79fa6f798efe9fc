package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/types"
	ctrl "sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/castellan-dev/castellan/api/v1alpha1"
	"github.com/castellan-dev/castellan/controllers/balancing"
	"github.com/castellan-dev/castellan/internal/course"
	"github.com/castellan-dev/castellan/internal/kafka"
	"github.com/castellan-dev/castellan/internal/model"
	"github.com/castellan-dev/castellan/internal/moves"
)

const tolerance = 10 // percent, the default

// operator is what moves replicas in the product: the course of a plan, and the actor. What comes before it there, that
// a cluster is well enough for anything to move, is left out, as there are no pods; so is the status in Kubernetes.
type operator struct {
	w        *world
	balancer *balancing.Balancer
	record   v1alpha1.BalancingStatus
	claims   map[int32]map[string]int64
	sizes    map[int32]int64 // of partitions
	least    int64           // bytes that any plan needs
	copied   int64
	replicas int
}

// noTopics is a cluster without KafkaTopics.
type noTopics struct{ ctrl.Client }

func (noTopics) List(context.Context, ctrl.ObjectList, ...ctrl.ListOption) error { return nil }

var cluster = types.NamespacedName{Namespace: "bench", Name: "events"}

// newOperator is one that finds three more brokers than have their share. Each has a disk for two copies of the data.
func newOperator(ctx context.Context, w *world) (*operator, error) {
	loads, err := w.admin.Loads(ctx)
	if err != nil {
		return nil, err
	}
	o := &operator{
		w: w, balancer: &balancing.Balancer{Client: noTopics{}, Rate: w.options.Rate},
		record: v1alpha1.BalancingStatus{Spread: before}, claims: map[int32]map[string]int64{},
	}
	if o.sizes, err = w.sizes(ctx); err != nil {
		return nil, err
	}
	for broker, dirs := range loads {
		o.claims[broker] = map[string]int64{}
		for _, dir := range dirs {
			o.claims[broker][dir.Path] = 2 * w.options.Size
		}
	}
	return o, nil
}

// balance makes passes as the product does until all brokers have their share. It tells when the first move began.
func (o *operator) balance(ctx context.Context) (begun time.Time, err error) {
	since := time.Now()
	for len(o.record.Spread) < len(all) || len(o.record.InFlight) > 0 {
		did, err := o.pass(ctx)
		if err != nil {
			return begun, err
		}
		if did {
			since = time.Now()
		}
		if begun.IsZero() && len(o.record.InFlight) > 0 {
			begun = time.Now()
		}
		// As controllers/cluster does: the longer nothing new is to be done, the later it looks again.
		again := min(5*time.Second, max(500*time.Millisecond, time.Since(since)/16))
		select {
		case <-ctx.Done():
			return begun, fmt.Errorf("%w; the status says: %s", ctx.Err(), o.record.Message)
		case <-time.After(again):
		}
	}
	return begun, nil
}

// decide makes a course, and says what begins.
func decide(in course.Inputs) (*course.Course, []v1alpha1.MovingPartition) {
	c := course.New(in)
	if has, _ := c.Has(); !has {
		return c, nil
	}
	return c, c.Begin()
}

// pass tells whether it has begun or ended moves.
func (o *operator) pass(ctx context.Context) (bool, error) {
	snapshot, err := o.w.admin.Snapshot(ctx)
	if err != nil {
		return false, err
	}
	now, record := time.Now(), o.record
	settings := model.Balancing{
		Mode: v1alpha1.BalancingOnScale, Tolerance: tolerance, MaxMoving: moves.MaxMoving, Record: &record,
	}
	in := course.Inputs{
		Settings: settings, Seen: o.balancer.Seen(ctx, cluster, snapshot), Snapshot: snapshot, Now: now,
	}
	for _, id := range all {
		in.Brokers = append(in.Brokers, course.Broker{ID: id, Capacity: o.claims[id]})
	}
	c, begin := decide(in)
	for range 2 {
		if !c.Wants().Any() {
			break
		}
		o.balancer.Read(ctx, cluster, c.Wants(), o.w.admin.Loads, &in.Seen)
		c, begin = decide(in)
	}
	ended := c.Ended()
	status := c.Status()
	if len(status.Stuck) > 0 {
		return false, errors.New("the plan is stuck: " + status.Stuck[0])
	}
	o.record = *status
	o.balancer.Remember(cluster, c.Remembered)
	if plan := c.Remembered.Plan; plan != nil && o.least == 0 {
		o.least = plan.LeastBytes
	}
	work := func(some []v1alpha1.MovingPartition) balancing.Work {
		record := o.record
		return balancing.Work{
			Admin: o.w.admin, Cluster: cluster, Settings: settings, Record: &record, Reassigning: snapshot.Reassignments,
			Found: snapshot.Partitions, Moves: some, Swaps: c.Swaps(), Now: now,
			Write: func(next *v1alpha1.BalancingStatus) error { o.record = *next; return nil },
		}
	}
	if len(ended) > 0 {
		if err := o.balancer.End(ctx, work(ended)); err != nil {
			return false, err
		}
	}
	if len(begin) > 0 {
		begun, err := o.balancer.Begin(ctx, work(begin))
		if err != nil {
			return false, err
		}
		o.count(snapshot.Partitions, begun)
	}
	return len(ended)+len(begin) > 0, nil
}

// count adds what moves copy.
func (o *operator) count(found []kafka.Partition, begun []v1alpha1.MovingPartition) {
	for _, m := range begun {
		i := slices.IndexFunc(found, func(p kafka.Partition) bool { return p.Topic == m.Topic && p.Number == m.Partition })
		n := added(found[i].Replicas, m.Replicas)
		o.copied, o.replicas = o.copied+int64(n)*o.sizes[m.Partition], o.replicas+n
	}
}
