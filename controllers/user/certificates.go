package user

import (
	"context"
	"fmt"
	"slices"
	"sync"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/castellan-dev/castellan/api/v1alpha1"
	"github.com/castellan-dev/castellan/internal/connect"
	"github.com/castellan-dev/castellan/internal/mechanism"
	"github.com/castellan-dev/castellan/internal/pki"
	"github.com/castellan-dev/castellan/internal/plainauth"
	"github.com/castellan-dev/castellan/internal/users"
	"github.com/castellan-dev/castellan/internal/verdict"
)

// A user's certificate is written to its connection Secret first, and to the brokers' list in the same flush. In
// between, brokers refuse whoever reads the Secret at once; those who mount it get it later than brokers do, whose
// pods are touched. The list is made from the Secrets, so that whatever a crash leaves behind is put right by the next
// flush: a line that no Secret vouches for goes.

// authority is the one that signs certificates of users, as far as this flush knows.
type authority struct {
	pki.Authority
	exists bool
}

func (p *userPass) meetClientsAuthority(ctx context.Context) (err error) {
	p.clients.Authority, p.clients.exists, err = connect.ClientsAuthority(ctx, p.r.Client, p.pass.Cluster.Key)
	return err
}

// awaitsAuthority says of a user that wants a certificate that nobody can sign one yet.
func (p *userPass) awaitsAuthority(i *userItem) bool {
	if p.clients.exists || !mechanism.Uses(i.mechanisms, mechanism.CertificateFile) {
		return false
	}
	i.await(users.ReasonAuthority,
		"waiting for Secret %q, which holds the CA that signs certificates of users of KafkaCluster %q",
		pki.ClientsAuthoritySecret(p.pass.Cluster.Key.Name), p.pass.Cluster.Key.Name)
	return true
}

// wants tells whether the connection Secret has to hold what mechanisms of a layer show: the spec asks for one, or one
// is on record and still opens something.
func (p *userPass) wants(i *userItem, layer mechanism.Layer) bool {
	asked := i.mechanisms
	if layer == mechanism.LayerSasl { // a password outlives a listener that offers the mechanism no more
		asked = i.claim.Holder.Spec.Authentication.Mechanisms
	}
	stand := recorded(users.Recorded(i.claim.Holder, p.pass.Cluster.ID()))
	return mechanism.At(asked, layer) || mechanism.At(stand, layer)
}

// wantsPassword tells whether the connection Secret has to hold a password. One whose credential comes from elsewhere
// has none, whatever stands in Kafka until it is taken away.
func (p *userPass) wantsPassword(i *userItem) bool {
	return !users.Elsewhere(i.claim.Holder) && p.wants(i, mechanism.LayerSasl)
}

// recorded are the mechanisms on record.
func recorded(c *v1alpha1.Credentials) (all []v1alpha1.Mechanism) {
	if c != nil {
		for _, s := range c.Mechanisms {
			all = append(all, s.Mechanism)
		}
	}
	return all
}

// certify decides which certificate the holder has from now on, and annotates its Secret. A Secret that was a
// predecessor's has none of this user's. Without TLS in the spec, one on record stays as it is.
func (p *userPass) certify(i *userItem, secret *corev1.Secret) error {
	u := i.claim.Holder
	have := users.CertificateIn(secret)
	if owner := metav1.GetControllerOf(secret); owner == nil || owner.UID != u.UID {
		have = users.Certificate{}
	}
	switch {
	case users.Elsewhere(u) || !p.wants(i, mechanism.LayerTLS):
		have = users.Certificate{}
	case mechanism.Uses(i.mechanisms, mechanism.CertificateFile):
		known := users.RecordedCertificate(users.Recorded(u, p.pass.Cluster.ID()))
		next, why, err := have.Next(i.claim.Name, users.ReissueRequest(u), known, p.clients.Authority, p.r.Clock.Now())
		if err != nil {
			return fmt.Errorf("certificate of user %q: %w", i.claim.Name, err)
		}
		if why != "" && known != nil {
			i.told = why
		}
		have = next
	}
	i.certificate = have
	have.Annotate(secret)
	return nil
}

// noteRenewed remembers the Secret of a user that has another certificate, once it has been written. Of hundreds in a
// flush no more is kept than what an event needs.
func (i *userItem) noteRenewed(secret *corev1.Secret) {
	if i.told != "" {
		i.renewed = &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: secret.Namespace, Name: secret.Name,
			UID: secret.UID}}
	}
}

// tellCertificates says which users have another certificate, and what has become of the former one by now.
func (p *userPass) tellCertificates() {
	for _, i := range p.items {
		if i.renewed == nil {
			continue
		}
		former := "the former one opens nothing any more"
		switch {
		case i.certificate.Former != "":
			former = "the former one is good until its end"
		case !p.listed || !i.changes():
			former = "the former one lets in until the list that brokers read has been written, which is tried again"
		}
		p.r.Events.Eventf(i.claim.Holder, i.renewed, corev1.EventTypeNormal, "CertificateRenewed", "Issue",
			"Secret %q holds a new certificate; the reason: %s; %s", i.renewed.Name, i.told, former)
	}
}

// certifiedUsers returns the users of this flush that have a certificate in force.
func (p *userPass) certifiedUsers() map[string]users.Certificate {
	set := map[string]users.Certificate{}
	for _, i := range p.items {
		if i.changes() && mechanism.Uses(i.desired.Mechanisms, mechanism.CertificateFile) {
			set[i.claim.Name] = i.certificate
		}
	}
	return set
}

// oldCertificate returns the certificate of a user that is being deleted; none = its Secret is gone.
func (p *userPass) oldCertificate(ctx context.Context, u *v1alpha1.KafkaUser) users.Certificate {
	if secret := p.held(ctx, u); secret != nil {
		return users.CertificateIn(secret)
	}
	return users.Certificate{}
}

// renewLater has a user looked at when its certificate is to be renewed.
func (p *userPass) renewLater(i *userItem) {
	if i.claim.Holder == nil || !mechanism.Uses(i.mechanisms, mechanism.CertificateFile) {
		return
	}
	if at := pki.RenewsAt(i.certificate.Leaf, p.clients.Authority); !at.IsZero() {
		p.r.Queue.MarkAfter(p.pass.Cluster.Key, at.Sub(p.r.Clock.Now()), i.claim.Name)
	}
}

// outlived tells whether the connection Secret holds what opens nothing any more, once the record is written.
func (i *userItem) outlived() bool {
	u, now := i.claim.Holder, recorded(i.report.Credentials)
	if i.state != granting || len(now) == 0 {
		return false
	}
	password := mechanism.At(slices.Concat(now, u.Spec.Authentication.Mechanisms), mechanism.LayerSasl)
	certificate := mechanism.At(slices.Concat(now, i.mechanisms), mechanism.LayerTLS)
	return i.desired.Password != "" && !password || len(i.certificate.CertPEM) > 0 && !certificate
}

// room is what is left in the Secrets that brokers read, for users that have no certificate there yet.
type room struct {
	sync.Mutex
	places *users.Places // nil = they have not been read yet
}

// admitCertificate takes TLS from a user that cannot have a certificate, and says why. Its other mechanisms stay.
func (p *userPass) admitCertificate(ctx context.Context, i *userItem) error {
	if !mechanism.Uses(i.mechanisms, mechanism.CertificateFile) {
		return nil
	}
	fault := users.UnfitName(i.claim.Name)
	if fault == nil {
		full, err := p.full(ctx, i.claim.Name)
		if err != nil {
			return err
		}
		fault = full
	}
	if fault == nil {
		return nil
	}
	i.fault(*fault)
	i.mechanisms = slices.DeleteFunc(i.mechanisms, func(m v1alpha1.Mechanism) bool {
		return mechanism.Uses([]v1alpha1.Mechanism{m}, mechanism.CertificateFile)
	})
	i.endpoints = users.Endpoints(p.host, i.mechanisms)
	return nil
}

// full refuses whoever is not in the list and finds no room; nil = there is room, and it is taken.
func (p *userPass) full(ctx context.Context, name string) (*verdict.Verdict, error) {
	p.room.Lock()
	defer p.room.Unlock()
	if p.room.places == nil {
		parts, err := p.readParts(ctx)
		if err != nil {
			return nil, err
		}
		p.room.places = users.PlacesIn(heldBy(parts), p.r.partRoom, plainauth.MaxParts)
	}
	if p.room.places.Certify(name) {
		return nil, nil
	}
	fault := users.NoRoom(p.host, p.room.places.Certified())
	return &fault, nil
}
