package chart

import (
	"bytes"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"
)

// The values that give the operator more permissions, and with which it has all that it can have.
var (
	withGateways   = []string{"--set", "gatewayAPI.enabled=true"}
	withSlices     = []string{"--set", "endpointSlices.enabled=true"}
	withEverything = slices.Concat(withGateways, withSlices)
)

// keeping has Helm keep CRDs at uninstall, and Argo CD and Flux when their files no longer have them.
var keeping = map[string]string{
	"helm.sh/resource-policy":           "keep",
	"argocd.argoproj.io/sync-options":   "Prune=false",
	"kustomize.toolkit.fluxcd.io/prune": "disabled",
}

// plain takes away what only Helm or only kustomize writes, and no API server acts upon.
func plain(o object) object {
	meta := o["metadata"].(object)
	delete(meta, "labels")
	if annotations, ok := meta["annotations"].(object); ok {
		maps.DeleteFunc(annotations, func(key string, _ any) bool { return keeping[key] != "" })
		if len(annotations) == 0 {
			delete(meta, "annotations")
		}
	}
	return o
}

func TestKustomizeInstallsWhatTheChartInstalls(t *testing.T) {
	for folder, args := range map[string][]string{
		"config/default": nil, "config/external-only": {"--set", "externalOnly=true"},
		"config/gateway-api": withGateways, "config/endpoint-slices": withSlices,
	} {
		helm, kustomize := rendered(t, args...), kustomized(t, folder)
		delete(kustomize, "Namespace /castellan-system") // helm --create-namespace
		for name, want := range helm {
			got, ok := kustomize[name]
			if !ok {
				t.Errorf("%s lacks %s", folder, name)
				continue
			}
			if a, b := text(t, plain(got)), text(t, plain(want)); a != b {
				t.Errorf("%s differs, %s against the chart: %s", name, folder, firstDifference([]byte(a), []byte(b)))
			}
		}
		for name := range kustomize {
			if _, ok := helm[name]; !ok {
				t.Errorf("the chart lacks %s, which %s has", name, folder)
			}
		}
	}
}

func text(t *testing.T, value any) string {
	t.Helper()
	out, err := yaml.Marshal(value)
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}

func TestCRDsAreTheGeneratedOnesAndAreKept(t *testing.T) {
	for _, path := range globbed(t, "config/crd/bases/*.yaml") {
		content, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		var want object
		if err := yaml.Unmarshal(content, &want); err != nil {
			t.Fatal(err)
		}
		name := fmt.Sprintf("CustomResourceDefinition /%v", want["metadata"].(object)["name"])
		got, ok := rendered(t)[name]
		if !ok {
			t.Fatalf("the chart lacks %s", name)
		}
		for key, value := range keeping {
			if got["metadata"].(object)["annotations"].(object)[key] != value {
				t.Errorf("the chart's %s lacks %s: %s, and every Kafka would go with it", name, key, value)
			}
			of := kustomized(t, "config/crd")[name]["metadata"].(object)["annotations"].(object)
			if key != "helm.sh/resource-policy" && of[key] != value {
				t.Errorf("%s of config/crd lacks %s: %s, and every Kafka would go with it", name, key, value)
			}
		}
		if !reflect.DeepEqual(plain(got), plain(want)) {
			t.Errorf("%s is not the generated one: make generate", name)
		}
		if _, ok := rendered(t, "--set", "crds.install=false")[name]; ok {
			t.Errorf("%s is rendered although crds.install is false", name)
		}
	}
}

func globbed(t *testing.T, pattern string) []string {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(root, pattern))
	if err != nil || len(found) == 0 {
		t.Fatalf("%s: %d files, %v", pattern, len(found), err)
	}
	return found
}

// rules of every role of a set of objects, as sorted "group/resource verb" lines by role.
func permissions(t *testing.T, objects map[string]object) map[string][]string {
	t.Helper()
	found := map[string][]string{}
	for name, o := range objects {
		if kind := o["kind"]; kind != "Role" && kind != "ClusterRole" {
			continue
		}
		for _, r := range o["rules"].([]any) {
			rule := r.(object)
			for _, verb := range strs(rule["verbs"]) {
				for _, url := range strs(rule["nonResourceURLs"]) {
					found[name] = append(found[name], url+" "+verb)
				}
				for _, resource := range strs(rule["resources"]) {
					for _, group := range strs(rule["apiGroups"]) {
						found[name] = append(found[name], strings.TrimPrefix(group+"/", "/")+resource+" "+verb)
					}
				}
			}
		}
		slices.Sort(found[name])
	}
	return found
}

func strs(value any) []string {
	var out []string
	list, _ := value.([]any)
	for _, v := range list {
		out = append(out, v.(string))
	}
	return out
}

func TestNamespacedModeGivesTheSameRulesAndNothingBeyond(t *testing.T) {
	wide := permissions(t, rendered(t))["ClusterRole /castellan-manager"]
	narrow := rendered(
		t,
		"--set",
		"watchNamespaces={orders,payments}",
		"--set",
		"metrics.enabled=false",
		"--set",
		"crds.install=false",
	)
	got := permissions(t, narrow)
	for _, namespace := range []string{"orders", "payments"} {
		if !slices.Equal(got["Role "+namespace+"/castellan-manager"], wide) {
			t.Errorf("the Role in %s differs from the ClusterRole", namespace)
		}
	}
	for name, o := range narrow {
		if namespace := o["metadata"].(object)["namespace"]; namespace == nil {
			t.Errorf("%s is cluster-scoped", name)
		}
	}
}

// Who looks after external clusters alone needs nothing that makes, stops or reads pods, or that holds records.
func TestExternalOnlyGivesNothingOfClustersOfItsOwn(t *testing.T) {
	whole := permissions(t, rendered(t))["ClusterRole /castellan-manager"]
	for _, args := range [][]string{nil, {"--set", "watchNamespaces={orders}"}} {
		role := "ClusterRole /castellan-manager"
		if args != nil {
			role = "Role orders/castellan-manager"
		}
		given := permissions(t, rendered(t, slices.Concat(args, withEverything, []string{"--set", "externalOnly=true"})...))[role]
		for _, p := range []string{"kafka.castellan.dev/kafkaclusters/status patch", "secrets create",
			"kafka.castellan.dev/kafkatopics patch", "kafka.castellan.dev/kafkausers patch"} {
			if !slices.Contains(given, p) {
				t.Errorf("%s lacks %s", role, p)
			}
		}
		for _, p := range given {
			resource, _, _ := strings.Cut(p, " ")
			switch {
			case !slices.Contains(whole, p):
				t.Errorf("%s: %s is beyond what the operator has without externalOnly", role, p)
			case strings.HasPrefix(resource, "kafka.castellan.dev/"):
			case !slices.Contains([]string{"secrets", "namespaces", "events.k8s.io/events"}, resource):
				t.Errorf("%s: %s is for clusters of the operator's own", role, p)
			}
		}
	}
	args := string(mustTemplate(t, append(withEverything, "--set", "externalOnly=true")...))
	if !strings.Contains(args, "--external-only=true") || strings.Contains(args, "--gateway-api") ||
		strings.Contains(args, "--endpoint-slices") {
		t.Error("the operator is not told, and asks for what it may not see")
	}
}

// never are permissions that no release of the operator may have: they would let it, or whoever takes it over, make
// others more powerful, enter pods, or destroy records.
func TestSomePermissionsAreNeverAskedFor(t *testing.T) {
	for role, list := range permissions(t, rendered(t, withEverything...)) {
		for _, p := range list {
			resource, verb, _ := strings.Cut(p, " ")
			switch {
			case resource == "*" || verb == "*" || strings.HasSuffix(resource, "/*"):
				t.Errorf("%s: %s is a wildcard", role, p)
			case strings.HasPrefix(resource, "rbac.authorization.k8s.io/"), strings.HasPrefix(resource, "serviceaccounts"):
				t.Errorf("%s: %s makes others more powerful", role, p)
			case resource == "persistentvolumeclaims" && verb == "deletecollection":
				t.Errorf("%s: %s destroys the records of all nodes at once", role, p)
			case resource == "pods/exec",
				resource == "pods/attach",
				resource == "pods/ephemeralcontainers",
				resource == "pods" && verb == "create":
				t.Errorf("%s: %s enters pods", role, p)
			case strings.HasPrefix(resource, "nodes"):
				t.Errorf("%s: %s reads what belongs to the whole cluster", role, p)
			}
		}
	}
}

// Nodes are read only where somebody asks for it, and nothing else comes with that.
func TestReadNodesGivesThatAlone(t *testing.T) {
	for _, args := range [][]string{nil, {"--set", "watchNamespaces={orders}"}} {
		without, with := permissions(t, rendered(t, args...)), permissions(t, rendered(t, append(args, "--set", "readNodes=true")...))
		if got := with["ClusterRole /castellan-nodes"]; !slices.Equal(got, []string{"nodes list", "nodes watch"}) {
			t.Errorf("it may %v", got)
		}
		delete(with, "ClusterRole /castellan-nodes")
		if !maps.EqualFunc(with, without, slices.Equal) {
			t.Errorf("the other roles differ: %v, without %v", with, without)
		}
	}
	if args := string(mustTemplate(t, "--set", "readNodes=true")); !strings.Contains(args, "--read-nodes=true") {
		t.Error("the operator is not told")
	}
}

// EndpointSlices are seen and written only where somebody asks for it, and nothing else comes with that.
func TestEndpointSlicesAreGivenAlone(t *testing.T) {
	for _, args := range [][]string{nil, {"--set", "watchNamespaces={orders}"}} {
		without, with := permissions(t, rendered(t, args...)), permissions(t, rendered(t, append(args, withSlices...)...))
		more := 0
		for role, list := range with {
			for _, p := range list {
				if slices.Contains(without[role], p) {
					continue
				}
				if more++; !strings.HasPrefix(p, "discovery.k8s.io/endpointslices ") || !strings.HasSuffix(role, "castellan-manager") {
					t.Errorf("%s: %s comes with it", role, p)
				}
			}
		}
		if more != 6 {
			t.Errorf("%d permissions come with it, want 6", more)
		}
		if args := string(mustTemplate(t, append(args, withSlices...)...)); !strings.Contains(args, "--endpoint-slices=true") {
			t.Error("the operator is not told")
		}
		if args := string(mustTemplate(t, args...)); strings.Contains(args, "--endpoint-slices") {
			t.Error("the operator is told by itself")
		}
	}
}

// tableRow is a row of the table in docs/security.md: | `group/resource` | `verb`, `verb` | reason |.
var tableRow = regexp.MustCompile("(?m)^\\| `([^`]+)` \\| ([^|]+) \\| ([^|]+) \\|")

func TestEveryPermissionStandsInTheDocumentationWithAReason(t *testing.T) {
	page, err := os.ReadFile(filepath.Join(root, "docs", "security.md"))
	if err != nil {
		t.Fatal(err)
	}
	documented := map[string]bool{}
	for _, row := range tableRow.FindAllStringSubmatch(string(page), -1) {
		if strings.TrimSpace(row[3]) == "" {
			t.Errorf("%s has no reason", row[1])
		}
		for _, verb := range strings.Split(row[2], ",") {
			documented[row[1]+" "+strings.Trim(verb, " `")] = true
		}
	}
	asked := map[string]bool{}
	for role, list := range permissions(t, rendered(t, withEverything...)) {
		for _, p := range list {
			asked[p] = true
			if !documented[p] {
				t.Errorf("%s: %q is not in the table of docs/security.md", role, p)
			}
		}
	}
	for p := range documented {
		if !asked[p] {
			t.Errorf("docs/security.md explains %q, which no role asks for", p)
		}
	}
}

func TestTheOperatorKnowsEveryFlagThatTheChartSets(t *testing.T) {
	out, err := exec.Command(filepath.Join(root, "hack", "image.sh"), "binary").Output()
	if err != nil {
		t.Fatalf("build the operator: %v", err)
	}
	help, _ := exec.Command(string(bytes.TrimSpace(out)), "-h").CombinedOutput()
	stream := mustTemplate(t, "--set", "crds.install=false", "--set", "watchNamespaces={a}", "--set", "externalOnly=true",
		"--set", "readNodes=true")
	stream = append(stream, mustTemplate(t, append(withEverything, "--set", "crds.install=false")...)...)
	args := regexp.MustCompile(`(?m)^ +- --([a-z-]+)=`).
		FindAllSubmatch(stream, -1)
	if len(args) < 6 {
		t.Fatalf("found only %d flags in the Deployment", len(args))
	}
	for _, m := range args {
		if !regexp.MustCompile(`(?m)^ +-` + string(m[1]) + `\b`).Match(help) {
			t.Errorf("the operator has no flag --%s; it has\n%s", m[1], help)
		}
	}
}

func TestTheOperatorRunsRestricted(t *testing.T) {
	spec := rendered(t)["Deployment castellan-system/castellan"]["spec"].(object)["template"].(object)["spec"].(object)
	pod, container := spec["securityContext"].(object), spec["containers"].([]any)[0].(object)
	context := container["securityContext"].(object)
	for what, ok := range map[string]bool{
		"not root":                pod["runAsNonRoot"] == true,
		"default seccomp profile": pod["seccompProfile"].(object)["type"] == "RuntimeDefault",
		"read-only root":          context["readOnlyRootFilesystem"] == true,
		"no privilege escalation": context["allowPrivilegeEscalation"] == false,
		"no capabilities":         reflect.DeepEqual(context["capabilities"].(object)["drop"], []any{"ALL"}),
		"a memory limit":          container["resources"].(object)["limits"].(object)["memory"] == "128Mi",
	} {
		if !ok {
			t.Errorf("the operator's pod: %s does not hold", what)
		}
	}
}

func TestTheSamplesAreWhatTheDemoNeeds(t *testing.T) {
	samples := kustomized(t, "config/samples")
	for _, name := range []string{
		"Namespace /kafka", "KafkaCluster kafka/events", "KafkaTopic kafka/orders", "KafkaUser kafka/billing", "KafkaUser kafka/shipping",
	} {
		if _, ok := samples[name]; !ok {
			t.Errorf("config/samples lacks %s", name)
		}
	}
}
