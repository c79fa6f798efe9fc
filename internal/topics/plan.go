package topics

import (
	"slices"
	"strings"
	"time"

	"github.com/castellan-dev/castellan/api/v1alpha1"
	"github.com/castellan-dev/castellan/internal/claim"
	"github.com/castellan-dev/castellan/internal/kafka"
	"github.com/castellan-dev/castellan/internal/moves"
	"github.com/castellan-dev/castellan/internal/verdict"
	"github.com/castellan-dev/castellan/internal/version"
)

// Changes is all that is to be sent, at most one request per kind.
type Changes struct {
	Create []kafka.NewTopic
	Grow   map[string]int32
	Alter  map[string][]kafka.ConfigChange
	Delete map[string]kafka.TopicID // by name
	// Throttle sets and removes the keys that name throttled replicas, before Move begins and cancels reassignments.
	Throttle map[string][]kafka.ConfigChange
	Move     map[string][]kafka.Move

	creating map[string]string // names of Create by metricName
}

// Drop takes everything about one topic out of the changes.
func (c *Changes) Drop(name string) {
	c.Create = slices.DeleteFunc(c.Create, func(t kafka.NewTopic) bool { return t.Name == name })
	delete(c.Grow, name)
	delete(c.Alter, name)
	delete(c.Delete, name)
	delete(c.Throttle, name)
	delete(c.Move, name)
}

// Empty tells whether nothing is to be changed.
func (c *Changes) Empty() bool {
	return len(c.Create)+len(c.Grow)+len(c.Alter)+len(c.Delete)+len(c.Throttle)+len(c.Move) == 0
}

// Outcome is what is known of one topic once the changes are carried out as planned.
type Outcome struct {
	Record Record      // for the status
	Topic  kafka.Topic // as it will be; only what is known
	// Found: a live topic was seen, or is being created.
	Found bool
	// Health is how the topic does; empty = as the status says.
	Health v1alpha1.TopicHealth
	// Verdicts say why the topic is not as desired. What else was planned is carried out all the same.
	Verdicts []verdict.Verdict
}

func (o *Outcome) add(v verdict.Verdict) { o.Verdicts = append(o.Verdicts, v) }

// recreateAfter is how soon a loss that has been told is made good.
const recreateAfter = time.Second

// Reasons of Stalled and, where a verdict passes, of Reconciling.
const (
	ReasonShrink       = "PartitionsCannotShrink"
	ReasonInternal     = "InternalTopic"
	ReasonPlacement    = moves.ReasonPlacement
	ReasonGrowing      = "Growing"
	ReasonMoving       = moves.ReasonMoving
	ReasonForeignMove  = moves.ReasonForeignMove
	ReasonNoUUID       = "NoTopicID"
	ReasonExists       = "TopicExists"
	ReasonReplaced     = "TopicReplaced"
	ReasonLost         = "TopicLost"
	ReasonConflict     = claim.ReasonConflict
	ReasonConfig       = "InvalidConfig"
	ReasonReplication  = moves.ReasonReplication
	ReasonPartitions   = "InvalidPartitions"
	ReasonName         = "InvalidName"
	ReasonPolicy       = "PolicyViolation"
	ReasonQuota        = "QuotaExceeded"
	ReasonDenied       = "NotAuthorized"
	ReasonNotDeletable = "TopicDeletionDisabled"
	ReasonRefused      = "Refused"
	ReasonBeyond       = "BeyondAccess"
)

// Plan compares what is desired with what is live and says what to change and what will be. Equal input gives no
// changes.
func Plan(desired []Desired, live map[string]kafka.Topic, s moves.Survey) (Changes, map[string]Outcome) {
	changes := Changes{
		Grow: map[string]int32{}, Alter: map[string][]kafka.ConfigChange{}, Delete: map[string]kafka.TopicID{},
		Throttle: map[string][]kafka.ConfigChange{}, Move: map[string][]kafka.Move{}, creating: map[string]string{},
	}
	outcomes := make(map[string]Outcome, len(desired))
	for _, d := range desired {
		topic, exists := live[d.Name]
		if d.Known.Moving == nil {
			changes.unthrottle(d.Name, d.Begun, topic)
		}
		switch found, ours := identify(d, topic, exists); {
		case topic.Denied != nil && !d.Kept && (!d.Gone || d.Intended):
			denied, _ := Explain(topic.Denied, MayDescribe, d, 0)
			outcomes[d.Name] = Outcome{Record: d.Known, Verdicts: []verdict.Verdict{denied}}
		case d.Kept:
			changes.unthrottle(d.Name, d.Known, topic)
			outcomes[d.Name] = Outcome{Record: d.Known}
		case d.Gone:
			if id := doomed(d, topic); id != "" {
				changes.Delete[d.Name] = id
			}
			outcomes[d.Name] = Outcome{Record: d.Known}
		case found != nil:
			out := Outcome{Verdicts: []verdict.Verdict{*found}}
			if isLoss(found.Reason) {
				out.Record = d.Known // until the loss has been told
				out.Record.Moving = nil
			}
			outcomes[d.Name] = out
		case !exists:
			outcomes[d.Name] = changes.create(d, s)
		default:
			outcomes[d.Name] = changes.mend(d, topic, ours, &s)
		}
	}
	return changes, outcomes
}

// create asks for a topic, in the place that the spec names if it names one. Of two whose names collide one waits:
// Kafka compares a name with the topics that it has, not with those of the same request.
func (c *Changes) create(d Desired, s moves.Survey) Outcome {
	if other, collides := c.creating[metricName(d.Name)]; collides {
		return Outcome{Verdicts: []verdict.Verdict{verdict.Waiting(ReasonName, "spec.name", time.Second, time.Minute,
			"topic %q is being created, with which %q collides (\".\" and \"_\" are one in Kafka's metrics); choose "+
				"another name", other, d.Name)}}
	}
	if len(d.Racks) > 0 && s.Unknown != nil {
		return Outcome{Verdicts: []verdict.Verdict{*s.Unknown}}
	}
	topic := kafka.NewTopic{
		Name: d.Name, Partitions: d.Partitions, ReplicationFactor: d.ReplicationFactor, Config: d.Config,
	}
	if len(d.Racks) > 0 {
		var impossible *verdict.Verdict
		topic.Assignment, impossible = moves.New(d.Name, d.Partitions, d.placement(), s.Brokers)
		if impossible != nil {
			return Outcome{Verdicts: []verdict.Verdict{*impossible}}
		}
	}
	c.Create = append(c.Create, topic)
	c.creating[metricName(d.Name)] = d.Name
	return Outcome{Record: Record{Origin: v1alpha1.OriginCreated, ConfigKeys: keys(d.Config)}, Found: true}
}

// metricName is what Kafka compares names by.
func metricName(topic string) string { return strings.ReplaceAll(topic, ".", "_") }

// mend brings a live topic to what is desired, as far as that can be done.
func (c *Changes) mend(d Desired, topic kafka.Topic, origin v1alpha1.Origin, s *moves.Survey) Outcome {
	if topic.ID != d.Known.ID {
		d.Known = Record{} // of another topic
	}
	out := Outcome{Record: Record{ID: topic.ID, Origin: origin, ConfigKeys: keys(d.Config)}, Topic: topic, Found: true}
	if alter := configChanges(d, d.Known.ConfigKeys, topic.Config); len(alter) > 0 {
		c.Alter[d.Name] = alter
		out.Topic.Config = changed(topic.Config, alter)
	}
	if want, asked := d.Config[cleanupPolicy]; asked && Internal(d.Name) &&
		!version.SameOnTopic(cleanupPolicy, want, topic.Config[cleanupPolicy]) {
		out.add(verdict.Stalled(ReasonInternal, configField(cleanupPolicy), "topic %q is Kafka's own, and what is kept in "+
			"it lives on by its cleanup policy, which is %q; take the key out of the spec",
			d.Name, topic.Config[cleanupPolicy]))
	}
	c.resize(d, topic, &out)
	if d.moves(topic) || d.asksForReplicas() && len(s.Reassigning[d.Name]) > 0 {
		c.move(d, topic, s, &out)
	}
	return out
}

// growAtOnce is how many partitions a topic is given in one request: half of what Kafka's controller writes in one
// piece. Of a larger request Kafka says that it has failed, and does a part.
const growAtOnce = 5000

// resize grows the number of partitions, or says why not.
func (c *Changes) resize(d Desired, topic kafka.Topic, out *Outcome) {
	switch {
	case d.Partitions == 0 || d.Partitions == topic.Partitions:
	case Internal(d.Name):
		out.add(verdict.Stalled(ReasonInternal, "spec.partitions", "topic %q is Kafka's own and what is kept in it depends "+
			"on its %d partitions; set spec.partitions to %d", d.Name, topic.Partitions, topic.Partitions))
	case d.Partitions > topic.Partitions:
		next := min(d.Partitions, topic.Partitions+growAtOnce)
		c.Grow[d.Name] = next
		out.Topic.Partitions = next
		if next < d.Partitions {
			out.add(verdict.Waiting(ReasonGrowing, "", time.Second, time.Second,
				"adding partitions, %d at a time: %d of %d", growAtOnce, next, d.Partitions))
		}
	default:
		out.add(verdict.Stalled(ReasonShrink, "spec.partitions", "topic %q has %d partitions and Kafka cannot take any "+
			"away; set spec.partitions to %d, or make a new topic", d.Name, topic.Partitions, topic.Partitions))
	}
}
