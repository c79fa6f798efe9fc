package resolve

import (
	"testing"

	"sigs.k8s.io/yaml"

	"github.com/castellan-dev/castellan/api/v1alpha1"
	"github.com/castellan-dev/castellan/internal/verdict"
	"github.com/castellan-dev/castellan/internal/version"
)

// listening gives the first listener more fields, written as YAML.
func listening(text string) func(in *Inputs) {
	return func(in *Inputs) {
		l := v1alpha1.Listener{Name: "clients", Port: 9092}
		if err := yaml.UnmarshalStrict([]byte(text), &l); err != nil {
			panic(err) // the test's own YAML
		}
		in.Spec.Listeners[0] = l
	}
}

var limitsFaults = []badInput{
	{"nobody may connect", listening(`limits: {connections: 0}`), verdict.ReasonInvalid,
		"spec.listeners[clients].limits.connections", "set at least 1, or remove it"},
	{"nobody may connect in any second", listening(`limits: {connectionsPerSecond: -1}`), verdict.ReasonInvalid,
		"spec.listeners[clients].limits.connectionsPerSecond", "set at least 1, or remove it"},
	{"a login for ever", listening(`authentication: {mechanisms: [PLAIN], reauthenticateSeconds: 0}`), verdict.ReasonInvalid,
		"spec.listeners[clients].authentication.reauthenticateSeconds", "it is 10 to 86400"},
	{"certificates of clients beside a login", listening(`authentication: {mechanisms: [PLAIN, TLS]}`), verdict.ReasonInvalid,
		"spec.listeners[clients].authentication.mechanisms", "make a listener of its own for it"},
	{"certificates of clients without TLS", listening(`{encryption: None, authentication: {mechanisms: [TLS]}}`),
		verdict.ReasonInvalid, "spec.listeners[clients].encryption", "set it to TLS, or choose another mechanism"},
	{"a new login of who has a certificate", listening(`authentication: {mechanisms: [TLS], reauthenticateSeconds: 60}`),
		verdict.ReasonInvalid, "spec.listeners[clients].authentication.reauthenticateSeconds", "remove it"},
	{"authorities of clients that nobody asks", listening(`authentication: {mechanisms: [PLAIN], clientAuthorities: [{name: a}]}`),
		verdict.ReasonInvalid, "spec.listeners[clients].authentication.clientAuthorities", "remove them, or make such a listener"},
	{"refused subjects of clients that nobody asks", listening(`authentication: {mechanisms: [PLAIN], refusedSubjects: [CN=a]}`),
		verdict.ReasonInvalid, "spec.listeners[clients].authentication.refusedSubjects", "remove them, or make such a listener"},
	{"a refused subject that is none", listening(`authentication: {mechanisms: [TLS], refusedSubjects: ["User:app"]}`),
		verdict.ReasonInvalid, "spec.listeners[clients].authentication.refusedSubjects[User:app]", "as in CN=app,O=Example"},
	{"a refused subject of two lines", listening(`authentication: {mechanisms: [TLS], refusedSubjects: ["CN=a\nCN=b"]}`),
		verdict.ReasonInvalid, "spec.listeners[clients].authentication.refusedSubjects[CN=a\nCN=b]", "without a control character"},
	{"TLS without TLS", listening(`{encryption: None, tls: {protocols: [TLSv1.3]}}`), verdict.ReasonInvalid,
		"spec.listeners[clients].tls", "remove it, or set encryption to TLS"},
	{"a protocol of the past", listening(`tls: {protocols: [TLSv1.1]}`), verdict.ReasonInvalid,
		"spec.listeners[clients].tls.protocols", "TLSv1.1 is not offered; use TLSv1.2, TLSv1.3 or both"},
	{"a suite that no key of ours fits", listening(`tls: {cipherSuites: [TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256]}`),
		verdict.ReasonInvalid, "spec.listeners[clients].tls.cipherSuites", "is not offered; use those of TLS_AES_128_GCM_SHA256"},
	{"a suite of another protocol", listening(`tls: {protocols: [TLSv1.3], cipherSuites: [TLS_AES_128_GCM_SHA256,
		TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256]}`), verdict.ReasonInvalid, "spec.listeners[clients].tls.cipherSuites",
		"is a suite of TLSv1.2, which tls.protocols leaves out; remove it"},
	{"a protocol without a suite", listening(`tls: {protocols: [TLSv1.2, TLSv1.3], cipherSuites: [TLS_AES_128_GCM_SHA256]}`),
		verdict.ReasonInvalid, "spec.listeners[clients].tls.cipherSuites", "tls.protocols has TLSv1.2, and no suite is of it"},
}

// Kafka changes the limits of a listener at run time, for all brokers.
func TestTheLimitsOfAListenerAreRunTimeKeys(t *testing.T) {
	in := running(t, small)
	listening(`{limits: {connections: 1000, connectionsPerSecond: 20}, tls: {cipherSuites: [TLS_AES_256_GCM_SHA384]},
		authentication: {mechanisms: [PLAIN], reauthenticateSeconds: 60}}`)(&in)
	c := mustResolve(t, in)
	for key, want := range map[string]string{
		"listener.name.clients.max.connections": "1000", "listener.name.clients.max.connection.creation.rate": "20",
		"listener.name.outside.max.connections": "", "max.connections": "",
	} {
		if got := c.DynamicConfig[key]; got != want {
			t.Errorf("%s is %q, want %q", key, got, want)
		}
	}
	if l := c.Listeners[0]; l.ReauthSeconds != 60 || len(l.CipherSuites) != 1 || len(l.Protocols) != 0 {
		t.Errorf("%+v", l)
	}
}

// The limits are written as run-time keys whatever the version, because each one takes them so.
func TestEveryVersionTakesTheLimitsOfAListenerAtRunTime(t *testing.T) {
	for _, v := range version.Catalogue {
		for _, key := range []string{"max.connections", "max.connection.creation.rate"} {
			if v.Scope(key) != version.AtRunTime {
				t.Errorf("Kafka %s takes %s %s", v.Kafka, key, v.Scope(key))
			}
		}
		for _, key := range []string{"connections.max.reauth.ms", "ssl.enabled.protocols", "ssl.cipher.suites"} {
			if v.IsDynamic(key) {
				t.Errorf("Kafka %s takes %s for all brokers at run time, and it stands in files", v.Kafka, key)
			}
		}
	}
}
