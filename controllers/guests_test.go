package controllers

import (
	"context"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/castellan-dev/castellan/api/v1alpha1"
)

const guests = "guests" // a namespace that is not the cluster's

func fromGuests[O client.Object](o O) O {
	o.SetNamespace(guests)
	switch o := any(o).(type) {
	case *v1alpha1.KafkaTopic:
		o.Spec.ClusterRef.Namespace = clusterKey.Namespace
	case *v1alpha1.KafkaUser:
		o.Spec.ClusterRef.Namespace = clusterKey.Namespace
	}
	return o
}

// admit lets the cluster take what namespaces with a label ask for.
func admit(c *v1alpha1.KafkaCluster) {
	c.Spec.Access = &v1alpha1.Access{Namespaces: v1alpha1.NamespaceSelector{MatchLabels: map[string]string{"team": "guests"}}}
}

func guestNamespace() *corev1.Namespace {
	return &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: guests, Labels: map[string]string{"team": "guests"}}}
}

// goes lets a namespace be deleted as soon as all in it is.
func (w *world) goes(namespace *corev1.Namespace) {
	w.t.Helper()
	namespace.Finalizers = []string{"kubernetes"}
	if err := w.client.Update(context.Background(), namespace); err != nil {
		w.t.Fatal(err)
	}
	w.remove(namespace)
}
