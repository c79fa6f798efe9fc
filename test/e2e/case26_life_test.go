package e2e

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"

	"github.com/castellan-dev/castellan/api/v1alpha1"
)

// A topic that somebody else made is watched, taken over, made exact, lost and made again.
func TestCase26_AForeignTopicIsObservedAdoptedMadeExactLostAndMadeAgain(t *testing.T) {
	promise(t)
	ns := shared(t)
	admin := sharedAdmin(t)
	createTopic(t, admin, "foreigners", 3)
	setTopicConfig(t, admin, "foreigners", "retention.ms", "3600000")
	setTopicConfig(t, admin, "foreigners", "segment.bytes", "16777216")

	apply(t, ns, topicManifest("watcher", ", name: foreigners, management: Observe"))
	watcher := topicNamed(ns, "watcher")
	waitReady(t, 30*time.Second, watcher)
	if s := watcher.Status; s.Partitions != 3 || s.Origin != "" || s.Config["retention.ms"] != "3600000" ||
		len(watcher.Finalizers) != 0 {
		t.Errorf("it reports %+v, with finalizers %v", s, watcher.Finalizers)
	}
	id := watcher.Status.TopicID

	apply(t, ns, topicManifest("owner", ", name: foreigners, adoption: IfMatching, config: {retention.ms: \"7200000\"}"))
	owner := topicNamed(ns, "owner")
	eventually(t, 30*time.Second, "it says in what the topic is not as it should be", func(ctx context.Context) error {
		return isStalled(ctx, owner, "TopicExists", []string{"spec.adoption", `retention.ms is "3600000", not "7200000"`})
	})
	change(t, owner, func(o kafkaTopic) { o.Spec.Config["retention.ms"] = "3600000" })
	waitReady(t, 30*time.Second, owner)
	if s := owner.Status; s.TopicID != id || s.Origin != v1alpha1.OriginAdopted ||
		s.DeletionPolicy != v1alpha1.DeletionRetain {
		t.Errorf("it took over %+v, expected the topic %s, to be retained", s, id)
	}

	change(t, owner, func(o kafkaTopic) { o.Spec.ConfigPolicy = v1alpha1.ConfigExact })
	waitReady(t, 30*time.Second, owner)
	if !slices.Equal(slices.Sorted(maps.Keys(owner.Status.Config)), []string{"retention.ms"}) {
		t.Errorf("exact, and the topic has %v", owner.Status.Config)
	}
	if value, err := topicConfig(t.Context(), admin, "foreigners", "segment.bytes"); value == "16777216" || err != nil {
		t.Errorf("exact, and segment.bytes=%s (error %v)", value, err)
	}

	deleteTopic(t, admin, "foreigners")
	change(t, owner, func(o kafkaTopic) { o.Spec.Config["retention.ms"] = "1800000" })
	eventually(t, 30*time.Second, "it says that the topic is lost, and waits", func(ctx context.Context) error {
		return isStalled(ctx, owner, "TopicLost", []string{id, "spec.recreate"})
	})
	change(t, owner, func(o kafkaTopic) { o.Spec.Recreate = v1alpha1.RecreateAlways })
	waitReady(t, 30*time.Second, owner)
	if s := owner.Status; s.TopicID == id || s.TopicID == "" || s.Origin != v1alpha1.OriginCreated {
		t.Errorf("after it was made again: %+v", s)
	}

	id = owner.Status.TopicID
	change(t, owner, func(o kafkaTopic) { o.Spec.Recreate = v1alpha1.RecreateNever })
	deleteTopic(t, admin, "foreigners")
	createTopic(t, admin, "foreigners", 1)
	change(t, owner, func(o kafkaTopic) { o.Spec.Config["retention.ms"] = "900000" })
	eventually(t, 30*time.Second, "it says that another topic has its name, and waits", func(ctx context.Context) error {
		return isStalled(ctx, owner, "TopicReplaced", []string{id, "spec.recreate and spec.adoption"})
	})
	replaced := idOf(t, admin, "foreigners")
	mustGo(t, owner, watcher)
	mustHaveTopic(t, "foreigners", replaced)
	if value, err := topicConfig(t.Context(), admin, "foreigners", "retention.ms"); value == "900000" || err != nil {
		t.Errorf("somebody else's topic has retention.ms=%s (error %v)", value, err)
	}
}

// An object is given another name, and observes for a while; the topic is the same all the time.
func TestCase26_AnObjectIsRenamedAndObservesAndItsTopicStays(t *testing.T) {
	promise(t)
	ns := shared(t)
	admin := sharedAdmin(t)
	apply(t, ns, topicManifest("before", ", name: lasting, partitions: 2, config: {retention.ms: \"3600000\"}"))
	before := topicNamed(ns, "before")
	waitReady(t, 30*time.Second, before)
	id := before.Status.TopicID
	change(t, before, func(o kafkaTopic) { o.Spec.DeletionPolicy = v1alpha1.DeletionRetain })
	mustGo(t, before)
	mustHaveTopic(t, "lasting", id)

	apply(t, ns, topicManifest("after", ", name: lasting, adoption: Always, deletionPolicy: Delete"))
	after := topicNamed(ns, "after")
	waitReady(t, 30*time.Second, after)
	if s := after.Status; s.TopicID != id || s.Origin != v1alpha1.OriginAdopted || s.Config["retention.ms"] != "3600000" ||
		len(s.ConfigKeys) != 0 {
		t.Errorf("under its other name: %+v, expected the topic %s with its configuration", s, id)
	}

	change(t, after, func(o kafkaTopic) { o.Spec.Management = v1alpha1.ManagementObserve })
	waitReady(t, 30*time.Second, after)
	if s := after.Status; s.TopicID != id || s.DeletionPolicy != v1alpha1.DeletionRetain || len(after.Finalizers) != 0 {
		t.Errorf("while it observes: %+v, finalizers %v", s, after.Finalizers)
	}
	change(t, after, func(o kafkaTopic) { o.Spec.Management = v1alpha1.ManagementFull })
	waitReady(t, 30*time.Second, after)
	if s := after.Status; s.TopicID != id || s.DeletionPolicy != v1alpha1.DeletionDelete {
		t.Errorf("when it holds the topic again: %+v", s)
	}
	mustGo(t, after)
	eventually(t, 20*time.Second, "the topic is gone", func(ctx context.Context) error {
		topics, err := admin.ListTopics(ctx, "lasting")
		if err == nil && topics.Has("lasting") {
			err = errors.New("topic lasting is there")
		}
		return err
	})
}

// idOf is the UUID of a topic.
func idOf(t *testing.T, admin *kadm.Client, name string) string {
	t.Helper()
	topics, err := admin.ListTopics(t.Context(), name)
	if err == nil {
		err = topics.Error()
	}
	if err != nil {
		t.Fatalf("look at topic %s: %v", name, err)
	}
	return kafkaID(topics[name].ID)
}

// Kafka's own topics are configured and never deleted.
func TestCase26_AnInternalTopicIsConfiguredAndStays(t *testing.T) {
	promise(t)
	ns := shared(t)
	admin := sharedAdmin(t)
	startFlow(t, common.login(t), sharedTopic, "for-offsets") // Kafka makes the topic for the first group
	apply(
		t,
		ns,
		topicManifest("offsets", ", name: __consumer_offsets, adoption: Always, config: {segment.bytes: \"52428800\"}"),
	)
	offsets := topicNamed(ns, "offsets")
	waitReady(t, 30*time.Second, offsets)
	if value, err := topicConfig(t.Context(), admin, "__consumer_offsets", "segment.bytes"); value != "52428800" {
		t.Errorf("segment.bytes=%s (error %v)", value, err)
	}
	change(t, offsets, func(o kafkaTopic) { more := o.Status.Partitions + 1; o.Spec.Partitions = &more })
	eventually(t, 30*time.Second, "its partitions are not to be changed", func(ctx context.Context) error {
		return isStalled(ctx, offsets, "InternalTopic", []string{"spec.partitions", "Kafka's own"})
	})
	id := offsets.Status.TopicID
	mustGo(t, offsets)
	mustHaveTopic(t, "__consumer_offsets", id)
}

func createTopic(t *testing.T, admin *kadm.Client, name string, partitions int32) {
	t.Helper()
	created, err := admin.CreateTopic(t.Context(), partitions, 2, nil, name)
	if err == nil {
		err = created.Err
	}
	if err != nil {
		t.Fatalf("create topic %s: %v", name, err)
	}
	eventually(t, 20*time.Second, "every broker knows topic "+name, func(ctx context.Context) error {
		topics, err := admin.ListTopics(ctx, name)
		if err != nil {
			return err
		}
		if topics[name].Err != nil || len(topics[name].Partitions) != int(partitions) {
			return fmt.Errorf("it has %d partitions: %w", len(topics[name].Partitions), topics[name].Err)
		}
		return nil
	})
}

func deleteTopic(t *testing.T, admin *kadm.Client, name string) {
	t.Helper()
	deleted, err := admin.DeleteTopic(t.Context(), name)
	if err == nil {
		err = deleted.Err
	}
	if err != nil {
		t.Fatalf("delete topic %s: %v", name, err)
	}
}
