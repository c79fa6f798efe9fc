package topics

import (
	"fmt"
	"strings"

	"github.com/castellan-dev/castellan/internal/kafka"
)

// Explain says Kafka's refusal of a topic in the language of the KafkaTopic's fields. brokers is how many brokers the
// cluster has; zero = not known.
func Explain(r *kafka.Refusal, d Desired, brokers int) Fault {
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
		return Fault{Reason: ReasonConfig, Message: configField(d, said) + ": Kafka says: " + said}
	case "INVALID_TOPIC_EXCEPTION":
		return Fault{Reason: ReasonName, Message: fmt.Sprintf("spec.name: %q is not accepted; Kafka says: %s", d.Name, said)}
	case "POLICY_VIOLATION":
		return Fault{Reason: ReasonPolicy, Message: "spec: the brokers' policy for topics does not admit it; Kafka says: " + said}
	case "TOPIC_DELETION_DISABLED":
		return Fault{Reason: ReasonNotDeletable, Message: "spec.deletionPolicy: the brokers have delete.topic.enable=false; set deletionPolicy to Retain, or allow deletion"}
	default:
		return Fault{Reason: ReasonRefused, Message: fmt.Sprintf("spec: Kafka refuses it: %s", r.Error())}
	}
}

// configField names the key that Kafka's sentence is about, when it is one of the spec's: the longest, as keys may be
// parts of each other.
func configField(d Desired, said string) string {
	field, longest := "spec.config", 0
	for _, key := range keys(d.Config) {
		if len(key) > longest && strings.Contains(said, key) {
			field, longest = fmt.Sprintf("spec.config[%s]", key), len(key)
		}
	}
	return field
}
