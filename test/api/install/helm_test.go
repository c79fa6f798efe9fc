package install

import (
	"maps"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

var (
	chart         = filepath.Join("charts", "castellan")
	previousChart = filepath.Join("test", "api", "install", "testdata", "castellan-0.0.1.tgz")
)

const system = "castellan-system"

func deployment(t *testing.T, namespace, name string) (*appsv1.Deployment, bool) {
	t.Helper()
	d := &appsv1.Deployment{}
	err := kube.Get(t.Context(), client.ObjectKey{Namespace: namespace, Name: name}, d)
	if client.IgnoreNotFound(err) != nil {
		t.Fatal(err)
	}
	return d, err == nil
}

// keeps checks that three objects of ours are what they were: nothing was deleted and made again, or changed.
func keeps(t *testing.T, when string, was map[string]string) {
	t.Helper()
	if is := versions(t, "kafka"); !maps.Equal(is, was) {
		t.Errorf("%s the objects are %v, and were %v", when, is, was)
	}
}

func TestTheChartIsUpgradedInPlaceAndRolledBack(t *testing.T) {
	t.Cleanup(func() { dropCRDs(t, crdNames...) })
	mustHelm(t, "install", "castellan", previousChart, "--namespace", system, "--create-namespace")
	t.Cleanup(func() { _, _ = helm(t, "uninstall", "castellan", "--namespace", system, "--ignore-not-found") })
	if _, kept := statusFields(t, crdNames[0])["operator"]; kept {
		t.Fatal("the previous chart has the field already: it is not the previous one")
	}
	makeNamespace(t, "kafka")
	manifest(t, "kafka", oneNode)
	manifest(t, "kafka", oneTopic)
	manifest(t, "kafka", oneUser)
	was := versions(t, "kafka")

	upgrade := func() { mustHelm(t, "upgrade", "castellan", chart, "--namespace", system) }
	upgrade()
	for _, name := range crdNames {
		if _, kept := statusFields(t, name)["operator"]; !kept {
			t.Errorf("helm upgrade has left CRD %s as it was", name)
		}
	}
	keeps(t, "after the upgrade", was)
	first, _ := deployment(t, system, "castellan")
	upgrade()
	if again, _ := deployment(t, system, "castellan"); again.Generation != first.Generation {
		t.Errorf("the same chart again changes the Deployment: generation %d, was %d", again.Generation, first.Generation)
	}

	mustHelm(t, "rollback", "castellan", "1", "--namespace", system)
	if _, kept := statusFields(t, crdNames[0])["operator"]; kept {
		t.Error("helm rollback leaves the CRDs as they were")
	}
	keeps(t, "after the rollback", was)
	upgrade()
	keeps(t, "after the second upgrade", was)

	out := mustHelm(t, "uninstall", "castellan", "--namespace", system)
	if !strings.Contains(out, "kept due to the resource policy") {
		t.Errorf("helm does not say that it keeps the CRDs: %s", out)
	}
	if _, there := deployment(t, system, "castellan"); there {
		t.Error("the operator is still there")
	}
	keeps(t, "after the uninstallation", was)
	mustHelm(t, "install", "castellan", chart, "--namespace", system)
	keeps(t, "after the installation under the same names", was)
}

// What is left of a release belongs to a release of the same name and namespace, as Helm has it.
func TestAReleaseOfOtherNamesBesideKeptCRDs(t *testing.T) {
	t.Cleanup(func() { dropCRDs(t, crdNames...) })
	mustHelm(t, "install", "castellan", chart, "--namespace", system, "--create-namespace")
	mustHelm(t, "uninstall", "castellan", "--namespace", system)
	_, err := helm(t, "install", "kafka-operator", chart, "--namespace", "platform", "--create-namespace")
	if err == nil || !strings.Contains(err.Error(), "meta.helm.sh/release-name") {
		t.Fatalf("CRDs of another release: %v", err)
	}
	// As docs/operators.md has it.
	mustHelm(t, "install", "kafka-operator", chart, "--namespace", "platform", "--create-namespace", "--take-ownership",
		"--set", "succeeds={castellan-system/castellan}")
	t.Cleanup(func() { _, _ = helm(t, "uninstall", "kafka-operator", "--namespace", "platform") })
	d, _ := deployment(t, "platform", "kafka-operator")
	if args := d.Spec.Template.Spec.Containers[0].Args; !slices.Contains(args, "--succeeds=castellan-system/castellan") {
		t.Errorf("its operator is started with %q", args)
	}
	mustHelm(t, "upgrade", "kafka-operator", chart, "--namespace", "platform", "--reuse-values")
}

// What another tool has written on kept CRDs, as Flux does with the version of the chart, is in the way until Helm is told
// to take it over, as docs/gitops.md has it.
func TestHelmTakesKeptCRDsOverFromFlux(t *testing.T) {
	t.Cleanup(func() { dropCRDs(t, crdNames...) })
	mustHelm(t, "install", "castellan", chart, "--namespace", system, "--create-namespace")
	mustHelm(t, "uninstall", "castellan", "--namespace", system)
	for _, name := range crdNames {
		mustKubectl(t, "label", "crd", name, "helm.sh/chart=castellan-0.1.1_f00", "--overwrite",
			"--field-manager=helm-controller")
	}
	again := []string{"upgrade", "--install", "castellan", chart, "--namespace", system}
	t.Cleanup(func() { _, _ = helm(t, "uninstall", "castellan", "--namespace", system, "--ignore-not-found") })
	if _, err := helm(t, again...); err == nil || !strings.Contains(err.Error(), `conflict with "helm-controller"`) {
		t.Fatalf("fields of another manager: %v", err)
	}
	mustHelm(t, append(again, "--force-conflicts")...)
}

// Two releases with disjoint namespaces: the second leaves the CRDs to the first, and no object of theirs meets.
func TestTwoReleasesWithDisjointNamespaces(t *testing.T) {
	t.Cleanup(func() { dropCRDs(t, crdNames...) })
	for _, namespace := range []string{"orders", "payments"} {
		makeNamespace(t, namespace)
	}
	mustHelm(t, "install", "one", chart, "--namespace", "operators", "--create-namespace",
		"--set", "watchNamespaces={orders}")
	t.Cleanup(func() { _, _ = helm(t, "uninstall", "one", "--namespace", "operators") })
	mustHelm(t, "install", "two", chart, "--namespace", "operators", "--set", "watchNamespaces={payments}",
		"--set", "crds.install=false")
	mustHelm(t, "uninstall", "two", "--namespace", "operators")
	if _, there := deployment(t, "operators", "one"); !there {
		t.Error("the first release has lost its operator")
	}
	statusFields(t, crdNames[0])
}

// What is asked of Helm and cannot be, with the words that docs/operators.md quotes.
func TestWhatHelmSaysOfAnInstallationThatCannotBe(t *testing.T) {
	// A registry that has the repository, and no chart of this version.
	registry := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/v2/" {
			return
		}
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusNotFound)
		if _, err := w.Write([]byte(`{"errors":[{"code":"MANIFEST_UNKNOWN","message":"manifest unknown"}]}`)); err != nil {
			t.Error(err)
		}
	}))
	defer registry.Close()
	at := strings.TrimPrefix(registry.URL, "http://")
	for name, test := range map[string]struct {
		args []string
		says string
	}{
		"a misspelt value": {[]string{"upgrade", "--install", "castellan", chart, "--set", "watchNamespace={kafka}"},
			"additional properties 'watchNamespace' not allowed"},
		"a version that does not exist": {[]string{"install", "castellan", "oci://" + at + "/charts/castellan",
			"--version", "9.9.9", "--plain-http"}, at + "/charts/castellan:9.9.9: not found"},
		"a registry where nothing answers": {[]string{"install", "castellan", "oci://127.0.0.1:1/charts/castellan",
			"--version", "9.9.9", "--plain-http"}, "connection refused"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := helm(t, append(test.args, "--namespace", "never", "--create-namespace")...)
			if err == nil || !strings.Contains(err.Error(), test.says) {
				t.Errorf("helm says %v", err)
			}
			never := &corev1.Namespace{}
			if err := kube.Get(t.Context(), client.ObjectKey{Name: "never"}, never); !apierrors.IsNotFound(err) {
				t.Errorf("something was made of it: %v", err)
			}
		})
	}
}
