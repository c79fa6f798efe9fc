// Package verdict has the one word for "not as asked for": why, by which field, what cures it, and when to look again.
// It is pure, and every room that decides something may use it.
package verdict

// Reason is why a spec cannot be carried out, in the form of a condition's reason.
type Reason string

// Why a spec cannot be carried out.
const (
	ReasonInvalid         Reason = "Invalid"         // no version of Castellan will do it
	ReasonNotYetSupported Reason = "NotYetSupported" // a change that this version of Castellan cannot make yet
	ReasonUnknownVersion  Reason = "UnknownVersion"  // not in the catalogue
	ReasonHeld            Reason = "Held"            // under way, and only the user can end what holds it back
)

// Fault is a user's mistake: the field and the cure.
type Fault struct {
	Reason  Reason
	Field   string // path, such as spec.pools[main].storage.volumes[data].size
	Message string // what is wrong and what to do instead
}

// Error prints "field: message".
func (f Fault) Error() string { return f.Field + ": " + f.Message }
