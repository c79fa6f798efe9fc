package e2e

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/castellan-dev/castellan/api/v1alpha1"
)

// bad is an object that cannot be carried out, and what its status must say.
type bad struct {
	manifest string
	object   func(ns string) object
	reason   string
	says     []string
}

func badTopic(name, more, reason string, says ...string) bad {
	return bad{topicManifest(name, more), func(ns string) object { return topicNamed(ns, name) }, reason, says}
}

func badUser(name, manifest, reason string, says ...string) bad {
	return bad{manifest, func(ns string) object { return userNamed(ns, name) }, reason, says}
}

const nowhere = "kind: KafkaTopic\nmetadata: {name: nowhere}\nspec: {clusterRef: {name: not-there}}\n"

func badObjects() map[string]bad {
	return map[string]bad{
		"a topic whose replication factor is above the brokers": badTopic("too-many", ", replicationFactor: 2",
			"InvalidReplicationFactor", "spec.replicationFactor", "2 replicas asked", "1 broker"),
		"a topic with a configuration that Kafka does not know": badTopic("odd", ", config: {retention.msec: \"1\"}",
			"InvalidConfig", "spec.config[retention.msec]", "did you mean retention.ms?"),
		"a topic with a value that Kafka refuses": badTopic("odd-value", ", config: {retention.ms: soon}",
			"InvalidConfig", "spec.config[retention.ms]"),
		"a topic whose name collides but for a dot": badTopic("collides", ", name: a_b",
			"InvalidName", "spec.name", "a.b"),
		"a topic in a cluster that is not there": {nowhere, func(ns string) object { return topicNamed(ns, "nowhere") },
			"ClusterNotFound", []string{"spec.clusterRef.name", "not-there", "create it, or write another"}},
		"a topic that is there already and is not asked for": badTopic("taken", ", name: foreign",
			"TopicExists", "foreign", "spec.adoption"),
		"a user in a cluster that is not there": badUser(
			"nobody",
			"kind: KafkaUser\nmetadata: {name: nobody}\nspec: {clusterRef: {name: not-there}, authentication: {mechanisms: "+
				"[PLAIN]}}\n",
			"ClusterNotFound",
			"spec.clusterRef.name",
			"not-there",
			"create it, or write another",
		),
		"a user whose mechanism no listener offers": badUser(
			"unoffered",
			userManifest("unoffered", "x", v1alpha1.MechanismScram256),
			"MechanismNotOffered",
			"spec.authentication.mechanisms",
			"SCRAM-SHA-256",
			"listener",
		),
		"a user whose Secret somebody else made": badUser("robbed", userManifest("robbed", "x", v1alpha1.MechanismPlain),
			"SecretConflict", "Secret"),
		"a second user of one name": badUser("twin", "kind: KafkaUser\nmetadata: {name: twin}\n"+
			"spec: {clusterRef: {name: events}, name: admin, authentication: {mechanisms: [PLAIN]}}\n",
			"Conflict", "spec.name", "admin"),
	}
}

// overdueLimit is how long the slowest takes: a cluster, or a change of it, may be
// applied after its topics and users.
const overdueLimit = stallLimit + 20*time.Second

func TestStalled_ATopicOrUserThatCannotBeIsNamedWithItsCureAndChangesNothing(t *testing.T) {
	promise(t)
	ns := single.inUse(t)
	admin := single.login(t).admin(t)
	apply(t, ns, topicManifest("dotted", ", name: a.b"))
	waitReady(t, time.Minute, topicNamed(ns, "dotted"))
	if _, err := admin.CreateTopic(t.Context(), 1, 1, nil, "foreign"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if _, err := admin.DeleteTopic(context.Background(), "foreign"); err != nil {
			t.Errorf("tidy up: %v", err)
		}
	})
	robbed := foreignSecret(t, ns, "robbed")
	for _, b := range badObjects() {
		apply(t, ns, b.manifest)
	}
	for name, b := range badObjects() {
		t.Run(name, func(t *testing.T) {
			o := b.object(ns)
			eventually(t, overdueLimit, "Stalled names the field and the cure", func(ctx context.Context) error {
				return isStalled(ctx, o, b.reason, b.says)
			})
		})
	}
	for _, secret := range robbed {
		now := &corev1.Secret{}
		if err := kube.Get(t.Context(), client.ObjectKeyFromObject(secret), now); err != nil ||
			string(now.Data["theirs"]) != "kept" ||
			len(now.Data) != 1 {
			t.Errorf("the Secret that somebody else made was changed (error %v): keys %d", err, len(now.Data))
		}
	}
	topics, err := admin.ListTopics(t.Context())
	if want := "[a.b " + sharedTopic + " foreign]"; err != nil || fmt.Sprint(topics.Names()) != want {
		t.Errorf("topics %v (error %v), expected %s", topics.Names(), err, want)
	}
	for name, b := range badObjects() {
		t.Run(name+", and it can be deleted", func(t *testing.T) { mustGo(t, b.object(ns)) })
	}
	if topics, err := admin.ListTopics(t.Context(), "foreign"); err != nil || topics.Error() != nil {
		t.Errorf("deleting the objects touched what they did not hold: %v", errors.Join(err, topics.Error()))
	}
	mustGo(t, topicNamed(ns, "dotted"), userNamed(ns, "pattern"))
}

// foreignSecret makes Secrets under the names that a user's Secret could have.
func foreignSecret(t *testing.T, ns, user string) []*corev1.Secret {
	t.Helper()
	apply(t, ns, userManifest("pattern", "x", v1alpha1.MechanismPlain))
	waitReady(t, time.Minute, userNamed(ns, "pattern"))
	name := secretOf(t, ns, "pattern").Name
	secret := &corev1.Secret{}
	secret.Namespace, secret.Name = ns, replaceOnce(name, "pattern", user)
	secret.Data = map[string][]byte{"theirs": []byte("kept")}
	if err := kube.Create(t.Context(), secret.DeepCopy()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = kube.Delete(context.Background(), secret) })
	return []*corev1.Secret{secret}
}

func TestStalled_ATopicsChangeThatCannotBeIsNamedWithItsCureAndChangesNothing(t *testing.T) {
	promise(t)
	ns := shared(t)
	apply(t, ns, topicManifest("stuck", ", partitions: 4, replicationFactor: 2"))
	topic := topicNamed(ns, "stuck")
	waitReady(t, time.Minute, topic)
	number := func(n int32) *int32 { return &n }
	cases := map[string]struct {
		make   func(kafkaTopic)
		reason string
		says   []string
	}{
		"partitions shrunk": {func(o kafkaTopic) { o.Spec.Partitions = number(2) },
			"PartitionsCannotShrink", []string{"spec.partitions", "set spec.partitions to 4"}},
		"more replicas than brokers": {func(o kafkaTopic) { o.Spec.ReplicationFactor = number(9) },
			"InvalidReplicationFactor", []string{"spec.replicationFactor", "9 replicas asked", "lower it, or add brokers"}},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			good := topic.Spec.DeepCopy()
			change(t, topic, c.make)
			eventually(t, stallLimit, "Stalled names the field and the cure", func(ctx context.Context) error {
				return isStalled(ctx, topic, c.reason, c.says)
			})
			if topic.Status.Partitions != 4 || topic.Status.ReplicationFactor != 2 {
				t.Errorf(
					"status tells %d partitions and %d replicas, which are 4 and 2",
					topic.Status.Partitions,
					topic.Status.ReplicationFactor,
				)
			}
			change(t, topic, func(o kafkaTopic) { o.Spec = *good })
			waitReady(t, stallLimit, topic)
		})
	}
	t.Run("growing works", func(t *testing.T) {
		change(t, topic, func(o kafkaTopic) { o.Spec.Partitions = number(8) })
		waitReady(t, stallLimit, topic)
		if topic.Status.Partitions != 8 {
			t.Errorf("status tells %d partitions, expected 8", topic.Status.Partitions)
		}
	})
}
