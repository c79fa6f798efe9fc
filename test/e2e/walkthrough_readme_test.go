package e2e

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// readmeBlock returns the first block of the README that is fenced for a language, as printed.
func readmeBlock(t *testing.T, language string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(repository, "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, rest, found := strings.Cut(string(text), fence+language+"\n")
	block, _, closed := strings.Cut(rest, fence)
	if !found || !closed {
		t.Fatalf("README.md shows no %s", language)
	}
	return block
}

func TestWalkthrough_TheReadmesManifestsAreAccepted(t *testing.T) {
	promise(t)
	kinds := []string{}
	for document := range strings.SplitSeq(readmeBlock(t, "yaml"), "\n---\n") {
		o, err := decode(document)
		if err != nil {
			t.Fatal(err)
		}
		o.SetNamespace(metav1.NamespaceDefault)
		if err := kube.Create(t.Context(), o, client.DryRunAll, client.FieldValidation(metav1.FieldValidationStrict)); err != nil {
			t.Errorf("%s %s: %v", o.GetKind(), o.GetName(), err)
		}
		kinds = append(kinds, o.GetKind())
	}
	if want := []string{"KafkaCluster", "KafkaTopic", "KafkaUser"}; !slices.Equal(kinds, want) {
		t.Errorf("kinds %v, expected %v", kinds, want)
	}
}

// readmeNamespace is the one that the README's manifests name.
const readmeNamespace = "kafka"

// TestWalkthrough_TheReadmesProgramRunsAsPrinted applies the README's manifests and runs its program, both as they
// stand there. The program sees what a pod sees: the Secret at /binding, and the cluster's DNS.
func TestWalkthrough_TheReadmesProgramRunsAsPrinted(t *testing.T) {
	promise(t)
	if !isLocal() {
		t.Skip("the pods of this cluster cannot be reached from here")
	}
	python, err := script(t.Context(), "-c", "cd hack/demo && go run . python")
	if err != nil {
		skipNotRun(t, "the Python client library cannot be installed: %v", err)
	}
	makeReadmeNamespace(t)
	path, err := kubectlPath()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := run(t.Context(), []byte(readmeBlock(t, "yaml")), path, "apply", "--server-side", "-f", "-"); err != nil {
		t.Fatal(err)
	}
	waitReady(t, 5*time.Minute, clusterNamed(readmeNamespace, "events"))
	waitReady(t, time.Minute, topicNamed(readmeNamespace, "orders"))
	waitReady(t, time.Minute, userNamed(readmeNamespace, "app"))

	runAsInPod(t, python, readmeBlock(t, "python"), secretOf(t, readmeNamespace, "app"))
	ctx, cancel := context.WithTimeout(t.Context(), pace.Of(time.Minute))
	defer cancel()
	if found := readAll(ctx, t, loginOf(t, readmeNamespace, "app"), "orders"); len(found) != 1 ||
		found["customer-1"].offset != 0 {
		t.Errorf("the program has left %v in the topic, expected the record customer-1", found)
	}
}

func makeReadmeNamespace(t *testing.T) {
	t.Helper()
	ns := &corev1.Namespace{
		ObjectMeta: metav1.ObjectMeta{Name: readmeNamespace, Labels: map[string]string{labelOurs: "true"}},
	}
	if err := kube.Create(t.Context(), ns); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		artifacts.collectIfFailed(t, readmeNamespace)
		ctx, cancel := context.WithTimeout(context.Background(), pace.Of(3*time.Minute))
		defer cancel()
		if err := removeNamespace(ctx, readmeNamespace); err != nil {
			t.Errorf("clean up: %v", err)
		}
	})
}

// runAsInPod runs a Python program in a mount namespace of its own, where /binding is a Secret and names are looked up
// in the cluster.
func runAsInPod(t *testing.T, python, program string, binding *corev1.Secret) {
	t.Helper()
	const mountPoint = "/binding"
	dir := t.TempDir()
	write := func(name string, content []byte) {
		file := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for key, value := range binding.Data {
		write("binding/"+key, value)
	}
	dns := &corev1.Service{}
	if err := kube.Get(t.Context(), client.ObjectKey{Namespace: "kube-system", Name: "kube-dns"}, dns); err != nil {
		t.Fatal(err)
	}
	write("resolv.conf", []byte("nameserver "+dns.Spec.ClusterIP+"\n"))
	write("program.py", []byte(program))
	if err := os.Mkdir(mountPoint, 0o700); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.Remove(mountPoint) })
	ctx, cancel := context.WithTimeout(t.Context(), pace.Of(2*time.Minute))
	defer cancel()
	const inPod = `mount --bind "$1/binding" "$2" && mount --bind "$1/resolv.conf" /etc/resolv.conf && exec "$3" ` +
		`"$1/program.py"`
	out, err := run(ctx, nil, "unshare", "--mount", "bash", "-c", inPod, "bash", dir, mountPoint, python)
	if err != nil {
		t.Fatalf("the README's program: %v", err)
	}
	say(t, "the README's program ends well: %s", out)
}
