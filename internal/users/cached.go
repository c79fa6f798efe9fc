package users

import (
	"crypto/sha256"
	"encoding/binary"
	"maps"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// digestEntry stands in a shrunk connection Secret for all that was left out. No Secret can have an entry of that name,
// so that the API server refuses a shrunk one, should anybody ever write it.
const digestEntry = "/sha256"

// listenerEntry begins the name of an entry that names a listener.
const listenerEntry = "bootstrap.servers."

// keptEntries of a connection Secret are read from the cache: what makes it this user's, and whom its clients trust.
var keptEntries = []string{PasswordKey, CertificateEntry, CertificateKeyEntry, StorePasswordKey, authorityEntry}

// Shrink takes out of a connection Secret, in place, what the operator makes anew when it needs it, and leaves a digest
// of all entries, by which two are told apart. Entries that name a listener stay, without their value. Other Secrets
// and shrunk ones stay as they are.
func Shrink(secret *corev1.Secret) {
	owner := metav1.GetControllerOf(secret)
	_, shrunk := secret.Data[digestEntry]
	if shrunk || len(secret.Data) == 0 || secret.Type != SecretType || owner == nil || owner.Kind != "KafkaUser" {
		return
	}
	data := map[string][]byte{digestEntry: digestOf(secret.Data)}
	for key, value := range secret.Data {
		switch {
		case slices.Contains(keptEntries, key):
			data[key] = value
		case strings.HasPrefix(key, listenerEntry):
			data[key] = nil
		}
	}
	secret.Data = data
}

func digestOf(data map[string][]byte) []byte {
	sum := sha256.New()
	add := func(text []byte) {
		sum.Write(binary.BigEndian.AppendUint64(nil, uint64(len(text))))
		sum.Write(text)
	}
	for _, key := range slices.Sorted(maps.Keys(data)) {
		add([]byte(key))
		add(data[key])
	}
	return sum.Sum(nil)
}
