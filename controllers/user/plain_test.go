package user

import (
	"errors"
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

// Whatever could not be written, the next flush of an operator that remembers nothing puts right.
func TestACrashBetweenTwoWritesLeavesNoCertificateBehind(t *testing.T) {
	nothing := func(*world) {}
	type life struct {
		begin  func(*world) // before the change
		change func(*world)
		listed int  // certificates of the user at the end
		former bool // the first one still lets in
	}
	begun := func(w *world) {
		w.Apply(newUser("app", time.Hour, byTLS))
		w.Settle("app")
	}
	for name, l := range map[string]life{
		"a first one": {nothing, func(w *world) { w.Apply(newUser("app", time.Hour, byTLS)) }, 1, false},
		"a renewal":   {begun, func(w *world) { w.Clock.Move(64 * day) }, 2, true},
		"a re-issue":  {begun, func(w *world) { w.reissue("app", "1") }, 1, false},
		"a lost Secret": {begun, func(w *world) {
			w.Remove(&corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "app-kafka"}})
		}, 1, false},
		"a deletion": {begun, func(w *world) { w.Remove(w.user("app")) }, 0, false},
		"a change to SCRAM": {begun, func(w *world) {
			w.changeUser("app", func(u *v1alpha1.KafkaUser) { u.Spec.Authentication.Mechanisms = []v1alpha1.Mechanism{scram512} })
		}, 0, false},
	} {
		for _, write := range []string{"create app-kafka", "update app-kafka", "create events-plain-users",
			"update events-plain-users", "status app", "patch app", "patch events-main-0"} {
			t.Run(name+", without "+write, func(t *testing.T) {
				w := newCertificateWorld(t, 1)
				l.begin(w)
				first := w.held("app")
				l.change(w)
				w.Failing[write] = errors.New("crash")
				for range 2 {
					_ = w.Once("app")
					w.Clock.Move(time.Second)
				}
				clear(w.Failing)
				w.restart()
				w.Settle("app")
				if got := w.listed("app"); len(got) != l.listed {
					t.Errorf("%d are listed, want %d", len(got), l.listed)
				}
				if len(first.CertPEM) > 0 && w.admits("app", first) != l.former {
					t.Errorf("the first certificate lets in: %t", !l.former)
				}
				if l.listed > 0 && !w.admits("app", w.held("app")) {
					t.Error("what the Secret holds does not let in")
				}
				if w.user("app") != nil {
					w.wantUser("app", "Ready")
					w.WantSilence("app")
				}
			})
		}
	}
}
