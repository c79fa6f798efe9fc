// Package argocd has Argo CD's own engine apply, compare, order and prune our objects on a real API server: the code
// by which Argo CD's application controller does it, without its git, Redis and Applications.
package argocd

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/argoproj/argo-cd/gitops-engine/pkg/utils/kube"
	"github.com/argoproj/argo-cd/gitops-engine/pkg/utils/tracing"
	"github.com/go-logr/logr"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"sigs.k8s.io/yaml"
)

const (
	repository = "../../.."
	// manager is Argo CD's name among those who own fields.
	manager = "argocd-controller"
	group   = "kafka.castellan.dev"
)

// control is how Argo CD talks to Kubernetes.
var control = &kube.KubectlCmd{Log: logr.Discard(), Tracer: tracing.NopTracer{}}

var config *rest.Config

// TestMain runs the API server of the local cluster, without nodes and controllers, for all tests.
func TestMain(m *testing.M) {
	code, err := runAll(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, "test/gitops/argocd:", err)
		code = 1
	}
	os.Exit(code)
}

func runAll(m *testing.M) (code int, err error) {
	command := exec.Command("go", "-C", filepath.Join(repository, "hack", "localcluster"), "run", ".", "apiserver")
	if binary := os.Getenv("CASTELLAN_LOCALCLUSTER"); binary != "" {
		command = exec.Command(binary, "apiserver")
	}
	command.Stderr = os.Stderr
	command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // an interrupt ends us, which closes the pipe
	input, err := command.StdinPipe()
	if err != nil {
		return 1, err
	}
	output, err := command.StdoutPipe()
	if err != nil {
		return 1, err
	}
	if err := command.Start(); err != nil {
		return 1, err
	}
	defer func() { err = errors.Join(err, input.Close(), command.Wait()) }()
	path := ""
	lines := bufio.NewScanner(output)
	for lines.Scan() && lines.Text() != "READY" {
		path, _ = strings.CutPrefix(lines.Text(), "KUBECONFIG=")
	}
	go func() { _, _ = io.Copy(io.Discard, output) }()
	if path == "" {
		return 1, errors.New("the API server has not started")
	}
	if config, err = clientcmd.BuildConfigFromFlags("", path); err != nil {
		return 1, err
	}
	config.QPS, config.Burst = 200, 400
	return m.Run(), nil
}

// startOperator builds the operator and runs it beside the API server until the test ends.
func startOperator(t *testing.T) {
	t.Helper()
	folder := t.TempDir()
	program, kubeconfig := filepath.Join(folder, "castellan"), filepath.Join(folder, "kubeconfig")
	build := exec.Command("go", "-C", repository, "build", "-buildvcs=false", "-o", program, ".")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if err := kube.WriteKubeConfig(config, "", kubeconfig); err != nil {
		t.Fatal(err)
	}
	log, err := os.Create(filepath.Join(folder, "log"))
	if err != nil {
		t.Fatal(err)
	}
	command := exec.Command(program, "-metrics-bind-address=0", "-health-probe-bind-address=0")
	command.Env = append(os.Environ(), "KUBECONFIG="+kubeconfig)
	command.Stdout, command.Stderr = log, log
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = command.Process.Signal(syscall.SIGTERM)
		_ = command.Wait() // it was told to end
		if text, _ := os.ReadFile(log.Name()); t.Failed() {
			t.Logf("%s", text[max(0, len(text)-4000):])
		}
	})
}

// files are those of the repository with objects in them.
func files(t *testing.T, pattern string) []string {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(repository, filepath.FromSlash(pattern)))
	paths = slices.DeleteFunc(paths, func(path string) bool { return filepath.Base(path) == "kustomization.yaml" })
	if err != nil || len(paths) == 0 {
		t.Fatalf("no files for %s (error %v)", pattern, err)
	}
	return paths
}

// read returns the objects in files of the repository.
func read(t *testing.T, pattern string) (all []*unstructured.Unstructured) {
	t.Helper()
	for _, path := range files(t, pattern) {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, objects(t, string(text))...)
	}
	return all
}

// objects are those in a text, as Argo CD reads it.
func objects(t *testing.T, text string) []*unstructured.Unstructured {
	t.Helper()
	all, err := kube.SplitYAML([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func crds(t *testing.T) []*unstructured.Unstructured {
	t.Helper()
	return read(t, "config/crd/bases/*.yaml")
}

// apply applies objects in Argo CD's way.
func apply(t *testing.T, onServer bool, all ...*unstructured.Unstructured) {
	t.Helper()
	operations, clean, err := control.ManageResources(config)
	if err != nil {
		t.Fatal(err)
	}
	defer clean()
	for _, o := range all {
		o = o.DeepCopy()
		if _, err := operations.ApplyResource(t.Context(), o, 0, false, true, onServer, manager); err != nil {
			t.Fatalf("apply %s %s: %v", o.GetKind(), o.GetName(), err)
		}
	}
}

// get reads an object from the API server.
func get(ctx context.Context, o *unstructured.Unstructured) (*unstructured.Unstructured, error) {
	return control.GetResource(ctx, config, o.GroupVersionKind(), o.GetName(), o.GetNamespace())
}

// eventually fails when something does not come true.
func eventually(t *testing.T, what string, is func(context.Context) error) {
	t.Helper()
	var last error
	err := wait.PollUntilContextTimeout(t.Context(), 100*time.Millisecond, 3*time.Minute, true,
		func(ctx context.Context) (bool, error) {
			last = is(ctx)
			return last == nil, nil
		})
	if err != nil {
		t.Fatalf("%s: %v (%v)", what, err, last)
	}
}

// installCRDs has the kinds served.
func installCRDs(t *testing.T) {
	t.Helper()
	apply(t, true, crds(t)...)
	for _, kind := range []string{"KafkaCluster", "KafkaTopic", "KafkaUser"} {
		o := &unstructured.Unstructured{}
		o.SetAPIVersion(group + "/v1alpha1")
		o.SetKind(kind)
		o.SetNamespace("default")
		o.SetName("none")
		eventually(t, kind+" is served", func(ctx context.Context) error {
			if _, err := get(ctx, o); err == nil || !strings.Contains(err.Error(), `"none" not found`) {
				return fmt.Errorf("it is not: %w", err)
			}
			return nil
		})
	}
}

// patch merges into an object, or into one of its subresources, as somebody other than Argo CD.
func patch(t *testing.T, o *unstructured.Unstructured, with string, subresources ...string) {
	t.Helper()
	text, err := yaml.YAMLToJSON([]byte(with))
	if err != nil {
		t.Fatal(err)
	}
	_, err = control.PatchResource(t.Context(), config, o.GroupVersionKind(), o.GetName(), o.GetNamespace(),
		"application/merge-patch+json", text, subresources...)
	if err != nil {
		t.Fatal(err)
	}
}

func mustJSON(t *testing.T, o *unstructured.Unstructured) []byte {
	t.Helper()
	text, err := json.Marshal(o)
	if err != nil {
		t.Fatal(err)
	}
	return text
}
