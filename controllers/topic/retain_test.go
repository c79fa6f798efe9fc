package topic

import (
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"

	"github.com/castellan-dev/castellan/api/v1alpha1"
	"github.com/castellan-dev/castellan/controllers/controllertest"
)

// say annotates a namespace with its default of spec.deletionPolicy; empty = it has none.
func (w *world) say(name, value string) {
	w.T.Helper()
	namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}}
	if err := w.Client.Get(w.T.Context(), client.ObjectKeyFromObject(namespace), namespace); err != nil {
		w.T.Fatal(err)
	}
	delete(namespace.Annotations, v1alpha1.AnnotationDeletionPolicy)
	if value != "" {
		namespace.Annotations = map[string]string{v1alpha1.AnnotationDeletionPolicy: value}
	}
	if err := w.Client.Update(w.T.Context(), namespace); err != nil {
		w.T.Fatal(err)
	}
}

func TestATopicStaysWhereItsNamespaceOrTheOperatorSaysSoAndItDoesNot(t *testing.T) {
	const retain, remove = v1alpha1.DeletionRetain, v1alpha1.DeletionDelete
	for name, c := range map[string]struct {
		operator, object v1alpha1.DeletionPolicy
		namespace        string
		guest            bool
		want             v1alpha1.DeletionPolicy
	}{
		"nobody says anything":                 {want: remove},
		"the operator":                         {operator: retain, want: retain},
		"the namespace":                        {namespace: "Retain", want: retain},
		"the namespace before the operator":    {operator: retain, namespace: "Delete", want: remove},
		"the object before the namespace":      {namespace: "Retain", object: remove, want: remove},
		"the object before the operator":       {operator: retain, object: remove, want: remove},
		"a guest's namespace":                  {guest: true, namespace: "Retain", want: retain},
		"a guest's namespace lifts nothing":    {guest: true, operator: retain, namespace: "Delete", want: retain},
		"a misspelt value is a wish to retain": {namespace: "retain", want: retain},
	} {
		t.Run(name, func(t *testing.T) {
			w := guestWorld(t)
			w.Shared.Retention = c.operator
			w.restart()
			topic, namespace := controllertest.NewTopic("orders", "uid-1", time.Hour), controllertest.ClusterKey.Namespace
			if topic.Spec.DeletionPolicy = c.object; c.guest {
				topic, namespace = controllertest.FromGuests(topic), controllertest.Guests
			}
			w.say(namespace, c.namespace)
			w.Apply(topic)
			w.Settle("orders")
			live := w.TopicIn(namespace, "orders")
			if live.Status.DeletionPolicy != c.want || live.Spec.DeletionPolicy != c.object {
				t.Errorf("status says %q, spec %q; expected %q and %q",
					live.Status.DeletionPolicy, live.Spec.DeletionPolicy, c.want, c.object)
			}
			w.WantSilence("orders")
			w.Remove(live)
			w.Settle("orders")
			if kept := len(w.Kafka.Topics) == 1; w.TopicIn(namespace, "orders") != nil || kept != (c.want == retain) {
				t.Errorf("the topic is kept: %t; the object: %v", kept, w.TopicIn(namespace, "orders"))
			}
		})
	}
}

// Somebody annotates the namespace and prunes at once: the watch may be behind, and the data must stay.
func TestATopicIsDeletedOnlyAfterALookAtItsNamespacePastTheCache(t *testing.T) {
	w := newWorld(t, controllertest.ReadyCluster(3), controllertest.NewTopic("orders", "uid-1", time.Hour))
	w.Settle("orders")
	home := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: controllertest.ClusterKey.Namespace}}
	w.Shared.Namespaces.Reader = fake.NewClientBuilder().WithScheme(w.Client.Scheme()).WithObjects(home).Build()
	w.restart()
	w.say(controllertest.ClusterKey.Namespace, "Retain")
	w.Remove(w.Topic("orders"))
	w.Settle("orders")
	if w.Topic("orders") != nil || len(w.Kafka.Topics) != 1 {
		t.Errorf("topics %v, object %v", w.Kafka.Topics, w.Topic("orders"))
	}
}
