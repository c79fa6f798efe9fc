package resolve

import (
	"slices"
	"strings"
	"testing"

	"github.com/castellan-dev/castellan/api/v1alpha1"
	"github.com/castellan-dev/castellan/internal/verdict"
)

// tokens has the listener clients take tokens, as change has it.
func tokens(change func(o *v1alpha1.ListenerOAuth)) func(in *Inputs) {
	return func(in *Inputs) {
		a := in.Spec.Listeners[0].Authentication
		a.Mechanisms = append(a.Mechanisms, v1alpha1.MechanismOAuthBearer)
		a.OAuth = &v1alpha1.ListenerOAuth{Issuer: "https://id.example.com/realms/shop", Audience: "kafka",
			JWKS: v1alpha1.JWKS{URL: "https://id.example.com/keys"}}
		change(a.OAuth)
	}
}

func keysFrom(url string) func(in *Inputs) {
	return tokens(func(o *v1alpha1.ListenerOAuth) { o.JWKS.URL = url })
}

const ofTokens = "spec.listeners[clients].authentication.oauth"

var oauthFaults = []badInput{
	{"tokens of nobody", func(in *Inputs) {
		in.Spec.Listeners[0].Authentication.Mechanisms = []v1alpha1.Mechanism{v1alpha1.MechanismOAuthBearer}
	}, verdict.ReasonInvalid, ofTokens, "name issuer, audience and jwks"},
	{"an issuer without tokens", func(in *Inputs) {
		tokens(func(*v1alpha1.ListenerOAuth) {})(in)
		in.Spec.Listeners[0].Authentication.Mechanisms = []v1alpha1.Mechanism{v1alpha1.MechanismPlain}
	}, verdict.ReasonInvalid, ofTokens, "add OAUTHBEARER to mechanisms"},
	{"an issuer without audience", tokens(func(o *v1alpha1.ListenerOAuth) { o.Audience = "" }), verdict.ReasonInvalid,
		ofTokens + ".audience", "name what tokens for this cluster have in aud"},
	{"two audiences in one", tokens(func(o *v1alpha1.ListenerOAuth) { o.Audience = "kafka,account" }), verdict.ReasonInvalid,
		ofTokens + ".audience", "without a comma"},
	{"no issuer", tokens(func(o *v1alpha1.ListenerOAuth) { o.Issuer = "" }), verdict.ReasonInvalid,
		ofTokens + ".issuer", "write it exactly as tokens have it"},
	{"an issuer that Kafka would resolve", tokens(func(o *v1alpha1.ListenerOAuth) { o.Issuer = "${file:/x:y}" }),
		verdict.ReasonInvalid, ofTokens + ".issuer", "without $"},
	{"an issuer of two lines", tokens(func(o *v1alpha1.ListenerOAuth) { o.Issuer = "a\nb" }), verdict.ReasonInvalid,
		ofTokens + ".issuer", "without a space"},
	{"keys from nowhere", keysFrom(""), verdict.ReasonInvalid, ofTokens + ".jwks", "name either url"},
	{"keys from two places", tokens(func(o *v1alpha1.ListenerOAuth) {
		o.JWKS.Secret = &v1alpha1.SecretEntry{Name: "keys", Key: "keys.json"}
	}), verdict.ReasonInvalid, ofTokens + ".jwks", "name either url"},
	{"keys over http", keysFrom("http://id.example.com/keys"), verdict.ReasonInvalid, ofTokens + ".jwks.url", "over https alone"},
	{"keys from a file", keysFrom("file:///etc/passwd"), verdict.ReasonInvalid, ofTokens + ".jwks.url", "over https alone"},
	{"a login in the address", keysFrom("https://me:hush@id.example.com/keys"), verdict.ReasonInvalid,
		ofTokens + ".jwks.url", "remove the login before @"},
	{"two addresses", keysFrom("https://a.example.com/keys,https://b.example.com/keys"), verdict.ReasonInvalid,
		ofTokens + ".jwks.url", "without spaces, commas"},
	{"an address with an option for Java behind it", keysFrom("https://a.example.com/keys -Dx=y"), verdict.ReasonInvalid,
		ofTokens + ".jwks.url", "without spaces"},
	{"an address without a host", keysFrom("https:///keys"), verdict.ReasonInvalid, ofTokens + ".jwks.url", "it is no address"},
	{"a Secret that is fetched", tokens(func(o *v1alpha1.ListenerOAuth) {
		o.JWKS = v1alpha1.JWKS{Secret: &v1alpha1.SecretEntry{Name: "keys", Key: "k"}, Fetch: v1alpha1.FetchedByBrokers}
	}), verdict.ReasonInvalid, ofTokens + ".jwks.fetch", "remove it, or use url"},
	{"an authority for a Secret", tokens(func(o *v1alpha1.ListenerOAuth) {
		entry := v1alpha1.SecretEntry{Name: "keys", Key: "k"}
		o.JWKS = v1alpha1.JWKS{Secret: &entry, CASecret: &entry}
	}), verdict.ReasonInvalid, ofTokens + ".jwks.caSecret", "remove it, or use url"},
	{"half a Secret", tokens(func(o *v1alpha1.ListenerOAuth) {
		o.JWKS = v1alpha1.JWKS{Secret: &v1alpha1.SecretEntry{Name: "keys"}}
	}), verdict.ReasonInvalid, ofTokens + ".jwks.secret", "the key of the entry"},
	{"somebody else who fetches", tokens(func(o *v1alpha1.ListenerOAuth) { o.JWKS.Fetch = "Nobody" }), verdict.ReasonInvalid,
		ofTokens + ".jwks.fetch", "use Operator or Brokers"},
	{"a clock that is an hour off", tokens(func(o *v1alpha1.ListenerOAuth) { o.ClockSkewSeconds = ptr[int32](3600) }),
		verdict.ReasonInvalid, ofTokens + ".clockSkewSeconds", "0 to 300"},
	{"a claim with a space", tokens(func(o *v1alpha1.ListenerOAuth) { o.PrincipalClaim = "a b" }), verdict.ReasonInvalid,
		ofTokens + ".principalClaim", "the name of a claim"},
	{"two issuers with the default prefix", partner("", nil, "https://partner.example.com"), verdict.ReasonInvalid,
		ofPartner, "give each a prefix that begins no other's"},
	{"a prefix that begins with another issuer's default", partner("", ptr("oidc:eu:"), "https://partner.example.com"),
		verdict.ReasonInvalid, ofPartner, "or write the prefix out at both if they name the same people"},
	{"no prefix beside another issuer's default", partner("", ptr(""), "https://partner.example.com"), verdict.ReasonInvalid,
		ofPartner, "give each a prefix"},
	{"a prefix that names a distinguished name", tokens(func(o *v1alpha1.ListenerOAuth) { o.PrincipalPrefix = ptr("CN=") }),
		verdict.ReasonInvalid, ofTokens + ".principalPrefix", "letters, digits"},
}

const ofPartner = "spec.listeners[partner].authentication.oauth.principalPrefix"

// partner adds a listener for the tokens of an issuer; staff is the prefix at the other one, empty = the default.
func partner(staff string, prefix *string, issuer string) func(in *Inputs) {
	return func(in *Inputs) {
		tokens(func(o *v1alpha1.ListenerOAuth) {
			if staff != "" {
				o.PrincipalPrefix = &staff
			}
		})(in)
		l := in.Spec.Listeners[0].DeepCopy()
		l.Name, l.Port = "partner", 9193
		l.Authentication.OAuth.Issuer, l.Authentication.OAuth.PrincipalPrefix = issuer, prefix
		in.Spec.Listeners = append(in.Spec.Listeners, *l)
	}
}

func TestIssuersThatCannotNameEachOthersAreTaken(t *testing.T) {
	for name, change := range map[string]func(in *Inputs){
		"one issuer at two listeners": partner("", nil, "https://id.example.com/realms/shop"),
		"a prefix for each":           partner("staff:", ptr("partner:"), "https://partner.example.com"),
	} {
		in := running(t, small)
		change(&in)
		if _, faults := Resolve(in); len(faults) > 0 {
			t.Errorf("%s: %v", name, faults)
		}
	}
}

// Who moves to another issuer wants the same principals from both for a while, and says so.
func TestPrefixesThatTheOwnerWritesOutAreTakenAndWarnedOf(t *testing.T) {
	for staff, prefix := range map[string]string{"oidc:": "oidc:", "corp": "corp:eu:", "corp:": ""} {
		in := running(t, small)
		partner(staff, &prefix, "https://next.example.com")(&in)
		c, faults := Resolve(in)
		if len(faults) > 0 {
			t.Fatal(faults)
		}
		if all := strings.Join(Warnings(c), "; "); !strings.Contains(all, "may name whomever the other knows") {
			t.Errorf("%q and %q: %s", staff, prefix, all)
		}
	}
}

// An operator that refuses what another one took must not keep the owner from changing anything else meanwhile.
func TestIssuersThatWereAcceptedWithOnePrefixGoOnAndAreWarnedOf(t *testing.T) {
	in := running(t, small)
	partner("", nil, "https://partner.example.com")(&in)
	in.Accepted = in.Spec.DeepCopy()
	in.Spec.Listeners[0].Authentication.OAuth.Audience = "another"
	slices.Reverse(in.Spec.Listeners)
	c, faults := Resolve(in)
	if len(faults) > 0 {
		t.Fatal(faults)
	}
	if all := strings.Join(Warnings(c), "; "); !strings.Contains(all, ofPartner+`: it is "oidc:"`) {
		t.Error(all)
	}
	in.Spec.Listeners[0].Authentication.OAuth.Issuer = "https://third.example.com"
	if _, faults := Resolve(in); len(faults) != 1 {
		t.Errorf("another issuer under the same prefix: %v", faults)
	}
	in.Spec = in.Accepted.DeepCopy()
	in.Spec.Listeners[len(in.Spec.Listeners)-1].Authentication.OAuth.PrincipalPrefix = ptr("oidc:eu:")
	if _, faults := Resolve(in); len(faults) != 1 {
		t.Errorf("another prefix that begins like the other issuer's: %v", faults)
	}
}

func TestAPrefixThatKafkaUsersMayHaveIsWarnedOf(t *testing.T) {
	for prefix, want := range map[string]bool{"sso-": true, "sso@": true, "sso:": false, "sso/": false, "a.b/": false} {
		in := running(t, small)
		tokens(func(o *v1alpha1.ListenerOAuth) { o.PrincipalPrefix = &prefix })(&in)
		all := strings.Join(Warnings(mustResolve(t, in)), "; ")
		if strings.Contains(all, ofTokens+".principalPrefix: names of KafkaUsers may begin with") != want {
			t.Errorf("%s: %s", prefix, all)
		}
	}
}

func TestWhatIsNotSaidOfTokensIsFilledIn(t *testing.T) {
	in := running(t, small)
	tokens(func(*v1alpha1.ListenerOAuth) {})(&in)
	in.Spec.Listeners[0].Encryption = v1alpha1.EncryptionNone
	c, faults := Resolve(in)
	if len(faults) > 0 {
		t.Fatal(faults)
	}
	o := c.Listeners[0].OAuth
	if o.PrincipalClaim != "sub" || o.ScopeClaim != "scope" || *o.ClockSkewSeconds != 30 || *o.PrincipalPrefix != "oidc:" ||
		o.JWKS.Fetch != v1alpha1.FetchedByOperator || !c.Listeners[0].KeysInSecret() {
		t.Errorf("%+v", o)
	}
	if warnings := strings.Join(Warnings(c), "; "); !strings.Contains(warnings, "OAUTHBEARER without TLS sends tokens") ||
		strings.Contains(warnings, "principalPrefix") {
		t.Error(warnings)
	}
}

func TestAnEmptyPrefixIsTakenAtTheOwnersWordAndWarnedOf(t *testing.T) {
	in := running(t, small)
	tokens(func(o *v1alpha1.ListenerOAuth) { o.PrincipalPrefix, o.ClockSkewSeconds = ptr(""), ptr[int32](0) })(&in)
	c, faults := Resolve(in)
	if len(faults) > 0 || *c.Listeners[0].OAuth.PrincipalPrefix != "" || *c.Listeners[0].OAuth.ClockSkewSeconds != 0 {
		t.Fatalf("%v, %+v", faults, c)
	}
	if warnings := strings.Join(Warnings(c), "; "); !strings.Contains(warnings, "may be any KafkaUser") {
		t.Error(warnings)
	}
}
