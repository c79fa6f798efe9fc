package argocd

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/argoproj/argo-cd/gitops-engine/pkg/cache"
	"github.com/argoproj/argo-cd/gitops-engine/pkg/health"
	"github.com/argoproj/argo-cd/gitops-engine/pkg/sync"
	"github.com/argoproj/argo-cd/gitops-engine/pkg/sync/common"
	"github.com/go-logr/logr"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/castellan-dev/castellan/test/gitops"
)

// checks has Argo CD judge our kinds by config/argocd/health.lua.
type checks struct{ script string }

func (c checks) GetResourceHealth(o *unstructured.Unstructured) (*health.HealthStatus, error) {
	if o.GroupVersionKind().Group != group {
		return nil, nil
	}
	text, err := o.MarshalJSON()
	if err != nil {
		return nil, err
	}
	status, message, err := gitops.Health(c.script, text)
	return &health.HealthStatus{Status: health.HealthStatusCode(status), Message: message}, err
}

// without has Argo CD judge as if nobody had told it of our kinds.
type without struct{}

func (without) GetResourceHealth(*unstructured.Unstructured) (*health.HealthStatus, error) {
	return nil, nil
}

func withChecks(t *testing.T) checks {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(repository, "config", "argocd", "health.lua"))
	if err != nil {
		t.Fatal(err)
	}
	return checks{string(text)}
}

// application is what Argo CD's controller has of one Application: what it knows of the cluster, and which objects in
// there it has applied.
type application struct {
	known cache.ClusterCache
	owns  func(*cache.Resource) bool
	judge health.HealthOverride
}

func startApplication(t *testing.T, name string, judge health.HealthOverride) *application {
	t.Helper()
	a := &application{judge: judge, owns: func(r *cache.Resource) bool {
		id, _ := r.Info.(string)
		return strings.HasPrefix(id, name+":")
	}}
	a.known = cache.NewClusterCache(config, cache.SetLogr(logr.Discard()), cache.SetKubectl(control),
		cache.SetPopulateResourceInfoHandler(func(o *unstructured.Unstructured, _ bool) (any, bool) {
			id := o.GetAnnotations()[trackingID]
			return id, id != ""
		}))
	if err := a.known.EnsureSynced(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { a.known.Invalidate() })
	return a
}

// progress is how far a sync has come.
type progress struct {
	phase   common.OperationPhase
	message string
	results []common.ResourceSyncResult
	since   metav1.Time
}

// step takes a sync on, as the controller does each time it looks at the Application: with ServerSideApply=true and
// prune, from what is live by then.
func (a *application) step(p progress, all []*unstructured.Unstructured) (progress, error) {
	live, err := a.known.GetManagedLiveObjs(all, a.owns)
	if err != nil {
		return p, err
	}
	found := sync.Reconcile(all, live, "default", a.known)
	background := metav1.DeletePropagationBackground // nobody here collects garbage in the foreground
	s, clean, err := sync.NewSyncContext("main", found, config, config, control, "default",
		sync.WithPrune(true), sync.WithPrunePropagationPolicy(&background), sync.WithLogr(logr.Discard()),
		sync.WithHealthOverride(a.judge),
		sync.WithServerSideApply(true), sync.WithServerSideApplyManager(manager),
		sync.WithInitialState(p.phase, p.message, p.results, p.since))
	if err != nil {
		return p, err
	}
	defer clean()
	s.Sync()
	p.phase, p.message, p.results = s.GetState()
	for i := range p.results {
		p.results[i].Order = i + 1
	}
	return p, nil
}

// sync takes a sync on until it has ended, or until something has come true.
func (a *application) sync(t *testing.T, all []*unstructured.Unstructured, until func() bool) progress {
	t.Helper()
	p := progress{phase: common.OperationRunning, since: metav1.Now()}
	eventually(t, "Argo CD comes so far", func(context.Context) (err error) {
		if p, err = a.step(p, all); err == nil && !p.phase.Completed() && !until() {
			err = fmt.Errorf("%s: %s", p.phase, p.message)
		}
		return err
	})
	return p
}

// mustSucceed syncs until that succeeds and brings something about: what Argo CD knows of the cluster comes by
// watching.
func (a *application) mustSucceed(t *testing.T, all []*unstructured.Unstructured, done func() bool) {
	t.Helper()
	eventually(t, "a sync succeeds", func(context.Context) error {
		if p := a.sync(t, all, never); p.phase != common.OperationSucceeded || !done() {
			return fmt.Errorf("it ends as %s: %s %v", p.phase, p.message, p.results)
		}
		return nil
	})
}

// never is for a sync that is to end.
func never() bool { return false }

// fleet is what the Application kafka of config/samples/gitops has, in a namespace.
func fleet(t *testing.T, ns string) (all []*unstructured.Unstructured) {
	t.Helper()
	for _, folder := range []string{"kafka", "app"} {
		for _, o := range read(t, "config/samples/gitops/"+folder+"/*.yaml") {
			all = append(all, tracked(o, ns))
		}
	}
	return all
}

func find(t *testing.T, all []*unstructured.Unstructured, kind string) *unstructured.Unstructured {
	t.Helper()
	for _, o := range all {
		if o.GetKind() == kind {
			return o
		}
	}
	t.Fatalf("there is no %s", kind)
	return nil
}

// there tells whether an object is.
func there(t *testing.T, o *unstructured.Unstructured) bool {
	t.Helper()
	_, err := get(t.Context(), o)
	if err != nil && !apierrors.IsNotFound(err) {
		t.Fatal(err)
	}
	return err == nil
}

// mustMiss fails when an object is there.
func mustMiss(t *testing.T, when string, all ...*unstructured.Unstructured) {
	t.Helper()
	for _, o := range all {
		if there(t, o) {
			t.Errorf("%s, %s %s is there", when, o.GetKind(), o.GetName())
		}
	}
}

// say writes the conditions that the operator would.
func say(t *testing.T, o *unstructured.Unstructured, condition string) {
	t.Helper()
	live, err := get(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	patch(t, o, fmt.Sprintf(`status: {observedGeneration: %d, conditions: [{type: %s, status: "True", `+
		`observedGeneration: %[1]d, reason: A, message: a, lastTransitionTime: "2026-01-02T03:04:05Z"}]}`,
		live.GetGeneration(), condition), "status")
}

// With the health checks each wave waits for the one before: topic and user for the cluster, the Deployment for both.
func TestAWaveWaitsForTheOneBefore(t *testing.T) {
	installCRDs(t)
	all := fleet(t, "waves")
	cluster, topic, user, app := find(t, all, "KafkaCluster"), find(t, all, "KafkaTopic"), find(t, all, "KafkaUser"),
		find(t, all, "Deployment")
	turn := 0
	turns := []func(){
		func() {
			mustMiss(t, "before the cluster has a status", topic, user, app)
			say(t, cluster, "Reconciling")
		},
		func() {
			mustMiss(t, "before the cluster is ready", topic, user, app)
			say(t, cluster, "Ready")
		},
		func() {
			if there(t, topic) && there(t, user) {
				mustMiss(t, "before topic and user have a status", app)
				say(t, topic, "Ready")
				say(t, user, "Reconciling")
			} else {
				turn-- // not yet
			}
		},
		func() {
			mustMiss(t, "before the user is ready", app)
			say(t, user, "Ready")
		},
	}
	p := startApplication(t, "waves", withChecks(t)).sync(t, all, func() bool {
		if turn < len(turns) && there(t, cluster) {
			turns[turn]()
			turn++
		}
		return false
	})
	if p.phase != common.OperationSucceeded || turn != len(turns) || !there(t, app) {
		t.Errorf("the sync ends as %s: %s; %d of %d turns", p.phase, p.message, turn, len(turns))
	}
}

// A Stalled object ends the sync, which goes no further.
func TestAStalledObjectEndsTheSync(t *testing.T) {
	installCRDs(t)
	all := fleet(t, "stalled")
	cluster := find(t, all, "KafkaCluster")
	p := startApplication(t, "stalled", withChecks(t)).sync(t, all, func() bool {
		if there(t, cluster) {
			say(t, cluster, "Stalled")
		}
		return false
	})
	if p.phase != common.OperationFailed {
		t.Errorf("the sync ends as %s: %s", p.phase, p.message)
	}
	mustMiss(t, "after the cluster has stalled", find(t, all, "KafkaTopic"), find(t, all, "Deployment"))
}

// Without the health checks no wave waits for Kafka, which is what docs/gitops.md warns of.
func TestWithoutTheHealthChecksNoWaveWaits(t *testing.T) {
	installCRDs(t)
	all := fleet(t, "unchecked")
	p := startApplication(t, "unchecked", without{}).sync(t, all, never)
	if p.phase != common.OperationSucceeded {
		t.Errorf("the sync ends as %s: %s", p.phase, p.message)
	}
	for _, o := range all {
		if !there(t, o) {
			t.Errorf("%s %s is not applied", o.GetKind(), o.GetName())
		}
	}
}

// Argo CD prunes what git has no more, but neither the namespace with the disks nor the CRDs with all topics.
func TestPruneKeepsTheNamespaceAndTheCRDs(t *testing.T) {
	var kept []*unstructured.Unstructured
	for _, o := range chart(t) {
		if o.GetKind() == "CustomResourceDefinition" {
			kept = append(kept, tracked(o, "pruned"))
		}
	}
	if len(kept) != 3 {
		t.Fatalf("the chart has %d CRDs", len(kept))
	}
	kept = append(kept, tracked(find(t, read(t, "config/samples/gitops/kafka/*.yaml"), "Namespace"), "pruned"))
	settings := tracked(objects(t, `{apiVersion: v1, kind: ConfigMap, metadata: {name: a, namespace: a}}`)[0], "pruned")
	a := startApplication(t, "pruned", without{})
	a.mustSucceed(t, append(slices.Clone(kept), settings), func() bool { return there(t, settings) })
	a.mustSucceed(t, nil, func() bool { return !there(t, settings) })
	for _, o := range kept {
		if live, err := get(t.Context(), o); err != nil || live.GetDeletionTimestamp() != nil {
			t.Errorf("%s %s is pruned (error %v)", o.GetKind(), o.GetName(), err)
		}
	}
}
