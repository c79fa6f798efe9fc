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
		"a distinguished name":     {`spec: {name: "CN=app"}`, []string{"spec.name", "mechanisms [External]"}},
		"a name of 129 characters": {"spec: {name: " + strings.Repeat("a", 129) + "}", []string{"spec.name", "128"}},
		"an empty name":            {`spec: {name: ""}`, []string{"spec.name", "at least 1"}},
		"a credential from elsewhere beside a password": {
			`spec: {authentication: {mechanisms: [External, PLAIN]}}`, []string{"mechanisms", "stands alone"}},
		"a name of 513 characters from elsewhere": {
			elsewhere(strings.Repeat("a", 513)), []string{"spec.name", "512"}},
		"a name with a line break from elsewhere": {elsewhere(`a\nb`), []string{"spec.name", "printable"}},
		"a name with an invisible letter":         {elsewhere(`a\u200bb`), []string{"spec.name", "printable"}},
		"ANONYMOUS from elsewhere":                {elsewhere("ANONYMOUS"), []string{"spec.name", "choose another"}},
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
		"a policy of ACLs that adds": {
			`spec: {aclPolicy: Add}`,
			[]string{"spec.aclPolicy", `supported values: "Exact", "Merge"`},
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
		"a byte rate of 0 to consume": {
			`spec: {quotas: {consumerByteRate: 0}}`,
			[]string{"spec.quotas.consumerByteRate", "greater than or equal to 1"},
		},
		"a request percentage of 0": {
			`spec: {quotas: {requestPercentage: 0}}`,
			[]string{"spec.quotas.requestPercentage", "greater than or equal to 1"},
		},
		"a mutation rate of 0": {
			`spec: {quotas: {controllerMutationRate: 0}}`,
			[]string{"spec.quotas.controllerMutationRate", "greater than or equal to 1"},
		},
		"an issuer of tokens": {
			`spec: {authentication: {mechanisms: [OAUTHBEARER]}}`,
			[]string{"mechanisms[0]", "supported values"},
		},
		"a name with the type of a principal": {`spec: {name: "User:app"}`, []string{"spec.name", "letters, digits"}},
		"a name with a comma":                 {`spec: {name: "a,b"}`, []string{"spec.name", "letters, digits"}},
		"a name with a space":                 {`spec: {name: "a b"}`, []string{"spec.name", "letters, digits"}},
		"a name with a letter of no login":    {`spec: {name: "müller"}`, []string{"spec.name", "letters, digits"}},
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
		"a password that no mechanism takes": {
			`spec: {authentication: {mechanisms: [TLS], passwordSecret: {name: a}}}`,
			[]string{"mechanisms: TLS and External take no password"},
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
	for name, c := range bindings {
		cases[name] = c
	}
	runRefusals(t, "KafkaUser", cases)
}

// bindings are connection Secrets that cannot be.
var bindings = map[string]refusal{
	"a Secret called like one of a KafkaCluster": {
		`spec: {binding: {name: events-clients-ca}}`,
		[]string{"spec.binding.name", "Secrets of KafkaClusters end so", "choose another ending"},
	},
	"a Secret called like that of custom mechanisms": {
		`spec: {binding: {name: events-logins}}`, []string{"spec.binding.name", "-logins and -plugin-files"},
	},
	"a Secret with a name that is none": {`spec: {binding: {name: Not_One}}`, []string{"spec.binding.name", "should match"}},
	"a mount path that begins nowhere": {
		`spec: {binding: {mountPath: binding}}`,
		[]string{"spec.binding.mountPath", "should match"},
	},
	"a format that there is not": {`spec: {binding: {formats: [yaml]}}`, []string{"spec.binding.formats", "librdkafka.json"}},
	"no format at all":           {`spec: {binding: {formats: []}}`, []string{"spec.binding.formats", "at least 1"}},
	"a format twice":             {`spec: {binding: {formats: [env, env]}}`, []string{"spec.binding.formats", "Duplicate"}},
}

// elsewhere prints a KafkaUser whose credential is not the operator's.
func elsewhere(name string) string {
	return `spec: {name: "` + name + `", authentication: {mechanisms: [External]}}`
}

func TestAUserFromElsewhereMayBeCalledAnything(t *testing.T) {
	t.Parallel()
	for _, name := range []string{
		"oidc:3f2a", "CN=app,OU=Team A,O=Example", `CN=a\\,b,O=Müller & Co`, "spiffe://example.org/ns/a/sa/b", "*",
		strings.Repeat("a", 512),
	} {
		if _, err := tryCreate(t, manifest(t, "KafkaUser", elsewhere(name))); err != nil {
			t.Errorf("%q: %v", name, err)
		}
	}
}

// grant prints a KafkaUser's list of one grant.
func grant(fields string) string { return "spec: {grants: [{" + fields + "}]}" }

func TestGrantsRefused(t *testing.T) {
	t.Parallel()
	cases := map[string]refusal{
		"an unknown role":           {grant("role: Admin, topic: a"), []string{"grants[0].role", "supported values"}},
		"no role":                   {grant("topic: a"), []string{"grants[0].role", "Required"}},
		"Streams with a topic":      {grant("role: Streams, group: a, topic: a"), []string{"grants[0]", "role Consumer"}},
		"Streams without a group":   {grant("role: Streams"), []string{"grants[0]", "application.id"}},
		"a Streams id with a slash": {grant("role: Streams, group: a/b"), []string{"grants[0]", "internal topics"}},
		"a Streams id of all":       {grant("role: Streams, group: '*'"), []string{"grants[0]", "internal topics"}},
		"a topic and a prefix": {grant("role: Owner, topic: a, topicPrefix: a"),
			[]string{"grants[0]", "one of the two"}},
		"a topic with an asterisk": {grant("role: Owner, topic: orders-*"), []string{"grants[0].topic", "topicPrefix"}},
		"a topic with a space":     {grant("role: Owner, topic: a b"), []string{"grants[0].topic", "letters"}},
		"a prefix with an asterisk": {grant("role: Owner, topicPrefix: orders-*"),
			[]string{"grants[0].topicPrefix", "asterisk"}},
		"a topic of 250 characters": {grant("role: Owner, topic: " + strings.Repeat("a", 250)),
			[]string{"grants[0].topic", "249"}},
		"an empty group": {grant("role: Consumer, topic: a, group: ''"),
			[]string{"grants[0].group", "at least 1"}},
		"a group and a prefix": {grant("role: Consumer, topic: a, group: a, groupPrefix: a"),
			[]string{"one of the two"}},
		"groups that are asterisks": {grant("role: Consumer, topic: a, groupPrefix: '*'"),
			[]string{"grants[0].groupPrefix", "use group"}},
		"ids that are asterisks": {grant("role: TransactionalProducer, topic: a, transactionalIdPrefix: '*'"),
			[]string{"use transactionalId"}},
		"an id and a prefix": {grant("role: TransactionalProducer, topic: a, transactionalId: a, transactionalIdPrefix: a"),
			[]string{"one of the two"}},
		"a transaction without id": {grant("role: TransactionalProducer, topic: a"),
			[]string{"grants[0]", "transactionalIdPrefix"}},
		"a field that is not there": {grant("role: Owner, topics: a"), []string{`unknown field "spec.grants[0].topics"`}},
		"a producer with a group":   {grant("role: Producer, topic: a, group: a"), []string{"grants[0]", "role Consumer"}},
		"an owner with a group": {grant("role: Owner, topic: a, groupPrefix: a"),
			[]string{"grants[0]", "role Consumer"}},
		"an owner with an id": {grant("role: Owner, topic: a, transactionalId: a"),
			[]string{"use role TransactionalProducer"}},
		"a consumer without a group": {grant("role: Consumer, topic: a"), []string{"grants[0]", "groupPrefix"}},
	}
	for _, role := range []string{"Producer", "TransactionalProducer", "Consumer", "ShareConsumer", "Owner"} {
		cases[role+" without a topic"] = refusal{grant("role: " + role + ", group: a, transactionalId: a"),
			[]string{"grants[0]", "topicPrefix"}}
	}
	runRefusals(t, "KafkaUser", cases)
}

func TestEveryRoleIsTaken(t *testing.T) {
	t.Parallel()
	for _, fields := range []string{
		"role: Producer, topic: '*'", "role: Producer, topicPrefix: orders-",
		"role: TransactionalProducer, topic: a, transactionalId: a b",
		"role: TransactionalProducer, topicPrefix: a, transactionalIdPrefix: a",
		"role: Consumer, topic: a, group: a/b", "role: Consumer, topicPrefix: a, groupPrefix: a",
		"role: ShareConsumer, topic: a, group: '*'", "role: Streams, group: my.app", "role: Streams, groupPrefix: my",
		"role: Owner, topic: a",
	} {
		if _, err := tryCreate(t, manifest(t, "KafkaUser", grant(fields))); err != nil {
			t.Errorf("%s: %v", fields, err)
		}
	}
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
