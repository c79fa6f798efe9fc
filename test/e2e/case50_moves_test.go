package e2e

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/castellan-dev/castellan/api/v1alpha1"
)

// passage is a cluster whose replicas move, with records that flow meanwhile.
type passage struct {
	cluster kafkaCluster
	login   login
	client  *kgo.Client
	admin   *kadm.Client
	records *flow
}

// startPassage makes a cluster of three brokers, in the pool main, that hold data.
func startPassage(t *testing.T) passage {
	t.Helper()
	ns := newNamespace(t)
	slow := replaceOnce(balanceManifest, "PerBroker: 4194304", "PerBroker: 1048576")
	apply(t, ns, slow+"\n---\n"+adminManifest)
	p := passage{cluster: clusterNamed(ns, sharedName)}
	waitReady(t, 4*time.Minute, p.cluster)
	waitReady(t, time.Minute, userNamed(ns, adminUser))
	p.login = loginOf(t, ns, adminUser).at(t, ns, sharedName, "outside")
	p.client, p.admin = p.login.client(t), p.login.admin(t)
	apply(t, ns, topicManifest(balancedTopic, fmt.Sprintf(", partitions: %d, replicationFactor: 3", balancedPartitions)))
	waitReady(t, time.Minute, topicNamed(ns, balancedTopic))
	fill(t, p.login, balancedTopic, balancedBytes)
	p.records = startFlow(t, p.login, balancedTopic, "passage")
	waitSpread(t, p.cluster, 1000, 1001, 1002)
	return p
}

// kill kills a broker without grace, in the middle of moves, and waits until it is back and serves.
func (p passage) kill(t *testing.T, name string) {
	t.Helper()
	waitCopying(t, p)
	pod := getPod(t, p.cluster.Namespace, name)
	if err := kube.Delete(t.Context(), pod, client.GracePeriodSeconds(0)); err != nil {
		t.Fatal(err)
	}
	eventually(t, 3*time.Minute, name+" is back", func(ctx context.Context) error {
		now := &corev1.Pod{}
		if err := kube.Get(ctx, client.ObjectKeyFromObject(pod), now); err != nil {
			return err
		}
		if now.UID == pod.UID || !podReady(now) {
			return fmt.Errorf("it is pod %s, ready %v", now.UID, podReady(now))
		}
		return nil
	})
	p.records.progress(t, deliveryTimeout)
}

// waitCopying waits until replicas with data are being copied by the operator's word, as Kafka says.
func waitCopying(t *testing.T, p passage) {
	t.Helper()
	eventually(t, standstill, "replicas are being copied", func(ctx context.Context) error {
		if err := refresh(ctx, p.cluster); err != nil {
			return err
		}
		b := p.cluster.Status.Balancing
		if b == nil || len(b.InFlight) == 0 {
			return fmt.Errorf("status.balancing is %+v", b)
		}
		under, err := p.underWay(ctx)
		if err == nil && !slices.Contains(under, balancedTopic) {
			err = fmt.Errorf("under way are %v; the status says %s", under, b.Message)
		}
		return err
	})
}

// underWay are the topics of which partitions are being reassigned.
func (p passage) underWay(ctx context.Context) ([]string, error) {
	req := kmsg.NewPtrListPartitionReassignmentsRequest()
	req.Topics = nil // all
	resp, err := req.RequestWith(ctx, p.client)
	if err != nil {
		return nil, err
	}
	var topics []string
	for _, topic := range resp.Topics {
		topics = append(topics, topic.Topic)
	}
	return topics, kerr.ErrorForCode(resp.ErrorCode)
}

// mustEnd holds that all is as it should be on these brokers: they and no others have the data, evenly, nothing is on
// record or throttled, and no acknowledged record is lost.
func (p passage) mustEnd(t *testing.T, ids ...int32) {
	t.Helper()
	waitSpread(t, p.cluster, ids...)
	ready := func(ctx context.Context) error { return isReady(ctx, p.cluster) }
	whileItMoves(t, p.cluster, "the cluster is Ready", ready)
	p.records.login = p.records.login.at(t, p.cluster.Namespace, sharedName, "outside") // as a client that begins now
	there, err := registered(t.Context(), p.records.login.client(t))
	if err != nil || !slices.Equal(there, ids) {
		t.Errorf("registered are %v (%v)", there, err)
	}
	mustBeEven(t, p.admin, len(ids))
	mustThrottleNothing(t, p.admin)
	p.records.stopKept(t)
}

// The brokers of a new pool take over from those of an old one, which is emptied and leaves. A broker that gets replicas
// is killed in the middle, and later one that gives them.
func TestCase50_APoolIsReplacedByAnotherWhileBrokersDieInMidMove(t *testing.T) {
	long(t)
	p := startPassage(t)
	begin := time.Now()
	change(t, p.cluster, func(c kafkaCluster) {
		next := *c.Spec.Pools[1].DeepCopy()
		next.Name = "next"
		c.Spec.Pools[1] = next
	})
	p.kill(t, "events-next-2000")
	p.kill(t, "events-main-1001")
	p.mustEnd(t, 2000, 2001, 2002)
	figureSeconds(t, "pool-replaced", time.Since(begin))
	var pods corev1.PodList
	if err := kube.List(t.Context(), &pods, client.InNamespace(p.cluster.Namespace),
		client.MatchingLabels{v1alpha1.LabelPool: "main"}); err != nil || len(pods.Items) > 0 {
		t.Errorf("%d pods of the old pool are there (%v)", len(pods.Items), err)
	}
}

// The operator is killed in each phase of a move: as soon as moves are on record, while replicas are copied, when they
// have arrived and are still on record, and when they are on record and were never begun. Another one goes on from
// there.
func TestCase50_TheOperatorIsKilledInEachPhaseOfAMove(t *testing.T) {
	long(t)
	p := startPassage(t)
	t.Cleanup(func() {
		ctx := context.Background()
		if err := errors.Join(scaleOperator(ctx, 1), pollOperator(ctx)); err != nil {
			t.Errorf("start the operator again: %v", err)
		}
	})
	change(t, p.cluster, func(c kafkaCluster) { c.Spec.Pools[1].Replicas = new(int32(6)) })

	waitBalancing(t, p.cluster)
	if err := killOperator(t.Context()); err != nil {
		t.Fatal(err)
	}
	say(t, "killed with moves on record: %s", movementOf(p.cluster))
	waitOperator(t)

	waitCopying(t, p)
	if err := killOperator(t.Context()); err != nil {
		t.Fatal(err)
	}
	say(t, "killed while replicas are copied: %s", movementOf(p.cluster))
	waitOperator(t)

	waitCopying(t, p)
	stopOperator(t)
	eventually(t, standstill, "what is on record has arrived", func(ctx context.Context) error {
		under, err := p.underWay(ctx)
		if err == nil && len(under) > 0 {
			err = fmt.Errorf("under way: %v", under)
		}
		return err
	})
	if err := refresh(t.Context(), p.cluster); err != nil || len(p.cluster.Status.Balancing.InFlight) == 0 {
		t.Fatalf("nothing is on record: %+v (%v)", p.cluster.Status.Balancing, err)
	}
	say(t, "arrived and on record: %s", movementOf(p.cluster))
	startOperator(t)

	waitCopying(t, p)
	stopOperator(t)
	p.recordWithoutBeginning(t)
	startOperator(t)

	p.mustEnd(t, 1000, 1001, 1002, 1003, 1004, 1005)
	if b := p.cluster.Status.Balancing; len(b.InFlight) > 0 || b.BytesPerSecond != 0 {
		t.Errorf("on record is still %+v", b)
	}
}

// recordWithoutBeginning leaves what an operator leaves that dies between the record of a move and its beginning: a
// partition that is at rest goes on record.
func (p passage) recordWithoutBeginning(t *testing.T) {
	t.Helper()
	eventually(t, standstill, "what is under way has arrived", func(ctx context.Context) error {
		under, err := p.underWay(ctx)
		if err == nil && len(under) > 0 {
			err = fmt.Errorf("under way: %v", under)
		}
		return err
	})
	topics, err := p.admin.ListTopics(t.Context(), balancedTopic)
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, time.Minute, "a move is on record that was never begun", func(ctx context.Context) error {
		if err := refresh(ctx, p.cluster); err != nil {
			return err
		}
		record := p.cluster.Status.Balancing
		onRecord := func(number int32) bool {
			return slices.ContainsFunc(record.InFlight, func(m v1alpha1.MovingPartition) bool { return m.Partition == number })
		}
		for _, d := range topics[balancedTopic].Partitions.Sorted() {
			to := slices.IndexFunc([]int32{1003, 1004, 1005}, func(id int32) bool { return !slices.Contains(d.Replicas, id) })
			if to < 0 || onRecord(d.Partition) {
				continue
			}
			replicas := append(slices.Clone(d.Replicas[:len(d.Replicas)-1]), int32(1003+to))
			record.InFlight = append(record.InFlight,
				v1alpha1.MovingPartition{Topic: balancedTopic, Partition: d.Partition, Replicas: replicas})
			say(t, "on record and not begun: %s-%d to %v", balancedTopic, d.Partition, replicas)
			return kube.Status().Update(ctx, p.cluster.KafkaCluster)
		}
		return errors.New("every partition is on record")
	})
}

// stopOperator ends the operator, and no other one begins.
func stopOperator(t *testing.T) {
	t.Helper()
	if err := errors.Join(scaleOperator(t.Context(), 0), killOperator(t.Context())); err != nil {
		t.Fatal(err)
	}
	eventually(t, time.Minute, "no operator runs", func(ctx context.Context) error {
		pods, err := operatorPods(ctx)
		if err == nil && len(pods) > 0 {
			err = fmt.Errorf("%d pods", len(pods))
		}
		return err
	})
}

func startOperator(t *testing.T) {
	t.Helper()
	if err := scaleOperator(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	waitOperator(t)
}
