package user

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

// A namespace is annotated and a user deleted right after, before the cache shows the annotation.
func TestTheFlushOfAnotherUserKeepsTheLineOfOneThatStays(t *testing.T) {
	w := newGuestWorld(t)
	home := controllertest.ClusterKey.Namespace
	w.Apply(newUser("app", time.Hour, plain), newUser("beside", time.Hour, plain))
	w.Settle("app", "beside")
	password := w.passwordIn(home, "app")
	behind := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: home}}
	live := &corev1.Namespace{}
	if err := w.Client.Get(t.Context(), client.ObjectKey{Name: home}, live); err != nil {
		t.Fatal(err)
	}
	live.Annotations = map[string]string{v1alpha1.AnnotationDeletionPolicy: "Retain"}
	if err := w.Client.Update(t.Context(), live); err != nil {
		t.Fatal(err)
	}
	w.users.Namespaces.Live = w.Client
	w.users.Namespaces.Reader = fake.NewClientBuilder().WithScheme(w.Client.Scheme()).WithObjects(behind).Build()
	w.Remove(w.userIn(home, "app"))
	w.changeUser("beside", func(u *v1alpha1.KafkaUser) {
		u.Annotations = map[string]string{v1alpha1.AnnotationRotatePassword: "x"}
	})
	_ = w.Once("beside")
	if !w.login("app", password) {
		t.Error("another flush drops the line that is to stay")
	}
	w.Settle("app", "beside")
}
