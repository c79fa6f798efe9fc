// Package claim sorts out which of several objects holds a name in Kafka: a KafkaTopic its topic, a KafkaUser its
// principal. It is pure.
package claim

import (
	"cmp"
	"slices"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/castellan-dev/castellan/api/v1alpha1"
	"github.com/castellan-dev/castellan/internal/status"
	"github.com/castellan-dev/castellan/internal/verdict"
)

// How soon it is looked whether what somebody else has in Kafka under a wanted name has gone, at intervals that double.
const (
	TakenLook      = 5 * time.Second
	TakenLookLimit = 5 * time.Minute
)

// ReasonConflict is the reason of an object whose name another one holds.
const ReasonConflict = "Conflict"

// Intent is the value of the annotation by which an object says, ahead, that it puts something into Kafka in this
// incarnation of the cluster. It names the object's UID: copied to another object, it says nothing. after is what was
// lost and is put there again; empty = nothing was.
func Intent(o metav1.Object, clusterID, after string) string {
	return strings.TrimSuffix(clusterID+" "+string(o.GetUID())+" "+after, " ")
}

// Conflict is the verdict on an object whose name another one holds. kind is that of the two objects, noun what they
// stand for in Kafka, and fate what becomes of that when one of them is deleted, such as " (the topic stays)".
func Conflict(kind, noun, name, fate string, o, holder metav1.Object) verdict.Verdict {
	return verdict.Stalled(ReasonConflict, "spec.name",
		"%s %q is held by %s %q; delete one of the two%s, or choose another spec.name",
		noun, name, kind, status.NameFrom(o, holder), fate)
}

// Object is a pointer to an API object.
type Object interface {
	comparable
	metav1.Object
}

// Bar says why an object takes no part in the claim on its name.
type Bar struct {
	verdict.Verdict
	// Evicts: what the object has on record is taken from it. Without it the object keeps that, frozen.
	Evicts bool
}

// Barred is an object that takes no part, and why.
type Barred[T Object] struct {
	Object T
	Bar    Bar
}

// Claim is every object of one kind that stands for one name of one cluster.
type Claim[T Object] struct {
	Name string
	// Holder is the object that decides about the name; nil when all others are being deleted or observe.
	Holder T
	// Losers are the other objects that are not being deleted.
	Losers []T
	// Leaving are those being deleted. They decide about the name only when there is no holder.
	Leaving []T
	// Observers report what bears the name and decide nothing; none of them is being deleted.
	Observers []T
	// Barred are objects that may take no part and have nothing on record.
	Barred []Barred[T]
	// Evicted are objects that may take no part and lose what they have on record; none of them is being deleted.
	Evicted []Barred[T]
	// Frozen says why the holder may take no part any more; nil = it may. It keeps what it has, and nothing is done about
	// it.
	Frozen *Bar
}

// Rules say how objects of a kind stand to each other.
type Rules[T Object] struct {
	// Recorded tells whether the object has what bears the name on record: it comes before all that have not,
	// wherever it is.
	Recorded func(T) bool
	// Begun tells whether the object has begun to take the name: it comes before all that have not; nil = none has
	// without a record.
	Begun func(T) bool
	// Observes tells whether the object only watches; nil = none does.
	Observes func(T) bool
	// Bars says why an object may take no part; nil = it may.
	Bars func(T) *Bar
}

// Sort sorts out who holds a name: whoever has it on record, then whoever has begun to take it, then the oldest, then
// the lowest UID.
func Sort[T Object](name string, objects []T, rules Rules[T]) Claim[T] {
	c := Claim[T]{Name: name}
	var sorted []T
	for _, o := range objects {
		switch bar := rules.Bars(o); {
		case bar == nil:
			sorted = append(sorted, o)
		case !rules.Recorded(o):
			c.Barred = append(c.Barred, Barred[T]{o, *bar})
		case bar.Evicts && o.GetDeletionTimestamp() == nil:
			c.Evicted = append(c.Evicted, Barred[T]{o, *bar})
		default:
			sorted = append(sorted, o)
		}
	}
	slices.SortStableFunc(sorted, func(a, b T) int {
		return cmp.Or(
			cmp.Compare(rules.standing(b), rules.standing(a)),
			a.GetCreationTimestamp().Compare(b.GetCreationTimestamp().Time),
			cmp.Compare(a.GetUID(), b.GetUID()),
		)
	})
	for _, o := range sorted {
		switch {
		case o.GetDeletionTimestamp() != nil:
			c.Leaving = append(c.Leaving, o)
		case rules.Observes != nil && rules.Observes(o):
			c.Observers = append(c.Observers, o)
		case !c.HasHolder():
			c.Holder, c.Frozen = o, rules.Bars(o)
		default:
			c.Losers = append(c.Losers, o)
		}
	}
	return c
}

func (r Rules[T]) standing(o T) int {
	switch {
	case r.Recorded(o):
		return 2
	case r.Begun != nil && r.Begun(o):
		return 1
	default:
		return 0
	}
}

// HasHolder tells whether an object decides about the name.
func (c Claim[T]) HasHolder() bool {
	var none T
	return c.Holder != none
}

// BarredBy are the verdicts on the objects that take no part.
func (c Claim[T]) BarredBy() (all []verdict.Verdict) {
	for _, b := range c.Barred {
		all = append(all, b.Bar.Verdict)
	}
	if c.Frozen != nil {
		all = append(all, c.Frozen.Verdict)
	}
	return all
}

// Living are the objects that take part and are not being deleted, the holder first.
func (c Claim[T]) Living() []T {
	living := slices.Concat(c.Losers, c.Observers)
	if !c.HasHolder() {
		return living
	}
	return append([]T{c.Holder}, living...)
}

// Held are those being deleted that our finalizer still keeps: they have, or may have, something in Kafka.
func (c Claim[T]) Held() []T {
	var held []T
	for _, o := range c.Leaving {
		if HasFinalizer(o) {
			held = append(held, o)
		}
	}
	return held
}

// HasFinalizer tells whether our finalizer stands on an object.
func HasFinalizer(o metav1.Object) bool {
	return slices.Contains(o.GetFinalizers(), v1alpha1.Finalizer)
}
