package version

import (
	"fmt"
	"slices"
	"strings"
)

// formerKeys and formerTopicKeys are the keys of brokers and of topics that some Kafka from 2.8 to 4.0 had.
var formerKeys, formerTopicKeys = loadFormer()

// formerPrefixes begin the names of keys that a Kafka before 4 read without having them in its list: those of
// ZooKeeper, also of the authorizer that kept its ACLs there (AclAuthorizer).
var formerPrefixes = []string{"zookeeper.", "authorizer.zookeeper."}

func loadFormer() (brokers, topics map[string]bool) {
	// Of JmxReporter, which has no list of keys.
	brokers = map[string]bool{"metrics.jmx.blacklist": true, "metrics.jmx.whitelist": true}
	topics = map[string]bool{}
	readTable("former.txt", func(line string) error {
		switch kind, key, _ := strings.Cut(line, " "); kind {
		case "broker":
			brokers[key] = true
		case "topic":
			topics[key] = true
		default:
			return fmt.Errorf("%q is no key of a broker or a topic", line)
		}
		return nil
	})
	return brokers, topics
}

// Dropped tells whether a broker key is one that Kafka had from 2.8 to 4.0, and that no version of the catalogue has.
func Dropped(key string) bool {
	if NamesWhere(func(v Version) bool { return v.Scope(key) != Unknown }) != "" {
		return false
	}
	return formerKeys[key] ||
		slices.ContainsFunc(formerPrefixes, func(prefix string) bool { return strings.HasPrefix(key, prefix) })
}

// DroppedOnTopics tells whether a key is one that topics had before Kafka 4.
func DroppedOnTopics(key string) bool {
	_, has := Catalogue[len(Catalogue)-1].topicKeys[key]
	return !has && formerTopicKeys[key]
}

// successors are what takes the place of keys that Kafka 4 has dropped (Kafka's notes on upgrading), of brokers and of
// topics.
var successors = map[string]string{
	"advertised.host.name":          "spec.listeners",
	"advertised.port":               "spec.listeners",
	"auto.include.jmx.reporter":     "metric.reporters",
	"delegation.token.master.key":   "delegation.token.secret.key",
	"host.name":                     "spec.listeners",
	"inter.broker.protocol.version": "spec.metadataVersion",
	"log.message.timestamp.difference.max.ms": "log.message.timestamp.before.max.ms and " +
		"log.message.timestamp.after.max.ms",
	"message.timestamp.difference.max.ms": "message.timestamp.before.max.ms and message.timestamp.after.max.ms",
	"metrics.jmx.blacklist":               "metrics.jmx.exclude",
	"metrics.jmx.whitelist":               "metrics.jmx.include",
	"port":                                "spec.listeners",
	"quota.consumer.default":              "spec.quotas of KafkaUsers",
	"quota.producer.default":              "spec.quotas of KafkaUsers",
	"unstable.metadata.versions.enable":   "unstable.feature.versions.enable",
}

// Successor is what takes the place of a key that Kafka 4 has dropped; empty = nothing does.
func Successor(key string) string { return successors[key] }
