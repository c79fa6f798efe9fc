package api

import (
	"strings"
	"testing"

	"github.com/castellan-dev/castellan/api/v1alpha1"
)

func TestKafkaTopicRefused(t *testing.T) {
	t.Parallel()
	runRefusals(t, "KafkaTopic", map[string]refusal{
		"no cluster": {`spec: {clusterRef: null}`, []string{"spec.clusterRef", "Required"}},
		"a cluster without a name": {
			`spec: {clusterRef: {name: ""}}`,
			[]string{"spec.clusterRef.name", "at least 1"},
		},
		"a namespace that is none": {
			`spec: {clusterRef: {namespace: Not_One}}`,
			[]string{"spec.clusterRef.namespace", "should match"},
		},
		"a namespace of 64 characters": {
			"spec: {clusterRef: {namespace: " + strings.Repeat("a", 64) + "}}",
			[]string{"spec.clusterRef.namespace", "63"},
		},
		"a cluster's name of 33": {
			"spec: {clusterRef: {name: " + strings.Repeat("a", 33) + "}}",
			[]string{"spec.clusterRef.name", "32"},
		},
		"the name .": {
			`spec: {name: "."}`,
			[]string{"spec.name", ". and .. are not names of topics", "choose another"},
		},
		"the name ..": {
			`spec: {name: ".."}`,
			[]string{"spec.name", ". and .. are not names of topics", "choose another"},
		},
		"a name of 250 characters": {"spec: {name: " + strings.Repeat("a", 250) + "}", []string{"spec.name", "249"}},
		"a metadata.name of 250": {
			"metadata: {name: " + strings.Repeat("a", 250) + "}",
			[]string{"spec.name", "249", "give the topic a name of its own"},
		},
		"an empty name":       {`spec: {name: ""}`, []string{"spec.name", "at least 1"}},
		"a name with a slash": {`spec: {name: a/b}`, []string{"spec.name", "should match"}},
		"a name with a blank": {`spec: {name: "a b"}`, []string{"spec.name", "should match"}},
		"placement without numbers": {
			`spec: {placement: {racks: [a]}}`,
			[]string{"placement", "partitions and replicationFactor"},
		},
		"placement without racks": {
			`spec: {partitions: 1, replicationFactor: 1, placement: {racks: []}}`,
			[]string{"spec.placement.racks", "at least 1"},
		},
		"a rack twice": {
			`spec: {partitions: 1, replicationFactor: 1, placement: {racks: [a, a]}}`,
			[]string{"spec.placement.racks", "Duplicate"},
		},
		"throttled replicas": {
			`spec: {config: {leader.replication.throttled.replicas: "*"}}`,
			[]string{"spec.config", "remove the key"},
		},
		"an unknown adoption": {
			`spec: {adoption: Maybe}`,
			[]string{"spec.adoption", `"Never", "IfMatching", "Always"`},
		},
		"an unknown recreate":   {`spec: {recreate: Maybe}`, []string{"spec.recreate", `"Never", "Always"`}},
		"an unknown management": {`spec: {management: Maybe}`, []string{"spec.management", `"Full", "Observe"`}},
		"an unknown config policy": {
			`spec: {configPolicy: Maybe}`,
			[]string{"spec.configPolicy", `"Merge", "Exact"`},
		},
		"the log of the controllers": {
			`spec: {name: __cluster_metadata}`,
			[]string{"spec.name", "log of Kafka's controllers", "choose another"},
		},
		"a value of a megabyte": {
			"spec: {config: {retention.ms: \"" + strings.Repeat("1", 1<<20) + "\"}}",
			[]string{"spec.config.retention.ms", "8192"},
		},
		"partitions 0": {
			`spec: {partitions: 0}`,
			[]string{"spec.partitions", "greater than or equal to 1"},
		},
		"partitions -1": {
			`spec: {partitions: -1}`,
			[]string{"spec.partitions", "greater than or equal to 1"},
		},
		"partitions beyond the bound": {`spec: {partitions: 100001}`, []string{"spec.partitions", "100000"}},
		"replication factor 0": {
			`spec: {replicationFactor: 0}`,
			[]string{"spec.replicationFactor", "greater than or equal to 1"},
		},
		"replication factor 101": {`spec: {replicationFactor: 101}`, []string{"spec.replicationFactor", "100"}},
		"partitions as text":     {`spec: {partitions: "6"}`, []string{"spec.partitions", "integer"}},
		"an unknown deletion policy": {
			`spec: {deletionPolicy: Orphan}`,
			[]string{"spec.deletionPolicy", `supported values: "Delete", "Retain"`},
		},
		"a config value that is a number": {
			`spec: {config: {retention.ms: 1000}}`,
			[]string{"spec.config.retention.ms", "string"},
		},
		"a field that does not exist":      {`spec: {replicas: 3}`, []string{`unknown field "spec.replicas"`}},
		"a status field that is not there": {`status: {phase: Ready}`, []string{`unknown field "status.phase"`}},
	})
}

func TestOnlyKafkasOwnTopicsAreNeverDeleted(t *testing.T) {
	t.Parallel()
	for _, name := range v1alpha1.InternalTopics() {
		_, err := tryCreate(t, manifest(t, "KafkaTopic", "spec: {name: "+name+", deletionPolicy: Delete}"))
		mustRefuse(t, err, "spec.deletionPolicy", "never deleted", "Retain")
		if _, err := tryCreate(t, manifest(t, "KafkaTopic", "spec: {name: "+name+"}")); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := tryCreate(t, manifest(t, "KafkaTopic", "spec: {name: __debezium-heartbeat.db, deletionPolicy: "+
		"Delete}")); err != nil {
		t.Errorf("a tool's topic: %v", err)
	}
}

// rule prints a KafkaUser's list of one ACL.
func rule(resource, operations string) string {
	return "spec: {acls: [{resource: " + resource + ", operations: [" + operations + "]}]}"
}

func TestKafkaUserRefused(t *testing.T) {
	t.Parallel()
	cases := map[string]refusal{
		"no authentication": {`spec: {authentication: null}`, []string{"spec.authentication", "Required"}},
		"no mechanism":      {`spec: {authentication: {mechanisms: []}}`, []string{"mechanisms", "at least 1"}},
		"an unknown mechanism": {
			`spec: {authentication: {mechanisms: [GSSAPI]}}`,
			[]string{"mechanisms", "supported values"},
		},
		"a mechanism twice": {
			`spec: {authentication: {mechanisms: [PLAIN, PLAIN]}}`,
			[]string{"mechanisms[1]", "Duplicate"},
		},
		"no cluster": {`spec: {clusterRef: null}`, []string{"spec.clusterRef", "Required"}},
		"a namespace that is none": {
			`spec: {clusterRef: {namespace: Not_One}}`,
			[]string{"spec.clusterRef.namespace", "should match"},
		},
		"ANONYMOUS":                {`spec: {name: ANONYMOUS}`, []string{"spec.name", "choose another"}},
		"a distinguished name":     {`spec: {name: "CN=app"}`, []string{"spec.name", "should match"}},
		"a name of 129 characters": {"spec: {name: " + strings.Repeat("a", 129) + "}", []string{"spec.name", "128"}},
		"a metadata.name of 129": {
			"metadata: {name: " + strings.Repeat("a", 129) + "}",
			[]string{"spec.name", "128", "give the user a name of its own"},
		},
		"a rule on a topic without name": {rule("{type: Topic}", "Read"), []string{"resource", "need a name"}},
		"a rule on a cluster by name": {
			rule("{type: Cluster, name: events}", "Create"),
			[]string{"resource", "Cluster has neither name nor prefix"},
		},
		"a rule on a cluster by prefix": {
			rule("{type: Cluster, pattern: Prefixed}", "Create"),
			[]string{"resource", "Cluster has neither name nor prefix"},
		},
		"an unknown type of resource": {
			rule("{type: Table, name: a}", "Read"),
			[]string{"resource.type", "supported values"},
		},
		"an unknown pattern": {
			rule("{type: Topic, name: a, pattern: Regex}", "Read"),
			[]string{"resource.pattern", `supported values: "Literal", "Prefixed"`},
		},
		"an unknown operation": {
			rule("{type: Topic, name: a}", "Publish"),
			[]string{"operations", "supported values"},
		},
		"no operation": {rule("{type: Topic, name: a}", ""), []string{"operations", "at least 1"}},
		"an operation twice": {
			rule("{type: Topic, name: a}", "Read, Read"),
			[]string{"operations[1]", "Duplicate"},
		},
		"an unknown permission": {`spec: {acls: [{resource: {type: Topic, name: a}, operations: [Read], permission: Maybe}]}`,
			[]string{"permission", `supported values: "Allow", "Deny"`}},
		"a prefix that is an asterisk": {
			rule("{type: Group, name: '*', pattern: Prefixed}", "Read"),
			[]string{"acls[0].resource", "use Literal"},
		},
		"a name that no topic can have": {
			rule("{type: Topic, name: orders-*}", "Read"),
			[]string{"acls[0].resource", "pattern Prefixed"},
		},
		"a host that is a name": {
			`spec: {acls: [{resource: {type: Topic, name: a}, operations: [Read], host: build.example.com}]}`,
			[]string{"acls[0].host", "an IP address, or *"},
		},
		"a host that is a network": {
			`spec: {acls: [{resource: {type: Topic, name: a}, operations: [Read], host: 10.0.0.0/8}]}`,
			[]string{"acls[0].host", "neither names nor networks"},
		},
		"an adoption that compares": {
			`spec: {adoption: IfMatching}`,
			[]string{"spec.adoption", `supported values: "Never", "Always"`},
		},
		"a rule in Kafka's own format": {
			`spec: {acls: [{topic: a, operations: [Read], resource: {type: Topic, name: a}}]}`,
			[]string{`unknown field "spec.acls[0].topic"`},
		},
		"a byte rate of 0": {
			`spec: {quotas: {producerByteRate: 0}}`,
			[]string{"spec.quotas.producerByteRate", "greater than or equal to 1"},
		},
		"a request percentage of 0": {
			`spec: {quotas: {requestPercentage: 0}}`,
			[]string{"spec.quotas.requestPercentage", "greater than or equal to 1"},
		},
		"a mutation rate of 0": {
			`spec: {quotas: {controllerMutationRate: 0}}`,
			[]string{"spec.quotas.controllerMutationRate", "greater than or equal to 1"},
		},
		"a Secret of the password without a name": {
			`spec: {authentication: {mechanisms: [PLAIN], passwordSecret: {}}}`,
			[]string{"spec.authentication.passwordSecret.name", "Required value"},
		},
		"a Secret of the password in another namespace": {
			`spec: {authentication: {mechanisms: [PLAIN], passwordSecret: {name: a, namespace: b}}}`,
			[]string{`unknown field "spec.authentication.passwordSecret.namespace"`},
		},
		"a key that no Secret has": {
			`spec: {authentication: {mechanisms: [PLAIN], passwordSecret: {name: a, key: "a b"}}}`,
			[]string{"spec.authentication.passwordSecret.key", "should match"},
		},
		"rotation of a password of one's own": {
			`spec: {authentication: {mechanisms: [PLAIN], passwordSecret: {name: a}, passwordRotation: {}}}`,
			[]string{"passwordRotation: the operator replaces no password of your own"},
		},
		"an overlap that never ends": {
			`spec: {authentication: {mechanisms: [PLAIN], passwordRotation: {intervalSeconds: 3600, overlapSeconds: 3600}}}`,
			[]string{"overlapSeconds: it must be less than intervalSeconds"},
		},
		"too short an interval": {
			`spec: {authentication: {mechanisms: [PLAIN], passwordRotation: {intervalSeconds: 60}}}`,
			[]string{"spec.authentication.passwordRotation.intervalSeconds", "greater than or equal to 3600"},
		},
		"a password in the spec": {
			`spec: {authentication: {password: secret}}`,
			[]string{`unknown field "spec.authentication.password"`},
		},
	}
	foreign := map[string][]string{
		"Topic": {"ClusterAction", "IdempotentWrite", "TwoPhaseCommit"},
		"Group": {"Write", "Create", "Alter", "ClusterAction", "IdempotentWrite", "TwoPhaseCommit"},
		"TransactionalId": {
			"Read",
			"Create",
			"Delete",
			"Alter",
			"ClusterAction",
			"DescribeConfigs",
			"AlterConfigs",
			"IdempotentWrite",
		},
		"Cluster": {"Read", "Write", "Delete", "TwoPhaseCommit"},
	}
	for kind, operations := range foreign {
		for _, operation := range operations {
			resource := "{type: " + kind + ", name: a}"
			if kind == "Cluster" {
				resource = "{type: Cluster}"
			}
			cases[operation+" on a "+kind] = refusal{rule(resource, operation), []string{"operations", kind + " knows"}}
		}
	}
	runRefusals(t, "KafkaUser", cases)
}

func TestKafkaUserMayHoldEveryOperationThatItsResourceHas(t *testing.T) {
	t.Parallel()
	own := map[string]string{
		"{type: Topic, name: a}": "All, Read, Write, Create, Delete, Alter, Describe, DescribeConfigs, " +
			"AlterConfigs",
		"{type: Group, name: '*'}":         "All, Read, Delete, Describe, DescribeConfigs, AlterConfigs",
		"{type: TransactionalId, name: a}": "All, Write, Describe, TwoPhaseCommit",
		"{type: Cluster}": "All, Create, Alter, Describe, ClusterAction, DescribeConfigs, AlterConfigs, " +
			"IdempotentWrite",
	}
	for resource, operations := range own {
		if _, err := tryCreate(t, manifest(t, "KafkaUser", rule(resource, operations))); err != nil {
			t.Errorf("%s on %s: %v", operations, resource, err)
		}
	}
}
