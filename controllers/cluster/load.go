package cluster

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/selection"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/castellan-dev/castellan/api/v1alpha1"
	"github.com/castellan-dev/castellan/internal/course"
	"github.com/castellan-dev/castellan/internal/decide"
	"github.com/castellan-dev/castellan/internal/identity"
	"github.com/castellan-dev/castellan/internal/jwks"
	"github.com/castellan-dev/castellan/internal/kafka"
	"github.com/castellan-dev/castellan/internal/model"
	"github.com/castellan-dev/castellan/internal/observe"
	"github.com/castellan-dev/castellan/internal/provided"
	"github.com/castellan-dev/castellan/internal/render"
)

// snapshotPatience bounds the reading of one snapshot.
const snapshotPatience = 10 * time.Second

// load reads all that a pass looks at: the objects of the cluster from the cache, and one snapshot of Kafka.
func (r *Reconciler) load(ctx context.Context, cluster *v1alpha1.KafkaCluster) (decide.Inputs, error) {
	in := decide.Inputs{
		Cluster: cluster, ImageRepository: r.Settings.ImageRepository, Domain: r.Settings.Domain,
		Operator: model.Operator{Namespace: r.Settings.OperatorNamespace, Labels: r.Settings.OperatorLabels},
		Live:     &observe.Live{}, NewUUID: identity.NewUUID, Now: r.Settings.Now(),
		EndpointSlices: r.Settings.EndpointSlices, SlicesDenied: r.Settings.Denied.Slices,
		Registries: r.Settings.Registries,
	}
	live, err := r.readLive(ctx, cluster)
	if err != nil {
		return in, err
	}
	in.Live = live
	if in.Accepted, err = decide.AcceptedSpec(live, cluster.Name); err != nil {
		return in, err
	}
	if err = r.readProvided(ctx, &in); err != nil {
		return in, err
	}
	if err = r.readHosts(ctx, &in); err != nil {
		return in, err
	}
	key := client.ObjectKeyFromObject(cluster)
	in.Holders = func() ([]provided.Holder, error) { return r.holders(ctx, key) }
	in.Shown = func(p decide.Presenting) bool { return r.proofs.of(key, p).seen }
	in.Fetched = func(sources []jwks.Source) map[string]jwks.Fetched { return r.Keys.Known(key.String(), sources) }
	live.Gateways = r.lookAtGateways(ctx, cluster, in.Accepted)
	in.CacheCurrent, err = r.expectations.met(ctx, r.APIReader, client.ObjectKeyFromObject(cluster), in.Live.Pods)
	if err != nil {
		return in, err
	}
	if !anyBrokerReady(in.Live.Pods) {
		in.KafkaError = "no broker is ready"
		return in, nil
	}
	whole := ctx
	ctx, cancel := context.WithTimeout(ctx, snapshotPatience)
	defer cancel()
	admin, err := r.Connections.Admin(ctx, cluster)
	if err == nil {
		due := r.usage.due(key, observe.ReadyBrokers(in.Live), in.Now)
		asked := slices.Concat(due, observe.InDoubt(in.Live), decide.LeavingVolumes(&cluster.Spec, in.Live),
			course.InDoubt(cluster.Status.Balancing, r.Balancer.Planned(key)))
		in.Kafka, err = admin.Snapshot(ctx, asked...)
	}
	if err != nil {
		in.Kafka, in.KafkaError = nil, err.Error()
	}
	in.Usage = r.usage.learn(key, in.Kafka)
	in.Balancing = r.Balancer.Seen(whole, key, in.Kafka)
	return in, nil
}

// usage remembers what brokers said last of their log directories, and when each was asked.
type usage struct {
	mu    sync.Mutex
	asked map[types.NamespacedName]map[int32]time.Time
	said  map[types.NamespacedName]map[int32][]kafka.LogDir
}

// usageInterval is how often a broker is asked. A disk fills in hours, and the answer costs the broker a look at each
// of its partitions, in memory.
const usageInterval = time.Minute

// due lists the brokers that are to be asked now, and takes it that they are. One with a disk that has failed is asked
// each time: nobody shall take it for failed once it is replaced.
func (u *usage) due(cluster types.NamespacedName, brokers []int32, now time.Time) []int32 {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.asked == nil {
		u.asked = map[types.NamespacedName]map[int32]time.Time{}
		u.said = map[types.NamespacedName]map[int32][]kafka.LogDir{}
	}
	if u.asked[cluster] == nil {
		u.asked[cluster] = map[int32]time.Time{}
	}
	var due []int32
	for _, id := range brokers {
		failed := slices.ContainsFunc(u.said[cluster][id], func(d kafka.LogDir) bool { return d.Error != "" })
		if last, asked := u.asked[cluster][id]; asked && !failed && now.Sub(last) < usageInterval && !now.Before(last) {
			continue
		}
		u.asked[cluster][id] = now
		due = append(due, id)
	}
	return due
}

// learn takes in what a snapshot says, and returns what is known.
func (u *usage) learn(cluster types.NamespacedName, shot *kafka.Snapshot) map[int32][]kafka.LogDir {
	u.mu.Lock()
	defer u.mu.Unlock()
	known := maps.Clone(u.said[cluster])
	if shot == nil || len(shot.LogDirs) == 0 {
		return known
	}
	if known == nil {
		known = map[int32][]kafka.LogDir{}
	}
	for id, dirs := range shot.LogDirs {
		known[id] = slices.Clone(dirs)
		for i := range dirs {
			known[id][i].Holds, known[id][i].Coming = nil, nil // only the view of a pass is asked for these
		}
	}
	if u.said == nil {
		u.said = map[types.NamespacedName]map[int32][]kafka.LogDir{}
	}
	u.said[cluster] = known
	return maps.Clone(known)
}

func (u *usage) forget(cluster types.NamespacedName) {
	u.mu.Lock()
	defer u.mu.Unlock()
	delete(u.asked, cluster)
	delete(u.said, cluster)
}

func anyBrokerReady(pods []corev1.Pod) bool {
	return slices.ContainsFunc(pods, func(pod corev1.Pod) bool {
		return pod.Labels[v1alpha1.LabelBroker] == "true" &&
			(observe.IsReady(&pod) || slices.ContainsFunc(pod.Status.ContainerStatuses, func(c corev1.ContainerStatus) bool {
				return c.Name == render.ContainerName && c.Ready // a sidecar may keep the pod from being ready
			}))
	})
}

// readLive lists the objects of the cluster, and leaves out what bears its label and is somebody else's.
func (r *Reconciler) readLive(ctx context.Context, cluster client.Object) (*observe.Live, error) {
	live := &observe.Live{Taken: map[string]string{}, Revisions: map[string]*appsv1.ControllerRevision{}}
	list := func(list client.ObjectList) error {
		err := r.List(ctx, list, client.InNamespace(cluster.GetNamespace()), ofClusterItself(cluster.GetName()))
		if err != nil {
			return fmt.Errorf("list the %T of cluster %s/%s: %w", list, cluster.GetNamespace(), cluster.GetName(), err)
		}
		return nil
	}
	for _, kind := range r.Settings.kinds() {
		objects := kind.NewList().(client.ObjectList)
		if err := list(objects); err != nil {
			return nil, err
		}
		err := meta.EachListItem(objects, func(o runtime.Object) error {
			if object := o.(client.Object); isOurs(kind, object, cluster) {
				live.Add(object)
			}
			return nil
		})
		if err != nil {
			return nil, fmt.Errorf("read the %T of cluster %s/%s: %w", objects, cluster.GetNamespace(), cluster.GetName(), err)
		}
	}
	var (
		pods corev1.PodList
		kept appsv1.ControllerRevisionList // observe looks at their controllers
	)
	if err := errors.Join(list(&pods), list(&kept)); err != nil {
		return nil, err
	}
	live.Pods = pods.Items
	for i := range kept.Items {
		live.Revisions[kept.Items[i].Name] = &kept.Items[i]
	}
	return live, nil
}

// ofClusterItself selects by label what is a cluster's, and not the connection Secrets of its users. Some of these may
// lack the label of a user, where the name is too long for one; isOurs leaves them out.
func ofClusterItself(name string) client.MatchingLabelsSelector {
	cluster, err1 := labels.NewRequirement(v1alpha1.LabelCluster, selection.Equals, []string{name})
	users, err2 := labels.NewRequirement(v1alpha1.LabelUser, selection.DoesNotExist, nil)
	if err1 != nil || err2 != nil { // a name that no label can have is on no object
		return client.MatchingLabelsSelector{Selector: labels.Nothing()}
	}
	return client.MatchingLabelsSelector{Selector: labels.NewSelector().Add(*cluster, *users)}
}

func isOurs(kind observe.Kind, object, cluster client.Object) bool {
	_, ours := observe.Whose(kind.Name, object, cluster)
	return ours
}
