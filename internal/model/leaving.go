package model

import (
	"cmp"
	"fmt"
	"slices"
)

// Leaving lists the nodes that exist and that the spec does not ask for, each with its pool: of a pool that left the spec
// all, of one that shrank the highest ids. They count in every question of availability until they are gone.
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
				Name: name, StatefulSet: c.Name + "-" + name, FirstNodeID: set.FirstNodeID, Controller: set.Controller, Broker: set.Broker,
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

// Pool returns the pool of a name, or nil.
func (c *Cluster) Pool(name string) *Pool {
	for i := range c.Pools {
		if c.Pools[i].Name == name {
			return &c.Pools[i]
		}
	}
	return nil
}

// FindSuccessor names the pod of a controller that stays while others leave, or lose the role; empty = none leaves, or
// none that stays is ready.
func (c *Cluster) FindSuccessor(o *Observation) string {
	leaves, successor := false, ""
	lowest := int32(-1)
	for id, seen := range o.Nodes {
		if seen.Pod == nil || !seen.Pod.Controller {
			continue
		}
		n := c.Node(id)
		switch {
		case n == nil || !c.PoolOf(n).Controller:
			leaves = true
		case seen.Pod.Ready && (lowest < 0 || id < lowest):
			lowest, successor = id, n.PodName
		}
	}
	if !leaves {
		return ""
	}
	return successor
}
