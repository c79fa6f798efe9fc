package e2e

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"
)

// labelOurs marks the namespaces that this suite made, so that a later run can remove what an interrupted one left.
const labelOurs = "castellan-e2e"

// makeNamespace makes a namespace that admits restricted pods only.
func makeNamespace(ctx context.Context) (string, error) {
	ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{
		GenerateName: "e2e-",
		Labels:       map[string]string{labelOurs: "true", "pod-security.kubernetes.io/enforce": "restricted"},
	}}
	err := kube.Create(ctx, ns)
	return ns.Name, err
}

// newNamespace makes a namespace of the case's own, which goes, with all that is in it, when the case ends.
func newNamespace(t *testing.T) string {
	t.Helper()
	name, err := makeNamespace(t.Context())
	if err != nil {
		t.Fatalf("create a namespace: %v", err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			artifacts.collect(t, name)
			if os.Getenv("CASTELLAN_E2E_KEEP") != "" {
				t.Logf("namespace %s is kept", name)
				return
			}
		}
		ctx, cancel := context.WithTimeout(context.Background(), pace.Of(3*time.Minute))
		defer cancel()
		if err := removeNamespace(ctx, name); err != nil {
			t.Errorf("clean up: %v", err)
		}
	})
	say(t, "namespace %s", name)
	return name
}

// removeNamespace deletes a namespace and waits until it is gone: that it goes is itself a promise.
func removeNamespace(ctx context.Context, name string) error {
	ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}}
	if err := kube.Delete(ctx, ns); client.IgnoreNotFound(err) != nil {
		return err
	}
	return waitGone(ctx, ns)
}

// waitGone waits until an object does not exist.
func waitGone(ctx context.Context, o client.Object) error {
	var last error
	for {
		last = kube.Get(ctx, client.ObjectKeyFromObject(o), o)
		if apierrors.IsNotFound(last) {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf(
				"%T %s is still there (finalizers %v, last answer: %w)",
				o,
				o.GetName(),
				o.GetFinalizers(),
				errors.Join(last, ctx.Err()),
			)
		case <-time.After(pollInterval):
		}
	}
}

// removeLeftovers removes the namespaces of an interrupted run.
func removeLeftovers(ctx context.Context) error {
	var list corev1.NamespaceList
	if err := kube.List(ctx, &list, client.HasLabels{labelOurs}); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, pace.Of(5*time.Minute))
	defer cancel()
	for i := range list.Items {
		if err := removeNamespace(ctx, list.Items[i].Name); err != nil {
			return fmt.Errorf("remove what an interrupted run left: %w", err)
		}
	}
	return nil
}

// apply applies documents of YAML in a namespace, as a user with kubectl apply --server-side would.
func apply(t *testing.T, namespace, documents string) {
	t.Helper()
	if err := tryApply(t.Context(), namespace, documents); err != nil {
		t.Fatal(err)
	}
}

func tryApply(ctx context.Context, namespace, documents string) error {
	for document := range strings.SplitSeq(documents, "\n---\n") {
		u, err := decode(document)
		if err != nil {
			return err
		}
		if u.GetAPIVersion() == "" {
			u.SetAPIVersion("kafka.castellan.dev/v1alpha1")
		}
		u.SetNamespace(namespace)
		err = kube.Apply(ctx, client.ApplyConfigurationFromUnstructured(u), client.FieldOwner("e2e"), client.ForceOwnership)
		if err != nil {
			return fmt.Errorf("apply %s %s: %w", u.GetKind(), u.GetName(), err)
		}
	}
	return nil
}

func decode(document string) (*unstructured.Unstructured, error) {
	u := &unstructured.Unstructured{}
	if err := yaml.UnmarshalStrict([]byte(document), &u.Object); err != nil {
		return nil, fmt.Errorf("%w in\n%s", err, document)
	}
	return u, nil
}

// change alters the spec of a live object and retries when somebody else has written it meanwhile.
func change[O object](t *testing.T, o O, alter func(O)) {
	t.Helper()
	if err := tryChange(t.Context(), o, alter); err != nil {
		t.Fatalf("change %s %s: %v", kindOf(o), o.GetName(), err)
	}
}

func tryChange[O object](ctx context.Context, o O, alter func(O)) error {
	for {
		if err := refresh(ctx, o); err != nil {
			return err
		}
		alter(o)
		err := kube.Update(ctx, inner(o), client.FieldValidation(metav1.FieldValidationStrict))
		if !apierrors.IsConflict(err) {
			return err
		}
	}
}

func missingIn(text string, words []string) string {
	for _, word := range words {
		if !strings.Contains(text, word) {
			return word
		}
	}
	return ""
}
