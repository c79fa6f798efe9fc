package plan

import (
	"fmt"
	"strings"

	"github.com/castellan-dev/castellan/internal/kafka"
)

// String prints the plan for people and for golden files: a line for each step, for what is held, and for what is
// waited for.
func (p Plan) String() string {
	var b strings.Builder
	for _, s := range p.Steps {
		fmt.Fprintln(&b, s)
	}
	for _, h := range p.Held {
		fmt.Fprintf(&b, "hold: %s [%s]\n", h.Message, h.Predicate)
	}
	if len(p.Pending) > 0 {
		fmt.Fprintf(&b, "pending: nodes %s\n", joinIDs(p.Pending))
	}
	for _, w := range p.Waiting {
		fmt.Fprintf(&b, "wait: %s\n", w)
	}
	return b.String()
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
