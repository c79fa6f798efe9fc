package decide

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"

	"github.com/castellan-dev/castellan/api/v1alpha1"
	"github.com/castellan-dev/castellan/internal/jwks"
	"github.com/castellan-dev/castellan/internal/pki"
	"github.com/castellan-dev/castellan/internal/provided"
)

// keySet is a set of one key, as the operator writes it.
func keySet(t *testing.T) string {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	public, err := k.PublicKey.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	b64 := base64.RawURLEncoding.EncodeToString
	return fmt.Sprintf(`{"keys":[{"kty":"EC","crv":"P-256","x":%q,"y":%q}]}`, b64(public[1:33]), b64(public[33:]))
}

// withIssuer is a running cluster with a listener that takes tokens, and what is known of their issuer's keys.
func withIssuer(t *testing.T) (Inputs, *jwks.Fetched, *[]jwks.Source) {
	t.Helper()
	in := running(t)
	in.Cluster.Spec.Listeners = []v1alpha1.Listener{{Name: "clients", Port: 9092,
		Authentication: &v1alpha1.ListenerAuthentication{
			Mechanisms: []v1alpha1.Mechanism{v1alpha1.MechanismScram512, v1alpha1.MechanismOAuthBearer},
			OAuth: &v1alpha1.ListenerOAuth{Issuer: "https://id.example.com", Audience: "kafka",
				JWKS: v1alpha1.JWKS{URL: "https://id.example.com/keys"}},
		}}}
	in.Accepted = in.Cluster.Spec.DeepCopy()
	d := Decide(in)
	issueAll(t, in, d)
	in = renderedAgain(t, in, d)
	known, asked := &jwks.Fetched{}, &[]jwks.Source{}
	in.Fetched = func(sources []jwks.Source) map[string]jwks.Fetched {
		*asked = sources
		all := map[string]jwks.Fetched{}
		for _, s := range sources {
			all[s.Listener] = *known
		}
		return all
	}
	return in, known, asked
}

// writeKeys writes the Secret as a pass would.
func writeKeys(t *testing.T, in Inputs) Decision {
	t.Helper()
	d := Decide(in)
	in.Live.Secrets[d.TokenKeys.Secret] = &corev1.Secret{Data: d.TokenKeys.Data}
	after := Decide(in)
	if !after.TokenKeys.Current || after.TokenKeys.Digest == "" {
		t.Fatalf("what was written is written again: %+v", after.TokenKeys)
	}
	return after
}

func oauthOf(in Inputs) *v1alpha1.ListenerOAuth {
	return in.Cluster.Spec.Listeners[0].Authentication.OAuth
}

func TestAKeySetIsThereBeforeAnybodyHasFetchedOne(t *testing.T) {
	in, known, asked := withIssuer(t)
	d := Decide(in)
	if string(d.TokenKeys.Data["clients.json"]) != jwks.Empty || d.TokenKeys.Secret != "events-token-keys" || d.TokenKeys.Current {
		t.Errorf("%+v", d.TokenKeys)
	}
	if !strings.Contains(d.TokenKeys.Keyless["clients"], "are not there yet") || len(d.Warnings) > 0 {
		t.Errorf("%q, %v", d.TokenKeys.Keyless, d.Warnings)
	}
	if fmt.Sprint(*asked) != "[{clients https://id.example.com/keys }]" {
		t.Errorf("%v is asked", *asked)
	}
	known.Fault = "its host refuses the connection"
	d = writeKeys(t, in)
	if told := d.TokenKeys.Keyless["clients"]; !strings.Contains(told, "https://id.example.com/keys: its host refuses") ||
		!strings.Contains(told, "every token is refused") || len(d.Warnings) > 0 || len(d.Verdicts) > 0 {
		t.Errorf("%q, %v, %v", told, d.Warnings, d.Verdicts)
	}
}

func TestOldKeysGoOnWhateverComesOfTheNextFetch(t *testing.T) {
	in, known, _ := withIssuer(t)
	first := keySet(t)
	known.Keys = []byte(first)
	if d := writeKeys(t, in); string(d.TokenKeys.Data["clients.json"]) != first || len(d.TokenKeys.Keyless) > 0 {
		t.Fatalf("%+v", d.TokenKeys)
	}
	for name, now := range map[string]jwks.Fetched{
		"the issuer is away":                {Fault: "its host refuses the connection", Keys: []byte(first)},
		"and the operator has just begun":   {Fault: "its host refuses the connection"},
		"nobody has asked the issuer again": {},
	} {
		*known = now
		d := Decide(in)
		if string(d.TokenKeys.Data["clients.json"]) != first || !d.TokenKeys.Current || len(d.TokenKeys.Keyless) > 0 {
			t.Errorf("%s: %+v", name, d.TokenKeys)
		}
		warned := strings.Contains(strings.Join(d.Warnings, ""), "brokers go on with those that were fetched last")
		if warned != (now.Fault != "") || len(d.Verdicts) > 0 {
			t.Errorf("%s: %v, %v", name, d.Warnings, d.Verdicts)
		}
	}
	second := keySet(t)
	*known = jwks.Fetched{Keys: []byte(second), Private: true}
	d := writeKeys(t, in)
	if string(d.TokenKeys.Data["clients.json"]) != second || !strings.Contains(strings.Join(d.Warnings, ""), "can sign tokens") {
		t.Errorf("%+v, %v", d.TokenKeys, d.Warnings)
	}
}

// Who has left an issuer may have left it because somebody else has its keys.
func TestKeysOfAnotherIssuerDoNotGoOn(t *testing.T) {
	in, known, _ := withIssuer(t)
	known.Keys = []byte(keySet(t))
	writeKeys(t, in)
	*known = jwks.Fetched{Fault: "its host refuses the connection"}
	oauthOf(in).JWKS.URL = "https://elsewhere.example.com/keys"
	if d := Decide(in); string(d.TokenKeys.Data["clients.json"]) == jwks.Empty {
		t.Error("another address of the same issuer has cost its keys")
	}
	oauthOf(in).Issuer = "https://other.example.com"
	d := Decide(in)
	if string(d.TokenKeys.Data["clients.json"]) != jwks.Empty || string(d.TokenKeys.Data["clients.issuer"]) != "https://other.example.com" {
		t.Errorf("%s", d.TokenKeys.Data)
	}
}

func TestKeysOfASecretAreTakenOnlyWhereItsOwnerPermitsThat(t *testing.T) {
	in, _, asked := withIssuer(t)
	first := keySet(t)
	oauthOf(in).JWKS = v1alpha1.JWKS{Secret: &v1alpha1.SecretEntry{Name: "keys", Key: "set"}}
	ref := provided.Ref{Name: "keys", Use: v1alpha1.UseJWKS}
	in.Provided = provided.Secrets{ref: {"set": []byte(first)}}
	if d := writeKeys(t, in); string(d.TokenKeys.Data["clients.json"]) != first || len(*asked) != 0 {
		t.Fatalf("%s, asked %v", d.TokenKeys.Data, *asked)
	}
	const field = "spec.listeners[clients].authentication.oauth.jwks.secret."
	for name, c := range map[string]struct {
		secrets     provided.Secrets
		field, cure string
	}{
		"there is none":     {provided.Secrets{}, "name", "with the label kafka.castellan.dev/use=jwks; create it with the key set in set"},
		"nobody labels it":  {provided.Secrets{ref: nil}, "name", "kubectl label secret keys kafka.castellan.dev/use=jwks"},
		"another entry":     {provided.Secrets{ref: {"other": []byte(first)}}, "key", `has no entry "set"`},
		"no key set":        {provided.Secrets{ref: {"set": []byte("topsecret")}}, "key", "not a key set in JSON"},
		"without good keys": {provided.Secrets{ref: {"set": []byte(`{"keys":[{"kty":"oct","k":"topsecret"}]}`)}}, "key", "symmetric"},
	} {
		in.Provided = c.secrets
		d := Decide(in)
		if len(d.Verdicts) != 1 || d.Verdicts[0].Field != field+c.field || !strings.Contains(d.Verdicts[0].Text(), c.cure) ||
			strings.Contains(d.Verdicts[0].Text(), "topsecret") {
			t.Errorf("%s: %v", name, d.Verdicts)
		}
		if string(d.TokenKeys.Data["clients.json"]) != first {
			t.Errorf("%s: brokers have lost the keys", name)
		}
	}
}

func TestTheAuthorityOfTheKeysComesFromALabelledSecret(t *testing.T) {
	in, known, asked := withIssuer(t)
	known.Keys = []byte(keySet(t))
	writeKeys(t, in)
	authority, err := pki.NewAuthority("id", start)
	if err != nil {
		t.Fatal(err)
	}
	oauthOf(in).JWKS.CASecret = &v1alpha1.SecretEntry{Name: "ca", Key: "ca.crt"}
	ref := provided.Ref{Name: "ca", Use: v1alpha1.UseJWKS}
	for name, c := range map[string]struct {
		data map[string][]byte
		good bool
	}{
		"a certificate":                 {map[string][]byte{"ca.crt": authority.CertPEM}, true},
		"one with a note and a newline": {map[string][]byte{"ca.crt": append([]byte("note\n"), authority.CertPEM...)}, true},
		"a key beside it":               {map[string][]byte{"ca.crt": append(authority.KeyPEM, authority.CertPEM...)}, false},
		"nobody labels it":              {nil, false},
	} {
		in.Provided = provided.Secrets{ref: c.data}
		*asked = nil
		d := Decide(in)
		if c.good != (len(d.Verdicts) == 0) || c.good != (len(*asked) == 1) || c.good && (*asked)[0].Anchors != string(authority.CertPEM) {
			t.Errorf("%s: %v, asked %v", name, d.Verdicts, *asked)
		}
		if string(d.TokenKeys.Data["clients.json"]) == jwks.Empty {
			t.Errorf("%s: brokers have lost the keys", name)
		}
	}
	oauthOf(in).JWKS.Fetch = v1alpha1.FetchedByBrokers
	in.Provided = provided.Secrets{ref: {"ca.crt": authority.CertPEM}}
	d := Decide(in)
	if string(d.TokenKeys.Data["clients.ca.pem"]) != string(authority.CertPEM) || len(*asked) != 0 {
		t.Errorf("%s, asked %v", d.TokenKeys.Data, *asked)
	}
	if d.Plan.Empty() || d.TokenKeys.Data["clients.json"] == nil {
		t.Errorf("brokers that have not restarted yet have lost the file that they read: %s", d.TokenKeys.Data)
	}
}

func TestABrokerKeepsTheFileUntilItHasRestartedWithoutTheListener(t *testing.T) {
	in, known, _ := withIssuer(t)
	known.Keys = []byte(keySet(t))
	writeKeys(t, in)
	a := in.Cluster.Spec.Listeners[0].Authentication
	a.Mechanisms, a.OAuth = a.Mechanisms[:1], nil
	d := Decide(in)
	if d.Plan.Empty() || d.TokenKeys.Data["clients.json"] == nil {
		t.Fatalf("steps %v, the Secret holds %s", d.Plan.Steps, d.TokenKeys.Data)
	}
	in.Accepted = in.Cluster.Spec.DeepCopy()
	in = renderedAgain(t, in, d)
	if d = Decide(in); !d.Plan.Empty() || len(d.TokenKeys.Data) != 0 || d.TokenKeys.Current {
		t.Errorf("steps %v, the Secret shall hold %s", d.Plan.Steps, d.TokenKeys.Data)
	}
}

func TestAClusterWithoutTokensHasNoSecretForThem(t *testing.T) {
	if d := Decide(running(t)); d.TokenKeys.Secret != "" {
		t.Errorf("%+v", d.TokenKeys)
	}
}
