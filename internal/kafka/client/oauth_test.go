package client_test

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"maps"
	"math/big"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sasl/oauth"

	"github.com/castellan-dev/castellan/api/v1alpha1"
	"github.com/castellan-dev/castellan/internal/jwks"
	"github.com/castellan-dev/castellan/internal/kafka"
	"github.com/castellan-dev/castellan/internal/kafka/client"
	"github.com/castellan-dev/castellan/internal/kafka/kafkatest"
	"github.com/castellan-dev/castellan/internal/mechanism"
	"github.com/castellan-dev/castellan/internal/version"
)

type claims = map[string]any

func b64(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

// idp is an identity provider with one RSA key and one EC key.
type idp struct {
	t   *testing.T
	rsa *rsa.PrivateKey
	ec  *ecdsa.PrivateKey
	kid string // begins the names of its keys
}

func newIDP(t *testing.T, kid string) *idp {
	t.Helper()
	r, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	e, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return &idp{t: t, rsa: r, ec: e, kid: kid}
}

// keys is its key set as the operator writes it.
func (p *idp) keys() []byte {
	p.t.Helper()
	point, err := p.ec.PublicKey.Bytes()
	if err != nil {
		p.t.Fatal(err)
	}
	text, err := json.Marshal(claims{"keys": []claims{
		{"kty": "RSA", "kid": p.kid + "-rsa", "use": "sig", "alg": "RS256", "n": b64(p.rsa.N.Bytes()), "e": "AQAB", "d": b64(p.rsa.D.Bytes())},
		{"kty": "EC", "kid": p.kid + "-ec", "crv": "P-256", "x": b64(point[1:33]), "y": b64(point[33:])},
		{"kty": "oct", "kid": p.kid + "-oct", "alg": "HS256", "k": b64([]byte("a secret that both sides know of"))},
	}})
	if err != nil {
		p.t.Fatal(err)
	}
	set, err := jwks.Parse(text)
	if err != nil {
		p.t.Fatal(err)
	}
	return set.JSON()
}

// good are the claims of a token that brokers take, with others laid over them; nil takes one away.
func good(over claims) claims {
	now := time.Now()
	all := claims{"iss": "https://id.example.com", "aud": []string{"account", "kafka"}, "client_id": "orders", "sub": "4711",
		"iat": now.Add(-time.Minute).Unix(), "exp": now.Add(time.Hour).Unix()}
	maps.Copy(all, over)
	maps.DeleteFunc(all, func(_ string, v any) bool { return v == nil })
	return all
}

func jwt(t *testing.T, header, payload claims, sign func(input []byte) []byte) string {
	t.Helper()
	h, err := json.Marshal(header)
	if err != nil {
		t.Fatal(err)
	}
	p, err := json.Marshal(payload)
	if err != nil {
		t.Fatal(err)
	}
	input := b64(h) + "." + b64(p)
	return input + "." + b64(sign([]byte(input)))
}

func (p *idp) rs256(payload claims) string {
	return jwt(p.t, claims{"alg": "RS256", "kid": p.kid + "-rsa"}, payload, func(input []byte) []byte {
		sum := sha256.Sum256(input)
		signature, err := rsa.SignPKCS1v15(rand.Reader, p.rsa, crypto.SHA256, sum[:])
		if err != nil {
			p.t.Fatal(err)
		}
		return signature
	})
}

func (p *idp) es256(payload claims) string {
	return jwt(p.t, claims{"alg": "ES256", "kid": p.kid + "-ec"}, payload, func(input []byte) []byte {
		sum := sha256.Sum256(input)
		r, s, err := ecdsa.Sign(rand.Reader, p.ec, sum[:])
		if err != nil {
			p.t.Fatal(err)
		}
		signature := make([]byte, 64)
		for i, n := range []*big.Int{r, s} {
			n.FillBytes(signature[32*i : 32*i+32])
		}
		return signature
	})
}

// none is a token that nobody has signed.
func none(t *testing.T, payload claims) string {
	return jwt(t, claims{"alg": "none"}, payload, func([]byte) []byte { return nil })
}

// hs256 is a token that is signed with something that is not secret.
func hs256(t *testing.T, kid string, key []byte, payload claims) string {
	return jwt(t, claims{"alg": "HS256", "kid": kid}, payload, func(input []byte) []byte {
		sum := hmac.New(sha256.New, key)
		sum.Write(input)
		return sum.Sum(nil)
	})
}

// takesTokens gives the listener of the clients what is rendered for one that takes tokens, beside what it offers.
func takesTokens(keysFile string) kafkatest.Options {
	const prefix = "listener.name.clients."
	skew, before := int32(0), ""
	row, _ := mechanism.Of(v1alpha1.MechanismOAuthBearer)
	offer := mechanism.Offer{KeysURL: "file://" + keysFile, OAuth: &v1alpha1.ListenerOAuth{
		Issuer: "https://id.example.com", Audience: "kafka", PrincipalClaim: "client_id", ScopeClaim: "scope",
		ClockSkewSeconds: &skew, PrincipalPrefix: &before,
	}}
	config := map[string]string{
		prefix + "sasl.enabled.mechanisms":   "PLAIN,SCRAM-SHA-256,SCRAM-SHA-512,OAUTHBEARER",
		prefix + "connections.max.reauth.ms": "300000",
	}
	for _, p := range row.Listener(offer) {
		config[prefix+p.Key] = p.Value
	}
	return kafkatest.Options{
		Users: map[string]string{"bob": plainPassword}, Config: config,
		JVM: []string{"-Dorg.apache.kafka.sasl.oauthbearer.allowed.urls=" + offer.KeysURL},
	}
}

// presents connects with tokens. The caller closes the client.
func presents(t *testing.T, address string, token func() string) *kgo.Client {
	t.Helper()
	login := oauth.Oauth(func(context.Context) (oauth.Auth, error) { return oauth.Auth{Token: token()}, nil })
	c, err := kgo.NewClient(kgo.SeedBrokers(address), kgo.SASL(login), kgo.RequestRetries(0), kgo.DialTimeout(pace.Of(5*time.Second)))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// takes tells what becomes of a login by a token.
func takes(t *testing.T, address, token string) error {
	t.Helper()
	c := presents(t, address, func() string { return token })
	defer c.Close()
	ctx, cancel := context.WithTimeout(t.Context(), pace.Of(10*time.Second))
	defer cancel()
	return c.Ping(ctx)
}

// publish puts a key set where brokers read it, as the kubelet does: the file is another one at once.
func publish(t *testing.T, file string, keys []byte) {
	t.Helper()
	if err := os.WriteFile(file+".new", keys, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(file+".new", file); err != nil {
		t.Fatal(err)
	}
}

// The properties that are rendered, read by every version of Kafka in the catalogue.
func TestBrokersTakeTheTokensOfOneIssuerForOneAudienceAlone(t *testing.T) {
	needKafka(t)
	for _, v := range version.Catalogue {
		t.Run(v.Kafka, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), pace.Of(5*time.Minute))
			defer cancel()
			file := filepath.Join(t.TempDir(), "clients.json")
			publish(t, file, []byte(jwks.Empty))
			options := takesTokens(file)
			options.Version = v.Kafka
			k, err := kafkatest.Start(ctx, options) // with an empty key set
			if err != nil {
				t.Fatal(err)
			}
			defer k.Close()
			address, issuer, stranger := k.Nodes[0].Clients, newIDP(t, "a"), newIDP(t, "a")
			if err := takes(t, address, issuer.rs256(good(nil))); err == nil {
				t.Error("a token is taken before the keys of its issuer are known")
			}
			publish(t, file, issuer.keys())
			for name, token := range map[string]string{
				"RS256": issuer.rs256(good(nil)), "ES256": issuer.es256(good(nil)),
				"one audience, not in a list": issuer.rs256(good(claims{"aud": "kafka"})),
			} {
				if err := takes(t, address, token); err != nil {
					t.Errorf("%s: %v", name, err)
				}
			}
			for name, token := range refusedTokens(t, issuer, stranger) {
				if err := takes(t, address, token); err == nil {
					t.Errorf("it is taken: %s", name)
				} else if v.Kafka == version.Catalogue[len(version.Catalogue)-1].Kafka {
					t.Logf("%s: the client says: %v", name, err)
				}
			}
			login := kafka.Login{Address: address, Mechanism: "PLAIN", Username: "bob", Password: plainPassword}
			if err := (client.Prober{}).TryLogin(ctx, login); err != nil {
				t.Errorf("by password, at the same listener: %v", err)
			}
			checkExpiry(ctx, t, address, checkRotation(t, address, file, issuer))
		})
	}
}

// refusedTokens are those that no broker may take.
func refusedTokens(t *testing.T, issuer, stranger *idp) map[string]string {
	t.Helper()
	der, err := x509.MarshalPKIXPublicKey(issuer.rsa.Public())
	if err != nil {
		t.Fatal(err)
	}
	public := pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
	whole := issuer.rs256(good(nil))
	ago := time.Now().Add(-time.Minute)
	return map[string]string{
		"another issuer":                   issuer.rs256(good(claims{"iss": "https://id.example.com/"})),
		"no issuer":                        issuer.rs256(good(claims{"iss": nil})),
		"another audience":                 issuer.rs256(good(claims{"aud": "account"})),
		"no audience":                      issuer.rs256(good(claims{"aud": nil})),
		"expired":                          issuer.rs256(good(claims{"iat": ago.Add(-time.Hour).Unix(), "exp": ago.Unix()})),
		"without an end":                   issuer.rs256(good(claims{"exp": nil})),
		"without a beginning":              issuer.rs256(good(claims{"iat": nil})),
		"not valid yet":                    issuer.rs256(good(claims{"nbf": time.Now().Add(time.Hour).Unix()})),
		"without the claim of the name":    issuer.rs256(good(claims{"client_id": nil})),
		"with a name that is no text":      issuer.rs256(good(claims{"client_id": 7})),
		"signed by somebody else":          stranger.rs256(good(nil)),
		"signed by somebody else with EC":  stranger.es256(good(nil)),
		"unsigned: none":                   none(t, good(nil)),
		"unsigned: none, with a signature": none(t, good(nil)) + "AAAA",
		"unsigned: the signature cut off":  whole[:len(whole)-342],
		"signed with the public key":       hs256(t, "a-rsa", public, good(nil)),
		"signed with the symmetric key":    hs256(t, "a-oct", []byte("a secret that both sides know of"), good(nil)),
		"no token":                         "hush",
	}
}

// checkRotation replaces all keys of the issuer. A broker reads the file at the next login.
func checkRotation(t *testing.T, address, file string, before *idp) (after *idp) {
	t.Helper()
	after = newIDP(t, "b")
	if err := takes(t, address, after.rs256(good(nil))); err == nil {
		t.Error("a token is taken whose key is not published")
	}
	publish(t, file, after.keys())
	if err := takes(t, address, after.es256(good(nil))); err != nil {
		t.Errorf("with the new key: %v", err)
	}
	if err := takes(t, address, before.es256(good(nil))); err == nil {
		t.Error("a token is taken whose key is withdrawn")
	}
	return after
}

// checkExpiry holds a connection for longer than its token is good for.
func checkExpiry(ctx context.Context, t *testing.T, address string, issuer *idp) {
	t.Helper()
	end := time.Now().Add(4 * time.Second).Truncate(time.Second)
	token := issuer.rs256(good(claims{"exp": end.Unix()}))
	c := presents(t, address, func() string { return token })
	defer c.Close()
	if err := c.Ping(ctx); err != nil {
		t.Errorf("while the token is good: %v", err)
		return
	}
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(pace.Of(30 * time.Second)); time.Now().Before(deadline); <-tick.C {
		if err := c.Ping(ctx); err != nil {
			// The client logs in again by itself shortly before the broker would end the session, with the same token.
			if early := time.Until(end); early > time.Second {
				t.Errorf("the session ended %s before its token: %v", early, err)
			}
			return
		}
	}
	t.Errorf("the session goes on %s after its token has expired", time.Since(end))
}
