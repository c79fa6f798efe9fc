package plan

import (
	"fmt"
	"slices"

	"github.com/castellan-dev/castellan/internal/kafka"
	"github.com/castellan-dev/castellan/internal/model"
)

// The metadata quorum changes one member at a time, by Kafka's own requests (KIP-853). A member is a node id and a
// disk: a node that comes back with another disk is another member.

// votesNow tells whether a node is a voter that has caught up.
func (v *view) votesNow(n *node) bool {
	entry, is := v.kafka.voter(n.ID)
	return is && v.kafka.isCaughtUp(entry)
}

// notAVoter does not hold while the entry of a lost disk is among the voters: diskChanged has it removed first.
func notAVoter(v *view, n *node) (bool, string) {
	if v.kafka.snapshot == nil || v.kafka.quorum.LeaderID < 0 || !n.votes() || n.pod == nil || n.pod.Deleting ||
		!n.pod.Controller {
		return false, ""
	}
	_, is := v.kafka.voter(n.ID)
	return !is, "it is asked for as a controller"
}

func notAController(v *view, n *node) (bool, string) {
	_, is := v.kafka.voter(n.ID)
	return is && !n.votes(), "it is no longer asked for as a controller"
}

func diskChanged(v *view, n *node) (bool, string) {
	entry, is := v.kafka.voter(n.ID)
	if !is || !n.votes() || !n.isHeard() || v.kafka.isCaughtUp(entry) {
		return false, ""
	}
	now, follows := v.kafka.follower(n.ID)
	return follows && now.DirectoryID != entry.DirectoryID, "it came back with another disk"
}

// member is who joins or leaves the quorum, and the host:port of its CONTROLLER listener.
func (v *view) member(d *disruption) (kafka.QuorumMember, string) {
	entry, _ := v.kafka.voter(d.node.ID)
	if d.kind == AddVoter {
		entry, _ = v.kafka.follower(d.node.ID)
	}
	return kafka.QuorumMember{ID: entry.ID, DirectoryID: entry.DirectoryID},
		fmt.Sprintf("%s:%d", d.node.Host, model.PortController)
}

func canVote(v *view, d *disruption, _ *round) (bool, string) {
	if !d.node.isHeard() {
		return false, "its pod is not ready" + problem(d.node.pod)
	}
	_, follows := v.kafka.follower(d.node.ID)
	return follows, "it has not caught up with the metadata log"
}

// replacementsVote lets a dead voter go at once: it only makes the majority harder to reach.
func replacementsVote(v *view, d *disruption, _ *round) (bool, string) {
	if !v.votesNow(d.node) {
		return true, ""
	}
	for _, n := range v.nodes {
		if n.votes() && !v.votesNow(n) {
			return false, fmt.Sprintf("controller %d does not vote yet", n.ID)
		}
	}
	return true, ""
}

// leftQuorum looks at the whole pool: once one node works with the new roles, every node of the pool may come back on
// them. The replacement of a disk does not wait for the quorum, which may need a restart elsewhere that waits for what
// was on the failed disk. Nothing is staged before the quorum is left, so the node comes back as it is.
func leftQuorum(v *view, d *disruption, _ *round) (bool, string) {
	if v.replaces(d) && d.node.keepsRoles() {
		return true, ""
	}
	voting := v.stillVoting(d.node.pool)
	return voting == "", voting
}

// keepsRoles tells whether the next pod of a node runs the files of this one, with the same roles.
func (n *node) keepsRoles() bool {
	return n.isStaged && n.staged.User == n.pod.Files.User && n.set.Controller == n.pod.Controller
}

// stillVoting says why a pool cannot yet lose the role Controller; empty = it can, or the spec does not ask for that.
func (v *view) stillVoting(pool *model.Pool) string {
	nodes := v.ofPool(pool.Name)
	runsControllers := func(n *node) bool { return n.set.Controller || n.pod != nil && n.pod.Controller }
	if pool.Controller || !v.c.Bootstrapped || !slices.ContainsFunc(nodes, runsControllers) {
		return ""
	}
	if fresh, why := v.freshSnapshot(); !fresh {
		return "it would leave the metadata quorum, and " + why
	}
	for _, n := range nodes {
		if _, is := v.kafka.voter(n.ID); is {
			return fmt.Sprintf("its pool is to have no controllers, and node %d is still a voter", n.ID)
		}
	}
	return ""
}

func notVoter(v *view, d *disruption, _ *round) (bool, string) {
	_, is := v.kafka.voter(d.node.ID)
	return !is, "it is still a voter of the metadata quorum"
}
