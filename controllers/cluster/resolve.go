package cluster

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"slices"
	"sort"
	"strconv"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/castellan-dev/castellan/api/v1alpha1"
	"github.com/castellan-dev/castellan/internal/apply"
	"github.com/castellan-dev/castellan/internal/identity"
	"github.com/castellan-dev/castellan/internal/observe"
	"github.com/castellan-dev/castellan/internal/render"
	"github.com/castellan-dev/castellan/internal/resolve"
	"github.com/castellan-dev/castellan/internal/verdict"
)

// dereference reads everything that exists of the cluster.
func (r *Reconciler) dereference(ctx context.Context, s *scope) error {
	live, err := observe.Read(ctx, r.Client, s.cluster.Namespace, s.cluster.Name)
	if err != nil {
		return err
	}
	s.live = live
	for _, set := range live.StatefulSets {
		if owner := metav1.GetControllerOf(set); owner != nil && owner.UID != s.cluster.UID {
			return s.halt(fmt.Sprintf("StatefulSet %s of the deleted KafkaCluster of this name is still being removed", set.Name), whenUnderway)
		}
	}
	for _, secret := range live.Secrets {
		if owner := metav1.GetControllerOf(secret); owner != nil && owner.Kind == kindCluster && owner.UID != s.cluster.UID {
			return s.halt(fmt.Sprintf("Secret %s of the deleted KafkaCluster of this name is still being removed", secret.Name), whenUnderway)
		}
	}
	if recorded := live.ConfigMaps[acceptedName(s.cluster.Name)]; recorded != nil {
		spec := &v1alpha1.KafkaClusterSpec{}
		if err := json.Unmarshal([]byte(recorded.Data[acceptedKey]), spec); err != nil {
			return fmt.Errorf("read the last accepted spec from ConfigMap %s: %w", recorded.Name, err)
		}
		s.accepted = spec
	}
	return nil
}

const (
	kindCluster = "KafkaCluster"
	acceptedKey = "spec.json"
)

func acceptedName(cluster string) string { return cluster + "-accepted" }

// resolve turns the spec into the model. A spec that cannot be carried out stalls, and the last accepted one is cared
// for instead. What happens once in a cluster's life is recorded before anybody acts on it.
func (r *Reconciler) resolve(ctx context.Context, s *scope) error {
	spec := &s.cluster.Spec
	proposed, faults := r.identify(s, spec)
	if len(faults) == 0 {
		_, faults = resolve.Resolve(r.inputs(s, proposed, spec))
	}
	if s.faults = faults; len(faults) > 0 {
		if s.accepted == nil {
			return errHalt
		}
		spec = s.accepted
		if proposed, faults = r.identify(s, spec); len(faults) > 0 {
			return errHalt
		}
	}
	if err := r.recordIdentity(ctx, s, proposed); err != nil {
		return err
	}
	// What was accepted once is cared for even where this operator would no longer accept it: faults do not count here.
	if s.model, _ = resolve.Resolve(r.inputs(s, s.cluster, spec)); s.model == nil {
		return errHalt
	}
	s.warnings = resolve.Warnings(s.model)
	s.files, s.want = render.Nodes(s.model), render.Desired(s.model)
	s.observation = observe.Kubernetes(s.model, s.live, s.files)
	return r.recordAccepted(ctx, s, spec)
}

func (r *Reconciler) inputs(s *scope, cluster *v1alpha1.KafkaCluster, spec *v1alpha1.KafkaClusterSpec) resolve.Inputs {
	return resolve.Inputs{
		Cluster: cluster, Spec: spec, Accepted: s.accepted,
		NodePorts: s.live.NodePorts(), Taken: s.live.Taken, ImageRepository: r.Settings.ImageRepository, Domain: r.Settings.Domain,
	}
}

// identify is the cluster with everything in its status that is given out once: node ids, defaults, the cluster id and
// the first quorum. What is recorded stays; what is new is only proposed here.
func (r *Reconciler) identify(s *scope, spec *v1alpha1.KafkaClusterSpec) (*v1alpha1.KafkaCluster, []verdict.Verdict) {
	proposed := s.cluster.DeepCopy()
	status := &proposed.Status
	earlier := earlierLife(s.live)
	if status.ClusterID == "" {
		status.Pools = earlier.pools
	}
	pools, faults := identity.AssignNodeIDs(spec, status.Pools)
	if len(faults) > 0 {
		return nil, faults
	}
	status.Pools = pools
	if status.Defaults == nil {
		defaults := identity.Defaults(spec)
		status.Defaults = &defaults
	}
	if status.ClusterID == "" && earlier.clusterID != "" {
		status.ClusterID, status.InitialVoters = earlier.clusterID, earlier.voters
	}
	if status.ClusterID == "" || ephemeralQuorumLost(s.live, status.InitialVoters, spec) {
		status.ClusterID, status.Bootstrapped, status.InitialVoters = newUUID(), false, nil
		for _, id := range identity.ControllerIDs(spec, pools) {
			status.InitialVoters = append(status.InitialVoters, v1alpha1.InitialVoter{NodeID: id, DirectoryID: newUUID()})
		}
	}
	return proposed, nil
}

// life is what retained claims tell of an earlier KafkaCluster of the same name.
type life struct {
	clusterID string
	voters    []v1alpha1.InitialVoter
	pools     []v1alpha1.PoolStatus
}

// earlierLife reads the labels of the claims. Claims of several clusters tell nothing: their nodes refuse to start, and
// say so.
func earlierLife(live *observe.Live) life {
	var found life
	first := map[string]int32{}
	for _, claim := range live.Claims {
		id, err := strconv.ParseInt(claim.Labels[v1alpha1.LabelNodeID], 10, 32)
		clusterID, pool := claim.Labels[v1alpha1.LabelClusterID], claim.Labels[v1alpha1.LabelPool]
		if err != nil || clusterID == "" || claim.DeletionTimestamp != nil {
			continue
		}
		if found.clusterID != "" && found.clusterID != clusterID {
			return life{}
		}
		found.clusterID = clusterID
		if lowest, known := first[pool]; !known || int32(id) < lowest {
			first[pool] = int32(id)
		}
		if directory := claim.Annotations[v1alpha1.AnnotationDirectoryID]; directory != "" {
			found.voters = append(found.voters, v1alpha1.InitialVoter{NodeID: int32(id), DirectoryID: directory, DiskUID: string(claim.UID)})
		}
	}
	for pool, id := range first {
		found.pools = append(found.pools, v1alpha1.PoolStatus{Name: pool, FirstNodeID: id})
	}
	sort.Slice(found.pools, func(i, j int) bool { return found.pools[i].FirstNodeID < found.pools[j].FirstNodeID })
	sort.Slice(found.voters, func(i, j int) bool { return found.voters[i].NodeID < found.voters[j].NodeID })
	return found
}

// ephemeralQuorumLost tells that the only controller lived on an ephemeral disk and that a pod with another disk has
// taken its place: what was in the old one is gone for good, and the cluster begins anew.
func ephemeralQuorumLost(live *observe.Live, voters []v1alpha1.InitialVoter, spec *v1alpha1.KafkaClusterSpec) bool {
	if len(voters) != 1 || voters[0].DiskUID == "" || len(spec.Pools) != 1 || !spec.Pools[0].Storage.Volumes[0].Ephemeral {
		return false
	}
	return len(live.Pods) == 1 && live.Pods[0].DeletionTimestamp == nil && string(live.Pods[0].UID) != voters[0].DiskUID
}

// recordIdentity writes what is given out once to the status, before anybody acts on it.
func (r *Reconciler) recordIdentity(ctx context.Context, s *scope, proposed *v1alpha1.KafkaCluster) error {
	if equality.Semantic.DeepEqual(proposed.Status, s.cluster.Status) {
		return nil
	}
	minted := proposed.Status.ClusterID != s.cluster.Status.ClusterID
	lost := s.cluster.Status.ClusterID
	err := r.record(ctx, s, func(status *v1alpha1.KafkaClusterStatus) {
		status.ClusterID, status.Bootstrapped = proposed.Status.ClusterID, proposed.Status.Bootstrapped
		status.InitialVoters, status.Pools, status.Defaults = proposed.Status.InitialVoters, proposed.Status.Pools, proposed.Status.Defaults
	})
	if err != nil || !minted {
		return err
	}
	if lost != "" {
		r.event(s, corev1.EventTypeWarning, "NewIncarnation", "the only, ephemeral disk of cluster "+lost+" is gone; it begins anew as "+s.cluster.Status.ClusterID)
	} else {
		r.event(s, corev1.EventTypeNormal, "Identified", "cluster id "+s.cluster.Status.ClusterID)
	}
	return nil
}

// record changes the status ahead of an act: after a read past the cache, and only if nobody else has written since.
func (r *Reconciler) record(ctx context.Context, s *scope, change func(*v1alpha1.KafkaClusterStatus)) error {
	fresh := &v1alpha1.KafkaCluster{}
	if err := r.APIReader.Get(ctx, s.key(), fresh); err != nil {
		return fmt.Errorf("read KafkaCluster %s past the cache: %w", s.key(), err)
	}
	if !sameIdentity(fresh, s.seen) {
		return apierrors.NewConflict(schema.GroupResource{Group: v1alpha1.GroupVersion.Group, Resource: "kafkaclusters"},
			s.cluster.Name, fmt.Errorf("the cache is behind"))
	}
	change(&fresh.Status)
	if err := r.Status().Update(ctx, fresh); err != nil {
		return fmt.Errorf("record in the status of KafkaCluster %s: %w", s.key(), err)
	}
	change(&s.cluster.Status)
	s.seen = fresh.DeepCopy()
	return nil
}

// sameIdentity tells whether two readings agree on all that is recorded once.
func sameIdentity(a, b *v1alpha1.KafkaCluster) bool {
	return a.UID == b.UID && a.Status.ClusterID == b.Status.ClusterID && a.Status.Bootstrapped == b.Status.Bootstrapped &&
		slices.Equal(a.Status.InitialVoters, b.Status.InitialVoters) && slices.Equal(a.Status.Pools, b.Status.Pools)
}

// recordAccepted keeps the spec that is in force, so that a later mistake does not end the care of the cluster.
func (r *Reconciler) recordAccepted(ctx context.Context, s *scope, spec *v1alpha1.KafkaClusterSpec) error {
	text, err := json.Marshal(spec)
	if err != nil {
		return fmt.Errorf("print the accepted spec: %w", err)
	}
	desired := &corev1.ConfigMap{
		TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: "ConfigMap"},
		ObjectMeta: metav1.ObjectMeta{Namespace: s.cluster.Namespace, Name: acceptedName(s.cluster.Name), Labels: s.labels()},
		Data:       map[string]string{acceptedKey: string(text)},
	}
	apply.Own(desired, s.cluster, kindCluster, v1alpha1.GroupVersion.String())
	_, err = r.applier.Apply(ctx, desired, orNil(s.live.ConfigMaps[desired.Name]))
	return err
}

// newUUID is a random UUID in Kafka's text form. One that begins with a dash would look like an option on a command
// line, and a label's value may begin with neither dash nor underscore; the last character is always a letter.
func newUUID() string {
	for {
		var bytes [16]byte
		_, _ = rand.Read(bytes[:]) // never fails: the runtime ends the process instead
		if text := base64.RawURLEncoding.EncodeToString(bytes[:]); text[0] != '-' && text[0] != '_' {
			return text
		}
	}
}
