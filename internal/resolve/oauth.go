package resolve

import (
	"cmp"
	"net/url"
	"regexp"
	"slices"

	"github.com/castellan-dev/castellan/api/v1alpha1"
	"github.com/castellan-dev/castellan/internal/model"
	"github.com/castellan-dev/castellan/internal/verdict"
)

// What a listener that takes tokens has where the spec does not say.
const (
	defaultPrincipalClaim        = "sub"
	defaultScopeClaim            = "scope"
	defaultClockSkew       int32 = 30 // seconds
	defaultPrincipalPrefix       = "oidc:"
)

const (
	maxClockSkew = 300
	maxIssuer    = 512
	maxAudience  = 256
	maxKeysURL   = 1024

	oauthBearer = v1alpha1.MechanismOAuthBearer
	oauthField  = "authentication.oauth"
	jwksField   = oauthField + ".jwks"
	prefixField = oauthField + ".principalPrefix"

	exactlyAsInTokens = "write it exactly as tokens have it"
	onlyWithURL       = "it says how url is fetched, and there is none; remove it, or use url"
)

// What the schema permits, too.
var (
	tokenText = regexp.MustCompile(`^[!-#%-~]+$`)     // printable, without a space and without $
	audience  = regexp.MustCompile(`^[!-#%-+\--~]+$`) // nor a comma
	claimName = regexp.MustCompile(`^[A-Za-z0-9_.:/-]{1,128}$`)
	keysURL   = regexp.MustCompile(`^https://[A-Za-z0-9.:\[\]_-]+([/?][!"%&'()+\-./0-9:;=?@A-Z_a-z~]*)?$`)
)

// oauthOf is what a listener asks of tokens, with every default filled in; nil = it takes none.
func oauthOf(l v1alpha1.Listener) *v1alpha1.ListenerOAuth {
	if l.Authentication == nil || l.Authentication.OAuth == nil ||
		!slices.Contains(l.Authentication.Mechanisms, oauthBearer) {
		return nil
	}
	o := l.Authentication.OAuth.DeepCopy()
	o.PrincipalClaim = cmp.Or(o.PrincipalClaim, defaultPrincipalClaim)
	o.ScopeClaim = cmp.Or(o.ScopeClaim, defaultScopeClaim)
	if o.ClockSkewSeconds == nil {
		skew := defaultClockSkew
		o.ClockSkewSeconds = &skew
	}
	if o.PrincipalPrefix == nil {
		prefix := defaultPrincipalPrefix
		o.PrincipalPrefix = &prefix
	}
	if o.JWKS.URL != "" {
		o.JWKS.Fetch = cmp.Or(o.JWKS.Fetch, v1alpha1.FetchedByOperator)
	}
	return o
}

// validateOAuth checks what a listener says of tokens. Kafka asks for neither issuer nor audience. Without the one it
// takes tokens that name anybody as their issuer, and without the other those that are meant for nobody.
func validateOAuth(l v1alpha1.Listener) verdict.List {
	var faults verdict.List
	refuse := func(field, format string, args ...any) {
		faults.Refuse(model.ListenerField(l.Name, field), format, args...)
	}
	offered, o := slices.Contains(l.Authentication.Mechanisms, oauthBearer), l.Authentication.OAuth
	switch {
	case offered && o == nil:
		refuse(oauthField, "%s takes tokens, and nothing says whose; name issuer, audience and jwks, or take %[1]s out of "+
			"mechanisms", oauthBearer)
		return faults
	case !offered && o != nil:
		refuse(oauthField, "nobody logs in by a token; add %s to mechanisms, or remove it", oauthBearer)
		return faults
	case o == nil:
		return nil
	}
	switch {
	case o.Issuer == "":
		refuse(oauthField+".issuer", "without it tokens of any issuer would do; "+exactlyAsInTokens)
	case len(o.Issuer) > maxIssuer || !tokenText.MatchString(o.Issuer):
		refuse(oauthField+".issuer", "it has at most %d printable characters, without a space and without $, with which "+
			"variables of Kafka begin; "+exactlyAsInTokens, maxIssuer)
	}
	switch {
	case o.Audience == "":
		refuse(oauthField+".audience", "without it nothing tells tokens for this cluster from those for other "+
			"applications; name what tokens for this cluster have in aud")
	case len(o.Audience) > maxAudience || !audience.MatchString(o.Audience):
		refuse(oauthField+".audience", "it is one value, of at most %d printable characters without a space, without $ "+
			"and without a comma, at which Kafka would make two of it", maxAudience)
	}
	for _, claim := range []struct{ field, name string }{
		{"principalClaim", o.PrincipalClaim}, {"scopeClaim", o.ScopeClaim},
	} {
		if claim.name != "" && !claimName.MatchString(claim.name) {
			refuse(oauthField+"."+claim.field, "the name of a claim has 1 to 128 letters, digits and _ . : / -")
		}
	}
	if skew := o.ClockSkewSeconds; skew != nil && (*skew < 0 || *skew > maxClockSkew) {
		refuse(oauthField+".clockSkewSeconds", "it is 0 to %d", maxClockSkew)
	}
	return append(faults, validateJWKS(l.Name, o.JWKS)...)
}

// validateJWKS checks where keys come from.
func validateJWKS(listener string, j v1alpha1.JWKS) verdict.List {
	var faults verdict.List
	refuse := func(field, text string) { faults.Refuse(model.ListenerField(listener, field), "%s", text) }
	if (j.URL != "") == (j.Secret != nil) {
		refuse(jwksField, "name either url, from which the keys are fetched, or secret, which holds them")
		return faults
	}
	if j.URL == "" {
		if j.CASecret != nil {
			refuse(jwksField+".caSecret", onlyWithURL)
		}
		if j.Fetch != "" {
			refuse(jwksField+".fetch", onlyWithURL)
		}
	} else {
		address, err := url.Parse(j.URL)
		switch {
		case err != nil || address.Scheme != "https":
			refuse(jwksField+".url", "keys are fetched over https alone, or anybody on the way could put his own among them; "+
				"write an address such as https://id.example.com/keys")
		case address.User != nil:
			refuse(jwksField+".url", "a password does not belong into a spec, and keys are public; remove the login before @")
		case len(j.URL) > maxKeysURL || address.Hostname() == "" || !keysURL.MatchString(j.URL):
			refuse(jwksField+".url", "it is no address of at most 1024 characters without spaces, commas and $; write one such "+
				"as https://id.example.com/keys")
		}
	}
	if f := j.Fetch; f != "" && f != v1alpha1.FetchedByOperator && f != v1alpha1.FetchedByBrokers {
		refuse(jwksField+".fetch", "use Operator or Brokers")
	}
	for _, secret := range []struct {
		field string
		entry *v1alpha1.SecretEntry
	}{{"secret", j.Secret}, {"caSecret", j.CASecret}} {
		if secret.entry != nil && (secret.entry.Name == "" || secret.entry.Key == "") {
			refuse(jwksField+"."+secret.field, "name the Secret and the key of the entry in it")
		}
	}
	return faults
}
