package api

import (
	"reflect"
	"slices"
	"strings"
	"testing"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// whole are manifests that have, together, the parent of every optional field of a spec.
var whole = []struct{ kind, over string }{
	{"KafkaCluster", `
spec:
  replicas: 3
  pools:
  - {name: main, storage: {volumes: [{name: data, size: 10Gi}], retention: {}}, jvm: {}, resources: {}}
  listeners:
  - name: clients
    port: 9092
    exposure: {advertised: {overrides: [{nodeId: 0}]}, bootstrap: {}, brokers: {}, services: {}, gateway: {name: a}}
    authentication:
      mechanisms: [PLAIN, OAUTHBEARER, Custom]
      custom: {mechanism: GSSAPI, secret: {name: a}}
      oauth: {issuer: a, audience: b, jwks: {url: "https://a.example.com", caSecret: {name: a, key: b}, fetch: Brokers}}
    networkPolicyPeers:
    - podSelector: {matchExpressions: [{key: a, operator: Exists}]}
      namespaceSelector: {matchExpressions: [{key: a, operator: Exists}]}
    tls: {}
    limits: {}
  authorization: {type: Simple}
  config: {}
  plugins: [{name: a, image: "a@sha256:0000000000000000000000000000000000000000000000000000000000000000"}]
  tieredStorage: {plugin: a, className: a.B, config: {}}
  rack: {}
  defaultQuotas: {}
  rolling: {}
  balancing: {windows: [{from: "22:00", to: "04:00"}]}
  access:
    namespaces: {matchExpressions: [{key: a, operator: Exists}]}
    names: {prefixes: [a]}
    limits: {}
    grants: [{namespace: a}]
`},
	{"KafkaCluster", `
spec:
  listeners:
  - {name: clients, port: 9092, networkPolicyPeers: [{ipBlock: {cidr: 192.0.2.0/24}}]}
  - {name: mutual, port: 9095, authentication: {mechanisms: [TLS]}}
`},
	{"KafkaCluster", external(`
bootstrapServers: ["a:9092"], tls: {caSecret: {name: a}}, authentication: {mechanism: PLAIN, secretName: a}`)},
	{"KafkaTopic", `spec: {config: {}}`},
	{"KafkaUser", `spec: {grants: [{role: Producer, topic: a}]}`},
	{"KafkaUser", `spec: {acls: [{resource: {type: Topic, name: a}, operations: [Describe]}], quotas: {}}`},
	{"KafkaUser", `spec: {authentication: {mechanisms: [PLAIN], passwordSecret: {name: a}}}`},
	{"KafkaUser", `spec: {authentication: {mechanisms: [PLAIN], passwordRotation: {}}}`},
	{"KafkaUser", `spec: {binding: {metadata: {}}}`},
}

// askedForByRule are optional in the schema, and a rule asks for them all the same.
var askedForByRule = []string{"spec.version", "spec.pools", "spec.replicas", "spec.pools[].replicas", "spec.external",
	"spec.acls[].resource.name", "spec.grants[].topic",
	"spec.listeners[].networkPolicyPeers[].ipBlock", "spec.listeners[].authentication.oauth",
	"spec.listeners[].authentication.custom",
	"spec.listeners[].authentication.oauth.jwks.url"}

type props = apiextensionsv1.JSONSchemaProps

// eachNull calls do once for each optional field below a path whose parent the manifest has, which is null then.
func eachNull(path string, schema props, at any, do func(path string, field props)) {
	switch at := at.(type) {
	case []any:
		if len(at) > 0 {
			eachNull(path+"[]", *schema.Items.Schema, at[0], do)
		}
	case map[string]any:
		for name, child := range schema.Properties {
			before, had := at[name]
			if had {
				eachNull(path+"."+name, child, before, do)
			}
			if slices.Contains(schema.Required, name) {
				continue
			}
			at[name] = nil
			do(path+"."+name, child)
			if delete(at, name); had {
				at[name] = before
			}
		}
	}
}

// dropNull takes out what is null.
func dropNull(at any) {
	switch at := at.(type) {
	case []any:
		for _, item := range at {
			dropNull(item)
		}
	case map[string]any:
		for name, value := range at {
			if dropNull(value); value == nil {
				delete(at, name)
			}
		}
	}
}

// applyDry asks for a server-side apply, without carrying it out.
func applyDry(t *testing.T, u *unstructured.Unstructured) (*unstructured.Unstructured, error) {
	t.Helper()
	u = u.DeepCopy()
	applied := client.ApplyConfigurationFromUnstructured(u)
	err := kube.Apply(t.Context(), applied, client.FieldOwner("gitops"), client.DryRunAll)
	return u, err
}

// Manifests that templates make have null where no value was given. docs/troubleshooting.md says what becomes of it:
// creating an object so is as good as leaving the field out. In a server-side apply that holds for fields with a
// default alone.
func TestNullInOptionalFields(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for _, w := range whole {
		u, schema := manifest(t, w.kind, w.over), schemas(t)[w.kind]
		u.SetNamespace(metav1.NamespaceDefault)
		eachNull("spec", schema.Properties["spec"], u.Object["spec"], func(path string, field props) {
			seen[w.kind+" "+path] = true
			without := u.DeepCopy()
			dropNull(without.Object)
			want, err := tryCreate(t, without)
			if err != nil {
				if !slices.Contains(askedForByRule, path) {
					t.Errorf("%s without %s: %v", w.kind, path, err)
				}
				return
			}
			got, err := tryCreate(t, u)
			if err != nil || !reflect.DeepEqual(got.Object["spec"], want.Object["spec"]) {
				t.Errorf("%s: creation with %s null gives %v, expected %v (error %v)",
					w.kind, path, got.Object["spec"], want.Object["spec"], err)
			}
			got, err = applyDry(t, u)
			switch {
			case field.Default == nil:
				mustRefuse(t, err, strings.ReplaceAll(path, "[]", "[0]"), `"null"`)
			case err != nil || !reflect.DeepEqual(got.Object["spec"], want.Object["spec"]):
				t.Errorf("%s: a server-side apply with %s null gives %v, expected %v (error %v)",
					w.kind, path, got.Object["spec"], want.Object["spec"], err)
			}
		})
	}
	for kind, schema := range schemas(t) {
		for _, f := range fields("spec", schema.Properties["spec"]) {
			if f.optional && !seen[kind+" "+f.path] {
				t.Errorf("no manifest has the parent of %s %s", kind, f.path)
			}
		}
	}
}

// A key without a value is no key, and no key with an empty value.
func TestNullInConfig(t *testing.T) {
	t.Parallel()
	for kind, over := range map[string]string{
		"KafkaCluster": `spec: {config: {log.retention.ms: "1"}}`,
		"KafkaTopic":   `spec: {config: {retention.ms: "1"}}`,
	} {
		u := manifest(t, kind, over)
		u.SetNamespace(metav1.NamespaceDefault)
		u.Object["spec"].(map[string]any)["config"].(map[string]any)["min.insync.replicas"] = nil
		kept, err := tryCreate(t, u)
		if config, _ := dig(kept, "spec.config").(map[string]any); err != nil || len(config) != 1 {
			t.Errorf("%s: creation gives %v (error %v)", kind, config, err)
		}
		_, err = applyDry(t, u)
		mustRefuse(t, err, "spec.config.min.insync.replicas", `"null"`)
	}
}
