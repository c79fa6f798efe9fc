package cluster

import (
	"context"
	"fmt"
	"slices"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/selection"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/castellan-dev/castellan/api/v1alpha1"
	"github.com/castellan-dev/castellan/internal/decide"
	"github.com/castellan-dev/castellan/internal/identity"
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
	live, err := readLive(ctx, r.Client, cluster.Namespace, cluster.Name)
	if err != nil {
		return in, err
	}
	in.Live = live
	if in.Accepted, err = decide.AcceptedSpec(live, cluster.Name); err != nil {
		return in, err
	}
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
		in.Kafka, err = admin.Snapshot(ctx)
	}
	if err != nil {
		in.Kafka, in.KafkaError = nil, err.Error()
	}
	return in, nil
}

func anyBrokerReady(pods []corev1.Pod) bool {
	return slices.ContainsFunc(pods, func(pod corev1.Pod) bool {
		return pod.Labels[v1alpha1.LabelBroker] == "true" &&
			(slices.ContainsFunc(pod.Status.Conditions, func(c corev1.PodCondition) bool {
				return c.Type == corev1.PodReady && c.Status == corev1.ConditionTrue
			}) || slices.ContainsFunc(pod.Status.ContainerStatuses, func(c corev1.ContainerStatus) bool {
				return c.Name == render.ContainerName && c.Ready // a sidecar may keep the pod from being ready
			}))
	})
}

// readLive lists the objects that carry the cluster's label.
func readLive(ctx context.Context, reader client.Reader, namespace, cluster string) (*observe.Live, error) {
	var (
		sets     appsv1.StatefulSetList
		pods     corev1.PodList
		claims   corev1.PersistentVolumeClaimList
		maps     corev1.ConfigMapList
		secrets  corev1.SecretList
		services corev1.ServiceList
		budgets  policyv1.PodDisruptionBudgetList
	)
	for _, list := range []client.ObjectList{&sets, &pods, &claims, &maps, &secrets, &services, &budgets} {
		err := reader.List(ctx, list, client.InNamespace(namespace), client.MatchingLabels{v1alpha1.LabelCluster: cluster})
		if err != nil {
			return nil, fmt.Errorf("list the %T of cluster %s/%s: %w", list, namespace, cluster, err)
		}
	}
	taken, err := readTaken(ctx, reader, namespace, cluster)
	if err != nil {
		return nil, err
	}
	return &observe.Live{
		Taken:        taken,
		StatefulSets: byName(sets.Items), Pods: pods.Items, Claims: byName(claims.Items), ConfigMaps: byName(maps.Items),
		Secrets: byName(secrets.Items), Services: byName(services.Items), Budgets: byName(budgets.Items),
	}, nil
}

// readTaken lists what other clusters of the namespace have, of the kinds whose names are made of a cluster's and a
// pool's: cluster a with pool b-c and cluster a-b with pool c ask for the same.
func readTaken(ctx context.Context, reader client.Reader, namespace, cluster string) (map[string]string, error) {
	others, err := labels.NewRequirement(v1alpha1.LabelCluster, selection.NotIn, []string{cluster})
	if err != nil {
		return nil, fmt.Errorf("select what is not of cluster %s: %w", cluster, err)
	}
	taken := map[string]string{}
	for kind, list := range map[string]client.ObjectList{
		"StatefulSet": &appsv1.StatefulSetList{}, "Service": &corev1.ServiceList{},
		"PersistentVolumeClaim": &corev1.PersistentVolumeClaimList{},
	} {
		err := reader.List(
			ctx,
			list,
			client.InNamespace(namespace),
			client.MatchingLabelsSelector{Selector: labels.NewSelector().Add(*others)},
		)
		if err != nil {
			return nil, fmt.Errorf("list the %T of namespace %s: %w", list, namespace, err)
		}
		err = meta.EachListItem(list, func(item runtime.Object) error {
			if object, ok := item.(client.Object); ok {
				taken[kind+"/"+object.GetName()] = "KafkaCluster " + object.GetLabels()[v1alpha1.LabelCluster]
			}
			return nil
		})
		if err != nil {
			return nil, fmt.Errorf("go through the %T of namespace %s: %w", list, namespace, err)
		}
	}
	return taken, nil
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
