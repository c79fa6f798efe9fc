package tenure

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/client-go/tools/events"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/castellan-dev/castellan/api/v1alpha1"
	"github.com/castellan-dev/castellan/internal/claim"
)

var key = types.NamespacedName{Namespace: "shop", Name: "events"}

// world is an API server with one KafkaCluster, which counts writes, and a clock.
type world struct {
	*testing.T
	kube   client.WithWatch
	now    time.Time
	writes int
	woken  int
	// drops: its CRD keeps no status.operator.
	drops bool
	// refuses is why it takes no status; nil = it does.
	refuses error
}

func newWorld(t *testing.T, operator string, generation, observed int64) *world {
	w := &world{T: t, now: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)}
	scheme := runtime.NewScheme()
	if err := v1alpha1.AddToScheme(scheme); err != nil {
		t.Fatal(err)
	}
	c := &v1alpha1.KafkaCluster{ObjectMeta: metav1.ObjectMeta{
		Namespace: key.Namespace, Name: key.Name, UID: "first", Generation: generation}}
	c.Status.Operator, c.Status.ObservedGeneration, c.Status.ClusterID = operator, observed, "id"
	w.kube = interceptor.NewClient(
		fake.NewClientBuilder().WithScheme(scheme).WithObjects(c).WithStatusSubresource(c).Build(), interceptor.Funcs{
			SubResourcePatch: func(ctx context.Context, c client.Client, sub string, o client.Object, p client.Patch,
				opts ...client.SubResourcePatchOption) error {
				w.writes++
				if w.refuses != nil {
					return w.refuses
				}
				err := c.SubResource(sub).Patch(ctx, o, p, opts...)
				if cluster, is := o.(*v1alpha1.KafkaCluster); is && w.drops {
					cluster.Status.Operator = ""
				}
				return err
			}})
	return w
}

func (w *world) keeper(name string, succeeds ...string) (*Keeper, *events.FakeRecorder) {
	recorder := events.NewFakeRecorder(10)
	return &Keeper{Client: w.kube, APIReader: w.kube, Recorder: recorder, Now: func() time.Time { return w.now },
		Installation: claim.Installation{Name: name, Succeeds: succeeds},
		Wake:         func(types.NamespacedName) { w.woken++ }}, recorder
}

func (w *world) cluster() *v1alpha1.KafkaCluster {
	w.Helper()
	c := &v1alpha1.KafkaCluster{}
	if err := w.kube.Get(w.Context(), key, c); err != nil {
		w.Fatal(err)
	}
	return c
}

// enters tells whether a keeper takes the cluster for its own, and how many writes that took.
func (w *world) enters(k *Keeper) (bool, int) {
	w.Helper()
	before := w.writes
	c, err := k.Enter(w.Context(), w.cluster())
	if err != nil {
		w.Fatal(err)
	}
	return c != nil, w.writes - before
}

func TestTheFirstInstallationIsPutOnRecordOnce(t *testing.T) {
	w := newWorld(t, "", 3, 3)
	k, told := w.keeper("a/castellan")
	if is := k.Of(w.cluster()); is != claim.TenureVacant {
		t.Fatalf("before the record it is %d", is)
	}
	if in, writes := w.enters(k); !in || writes != 1 {
		t.Errorf("enters: %t with %d writes", in, writes)
	}
	if in, writes := w.enters(k); !in || writes != 0 {
		t.Errorf("once it is on record: %t with %d writes", in, writes)
	}
	again, _ := w.keeper("a/castellan") // upgraded, or installed again under the same names
	if in, writes := w.enters(again); !in || writes != 0 {
		t.Errorf("installed again: %t with %d writes", in, writes)
	}
	if c := w.cluster(); c.Status.Operator != "a/castellan" || c.Status.ClusterID != "id" || len(told.Events) > 0 {
		t.Errorf("status %+v, %d events", c.Status, len(told.Events))
	}
}

func TestAnotherInstallationStandsAside(t *testing.T) {
	w := newWorld(t, "a/castellan", 3, 3)
	k, told := w.keeper("b/castellan")
	for range 5 {
		if in, writes := w.enters(k); in || writes != 0 {
			t.Fatalf("enters: %t with %d writes", in, writes)
		}
		w.now = w.now.Add(time.Hour)
	}
	if len(told.Events) != 1 {
		t.Fatalf("%d events, expected one", len(told.Events))
	}
	text := <-told.Events
	if !strings.Contains(text, "Warning OtherOperator") || !strings.Contains(text, `"a/castellan"`) {
		t.Errorf("it says %s", text)
	}
}

func TestAChangeThatNobodyTakesUpIsToldOnce(t *testing.T) {
	w := newWorld(t, "a/castellan", 4, 3)
	k, _ := w.keeper("b/castellan")
	w.enters(k)
	w.now = w.now.Add(claim.AsideAfter - time.Second)
	if _, writes := w.enters(k); writes != 0 {
		t.Error("it writes before the other one can have started")
	}
	w.now = w.now.Add(2 * time.Second)
	if in, writes := w.enters(k); in || writes != 1 {
		t.Errorf("enters: %t with %d writes", in, writes)
	}
	c := w.cluster()
	stalled := meta.FindStatusCondition(c.Status.Conditions, v1alpha1.ConditionStalled)
	if stalled == nil || stalled.Reason != claim.ReasonOtherOperator || c.Status.ObservedGeneration != 4 ||
		c.Status.Operator != "a/castellan" || c.Status.ClusterID != "id" {
		t.Errorf("status %+v", c.Status)
	}
	w.now = w.now.Add(time.Hour)
	if _, writes := w.enters(k); writes != 0 {
		t.Error("it says so again")
	}
}

func TestAnInstallationSucceedsAnother(t *testing.T) {
	w := newWorld(t, "old/castellan", 3, 3)
	k, told := w.keeper("new/castellan", "older/castellan", "old/castellan")
	if in, writes := w.enters(k); !in || writes != 1 || len(told.Events) != 1 {
		t.Errorf("enters: %t with %d writes and %d events", in, writes, len(told.Events))
	}
	former, _ := w.keeper("old/castellan") // somebody starts it again
	if in, writes := w.enters(former); in || writes != 0 {
		t.Errorf("the former one enters: %t with %d writes", in, writes)
	}
}

// Two that start at the same time have both seen a cluster that is nobody's: the API server lets one of them in.
func TestOneOfTwoInstallationsIsFirst(t *testing.T) {
	w := newWorld(t, "", 1, 0)
	seen := w.cluster()
	a, _ := w.keeper("a/castellan")
	b, _ := w.keeper("b/castellan")
	if c, err := a.Enter(t.Context(), seen.DeepCopy()); err != nil || c == nil {
		t.Fatalf("the first: %v, %v", c, err)
	}
	if c, err := b.Enter(t.Context(), seen.DeepCopy()); !apierrors.IsConflict(err) || c != nil {
		t.Errorf("the second, whose cache is behind: %v, %v", c, err)
	}
	// Between its read past the cache and its write.
	b.APIReader = stale{w.kube, seen}
	if _, err := b.Enter(t.Context(), seen.DeepCopy()); !apierrors.IsConflict(err) {
		t.Errorf("the second, overtaken between read and write: %v", err)
	}
	if got := w.cluster().Status.Operator; got != "a/castellan" {
		t.Errorf("status.operator is %q", got)
	}
}

type stale struct {
	client.Reader
	seen *v1alpha1.KafkaCluster
}

func (s stale) Get(_ context.Context, _ client.ObjectKey, o client.Object, _ ...client.GetOption) error {
	s.seen.DeepCopyInto(o.(*v1alpha1.KafkaCluster))
	return nil
}

func TestANamesakeThatTookTheNameIsLookedAtAnew(t *testing.T) {
	w := newWorld(t, "", 1, 0)
	seen := w.cluster()
	seen.UID = "of one that was deleted meanwhile"
	k, _ := w.keeper("a/castellan")
	if _, err := k.Enter(t.Context(), seen); !apierrors.IsConflict(err) || w.writes != 0 {
		t.Errorf("%v with %d writes", err, w.writes)
	}
}

func TestCareGoesOnWithCRDsThatKeepNoRecord(t *testing.T) {
	w := newWorld(t, "", 3, 3)
	w.drops = true
	k, told := w.keeper("a/castellan")
	w.kube = interceptor.NewClient(w.kube, interceptor.Funcs{Get: func(ctx context.Context, c client.WithWatch,
		name client.ObjectKey, o client.Object, opts ...client.GetOption) error {
		err := c.Get(ctx, name, o, opts...)
		if cluster, is := o.(*v1alpha1.KafkaCluster); is && w.drops {
			cluster.Status.Operator = ""
		}
		return err
	}})
	k.APIReader = w.kube
	var writes []int
	for range 4 {
		in, n := w.enters(k)
		if writes = append(writes, n); !in || k.Of(w.cluster()) != claim.TenureOurs {
			t.Fatal("nobody looks after the cluster any more")
		}
	}
	if !slices.Equal(writes, []int{1, 0, 0, 0}) || w.woken != 1 || len(told.Events) != 1 {
		t.Errorf("writes %v, woken %d times, %d events", writes, w.woken, len(told.Events))
	}
	w.drops, w.now = false, w.now.Add(claim.OlderCRDs) // the CRDs have been applied
	if in, _ := w.enters(k); !in || w.cluster().Status.Operator != "a/castellan" {
		t.Errorf("with new CRDs: %t, %q", in, w.cluster().Status.Operator)
	}
}

var refusals = map[string]error{
	"a narrowed role": apierrors.NewForbidden(schema.GroupResource{Group: v1alpha1.GroupVersion.Group,
		Resource: "kafkaclusters/status"}, key.Name, errors.New("the user cannot patch")),
	"a CRD that does not take it": apierrors.NewInvalid(schema.GroupKind{Kind: "KafkaCluster"}, key.Name,
		field.ErrorList{field.Invalid(field.NewPath("status", "operator"), "a", "should be at most 3 chars long")}),
	"a rule of admission": apierrors.NewBadRequest("admission webhook denied the request"),
}

// Nobody is on record, so nobody is disturbed.
func TestCareGoesOnWhereKubernetesRefusesTheRecordAndNobodyElseHasIt(t *testing.T) {
	for name, refusal := range refusals {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, "", 3, 3)
			w.refuses = refusal
			k, told := w.keeper("a/castellan")
			var writes []int
			for range 4 {
				in, n := w.enters(k)
				if writes = append(writes, n); !in || k.Of(w.cluster()) != claim.TenureOurs {
					t.Fatal("nobody looks after the cluster")
				}
			}
			if !slices.Equal(writes, []int{1, 0, 0, 0}) || w.woken != 1 || len(told.Events) != 1 {
				t.Fatalf("writes %v, woken %d times, %d events", writes, w.woken, len(told.Events))
			}
			if text := <-told.Events; !strings.Contains(text, "Warning StatusRefused") || !strings.Contains(text, refusal.Error()) {
				t.Errorf("it says %s", text)
			}
			w.refuses, w.now = nil, w.now.Add(claim.OlderCRDs)
			if in, _ := w.enters(k); !in || w.cluster().Status.Operator != "a/castellan" {
				t.Errorf("once it is taken: %t, %q", in, w.cluster().Status.Operator)
			}
		})
	}
}

// Another one may have come meanwhile and, unlike this one, be on record.
func TestWhoCannotBeRecordedMakesRoomForOneThatCan(t *testing.T) {
	w := newWorld(t, "", 3, 3)
	a, _ := w.keeper("a/castellan")
	b, _ := w.keeper("b/castellan")
	w.refuses = refusals["a narrowed role"]
	w.enters(a)
	w.refuses = nil
	w.enters(b)
	if in, _ := w.enters(a); in || a.Of(w.cluster()) != claim.TenureOther {
		t.Error("two look after the cluster")
	}
}

// The one before is on record, and may run.
func TestNobodySucceedsAnotherWithoutTheRecord(t *testing.T) {
	for name, refusal := range refusals {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, "old/castellan", 3, 3)
			w.refuses = refusal
			k, told := w.keeper("new/castellan", "old/castellan")
			for range 3 {
				if in, _ := w.enters(k); in || k.Of(w.cluster()) == claim.TenureOurs {
					t.Fatal("it looks after the cluster of another one")
				}
			}
			if len(told.Events) != 1 {
				t.Fatalf("%d events, expected one", len(told.Events))
			}
			text := <-told.Events
			for _, word := range []string{"Warning StatusRefused", `"old/castellan"`, refusal.Error()} {
				if !strings.Contains(text, word) {
					t.Errorf("it says %s", text)
				}
			}
			w.refuses = nil
			if in, writes := w.enters(k); !in || writes != 1 {
				t.Errorf("once it is taken: %t with %d writes", in, writes)
			}
		})
	}
}

func TestWithoutAKeeperEverythingIsOurs(t *testing.T) {
	w := newWorld(t, "somebody/else", 1, 1)
	if in, writes := w.enters(nil); !in || writes != 0 {
		t.Errorf("enters: %t with %d writes", in, writes)
	}
}
