package controllers

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/castellan-dev/castellan/api/v1alpha1"
	"github.com/castellan-dev/castellan/internal/kafka"
	"github.com/castellan-dev/castellan/internal/model"
	"github.com/castellan-dev/castellan/internal/status"
	"github.com/castellan-dev/castellan/internal/version"
)

// report writes what the pass has found to the status: one patch, none when nothing has changed. It counts only for the
// status that the pass began with: from an older copy some of it would be taken for written already.
func (r *KafkaClusterReconciler) report(ctx context.Context, s *scope, failure error) error {
	if apierrors.IsConflict(failure) {
		return nil // the cache is behind: the next pass knows better
	}
	if s.model != nil && s.observation != nil {
		setNodes(s)
		setListeners(s)
		setFacts(s)
	}
	setAvailable(s)
	setWarning(s)
	setPlan(s, failure)
	setReady(s, failure)
	s.cluster.Status.ObservedGeneration = s.cluster.Generation
	if equality.Semantic.DeepEqual(s.cluster.Status, s.seen.Status) {
		return nil
	}
	patch := client.MergeFromWithOptions(s.seen, client.MergeFromWithOptimisticLock{})
	if err := r.Status().Patch(ctx, s.cluster, patch); client.IgnoreNotFound(err) != nil {
		return fmt.Errorf("write the status of KafkaCluster %s: %w", s.key(), err)
	}
	for _, n := range s.news {
		r.event(s, n.kind, n.reason, n.text)
	}
	return nil
}

// setReady says in one line what is being done, or what it waits for.
func setReady(s *scope, failure error) {
	conditions, generation := &s.cluster.Status.Conditions, s.cluster.Generation
	if len(s.faults) > 0 {
		messages := make([]string, len(s.faults))
		for i, fault := range s.faults {
			messages[i] = fault.Error()
		}
		message := strings.Join(messages, "; ")
		if before := meta.FindStatusCondition(*conditions, v1alpha1.ConditionStalled); before == nil || before.Message != message {
			s.news = append(s.news, news{corev1.EventTypeWarning, string(s.faults[0].Reason), message})
		}
		status.Stalled(conditions, generation, string(s.faults[0].Reason), message, s.now)
		return
	}
	reason, message := s.progress(failure)
	if reason != "" {
		status.Reconciling(conditions, generation, reason, message, s.now)
		return
	}
	if !meta.IsStatusConditionTrue(*conditions, v1alpha1.ConditionReady) {
		s.news = append(s.news, news{corev1.EventTypeNormal, "Ready", "every node runs what the spec asks for"})
	}
	status.Ready(conditions, generation, "AsSpecified", "every node runs what the spec asks for"+s.pending(), s.now)
}

// progress is the most telling of all that is under way.
func (s *scope) progress(failure error) (reason, message string) {
	switch {
	case failure != nil:
		return "Failing", failure.Error()
	case len(s.waiting) > 0:
		return "Waiting", s.waiting[0]
	case s.model == nil || s.observation == nil:
		return "Waiting", "the cluster has not been observed yet"
	}
	var doing, waits []string
	for _, step := range s.plan.Steps {
		doing = append(doing, step.String())
	}
	for _, held := range s.plan.Held {
		waits = append(waits, held.Message)
	}
	switch {
	case s.failing() != "":
		return "NodeFailing", s.failing()
	case len(s.plan.Held) > 0:
		return "Held", first(waits)
	case len(s.plan.Waiting) > 0:
		return "Waiting", first(s.plan.Waiting)
	case len(doing) > 0:
		return "Working", first(doing)
	}
	if available := meta.FindStatusCondition(s.cluster.Status.Conditions, v1alpha1.ConditionAvailable); available.Status != metav1.ConditionTrue {
		return "NotAvailable", available.Message
	}
	return "", ""
}

// failing tells of the first node that cannot start: it is the root of most that is held back.
func (s *scope) failing() string {
	for _, node := range s.cluster.Status.Nodes {
		if node.State == v1alpha1.NodeFailing {
			return fmt.Sprintf("%s does not start (%s)", node.Pod, node.Message)
		}
	}
	return ""
}

func first(sentences []string) string {
	if len(sentences) == 1 {
		return sentences[0]
	}
	return fmt.Sprintf("%s; and %d more", sentences[0], len(sentences)-1)
}

func (s *scope) pending() string {
	if len(s.plan.Pending) == 0 {
		return ""
	}
	return fmt.Sprintf("; this version of the operator would render %d of them differently, which waits for their next restart", len(s.plan.Pending))
}

func setWarning(s *scope) {
	conditions := &s.cluster.Status.Conditions
	if len(s.warnings) == 0 {
		if s.model != nil {
			meta.RemoveStatusCondition(conditions, v1alpha1.ConditionWarning)
		}
		return
	}
	status.Set(conditions, v1alpha1.ConditionWarning, metav1.ConditionTrue, s.cluster.Generation, "SecondThought", strings.Join(s.warnings, "; "), s.now)
}

// setAvailable tells whether clients can work: the quorum has a leader, every partition has min ISR, and every listener
// an unfenced broker. Without a snapshot nobody knows.
func setAvailable(s *scope) {
	value, reason, message := metav1.ConditionUnknown, "NotObserved", "Kafka has not been observed"
	switch {
	case s.observation == nil && meta.FindStatusCondition(s.cluster.Status.Conditions, v1alpha1.ConditionAvailable) != nil:
		return // the pass did not come so far: what was seen last stands
	case s.observation == nil:
	case s.observation.Kafka == nil:
		message = "Kafka cannot be observed: " + s.observation.KafkaError
	default:
		value, reason, message = available(s)
	}
	status.Set(&s.cluster.Status.Conditions, v1alpha1.ConditionAvailable, value, s.cluster.Generation, reason, message, s.now)
}

func available(s *scope) (metav1.ConditionStatus, string, string) {
	snapshot := s.observation.Kafka
	if snapshot.ClusterID != s.cluster.Status.ClusterID {
		return metav1.ConditionFalse, "AnotherCluster", "the brokers answer with cluster id " + snapshot.ClusterID
	}
	if snapshot.Quorum.LeaderID < 0 {
		return metav1.ConditionFalse, "NoQuorumLeader", "the metadata quorum has no leader"
	}
	if !slices.ContainsFunc(snapshot.Brokers, func(b kafka.Broker) bool { return !b.Fenced }) {
		return metav1.ConditionFalse, "NoBroker", "every broker is fenced"
	}
	short := slices.DeleteFunc(slices.Clone(snapshot.Partitions), func(p kafka.Partition) bool {
		return int32(len(p.ISR)) >= p.MinISR || p.MinISR > int32(len(p.Replicas)) && !underReplicated(p)
	})
	if len(short) > 0 {
		p := short[0]
		return metav1.ConditionFalse, reasonBelowMinISR, fmt.Sprintf("%d partitions have fewer in-sync replicas than min.insync.replicas, among them %s-%d with %d of %d", len(short), p.Topic, p.Number, len(p.ISR), p.MinISR)
	}
	return metav1.ConditionTrue, "Serving", "the quorum has a leader and every partition its minimum of in-sync replicas"
}

// setNodes lists the nodes of the spec, and those that have not left yet.
func setNodes(s *scope) {
	before := map[int32]v1alpha1.NodeStatus{}
	for _, node := range s.cluster.Status.Nodes {
		before[node.ID] = node
	}
	var nodes []v1alpha1.NodeStatus
	ready, brokers := 0, 0
	for i := range s.model.Nodes {
		node := &s.model.Nodes[i]
		pool := s.model.PoolOf(node)
		entry := nodeEntry(s, node, pool, before[node.ID])
		if pool.Broker {
			brokers++
			if entry.State == v1alpha1.NodeServing {
				ready++
			}
		}
		nodes = append(nodes, entry)
	}
	leaving, pools := s.model.Leaving(s.observation)
	for i := range leaving {
		entry := nodeEntry(s, &leaving[i], pools[leaving[i].ID], before[leaving[i].ID])
		if entry.State == v1alpha1.NodeServing || entry.State == v1alpha1.NodeFenced {
			entry.State = v1alpha1.NodeLeaving
		}
		entry.EmptySince = emptyNow(s, entry.ID, before[entry.ID].EmptySince)
		nodes = append(nodes, entry)
	}
	slices.SortFunc(nodes, func(a, b v1alpha1.NodeStatus) int { return cmp.Compare(a.ID, b.ID) })
	s.cluster.Status.Nodes = nodes
	s.cluster.Status.Brokers = fmt.Sprintf("%d/%d", ready, brokers)
}

// nodeEntry keeps the rack that a node was last seen in: it is not unknown only because its pod is being replaced.
func nodeEntry(s *scope, node *model.Node, pool *model.Pool, before v1alpha1.NodeStatus) v1alpha1.NodeStatus {
	entry := v1alpha1.NodeStatus{ID: node.ID, Pool: node.Pool, Pod: node.PodName, Rack: before.Rack}
	if pod := s.observation.Nodes[node.ID].Pod; pod != nil && pod.Zone != "" {
		entry.Rack = pod.Zone
	}
	if pool.Controller {
		entry.Roles = append(entry.Roles, v1alpha1.RoleController)
	}
	if pool.Broker {
		entry.Roles = append(entry.Roles, v1alpha1.RoleBroker)
	}
	entry.State, entry.Message = nodeState(s, node)
	return entry
}

// emptyNow is since when a broker that leaves has held no partition. What cannot be seen changes nothing.
func emptyNow(s *scope, id int32, before *metav1.Time) *metav1.Time {
	snapshot := s.observation.Kafka
	if snapshot == nil {
		return before
	}
	if slices.ContainsFunc(snapshot.Partitions, func(p kafka.Partition) bool { return slices.Contains(p.Replicas, id) }) {
		return nil
	}
	if before != nil {
		return before
	}
	return &metav1.Time{Time: snapshot.TakenAt}
}

func nodeState(s *scope, node *model.Node) (v1alpha1.NodeState, string) {
	seen := s.observation.Nodes[node.ID]
	pod, lost := seen.Pod, seen.LostVolume()
	message := ""
	for _, held := range s.plan.Held {
		if held.Node == node.ID {
			message = held.Message
		}
	}
	switch {
	case lost != "" && (pod == nil || !pod.Deleting):
		return v1alpha1.NodeFailing, joinSentences(lost, message, problemOf(pod))
	case pod == nil && node.Waiting != "":
		return v1alpha1.NodeWaiting, node.Waiting
	case pod == nil:
		return v1alpha1.NodeWaiting, "its pod has not been created"
	case pod.Deleting:
		return v1alpha1.NodeStopping, ""
	case pod.Problem != model.ProblemNone:
		return v1alpha1.NodeFailing, problemOf(pod)
	case pod.Awaits != "" && !pod.Ready:
		return v1alpha1.NodeWaiting, joinSentences(pod.Awaits, message)
	case !pod.Ready:
		return v1alpha1.NodeStarting, message
	case fenced(s.observation.Kafka, node.ID):
		return v1alpha1.NodeFenced, message
	default:
		return v1alpha1.NodeServing, message
	}
}

// problemOf is why a pod does not run, in Kubernetes' words; empty = nothing is known.
func problemOf(pod *model.ObservedPod) string {
	if pod == nil || pod.Problem == model.ProblemNone {
		return ""
	}
	return fmt.Sprintf("%s: %s", pod.Problem, pod.ProblemMessage)
}

func joinSentences(sentences ...string) string {
	return strings.Join(slices.DeleteFunc(sentences, func(s string) bool { return s == "" }), "; ")
}

func fenced(snapshot *kafka.Snapshot, id int32) bool {
	return snapshot != nil && slices.ContainsFunc(snapshot.Brokers, func(b kafka.Broker) bool { return b.ID == id && b.Fenced })
}

func setListeners(s *scope) {
	s.cluster.Status.Listeners = model.ListenerStatus(s.model, hostsOf(s.live.Pods))
}

// setFacts keeps the last known facts where nothing new is known.
func setFacts(s *scope) {
	if snapshot := s.observation.Kafka; snapshot != nil {
		s.cluster.Status.MetadataVersion = int32(snapshot.MetadataVersion)
		s.cluster.Status.Features = map[string]int32{}
		for name, level := range snapshot.Features {
			s.cluster.Status.Features[name] = int32(level)
		}
	}
	var versions []string
	for _, seen := range s.observation.Nodes {
		if seen.Pod != nil && seen.Pod.Version != "" {
			versions = append(versions, seen.Pod.Version)
		}
	}
	slices.SortFunc(versions, version.Compare)
	s.cluster.Status.Version = strings.Join(slices.Compact(versions), ", ")
}

// The most that the status tells of a plan.
const (
	maxTold    = 10
	maxSummary = 160
)

// setPlan tells what is done next, and what is held back.
func setPlan(s *scope, failure error) {
	told := v1alpha1.PlanStatus{Pending: int32(len(s.plan.Pending))}
	for _, step := range s.plan.Steps {
		told.Next = append(told.Next, step.String())
	}
	for _, held := range s.plan.Held {
		told.Held = append(told.Held, fmt.Sprintf("%s [%s]", held.Message, held.Predicate))
	}
	told.Next, told.Held = atMost(told.Next), atMost(told.Held)
	if reason, message := s.progress(failure); reason != "" {
		told.Summary = message
		if s.plan.Current < s.plan.Total {
			verb := "rolling"
			if !s.cluster.Status.Bootstrapped {
				verb = "starting"
			}
			told.Summary = fmt.Sprintf("%s %d/%d: %s", verb, s.plan.Current, s.plan.Total, message)
		}
		if len(told.Summary) > maxSummary {
			told.Summary = told.Summary[:maxSummary-3] + "..."
		}
	}
	s.cluster.Status.Plan = told
}

func atMost(sentences []string) []string {
	if len(sentences) <= maxTold {
		return sentences
	}
	return append(slices.Clone(sentences[:maxTold-1]), fmt.Sprintf("and %d more", len(sentences)-maxTold+1))
}

// event tells a transition; losing one harms nobody.
func (r *KafkaClusterReconciler) event(s *scope, kind, reason, note string) {
	if len(note) > 1000 {
		note = note[:1000]
	}
	r.Recorder.Eventf(s.cluster, nil, kind, reason, "Reconcile", "%s", note)
}
