// Package observe turns what Kubernetes and Kafka show of a cluster into one model.Observation. It reads from the cache
// and from Kafka and changes nothing; what the observation means is the planner's matter.
package observe

import (
	"context"
	"fmt"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/selection"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/castellan-dev/castellan/api/v1alpha1"
)

// Live is every Kubernetes object of one cluster, as the cache shows it.
type Live struct {
	StatefulSets map[string]*appsv1.StatefulSet
	Pods         []corev1.Pod
	Claims       map[string]*corev1.PersistentVolumeClaim
	ConfigMaps   map[string]*corev1.ConfigMap
	Secrets      map[string]*corev1.Secret
	Services     map[string]*corev1.Service
	Budgets      map[string]*policyv1.PodDisruptionBudget
	// Taken names what belongs to other clusters of the namespace: "Kind/name" and whose it is.
	Taken map[string]string
}

// Read lists the objects that carry the cluster's label.
func Read(ctx context.Context, reader client.Reader, namespace, cluster string) (*Live, error) {
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
	return &Live{
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
		"StatefulSet": &appsv1.StatefulSetList{}, "Service": &corev1.ServiceList{}, "PersistentVolumeClaim": &corev1.PersistentVolumeClaimList{},
	} {
		err := reader.List(ctx, list, client.InNamespace(namespace), client.MatchingLabelsSelector{Selector: labels.NewSelector().Add(*others)})
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

// NodePorts are the ports that Kubernetes gave to Services, by Service name.
func (l *Live) NodePorts() map[string]int32 {
	ports := map[string]int32{}
	for name, service := range l.Services {
		if len(service.Spec.Ports) > 0 && service.Spec.Ports[0].NodePort != 0 {
			ports[name] = service.Spec.Ports[0].NodePort
		}
	}
	return ports
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
