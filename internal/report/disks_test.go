package report

import (
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/castellan-dev/castellan/api/v1alpha1"
	"github.com/castellan-dev/castellan/internal/kafka"
	"github.com/castellan-dev/castellan/internal/model"
)

func oneDisk() *writer {
	s := oneNode(model.ObservedNode{Pod: &model.ObservedPod{Ready: true}, Claims: []model.ObservedClaim{{
		Volume: "data", Name: "data-events-main-0", Requested: resource.MustParse("2Gi"), Capacity: resource.MustParse("1Gi"),
		Growth: "grows from 1Gi to 2Gi",
	}}})
	s.Model.Pools[0].Volumes = []v1alpha1.Volume{{Name: "data"}}
	return s
}

// uses lets the broker say how much of its disk is in use, in percent, and tells what stands in the status then.
func uses(s *writer, percent int64) int32 {
	s.Observation.Usage = map[int32][]kafka.LogDir{0: {{Path: model.LogDir("data"), TotalBytes: 1000, UsableBytes: 1000 - 10*percent}}}
	s.events = nil
	s.setNodes()
	s.setWarning()
	if used := s.status.Nodes[0].Disks[0].UsedPercent; used != nil {
		return *used
	}
	return -1
}

func TestADiskIsToldWithItsSizesAndWhatItWaitsFor(t *testing.T) {
	s := oneDisk()
	s.setNodes()
	d := s.status.Nodes[0].Disks[0]
	if d.Volume != "data" || d.Requested.String() != "2Gi" || d.Capacity.String() != "1Gi" ||
		d.Message != "grows from 1Gi to 2Gi" || d.UsedPercent != nil {
		t.Errorf("%+v", d)
	}
}

// Each change of the status is a write: what goes up and down with every segment is none.
func TestWhatIsInUseIsToldInSteps(t *testing.T) {
	s := oneDisk()
	for _, step := range []struct {
		is    int64
		told  int32
		event string
		warns bool
	}{
		{41, 41, "", false}, {45, 41, "", false}, {46, 46, "", false}, {42, 46, "", false}, {41, 41, "", false},
		{79, 79, "", false}, {80, 80, "DiskFilling", true}, {79, 80, "", true}, {83, 80, "", true}, {76, 80, "", true},
		{75, 75, "", false}, {79, 75, "", false}, {81, 81, "DiskFilling", true}, {90, 90, "DiskAlmostFull", true},
		{88, 90, "", true}, {100, 100, "", true}, {50, 50, "", false},
	} {
		told := uses(s, step.is)
		event := ""
		if len(s.events) > 0 {
			event = s.events[0].Reason
		}
		warning := meta.FindStatusCondition(s.status.Conditions, v1alpha1.ConditionWarning)
		if told != step.told || event != step.event || (warning != nil) != step.warns {
			t.Fatalf("at %d%%: told %d%% with event %q and warning %v, want %+v", step.is, told, event, warning, step)
		}
	}
}

func TestADiskThatFillsIsWarnedOfWithTheFieldAndTheCure(t *testing.T) {
	s := oneDisk()
	uses(s, 92)
	warning := meta.FindStatusCondition(s.status.Conditions, v1alpha1.ConditionWarning)
	const want = "spec.pools[main].storage.volumes[data].size: node 0 uses 92% of the disk; a broker stops when its disk " +
		"is full: raise the size, or keep less"
	if warning == nil || warning.Message != want {
		t.Errorf("%+v", warning)
	}
}

// A broker that is down says nothing, and an older one nothing of bytes; what it said last stands.
func TestWhatIsNotSaidChangesNothing(t *testing.T) {
	s := oneDisk()
	uses(s, 92)
	for name, usage := range map[string]map[int32][]kafka.LogDir{
		"nothing":               nil,
		"no bytes":              {0: {{Path: model.LogDir("data"), TotalBytes: -1, UsableBytes: -1}}},
		"a directory elsewhere": {0: {{Path: "/tmp/kafka-logs", TotalBytes: 10, UsableBytes: 10}}},
		"one that has failed":   {0: {{Path: model.LogDir("data"), Error: kafka.ErrorStorage, TotalBytes: 10, UsableBytes: 10}}},
	} {
		s.Observation.Usage = usage
		s.setNodes()
		if used := s.status.Nodes[0].Disks[0].UsedPercent; used == nil || *used != 92 {
			t.Errorf("%s: %v", name, used)
		}
	}
}

func TestABrokerThatEndsOnAFullDiskIsToldTheCure(t *testing.T) {
	s := oneDisk()
	seen := s.Observation.Nodes[0]
	seen.Pod = &model.ObservedPod{Problem: model.ProblemCrashLoop, ProblemMessage: "java.io.IOException: No space left on device"}
	s.Observation.Nodes[0] = seen
	s.setNodes()
	if n := s.status.Nodes[0]; n.State != v1alpha1.NodeFailing ||
		!strings.Contains(n.Message, "; raise the size of its disk in spec.pools[main].storage.volumes: it starts again") {
		t.Errorf("%+v", n)
	}
}

// A full disk of several is given up by its broker. It does not have to be replaced.
func TestAFailedDiskThatWasFullIsToldTheGentlerCure(t *testing.T) {
	for percent, told := range map[int64]bool{92: true, 50: false} {
		s := oneDisk()
		uses(s, percent)
		s.Observation.Kafka = &kafka.Snapshot{
			Brokers: []kafka.Broker{{ID: 0}}, Partitions: []kafka.Partition{{Offline: []int32{0}}},
			LogDirs: map[int32][]kafka.LogDir{0: {{Path: model.LogDir("data"), Error: kafka.ErrorStorage, TotalBytes: -1}}},
		}
		s.Observation.Usage = s.Observation.Kafka.LogDirs
		s.setNodes()
		const cure = "; disk data was 92% full: if that is why, raise its size, and ask for a restart"
		if n := s.status.Nodes[0]; strings.Contains(n.Message, cure) != told {
			t.Errorf("at %d%%: %q", percent, n.Message)
		}
	}
}
