package plan

import (
	"slices"

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
		p.Steps = append(p.Steps, Step{
			Kind: StageFiles, Pool: pool.Name, Nodes: nodes, Replicas: set.Replicas, Reasons: []string{reason},
		})
	}
	return staging
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
