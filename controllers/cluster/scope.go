package cluster

import (
	"fmt"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/castellan-dev/castellan/api/v1alpha1"
	"github.com/castellan-dev/castellan/internal/decide"
	"github.com/castellan-dev/castellan/internal/model"
	"github.com/castellan-dev/castellan/internal/plan"
	"github.com/castellan-dev/castellan/internal/verdict"
)

// scope is one pass: what was seen, what follows, and what came of it.
type scope struct {
	seen     decide.Inputs
	decision decide.Decision

	// base is the KafkaCluster as the API server has it, what this pass has recorded included: the base of the status
	// patch.
	base    *v1alpha1.KafkaCluster
	refused []verdict.Verdict // what Kafka refused
	// presenting says which brokers do not show their new certificates yet.
	presenting []string
	requeue    time.Duration
}

func newScope(seen decide.Inputs) *scope {
	return &scope{seen: seen, base: seen.Cluster.DeepCopy(), requeue: whenAtRest}
}

// lookAgain asks for the next pass.
func (s *scope) lookAgain(after time.Duration) { s.requeue = min(s.requeue, after) }

// schedule asks for the next pass as soon as the decision needs it.
func (s *scope) schedule(p *patience) {
	d := &s.decision
	again := p.again(s.key(), &d.Plan, d.Blocked, s.seen.Now) // also at rest, so that it knows when that ends
	switch {
	case d.Blocked != "", len(d.Plan.Steps) > 0, len(d.Plan.Waiting) > 0,
		d.Plan.Course != nil && d.Plan.Course.UnderWay():
		s.lookAgain(again)
	case len(d.Plan.Held) > 0, len(d.Waiting) > 0:
		s.lookAgain(whenHeld)
	}
	if !d.Plan.Until.IsZero() {
		s.lookAgain(max(whenBehind, d.Plan.Until.Sub(s.seen.Now)))
	}
}

func (s *scope) key() types.NamespacedName { return client.ObjectKeyFromObject(s.base) }

// pool is the desired pool of a name, or nil.
func (s *scope) pool(name string) *model.Pool { return s.decision.Model.Pool(name) }

// podName is that of the node of a step, which the spec may no longer ask for.
func (s *scope) podName(step plan.Step) string {
	return fmt.Sprintf("%s-%s-%d", s.base.Name, step.Pool, step.Node)
}

func (s *scope) statefulSet(step plan.Step) string { return s.base.Name + "-" + step.Pool }
