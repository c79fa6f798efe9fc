package plan

import (
	"slices"

	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/castellan-dev/castellan/api/v1alpha1"
	"github.com/castellan-dev/castellan/internal/model"
)

// sizeOf is the size that the spec asks for of the disks of a pool.
func (s *sim) sizeOf(pool string) int64 {
	if p := s.poolOf(pool); p != nil && len(p.Volumes) > 0 {
		return p.Volumes[0].Size.Value()
	}
	return 0
}

// growDisks makes the disks of a pool larger.
func (s *sim) growDisks(pool string) {
	p, size := s.poolOf(pool), s.sizeOf(pool)+1
	p.Volumes = slices.Clone(p.Volumes) // observations hold the former ones
	for i := range p.Volumes {
		p.Volumes[i].Size = *resource.NewQuantity(size, resource.BinarySI)
	}
	s.render()
}

// deleteWhenScaled has the claims of nodes deleted that leave a pool.
func (s *sim) deleteWhenScaled(pool string) {
	s.poolOf(pool).Retention.WhenScaled = v1alpha1.RetentionDelete
}

// moveClaims is what the operator does to claims beside the plan, and the end of StatefulSets whose pods stay.
func (s *sim) moveClaims() {
	for name, set := range s.sets {
		if set.orphaned && set.touched < s.tick {
			delete(s.sets, name)
		}
	}
	for _, n := range s.order {
		if s.wanted(n.id) != nil && n.claim != "" {
			n.size = max(n.size, s.sizeOf(n.pool))
			n.unwanted = s.poolOf(n.pool).Retention.WhenScaled == v1alpha1.RetentionDelete
		}
	}
}

// orphan is the deletion of a StatefulSet whose pods stay. It is gone a second later.
func (s *sim) orphan(pool string) {
	set := *s.sets[pool]
	set.deleting, set.orphaned, set.touched = true, true, s.tick
	s.sets[pool] = &set
}

// isHeadless tells that pods of a pool live without a StatefulSet. Nobody takes such a pool out of the spec: resolving
// refuses that.
func (s *sim) isHeadless(pool string) bool {
	set := s.sets[pool]
	return (set == nil || set.orphaned) &&
		slices.ContainsFunc(s.order, func(n *simNode) bool { return n.pool == pool && n.pod != nil })
}

// judgeRenewal asks that no pod is down that nobody would make again meanwhile.
func (s *sim) judgeRenewal(step *Step) {
	set := s.sets[step.Pool]
	if len(s.sets) > 1 {
		s.violate("pool %s is renewed beside others, whose pods Kubernetes may evict then", step.Pool)
	}
	if set.size == s.sizeOf(step.Pool) {
		s.violate("pool %s is renewed in vain", step.Pool)
	}
	for _, n := range s.order {
		if !s.slot(n) || n.pool != step.Pool {
			continue
		}
		if s.wanted(n.id) == nil {
			s.violate("pool %s is renewed while node %d leaves it", step.Pool, n.id)
		}
		if n.pod == nil || n.pod.Deleting || !s.sawAlive[n.id] {
			s.violate("pool %s is renewed while node %d is down", step.Pool, n.id)
		}
		if n.size < s.sizeOf(step.Pool) {
			s.violate("pool %s is renewed before the claim of node %d asks for its size", step.Pool, n.id)
		}
	}
}

// judgeTakeover asks that a new StatefulSet keeps every pod that there is, and gives each what it runs.
func (s *sim) judgeTakeover(step *Step) {
	for _, n := range s.order {
		if n.pool == step.Pool && n.pod != nil && !n.pod.Deleting && !s.slot(n) {
			s.violate("the new StatefulSet of pool %s ends the pod of node %d", step.Pool, n.id)
		}
	}
}

// judgeUnwanted holds the deletion of claims against what their node may still be good for.
func (s *sim) judgeUnwanted(n *simNode, step *Step) {
	for _, claim := range step.Claims {
		if claim.UID != n.claim && claim.UID != n.second.claim {
			s.violate("another claim of node %d is deleted than was judged", n.id)
		}
	}
	switch {
	case !n.unwanted:
		s.violate("the claims of node %d are deleted and nobody asked for that", n.id)
	case n.pod != nil || s.slot(n) || s.wanted(n.id) != nil:
		s.violate("the claims of node %d are deleted and it is not gone", n.id)
	case s.holds(n.id):
		s.violate("the claims of node %d are deleted and partitions name it", n.id)
	case n.registered:
		s.violate("the claims of node %d are deleted and Kafka knows it", n.id)
	case s.isVoter(n):
		s.violate("the claims of node %d are deleted and it is a voter", n.id)
	}
}

func (s *sim) deleteUnwanted(step *Step) {
	n := s.nodes[step.Node]
	s.judgeUnwanted(n, step)
	n.claim, n.dir, n.lost, n.replace, n.going, n.unwanted, n.second = "", "", false, false, false, false, simDisk{}
}

// claimOf fills in what a claim asks for.
func (s *sim) claimOf(n *simNode, claim model.ObservedClaim) model.ObservedClaim {
	claim.Pool, claim.Unwanted = n.pool, n.unwanted
	claim.Requested = *resource.NewQuantity(n.size, resource.BinarySI)
	return claim
}
