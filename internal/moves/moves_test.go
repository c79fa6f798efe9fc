package moves

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/castellan-dev/castellan/internal/kafka"
)

func TestTheLimitOfPartitionsCountsEveryRecordOfTheClusterAndWhatHasArrivedNoMore(t *testing.T) {
	two := Record{InFlight: []Assignment{{Partition: 0, Replicas: []int32{1}}, {Partition: 1, Replicas: []int32{2}}}}
	s := Survey{
		Reassigning: map[string]map[int32]kafka.Reassignment{
			"a":              {0: {}, 1: {}},
			"nobodys":        {1: {}},
			"somebody elses": {7: {}},
		},
	}
	s.Grant(Ledger{{"a", two}, {"nobodys", two}})
	if s.Free != MaxMoving-3 {
		t.Errorf("%d may begin", s.Free)
	}
}

func TestARecordCoversWhatIsPlannedWhenNothingNewWouldBegin(t *testing.T) {
	known := &Record{BytesPerSecond: 5, InFlight: []Assignment{{0, []int32{0, 1}}, {1, []int32{1, 2}}}}
	for name, c := range map[string]struct {
		known, planned *Record
		want           bool
	}{
		"nothing is planned":           {nil, nil, true},
		"nothing is on record":         {nil, known, false},
		"the same":                     {known, known, true},
		"one has arrived":              {known, &Record{BytesPerSecond: 5, InFlight: known.InFlight[1:]}, true},
		"another partition begins":     {known, &Record{BytesPerSecond: 5, InFlight: []Assignment{{2, []int32{0, 1}}}}, false},
		"it goes to another broker":    {known, &Record{BytesPerSecond: 5, InFlight: []Assignment{{0, []int32{0, 2}}}}, false},
		"another leader is preferred":  {known, &Record{BytesPerSecond: 5, InFlight: []Assignment{{0, []int32{1, 0}}}}, true},
		"it copies under another rate": {known, &Record{BytesPerSecond: 6, InFlight: known.InFlight}, false},
	} {
		if got := c.known.Covers(c.planned); got != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

func TestTheRateOfTheBrokers(t *testing.T) {
	const leader, follower = "leader.replication.throttled.rate", "follower.replication.throttled.rate"
	for name, c := range map[string]struct {
		limit   Limit
		brokers map[string]string
		want    string
	}{
		"set while replicas copy":       {Limit{Rate: 7, Copying: true}, nil, "leader=7 follower=7"},
		"as it is":                      {Limit{Rate: 7, Copying: true}, map[string]string{leader: "7", follower: "7"}, ""},
		"set again by another operator": {Limit{Rate: 7, Known: []int64{5}, Copying: true}, map[string]string{leader: "5"}, "leader=7 follower=7"},
		"somebody else's stays":         {Limit{Rate: 7, Copying: true}, map[string]string{leader: "9"}, "follower=7"},
		"removed at the end":            {Limit{Rate: 7}, map[string]string{leader: "7", follower: "7"}, "-leader -follower"},
		"somebody else's is not":        {Limit{Rate: 7}, map[string]string{leader: "9", follower: "x"}, ""},
		"nothing was set":               {Limit{Rate: 7}, nil, ""},
		"nothing copies at zero": {Limit{Known: []int64{1000}, Copying: true}, map[string]string{leader: "1000", follower: "9"},
			"-leader"},
		"nothing is set without a limit": {Limit{Copying: true}, nil, ""},
		"set between disks while some move there": {Limit{Rate: 7, Copying: true, Shifting: true},
			map[string]string{leader: "7", follower: "7"}, "replica=7"},
		"removed there before it is elsewhere": {Limit{Rate: 7, Copying: true},
			map[string]string{leader: "7", follower: "7", diskRateKey: "7"}, "-replica"},
		"somebody else's there stays": {Limit{Rate: 7}, map[string]string{diskRateKey: "9"}, ""},
		"somebody else's zero stays":  {Limit{Known: []int64{0}}, map[string]string{leader: "0", follower: "0"}, ""},
	} {
		var got []string
		for _, change := range c.limit.Changes(c.brokers) {
			key, _, _ := strings.Cut(change.Key, ".")
			if change.Value == nil {
				got = append(got, "-"+key)
				continue
			}
			got = append(got, key+"="+*change.Value)
		}
		if text := strings.Join(got, " "); text != c.want {
			t.Errorf("%s: %q, want %q", name, text, c.want)
		}
	}
}

// Whoever moves replicas says which fields ask for a placement; this room knows none.
func TestATopicThatNoKafkaTopicStandsForMovesAlike(t *testing.T) {
	topic := Topic{Name: "nobodys", Replicas: [][]int32{{0, 1}, {1, 0}}}
	s := Survey{Brokers: brokersIn("a", "a", "b"), Free: 1, Rate: 5, Now: time.Unix(3e6, 0)}
	d := Plan(topic, Placement{Factor: 2, Racks: []string{"a", "b"}}, nil, &s)
	if got := fmt.Sprint(d.Moves, d.Record.InFlight, d.Record.Left, d.Record.BytesPerSecond, s.Free, d.Busy); got !=
		"[{0 [0 2] false}] [{0 [0 2]}] 2 5 0 true" {
		t.Errorf("%s, %+v", got, d)
	}
}
