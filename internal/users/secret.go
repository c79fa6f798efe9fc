package users

import (
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/castellan-dev/castellan/api/v1alpha1"
	"github.com/castellan-dev/castellan/internal/mechanism"
	"github.com/castellan-dev/castellan/internal/pki"
)

const (
	// SecretType is that of Service Binding for Kubernetes for Kafka.
	SecretType corev1.SecretType = "servicebinding.io/kafka"
	// PasswordKey is the key of the password in a connection Secret.
	PasswordKey = "password"
	// authorityEntry has the certificates by which a client knows the brokers.
	authorityEntry = "ca.crt"

	secretSuffix  = "-kafka"
	maxSecretName = 253
)

// SecretName names the connection Secret of a KafkaUser.
func SecretName(u *v1alpha1.KafkaUser) string {
	if b := u.Spec.Binding; b != nil && b.Name != "" {
		return b.Name
	}
	return defaultName(u.Name)
}

func defaultName(user string) string {
	if len(user)+len(secretSuffix) <= maxSecretName {
		return user + secretSuffix
	}
	sum := sha256.Sum256([]byte(user))
	short := strings.TrimRight(user[:maxSecretName-len(secretSuffix)-9], "-.")
	return short + "-" + hex.EncodeToString(sum[:4]) + secretSuffix
}

// Layout is what a KafkaUser says of its connection Secret. The zero value is what a spec says that says nothing.
type Layout struct {
	Formats   []v1alpha1.BindingFormat // none = those of the table that are there by default
	MountPath string                   // for files that name other files of the Secret
	// StorePassword is that of key stores; empty = none is asked for.
	StorePassword string
}

// Connection is all that a client needs: the keys of Service Binding, what it shows to log in, ready-made files for the
// endpoint to use by default, and files for each listener by name. ca counts when an endpoint has TLS. ca.crt has what
// any of the listeners needs, and a file that holds certificates itself only what its listener does. Where nothing is
// shown there is no credential in it. Equal input gives equal bytes. Errors: certificates that cannot be parsed where a
// format needs them parsed.
func (l Layout) Connection(shown mechanism.Credential, ca []byte, endpoints []Endpoint) (map[string][]byte, error) {
	data := entries{
		"type":     []byte("kafka"),
		"provider": []byte(v1alpha1.ManagedBy),
	}
	if shown.Password != "" || len(shown.Certificate) > 0 {
		data["username"] = []byte(shown.Username)
	}
	if shown.Password != "" {
		data[PasswordKey] = []byte(shown.Password)
	}
	if len(shown.Certificate) > 0 {
		data[CertificateEntry], data[CertificateKeyEntry] = shown.Certificate, shown.Key
	}
	for i, e := range endpoints {
		anchors := e.Trust.AnchorsOr(ca)
		if e.TLS && !e.Trust.Public {
			data[authorityEntry] = union(data[authorityEntry], anchors)
		}
		at := place{Endpoint: e, shown: shown, anchors: anchors, layout: l}
		if i == 0 {
			for _, s := range e.settings(shown).java {
				if !strings.HasPrefix(s.Key, "ssl.keystore.") { // the entries of the certificate hold the same
					data[s.Key] = []byte(s.Value)
				}
			}
			if err := l.write(data, at); err != nil {
				return nil, err
			}
		}
		data[listenerEntry+e.Listener] = []byte(e.Bootstrap)
		at.listener = e.Listener
		if err := l.write(data, at); err != nil {
			return nil, err
		}
	}
	return data, nil
}

// union leaves the first file as it is: it may hold text beside its certificates.
func union(file, other []byte) []byte {
	switch {
	case file == nil:
		return other
	case pki.Holds(file, other):
		return file
	}
	return pki.Union(file, other)
}

// settings are those of two kinds of clients, for the strongest mechanism of the endpoint.
type settings struct{ java, librdkafka []mechanism.Property }

func (e Endpoint) settings(shown mechanism.Credential) settings {
	both := []mechanism.Property{{Key: "bootstrap.servers", Value: e.Bootstrap},
		{Key: "security.protocol", Value: e.Protocol()}}
	row, known := mechanism.Of(e.Mechanisms[0])
	if !known || !row.Offered() {
		return settings{e.foreign(both, "sasl.mechanism"), e.foreign(both, "sasl.mechanisms")}
	}
	return settings{slices.Concat(both, row.Java(shown)), slices.Concat(both, row.Librdkafka(shown))}
}

// foreign adds the mechanism of whoever has its credential from elsewhere, where it is known.
func (e Endpoint) foreign(both []mechanism.Property, key string) []mechanism.Property {
	if e.SaslName == "" {
		return both
	}
	return slices.Concat(both, []mechanism.Property{{Key: key, Value: e.SaslName}})
}
