package topics

import (
	"cmp"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/castellan-dev/castellan/internal/claim"
	"github.com/castellan-dev/castellan/internal/kafka"
	"github.com/castellan-dev/castellan/internal/verdict"
	"github.com/castellan-dev/castellan/internal/version"
)

// MayDescribe is what the operator needs to see a topic.
const MayDescribe = "Describe and DescribeConfigs"

// Explain says in the language of the KafkaTopic's fields why Kafka did not do what was attempted, such as "Create";
// false = it is no answer of Kafka's and may be another one the next time. brokers is how many brokers the cluster
// has; zero = not known. The sentence is the same for as long as its cause is.
func Explain(err error, attempted string, d Desired, brokers int) (verdict.Verdict, bool) {
	if quota, ok := errors.AsType[*kafka.Throttled](err); ok {
		after := max(quota.After, time.Second)
		return verdict.Waiting(ReasonQuota, "", after, after,
			"waiting for as long as Kafka asks: the quota on changes (controller_mutation_rate) of the operator is used up",
		), true
	}
	if denied, ok := errors.AsType[*kafka.Denied](err); ok {
		where := fmt.Sprintf("topic %q", d.Name)
		if denied.Code == "CLUSTER_AUTHORIZATION_FAILED" {
			where = "the Cluster"
		}
		return verdict.Waiting(ReasonDenied, "", time.Second, time.Minute,
			"Kafka does not let the operator do it: %s; grant its principal %s on %s", denied.Error(), attempted, where), true
	}
	if refusal, ok := errors.AsType[*kafka.Refusal](err); ok {
		return explain(refusal, d, brokers), true
	}
	return verdict.Verdict{}, false
}

func explain(r *kafka.Refusal, d Desired, brokers int) verdict.Verdict {
	said := strings.TrimSuffix(cmp.Or(r.Message, r.Code), ".") // the cure comes after it
	code := r.Code
	if code == "INVALID_REQUEST" && strings.HasPrefix(said, "Invalid config value") {
		code = "INVALID_CONFIG" // which brokers with ZooKeeper say of a key, and not of a value
	}
	switch code {
	case "INVALID_REPLICATION_FACTOR":
		asked, cure := verdict.Counted(int(d.ReplicationFactor), "replica")+" asked", "lower it, or add brokers"
		if d.ReplicationFactor == 0 {
			asked, cure = "the brokers' default (default.replication.factor) asked", "set spec.replicationFactor, or add brokers"
		}
		if brokers > 0 {
			asked += ", " + verdict.Counted(brokers, "broker")
		}
		return verdict.Stalled(ReasonReplication, "spec.replicationFactor", "%s; Kafka says: %s; %s", asked, said, cure)
	case "INVALID_PARTITIONS":
		v := verdict.Stalled(ReasonPartitions, "spec.partitions", "%s; Kafka says: %s; set another number",
			partitionsAsked(d), said)
		v.Doubtful = true
		return v
	case "INVALID_CONFIG":
		if strings.HasPrefix(said, withoutTiers) {
			v := verdict.Stalled(ReasonConfig, configField(tieredKey), "the cluster has no tiered storage; Kafka says: %s; set "+
				"spec.tieredStorage of the KafkaCluster (remote.log.storage.system.enable on brokers of somebody else's), or "+
				"remove this key", said)
			v.After, v.AtMost = claim.TakenLook, claim.TakenLookLimit // brokers may be on their way to it
			return v
		}
		key := configKey(d, said)
		if version.DroppedOnTopics(trimmed(key)) {
			return dropped(trimmed(key))
		}
		cure := cmp.Or(suggestion(key), "correct it")
		return verdict.Stalled(ReasonConfig, configField(key), "Kafka says: %s; %s", said, cure)
	case "INVALID_TOPIC_EXCEPTION":
		v := verdict.Stalled(ReasonName, "spec.name", "%q is not accepted; Kafka says: %s; choose another spec.name",
			d.Name, said)
		if strings.Contains(said, "collides with") { // for as long as that topic is there
			v.After, v.AtMost = claim.TakenLook, claim.TakenLookLimit
		}
		return v
	case "POLICY_VIOLATION":
		if r.TooLarge() {
			return verdict.Stalled(ReasonPartitions, "spec.partitions", "%s, which is more than Kafka changes at once; Kafka "+
				"says: %s; set fewer, and grow in steps", partitionsAsked(d), said)
		}
		return verdict.Stalled(ReasonPolicy, "spec", "the brokers' policy for topics (create.topic.policy.class.name, "+
			"alter.config.policy.class.name) does not admit it; Kafka says: %s; change the spec, or the policy", said)
	case "TOPIC_DELETION_DISABLED":
		return verdict.Stalled(ReasonNotDeletable, "spec.deletionPolicy",
			"the brokers have delete.topic.enable=false; set deletionPolicy to Retain, or allow deletion")
	default:
		return verdict.Stalled(ReasonRefused, "spec", "Kafka refuses it: %s", r.Error())
	}
}

// tieredKey is the key of a topic by which its segments go to tiered storage, and withoutTiers how Kafka begins to say
// that the cluster has none (LogConfig).
const (
	tieredKey    = "remote.storage.enable"
	withoutTiers = "Tiered Storage functionality is disabled in the broker"
)

func partitionsAsked(d Desired) string {
	if d.Partitions == 0 {
		return "the brokers' default (num.partitions) asked"
	}
	return fmt.Sprintf("%d asked", d.Partitions)
}

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

// dropped says what to do with a key that topics had in an older Kafka.
func dropped(key string) verdict.Verdict {
	cure := "remove it"
	if successor := version.Successor(key); successor != "" {
		cure += ", or use " + successor
	}
	return verdict.Stalled(ReasonConfig, configField(key), "Kafka 4 has dropped this key; %s", cure)
}

func configField(key string) string {
	if key == "" {
		return "spec.config"
	}
	return fmt.Sprintf("spec.config[%s]", key)
}

var dotted = strings.NewReplacer("_", ".", "-", ".")

// suggestion asks whether a key that no topic has was meant to be one that topics have; empty where none is near.
func suggestion(key string) string {
	if key == "" || slices.Contains(topicKeys, key) {
		return ""
	}
	key = camel.ReplaceAllString(trimmed(key), "$1.$2")
	key = dotted.Replace(strings.ToLower(key))
	key = strings.TrimPrefix(strings.TrimPrefix(key, "log."), "cleaner.") // so begins what brokers call their default
	dot := strings.LastIndex(key, ".") + 1
	unit := cmp.Or(units[key[dot:]], key[dot:])
	nearest := nearestKey(key[:dot] + unit)
	switch {
	case nearest == "":
		return ""
	case key[dot:] != unit && unit == "ms":
		return fmt.Sprintf("did you mean %s, in milliseconds?", nearest)
	default:
		return fmt.Sprintf("did you mean %s?", nearest)
	}
}

var camel = regexp.MustCompile("([a-z])([A-Z])")

// nearestKey returns the topic's key that is written most like the given one, and counted in the same unit if that
// has one.
func nearestKey(key string) string {
	if own, ok := brokerNames[key]; ok {
		return own
	}
	nearest, best, unit := "", len(key)/3+1, unitOf(key)
	for _, valid := range topicKeys {
		if unit != "" && unit != unitOf(valid) {
			continue
		}
		if distance := verdict.Edits(key, valid); distance < best {
			nearest, best = valid, distance
		}
	}
	return nearest
}

func unitOf(key string) string { return units[key[strings.LastIndex(key, ".")+1:]] }

// units are those that a topic's keys are counted in, by the word that somebody may end a key with.
var units = map[string]string{
	"ms": "ms", "seconds": "ms", "minutes": "ms", "hours": "ms", "days": "ms",
	"bytes": "bytes", "kb": "bytes", "mb": "bytes", "gb": "bytes",
	"messages": "messages",
}

// brokerNames are the topic's keys by the names, without log. and cleaner. in front, of the brokers' defaults that are
// called otherwise (KafkaConfig), and by what they are called for short.
var brokerNames = map[string]string{
	"flush.interval.messages": "flush.messages",
	"flush.interval.ms":       "flush.ms",
	"index.size.max.bytes":    "segment.index.bytes",
	"message.max.bytes":       "max.message.bytes",
	"min.cleanable.ratio":     "min.cleanable.dirty.ratio",
	"min.isr":                 "min.insync.replicas",
	"roll.jitter.ms":          "segment.jitter.ms",
	"roll.ms":                 "segment.ms",
	"segment.delete.delay.ms": "file.delete.delay.ms",
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
