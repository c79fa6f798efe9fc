package report

import (
	"cmp"
	"fmt"
	"go/version"
	"maps"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/castellan-dev/castellan/api/v1alpha1"
	"github.com/castellan-dev/castellan/internal/kafka"
	"github.com/castellan-dev/castellan/internal/model"
	"github.com/castellan-dev/castellan/internal/plan"
	"github.com/castellan-dev/castellan/internal/reach"
	"github.com/castellan-dev/castellan/internal/status"
	"github.com/castellan-dev/castellan/internal/verdict"
)

// Pass is what one pass over a cluster found, wants, and came to.
type Pass struct {
	// Cluster is the object that the pass began with; its status holds what was recorded since.
	Cluster *v1alpha1.KafkaCluster
	Now     time.Time
	// Model is nil where no sense can be made of the spec, Observation where the pass did not come so far.
	Model       *model.Cluster
	Observation *model.Observation
	Hosts       map[int32]model.HostIPs // addresses of the Kubernetes nodes that the pods landed on, by node id
	Reach       []reach.Known           // what is known of the ways to brokers
	Plan        plan.Plan
	Verdicts    []verdict.Verdict   // what the user has to change
	Warnings    []string            // what is carried out, and deserves a second thought
	Waiting     []string            // what else is waited for
	Routing     map[string][]string // what Gateways do not do yet, by listener
	Growing     []string            // which disks do not have yet what the spec asks for
	Keyless     map[string]string   // why a listener takes no tokens yet, by its name
	Failure     error               // what ended the pass
}

// Event is to be told once the status says so.
type Event struct{ Kind, Reason, Text string }

// writer is a status in the making.
type writer struct {
	Pass
	status *v1alpha1.KafkaClusterStatus
	events []Event
	failed map[int32]model.FailedDisks
}

// Status is what the KafkaCluster's status says after the pass, and the events to tell with it.
func Status(p Pass) (v1alpha1.KafkaClusterStatus, []Event) {
	s := &writer{Pass: p, status: p.Cluster.Status.DeepCopy()}
	if s.Model != nil && s.Observation != nil {
		s.setNodes()
		s.setListeners()
		s.setAuthorization()
		s.setFacts()
	}
	s.setAvailable()
	s.setWarning()
	s.setBalancing()
	s.setPlan()
	s.setReady()
	s.status.ObservedGeneration = s.Cluster.Generation
	return *s.status, s.events
}

// setReady says in one line what is being done, or what it waits for.
func (s *writer) setReady() {
	conditions, generation := &s.status.Conditions, s.Cluster.Generation
	if len(s.Verdicts) > 0 {
		message := verdict.Texts(s.Verdicts)
		if before := meta.FindStatusCondition(*conditions, v1alpha1.ConditionStalled); before == nil ||
			before.Message != message {
			s.events = append(s.events, Event{corev1.EventTypeWarning, s.Verdicts[0].Reason, message})
		}
		status.Stalled(conditions, generation, s.Verdicts[0].Reason, message, s.Now)
		return
	}
	reason, message := s.progress()
	if reason != "" {
		status.Reconciling(conditions, generation, reason, message, s.Now)
		return
	}
	if !meta.IsStatusConditionTrue(*conditions, v1alpha1.ConditionReady) {
		s.events = append(s.events, Event{corev1.EventTypeNormal, "Ready", "every node runs what the spec asks for"})
	}
	status.Ready(conditions, generation, "AsSpecified",
		"every node runs what the spec asks for"+s.pending()+s.balancing(), s.Now)
}

// progress is the most telling of all that is under way.
func (s *writer) progress() (reason, message string) {
	switch {
	case s.Failure != nil:
		return "Failing", s.Failure.Error()
	case len(s.Waiting) > 0:
		return "Waiting", s.Waiting[0]
	case s.Model == nil || s.Observation == nil:
		return "Waiting", "the cluster has not been observed yet"
	}
	var doing, waits []string
	for _, step := range s.Plan.Steps {
		if step.Kind.Row().Act != plan.MoveReplicas { // the spec is in force while replicas are evened out
			doing = append(doing, step.String())
		}
	}
	for _, held := range s.Plan.Held {
		waits = append(waits, held.Message)
	}
	switch {
	case s.failing() != "":
		return "NodeFailing", s.failing()
	case len(s.Plan.Held) > 0:
		return "Held", First(waits)
	case len(s.Plan.Waiting) > 0:
		return "Waiting", First(s.Plan.Waiting)
	case len(doing) > 0:
		return "Working", First(doing)
	}
	available := meta.FindStatusCondition(s.status.Conditions, v1alpha1.ConditionAvailable)
	if available.Status != metav1.ConditionTrue {
		return "NotAvailable", available.Message
	}
	if len(s.Growing) > 0 {
		return "Growing", First(s.Growing)
	}
	for _, l := range s.Model.Listeners {
		if message := awaited(s.Model, l); message != "" {
			return "AddressPending", fmt.Sprintf("listener %s: %s", l.Name, message)
		}
		if problems := s.Routing[l.Name]; len(problems) > 0 {
			return "RoutePending", fmt.Sprintf("listener %s: %s", l.Name, First(problems))
		}
		if message := s.Keyless[l.Name]; message != "" {
			return "KeysPending", fmt.Sprintf("listener %s: %s", l.Name, message)
		}
		if message := lacking(s.Observation.Untold[l.Name]); message != "" {
			return "Waiting", fmt.Sprintf("listener %s: %s", l.Name, message)
		}
	}
	return "", ""
}

// failing tells of the first node that cannot start: it is the root of most that is held back.
func (s *writer) failing() string {
	for _, node := range s.status.Nodes {
		if node.State == v1alpha1.NodeFailing {
			return fmt.Sprintf("%s does not start (%s)", node.Pod, node.Message)
		}
	}
	return ""
}

// First is the first of some sentences, and how many more there are.
func First(sentences []string) string {
	if len(sentences) == 1 {
		return sentences[0]
	}
	return fmt.Sprintf("%s; and %d more", sentences[0], len(sentences)-1)
}

func (s *writer) pending() string {
	if len(s.Plan.Pending) == 0 {
		return ""
	}
	return fmt.Sprintf(
		"; this version of the operator would render %d of them differently, which waits for their next restart",
		len(s.Plan.Pending),
	)
}

func (s *writer) setWarning() {
	conditions := &s.status.Conditions
	warnings := slices.Concat(s.fullDisks(), s.Warnings, s.goingDisks())
	if len(warnings) == 0 {
		if s.Model != nil {
			meta.RemoveStatusCondition(conditions, v1alpha1.ConditionWarning)
		}
		return
	}
	status.Set(
		conditions,
		v1alpha1.ConditionWarning,
		metav1.ConditionTrue,
		s.Cluster.Generation,
		"SecondThought",
		strings.Join(warnings, "; "),
		s.Now,
	)
}

// goingDisks tells of each node whose disk will be lost with its pod.
func (s *writer) goingDisks() []string {
	if s.Observation == nil {
		return nil
	}
	var going []string
	for _, id := range slices.Sorted(maps.Keys(s.Observation.Nodes)) {
		if seen := s.Observation.Nodes[id]; seen.GoingVolume() != "" {
			going = append(going, fmt.Sprintf("node %d: %s", id, seen.GoingVolume()))
		}
	}
	return going
}

// setAvailable tells whether clients can work: the quorum has a leader, every partition has min ISR, and every listener
// an unfenced broker. Without a snapshot nobody knows.
func (s *writer) setAvailable() {
	value, reason, message := metav1.ConditionUnknown, "NotObserved", "Kafka has not been observed"
	short := []kafka.Partition(nil)
	switch {
	case s.Observation == nil && meta.FindStatusCondition(s.status.Conditions, v1alpha1.ConditionAvailable) != nil:
		return // the pass did not come so far: what was seen last stands
	case s.Observation == nil:
	case s.Observation.Kafka == nil:
		message = "Kafka cannot be observed: " + s.Observation.KafkaError
	default:
		value, reason, message, short = s.available()
	}
	s.status.PartitionsBelowMinISR = int32(len(short))
	status.Set(&s.status.Conditions, v1alpha1.ConditionAvailable, value, s.Cluster.Generation, reason, message, s.Now)
}

// available tells the condition, and the partitions below their min ISR of a cluster that can be asked and changed.
func (s *writer) available() (value metav1.ConditionStatus, reason, message string, short []kafka.Partition) {
	snapshot := s.Observation.Kafka
	if snapshot.ClusterID != s.status.ClusterID {
		return metav1.ConditionFalse, "AnotherCluster", "the brokers answer with cluster id " + snapshot.ClusterID, nil
	}
	if snapshot.Quorum.LeaderID < 0 {
		return metav1.ConditionFalse, "NoQuorumLeader", "the metadata quorum has no leader", nil
	}
	if !slices.ContainsFunc(snapshot.Brokers, func(b kafka.Broker) bool { return !b.Fenced }) {
		return metav1.ConditionFalse, "NoBroker", "every broker is fenced", nil
	}
	short = slices.DeleteFunc(slices.Clone(snapshot.Partitions), func(p kafka.Partition) bool {
		return int32(len(p.ISR)) >= p.MinISR || p.MinISR > int32(len(p.Replicas)) && len(p.ISR) >= len(p.Replicas)
	})
	if len(short) > 0 {
		p := short[0]
		return metav1.ConditionFalse, "BelowMinISR", fmt.Sprintf(
			"%d partitions have fewer in-sync replicas than min.insync.replicas, among them %s-%d with %d of %d",
			len(short),
			p.Topic,
			p.Number,
			len(p.ISR),
			p.MinISR,
		), short
	}
	return metav1.ConditionTrue, "Serving",
		"the quorum has a leader and every partition its minimum of in-sync replicas", nil
}

func (s *writer) setListeners() {
	before := s.status.Listeners
	s.status.Listeners = ListenerStatus(s.Model, s.Hosts)
	for i := range s.status.Listeners {
		l := &s.status.Listeners[i]
		if problems := s.Routing[l.Name]; len(problems) > 0 && l.Message == "" {
			l.Message = First(problems)
		}
		l.Message = cmp.Or(l.Message, s.Keyless[l.Name])
		if message := lacking(s.Observation.Untold[l.Name]); message != "" {
			l.BootstrapServers, l.Message = "", cmp.Or(l.Message, message)
			l.LackedBy = s.Observation.Untold[l.Name]
		}
	}
	setReach(s.status.Listeners, before, s.Model, s.Reach)
}

// setAuthorization says who decides, of the spec that was accepted.
func (s *writer) setAuthorization() {
	s.status.Authorization = &v1alpha1.AuthorizationStatus{Type: s.Model.Authorization}
	if s.Model.Authorization == v1alpha1.AuthorizationCustom {
		s.status.Authorization.Class = s.Model.Authorizer
	}
}

// setFacts keeps the last known facts where nothing new is known.
func (s *writer) setFacts() {
	if snapshot := s.Observation.Kafka; snapshot != nil {
		s.status.MetadataVersion = int32(snapshot.MetadataVersion)
		s.status.Features = map[string]int32{}
		for name, level := range snapshot.Features {
			s.status.Features[name] = int32(level)
		}
	}
	var versions []string
	for _, seen := range s.Observation.Nodes {
		if seen.Pod != nil && seen.Pod.Version != "" {
			versions = append(versions, seen.Pod.Version)
		}
	}
	slices.SortFunc(versions, version.Compare)
	s.status.Version = strings.Join(slices.Compact(versions), ", ")
	s.status.Replicas, s.status.Selector = 0, ""
	for i := range s.Model.Pools {
		if p := &s.Model.Pools[i]; p.Scaled {
			s.status.Replicas = s.Observation.Pools[p.Name].Replicas
			s.status.Selector = labels.FormatLabels(s.Model.Selector(p))
		}
	}
}

// The most that the status tells of a plan.
const (
	maxTold    = 10
	maxSummary = 160
)

// setPlan tells what is done next, and what is held back.
func (s *writer) setPlan() {
	told := v1alpha1.PlanStatus{Pending: int32(len(s.Plan.Pending))}
	for _, step := range s.Plan.Steps {
		told.Next = append(told.Next, step.String())
	}
	for _, held := range s.Plan.Held {
		told.Held = append(told.Held, fmt.Sprintf("%s [%s]", held.Message, held.Predicate))
	}
	told.Next, told.Held = verdict.Shortened(maxTold, told.Next), verdict.Shortened(maxTold, told.Held)
	if reason, message := s.progress(); reason != "" || s.balancing() != "" {
		told.Summary = cmp.Or(message, s.status.Balancing.GetMessage())
		if s.Plan.Current < s.Plan.Total {
			verb := "rolling"
			if !s.status.Bootstrapped {
				verb = "starting"
			}
			told.Summary = fmt.Sprintf("%s %d/%d: %s", verb, s.Plan.Current, s.Plan.Total, message)
		}
		if len(told.Summary) > maxSummary {
			told.Summary = told.Summary[:maxSummary-3] + "..."
		}
	}
	s.status.Plan = told
}
