package plan

import (
	"slices"
	"strings"

	"github.com/castellan-dev/castellan/internal/kafka"
	"github.com/castellan-dev/castellan/internal/model"
)

// rebalanceKey is Kafka's own switch for electing preferred leaders; the active controller obeys it.
const rebalanceKey = "auto.leader.rebalance.enable"

// planLeaders gives partitions leaders that have none, and once all is quiet leadership back to the preferred replicas.
func (v *view) planLeaders(p *Plan, quiet bool) {
	none, reasons := v.leaderless()
	if away := v.ledByOthers(); quiet && away != "" {
		none, reasons = nil, append(reasons, away)
	}
	if len(reasons) > 0 {
		p.Steps = append(p.Steps, Step{Kind: ElectLeaders, Lack: none, Reasons: reasons})
	}
}

// leaderless lists the partitions without a leader that a replica could lead without a loss, and says so: one in sync,
// or one of those that were it last (KIP-966). Kafka does not tell which these are, so that all replicas have to serve.
// Kafka elects when a broker comes back. A replica that moved to another disk just before its broker stopped may still
// count as one of the former disk then. Where that is gone nobody is elected, and when the broker says where the
// replica is Kafka only takes note: it elects every five minutes, and never where the user tells it to leave leaders
// alone (rebalanceKey).
func (v *view) leaderless() (some []kafka.PartitionID, reasons []string) {
	if fresh, _ := v.freshSnapshot(); !fresh || !v.obs.CacheCurrent {
		return nil, nil
	}
	serves := map[int32]bool{}
	for _, n := range v.nodes {
		serves[n.ID] = !n.gone && v.unready(n) == ""
	}
	var none listed
	for i := range v.kafka.snapshot.Partitions {
		t := &v.kafka.snapshot.Partitions[i]
		if t.Leader >= 0 {
			continue
		}
		lost := func(id int32) bool { return !serves[id] || slices.Contains(t.Offline, id) }
		switch at := slices.IndexFunc(t.ISR, func(id int32) bool { return !lost(id) }); {
		case at >= 0:
			none.add("%s has no leader, and broker %d is in sync", partition(t), t.ISR[at])
		case len(t.ISR) == 0 && len(t.Replicas) > 0 && !slices.ContainsFunc(t.Replicas, lost):
			none.add("%s has no leader, and all its replicas serve", partition(t))
		default:
			continue
		}
		some = append(some, kafka.PartitionID{Topic: t.Topic, Number: t.Number})
	}
	if none.count > 0 {
		reasons = []string{none.String()}
	}
	return some, reasons
}

// ledByOthers says which partitions others lead than their preferred replicas, once every node is ready and in sync.
// Kafka elects these every five minutes. Where the user has told Kafka not to (rebalanceKey), the operator does not
// either: somebody else places the leaders.
func (v *view) ledByOthers() string {
	fresh, _ := v.freshSnapshot()
	newer, _ := v.snapshotNewerThanPods()
	if v.keepsLeaders() || !fresh || !newer || !v.obs.CacheCurrent || v.kafka.short > 0 {
		return ""
	}
	for _, n := range v.nodes {
		if !n.gone && v.unready(n) != "" {
			return ""
		}
	}
	var away listed
	partitions := v.kafka.snapshot.Partitions
	for i := range partitions {
		t := &partitions[i]
		if t.Leader < 0 || len(t.Replicas) == 0 || t.Leader == t.Replicas[0] || !slices.Contains(t.ISR, t.Replicas[0]) {
			continue
		}
		if b, registered := v.kafka.brokers[t.Replicas[0]]; registered && !b.Fenced {
			away.add("%s is led by broker %d and not by broker %d", partition(t), t.Leader, t.Replicas[0])
		}
	}
	return away.String()
}

// keepsLeaders tells that somebody else places the leaders.
func (v *view) keepsLeaders() bool {
	return slices.ContainsFunc(v.c.Pools, func(p model.Pool) bool {
		return p.Controller && strings.EqualFold(strings.TrimSpace(p.StaticConfig[rebalanceKey]), "false")
	})
}
