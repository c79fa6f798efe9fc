package batch

import (
	"context"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/util/workqueue"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
)

func TestWhatLivesInANamespaceIsLookedAtWhenItBecomesKnownChangesOrGoes(t *testing.T) {
	known, labelled, going := namespaceOf("guests"), namespaceOf("guests"), namespaceOf("guests")
	labelled.Labels = map[string]string{"team": "a"}
	now := metav1.Now()
	going.DeletionTimestamp = &now
	var seen []string
	events := namespaceEvents(func(_ context.Context, namespace string, _ QueueOf) error {
		seen = append(seen, namespace)
		return nil
	})
	q := workqueue.NewTypedRateLimitingQueue(workqueue.DefaultTypedControllerRateLimiter[reconcile.Request]())
	defer q.ShutDown()
	for name, c := range map[string]struct {
		happens func()
		want    int
	}{
		"it is made":       {func() { events.Create(t.Context(), event.CreateEvent{Object: known}, q) }, 1},
		"it was there":     {func() { events.Create(t.Context(), event.CreateEvent{Object: known, IsInInitialList: true}, q) }, 0},
		"its labels":       {func() { events.Update(t.Context(), event.UpdateEvent{ObjectOld: known, ObjectNew: labelled}, q) }, 1},
		"it goes":          {func() { events.Update(t.Context(), event.UpdateEvent{ObjectOld: known, ObjectNew: going}, q) }, 1},
		"nothing of these": {func() { events.Update(t.Context(), event.UpdateEvent{ObjectOld: known, ObjectNew: known}, q) }, 0},
	} {
		seen = nil
		if c.happens(); len(seen) != c.want {
			t.Errorf("%s: looked at %v, expected %d", name, seen, c.want)
		}
	}
}
