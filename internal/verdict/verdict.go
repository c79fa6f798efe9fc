// Package verdict has the one word for "not as asked for": who ends it, why, by which field, what cures it, and when to
// look again. It is pure, and every room that decides something may use it.
package verdict

import (
	"fmt"
	"strings"
	"time"
)

// State says who ends what a verdict tells of.
type State int

// Who ends it.
const (
	StateStalled State = iota // the user, by changing something: field and cure are named
	StateWaiting              // time, or somebody else: the user has nothing to change
	StateRetry                // the next attempt at what failed
)

// Reasons that are not of one kind of object alone.
const (
	ReasonInvalid        = "Invalid"        // no version of Castellan will do it
	ReasonUnknownVersion = "UnknownVersion" // not in the catalogue
	ReasonHeld           = "Held"           // under way, and only the user can end what holds it back
	ReasonRetrying       = "Retrying"       // it failed, and is tried again
)

// Verdict is why something is not as it was asked for.
type Verdict struct {
	State  State
	Reason string // of the condition
	Field  string // path in the object, such as spec.pools[main].storage.volumes[data].size; empty = no field is to blame
	Cause  string // what is wrong, or what is waited for
	Cure   string // what to do; empty = nothing, or the cause says it
	// Follows: a change of the KafkaCluster ends it, which whoever applies both may apply later.
	Follows bool
	// Doubtful verdicts rest on an answer of a single broker, which may be a moment behind: they count when they stand for
	// a while.
	Doubtful bool
	// After is how soon to look again, at intervals that double up to AtMost. Zero = when something happens, or at the
	// next drift check.
	After, AtMost time.Duration
}

// Stalled is the verdict that the user has to change something. The sentence says what is wrong and then, after its
// last semicolon, what to do.
func Stalled(reason, field, format string, args ...any) Verdict {
	return sentence(StateStalled, reason, field, fmt.Sprintf(format, args...))
}

// List collects verdicts.
type List []Verdict

// Refuse adds that a field asks for what no version of Castellan will do. See Stalled.
func (l *List) Refuse(field, format string, args ...any) {
	*l = append(*l, Stalled(ReasonInvalid, field, format, args...))
}

// Add adds that the user has to change a field, for a reason of its own. See Stalled.
func (l *List) Add(reason, field, format string, args ...any) {
	*l = append(*l, Stalled(reason, field, format, args...))
}

// Waiting is the verdict that time or somebody else has to bring what is missing; it is looked at again after a while,
// at intervals that double.
func Waiting(reason, field string, after, atMost time.Duration, format string, args ...any) Verdict {
	v := sentence(StateWaiting, reason, field, fmt.Sprintf(format, args...))
	v.After, v.AtMost = after, atMost
	return v
}

// Retry is the verdict that an attempt failed and is made again.
func Retry(err error, after, atMost time.Duration) Verdict {
	return Verdict{State: StateRetry, Reason: ReasonRetrying, Cause: err.Error(), After: after, AtMost: atMost}
}

func sentence(state State, reason, field, text string) Verdict {
	v := Verdict{State: state, Reason: reason, Field: field, Cause: text}
	if i := strings.LastIndex(text, "; "); i >= 0 {
		v.Cause, v.Cure = text[:i], text[i+2:]
	}
	return v
}

// Sentence is what is wrong and what to do, without the field: "cause; cure".
func (v Verdict) Sentence() string {
	if v.Cure == "" {
		return v.Cause
	}
	return v.Cause + "; " + v.Cure
}

// Text is the whole as a person reads it: "field: cause; cure".
func (v Verdict) Text() string {
	if v.Field == "" {
		return v.Sentence()
	}
	return v.Field + ": " + v.Sentence()
}

// Error makes a verdict an error.
func (v Verdict) Error() string { return v.Text() }

// Passes tells that nobody has to change anything.
func (v Verdict) Passes() bool { return v.State != StateStalled }

// Gravest returns the first verdict that somebody has to cure, else the first; nil = there is none.
func Gravest(verdicts []Verdict) *Verdict {
	for i := range verdicts {
		if !verdicts[i].Passes() {
			return &verdicts[i]
		}
	}
	if len(verdicts) > 0 {
		return &verdicts[0]
	}
	return nil
}

// Texts joins what keeps an object from being as asked for.
func Texts(verdicts []Verdict) string {
	texts := []string{}
	for _, v := range verdicts {
		texts = append(texts, v.Text())
	}
	return strings.Join(texts, "; ")
}
