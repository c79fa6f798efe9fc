package model

import (
	"cmp"
	"fmt"
	"slices"
)

// Leaving lists the nodes that exist and that the spec does not ask for, each with its pool: of a pool that left the
// spec all, of one that shrank the highest ids. They count in every question of availability until they are gone.
func (c *Cluster) Leaving(o *Observation) ([]Node, map[int32]*Pool) {
	var nodes []Node
	pools := map[int32]*Pool{}
	add := func(id int32, pool *Pool) {
		if c.Node(id) != nil || pools[id] != nil {
			return
		}
		pod := fmt.Sprintf("%s-%d", pool.StatefulSet, id)
		nodes = append(nodes, Node{ID: id, Pool: pool.Name, PodName: pod, Host: pod + "." + c.ServiceHost(c.NodesService())})
		pools[id] = pool
	}
	for name, set := range o.Pools {
		pool := c.Pool(name)
		if pool == nil {
			pool = &Pool{
				Name: name, StatefulSet: c.Name + "-" + name, FirstNodeID: set.FirstNodeID,
				Controller: set.Controller, Broker: set.Broker,
			}
		}
		for k := range set.Replicas {
			add(pool.FirstNodeID+k, pool)
		}
		for id, seen := range o.Nodes {
			if seen.Pod != nil && seen.Pod.Pool == name {
				add(id, pool) // its StatefulSet has let it go, and it has not ended yet
			}
		}
	}
	slices.SortFunc(nodes, func(a, b Node) int { return cmp.Compare(a.ID, b.ID) })
	return nodes, pools
}

// PartingBrokers are the nodes that leave and are brokers, by id.
func (c *Cluster) PartingBrokers(o *Observation) []Node {
	nodes, pools := c.Leaving(o)
	return slices.DeleteFunc(nodes, func(n Node) bool { return !pools[n.ID].Broker })
}

// Reached are the brokers that clients reach, by id: those of the spec, and those that have not left yet.
func (c *Cluster) Reached() []Node {
	brokers := slices.DeleteFunc(slices.Clone(c.Nodes), func(n Node) bool { return !c.IsBroker(&n) })
	brokers = append(brokers, c.Parting...)
	slices.SortFunc(brokers, func(a, b Node) int { return cmp.Compare(a.ID, b.ID) })
	return brokers
}

// Pool returns the pool of a name, or nil.
func (c *Cluster) Pool(name string) *Pool {
	for i := range c.Pools {
		if c.Pools[i].Name == name {
			return &c.Pools[i]
		}
	}
	return nil
}

// FindSuccessor names the pod of a controller that knows the quorum's leader, as long as others join or leave, or
// nothing is known of the quorum: one that stays, if there is one. Empty = nobody needs it, or there is none.
func (c *Cluster) FindSuccessor(o *Observation) string {
	if !c.Bootstrapped {
		return "" // the founders know each other
	}
	known := o.Kafka != nil && o.Kafka.ClusterID == c.ClusterID && o.Kafka.Quorum.LeaderID >= 0
	votes := map[int32]bool{}
	if known {
		for _, r := range o.Kafka.Quorum.Voters {
			votes[r.ID] = true
		}
	}
	isAsked := func(id int32) bool {
		n := c.Node(id)
		return n != nil && c.PoolOf(n).Controller
	}
	needed := !known
	for id := range votes {
		needed = needed || !isAsked(id)
	}
	for i := range c.Nodes {
		id := c.Nodes[i].ID
		needed = needed || isAsked(id) && !votes[id]
	}
	var stays, leaves []int32
	for id, seen := range o.Nodes {
		if seen.Pod == nil || !seen.Pod.Controller {
			continue
		}
		needed = needed || !isAsked(id)
		switch {
		case !seen.Pod.Ready || known && !votes[id]:
		case isAsked(id):
			stays = append(stays, id)
		default:
			leaves = append(leaves, id)
		}
	}
	slices.Sort(stays)
	slices.Sort(leaves)
	if knowing := slices.Concat(stays, leaves); needed && len(knowing) > 0 {
		return o.Nodes[knowing[0]].Pod.Name
	}
	return ""
}
