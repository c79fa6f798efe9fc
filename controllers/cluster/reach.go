package cluster

import "github.com/castellan-dev/castellan/internal/reach"

// Reach tells what is known of the ways to brokers; dial.Prober. It walks them beside the passes, which never wait for
// it.
type Reach interface {
	Known(owner string, ways []reach.Way) []reach.Known
	Forget(owner string)
}

// reached asks what is known of the ways to the cluster's brokers.
func (r *Reconciler) reached(s *scope) []reach.Known {
	if s.decision.Model == nil {
		return nil // the status stays as it is
	}
	return r.Reach.Known(s.key().String(), s.decision.Ways)
}
