package e2e

import (
	"testing"
	"time"
)

// What the operator has begun must be readable from the cluster alone: it is killed at every step of a roll rack by
// rack that can be told apart from outside, half a rack being down among them.
func TestCase14_TheOperatorIsKilledAgainAndAgainWhileRacksRoll(t *testing.T) {
	long(t)
	const mostKills = 10
	v := fleet.sail(t)
	v.rec.mark(t, "queued.max.requests is changed, and the operator killed at every step")
	change(t, v.cluster, func(c kafkaCluster) { setMain(c, "queued.max.requests", "610") })
	steps := killAtEveryPhase(t, v.ns, sharedName, mostKills)
	waitOperator(t)
	record := v.arrive(t, time.Minute, "Six brokers in three zones: the operator is killed again and again")
	mustRestart(t, record, once(fleetBrokers...))
	mustStayInOneRack(t, record)
	if len(steps) < 5 {
		t.Errorf("only %d steps of the roll were seen: %v", len(steps), steps)
	}
	admin := v.login.admin(t)
	for id := range int32(6) {
		if value, err := brokerValue(t.Context(), admin, id, "queued.max.requests"); value != "610" {
			t.Errorf("broker %d has queued.max.requests=%s (error %v), expected 610", id, value, err)
		}
	}
}
