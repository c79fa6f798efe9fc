package plan

import (
	"slices"

	"github.com/castellan-dev/castellan/api/v1alpha1"
	"github.com/castellan-dev/castellan/internal/model"
)

// planStaging decides what a new pod of each node would run, and tells whether anything has to be staged. A revision
// that no node of its pool has shown to work is staged only for the node that restarts next: another pod that dies
// meanwhile comes back on what it last ran. A pool has one template, so the template changes with that first node.
func (v *view) planStaging(p *Plan, restarting []*node, shaping map[string]bool) bool {
	staging := false
	for i := range v.c.Pools {
		pool := &v.c.Pools[i]
		set, exists := v.obs.Pools[pool.Name]
		if !exists || set.Deleting || shaping[pool.Name] || !v.obs.CacheCurrent {
			continue
		}
		nodes, template, reason := v.stage(pool, set, restarting)
		if len(nodes) == 0 && !template {
			continue
		}
		staging = true
		if set.OtherVolumes {
			v.planVolumes(p, pool, set)
			continue
		}
		p.Steps = append(p.Steps, Step{
			Kind: StageFiles, Pool: pool.Name, Nodes: nodes, Replicas: set.Replicas, Reasons: []string{reason},
		})
	}
	return staging
}

// planVolumes has a StatefulSet made anew whose pool has got or lost a volume: no pod could be made from the template
// beside its claims, and Kubernetes lets nobody change these. All pods stay. It waits until the claims are there, and
// until a budget that counts no StatefulSet keeps Kubernetes from evicting pods meanwhile.
func (v *view) planVolumes(p *Plan, pool *model.Pool, set model.ObservedPool) {
	p.Sealed = true
	for _, n := range v.ofPool(pool.Name) {
		volume := v.cordoned(n)
		switch {
		case n.leaving || n.gone || !n.made:
		case !n.claimsAll():
			p.wait("%s waits for its claims", n.name())
			return
		case volume != "":
			p.wait("%s loses volume %s once that is cordoned no more", n.name(), volume)
			return
		}
	}
	if !v.obs.BudgetSealed {
		p.wait("pool %s gets its volumes once Kubernetes is told to evict no pod meanwhile", pool.Name)
		return
	}
	p.Steps = append(p.Steps, Step{
		Kind: RenewPool, Pool: pool.Name, SetUID: set.UID, Reasons: []string{"its volumes have changed"},
	})
}

// claimsAll tells that a node has a claim of each volume of its pool, which asks for what the spec does.
func (n *node) claimsAll() bool {
	return !slices.ContainsFunc(n.pool.Volumes, func(v v1alpha1.Volume) bool {
		return !v.Ephemeral && !slices.ContainsFunc(n.claims, func(c model.ObservedClaim) bool {
			return c.Volume == v.Name && !c.Deleting && c.Asks(v)
		})
	})
}

// isSealed tells that some pool has pods and no StatefulSet. Kubernetes does not expect such pods, and would let others
// be evicted in their place by a budget that counts what may be missing.
func (v *view) isSealed() bool {
	return slices.ContainsFunc(v.nodes, func(n *node) bool {
		set, exists := v.obs.Pools[n.Pool]
		return n.pod != nil && !n.leaving && !n.gone && (!exists || set.Deleting)
	})
}

// stage returns which nodes of a pool get their desired files, whether the pool gets its desired template, and why.
func (v *view) stage(pool *model.Pool, set model.ObservedPool, restarting []*node) (nodes []int32, template bool,
	reason string) {
	desired, rendered := v.want.Templates[pool.Name]
	templateDiffers := rendered && set.Template.Whole != desired.Whole
	var all, next, safe []int32
	for _, n := range v.ofPool(pool.Name) {
		if !n.made || !n.known || n.isStaged && n.staged.Whole == n.wanted.Whole {
			continue
		}
		all = append(all, n.ID)
		switch {
		case slices.Contains(restarting, n):
			next = append(next, n.ID)
		case !n.isStaged, n.runsWanted():
			safe = append(safe, n.ID) // it has no files to come back on, or runs the wanted ones already
		}
	}
	onlyOurs := !v.asksForMore(pool, set)
	candidate := slices.ContainsFunc(restarting, func(n *node) bool { return n.Pool == pool.Name })
	switch {
	case onlyOurs:
		return all, templateDiffers, "only what the operator itself renders changed"
	case v.stillVoting(pool) != "":
		return nil, false, "" // a pod that dies meanwhile comes back as the voter that it is
	case v.proven(pool.Name):
		return all, templateDiffers, "the new revision works on another node of the pool"
	case candidate:
		return append(next, safe...), templateDiffers, "the next node to restart tries the new revision"
	case len(safe) > 0 && set.Template.User == desired.User:
		return safe, templateDiffers, "the nodes run what is asked for, and other files are staged"
	}
	return nil, false, ""
}

// asksForMore tells whether what is staged in a pool differs from what the user asks for.
func (v *view) asksForMore(pool *model.Pool, set model.ObservedPool) bool {
	pods := false
	for _, n := range v.ofPool(pool.Name) {
		pods = pods || n.pod != nil
		if n.made && n.known && (!n.isStaged || n.staged.User != n.wanted.User) {
			return true
		}
	}
	desired, rendered := v.want.Templates[pool.Name]
	return rendered && set.Template.User != desired.User && pods
}
