package claim

import (
	"slices"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/castellan-dev/castellan/internal/verdict"
)

// ReasonOtherOperator is the reason of an object that another installation of the operator looks after.
const ReasonOtherOperator = "OtherOperator"

// OlderCRDs is how often CRDs that keep no record of the operator are tried again.
const OlderCRDs = 10 * time.Minute

// Installation is one installation of the operator.
type Installation struct {
	// Name is what objects record of it in status.operator: "<namespace>/<release>". It outlives pods, upgrades and a
	// new installation under the same names. Empty: nothing is recorded, and what anybody has recorded does not count.
	Name string
	// Succeeds are installations that are gone. What they looked after is this one's.
	Succeeds []string
}

// Tenure says how an object stands to an installation.
type Tenure int

// How it stands.
const (
	TenureOurs   Tenure = iota // it is on record as ours
	TenureVacant               // nobody's, or that of an installation which is gone: to be recorded first
	TenureOther                // another installation's, to be left alone
)

// Of says how an object stands to the installation, by its status.operator.
func (i Installation) Of(recorded string) Tenure {
	switch {
	case i.Name == "" || recorded == i.Name:
		return TenureOurs
	case recorded == "" || slices.Contains(i.Succeeds, recorded):
		return TenureVacant
	}
	return TenureOther
}

// Other is the verdict on an object that another installation looks after, as its kind and name say.
func (i Installation) Other(kind, name, recorded string) verdict.Verdict {
	return verdict.Stalled(ReasonOtherOperator, "status.operator",
		"%s %q is looked after by the operator installed as %q, which has not taken up this change, and left alone by the "+
			"one installed as %q; start the former again or, if it is gone for good, let the latter succeed it "+
			"(succeeds={%s} of its chart, --succeeds=%s)", kind, name, recorded, i.Name, recorded, recorded)
}

// AsideAfter is how long a change must have been waiting for another installation before its object is told that it
// does: longer than one takes to start.
const AsideAfter = time.Minute

// Unobserved tells that nobody has taken up an object's last change yet: its generation is another than the one that
// its status describes.
func Unobserved(o metav1.Object, observed int64) bool { return o.GetGeneration() != observed }
