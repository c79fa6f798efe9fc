package topics

import (
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/castellan-dev/castellan/api/v1alpha1"
	"github.com/castellan-dev/castellan/internal/kafka"
)

func reasons(faults []Fault) string {
	var all []string
	for _, f := range faults {
		all = append(all, f.Reason)
	}
	return strings.Join(all, ",")
}

func TestPlan(t *testing.T) {
	live := kafka.Topic{Name: "a", ID: "id", Partitions: 3, ReplicationFactor: 2, Config: map[string]string{"k": "1", "other": "x"}}
	known := Record{ID: "id", Origin: v1alpha1.OriginCreated, ConfigKeys: []string{"k"}}
	for _, c := range []struct {
		name    string
		desired Desired
		absent  bool
		create  bool
		grow    int32
		alter   string // keys, - before those removed
		remove  kafka.TopicID
		faults  string
	}{
		{name: "converged", desired: Desired{Known: known, Partitions: 3, ReplicationFactor: 2, Config: map[string]string{"k": "1"}}},
		{name: "nothing asked, nothing enforced", desired: Desired{Known: Record{ID: "id"}}},
		{name: "absent is created", desired: Desired{Partitions: 1}, absent: true, create: true},
		{name: "partitions grow", desired: Desired{Known: known, Partitions: 9, Config: map[string]string{"k": "1"}}, grow: 9},
		{name: "partitions cannot shrink", desired: Desired{Known: known, Partitions: 2, Config: map[string]string{"k": "2"}}, alter: "k", faults: ReasonShrink},
		{name: "another factor is not supported", desired: Desired{Known: known, ReplicationFactor: 3, Config: map[string]string{"k": "1"}}, faults: ReasonUnsupported},
		{name: "a key of ours that leaves the spec is removed, a foreign one is not", desired: Desired{Known: known}, alter: "-k"},
		{name: "a key of ours that somebody removed needs no removal", desired: Desired{Known: Record{ID: "id", ConfigKeys: []string{"gone"}}}},
		{name: "exists", desired: Desired{}, faults: ReasonExists},
		{name: "exists and is asked for", desired: Desired{Adopt: true}},
		{name: "exists and was announced", desired: Desired{Intended: true}},
		{name: "lost", desired: Desired{Known: known, Intended: true, Adopt: true}, absent: true, faults: ReasonLost},
		{name: "replaced", desired: Desired{Known: Record{ID: "before"}, Intended: true, Adopt: true}, faults: ReasonReplaced},
		{name: "deleted by the UUID on record", desired: Desired{Known: Record{ID: "before"}, Gone: true}, remove: "before"},
		{name: "deleted when announced and not recorded", desired: Desired{Intended: true, Gone: true}, remove: "id"},
		{name: "not deleted when neither", desired: Desired{Gone: true}},
		{name: "kept as it is", desired: Desired{Known: known, Kept: true}},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.desired.Name = "a"
			all := map[string]kafka.Topic{"a": live, "foreign": {Name: "foreign", ID: "f"}}
			if c.absent {
				delete(all, "a")
			}
			changes, outcomes := Plan([]Desired{c.desired}, all)
			if got := len(changes.Create) == 1; got != c.create {
				t.Errorf("create: %v", changes.Create)
			}
			if changes.Grow["a"] != c.grow {
				t.Errorf("grow: %v", changes.Grow)
			}
			var alter []string
			for _, a := range changes.Alter["a"] {
				key := a.Key
				if a.Value == nil {
					key = "-" + key
				}
				alter = append(alter, key)
			}
			if strings.Join(alter, ",") != c.alter {
				t.Errorf("alter: %v", alter)
			}
			if changes.Delete["a"] != c.remove {
				t.Errorf("delete: %v", changes.Delete)
			}
			if got := reasons(outcomes["a"].Faults); got != c.faults {
				t.Errorf("faults: %s", got)
			}
			if _, touched := outcomes["foreign"]; touched || len(changes.Grow)+len(changes.Alter)+len(changes.Delete) > 2 {
				t.Error("a foreign topic is touched")
			}
		})
	}
}

func TestValuesThatABrokerReadsAlikeAreTheSame(t *testing.T) {
	same := [][2]string{{"a", "a"}, {" 5 ", "5"}, {"TRUE", "true"}, {"compact, delete", "compact,delete"}, {"0.50", "0.5"}, {"1", "1.0"}, {"007", "7"}, {"0.00001", "1.0E-5"}}
	for _, c := range same {
		if !sameValue(c[0], c[1]) {
			t.Errorf("%q is not %q", c[0], c[1])
		}
	}
	different := [][2]string{{"5", "6"}, {"1e3", "1000"}, {"GZIP", "gzip"}, {"compact", "compact,delete"}, {"true", "1"}, {"", "0"}, {"inf", "Infinity"}, {"delete,compact", "compact,delete"}}
	for _, c := range different {
		if sameValue(c[0], c[1]) {
			t.Errorf("%q is %q", c[0], c[1])
		}
	}
}

func claimant(uid string, age time.Duration, change ...func(*v1alpha1.KafkaTopic)) *v1alpha1.KafkaTopic {
	t := &v1alpha1.KafkaTopic{ObjectMeta: metav1.ObjectMeta{Name: uid, UID: types.UID(uid), CreationTimestamp: metav1.NewTime(time.Unix(1e6, 0).Add(-age))}}
	for _, c := range change {
		c(t)
	}
	return t
}

func leaving(t *v1alpha1.KafkaTopic) { t.DeletionTimestamp = &metav1.Time{Time: time.Unix(2e6, 0)} }
func recording(t *v1alpha1.KafkaTopic) {
	t.Status.TopicID, t.Status.ClusterID, t.Status.Origin = "id-"+t.Name, "c", v1alpha1.OriginCreated
}
func adopted(t *v1alpha1.KafkaTopic) { t.Status.Origin = v1alpha1.OriginAdopted }
func announcing(t *v1alpha1.KafkaTopic) {
	t.Annotations = map[string]string{v1alpha1.AnnotationCreating: "c " + t.Name}
}

func TestWhoHoldsATopic(t *testing.T) {
	for _, c := range []struct {
		name    string
		objects []*v1alpha1.KafkaTopic
		holder  string
		known   kafka.TopicID
	}{
		{"the oldest", []*v1alpha1.KafkaTopic{claimant("a", 1), claimant("b", 9e9)}, "b", ""},
		{"of the same second, the lower UID", []*v1alpha1.KafkaTopic{claimant("b", 0), claimant("a", 0)}, "a", ""},
		{"whoever has it on record", []*v1alpha1.KafkaTopic{claimant("a", 9e9), claimant("b", 1, recording)}, "b", "id-b"},
		{"whoever has announced it", []*v1alpha1.KafkaTopic{claimant("a", 9e9), claimant("b", 1, announcing)}, "b", ""},
		{"not one that leaves, and yet its record counts", []*v1alpha1.KafkaTopic{claimant("a", 9e9, recording, leaving), claimant("b", 1)}, "b", "id-a"},
		{"nobody when all leave", []*v1alpha1.KafkaTopic{claimant("a", 1, recording, leaving)}, "", "id-a"},
	} {
		t.Run(c.name, func(t *testing.T) {
			claim := Sort("x", c.objects, "c")
			holder := ""
			if claim.Holder != nil {
				holder = claim.Holder.Name
			}
			if holder != c.holder || claim.Known.ID != c.known {
				t.Errorf("holder %q, record %q", holder, claim.Known.ID)
			}
		})
	}
}

func TestTheRecordOfAnotherIncarnationIsVoid(t *testing.T) {
	if r := RecordOf(claimant("a", 0, recording), "another"); r.ID != "" {
		t.Errorf("%+v", r)
	}
}

func TestAnAnnouncementCopiedToAnotherObjectSaysNothing(t *testing.T) {
	copied := claimant("b", 0, func(t *v1alpha1.KafkaTopic) { t.Annotations = map[string]string{v1alpha1.AnnotationCreating: "c a"} })
	if Sort("x", []*v1alpha1.KafkaTopic{copied}, "c").Intended {
		t.Error("taken for its own")
	}
}

func TestTheLastOnesPolicy(t *testing.T) {
	retain := func(t *v1alpha1.KafkaTopic) { t.Spec.DeletionPolicy = v1alpha1.DeletionRetain }
	for _, c := range []struct {
		name    string
		objects []*v1alpha1.KafkaTopic
		want    v1alpha1.DeletionPolicy
	}{
		{"created: Delete", []*v1alpha1.KafkaTopic{claimant("a", 0, recording, leaving)}, v1alpha1.DeletionDelete},
		{"adopted: Retain", []*v1alpha1.KafkaTopic{claimant("a", 0, recording, adopted, leaving)}, v1alpha1.DeletionRetain},
		{"asked: Retain", []*v1alpha1.KafkaTopic{claimant("a", 0, recording, retain, leaving)}, v1alpha1.DeletionRetain},
		{"announced and asked: Retain", []*v1alpha1.KafkaTopic{claimant("a", 0, announcing, retain, leaving)}, v1alpha1.DeletionRetain},
		{"any that has it on record wants it kept", []*v1alpha1.KafkaTopic{claimant("a", 0, recording, leaving), claimant("b", 1, recording, retain, leaving)}, v1alpha1.DeletionRetain},
		{"a loser's wish does not count", []*v1alpha1.KafkaTopic{claimant("a", 0, recording, leaving), claimant("b", 1, retain, leaving)}, v1alpha1.DeletionDelete},
	} {
		if got := Sort("x", c.objects, "c").Policy("c"); got != c.want {
			t.Errorf("%s: %s", c.name, got)
		}
	}
}

func TestConflictRecordsNothing(t *testing.T) {
	s := ConflictStatus(claimant("b", 0, recording), claimant("a", 1), time.Unix(3e6, 0))
	if s.TopicID != "" || s.Conditions[1].Reason != ReasonConflict {
		t.Errorf("%+v", s)
	}
}

func TestPlanLeavesItsInputAlone(t *testing.T) {
	config := map[string]string{"k": "2"}
	live := map[string]kafka.Topic{"a": {Name: "a", ID: "id", Partitions: 1, Config: map[string]string{"k": "1"}}}
	Plan([]Desired{{Name: "a", Known: Record{ID: "id"}, Config: config}}, live)
	if !maps.Equal(config, map[string]string{"k": "2"}) || live["a"].Config["k"] != "1" || !slices.Equal(keys(config), []string{"k"}) {
		t.Error("changed")
	}
}
