package balancing

import (
	"errors"
	"maps"
	"slices"
	"testing"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/castellan-dev/castellan/api/v1alpha1"
	"github.com/castellan-dev/castellan/controllers/batch"
	"github.com/castellan-dev/castellan/controllers/controllertest"
	"github.com/castellan-dev/castellan/internal/balance"
	"github.com/castellan-dev/castellan/internal/course"
	"github.com/castellan-dev/castellan/internal/kafka"
	"github.com/castellan-dev/castellan/internal/model"
	"github.com/castellan-dev/castellan/internal/moves"
)

// stage is a Kafka with a topic on brokers 0 and 1, a cluster's record, and a Balancer.
type stage struct {
	*controllertest.World
	*Balancer
	record  v1alpha1.BalancingStatus
	writes  int
	refuse  error
	onWrite func()
}

func newStage(t *testing.T, objects ...client.Object) *stage {
	t.Helper()
	indexes := map[string]client.IndexerFunc{batch.ClusterIndex: func(client.Object) []string {
		return []string{controllertest.ClusterKey.String()}
	}}
	w := controllertest.NewCore(t, controllertest.Indexed{Object: &v1alpha1.KafkaTopic{}, Indexes: indexes}, objects...)
	w.Kafka.Slow = true
	w.Kafka.Add("orders", 3, 2, nil)
	topic := w.Kafka.Topics["orders"]
	topic.Replicas = [][]int32{{0, 1}, {0, 1}, {0, 1}}
	w.Kafka.Topics["orders"] = topic
	return &stage{World: w, Balancer: &Balancer{Client: w.Client, Rate: 1000}}
}

func (s *stage) work(some ...v1alpha1.MovingPartition) Work {
	var found []kafka.Partition
	for number, replicas := range s.Kafka.Topics["orders"].Replicas {
		found = append(found, kafka.Partition{Topic: "orders", Number: int32(number), Replicas: slices.Clone(replicas)})
	}
	return Work{
		Found: found, Admin: s.Kafka, Cluster: controllertest.ClusterKey, Record: s.record.DeepCopy(), Moves: some,
		Now:         time.Unix(3e6, 0),
		Reassigning: s.Kafka.Moving,
		Write: func(next *v1alpha1.BalancingStatus) error {
			if s.onWrite != nil {
				s.onWrite()
			}
			if s.refuse == nil {
				s.record, s.writes = *next, s.writes+1
			}
			return s.refuse
		},
	}
}

func to(partition int32, replicas ...int32) v1alpha1.MovingPartition {
	return v1alpha1.MovingPartition{Topic: "orders", Partition: partition, Replicas: replicas}
}

const rate = "leader.replication.throttled.rate"

func TestMovesAreOnRecordBeforeTheyBeginAndUnthrottledBeforeTheyLeaveIt(t *testing.T) {
	s := newStage(t)
	s.onWrite = func() {
		if len(s.Kafka.Moving["orders"]) > 0 {
			t.Error("something moves before it is on record")
		}
	}
	if _, err := s.Begin(t.Context(), s.work(to(0, 0, 2), to(1, 2, 1))); err != nil {
		t.Fatal(err)
	}
	live := s.Kafka.Topics["orders"]
	if len(s.Kafka.Moving["orders"]) != 2 || s.writes != 1 || len(s.record.InFlight) != 2 ||
		s.record.BytesPerSecond != 1000 || s.Kafka.Config[rate] != "1000" ||
		live.Config[moves.FollowerThrottled] != "0:2,1:2" {
		t.Errorf("under way %v, on record %+v, brokers %v, topic %v", s.Kafka.Moving, s.record, s.Kafka.Config, live.Config)
	}
	s.Kafka.Arrive("orders", 1)
	s.onWrite = func() {
		if got := s.Kafka.Topics["orders"].Config[moves.FollowerThrottled]; got != "0:2" {
			t.Errorf("partition 1 leaves the record, and its throttle is %q", got)
		}
	}
	if err := s.End(t.Context(), s.work(to(1, 2, 1))); err != nil {
		t.Fatal(err)
	}
	if s.Kafka.Config[rate] != "1000" || len(s.record.InFlight) != 1 {
		t.Errorf("one goes on: brokers %v, on record %+v", s.Kafka.Config, s.record)
	}
	s.Kafka.Arrive("orders", 0)
	s.onWrite = nil
	if err := s.End(t.Context(), s.work(to(0, 0, 2))); err != nil {
		t.Fatal(err)
	}
	if live := s.Kafka.Topics["orders"]; len(s.Kafka.Config)+len(live.Config) != 0 || s.record.InFlight != nil {
		t.Errorf("brokers keep %v, the topic %v, the record %+v", s.Kafka.Config, live.Config, s.record)
	}
}

func TestNothingMovesThatCannotBePutOnRecord(t *testing.T) {
	s := newStage(t)
	s.refuse = errors.New("somebody has written meanwhile")
	if _, err := s.Begin(t.Context(), s.work(to(0, 0, 2))); !errors.Is(err, s.refuse) {
		t.Error(err)
	}
	if len(s.Kafka.Moving) != 0 || len(s.Kafka.Config) != 0 {
		t.Errorf("under way %v, brokers %v", s.Kafka.Moving, s.Kafka.Config)
	}
}

func TestTheThrottleOfSomebodyElseStaysAsItIs(t *testing.T) {
	s := newStage(t)
	s.Kafka.Config[rate] = "77"
	topic := s.Kafka.Topics["orders"]
	topic.Config = map[string]string{moves.LeaderThrottled: "*", moves.FollowerThrottled: "*"}
	s.Kafka.Topics["orders"] = topic
	if _, err := s.Begin(t.Context(), s.work(to(0, 0, 2))); err != nil {
		t.Fatal(err)
	}
	if !s.record.InFlight[0].ForeignThrottle {
		t.Errorf("on record %+v", s.record)
	}
	s.Kafka.Arrive("orders", 0)
	if err := s.End(t.Context(), s.work(s.record.InFlight...)); err != nil {
		t.Fatal(err)
	}
	if live := s.Kafka.Topics["orders"]; s.Kafka.Config[rate] != "77" || live.Config[moves.LeaderThrottled] != "*" ||
		live.Config[moves.FollowerThrottled] != "*" {
		t.Errorf("brokers %v, topic %v", s.Kafka.Config, live.Config)
	}
}

func TestTheLimitStaysWhileAKafkaTopicMovesReplicas(t *testing.T) {
	others := controllertest.NewTopic("payments", "u", time.Hour, func(t *v1alpha1.KafkaTopic) {
		t.Status.Reassignment = &v1alpha1.ReassignmentStatus{BytesPerSecond: 1000, Left: 1,
			InFlight: []v1alpha1.PartitionReplicas{{Partition: 0, Replicas: []int32{0, 1}}}}
	})
	s := newStage(t, others)
	if _, err := s.Begin(t.Context(), s.work(to(0, 0, 2))); err != nil {
		t.Fatal(err)
	}
	s.Kafka.Arrive("orders", 0)
	if err := s.End(t.Context(), s.work(to(0, 0, 2))); err != nil {
		t.Fatal(err)
	}
	if s.Kafka.Config[rate] != "1000" {
		t.Errorf("brokers %v", s.Kafka.Config)
	}
	if got := s.Seen(t.Context(), controllertest.ClusterKey, nil).Rate; got != 1000 {
		t.Errorf("the course hears of %d bytes per second", got)
	}
	seen := s.Seen(t.Context(), controllertest.ClusterKey, nil)
	if seen.Topics != nil {
		t.Error("topics are listed though there is no plan, and nothing moves")
	}
	shot := &kafka.Snapshot{Reassigning: 1}
	if seen := s.Seen(t.Context(), controllertest.ClusterKey, shot); seen.Topics == nil || len(seen.Topics.Placed) != 1 {
		t.Errorf("while something moves: %+v", seen.Topics)
	}
	s.Read(t.Context(), controllertest.ClusterKey, course.Wants{Topics: true}, nil, &seen)
	if seen.Topics.Err != "" || len(seen.Topics.Placed) != 1 ||
		!slices.Equal(seen.Topics.Placed[0].Moving[0], []int32{0, 1}) || seen.Sizes != nil {
		t.Errorf("%+v", seen)
	}
}

func TestARefusalOfKafkaIsToldAndTheLimitOfTheClusterGoesBeforeTheOperators(t *testing.T) {
	s := newStage(t)
	s.Kafka.Refuse = map[string]error{"orders": errors.New("no")}
	work := s.work(to(0, 0, 2))
	work.Settings.Rate = 55
	if _, err := s.Begin(t.Context(), work); err == nil || s.Kafka.Config[rate] != "55" || s.record.BytesPerSecond != 55 {
		t.Errorf("%v, brokers %v, on record %+v", err, s.Kafka.Config, s.record)
	}
}

func TestAPlanIsRememberedUntilItsClusterIsGone(t *testing.T) {
	s := newStage(t)
	remembered := model.Remembered{Plan: &balance.Plan{}, Of: "brokers"}
	s.Remember(controllertest.ClusterKey, remembered)
	if got := s.Seen(t.Context(), controllertest.ClusterKey, nil).Remembered; got.Plan != remembered.Plan {
		t.Errorf("%+v", got)
	}
	s.Forget(controllertest.ClusterKey)
	if got := s.Seen(t.Context(), controllertest.ClusterKey, nil).Remembered; got.Plan != nil {
		t.Errorf("%+v", got)
	}
}

func TestWhatSomebodyElseHasMovedMeanwhileIsTakenOffTheRecord(t *testing.T) {
	for name, meanwhile := range map[string]func(*stage){
		"it is under way":   func(s *stage) { s.Kafka.Begins("orders", kafka.Move{Partition: 0, Replicas: []int32{0, 3}}) },
		"it is elsewhere":   func(s *stage) { s.Kafka.Topics["orders"].Replicas[0] = []int32{3, 1} },
		"its topic is gone": func(s *stage) { delete(s.Kafka.Topics, "orders") },
	} {
		s := newStage(t)
		work := s.work(to(0, 0, 2), to(1, 2, 1))
		s.onWrite = func() {
			if s.writes == 0 {
				meanwhile(s)
			}
		}
		if _, err := s.Begin(t.Context(), work); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		_, exists := s.Kafka.Topics["orders"]
		second := s.Kafka.Moving["orders"][1].Replicas != nil
		for _, m := range s.record.InFlight {
			if m.Partition == 0 {
				t.Errorf("%s: on record is %+v", name, s.record.InFlight)
			}
		}
		if r := s.Kafka.Moving["orders"][0]; slices.Contains(r.Replicas, 2) {
			t.Errorf("%s: it is moved all the same: %+v", name, r)
		}
		if second != exists || exists != (len(s.record.InFlight) == 1) || !exists && s.Kafka.Config[rate] != "" {
			t.Errorf("%s: the other one: %t, on record %+v, brokers %v", name, second, s.record, s.Kafka.Config)
		}
	}
}

func (s *stage) throttled(config map[string]string) {
	topic := s.Kafka.Topics["orders"]
	topic.Config = config
	s.Kafka.Topics["orders"] = topic
}

func TestWhoseTheThrottleOfATopicIs(t *testing.T) {
	named := func(leader, follower string) map[string]string {
		return map[string]string{moves.LeaderThrottled: leader, moves.FollowerThrottled: follower}
	}
	for name, c := range map[string]struct {
		record []v1alpha1.MovingPartition
		config map[string]string
		want   bool
	}{
		"nobody's":                            {nil, nil, false},
		"with nothing on record":              {nil, named("0:0", "0:2"), true},
		"for what is on record":               {[]v1alpha1.MovingPartition{to(0, 0, 2)}, named("0:0,0:1", "0:2"), false},
		"for more than is on record":          {[]v1alpha1.MovingPartition{to(0, 0, 2)}, named("0:0,0:1,1:0", "0:2"), true},
		"for all":                             {[]v1alpha1.MovingPartition{to(0, 0, 2)}, named("*", "*"), true},
		"none, though one was there at first": {[]v1alpha1.MovingPartition{{Topic: "orders", ForeignThrottle: true}}, nil, true},
	} {
		s := newStage(t)
		s.record.InFlight = c.record
		s.throttled(c.config)
		if got := s.work().isForeign(s.Kafka.Topics["orders"]); got != c.want {
			t.Errorf("%s: foreign is %t", name, got)
		}
	}
}

func TestNothingMovesPastAThrottleThatDoesNotNameIt(t *testing.T) {
	for name, c := range map[string]struct {
		leader, follower string
		rate             int64
		moves            bool
	}{
		"it names all":                      {"*", "*", 1000, true},
		"it names the replicas":             {"0:0,0:1,2:1", "0:2", 1000, true},
		"it names other followers":          {"*", "1:2", 1000, false},
		"it names one of the leaders to be": {"0:0", "*", 1000, false},
		"it has no followers":               {"*", "", 1000, false},
		"there is no limit to keep to":      {"1:0", "1:2", 0, true},
	} {
		s := newStage(t)
		s.Rate = c.rate
		s.throttled(map[string]string{moves.LeaderThrottled: c.leader, moves.FollowerThrottled: c.follower})
		begun, err := s.Begin(t.Context(), s.work(to(0, 0, 2)))
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		_, told := s.Seen(t.Context(), controllertest.ClusterKey, nil).Unnamed["orders"]
		if len(begun) == 1 != c.moves || len(s.Kafka.Moving["orders"]) == 1 != c.moves || told == c.moves || s.writes == 1 != c.moves {
			t.Errorf("%s: begun %v, under way %v, told %t, %d writes", name, begun, s.Kafka.Moving, told, s.writes)
		}
	}
}

// A swap by half leaves data less even than it was, and its plan would go on from there.
func TestOfTwoThatChangePlacesNeitherMovesWithoutTheOther(t *testing.T) {
	for name, meanwhile := range map[string]func(*stage){
		"somebody moves one before": func(s *stage) { s.Kafka.Topics["orders"].Replicas[0] = []int32{3, 1} },
		"somebody moves one meanwhile": func(s *stage) {
			s.onWrite = func() { s.Kafka.Topics["orders"].Replicas[1] = []int32{3, 1} }
		},
		"a throttle does not name one": func(s *stage) {
			s.Kafka.Add("payments", 1, 2, nil)
			topic := s.Kafka.Topics["payments"]
			topic.Replicas = [][]int32{{0, 1}}
			topic.Config = map[string]string{moves.LeaderThrottled: "9:0", moves.FollowerThrottled: "9:0"}
			s.Kafka.Topics["payments"] = topic
		},
		"nothing": func(*stage) {},
	} {
		s := newStage(t)
		work := s.work(to(0, 0, 2), to(1, 2, 1), to(2, 0, 3))
		id := func(number int32) kafka.PartitionID { return kafka.PartitionID{Topic: "orders", Number: number} }
		work.Swaps = [][2]kafka.PartitionID{{id(0), id(1)}}
		meanwhile(s)
		if _, other := s.Kafka.Topics["payments"]; other {
			work.Moves = append(work.Moves, v1alpha1.MovingPartition{Topic: "payments", Replicas: []int32{0, 2}})
			work.Found = append(work.Found, kafka.Partition{Topic: "payments", Replicas: []int32{0, 1}})
			work.Swaps = append(work.Swaps, [2]kafka.PartitionID{id(2), {Topic: "payments"}})
		}
		begun, err := s.Begin(t.Context(), work)
		want := map[string]int{"nothing": 3, "a throttle does not name one": 2}[name]
		if want == 0 {
			want = 1
		}
		if err != nil || len(begun) != want || len(s.Kafka.Moving["orders"])+len(s.Kafka.Moving["payments"]) != want ||
			len(s.record.InFlight) != want {
			t.Errorf("%s: %v, begun %v, under way %v, on record %v", name, err, begun, s.Kafka.Moving, s.record.InFlight)
		}
	}
}

func TestReplicasMoveBetweenDisksOnRecordAndUnderALimitOfTheirOwn(t *testing.T) {
	s := newStage(t)
	broker := int32(1)
	shift := v1alpha1.MovingPartition{Topic: "orders", Partition: 2, Replicas: []int32{0, 1}, Broker: &broker, LogDir: "/b"}
	const limit = "replica.alter.log.dirs.io.max.bytes.per.second"
	s.onWrite = func() {
		if len(s.Kafka.Within) > 0 {
			t.Error("something moves before it is on record")
		}
	}
	if _, err := s.Begin(t.Context(), s.work(shift)); err != nil {
		t.Fatal(err)
	}
	id := kafka.PartitionID{Topic: "orders", Number: 2}
	if s.Kafka.Within[1][id] != "/b" || s.Kafka.Config[limit] != "1000" || len(s.record.InFlight) != 1 ||
		len(s.Kafka.Moving) > 0 || len(s.Kafka.Topics["orders"].Config) > 0 {
		t.Errorf("under way %v and %v, brokers %v, on record %+v", s.Kafka.Within, s.Kafka.Moving, s.Kafka.Config, s.record)
	}
	s.onWrite = nil
	if err := s.End(t.Context(), s.work(shift)); err != nil {
		t.Fatal(err)
	}
	if len(s.Kafka.Config) > 0 || s.record.InFlight != nil {
		t.Errorf("brokers keep %v, the record %+v", s.Kafka.Config, s.record)
	}
	s.Kafka.Within, s.Kafka.RefuseWithin = nil, &kafka.Refusal{Code: "KAFKA_STORAGE_ERROR"}
	if _, err := s.Begin(t.Context(), s.work(shift)); !errors.Is(err, s.Kafka.RefuseWithin) {
		t.Errorf("of a disk that takes nothing: %v", err)
	}
}

func TestWhatKafkaRefusesIsAskedForLessAndLessOften(t *testing.T) {
	broker := int32(1)
	shift := v1alpha1.MovingPartition{Topic: "orders", Partition: 2, Replicas: []int32{0, 1}, Broker: &broker, LogDir: "/b"}
	for name, m := range map[string]v1alpha1.MovingPartition{"to a broker": to(2, 0, 2), "between disks": shift} {
		s := newStage(t)
		refused := func() model.RefusedMove {
			return s.Seen(t.Context(), controllertest.ClusterKey, nil).Refused[idOf(m)]
		}
		s.Remember(controllertest.ClusterKey, model.Remembered{Plan: &balance.Plan{}})
		s.Kafka.Refuse = map[string]error{"orders": errors.New("no")}
		s.Kafka.RefuseWithin = errors.New("no")
		now := s.work().Now
		for times, wait := range []time.Duration{15 * time.Second, 30 * time.Second, time.Minute, 2 * time.Minute,
			4 * time.Minute, 8 * time.Minute, 10 * time.Minute, 10 * time.Minute} {
			if _, err := s.Begin(t.Context(), s.work(m)); err == nil {
				t.Errorf("%s: nothing is told", name)
			}
			want := model.RefusedMove{Times: times + 1, Until: now.Add(wait), Why: "no"}
			if got := refused(); got != want {
				t.Errorf("%s: %+v, want %+v", name, got, want)
			}
			s.record = v1alpha1.BalancingStatus{}
		}
		s.Kafka.Refuse, s.Kafka.RefuseWithin = nil, nil
		if _, err := s.Begin(t.Context(), s.work(m)); err != nil || refused().Times != 0 {
			t.Errorf("%s: it has begun (%v), and is remembered: %+v", name, err, refused())
		}
	}
}

func TestAMoveIsTakenBackAndStaysOnRecordUntilKafkaHasUndoneIt(t *testing.T) {
	s := newStage(t)
	if _, err := s.Begin(t.Context(), s.work(to(0, 0, 2), to(1, 2, 1), to(2, 0, 3))); err != nil {
		t.Fatal(err)
	}
	s.Kafka.Arrive("orders", 1)                                                 // in the meantime
	s.Kafka.Begins("orders", kafka.Move{Partition: 2, Replicas: []int32{0, 4}}) // by somebody else
	if err := s.Recall(t.Context(), s.work(to(0, 0, 2), to(1, 2, 1), to(2, 0, 3))); err != nil {
		t.Fatal(err)
	}
	under := s.Kafka.Moving["orders"]
	if _, is := under[0]; is || !slices.Contains(under[2].Adding, 4) ||
		!slices.Equal(s.Kafka.Topics["orders"].Replicas[0], []int32{0, 1}) ||
		!slices.Equal(s.Kafka.Topics["orders"].Replicas[1], []int32{2, 1}) {
		t.Errorf("under way %+v, %+v", under, s.Kafka.Topics["orders"].Replicas)
	}
	if len(s.record.InFlight) != 3 || s.Kafka.Topics["orders"].Config[moves.FollowerThrottled] == "" {
		t.Errorf("on record %+v, %+v", s.record, s.Kafka.Topics["orders"].Config)
	}
	s.Kafka.Begins("orders", kafka.Move{Partition: 0, Replicas: []int32{0, 2}})
	s.Kafka.Refuse = map[string]error{"orders": errors.New("no")}
	err := s.Recall(t.Context(), s.work(to(0, 0, 2)))
	if got := s.Seen(t.Context(), controllertest.ClusterKey, nil).Refused[kafka.PartitionID{Topic: "orders"}]; err == nil || got.Times != 1 {
		t.Errorf("refused it is %v, and remembered: %+v", err, got)
	}
}

func TestARefusalIsForgottenWithItsPlan(t *testing.T) {
	s := newStage(t)
	s.Kafka.Refuse = map[string]error{"orders": errors.New("no")}
	if _, err := s.Begin(t.Context(), s.work(to(2, 0, 2))); err == nil {
		t.Fatal("it is not refused")
	}
	s.Remember(controllertest.ClusterKey, model.Remembered{})
	if got := s.Seen(t.Context(), controllertest.ClusterKey, nil).Refused; len(got) > 0 {
		t.Errorf("%+v", got)
	}
}

// A broker that has not heard yet that a throttle was taken off tells of it. It was the operator's own.
func TestAThrottleThatWasJustTakenOffIsNobodyElses(t *testing.T) {
	s := newStage(t)
	if _, err := s.Begin(t.Context(), s.work(to(0, 0, 2))); err != nil {
		t.Fatal(err)
	}
	before := maps.Clone(s.Kafka.Topics["orders"].Config)
	s.Kafka.Arrive("orders", 0)
	if err := s.End(t.Context(), s.work(to(0, 0, 2))); err != nil {
		t.Fatal(err)
	}
	s.throttled(maps.Clone(before))
	begun, err := s.Begin(t.Context(), s.work(to(1, 2, 1)))
	if err != nil || len(begun) != 1 || begun[0].ForeignThrottle {
		t.Fatalf("begun %+v (%v)", begun, err)
	}
	if got := s.Kafka.Topics["orders"].Config[moves.FollowerThrottled]; got != "1:2" {
		t.Errorf("throttled is %q", got)
	}

	later := s.work(to(2, 2, 1))
	later.Now = later.Now.Add(behindFor)
	s.throttled(maps.Clone(before))
	if begun, err = s.Begin(t.Context(), later); err != nil || len(begun) > 0 {
		t.Errorf("a throttle that comes later is somebody else's, and begun are %+v (%v)", begun, err)
	}
}
