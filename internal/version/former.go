package version

import (
	"fmt"
	"strings"
)

// formerKeys and formerTopicKeys are the keys of brokers and of topics that some Kafka from 2.8 to 3.9 had.
var formerKeys, formerTopicKeys = loadFormer()

func loadFormer() (brokers, topics map[string]bool) {
	// Of versions between those that the table is made of.
	brokers, topics = map[string]bool{"unstable.metadata.versions.enable": true}, map[string]bool{}
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

// Dropped tells whether a broker key is one that Kafka had before 4, and that no version of the catalogue has.
func Dropped(key string) bool {
	if NamesWhere(func(v Version) bool { return v.Scope(key) != Unknown }) != "" {
		return false
	}
	return formerKeys[key] || strings.HasPrefix(key, "zookeeper.")
}

// DroppedOnTopics tells whether a key is one that topics had before Kafka 4.
func DroppedOnTopics(key string) bool {
	_, has := Catalogue[len(Catalogue)-1].topicKeys[key]
	return !has && formerTopicKeys[key]
}

// successors are what takes the place of keys that Kafka 4 has dropped (Kafka's notes on upgrading), of brokers and of
// topics.
var successors = map[string]string{
	"delegation.token.master.key":   "delegation.token.secret.key",
	"inter.broker.protocol.version": "spec.metadataVersion",
	"log.message.timestamp.difference.max.ms": "log.message.timestamp.before.max.ms and " +
		"log.message.timestamp.after.max.ms",
	"message.timestamp.difference.max.ms": "message.timestamp.before.max.ms and message.timestamp.after.max.ms",
	"quota.consumer.default":              "spec.quotas of KafkaUsers",
	"quota.producer.default":              "spec.quotas of KafkaUsers",
}

// Successor is what takes the place of a key that Kafka 4 has dropped; empty = nothing does.
func Successor(key string) string { return successors[key] }
