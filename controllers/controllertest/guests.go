package controllertest

import (
	"context"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/castellan-dev/castellan/api/v1alpha1"
)

const Guests = "guests" // a namespace that is not the cluster's

// FromGuests puts an object into the namespace of guests, and lets it name the cluster of the tests.
func FromGuests[O client.Object](o O) O {
	o.SetNamespace(Guests)
	switch o := any(o).(type) {
	case *v1alpha1.KafkaTopic:
		o.Spec.ClusterRef.Namespace = ClusterKey.Namespace
	case *v1alpha1.KafkaUser:
		o.Spec.ClusterRef.Namespace = ClusterKey.Namespace
	}
	return o
}

// Admit lets the cluster take what namespaces with a label ask for.
func Admit(c *v1alpha1.KafkaCluster) {
	c.Spec.Access = &v1alpha1.Access{
		Namespaces: v1alpha1.NamespaceSelector{MatchLabels: map[string]string{"team": "guests"}},
	}
}

// GuestNamespace has the label that Admit asks for.
func GuestNamespace() *corev1.Namespace {
	return &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: Guests, Labels: map[string]string{"team": "guests"}}}
}

// Goes lets a namespace be deleted as soon as all in it is.
func (w *World) Goes(namespace *corev1.Namespace) {
	w.T.Helper()
	namespace.Finalizers = []string{"kubernetes"}
	if err := w.Client.Update(context.Background(), namespace); err != nil {
		w.T.Fatal(err)
	}
	w.Remove(namespace)
}
