package api

import (
	"fmt"
	"strings"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/yaml"
)

// refusal is an input that the server itself must refuse, and the words of the refusal: the field, then the cure.
type refusal struct {
	over string
	says []string
}

func runRefusals(t *testing.T, kind string, cases map[string]refusal) {
	t.Helper()
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := tryCreate(t, manifest(t, kind, c.over))
			mustRefuse(t, err, c.says...)
			if !apierrors.IsInvalid(err) && !apierrors.IsBadRequest(err) {
				t.Errorf("refused for another reason than its content: %v", err)
			}
		})
	}
}

// pool prints a pool list of one: the shortest pool with more fields, or other values, laid over it.
func pool(over string) string {
	main := map[string]any{
		"name": "main", "replicas": 3, "storage": map[string]any{"volumes": []any{map[string]any{"name": "data", "size": "1Gi"}}},
	}
	var change map[string]any
	if err := yaml.Unmarshal([]byte("{"+over+"}"), &change); err != nil {
		panic(err) // the test's own YAML
	}
	text, err := yaml.Marshal(map[string]any{"spec": map[string]any{"pools": []any{lay(main, change)}}})
	if err != nil {
		panic(err)
	}
	return string(text)
}

// scaled prints a cluster whose pool has spec.replicas.
func scaled(replicas int) string {
	return fmt.Sprintf("%s\n  replicas: %d\n", strings.TrimRight(pool("replicas: null"), "\n"), replicas)
}

// external prints a cluster that somebody else runs.
func external(over string) string {
	return "spec: {version: null, pools: null, external: {" + over + "}}"
}

func listeners(items ...string) string {
	return "spec: {listeners: [" + strings.Join(items, ", ") + "]}"
}

// tokens prints a cluster with a listener that takes tokens.
func tokens(oauth string) string {
	return listeners("{name: a, port: 9092, authentication: {mechanisms: [OAUTHBEARER], oauth: " + oauth + "}}")
}

// custom prints a cluster with a listener that offers these mechanisms, and what Custom is.
func custom(mechanisms, what string) string {
	return listeners("{name: a, port: 9092, authentication: {mechanisms: [" + mechanisms + "], custom: " + what + "}}")
}

// plugin prints a cluster with a plug-in.
func plugin(fields string) string { return "spec: {plugins: [{name: a, " + fields + "}]}" }

// anImage is one by its digest.
var anImage = "image: 'a/b@sha256:" + strings.Repeat("0a", 32) + "'"

// tiers prints a cluster with tiered storage.
func tiers(fields string) string { return "spec: {tieredStorage: {" + fields + "}}" }

func TestKafkaClusterRefused(t *testing.T) {
	t.Parallel()
	runRefusals(t, "KafkaCluster", map[string]refusal{
		"no version":                         {`spec: {version: null}`, []string{"spec.version", "Required"}},
		"a version that is only two numbers": {`spec: {version: "4.3"}`, []string{"spec.version", "should match"}},
		"a version by nickname":              {`spec: {version: latest}`, []string{"spec.version", "should match"}},
		"a grant to nobody": {
			`spec: {access: {namespaces: {}, grants: [{clusterOperations: [Alter]}]}}`,
			[]string{"spec.access.grants[0].namespace", "Required"},
		},
		"a grant of an operation that the Cluster does not know": {
			`spec: {access: {namespaces: {}, grants: [{namespace: a, clusterOperations: [Read]}]}}`,
			[]string{"spec.access.grants[0].clusterOperations[0]", `"IdempotentWrite"`},
		},
		"a permission that is none": {
			`spec: {access: {namespaces: {}, grants: [{namespace: a, permissions: [Everything]}]}}`,
			[]string{"spec.access.grants[0].permissions[0]", `"Adopt", "InternalTopics"`},
		},
		"an evicted namespace that is none": {
			`spec: {access: {namespaces: {}, evicted: [Not_One]}}`,
			[]string{"spec.access.evicted[0]", "should match"},
		},
		"no prefix of names": {
			`spec: {access: {namespaces: {}, names: {prefixes: []}}}`,
			[]string{"spec.access.names.prefixes", "at least 1"},
		},
		"a prefix that two namespaces can share": {
			`spec: {access: {namespaces: {}, names: {prefixes: ["{namespace}-"]}}}`,
			[]string{"spec.access.names.prefixes[0]", "{namespace} with a dot or an underscore"},
		},
		"two grants to one namespace": {
			`spec: {access: {namespaces: {}, grants: [{namespace: a}, {namespace: a}]}}`,
			[]string{"spec.access.grants[1]", "Duplicate"},
		},
		"access limits of another kind": {
			`spec: {access: {namespaces: {}, limits: {brokers: 1}}}`,
			[]string{"spec.access.limits.brokers", "unknown field"},
		},
		"a number of topics below zero": {
			`spec: {access: {namespaces: {}, limits: {topics: -1}}}`,
			[]string{"spec.access.limits.topics", "greater than or equal to 0"},
		},
		"a number of partitions below zero": {
			`spec: {access: {namespaces: {}, limits: {partitions: -1}}}`,
			[]string{"spec.access.limits.partitions", "greater than or equal to 0"},
		},
		"a number of users below zero": {
			`spec: {access: {namespaces: {}, limits: {users: -1}}}`,
			[]string{"spec.access.limits.users", "greater than or equal to 0"},
		},
		"a number of PLAIN users that is no number": {
			`spec: {access: {namespaces: {}, limits: {plainUsers: many}}}`,
			[]string{"spec.access.limits.plainUsers", "integer"},
		},
		"access without a selector": {`spec: {access: {}}`, []string{"spec.access.namespaces", "Required"}},
		"a label's key that is none": {
			`spec: {access: {namespaces: {matchLabels: {"my team": a}}}}`,
			[]string{"spec.access.namespaces.matchLabels", "example.com/team"},
		},
		"a label's key that is none, asked": {
			`spec: {access: {namespaces: {matchExpressions: [{key: "a/b/c", operator: Exists}]}}}`,
			[]string{"spec.access.namespaces.matchExpressions", "should match"},
		},
		"a label's value that is none": {
			`spec: {access: {namespaces: {matchLabels: {a: "not one"}}}}`,
			[]string{"spec.access.namespaces.matchLabels", "should match"},
		},
		"an operator that is none": {
			`spec: {access: {namespaces: {matchExpressions: [{key: a, operator: Is, values: [b]}]}}}`,
			[]string{"operator", "supported values"},
		},
		"In without values": {
			`spec: {access: {namespaces: {matchExpressions: [{key: a, operator: In}]}}}`,
			[]string{"values", "In and NotIn need at least one value"},
		},
		"Exists with values": {
			`spec: {access: {namespaces: {matchExpressions: [{key: a, operator: Exists, values: [b]}]}}}`,
			[]string{"values", "Exists and DoesNotExist take none"},
		},
		"no pools":               {`spec: {pools: null}`, []string{"spec.pools", "Required"}},
		"an empty list of pools": {`spec: {pools: []}`, []string{"spec.pools", "at least 1"}},
		"a name of 33 characters": {"metadata: {name: " + strings.Repeat("a", 33) + "}",
			[]string{"metadata.name", "at most 32 characters"}},
		"a name that begins with a digit": {`metadata: {name: 4events}`, []string{"metadata.name", "starts with a letter"}},
		"a name with a dot":               {`metadata: {name: a.b}`, []string{"metadata.name", "DNS label"}},
		"no controllers": {
			pool("roles: [Broker]"),
			[]string{"spec.pools", "no pool has the role Controller", "add it to a pool's roles"},
		},
		"no brokers": {
			pool("roles: [Controller]"),
			[]string{"spec.pools", "no pool has the role Broker", "add it to a pool's roles"},
		},
		"a role in lower case": {
			pool("roles: [broker]"),
			[]string{"roles", `supported values: "Controller", "Broker"`},
		},
		"a role twice":                  {pool("roles: [Broker, Broker]"), []string{"roles[1]", "Duplicate"}},
		"no roles":                      {pool("roles: []"), []string{"roles", "at least 1"}},
		"a negative number of replicas": {pool("replicas: -1"), []string{"replicas", "greater than or equal to 0"}},
		"101 replicas":                  {pool("replicas: 101"), []string{"replicas", "less than or equal to 100"}},
		"a pool without a number":       {pool("replicas: null"), []string{"spec.pools[].replicas: Required value", "spec.replicas"}},
		"a number for no pool":          {`spec: {replicas: 3}`, []string{"spec.replicas: every pool has", "take replicas out"}},
		"101 replicas in spec.replicas": {scaled(101), []string{"spec.replicas", "less than or equal to 100"}},
		"replicas below zero, there":    {scaled(-1), []string{"spec.replicas", "greater than or equal to 0"}},
		"two pools without a number": {`spec: {replicas: 3, pools: [{name: a, storage: {volumes: [{name: data, size: 1Gi}]}}, ` +
			`{name: b, storage: {volumes: [{name: data, size: 1Gi}]}}]}`,
			[]string{"spec.pools: several pools have no replicas", "say how many nodes each of the others has"}},
		"a negative first node id": {pool("firstNodeId: -1"), []string{"firstNodeId", "greater than or equal to 0"}},
		"a first node id beyond Kafka's": {
			pool("firstNodeId: 2000000001"),
			[]string{"firstNodeId", "less than or equal to 2000000000"},
		},
		"a pool name of 17 characters": {pool("name: " + strings.Repeat("a", 17)), []string{"spec.pools[0].name", "16"}},
		"a pool name in capitals":      {pool("name: Main"), []string{"spec.pools[0].name", "should match"}},
		"no storage": {
			`spec: {pools: [{name: main, replicas: 3}]}`,
			[]string{"spec.pools[0].storage", "Required"},
		},
		"no volumes": {pool("storage: {volumes: []}"), []string{"storage.volumes", "at least 1"}},
		"a volume without a size": {
			pool("storage: {volumes: [{name: data}]}"),
			[]string{"volumes[0].size", "Required"},
		},
		"a size that is no quantity": {
			pool("storage: {volumes: [{name: data, size: big}]}"),
			[]string{"volumes[0].size", "should match"},
		},
		"a volume twice": {pool("storage: {volumes: [{name: data, size: 1Gi}, {name: data, size: 1Gi}]}"),
			[]string{"volumes[1]", "Duplicate"}},
		"a volume name of 17 characters": {pool("storage: {volumes: [{name: " + strings.Repeat("v", 17) + ", size: 1Gi}]}"),
			[]string{"volumes[0].name", "16"}},
		"a storage class for an ephemeral volume": {
			pool("storage: {volumes: [{name: data, size: 1Gi, ephemeral: true, storageClassName: fast}]}"),
			[]string{"storageClassName", "remove one of the two"},
		},
		"a class of attributes for an ephemeral volume": {
			pool("storage: {volumes: [{name: data, size: 1Gi, ephemeral: true, volumeAttributesClassName: gold}]}"),
			[]string{"volumeAttributesClassName", "remove one of the two"},
		},
		"a class of attributes without a name": {
			pool(`storage: {volumes: [{name: data, size: 1Gi, volumeAttributesClassName: ""}]}`),
			[]string{"volumeAttributesClassName", "at least 1"},
		},
		"a retention that nobody knows": {
			pool("storage: {volumes: [{name: data, size: 1Gi}], retention: {whenScaled: Snapshot}}"),
			[]string{"retention.whenScaled", `"Retain", "Delete"`},
		},
		"a podTemplate that is text": {pool("podTemplate: none"), []string{"podTemplate", "object"}},
		"a heap that is no quantity": {pool("jvm: {heap: lots}"), []string{"jvm.heap", "should match"}},
		"no listeners but the list":  {listeners(), []string{"spec.listeners", "at least 1"}},
		"two listeners on a port": {listeners("{name: a, port: 9092}", "{name: b, port: 9092}"),
			[]string{"spec.listeners", "the same port", "give each a port of its own"}},
		"two listeners of a name": {listeners("{name: a, port: 9092}", "{name: a, port: 9094}"),
			[]string{"spec.listeners[1]", "Duplicate"}},
		"listener names that are equal in upper case": {listeners("{name: app, port: 9092}", "{name: APP, port: 9094}"),
			[]string{"spec.listeners[1].name", "should match"}},
		"a listener named as the controllers' own": {listeners("{name: controller, port: 9092}"),
			[]string{"spec.listeners[0].name", "the cluster's own", "choose another"}},
		"a listener named as the brokers' own": {listeners("{name: replication, port: 9092}"),
			[]string{"spec.listeners[0].name", "the cluster's own", "choose another"}},
		"a listener whose Service would be the nodes'": {listeners("{name: nodes, port: 9092}"),
			[]string{"spec.listeners[0].name", "the cluster's own", "choose another"}},
		"a listener name of 12 characters": {
			listeners("{name: abcdefghijkl, port: 9092}"),
			[]string{"spec.listeners[0].name", "11"},
		},
		"a listener on 9091": {
			listeners("{name: a, port: 9091}"),
			[]string{"spec.listeners[0].port", "9091 and 9093", "choose another"},
		},
		"a listener on 9093": {
			listeners("{name: a, port: 9093}"),
			[]string{"spec.listeners[0].port", "9091 and 9093", "choose another"},
		},
		"a privileged port": {
			listeners("{name: a, port: 443}"),
			[]string{"spec.listeners[0].port", "1024"},
		},
		"a port beyond the last": {
			listeners("{name: a, port: 65536}"),
			[]string{"spec.listeners[0].port", "65535"},
		},
		"an exposure that is not there yet": {
			listeners("{name: a, port: 9092, exposure: {type: Ingress}}"),
			[]string{"exposure.type", `supported values: "Internal", "ClusterIP", "NodePort", "LoadBalancer"`},
		},
		"a host template that is too long": {
			listeners("{name: a, port: 9092, exposure: {advertised: {hostTemplate: " + strings.Repeat("a", 254) + "}}}"),
			[]string{"advertised.hostTemplate", "253"},
		},
		"two overrides of a node": {
			listeners("{name: a, port: 9092, exposure: {advertised: {overrides: [{nodeId: 1, port: 1}, {nodeId: 1, port: 2}]}}}"),
			[]string{"advertised.overrides[1]", "Duplicate"},
		},
		"an advertised port beyond the last": {
			listeners("{name: a, port: 9092, exposure: {advertised: {overrides: [{nodeId: 1, port: 65536}]}}}"),
			[]string{"advertised.overrides[0].port", "65535"},
		},
		"a node port beyond the last": {
			listeners("{name: a, port: 9092, exposure: {type: NodePort, bootstrap: {nodePort: 65536}}}"),
			[]string{"bootstrap.nodePort", "65535"},
		},
		"a bootstrap host twice": {
			listeners("{name: a, port: 9092, exposure: {bootstrap: {hosts: [a.org, a.org]}}}"),
			[]string{"bootstrap.hosts[1]", "Duplicate"},
		},
		"a traffic policy that is none": {
			listeners("{name: a, port: 9092, exposure: {services: {externalTrafficPolicy: Global}}}"),
			[]string{"services.externalTrafficPolicy", `supported values: "Local", "Cluster"`},
		},
		"an IP family that is none": {
			listeners("{name: a, port: 9092, exposure: {services: {ipFamilies: [IPv5]}}}"),
			[]string{"services.ipFamilies[0]", `supported values: "IPv4", "IPv6"`},
		},
		"tokens of nobody": {
			listeners("{name: a, port: 9092, authentication: {mechanisms: [OAUTHBEARER]}}"),
			[]string{"authentication", "add the missing one of the two"},
		},
		"an issuer whose tokens nobody takes": {
			listeners("{name: a, port: 9092, authentication: {mechanisms: [PLAIN], oauth: {issuer: a, audience: b, jwks: {url: 'https://a.example.com'}}}}"),
			[]string{"authentication", "or remove the other"},
		},
		"an audience without an issuer": {
			tokens("{audience: a, jwks: {url: 'https://a.example.com'}}"), []string{"oauth.issuer", "Required"}},
		"an issuer without keys": {tokens("{issuer: a, audience: b}"), []string{"oauth.jwks", "Required"}},
		"a default quota of 0": {`spec: {defaultQuotas: {producerByteRate: 0}}`,
			[]string{"spec.defaultQuotas.producerByteRate", "greater than or equal to 1"}},
		"a default share of 0": {`spec: {defaultQuotas: {requestPercentage: 0}}`,
			[]string{"spec.defaultQuotas.requestPercentage", "greater than or equal to 1"}},
		"an issuer without an audience": {
			tokens("{issuer: a, jwks: {url: 'https://a.example.com'}}"), []string{"oauth.audience", "Required"}},
		"two audiences": {
			tokens("{issuer: a, audience: 'b,c', jwks: {url: 'https://a.example.com'}}"), []string{"oauth.audience", "should match"}},
		"keys from nowhere": {tokens("{issuer: a, audience: b, jwks: {}}"), []string{"oauth.jwks", "name either url"}},
		"keys from two places": {
			tokens("{issuer: a, audience: b, jwks: {url: 'https://a.example.com', secret: {name: a, key: b}}}"),
			[]string{"oauth.jwks", "name either url"}},
		"keys over http": {
			tokens("{issuer: a, audience: b, jwks: {url: 'http://a.example.com'}}"), []string{"oauth.jwks.url", "should match"}},
		"keys with a login": {
			tokens("{issuer: a, audience: b, jwks: {url: 'https://me:hush@a.example.com'}}"), []string{"oauth.jwks.url", "should match"}},
		"a Secret that brokers fetch": {
			tokens("{issuer: a, audience: b, jwks: {fetch: Brokers, secret: {name: a, key: b}}}"),
			[]string{"oauth.jwks", "remove them, or use url"}},
		"Custom, and nothing says what": {
			listeners("{name: a, port: 9092, authentication: {mechanisms: [Custom]}}"),
			[]string{"authentication", "it says what Custom is", "add the missing one of the two"},
		},
		"what Custom is, and nobody asks": {
			custom("PLAIN", "{mechanism: GSSAPI, secret: {name: a}}"), []string{"authentication", "it says what Custom is"}},
		"Custom beside TLS": {
			custom("Custom, TLS", "{mechanism: GSSAPI, secret: {name: a}}"), []string{"authentication", "make a listener of its own"}},
		"a custom mechanism in small letters": {
			custom("Custom", "{mechanism: gssapi, secret: {name: a}}"), []string{"custom.mechanism", "should match"}},
		"a custom mechanism that would begin another property": {
			custom("Custom", "{mechanism: A.B, secret: {name: a}}"), []string{"custom.mechanism", "should match"}},
		"a custom mechanism of 21 letters": {
			custom("Custom", "{mechanism: ABCDEFGHIJKLMNOPQRSTU, secret: {name: a}}"), []string{"custom.mechanism", "may not be more than 20"}},
		"SCRAM as a custom mechanism": {
			custom("Custom", "{mechanism: SCRAM-SHA-512, secret: {name: a}}"), []string{"custom.mechanism", "the operator has this mechanism itself"}},
		"a PLAIN of the operator's and another": {
			custom("Custom, PLAIN", "{mechanism: PLAIN, secret: {name: a}}"), []string{"authentication", "PLAIN stands in mechanisms, too"}},
		"a custom mechanism without a Secret": {
			custom("Custom", "{mechanism: GSSAPI}"), []string{"custom.secret", "Required"}},
		"a custom mechanism with a Secret without a name": {
			custom("Custom", "{mechanism: GSSAPI, secret: {}}"), []string{"custom.secret.name", "Required"}},
		"a class that is none": {
			custom("Custom", "{mechanism: GSSAPI, secret: {name: a}, callbackHandlerClass: 'a-b'}"),
			[]string{"custom.callbackHandlerClass", "should match"}},
		"a prefix that would be a variable": {
			custom("Custom", "{mechanism: GSSAPI, secret: {name: a}, principalPrefix: '${a:b}'}"),
			[]string{"custom.principalPrefix", "should match"}},
		"a plug-in without an image":       {plugin("path: /a"), []string{"plugins[0].image", "Required"}},
		"a plug-in by its tag":             {plugin("image: 'a/b:1'"), []string{"plugins[0].image", "should match"}},
		"a plug-in from above its image":   {plugin(anImage + ", path: /a/../b"), []string{"plugins[0].path", "should match"}},
		"a plug-in that is pulled at will": {plugin(anImage + ", pullPolicy: Sometimes"), []string{"plugins[0].pullPolicy", `"Always"`}},
		"two plug-ins of one name": {"spec: {plugins: [{name: a, " + anImage + "}, {name: a, " + anImage + "}]}",
			[]string{"plugins[1]", "Duplicate"}},
		"tiered storage without a class":         {tiers("plugin: a"), []string{"tieredStorage.className", "Required"}},
		"tiered storage without its plug-in":     {tiers("className: a.B"), []string{"tieredStorage.plugin", "Required"}},
		"tiered storage by a class that is none": {tiers("plugin: a, className: 'a-b'"), []string{"tieredStorage.className", "should match"}},
		"tiered storage with a key that is none": {tiers("plugin: a, className: a.B, config: {'a b': c}"),
			[]string{"tieredStorage.config", "1 to 200 letters"}},
		"tiered storage with two lines": {tiers(`plugin: a, className: a.B, config: {a: "b\nc"}`),
			[]string{"tieredStorage.config", "should match"}},
		"plug-ins in somebody else's brokers": {
			"spec: {version: null, pools: null, plugins: [{name: a, " + anImage + "}], external: {bootstrapServers: ['a:9092']}}",
			[]string{"spec.external", "plugins and tieredStorage"}},
		"an authorizer without a class": {"spec: {authorization: {type: Custom}}", []string{"authorization", "add the missing one"}},
		"a class of Kafka's authorizer": {"spec: {authorization: {type: Simple, class: a.B}}",
			[]string{"authorization", "or remove the other"}},
		"walls of an unheard-of type": {`spec: {networkPolicy: {type: Egress}}`,
			[]string{"spec.networkPolicy.type", `supported values: "None", "Ingress"`}},
		"walls around somebody else's cluster": {
			"spec: {version: null, pools: null, networkPolicy: {type: None}, external: {bootstrapServers: ['a:9092']}}",
			[]string{"spec.external", "remove networkPolicy"}},
		"peers that are nobody": {
			listeners("{name: a, port: 9092, networkPolicyPeers: []}"),
			[]string{"networkPolicyPeers", "at least 1"},
		},
		"a peer that is pods and a network": {
			listeners("{name: a, port: 9092, networkPolicyPeers: [{podSelector: {}, ipBlock: {cidr: 10.0.0.0/8}}]}"),
			[]string{"networkPolicyPeers[0]", "make two peers of it"},
		},
		"a peer that is nobody": {
			listeners("{name: a, port: 9092, networkPolicyPeers: [{}]}"),
			[]string{"networkPolicyPeers[0]", "a peer is either an ipBlock"},
		},
		"a protocol of the past": {
			listeners("{name: a, port: 9092, tls: {protocols: [TLSv1.1]}}"),
			[]string{"tls.protocols[0]", `supported values: "TLSv1.2", "TLSv1.3"`},
		},
		"a limit of no connection": {
			listeners("{name: a, port: 9092, limits: {connections: 0}}"),
			[]string{"limits.connections", "greater than or equal to 1"},
		},
		"a login for ever": {
			listeners("{name: a, port: 9092, authentication: {mechanisms: [PLAIN], reauthenticateSeconds: 0}}"),
			[]string{"authentication.reauthenticateSeconds", "greater than or equal to 10"},
		},
		"an unknown encryption": {
			listeners("{name: a, port: 9092, encryption: Plain}"),
			[]string{"encryption", `supported values: "TLS", "None"`},
		},
		"an unknown mechanism": {
			listeners("{name: a, port: 9092, authentication: {mechanisms: [GSSAPI]}}"),
			[]string{"mechanisms", `supported values: "PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512", "OAUTHBEARER", "TLS"`},
		},
		"authentication by no mechanism": {
			listeners("{name: a, port: 9092, authentication: {mechanisms: []}}"),
			[]string{"mechanisms", "at least 1"},
		},
		"certificates of clients beside a login": {
			listeners("{name: a, port: 9092, authentication: {mechanisms: [PLAIN, TLS]}}"),
			[]string{"mechanisms: TLS, a certificate of the client, cannot share a listener"},
		},
		"certificates of clients without TLS": {
			listeners("{name: a, port: 9092, encryption: None, authentication: {mechanisms: [TLS]}}"),
			[]string{"encryption: a client shows its certificate in TLS"},
		},
		"a new login of who has a certificate": {
			listeners("{name: a, port: 9092, authentication: {mechanisms: [TLS], reauthenticateSeconds: 60}}"),
			[]string{"reauthenticateSeconds: clients with a certificate do not log in again"},
		},
		"authorities of clients that nobody asks": {
			listeners("{name: a, port: 9092, authentication: {mechanisms: [PLAIN], clientAuthorities: [{name: a}]}}"),
			[]string{"clientAuthorities: they sign certificates of clients"},
		},
		"a mechanism twice": {
			listeners("{name: a, port: 9092, authentication: {mechanisms: [PLAIN, PLAIN]}}"),
			[]string{"mechanisms[1]", "Duplicate"},
		},
		"an unknown authorization": {
			`spec: {authorization: {type: OPA}}`,
			[]string{"spec.authorization.type", `supported values: "Simple", "None"`},
		},
		"a super user with Kafka's prefix": {
			`spec: {authorization: {type: Simple, superUsers: ["User:admin"]}}`,
			[]string{"superUsers[0]", "should match"},
		},
		"a super user that is the operator's marker": {
			`spec: {authorization: {type: Simple, superUsers: [admin, castellan-marker]}}`,
			[]string{"spec.authorization.superUsers", "remove it"},
		},
		"an unknown mode of balancing": {`spec: {balancing: {mode: Always}}`,
			[]string{"spec.balancing.mode", `supported values: "Off", "OnScale", "Continuous"`}},
		"a mode that YAML takes for false": {`spec: {balancing: {mode: Off}}`, []string{"spec.balancing.mode", "boolean"}},
		"a rate of zero": {`spec: {balancing: {bytesPerSecondPerBroker: 0}}`,
			[]string{"spec.balancing.bytesPerSecondPerBroker", "greater than or equal to 1"}},
		"more moves than the operator makes": {`spec: {balancing: {maxMoving: 51}}`,
			[]string{"spec.balancing.maxMoving", "less than or equal to 50"}},
		"a tolerance below zero": {`spec: {balancing: {tolerancePercent: -1}}`,
			[]string{"spec.balancing.tolerancePercent", "greater than or equal to 0"}},
		"an hour that no day has": {`spec: {balancing: {windows: [{from: "25:00", to: "04:00"}]}}`,
			[]string{"spec.balancing.windows[0].from", "should match"}},
		"a day that no week has": {`spec: {balancing: {windows: [{days: [Someday], from: "22:00", to: "04:00"}]}}`,
			[]string{"spec.balancing.windows[0].days[0]", "supported values"}},
		"a topic that is neither a name nor a prefix": {`spec: {balancing: {excludeTopics: ["a*b"]}}`,
			[]string{"spec.balancing.excludeTopics[0]", "should match"}},
		"an unknown rolling policy": {
			`spec: {rolling: {unavailable: Force}}`,
			[]string{"spec.rolling.unavailable", `supported values: "Proceed", "Wait"`},
		},
		"a rack by another label": {
			`spec: {rack: {topologyKey: example.com/row}}`,
			[]string{"spec.rack.topologyKey", "topology.kubernetes.io/zone"},
		},
		"a key with a blank in it": {
			`spec: {config: {"log retention": "1"}}`,
			[]string{"config", "letters, digits, dots"},
		},
		"a value of two lines": {
			"spec: {config: {log.retention.hours: \"1\\nnode.id=7\"}}",
			[]string{"spec.config.log.retention.hours", `[^\r\n]`},
		},
		"a value that is a number": {
			`spec: {config: {log.retention.hours: 72}}`,
			[]string{"spec.config.log.retention.hours", "string"},
		},
		"an unmanaged key twice": {
			`spec: {unmanagedConfig: [a, a]}`,
			[]string{"unmanagedConfig[1]", "Duplicate"},
		},
		"a field that does not exist":         {`spec: {nodes: 3}`, []string{`unknown field "spec.nodes"`}},
		"a field that does not exist, deeper": {pool("heap: 1Gi"), []string{`unknown field "spec.pools[0].heap"`}},
		"a field that does not exist, deepest": {
			pool("storage: {volumes: [{name: data, size: 1Gi, class: fast}]}"),
			[]string{`unknown field "spec.pools[0].storage.volumes[0].class"`},
		},
	})
}

// ownedKeys are configuration keys that follow from other fields, with the field to use instead.
var ownedKeys = map[string]string{
	"listeners":                            "spec.listeners",
	"advertised.listeners":                 "spec.listeners",
	"listener.security.protocol.map":       "spec.listeners",
	"inter.broker.listener.name":           "spec.listeners",
	"security.inter.broker.protocol":       "spec.listeners",
	"controller.listener.names":            "spec.listeners",
	"early.start.listeners":                "spec.listeners",
	"listener.name.clients.ssl.key":        "spec.listeners",
	"sasl.enabled.mechanisms":              "spec.listeners",
	"sasl.mechanism.inter.broker.protocol": "spec.listeners",
	"ssl.keystore.location":                "spec.listeners",
	"connections.max.reauth.ms":            "spec.listeners",
	"node.id":                              "spec.pools",
	"broker.id":                            "spec.pools",
	"process.roles":                        "spec.pools",
	"controller.quorum.voters":             "spec.pools",
	"controller.quorum.bootstrap.servers":  "spec.pools",
	"controller.quorum.auto.join.enable":   "spec.pools",
	"log.dir":                              "spec.pools[].storage.volumes",
	"log.dirs":                             "spec.pools[].storage.volumes",
	"metadata.log.dir":                     "spec.pools[].storage.volumes",
	"super.users":                          "spec.authorization",
	"authorizer.class.name":                "spec.authorization",
	"allow.everyone.if.no.acl.found":       "spec.authorization",
	"principal.builder.class":              "spec.authorization",
	"castellan.federated.super.users":      "spec.authorization",
	"broker.rack":                          "spec.rack",
}

func TestExternalClustersRefused(t *testing.T) {
	t.Parallel()
	const servers = `bootstrapServers: ["kafka.example.com:9092"]`
	cases := map[string]refusal{
		"neither pools nor external": {`spec: {pools: null, version: null}`, []string{"spec.pools", "spec.external"}},
		"pools and external": {
			`spec: {version: null, external: {` + servers + `}}`,
			[]string{"spec.external", "remove spec.pools or spec.external"},
		},
		"no servers":               {external(""), []string{"spec.external.bootstrapServers", "Required"}},
		"an empty list of servers": {external("bootstrapServers: []"), []string{"bootstrapServers", "at least 1"}},
		"a server twice": {
			external(`bootstrapServers: ["a:1", "a:1"]`),
			[]string{"bootstrapServers[1]", "Duplicate"},
		},
		"a listener's certificate alone": {
			external(servers + ", authentication: {mechanism: TLS, secretName: login}"),
			[]string{"spec.external", "authentication.mechanism", "set external.tls"},
		},
		"an unknown mechanism": {
			external(servers + ", authentication: {mechanism: GSSAPI, secretName: login}"),
			[]string{"mechanism", `supported values: "PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512", "TLS"`},
		},
		"no Secret": {
			external(servers + ", authentication: {mechanism: PLAIN}"),
			[]string{"authentication.secretName", "Required"},
		},
		"a password in the spec": {
			external(servers + ", authentication: {mechanism: PLAIN, secretName: a, password: b}"),
			[]string{`unknown field "spec.external.authentication.password"`},
		},
	}
	for _, server := range []string{"a", "a:", ":9092", "a:0", "a:65536", "a:9092,b:9092", "http://a:9092", "a b:9092", "-a:9092", "SSL://a:1"} {
		cases["server "+server] = refusal{
			external(fmt.Sprintf("bootstrapServers: [%q]", server)),
			[]string{"spec.external.bootstrapServers[0]", "such as kafka.example.com:9092"},
		}
	}
	for field, value := range map[string]string{
		"replicas": `3`, "version": `4.3.1`, "metadataVersion": `"4.3"`, "listeners": `[{name: a, port: 9092}]`, "authorization": `{type: None}`,
		"config": `{a: b}`, "unmanagedConfig": `[a]`, "rolling": `{maxUnavailable: 1}`, "balancing": `{mode: OnScale}`,
	} {
		also := "version: null, " + field + ": " + value
		if field == "version" {
			also = "version: " + value
		}
		cases["with "+field] = refusal{fmt.Sprintf("spec: {pools: null, %s, external: {%s}}", also, servers),
			[]string{"spec.external", "the brokers are somebody else's", field}}
	}
	runRefusals(t, "KafkaCluster", cases)
}

func TestExternalClustersAccepted(t *testing.T) {
	t.Parallel()
	for _, over := range []string{
		`bootstrapServers: ["kafka.example.com:9092", "10.0.0.1:65535", "[2001:db8::1]:1", "KAFKA_0.local.:9092"]`,
		`bootstrapServers: ["a:9092"], tls: {}`,
		`bootstrapServers: ["a:9092"], tls: {caSecret: {name: trust}}, authentication: {mechanism: TLS, secretName: login}`,
		`bootstrapServers: ["a:9092"], authentication: {mechanism: SCRAM-SHA-256, secretName: login}`,
	} {
		kept, err := tryCreate(t, manifest(t, "KafkaCluster", external(over)))
		if err != nil {
			t.Errorf("%s: %v", over, err)
			continue
		}
		if dig(kept, "spec.external.tls.caSecret") != nil && dig(kept, "spec.external.tls.caSecret.key") != "ca.crt" {
			t.Errorf("the key of the CA is %v", dig(kept, "spec.external.tls.caSecret.key"))
		}
	}
}

func TestConfigKeysThatFollowFromOtherFieldsAreRefused(t *testing.T) {
	t.Parallel()
	cases := map[string]refusal{}
	for key, instead := range ownedKeys {
		cases["spec.config "+key] = refusal{
			fmt.Sprintf("spec: {config: {%q: x}}", key),
			[]string{"spec.config", "use " + instead},
		}
		cases["pool config "+key] = refusal{
			pool(fmt.Sprintf("config: {%q: x}", key)),
			[]string{"spec.pools[0].config", "use " + instead},
		}
	}
	runRefusals(t, "KafkaCluster", cases)
}

func TestListsHaveAnEnd(t *testing.T) {
	t.Parallel()
	many := func(n int, item string) string {
		items := make([]string, n)
		for i := range items {
			items[i] = fmt.Sprintf(item, i)
		}
		return strings.Join(items, ", ")
	}
	runRefusals(t, "KafkaCluster", map[string]refusal{
		"21 pools": {
			"spec: {pools: [" + many(21, "{name: p%d, replicas: 1, storage: {volumes: [{name: data, size: 1Gi}]}}") + "]}",
			[]string{"spec.pools", "at most 20"},
		},
		"17 listeners": {
			listeners(many(17, "{name: l%[1]d, port: 2%03[1]d}")),
			[]string{"spec.listeners", "at most 16"},
		},
		"33 servers": {
			external("bootstrapServers: [" + many(33, `"a%d:9092"`) + "]"),
			[]string{"spec.external.bootstrapServers", "at most 32"},
		},
		"17 volumes": {
			pool("storage: {volumes: [" + many(17, "{name: v%d, size: 1Gi}") + "]}"),
			[]string{"storage.volumes", "at most 16"},
		},
		"257 keys": {"spec: {config: {" + many(257, "a%d: x") + "}}", []string{"spec.config", "at most 256"}},
		"33 super users": {
			"spec: {authorization: {type: Simple, superUsers: [" + many(33, "u%d") + "]}}",
			[]string{"superUsers", "at most 32"},
		},
		"65 unmanaged keys": {
			"spec: {unmanagedConfig: [" + many(65, "k%d") + "]}",
			[]string{"unmanagedConfig", "at most 64"},
		},
		"a value of 8193": {"spec: {config: {a: " + strings.Repeat("x", 8193) + "}}", []string{"spec.config.a", "8192"}},
		"17 kinds of resource": {
			pool("resources: {limits: {" + many(17, "r%d: 1") + "}}"),
			[]string{"resources.limits", "at most 16"},
		},
	})
}
