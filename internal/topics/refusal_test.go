package topics

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/castellan-dev/castellan/internal/claim"
	"github.com/castellan-dev/castellan/internal/kafka"
	"github.com/castellan-dev/castellan/internal/verdict"
)

// answer is what a user, and the queue, learn of a verdict.
type answer struct {
	Reason, Message   string
	Doubtful, Passing bool
	After, AtMost     time.Duration
}

func tell(v verdict.Verdict) answer {
	return answer{v.Reason, v.Text(), v.Doubtful, v.Passes(), v.After, v.AtMost}
}

func TestWhatKafkaRefusesIsSaidInTheFieldsOfTheSpecWithItsCure(t *testing.T) {
	for name, c := range map[string]struct {
		code, said string
		desired    Desired
		brokers    int
		want       answer
	}{
		"more replicas than brokers": {
			code: "INVALID_REPLICATION_FACTOR", said: "Only 1 broker(s) are registered.", desired: Desired{ReplicationFactor: 3}, brokers: 1,
			want: answer{Reason: ReasonReplication, Message: "spec.replicationFactor: 3 replicas asked, 1 broker; Kafka " +
				"says: Only 1 broker(s) are " +
				"registered; lower it, or add brokers"}},
		"how many brokers there are is not known": {
			code: "INVALID_REPLICATION_FACTOR", desired: Desired{ReplicationFactor: 1},
			want: answer{Reason: ReasonReplication, Message: "spec.replicationFactor: 1 replica asked; Kafka says: " +
				"INVALID_REPLICATION_FACTOR; lower " +
				"it, or add brokers"}},
		"a default of more replicas than brokers": {
			code: "INVALID_REPLICATION_FACTOR", said: "Too few", brokers: 2,
			want: answer{Reason: ReasonReplication, Message: "spec.replicationFactor: the brokers' default " +
				"(default.replication.factor) asked, 2 brokers; " +
				"Kafka says: Too few; set spec.replicationFactor, or add brokers"}},
		"a number of partitions": {
			code: "INVALID_PARTITIONS", said: "Topic already has 3 partitions.", desired: Desired{Partitions: 3},
			want: answer{Reason: ReasonPartitions, Doubtful: true, Message: "spec.partitions: 3 asked; Kafka says: Topic " +
				"already has 3 partitions; set " +
				"another number"}},
		"a default number of partitions": {
			code: "INVALID_PARTITIONS", said: "No",
			want: answer{Reason: ReasonPartitions, Doubtful: true, Message: "spec.partitions: the brokers' default " +
				"(num.partitions) asked; Kafka says: " +
				"No; set another number"}},
		"too many partitions for Kafka 4": {
			code: "POLICY_VIOLATION", said: "Excessively large number of partitions per request.", desired: Desired{Partitions: 20000},
			want: answer{Reason: ReasonPartitions, Message: "spec.partitions: 20000 asked, which is more than Kafka changes " +
				"at once; Kafka says: " +
				"Excessively large number of partitions per request; set fewer, and grow in steps"}},
		"a default of too many partitions for Kafka 3": {
			code: "POLICY_VIOLATION", said: "Unable to perform excessively large batch operation.",
			want: answer{Reason: ReasonPartitions, Message: "spec.partitions: the brokers' default (num.partitions) asked, " +
				"which is more than Kafka " +
				"changes at once; Kafka says: Unable to perform excessively large batch operation; set fewer, and grow in steps"}},
		"a policy of the brokers'": {
			code: "POLICY_VIOLATION", said: "Names begin with a team",
			want: answer{Reason: ReasonPolicy, Message: "spec: the brokers' policy for topics " +
				"(create.topic.policy.class.name, " +
				"alter.config.policy.class.name) does not admit it; Kafka says: Names begin with a team; change the spec, or " +
				"the policy"}},
		"a value": {
			code: "INVALID_CONFIG", said: "Invalid value x for configuration retention.ms: Not a number of type LONG",
			desired: Desired{Config: map[string]string{"retention.ms": "x"}},
			want: answer{Reason: ReasonConfig, Message: "spec.config[retention.ms]: Kafka says: Invalid value x for " +
				"configuration retention.ms: Not a " +
				"number of type LONG; correct it"}},
		"a key": {
			code: "INVALID_CONFIG", said: "Unknown topic config name: retention.hours", desired: Desired{Config: map[string]string{"retention.hours": "7"}},
			want: answer{Reason: ReasonConfig, Message: "spec.config[retention.hours]: Kafka says: Unknown topic config " +
				"name: retention.hours; did you " +
				"mean retention.ms, in milliseconds?"}},
		"something about no key of the spec": {
			code: "INVALID_CONFIG", said: "No", desired: Desired{Config: map[string]string{"retention.ms": "5"}},
			want: answer{Reason: ReasonConfig, Message: "spec.config: Kafka says: No; correct it"}},
		"tiered storage in a cluster without, until it may have it": {
			code: "INVALID_CONFIG", said: "Tiered Storage functionality is disabled in the broker. Topic cannot be configured " +
				"with remote log storage.", desired: Desired{Config: map[string]string{"remote.storage.enable": "true"}},
			want: answer{Reason: ReasonConfig, After: claim.TakenLook, AtMost: claim.TakenLookLimit, Message: "spec.config" +
				"[remote.storage.enable]: the cluster has no tiered storage; Kafka says: Tiered Storage functionality is " +
				"disabled in the broker. Topic cannot be configured with remote log storage; set spec.tieredStorage of the " +
				"KafkaCluster (remote.log.storage.system.enable on brokers of somebody else's), or remove this key"}},
		"tiered storage that would leave segments behind": {
			code: "INVALID_CONFIG", said: "It is invalid to disable remote storage without deleting remote data. If you want to " +
				"disable it and delete all, please set `remote.storage.enable=false,remote.log.delete.on.disable=true`.",
			desired: Desired{Config: map[string]string{"remote.storage.enable": "false"}},
			want: answer{Reason: ReasonConfig, Message: "spec.config[remote.storage.enable]: Kafka says: It is invalid to " +
				"disable remote storage without deleting remote data. If you want to disable it and delete all, please set " +
				"`remote.storage.enable=false,remote.log.delete.on.disable=true`; correct it"}},
		"a value that is altered where there is ZooKeeper": {
			code: "INVALID_REQUEST", said: "Invalid config value for resource ConfigResource(type=TOPIC, name='a'): Invalid " +
				"value x for configuration flush.ms",
			desired: Desired{Config: map[string]string{"flush.ms": "x"}},
			want: answer{Reason: ReasonConfig, Message: "spec.config[flush.ms]: Kafka says: Invalid config value for resource " +
				"ConfigResource(type=TOPIC, name='a'): Invalid value x for configuration flush.ms; correct it"}},
		"a request of another kind": {
			code: "INVALID_REQUEST", said: "There are duplicates.",
			want: answer{Reason: ReasonRefused, Message: "spec: Kafka refuses it: There are duplicates. (INVALID_REQUEST)"}},
		"a name": {
			code: "INVALID_TOPIC_EXCEPTION", said: "Topic name is invalid",
			want: answer{Reason: ReasonName, Message: `spec.name: "a" is not accepted; Kafka says: Topic name is invalid; ` +
				`choose another spec.name`}},
		"a name that collides, for as long as it does": {
			code: "INVALID_TOPIC_EXCEPTION", said: "Topic 'a' collides with existing topics: b",
			want: answer{Reason: ReasonName, After: claim.TakenLook, AtMost: claim.TakenLookLimit, Message: `spec.name: "a" is not accepted; Kafka says: ` +
				"Topic 'a' collides with existing topics: b; choose another spec.name"}},
		"deletion": {
			code: "TOPIC_DELETION_DISABLED",
			want: answer{Reason: ReasonNotDeletable, Message: "spec.deletionPolicy: the brokers have " +
				"delete.topic.enable=false; set deletionPolicy to " +
				"Retain, or allow deletion"}},
	} {
		c.desired.Name = "a"
		err := fmt.Errorf("create: %w", &kafka.Refusal{Code: c.code, Message: c.said})
		if got, known := Explain(err, "Create", c.desired, c.brokers); !known || tell(got) != c.want {
			t.Errorf("%s: %v\n%+v, want\n%+v", name, known, got, c.want)
		}
	}
}

func TestWhatKafkaPutsOffOrDeniesIsWaitedFor(t *testing.T) {
	const quota = "waiting for as long as Kafka asks: the quota on changes (controller_mutation_rate) of the operator " +
		"is used up"
	for name, c := range map[string]struct {
		err   error
		after time.Duration
		want  string
	}{
		"a quota": {&kafka.Throttled{After: 7 * time.Second}, 7 * time.Second, quota},
		"a quota, in the same words at the next retry": {&kafka.Throttled{After: time.Millisecond}, time.Second, quota},
		"a permission on the topic": {&kafka.Denied{Code: "TOPIC_AUTHORIZATION_FAILED"}, time.Second,
			`Kafka does not let the operator do it: TOPIC_AUTHORIZATION_FAILED; grant its principal Alter on topic "a"`},
		"a permission on the cluster": {&kafka.Denied{Code: "CLUSTER_AUTHORIZATION_FAILED", Message: "No"}, time.Second,
			"Kafka does not let the operator do it: No (CLUSTER_AUTHORIZATION_FAILED); grant its principal Alter on the " +
				"Cluster"},
	} {
		got, known := Explain(c.err, "Alter", Desired{Name: "a"}, 0)
		if !known || !got.Passes() || got.After != c.after || got.Text() != c.want {
			t.Errorf("%s: %v %+v", name, known, got)
		}
	}
	if f, known := Explain(errors.New("lost"), "Alter", Desired{Name: "a"}, 0); known {
		t.Errorf("no answer of Kafka's is explained: %+v", f)
	}
}

func TestTheKeyThatKafkaSpeaksOfIsFound(t *testing.T) {
	d := Desired{Config: map[string]string{"retention.ms": "x", "delete.retention.ms": "x", "ms": "x"}}
	for said, want := range map[string]string{
		"Invalid value x for configuration retention.ms":                             "retention.ms",
		"Invalid value x for configuration delete.retention.ms, and of retention.ms": "delete.retention.ms",
		"Unknown topic config name: ms":                                              "ms",
		"Null value not supported":                                                   "",
	} {
		if got := configKey(d, said); got != want {
			t.Errorf("%q is about %q, want %q", said, got, want)
		}
	}
}

func TestAnUnknownKeySuggestsTheOneThatWasMeant(t *testing.T) {
	for key, want := range map[string]string{
		"":                                      "",
		"retention.ms":                          "", // it is the value that Kafka refuses
		"retention.msec":                        "retention.ms",
		"retention":                             "retention.ms",
		"RETENTION.MS":                          "retention.ms",
		"\tlog.roll.ms":                         "segment.ms",
		"retention_ms":                          "retention.ms",
		"Min-ISR":                               "min.insync.replicas",
		"cleanupPolicy":                         "cleanup.policy",
		"retentionHours":                        "retention.ms, in milliseconds",
		"retention.days":                        "retention.ms, in milliseconds",
		"retention.seconds":                     "retention.ms, in milliseconds",
		"retentions.minutes":                    "retention.ms, in milliseconds",
		"local.retention.gb":                    "local.retention.bytes",
		"min.insync.replica":                    "min.insync.replicas",
		"min.isr":                               "min.insync.replicas",
		"flush.message":                         "flush.messages",
		"flush.bytes":                           "",
		"flush.byte.messages":                   "flush.messages",
		"segment.bytes.max":                     "segment.bytes",
		"maximum.message.ms":                    "",
		"max.compaction.messages":               "",
		"unclean.leader.election.hours":         "",
		"partitions":                            "",
		"replication.factor":                    "",
		"message.format.version":                "",
		"leader.replication.throttled.replicas": "",
	} {
		if want != "" {
			want = "did you mean " + want + "?"
		}
		if got := suggestion(key); got != want {
			t.Errorf("%q: %q, want %q", key, got, want)
		}
	}
}

func TestTheBrokersNameOfAKeySuggestsTheTopicsName(t *testing.T) {
	for key, want := range map[string]string{
		"log.cleaner.delete.retention.ms":     "delete.retention.ms",
		"log.cleaner.max.compaction.lag.ms":   "max.compaction.lag.ms",
		"log.cleaner.min.cleanable.ratio":     "min.cleanable.dirty.ratio",
		"log.cleaner.min.compaction.lag.ms":   "min.compaction.lag.ms",
		"log.cleanup.policy":                  "cleanup.policy",
		"log.flush.interval.messages":         "flush.messages",
		"log.flush.interval.ms":               "flush.ms",
		"log.index.interval.bytes":            "index.interval.bytes",
		"log.index.size.max.bytes":            "segment.index.bytes",
		"log.local.retention.bytes":           "local.retention.bytes",
		"log.local.retention.ms":              "local.retention.ms",
		"log.message.timestamp.after.max.ms":  "message.timestamp.after.max.ms",
		"log.message.timestamp.before.max.ms": "message.timestamp.before.max.ms",
		"log.message.timestamp.type":          "message.timestamp.type",
		"log.preallocate":                     "preallocate",
		"log.retention.bytes":                 "retention.bytes",
		"log.retention.hours":                 "retention.ms, in milliseconds",
		"log.retention.minutes":               "retention.ms, in milliseconds",
		"log.retention.ms":                    "retention.ms",
		"log.roll.hours":                      "segment.ms, in milliseconds",
		"log.roll.jitter.hours":               "segment.jitter.ms, in milliseconds",
		"log.roll.jitter.ms":                  "segment.jitter.ms",
		"log.roll.ms":                         "segment.ms",
		"log.segment.bytes":                   "segment.bytes",
		"log.segment.delete.delay.ms":         "file.delete.delay.ms",
		"message.max.bytes":                   "max.message.bytes",
	} {
		if got := suggestion(key); got != "did you mean "+want+"?" {
			t.Errorf("%s: %q, want %s", key, got, want)
		}
	}
}

func TestNoSuggestionIsCountedInAnotherUnit(t *testing.T) {
	for _, valid := range topicKeys {
		stem, unit := valid[:strings.LastIndex(valid, ".")+1], unitOf(valid)
		for word, other := range units {
			if got := suggestion(stem + word); unit != "" && other != unit && got != "" && !strings.Contains(got, "."+other) {
				t.Errorf("%s%s: %s", stem, word, got)
			}
		}
	}
}

func TestAKeyThatKafka4HasDroppedIsToldWithWhatTakesItsPlace(t *testing.T) {
	for key, want := range map[string]string{
		"message.format.version":        "Kafka 4 has dropped this key; remove it",
		"message.downconversion.enable": "Kafka 4 has dropped this key; remove it",
		"message.timestamp.difference.max.ms": "Kafka 4 has dropped this key; remove it, or use " +
			"message.timestamp.before.max.ms and message.timestamp.after.max.ms",
	} {
		refusal := &kafka.Refusal{Code: "INVALID_CONFIG", Message: "Unknown topic config name: " + key}
		got, _ := Explain(refusal, "Create", Desired{Name: "a", Config: map[string]string{key: "1"}}, 3)
		if got.Field != "spec.config["+key+"]" || got.Sentence() != want {
			t.Errorf("%s", got.Text())
		}
	}
}
