package e2e

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http/cgi"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/apiutil"

	"github.com/castellan-dev/castellan/api/v1alpha1"
)

// What the files in config/samples/gitops name, and where what they lead to is in the tests.
const (
	gitopsSamples  = "config/samples/gitops"
	sampleGit      = "https://git.example.com/"
	sampleRegistry = "registry.example.com/"
)

// fleetRepository is a user's git repository, served over HTTP on loopback by git's own program.
type fleetRepository struct {
	work, url string
}

// newFleet makes the repository with the folders castellan, kafka and app of the samples.
func newFleet(t *testing.T, alter func(text string) string) *fleetRepository {
	t.Helper()
	root := t.TempDir()
	served, work := filepath.Join(root, "served"), filepath.Join(root, "work")
	core, err := run(t.Context(), nil, "git", "--exec-path")
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(&cgi.Handler{
		Path: filepath.Join(strings.TrimSpace(core), "git-http-backend"),
		Env:  []string{"GIT_PROJECT_ROOT=" + served, "GIT_HTTP_EXPORT_ALL=1"},
	})
	t.Cleanup(server.Close)
	f := &fleetRepository{work: work, url: server.URL + "/fleet.git"}
	f.git(t, root, "init", "--quiet", "--bare", "--initial-branch=main", filepath.Join(served, "fleet.git"))
	f.git(t, root, "init", "--quiet", "--initial-branch=main", work)
	f.git(t, work, "remote", "add", "origin", filepath.Join(served, "fleet.git"))
	for _, folder := range []string{"castellan", "kafka", "app"} {
		from := filepath.Join(repository, gitopsSamples, folder)
		if err := os.CopyFS(filepath.Join(work, folder), os.DirFS(from)); err != nil {
			t.Fatal(err)
		}
	}
	f.edit(t, "castellan/release.yaml", alter)
	f.commit(t, "Begin")
	return f
}

// edit changes one file without a commit.
func (f *fleetRepository) edit(t *testing.T, name string, alter func(text string) string) {
	t.Helper()
	path := filepath.Join(f.work, name)
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	altered := alter(string(text))
	if altered == string(text) {
		t.Fatalf("%s is not changed:\n%s", name, text)
	}
	if err := os.WriteFile(path, []byte(altered), 0o644); err != nil {
		t.Fatal(err)
	}
}

// commit pushes all that was edited and returns the commit.
func (f *fleetRepository) commit(t *testing.T, message string) string {
	t.Helper()
	f.git(t, f.work, "add", "--all")
	who := []string{"-c", "user.name=e2e", "-c", "user.email=e2e@example.com"}
	f.git(t, f.work, append(who, "commit", "--quiet", "--message", message)...)
	f.git(t, f.work, "push", "--quiet", "origin", "main")
	id := f.git(t, f.work, "rev-parse", "HEAD")
	say(t, "commit %.8s: %s", id, message)
	return id
}

func (f *fleetRepository) git(t *testing.T, folder string, args ...string) string {
	t.Helper()
	out, err := run(t.Context(), nil, "git", append([]string{"-C", folder}, args...)...)
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(out)
}

// clusterRegistry is the registry of the local cluster, which speaks HTTP.
func clusterRegistry(t *testing.T) string {
	t.Helper()
	at, err := url.Parse(restConfig.Host)
	if err != nil {
		t.Fatal(err)
	}
	return net.JoinHostPort(at.Hostname(), "5000")
}

// pushChart packs the chart under a version, with its CRDs changed, and pushes it to the cluster's registry.
func pushChart(t *testing.T, helm, version string, alterCRD func(text string) string) {
	t.Helper()
	folder := t.TempDir()
	chart, ours := filepath.Join(folder, "castellan"), filepath.Join(repository, "charts", "castellan")
	if err := os.CopyFS(chart, os.DirFS(ours)); err != nil {
		t.Fatal(err)
	}
	crd := filepath.Join(chart, "files", "crds", "kafka.castellan.dev_kafkatopics.yaml")
	text, err := os.ReadFile(crd)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(crd, []byte(alterCRD(string(text))), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := run(t.Context(), nil, helm, "package", chart, "--version", version, "--destination", folder); err != nil {
		t.Fatal(err)
	}
	to := "oci://" + clusterRegistry(t) + "/charts"
	file := filepath.Join(folder, "castellan-"+version+".tgz")
	if _, err := run(t.Context(), nil, helm, "push", file, to, "--plain-http"); err != nil {
		t.Fatal(err)
	}
}

// handOver takes the operator away that the suite installed, so that a tool can install it, and brings it back at the
// end. It returns the operator's image.
func handOver(t *testing.T, helm string) (image string) {
	t.Helper()
	image = operator(t).Spec.Template.Spec.Containers[0].Image
	if _, err := run(t.Context(), nil, helm, "uninstall", release, "--namespace", releaseNamespace, "--wait"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), pace.Of(8*time.Minute))
		defer cancel()
		artifacts.collectIfFailed(t, sampleNamespace)
		err := removeUnlessReleased(ctx, helm)
		// Fields of the CRDs belong to the tool. Its release, where that is left, was made by Helm 3: without a word from us
		// Helm goes on as that did, from the client's side.
		if err := errors.Join(err, upgradeOperator(ctx, image, "--server-side=true", "--force-conflicts")); err != nil {
			t.Errorf("put the operator back: %v", err)
		}
		for _, kind := range []string{"kafkatopics", "kafkausers", "kafkaclusters"} {
			_, err := kubectl(ctx, "-n", sampleNamespace, "delete", kind+"."+kafkaGroup, "--all", "--timeout=2m")
			if err != nil {
				t.Error(err)
			}
		}
		if err := removeNamespace(ctx, sampleNamespace); err != nil {
			t.Error(err)
		}
	})
	return image
}

// removeUnlessReleased removes an operator that another tool has installed, which Helm would not take over.
func removeUnlessReleased(ctx context.Context, helm string) error {
	if _, err := run(ctx, nil, helm, "status", release, "--namespace", releaseNamespace); err == nil {
		return nil
	}
	chart, err := run(ctx, nil, helm, "template", release, "charts/castellan", "--namespace", releaseNamespace,
		"--set=crds.install=false")
	if err != nil {
		return err
	}
	path, err := kubectlPath()
	if err != nil {
		return err
	}
	_, err = run(ctx, []byte(chart), path, "delete", "--ignore-not-found", "-n", releaseNamespace, "-f", "-")
	return err
}

const sampleNamespace, kafkaGroup = "kafka", "kafka.castellan.dev"

// startTool runs a program beside the cluster, whose kubeconfig it has, until the case ends.
func startTool(t *testing.T, name, program string, env []string, args ...string) {
	t.Helper()
	command := exec.Command(program, args...)
	command.Env = append(append(os.Environ(), "KUBECONFIG="+kubeconfig), env...)
	log, err := os.Create(filepath.Join(t.TempDir(), name+".log"))
	if err != nil {
		t.Fatal(err)
	}
	command.Stdout, command.Stderr = log, log
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = command.Wait() // it is ended by a signal
	}()
	t.Cleanup(func() {
		_ = command.Process.Signal(os.Interrupt)
		select {
		case <-ended:
		case <-time.After(pace.Of(20 * time.Second)):
			_ = command.Process.Kill()
			<-ended
		}
		if text, _ := os.ReadFile(log.Name()); t.Failed() {
			t.Logf("%s: %s", name, tail(string(text)))
		}
	})
}

// freeAddress is an address on loopback that nobody listens on.
func freeAddress(t *testing.T) string {
	t.Helper()
	listening, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listening.Close()
	return listening.Addr().String()
}

// awaitKinds waits until whoever starts now finds some kinds: the API server tells of a new one after it has taken it.
func awaitKinds(t *testing.T, kinds ...schema.GroupVersionKind) {
	t.Helper()
	eventually(t, time.Minute, "the API server tells of the kinds", func(context.Context) error {
		over, err := rest.HTTPClientFor(restConfig)
		if err != nil {
			return err
		}
		mapper, err := apiutil.NewDynamicRESTMapper(restConfig, over) // one that has asked nothing yet
		for _, kind := range kinds {
			if err == nil {
				_, err = mapper.RESTMapping(kind.GroupKind(), kind.Version)
			}
		}
		return err
	})
}

// applySample applies a file of the samples as a user would who has put in where things are.
func applySample(t *testing.T, name string, alter *strings.Replacer) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(repository, gitopsSamples, name))
	if err != nil {
		t.Fatal(err)
	}
	path, err := kubectlPath()
	if err != nil {
		t.Fatal(err)
	}
	manifest := []byte(alter.Replace(string(text)))
	if _, err := run(t.Context(), manifest, path, "apply", "--server-side", "-f", "-"); err != nil {
		t.Fatal(err)
	}
}

// applyPrinted runs the commands that docs/gitops.md prints for Flux, in a folder with fleet.yaml as a user has altered
// it.
func applyPrinted(t *testing.T, alter *strings.Replacer) {
	t.Helper()
	blocks, err := fencedBlocks(filepath.Join(repository, "docs", "gitops.md"), "```sh flux")
	if err != nil || len(blocks) != 1 {
		t.Fatalf("the page has %d blocks for Flux (error %v), expected one", len(blocks), err)
	}
	folder := t.TempDir()
	samples := filepath.Join(folder, gitopsSamples)
	if err := os.CopyFS(samples, os.DirFS(filepath.Join(repository, gitopsSamples))); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(samples, "flux", "fleet.yaml")
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(alter.Replace(string(text))), 0o644); err != nil {
		t.Fatal(err)
	}
	runBlocks(t, "gitops.md", append([]string{fmt.Sprintf("cd %q", folder)}, blocks...))
}

// ensureNamespace makes a namespace for a tool, which goes at the end.
func ensureNamespace(t *testing.T, name string) {
	t.Helper()
	ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{labelOurs: "true"}}}
	if err := kube.Create(t.Context(), ns); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), pace.Of(time.Minute))
		defer cancel()
		if err := removeNamespace(ctx, name); err != nil {
			t.Error(err)
		}
	})
}

// letGo takes the finalizers off whatever objects of some kinds are left in a namespace, whose controllers have ended.
func letGo(t *testing.T, namespace string, kinds ...schema.GroupVersionKind) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), pace.Of(time.Minute))
	defer cancel()
	for _, kind := range kinds {
		list := &unstructured.UnstructuredList{}
		list.SetGroupVersionKind(kind)
		if err := kube.List(ctx, list, client.InNamespace(namespace)); err != nil {
			t.Error(err)
		}
		for i := range list.Items {
			o := &list.Items[i]
			patch := client.RawPatch("application/merge-patch+json", []byte(`{"metadata":{"finalizers":null}}`))
			err := errors.Join(client.IgnoreNotFound(kube.Delete(ctx, o)), client.IgnoreNotFound(kube.Patch(ctx, o, patch)))
			if err != nil {
				t.Error(err)
			}
		}
	}
}

// mustNotInherit fails when what the operator has made carries what a tool has put on the KafkaCluster to know it by:
// the tool would take it for its own, and prune it as something that is not in git.
func mustNotInherit(t *testing.T, keys ...string) {
	t.Helper()
	for _, kind := range []string{"PersistentVolumeClaim", "Secret", "Service", "ConfigMap", "Pod"} {
		list := &unstructured.UnstructuredList{}
		list.SetGroupVersionKind(corev1.SchemeGroupVersion.WithKind(kind + "List"))
		made := client.HasLabels{v1alpha1.LabelCluster}
		if err := kube.List(t.Context(), list, client.InNamespace(sampleNamespace), made); err != nil {
			t.Fatal(err)
		}
		if len(list.Items) == 0 {
			t.Errorf("the operator has made no %s", kind)
		}
		for _, o := range list.Items {
			for _, key := range keys {
				if o.GetLabels()[key]+o.GetAnnotations()[key] != "" {
					t.Errorf("%s %s has %s", kind, o.GetName(), key)
				}
			}
		}
	}
}

// inForce tells whether a tool's object says Ready of its present generation, and of what it is told to have.
func inForce(ctx context.Context, o *unstructured.Unstructured) error {
	if err := kube.Get(ctx, client.ObjectKeyFromObject(o), o); err != nil {
		return err
	}
	conditions, _, _ := unstructured.NestedSlice(o.Object, "status", "conditions")
	observed, _, _ := unstructured.NestedInt64(o.Object, "status", "observedGeneration")
	for _, c := range conditions {
		fields, _ := c.(map[string]any)
		if fields["type"] == "Ready" && fields["status"] == "True" && observed == o.GetGeneration() {
			return nil
		}
	}
	return fmt.Errorf("%s %s: %v", o.GetKind(), o.GetName(), conditions)
}
