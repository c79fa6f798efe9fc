package model

import (
	"testing"
	"time"

	"github.com/castellan-dev/castellan/api/v1alpha1"
)

func TestAWindowIsOpenInItsHoursAndOverMidnight(t *testing.T) {
	night := Window{From: 22 * time.Hour, To: 4 * time.Hour}
	weekend := Window{Days: []time.Weekday{time.Saturday}, From: 22 * time.Hour, To: 4 * time.Hour}
	noon := Window{From: 12 * time.Hour, To: 13 * time.Hour}
	at := func(day, hour int) time.Time { return time.Date(2026, 3, day, hour, 0, 0, 0, time.UTC) } // 1 March is a Sunday
	for _, c := range []struct {
		window Window
		at     time.Time
		open   bool
	}{
		{night, at(2, 21), false}, {night, at(2, 22), true}, {night, at(3, 3), true}, {night, at(3, 4), false},
		{weekend, at(6, 23), false}, {weekend, at(7, 23), true}, {weekend, at(1, 3), true}, {weekend, at(2, 3), false},
		{noon, at(2, 12), true}, {noon, at(2, 13), false}, {noon, at(2, 11), false},
		{noon, time.Date(2026, 3, 2, 14, 30, 0, 0, time.FixedZone("", 2*3600)), true},
	} {
		if got := c.window.Open(c.at); got != c.open {
			t.Errorf("%s at %s: open %t", c.window, c.at, got)
		}
	}
	if !(Balancing{}).InWindow(at(1, 1)) || (Balancing{Windows: []Window{night}}).InWindow(at(1, 12)) {
		t.Error("without windows it is always, with windows only in them")
	}
}

func TestExcludedTopicsAreNamedOrBeginAlike(t *testing.T) {
	b := Balancing{Mode: v1alpha1.BalancingOnScale, Exclude: []string{"audit", "telemetry-*"}}
	for topic, excluded := range map[string]bool{
		"audit": true, "audit2": false, "telemetry-": true, "telemetry-a": true, "telemetry": false,
	} {
		if b.Excludes(topic) != excluded {
			t.Errorf("%s is excluded: %t", topic, !excluded)
		}
	}
}
