package resolve

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"

	"github.com/castellan-dev/castellan/api/v1alpha1"
	"github.com/castellan-dev/castellan/internal/identity"
)

// newcomer are the inputs of a sample's cluster that has just been made.
func newcomer(t *testing.T, file string) (Inputs, bool) {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for _, document := range strings.Split(string(text), "\n---\n") {
		cluster := &v1alpha1.KafkaCluster{}
		if err := yaml.Unmarshal([]byte(document), cluster); err != nil {
			t.Fatal(err)
		}
		if cluster.Kind != "KafkaCluster" || cluster.Spec.External != nil {
			continue
		}
		cluster.UID = "c0ffee"
		defaults := identity.Defaults(&cluster.Spec)
		cluster.Status.Pools, _ = identity.AssignNodeIDs(&cluster.Spec, nil)
		cluster.Status.Defaults = &defaults
		cluster.Status.ClusterID = "4L6g3nShT-eMCtK--X86sw"
		return Inputs{Cluster: cluster, Spec: &cluster.Spec, ImageRepository: "apache/kafka", Domain: "cluster.local",
			Operator: castellan}, true
	}
	return Inputs{}, false
}

// What the API server takes may still be refused by a rule of ours.
func TestSamplesHaveNoFault(t *testing.T) {
	files, err := filepath.Glob("../../config/samples/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatalf("no samples (error %v)", err)
	}
	// They need what the operator reads beside the spec: Gateways, Secrets.
	needy := map[string]bool{"gateway.yaml": true, "own-certificates.yaml": true, "custom-login.yaml": true,
		"tiered-storage.yaml": true}
	for _, file := range files {
		in, found := newcomer(t, file)
		if !found || needy[filepath.Base(file)] {
			continue
		}
		if _, faults := Resolve(in); len(faults) > 0 {
			t.Errorf("%s: %v", file, faults)
		}
	}
}

// docs/production.md promises a spread by force, machines of its own, and nothing to think twice about.
func TestTheProductionSampleIsWhatItsPageSays(t *testing.T) {
	in, _ := newcomer(t, "../../config/samples/production.yaml")
	cluster, faults := Resolve(in)
	if len(faults) > 0 || len(Warnings(cluster)) > 0 {
		t.Fatalf("faults %v, warnings %q", faults, Warnings(cluster))
	}
	for i := range cluster.Pools {
		pool := &cluster.Pools[i]
		hard := map[string]bool{}
		for _, c := range pool.PodTemplate.Spec.TopologySpreadConstraints {
			selects, err := metav1.LabelSelectorAsMap(c.LabelSelector)
			if err != nil {
				t.Fatal(err)
			}
			for key, value := range cluster.Selector(pool) {
				if chosen, there := selects[key]; there && chosen != value {
					t.Errorf("pool %s: the rule for %s counts other pods: %v", pool.Name, c.TopologyKey, selects)
				}
			}
			hard[c.TopologyKey] = c.WhenUnsatisfiable == corev1.DoNotSchedule && c.MaxSkew == 1 &&
				*c.NodeTaintsPolicy == corev1.NodeInclusionPolicyHonor
		}
		if !hard[corev1.LabelTopologyZone] || hard[corev1.LabelHostname] != pool.Broker {
			t.Errorf("pool %s: hard rules %v", pool.Name, hard)
		}
		if len(pool.PodTemplate.Spec.Tolerations) != 1 || pool.PodTemplate.Spec.NodeSelector["dedicated"] != "kafka" {
			t.Errorf("pool %s has no machines of its own", pool.Name)
		}
	}
}
