package v1alpha1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// BalancingMode says when the operator moves replicas.
//
// +kubebuilder:validation:Enum=Off;OnScale;Continuous
type BalancingMode string

// When the operator moves replicas.
const (
	BalancingOff        BalancingMode = "Off"
	BalancingOnScale    BalancingMode = "OnScale"
	BalancingContinuous BalancingMode = "Continuous"
)

// ApprovalPolicy says whether a plan of moves waits for a person.
//
// +kubebuilder:validation:Enum=Automatic;Manual
type ApprovalPolicy string

// Whether a plan of moves waits for a person.
const (
	ApprovalAutomatic ApprovalPolicy = "Automatic"
	ApprovalManual    ApprovalPolicy = "Manual"
)

// Balancing says when and how the operator moves replicas. The number of replicas of a partition stays what it is.
type Balancing struct {
	// When replicas are moved. Off: never; a broker that leaves waits until you have moved its replicas. Quote it: YAML
	// takes Off without quotes for false. OnScale: a
	// broker that leaves is emptied, and one that was added gets its share, once. Continuous: like OnScale, and when a
	// broker holds more or less than its share by more than tolerancePercent. Default: OnScale.
	// +optional
	// +kubebuilder:default=OnScale
	Mode BalancingMode `json:"mode,omitempty"`

	// By how many percent of its share a broker may hold more or less. 0 asks for as even as the sizes of partitions
	// allow. Default: 10. 0 to 100.
	// +optional
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=100
	TolerancePercent *int32 `json:"tolerancePercent,omitempty"`

	// How many bytes per second each broker sends and receives at most while the operator moves replicas, those of
	// KafkaTopics included. A limit that somebody else has set in Kafka goes before. Default: the operator's flag
	// --reassignment-rate. 1 to 1000000000000.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=1000000000000
	BytesPerSecondPerBroker *int64 `json:"bytesPerSecondPerBroker,omitempty"`

	// How many partitions move at a time at most. Default: 50. 1 to 50.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=50
	MaxMoving *int32 `json:"maxMoving,omitempty"`

	// Hours in which replicas may begin to move to even out brokers. What has begun ends after them, too. The emptying
	// of a broker or a volume that leaves does not wait for them. Default: always. At most 14 windows.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=14
	Windows []BalancingWindow `json:"windows,omitempty"`

	// Topics whose replicas are never moved: names, or prefixes that end in an asterisk. A broker that leaves waits until
	// you have moved them. Default: none. At most 100 entries of at most 250 characters.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=100
	// +kubebuilder:validation:items:MaxLength=250
	// +kubebuilder:validation:items:Pattern=`^[a-zA-Z0-9._-]*\*?$`
	// +kubebuilder:validation:items:MinLength=1
	ExcludeTopics []string `json:"excludeTopics,omitempty"`

	// Whether a plan waits for a person. Automatic: it does not. Manual: the operator shows the plan in status.balancing
	// and carries it out once the annotation kafka.castellan.dev/approve-balance has its hash. Default: Automatic.
	// +optional
	// +kubebuilder:default=Automatic
	Approval ApprovalPolicy `json:"approval,omitempty"`
}

// BalancingWindow is a span of hours, in UTC. One whose end is not after its start ends on the next day.
type BalancingWindow struct {
	// Days on which it begins. Default: every day. At most 7.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=7
	Days []Weekday `json:"days,omitempty"`
	// When it begins, such as 22:00. At most 5 characters.
	// +required
	// +kubebuilder:validation:Pattern=`^([01][0-9]|2[0-3]):[0-5][0-9]$`
	// +kubebuilder:validation:MaxLength=5
	From string `json:"from"`
	// When it ends, such as 04:30. At most 5 characters.
	// +required
	// +kubebuilder:validation:Pattern=`^([01][0-9]|2[0-3]):[0-5][0-9]$`
	// +kubebuilder:validation:MaxLength=5
	To string `json:"to"`
}

// Weekday is a day of the week.
//
// +kubebuilder:validation:Enum=Monday;Tuesday;Wednesday;Thursday;Friday;Saturday;Sunday
type Weekday string

// BalancingPhase says what balancing does.
type BalancingPhase string

// What balancing does.
const (
	BalancingIdle     BalancingPhase = "Idle"
	BalancingPlanned  BalancingPhase = "Planned"
	BalancingMoving   BalancingPhase = "Moving"
	BalancingHeldBack BalancingPhase = "Waiting"
)

// BalancingStatus is how far the moving of replicas is. What must outlive the operator is written before anything is
// moved.
type BalancingStatus struct {
	// Idle: there is nothing to move. Planned: a plan waits for approval. Moving: replicas are under way. Waiting: there
	// is something to move, and it waits; the message says for what.
	// +optional
	Phase BalancingPhase `json:"phase,omitempty"`
	// One line: how far it is or what it waits for. Empty when it is Idle.
	// +optional
	Message string `json:"message,omitempty"`
	// Names the plan that is carried out, or waits to be. It is the value of the annotation that approves it.
	// +optional
	Hash string `json:"hash,omitempty"`
	// When the plan was made.
	// +optional
	PlannedAt *metav1.Time `json:"plannedAt,omitempty"`
	// When its first move began.
	// +optional
	StartedAt *metav1.Time `json:"startedAt,omitempty"`
	// Moves of the plan that have ended.
	// +optional
	MovesDone int32 `json:"movesDone,omitempty"`
	// Moves of the plan that have not.
	// +optional
	MovesLeft int32 `json:"movesLeft,omitempty"`
	// Bytes that the moves which have ended have copied, as large as they were when the plan was made.
	// +optional
	BytesDone int64 `json:"bytesDone,omitempty"`
	// Bytes that are still to be copied.
	// +optional
	BytesLeft int64 `json:"bytesLeft,omitempty"`
	// How much of the bytes is done, in percent.
	// +optional
	Percent int32 `json:"percent,omitempty"`
	// When the plan will end at this speed; absent until the first moves have ended.
	// +optional
	EstimatedCompletion *metav1.Time `json:"estimatedCompletion,omitempty"`
	// Throttle in bytes per second that each broker sends and receives; absent if the operator has not set it.
	// +optional
	BytesPerSecond int64 `json:"bytesPerSecond,omitempty"`
	// Partitions under way, with the replicas that they will have. At most 50.
	// +optional
	// +listType=map
	// +listMapKey=topic
	// +listMapKey=partition
	// +kubebuilder:validation:MaxItems=50
	InFlight []MovingPartition `json:"inFlight,omitempty"`
	// Brokers that have got their share, by node id. Another one that the spec asks for starts a spreading.
	// +optional
	// +listType=set
	Spread []int32 `json:"spread,omitempty"`
	// Volumes that have got their share of what their brokers hold, as pool/volume. Another one in a pool starts a
	// spreading. At most 320.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=320
	// +kubebuilder:validation:items:MaxLength=64
	SpreadVolumes []string `json:"spreadVolumes,omitempty"`
	// What cannot be moved, and why. At most 10 lines.
	// +optional
	// +listType=atomic
	Stuck []string `json:"stuck,omitempty"`
}

// MovingPartition is a partition under way.
type MovingPartition struct {
	// Name of the topic.
	// +required
	Topic string `json:"topic"`
	// Number of the partition.
	// +required
	Partition int32 `json:"partition"`
	// Node ids that it will be on, the preferred leader first.
	// +required
	// +listType=atomic
	Replicas []int32 `json:"replicas"`
	// Broker inside which a replica moves to another log directory; absent where replicas move between brokers.
	// +optional
	Broker *int32 `json:"broker,omitempty"`
	// Log directory of that broker to which the replica moves.
	// +optional
	LogDir string `json:"logDir,omitempty"`
	// The throttle of the topic is somebody else's: the operator has left it as it is.
	// +optional
	ForeignThrottle bool `json:"foreignThrottle,omitempty"`
}

// GetMessage is the message; empty also where there is no status.
func (s *BalancingStatus) GetMessage() string {
	if s == nil {
		return ""
	}
	return s.Message
}
