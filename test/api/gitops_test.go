package api

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"testing"

	corev1 "k8s.io/api/core/v1"
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

// The page's commands for Argo CD, as they are printed: the health checks come to settings that are there, and leave
// those alone. The kind Application is a stand-in, which takes any field.
func TestTheCommandsForArgoCD(t *testing.T) {
	blocks := blocksOf(t, "gitops.md", "sh api")
	const argocd = `
kubectl create namespace argocd
kubectl apply --server-side -f - <<'EOF'
apiVersion: v1
kind: ConfigMap
metadata: {name: argocd-cm, namespace: argocd}
data: {url: "https://argocd.example.com"}
---
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: applications.argoproj.io}
spec:
  group: argoproj.io
  names: {kind: Application, plural: applications}
  scope: Namespaced
  versions:
  - name: v1alpha1
    served: true
    storage: true
    schema: {openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}}
EOF
kubectl wait crd/applications.argoproj.io --for=condition=Established --timeout=1m
`
	for _, block := range append([]string{argocd}, blocks...) {
		if out, err := server.Shell(t.Context(), repository, block); err != nil {
			t.Fatalf("%s: %s", block, out)
		}
	}
	settings := &corev1.ConfigMap{}
	if err := kube.Get(t.Context(), client.ObjectKey{Namespace: "argocd", Name: "argocd-cm"}, settings); err != nil {
		t.Fatal(err)
	}
	if settings.Data["url"] != "https://argocd.example.com" || len(settings.Data) != 1+len(kinds) {
		t.Errorf("the settings of Argo CD have %d keys, expected one of its own and one for each kind", len(settings.Data))
	}
}
