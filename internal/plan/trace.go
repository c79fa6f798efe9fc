package plan

import (
	"fmt"
	"strings"
)

// String prints the plan for people and for golden traces: a line for each step, for each thing held, and for each
// thing waited for.
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
	if p.Course != nil && p.Course.Text() != "" {
		fmt.Fprintf(&b, "%s\n", p.Course.Text())
	}
	for _, w := range p.Waiting {
		fmt.Fprintf(&b, "wait: %s\n", w)
	}
	return b.String()
}
