package version

import (
	"strings"
	"testing"
)

// droppedKeys are all keys of brokers that some Kafka from 2.8 to 4.0 had and no version of the catalogue has, and what
// takes the place of each; empty = nothing does.
var droppedKeys = map[string]string{
	"advertised.host.name":                   "spec.listeners",
	"advertised.port":                        "spec.listeners",
	"auto.include.jmx.reporter":              "metric.reporters",
	"broker.id.generation.enable":            "",
	"control.plane.listener.name":            "",
	"controlled.shutdown.max.retries":        "",
	"controlled.shutdown.retry.backoff.ms":   "",
	"delegation.token.master.key":            "delegation.token.secret.key",
	"eligible.leader.replicas.enable":        "",
	"group.coordinator.new.enable":           "",
	"group.share.max.groups":                 "",
	"host.name":                              "spec.listeners",
	"inter.broker.protocol.version":          "spec.metadataVersion",
	"leader.imbalance.per.broker.percentage": "",
	"log.message.downconversion.enable":      "",
	"log.message.format.version":             "",
	"log.message.timestamp.difference.max.ms": "log.message.timestamp.before.max.ms and " +
		"log.message.timestamp.after.max.ms",
	"metadata.log.segment.min.bytes":                  "",
	"offsets.commit.required.acks":                    "",
	"password.encoder.cipher.algorithm":               "",
	"password.encoder.iterations":                     "",
	"password.encoder.key.length":                     "",
	"password.encoder.keyfactory.algorithm":           "",
	"password.encoder.old.secret":                     "",
	"password.encoder.secret":                         "",
	"port":                                            "spec.listeners",
	"quota.consumer.default":                          "spec.quotas of KafkaUsers",
	"quota.producer.default":                          "spec.quotas of KafkaUsers",
	"reserved.broker.max.id":                          "",
	"share.fetch.max.fetch.records":                   "",
	"unstable.metadata.versions.enable":               "unstable.feature.versions.enable",
	"zookeeper.clientCnxnSocket":                      "",
	"zookeeper.connect":                               "",
	"zookeeper.connection.timeout.ms":                 "",
	"zookeeper.max.in.flight.requests":                "",
	"zookeeper.metadata.migration.enable":             "",
	"zookeeper.metadata.migration.min.batch.size":     "",
	"zookeeper.session.timeout.ms":                    "",
	"zookeeper.set.acl":                               "",
	"zookeeper.ssl.cipher.suites":                     "",
	"zookeeper.ssl.client.enable":                     "",
	"zookeeper.ssl.crl.enable":                        "",
	"zookeeper.ssl.enabled.protocols":                 "",
	"zookeeper.ssl.endpoint.identification.algorithm": "",
	"zookeeper.ssl.keystore.location":                 "",
	"zookeeper.ssl.keystore.password":                 "",
	"zookeeper.ssl.keystore.type":                     "",
	"zookeeper.ssl.ocsp.enable":                       "",
	"zookeeper.ssl.protocol":                          "",
	"zookeeper.ssl.truststore.location":               "",
	"zookeeper.ssl.truststore.password":               "",
	"zookeeper.sync.time.ms":                          "",
	"zookeeper.ssl.truststore.type":                   "",

	// What Kafka read without having them in its list of keys: JmxReporter, and the authorizer with ZooKeeper.
	"metrics.jmx.blacklist":                   "metrics.jmx.exclude",
	"metrics.jmx.whitelist":                   "metrics.jmx.include",
	"authorizer.zookeeper.url":                "",
	"authorizer.zookeeper.ssl.client.enable":  "",
	"authorizer.zookeeper.session.timeout.ms": "",
}

// droppedTopicKeys are those of topics.
var droppedTopicKeys = map[string]string{
	"message.downconversion.enable":       "",
	"message.format.version":              "",
	"message.timestamp.difference.max.ms": "message.timestamp.before.max.ms and message.timestamp.after.max.ms",
}

func TestKeysThatKafka4HasDroppedAreKnown(t *testing.T) {
	for key, successor := range droppedKeys {
		if !Dropped(key) || Successor(key) != successor {
			t.Errorf("%s: dropped %t, successor %q, expected %q", key, Dropped(key), Successor(key), successor)
		}
	}
	for key := range formerKeys {
		if _, listed := droppedKeys[key]; Dropped(key) && !listed {
			t.Errorf("%s is dropped, and nobody has said what takes its place", key)
		}
	}
	for key, successor := range droppedTopicKeys {
		if !DroppedOnTopics(key) || Successor(key) != successor {
			t.Errorf("topics' %s: successor %q, expected %q", key, Successor(key), successor)
		}
	}
	for key := range formerTopicKeys {
		if _, listed := droppedTopicKeys[key]; DroppedOnTopics(key) && !listed {
			t.Errorf("topics' %s is dropped, and nobody has said what takes its place", key)
		}
	}
	for _, v := range Catalogue {
		for key := range v.keys {
			if Dropped(key) {
				t.Errorf("Kafka %s has %s", v.Kafka, key)
			}
		}
	}
	for _, key := range []string{"log.cleaner.enable", "some.plugin", "group.share.enable", "ssl.protocol",
		"metrics.jmx.include", "authorizer.class.name", "authorizer.plugin.url"} {
		if Dropped(key) {
			t.Errorf("%s is said to be dropped", key)
		}
	}
	for key := range successors {
		if !Dropped(key) && !DroppedOnTopics(key) {
			t.Errorf("%s has a successor, and is not dropped", key)
		}
	}
	if DroppedOnTopics("retention.ms") {
		t.Error("retention.ms of topics is said to be dropped")
	}
	newest := Catalogue[len(Catalogue)-1]
	for key, successor := range successors {
		for name := range strings.SplitSeq(successor, " and ") {
			_, ofTopics := newest.topicKeys[name]
			jmx := strings.HasPrefix(name, "metrics.jmx.") // JmxReporter's own
			if !ofTopics && !jmx && !strings.HasPrefix(name, "spec.") && newest.Scope(name) == Unknown {
				t.Errorf("%s: its successor %s is no key of Kafka %s", key, name, newest.Kafka)
			}
		}
	}
}
