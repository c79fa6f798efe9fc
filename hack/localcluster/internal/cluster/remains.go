package cluster

import "fmt"

// remnant is something that a command could not remove: what it is, why it is still there, and what the user can do.
type remnant struct {
	what string
	why  error
	cure string
}

func (r remnant) Error() string {
	return fmt.Sprintf("%s is left: %v; to remove it: %s", r.what, r.why, r.cure)
}

func (r remnant) Unwrap() error { return r.why }

// remains names what is left if there is an error.
func remains(what string, why error, cure string) error {
	if why == nil {
		return nil
	}
	return remnant{what: what, why: why, cure: cure}
}
