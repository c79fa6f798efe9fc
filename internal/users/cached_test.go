package users

import (
	"bytes"
	"maps"
	"slices"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation"
)

func TestAConnectionSecretShrinksToWhatIsReadOfIt(t *testing.T) {
	isController := true
	whole := &corev1.Secret{Type: SecretType, ObjectMeta: metav1.ObjectMeta{
		OwnerReferences: []metav1.OwnerReference{{Kind: "KafkaUser", Controller: &isController}}},
		Data: map[string][]byte{"password": []byte("secret"), "user.crt": []byte("c"), "user.key": []byte("k"),
			"p12.password": []byte("p"), "ca.crt": []byte("a"), "bootstrap.servers.in": []byte("host:1"),
			"client.properties": []byte("much"), "sasl.jaas.config": []byte("secret")}}
	small := whole.DeepCopy()
	Shrink(small)
	keys := slices.Sorted(maps.Keys(small.Data))
	if !slices.Equal(keys, []string{"/sha256", "bootstrap.servers.in", "ca.crt", "p12.password", "password", "user.crt",
		"user.key"}) || string(small.Data["password"]) != "secret" || len(small.Data["bootstrap.servers.in"]) != 0 {
		t.Errorf("it has %q", small.Data)
	}
	if len(validation.IsConfigMapKey(digestEntry)) == 0 {
		t.Error("a shrunk Secret could be written")
	}
	again := small.DeepCopy()
	if Shrink(again); !bytes.Equal(again.Data[digestEntry], small.Data[digestEntry]) || len(again.Data) != len(small.Data) {
		t.Error("it shrinks twice")
	}
	for name, change := range map[string]func(*corev1.Secret){
		"another value":       func(s *corev1.Secret) { s.Data["client.properties"] = []byte("else") },
		"another address":     func(s *corev1.Secret) { s.Data["bootstrap.servers.in"] = []byte("host:2") },
		"an entry more":       func(s *corev1.Secret) { s.Data["more"] = nil },
		"an entry less":       func(s *corev1.Secret) { delete(s.Data, "sasl.jaas.config") },
		"another end of both": func(s *corev1.Secret) { s.Data["client.properties"], s.Data["user.crt"] = []byte("muchc"), nil },
	} {
		other := whole.DeepCopy()
		change(other)
		if Shrink(other); bytes.Equal(other.Data[digestEntry], small.Data[digestEntry]) {
			t.Errorf("%s is not seen", name)
		}
	}
	for name, change := range map[string]func(*corev1.Secret){
		"one of another type":   func(s *corev1.Secret) { s.Type = "Opaque" },
		"one of another owner":  func(s *corev1.Secret) { s.OwnerReferences[0].Kind = "KafkaCluster" },
		"one of nobody":         func(s *corev1.Secret) { s.OwnerReferences = nil },
		"one that is emptied":   func(s *corev1.Secret) { s.Data = nil },
		"one with empty values": func(s *corev1.Secret) { s.Data = map[string][]byte{} },
	} {
		other := whole.DeepCopy()
		change(other)
		before := other.DeepCopy()
		if Shrink(other); !maps.EqualFunc(other.Data, before.Data, bytes.Equal) {
			t.Errorf("%s has shrunk to %q", name, other.Data)
		}
	}
}
