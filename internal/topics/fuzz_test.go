package topics

import (
	"cmp"
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/castellan-dev/castellan/api/v1alpha1"
	"github.com/castellan-dev/castellan/internal/claim"
	"github.com/castellan-dev/castellan/internal/kafka"
	"github.com/castellan-dev/castellan/internal/moves"
)

// kindsOfKeys has one key for each type of value that a topic's keys have.
var kindsOfKeys = []string{
	"retention.ms",
	"min.cleanable.dirty.ratio",
	"preallocate",
	"cleanup.policy",
	"compression.type",
}

var (
	javaComma   = regexp.MustCompile("[ \t\n\v\f\r]*,[ \t\n\v\f\r]*")
	javaDecimal = regexp.MustCompile(`^[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?$`) // without the suffixes f and d
)

// told is how a broker of Kafka 4.3 tells a value that it was given (ConfigDef.parseType and back); false = it
// refuses it.
func told(key, value string) (string, bool) {
	value = strings.TrimFunc(value, func(r rune) bool { return r <= ' ' })
	switch key {
	case "retention.ms":
		n, err := strconv.ParseInt(value, 10, 64)
		return strconv.FormatInt(n, 10), err == nil
	case "min.cleanable.dirty.ratio":
		n, err := strconv.ParseFloat(value, 64)
		return javaDouble(n), err == nil && javaDecimal.MatchString(value) && n >= 0 && n <= 1
	case "preallocate":
		for _, word := range []string{"true", "false"} {
			if strings.EqualFold(value, word) {
				return word, true
			}
		}
		return "", false
	case "cleanup.policy":
		var list []string
		for _, word := range javaComma.Split(value, -1) {
			if word != "compact" && word != "delete" {
				return "", value == "" // the empty list
			}
			if !slices.Contains(list, word) {
				list = append(list, word)
			}
		}
		return strings.Join(list, ","), true
	default:
		return value, slices.Contains([]string{"gzip", "lz4", "producer", "snappy", "uncompressed", "zstd"}, value)
	}
}

// javaDouble is Double.toString.
func javaDouble(n float64) string {
	digits, exponent := strconv.FormatFloat(n, 'f', -1, 64), ""
	if abs := math.Abs(n); n != 0 && (abs < 1e-3 || abs >= 1e7) {
		digits, exponent, _ = strings.Cut(strconv.FormatFloat(n, 'E', -1, 64), "E")
		power, _ := strconv.Atoi(exponent)
		exponent = fmt.Sprintf("E%d", power)
	}
	if !strings.Contains(digits, ".") {
		digits += ".0"
	}
	return digits + exponent
}

// carriedOut is what a broker tells once it has taken changes; false = it refuses one of them.
func carriedOut(live map[string]string, changes []kafka.ConfigChange) (map[string]string, bool) {
	live = maps.Clone(live)
	for _, c := range changes {
		if c.Value == nil {
			delete(live, c.Key)
			continue
		}
		value, taken := told(c.Key, *c.Value)
		if !taken {
			return nil, false
		}
		live[c.Key] = value
	}
	return live, true
}

// FuzzConfiguration: whatever values there are, one round of changes brings what was asked for, touches no key of
// others unless the spec is exact, and is enough; and what Kafka would refuse is told to it.
func FuzzConfiguration(f *testing.F) {
	for i := range kindsOfKeys {
		kind := uint8(i)
		f.Add(kind, "5", "6", true, false)
		f.Add(kind, "compact, delete", "compact,delete", true, true)
		f.Add(kind, "compact,compact", "compact", true, false)
		f.Add(kind, "1e-3", "0.001", true, true)
		f.Add(kind, "1", "1.0", true, false)
		f.Add(kind, "5.0", "5", true, false)
		f.Add(kind, "1e3", "1000", true, false)
		f.Add(kind, "TRUE", "true", true, false)
		f.Add(kind, " gzip\x01", "gzip", true, false)
		f.Add(kind, ",,", ",", false, false)
		f.Add(kind, "", "", true, true)
	}
	f.Fuzz(func(t *testing.T, kind uint8, want, have string, set, exact bool) {
		key := kindsOfKeys[int(kind)%len(kindsOfKeys)]
		owned := []string{"flush.ms"}
		live, expected := map[string]string{"flush.ms": "5", "max.message.bytes": "7"}, map[string]string{}
		if !exact {
			expected["max.message.bytes"] = "7"
		}
		if value, valid := told(key, have); set && valid {
			live[key] = value
		}
		d := Desired{Name: "a", Config: map[string]string{key: want}, Exact: exact}
		after, taken := carriedOut(live, configChanges(d, owned, live))
		value, valid := told(key, want)
		if !valid {
			if taken && !strings.Contains(want, ",") { // of one that is no list a repeated word counts once, too
				t.Errorf("Kafka refuses %s=%q, and is not told of it beside %q", key, want, live[key])
			}
			return
		}
		expected[key] = value
		if !taken || !maps.Equal(after, expected) {
			t.Errorf("%s=%q beside %q: is %v, expected %v", key, want, live, after, expected)
		}
		if more := configChanges(d, keys(d.Config), after); len(more) > 0 {
			t.Errorf("%s=%q beside %q: once more: %v", key, want, after[key], more)
		}
	})
}

// FuzzNames: only a name that Kafka keeps for itself is held to be internal, and an announcement names one object.
func FuzzNames(f *testing.F) {
	f.Add("__consumer_offsets", "u", "v")
	f.Add("__debezium-heartbeat", "u", "v")
	f.Add("a.b", "a b", "a")
	f.Fuzz(func(t *testing.T, name, uid, other string) {
		changes, _ := Plan([]Desired{{Name: name}}, map[string]kafka.Topic{}, moves.Survey{})
		if created := len(changes.Create) == 1; created == Internal(name) {
			t.Errorf("%q: created is %v", name, created)
		}
		if uid != other && !strings.ContainsAny(uid+other, " ") &&
			Intent(claimant(uid, 0), "c", "") == Intent(claimant(other, 0), "c", "") {
			t.Errorf("%q and %q announce the same", uid, other)
		}
	})
}

// FuzzOrder: it makes no difference in which order topics are planned and objects are sorted. Two new topics whose
// names collide are not among them: the one that comes first is created.
func FuzzOrder(f *testing.F) {
	for seed := range uint64(300) {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, seed uint64) {
		r := rand.New(rand.NewPCG(seed, 3))
		evicts, adopts := r.IntN(4) == 0, r.IntN(2) == 0
		bars := func(t *v1alpha1.KafkaTopic) *claim.Bar {
			if t.Namespace == "guests" && (evicts || adopts) {
				return &claim.Bar{Evicts: evicts}
			}
			return nil
		}
		consent := Consent{Bars: bars, Adopts: func(t *v1alpha1.KafkaTopic) bool { return adopts || t.Namespace != "guests" },
			Grows: everywhere.Grows}
		live, survey := map[string]kafka.Topic{}, randomSurvey(r)
		var desired []Desired
		for i := range 1 + r.IntN(6) {
			name := fmt.Sprintf("topic%d", i)
			if i == 5 {
				name = "__consumer_offsets"
			}
			objects := randomObjects(r, name)
			c := Sort(name, objects, "c", consent)
			shuffle(r, objects)
			if again := Sort(name, objects, "c", consent); inWords(again) != inWords(c) {
				t.Fatalf("%s sorted in another order:\n%s\n%s", name, inWords(again), inWords(c))
			}
			desired = append(desired, DesiredOf(c, c.Policy("c")))
			if r.IntN(3) > 0 {
				live[name] = randomTopic(r, name, objects, survey)
			}
		}
		changes, outcomes := Plan(desired, live, survey)
		shuffle(r, desired)
		other, otherOutcomes := Plan(desired, live, survey)
		for _, c := range []Changes{changes, other} {
			slices.SortFunc(c.Create, func(a, b kafka.NewTopic) int { return cmp.Compare(a.Name, b.Name) })
		}
		if !reflect.DeepEqual(changes, other) || !reflect.DeepEqual(outcomes, otherOutcomes) {
			t.Errorf("planned in another order:\n%+v\n%+v\n%+v\n%+v", changes, other, outcomes, otherOutcomes)
		}
	})
}

func shuffle[T any](r *rand.Rand, all []T) {
	r.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
}

// inWords says all that a claim tells; those who take no part have no order.
func inWords(c Claim) string {
	names := func(objects []*v1alpha1.KafkaTopic) (all []string) {
		for _, o := range objects {
			all = append(all, o.Name)
		}
		return all
	}
	barred := func(objects []claim.Barred[*v1alpha1.KafkaTopic]) (all []string) {
		for _, o := range objects {
			all = append(all, o.Object.Name)
		}
		return slices.Sorted(slices.Values(all))
	}
	return fmt.Sprintf(
		"%+v, policy %s, living %v, losers %v, leaving %v, observers %v, barred %v, evicted %v, frozen %v",
		DesiredOf(c, c.Policy("c")),
		c.Policy(
			"c",
		),
		names(c.Living()),
		names(c.Losers),
		names(c.Leaving),
		names(c.Observers),
		barred(c.Barred),
		barred(c.Evicted),
		c.Frozen != nil,
	)
}

// randomObjects returns up to four objects that stand for one topic. Some are of one age.
func randomObjects(r *rand.Rand, name string) []*v1alpha1.KafkaTopic {
	number := func(n int) *int32 { v := int32(1 + r.IntN(n)); return &v }
	var all []*v1alpha1.KafkaTopic
	for i := range 1 + r.IntN(4) {
		o := claimant(fmt.Sprintf("%s-%d", name, i), time.Duration(r.IntN(3))*time.Hour)
		for _, change := range []func(*v1alpha1.KafkaTopic){recording, adopted, announcing, leaving, observing, fromGuests} {
			if r.IntN(4) == 0 {
				change(o)
			}
		}
		o.Spec.Name, o.Spec.Config = name, map[string]string{"retention.ms": strconv.Itoa(r.IntN(3))}
		o.Spec.Partitions, o.Spec.ReplicationFactor = number(4), number(3)
		if r.IntN(3) == 0 {
			o.Spec.Placement = &v1alpha1.TopicPlacement{Racks: []string{"r0", "r1"}[:1+r.IntN(2)]}
		}
		o.Spec.Adoption = pick(r, "", v1alpha1.AdoptionIfMatching, v1alpha1.AdoptionAlways)
		o.Spec.DeletionPolicy = pick(r, "", v1alpha1.DeletionDelete, v1alpha1.DeletionRetain)
		o.Spec.Recreate = pick(r, "", v1alpha1.RecreateAlways)
		o.Spec.ConfigPolicy = pick(r, "", v1alpha1.ConfigExact)
		all = append(all, o)
	}
	return all
}

func fromGuests(t *v1alpha1.KafkaTopic) { t.Namespace = "guests" }

func pick[T any](r *rand.Rand, some ...T) T { return some[r.IntN(len(some))] }

// randomSurvey returns brokers in up to three racks, and room for whatever is to be moved: which topics move first
// where there is little does depend on the order.
func randomSurvey(r *rand.Rand) moves.Survey {
	s := moves.Survey{Free: 1000, Rate: 5, Now: time.Unix(3e6, 0)}
	for id := range int32(1 + r.IntN(5)) {
		s.Brokers = append(s.Brokers, kafka.Broker{ID: id, Rack: fmt.Sprintf("r%d", r.IntN(3)), Fenced: r.IntN(6) == 0})
	}
	return s
}

// randomTopic returns a live topic, which may be the one that an object has on record.
func randomTopic(r *rand.Rand, name string, objects []*v1alpha1.KafkaTopic, s moves.Survey) kafka.Topic {
	topic := kafka.Topic{
		Name:   name,
		ID:     kafka.TopicID("id-" + pick(r, objects...).Name),
		Config: map[string]string{"retention.ms": "1", "flush.ms": "5"},
	}
	topic.Partitions, topic.ReplicationFactor = int32(1+r.IntN(4)), int32(1+r.IntN(len(s.Brokers)))
	for range topic.Partitions {
		var replicas []int32
		for _, i := range r.Perm(len(s.Brokers))[:topic.ReplicationFactor] {
			replicas = append(replicas, s.Brokers[i].ID)
		}
		topic.Replicas = append(topic.Replicas, replicas)
	}
	return topic
}
