package plan

import (
	"fmt"
	"strings"

	"github.com/castellan-dev/castellan/internal/kafka"
	"github.com/castellan-dev/castellan/internal/model"
)

// Kind is what a step does.
type Kind string

// The steps. The first six disturb nobody.
const (
	CreatePool   Kind = "CreatePool"   // create the StatefulSet of a pool
	ScalePool    Kind = "ScalePool"    // raise its replicas; its template and the other nodes' files stay what they are
	SayFormat    Kind = "SayFormat"    // tell a pod how to format its empty disk
	StageFiles   Kind = "StageFiles"   // let new pods start on the desired template and, of Nodes, on the desired files; the others' files stay
	AlterConfig  Kind = "AlterConfig"  // set and delete run-time keys in Kafka
	ElectLeaders Kind = "ElectLeaders" // give leadership back to the preferred replicas

	ReplaceDisk     Kind = "ReplaceDisk"     // delete the claims of a node, and its pod: a new disk takes their place
	RemoveVoter     Kind = "RemoveVoter"     // take a controller out of the metadata quorum
	AddVoter        Kind = "AddVoter"        // make a controller that follows a voter
	Restart         Kind = "Restart"         // delete one pod
	ShrinkPool      Kind = "ShrinkPool"      // lower the replicas of a StatefulSet; the highest node ids go
	RemovePool      Kind = "RemovePool"      // delete a StatefulSet that has no nodes any more
	Unregister      Kind = "Unregister"      // make Kafka forget a broker that is gone
	FinalizeVersion Kind = "FinalizeVersion" // raise or lower metadata.version
)

// Step is one act.
type Step struct {
	Kind     Kind
	Pool     string
	Node     int32   // SayFormat, Restart, AlterConfig (kafka.AllBrokers = all)
	Nodes    []int32 // StageFiles, CreatePool, ScalePool: whose files become the desired ones
	PodUID   string  // Restart, SayFormat: the very pod that was judged
	DiskUID  string  // SayFormat: the disk that was judged; to be recorded before "initial" is said
	Format   string  // SayFormat: FormatInitial or FormatJoin
	Changes  []kafka.ConfigChange
	Member   kafka.QuorumMember    // AddVoter, RemoveVoter
	Endpoint string                // AddVoter: host:port of its CONTROLLER listener
	Replicas int32                 // ShrinkPool
	SetUID   string                // RemovePool: the very StatefulSet that was judged
	Level    int16                 // FinalizeVersion
	Claims   []model.ObservedClaim // ReplaceDisk: the very claims that were judged
	Reasons  []string              // why, as sentences
	Facts    string                // Restart: what the cluster has left meanwhile
}

// String prints a step in one line: what it does, and why.
func (s Step) String() string {
	what := string(s.Kind)
	switch s.Kind {
	case CreatePool:
		what = fmt.Sprintf("create pool %s with nodes %s", s.Pool, joinIDs(s.Nodes))
	case ScalePool:
		what = fmt.Sprintf("scale pool %s by nodes %s", s.Pool, joinIDs(s.Nodes))
	case SayFormat:
		what = fmt.Sprintf("format %s-%d: %s", s.Pool, s.Node, s.Format)
	case StageFiles:
		what = fmt.Sprintf("stage %s for nodes %s", s.Pool, joinIDs(s.Nodes))
		if len(s.Nodes) == 0 {
			what = fmt.Sprintf("stage %s: template", s.Pool)
		}
	case AlterConfig:
		what = fmt.Sprintf("configure broker %d: %s", s.Node, changesText(s.Changes))
		if s.Node == kafka.AllBrokers {
			what = "configure all brokers: " + changesText(s.Changes)
		}
	case ElectLeaders:
		what = "elect preferred leaders"
	case Restart:
		what = fmt.Sprintf("restart %s-%d", s.Pool, s.Node)
	}
	if text := s.membership(); text != "" {
		what = text
	}
	line := what + ": " + strings.Join(s.Reasons, ", ")
	if s.Facts != "" {
		line += "; " + s.Facts
	}
	return line
}

// membership prints the steps that change who belongs to the cluster.
func (s Step) membership() string {
	switch s.Kind {
	case ReplaceDisk:
		return fmt.Sprintf("replace the disk of %s-%d", s.Pool, s.Node)
	case AddVoter:
		return fmt.Sprintf("add voter %d", s.Node)
	case RemoveVoter:
		return fmt.Sprintf("remove voter %d", s.Node)
	case ShrinkPool:
		return fmt.Sprintf("remove %s-%d", s.Pool, s.Node)
	case RemovePool:
		return "remove pool " + s.Pool
	case Unregister:
		return fmt.Sprintf("unregister broker %d", s.Node)
	case FinalizeVersion:
		return fmt.Sprintf("finalize metadata.version %d", s.Level)
	}
	return ""
}

// changesText names keys without values: a value may be a secret.
func changesText(changes []kafka.ConfigChange) string {
	parts := make([]string, 0, len(changes))
	for _, c := range changes {
		if c.Value == nil {
			parts = append(parts, "delete "+c.Key)
		} else {
			parts = append(parts, "set "+c.Key)
		}
	}
	return strings.Join(parts, ", ")
}
