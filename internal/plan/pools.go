package plan

import (
	"slices"
	"time"

	"github.com/castellan-dev/castellan/internal/model"
)

// How a pod formats its empty disk.
const (
	FormatInitial = "initial"
	FormatJoin    = "join"
)

// planPools creates and grows StatefulSets, and returns the pools that it touches. Nothing else happens to these in the
// same pass, because what is known of them is about to change.
func (v *view) planPools(p *Plan) (shaping map[string]bool) {
	shaping = map[string]bool{}
	for i := range v.c.Pools {
		pool := &v.c.Pools[i]
		set, exists := v.obs.Pools[pool.Name]
		switch {
		case exists && set.Deleting:
			p.wait("StatefulSet %s is being deleted", pool.StatefulSet)
		case !exists:
			v.planPool(p, shaping, CreatePool, pool, pool.FirstNodeID, "the pool has no StatefulSet")
		case set.Replicas < pool.Replicas:
			v.planPool(p, shaping, ScalePool, pool, pool.FirstNodeID+set.Replicas, "more replicas are asked for")
		}
	}
	return shaping
}

// planPool adds the nodes of a pool from an id on, once all their files are known. A StatefulSet makes all its pods at
// once, and a pod that started without its files would need a restart to get them. A StatefulSet whose pods exist
// already (somebody deleted it and kept them) does not wait: without it nobody makes those pods again.
func (v *view) planPool(p *Plan, shaping map[string]bool, kind Kind, pool *model.Pool, from int32, reason string) {
	var nodes []int32
	var unknown listed
	orphans := false
	for _, n := range v.ofPool(pool.Name) {
		orphans = orphans || kind == CreatePool && n.pod != nil
		if n.ID < from {
			continue
		}
		switch {
		case n.known:
			nodes = append(nodes, n.ID)
		case !n.leaving && !n.gone: // nobody makes files for what is not asked for
			unknown.add("%s waits: %s", n.name(), n.Waiting)
		}
	}
	if unknown.count > 0 && !orphans {
		p.wait("%s", unknown.String())
		return
	}
	if !v.obs.CacheCurrent {
		return
	}
	shaping[pool.Name] = true
	p.Steps = append(p.Steps, Step{
		Kind: kind, Pool: pool.Name, Nodes: nodes, Replicas: v.replicas(pool), Reasons: []string{reason},
	})
}

// replicas is what the StatefulSet of a pool has to ask for at least, so that it takes over every pod that there is: it
// would delete the others, whatever they hold. Nodes that the spec does not ask for leave one by one.
func (v *view) replicas(pool *model.Pool) int32 {
	replicas := pool.Replicas
	for id, seen := range v.obs.Nodes {
		if seen.Pod != nil && seen.Pod.Pool == pool.Name && !seen.Pod.Deleting {
			replicas = max(replicas, id-pool.FirstNodeID+1)
		}
	}
	return replicas
}

// planRenewal has one StatefulSet made anew that would make other claims than its pool asks for: Kubernetes lets nobody
// change that. While there is none, no pod that dies is made again. So nothing else is under way in the pool: every pod
// is ready on what it would come back on, none leaves or is to come, and its claims ask for all that they are to have.
//
// Beside another StatefulSet it stays as it is. Kubernetes does not expect pods that have none, and counts them as
// healthy (DisruptionController.getExpectedScale): a budget that counts what may be missing would let it evict as many
// others. planVolumes alone waits for one that does not. Where there is no StatefulSet at all it lets nobody evict any.
func (v *view) planRenewal(p *Plan) {
	if len(p.Steps) > 0 || !v.obs.CacheCurrent || len(v.obs.Pools) != 1 {
		return
	}
	for i := range v.c.Pools {
		pool := &v.c.Pools[i]
		set, exists := v.obs.Pools[pool.Name]
		if !exists || set.Deleting || !set.OtherClaims || set.Replicas != pool.Replicas {
			continue
		}
		if slices.ContainsFunc(v.ofPool(pool.Name), func(n *node) bool { return !n.atRest() }) {
			continue
		}
		p.Steps = append(p.Steps, Step{
			Kind: RenewPool, Pool: pool.Name, SetUID: set.UID, Reasons: []string{"its volumes have changed"},
		})
		return
	}
}

// atRest tells that a node is up on what a new pod of it would run, and that its claims ask for what the spec does.
func (n *node) atRest() bool {
	if n.leaving || n.gone || !n.made || !n.ready() || !n.runsWanted() || !n.isStagedAsWanted() {
		return false
	}
	return n.claimsAll()
}

// retryAfter is how long a pod that Kubernetes refused to make is waited for before it is asked again. The controller
// of StatefulSets doubles its own wait up to a quarter of an hour, and hears of no quota, account or class that has
// come.
const retryAfter = 15 * time.Second

// planRetries asks again for the pods that Kubernetes refused to make.
func (v *view) planRetries(p *Plan) {
	asked := map[string]bool{}
	for _, n := range v.nodes {
		seen := v.obs.Nodes[n.ID]
		if !n.made || n.pod != nil || n.set.Deleting || seen.RefusedAt.IsZero() || asked[n.Pool] || !v.obs.CacheCurrent {
			continue
		}
		if v.now.Before(seen.RefusedAt.Add(retryAfter)) || v.now.Before(n.set.RetriedAt.Add(retryAfter)) {
			continue
		}
		asked[n.Pool] = true
		p.Steps = append(p.Steps, Step{
			Kind: RetryPod, Pool: n.Pool, Node: n.ID, SetUID: n.set.UID, Reasons: []string{"it was refused before"},
		})
	}
}

// planFormat tells pods how to format an empty disk. FormatInitial makes the node a founder of the quorum. Said to a
// disk that was emptied, it would do one of two things:
//
//   - found a second quorum with the same cluster id, a split brain;
//   - let a voter come back without the log that it had acknowledged.
//
// So it is said only until the quorum has been seen, and once per disk. The executor records the disk before it says
// so. Every other disk, and that of a founder that is late, is formatted to join and becomes a voter by request. A disk
// that is formatted already ignores the word. A claim without a volume is no disk: nobody is told anything of it, so
// that it may still give way to another.
func (v *view) planFormat(p *Plan) {
	for _, n := range v.nodes {
		if n.pod == nil || n.pod.Deleting || n.pod.Format != "" {
			continue
		}
		if n.leaving && !v.c.Bootstrapped {
			continue // there is no quorum to join, and it may yet be asked for as a founder
		}
		if n.disk == "" && !n.leaving {
			p.wait("%s waits: the claim of its metadata volume has no volume yet", n.name())
			continue
		}
		if !v.obs.CacheCurrent {
			continue
		}
		format := FormatJoin
		for _, voter := range v.c.InitialVoters {
			if !v.c.Bootstrapped && voter.NodeID == n.ID && (voter.DiskUID == n.disk || voter.DiskUID == "") {
				format = FormatInitial
			}
		}
		p.Steps = append(p.Steps, Step{
			Kind: SayFormat, Pool: n.Pool, Node: n.ID, PodUID: n.pod.UID, DiskUID: n.disk, Format: format,
			Reasons: []string{"its pod has not been told how to format"},
		})
	}
}
