package cluster

import (
	"context"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/tools/events"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/castellan-dev/castellan/api/v1alpha1"
	"github.com/castellan-dev/castellan/internal/decide"
	"github.com/castellan-dev/castellan/internal/observe"
)

// A claim may be given a volume between the look at it and its deletion, and a pod must not go with its StatefulSet.
func TestWhatIsMadeAnewIsRemovedOnlyAsItWasSeen(t *testing.T) {
	set := &appsv1.StatefulSet{ObjectMeta: metav1.ObjectMeta{Name: "events-main", UID: "set", ResourceVersion: "7"}}
	claim := &corev1.PersistentVolumeClaim{ObjectMeta: metav1.ObjectMeta{Name: "data", UID: "claim", ResourceVersion: "8"}}
	type asked struct{ uid, version, policy string }
	for name, answer := range map[string]error{
		"it goes":              nil,
		"it is gone":           apierrors.NewNotFound(schema.GroupResource{}, "data"),
		"it is no longer that": apierrors.NewConflict(schema.GroupResource{}, "data", nil),
	} {
		t.Run(name, func(t *testing.T) {
			var got []asked
			api := fake.NewClientBuilder().WithInterceptorFuncs(interceptor.Funcs{
				Delete: func(_ context.Context, _ client.WithWatch, o client.Object, options ...client.DeleteOption) error {
					opts := (&client.DeleteOptions{}).ApplyOptions(options)
					a := asked{uid: string(*opts.Preconditions.UID), version: *opts.Preconditions.ResourceVersion}
					if opts.PropagationPolicy != nil {
						a.policy = string(*opts.PropagationPolicy)
					}
					got = append(got, a)
					return answer
				},
			}).Build()
			s := newScope(decide.Inputs{
				Cluster: &v1alpha1.KafkaCluster{ObjectMeta: metav1.ObjectMeta{Name: "events"}}, Live: &observe.Live{},
			})
			s.decision.Remade = decide.Remade{
				Sets: []*appsv1.StatefulSet{set}, Claims: []*corev1.PersistentVolumeClaim{claim},
			}
			recorder := events.NewFakeRecorder(10)
			r := &Reconciler{Client: api, Recorder: recorder}
			if err := r.act(t.Context(), s); err != nil { // it has no model: nothing else may be done in this pass
				t.Fatal(err)
			}
			want := []asked{{"set", "7", "Orphan"}, {"claim", "8", ""}}
			if len(got) != 2 || got[0] != want[0] || got[1] != want[1] || s.requeue != whenBehind {
				t.Errorf("asked for %v, expected %v; looks again in %s", got, want, s.requeue)
			}
			if told := len(recorder.Events); told != 2 && answer == nil || told != 0 && answer != nil {
				t.Errorf("%d events", told)
			}
		})
	}
}
