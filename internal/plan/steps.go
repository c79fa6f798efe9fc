package plan

import (
	"strings"

	"github.com/castellan-dev/castellan/api/v1alpha1"
	"github.com/castellan-dev/castellan/internal/kafka"
	"github.com/castellan-dev/castellan/internal/model"
)

// Kind is what a step does. steps_table.go has a row for each.
type Kind string

// The kinds of steps. Those up to EndMoves disturb nobody.
const (
	// CreatePool creates the StatefulSet of a pool.
	CreatePool Kind = "CreatePool"
	// ScalePool raises the replicas of a StatefulSet. The files of nodes that exist already stay.
	ScalePool Kind = "ScalePool"
	// ReturnNode raises the replicas of a StatefulSet so that a node comes back that the spec does not ask for: partitions
	// still name it. It starts on what it last ran.
	ReturnNode Kind = "ReturnNode"
	// SayFormat tells a pod how to format its empty disk.
	SayFormat Kind = "SayFormat"
	// RetryPod has Kubernetes try again to make a pod that it refused to make.
	RetryPod Kind = "RetryPod"
	// StageFiles lets new pods start on the desired template and, for Nodes, on the desired files.
	// The files of other nodes stay.
	StageFiles Kind = "StageFiles"
	// RenewPool deletes the StatefulSet of a pool and keeps its pods. Another one takes them over, which makes other
	// claims.
	RenewPool Kind = "RenewPool"
	// AlterConfig sets and deletes run-time keys in Kafka.
	AlterConfig Kind = "AlterConfig"
	// Cordon lets Kafka place no new replica on a broker that leaves.
	Cordon Kind = "Cordon"
	// Uncordon takes that back on a broker that the spec asks for again.
	Uncordon Kind = "Uncordon"
	// ElectLeaders gives leadership back to the preferred replicas.
	ElectLeaders Kind = "ElectLeaders"

	// RecallMoves cancels moves to brokers that leave.
	RecallMoves Kind = "RecallMoves"
	// EndMoves takes moves off the record that are under way no more, and their throttle off Kafka.
	EndMoves Kind = "EndMoves"

	// ReplaceDisk deletes the claims of a node and its pod. A new disk takes their place.
	ReplaceDisk Kind = "ReplaceDisk"
	// RemoveVoter takes a controller out of the metadata quorum.
	RemoveVoter Kind = "RemoveVoter"
	// AddVoter makes a voter of a controller that follows the metadata log.
	AddVoter Kind = "AddVoter"
	// Restart deletes one pod, which its StatefulSet makes again.
	Restart Kind = "Restart"
	// ShrinkPool lowers the replicas of a StatefulSet by one. The highest node id goes.
	ShrinkPool Kind = "ShrinkPool"
	// RemovePool deletes a StatefulSet that has no nodes any more.
	RemovePool Kind = "RemovePool"
	// Unregister makes Kafka forget a broker that is gone.
	Unregister Kind = "Unregister"
	// DeleteClaims deletes the claims of a node that is gone.
	DeleteClaims Kind = "DeleteClaims"
	// FinalizeVersion raises or lowers metadata.version.
	FinalizeVersion Kind = "FinalizeVersion"
	// BeginMoves puts moves of replicas on record, and begins them.
	BeginMoves Kind = "BeginMoves"
)

// Step is one thing to do.
type Step struct {
	Kind     Kind
	Pool     string
	Node     int32                      // what it concerns; AlterConfig: kafka.AllBrokers = all
	Nodes    []int32                    // CreatePool, ScalePool, StageFiles: whose files become the desired ones
	Replicas int32                      // steps that change a StatefulSet: how many pods it asks for afterwards
	PodUID   string                     // SayFormat, Restart, ReplaceDisk: the very pod that was judged; empty = none
	DiskUID  string                     // SayFormat: the disk that was judged; to be recorded before FormatInitial is said
	Format   string                     // SayFormat: FormatInitial or FormatJoin
	Changes  []kafka.ConfigChange       // AlterConfig, Cordon, Uncordon
	Member   kafka.QuorumMember         // AddVoter, RemoveVoter
	Endpoint string                     // AddVoter: host:port of its CONTROLLER listener
	SetUID   string                     // RetryPod, RenewPool, RemovePool: the very StatefulSet that was judged
	Level    int16                      // FinalizeVersion
	Claims   []model.ObservedClaim      // ReplaceDisk, DeleteClaims: the very claims that were judged
	Moves    []v1alpha1.MovingPartition // BeginMoves, RecallMoves, EndMoves
	Lack     []kafka.PartitionID        // ElectLeaders: those that have no leader; empty = all are elected
	Swaps    [][2]kafka.PartitionID     // BeginMoves: pairs of Moves of which neither begins without the other
	Reasons  []string                   // why, as sentences
	Facts    string                     // what the cluster has left meanwhile, as sentences; may be empty
}

// String prints a step in one line: what it does, why, and what the cluster has left meanwhile.
func (s Step) String() string {
	line := s.does() + ": " + strings.Join(s.Reasons, ", ")
	if s.Facts != "" {
		line += "; " + s.Facts
	}
	return line
}

func (s Step) does() string {
	row := s.Kind.Row()
	if object := row.text(s); object != "" {
		return row.Trace + " " + object
	}
	return row.Trace
}
