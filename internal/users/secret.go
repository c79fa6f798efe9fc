package users

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"unicode/utf16"

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

	secretSuffix  = "-kafka"
	maxSecretName = 253
)

// SecretName names the connection Secret of a KafkaUser.
func SecretName(user string) string {
	if len(user)+len(secretSuffix) <= maxSecretName {
		return user + secretSuffix
	}
	sum := sha256.Sum256([]byte(user))
	short := strings.TrimRight(user[:maxSecretName-len(secretSuffix)-9], "-.")
	return short + "-" + hex.EncodeToString(sum[:4]) + secretSuffix
}

// Connection is all that a client needs: the keys of Service Binding, what it shows to log in, ready-made files for the
// endpoint to use by default, and the same for each listener by name. ca counts when an endpoint has TLS. ca.crt has
// what any of the listeners needs, and the file of a listener only what that one does. Where nothing is shown there is
// no credential in it.
func Connection(shown mechanism.Credential, ca []byte, endpoints []Endpoint) map[string][]byte {
	data := map[string][]byte{
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
			data["ca.crt"] = union(data["ca.crt"], anchors)
		}
		settings := e.settings(shown)
		java := javaFile(slices.Concat(settings.java, javaTrust(e, anchors)))
		librdkafka := file(slices.Concat(settings.librdkafka, librdkafkaTrust(e, anchors)))
		if i == 0 {
			for _, p := range settings.java {
				if !strings.HasPrefix(p.Key, "ssl.keystore.") { // the entries of the certificate hold the same
					data[p.Key] = []byte(p.Value)
				}
			}
			data["client.properties"] = java
			data["librdkafka.config"] = librdkafka
		}
		data["bootstrap.servers."+e.Listener] = []byte(e.Bootstrap)
		data["client."+e.Listener+".properties"] = java
		data["librdkafka."+e.Listener+".config"] = librdkafka
	}
	return data
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

// javaTrust names the CA to Java clients. It stands in the file itself, so that the file works wherever it is mounted.
func javaTrust(e Endpoint, ca []byte) []mechanism.Property {
	text := lines(ca)
	if !e.TLS || text == "" {
		return nil
	}
	return []mechanism.Property{{Key: "ssl.truststore.type", Value: "PEM"},
		{Key: "ssl.truststore.certificates", Value: text}}
}

// librdkafkaTrust names the CA to librdkafka and what is built on it. In ssl.ca.pem, \n stands for a line's end, which
// whoever reads the file has to put in its place.
func librdkafkaTrust(e Endpoint, ca []byte) []mechanism.Property {
	text := strings.ReplaceAll(lines(ca), "\n", `\n`)
	if !e.TLS || text == "" {
		return nil
	}
	return []mechanism.Property{{Key: "ssl.ca.pem", Value: text}}
}

// file is a setting a line.
func file(settings []mechanism.Property) []byte {
	var text strings.Builder
	for _, p := range settings {
		fmt.Fprintf(&text, "%s=%s\n", p.Key, p.Value)
	}
	return []byte(text.String())
}

// javaFile is a file of properties. Java reads it as Latin-1, and a backslash in it begins an escape.
func javaFile(settings []mechanism.Property) []byte {
	var text strings.Builder
	for _, p := range settings {
		text.WriteString(p.Key + "=")
		for i, r := range p.Value {
			switch {
			case r == '\\':
				text.WriteString(`\\`)
			case r == '\n':
				text.WriteString(`\n`)
			case r == ' ' && i == 0:
				text.WriteString(`\ `) // else it would belong to the separator
			case r < ' ' || r > '~':
				for _, unit := range utf16.Encode([]rune{r}) {
					fmt.Fprintf(&text, `\u%04x`, unit)
				}
			default:
				text.WriteRune(r)
			}
		}
		text.WriteString("\n")
	}
	return []byte(text.String())
}

// lines is PEM without what only some systems end a line with.
func lines(pem []byte) string {
	return strings.ReplaceAll(strings.TrimSpace(string(pem)), "\r", "")
}
