package plan

import "slices"

// planEviction says which pods Kubernetes may evict by itself, to drain its nodes: none while the planner is about to
// disturb something. While all of them serve it may be any one, if each could be restarted alone. While some cannot start,
// such as one whose disk cannot leave the Kubernetes node that is drained, it may be those near them that can be spared
// beside them, all together: Kubernetes asks nobody about those any more.
func (v *view) planEviction(p *Plan, t tables, chosen *round, wanted []*disruption) {
	about := slices.ContainsFunc(wanted, func(d *disruption) bool { return d.held == budgetClosedName })
	if !chosen.empty() || about {
		return
	}
	var serve []*node
	down := &round{}
	for _, n := range v.nodes {
		switch {
		case !v.isCountedOn(n):
		case v.unready(n) == "":
			serve = append(serve, n)
		case n.fails():
			v.add(down, &disruption{kind: evict, node: n})
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
		d := &disruption{kind: evict, node: n}
		if refusal, _ := v.permitted(d, t, down); refusal == nil && near(n) {
			v.add(down, d)
			p.Spared = append(p.Spared, n.pod.Name)
		}
	}
}

// evictableAlone is 1 when each of these nodes could go alone: a number cannot tell which one is meant.
func (v *view) evictableAlone(nodes []*node, t tables) int32 {
	for _, n := range nodes {
		if refusal, _ := v.permitted(&disruption{kind: evict, node: n}, t, &round{}); refusal != nil {
			return 0
		}
	}
	return int32(min(1, len(nodes)))
}

// near tells which nodes are in the racks of those that are down, or on their Kubernetes nodes: what is drained there may
// go on, and no other drain begins meanwhile. A pod that waits for its Kubernetes node is still known by its disk.
func (v *view) near(down *round) func(n *node) bool {
	racks, hosts := map[string]bool{}, map[string]bool{}
	for _, d := range down.disruptions {
		racks[v.rack(d.node)] = true
		hosts[d.node.pod.KubernetesNode] = true
		for _, claim := range d.node.claims {
			hosts[claim.KubernetesNode] = true
		}
	}
	delete(racks, "")
	delete(hosts, "")
	return func(n *node) bool { return racks[v.rack(n)] || hosts[n.pod.KubernetesNode] }
}
