package onkafka_test

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"testing"
	"time"

	"github.com/castellan-dev/castellan/api/v1alpha1"
	"github.com/castellan-dev/castellan/internal/mechanism"
)

// tokenPrefix stands before the name of whoever comes with a token.
const tokenPrefix = "oidc:"

// issuer gives out tokens, and a broker reads its key from a file.
type issuer struct {
	t   *testing.T
	key *rsa.PrivateKey
	url string // of the file
}

func encoded(content []byte) string { return base64.RawURLEncoding.EncodeToString(content) }

// newIssuer makes one with a key of its own. file writes a file and says where.
func newIssuer(t *testing.T, file func(name string, content []byte) string) *issuer {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	keys := `{"keys":[{"kty":"RSA","kid":"one","use":"sig","alg":"RS256","n":"` + encoded(key.N.Bytes()) + `","e":"AQAB"}]}`
	return &issuer{t: t, key: key, url: "file://" + file("keys.json", []byte(keys))}
}

// taken adds to the properties of a broker that its listener with TLS takes tokens beside passwords.
func (i *issuer) taken(config map[string]string) map[string]string {
	const prefix = "listener.name.secure."
	skew, named := int32(30), tokenPrefix
	row, _ := mechanism.Of(v1alpha1.MechanismOAuthBearer)
	config[prefix+"sasl.enabled.mechanisms"] = "PLAIN,SCRAM-SHA-256,SCRAM-SHA-512,OAUTHBEARER"
	config[prefix+"connections.max.reauth.ms"] = "300000"
	for _, p := range row.Listener(mechanism.Offer{KeysURL: i.url, OAuth: &v1alpha1.ListenerOAuth{
		Issuer: "https://id.example.com", Audience: "kafka", PrincipalClaim: "sub", ScopeClaim: "scope",
		ClockSkewSeconds: &skew, PrincipalPrefix: &named,
	}}) {
		config[prefix+p.Key] = p.Value
	}
	return config
}

// token is one of a name, good until its end.
func (i *issuer) token(name string, end time.Time) string {
	i.t.Helper()
	part := func(claims map[string]any) string {
		text, err := json.Marshal(claims)
		if err != nil {
			i.t.Fatal(err)
		}
		return encoded(text)
	}
	input := part(map[string]any{"alg": "RS256", "kid": "one"}) + "." + part(map[string]any{
		"iss": "https://id.example.com", "aud": "kafka", "sub": name, "iat": end.Add(-2 * time.Hour).Unix(), "exp": end.Unix()})
	sum := sha256.Sum256([]byte(input))
	signature, err := rsa.SignPKCS1v15(rand.Reader, i.key, crypto.SHA256, sum[:])
	if err != nil {
		i.t.Fatal(err)
	}
	return input + "." + encoded(signature)
}
