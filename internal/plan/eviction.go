package plan

import "slices"

// planEviction says which pods Kubernetes may evict by itself when one of its nodes is drained.
//
//   - The plan is about to disturb something: none.
//   - All pods serve: any one of them, if each could be restarted alone.
//   - Some pods cannot start, for example because a disk cannot leave the drained Kubernetes node: all pods near them
//     that the cluster can spare together with them. Kubernetes asks nobody before it evicts those.
//   - Any other pod is not ready: none. It is stopping or starting, and soon back.
func (v *view) planEviction(p *Plan, t tables, chosen *round, wanted []*disruption) {
	about := slices.ContainsFunc(wanted, func(d *disruption) bool { return d.held == budgetClosedName })
	moves := !chosen.empty() && chosen.disruptions[0].kind == BeginMoves // it stops nobody
	if !chosen.empty() && !moves || about {
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
			return
		}
	}
	if down.empty() {
		p.Evictable = v.evictableAlone(serve, t)
		return
	}
	near := v.near(down)
	for _, n := range serve {
		if len(v.kafka.lagging[n.ID]) > 0 {
			continue // it costs nothing now, and an in-sync replica as soon as it has caught up
		}
		d := &disruption{kind: evict, node: n}
		if refusal, _ := v.permitted(d, t, down); refusal == nil && near(n) {
			v.add(down, d)
			p.Spared = append(p.Spared, n.pod.Name)
		}
	}
}

// evictableAlone is 1 if each of these nodes could go alone, and else 0: a budget is a number and cannot name a pod.
func (v *view) evictableAlone(nodes []*node, t tables) int32 {
	for _, n := range nodes {
		if refusal, _ := v.permitted(&disruption{kind: evict, node: n}, t, &round{}); refusal != nil {
			return 0
		}
	}
	return int32(min(1, len(nodes)))
}

// near tells which nodes share a rack or a Kubernetes node with those that are down. A drain that has begun there goes
// on, and no other drain begins meanwhile. The disk tells where a pod belongs that has no Kubernetes node.
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
