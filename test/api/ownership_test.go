package api

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/wait"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/castellan-dev/castellan/api/v1alpha1"
	"github.com/castellan-dev/castellan/test/apiserver"
)

// blocksOf returns the blocks of a page that begin with a fence, in order.
func blocksOf(t *testing.T, page, fence string) (blocks []string) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(repository, "docs", page))
	if err != nil {
		t.Fatal(err)
	}
	for n, part := range strings.Split(string(text), "\n```"+fence+"\n") {
		if n > 0 {
			block, _, _ := strings.Cut(part, "\n```")
			blocks = append(blocks, block+"\n")
		}
	}
	if len(blocks) == 0 {
		t.Fatalf("docs/%s has no block that begins with %s", page, fence)
	}
	return blocks
}

// The page's commands, as they are printed: each manager's part stays, and the conflict is told as the page tells it.
func TestTwoManagersOfOneKafkaCluster(t *testing.T) {
	t.Parallel()
	const page = "ownership.md"
	run := func(lines string) (string, error) { return server.Shell(t.Context(), repository, lines) }
	blocks := blocksOf(t, page, "sh api")
	for _, block := range blocks {
		if out, err := run(block); err != nil {
			t.Fatalf("%s: %s", block, out)
		}
	}
	refused := blocksOf(t, page, "sh api fails")[0]
	said := strings.TrimSpace(blocksOf(t, page, "text")[0])
	if out, err := run(refused); err == nil || !strings.Contains(out, said) {
		t.Errorf("%s prints %q (error %v), expected %q", refused, out, err, said)
	}
	u := manifest(t, "KafkaCluster", "metadata: {namespace: shared}")
	both := func(when string) {
		t.Helper()
		if err := kube.Get(t.Context(), client.ObjectKeyFromObject(u), u); err != nil {
			t.Fatal(err)
		}
		if dig(u, "spec.pools.0.replicas") != int64(3) || len(dig(u, "spec.config").(map[string]any)) != 1 {
			t.Errorf("%s: %v", when, u.Object["spec"])
		}
	}
	both("after a conflict")
	version := u.GetResourceVersion()
	_, applies, _ := strings.Cut(blocks[0], "\n") // without the namespace
	if out, err := run(applies); err != nil {
		t.Fatal(out)
	}
	if both("applied again"); u.GetResourceVersion() != version {
		t.Error("both have applied the same again, and something was written")
	}
	setStatus(t, u, ready) // all that the operator writes on a KafkaCluster
	if out, err := run(applies); err != nil {
		t.Fatal(out)
	}
	if both("after a write of the operator"); observed(u) != u.GetGeneration() {
		t.Errorf("status %v, generation %d", u.Object["status"], u.GetGeneration())
	}
	if out, err := run(strings.ReplaceAll(refused, "apply ", "apply --force-conflicts ")); err != nil {
		t.Fatal(out)
	}
	err := kube.Get(t.Context(), client.ObjectKeyFromObject(u), u)
	if err != nil || dig(u, "spec.pools.0.replicas") != int64(5) {
		t.Errorf("handed over by force: %v (error %v)", u.Object["spec"], err)
	}
}

// CRDs that are deleted after the operator hang on the finalizers, until the command of uninstall.md lets go of them,
// also where one CRD has gone already. This test takes the CRDs away and puts them back: it must not run beside others.
func TestCRDsThatAreDeletedAfterTheOperatorGoByThePagesCommand(t *testing.T) {
	for name, held := range map[string][]string{
		"both are held":           {"KafkaTopic", "KafkaUser"},
		"that of topics has gone": {"KafkaUser"},
	} {
		t.Run(name, func(t *testing.T) { letCRDsGo(t, held) })
	}
}

func letCRDsGo(t *testing.T, held []string) {
	t.Helper()
	ns := namespace(t)
	for _, kind := range kinds {
		u := manifest(t, kind, "{}")
		if slices.Contains(held, kind) {
			u.SetFinalizers([]string{v1alpha1.Finalizer})
		}
		create(t, ns, u)
	}
	all := strings.ToLower(strings.Join(kinds, "s.kafka.castellan.dev ")) + "s.kafka.castellan.dev"
	t.Cleanup(func() {
		if err := apiserver.ApplyCRDs(context.Background(), kube, repository); err != nil {
			t.Error(err)
		}
	})
	if out, err := server.Shell(t.Context(), repository, "kubectl delete crd --wait=false "+all); err != nil {
		t.Fatal(out)
	}
	gone := func(kind string) func(context.Context) (bool, error) {
		return func(ctx context.Context) (bool, error) {
			crd := &unstructured.Unstructured{}
			crd.SetAPIVersion("apiextensions.k8s.io/v1")
			crd.SetKind("CustomResourceDefinition")
			err := kube.Get(ctx, client.ObjectKey{Name: strings.ToLower(kind) + "s.kafka.castellan.dev"}, crd)
			return apierrors.IsNotFound(err), client.IgnoreNotFound(err)
		}
	}
	await := func(what string, done func(context.Context) (bool, error)) {
		t.Helper()
		if err := wait.PollUntilContextTimeout(t.Context(), 100*time.Millisecond, time.Minute, true, done); err != nil {
			t.Fatalf("%s: %v", what, err)
		}
	}
	for _, kind := range kinds {
		if !slices.Contains(held, kind) {
			await("the CRD of "+kind+" goes, whose objects have no finalizer", gone(kind))
			continue
		}
		await(kind+" is being deleted and held", func(ctx context.Context) (bool, error) {
			u := manifest(t, kind, "metadata: {namespace: "+ns+"}")
			err := kube.Get(ctx, client.ObjectKeyFromObject(u), u)
			return err == nil && u.GetDeletionTimestamp() != nil && len(u.GetFinalizers()) == 1, err
		})
	}
	command := blocksOf(t, "uninstall.md", "sh api")[0]
	out, err := server.Shell(t.Context(), repository, "set +e\n"+command) // as a reader's shell
	if err != nil {
		t.Fatalf("%s: %s", command, out)
	}
	for _, kind := range kinds {
		await(fmt.Sprintf("the CRD of %s goes after %q", kind, out), gone(kind))
	}
}
