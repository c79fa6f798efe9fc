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

func TestALogDirectoryIsAskedForPartitionsThatAreInSyncNowhereElse(t *testing.T) {
	partitions := []kafka.Partition{
		{Topic: "alone", Number: 0, Replicas: []int32{1}, ISR: []int32{1}},
		{Topic: "alone", Number: 1, Replicas: []int32{2}, ISR: []int32{2}},
		{Topic: "alone", Number: 2, Replicas: []int32{1, 2}, ISR: []int32{1}},
		{Topic: "last", Number: 0, Replicas: []int32{1, 2}}, // in sync on none: either may have the last copy
		{Topic: "shared", Number: 0, Replicas: []int32{1, 2}, ISR: []int32{1, 2}},
		{Topic: "elsewhere", Number: 0, Replicas: []int32{1, 2}, ISR: []int32{2}},
	}
	got := map[string][]int32{}
	for _, topic := range describeLogDirs(1, partitions).Topics {
		got[topic.Topic] = topic.Partitions
	}
	if want := map[string][]int32{"alone": {0, 2}, "last": {0}}; !reflect.DeepEqual(got, want) {
		t.Errorf("asked for %v, want %v", got, want)
	}
	if none := describeLogDirs(1, nil).Topics; none == nil || len(none) != 0 {
		t.Errorf("asked for %v: no list stands for all partitions, and an empty one for none", none)
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
		{Path: "/a/log", TotalBytes: 100, UsableBytes: 40, Sole: []kafka.PartitionID{{Topic: "alone", Number: 1}}},
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
