package cluster

import (
	"context"
	"errors"
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/castellan-dev/castellan/api/v1alpha1"
	"github.com/castellan-dev/castellan/internal/apply"
	"github.com/castellan-dev/castellan/internal/decide"
	"github.com/castellan-dev/castellan/internal/identity"
	"github.com/castellan-dev/castellan/internal/kafka"
	"github.com/castellan-dev/castellan/internal/observe"
	"github.com/castellan-dev/castellan/internal/plan"
	"github.com/castellan-dev/castellan/internal/render"
	"github.com/castellan-dev/castellan/internal/verdict"
)

// act carries out the decision: what disturbs nobody, then the steps of the plan in their order, and last what is left over.
func (r *Reconciler) act(ctx context.Context, s *scope) error {
	for _, apply := range []func(context.Context, *scope) error{r.applyQuiet, r.certify} {
		if err := apply(ctx, s); err != nil {
			return err
		}
	}
	if err := errors.Join(r.applyBudget(ctx, s), r.applyHandover(ctx, s)); err != nil {
		return err
	}
	drafts := map[string]*draft{}
	for _, step := range s.decision.Plan.Steps {
		if err := r.perform(ctx, s, step, drafts); err != nil {
			return fmt.Errorf("KafkaCluster %s: %s: %w", s.key(), step, err)
		}
	}
	return r.prune(ctx, s)
}

func (r *Reconciler) perform(ctx context.Context, s *scope, step plan.Step, drafts map[string]*draft) error {
	switch step.Kind {
	case plan.CreatePool, plan.ScalePool, plan.StageFiles:
		return r.applyPool(ctx, s, step, drafts)
	case plan.SayFormat:
		return r.sayFormat(ctx, s, step)
	case plan.Restart:
		return r.restart(ctx, s, step)
	case plan.ReplaceDisk:
		return r.replaceDisk(ctx, s, step)
	case plan.ShrinkPool:
		return r.shrinkPool(ctx, s, step)
	case plan.RemovePool:
		return r.removePool(ctx, s, step)
	default:
		return r.askKafka(ctx, s, step)
	}
}

// askKafka carries out the steps that are one request to Kafka.
func (r *Reconciler) askKafka(ctx context.Context, s *scope, step plan.Step) error {
	admin, err := r.Connections.Admin(ctx, s.base)
	if err != nil {
		return err
	}
	field := ""
	switch step.Kind {
	case plan.AlterConfig:
		field = s.configField(step)
		err = admin.AlterBrokerConfig(ctx, step.Node, step.Changes)
	case plan.ElectLeaders:
		return admin.ElectPreferredLeaders(ctx)
	case plan.AddVoter:
		err = admin.AddVoter(ctx, step.Member, step.Endpoint)
	case plan.RemoveVoter:
		err = admin.RemoveVoter(ctx, step.Member)
	case plan.Unregister:
		err = admin.UnregisterBroker(ctx, step.Node)
	case plan.FinalizeVersion:
		field = "spec.metadataVersion"
		err = admin.SetMetadataVersion(ctx, step.Level)
	default:
		return fmt.Errorf("the planner asks for %q, which nobody knows how to do", step.Kind)
	}
	if err != nil {
		return s.refuse(field, err)
	}
	r.event(s, corev1.EventTypeNormal, eventReasons[step.Kind], step.String())
	s.lookAgain(whenBehind)
	return nil
}

// eventReasons tell in the past what a step has done.
var eventReasons = map[plan.Kind]string{
	plan.AlterConfig: "ConfigChanged", plan.AddVoter: "VoterAdded", plan.RemoveVoter: "VoterRemoved",
	plan.Unregister: "BrokerUnregistered", plan.FinalizeVersion: "MetadataVersionFinalized",
}

// refuse makes Kafka's no the fault of the field that asked for it. Anything else is retried.
func (s *scope) refuse(field string, err error) error {
	refusal := &kafka.Refusal{}
	if field == "" || !errors.As(err, &refusal) {
		return err
	}
	s.refused = append(s.refused, verdict.Stalled(verdict.ReasonInvalid, field, "%s", "Kafka refuses this: "+refusal.Error()))
	s.requeue = max(s.requeue, whenHeld)
	return nil
}

// configField names the keys of a step where the user wrote them.
func (s *scope) configField(step plan.Step) string {
	keys := make([]string, len(step.Changes))
	for i, change := range step.Changes {
		keys[i] = change.Key
	}
	if node := s.decision.Model.Node(step.Node); node != nil {
		return fmt.Sprintf("spec.pools[%s].config[%s]", node.Pool, strings.Join(keys, ", "))
	}
	return fmt.Sprintf("spec.config[%s]", strings.Join(keys, ", "))
}

// draft is a pool's revision as the steps of one plan have it so far.
type draft struct {
	files    map[int32]render.NodeFiles
	replicas int32
}

// applyPool lets the StatefulSet name a revision in which the step's nodes have their desired files and every other
// node those it last ran: a pod that dies meanwhile comes back on what worked.
func (r *Reconciler) applyPool(ctx context.Context, s *scope, step plan.Step, drafts map[string]*draft) error {
	pool := s.pool(step.Pool)
	if pool == nil {
		return fmt.Errorf("pool %q is not in the spec", step.Pool)
	}
	live := s.seen.Live.StatefulSets[pool.StatefulSet]
	d := drafts[step.Pool]
	if d == nil {
		d = &draft{files: s.lastRun(pool.Name), replicas: pool.Replicas}
		if live != nil && live.Spec.Replicas != nil {
			d.replicas = *live.Spec.Replicas
		}
		drafts[step.Pool] = d
	}
	for _, id := range step.Nodes {
		if files, known := s.decision.Files[id]; known {
			d.files[id] = files
		}
	}
	if step.Kind != plan.StageFiles {
		d.replicas = pool.Replicas
	}
	revision := render.Revision(s.decision.Model, pool, d.files)
	if s.seen.Live.ConfigMaps[revision.Name] == nil {
		apply.Own(revision, s.base, decide.KindCluster, v1alpha1.GroupVersion.String())
		if err := r.Create(ctx, revision, client.FieldOwner(apply.FieldOwner)); err != nil && !apierrors.IsAlreadyExists(err) {
			return fmt.Errorf("create ConfigMap %s: %w", revision.Name, err)
		}
	}
	set := render.StatefulSet(s.decision.Model, pool, revision.Name, d.replicas, live)
	apply.Own(set, s.base, decide.KindCluster, v1alpha1.GroupVersion.String())
	if _, err := r.applier.Apply(ctx, set, orNil(live)); err != nil {
		return err
	}
	if step.Kind != plan.StageFiles {
		r.event(s, corev1.EventTypeNormal, string(step.Kind), fmt.Sprintf("pool %s has %d nodes", pool.Name, d.replicas))
	}
	s.lookAgain(whenBehind)
	return nil
}

// lastRun is what each node of a pool runs, or ran last.
func (s *scope) lastRun(pool string) map[int32]render.NodeFiles {
	files := map[int32]render.NodeFiles{}
	if configMap := s.seen.Live.ConfigMaps[s.decision.Observation.Pools[pool].Revision]; configMap != nil {
		files = render.ReadRevision(configMap)
	}
	for i := range s.seen.Live.Pods {
		pod := &s.seen.Live.Pods[i]
		id, ok := observe.NodeID(pod.Name)
		if !ok || pod.Labels[v1alpha1.LabelPool] != pool {
			continue
		}
		if configMap := s.seen.Live.ConfigMaps[observe.RevisionName(pod.Spec.Volumes)]; configMap != nil {
			if ran, known := render.ReadRevision(configMap)[id]; known {
				files[id] = ran
			}
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
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: s.base.Namespace, Name: s.podName(step)}}
	patch := client.RawPatch(types.MergePatchType, fmt.Appendf(nil, `{"metadata":{"uid":%q,"annotations":{%q:%q}}}`,
		step.PodUID, v1alpha1.AnnotationFormat, word))
	err := r.Patch(ctx, pod, patch, client.FieldOwner(apply.FieldOwner))
	if apierrors.IsNotFound(err) || apierrors.IsConflict(err) {
		return nil // another pod has taken its place: it is spoken to in its turn
	}
	return err
}
