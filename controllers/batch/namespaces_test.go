package batch

import (
	"context"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/util/workqueue"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/castellan-dev/castellan/api/v1alpha1"
)

func TestWhatLivesInANamespaceIsLookedAtWhenItBecomesKnownChangesOrGoes(t *testing.T) {
	known, labelled, going := namespaceOf("guests"), namespaceOf("guests"), namespaceOf("guests")
	labelled.Labels = map[string]string{"team": "a"}
	now := metav1.Now()
	going.DeletionTimestamp = &now
	retaining := namespaceOf("guests")
	retaining.Annotations = map[string]string{v1alpha1.AnnotationDeletionPolicy: "Retain"}
	var seen []string
	var whole bool
	events := namespaceEvents(func(_ context.Context, namespace string, all bool, _ QueueOf) error {
		seen, whole = append(seen, namespace), all
		return nil
	})
	q := workqueue.NewTypedRateLimitingQueue(workqueue.DefaultTypedControllerRateLimiter[reconcile.Request]())
	defer q.ShutDown()
	for name, c := range map[string]struct {
		happens func()
		want    int
	}{
		"it is made":                {func() { events.Create(t.Context(), event.CreateEvent{Object: known}, q) }, 1},
		"it was there":              {func() { events.Create(t.Context(), event.CreateEvent{Object: known, IsInInitialList: true}, q) }, 0},
		"its labels":                {func() { events.Update(t.Context(), event.UpdateEvent{ObjectOld: known, ObjectNew: labelled}, q) }, 1},
		"it goes":                   {func() { events.Update(t.Context(), event.UpdateEvent{ObjectOld: known, ObjectNew: going}, q) }, 1},
		"its default for deletions": {func() { events.Update(t.Context(), event.UpdateEvent{ObjectOld: known, ObjectNew: retaining}, q) }, 1},
		"nothing of these":          {func() { events.Update(t.Context(), event.UpdateEvent{ObjectOld: known, ObjectNew: known}, q) }, 0},
	} {
		seen, whole = nil, false
		if c.happens(); len(seen) != c.want {
			t.Errorf("%s: looked at %v, expected %d", name, seen, c.want)
		}
		if whole != (name == "its default for deletions") {
			t.Errorf("%s: all that lives there is looked at: %t", name, whole)
		}
	}
}
