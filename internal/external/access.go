// Package external says how a cluster that somebody else runs is reached, what its answers mean, and what the status
// tells of it. It is pure: Secrets, answers and errors come in as values.
package external

import (
	"bytes"
	"cmp"
	"crypto/tls"
	"fmt"

	"github.com/castellan-dev/castellan/api/v1alpha1"
	"github.com/castellan-dev/castellan/internal/pki"
	"github.com/castellan-dev/castellan/internal/verdict"
)

// The keys of the Secrets.
const (
	usernameKey    = "username"
	passwordKey    = "password"
	certificateKey = "tls.crt"
	privateKey     = "tls.key"
	defaultCAKey   = "ca.crt"
)

// Access is everything that a connection takes. It is never printed.
type Access struct {
	Seeds []string
	// CA, Certificate and Key are PEM. Without CA there is no TLS, unless SystemRoots says whom to trust.
	CA, Certificate, Key []byte
	SystemRoots          bool
	// Mechanism is a SASL mechanism; empty = no login.
	Mechanism, Username, Password string
}

// Secrets names the Secrets that the access is made of, each once.
func Secrets(e *v1alpha1.External) []string {
	var names []string
	if e.TLS != nil && e.TLS.CASecret != nil {
		names = append(names, e.TLS.CASecret.Name)
	}
	if e.Authentication != nil && (len(names) == 0 || names[0] != e.Authentication.SecretName) {
		names = append(names, e.Authentication.SecretName)
	}
	return names
}

// Data is what the operator takes of a Secret that a spec names: nothing, nil, before its labels permit it. Whoever
// writes a KafkaCluster need not be somebody who may read the Secret.
func Data(labels map[string]string, data map[string][]byte) map[string][]byte {
	switch {
	case labels[v1alpha1.LabelUse] != v1alpha1.UseExternalCluster:
		return nil
	case data == nil:
		return map[string][]byte{}
	}
	return data
}

// Resolve makes the access from the spec and the Secrets of the namespace that it names; one that does not exist has no
// entry, and one that may not be read is nil.
func Resolve(namespace string, e *v1alpha1.External, secrets map[string]map[string][]byte) (Access, *verdict.Verdict) {
	a, given := Access{}, given{namespace, secrets}
	for _, server := range e.BootstrapServers {
		a.Seeds = append(a.Seeds, string(server))
	}
	if f := a.trust(e.TLS, given); f != nil {
		return Access{}, f
	}
	if f := a.authenticate(e.Authentication, given); f != nil {
		return Access{}, f
	}
	return a, nil
}

func (a *Access) trust(t *v1alpha1.ExternalTLS, from given) *verdict.Verdict {
	switch {
	case t == nil:
		return nil
	case t.CASecret == nil:
		a.SystemRoots = true
		return nil
	}
	const field = fieldCASecret
	key := cmp.Or(t.CASecret.Key, defaultCAKey)
	values, f := from.entries(field, t.CASecret.Name, []string{key})
	if f != nil {
		return f
	}
	// Users' Secrets in other namespaces get a copy. A private key beside the certificate must not go with it.
	if a.CA = pki.CertificatesOnly(values[0]); a.CA == nil {
		return secretFault(field, "key %q of Secret %q holds no certificate in PEM form; put the authority's there",
			key, t.CASecret.Name)
	}
	return nil
}

func (a *Access) authenticate(auth *v1alpha1.ExternalAuthentication, from given) *verdict.Verdict {
	if auth == nil {
		return nil
	}
	const field = fieldSecretName
	keys := []string{usernameKey, passwordKey}
	if auth.Mechanism == v1alpha1.ExternalTLSCertificate {
		keys = []string{certificateKey, privateKey}
	}
	values, f := from.entries(field, auth.SecretName, keys)
	if f != nil {
		return f
	}
	if auth.Mechanism == v1alpha1.ExternalTLSCertificate {
		if _, err := tls.X509KeyPair(values[0], values[1]); err != nil {
			return secretFault(field, "tls.crt and tls.key of Secret %q are no certificate with its key in PEM form; "+
				"put such a pair there",
				auth.SecretName)
		}
		a.Certificate, a.Key = values[0], values[1]
		return nil
	}
	for i, key := range keys {
		if bytes.ContainsAny(values[i], "\r\n") {
			return secretFault(field, "key %q of Secret %q holds a line break, which no login does; write it "+
				"without", key, auth.SecretName)
		}
	}
	a.Mechanism, a.Username, a.Password = string(auth.Mechanism), string(values[0]), string(values[1])
	return nil
}

// User is the name that brokers give to the operator, as far as its login tells: rules of the brokers may make another
// one of the name in a certificate. Empty = it has none.
func (a Access) User() string {
	if certificates, err := pki.ParseCertificates(a.Certificate); err == nil && len(certificates) > 0 {
		return certificates[0].Subject.String()
	}
	return a.Username
}

// given are the Secrets of a namespace that a spec names.
type given struct {
	namespace string
	secrets   map[string]map[string][]byte
}

// entries returns the values of a Secret's keys, all of which it must have.
func (g given) entries(field, name string, keys []string) ([][]byte, *verdict.Verdict) {
	data, exists := g.secrets[name]
	if !exists {
		// It stays as it is while one is created without the label: the operator does not see that.
		return nil, secretFault(field, "there is no Secret %q with the label %s; create it with %s and that label, or label "+
			"it where it has been created without: %s", name, permission, listed(keys), g.labelling(name))
	}
	if data == nil {
		return nil, secretFault(field, "Secret %q is not read: nobody has labelled it for this use; label it, if you may: %s",
			name, g.labelling(name))
	}
	values := make([][]byte, len(keys))
	for i, key := range keys {
		if values[i] = data[key]; len(values[i]) == 0 {
			return nil, secretFault(field, "Secret %q has no key %q, or an empty one; add it", name, key)
		}
	}
	return values, nil
}

// permission is the label by which whoever may write a Secret lets the operator read it.
const permission = v1alpha1.LabelUse + "=" + v1alpha1.UseExternalCluster

func (g given) labelling(name string) string {
	return fmt.Sprintf("kubectl -n %s label secret %s %s", g.namespace, name, permission)
}

func listed(keys []string) string {
	if len(keys) == 1 {
		return fmt.Sprintf("the key %q", keys[0])
	}
	return fmt.Sprintf("the keys %q and %q", keys[0], keys[1])
}

func secretFault(field, format string, args ...any) *verdict.Verdict {
	return stalled(ReasonSecret, field, format, args...)
}
