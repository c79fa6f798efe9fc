package version

import (
	"strings"
	"testing"
)

func TestKeysThatKafka4HasDroppedAreKnown(t *testing.T) {
	for _, key := range strings.Fields(`zookeeper.connect zookeeper.session.timeout.ms zookeeper.clientCnxnSocket
		inter.broker.protocol.version log.message.format.version log.message.downconversion.enable
		log.message.timestamp.difference.max.ms host.name port advertised.host.name advertised.port
		broker.id.generation.enable control.plane.listener.name controlled.shutdown.max.retries
		controlled.shutdown.retry.backoff.ms delegation.token.master.key leader.imbalance.per.broker.percentage
		offsets.commit.required.acks password.encoder.secret quota.consumer.default quota.producer.default
		reserved.broker.max.id auto.include.jmx.reporter unstable.metadata.versions.enable`) {
		if !Dropped(key) {
			t.Errorf("%s is not known to be dropped", key)
		}
	}
	for _, v := range Catalogue {
		for key := range v.keys {
			if Dropped(key) {
				t.Errorf("Kafka %s has %s", v.Kafka, key)
			}
		}
	}
	for _, key := range []string{"log.cleaner.enable", "some.plugin", "group.share.enable", "ssl.protocol"} {
		if Dropped(key) {
			t.Errorf("%s is said to be dropped", key)
		}
	}
	for key := range successors {
		if !Dropped(key) && !DroppedOnTopics(key) {
			t.Errorf("%s has a successor, and is not dropped", key)
		}
	}
	for _, key := range []string{
		"message.format.version", "message.downconversion.enable", "message.timestamp.difference.max.ms",
	} {
		if !DroppedOnTopics(key) || DroppedOnTopics("retention.ms") {
			t.Errorf("%s of topics is not known to be dropped, or retention.ms is", key)
		}
	}
}
