package users

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/castellan-dev/castellan/api/v1alpha1"
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
	return strings.TrimRight(user[:maxSecretName-len(secretSuffix)-9], "-.") + "-" + hex.EncodeToString(sum[:4]) + secretSuffix
}

// Connection is all that a client needs: the keys of Service Binding, ready-made files for the endpoint to use by default,
// and the same for each listener by name. ca counts when an endpoint has TLS.
func Connection(username, password string, ca []byte, endpoints []Endpoint) map[string][]byte {
	data := map[string][]byte{
		"type":      []byte("kafka"),
		"provider":  []byte(v1alpha1.ManagedBy),
		"username":  []byte(username),
		PasswordKey: []byte(password),
	}
	for i, e := range endpoints {
		if e.TLS {
			data["ca.crt"] = ca
		}
		c := settings(username, password, ca, e)
		if i == 0 {
			for _, key := range []string{"bootstrap.servers", "security.protocol", "sasl.mechanism", "sasl.jaas.config"} {
				data[key] = []byte(c[key])
			}
			data["client.properties"] = javaFile(c)
			data["librdkafka.config"] = librdkafkaFile(c)
		}
		data["bootstrap.servers."+e.Listener] = []byte(e.Bootstrap)
		data["client."+e.Listener+".properties"] = javaFile(c)
		data["librdkafka."+e.Listener+".config"] = librdkafkaFile(c)
	}
	return data
}

func settings(username, password string, ca []byte, e Endpoint) map[string]string {
	mechanism := e.Mechanisms[0]
	module := "org.apache.kafka.common.security.scram.ScramLoginModule"
	if mechanism == v1alpha1.MechanismPlain {
		module = "org.apache.kafka.common.security.plain.PlainLoginModule"
	}
	c := map[string]string{
		"bootstrap.servers": e.Bootstrap,
		"security.protocol": e.Protocol(),
		"sasl.mechanism":    string(mechanism),
		"sasl.jaas.config":  fmt.Sprintf(`%s required username="%s" password="%s";`, module, username, password),
		"username":          username,
		"password":          password,
	}
	if e.TLS {
		c["ca"] = strings.TrimSpace(string(ca))
	}
	return c
}

// javaFile is for Java clients. The CA stands in the file itself, so that the file works wherever it is mounted.
func javaFile(c map[string]string) []byte {
	var file strings.Builder
	for _, key := range []string{"bootstrap.servers", "security.protocol", "sasl.mechanism", "sasl.jaas.config"} {
		fmt.Fprintf(&file, "%s=%s\n", key, c[key])
	}
	if ca := c["ca"]; ca != "" {
		fmt.Fprintf(&file, "ssl.truststore.type=PEM\nssl.truststore.certificates=%s\n", oneLine(ca))
	}
	return []byte(file.String())
}

// librdkafkaFile is for librdkafka and what is built on it, a setting a line. In ssl.ca.pem, \n stands for a line's end, as
// kcat reads it.
func librdkafkaFile(c map[string]string) []byte {
	var file strings.Builder
	for _, pair := range [][2]string{
		{"bootstrap.servers", "bootstrap.servers"}, {"security.protocol", "security.protocol"},
		{"sasl.mechanisms", "sasl.mechanism"}, {"sasl.username", "username"}, {"sasl.password", "password"},
	} {
		fmt.Fprintf(&file, "%s=%s\n", pair[0], c[pair[1]])
	}
	if ca := c["ca"]; ca != "" {
		fmt.Fprintf(&file, "ssl.ca.pem=%s\n", oneLine(ca))
	}
	return []byte(file.String())
}

func oneLine(pem string) string {
	return strings.ReplaceAll(strings.ReplaceAll(pem, "\r", ""), "\n", `\n`)
}
