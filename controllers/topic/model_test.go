package topic

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"testing"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/castellan-dev/castellan/api/v1alpha1"
	"github.com/castellan-dev/castellan/controllers/controllertest"
	"github.com/castellan-dev/castellan/internal/kafka"
	"github.com/castellan-dev/castellan/internal/topics"
)

// history is one random life of a few topics, and what must hold in it whatever happens.
type history struct {
	*world
	random *rand.Rand
	trace  []string
	serial int
	// foreign are the topics that somebody else made, as they made them.
	foreign map[kafka.TopicID]kafka.Topic
	// released are the topics that an object has, or may have, let go of: they are nobody's.
	released map[kafka.TopicID]bool
}

var historyNames = []string{"a", "b", "c"}

func (h *history) say(format string, args ...any) {
	h.trace = append(h.trace, fmt.Sprintf(format, args...))
}

func (h *history) objects() []v1alpha1.KafkaTopic {
	var list v1alpha1.KafkaTopicList
	if err := h.Client.List(context.Background(), &list, client.InNamespace(controllertest.ClusterKey.Namespace)); err != nil {
		h.T.Fatal(err)
	}
	return list.Items
}

func pick[T any](r *rand.Rand, of ...T) T { return of[r.IntN(len(of))] }

// shape gives an object a random wish.
func (h *history) shape(t *v1alpha1.KafkaTopic) {
	r := h.random
	sized(int32(1+r.IntN(4)), int32(1+r.IntN(3)))(t)
	t.Spec.Config = nil
	if r.IntN(2) == 0 {
		configured("retention.ms", pick(r, "1", "2"))(t)
	}
	t.Spec.ConfigPolicy = pick(r, v1alpha1.ConfigMerge, v1alpha1.ConfigExact)
	t.Spec.Recreate = pick(r, v1alpha1.RecreateNever, v1alpha1.RecreateAlways)
	t.Spec.DeletionPolicy = pick(r, "", v1alpha1.DeletionDelete, v1alpha1.DeletionRetain)
	t.Spec.Management = pick(
		r,
		v1alpha1.ManagementFull,
		v1alpha1.ManagementFull,
		v1alpha1.ManagementFull,
		v1alpha1.ManagementObserve,
	)
}

// event lets one thing happen: to objects, in Kafka, or to the operator.
func (h *history) event() {
	r, all := h.random, h.objects()
	name := pick(r, historyNames...)
	switch r.IntN(13) {
	case 0, 1:
		h.serial++
		id := fmt.Sprintf("o%d", h.serial)
		o := controllertest.NewTopic(id, id, time.Duration(-h.serial)*time.Second, named(name), h.shape)
		o.Spec.Adoption = v1alpha1.AdoptionNever // what is foreign stays so
		h.Apply(o)
		h.say("create %s for %s: %+v", id, name, o.Spec)
	case 2:
		if len(all) > 0 {
			o := pick(r, all...)
			h.ChangeTopic(o.Name, h.shape)
			h.say("change %s", o.Name)
		}
	case 3:
		if len(all) > 0 {
			o := pick(r, all...)
			if o.DeletionTimestamp == nil {
				h.Remove(&o)
				h.say("delete %s", o.Name)
			}
		}
	case 4:
		if t, ok := h.Kafka.Topics[name]; ok && !h.unrecorded(name) {
			delete(h.Kafka.Topics, name)
			delete(h.Kafka.Moving, name)
			delete(h.foreign, t.ID)
			h.say("somebody deletes %s %s", name, t.ID)
		}
	case 5:
		if _, ok := h.Kafka.Topics[name]; !ok && !h.unrecorded(name) {
			h.made(name)
		}
	case 6:
		if t, ok := h.Kafka.Topics[name]; ok && h.foreign[t.ID].ID == "" {
			t.Config["segment.ms"] = "7"
			h.say("somebody configures %s", name)
		}
	case 7:
		h.Kafka.Lose = pick(r, "describe", "create", "grow", "alter", "delete", "reassign", "alter-brokers", "brokers")
		h.say("lose the next %s", h.Kafka.Lose)
	case 8:
		h.restart()
		h.say("the operator starts again")
	case 9:
		h.Kafka.Slow = !h.Kafka.Slow
		h.say("slow %v", h.Kafka.Slow)
	case 10, 11:
		refusals := []error{nil, &kafka.Refusal{Code: "POLICY_VIOLATION"}, &kafka.Throttled{After: 2 * time.Second},
			&kafka.Denied{Code: "TOPIC_AUTHORIZATION_FAILED"}, errors.New("REQUEST_TIMED_OUT")}
		h.Kafka.Refuse[name] = pick(r, refusals...)
		h.say("what is asked of %s is refused: %v", name, h.Kafka.Refuse[name])
	case 12:
		if h.Kafka.Down == nil {
			h.Kafka.Down = fmt.Errorf("%w: connection refused", kafka.ErrUnreachable)
		} else {
			h.Kafka.Down = nil
		}
		h.say("Kafka is away: %v", h.Kafka.Down)
	}
	h.Queue.Mark(controllertest.ClusterKey, historyNames...)
}

// unrecorded tells whether a creation is announced and not on record yet. What somebody else does in that moment
// cannot be told from what the operator did.
func (h *history) unrecorded(name string) bool {
	return slices.ContainsFunc(h.objects(), func(o v1alpha1.KafkaTopic) bool {
		intent := topics.Intent(&o, "incarnation-1", kafka.TopicID(o.Status.TopicID))
		return o.Spec.Name == name && o.Annotations[v1alpha1.AnnotationCreating] == intent
	})
}

// race lets somebody make a topic in the very moment between the operator's look and its own creation.
func (h *history) race(name string) {
	if h.unrecorded(name) || h.Kafka.Lose == "create" || h.Kafka.Refuse[name] != nil {
		return // the operator would not know of whom it is
	}
	h.Kafka.Before["create"] = func() {
		delete(h.Kafka.Before, "create")
		if _, exists := h.Kafka.Topics[name]; !exists {
			h.made(name)
		}
	}
}

// made is a topic that somebody else makes.
func (h *history) made(name string) {
	t := h.Kafka.Add(name, 2, 2, map[string]string{"flush.ms": "3"})
	h.foreign[t.ID] = t
	h.say("somebody makes %s %s", name, t.ID)
}

// flush runs the operator for a while, in which an API request may fail and replicas arrive.
func (h *history) flush() {
	if h.random.IntN(4) == 0 {
		for _, o := range h.objects() {
			h.Failing[pick(h.random, "patch ", "status ")+o.Name] = fmt.Errorf("the API server is away")
		}
	}
	for range 1 + h.random.IntN(3) {
		if h.random.IntN(4) == 0 {
			h.race(pick(h.random, historyNames...))
		}
		before, objects := h.topicIDs(), h.objects()
		_, _ = h.Run.Reconcile(context.Background(), reconcile.Request{NamespacedName: controllertest.ClusterKey})
		clear(h.Kafka.Before)
		h.judge(before, objects)
		h.Clock.Move(time.Duration(h.random.IntN(3000)) * time.Millisecond)
	}
	clear(h.Failing)
	for name, partitions := range h.Kafka.Moving {
		for p := range partitions {
			if h.random.IntN(2) == 0 {
				h.Kafka.Arrive(name, p)
			}
		}
	}
}

func (h *history) topicIDs() map[string]kafka.TopicID {
	ids := map[string]kafka.TopicID{}
	for name, t := range h.Kafka.Topics {
		ids[name] = t.ID
	}
	return ids
}

// judge checks what one flush has done, of the topics and objects that were there before.
func (h *history) judge(before map[string]kafka.TopicID, objects []v1alpha1.KafkaTopic) {
	h.T.Helper()
	for _, o := range objects {
		if o.DeletionTimestamp != nil || o.Spec.Management == v1alpha1.ManagementObserve {
			h.released[kafka.TopicID(o.Status.TopicID)], h.released[before[o.Spec.Name]] = true, true
		}
	}
	for id, was := range h.foreign {
		is := h.Kafka.Topics[was.Name]
		if is.ID != id || is.Partitions != was.Partitions || len(is.Config) != 1 ||
			is.ReplicationFactor != was.ReplicationFactor {
			h.fail("foreign topic %+v is %+v", was, is)
		}
	}
	for name, id := range before {
		if h.Kafka.Topics[name].ID != id && !doomed(name, id, objects) {
			h.fail("topic %s %s was deleted and nobody had asked for it", name, id)
		}
	}
}

// doomed tells whether it was the users' word that a topic goes: everybody who had it, or had said that he creates
// it, has been deleted, and nobody of them wants it to stay.
func doomed(name string, id kafka.TopicID, objects []v1alpha1.KafkaTopic) bool {
	asked := false
	for _, o := range objects {
		had := o.Status.TopicID == string(id) || o.Annotations[v1alpha1.AnnotationCreating] != ""
		switch {
		case o.Spec.Name != name || o.Spec.Management == v1alpha1.ManagementObserve:
		case o.DeletionTimestamp == nil, had && o.Spec.DeletionPolicy == v1alpha1.DeletionRetain:
			return false
		case had:
			asked = true
		}
	}
	return asked
}

func (h *history) fail(format string, args ...any) {
	h.T.Helper()
	for _, line := range h.trace {
		h.T.Log(line)
	}
	h.T.Fatalf(format, args...)
}

// converge lets everything come to rest and checks what must hold then.
func (h *history) converge() {
	h.Kafka.Slow, h.Kafka.Lose, h.Kafka.Down = false, "", nil
	clear(h.Kafka.Refuse)
	for name, partitions := range h.Kafka.Moving {
		for p := range partitions {
			h.Kafka.Arrive(name, p)
		}
	}
	h.Settle(historyNames...)
	h.Settle(historyNames...)
	h.judge(nil, nil)
	if h.wantNoThrottle(); h.T.Failed() {
		h.fail("something is left of a throttle")
	}
	h.Reset()
	h.Settle(historyNames...)
	if h.APIWrites() != 0 || h.Kafka.Writes() != 0 {
		h.fail("converged and yet written: %v %v", h.Requests, h.Kafka.Requests)
	}
	ready := map[string]string{}
	for _, o := range h.objects() {
		s := controllertest.State(o.Status.Conditions)
		switch {
		case o.DeletionTimestamp != nil:
			h.fail("%s is not let go: %s", o.Name, controllertest.Message(o.Status.Conditions))
		case s != "Ready" && !h.justified(o, s):
			h.fail(
				"%s is %s (%s), and the topic is %+v",
				o.Name,
				s,
				controllertest.Message(o.Status.Conditions),
				h.Kafka.Topics[o.Spec.Name],
			)
		case s != "Ready" || o.Spec.Management == v1alpha1.ManagementObserve:
			continue
		case ready[o.Spec.Name] != "":
			h.fail("%s and %s both hold %s", o.Name, ready[o.Spec.Name], o.Spec.Name)
		}
		ready[o.Spec.Name] = o.Name
		live := h.Kafka.Topics[o.Spec.Name]
		wanted, asked := o.Spec.Config["retention.ms"]
		// A key that was set, and left the spec before that was recorded, is taken for somebody else's.
		forgotten := !asked && o.Spec.ConfigPolicy == v1alpha1.ConfigMerge &&
			!slices.Contains(o.Status.ConfigKeys, "retention.ms")
		if string(live.ID) != o.Status.TopicID || live.Partitions != *o.Spec.Partitions ||
			live.ReplicationFactor != *o.Spec.ReplicationFactor ||
			live.Config["retention.ms"] != wanted && !forgotten {
			h.fail("%s is Ready with %+v, and the topic is %+v", o.Name, o.Spec, live)
		}
		if _, theirs := live.Config["segment.ms"]; theirs && o.Spec.ConfigPolicy == v1alpha1.ConfigExact {
			h.fail("%s is exact, and the topic has %v", o.Name, live.Config)
		}
	}
}

// justified tells whether an object has a reason not to be Ready that is there for everybody to see.
func (h *history) justified(o v1alpha1.KafkaTopic, state string) bool {
	live, exists := h.Kafka.Topics[o.Spec.Name]
	switch state {
	case "Stalled/Conflict":
		return slices.ContainsFunc(
			h.objects(),
			func(other v1alpha1.KafkaTopic) bool { return other.Spec.Name == o.Spec.Name && other.UID != o.UID },
		)
	case "Stalled/TopicExists":
		return h.foreign[live.ID].ID != "" || h.released[live.ID]
	case "Stalled/TopicReplaced", "Stalled/TopicLost":
		return o.Status.TopicID != "" && o.Status.TopicID != string(live.ID) && exists == (state == "Stalled/TopicReplaced")
	case "Stalled/PartitionsCannotShrink":
		return o.Status.TopicID == string(live.ID) && live.Partitions > *o.Spec.Partitions
	case "Reconciling/TopicNotFound":
		return o.Spec.Management == v1alpha1.ManagementObserve && !exists
	}
	return false
}

func TestRandomLivesOfTopics(t *testing.T) {
	runs := uint64(60)
	if n, err := strconv.ParseUint(os.Getenv("CASTELLAN_PROPERTY_RUNS"), 10, 64); err == nil {
		runs = n
	}
	for seed := range runs {
		w := newWorld(t, controllertest.ReadyCluster(3))
		h := &history{
			world:    w,
			random:   rand.New(rand.NewPCG(seed, 1)),
			foreign:  map[kafka.TopicID]kafka.Topic{},
			released: map[kafka.TopicID]bool{},
		}
		h.say("seed %d", seed)
		for range 25 {
			h.event()
			h.flush()
		}
		h.converge()
	}
}
