package client

import (
	"reflect"
	"slices"
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/castellan-dev/castellan/internal/kafka"
)

func TestOnlyBrokersWithOfflineReplicasOrInDoubtAreAskedForTheirLogDirectories(t *testing.T) {
	answers := map[int32]map[string]string{1: {}, 2: {}, 3: {}} // 4 is fenced, 5 is silent
	for name, test := range map[string]struct {
		offline, inDoubt, want []int32
	}{
		"a healthy cluster":                 {nil, nil, nil},
		"one with offline replicas":         {[]int32{2}, nil, []int32{2}},
		"one in doubt":                      {nil, []int32{3}, []int32{3}},
		"one for two reasons":               {[]int32{2, 2}, []int32{2}, []int32{2}},
		"one that is fenced":                {[]int32{1, 4}, nil, []int32{1}},
		"one in doubt that does not answer": {nil, []int32{5}, nil},
	} {
		s := &kafka.Snapshot{BrokerConfigs: answers, Partitions: []kafka.Partition{{}, {Offline: test.offline}}}
		if got := toAskForLogDirs(test.inDoubt, s); !slices.Equal(got, test.want) {
			t.Errorf("%s: %v are asked, want %v", name, got, test.want)
		}
	}
}

func TestWhatIsInSyncNowhereElseIsFoundInTheLogDirectoryThatHoldsIt(t *testing.T) {
	partitions := []kafka.Partition{
		{Topic: "alone", Number: 0, Replicas: []int32{1}, ISR: []int32{1}},
		{Topic: "alone", Number: 1, Replicas: []int32{2}, ISR: []int32{2}},
		{Topic: "alone", Number: 2, Replicas: []int32{1, 2}, ISR: []int32{1}},
		{Topic: "last", Number: 0, Replicas: []int32{1, 2}}, // in sync on none: either may have the last copy
		{Topic: "shared", Number: 0, Replicas: []int32{1, 2}, ISR: []int32{1, 2}},
		{Topic: "elsewhere", Number: 0, Replicas: []int32{1, 2}, ISR: []int32{2}},
	}
	dirs := []kafka.LogDir{{Path: "/a/log", Error: kafka.ErrorStorage}, {Path: "/b/log"}}
	for i := range partitions {
		dirs[1].Holds = append(dirs[1].Holds, kafka.PartitionID{Topic: partitions[i].Topic, Number: partitions[i].Number})
	}
	findSole(1, dirs, partitions)
	want := []kafka.PartitionID{{Topic: "alone", Number: 0}, {Topic: "alone", Number: 2}, {Topic: "last", Number: 0}}
	if got := dirs[1].Sole; !slices.Equal(got, want) || dirs[0].Sole != nil {
		t.Errorf("%v are in sync nowhere else, want %v", got, want)
	}
	if all := describeLogDirs().Topics; all != nil {
		t.Errorf("asked for %v: no list stands for all partitions, and an empty one for none", all)
	}
}

func TestAMoveBetweenLogDirectoriesIsAskedForByDirectoryAndTopic(t *testing.T) {
	var dirs []kmsg.AlterReplicaLogDirsRequestDir
	for _, p := range []kafka.PartitionID{{Topic: "a", Number: 0}, {Topic: "a", Number: 2}, {Topic: "b", Number: 1}} {
		dirs = addLogDirMove(dirs, "/a/log", p)
	}
	dirs = addLogDirMove(dirs, "/b/log", kafka.PartitionID{Topic: "c", Number: 7})
	if len(dirs) != 2 || len(dirs[0].Topics) != 2 || !slices.Equal(dirs[0].Topics[0].Partitions, []int32{0, 2}) ||
		dirs[1].Dir != "/b/log" || !slices.Equal(dirs[1].Topics[0].Partitions, []int32{7}) {
		t.Errorf("asked for %+v", dirs)
	}
}

func TestWhatABrokerSaysOfItsLogDirectories(t *testing.T) {
	partitions := []kmsg.DescribeLogDirsResponseDirTopicPartition{{Partition: 1}, {Partition: 2, IsFuture: true}}
	topic := kmsg.DescribeLogDirsResponseDirTopic{Topic: "alone", Partitions: partitions}
	resp := &kmsg.DescribeLogDirsResponse{Dirs: []kmsg.DescribeLogDirsResponseDir{
		{Dir: "/b/log", ErrorCode: kerr.KafkaStorageError.Code, TotalBytes: -1, UsableBytes: -1},
		{Dir: "/a/log", TotalBytes: 100, UsableBytes: 40, Topics: []kmsg.DescribeLogDirsResponseDirTopic{topic}},
	}}
	want := []kafka.LogDir{
		{Path: "/a/log", TotalBytes: 100, UsableBytes: 40,
			Holds: []kafka.PartitionID{{Topic: "alone", Number: 1}}, Coming: []kafka.PartitionID{{Topic: "alone", Number: 2}}},
		{Path: "/b/log", Error: kafka.ErrorStorage, TotalBytes: -1, UsableBytes: -1},
	}
	if got := logDirsOf(resp); !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
	resp.ErrorCode = kerr.ClusterAuthorizationFailed.Code
	if got := logDirsOf(resp); got != nil {
		t.Errorf("of a refusal there is %+v", got)
	}
	if got := logDirsOf(&kmsg.DescribeLogDirsResponse{}); got != nil {
		t.Errorf("of an older refusal there is %+v", got)
	}
}
