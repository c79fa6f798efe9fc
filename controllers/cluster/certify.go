package cluster

import (
	"context"
	"fmt"
	"maps"
	"slices"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/castellan-dev/castellan/api/v1alpha1"
	"github.com/castellan-dev/castellan/internal/apply"
	"github.com/castellan-dev/castellan/internal/decide"
	"github.com/castellan-dev/castellan/internal/model"
	"github.com/castellan-dev/castellan/internal/pki"
)

// certify keeps the cluster's certificate authority and the keys of every node.
func (r *Reconciler) certify(ctx context.Context, s *scope) error {
	state := s.decision.Authority
	if state.Problem != "" {
		return nil // the decision says what to restore
	}
	name := pki.AuthoritySecret(s.base.Name)
	if s.taken(model.KindSecret, name) {
		return nil // and so does it about somebody else's
	}
	if state.ToBeMade {
		var err error
		state.Authority, err = r.makeAuthority(ctx, s, name, pki.AuthorityName(s.base.Namespace, s.base.Name))
		if err != nil {
			return err
		}
	}
	if state.Renew != "" {
		var err error
		if state.Authority, err = r.renewAuthority(ctx, s, name, state.Authority); err != nil {
			return err
		}
		r.event(s, corev1.EventTypeNormal, "AuthorityRenewed",
			"the certificate authority has a new certificate for its key, because of the former one: "+state.Renew)
	}
	if err := r.certifyClients(ctx, s, &state.Clients); err != nil {
		return err
	}
	if state.Turn != decide.NoTurn && !r.waitsForProof(s, state.Turn) {
		return r.turnAuthority(ctx, s, state)
	}
	d := &s.decision
	for _, secret := range decide.KeySecrets(d.Model, d.Observation, s.seen.Live, state, s.seen.Now) {
		if secret.Current {
			continue
		}
		if err := r.issue(ctx, s, state.Authority, secret); err != nil {
			return err
		}
	}
	return nil
}

// certifyClients keeps the authority for users' certificates.
func (r *Reconciler) certifyClients(ctx context.Context, s *scope, state *decide.ClientsState) (err error) {
	name := pki.ClientsAuthoritySecret(s.base.Name)
	switch {
	case s.taken(model.KindSecret, name): // the decision says so
	case state.ToBeMade:
		state.Authority, err = r.makeAuthority(ctx, s, name,
			pki.ClientsAuthorityName(s.base.Namespace, s.base.Name, s.seen.Now))
	case state.Renew != "":
		state.Authority, err = r.renewAuthority(ctx, s, name, state.Authority)
	}
	return err
}

// makeAuthority makes an authority of that common name, and keeps it in a Secret.
func (r *Reconciler) makeAuthority(ctx context.Context, s *scope, name, commonName string) (pki.Authority, error) {
	authority, err := pki.NewAuthority(commonName, s.seen.Now)
	if err != nil {
		return pki.Authority{}, fmt.Errorf("make the authority of Secret %s/%s: %w", s.base.Namespace, name, err)
	}
	secret := s.secret(name, map[string][]byte{
		pki.AuthorityCertificate: authority.CertPEM, pki.AuthorityKey: authority.KeyPEM,
	})
	if err := r.Create(ctx, secret, client.FieldOwner(apply.FieldOwner)); err != nil {
		return pki.Authority{}, fmt.Errorf("create Secret %s/%s: %w", secret.Namespace, secret.Name, err)
	}
	return authority, nil
}

// renewAuthority gives the authority of a Secret a new certificate for its key, and only then is anything signed by it.
func (r *Reconciler) renewAuthority(
	ctx context.Context, s *scope, name string, former pki.Authority,
) (pki.Authority, error) {
	renewed, err := pki.RenewAuthority(former, s.seen.Now)
	if err != nil {
		return pki.Authority{}, fmt.Errorf("renew the authority of Secret %s/%s: %w", s.base.Namespace, name, err)
	}
	before := s.seen.Live.Secrets[name]
	after := before.DeepCopy()
	after.Data[pki.AuthorityCertificate] = renewed.CertPEM
	if err := r.writeAuthority(ctx, before, after); err != nil {
		return pki.Authority{}, err
	}
	return renewed, nil
}

// waitsForProof tells whether clients still need the former authority: some broker has not been seen to show what the
// next one has signed.
func (r *Reconciler) waitsForProof(s *scope, turn decide.Turn) bool {
	return turn == decide.ForgetFormer && slices.ContainsFunc(s.decision.Presenting, func(p decide.Presenting) bool {
		return !r.proofs.of(s.key(), p).seen
	})
}

// turnAuthority records the beginning of a round. What follows from it is done by the next passes, whoever makes them.
func (r *Reconciler) turnAuthority(ctx context.Context, s *scope, state decide.AuthorityState) error {
	var next pki.Authority
	if state.Turn == decide.TrustNext {
		var err error
		if next, err = pki.NewAuthority(pki.AuthorityName(s.base.Namespace, s.base.Name), s.seen.Now); err != nil {
			return fmt.Errorf("make the next certificate authority for %s: %w", s.key(), err)
		}
	}
	before := s.seen.Live.Secrets[pki.AuthoritySecret(s.base.Name)]
	after := before.DeepCopy()
	after.Data = state.Turned(next, s.base.Annotations[v1alpha1.AnnotationReplaceAuthority])
	if err := r.writeAuthority(ctx, before, after); err != nil {
		return err
	}
	r.event(s, corev1.EventTypeNormal, string(state.Turn), "replacing the key of the certificate authority: "+
		turns[state.Turn])
	s.lookAgain(whenBehind)
	return nil
}

var turns = map[decide.Turn]string{
	decide.TrustNext:    "every node restarts to trust the next one too",
	decide.PresentNext:  "the next one signs from now on, and every node restarts to present what it has signed",
	decide.ForgetFormer: "every node restarts to trust the next one alone",
}

// writeAuthority writes the Secret of the authority, if nobody has written it since it was read.
func (r *Reconciler) writeAuthority(ctx context.Context, before, after *corev1.Secret) error {
	patch := client.MergeFromWithOptions(before, client.MergeFromWithOptimisticLock{})
	if err := r.Patch(ctx, after, patch, client.FieldOwner(apply.FieldOwner)); err != nil {
		return fmt.Errorf("write Secret %s/%s: %w", after.Namespace, after.Name, err)
	}
	return nil
}

// issue issues what is missing of a key Secret, and writes it.
func (r *Reconciler) issue(ctx context.Context, s *scope, authority pki.Authority, wanted decide.KeySecret) error {
	data := maps.Clone(wanted.Keep)
	for _, leaf := range wanted.Issue {
		signer := authority
		if leaf.Signer != nil {
			signer = leaf.Signer.Signs()
		}
		issued, err := pki.Issue(signer, leaf.Request, s.seen.Now)
		if err != nil {
			return fmt.Errorf("issue the certificate %s of Secret %s/%s: %w", leaf.Entry, s.base.Namespace, wanted.Name, err)
		}
		if leaf.Signer != nil {
			issued = leaf.Signer.Chained(issued)
		}
		data[leaf.Entry+".pem"] = issued.Bundle()
	}
	written, err := r.apply(ctx, s, model.KindSecret, s.secret(wanted.Name, data), orNil(s.seen.Live.Secrets[wanted.Name]))
	if written {
		s.lookAgain(whenBehind)
	}
	return err
}

func (s *scope) secret(name string, data map[string][]byte) *corev1.Secret {
	secret := &corev1.Secret{
		TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: "Secret"},
		ObjectMeta: metav1.ObjectMeta{Namespace: s.base.Namespace, Name: name, Labels: model.Labels(s.base.Name)},
		Data:       data,
	}
	apply.Own(secret, s.base, model.KindCluster, v1alpha1.GroupVersion.String())
	return secret
}
