package plan

import (
	"slices"
	"strings"

	"github.com/castellan-dev/castellan/internal/model"
)

// rebalanceKey is Kafka's own switch for what planLeaders does; the active controller obeys it.
const rebalanceKey = "auto.leader.rebalance.enable"

// planLeaders gives leadership back to the preferred replicas after a rollout, once every node is ready and in sync.
// Kafka does the same every five minutes. Where the user has told Kafka not to (rebalanceKey), the operator does not
// either: somebody else places the leaders.
func (v *view) planLeaders(p *Plan) {
	fresh, _ := v.freshSnapshot()
	newer, _ := v.snapshotNewerThanPods()
	if v.keepsLeaders() || !fresh || !newer || !v.obs.CacheCurrent || v.kafka.short > 0 {
		return
	}
	for _, n := range v.nodes {
		if !n.gone && v.unready(n) != "" {
			return
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
	if away.count > 0 {
		p.Steps = append(p.Steps, Step{Kind: ElectLeaders, Reasons: []string{away.String()}})
	}
}

// keepsLeaders tells that somebody else places the leaders.
func (v *view) keepsLeaders() bool {
	return slices.ContainsFunc(v.c.Pools, func(p model.Pool) bool {
		return p.Controller && strings.EqualFold(strings.TrimSpace(p.StaticConfig[rebalanceKey]), "false")
	})
}
