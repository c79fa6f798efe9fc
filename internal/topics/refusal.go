package topics

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/castellan-dev/castellan/internal/kafka"
)

// MayDescribe is what the operator needs to see a topic.
const MayDescribe = "Describe and DescribeConfigs"

// Explain says in the language of the KafkaTopic's fields why Kafka did not do what was attempted, such as "Create"; false =
// it is no answer of Kafka's and may be another one the next time. brokers is how many brokers the cluster has; zero = not
// known.
func Explain(err error, attempted string, d Desired, brokers int) (Fault, bool) {
	if quota, ok := errors.AsType[*kafka.Throttled](err); ok {
		after := max(quota.After, time.Second)
		return Fault{Reason: ReasonQuota, Passing: true, After: after, AtMost: after, Message: fmt.Sprintf(
			"waiting %s, as Kafka asks: the quota on changes (controller_mutation_rate) of the operator is used up", after)}, true
	}
	if denied, ok := errors.AsType[*kafka.Denied](err); ok {
		return Fault{Reason: ReasonDenied, Passing: true, After: time.Second, AtMost: time.Minute, Message: fmt.Sprintf(
			"Kafka does not let the operator do it: %s; grant its principal %s on topic %q", denied.Error(), attempted, d.Name)}, true
	}
	if refusal, ok := errors.AsType[*kafka.Refusal](err); ok {
		return explain(refusal, d, brokers), true
	}
	return Fault{}, false
}

func explain(r *kafka.Refusal, d Desired, brokers int) Fault {
	said := r.Message
	if said == "" {
		said = r.Code
	}
	switch r.Code {
	case "INVALID_REPLICATION_FACTOR":
		field := fmt.Sprintf("spec.replicationFactor: %d replicas asked", d.ReplicationFactor)
		if d.ReplicationFactor == 0 {
			field = "spec.replicationFactor: the brokers' default cannot be met"
		}
		if brokers > 0 {
			field += fmt.Sprintf(", %d brokers", brokers)
		}
		return Fault{Reason: ReasonReplication, Message: field + "; Kafka says: " + said}
	case "INVALID_PARTITIONS":
		return Fault{Reason: ReasonPartitions, Message: fmt.Sprintf("spec.partitions: %d asked; Kafka says: %s", d.Partitions, said), Doubtful: true}
	case "INVALID_CONFIG":
		key := configKey(d, said)
		return Fault{Reason: ReasonConfig, Message: configField(key) + ": Kafka says: " + said + suggestion(key)}
	case "INVALID_TOPIC_EXCEPTION":
		return Fault{Reason: ReasonName, Message: fmt.Sprintf("spec.name: %q is not accepted; Kafka says: %s", d.Name, said)}
	case "POLICY_VIOLATION":
		if strings.HasPrefix(said, tooMany) {
			return Fault{Reason: ReasonPartitions, Message: fmt.Sprintf("spec.partitions: %d asked, which is more than Kafka changes at once; begin with "+
				"fewer, and grow in steps; Kafka says: %s", d.Partitions, said)}
		}
		return Fault{Reason: ReasonPolicy, Message: "spec: the brokers' policy for topics (create.topic.policy.class.name, " +
			"alter.config.policy.class.name) does not admit it; Kafka says: " + said}
	case "TOPIC_DELETION_DISABLED":
		return Fault{Reason: ReasonNotDeletable, Message: "spec.deletionPolicy: the brokers have delete.topic.enable=false; set deletionPolicy to Retain, or allow deletion"}
	default:
		return Fault{Reason: ReasonRefused, Message: fmt.Sprintf("spec: Kafka refuses it: %s", r.Error())}
	}
}

// tooMany begins Kafka's answer to a request that would write more records than its controller does at once.
const tooMany = "Excessively large number of partitions"

// configKey is the key of the spec that Kafka's sentence is about: the longest, as keys may be parts of each other.
func configKey(d Desired, said string) string {
	longest := ""
	for _, key := range keys(d.Config) {
		if len(key) > len(longest) && strings.Contains(said, key) {
			longest = key
		}
	}
	return longest
}

func configField(key string) string {
	if key == "" {
		return "spec.config"
	}
	return fmt.Sprintf("spec.config[%s]", key)
}

// suggestion names the valid key nearest to one that no topic has; nothing where none is near.
func suggestion(key string) string {
	if key == "" || slices.Contains(topicKeys, key) {
		return ""
	}
	nearest, best := "", len(key)/3+1
	for _, valid := range topicKeys {
		if distance := editDistance(key, valid); distance < best {
			nearest, best = valid, distance
		}
	}
	if nearest == "" {
		return ""
	}
	return fmt.Sprintf("; did you mean %s?", nearest)
}

// topicKeys are the keys of a topic in Kafka 4.3. They only serve to suggest one: what is valid, Kafka decides.
var topicKeys = []string{
	"cleanup.policy", "compression.gzip.level", "compression.lz4.level", "compression.type", "compression.zstd.level",
	"delete.retention.ms", "file.delete.delay.ms", "flush.messages", "flush.ms", "index.interval.bytes",
	"local.retention.bytes", "local.retention.ms", "max.compaction.lag.ms", "max.message.bytes",
	"message.timestamp.after.max.ms", "message.timestamp.before.max.ms", "message.timestamp.type",
	"min.cleanable.dirty.ratio", "min.compaction.lag.ms", "min.insync.replicas", "preallocate",
	"remote.log.copy.disable", "remote.log.delete.on.disable", "remote.storage.enable", "retention.bytes",
	"retention.ms", "segment.bytes", "segment.index.bytes", "segment.jitter.ms", "segment.ms",
	"unclean.leader.election.enable",
}

// editDistance counts the characters to insert, delete or replace that make one string the other.
func editDistance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			replaced := diagonal
			if a[i] != b[j] {
				replaced++
			}
			diagonal = row[j+1]
			row[j+1] = min(replaced, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
