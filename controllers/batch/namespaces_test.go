package batch

import (
	"context"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/util/workqueue"
	"sigs.k8s.io/controller-runtime/pkg/client"
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
	created := func(o client.Object, initially bool) func() {
		return func() { events.Create(t.Context(), event.CreateEvent{Object: o, IsInInitialList: initially}, q) }
	}
	becomes := func(o client.Object) func() {
		return func() { events.Update(t.Context(), event.UpdateEvent{ObjectOld: known, ObjectNew: o}, q) }
	}
	for name, c := range map[string]struct {
		happens func()
		want    int
		whole   bool
	}{
		"it is made": {created(known, false), 1, false},
		"it is made with a default for deletions": {created(retaining, false), 1, true},
		"it was there":              {created(retaining, true), 0, false},
		"its labels":                {becomes(labelled), 1, false},
		"it goes":                   {becomes(going), 1, false},
		"its default for deletions": {becomes(retaining), 1, true},
		"nothing of these":          {becomes(known), 0, false},
	} {
		seen, whole = nil, false
		if c.happens(); len(seen) != c.want {
			t.Errorf("%s: looked at %v, expected %d", name, seen, c.want)
		}
		if whole != c.whole {
			t.Errorf("%s: all that lives there is looked at: %t", name, whole)
		}
	}
}
