package cluster

import (
	"context"
	"errors"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/events"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/castellan-dev/castellan/api/v1alpha1"
	"github.com/castellan-dev/castellan/internal/decide"
	"github.com/castellan-dev/castellan/internal/plan"
)

// A pod is deleted, and the cache goes on to show it as it was.
func TestAStaleCacheCannotDeleteASecondPod(t *testing.T) {
	errLost := errors.New("connection reset by peer")
	refused := apierrors.NewTooManyRequests("not now", 1)
	cases := map[string]struct {
		isDone bool // the API server deletes the pod
		answer error
		fresh  error // of reading past the cache
		met    bool  // the next pass may go on
	}{
		"done":    {isDone: true, met: false},
		"refused": {answer: refused, met: true},
		"forbidden": {
			answer: apierrors.NewForbidden(schema.GroupResource{Resource: "pods"}, "events-main-0", nil),
			met:    true,
		},
		"done, and the answer is lost":        {isDone: true, answer: errLost, met: false},
		"not done, and the answer is lost":    {answer: errLost, met: true},
		"done, and the API server fails":      {isDone: true, answer: apierrors.NewInternalError(errLost), met: false},
		"done, and the API server is slow":    {isDone: true, answer: apierrors.NewTimeoutError("too long", 1), met: false},
		"lost, and nothing can be read":       {answer: errLost, fresh: errLost, met: false},
		"done, lost, and nothing can be read": {isDone: true, answer: errLost, fresh: errLost, met: false},
		"gone already, as the API server tells": {
			answer: apierrors.NewNotFound(schema.GroupResource{Resource: "pods"}, "events-main-0"),
			met:    false,
		},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "kafka", Name: "events-main-0", UID: "a"}}
			funcs := interceptor.Funcs{
				Delete: func(ctx context.Context, below client.WithWatch, o client.Object, _ ...client.DeleteOption) error {
					if !c.isDone {
						return c.answer
					}
					return errors.Join(below.Delete(ctx, o), c.answer)
				},
				Get: func(ctx context.Context, below client.WithWatch, key client.ObjectKey, o client.Object, opts ...client.GetOption) error {
					if c.fresh != nil {
						return c.fresh
					}
					return below.Get(ctx, key, o, opts...)
				},
			}
			api := fake.NewClientBuilder().WithObjects(pod).WithInterceptorFuncs(funcs).Build()
			r := &Reconciler{Client: api, APIReader: api, Recorder: events.NewFakeRecorder(10)}
			s := newScope(
				decide.Inputs{Cluster: &v1alpha1.KafkaCluster{ObjectMeta: metav1.ObjectMeta{Namespace: "kafka", Name: "events"}}},
			)
			err := r.deletePod(t.Context(), s, plan.Step{Kind: plan.Restart, Pool: "main", Node: 0, PodUID: "a"})
			if isKnown := apierrors.IsNotFound(c.answer); !isKnown && !errors.Is(err, c.answer) {
				t.Errorf("deleting gives %v, expected %v", err, c.answer)
			}
			met, err := r.expectations.met(
				t.Context(),
				r.APIReader,
				s.key(),
				[]corev1.Pod{*pod, {ObjectMeta: metav1.ObjectMeta{UID: "b"}}},
			)
			if met != c.met || c.fresh != nil && !errors.Is(err, c.fresh) {
				t.Errorf("met is %v (error %v), expected %v", met, err, c.met)
			}
		})
	}
}

func TestAnExpectationIsMetOnceTheCacheShowsThatThePodGoes(t *testing.T) {
	cluster := types.NamespacedName{Namespace: "kafka", Name: "events"}
	standing := []corev1.Pod{{ObjectMeta: metav1.ObjectMeta{UID: "a"}}, {ObjectMeta: metav1.ObjectMeta{UID: "b"}}}
	e := &expectations{}
	mustBe := func(want bool, when string) {
		t.Helper()
		if met, err := e.met(t.Context(), nil, cluster, standing); met != want || err != nil {
			t.Errorf("%s: met is %v (error %v), expected %v", when, met, err, want)
		}
	}
	mustBe(true, "nothing was deleted")
	e.expect(cluster, "a", answered)
	mustBe(false, "the cache shows the pod as it was")
	now := metav1.Now()
	standing[0].DeletionTimestamp = &now
	mustBe(true, "the cache shows the pod going")
}
