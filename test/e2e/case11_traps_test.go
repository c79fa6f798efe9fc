package e2e

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/castellan-dev/castellan/api/v1alpha1"
)

// Traps 1 and 2 of the house style: whatever asks for a restart goes through the same gate, and while that is shut, a
// missing pod is still created.
func TestCase11_ABlockedRollWaitsYetCreatesAMissingPod(t *testing.T) {
	promise(t)
	ns := shared(t)
	admin := sharedAdmin(t)
	waitInSync(t, admin)
	cluster := clusterNamed(ns, sharedName)
	apply(t, ns, topicManifest("fragile", ", partitions: 3, replicationFactor: 2, config: {min.insync.replicas: \"2\"}"))
	fragile := topicNamed(ns, "fragile")
	waitReady(t, time.Minute, fragile)
	t.Cleanup(func() { _ = kube.Delete(context.Background(), fragile.KafkaTopic) })
	if err := refresh(t.Context(), cluster); err != nil {
		t.Fatal(err)
	}
	good := cluster.Spec.DeepCopy()

	before := lives(t, ns, sharedName)
	change(t, cluster, func(c kafkaCluster) {
		c.Spec.Rolling.Unavailable = v1alpha1.UnavailableWait
		setConfig(c, "queued.max.requests", "620")
		heap := resource.MustParse("288Mi")
		c.Spec.Pools[0].JVM.Heap = &heap
	})
	eventually(
		t,
		time.Minute,
		"status says what holds the roll back, and which field ends it",
		func(ctx context.Context) error {
			return isStalled(
				ctx,
				cluster,
				"Held",
				[]string{"spec.rolling.unavailable", "fragile-", "min.insync.replicas is 2", "Proceed"},
			)
		},
	)
	always(t, 15*time.Second, "nobody is restarted", func(context.Context) error {
		if now := lives(t, ns, sharedName); !equalMaps(now, before) {
			return fmt.Errorf("%v became %v", before, now)
		}
		return nil
	})
	lost := getPod(t, ns, "events-main-2")
	if err := kube.Delete(t.Context(), lost); err != nil {
		t.Fatal(err)
	}
	eventually(
		t,
		2*time.Minute,
		"the pod that went missing during the blocked roll is there again",
		func(ctx context.Context) error {
			pod := &corev1.Pod{}
			if err := kube.Get(ctx, client.ObjectKeyFromObject(lost), pod); err != nil {
				return err
			}
			if pod.UID == lost.UID || !podReady(pod) {
				return fmt.Errorf("pod %s, ready %v", pod.UID, podReady(pod))
			}
			return nil
		},
	)
	delete(before, lost.Name)
	mustLiveOn(t, ns, sharedName, before)
	change(t, cluster, func(c kafkaCluster) { c.Spec = *good.DeepCopy() })
	waitReady(t, 3*time.Minute, cluster)
	mustLiveOn(t, ns, sharedName, before)
}

// Trap 10: no two pods are ever down together, also when a gate opens that was shut, and the wish changes midway.
func TestCase11_ARollThatWasBlockedGoesOneAtATimeAlthoughTheWishChangesMidway(t *testing.T) {
	long(t)
	ns := shared(t)
	waitInSync(t, sharedAdmin(t))
	cluster := clusterNamed(ns, sharedName)
	apply(t, ns, topicManifest("fragile", ", partitions: 3, replicationFactor: 2, config: {min.insync.replicas: \"2\"}"))
	fragile := topicNamed(ns, "fragile")
	waitReady(t, time.Minute, fragile)
	t.Cleanup(func() { _ = kube.Delete(context.Background(), fragile.KafkaTopic) })
	change(t, cluster, func(c kafkaCluster) {
		c.Spec.Rolling.Unavailable = v1alpha1.UnavailableWait
		setConfig(c, "queued.max.requests", "621")
		heap := resource.MustParse("288Mi")
		c.Spec.Pools[0].JVM.Heap = &heap
	})
	eventually(t, time.Minute, "the roll is held back", func(ctx context.Context) error {
		return isStalled(ctx, cluster, "Held", []string{"spec.rolling.unavailable"})
	})

	watched := watchPods(t, ns, sharedName)
	change(t, cluster, func(c kafkaCluster) { c.Spec.Rolling.Unavailable = v1alpha1.UnavailableProceed })
	eventually(t, 2*time.Minute, "the gate is open", func(ctx context.Context) error {
		if len(watched.restarted()) == 0 {
			return fmt.Errorf("nobody is restarted: %w", isReady(ctx, cluster))
		}
		return nil
	})
	// Another wish, of another kind, in the middle of the roll.
	template, err := json.Marshal(
		map[string]any{"metadata": map[string]any{"annotations": map[string]string{"example.com/round": "2"}}},
	)
	if err != nil {
		t.Fatal(err)
	}
	change(t, cluster, func(c kafkaCluster) { c.Spec.Pools[0].PodTemplate = &runtime.RawExtension{Raw: template} })
	waitReady(t, 6*time.Minute, cluster)
	if most, when := watched.mostDown(); most > 1 {
		t.Errorf("%d pods were down at one time (%s):%s", most, when, watched)
	}
	pods, err := podsOf(t.Context(), ns, sharedName)
	if err != nil {
		t.Fatal(err)
	}
	for _, pod := range pods {
		if pod.Annotations["example.com/round"] != "2" {
			t.Errorf("pod %s does not have the last wish: annotations %v", pod.Name, pod.Annotations)
		}
	}
	say(t, "%d restarts", len(watched.restarted()))
}

func equalMaps(a, b map[string]string) bool { return fmt.Sprint(a) == fmt.Sprint(b) }

// Trap 5: the object that lost the race for a topic can go without taking the topic with it, and when the holder goes,
// the next takes over without a record being lost.
func TestCase11_DeletingTheLosingDuplicateKeepsTheTopic(t *testing.T) {
	promise(t)
	ns := shared(t)
	admin := sharedAdmin(t)
	duplicate := func(name string) string { return topicManifest(name, ", name: claimed, partitions: 2") }
	apply(t, ns, duplicate("first"))
	first, second, third := topicNamed(ns, "first"), topicNamed(ns, "second"), topicNamed(ns, "third")
	waitReady(t, time.Minute, first)
	id := first.Status.TopicID
	apply(t, ns, duplicate("second")+"\n---\n"+duplicate("third"))
	for _, loser := range []kafkaTopic{second, third} {
		eventually(t, time.Minute, loser.Name+" is Stalled and names the holder", func(ctx context.Context) error {
			return isStalled(ctx, loser, "Conflict", []string{"spec.name", "first"})
		})
	}
	mustGo(t, third)
	mustHaveTopic(t, "claimed", id)
	waitReady(t, time.Minute, first)
	mustGo(t, first)
	waitReady(t, time.Minute, second)
	if second.Status.TopicID != id {
		t.Errorf("the next holder has topic id %s, expected %s", second.Status.TopicID, id)
	}
	mustHaveTopic(t, "claimed", id)
	mustGo(t, second)
	eventually(t, time.Minute, "the topic goes with its last holder", func(ctx context.Context) error {
		topics, err := admin.ListTopics(ctx)
		if err != nil || topics.Has("claimed") {
			return fmt.Errorf("it is still there (error %w)", err)
		}
		return nil
	})
}

func mustHaveTopic(t *testing.T, name, id string) {
	t.Helper()
	admin := sharedAdmin(t)
	always(t, 3*time.Second, "topic "+name+" stays", func(ctx context.Context) error {
		topics, err := admin.ListTopics(ctx, name)
		if err != nil {
			return err
		}
		if err := topics[name].Err; err != nil {
			return fmt.Errorf("topic %s: %w", name, err)
		}
		if got := kafkaID(topics[name].ID); got != id {
			return fmt.Errorf("topic %s has id %s, expected %s", name, got, id)
		}
		return nil
	})
}

// Trap 4, from Kafka's side, for one object of each kind: touching a label asks for nothing, so nothing is written.
func TestCase11_AConvergedTopicUserOrACLCausesNoKafkaWrite(t *testing.T) {
	promise(t)
	ns := shared(t)
	apply(
		t,
		ns,
		topicManifest(
			"still",
			", partitions: 2, config: {retention.ms: \"3600000\"}",
		)+"\n---\n"+userManifest(
			"still",
			"still",
			allMechanisms...),
	)
	topic, user, cluster := topicNamed(ns, "still"), userNamed(ns, "still"), clusterNamed(ns, sharedName)
	waitReady(t, time.Minute, topic)
	waitReady(t, time.Minute, user)
	waitInSync(t, sharedAdmin(t))
	waitLedAsPreferred(t, sharedAdmin(t))
	waitReady(t, time.Minute, cluster)
	from := metadataEnd(t, ns)
	for i := range 3 {
		for _, o := range []object{topic, user, cluster} {
			label := map[string]string{"example.com/touched": fmt.Sprint(i)}
			patch, err := json.Marshal(map[string]any{"metadata": map[string]any{"labels": label}})
			if err != nil {
				t.Fatal(err)
			}
			if err := kube.Patch(t.Context(), inner(o), client.RawPatch("application/merge-patch+json", patch)); err != nil {
				t.Fatal(err)
			}
		}
		always(t, 2*time.Second, "all stay Ready", func(ctx context.Context) error {
			for _, o := range []object{topic, user, cluster} {
				if err := isReady(ctx, o); err != nil {
					return err
				}
			}
			return nil
		})
	}
	if written := metadataSince(t, ns, from); len(written) > 0 {
		t.Errorf("Kafka's metadata log has new records: %v", written)
	}
}

// What somebody else does to a managed topic is mended; what is not managed is left alone.
func TestCase11_DriftIsMendedAndForeignThingsAreLeftAlone(t *testing.T) {
	promise(t)
	ns := shared(t)
	admin := sharedAdmin(t)
	apply(t, ns, topicManifest("drifting", ", partitions: 2, config: {retention.ms: \"3600000\"}"))
	topic := topicNamed(ns, "drifting")
	waitReady(t, time.Minute, topic)
	apply(t, ns, userManifest("drifter", "drifting", "SCRAM-SHA-512"))
	waitReady(t, time.Minute, userNamed(ns, "drifter"))
	drifter := loginOf(t, ns, "drifter")
	if _, err := admin.CreateTopic(t.Context(), 1, 2, nil, "foreign"); err != nil {
		t.Fatal(err)
	}
	byHand := kadm.UpsertSCRAM{
		User:       "drifter",
		Mechanism:  kadm.ScramSha512,
		Iterations: 4096,
		Password:   "set by hand",
	} // as kafka-configs.sh does
	if r, err := admin.AlterUserSCRAMs(t.Context(), nil, []kadm.UpsertSCRAM{byHand}); err != nil || r.Error() != nil {
		t.Fatal(err, r.Error())
	}
	eventually(t, 30*time.Second, "the user's Secret opens nothing any more", func(context.Context) error {
		if tryToProduce(t, drifter, "drifting") == nil {
			return errors.New("it does")
		}
		return nil
	})
	setTopicConfig(t, admin, "drifting", "retention.ms", "1")
	setTopicConfig(t, admin, "drifting", "segment.bytes", "16777216")
	// Live state is compared every ten minutes, and by an operator that starts; ten minutes are too long for a test.
	if err := killOperator(t.Context()); err != nil {
		t.Fatal(err)
	}
	eventually(t, time.Minute, "retention.ms of the topic is mended", func(ctx context.Context) error {
		if value, err := topicConfig(ctx, admin, "drifting", "retention.ms"); value != "3600000" {
			return fmt.Errorf("it is %s (error %w)", value, err)
		}
		return nil
	})
	eventually(
		t,
		time.Minute,
		"the user's Secret opens again",
		func(context.Context) error { return tryToProduce(t, drifter, "drifting") },
	)
	waitOperator(t)
	if value, err := topicConfig(t.Context(), admin, "drifting", "segment.bytes"); value != "16777216" {
		t.Errorf("a key that the KafkaTopic does not name became %s (error %v)", value, err)
	}
	names, err := admin.ListTopics(t.Context())
	if err != nil || !slices.Contains(names.Names(), "foreign") {
		t.Errorf("the foreign topic is gone (error %v): %v", err, names.Names())
	}
}
