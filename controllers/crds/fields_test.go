package crds

import (
	"os"
	"path/filepath"
	"slices"
	"testing"

	"sigs.k8s.io/yaml"
)

// generated are the schemas of the CRDs as they are generated.
func generated(t *testing.T) map[string]schema {
	t.Helper()
	paths, err := filepath.Glob("../../config/crd/bases/*.yaml")
	if err != nil || len(paths) != len(kinds) {
		t.Fatalf("%d CRDs (%v)", len(paths), err)
	}
	all := map[string]schema{}
	for _, path := range paths {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		var crd struct {
			Spec struct {
				Names    struct{ Kind string }
				Versions []struct {
					Schema struct {
						OpenAPIV3Schema schema `json:"openAPIV3Schema"`
					}
				}
			}
		}
		if err := yaml.Unmarshal(text, &crd); err != nil {
			t.Fatal(err)
		}
		all[crd.Spec.Names.Kind] = crd.Spec.Versions[0].Schema.OpenAPIV3Schema
	}
	return all
}

func TestTheCRDsOfThisVersionAreWhatTheOperatorKnows(t *testing.T) {
	if d := compare(generated(t)); len(d.foreign)+len(d.missing) > 0 {
		t.Errorf("foreign %v, missing %v", d.foreign, d.missing)
	}
}

func TestCRDsOfAnotherVersionAreTold(t *testing.T) {
	all := generated(t)
	all["KafkaTopic"].Properties["spec"].Properties["tomorrow"] = schema{}
	pools := all["KafkaCluster"].Properties["spec"].Properties["pools"]
	pools.Items.Properties["tomorrow"] = schema{}
	delete(pools.Items.Properties, "jvm")
	delete(all["KafkaCluster"].Properties["status"].Properties, "operator")
	delete(all, "KafkaUser") // is not served
	d := compare(all)
	if want := []string{"KafkaCluster.spec.pools[].tomorrow", "KafkaTopic.spec.tomorrow"}; !slices.Equal(d.foreign, want) {
		t.Errorf("foreign %v, expected %v", d.foreign, want)
	}
	if want := []string{"KafkaCluster.spec.pools[].jvm", "KafkaCluster.status.operator"}; !slices.Equal(d.missing, want) {
		t.Errorf("missing %v, expected %v", d.missing, want)
	}
}
