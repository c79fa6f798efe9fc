package user

import (
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/castellan-dev/castellan/api/v1alpha1"
	"github.com/castellan-dev/castellan/controllers/controllertest"
	"github.com/castellan-dev/castellan/internal/render"
)

func plainFile(labels map[string]string, data string) *corev1.Secret {
	return &corev1.Secret{ObjectMeta: metav1.ObjectMeta{
		Namespace: controllertest.ClusterKey.Namespace, Name: render.PlainUsersSecret(controllertest.ClusterKey.Name),
		Labels: labels,
	}, Data: map[string][]byte{render.UsersEntry: []byte(data)}}
}

func TestAPasswordFileOfSomebodyElseIsNamedAndLeftAlone(t *testing.T) {
	w := newUserWorld(t, 1)
	theirs := plainFile(nil, "theirs")
	w.Apply(theirs, newUser("app", time.Hour, v1alpha1.MechanismPlain))
	w.Reset()
	_ = w.Once("app")
	if m := controllertest.Message(w.user("app").Status.Conditions); !strings.Contains(m, "Secret shop/events-plain-users") ||
		!strings.Contains(m, "is not KafkaCluster events's; remove it") {
		t.Errorf("it says %q", m)
	}
	if w.Requests["update Secret"] != 0 || w.secret(theirs.Name)[render.UsersEntry] != "theirs" {
		t.Errorf("it holds %q after %v", w.secret(theirs.Name), w.Requests)
	}
	w.Remove(theirs)
	w.LookAgain(time.Minute)
	w.wantUser("app", "Ready")
}

func TestAPasswordFileThatLostItsLabelsGetsThemBack(t *testing.T) {
	w := newUserWorld(t, 1)
	w.Apply(newUser("app", time.Hour, v1alpha1.MechanismPlain))
	w.Settle("app")
	file := &corev1.Secret{}
	key := client.ObjectKeyFromObject(plainFile(nil, ""))
	if err := w.Client.Get(t.Context(), key, file); err != nil {
		t.Fatal(err)
	}
	file.Labels = nil
	if err := w.Client.Update(t.Context(), file); err != nil {
		t.Fatal(err)
	}
	w.Apply(newUser("other", time.Hour, v1alpha1.MechanismPlain))
	w.Settle("other")
	w.wantUser("other", "Ready")
	if err := w.Client.Get(t.Context(), key, file); err != nil {
		t.Fatal(err)
	}
	if file.Labels[v1alpha1.LabelManagedBy] != v1alpha1.ManagedBy {
		t.Errorf("labels %v", file.Labels)
	}
	w.WantSilence("app", "other")
}
