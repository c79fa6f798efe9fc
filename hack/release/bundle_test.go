package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

// installed are the objects of the chart by default, as the golden file has them.
func installed(t *testing.T) []object {
	t.Helper()
	golden, err := os.ReadFile(filepath.Join(repository, "test", "chart", "testdata", "cluster-wide.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	objects, err := parseObjects(golden)
	if err != nil {
		t.Fatal(err)
	}
	return objects
}

func TestTheBundleInstallsWhatTheChartInstalls(t *testing.T) {
	r := sample(t)
	withImages(t, r)
	chart, err := readChart(filepath.Join(repository, "charts", product))
	if err != nil {
		t.Fatal(err)
	}
	objects := installed(t)
	made, err := r.serviceVersion(chart, objects)
	if err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(made)
	if err != nil {
		t.Fatal(err)
	}
	type permission struct {
		ServiceAccountName string
		Rules              []any
	}
	var csv struct {
		Metadata struct{ Annotations map[string]string }
		Spec     struct {
			MinKubeVersion string
			Install        struct {
				Spec struct {
					Deployments []struct {
						Name string
						Spec object
					}
					ClusterPermissions, Permissions []permission
				}
			}
		}
	}
	if err := json.Unmarshal(text, &csv); err != nil {
		t.Fatal(err)
	}
	install := csv.Spec.Install.Spec
	deployment, err := find(objects, "Deployment", product)
	if err != nil {
		t.Fatal(err)
	}
	if len(install.Deployments) != 1 || !reflect.DeepEqual(install.Deployments[0].Spec, deployment["spec"]) {
		t.Errorf("%v\nis not the chart's\n%v", install.Deployments, deployment["spec"])
	}
	// Every bound role of the chart is a permission of the bundle, rule by rule.
	var want []any
	for _, o := range objects {
		if kind := o["kind"]; (kind == "Role" || kind == "ClusterRole") && !strings.HasSuffix(nameOf(o), "-metrics-reader") {
			want = append(want, rulesOf(o)...)
		}
	}
	var got []any
	for _, p := range append(install.ClusterPermissions, install.Permissions...) {
		if p.ServiceAccountName != "castellan" {
			t.Errorf("permissions of %q", p.ServiceAccountName)
		}
		got = append(got, p.Rules...)
	}
	if len(got) != len(want) {
		t.Errorf("%d rules, the chart has %d", len(got), len(want))
	}
	for _, rule := range want {
		if !contains(got, rule) {
			t.Errorf("the bundle lacks %v", rule)
		}
	}
	if csv.Spec.MinKubeVersion != "1.35.0" {
		t.Errorf("minKubeVersion is %s", csv.Spec.MinKubeVersion)
	}
	var examples []object
	err = json.Unmarshal([]byte(csv.Metadata.Annotations["alm-examples"]), &examples)
	if err != nil || len(examples) != 3 {
		t.Errorf("examples %v %v", examples, err)
	}
}

func contains(all []any, one any) bool {
	for _, a := range all {
		if reflect.DeepEqual(a, one) {
			return true
		}
	}
	return false
}

func TestABundleNeedsEveryPartOfTheChart(t *testing.T) {
	r := sample(t)
	withImages(t, r)
	chart, err := readChart(filepath.Join(repository, "charts", product))
	if err != nil {
		t.Fatal(err)
	}
	var without []object
	for _, o := range installed(t) {
		if !strings.HasSuffix(nameOf(o), "-metrics-auth") {
			without = append(without, o)
		}
	}
	if _, err := r.serviceVersion(chart, without); err == nil || !strings.Contains(err.Error(), "-metrics-auth") {
		t.Error(err)
	}
}
