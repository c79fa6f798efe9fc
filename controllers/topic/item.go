package topic

import (
	"slices"

	"github.com/castellan-dev/castellan/controllers/batch"
	"github.com/castellan-dev/castellan/internal/kafka"
	"github.com/castellan-dev/castellan/internal/moves"
	"github.com/castellan-dev/castellan/internal/topics"
	"github.com/castellan-dev/castellan/internal/verdict"
)

// state says how far one topic has got in a flush. What comes later in the list prevails.
type state int

const (
	// planned: the outcome comes true, and is reported.
	planned state = iota
	// stuck: something of its moves was refused. The outcome says so; record and throttle stay.
	stuck
	// unsettled: a request did not go through and is made again. failure says why.
	unsettled
	// postponed: it is looked at again, and nothing is done or reported before.
	postponed
)

// item is one topic of a flush.
type item struct {
	claim   topics.Claim
	desired topics.Desired
	live    kafka.Topic
	exists  bool // live was found
	outcome topics.Outcome
	state   state
	failure error // of an unsettled topic
	// announced: this very flush has written that it creates the topic.
	announced bool
}

// fall takes an item to a state unless it is in one that prevails.
func (i *item) fall(to state) { i.state = max(i.state, to) }

func (i *item) fail(err error) {
	i.failure = err
	i.fall(unsettled)
}

// begun are the records of moves that the topic's objects carry.
func (i *item) begun() (ledger moves.Ledger) {
	for _, r := range []*moves.Record{i.desired.Known.Moving, i.desired.Begun.Moving} {
		if r != nil {
			ledger = append(ledger, moves.Entry{Topic: i.claim.Name, Record: *r})
		}
	}
	return ledger
}

// explain turns what Kafka says of the topic into a verdict. What may be gone at the next attempt is none, and leaves
// the topic unsettled.
func (i *item) explain(attempted string, err error, brokers int) []verdict.Verdict {
	if v, known := topics.Explain(err, attempted, i.desired, brokers); known {
		return []verdict.Verdict{v}
	}
	i.fail(err)
	return nil
}

// again are the verdicts by which the topic is looked at again.
func (i *item) again() []verdict.Verdict {
	if i.state == unsettled {
		return []verdict.Verdict{verdict.Retry(i.failure, batch.RetryFirst, batch.RetryLimit)}
	}
	return i.outcome.Verdicts
}

// refuse adds what Kafka said of one change to the outcome.
func (i *item) refuse(attempted string, err error, brokers int) {
	i.outcome.Verdicts = append(i.outcome.Verdicts, i.explain(attempted, err, brokers)...)
}

// notMoved keeps on record what may be under way.
func (i *item) notMoved(attempted string, err error, brokers int) {
	i.fall(stuck)
	if i.outcome.Record.Moving == nil {
		i.outcome.Record.Moving = i.desired.Known.Moving
	}
	i.outcome.Verdicts = slices.Concat(i.explain(attempted, err, brokers), i.outcome.Verdicts) // why before what
}
