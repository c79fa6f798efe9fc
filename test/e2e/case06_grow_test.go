package e2e

import (
	"context"
	"fmt"
	"testing"
	"time"
)

const growManifest = `
kind: KafkaCluster
metadata: {name: events}
spec:
  version: "4.3.1"
  pools:
  - {name: main, replicas: 1, storage: {volumes: [{name: data, size: 1Gi}]}, jvm: {heap: 256Mi}}
  - {name: more, replicas: 2, roles: [Broker], storage: {volumes: [{name: data, size: 1Gi, ephemeral: true}]}, jvm: {heap: 256Mi}}
  listeners:
  - {name: outside, port: 9094, encryption: None, exposure: {type: NodePort}, authentication: {mechanisms: [SCRAM-SHA-512]}}
  authorization: {type: Simple, superUsers: [admin]}
`

func TestCase06_BrokersAreAddedAndNobodyRestarts(t *testing.T) {
	long(t)
	ns := newNamespace(t)
	apply(t, ns, growManifest+"\n---\n"+adminManifest)
	cluster := clusterNamed(ns, sharedName)
	waitReady(t, 4*time.Minute, cluster)
	waitReady(t, time.Minute, userNamed(ns, adminUser))
	l := loginOf(t, ns, adminUser).at(t, ns, sharedName, "outside")
	mustHaveBrokers(t, l.admin(t), 0, 1000, 1001)

	before := lives(t, ns, sharedName)
	change(t, cluster, func(c kafkaCluster) { c.Spec.Pools[1].Replicas = new(int32(3)) })
	took := waitReady(t, 3*time.Minute, cluster)
	figureSeconds(t, "brokers-3-to-4", took)
	mustHaveBrokers(t, l.admin(t), 0, 1000, 1001, 1002)
	mustLiveOn(t, ns, sharedName, before)

	before = lives(t, ns, sharedName)
	change(t, cluster, func(c kafkaCluster) {
		pool := *c.Spec.Pools[1].DeepCopy()
		pool.Name, pool.Replicas = "extra", new(int32(1))
		c.Spec.Pools = append(c.Spec.Pools, pool)
	})
	waitReady(t, 3*time.Minute, cluster)
	mustHaveBrokers(t, l.admin(t), 0, 1000, 1001, 1002, 2000)
	mustLiveOn(t, ns, sharedName, before)

	apply(t, ns, topicManifest("wide", ", partitions: 10, replicationFactor: 5"))
	waitReady(t, time.Minute, topicNamed(ns, "wide"))
	eventually(t, time.Minute, "the user's login is proven on every broker", func(ctx context.Context) error {
		user := userNamed(ns, adminUser)
		if err := isReady(ctx, user); err != nil {
			return err
		}
		if got := user.Status.Credentials; got == nil || len(got.ProvenOn) != 5 {
			return fmt.Errorf("credentials %+v", got)
		}
		return nil
	})
}
