package user

import (
	"context"
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/source"

	"github.com/castellan-dev/castellan/api/v1alpha1"
	"github.com/castellan-dev/castellan/controllers/batch"
	"github.com/castellan-dev/castellan/internal/pki"
	"github.com/castellan-dev/castellan/internal/render"
	"github.com/castellan-dev/castellan/internal/resolve"
	"github.com/castellan-dev/castellan/internal/users"
)

// kafkaUsers are the accessors that the engine needs for KafkaUsers.
var kafkaUsers = batch.Kind[*v1alpha1.KafkaUser, v1alpha1.KafkaUserStatus]{
	Object: &v1alpha1.KafkaUser{}, Name: "KafkaUser", Noun: "user", Index: "castellan.user",
	Key: func(u *v1alpha1.KafkaUser) batch.Key {
		return batch.Key{Cluster: u.Spec.ClusterRef.From(u.Namespace), Name: users.Name(u)}
	},
	List: func(ctx context.Context, r client.Reader, options ...client.ListOption) ([]*v1alpha1.KafkaUser, error) {
		var list v1alpha1.KafkaUserList
		err := r.List(ctx, &list, options...)
		return batch.Pointers(list.Items), err
	},
	Status:     func(u *v1alpha1.KafkaUser) *v1alpha1.KafkaUserStatus { return &u.Status },
	Conditions: func(s *v1alpha1.KafkaUserStatus) *[]metav1.Condition { return &s.Conditions },
	Operator:   func(s *v1alpha1.KafkaUserStatus) *string { return &s.Operator },
	Observed:   func(s *v1alpha1.KafkaUserStatus) int64 { return s.ObservedGeneration },
	Seen:       users.SeenStatus,
	Policy:     func(u *v1alpha1.KafkaUser) *v1alpha1.DeletionPolicy { return &u.Spec.DeletionPolicy },
	MayStay: func(host batch.Host, u *v1alpha1.KafkaUser) bool {
		return host.Permits(u, v1alpha1.PermissionAdopt) // what stays is nobody's to evict
	},
	Remains: withoutObjects,
	Leftover: func(u *v1alpha1.KafkaUser) string {
		if u.Status.Credentials == nil {
			return ""
		}
		return fmt.Sprintf("user %q with its credentials, ACLs and quotas", users.Name(u))
	},
}

// SetupWithManager starts the controller with the manager.
func (r *Reconciler) SetupWithManager(mgr ctrl.Manager) error {
	b, err := r.Controller(mgr, "kafkauser")
	if err != nil {
		return err
	}
	// All users of a cluster are looked at when something has changed that stands in their Secrets, that needs a new proof
	// of their logins, or that decides whether the cluster can be asked at all.
	events := r.ClusterEvents(batch.Every[*v1alpha1.KafkaUser], touchedBy)
	if b, err = r.watchProvided(mgr, b); err != nil {
		return err
	}
	if err := mgr.GetFieldIndexer().IndexField(context.Background(), &corev1.Secret{}, batch.OwnerIndex,
		batch.OwnerOf); err != nil {
		return fmt.Errorf("index Secrets by their KafkaUser: %w", err)
	}
	return b.Watches(&v1alpha1.KafkaCluster{}, events).
		WatchesRawSource(source.Channel(r.Woken, events)).
		Watches(&corev1.Secret{}, r.secretEvents()).
		Complete(r)
}

func (r *Reconciler) markAll(ctx context.Context, cluster types.NamespacedName, q batch.QueueOf) {
	r.MarkCluster(ctx, cluster, q, batch.Every[*v1alpha1.KafkaUser])
}

// touchedBy tells which users are looked at after a change of their cluster; nil = none.
func touchedBy(before, after *v1alpha1.KafkaCluster) func(*v1alpha1.KafkaUser) bool {
	switch {
	case !sameForUsers(before, after):
		return batch.Every[*v1alpha1.KafkaUser]
	case anew(before, after):
		return unprovenOn(after)
	case !equality.Semantic.DeepEqual(before.Spec.DefaultQuotas, after.Spec.DefaultQuotas):
		return func(*v1alpha1.KafkaUser) bool { return false } // what has no object is looked at all the same
	}
	return nil
}

// unprovenOn tells who has not been seen to log in on every broker, and of those who have, one of each SCRAM mechanism:
// by that one it is seen whether a broker has lost its users in a new process.
func unprovenOn(cluster *v1alpha1.KafkaCluster) func(*v1alpha1.KafkaUser) bool {
	brokers, seen := batch.Serving(cluster), map[v1alpha1.Mechanism]bool{}
	return func(u *v1alpha1.KafkaUser) bool {
		c := users.Recorded(u, cluster.Status.ClusterID)
		wanted := c == nil || len(provable(recorded(c))) > 0 && len(lacking(brokers, c.ProvenOn)) > 0
		for _, m := range recorded(c) {
			wanted, seen[m] = wanted || inLog(m) && !seen[m], true
		}
		return wanted
	}
}

func sameForUsers(before, after *v1alpha1.KafkaCluster) bool {
	return batch.FactsOf(before) == batch.FactsOf(after) &&
		decides(before) == decides(after) &&
		slices.Equal(superUsers(before), superUsers(after)) &&
		equality.Semantic.DeepEqual(before.Spec.Listeners, after.Spec.Listeners) &&
		equality.Semantic.DeepEqual(before.Spec.External, after.Spec.External) &&
		equality.Semantic.DeepEqual(before.Status.External, after.Status.External) &&
		equality.Semantic.DeepEqual(before.Status.Listeners, after.Status.Listeners)
}

// decides says what in a cluster decides what a user may do.
func decides(cluster *v1alpha1.KafkaCluster) v1alpha1.AuthorizationStatus {
	if cluster.IsExternal() {
		return v1alpha1.AuthorizationStatus{}
	}
	h := resolve.HostOf(cluster)
	if h.Authorizes {
		return v1alpha1.AuthorizationStatus{Type: v1alpha1.AuthorizationSimple}
	}
	return v1alpha1.AuthorizationStatus{Class: h.Authorizer}
}

// superUsers are the names that nobody may have who is from another namespace; nil = there is no cluster, or it has
// none.
func superUsers(cluster *v1alpha1.KafkaCluster) []string {
	if cluster == nil {
		return nil
	}
	return cluster.Spec.AllSuperUsers()
}

// secretEvents marks the owner of a connection Secret, and all users when a CA or a file that brokers read has
// changed. Echoes of our own writes mark nothing.
func (r *Reconciler) secretEvents() handler.EventHandler {
	mark := func(ctx context.Context, o client.Object, q batch.QueueOf) {
		if r.Writer.Wrote(o) {
			return
		}
		cluster := types.NamespacedName{Namespace: o.GetNamespace(), Name: o.GetLabels()[v1alpha1.LabelCluster]}
		owner := metav1.GetControllerOf(o)
		switch {
		case cluster.Name == "":
		case owner != nil && owner.Kind == "KafkaUser":
			var u v1alpha1.KafkaUser
			if r.Client.Get(ctx, types.NamespacedName{Namespace: o.GetNamespace(), Name: owner.Name}, &u) == nil {
				r.Mark(q, &u)
			}
		case o.GetName() == pki.AuthoritySecret(cluster.Name), o.GetName() == pki.ClientsAuthoritySecret(cluster.Name),
			slices.Contains(render.PlainUsersSecrets(cluster.Name), o.GetName()):
			r.markAll(ctx, cluster, q)
		}
	}
	return handler.Funcs{
		UpdateFunc: func(ctx context.Context, e event.UpdateEvent, q batch.QueueOf) {
			if e.ObjectOld.GetResourceVersion() != e.ObjectNew.GetResourceVersion() {
				mark(ctx, e.ObjectNew, q)
			}
		},
		CreateFunc: func(ctx context.Context, e event.CreateEvent, q batch.QueueOf) { mark(ctx, e.Object, q) },
		DeleteFunc: func(ctx context.Context, e event.DeleteEvent, q batch.QueueOf) {
			r.Writer.Forget(e.Object.GetUID())
			mark(ctx, e.Object, q)
		},
	}
}
