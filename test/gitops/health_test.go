package gitops

import (
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"
)

var update = flag.Bool("update", false, "write config/argocd/argocd-cm.yaml anew from health.lua")

const (
	script = "../../config/argocd/health.lua"
	patch  = "../../config/argocd/argocd-cm.yaml"
)

var kinds = []string{"KafkaCluster", "KafkaTopic", "KafkaUser"}

// The states of an object, as YAML of metadata and status. A case without kind is tried for each.
var states = []struct{ name, kind, object, health, says string }{
	{"created, without a status", "", `metadata: {generation: 1}`, "Progressing", "has not seen generation 1"},
	{"created, with the status of the schema", "", `
metadata: {generation: 1}
status: {observedGeneration: -1}`, "Progressing", "has not seen generation 1"},
	{"a status without a generation", "", `
metadata: {generation: 1}
status: {conditions: [{type: Ready, status: "True", reason: InForce, message: a}]}`, "Progressing", "generation 1"},
	{"changed, and ready before", "", `
metadata: {generation: 4}
status:
  observedGeneration: 3
  conditions: [{type: Ready, status: "True", observedGeneration: 3, reason: InForce, message: a}]`,
		"Progressing", "has not seen generation 4"},
	{"changed, and stalled before", "", `
metadata: {generation: 4}
status:
  observedGeneration: 3
  conditions: [{type: Stalled, status: "True", observedGeneration: 3, reason: Invalid, message: a}]`,
		"Progressing", "has not seen generation 4"},
	{"seen, and without a word yet", "", `
metadata: {generation: 1}
status: {observedGeneration: 1}`, "Progressing", "has not said yet"},
	{"seen, with an empty list of conditions", "", `
metadata: {generation: 1}
status: {observedGeneration: 1, conditions: []}`, "Progressing", "has not said yet"},
	{"seen, and Ready is of before", "", `
metadata: {generation: 2}
status:
  observedGeneration: 2
  conditions: [{type: Ready, status: "True", observedGeneration: 1, reason: InForce, message: a}]`,
		"Progressing", "has not said yet"},
	{"being made", "", `
metadata: {generation: 1}
status:
  observedGeneration: 1
  conditions:
  - {type: Ready, status: "False", observedGeneration: 1, reason: Waiting, message: waits for broker 2}
  - {type: Reconciling, status: "True", observedGeneration: 1, reason: Waiting, message: waits for broker 2}`,
		"Progressing", "waits for broker 2"},
	{"rolled, one broker after the other", "KafkaCluster", `
metadata: {generation: 7}
status:
  observedGeneration: 7
  conditions:
  - {type: Available, status: "True", observedGeneration: 7, reason: Available, message: clients can work}
  - {type: Ready, status: "False", observedGeneration: 7, reason: Working, message: restarts broker 1}
  - {type: Reconciling, status: "True", observedGeneration: 7, reason: Working, message: restarts broker 1}`,
		"Progressing", "restarts broker 1"},
	{"ready", "", `
metadata: {generation: 3}
status:
  observedGeneration: 3
  conditions: [{type: Ready, status: "True", observedGeneration: 3, reason: InForce, message: as asked}]`,
		"Healthy", "as asked"},
	{"ready, with a warning and a message that is left out", "KafkaCluster", `
metadata: {generation: 3}
status:
  observedGeneration: 3
  conditions:
  - {type: Warning, status: "True", observedGeneration: 3, reason: EvenControllers, message: b}
  - {type: Ready, status: "True", observedGeneration: 3, reason: AsSpecified}`, "Healthy", ""},
	{"stalled", "", `
metadata: {generation: 3}
status:
  observedGeneration: 3
  conditions:
  - {type: Ready, status: "False", observedGeneration: 3, reason: Invalid, message: "spec.x: no"}
  - {type: Stalled, status: "True", observedGeneration: 3, reason: Invalid, message: "spec.x: no"}`,
		"Degraded", "spec.x: no"},
	{"applied before its cluster", "KafkaTopic", `
metadata: {generation: 1}
status:
  observedGeneration: 1
  conditions:
  - {type: Ready, status: "False", observedGeneration: 1, reason: ClusterNotFound, message: no KafkaCluster events}
  - {type: Reconciling, status: "True", observedGeneration: 1, reason: ClusterNotFound, message: no KafkaCluster events}`,
		"Progressing", "no KafkaCluster events"},
	{"applied, and its cluster does not come", "KafkaUser", `
metadata: {generation: 1}
status:
  observedGeneration: 1
  conditions:
  - {type: Ready, status: "False", observedGeneration: 1, reason: ClusterNotFound, message: no KafkaCluster events}
  - {type: Stalled, status: "True", observedGeneration: 1, reason: ClusterNotFound, message: no KafkaCluster events}`,
		"Degraded", "no KafkaCluster events"},
	{"deleted, and ready before", "", `
metadata: {generation: 2, deletionTimestamp: "2026-01-02T03:04:05Z"}
status:
  observedGeneration: 1
  conditions: [{type: Ready, status: "True", observedGeneration: 1, reason: InForce, message: a}]`,
		"Progressing", "has not seen generation 2"},
	{"deleted, and waiting", "", `
metadata: {generation: 2, deletionTimestamp: "2026-01-02T03:04:05Z"}
status:
  observedGeneration: 2
  conditions: [{type: Ready, status: "False", observedGeneration: 2, reason: Deleting, message: no broker answers}]`,
		"Progressing", "no broker answers"},
	{"deleted, and the deletion is stalled", "", `
metadata: {generation: 2, deletionTimestamp: "2026-01-02T03:04:05Z"}
status:
  observedGeneration: 2
  conditions: [{type: Stalled, status: "True", observedGeneration: 2, reason: Held, message: a}]`,
		"Progressing", "is being deleted"},
}

func TestArgoCDTellsTheHealthOfEveryStateOfEveryKind(t *testing.T) {
	checks := healthChecks(t)
	for _, state := range states {
		for _, kind := range kinds {
			if state.kind != "" && state.kind != kind {
				continue
			}
			t.Run(kind+" "+state.name, func(t *testing.T) {
				health, says := run(t, checks[kind], state.object)
				if health != state.health || !strings.Contains(says, state.says) {
					t.Errorf("%s %q, expected %s and a message with %q", health, says, state.health, state.says)
				}
			})
		}
	}
}

// The ConfigMap has the same script for each kind, under the name by which Argo CD looks for it.
func TestTheConfigMapOfArgoCDHasTheScript(t *testing.T) {
	text, err := os.ReadFile(script)
	if err != nil {
		t.Fatal(err)
	}
	expected := configMap(string(text))
	if *update {
		if err := os.WriteFile(patch, []byte(expected), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	found, err := os.ReadFile(patch)
	if err != nil {
		t.Fatal(err)
	}
	if string(found) != expected {
		t.Errorf("%s is not what health.lua gives: go test -C test/gitops . -update", patch)
	}
	files, err := filepath.Glob("../../config/crd/bases/*.yaml")
	if err != nil || len(files) != len(kinds) {
		t.Fatalf("config/crd/bases has %d kinds, and Argo CD is told of %d (error %v)", len(files), len(kinds), err)
	}
	for _, file := range files {
		var crd struct {
			Spec struct {
				Group string `json:"group"`
				Names struct {
					Kind string `json:"kind"`
				} `json:"names"`
			} `json:"spec"`
		}
		if text, err = os.ReadFile(file); err == nil {
			err = yaml.Unmarshal(text, &crd)
		}
		if err != nil {
			t.Fatal(err)
		}
		if crd.Spec.Group != group || !slices.Contains(kinds, crd.Spec.Names.Kind) {
			t.Errorf("Argo CD is not told of %s in %s", crd.Spec.Names.Kind, crd.Spec.Group)
		}
	}
}

const group, keyPrefix = "kafka.castellan.dev", "resource.customizations.health."

func configMap(script string) string {
	b := &strings.Builder{}
	b.WriteString(`# Health checks for Argo CD, to be merged into its ConfigMap:
#   kubectl apply --server-side --field-manager=castellan-health -f config/argocd/argocd-cm.yaml
# Made from health.lua: go test -C test/gitops . -update
apiVersion: v1
kind: ConfigMap
metadata:
  name: argocd-cm
  namespace: argocd
  labels:
    app.kubernetes.io/part-of: argocd
data:
`)
	for _, kind := range kinds {
		fmt.Fprintf(b, "  %s%s_%s: |\n", keyPrefix, group, kind)
		for line := range strings.Lines(script) {
			b.WriteString(strings.TrimRight("    "+strings.TrimSuffix(line, "\n"), " ") + "\n")
		}
	}
	return b.String()
}

// healthChecks are the scripts in the ConfigMap, by kind.
func healthChecks(t *testing.T) map[string]string {
	t.Helper()
	text, err := os.ReadFile(patch)
	if err != nil {
		t.Fatal(err)
	}
	var object struct {
		Data map[string]string `json:"data"`
	}
	if err := yaml.Unmarshal(text, &object); err != nil {
		t.Fatal(err)
	}
	checks := map[string]string{}
	for key, check := range object.Data {
		name, found := strings.CutPrefix(key, keyPrefix+group+"_")
		if !found {
			t.Errorf("%s has a key %q", patch, key)
		}
		checks[name] = check
	}
	if found := slices.Sorted(maps.Keys(checks)); !slices.Equal(found, kinds) {
		t.Fatalf("%s has checks for %v, expected %v", patch, found, kinds)
	}
	return checks
}

// run gives an object in YAML to a script.
func run(t *testing.T, script, object string) (status, message string) {
	t.Helper()
	text, err := yaml.YAMLToJSON([]byte(object))
	if err == nil {
		status, message, err = Health(script, text)
	}
	if err != nil {
		t.Fatal(err)
	}
	return status, message
}
