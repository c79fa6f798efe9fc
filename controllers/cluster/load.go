package cluster

import (
	"context"
	"fmt"
	"slices"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/castellan-dev/castellan/api/v1alpha1"
	"github.com/castellan-dev/castellan/internal/decide"
	"github.com/castellan-dev/castellan/internal/identity"
	"github.com/castellan-dev/castellan/internal/model"
	"github.com/castellan-dev/castellan/internal/observe"
	"github.com/castellan-dev/castellan/internal/render"
)

// snapshotPatience bounds the reading of one snapshot.
const snapshotPatience = 10 * time.Second

// load reads all that a pass looks at: the objects of the cluster from the cache, and one snapshot of Kafka.
func (r *Reconciler) load(ctx context.Context, cluster *v1alpha1.KafkaCluster) (decide.Inputs, error) {
	in := decide.Inputs{
		Cluster: cluster, ImageRepository: r.Settings.ImageRepository, Domain: r.Settings.Domain,
		Live: &observe.Live{}, NewUUID: identity.NewUUID, Now: r.Settings.Now(),
	}
	live, err := readLive(ctx, r.Client, cluster)
	if err != nil {
		return in, err
	}
	in.Live = live
	if in.Accepted, err = decide.AcceptedSpec(live, cluster.Name); err != nil {
		return in, err
	}
	live.Gateways = r.lookAtGateways(ctx, cluster, in.Accepted)
	in.CacheCurrent, err = r.expectations.met(ctx, r.APIReader, client.ObjectKeyFromObject(cluster), in.Live.Pods)
	if err != nil {
		return in, err
	}
	if !anyBrokerReady(in.Live.Pods) {
		in.KafkaError = "no broker is ready"
		return in, nil
	}
	ctx, cancel := context.WithTimeout(ctx, snapshotPatience)
	defer cancel()
	admin, err := r.Connections.Admin(ctx, cluster)
	if err == nil {
		in.Kafka, err = admin.Snapshot(ctx, observe.InDoubt(in.Live)...)
	}
	if err != nil {
		in.Kafka, in.KafkaError = nil, err.Error()
	}
	return in, nil
}

func anyBrokerReady(pods []corev1.Pod) bool {
	return slices.ContainsFunc(pods, func(pod corev1.Pod) bool {
		return pod.Labels[v1alpha1.LabelBroker] == "true" &&
			(observe.IsReady(&pod) || slices.ContainsFunc(pod.Status.ContainerStatuses, func(c corev1.ContainerStatus) bool {
				return c.Name == render.ContainerName && c.Ready // a sidecar may keep the pod from being ready
			}))
	})
}

// readLive lists the objects of the cluster.
func readLive(ctx context.Context, reader client.Reader, cluster client.Object) (*observe.Live, error) {
	var (
		sets     appsv1.StatefulSetList
		pods     corev1.PodList
		claims   corev1.PersistentVolumeClaimList
		maps     corev1.ConfigMapList
		secrets  corev1.SecretList
		services corev1.ServiceList
		budgets  policyv1.PodDisruptionBudgetList
		kept     appsv1.ControllerRevisionList
	)
	for _, list := range []client.ObjectList{&sets, &pods, &claims, &maps, &secrets, &services, &budgets, &kept} {
		err := reader.List(ctx, list, client.InNamespace(cluster.GetNamespace()),
			client.MatchingLabels{v1alpha1.LabelCluster: cluster.GetName()})
		if err != nil {
			return nil, fmt.Errorf("list the %T of cluster %s/%s: %w", list, cluster.GetNamespace(), cluster.GetName(), err)
		}
	}
	return &observe.Live{
		StatefulSets: byName(ours(model.KindStatefulSet, cluster, sets.Items)), Pods: pods.Items,
		Claims:     byName(ours(model.KindClaim, cluster, claims.Items)),
		ConfigMaps: byName(ours(model.KindConfigMap, cluster, maps.Items)),
		Secrets:    byName(ours(model.KindSecret, cluster, secrets.Items)),
		Services:   byName(ours(model.KindService, cluster, services.Items)),
		Budgets:    byName(ours(model.KindBudget, cluster, budgets.Items)),
		Revisions:  byName(kept.Items), // observe looks at their controllers
		Taken:      map[string]string{},
	}, nil
}

// ours leaves out what bears the cluster's label and is somebody else's.
func ours[T any, P interface {
	*T
	client.Object
}](kind string, cluster client.Object, items []T) []T {
	return slices.DeleteFunc(items, func(item T) bool {
		_, ours := observe.Whose(kind, P(&item), cluster)
		return !ours
	})
}

func byName[T any, P interface {
	*T
	client.Object
}](items []T) map[string]P {
	index := make(map[string]P, len(items))
	for i := range items {
		object := P(&items[i])
		index[object.GetName()] = object
	}
	return index
}
