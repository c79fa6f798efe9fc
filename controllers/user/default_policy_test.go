package user

import (
	"testing"
	"time"

	"github.com/castellan-dev/castellan/api/v1alpha1"
	"github.com/castellan-dev/castellan/controllers/controllertest"
)

// The operator's default holds for users as for topics. A user of another namespace stays only by the word of the
// cluster's owner, whatever that default is; and the line of one that stays outlives another flush.
func TestAUserStaysByTheOperatorsDefaultAndAGuestOnlyIfItMay(t *testing.T) {
	for name, c := range map[string]struct {
		guest, permitted bool
		object           v1alpha1.DeletionPolicy
		stays            bool
	}{
		"of the cluster's namespace":     {stays: true},
		"its object says Delete":         {object: v1alpha1.DeletionDelete},
		"a guest":                        {guest: true},
		"a guest with the permission":    {guest: true, permitted: true, stays: true},
		"a guest that asks for deletion": {guest: true, permitted: true, object: v1alpha1.DeletionDelete},
	} {
		t.Run(name, func(t *testing.T) {
			w := newGuestWorld(t)
			w.users.Retention = v1alpha1.DeletionRetain
			if c.permitted {
				w.ChangeCluster(permitGuests(v1alpha1.PermissionAdopt))
			}
			app, namespace := newUser("app", time.Hour, plain), controllertest.ClusterKey.Namespace
			if app.Spec.DeletionPolicy = c.object; c.guest {
				app, namespace = controllertest.FromGuests(app), controllertest.Guests
			}
			w.Apply(app, newUser("beside", time.Hour, plain))
			w.Settle("app", "beside")
			w.mustSay(namespace, "app", "Ready") // also a guest's that may not stay: it has not asked for that
			w.WantSilence("app", "beside")
			if said := w.userIn(namespace, "app").Status.DeletionPolicy; (said == v1alpha1.DeletionRetain) != c.stays {
				t.Errorf("its status says %q", said)
			}
			password := w.passwordIn(namespace, "app")
			w.Remove(w.userIn(namespace, "app"))
			w.changeUser("beside", func(u *v1alpha1.KafkaUser) {
				u.Annotations = map[string]string{v1alpha1.AnnotationRotatePassword: "x"}
			})
			_ = w.Once("beside") // its flush writes first
			if c.stays && !w.login("app", password) {
				t.Error("another flush drops the line that is to stay")
			}
			w.Settle("app", "beside")
			if w.userIn(namespace, "app") != nil || w.login("app", password) != c.stays {
				t.Errorf("the object is there: %t; the user logs in: %t", w.userIn(namespace, "app") != nil, !c.stays)
			}
		})
	}
}
