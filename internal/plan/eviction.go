package plan

import "slices"

// planEviction says which pods Kubernetes may evict by itself, to drain its nodes: none while the planner is about to
// disturb something. While all of them serve it may be any one, if each could be restarted alone. While some cannot start,
// such as one whose disk cannot leave the Kubernetes node that is drained, it may be those near them that can be spared
// beside them, all together: Kubernetes asks nobody about those any more.
func (v *view) planEviction(p *Plan, t tables, chosen *batch, wanted []*act) {
	about := slices.ContainsFunc(wanted, func(a *act) bool { return a.held == budgetClosedName })
	if !chosen.empty() || about {
		return
	}
	var serve []*node
	down := &batch{}
	for _, n := range v.nodes {
		switch {
		case !v.isCountedOn(n):
		case v.unready(n) == "":
			serve = append(serve, n)
		case n.fails():
			v.add(down, &act{kind: evict, node: n})
		default:
			return // it is stopping or starting, and soon back
		}
	}
	if down.empty() {
		p.Evictable = v.evictableAlone(serve, t)
		return
	}
	near := v.near(down)
	for _, n := range serve {
		a := &act{kind: evict, node: n}
		if refusal, _ := v.permitted(a, t, down); refusal == nil && near(n) {
			v.add(down, a)
			p.Spared = append(p.Spared, n.pod.Name)
		}
	}
}

// evictableAlone is 1 when each of these nodes could go alone: a number cannot tell which one is meant.
func (v *view) evictableAlone(nodes []*node, t tables) int32 {
	for _, n := range nodes {
		if refusal, _ := v.permitted(&act{kind: evict, node: n}, t, &batch{}); refusal != nil {
			return 0
		}
	}
	return int32(min(1, len(nodes)))
}

// near tells which nodes are in the racks of those that are down, or on their Kubernetes nodes: what is drained there may
// go on, and no other drain begins meanwhile. A pod that waits for its Kubernetes node is still known by its disk.
func (v *view) near(down *batch) func(n *node) bool {
	racks, hosts := map[string]bool{}, map[string]bool{}
	for _, a := range down.acts {
		racks[v.rack(a.node)] = true
		hosts[a.node.pod.KubernetesNode] = true
		for _, claim := range a.node.claims {
			hosts[claim.KubernetesNode] = true
		}
	}
	delete(racks, "")
	delete(hosts, "")
	return func(n *node) bool { return racks[v.rack(n)] || hosts[n.pod.KubernetesNode] }
}
