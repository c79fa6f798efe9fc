package apiserver

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/wait"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"github.com/castellan-dev/castellan/api/v1alpha1"
)

// CRDFiles returns the generated CRDs, by path.
func CRDFiles(repository string) (map[string][]byte, error) {
	paths, err := filepath.Glob(filepath.Join(repository, "config", "crd", "bases", "*.yaml"))
	if err != nil {
		return nil, err
	}
	files := map[string][]byte{}
	for _, path := range paths {
		if files[path], err = os.ReadFile(path); err != nil {
			return nil, err
		}
	}
	if len(files) != 3 {
		return nil, fmt.Errorf("config/crd/bases holds %d CRDs, expected 3", len(files))
	}
	return files, nil
}

// ApplyCRDs installs the CRDs by server-side apply and waits until their objects can be written. The client must know
// the kind CustomResourceDefinition.
func ApplyCRDs(ctx context.Context, kube client.Client, repository string) error {
	files, err := CRDFiles(repository)
	if err != nil {
		return err
	}
	for path, content := range files {
		crd := &unstructured.Unstructured{}
		if err := yaml.Unmarshal(content, &crd.Object); err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
		if err := kube.Apply(ctx, client.ApplyConfigurationFromUnstructured(crd), client.FieldOwner("test")); err != nil {
			return fmt.Errorf("apply %s: %w", path, err)
		}
		if err := waitEstablished(ctx, kube, crd.GetName()); err != nil {
			return err
		}
	}
	return nil
}

func waitEstablished(ctx context.Context, kube client.Client, name string) error {
	var seen []apiextensionsv1.CustomResourceDefinitionCondition
	err := wait.PollUntilContextTimeout(
		ctx,
		50*time.Millisecond,
		30*time.Second,
		true,
		func(ctx context.Context) (bool, error) {
			crd := &apiextensionsv1.CustomResourceDefinition{}
			if err := kube.Get(ctx, client.ObjectKey{Name: name}, crd); err != nil {
				return false, err
			}
			seen = crd.Status.Conditions
			for _, c := range seen {
				if c.Type == apiextensionsv1.Established && c.Status == apiextensionsv1.ConditionTrue {
					return served(ctx, kube, crd), nil
				}
			}
			return false, nil
		},
	)
	if err != nil {
		return fmt.Errorf("CRD %s is not served: %w; its conditions: %+v", name, err, seen)
	}
	return nil
}

// served tells whether the handler of a CRD's objects is in place, which follows its condition by a moment.
func served(ctx context.Context, kube client.Client, crd *apiextensionsv1.CustomResourceDefinition) bool {
	list := &unstructured.UnstructuredList{}
	list.SetGroupVersionKind(v1alpha1.GroupVersion.WithKind(crd.Spec.Names.ListKind))
	return kube.List(ctx, list) == nil
}
