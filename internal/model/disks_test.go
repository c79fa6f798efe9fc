package model

import (
	"reflect"
	"slices"
	"testing"

	"github.com/castellan-dev/castellan/internal/kafka"
)

func TestWhichDiskALogDirectoryIsOn(t *testing.T) {
	node := ObservedNode{Claims: []ObservedClaim{
		{Volume: "data", Name: "data-x-0"}, {Volume: "data-1", Name: "data-1-x-0"},
	}}
	for _, test := range []struct{ path, volume, claim string }{
		{"/var/lib/castellan/data-1/log", "data-1", "data-1-x-0"},
		{"/var/lib/castellan/data/log", "data", "data-x-0"},
		{"/var/lib/castellan/scratch/log", "scratch", ""}, // ephemeral
		{"/var/lib/castellan/data", "", ""},
		{"/data/log", "", ""},
		{"data", "", ""},
	} {
		disk := node.Disks([]kafka.LogDir{{Path: test.path}})[0]
		claim := ""
		if disk.Claim != nil {
			claim = disk.Claim.Name
		}
		if disk.Volume != test.volume || claim != test.claim || disk.Dir.Path != test.path {
			t.Errorf("%s is on volume %q with claim %q, want %q and %q", test.path, disk.Volume, claim, test.volume, test.claim)
		}
	}
}

func TestWhatIsSaidOfFailedDisks(t *testing.T) {
	works := func(volume string) kafka.LogDir { return kafka.LogDir{Path: LogDir(volume)} }
	failed := func(volume string) kafka.LogDir {
		return kafka.LogDir{Path: LogDir(volume), Error: kafka.ErrorStorage}
	}
	const cure = "to have it replaced, annotate its claim kafka.castellan.dev/replace=true"
	for name, test := range map[string]struct {
		change     func(o *Observation)
		want, cure string
		names      []string
		works      bool
	}{
		"none": {func(o *Observation) { o.Kafka.LogDirs[0] = []kafka.LogDir{works("data")} }, "", "", nil, true},
		"one": {func(o *Observation) { o.Kafka.LogDirs[0] = []kafka.LogDir{works("data"), failed("more")} },
			"disk more has failed (claim more-0): 2 replicas offline", cure, []string{"more"}, false},
		"one, and the user permits it": {func(o *Observation) {
			o.Kafka.LogDirs[0] = []kafka.LogDir{failed("more")}
			o.Nodes[0].Claims[1].Replace = true
		}, "disk more has failed (claim more-0): 2 replicas offline", "", []string{"more"}, false},
		"one without replicas": {func(o *Observation) {
			o.Kafka.LogDirs[0], o.Kafka.Partitions = []kafka.LogDir{failed("more")}, nil
		}, "disk more has failed (claim more-0): 0 replicas offline", cure, []string{"more"}, false},
		"two": {func(o *Observation) { o.Kafka.LogDirs[0] = []kafka.LogDir{failed("data"), failed("more")} },
			"disks data, more have failed (claims data-0, more-0): 2 replicas offline",
			"to have them replaced, annotate each of their claims kafka.castellan.dev/replace=true",
			[]string{"data", "more"}, false},
		"one without a claim": {func(o *Observation) { o.Kafka.LogDirs[0] = []kafka.LogDir{failed("scratch")} },
			"disk scratch has failed: 2 replicas offline", "", []string{"scratch"}, false},
		"one on no volume": {func(o *Observation) {
			o.Kafka.LogDirs[0] = []kafka.LogDir{{Path: "/mnt", Error: kafka.ErrorStorage}}
		}, "disk /mnt has failed: 2 replicas offline", "", []string{"/mnt"}, false},
		"one without replicas, as it said a while ago": {func(o *Observation) {
			o.Kafka.Partitions, o.Usage = nil, map[int32][]kafka.LogDir{0: {works("data"), failed("more")}, 7: {works("data")}}
		}, "disk more has failed (claim more-0): 0 replicas offline", cure, []string{"more"}, false},
		"one that was replaced since it last said": {func(o *Observation) {
			o.Kafka.Partitions, o.Usage = nil, map[int32][]kafka.LogDir{0: {failed("more")}}
			o.Kafka.LogDirs[0] = []kafka.LogDir{works("data"), works("more")}
		}, "", "", nil, true},
		"some, and it has not said which": {func(*Observation) {},
			"one of its disks has failed, and it has not said which: 2 replicas offline", "", nil, false},
		"those of a fenced broker": {func(o *Observation) { o.Kafka.Brokers[0].Fenced = true }, "", "", nil, true},
		"those of another cluster": {func(o *Observation) { o.Kafka.ClusterID = "OTHER" }, "", "", nil, true},
		"without a view":           {func(o *Observation) { o.Kafka = nil }, "", "", nil, true},
	} {
		o := &Observation{
			Kafka: &kafka.Snapshot{
				ClusterID: "CID", Brokers: []kafka.Broker{{ID: 0}, {ID: 7}}, LogDirs: map[int32][]kafka.LogDir{},
				Partitions: []kafka.Partition{{Offline: []int32{0}}, {Offline: []int32{9, 0}}, {}},
			},
			Nodes: map[int32]ObservedNode{0: {Claims: []ObservedClaim{
				{Volume: "data", Name: "data-0"}, {Volume: "more", Name: "more-0"},
			}}},
		}
		test.change(o)
		all := (&Cluster{ClusterID: "CID"}).FailedDisks(o)
		f, has := all[0]
		if f.String() != test.want || f.Cure() != test.cure || !slices.Equal(f.Names(), test.names) ||
			has == test.works {
			t.Errorf("%s: %q, %q, %v", name, f, f.Cure(), f.Names())
		}
		if delete(all, 0); !reflect.DeepEqual(all, map[int32]FailedDisks{}) {
			t.Errorf("%s: of others %v", name, all)
		}
	}
}
