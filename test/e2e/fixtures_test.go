package e2e

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"

	"github.com/castellan-dev/castellan/api/v1alpha1"
)

const kafkaVersion = "4.3.1"

// allMechanisms are what the listeners of the fixtures offer.
var allMechanisms = []v1alpha1.Mechanism{
	v1alpha1.MechanismPlain,
	v1alpha1.MechanismScram256,
	v1alpha1.MechanismScram512,
}

// common has three combined brokers.
var common = sharedCluster{what: "shared cluster", manifest: sharedManifest}

const (
	sharedName  = "events"
	sharedTopic = "flow" // 6 partitions, 3 replicas
	adminUser   = "admin"
)

const sharedManifest = `
kind: KafkaCluster
metadata: {name: events}
spec:
  version: "4.3.1"
  pools:
  - name: main
    replicas: 3
    storage: {volumes: [{name: data, size: 1Gi}]}
    jvm: {heap: 256Mi}
  listeners:
  - {name: inside, port: 9092, encryption: None, authentication: {mechanisms: [PLAIN, SCRAM-SHA-256, SCRAM-SHA-512]}}
  - {name: outside, port: 9094, encryption: None, exposure: {type: NodePort}, authentication: {mechanisms: [PLAIN, SCRAM-SHA-256, SCRAM-SHA-512]}}
  - {name: secure, port: 9095, authentication: {mechanisms: [SCRAM-SHA-512]}}
  - {name: securenp, port: 9096, exposure: {type: NodePort}, authentication: {mechanisms: [SCRAM-SHA-512]}}
  authorization: {type: Simple, superUsers: [admin]}
  config:
    auto.create.topics.enable: "false"
    offsets.topic.num.partitions: "3"
    group.initial.rebalance.delay.ms: "0"
`

const adminManifest = `
kind: KafkaUser
metadata: {name: admin}
spec:
  clusterRef: {name: events}
  authentication: {mechanisms: [SCRAM-SHA-512]}
`

// topicManifest prints a KafkaTopic of cluster events.
func topicManifest(name, more string) string {
	return fmt.Sprintf("kind: KafkaTopic\nmetadata: {name: %s}\nspec: {clusterRef: {name: events}%s}\n", name, more)
}

// userManifest prints a KafkaUser of cluster events who may use one topic and groups of its own.
func userManifest(name, topic string, mechanisms ...v1alpha1.Mechanism) string {
	list := make([]string, len(mechanisms))
	for i, m := range mechanisms {
		list[i] = string(m)
	}
	return fmt.Sprintf(`
kind: KafkaUser
metadata: {name: %[1]s}
spec:
  clusterRef: {name: events}
  authentication: {mechanisms: [%[3]s]}
  acls:
  - {resource: {type: Topic, name: %[2]s}, operations: [Read, Write, Describe]}
  - {resource: {type: Group, name: %[1]s, pattern: Prefixed}, operations: [Read, Describe]}
`, name, topic, strings.Join(list, ", "))
}

// shared returns the namespace of the shared cluster, Ready; the first call makes it.
func shared(t *testing.T) string {
	t.Helper()
	if common.get(t) {
		figureSeconds(t, "cluster-apply-to-ready", common.readyIn)
	}
	return common.namespace
}

// sharedAdmin is a super user of the shared cluster, from outside.
func sharedAdmin(t *testing.T) *kadm.Client {
	t.Helper()
	return loginOf(t, common.namespace, adminUser).at(t, common.namespace, sharedName, "outside").admin(t)
}

// waitInSync waits until every partition of the shared cluster has all its replicas in sync.
func waitInSync(t *testing.T, admin *kadm.Client) {
	t.Helper()
	eventually(t, time.Minute, "every replica is in sync", func(ctx context.Context) error {
		return underReplicated(ctx, admin)
	})
}

// waitLedAsPreferred waits until leadership is where it belongs: after a restart the operator gives it back at its next
// look at the cluster, which may be a case later.
func waitLedAsPreferred(t *testing.T, admin *kadm.Client) {
	t.Helper()
	eventually(t, time.Minute, "every partition is led by its preferred replica", func(ctx context.Context) error {
		topics, err := admin.ListTopicsWithInternal(ctx)
		if err != nil {
			return err
		}
		for _, topic := range topics {
			for _, p := range topic.Partitions {
				if len(p.Replicas) > 0 && p.Leader != p.Replicas[0] {
					return fmt.Errorf("%s-%d is led by broker %d and not by broker %d", p.Topic, p.Partition, p.Leader, p.Replicas[0])
				}
			}
		}
		return nil
	})
}

// smallManifest is a cluster of one node, which keeps its records only when it has a disk.
func smallManifest(ephemeral bool, more string) string {
	volume := "{name: data, size: 1Gi}"
	if ephemeral {
		volume = "{name: data, size: 1Gi, ephemeral: true}"
	}
	return fmt.Sprintf(`
kind: KafkaCluster
metadata: {name: events}
spec:
  version: "4.3.1"
  pools:
  - {name: main, replicas: 1, storage: {volumes: [%s]}, jvm: {heap: 256Mi}}
  listeners:
  - {name: outside, port: 9094, encryption: None, exposure: {type: NodePort}, authentication: {mechanisms: [PLAIN, SCRAM-SHA-512]}}
  authorization: {type: Simple, superUsers: [admin]}
%s`, volume, more)
}

// small makes a cluster of one node in a namespace of the case's own.
func small(t *testing.T, ephemeral bool, more string) (namespace string) {
	t.Helper()
	namespace = newNamespace(t)
	apply(t, namespace, smallManifest(ephemeral, more))
	waitReady(t, 3*time.Minute, clusterNamed(namespace, sharedName))
	apply(t, namespace, adminManifest)
	waitReady(t, time.Minute, userNamed(namespace, adminUser))
	return namespace
}
