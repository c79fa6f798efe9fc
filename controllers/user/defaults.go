package user

import (
	"context"
	"maps"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/castellan-dev/castellan/api/v1alpha1"
	"github.com/castellan-dev/castellan/internal/kafka"
	"github.com/castellan-dev/castellan/internal/users"
)

// The quotas of Kafka's default user are the KafkaCluster's. They are read with those of all users, and go with a flush
// of these.

// defaultUser stands for the default user among the names of a flush. It is no user's name: that is printable.
const defaultUser = "\ndefault"

// withoutObjects are the names of a cluster that are looked at although no KafkaUser stands for them.
func withoutObjects(cluster *v1alpha1.KafkaCluster) []string {
	names := remaining(cluster)
	if cluster.Spec.DefaultQuotas != nil || len(ownDefaults(cluster)) > 0 {
		names = append(slices.Clone(names), defaultUser)
	}
	return names
}

// ownDefaults are the default quotas that are on record as the operator's.
func ownDefaults(cluster *v1alpha1.KafkaCluster) []string {
	if d := cluster.Status.DefaultQuotas; d != nil && d.ClusterID == cluster.Status.ClusterID {
		return d.Keys
	}
	return nil
}

// mendDefaults brings the default quotas to what the cluster's spec asks for. What it sets is on record before.
func (p *userPass) mendDefaults(ctx context.Context, admin kafka.UserAdmin) {
	n := slices.IndexFunc(p.items, func(i *userItem) bool { return i.claim.Name == defaultUser })
	if n < 0 {
		return
	}
	i := p.items[n]
	refusal, err := p.setDefaults(ctx, admin)
	switch {
	case err == nil:
		if p.r.refusesAnew(p.pass.Cluster.Key, refusal) {
			p.r.Events.Eventf(p.pass.Cluster.Object, nil, corev1.EventTypeWarning, "DefaultQuotasRefused", "Alter",
				"Kafka refuses spec.defaultQuotas: %s", refusal)
		}
		if refusal != nil {
			i.failed(refusal)
		}
	case p.pass.Overtaken(i.claim.Name, err):
		i.state = postponed
	default:
		i.failed(err)
		p.pass.Errs.Add(i.claim.Name, err)
	}
}

// refusesAnew tells whether Kafka refuses a cluster's default quotas in other words than at the last attempt.
func (r *Reconciler) refusesAnew(cluster types.NamespacedName, refusal error) bool {
	text := ""
	if refusal != nil {
		text = refusal.Error()
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	before := r.refused[cluster]
	r.refused[cluster] = text
	return text != "" && text != before
}

func (p *userPass) setDefaults(ctx context.Context, admin kafka.UserAdmin) (refusal, err error) {
	cluster := p.pass.Cluster.Object
	quotas := p.live.Quotas
	if quotas == nil { // no user of this flush needed them
		if quotas, err = admin.Quotas(ctx, []string{kafka.DefaultUser}); err != nil {
			return nil, err
		}
	}
	wanted, own := users.QuotasOf(cluster.Spec.DefaultQuotas), ownDefaults(cluster)
	ahead := slices.Compact(slices.Sorted(slices.Values(slices.Concat(own, slices.Collect(maps.Keys(wanted))))))
	if err := p.recordDefaults(ctx, ahead); err != nil {
		return nil, err
	}
	if alter := users.DefaultsToAlter(wanted, quotas[kafka.DefaultUser], own); len(alter) > 0 {
		results, err := admin.AlterQuotas(ctx, map[string]map[string]*float64{kafka.DefaultUser: alter})
		if err != nil {
			return nil, err
		}
		if refusal := results[kafka.DefaultUser]; refusal != nil {
			return refusal, nil
		}
	}
	return nil, p.recordDefaults(ctx, slices.Sorted(maps.Keys(wanted)))
}

// recordDefaults writes which default quotas are the operator's, where that does not stand there already.
func (p *userPass) recordDefaults(ctx context.Context, keys []string) error {
	if slices.Equal(keys, ownDefaults(p.pass.Cluster.Object)) {
		return nil
	}
	return p.recordOnCluster(ctx, "the default quotas", func(s *v1alpha1.KafkaClusterStatus) {
		s.DefaultQuotas = nil
		if len(keys) > 0 {
			s.DefaultQuotas = &v1alpha1.DefaultQuotasStatus{ClusterID: s.ClusterID, Keys: keys}
		}
	})
}
