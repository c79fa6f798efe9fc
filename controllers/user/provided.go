package user

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/source"

	"github.com/castellan-dev/castellan/api/v1alpha1"
	"github.com/castellan-dev/castellan/controllers/batch"
	"github.com/castellan-dev/castellan/internal/connect"
	"github.com/castellan-dev/castellan/internal/users"
	"github.com/castellan-dev/castellan/internal/verdict"
)

// watchProvided watches the Secrets with passwords that users provide: a change marks those who name the Secret.
func (r *Reconciler) watchProvided(mgr ctrl.Manager, b *builder.Builder) (*builder.Builder, error) {
	own, err := connect.CacheLabelled(mgr, r.Namespaces.Only, v1alpha1.UsePassword)
	if err != nil {
		return nil, err
	}
	r.provided = own
	return b.WatchesRawSource(source.Kind[client.Object](own, &corev1.Secret{}, r.providedEvents())), nil
}

// providedEvents marks the users that name a Secret, in its namespace. One that loses its label is deleted, as far as
// the cache is concerned.
func (r *Reconciler) providedEvents() handler.EventHandler {
	return handler.Funcs{
		CreateFunc: func(ctx context.Context, e event.CreateEvent, q batch.QueueOf) { r.markNaming(ctx, e.Object, q) },
		UpdateFunc: func(ctx context.Context, e event.UpdateEvent, q batch.QueueOf) {
			if e.ObjectOld.GetResourceVersion() != e.ObjectNew.GetResourceVersion() {
				r.markNaming(ctx, e.ObjectNew, q)
			}
		},
		DeleteFunc: func(ctx context.Context, e event.DeleteEvent, q batch.QueueOf) { r.markNaming(ctx, e.Object, q) },
	}
}

func (r *Reconciler) markNaming(ctx context.Context, secret client.Object, q batch.QueueOf) {
	objects, err := r.List(ctx, r.Client, client.InNamespace(secret.GetNamespace()), client.UnsafeDisableDeepCopy)
	if err != nil {
		ctrl.LoggerFrom(ctx).Error(err, "look who names a Secret", "secret", client.ObjectKeyFromObject(secret))
		return // the drift check comes by
	}
	for _, u := range objects {
		if source := users.SourceOf(u); source != nil && source.Secret == secret.GetName() {
			r.Mark(q, u)
		}
	}
}

// readProvided reads the password that a user provides; empty without a fault = the user provides none. A Secret that
// the cache does not show is looked for past it, its metadata alone: it is missing, or nobody has labelled it.
func (p *userPass) readProvided(ctx context.Context, u *v1alpha1.KafkaUser) (string, *verdict.Verdict, error) {
	from := users.SourceOf(u)
	if from == nil {
		return "", nil, nil
	}
	if from.Secret == users.SecretName(u) {
		fault := from.Own()
		return "", &fault, nil
	}
	key := secretKey(u.Namespace, from.Secret)
	secret := &corev1.Secret{}
	err := p.r.provided.Get(ctx, key, secret)
	switch {
	case err == nil && secret.Labels[v1alpha1.LabelUse] == v1alpha1.UsePassword:
		password, fault := from.Read(secret.Data)
		return password, fault, nil
	case client.IgnoreNotFound(err) != nil:
		return "", nil, fmt.Errorf("get Secret %s: %w", key, err)
	}
	head := &metav1.PartialObjectMetadata{}
	head.SetGroupVersionKind(corev1.SchemeGroupVersion.WithKind("Secret"))
	var fault verdict.Verdict
	switch err := p.r.apiReader.Get(ctx, key, head); {
	case apierrors.IsNotFound(err):
		fault = from.Missing()
	case err != nil:
		return "", nil, fmt.Errorf("look for Secret %s: %w", key, err)
	case head.Labels[v1alpha1.LabelUse] == v1alpha1.UsePassword:
		return "", nil, errUnseenSecret
	default:
		fault = from.Unlabelled()
	}
	return "", &fault, nil
}

// errUnseenSecret: the cache is about to show what it does not show yet, which marks the user again.
var errUnseenSecret = fmt.Errorf("the cache does not show yet a Secret that has been labelled a moment ago")
