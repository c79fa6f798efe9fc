// Package chart holds the Helm chart, config/default and docs/security.md to each other: they install the same operator
// with the same permissions, and the chart refuses values that mean nothing. Helm and kustomize are the pinned programs
// of hack/tools; nothing of them enters this module.
package chart

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"sigs.k8s.io/yaml"
)

var update = flag.Bool("update", false, "write the golden files anew")

const root = "../.."

// tool is the path of a pinned program.
func tool(t *testing.T, name string) string {
	t.Helper()
	paths.Lock()
	defer paths.Unlock()
	if path, ok := paths.of[name]; ok {
		return path
	}
	command := exec.Command(filepath.Join(root, "hack", "tool.sh"), name)
	command.Stderr = os.Stderr
	out, err := command.Output()
	if err != nil {
		t.Fatalf("build %s: %v", name, err)
	}
	paths.of[name] = strings.TrimSpace(string(out))
	return paths.of[name]
}

var paths = struct {
	sync.Mutex
	of map[string]string
}{of: map[string]string{}}

// object is any Kubernetes object.
type object = map[string]any

// template renders the chart as helm would install it on Kubernetes 1.36; the CRDs have a test of their own.
func template(t *testing.T, args ...string) ([]byte, error) {
	t.Helper()
	command := exec.Command(tool(t, "helm"), append([]string{
		"template", "castellan", filepath.Join(root, "charts", "castellan"),
		"--namespace", "castellan-system", "--kube-version", "1.36.0",
	}, args...)...)
	var stderr bytes.Buffer
	command.Stderr = &stderr
	out, err := command.Output()
	if err != nil {
		return nil, fmt.Errorf("%w: %s", err, stderr.String())
	}
	return out, nil
}

func mustTemplate(t *testing.T, args ...string) []byte {
	t.Helper()
	out, err := template(t, args...)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// parse splits a stream of objects, by "Kind namespace/name".
func parse(t *testing.T, stream []byte) map[string]object {
	t.Helper()
	found := map[string]object{}
	for _, document := range bytes.Split(append([]byte("\n"), stream...), []byte("\n---")) {
		var o object
		if err := yaml.Unmarshal(document, &o); err != nil {
			t.Fatalf("%v in\n%s", err, document)
		}
		if len(o) == 0 {
			continue
		}
		meta, _ := o["metadata"].(object)
		namespace, _ := meta["namespace"].(string)
		name := fmt.Sprintf("%v %s/%v", o["kind"], namespace, meta["name"])
		if _, twice := found[name]; twice {
			t.Fatalf("%s is rendered twice", name)
		}
		found[name] = o
	}
	return found
}

func rendered(t *testing.T, args ...string) map[string]object {
	t.Helper()
	return parse(t, mustTemplate(t, args...))
}

func kustomized(t *testing.T, folder string) map[string]object {
	t.Helper()
	out, err := exec.Command(tool(t, "kustomize"), "build", filepath.Join(root, folder)).CombinedOutput()
	if err != nil {
		t.Fatalf("kustomize build %s: %v\n%s", folder, err, out)
	}
	return parse(t, out)
}

func TestGoldenRenders(t *testing.T) {
	for name, args := range map[string][]string{
		"cluster-wide": nil,
		"namespaced":   {"--set", "watchNamespaces={orders,payments}"},
		"nothing-cluster-wide": {
			"--set", "watchNamespaces={orders}", "--set", "metrics.enabled=false",
		},
		"external-only": {"--set", "externalOnly=true"},
		"everything-set": {
			"--set", "image.digest=sha256:" + strings.Repeat("0", 64), "--set", "image.pullSecrets={pull}",
			"--set", "networkPolicy.enabled=true", "--set", "priorityClassName=system-cluster-critical", "--set", "replicas=2",
			"--set", "resources.limits.memory=1.5Gi", "--set", "podLabels.team=data", "--set", "podAnnotations.note=x",
			"--set", "nodeSelector.disk=ssd", "--set", "tolerations[0].operator=Exists", "--set", "logLevel=debug",
			"--set", "serviceAccount.annotations.role=x", "--set", "kafkaImage.repository=mirror/kafka", "--set", "clusterDomain=k.example",
			"--set", "plugins.allowedRegistries={registry.example.com/team,docker.io}",
			"--set", "succeeds={kafka/castellan,kafka-old/castellan}",
		},
	} {
		t.Run(name, func(t *testing.T) {
			got := mustTemplate(t, append(args, "--set", "crds.install=false")...)
			path := filepath.Join("testdata", name+".yaml")
			if *update {
				if err := os.WriteFile(path, got, 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			want, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(got, want) {
				t.Errorf(
					"%s differs; look at the difference after: go test ./test/chart -update\n%s",
					path,
					firstDifference(got, want),
				)
			}
		})
	}
}

func firstDifference(got, want []byte) string {
	g, w := strings.Split(string(got), "\n"), strings.Split(string(want), "\n")
	for i := range min(len(g), len(w)) {
		if g[i] != w[i] {
			return fmt.Sprintf("line %d\n got %s\nwant %s", i+1, g[i], w[i])
		}
	}
	return fmt.Sprintf("%d lines, expected %d", len(g), len(w))
}

func TestValuesThatMeanNothingAreRefused(t *testing.T) {
	for name, value := range map[string]string{
		"an unknown value":            "replica=2",
		"an unknown nested value":     "image.name=x",
		"a digest that is none":       "image.digest=sha256:12",
		"a limit without a unit":      "resources.limits.memory=134217728",
		"a level that is none":        "logLevel=loud",
		"an interval without a unit":  "driftInterval=10",
		"a namespace that is none":    "watchNamespaces={Not_a_namespace}",
		"the same namespace twice":    "watchNamespaces={a,a}",
		"a negative replica count":    "replicas=-1",
		"a switch that is no switch":  "crds.install=perhaps",
		"a profile that is none":      "externalOnly=perhaps",
		"a registry that is no name":  "plugins.allowedRegistries={https://a}",
		"a registry with no list":     "plugins.allowedRegistries=a.example.com",
		"a limit of another kind":     "plugins.registries={a.example.com}",
		"an operator without release": "succeeds={castellan}",
		"an operator of two releases": "succeeds={a/b/c}",
		"the same operator twice":     "succeeds={a/b,a/b}",
		"slices that are no switch":   "endpointSlices.enabled=perhaps",
		"slices of another kind":      "endpointSlices.write=true",
		"a policy that is none":       "deletionPolicy=Keep",
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := template(t, "--set", value); err == nil {
				t.Errorf("--set %s is accepted", value)
			}
		})
	}
}

func TestTheDefaultForDeletionsReachesTheOperator(t *testing.T) {
	for policy, told := range map[string]bool{"Retain": true, "Delete": false} {
		out := mustTemplate(t, "--set", "crds.install=false", "--set", "deletionPolicy="+policy)
		if bytes.Contains(out, []byte("- --deletion-policy="+policy+"\n")) != told {
			t.Errorf("deletionPolicy=%s reaches the operator: %t", policy, !told)
		}
	}
}

func TestAnOlderKubernetesIsRefused(t *testing.T) {
	if _, err := template(t, "--kube-version", "1.34.9"); err == nil || !strings.Contains(err.Error(), "1.35") {
		t.Errorf("got %v, want a refusal that names 1.35", err)
	}
}

func TestMemoryLimitSetsGOMEMLIMIT(t *testing.T) {
	for limit, want := range map[string]string{"128Mi": "115MiB", "1Gi": "921MiB", "1.5Gi": "1382MiB", "200Mi": "180MiB"} {
		out := mustTemplate(t, "--set", "crds.install=false", "--set", "resources.limits.memory="+limit)
		if !bytes.Contains(out, []byte("value: "+want+"\n")) {
			t.Errorf("limit %s does not give GOMEMLIMIT %s", limit, want)
		}
	}
}
