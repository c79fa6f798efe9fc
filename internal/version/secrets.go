package version

import (
	"slices"
	"strings"
)

// MayHoldSecret tells by the name of a key whether its value is better not told: Kafka's own list of sensitive keys
// knows nothing of those of plug-ins.
func MayHoldSecret(key string) bool {
	return slices.ContainsFunc(
		[]string{"password", "secret", "token", "jaas", "credential", "keystore.key", "private"},
		func(word string) bool {
			return strings.Contains(strings.ToLower(key), word)
		},
	)
}

var dotted = strings.NewReplacer("_", ".", "-", ".")

// HoldsSecret tells by the name of a plug-in's key whether its value is most probably a secret, and no path, class or
// number that has to do with one.
func HoldsSecret(key, value string) bool {
	key = dotted.Replace(strings.ToLower(key))
	ends := func(words ...string) bool {
		return slices.ContainsFunc(words, func(word string) bool { return strings.HasSuffix(key, word) })
	}
	switch {
	case value == "true", value == "false":
		return false
	case ends("path", "file", "location", "dir", "class", "provider", "type", ".ms", ".seconds", "size", "endpoint",
		".url"):
		return false
	}
	return MayHoldSecret(key) || ends("access.key", "account.key", "access.key.id", "passphrase")
}
