package cluster

import (
	"context"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"

	"github.com/castellan-dev/castellan/api/v1alpha1"
	"github.com/castellan-dev/castellan/internal/decide"
	"github.com/castellan-dev/castellan/internal/observe"
)

func TestWhatKubernetesRefusesIsQuotedForThePodThatIsMissing(t *testing.T) {
	at := metav1.NewTime(time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC))
	event := func(name, reason, message string, last time.Time) *corev1.Event {
		return &corev1.Event{
			ObjectMeta:     metav1.ObjectMeta{Namespace: "shop", Name: name},
			InvolvedObject: corev1.ObjectReference{Kind: "StatefulSet", Name: "events-main", UID: "set"},
			Reason:         reason, Message: message, LastTimestamp: metav1.NewTime(last),
		}
	}
	const failed = "Create Pod events-main-1 in StatefulSet events-main failed error: "
	const quota = `pods "events-main-1" is forbidden: failed quota: tenant: must specify limits.cpu`
	field := func(get func(e *corev1.Event) string) client.IndexerFunc {
		return func(o client.Object) []string {
			if e, ok := o.(*corev1.Event); ok {
				return []string{get(e)}
			}
			return nil
		}
	}
	api := fake.NewClientBuilder().
		WithIndex(&corev1.Event{}, "involvedObject.uid", field(func(e *corev1.Event) string {
			return string(e.InvolvedObject.UID)
		})).
		WithIndex(&corev1.Event{}, "reason", field(func(e *corev1.Event) string { return e.Reason })).
		WithObjects(
			event("older", "FailedCreate", failed+"older", at.Add(-time.Minute)),
			event("last", "FailedCreate", failed+quota, at.Time),
			event("other", "SuccessfulCreate", "Create Pod events-main-0 in StatefulSet events-main successful", at.Time),
		).Build()
	r := &Reconciler{APIReader: api}
	label := map[string]string{v1alpha1.LabelPool: "main"}
	in := decide.Inputs{Live: &observe.Live{
		StatefulSets: map[string]*appsv1.StatefulSet{"events-main": {
			ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "events-main", UID: "set", Labels: label},
			Spec:       appsv1.StatefulSetSpec{Replicas: ptr.To(int32(2))},
		}},
		Pods: []corev1.Pod{{ObjectMeta: metav1.ObjectMeta{Name: "events-main-0", Labels: label}}},
	}}
	r.readRefusals(context.Background(), &in)
	got := in.Live.Refused["events-main-1"]
	if got.Message != quota || !got.At.Equal(at.Time) || len(in.Live.Refused) != 1 {
		t.Errorf("refused: %+v, want %q at %s", in.Live.Refused, quota, at)
	}
	in.Live.Refused = nil
	in.Live.Pods = append(in.Live.Pods, corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "events-main-1", Labels: label}})
	if r.readRefusals(context.Background(), &in); in.Live.Refused != nil {
		t.Errorf("nothing is missing, and %+v is told", in.Live.Refused)
	}
}
