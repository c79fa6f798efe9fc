package install

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/castellan-dev/castellan/api/v1alpha1"
)

// changeCRD changes the schema of a kind. The API server keeps to it a moment later.
func changeCRD(t *testing.T, name string, change func(spec, status map[string]apiextensionsv1.JSONSchemaProps)) {
	t.Helper()
	eventually(t, "CRD "+name+" is changed", func() error {
		crd := &apiextensionsv1.CustomResourceDefinition{}
		if err := kube.Get(t.Context(), client.ObjectKey{Name: name}, crd); err != nil {
			return err
		}
		whole := crd.Spec.Versions[0].Schema.OpenAPIV3Schema.Properties
		change(whole["spec"].Properties, whole["status"].Properties)
		return kube.Update(t.Context(), crd)
	})
}

// A Kubernetes cluster has the CRDs of a newer version, with fields that this operator does not know: it does its work,
// leaves those fields as they are, and says that there are some.
func TestNewerCRDsUnderThisOperator(t *testing.T) {
	withCRDs(t)
	text := apiextensionsv1.JSONSchemaProps{Type: "string"}
	changeCRD(t, crdNames[0], func(spec, status map[string]apiextensionsv1.JSONSchemaProps) {
		pool := spec["pools"]
		pool.Items.Schema.Properties["tomorrow"] = text
		spec["tomorrow"], status["tomorrow"] = text, text
	})
	makeNamespace(t, "newer")
	newer := strings.Replace(oneNode, "replicas: 1,", "replicas: 1, tomorrow: a,", 1) + "  tomorrow: b\n"
	eventually(t, "the API server knows the new fields", func() error {
		o := manifest(t, "newer", newer)
		if value, found, _ := unstructured.NestedString(o.Object, "spec", "tomorrow"); !found || value != "b" {
			if err := kube.Delete(t.Context(), o); err != nil {
				t.Fatal(err)
			}
			return fmt.Errorf("spec.tomorrow is %q", value)
		}
		return nil
	})
	mustKubectl(t, "-n", "newer", "patch", "kafkacluster", "events", "--subresource=status", "--type=merge", "-p",
		`{"status":{"tomorrow":"c"}}`)
	o := start(t, "kafka", "castellan")
	looksAfter(t, "newer", "kafka/castellan")
	eventually(t, "the operator says what it does not know", func() error {
		for _, want := range []string{"fields that this operator does not know", "KafkaCluster.spec.tomorrow",
			"KafkaCluster.spec.pools[].tomorrow", "KafkaCluster.status.tomorrow"} {
			if !strings.Contains(o.said.String(), want) {
				return fmt.Errorf("its log does not say %q", want)
			}
		}
		return nil
	})
	kept := &unstructured.Unstructured{}
	kept.SetGroupVersionKind(v1alpha1.GroupVersion.WithKind("KafkaCluster"))
	if err := kube.Get(t.Context(), client.ObjectKey{Namespace: "newer", Name: "events"}, kept); err != nil {
		t.Fatal(err)
	}
	pools, _, _ := unstructured.NestedSlice(kept.Object, "spec", "pools")
	spec, _, _ := unstructured.NestedString(kept.Object, "spec", "tomorrow")
	if pool := pools[0].(map[string]any)["tomorrow"]; pool != "a" || spec != "b" {
		t.Errorf("the operator has changed fields that it does not know: %v, %q", pool, spec)
	}
	// A change in such a field alone is a new generation, and is taken up like any other.
	mustKubectl(t, "-n", "newer", "patch", "kafkacluster", "events", "--type=merge", "-p", `{"spec":{"tomorrow":"d"}}`)
	looksAfter(t, "newer", "kafka/castellan")
}

// The other way round: somebody has left the CRDs as they were.
func TestOlderCRDsUnderThisOperator(t *testing.T) {
	withCRDs(t)
	changeCRD(t, crdNames[0], func(_, status map[string]apiextensionsv1.JSONSchemaProps) { delete(status, "operator") })
	makeNamespace(t, "older")
	manifest(t, "older", oneNode)
	eventually(t, "the API server keeps no status.operator", func() error {
		c := clusterIn(t, "older")
		for _, value := range []string{"probe", ""} {
			c.Status.Operator = value
			if err := kube.Status().Update(t.Context(), c); err != nil {
				return err
			}
			if c.Status.Operator != value {
				return nil
			}
		}
		return errors.New("it still does")
	})
	o := start(t, "kafka", "castellan")
	looksAfter(t, "older", "") // nothing is on record, and the cluster is looked after all the same
	for _, want := range []string{"keep no status.operator", "KafkaCluster.status.operator"} {
		eventually(t, "the operator says what is missing", func() error {
			if !strings.Contains(o.said.String(), want) {
				return fmt.Errorf("its log does not say %q", want)
			}
			return nil
		})
	}
	// The CRDs of its version are applied, as docs/operators.md has it: it records itself when it is started again.
	mustKubectl(t, "apply", "--server-side", "--force-conflicts", "-k", "config/crd")
	o.stop()
	start(t, "kafka", "castellan")
	looksAfter(t, "older", "kafka/castellan")
}
