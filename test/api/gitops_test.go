package api

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// Whoever compares files with what the server has finds every value as it was written: none is dropped because it says
// the default or nothing, and none is written in another way. CRDs of other operators showed as changed for ever.
func TestTheServerKeepsEveryValueOfTheFiles(t *testing.T) {
	var paths []string
	for _, pattern := range []string{"crd/bases/*.yaml", "samples/*.yaml", "samples/gitops/kafka/*.yaml"} {
		found, err := filepath.Glob(filepath.Join(repository, "config", filepath.FromSlash(pattern)))
		if err != nil || len(found) == 0 {
			t.Fatalf("no files for %s (error %v)", pattern, err)
		}
		paths = append(paths, found...)
	}
	for _, path := range paths {
		if filepath.Base(path) == "kustomization.yaml" {
			continue
		}
		t.Run(filepath.Base(path), func(t *testing.T) {
			for _, u := range documents(t, path) {
				ensureNamespace(t.Context(), u)
				live := u.DeepCopy()
				err := kube.Apply(t.Context(), client.ApplyConfigurationFromUnstructured(live), client.FieldOwner("gitops"),
					client.ForceOwnership, client.DryRunAll)
				if err != nil {
					t.Fatal(err)
				}
				for _, difference := range lost(u.GetKind()+" "+u.GetName(), u.Object, live.Object) {
					t.Error(difference)
				}
			}
		})
	}
}

func documents(t *testing.T, path string) (all []*unstructured.Unstructured) {
	t.Helper()
	file, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	for decoder := utilyaml.NewYAMLOrJSONDecoder(file, 4096); ; {
		u := &unstructured.Unstructured{}
		if err := decoder.Decode(u); errors.Is(err, io.EOF) {
			return all
		} else if err != nil {
			t.Fatal(err)
		}
		all = append(all, u)
	}
}

// lost names what is in a file and not, or not so, in the object; what the object has besides is no matter.
func lost(path string, file, live any) (all []string) {
	switch file := file.(type) {
	case map[string]any:
		live, ok := live.(map[string]any)
		if !ok {
			return []string{path + " is lost"}
		}
		for key, value := range file {
			all = append(all, lost(path+"."+key, value, live[key])...)
		}
	case []any:
		live, ok := live.([]any)
		if !ok || len(live) != len(file) {
			return []string{fmt.Sprintf("%s has other entries: %v became %v", path, file, live)}
		}
		for i := range file {
			all = append(all, lost(fmt.Sprintf("%s[%d]", path, i), file[i], live[i])...)
		}
	default:
		if !reflect.DeepEqual(file, live) {
			return []string{fmt.Sprintf("%s: %v became %v", path, file, live)}
		}
	}
	return all
}
