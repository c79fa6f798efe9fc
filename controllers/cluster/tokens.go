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
	keys := s.decision.TokenKeys
	if keys.Secret == "" || s.taken(model.KindSecret, keys.Secret) {
		return nil
	}
	if keys.Current {
		return r.touchForKeys(ctx, s, keys.Digest)
	}
	live := s.seen.Live.Secrets[keys.Secret]
	written, err := r.apply(ctx, s, model.KindSecret, s.secret(keys.Secret, keys.Data), orNil(live))
	if written {
		s.lookAgain(whenBehind)
		if live != nil {
			r.event(s, corev1.EventTypeNormal, "TokenKeysChanged",
				"the keys by which brokers know the issuers of tokens have changed; brokers read them within seconds")
		}
	}
	return err
}

// touchForKeys has the kubelets refresh the keys in the pods that mount them, and not within a minute or two. It waits
// until the cache shows what was written: the kubelets then see it, too.
func (r *Reconciler) touchForKeys(ctx context.Context, s *scope, digest string) error {
	var errs []error
	for i := range s.seen.Live.Pods {
		pod := &s.seen.Live.Pods[i]
		if pod.DeletionTimestamp != nil || pod.Annotations[v1alpha1.AnnotationTokenKeys] == digest ||
			!slices.ContainsFunc(pod.Spec.Volumes, render.IsTokenKeys) {
			continue
		}
		very := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: pod.Namespace, Name: pod.Name, UID: pod.UID}}
		touched := map[string]any{"annotations": map[string]string{v1alpha1.AnnotationTokenKeys: digest}}
		if err := apply.IgnoreGone(r.patch(ctx, very, touched, nil)); err != nil {
			errs = append(errs, fmt.Errorf("touch pod %s/%s: %w", pod.Namespace, pod.Name, err))
		}
	}
	return errors.Join(errs...)
}
