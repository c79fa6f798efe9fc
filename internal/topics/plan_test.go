package topics

import (
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/castellan-dev/castellan/api/v1alpha1"
	"github.com/castellan-dev/castellan/internal/claim"
	"github.com/castellan-dev/castellan/internal/kafka"
	"github.com/castellan-dev/castellan/internal/moves"
	"github.com/castellan-dev/castellan/internal/verdict"
)

func reasons(verdicts []verdict.Verdict) string {
	var all []string
	for _, v := range verdicts {
		all = append(all, v.Reason)
	}
	return strings.Join(all, ",")
}

func TestPlan(t *testing.T) {
	live := kafka.Topic{
		Name:              "a",
		ID:                "id",
		Partitions:        3,
		ReplicationFactor: 2,
		Config:            map[string]string{"k": "1", "other": "x"},
	}
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
		{name: "many partitions are added a part at a time", desired: Desired{Known: known, Partitions: 9000, Config: map[string]string{"k": "1"}}, grow: 5003, faults: ReasonGrowing},
		{name: "partitions cannot shrink", desired: Desired{Known: known, Partitions: 2, Config: map[string]string{"k": "2"}}, alter: "k", faults: ReasonShrink},
		{name: "a key of ours that leaves the spec is removed, a foreign one is not", desired: Desired{Known: known}, alter: "-k"},
		{name: "a key of ours that somebody removed needs no removal", desired: Desired{Known: Record{ID: "id", ConfigKeys: []string{"gone"}}}},
		{name: "exists", desired: Desired{}, faults: ReasonExists},
		{name: "exists and is asked for", desired: Desired{Adoption: v1alpha1.AdoptionAlways, Config: map[string]string{"k": "2"}}, alter: "k"},
		{name: "exists and matches", desired: Desired{Adoption: v1alpha1.AdoptionIfMatching, Partitions: 3, ReplicationFactor: 2, Config: map[string]string{"k": "1"}}},
		{name: "exists and has other partitions", desired: Desired{Adoption: v1alpha1.AdoptionIfMatching, Partitions: 4}, faults: ReasonExists},
		{name: "exists and has other replicas", desired: Desired{Adoption: v1alpha1.AdoptionIfMatching, ReplicationFactor: 1}, faults: ReasonExists},
		{name: "exists and has another value", desired: Desired{Adoption: v1alpha1.AdoptionIfMatching, Config: map[string]string{"k": "2"}}, faults: ReasonExists},
		{name: "exists and is to match exactly", desired: Desired{Adoption: v1alpha1.AdoptionIfMatching, Exact: true, Config: map[string]string{"k": "1"}}, faults: ReasonExists},
		{name: "exists and was announced", desired: Desired{Intended: true}},
		{name: "lost", desired: Desired{Known: known, LossTold: true, Adoption: v1alpha1.AdoptionAlways}, absent: true, faults: ReasonLost},
		{name: "replaced", desired: Desired{Known: Record{ID: "before"}, LossTold: true, Adoption: v1alpha1.AdoptionAlways}, faults: ReasonReplaced},
		{name: "lost and to be made good: first it is told", desired: Desired{Known: known, Recreate: true}, absent: true, faults: ReasonLost},
		{name: "lost, told and made good", desired: Desired{Known: known, Recreate: true, LossTold: true}, absent: true, create: true},
		{name: "replaced, told, and not to be adopted", desired: Desired{Known: Record{ID: "before"}, Recreate: true, LossTold: true}, faults: ReasonExists},
		{name: "replaced, told and adopted; keys of the topic before are not ours", desired: Desired{
			Known: Record{ID: "before", ConfigKeys: []string{"k"}}, Recreate: true, LossTold: true, Adoption: v1alpha1.AdoptionAlways}},
		{name: "made good, and the answer was lost", desired: Desired{Known: Record{ID: "before"}, Intended: true, Recreate: true}},
		{name: "exact removes what others set", desired: Desired{Known: known, Exact: true, Config: map[string]string{"k": "1"}}, alter: "-other"},
		{name: "deleted by the UUID on record", desired: Desired{Known: Record{ID: "before"}, Gone: true}, remove: "before"},
		{name: "deleted when announced and not recorded", desired: Desired{Intended: true, Gone: true}, remove: "id"},
		{name: "made good, not recorded, and deleted", desired: Desired{Known: Record{ID: "before"}, Intended: true, Gone: true}, remove: "id"},
		{name: "not deleted when neither", desired: Desired{Gone: true}},
		{name: "kept as it is", desired: Desired{Known: known, Kept: true}},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.desired.Name = "a"
			all := map[string]kafka.Topic{"a": live, "foreign": {Name: "foreign", ID: "f"}}
			if c.absent {
				delete(all, "a")
			}
			changes, outcomes := Plan([]Desired{c.desired}, all, moves.Survey{})
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
			if got := reasons(outcomes["a"].Verdicts); got != c.faults {
				t.Errorf("faults: %s", got)
			}
			if _, touched := outcomes["foreign"]; touched || len(changes.Grow)+len(changes.Alter)+len(changes.Delete) > 2 {
				t.Error("a foreign topic is touched")
			}
		})
	}
}

func claimant(uid string, age time.Duration, change ...func(*v1alpha1.KafkaTopic)) *v1alpha1.KafkaTopic {
	t := &v1alpha1.KafkaTopic{
		ObjectMeta: metav1.ObjectMeta{
			Name:              uid,
			UID:               types.UID(uid),
			CreationTimestamp: metav1.NewTime(time.Unix(1e6, 0).Add(-age)),
		},
	}
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

var everywhere = Consent{
	Bars:   func(*v1alpha1.KafkaTopic) *claim.Bar { return nil },
	Adopts: func(*v1alpha1.KafkaTopic) bool { return true },
	Grows:  func(*v1alpha1.KafkaTopic) *verdict.Verdict { return nil },
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
			claim := Sort("x", c.objects, "c", everywhere)
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
	copied := claimant(
		"b",
		0,
		func(t *v1alpha1.KafkaTopic) { t.Annotations = map[string]string{v1alpha1.AnnotationCreating: "c a"} },
	)
	if Sort("x", []*v1alpha1.KafkaTopic{copied}, "c", everywhere).Intended {
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
		if got := Sort("x", c.objects, "c", everywhere).Policy("c"); got != c.want {
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

func TestALostTopicMovesNoMore(t *testing.T) {
	d := Desired{Name: "a", Known: Record{ID: "id", Origin: v1alpha1.OriginCreated, Moving: moving("0:0,1")}}
	if _, outcomes := Plan([]Desired{d}, nil, moves.Survey{}); outcomes["a"].Record.Moving != nil ||
		outcomes["a"].Record.ID != "id" {
		t.Errorf("%+v", outcomes["a"])
	}
}

func TestPlanLeavesItsInputAlone(t *testing.T) {
	config := map[string]string{"k": "2"}
	live := map[string]kafka.Topic{"a": {Name: "a", ID: "id", Partitions: 1, Config: map[string]string{"k": "1"}}}
	Plan([]Desired{{Name: "a", Known: Record{ID: "id"}, Config: config}}, live, moves.Survey{})
	if !maps.Equal(config, map[string]string{"k": "2"}) || live["a"].Config["k"] != "1" ||
		!slices.Equal(keys(config), []string{"k"}) {
		t.Error("changed")
	}
}

func observing(t *v1alpha1.KafkaTopic) { t.Spec.Management = v1alpha1.ManagementObserve }

func TestWhoeverObservesDecidesNothing(t *testing.T) {
	c := Sort(
		"x",
		[]*v1alpha1.KafkaTopic{claimant("old", 9e9, recording, announcing, observing), claimant("young", 1)},
		"c",
		everywhere,
	)
	if c.Holder == nil || c.Holder.Name != "young" || c.Known.ID != "" || c.Intended || len(c.Losers) != 0 ||
		len(c.Observers) != 1 {
		t.Errorf("%+v", c)
	}
	alone := Sort(
		"x",
		[]*v1alpha1.KafkaTopic{claimant("a", 1, recording, announcing, observing, leaving)},
		"c",
		everywhere,
	)
	live := map[string]kafka.Topic{"x": {Name: "x", ID: "id-a"}}
	if changes, _ := Plan([]Desired{DesiredOf(alone, alone.Policy("c"))}, live, moves.Survey{}); !changes.Empty() {
		t.Errorf("deleting an observer changes %+v", changes)
	}
}

func TestAnAnnouncementIsSpentOnceItsTopicIsOnRecord(t *testing.T) {
	again := claimant("a", 0, recording, func(t *v1alpha1.KafkaTopic) {
		t.Annotations = map[string]string{v1alpha1.AnnotationCreating: Intent(t, "c", "id-a")}
	})
	if !Sort("x", []*v1alpha1.KafkaTopic{again}, "c", everywhere).Intended {
		t.Error("the topic that replaces the one on record is announced")
	}
	if Sort("x", []*v1alpha1.KafkaTopic{claimant("a", 0, recording, announcing)}, "c", everywhere).Intended {
		t.Error("the announcement of the topic on record counts for another one")
	}
}

func TestWhatKafkaHasSetOnItsOwnTopicsStays(t *testing.T) {
	live := map[string]string{"cleanup.policy": "compact", "compression.type": "producer", "segment.bytes": "104857600"}
	value := func(v string) *string { return &v }
	for name, c := range map[string]struct {
		d      Desired
		alters []kafka.ConfigChange
		faults string
	}{
		"an exact spec removes nothing":            {d: Desired{Exact: true}},
		"nor does one that a key was taken out of": {d: Desired{Known: Record{ConfigKeys: []string{"segment.bytes", "cleanup.policy"}}}},
		"keys are set": {d: Desired{Config: map[string]string{"segment.bytes": "5"}}, alters: []kafka.ConfigChange{{Key: "segment.bytes", Value: value("5")}}},
		"the cleanup policy that it has may stand there": {d: Desired{Config: map[string]string{"cleanup.policy": "compact"}}},
		"another cleanup policy is refused, the rest is set": {
			d:      Desired{Config: map[string]string{"cleanup.policy": "delete", "segment.bytes": "5"}},
			alters: []kafka.ConfigChange{{Key: "segment.bytes", Value: value("5")}}, faults: ReasonInternal,
		},
	} {
		d := c.d
		d.Name, d.Known.ID = "__consumer_offsets", "id"
		changes, outcomes := Plan(
			[]Desired{d},
			map[string]kafka.Topic{d.Name: {Name: d.Name, ID: "id", Partitions: 50, Config: live}},
			moves.Survey{},
		)
		if !reflect.DeepEqual(changes.Alter[d.Name], c.alters) || reasons(outcomes[d.Name].Verdicts) != c.faults {
			t.Errorf("%s: %+v, %+v", name, changes.Alter, outcomes[d.Name].Verdicts)
		}
	}
}

func TestOfTwoNewTopicsThatCollideOneWaits(t *testing.T) {
	changes, outcomes := Plan([]Desired{{Name: "a.b_c"}, {Name: "a_b.c"}, {Name: "a-b-c"}}, nil, moves.Survey{})
	if len(changes.Create) != 2 || changes.Create[0].Name != "a.b_c" || changes.Create[1].Name != "a-b-c" {
		t.Errorf("creates %+v", changes.Create)
	}
	if f := outcomes["a_b.c"].Verdicts; outcomes["a_b.c"].Found || reasons(f) != ReasonName || !f[0].Passes() ||
		!strings.Contains(f[0].Text(), `"a.b_c"`) {
		t.Errorf("%+v", outcomes["a_b.c"])
	}
}

func TestKafkasOwnTopicsAreOnlyConfigured(t *testing.T) {
	d := Desired{
		Name:       "__consumer_offsets",
		Partitions: 60,
		Config:     map[string]string{"segment.bytes": "1"},
		Adoption:   v1alpha1.AdoptionAlways,
	}
	for name, c := range map[string]struct {
		live    map[string]kafka.Topic
		creates int
		faults  string
		alters  int
	}{
		"absent": {faults: ReasonInternal},
		"live":   {live: map[string]kafka.Topic{d.Name: {Name: d.Name, ID: "id", Partitions: 50}}, faults: ReasonInternal, alters: 1},
	} {
		changes, outcomes := Plan([]Desired{d}, c.live, moves.Survey{})
		if len(changes.Create)+len(changes.Grow)+len(changes.Delete) != 0 || len(changes.Alter) != c.alters ||
			reasons(outcomes[d.Name].Verdicts) != c.faults {
			t.Errorf("%s: %+v, %+v", name, changes, outcomes)
		}
	}
	created := claimant(
		"a",
		0,
		recording,
		leaving,
		func(t *v1alpha1.KafkaTopic) { t.Spec.Name, t.Spec.DeletionPolicy = d.Name, v1alpha1.DeletionDelete },
	)
	if got := Sort(d.Name, []*v1alpha1.KafkaTopic{created}, "c", everywhere).Policy("c"); got != v1alpha1.DeletionRetain {
		t.Errorf("policy %s", got)
	}
}

func TestMinISRAboveTheFactorIsAWarning(t *testing.T) {
	object := claimant("a", 0)
	out := Outcome{Record: Record{ID: "id", Origin: v1alpha1.OriginCreated}, Found: true,
		Topic: kafka.Topic{Name: "a", ID: "id", Partitions: 1, ReplicationFactor: 1, Config: map[string]string{minISR: "2"}}}
	object.Status = StatusOf(object, out, "c", time.Unix(3e6, 0))
	if c := meta.FindStatusCondition(object.Status.Conditions, v1alpha1.ConditionWarning); c == nil ||
		c.Reason != ReasonMinISR {
		t.Errorf("%+v", object.Status.Conditions)
	}
	out.Topic.ReplicationFactor = 2
	if s := StatusOf(object, out, "c", time.Unix(3e6, 0)); meta.FindStatusCondition(
		s.Conditions,
		v1alpha1.ConditionWarning,
	) != nil {
		t.Error("it stays after its cause")
	}
}

func TestAMisspeltAnnotationOfAKafkaTopicIsAWarningBesideOthers(t *testing.T) {
	object, now := claimant("a", 0), time.Unix(3e6, 0)
	out := Outcome{Record: Record{ID: "id", Origin: v1alpha1.OriginCreated}, Found: true,
		Topic: kafka.Topic{Name: "a", ID: "id", Partitions: 1, ReplicationFactor: 1, Config: map[string]string{minISR: "2"}}}
	object.Annotations = map[string]string{"kafka.castellan.dev/pause": "true", v1alpha1.AnnotationCreating: "c uid"}
	said := func() (reason, message string) {
		object.Status = StatusOf(object, out, "c", now)
		if c := meta.FindStatusCondition(object.Status.Conditions, v1alpha1.ConditionWarning); c != nil {
			return c.Reason, c.Message
		}
		return "", ""
	}
	const unknown = "metadata.annotations[kafka.castellan.dev/pause]: the operator knows no annotation of a KafkaTopic; remove it"
	if reason, message := said(); reason != ReasonMinISR || !strings.HasPrefix(message, minISR) ||
		!strings.HasSuffix(message, "; "+unknown) {
		t.Errorf("%s: %s", reason, message)
	}
	out.Topic.ReplicationFactor = 2
	if reason, message := said(); reason != "UnknownAnnotation" || message != unknown {
		t.Errorf("%s: %s", reason, message)
	}
	object.Annotations = nil
	if reason, message := said(); reason != "" {
		t.Errorf("it stays after its cause: %s", message)
	}
}

func TestTheStatusKeepsAValueThatKafkaSpellsInAnotherWay(t *testing.T) {
	got := reported(
		map[string]string{"a": "true", "b": "7", moves.LeaderThrottled: "0:1"},
		map[string]string{"a": "TRUE", "b": "6"},
	)
	if !maps.Equal(got, map[string]string{"a": "TRUE", "b": "7"}) {
		t.Errorf("%v", got)
	}
}

func TestTheSizeOfATopicReadsAsASentence(t *testing.T) {
	for want, topic := range map[string]kafka.Topic{
		"1 partition, 1 replica":    {Partitions: 1, ReplicationFactor: 1},
		"12 partitions, 3 replicas": {Partitions: 12, ReplicationFactor: 3},
	} {
		if got := size(topic); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

func TestWhoHasNoRoomForPartitions(t *testing.T) {
	cluster := types.NamespacedName{Namespace: "home", Name: "events"}
	type all = []*v1alpha1.KafkaTopic
	type change = func(*v1alpha1.KafkaTopic)
	topic := func(name string, age time.Duration, exist, asked int32, changes ...change) *v1alpha1.KafkaTopic {
		o := claimant(name, age)
		o.Namespace, o.Spec.Partitions = "guests", &asked
		if exist >= 0 {
			recording(o)
			o.Status.Partitions = exist
		}
		for _, c := range changes {
			c(o)
		}
		return o
	}
	const created = -1 // nothing exists yet
	elsewhere := func(o *v1alpha1.KafkaTopic) { o.Namespace = "others" }
	home := func(o *v1alpha1.KafkaTopic) { o.Namespace = "home" }
	unsized := func(o *v1alpha1.KafkaTopic) { o.Spec.Partitions = nil }
	written := func(o *v1alpha1.KafkaTopic) { o.ResourceVersion = "behind" }
	begun := func(o *v1alpha1.KafkaTopic) {
		o.Spec.ClusterRef.Namespace = "home"
		announcing(o)
		o.Status.Creating = Intent(o, "c", "")
	}
	observing := func(o *v1alpha1.KafkaTopic) { o.Spec.Management = v1alpha1.ManagementObserve }
	for name, c := range map[string]struct {
		limit  int32
		topics all
		want   string
	}{
		"nobody below the limit":        {10, all{topic("a", 2, 4, 4), topic("b", 1, created, 6)}, ""},
		"the youngest":                  {10, all{topic("a", 1, created, 6), topic("b", 2, created, 6)}, "a"},
		"not a younger one that fits":   {10, all{topic("a", 1, created, 3), topic("b", 2, created, 12)}, "b"},
		"not what exists":               {5, all{topic("a", 1, 6, 6), topic("b", 2, created, 1)}, "b"},
		"growth beyond":                 {10, all{topic("a", 1, 6, 8), topic("b", 2, 2, 3)}, "a"},
		"growth of what is beyond":      {5, all{topic("a", 1, 6, 7)}, "a"},
		"not what asks for fewer":       {5, all{topic("a", 1, 6, 3)}, ""},
		"who does not say":              {10, all{topic("a", 1, created, 0, unsized)}, "a"},
		"not who exists and is silent":  {10, all{topic("a", 1, 4, 0, unsized), topic("b", 1, created, 7)}, "b"},
		"of each namespace for itself":  {10, all{topic("a", 1, 9, 9), topic("b", 1, created, 9, elsewhere)}, ""},
		"nobody of the cluster's own":   {10, all{topic("a", 1, created, 99, home)}, ""},
		"nobody who only observes":      {10, all{topic("a", 1, created, 99, observing)}, ""},
		"what is going exists for long": {10, all{topic("a", 1, 9, 9, leaving), topic("b", 1, created, 2)}, "b"},
		"nobody who goes":               {10, all{topic("a", 1, created, 99, leaving)}, ""},
		"whose number is not known now": {10, all{topic("a", 1, 0, 9), topic("b", 2, created, 2)}, "b"},
		"who may have been created":     {10, all{topic("a", 1, created, 9, begun), topic("b", 2, created, 2)}, "b"},
		"who grew a moment ago":         {10, all{topic("a", 1, 2, 9, written), topic("b", 2, 1, 2)}, "b"},
	} {
		t.Run(name, func(t *testing.T) {
			beyond := BeyondRoom(c.topics, cluster, "c", &c.limit,
				func(o *v1alpha1.KafkaTopic) bool { return o.ResourceVersion == "behind" })
			var got []string
			for uid, v := range beyond {
				got = append(got, string(uid))
				if v.Passes() || v.Reason != claim.ReasonLimit || !strings.Contains(v.Text(), "spec.access.limits.partitions") {
					t.Errorf("%+v", v)
				}
			}
			if strings.Join(got, " ") != c.want {
				t.Errorf("no room for %v, expected %q", got, c.want)
			}
		})
	}
	if got := BeyondRoom(all{topic("a", 1, created, 99, unsized)}, cluster, "c", nil, nil); len(got) != 0 {
		t.Errorf("without a limit: %v", got)
	}
}
