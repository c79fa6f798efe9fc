package user

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"maps"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/castellan-dev/castellan/api/v1alpha1"
	"github.com/castellan-dev/castellan/internal/mechanism"
	"github.com/castellan-dev/castellan/internal/model"
	"github.com/castellan-dev/castellan/internal/pki"
	"github.com/castellan-dev/castellan/internal/users"
	"github.com/castellan-dev/castellan/internal/verdict"
)

// connect creates or corrects the connection Secret of a holder and returns the password in it. The Secret is the only
// place where a password of the operator's is kept: it is made once, and a lost Secret means a new password. Who logs
// in by a certificate alone has none.
//
// An empty password of somebody else without an error means that something the Secret must hold is not known yet; the
// item says what. A verdict.Verdict as the error means that the Secret is somebody else's.
func (p *userPass) connect(ctx context.Context, i *userItem) (string, error) {
	for _, e := range i.endpoints {
		if e.Bootstrap == "" {
			i.await(users.ReasonListener, "waiting for the address of listener %q of KafkaCluster %q", e.Listener,
				p.pass.Cluster.Key.Name)
			return "", nil
		}
		if e.TLS && len(e.Trust.AnchorsOr(p.ca)) == 0 && !e.Trust.Public && !p.host.External {
			i.await(users.ReasonAuthority,
				"waiting for Secret %q, which holds the certificate of the CA of KafkaCluster %q",
				pki.AuthoritySecret(p.pass.Cluster.Key.Name), p.pass.Cluster.Key.Name)
			return "", nil
		}
	}
	if p.awaitsAuthority(i) {
		return "", nil
	}
	u := i.claim.Holder
	if users.Elsewhere(u) {
		return "", p.connectElsewhere(ctx, i)
	}
	secret := &corev1.Secret{}
	key := secretKey(u.Namespace, users.SecretName(u.Name))
	switch err := p.r.Client.Get(ctx, key, secret); {
	case apierrors.IsNotFound(err):
		return p.createSecret(ctx, i, key)
	case err != nil:
		return "", fmt.Errorf("get Secret %s: %w", key, err)
	case p.r.Writer.Stale(secret): // what it holds was replaced a moment ago
		return "", apierrors.NewConflict(corev1.Resource("secrets"), key.Name, errStaleSecret)
	}
	return p.adjustSecret(ctx, i, secret)
}

var errStaleSecret = errors.New("the cache does not show yet what was last written to it")

func (p *userPass) createSecret(ctx context.Context, i *userItem, key client.ObjectKey) (string, error) {
	password := ""
	if p.wants(i, mechanism.LayerSasl) {
		first, err := i.newPassword(p.r.Clock.Now())
		if err != nil || first == "" {
			return "", err
		}
		password = first
	}
	u := i.claim.Holder
	secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: key.Namespace, Name: key.Name},
		Type: users.SecretType}
	if err := p.certify(i, secret); err != nil {
		return "", err
	}
	p.fill(secret, i, password)
	i.noteMade(secret)
	if err := addSalt(secret); err != nil {
		return "", err
	}
	switch err := p.r.Writer.Create(ctx, secret); {
	case err == nil:
		i.salt = saltOf(secret)
		i.noteRenewed(secret)
		if u.Status.Binding != nil && password != "" {
			whose := "a new password"
			if i.provided != "" {
				whose = "the password of Secret " + users.SourceOf(u).Secret
			}
			p.r.Events.Eventf(u, secret, corev1.EventTypeNormal, "PasswordRenewed", "Create",
				"Secret %q was gone: it has been made anew, with %s", key.Name, whose)
		}
		return password, nil
	case !apierrors.IsAlreadyExists(err):
		return "", fmt.Errorf("create Secret %s: %w", key, err)
	}
	// It exists, and the cache does not show it. It is somebody else's, or it is ours and was made a moment ago.
	if err := p.r.apiReader.Get(ctx, key, secret); err != nil {
		return "", fmt.Errorf("get Secret %s: %w", key, err)
	}
	return p.adjustSecret(ctx, i, secret)
}

// adjustSecret corrects a Secret of ours, and writes it only when something differs.
func (p *userPass) adjustSecret(ctx context.Context, i *userItem, secret *corev1.Secret) (string, error) {
	u := i.claim.Holder
	if fault := foreign(secret, u); fault != nil {
		return "", *fault
	}
	password := ""
	if p.wants(i, mechanism.LayerSasl) {
		next, err := p.nextPassword(i, secret)
		if err != nil || next == "" {
			return "", err
		}
		password = next
	}
	before := secret.DeepCopy()
	if err := p.certify(i, secret); err != nil {
		return "", err
	}
	p.fill(secret, i, password)
	i.noteMade(secret)
	i.salt = saltOf(secret)
	// The salt comes with the next write: without it nobody can find a password of the operator's either.
	if equality.Semantic.DeepEqual(before, secret) && (i.salt != "" || password == "" || users.Generated(password)) {
		return password, nil
	}
	if i.salt == "" {
		if err := addSalt(secret); err != nil {
			return "", err
		}
	}
	if err := p.r.Writer.Update(ctx, secret); err != nil {
		return "", fmt.Errorf("update Secret %s/%s: %w", secret.Namespace, secret.Name, err)
	}
	i.salt = saltOf(secret)
	i.noteRenewed(secret)
	return password, nil
}

// foreign says that a Secret is somebody else's; nil = it is ours, or was left by a deleted object of the user's name.
func foreign(secret *corev1.Secret, u *v1alpha1.KafkaUser) *verdict.Verdict {
	owner := metav1.GetControllerOf(secret)
	if secret.Labels[v1alpha1.LabelManagedBy] == v1alpha1.ManagedBy && secret.Type == users.SecretType &&
		owner != nil && owner.Kind == "KafkaUser" && owner.Name == u.Name {
		return nil
	}
	fault := verdict.Stalled(users.ReasonSecret, "metadata.name",
		"Secret %q has been made by somebody else and is left alone; "+
			"delete or rename it, or give this KafkaUser another metadata.name", secret.Name)
	return &fault
}

// saltOf returns the salt of what the status tells of the password in a Secret; empty = there is none.
func saltOf(secret *corev1.Secret) string {
	if salt := secret.Annotations[v1alpha1.AnnotationSalt]; users.IsSalt(salt) {
		return salt
	}
	return ""
}

// addSalt puts it beside the password. It is no entry of the Secret, which are for clients.
func addSalt(secret *corev1.Secret) error {
	salt, err := users.NewSalt(rand.Reader)
	if err != nil {
		return err
	}
	if secret.Annotations == nil {
		secret.Annotations = map[string]string{}
	}
	secret.Annotations[v1alpha1.AnnotationSalt] = salt
	return nil
}

func (p *userPass) fill(secret *corev1.Secret, i *userItem, password string) {
	u := i.claim.Holder
	labels := model.Labels(p.pass.Cluster.Key.Name)
	if len(u.Name) <= 63 {
		labels[v1alpha1.LabelUser] = u.Name
	}
	if secret.Labels == nil {
		secret.Labels = map[string]string{}
	}
	maps.Copy(secret.Labels, labels)
	owner := metav1.NewControllerRef(u, v1alpha1.GroupVersion.WithKind("KafkaUser"))
	secret.OwnerReferences = []metav1.OwnerReference{*owner}
	shown := mechanism.Credential{Username: i.claim.Name, Password: password, Certificate: i.certificate.CertPEM,
		Key: i.certificate.KeyPEM}
	secret.Data = users.Connection(shown, p.ca, i.endpoints)
}

// oldPassword returns the password of a user that is being deleted; empty = its Secret is gone.
func (p *userPass) oldPassword(ctx context.Context, u *v1alpha1.KafkaUser) string {
	secret := &corev1.Secret{}
	if err := p.r.Client.Get(ctx, secretKey(u.Namespace, users.SecretName(u.Name)), secret); err != nil {
		return ""
	}
	if owner := metav1.GetControllerOf(secret); owner == nil || owner.UID != u.UID {
		return ""
	}
	return string(secret.Data[users.PasswordKey])
}

// emptySecret takes everything out of the connection Secret of a user that has lost its principal: the password, which
// would be in force again if the user were admitted again, the addresses and the CA. The Secret itself stays until its
// KafkaUser goes: to delete it the operator would need that right on every Secret.
func (p *userPass) emptySecret(ctx context.Context, u *v1alpha1.KafkaUser) error {
	secret := &corev1.Secret{}
	key := secretKey(u.Namespace, users.SecretName(u.Name))
	if err := p.r.Client.Get(ctx, key, secret); err != nil {
		return client.IgnoreNotFound(err)
	}
	if owner := metav1.GetControllerOf(secret); owner == nil || owner.UID != u.UID || len(secret.Data) == 0 {
		return nil
	}
	secret.Data = nil
	if err := p.r.Writer.Update(ctx, secret); err != nil {
		return fmt.Errorf("empty Secret %s: %w", key, err)
	}
	return nil
}
