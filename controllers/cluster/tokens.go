package cluster

import (
	"context"
	"errors"
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/castellan-dev/castellan/api/v1alpha1"
	"github.com/castellan-dev/castellan/internal/apply"
	"github.com/castellan-dev/castellan/internal/decide"
	"github.com/castellan-dev/castellan/internal/jwks"
	"github.com/castellan-dev/castellan/internal/model"
	"github.com/castellan-dev/castellan/internal/render"
)

// Keys tells what is known of the keys of issuers; fetch.Fetcher. It fetches them beside the passes, which never wait
// for it.
type Keys interface {
	Known(owner string, sources []jwks.Source) map[string]jwks.Fetched
	Forget(owner string)
}

// giveTokenKeys writes by what brokers know the issuers of tokens, and has the pods that run see it at once. It comes
// before any pod is made, which does not start without it.
func (r *Reconciler) giveTokenKeys(ctx context.Context, s *scope) error {
	return r.giveMounted(ctx, s, s.decision.TokenKeys.Mounted, mounting{
		annotation: v1alpha1.AnnotationTokenKeys, isVolume: render.IsTokenKeys, reason: "TokenKeysChanged",
		note: "the keys by which brokers know the issuers of tokens have changed; brokers read them within seconds"})
}

// giveLogins does the same for the files of custom mechanisms.
func (r *Reconciler) giveLogins(ctx context.Context, s *scope) error {
	return r.giveMounted(ctx, s, s.decision.Logins.Mounted, mounting{
		annotation: v1alpha1.AnnotationLogins, isVolume: render.IsLogins, reason: "LoginFilesChanged",
		note: "the files of custom mechanisms have changed; where brokers read them but once, each restarts for it"})
}

// givePluginFiles does the same for the files of tiered storage.
func (r *Reconciler) givePluginFiles(ctx context.Context, s *scope) error {
	return r.giveMounted(ctx, s, s.decision.PluginFiles.Mounted, mounting{
		annotation: v1alpha1.AnnotationPluginFiles, isVolume: render.IsPluginFiles, reason: "PluginFilesChanged",
		note: "the files of spec.tieredStorage have changed; where its config names one, each broker restarts for it"})
}

// mounting is how pods have a Secret that the operator writes, and what is told of its changes.
type mounting struct {
	annotation   string // by which the kubelets are told of a change
	isVolume     func(corev1.Volume) bool
	reason, note string
}

func (r *Reconciler) giveMounted(ctx context.Context, s *scope, secret decide.Mounted, m mounting) error {
	if secret.Secret == "" || s.taken(model.KindSecret, secret.Secret) {
		return nil
	}
	if secret.Current {
		return r.touchFor(ctx, s, m, secret.Digest)
	}
	live := s.seen.Live.Secrets[secret.Secret]
	written, err := r.apply(ctx, s, model.KindSecret, s.secret(secret.Secret, secret.Data), orNil(live))
	if written {
		s.lookAgain(whenBehind)
		if live != nil {
			r.event(s, corev1.EventTypeNormal, m.reason, m.note)
		}
	}
	return err
}

// touchFor has the kubelets refresh a Secret in the pods that mount it, and not within a minute or two. It waits until
// the cache shows what was written: the kubelets then see it, too.
func (r *Reconciler) touchFor(ctx context.Context, s *scope, m mounting, digest string) error {
	var errs []error
	for i := range s.seen.Live.Pods {
		pod := &s.seen.Live.Pods[i]
		if pod.DeletionTimestamp != nil || pod.Annotations[m.annotation] == digest ||
			!slices.ContainsFunc(pod.Spec.Volumes, m.isVolume) {
			continue
		}
		very := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: pod.Namespace, Name: pod.Name, UID: pod.UID}}
		touched := map[string]any{"annotations": map[string]string{m.annotation: digest}}
		if err := apply.IgnoreGone(r.patch(ctx, very, touched, nil)); err != nil {
			errs = append(errs, fmt.Errorf("touch pod %s/%s: %w", pod.Namespace, pod.Name, err))
		}
	}
	return errors.Join(errs...)
}
