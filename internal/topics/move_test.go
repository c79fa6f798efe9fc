package topics

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/castellan-dev/castellan/internal/kafka"
	"github.com/castellan-dev/castellan/internal/moves"
	"github.com/castellan-dev/castellan/internal/verdict"
)

func moving(partitions ...string) *moves.Record {
	r := &moves.Record{Left: int32(len(partitions)), BytesPerSecond: 1000}
	for _, text := range partitions {
		var p moves.Assignment
		var a, b int32
		if _, err := fmt.Sscanf(text, "%d:%d,%d", &p.Partition, &a, &b); err != nil {
			panic(err)
		}
		p.Replicas = []int32{a, b}
		r.InFlight = append(r.InFlight, p)
	}
	return r
}

func printMoves(asked []kafka.Move) string {
	var all []string
	for _, m := range asked {
		all = append(all, fmt.Sprintf("%d:%d", m.Partition, m.Replicas))
	}
	return strings.Join(all, " ")
}

func brokersIn(racks ...string) []kafka.Broker {
	var all []kafka.Broker
	for i, rack := range racks {
		all = append(all, kafka.Broker{ID: int32(i), Rack: rack})
	}
	return all
}

func TestMoves(t *testing.T) {
	three := brokersIn("a", "b", "c")
	under := func(partition int32, replicas, adding, removing []int32) map[string]map[int32]kafka.Reassignment {
		return map[string]map[int32]kafka.Reassignment{
			"x": {partition: {Replicas: replicas, Adding: adding, Removing: removing}},
		}
	}
	for _, c := range []struct {
		name     string
		desired  Desired
		replicas [][]int32
		survey   moves.Survey
		moves    string
		faults   string
		throttle string
		recorded int // partitions under way
	}{
		{name: "as wanted", desired: Desired{ReplicationFactor: 2}, replicas: [][]int32{{0, 1}, {1, 2}}, survey: moves.Survey{Brokers: three, Free: 9}},
		{name: "one replica more, copied under a throttle", desired: Desired{ReplicationFactor: 3}, replicas: [][]int32{{0, 1}, {1, 2}},
			survey: moves.Survey{Brokers: three, Free: 9}, moves: "0:[0 1 2] 1:[1 2 0]", faults: ReasonMoving, throttle: "0:0,0:1,1:1,1:2/0:2,1:0", recorded: 2},
		{name: "one less copies nothing", desired: Desired{ReplicationFactor: 1}, replicas: [][]int32{{0, 1}},
			survey: moves.Survey{Brokers: three, Free: 9}, moves: "0:[0]", faults: ReasonMoving, recorded: 1},
		{name: "no more than may", desired: Desired{ReplicationFactor: 3}, replicas: [][]int32{{0, 1}, {1, 2}},
			survey: moves.Survey{Brokers: three, Free: 1}, moves: "0:[0 1 2]", faults: ReasonMoving, throttle: "0:0,0:1/0:2", recorded: 1},
		{name: "none while others use it up", desired: Desired{ReplicationFactor: 3}, replicas: [][]int32{{0, 1}},
			survey: moves.Survey{Brokers: three}, faults: ReasonMoving},
		{name: "ours goes on", desired: Desired{ReplicationFactor: 2, Known: Record{Moving: moving("0:0,1")}}, replicas: [][]int32{{0, 1}},
			survey: moves.Survey{Brokers: three, Free: 9, Reassigning: under(0, []int32{0, 1}, []int32{1}, nil)}, faults: ReasonMoving, throttle: "0:0/0:1", recorded: 1},
		{name: "ours is cancelled when the spec goes back, and on record until Kafka has undone it", desired: Desired{ReplicationFactor: 1, Known: Record{Moving: moving("0:0,1")}}, replicas: [][]int32{{0, 1}},
			survey: moves.Survey{Brokers: three, Free: 9, Reassigning: under(0, []int32{0, 1}, []int32{1}, nil)}, moves: "0:[]", faults: ReasonMoving, throttle: "0:0/0:1", recorded: 1},
		{name: "ours is cancelled when nothing is asked any more", desired: Desired{Known: Record{Moving: moving("0:0,1")}}, replicas: [][]int32{{0, 1}},
			survey: moves.Survey{Brokers: three, Free: 9, Reassigning: under(0, []int32{0, 1}, []int32{1}, nil)}, moves: "0:[]", faults: ReasonMoving, throttle: "0:0/0:1", recorded: 1},
		{name: "somebody else's is left where nothing is asked", desired: Desired{Known: Record{Moving: moving("0:0,2")}}, replicas: [][]int32{{0, 1}},
			survey: moves.Survey{Brokers: three, Free: 9, Reassigning: under(0, []int32{0, 1}, []int32{1}, nil)}, throttle: "-/-"},
		{name: "ours has arrived", desired: Desired{ReplicationFactor: 2, Known: Record{Moving: moving("0:0,1")}}, replicas: [][]int32{{0, 1}},
			survey: moves.Survey{Brokers: three, Free: 9}, throttle: "-/-"},
		{name: "somebody else's is never cancelled, and nothing begins beside it", desired: Desired{ReplicationFactor: 1}, replicas: [][]int32{{0, 1, 2}, {0, 1}},
			survey: moves.Survey{Brokers: three, Free: 9, Reassigning: under(0, []int32{0, 1, 2}, []int32{2}, nil)}, faults: ReasonForeignMove},
		{name: "somebody else took over a partition of ours", desired: Desired{ReplicationFactor: 1, Known: Record{Moving: moving("0:0,1")}}, replicas: [][]int32{{0, 2}},
			survey: moves.Survey{Brokers: three, Free: 9, Reassigning: under(0, []int32{0, 2}, []int32{2}, nil)}, faults: ReasonForeignMove + "," + ReasonMoving, throttle: "-/-"},
		{name: "somebody else's that leads to what is wanted is no fault", desired: Desired{ReplicationFactor: 2}, replicas: [][]int32{{0, 1, 2}},
			survey: moves.Survey{Brokers: three, Free: 9, Reassigning: under(0, []int32{0, 1, 2}, []int32{2}, []int32{1})}},
		{name: "somebody else's is not taken for what is wanted", desired: Desired{ReplicationFactor: 2}, replicas: [][]int32{{1, 0}},
			survey: moves.Survey{Brokers: three, Free: 9, Reassigning: under(0, []int32{1, 0}, []int32{1}, []int32{0})}, faults: ReasonForeignMove},
		{name: "growth waits for moves", desired: Desired{ReplicationFactor: 2, Partitions: 5, Known: Record{Moving: moving("0:0,1")}}, replicas: [][]int32{{0, 1}},
			survey: moves.Survey{Brokers: three, Free: 9, Reassigning: under(0, []int32{0, 1}, []int32{1}, nil)}, faults: ReasonMoving, throttle: "0:0/0:1", recorded: 1},
		{name: "out of a rack", desired: Desired{ReplicationFactor: 2, Racks: []string{"a", "c"}}, replicas: [][]int32{{1, 0}, {0, 2}},
			survey: moves.Survey{Brokers: three, Free: 9}, moves: "0:[2 0]", faults: ReasonMoving, throttle: "0:1,0:0/0:2", recorded: 1},
		{name: "a broker that is down is no reason to move", desired: Desired{ReplicationFactor: 2, Racks: []string{"a", "b"}}, replicas: [][]int32{{0, 1}},
			survey: moves.Survey{Brokers: []kafka.Broker{{ID: 0, Rack: "a"}, {ID: 1, Rack: "b", Fenced: true}}, Free: 9}},
		{name: "an impossible factor leaves what is under way", desired: Desired{ReplicationFactor: 9, Known: Record{Moving: moving("0:0,1")}}, replicas: [][]int32{{0, 1}},
			survey: moves.Survey{Brokers: three, Free: 9, Reassigning: under(0, []int32{0, 1}, []int32{1}, nil)}, faults: ReasonReplication + "," + ReasonMoving, throttle: "0:0/0:1", recorded: 1},
		{name: "a topic that is let go loses its throttle", desired: Desired{Kept: true, Known: Record{Moving: moving("0:0,1")}}, replicas: [][]int32{{0, 1}}, throttle: "-/-"},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.desired.Name, c.desired.Known.ID = "x", "id"
			c.survey.Rate, c.survey.Now = 1000, time.Unix(3e6, 0)
			topic := kafka.Topic{
				Name:       "x",
				ID:         "id",
				Partitions: int32(len(c.replicas)),
				Replicas:   c.replicas,
				Config:     map[string]string{},
			}
			if c.desired.Known.Moving != nil {
				topic.Config = map[string]string{moves.LeaderThrottled: "old", moves.FollowerThrottled: "old"}
			}
			changes, outcomes := Plan([]Desired{c.desired}, map[string]kafka.Topic{"x": topic}, c.survey)
			if got := printMoves(changes.Move["x"]); got != c.moves {
				t.Errorf("moves %q, want %q", got, c.moves)
			}
			if got := reasons(outcomes["x"].Verdicts); got != c.faults {
				t.Errorf("faults %s, want %s", got, c.faults)
			}
			if got := printThrottle(changes.Throttle["x"]); got != c.throttle {
				t.Errorf("throttle %q, want %q", got, c.throttle)
			}
			recorded := 0
			if m := outcomes["x"].Record.Moving; m != nil {
				recorded = len(m.InFlight)
				if copies := c.throttle != "" && c.throttle != "-/-"; !c.desired.Kept && copies != (m.BytesPerSecond == 1000) {
					t.Errorf("the record says %d bytes per second", m.BytesPerSecond)
				}
			}
			if !c.desired.Kept && recorded != c.recorded {
				t.Errorf("%d recorded, want %d", recorded, c.recorded)
			}
			if len(changes.Grow) > 0 {
				t.Errorf("grows: %v", changes.Grow)
			}
		})
	}
}

func TestWhereNothingIsKnownOfReassignmentsNothingMovesAndWhatIsOnRecordStays(t *testing.T) {
	denied := moves.Survey{Unknown: &verdict.Verdict{Reason: ReasonDenied, State: verdict.StateWaiting}}
	d := Desired{Name: "x", Partitions: 5, ReplicationFactor: 1, Known: Record{ID: "id", Moving: moving("0:0,1")}}
	live := map[string]kafka.Topic{
		"x": {Name: "x", ID: "id", Partitions: 1, ReplicationFactor: 2, Replicas: [][]int32{{0, 1}}},
	}
	changes, outcomes := Plan([]Desired{d}, live, denied)
	if out := outcomes["x"]; !changes.Empty() || out.Record.Moving != d.Known.Moving || len(out.Verdicts) != 1 ||
		out.Verdicts[0].Reason != ReasonDenied ||
		out.Topic.Partitions != 1 {
		t.Errorf("%+v %+v", changes, out)
	}
	placed := Desired{Name: "new", Partitions: 1, ReplicationFactor: 1, Racks: []string{"a"}}
	if changes, outcomes = Plan([]Desired{placed}, nil, denied); !changes.Empty() || outcomes["new"].Found ||
		outcomes["new"].Verdicts[0].Reason != ReasonDenied {
		t.Errorf("placed nowhere: %+v %+v", changes, outcomes)
	}
}

func printThrottle(changes []kafka.ConfigChange) string {
	values := map[string]string{}
	for _, c := range changes {
		values[c.Key] = "-"
		if c.Value != nil {
			values[c.Key] = *c.Value
		}
	}
	return strings.Trim(values[moves.LeaderThrottled]+"/"+values[moves.FollowerThrottled], "/")
}

func TestProgressIsToldWithAnEstimate(t *testing.T) {
	start := time.Unix(3e6, 0)
	d := Desired{Name: "x", ReplicationFactor: 2, Known: Record{ID: "id"}}
	topic := kafka.Topic{Name: "x", ID: "id", Partitions: 4, Replicas: [][]int32{{0}, {1}, {2}, {0}}}
	s := moves.Survey{Brokers: brokersIn("", "", ""), Free: 9, Rate: 1, Now: start}
	step := func() *moves.Record {
		_, outcomes := Plan([]Desired{d}, map[string]kafka.Topic{"x": topic}, s)
		d.Known.Moving = outcomes["x"].Record.Moving
		return d.Known.Moving
	}
	first := step()
	if first.Moved != 0 || first.Left != 4 || !first.EstimatedCompletion.IsZero() {
		t.Fatalf("%+v", first)
	}
	s.Reassigning = map[string]map[int32]kafka.Reassignment{"x": {}}
	for _, p := range first.InFlight {
		topic.Replicas[p.Partition] = p.Replicas
		if p.Partition != 0 {
			s.Reassigning["x"][p.Partition] = kafka.Reassignment{Replicas: p.Replicas, Adding: p.Replicas[1:]}
		}
	}
	s.Now = start.Add(10 * time.Second)
	second := step()
	if second.Moved != 1 || second.Left != 3 || !second.EstimatedCompletion.Equal(start.Add(40*time.Second)) {
		t.Fatalf("%+v", second)
	}
	s.Now = start.Add(20 * time.Second)
	if third := step(); !third.EstimatedCompletion.Equal(second.EstimatedCompletion) {
		t.Errorf("the estimate changes though nothing has arrived: %+v", third)
	}
	s.Reassigning = nil
	if last := step(); last != nil {
		t.Errorf("%+v", last)
	}
}

func TestANewTopicIsCreatedInItsRacks(t *testing.T) {
	d := Desired{Name: "x", Partitions: 4, ReplicationFactor: 2, Racks: []string{"a", "c"}}
	changes, _ := Plan([]Desired{d}, nil, moves.Survey{Brokers: brokersIn("a", "b", "c")})
	if len(changes.Create) != 1 || len(changes.Create[0].Assignment) != 4 {
		t.Fatalf("%+v", changes)
	}
	for _, replicas := range changes.Create[0].Assignment {
		if slices.Sort(replicas); !slices.Equal(replicas, []int32{0, 2}) {
			t.Errorf("%v", replicas)
		}
	}
}
