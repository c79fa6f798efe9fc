// Package install holds installations to their word on a real API server that has nothing of ours yet: the chart by
// Helm, from one version to the next and back; several operators side by side, as processes; and other operators' kinds
// beside ours. No node takes part; what only pods can show belongs to test/e2e.
package install

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/wait"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/tools/clientcmd"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/castellan-dev/castellan/api/v1alpha1"
	"github.com/castellan-dev/castellan/test/apiserver"
)

// repository is the top folder of the repository, seen from a test of this package.
const repository = "../../.."

// startTimeout covers a cold start, and patience what an operator does about an object.
const (
	startTimeout = 45 * time.Minute
	patience     = time.Minute
)

var (
	kube       client.Client
	kubeconfig string
)

func TestMain(m *testing.M) {
	code, err := run(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, "test/api/install:", err)
		code = 1
	}
	os.Exit(code)
}

// run is TestMain with an error and with defers that are carried out.
func run(m *testing.M) (code int, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
	defer cancel()
	server, err := apiserver.Start(ctx, repository)
	if err != nil {
		return 1, err
	}
	defer func() { err = errors.Join(err, server.Stop()) }()
	kubeconfig = server.Kubeconfig
	config, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	if err != nil {
		return 1, err
	}
	config.QPS = -1
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{
		clientgoscheme.AddToScheme, apiextensionsv1.AddToScheme, v1alpha1.AddToScheme,
	} {
		if err := add(scheme); err != nil {
			return 1, err
		}
	}
	if kube, err = client.New(config, client.Options{Scheme: scheme}); err != nil {
		return 1, err
	}
	if scratch, err = os.MkdirTemp("", "castellan"); err != nil {
		return 1, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(scratch)) }()
	return m.Run(), nil
}

// program runs a program on the API server, with a home of its own: what it has kept of an earlier test, such as which
// kinds there are, is no part of this one.
func program(t *testing.T, path string, args ...string) (stdout, stderr string, err error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 2*patience) // also when the test ends
	defer cancel()
	command := exec.CommandContext(ctx, path, args...)
	var out, diagnostics bytes.Buffer
	command.Dir, command.Stdout, command.Stderr = repository, &out, &diagnostics
	command.Env = append(os.Environ(), "KUBECONFIG="+kubeconfig, "HOME="+t.TempDir())
	if err = command.Run(); err != nil {
		err = fmt.Errorf("%s %s: %w: %s%s", filepath.Base(path), strings.Join(args, " "), err, &out, &diagnostics)
	}
	return out.String(), diagnostics.String(), err
}

var helmPath = sync.OnceValues(func() (string, error) {
	out, err := exec.Command(filepath.Join(repository, "hack", "tool.sh"), "helm").Output()
	return strings.TrimSpace(string(out)), err
})

func helm(t *testing.T, args ...string) (string, error) {
	t.Helper()
	path, err := helmPath()
	if err != nil {
		t.Fatalf("build helm: %v", err)
	}
	stdout, stderr, err := program(t, path, args...)
	return stdout + stderr, err
}

func mustHelm(t *testing.T, args ...string) string {
	t.Helper()
	out, err := helm(t, args...)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// kubectlPath is the kubectl that the API server brings along: of its own version.
var kubectlPath = sync.OnceValues(func() (string, error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", err
	}
	cache = filepath.Join(cache, "castellan")
	if own := os.Getenv("CASTELLAN_CACHE"); own != "" {
		cache = own
	}
	found, err := filepath.Glob(filepath.Join(cache, "bin", "components-*", "kubectl"))
	if err != nil || len(found) == 0 {
		return "", fmt.Errorf("no kubectl in %s (%w)", cache, err)
	}
	return found[len(found)-1], nil
})

func kubectl(t *testing.T, args ...string) (string, error) {
	t.Helper()
	path, err := kubectlPath()
	if err != nil {
		t.Fatal(err)
	}
	stdout, _, err := program(t, path, args...)
	return stdout, err
}

func mustKubectl(t *testing.T, args ...string) string {
	t.Helper()
	out, err := kubectl(t, args...)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// eventually waits until an error is no more.
func eventually(t *testing.T, what string, holds func() error) {
	t.Helper()
	var last error
	err := wait.PollUntilContextTimeout(t.Context(), 50*time.Millisecond, patience, true,
		func(context.Context) (bool, error) {
			last = holds()
			return last == nil, nil
		})
	if err != nil {
		t.Fatalf("%s: %v", what, last)
	}
}

func makeNamespace(t *testing.T, name string) {
	t.Helper()
	err := kube.Create(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}})
	if client.IgnoreAlreadyExists(err) != nil {
		t.Fatal(err)
	}
}

// withCRDs installs the CRDs for one test.
func withCRDs(t *testing.T) {
	t.Helper()
	if err := apiserver.ApplyCRDs(t.Context(), kube, repository); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { dropCRDs(t, crdNames...) })
}

// dropCRDs removes CRDs, and so every object of their kinds: no finalizer stands in the way, since nothing here has been
// in Kafka.
func dropCRDs(t *testing.T, names ...string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	for _, name := range names {
		crd := &apiextensionsv1.CustomResourceDefinition{ObjectMeta: metav1.ObjectMeta{Name: name}}
		if err := client.IgnoreNotFound(kube.Delete(ctx, crd)); err != nil {
			t.Error(err)
		}
		err := wait.PollUntilContextCancel(ctx, 50*time.Millisecond, true, func(ctx context.Context) (bool, error) {
			err := kube.Get(ctx, client.ObjectKeyFromObject(crd), crd)
			return apierrors.IsNotFound(err), client.IgnoreNotFound(err)
		})
		if err != nil {
			t.Errorf("CRD %s does not go: %v", name, err)
		}
	}
}

var crdNames = []string{
	"kafkaclusters.kafka.castellan.dev", "kafkatopics.kafka.castellan.dev", "kafkausers.kafka.castellan.dev",
}

// statusFields are those that a CRD keeps of a status.
func statusFields(t *testing.T, name string) map[string]apiextensionsv1.JSONSchemaProps {
	t.Helper()
	crd := &apiextensionsv1.CustomResourceDefinition{}
	if err := kube.Get(t.Context(), client.ObjectKey{Name: name}, crd); err != nil {
		t.Fatal(err)
	}
	return crd.Spec.Versions[0].Schema.OpenAPIV3Schema.Properties["status"].Properties
}

// operator is the operator as a process.
type operator struct {
	t       *testing.T
	command *exec.Cmd
	said    *lines
	ended   chan error
}

// lines keeps what a process writes, for who reads it meanwhile.
type lines struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}
func (l *lines) String() string { l.mu.Lock(); defer l.mu.Unlock(); return l.text.String() }

// scratch is a folder for what is built; run removes it.
var scratch string

var binary = sync.OnceValues(func() (string, error) {
	path := filepath.Join(scratch, "castellan")
	command := exec.Command("go", "build", "-trimpath", "-buildvcs=false", "-ldflags=-s -w -buildid=", "-o", path, ".")
	command.Dir, command.Stderr = repository, os.Stderr
	return path, command.Run()
})

// start runs the operator as a release of a namespace would, and ends it with the test.
func start(t *testing.T, namespace, release string, args ...string) *operator {
	t.Helper()
	path, err := binary()
	if err != nil {
		t.Fatalf("build the operator: %v", err)
	}
	o := &operator{t: t, said: &lines{}, ended: make(chan error, 1)}
	o.command = exec.Command(path, append([]string{"--kubeconfig", kubeconfig, "--metrics-bind-address", "0",
		"--health-probe-bind-address", "0",
		"--operator-labels", "app.kubernetes.io/name=castellan,app.kubernetes.io/instance=" + release}, args...)...)
	o.command.Env = append(os.Environ(), "POD_NAMESPACE="+namespace)
	o.command.Stdout, o.command.Stderr = o.said, o.said
	if err := o.command.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { o.ended <- o.command.Wait() }()
	t.Cleanup(func() {
		o.stop()
		if t.Failed() {
			t.Logf("the operator %s/%s:\n%s", namespace, release, o.said)
		}
	})
	return o
}

// stop ends the operator in order, once.
func (o *operator) stop() {
	if o.command == nil {
		return
	}
	_ = o.command.Process.Signal(os.Interrupt)
	if err := <-o.ended; err != nil {
		o.t.Errorf("the operator ended with %v", err)
	}
	o.command = nil
}
