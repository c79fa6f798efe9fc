package user

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/castellan-dev/castellan/api/v1alpha1"
	"github.com/castellan-dev/castellan/controllers/batch"
	"github.com/castellan-dev/castellan/internal/claim"
	"github.com/castellan-dev/castellan/internal/mechanism"
	"github.com/castellan-dev/castellan/internal/model"
	"github.com/castellan-dev/castellan/internal/pki"
	"github.com/castellan-dev/castellan/internal/users"
	"github.com/castellan-dev/castellan/internal/verdict"
)

// connect creates or corrects the connection Secret of a holder and returns the password in it. The Secret is the only
// place where a password of the operator's is kept: it is made once, and a lost Secret means a new password. Who logs
// in by a certificate alone, or by a credential from elsewhere, has none. Where the Secret cannot have the name that
// the spec asks for, the one that there is goes on.
//
// An empty password of somebody who has one, without an error, means that something the Secret must hold is not known
// yet; the item says what. A verdict.Verdict as the error means that the Secret cannot be as the spec asks for.
func (p *userPass) connect(ctx context.Context, i *userItem) (string, error) {
	if p.awaitsAddress(i) || p.awaitsAuthority(i) {
		return "", nil
	}
	u := i.claim.Holder
	var err error
	if i.owned, err = p.owned(ctx, u); err != nil {
		return "", err
	}
	name, bound := users.SecretName(u), boundSecret(u)
	password, err := p.connectAt(ctx, i, name)
	if fault, is := errors.AsType[verdict.Verdict](err); is && bound != name && i.owned[bound] != nil {
		i.fault(fault)
		return p.connectAt(ctx, i, bound)
	}
	return password, err
}

// awaitsAddress says of a user that what its clients need to find a listener and to trust it is not known yet.
func (p *userPass) awaitsAddress(i *userItem) bool {
	for _, e := range i.endpoints {
		if e.Bootstrap == "" {
			i.await(users.ReasonListener, "waiting for the address of listener %q of KafkaCluster %q", e.Listener,
				p.pass.Cluster.Key.Name)
			return true
		}
		if e.TLS && len(e.Trust.AnchorsOr(p.ca)) == 0 && !e.Trust.Public && !p.host.External {
			i.await(users.ReasonAuthority,
				"waiting for Secret %q, which holds the certificate of the CA of KafkaCluster %q",
				pki.AuthoritySecret(p.pass.Cluster.Key.Name), p.pass.Cluster.Key.Name)
			return true
		}
	}
	return false
}

// owned are the connection Secrets of an object, by name. It has one but after another name was asked for.
func (p *userPass) owned(ctx context.Context, u *v1alpha1.KafkaUser) (map[string]*corev1.Secret, error) {
	var list corev1.SecretList
	if err := p.r.Client.List(ctx, &list, client.InNamespace(u.Namespace),
		client.MatchingFields{batch.OwnerIndex: string(u.UID)}); err != nil {
		return nil, fmt.Errorf("list the Secrets of KafkaUser %s/%s: %w", u.Namespace, u.Name, err)
	}
	all := map[string]*corev1.Secret{}
	for n := range list.Items {
		all[list.Items[n].Name] = &list.Items[n]
	}
	return all, nil
}

// held is the connection Secret that an object has; nil = it is gone.
func (p *userPass) held(ctx context.Context, u *v1alpha1.KafkaUser) *corev1.Secret {
	owned, err := p.owned(ctx, u)
	if err != nil {
		return nil
	}
	return owned[cmp.Or(boundSecret(u), users.SecretName(u))]
}

func (p *userPass) connectAt(ctx context.Context, i *userItem, name string) (string, error) {
	i.secret, i.renamed = name, nil
	if former := i.owned[boundSecret(i.claim.Holder)]; former != nil && former.Name != name && len(former.Data) > 0 {
		i.renamed = former
		if p.r.Writer.Stale(former) {
			return "", apierrors.NewConflict(corev1.Resource("secrets"), former.Name, errStaleSecret)
		}
	}
	key := secretKey(i.claim.Holder.Namespace, name)
	secret := i.owned[name]
	if secret == nil { // there is none, or it is somebody else's
		secret = &corev1.Secret{}
		err := p.r.Client.Get(ctx, key, secret)
		if apierrors.IsNotFound(err) {
			return p.createSecret(ctx, i, key)
		} else if err != nil {
			return "", fmt.Errorf("get Secret %s: %w", key, err)
		}
	}
	if p.r.Writer.Stale(secret) { // what it holds was replaced a moment ago
		return "", apierrors.NewConflict(corev1.Resource("secrets"), key.Name, errStaleSecret)
	}
	return p.adjustSecret(ctx, i, secret.DeepCopy())
}

var errStaleSecret = errors.New("the cache does not show yet what was last written to it")

// carry puts into a Secret what makes the one with the former name this user's: what it shows to log in, and what is
// noted beside that.
func (i *userItem) carry(secret *corev1.Secret) {
	if i.renamed == nil {
		return
	}
	secret.Data, secret.OwnerReferences = i.renamed.Data, i.renamed.OwnerReferences
	if secret.Annotations == nil {
		secret.Annotations = map[string]string{}
	}
	for _, key := range []string{v1alpha1.AnnotationSalt, v1alpha1.AnnotationPasswordMade,
		v1alpha1.AnnotationReissueCertificate, v1alpha1.AnnotationFormerCertificate} {
		if value, is := i.renamed.Annotations[key]; is {
			secret.Annotations[key] = value
		} else {
			delete(secret.Annotations, key)
		}
	}
	formers := append(formersOf(i.renamed), i.renamed.Name)
	formers = slices.DeleteFunc(formers, func(name string) bool { return name == secret.Name })
	slices.Sort(formers)
	secret.Annotations[v1alpha1.AnnotationFormerSecrets] = strings.Join(slices.Compact(formers), " ")
}

// formersOf are the names of the Secrets whose place one has taken.
func formersOf(secret *corev1.Secret) []string {
	return strings.Fields(secret.Annotations[v1alpha1.AnnotationFormerSecrets])
}

func (p *userPass) createSecret(ctx context.Context, i *userItem, key client.ObjectKey) (string, error) {
	secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: key.Namespace, Name: key.Name},
		Type: users.SecretType}
	i.carry(secret)
	password := ""
	if p.wantsPassword(i) {
		first, err := p.firstPassword(i, secret)
		if err != nil || first == "" {
			return "", err
		}
		password = first
	}
	if err := p.fillAll(i, secret, password); err != nil {
		return "", err
	}
	if err := p.addSalt(i, secret); err != nil {
		return "", err
	}
	switch err := p.r.Writer.Create(ctx, secret); {
	case err == nil:
		i.salt = saltOf(secret)
		i.noteRenewed(secret)
		p.tellFresh(i, secret)
		p.tellMade(i, secret, password)
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

func (p *userPass) firstPassword(i *userItem, secret *corev1.Secret) (string, error) {
	if i.renamed != nil {
		return p.nextPassword(i, secret)
	}
	return i.newPassword(p.r.Clock.Now())
}

// tellMade says that a Secret was made for a user that had one.
func (p *userPass) tellMade(i *userItem, secret *corev1.Secret, password string) {
	u := i.claim.Holder
	switch {
	case i.renamed != nil:
		p.r.Events.Eventf(u, secret, corev1.EventTypeNormal, "SecretRenamed", "Create",
			"Secret %q takes the place of Secret %q, which is emptied", secret.Name, i.renamed.Name)
	case u.Status.Binding != nil && password != "":
		whose := "a new password"
		if i.provided != "" {
			whose = "the password of Secret " + users.SourceOf(u).Secret
		}
		p.r.Events.Eventf(u, secret, corev1.EventTypeNormal, "PasswordRenewed", "Create",
			"Secret %q was gone: it has been made anew, with %s", secret.Name, whose)
	}
}

// adjustSecret corrects a Secret of ours, and writes it only when something differs. One from the cache has shrunk; see
// InCache.
func (p *userPass) adjustSecret(ctx context.Context, i *userItem, secret *corev1.Secret) (string, error) {
	u := i.claim.Holder
	if fault := foreign(secret, u); fault != nil {
		return "", *fault
	}
	before := secret.DeepCopy()
	i.carry(secret)
	password := ""
	if p.wantsPassword(i) {
		next, err := p.nextPassword(i, secret)
		if err != nil || next == "" {
			return "", err
		}
		password = next
	}
	if err := p.fillAll(i, secret, password); err != nil {
		return "", err
	}
	i.salt = saltOf(secret)
	// The salt comes with the next write: without it nobody can find a password of the operator's either.
	if same(before, secret) && (i.salt != "" || password == "" || users.Generated(password)) {
		return password, nil
	}
	if err := p.addSalt(i, secret); err != nil {
		return "", err
	}
	if err := p.r.Writer.Update(ctx, secret); err != nil {
		return "", fmt.Errorf("update Secret %s/%s: %w", secret.Namespace, secret.Name, err)
	}
	i.salt = saltOf(secret)
	i.noteRenewed(secret)
	p.tellFresh(i, secret)
	return password, nil
}

// foreign says that a Secret is somebody else's; nil = it is ours, or was left by a deleted object of the user's name.
func foreign(secret *corev1.Secret, u *v1alpha1.KafkaUser) *verdict.Verdict {
	owner := metav1.GetControllerOf(secret)
	ours := secret.Labels[v1alpha1.LabelManagedBy] == v1alpha1.ManagedBy && secret.Type == users.SecretType &&
		owner != nil && owner.Kind == "KafkaUser"
	if ours && owner.Name == u.Name {
		return nil
	}
	whose := "has been made by somebody else"
	if ours {
		whose = fmt.Sprintf("is that of KafkaUser %q", owner.Name)
	}
	fault := verdict.Stalled(users.ReasonSecret, users.NameField(u),
		"Secret %q %s and is left alone; delete or rename it, or give this KafkaUser another spec.binding.name",
		secret.Name, whose)
	fault.After, fault.AtMost = claim.TakenLook, claim.TakenLookLimit
	return &fault
}

// saltOf returns the salt of what the status tells of the password in a Secret; empty = there is none.
func saltOf(secret *corev1.Secret) string {
	if salt := secret.Annotations[v1alpha1.AnnotationSalt]; users.IsSalt(salt) {
		return salt
	}
	return ""
}

// addSalt puts it beside the password, where there is none. It is no entry of the Secret, which are for clients. A user
// whose credential is not the operator's needs none.
func (p *userPass) addSalt(i *userItem, secret *corev1.Secret) error {
	if saltOf(secret) != "" || users.Elsewhere(i.claim.Holder) {
		return nil
	}
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

// fillAll writes into a Secret all that it shall hold.
func (p *userPass) fillAll(i *userItem, secret *corev1.Secret, password string) error {
	if err := p.certify(i, secret); err != nil {
		return err
	}
	if err := p.fill(secret, i, password); err != nil {
		return err
	}
	if fault := users.TooLarge(secret); fault != nil {
		return *fault
	}
	i.noteMade(secret)
	i.formers = formersOf(secret)
	if users.Elsewhere(i.claim.Holder) {
		delete(secret.Annotations, v1alpha1.AnnotationSalt)
	}
	return nil
}

func (p *userPass) fill(secret *corev1.Secret, i *userItem, password string) error {
	u := i.claim.Holder
	for _, fault := range users.Dress(secret, u) {
		i.fault(fault)
	}
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
	layout := users.LayoutOf(u)
	for _, fault := range layout.Unfit(shown) {
		i.fault(fault)
	}
	if layout.Stores() {
		layout.StorePassword = string(secret.Data[users.StorePasswordKey])
		if !users.Generated(layout.StorePassword) {
			var err error
			if layout.StorePassword, err = users.NewPassword(rand.Reader); err != nil {
				return err
			}
		}
	}
	data, err := layout.Connection(shown, p.ca, i.endpoints)
	if err != nil {
		return err
	}
	secret.Data = data
	return nil
}

// oldPassword returns the password of a user that is being deleted; empty = its Secret is gone.
func (p *userPass) oldPassword(ctx context.Context, u *v1alpha1.KafkaUser) string {
	if secret := p.held(ctx, u); secret != nil {
		return string(secret.Data[users.PasswordKey])
	}
	return ""
}

// emptySecrets takes everything out of connection Secrets of an object that have another name now, or whose user has
// lost its principal: the password, which would be in force again if it were admitted again, the addresses and the CA.
// The Secrets themselves stay until their KafkaUser goes: to delete one the operator would need that right on every
// Secret.
func (p *userPass) emptySecrets(ctx context.Context, owned map[string]*corev1.Secret, names []string) error {
	for _, name := range names {
		secret := owned[name]
		if secret == nil || len(secret.Data) == 0 {
			continue
		}
		empty := secret.DeepCopy()
		empty.Data = nil
		if err := p.r.Writer.Update(ctx, empty); err != nil {
			return fmt.Errorf("empty Secret %s/%s: %w", secret.Namespace, name, err)
		}
	}
	return nil
}
