package plan

import (
	"fmt"
	"slices"
	"strings"

	"github.com/castellan-dev/castellan/internal/kafka"
)

// Row is everything that is particular to one kind of step. A kind without a row, or a row without a column, fails a
// test.
type Row struct {
	Kind Kind
	// Trace is how its line begins in a trace, a status and an event. No two kinds begin alike.
	Trace string
	// text is the rest of that: what the step concerns.
	text func(Step) string
	// Act says who carries the step out.
	Act Act
	// Request is what AskKafka sends; other acts have none.
	Request Request
	Event   Event
	Expects Expectation
	// disruption is what the planner asks of a kind that disturbs; nil = it disturbs nobody.
	disruption *disruptionRow
}

// Act is a way of carrying out a step. Each has one executor.
type Act string

// The acts. An executor touches the very object that was judged: where the step holds its UID, that is a precondition.
const (
	// ApplyStatefulSet applies the StatefulSet of Step.Pool with its desired template and Step.Replicas, on a revision
	// that holds the desired files of Step.Nodes and, for every other node, those that it last ran.
	ApplyStatefulSet Act = "ApplyStatefulSet"
	// ScaleStatefulSet sets the replicas of the StatefulSet to Step.Replicas and leaves everything else of it.
	ScaleStatefulSet Act = "ScaleStatefulSet"
	// DeleteStatefulSet deletes the StatefulSet Step.SetUID.
	DeleteStatefulSet Act = "DeleteStatefulSet"
	// OrphanStatefulSet deletes the StatefulSet Step.SetUID, and keeps its pods.
	OrphanStatefulSet Act = "OrphanStatefulSet"
	// TouchStatefulSet changes an annotation of the StatefulSet Step.SetUID, so that its controller looks at it at once.
	TouchStatefulSet Act = "TouchStatefulSet"
	// AnnotatePod writes Step.Format to the pod Step.PodUID. FormatInitial is written only after Step.DiskUID is on
	// record.
	AnnotatePod Act = "AnnotatePod"
	// DeletePod deletes the pod Step.PodUID.
	DeletePod Act = "DeletePod"
	// DeleteDisk deletes those of Step.Claims that may be replaced, and then the pod Step.PodUID, if there is one.
	DeleteDisk Act = "DeleteDisk"
	// DeleteUnwanted deletes those of Step.Claims that are to go with their node.
	DeleteUnwanted Act = "DeleteUnwanted"
	// AskKafka sends Row.Request.
	AskKafka Act = "AskKafka"
	// MoveReplicas records Step.Moves before it begins them, and takes their throttle off before it forgets them.
	MoveReplicas Act = "MoveReplicas"
)

// Request is one request to Kafka.
type Request struct {
	// Method names the method of kafka.ClusterAdmin that sends it.
	Method string
	// Field is the field of the spec that is at fault when Kafka refuses the request; empty = none is, and the request
	// is sent again.
	Field func(Step) string
}

// Event is what is told about a step that was carried out.
type Event struct {
	Type   EventType
	Reason string // in UpperCamelCase; empty with NoEvent alone
}

// EventType is Kubernetes' type of an event.
type EventType string

// The types of events.
const (
	NormalEvent  EventType = "Normal"
	WarningEvent EventType = "Warning"
	NoEvent      EventType = "None" // the step is told in the status alone
)

// Expectation is what the operator sees once a step that was carried out has come into force. Until then its cache, or
// its view of Kafka, is older than the step.
type Expectation string

// The expectations.
const (
	// PodGone: the pod Step.PodUID is being deleted or is gone; without a PodUID there is nothing to see. Nothing else
	// is disturbed before it is seen (predicate cacheCurrent).
	PodGone Expectation = "PodGone"
	// PodAnnotated: the pod Step.PodUID has the annotation, or is gone. To write it once more changes nothing.
	PodAnnotated Expectation = "PodAnnotated"
	// StatefulSetChanged: the StatefulSet of Step.Pool asks for Step.Replicas and names the new revision. To apply it
	// once more changes nothing.
	StatefulSetChanged Expectation = "StatefulSetChanged"
	// StatefulSetGone: the StatefulSet Step.SetUID is being deleted or is gone.
	StatefulSetGone Expectation = "StatefulSetGone"
	// ClaimsGone: those of Step.Claims that were to be deleted are being deleted or are gone. Kubernetes keeps a claim for
	// as long as a pod uses it.
	ClaimsGone Expectation = "ClaimsGone"
	// KafkaShows: a view of Kafka that begins after the request shows what was asked for.
	KafkaShows Expectation = "KafkaShows"
	// Nothing: the step is an attempt. What it did not achieve is planned again, or Kafka does it by itself.
	Nothing Expectation = "Nothing"
)

// disruptionRow is what the planner asks of a kind of step that disturbs.
type disruptionRow struct {
	// concerns lists the nodes that may be disturbed so; a nil node stands for the whole cluster.
	concerns func(v *view) []*node
	// subject and undone make the sentence about a disruption that is held: "broker 1" "not restarted".
	subject func(n *node) string
	undone  string
	// effect says for the documentation what happens to the node.
	effect string
	// judged writes to the step what was judged. It returns false when the step has to wait for an earlier one.
	judged func(v *view, d *disruption, s *Step) bool
}

// table has a row for each kind, in the order of the steps of a plan: those that disturb come last, the most urgent
// first.
var table = []Row{
	{
		Kind: CreatePool, Trace: "create pool", text: poolWithNodes("with nodes"),
		Act: ApplyStatefulSet, Event: Event{NormalEvent, "CreatePool"}, Expects: StatefulSetChanged,
	},
	{
		Kind: ScalePool, Trace: "scale pool", text: poolWithNodes("by nodes"),
		Act: ApplyStatefulSet, Event: Event{NormalEvent, "ScalePool"}, Expects: StatefulSetChanged,
	},
	{
		Kind: ReturnNode, Trace: "bring back", text: Step.nodeName,
		Act: ScaleStatefulSet, Event: Event{WarningEvent, "NodeReturned"}, Expects: StatefulSetChanged,
	},
	{
		Kind: SayFormat, Trace: "format", text: func(s Step) string { return s.nodeName() + ": " + s.Format },
		Act: AnnotatePod, Event: Event{Type: NoEvent}, Expects: PodAnnotated,
	},
	{
		Kind: RetryPod, Trace: "ask Kubernetes again for the pod of", text: Step.nodeName,
		Act: TouchStatefulSet, Event: Event{Type: NoEvent}, Expects: Nothing,
	},
	{
		Kind: StageFiles, Trace: "stage", text: staged,
		Act: ApplyStatefulSet, Event: Event{Type: NoEvent}, Expects: StatefulSetChanged,
	},
	{
		Kind: RenewPool, Trace: "renew the claim templates of pool", text: func(s Step) string { return s.Pool },
		Act: OrphanStatefulSet, Event: Event{NormalEvent, "PoolRenewed"}, Expects: StatefulSetGone,
	},
	{
		Kind: AlterConfig, Trace: "configure", text: configured,
		Act: AskKafka, Request: Request{"AlterBrokerConfig", fieldOfConfig},
		Event: Event{NormalEvent, "ConfigChanged"}, Expects: KafkaShows,
	},
	{
		Kind: Cordon, Trace: "cordon broker", text: Step.nodeID,
		Act: AskKafka, Request: Request{"AlterBrokerConfig", fieldOfLeaving},
		Event: Event{NormalEvent, "BrokerCordoned"}, Expects: KafkaShows,
	},
	{
		Kind: Uncordon, Trace: "uncordon broker", text: Step.nodeID,
		Act: AskKafka, Request: Request{"AlterBrokerConfig", fieldOfLeaving},
		Event: Event{NormalEvent, "BrokerUncordoned"}, Expects: KafkaShows,
	},
	{
		Kind: ElectLeaders, Trace: "elect preferred leaders", text: func(Step) string { return "" },
		Act: AskKafka, Request: Request{"ElectPreferredLeaders", noField},
		Event: Event{Type: NoEvent}, Expects: Nothing,
	},
	{
		Kind: RecallMoves, Trace: "take back the move of", text: movedReplicas,
		Act: MoveReplicas, Event: Event{Type: NoEvent}, Expects: Nothing,
	},
	{
		Kind: EndMoves, Trace: "replicas have arrived:", text: movedReplicas,
		Act: MoveReplicas, Event: Event{Type: NoEvent}, Expects: Nothing,
	},
	{
		Kind: ReplaceDisk, Trace: "replace the disk of", text: Step.nodeName,
		Act: DeleteDisk, Event: Event{WarningEvent, "DiskReplaced"}, Expects: PodGone,
		disruption: &disruptionRow{
			concerns: everyNode, subject: (*node).name, undone: "keeps its disk", effect: "gets an empty disk",
			judged: judgedDisk,
		},
	},
	{
		Kind: RemoveVoter, Trace: "remove voter", text: Step.nodeID,
		Act: AskKafka, Request: Request{"RemoveVoter", noField},
		Event: Event{NormalEvent, "VoterRemoved"}, Expects: KafkaShows,
		disruption: &disruptionRow{
			concerns: everyNode, subject: (*node).controllerName, undone: "not taken out of the metadata quorum",
			effect: "leaves the metadata quorum", judged: judgedVoter,
		},
	},
	{
		Kind: AddVoter, Trace: "add voter", text: Step.nodeID,
		Act: AskKafka, Request: Request{"AddVoter", noField},
		Event: Event{NormalEvent, "VoterAdded"}, Expects: KafkaShows,
		disruption: &disruptionRow{
			concerns: everyNode, subject: (*node).controllerName, undone: "not made a voter",
			effect: "joins the metadata quorum", judged: judgedVoter,
		},
	},
	{
		Kind: Restart, Trace: "restart", text: Step.nodeName,
		Act: DeletePod, Event: Event{NormalEvent, "Restarted"}, Expects: PodGone,
		disruption: &disruptionRow{
			concerns: everyNode, subject: (*node).name, undone: "not restarted", effect: "restarts", judged: judgedPod,
		},
	},
	{
		Kind: ShrinkPool, Trace: "remove", text: Step.nodeName,
		Act: ScaleStatefulSet, Event: Event{NormalEvent, "NodeRemoved"}, Expects: StatefulSetChanged,
		disruption: &disruptionRow{
			concerns: everyNode, subject: (*node).name, undone: "not removed",
			effect: "goes, the highest node id first",
			judged: judgedReplicas,
		},
	},
	{
		Kind: RemovePool, Trace: "remove pool", text: func(s Step) string { return s.Pool },
		Act: DeleteStatefulSet, Event: Event{NormalEvent, "PoolRemoved"}, Expects: StatefulSetGone,
		disruption: &disruptionRow{
			concerns: (*view).emptied, subject: (*node).poolName, undone: "not removed",
			effect: "its StatefulSet is deleted",
			judged: judgedSet,
		},
	},
	{
		Kind: Unregister, Trace: "unregister broker", text: Step.nodeID,
		Act: AskKafka, Request: Request{"UnregisterBroker", noField},
		Event: Event{NormalEvent, "BrokerUnregistered"}, Expects: KafkaShows,
		disruption: &disruptionRow{
			concerns: everyNode, subject: (*node).name, undone: "not unregistered", effect: "is forgotten by Kafka",
			judged: judgedID,
		},
	},
	{
		Kind: DeleteClaims, Trace: "delete the claims of", text: Step.nodeName,
		Act: DeleteUnwanted, Event: Event{WarningEvent, "ClaimsDeleted"}, Expects: ClaimsGone,
		disruption: &disruptionRow{
			concerns: (*view).departed, subject: (*node).claimsName, undone: "not deleted",
			effect: "is gone already; its claims are deleted, and the records on them", judged: judgedDisk,
		},
	},
	{
		Kind: FinalizeVersion, Trace: "finalize metadata.version",
		text: func(s Step) string { return fmt.Sprint(s.Level) },
		Act:  AskKafka, Request: Request{"SetMetadataVersion", func(Step) string { return "spec.metadataVersion" }},
		Event: Event{NormalEvent, "MetadataVersionFinalized"}, Expects: KafkaShows,
		disruption: &disruptionRow{
			concerns: wholeCluster, subject: func(*node) string { return "metadata.version" }, undone: "not changed",
			effect: "nobody restarts; it is set in Kafka", judged: judgedLevel,
		},
	},
	{
		Kind: BeginMoves, Trace: "move replicas of", text: movedReplicas,
		Act: MoveReplicas, Event: Event{NormalEvent, "ReplicasMoving"}, Expects: KafkaShows,
		disruption: &disruptionRow{
			concerns: wholeCluster, subject: func(*node) string { return "replicas" }, undone: "not moved",
			effect: "nobody restarts; brokers copy replicas from each other, under the throttle", judged: judgedMoves,
		},
	},
}

// Kinds lists every kind of step, in the order of the table.
func Kinds() []Kind {
	kinds := make([]Kind, len(table))
	for i := range table {
		kinds[i] = table[i].Kind
	}
	return kinds
}

// Row is the row of a kind. Of a kind that no plan has, it has only the name.
func (k Kind) Row() Row {
	for i := range table {
		if table[i].Kind == k {
			return table[i]
		}
	}
	return Row{Kind: k, Trace: string(k), text: func(Step) string { return "" }}
}

// disturbing lists the kinds of disruption, the most urgent first. A plan holds disruptions of one kind.
var disturbing = slices.DeleteFunc(Kinds(), func(k Kind) bool { return k.Row().disruption == nil })

func (s Step) nodeName() string { return fmt.Sprintf("%s-%d", s.Pool, s.Node) }

func (s Step) nodeID() string { return fmt.Sprint(s.Node) }

func poolWithNodes(joint string) func(Step) string {
	return func(s Step) string { return fmt.Sprintf("%s %s %s", s.Pool, joint, joinIDs(s.Nodes)) }
}

func staged(s Step) string {
	if len(s.Nodes) == 0 {
		return s.Pool + ": template"
	}
	return fmt.Sprintf("%s for nodes %s", s.Pool, joinIDs(s.Nodes))
}

// configured names keys without values: a value may be a secret.
func configured(s Step) string {
	parts := make([]string, 0, len(s.Changes))
	for _, c := range s.Changes {
		if c.Value == nil {
			parts = append(parts, "delete "+c.Key)
		} else {
			parts = append(parts, "set "+c.Key)
		}
	}
	if s.Node == kafka.AllBrokers {
		return "all brokers: " + strings.Join(parts, ", ")
	}
	return fmt.Sprintf("broker %d: %s", s.Node, strings.Join(parts, ", "))
}

// fieldOfConfig names the keys where the user wrote them.
func fieldOfConfig(s Step) string {
	keys := make([]string, len(s.Changes))
	for i, change := range s.Changes {
		keys[i] = change.Key
	}
	field := "spec.config"
	if s.Node != kafka.AllBrokers {
		field = fmt.Sprintf("spec.pools[%s].config", s.Pool)
	}
	return fmt.Sprintf("%s[%s]", field, strings.Join(keys, ", "))
}

// fieldOfLeaving is the pool that a broker leaves, or has come back to.
func fieldOfLeaving(s Step) string { return fmt.Sprintf("spec.pools[%s]", s.Pool) }

func noField(Step) string { return "" }

func everyNode(v *view) []*node { return v.nodes }

func wholeCluster(*view) []*node { return []*node{nil} }

func judgedID(*view, *disruption, *Step) bool { return true }

// judgedPod waits until an earlier pass has seen the pod's replacement staged. Nothing is staged while the pool is to
// leave the quorum and votes; what leftQuorum permits even then comes back as it is.
func judgedPod(v *view, d *disruption, s *Step) bool {
	if d.node.pod == nil || !d.node.isStagedAsWanted() && v.stillVoting(d.node.pool) == "" {
		return false
	}
	s.PodUID = d.node.pod.UID
	return true
}

func judgedDisk(_ *view, d *disruption, s *Step) bool {
	s.Claims = d.node.claims
	if d.node.pod != nil {
		s.PodUID = d.node.pod.UID
	}
	return true
}

func judgedVoter(v *view, d *disruption, s *Step) bool {
	s.Member, s.Endpoint = v.member(d)
	return true
}

func judgedReplicas(_ *view, d *disruption, s *Step) bool {
	s.Replicas = d.node.set.Replicas - 1
	return true
}

func judgedSet(_ *view, d *disruption, s *Step) bool {
	s.SetUID = d.node.set.UID
	return true
}

func judgedLevel(v *view, _ *disruption, s *Step) bool {
	s.Level = v.c.MetadataVersion
	return true
}
