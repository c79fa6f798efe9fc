package report

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/castellan-dev/castellan/api/v1alpha1"
	"github.com/castellan-dev/castellan/internal/kafka"
	"github.com/castellan-dev/castellan/internal/model"
)

// setNodes lists the nodes of the spec, and those that have not left yet.
func (s *writer) setNodes() {
	before := map[int32]v1alpha1.NodeStatus{}
	for _, node := range s.status.Nodes {
		before[node.ID] = node
	}
	s.failed = s.Model.FailedDisks(s.Observation)
	var nodes []v1alpha1.NodeStatus
	ready, brokers := 0, 0
	for i := range s.Model.Nodes {
		node := &s.Model.Nodes[i]
		pool := s.Model.PoolOf(node)
		entry := s.nodeEntry(node, pool, before[node.ID])
		if pool.Broker {
			brokers++
			if entry.State == v1alpha1.NodeServing {
				ready++
			}
		}
		nodes = append(nodes, entry)
	}
	leaving, pools := s.Model.Leaving(s.Observation)
	for i := range leaving {
		entry := s.nodeEntry(&leaving[i], pools[leaving[i].ID], before[leaving[i].ID])
		if entry.State == v1alpha1.NodeServing || entry.State == v1alpha1.NodeFenced {
			entry.State = v1alpha1.NodeLeaving
		}
		entry.EmptySince = s.emptyNow(entry.ID, before[entry.ID].EmptySince)
		nodes = append(nodes, entry)
	}
	slices.SortFunc(nodes, func(a, b v1alpha1.NodeStatus) int { return cmp.Compare(a.ID, b.ID) })
	s.status.Nodes, s.status.Cordoned = nodes, s.Plan.Cordoned
	s.status.Brokers = fmt.Sprintf("%d/%d", ready, brokers)
}

// nodeEntry keeps the rack that a node was last seen in: it is not unknown only because its pod is being replaced.
func (s *writer) nodeEntry(node *model.Node, pool *model.Pool, before v1alpha1.NodeStatus) v1alpha1.NodeStatus {
	entry := v1alpha1.NodeStatus{ID: node.ID, Pool: node.Pool, Pod: node.PodName, Rack: before.Rack}
	if pod := s.Observation.Nodes[node.ID].Pod; pod != nil && pod.Zone != "" {
		entry.Rack = pod.Zone
	}
	if pod := s.Observation.Nodes[node.ID].Pod; pod != nil && pod.Running {
		entry.StartedAt = &metav1.Time{Time: pod.StartedAt}
	}
	if pool.Controller {
		entry.Roles = append(entry.Roles, v1alpha1.RoleController)
	}
	if pool.Broker {
		entry.Roles = append(entry.Roles, v1alpha1.RoleBroker)
	}
	entry.Disks = s.disks(node, pool, before.Disks)
	entry.State, entry.Message = s.nodeState(node)
	if failed := s.failed[node.ID]; entry.State == v1alpha1.NodeServing {
		entry.FailedLogDirs, entry.OfflineReplicas = failed.Names(), int32(failed.Offline)
		entry.Message = joinSentences(entry.Message, wereFull(failed, entry.Disks))
	}
	return entry
}

// emptyNow is since when a broker that leaves has held no partition. What cannot be seen changes nothing.
func (s *writer) emptyNow(id int32, before *metav1.Time) *metav1.Time {
	snapshot := s.Observation.Kafka
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

func (s *writer) nodeState(node *model.Node) (v1alpha1.NodeState, string) {
	seen := s.Observation.Nodes[node.ID]
	pod, lost := seen.Pod, seen.LostVolume()
	message := ""
	for _, held := range s.Plan.Held {
		if held.Node == node.ID {
			message = held.Message
		}
	}
	switch {
	case lost != "" && (pod == nil || !pod.Deleting):
		return v1alpha1.NodeFailing, joinSentences(lost, message, problemOf(pod))
	case pod == nil && node.Waiting != "":
		return v1alpha1.NodeWaiting, node.Waiting
	case pod == nil && seen.Refused != "":
		return v1alpha1.NodeFailing, "Kubernetes refuses to make its pod: " + seen.Refused
	case pod == nil:
		return v1alpha1.NodeWaiting, "its pod has not been created"
	case pod.Deleting:
		return v1alpha1.NodeStopping, ""
	case pod.Problem != model.ProblemNone:
		return v1alpha1.NodeFailing, joinSentences(problemOf(pod), seen.MissingVolume(), cureOfFull(node.Pool, pod))
	case pod.Awaits != "" && !pod.Ready:
		return v1alpha1.NodeWaiting, joinSentences(pod.Awaits, message)
	case !pod.Ready:
		return v1alpha1.NodeStarting, message
	case fenced(s.Observation.Kafka, node.ID):
		return v1alpha1.NodeFenced, message
	default:
		return v1alpha1.NodeServing, joinSentences(s.failed[node.ID].String(), s.failed[node.ID].Cure(), message)
	}
}

// problemOf is why a pod does not run, in Kubernetes' words; empty = nothing is known.
func problemOf(pod *model.ObservedPod) string {
	if pod == nil || pod.Problem == model.ProblemNone {
		return ""
	}
	if pod.Container != "" {
		return fmt.Sprintf("container %s: %s: %s", pod.Container, pod.Problem, pod.ProblemMessage)
	}
	return fmt.Sprintf("%s: %s", pod.Problem, pod.ProblemMessage)
}

func joinSentences(sentences ...string) string {
	return strings.Join(slices.DeleteFunc(sentences, func(s string) bool { return s == "" }), "; ")
}

func fenced(snapshot *kafka.Snapshot, id int32) bool {
	return snapshot != nil &&
		slices.ContainsFunc(snapshot.Brokers, func(b kafka.Broker) bool { return b.ID == id && b.Fenced })
}
