package client

import (
	"reflect"
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/castellan-dev/castellan/internal/kafka"
)

func TestTheSizesOfReplicasAreThoseThatAreInUse(t *testing.T) {
	topic := kmsg.DescribeLogDirsResponseDirTopic{Topic: "orders", Partitions: []kmsg.DescribeLogDirsResponseDirTopicPartition{
		{Partition: 1, Size: 70}, {Partition: 2, Size: 30, IsFuture: true},
	}}
	resp := &kmsg.DescribeLogDirsResponse{Dirs: []kmsg.DescribeLogDirsResponseDir{
		{Dir: "/b/log", TotalBytes: 100, UsableBytes: 30, Topics: []kmsg.DescribeLogDirsResponseDirTopic{topic}},
		{Dir: "/a/log", ErrorCode: kerr.KafkaStorageError.Code, TotalBytes: -1, UsableBytes: -1},
	}}
	want := []kafka.LoadDir{
		{LogDir: kafka.LogDir{Path: "/a/log", Error: kafka.ErrorStorage, TotalBytes: -1, UsableBytes: -1},
			Sizes: map[kafka.PartitionID]int64{}},
		{LogDir: kafka.LogDir{Path: "/b/log", TotalBytes: 100, UsableBytes: 30,
			Coming: []kafka.PartitionID{{Topic: "orders", Number: 2}}},
			Sizes: map[kafka.PartitionID]int64{{Topic: "orders", Number: 1}: 70}},
	}
	if got := loadsOf(resp); !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
	resp.ErrorCode = kerr.ClusterAuthorizationFailed.Code
	if got := loadsOf(resp); got != nil {
		t.Errorf("of a refusal there is %+v", got)
	}
}
