package cluster

import (
	"context"
	"errors"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/castellan-dev/castellan/api/v1alpha1"
	"github.com/castellan-dev/castellan/internal/model"
	"github.com/castellan-dev/castellan/internal/observe"
	"github.com/castellan-dev/castellan/internal/plan"
	"github.com/castellan-dev/castellan/internal/render"
	"github.com/castellan-dev/castellan/internal/verdict"
)

// scope is all that one pass knows, with one reading of the clock.
type scope struct {
	cluster *v1alpha1.KafkaCluster // its status is edited in place
	seen    *v1alpha1.KafkaCluster // as the API server has it: the base of the status patch
	now     time.Time

	live     *observe.Live
	accepted *v1alpha1.KafkaClusterSpec
	faults   []verdict.Verdict
	model    *model.Cluster
	files    map[int32]render.NodeFiles
	want     model.Desired

	observation *model.Observation
	plan        plan.Plan
	waiting     []string // what the phases before the plan wait for
	warnings    []string
	news        []news // told once the status says so
	requeue     time.Duration
}

// news is an event to come.
type news struct{ kind, reason, text string }

func newScope(cluster *v1alpha1.KafkaCluster, now time.Time) *scope {
	return &scope{cluster: cluster.DeepCopy(), seen: cluster.DeepCopy(), now: now, requeue: whenAtRest}
}

// errHalt ends a pass early: nothing failed, and what is waited for stands in the scope.
var errHalt = errors.New("halt")

type phase func(context.Context, *scope) error

// run goes through the phases until one fails or halts.
func (s *scope) run(ctx context.Context, phases ...phase) error {
	for _, phase := range phases {
		if err := phase(ctx, s); err != nil {
			if errors.Is(err, errHalt) {
				return nil
			}
			return err
		}
	}
	return nil
}

// wait records what the pass waits for and looks again soon.
func (s *scope) wait(message string, again time.Duration) {
	s.waiting = append(s.waiting, message)
	s.requeue = min(s.requeue, again)
}

// halt is wait, and the end of the pass.
func (s *scope) halt(message string, again time.Duration) error {
	s.wait(message, again)
	return errHalt
}

func (s *scope) key() types.NamespacedName { return client.ObjectKeyFromObject(s.cluster) }

// labels mark an object as the cluster's.
func (s *scope) labels() map[string]string {
	return map[string]string{v1alpha1.LabelManagedBy: v1alpha1.ManagedBy, v1alpha1.LabelCluster: s.cluster.Name}
}

// pool is the desired pool of a name, or nil.
func (s *scope) pool(name string) *model.Pool {
	for i := range s.model.Pools {
		if s.model.Pools[i].Name == name {
			return &s.model.Pools[i]
		}
	}
	return nil
}
