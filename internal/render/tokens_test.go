package render

import (
	"slices"
	"strings"
	"testing"

	"github.com/castellan-dev/castellan/api/v1alpha1"
	"github.com/castellan-dev/castellan/internal/resolve"
	"github.com/castellan-dev/castellan/internal/version"
)

// withTokens takes tokens at one listener with keys of the operator, and at another with keys that brokers fetch.
const withTokens = `
version: "4.3.1"
pools:
- {name: control, replicas: 1, roles: [Controller], storage: {volumes: [{name: data, size: 1Gi}]}}
- {name: main, replicas: 1, roles: [Broker], storage: {volumes: [{name: data, size: 1Gi}]}}
listeners:
- name: clients
  port: 9092
  authentication:
    mechanisms: [SCRAM-SHA-512, OAUTHBEARER]
    oauth:
      issuer: https://id.example.com/realms/shop
      audience: kafka
      jwks: {url: "https://id.example.com/realms/shop/keys", caSecret: {name: id, key: ca.crt}}
- name: partners
  port: 9094
  encryption: None
  authentication:
    mechanisms: [OAUTHBEARER]
    oauth:
      issuer: partners
      audience: events
      principalClaim: client_id
      principalPrefix: "partner:"
      clockSkewSeconds: 5
      jwks: {url: "https://partners.example.com/keys?all=1", caSecret: {name: id, key: ca.crt}, fetch: Brokers}
`

func TestTokensGolden(t *testing.T) {
	compareGolden(t, "tokens", printAll(t, cluster(t, "tokens", withTokens)))
}

func oauth(change func(o *v1alpha1.ListenerOAuth)) func(in *resolve.Inputs) {
	return func(in *resolve.Inputs) { change(in.Spec.Listeners[0].Authentication.OAuth) }
}

// Where the operator has the keys from is no matter of brokers: they read one file.
func TestWhatOfTokensRestartsBrokers(t *testing.T) {
	for name, c := range map[string]struct {
		change  func(in *resolve.Inputs)
		restart bool
	}{
		"another address of the keys": {oauth(func(o *v1alpha1.ListenerOAuth) { o.JWKS.URL = "https://id.example.com/2" }), false},
		"another authority":           {oauth(func(o *v1alpha1.ListenerOAuth) { o.JWKS.CASecret = nil }), false},
		"keys from a Secret": {oauth(func(o *v1alpha1.ListenerOAuth) {
			o.JWKS = v1alpha1.JWKS{Secret: &v1alpha1.SecretEntry{Name: "a", Key: "b"}}
		}), false},
		"defaults spelled out": {oauth(func(o *v1alpha1.ListenerOAuth) {
			o.PrincipalClaim, o.JWKS.Fetch, o.PrincipalPrefix, o.ClockSkewSeconds = "sub", "Operator", ptr("oidc:"), ptr[int32](30)
		}), false},
		"keys that brokers fetch": {oauth(func(o *v1alpha1.ListenerOAuth) { o.JWKS.Fetch = "Brokers" }), true},
		"another issuer":          {oauth(func(o *v1alpha1.ListenerOAuth) { o.Issuer = "x" }), true},
		"another audience":        {oauth(func(o *v1alpha1.ListenerOAuth) { o.Audience = "x" }), true},
		"another claim":           {oauth(func(o *v1alpha1.ListenerOAuth) { o.PrincipalClaim = "x" }), true},
		"another prefix":          {oauth(func(o *v1alpha1.ListenerOAuth) { o.PrincipalPrefix = ptr("staff:") }), true},
		"another clock":           {oauth(func(o *v1alpha1.ListenerOAuth) { o.ClockSkewSeconds = ptr[int32](0) }), true},
	} {
		in := inputs(t, "tokens", withTokens)
		before := desired(resolved(t, in))
		c.change(&in)
		after := desired(resolved(t, in))
		if got := before.Files[1000].User != after.Files[1000].User; got != c.restart {
			t.Errorf("%s restarts brokers: %t, want %t", name, got, c.restart)
		}
		if before.Templates["main"].User != after.Templates["main"].User {
			t.Errorf("%s is another template", name)
		}
		if before.Files[0] != after.Files[0] {
			t.Errorf("%s changes something of a controller", name)
		}
	}
}

func TestTokensAreAReasonToRestartWhoDidNotTakeAny(t *testing.T) {
	in := inputs(t, "tokens", withTokens)
	after := desired(resolved(t, in))
	in.Spec.Listeners = in.Spec.Listeners[:1]
	in.Spec.Listeners[0].Authentication = &v1alpha1.ListenerAuthentication{Mechanisms: []v1alpha1.Mechanism{"SCRAM-SHA-512"}}
	before := desired(resolved(t, in))
	if before.Templates["main"].User == after.Templates["main"].User || before.Files[1000].User == after.Files[1000].User {
		t.Error("nobody restarts for them")
	}
}

func TestTheHeapIsNotSaidToChangeWithTheAddressesOfKeys(t *testing.T) {
	in := inputs(t, "tokens", withTokens)
	before := Nodes(resolved(t, in))[1000]
	in.Spec.Listeners[0].Authentication = &v1alpha1.ListenerAuthentication{Mechanisms: []v1alpha1.Mechanism{"SCRAM-SHA-512"}}
	c := resolved(t, in)
	if before.Data[fileJVM] == Nodes(c)[1000].Data[fileJVM] {
		t.Fatal("the address of the keys stays")
	}
	if got := Differences(version.Catalogue[0], before, Nodes(c)[1000]); slices.Contains(got, "jvm.heap") {
		t.Error(got)
	}
	c.Pools[1].HeapBytes++
	if got := strings.Join(Differences(version.Catalogue[0], before, NodeFiles{Data: map[string]string{
		fileProperties: before.Data[fileProperties], fileJVM: Nodes(c)[1000].Data[fileJVM]}}), " "); got != "jvm.heap" {
		t.Error(got)
	}
}
