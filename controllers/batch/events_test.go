package batch

import (
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/util/workqueue"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/castellan-dev/castellan/api/v1alpha1"
)

func TestAnObjectIsLookedAtWhenItsUserHasChangedItOrSomebodyTookOffWhatIsOurs(t *testing.T) {
	held := metav1.ObjectMeta{
		Name: "orders", UID: "uid", Generation: 1, ResourceVersion: "7", Finalizers: []string{v1alpha1.Finalizer},
		Annotations: map[string]string{v1alpha1.AnnotationCreating: "cluster uid", "theirs": "a"},
	}
	for name, c := range map[string]struct {
		change func(*metav1.ObjectMeta)
		ours   bool // the change is our own write
		want   bool
	}{
		"another spec":                       {func(m *metav1.ObjectMeta) { m.Generation = 2 }, false, true},
		"another object of the name":         {func(m *metav1.ObjectMeta) { m.UID = "other" }, false, true},
		"it is being deleted":                {func(m *metav1.ObjectMeta) { m.DeletionTimestamp = &metav1.Time{Time: time.Unix(1, 0)} }, false, true},
		"kubectl replace took the finalizer": {func(m *metav1.ObjectMeta) { m.Finalizers = nil }, false, true},
		"and the annotation":                 {func(m *metav1.ObjectMeta) { m.Annotations = nil }, false, true},
		"we let it go":                       {func(m *metav1.ObjectMeta) { m.Finalizers = nil }, true, false},
		"an annotation of the user's changes": {func(m *metav1.ObjectMeta) {
			m.Annotations = map[string]string{v1alpha1.AnnotationCreating: "cluster uid"}
		}, false, false},
		"another password is asked for":                          {asks(v1alpha1.AnnotationRotatePassword), false, true},
		"another certificate is asked for":                       {asks(v1alpha1.AnnotationReissueCertificate), false, true},
		"a pause is asked for":                                   {asks(v1alpha1.AnnotationPause), false, true},
		"something is asked for that the operator does not know": {asks("kafka.castellan.dev/rotate-pasword"), false, true},
		"the operator says what it is about to create": {func(m *metav1.ObjectMeta) {
			m.Annotations = map[string]string{v1alpha1.AnnotationCreating: "cluster other", "theirs": "a"}
		}, false, false},
		"nothing, or the status": {func(*metav1.ObjectMeta) {}, false, false},
	} {
		t.Run(name, func(t *testing.T) {
			key := Key{Cluster: types.NamespacedName{Namespace: "shop", Name: "events"}, Name: "orders"}
			r := &Reconciler[*v1alpha1.KafkaTopic, v1alpha1.KafkaTopicStatus]{}
			r.Queue.Now = time.Now
			r.Kind.Key = func(*v1alpha1.KafkaTopic) Key { return key }
			before := &v1alpha1.KafkaTopic{ObjectMeta: *held.DeepCopy()}
			after := before.DeepCopy()
			after.ResourceVersion = "8"
			c.change(&after.ObjectMeta)
			if c.ours {
				_ = r.Writer.note(after, nil)
			}
			q := workqueue.NewTypedRateLimitingQueue(workqueue.DefaultTypedControllerRateLimiter[reconcile.Request]())
			defer q.ShutDown()
			r.objectEvents().Update(t.Context(), event.UpdateEvent{ObjectOld: before, ObjectNew: after}, q)
			if _, due := r.Queue.Next(key.Cluster); due != c.want {
				t.Errorf("looked at: %t, expected %t", due, c.want)
			}
		})
	}
}

func asks(annotation string) func(*metav1.ObjectMeta) {
	return func(m *metav1.ObjectMeta) { m.Annotations[annotation] = "now" }
}
