package cluster

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/castellan-dev/castellan/internal/apply"
	"github.com/castellan-dev/castellan/internal/decide"
	"github.com/castellan-dev/castellan/internal/reach"
	"github.com/castellan-dev/castellan/internal/report"
)

// Reach tells what is known of the ways to brokers; dial.Prober. It walks them beside the passes, which never wait for
// it.
type Reach interface {
	Known(owner string, ways []reach.Way) []reach.Known
	Forget(owner string)
}

// report writes what has come of the pass to the status: one patch, none when nothing has changed. It counts only for
// the status that the pass began with: from an older copy some of it would be taken for written already.
func (r *Reconciler) report(ctx context.Context, s *scope, failure error) error {
	if apierrors.IsConflict(failure) {
		return nil // the cache is behind: the next pass knows better
	}
	d := &s.decision
	d.Plan.Waiting = append(d.Plan.Waiting, s.presenting...)
	pass := report.Pass{
		Cluster: s.base, Now: s.seen.Now, Model: d.Model, Observation: d.Observation,
		Hosts: decide.Hosts(s.seen.Live.Pods), Reach: r.reached(s), Plan: d.Plan,
		Verdicts: append(d.Verdicts, s.refused...), Warnings: d.Warnings, Waiting: d.Waiting, Routing: d.Routing,
		Keyless: d.TokenKeys.Keyless, Growing: d.Growing, Failure: failure,
	}
	if d.Blocked != "" {
		pass.Waiting = []string{d.Blocked}
	}
	status, events := report.Status(pass)
	if equality.Semantic.DeepEqual(status, s.base.Status) {
		return nil
	}
	if rest := r.patience.pause(s.key(), &s.base.Status, &status, s.seen.Now); rest > 0 && len(events) == 0 {
		s.lookAgain(rest)
		return nil
	}
	next := s.base.DeepCopy()
	next.Status = status
	patch := client.MergeFromWithOptions(s.base, client.MergeFromWithOptimisticLock{})
	if err := r.Status().Patch(ctx, next, patch); client.IgnoreNotFound(err) != nil {
		if apply.Refused(err) {
			r.event(s, corev1.EventTypeWarning, "StatusRefused",
				"The operator cannot write the status, which is as it was before: "+err.Error())
		}
		return fmt.Errorf("write the status of KafkaCluster %s: %w", s.key(), err)
	}
	r.patience.written(s.key(), s.seen.Now)
	for _, l := range d.Authority.Listeners {
		if l.Waiting != "" { // the next step follows from what was written
			s.lookAgain(whenUnderway)
		}
	}
	for _, e := range events {
		r.event(s, e.Kind, e.Reason, e.Text)
	}
	return nil
}

// reached asks what is known of the ways to the cluster's brokers.
func (r *Reconciler) reached(s *scope) []reach.Known {
	if s.decision.Model == nil {
		return nil // the status stays as it is
	}
	return r.Reach.Known(s.key().String(), s.decision.Ways)
}

// event tells a transition; losing one harms nobody.
func (r *Reconciler) event(s *scope, kind, reason, note string) {
	if len(note) > 1000 {
		note = note[:1000]
	}
	r.Recorder.Eventf(s.base, nil, kind, reason, "Reconcile", "%s", note)
}
