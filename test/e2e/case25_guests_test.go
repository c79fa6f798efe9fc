package e2e

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/castellan-dev/castellan/api/v1alpha1"
)

// The owner of a cluster admits a namespace, and says one after another what it may do there, how much it may have, what
// it may be called, and that it has to go.
func TestCase25_WhatAnotherNamespaceMayDoIsTheOwnersWord(t *testing.T) {
	promise(t)
	home := shared(t)
	cluster := clusterNamed(home, sharedName)
	admin := sharedAdmin(t)
	guests := newNamespace(t)
	there := func(manifests ...string) {
		t.Helper()
		elsewhere := fmt.Sprintf("clusterRef: {name: events, namespace: %s}", home)
		for i, m := range manifests {
			manifests[i] = replaceOnce(m, "clusterRef: {name: events}", elsewhere)
		}
		apply(t, guests, strings.Join(manifests, "\n---\n"))
	}
	access := func(set func(a *v1alpha1.Access)) {
		t.Helper()
		change(t, cluster, func(c kafkaCluster) {
			if c.Spec.Access == nil {
				c.Spec.Access = &v1alpha1.Access{Namespaces: v1alpha1.NamespaceSelector{
					MatchLabels: map[string]string{"kubernetes.io/metadata.name": guests}}}
			}
			set(c.Spec.Access)
		})
	}
	t.Cleanup(func() {
		if err := tryChange(context.Background(), cluster, func(c kafkaCluster) { c.Spec.Access = nil }); err != nil {
			t.Errorf("take the consent back: %v", err)
		}
	})
	refused := func(o object, says ...string) {
		t.Helper()
		eventually(t, 20*time.Second, o.GetName()+" says whose word is missing", func(ctx context.Context) error {
			return isStalled(ctx, o, "", says)
		})
	}

	access(func(*v1alpha1.Access) {})
	const clusterWide = "\n  - {resource: {type: Cluster}, operations: [Alter]}\n"
	there(
		strings.TrimRight(userManifest("guests-tool", "guests-one", "SCRAM-SHA-512"), "\n")+clusterWide,
		userManifest("guests-reader", "guests-one", allMechanisms...),
		topicManifest("guests-one", ", partitions: 1"),
		topicManifest("guests-flow", ", name: flow, adoption: Always"),
		topicManifest("guests-offsets", ", name: __consumer_offsets, adoption: Always"),
	)
	tool, reader, one := userNamed(guests, "guests-tool"), userNamed(guests, "guests-reader"), topicNamed(guests, "guests-one")
	waitReady(t, time.Minute, one)
	waitReady(t, time.Minute, reader)
	refused(tool, "spec.acls", "Alter", "spec.access.grants")
	refused(topicNamed(guests, "guests-flow"), "flow", home)
	refused(topicNamed(guests, "guests-offsets"), "__consumer_offsets", "InternalTopics")

	say(t, "the owner grants the operation, and bounds the topics and their names")
	access(func(a *v1alpha1.Access) {
		a.Grants = []v1alpha1.AccessGrant{{Namespace: guests, ClusterOperations: []v1alpha1.ClusterOperation{"Alter"}}}
		most := int32(1)
		a.Limits = &v1alpha1.AccessLimits{Topics: &most}
		a.Names = &v1alpha1.AccessNames{Prefixes: []v1alpha1.NamePrefix{"guests-"}}
	})
	waitReady(t, time.Minute, tool)
	there(topicManifest("guests-two", ", partitions: 1"), topicManifest("others", ", partitions: 1"))
	refused(topicNamed(guests, "guests-two"), "spec.access.limits.topics")
	refused(topicNamed(guests, "others"), "spec.access.names")
	if topics, err := admin.ListTopics(t.Context()); err != nil || topics.Has("guests-two") || topics.Has("others") {
		t.Errorf("a refused topic was made: %v (error %v)", topics.Names(), err)
	}

	say(t, "the owner evicts the namespace")
	l := loginOf(t, guests, "guests-reader").at(t, home, sharedName, "outside")
	if err := tryToProduce(t, l, "guests-one"); err != nil {
		t.Fatalf("produce as the guest: %v", err)
	}
	access(func(a *v1alpha1.Access) { a.Evicted = []string{guests} })
	for _, m := range allMechanisms {
		eventually(t, 30*time.Second, "it can log in no more by "+string(m), func(context.Context) error {
			switch err := tryToLogIn(t, l.with(m)); {
			case err == nil:
				return errors.New("it can")
			case !isLoginRefused(err):
				return err
			}
			return nil
		})
	}
	refused(reader, "spec.access.evicted")
	refused(one, "spec.access.evicted")
	apply(t, home, topicManifest("guests-one", ", adoption: Always"))
	mine := topicNamed(home, "guests-one")
	waitReady(t, time.Minute, mine)
	if err := refresh(t.Context(), one); err != nil || mine.Status.TopicID == "" {
		t.Error(mine.Status.TopicID, err)
	}
	if got := readAll(t.Context(), t, loginOf(t, home, adminUser).at(t, home, sharedName, "outside"), "guests-one"); len(got) != 1 {
		t.Errorf("the topic holds %d records, expected the one of the guest", len(got))
	}
	if err := removeNamespace(t.Context(), guests); err != nil {
		t.Fatal(err)
	}
	mustHaveTopic(t, "guests-one", mine.Status.TopicID)
	if err := kube.Delete(t.Context(), mine.KafkaTopic); err != nil {
		t.Error(err)
	}
}
