package model

import (
	"fmt"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/castellan-dev/castellan/api/v1alpha1"
	"github.com/castellan-dev/castellan/internal/kafka"
)

// Fingerprint identifies rendered content twice over: User covers only what the user asked for, Whole everything that
// the operator renders. A difference in User is a reason to restart; a difference in Whole alone waits for a restart
// that happens anyway.
type Fingerprint struct {
	User  string
	Whole string
}

// Desired is what rendering wants each node and each pool to run.
type Desired struct {
	Files     map[int32]Fingerprint  // by node id: the node's own files; a node that waits for a fact has no entry
	Templates map[string]Fingerprint // by pool: the pod template without the name of the revision
}

// Observation is everything that one pass saw of a cluster. Absent values mean that nothing is known, never that all is
// well.
type Observation struct {
	Pools map[string]ObservedPool // by pool name; pools that left the spec included
	Nodes map[int32]ObservedNode  // by node id; only ids that have a pod or a claim
	// CacheCurrent is false while the cache has not yet shown what this operator itself did last.
	CacheCurrent bool
	// BudgetClosed tells that Kubernetes has taken note of a PodDisruptionBudget that lets nobody evict a pod.
	BudgetClosed bool
	// BudgetSealed tells that it does so whether or not Kubernetes knows the StatefulSets of all pods.
	BudgetSealed bool
	// Untold are listeners that clients are not told of yet, with the brokers that do not have them, by the name in the
	// spec.
	Untold map[string][]int32
	// Usage is what brokers said last of their log directories, by node id.
	Usage      map[int32][]kafka.LogDir
	Kafka      *kafka.Snapshot // nil = no snapshot
	KafkaError string          // why there is none
	Balancing  BalancingSeen
}

// ObservedPool is a live StatefulSet. FirstNodeID and the roles are what its template says, also of a pool that left
// the spec.
type ObservedPool struct {
	UID         string
	FirstNodeID int32
	Controller  bool
	Broker      bool
	Replicas    int32
	Revision    string                // name of the ConfigMap that the template names
	Files       map[int32]Fingerprint // by node id, as in that ConfigMap
	Template    Fingerprint
	Deleting    bool
	OtherClaims bool // it would make other claims than its pool asks for
	// OtherVolumes tells that those are of other volumes: no pod could be made from the template of its pool.
	OtherVolumes bool
	RetriedAt    time.Time // when the operator last had its controller try again; zero = never
}

// ObservedNode is what exists of a node.
type ObservedNode struct {
	Pod     *ObservedPod    // nil = none
	DiskUID string          // UID of the claim of the metadata volume, once it has one; empty = none or ephemeral
	Claims  []ObservedClaim // all volumes
	// Refused says why Kubernetes would not make the pod that is missing, in its own words, and RefusedAt when it last
	// said so; empty = nothing is known.
	Refused   string
	RefusedAt time.Time
	// IdentityEnds is when the certificate ends that the running process has read for CONTROLLER and REPLICATION; zero =
	// not known.
	IdentityEnds time.Time
	// IdentityGuessed tells that it may end later: an earlier version has noted nothing.
	IdentityGuessed bool
	DirectID        string // directory id recorded on the claim of an initial voter
	// Changes tell what differs between what the pod runs and what is wanted of it, such as
	// "config log.segment.bytes 1073741824 -> 536870912"; no value of an unknown or secret key is among them.
	Changes []string
}

// LostVolume says which claim of a node that does not work has lost its volume, and the cure; empty = none has.
func (n ObservedNode) LostVolume() string {
	if n.Pod != nil && n.Pod.Ready && !n.Pod.Deleting {
		return ""
	}
	for _, claim := range n.Claims {
		switch {
		case !claim.Lost || claim.Deleting:
		case claim.Replace:
			return fmt.Sprintf("claim %s has lost its volume, and an empty disk may take its place", claim.Name)
		default:
			return fmt.Sprintf("claim %s has lost its volume: bring that back, or annotate the claim %s=true for an empty disk",
				claim.Name, v1alpha1.AnnotationReplace)
		}
	}
	return ""
}

// GoingVolume says which claim is being deleted under a pod, and the cure; empty = none is. Kubernetes keeps such a
// claim until no pod uses it, and nobody can take the deletion back.
func (n ObservedNode) GoingVolume() string {
	if n.Pod == nil || n.Pod.Deleting {
		return ""
	}
	permitted := ""
	for _, claim := range n.Claims {
		switch {
		case !claim.Deleting || claim.Lost:
		case claim.Replace:
			permitted = fmt.Sprintf("claim %s is being deleted, and an empty disk may take its place: the pod restarts once "+
				"nothing is lost with the disk", claim.Name)
		default:
			return fmt.Sprintf("claim %s is being deleted, which cannot be taken back, and its disk is lost as soon as the pod "+
				"stops: annotate the claim %s=true, and the pod restarts with an empty disk once every partition is in sync on "+
				"other brokers", claim.Name, v1alpha1.AnnotationReplace)
		}
	}
	return permitted
}

// MissingVolume says which claim keeps the pod from being scheduled because it has no volume, and the cure; empty =
// none does. Kubernetes says that one does and not which, and says no more of it than in events.
func (n ObservedNode) MissingVolume() string {
	if n.Pod == nil || n.Pod.Problem != ProblemUnschedulable || !blamesClaim(n.Pod.ProblemMessage) {
		return ""
	}
	for _, claim := range n.Claims {
		field := VolumeField(claim.Pool, claim.Volume, "storageClassName")
		switch {
		case !claim.Pending || claim.Deleting:
		case claim.Class == nil:
			return fmt.Sprintf("claim %s has no storage class, and Kubernetes had no default one for it: name one in %s, or "+
				"make one the default", claim.Name, field)
		case *claim.Class == "":
			return fmt.Sprintf("claim %s has no volume, and %s is \"\": make a PersistentVolume that fits it, or name a class",
				claim.Name, field)
		default:
			return fmt.Sprintf("claim %s of storage class %s has no volume: if kubectl get storageclass does not list that "+
				"class, name another in %s; else kubectl describe pvc %s says what it waits for",
				claim.Name, *claim.Class, field, claim.Name)
		}
	}
	return ""
}

// blamesClaim tells that the scheduler lacks a volume. A claim may have none for another reason: some classes make it
// once the pod has a machine.
func blamesClaim(words string) bool {
	words = strings.ToLower(words)
	return strings.Contains(words, "persistentvolumeclaim") || strings.Contains(words, "storageclass") ||
		strings.Contains(words, "persistent volumes to bind")
}

// ObservedClaim is a PersistentVolumeClaim of a node.
type ObservedClaim struct {
	Volume    string
	Name      string
	UID       string
	ClusterID string // from its label
	Bound     bool
	Pending   bool    // it has had no volume yet
	Class     *string // of its storage; nil = none, because Kubernetes had no default one for it
	Lost      bool    // its volume is gone
	Deleting  bool
	Replace   bool // the user permits that a new disk takes its place
	Pool      string
	// Requested is the size that it asks for, and Capacity the one that it has; zero = none yet.
	Requested, Capacity resource.Quantity
	// Attributes is the VolumeAttributesClass that it asks for; nil = none.
	Attributes *string
	// Growth says that it does not have yet what it asks for, with Kubernetes' own words; empty = it has.
	Growth string
	// Unwanted tells that it is to be deleted once its node has left.
	Unwanted bool
	// KubernetesNode is the one that the volume was made for; empty = not known.
	KubernetesNode string
}

// HasVolume tells that a claim has a volume, or had one that is lost. Nothing was ever written to another claim.
func HasVolume(claim *corev1.PersistentVolumeClaim) bool {
	return claim.Spec.VolumeName != "" || claim.Status.Phase == corev1.ClaimBound || claim.Status.Phase == corev1.ClaimLost
}

// Asks tells whether the claim asks for what a volume of the spec is to be.
func (c ObservedClaim) Asks(v v1alpha1.Volume) bool {
	return c.Requested.Cmp(v.Size) >= 0 &&
		(v.VolumeAttributesClassName == nil || SameClass(c.Attributes, v.VolumeAttributesClassName))
}

// PodProblem tells apart why a pod does not run.
type PodProblem string

// Why a pod does not run.
const (
	ProblemNone          PodProblem = ""
	ProblemUnschedulable PodProblem = "Unschedulable"
	ProblemImagePull     PodProblem = "ImagePull"
	ProblemCrashLoop     PodProblem = "CrashLoop"
	ProblemConfig        PodProblem = "ContainerConfig" // a volume or a reference that the kubelet cannot set up
	ProblemEnded         PodProblem = "PodEnded"        // the kubelet has ended the pod for good
)

// ObservedPod is a live pod.
type ObservedPod struct {
	Name            string
	UID             string
	ResourceVersion string
	CreatedAt       time.Time
	Deleting        bool
	Ready           bool
	ReadySince      time.Time // since when it is Ready; zero = it is not, or nobody says
	Running         bool      // the container kafka runs
	Serves          bool      // the container kafka is ready, whatever the others are
	Silent          bool      // every container was ready when its kubelet was last heard of, and it is unready
	StartedAt       time.Time // since when it runs
	Restarts        int32     // of all containers together
	Problem         PodProblem
	ProblemMessage  string // Kubernetes' own words, and the last line of the container where there is one
	// Container is the one that the problem is of, where that is not kafka. Beside tells that Kafka's process does not
	// depend on it: a sidecar that fails makes the pod unready and stops no broker.
	Container string
	Beside    bool
	// Awaits says why the process ended and is started again, where that is no fault of its own; empty = it says nothing.
	Awaits         string
	HostIP         string
	Address        string // IP address of the pod itself; empty = none yet
	Zone           string
	KubernetesNode string
	// Files is of the node's own files in the revision that the pod names; zero = the revision is gone.
	Files    Fingerprint
	Revision map[int32]Fingerprint // of the files of all nodes in that revision, by node id
	Template Fingerprint
	// Edited says how the template that it was made from differs from the one that it names: somebody had edited the
	// StatefulSet. Its Template is then like no other. Empty = it does not, or nobody can tell.
	Edited  string
	Volumes []string // of its pool that it mounts, in their order
	Pool    string   // from its label
	Version string   // of Kafka, as its image says
	// AuthorityRound is the round in which its files were made; what it trusts and presents is not older.
	AuthorityRound int
	Controller     bool       // it runs the role Controller
	Broker         bool       // it runs the role Broker
	Format         string     // what it was told about formatting, if that is bound to this pod's UID
	KeyStores      []KeyStore // those of its listeners of clients, by port
}

// IsUp tells that the node serves, whatever the other containers of its pod do; nil = there is no pod.
func (p *ObservedPod) IsUp() bool { return p != nil && !p.Deleting && (p.Ready || p.Serves) }

// KeyStore is where a running node has the certificate of a listener of clients from.
type KeyStore struct {
	Entry string // of the listeners' Secret of its pool, without extension: <id>.<listener>
	Port  int32  // on which it is shown
	Trust string // entry of that Secret with whoever signs certificates of clients; empty = none is asked for
}
