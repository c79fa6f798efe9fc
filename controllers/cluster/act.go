package cluster

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/castellan-dev/castellan/api/v1alpha1"
	"github.com/castellan-dev/castellan/controllers/balancing"
	"github.com/castellan-dev/castellan/internal/apply"
	"github.com/castellan-dev/castellan/internal/identity"
	"github.com/castellan-dev/castellan/internal/kafka"
	"github.com/castellan-dev/castellan/internal/model"
	"github.com/castellan-dev/castellan/internal/observe"
	"github.com/castellan-dev/castellan/internal/plan"
	"github.com/castellan-dev/castellan/internal/render"
	"github.com/castellan-dev/castellan/internal/verdict"
)

// act carries out the decision: what disturbs nobody, then the steps of the plan in their order, and last what is left
// over.
func (r *Reconciler) act(ctx context.Context, s *scope) error {
	if remade, err := r.remake(ctx, s); remade || err != nil {
		return err
	}
	return errors.Join(r.applyWalls(ctx, s), r.actInside(ctx, s))
}

// actInside does all that a NetworkPolicy that cannot be written or removed holds nothing up of.
func (r *Reconciler) actInside(ctx context.Context, s *scope) error {
	for _, apply := range []func(context.Context, *scope) error{
		r.applyQuiet, r.certify, r.giveTokenKeys, r.giveLogins, r.givePluginFiles,
	} {
		if err := apply(ctx, s); err != nil {
			return err
		}
	}
	if err := errors.Join(r.applyBudget(ctx, s), r.applyHandover(ctx, s)); err != nil {
		return err
	}
	if err := r.mendPools(ctx, s); err != nil {
		return err
	}
	for _, step := range s.decision.Plan.Steps {
		if err := r.perform(ctx, s, step); err != nil {
			return fmt.Errorf("KafkaCluster %s: %s: %w", s.key(), step, err)
		}
	}
	return r.prune(ctx, s)
}

// executors carry out the steps, one for each way of doing so.
var executors = map[plan.Act]func(r *Reconciler, ctx context.Context, s *scope, step plan.Step) error{
	plan.ApplyStatefulSet:  (*Reconciler).applyPool,
	plan.ScaleStatefulSet:  (*Reconciler).scalePool,
	plan.DeleteStatefulSet: (*Reconciler).removePool,
	plan.TouchStatefulSet:  (*Reconciler).touch,
	plan.AnnotatePod:       (*Reconciler).sayFormat,
	plan.DeletePod:         (*Reconciler).restart,
	plan.DeleteDisk:        (*Reconciler).replaceDisk,
	plan.OrphanStatefulSet: (*Reconciler).orphanPool,
	plan.DeleteUnwanted:    (*Reconciler).deleteUnwanted,
	plan.AskKafka:          (*Reconciler).askKafka,
	plan.MoveReplicas:      (*Reconciler).moveReplicas,
}

// requests send what plan.AskKafka asks for, one for each kind of step with that act.
var requests = map[plan.Kind]func(ctx context.Context, admin kafka.ClusterAdmin, step plan.Step) error{
	plan.AlterConfig: func(ctx context.Context, admin kafka.ClusterAdmin, step plan.Step) error {
		return admin.AlterBrokerConfig(ctx, step.Node, step.Changes)
	},
	plan.Cordon: func(ctx context.Context, admin kafka.ClusterAdmin, step plan.Step) error {
		return admin.AlterBrokerConfig(ctx, step.Node, step.Changes)
	},
	plan.Uncordon: func(ctx context.Context, admin kafka.ClusterAdmin, step plan.Step) error {
		return admin.AlterBrokerConfig(ctx, step.Node, step.Changes)
	},
	plan.ElectLeaders: func(ctx context.Context, admin kafka.ClusterAdmin, step plan.Step) error {
		return admin.ElectPreferredLeaders(ctx, step.Lack...)
	},
	plan.AddVoter: func(ctx context.Context, admin kafka.ClusterAdmin, step plan.Step) error {
		return admin.AddVoter(ctx, step.Member, step.Endpoint)
	},
	plan.RemoveVoter: func(ctx context.Context, admin kafka.ClusterAdmin, step plan.Step) error {
		return admin.RemoveVoter(ctx, step.Member)
	},
	plan.Unregister: func(ctx context.Context, admin kafka.ClusterAdmin, step plan.Step) error {
		return admin.UnregisterBroker(ctx, step.Node)
	},
	plan.FinalizeVersion: func(ctx context.Context, admin kafka.ClusterAdmin, step plan.Step) error {
		return admin.SetMetadataVersion(ctx, step.Level)
	},
}

func (r *Reconciler) perform(ctx context.Context, s *scope, step plan.Step) error {
	execute := executors[step.Kind.Row().Act]
	if execute == nil {
		return fmt.Errorf("the planner asks for %q, which nobody knows how to do", step.Kind)
	}
	return execute(r, ctx, s, step)
}

// tell records the event of a step that was carried out.
func (r *Reconciler) tell(s *scope, step plan.Step, message string) {
	if event := step.Kind.Row().Event; event.Type != plan.NoEvent {
		r.event(s, string(event.Type), event.Reason, message)
	}
}

func (r *Reconciler) askKafka(ctx context.Context, s *scope, step plan.Step) error {
	admin, err := r.Connections.Admin(ctx, s.base)
	if err != nil {
		return err
	}
	return r.send(ctx, s, admin, step)
}

// moveReplicas begins moves of replicas, cancels them, or ends them. What has begun is on record before, and what has
// ended after.
func (r *Reconciler) moveReplicas(ctx context.Context, s *scope, step plan.Step) error {
	admin, err := r.Connections.Admin(ctx, s.base)
	if err != nil {
		return err
	}
	work := balancing.Work{
		Admin: admin, Cluster: s.key(), Settings: s.decision.Model.Balancing, Record: s.base.Status.Balancing,
		Reassigning: s.decision.Observation.Kafka.Reassignments, Moves: step.Moves, Swaps: step.Swaps,
		Found: s.decision.Observation.Kafka.Partitions, Now: s.seen.Now,
		Write: func(next *v1alpha1.BalancingStatus) error { return r.recordMoves(ctx, s, next) },
	}
	s.lookAgain(whenUnderway)
	switch step.Kind {
	case plan.RecallMoves:
		return r.Balancer.Recall(ctx, work)
	case plan.EndMoves:
		return r.Balancer.End(ctx, work)
	}
	begun, err := r.Balancer.Begin(ctx, work)
	if err != nil {
		return err
	}
	if step.Moves = begun; len(begun) > 0 {
		r.tell(s, step, step.String())
	}
	return nil
}

// recordMoves writes which moves are under way, if nobody has written the status since this pass began.
func (r *Reconciler) recordMoves(ctx context.Context, s *scope, record *v1alpha1.BalancingStatus) error {
	next := s.base.DeepCopy()
	next.Status.Balancing = record
	patch := client.MergeFromWithOptions(s.base, client.MergeFromWithOptimisticLock{})
	if err := r.Status().Patch(ctx, next, patch); err != nil {
		return fmt.Errorf("record moves of replicas in the status of KafkaCluster %s: %w", s.key(), err)
	}
	s.base = next
	return nil
}

// send sends a request. Where Kafka refuses several keys at once, each is asked for by itself, so that one refused
// value keeps no other out.
func (r *Reconciler) send(ctx context.Context, s *scope, admin kafka.ClusterAdmin, step plan.Step) error {
	ask := requests[step.Kind]
	err := ask(ctx, admin, step)
	parts := step.Apart()
	if parts == nil || !isKafkas(err) {
		return r.answered(s, step, err)
	}
	var errs []error
	for _, part := range parts {
		errs = append(errs, r.answered(s, part, ask(ctx, admin, part)))
	}
	return errors.Join(errs...)
}

// answered tells what came of a request.
func (r *Reconciler) answered(s *scope, step plan.Step, err error) error {
	row := step.Kind.Row()
	if err != nil {
		return s.refuse(row.Request.Field(step), err)
	}
	r.tell(s, step, step.String())
	if row.Expects == plan.KafkaShows {
		s.lookAgain(whenBehind)
	}
	return nil
}

// isKafkas tells whether an error is Kafka's own no to what was asked.
func isKafkas(err error) bool {
	_, ok := errors.AsType[*kafka.Refusal](err)
	return ok
}

// refuse makes Kafka's no the fault of the field that asked for it. Anything else is retried.
func (s *scope) refuse(field string, err error) error {
	refusal := &kafka.Refusal{}
	if field == "" || !errors.As(err, &refusal) {
		return err
	}
	s.refused = append(
		s.refused,
		verdict.Stalled(verdict.ReasonInvalid, field, "%s", "Kafka refuses this: "+refusal.Error()),
	)
	s.requeue = max(s.requeue, whenHeld)
	return nil
}

// applyPool lets the StatefulSet name a revision in which the step's nodes have their desired files and every other
// node those it last ran: a pod that dies meanwhile comes back on what worked.
func (r *Reconciler) applyPool(ctx context.Context, s *scope, step plan.Step) error {
	pool := s.pool(step.Pool)
	if pool == nil {
		return fmt.Errorf("pool %q is not in the spec", step.Pool)
	}
	if s.taken(model.KindStatefulSet, pool.StatefulSet) {
		return nil
	}
	live := s.seen.Live.StatefulSets[pool.StatefulSet]
	nodes := s.lastRun(pool.Name)
	for _, id := range step.Nodes {
		if files, known := s.decision.Files[id]; known {
			nodes[id] = files
		}
	}
	revision := render.Revision(s.decision.Model, pool, nodes)
	if err := r.createRevision(ctx, s, revision); err != nil {
		return err
	}
	set := render.StatefulSet(s.decision.Model, pool, revision.Name, step.Replicas, live)
	if _, err := r.apply(ctx, s, model.KindStatefulSet, set, orNil(live)); err != nil {
		return err
	}
	r.tell(s, step, fmt.Sprintf("pool %s has %s", pool.Name, verdict.Counted(int(step.Replicas), "node")))
	s.lookAgain(whenBehind)
	return nil
}

// createRevision makes a revision that is not there yet. Its name is a hash of what is in it: one that is there and
// holds something else was made by somebody else, and no node shall run it.
func (r *Reconciler) createRevision(ctx context.Context, s *scope, revision *corev1.ConfigMap) error {
	if s.seen.Live.ConfigMaps[revision.Name] != nil {
		return nil
	}
	apply.Own(revision, s.base, model.KindCluster, v1alpha1.GroupVersion.String())
	err := r.Create(ctx, revision, client.FieldOwner(apply.FieldOwner))
	if apierrors.IsAlreadyExists(err) {
		there := &corev1.ConfigMap{}
		if err = r.APIReader.Get(ctx, client.ObjectKeyFromObject(revision), there); err != nil {
			return fmt.Errorf("read ConfigMap %s past the cache: %w", revision.Name, err)
		}
		if _, ours := observe.Whose(model.KindConfigMap, there, s.base); ours && maps.Equal(there.Data, revision.Data) &&
			maps.EqualFunc(there.BinaryData, revision.BinaryData, bytes.Equal) {
			return nil
		}
		return fmt.Errorf("ConfigMap %s exists and is not this KafkaCluster's: remove it", revision.Name)
	}
	if err != nil {
		return fmt.Errorf("create ConfigMap %s: %w", revision.Name, err)
	}
	return nil
}

// lastRun is what each node of a pool runs, or ran last.
func (s *scope) lastRun(pool string) map[int32]render.NodeFiles {
	read := map[string]map[int32]render.NodeFiles{} // each revision once: many pods name the same, and it may be large
	revision := func(name string) map[int32]render.NodeFiles {
		if _, known := read[name]; !known {
			read[name] = render.ReadRevision(s.seen.Live.ConfigMaps[name])
		}
		return read[name]
	}
	files := maps.Clone(revision(s.decision.Observation.Pools[pool].Revision))
	if files == nil {
		files = map[int32]render.NodeFiles{}
	}
	for i := range s.seen.Live.Pods {
		pod := &s.seen.Live.Pods[i]
		id, ok := observe.NodeID(pod.Name)
		if !ok || pod.Labels[v1alpha1.LabelPool] != pool {
			continue
		}
		if ran, known := revision(observe.RevisionName(pod.Spec.Volumes))[id]; known {
			files[id] = ran
		}
	}
	return files
}

// sayFormat tells a pod what to do with an empty disk. For an initial voter, which disk may be formatted as such is
// recorded first: saying it to a second disk would split the quorum.
func (r *Reconciler) sayFormat(ctx context.Context, s *scope, step plan.Step) error {
	word := render.FormatJoin(s.decision.Model, step.PodUID)
	if step.Format == plan.FormatInitial {
		word = render.FormatInitial(s.decision.Model, step.PodUID)
		disks := map[int32]string{}
		for id, seen := range s.decision.Observation.Nodes {
			disks[id] = seen.DiskUID
		}
		record, err := identity.Of(&s.base.Status).WithDisks(step.Node, step.DiskUID, disks)
		if err != nil {
			return err
		}
		if err := r.recordIdentity(ctx, s, record); err != nil {
			return err
		}
	}
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{
		Namespace: s.base.Namespace, Name: s.podName(step), UID: types.UID(step.PodUID)}}
	err := r.patch(ctx, pod, map[string]any{"annotations": map[string]string{v1alpha1.AnnotationFormat: word}}, nil)
	if apierrors.IsNotFound(err) || apierrors.IsConflict(err) {
		return nil // another pod has taken its place: it is spoken to in its turn
	}
	return err
}
