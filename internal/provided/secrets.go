// Package provided says what becomes of the certificates and authorities that users provide for the listeners of
// clients: whether they may be presented, when, and whom clients have to trust meanwhile. It also knows which Secrets a
// spec names, and reads those alone whose owners permit it. It is pure: Secrets come in as values, and what it decides
// others write.
package provided

import (
	"slices"
	"time"

	"github.com/castellan-dev/castellan/api/v1alpha1"
	"github.com/castellan-dev/castellan/internal/model"
	"github.com/castellan-dev/castellan/internal/pki"
	"github.com/castellan-dev/castellan/internal/verdict"
)

// Ref is a Secret that a spec names, and the label by which its owner permits that.
type Ref struct{ Name, Use string }

// Secrets are those that a spec names. One that does not exist has no entry, and one that may not be read is nil.
type Secrets map[Ref]map[string][]byte

// Refs lists what specs name, each once.
func Refs(specs ...*v1alpha1.KafkaClusterSpec) []Ref {
	var refs []Ref
	add := func(secret *v1alpha1.SecretName, use string) {
		if secret != nil && !slices.Contains(refs, Ref{secret.Name, use}) {
			refs = append(refs, Ref{secret.Name, use})
		}
	}
	for _, spec := range specs {
		if spec == nil {
			continue
		}
		add(spec.ListenerAuthority, v1alpha1.UseListenerAuthority)
		if spec.TieredStorage != nil {
			for i := range spec.TieredStorage.SecretRefs {
				add(&spec.TieredStorage.SecretRefs[i], v1alpha1.UsePlugin)
			}
		}
		for _, l := range spec.Listeners {
			if l.TLS != nil {
				add(l.TLS.CertificateSecret, v1alpha1.UseListenerCertificate)
			}
			if l.Authentication != nil {
				for i := range l.Authentication.ClientAuthorities {
					add(&l.Authentication.ClientAuthorities[i], v1alpha1.UseClientAuthority)
				}
			}
			if l.Authentication != nil && l.Authentication.Custom != nil {
				add(&l.Authentication.Custom.Secret, v1alpha1.UsePlugin)
			}
			if l.Authentication != nil && l.Authentication.OAuth != nil {
				for _, entry := range []*v1alpha1.SecretEntry{
					l.Authentication.OAuth.JWKS.Secret, l.Authentication.OAuth.JWKS.CASecret,
				} {
					if entry != nil {
						add(&v1alpha1.SecretName{Name: entry.Name}, v1alpha1.UseJWKS)
					}
				}
			}
		}
	}
	return refs
}

// The reasons of verdicts about Secrets that cannot be used.
const (
	ReasonSecret     = "CertificateSecret"
	ReasonKeysSecret = "KeysSecret"
	ReasonLogin      = "LoginSecret"
	ReasonPlugin     = "PluginSecret"
)

// Entry is an entry of a Secret that the spec names for the keys of an issuer, or what is wrong with it. what says what
// it has to hold.
func (s Secrets) Entry(entry v1alpha1.SecretEntry, field, what string) ([]byte, *verdict.Verdict) {
	data, fault := s.entries(Ref{entry.Name, v1alpha1.UseJWKS}, field+".name", ReasonKeysSecret, what+" in "+entry.Key)
	if fault != nil {
		return nil, fault
	}
	value, exists := data[entry.Key]
	if !exists {
		missing := verdict.Stalled(ReasonKeysSecret, field+".key", "Secret %q has no entry %q; put %s there, or name the "+
			"entry that has it", entry.Name, entry.Key, what)
		return nil, &missing
	}
	return value, nil
}

// Data is what the operator takes of a Secret: nothing, nil, before its label permits that use.
func (r Ref) Data(labels map[string]string, data map[string][]byte) map[string][]byte {
	switch {
	case labels[v1alpha1.LabelUse] != r.Use:
		return nil
	case data == nil:
		return map[string][]byte{}
	}
	return data
}

// entries are those of a Secret, or what is wrong with it as a whole.
func (s Secrets) entries(ref Ref, field, reason, what string) (map[string][]byte, *verdict.Verdict) {
	data, exists := s[ref]
	var fault verdict.Verdict
	switch {
	case !exists:
		// It stays as it is while one is created without the label: the operator does not see that.
		label := v1alpha1.LabelUse + "=" + ref.Use
		fault = verdict.Stalled(reason, field, "there is no Secret %q in the namespace of the KafkaCluster with the label "+
			"%s; create it with %s and that label%s, or label it where it has been created without: kubectl label secret %s "+
			"%s", ref.Name, label, what, issuers[ref.Use], ref.Name, label)
	case data == nil:
		fault = verdict.Stalled(reason, field, "Secret %q is not read: nobody has labelled it for this use; label it, "+
			"if you may: kubectl label secret %s %s=%s", ref.Name, ref.Name, v1alpha1.LabelUse, ref.Use)
	default:
		return data, nil
	}
	return nil, &fault
}

// issuers is how to find out why a Secret is missing that somebody else may issue, by its use.
var issuers = map[string]string{
	v1alpha1.UseListenerCertificate: orSee,
	v1alpha1.UseListenerAuthority:   orSee,
}

const orSee = ", or see what keeps who issues it (cert-manager: kubectl describe certificate)"

const certificateAndKey = pki.TLSCertificate + ", " + pki.TLSKey

// source is what a listener shall present: a certificate, what an authority signs, or neither, which is what the
// cluster's own authority signs.
type source struct {
	certificate, authority *pki.Served
}

func (s source) trust(own []byte) model.Trust {
	served := s.certificate
	if served == nil {
		served = s.authority
	}
	if served == nil {
		return model.Trust{Anchors: string(own)}
	}
	return model.Trust{Anchors: string(served.Anchors), Public: served.Anchors == nil}
}

// read finds out what a listener shall present.
func (l *Listener) read(secrets Secrets, now time.Time) (source, *verdict.Verdict) {
	if name := l.Listener.CertificateSecret; name != "" {
		field := model.ListenerField(l.Listener.Name, "tls.certificateSecret.name")
		data, fault := secrets.entries(Ref{name, v1alpha1.UseListenerCertificate}, field, ReasonSecret, certificateAndKey)
		if fault != nil {
			return source{}, fault
		}
		served, err := pki.ParseServed(data, now)
		if err != nil {
			return source{}, refused(field, "Secret %q: %v", name, err)
		}
		return source{certificate: served}, l.fits(served, field)
	}
	if l.Authority == "" {
		return source{}, nil
	}
	const field = "spec.listenerAuthority.name"
	data, fault := secrets.entries(Ref{l.Authority, v1alpha1.UseListenerAuthority}, field, ReasonSecret, certificateAndKey)
	if fault != nil {
		return source{}, fault
	}
	signer, err := pki.ParseSigner(data, now)
	if err != nil {
		return source{}, refused(field, "Secret %q: %v", l.Authority, err)
	}
	if len(l.Names) > 0 {
		if err := signer.Permits(Request(l.Names), now); err != nil {
			return source{}, refused(field, "Secret %q does not permit the names of listener %s: %v", l.Authority,
				l.Listener.Name, err)
		}
	}
	return source{authority: signer}, nil
}

// roomForCopies is what all copies of a certificate in the Secrets of a pool may take.
const roomForCopies = 3 << 20

// fits tells why a certificate that is good in itself is not one for this listener; nil = it is.
func (l *Listener) fits(served *pki.Served, field string) *verdict.Verdict {
	name := l.Listener.CertificateSecret
	for _, needed := range l.Names {
		if !served.Covers(needed) {
			return refused(field, "Secret %q: the certificate does not name %s, which clients are told to connect to; have one "+
				"issued that does (an asterisk stands for one label), or advertise other names", name, needed)
		}
	}
	if served.IsRSA() && slices.ContainsFunc(l.Listener.CipherSuites, isOfECDSA) {
		return refused(field, "Secret %q: its key is RSA, and tls.cipherSuites has suites for EC keys; remove those, or "+
			"have one issued with an EC key", name)
	}
	if size := l.Copies * len(served.Bundle()); size > roomForCopies {
		return refused(field, "Secret %q: the copies for %d brokers of a pool take %d bytes, and there is room for %d; use "+
			"a shorter chain or an EC key, or spread the brokers over more pools", name, l.Copies, size, roomForCopies)
	}
	return nil
}

func isOfECDSA(suite string) bool { return len(suite) > 15 && suite[:15] == "TLS_ECDHE_ECDSA" }

func refused(field, format string, args ...any) *verdict.Verdict {
	fault := verdict.Stalled(ReasonSecret, field, format, args...)
	return &fault
}
