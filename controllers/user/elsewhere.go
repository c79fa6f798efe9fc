package user

import (
	"context"
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/castellan-dev/castellan/api/v1alpha1"
	"github.com/castellan-dev/castellan/internal/mechanism"
	"github.com/castellan-dev/castellan/internal/users"
)

// connectElsewhere creates or corrects the connection Secret of a user that has its credential from elsewhere: all that
// a client needs but that. A password that stood in it goes.
func (p *userPass) connectElsewhere(ctx context.Context, i *userItem) error {
	u := i.claim.Holder
	key := secretKey(u.Namespace, users.SecretName(u.Name))
	secret := &corev1.Secret{}
	err := p.r.Client.Get(ctx, key, secret)
	if apierrors.IsNotFound(err) {
		fresh := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: key.Namespace, Name: key.Name},
			Type: users.SecretType}
		p.fill(fresh, i, "")
		if err = p.r.Writer.Create(ctx, fresh); err == nil {
			return nil
		}
		if !apierrors.IsAlreadyExists(err) {
			return fmt.Errorf("create Secret %s: %w", key, err)
		}
		err = p.r.apiReader.Get(ctx, key, secret) // it is somebody else's, or was made a moment ago
	}
	if err != nil {
		return fmt.Errorf("get Secret %s: %w", key, err)
	}
	if fault := foreign(secret, u); fault != nil {
		return *fault
	}
	before := secret.DeepCopy()
	p.fill(secret, i, "")
	delete(secret.Annotations, v1alpha1.AnnotationSalt)
	if equality.Semantic.DeepEqual(before, secret) {
		return nil
	}
	if err := p.r.Writer.Update(ctx, secret); err != nil {
		return fmt.Errorf("update Secret %s: %w", key, err)
	}
	return nil
}

// provable are the mechanisms by which the operator can log in to see them work, or be refused.
func provable(mechanisms []v1alpha1.Mechanism) []v1alpha1.Mechanism {
	return slices.DeleteFunc(slices.Clone(mechanisms), func(m v1alpha1.Mechanism) bool {
		row, known := mechanism.Of(m)
		return known && !row.Offered()
	})
}

// needsScram tells whether an object of the claim has, or asks for, a credential that the operator makes.
func (p *userPass) needsScram(i *userItem) bool {
	return slices.ContainsFunc(i.concerned(), func(u *v1alpha1.KafkaUser) bool { return !users.Elsewhere(u) })
}
