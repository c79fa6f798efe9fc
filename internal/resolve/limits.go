package resolve

import (
	"slices"
	"strings"

	"github.com/castellan-dev/castellan/api/v1alpha1"
	"github.com/castellan-dev/castellan/internal/model"
	"github.com/castellan-dev/castellan/internal/verdict"
)

const (
	tls12 = "TLSv1.2"
	tls13 = "TLSv1.3"
	// minReauth and maxReauth bound after how many seconds clients log in again.
	minReauth, maxReauth = 10, 86400
)

// cipherSuites are the suites that Kafka's Java virtual machine knows and that fit the brokers' keys, which are ECDSA.
// A suite of another key would be taken by Kafka and by no handshake.
var cipherSuites = map[string]string{
	"TLS_AES_128_GCM_SHA256": tls13, "TLS_AES_256_GCM_SHA384": tls13, "TLS_CHACHA20_POLY1305_SHA256": tls13,
	"TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256": tls12, "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384": tls12,
	"TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256": tls12,
}

// validateLimits checks what a listener says of TLS, of the number of its clients, and of how long a login lasts.
func validateLimits(l v1alpha1.Listener) verdict.List {
	var faults verdict.List
	refuse := func(field, format string, args ...any) {
		faults.Refuse(model.ListenerField(l.Name, field), format, args...)
	}
	if l.Limits != nil {
		if n := l.Limits.Connections; n != nil && *n < 1 {
			refuse("limits.connections", "without a connection nobody is served; set at least 1, or remove it")
		}
		if n := l.Limits.ConnectionsPerSecond; n != nil && *n < 1 {
			refuse("limits.connectionsPerSecond", "without a connection nobody is served; set at least 1, or remove it")
		}
	}
	if a := l.Authentication; a != nil && a.ReauthenticateSeconds != nil &&
		(*a.ReauthenticateSeconds < minReauth || *a.ReauthenticateSeconds > maxReauth) {
		refuse("authentication.reauthenticateSeconds", "it is %d to %d: that long a user who is removed goes on", minReauth,
			maxReauth)
	}
	if l.TLS == nil {
		return faults
	}
	if l.Encryption == v1alpha1.EncryptionNone {
		refuse("tls", "the listener does not encrypt; remove it, or set encryption to TLS")
	}
	for _, p := range l.TLS.Protocols {
		if p != tls12 && p != tls13 {
			refuse("tls.protocols", "%s is not offered; use %s, %s or both", p, tls12, tls13)
		}
	}
	return append(faults, validateSuites(l)...)
}

// validateSuites asks for a suite of each protocol that the listener is told to take, so that clients of that protocol
// have one, and for none of a protocol that it does not take.
func validateSuites(l v1alpha1.Listener) verdict.List {
	suites, protocols := l.TLS.CipherSuites, l.TLS.Protocols
	if len(suites) == 0 {
		return nil
	}
	var faults verdict.List
	field := model.ListenerField(l.Name, "tls.cipherSuites")
	var of []string
	for _, suite := range suites {
		protocol, known := cipherSuites[suite]
		switch {
		case !known:
			faults.Refuse(field, "%s is not offered; use those of %s", suite, strings.Join(sortedKeys(cipherSuites), ", "))
			return faults
		case len(protocols) > 0 && !slices.Contains(protocols, protocol):
			faults.Refuse(field, "%s is a suite of %s, which tls.protocols leaves out; remove it, or add the protocol", suite,
				protocol)
			return faults
		}
		of = append(of, protocol)
	}
	for _, protocol := range protocols {
		if !slices.Contains(of, protocol) {
			faults.Refuse(field, "tls.protocols has %s, and no suite is of it, so that no client could use it; add one, or "+
				"remove the protocol", protocol)
		}
	}
	return faults
}
