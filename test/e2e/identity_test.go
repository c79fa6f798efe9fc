package e2e

import (
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"maps"
	"net"
	"net/http"
	"sync"
	"testing"
	"time"
)

// What an identity provider answers when somebody asks for its keys.
const (
	identityServes = iota
	identityRedirects
	identityAway // it closes the connection
)

// identityProvider issues tokens on this machine, outside of the Kubernetes cluster, and publishes the key for them.
type identityProvider struct {
	url  string
	root *issuer // who has signed for its host

	mu     sync.Mutex
	key    *ecdsa.PrivateKey
	kid    string
	answer int
}

// startIdentityProvider serves until the test ends.
func startIdentityProvider(t *testing.T) *identityProvider {
	t.Helper()
	host := addressOutside(t)
	listener, err := net.Listen("tcp", net.JoinHostPort(host, "0"))
	if err != nil {
		t.Fatal(err)
	}
	p := &identityProvider{url: "https://" + listener.Addr().String() + "/keys", root: newIssuer(t, "identity", nil)}
	p.rotate(t)
	key := newECKey(t)
	template := &x509.Certificate{SerialNumber: newSerial(t), IPAddresses: []net.IP{net.ParseIP(host)},
		NotBefore: time.Now().Add(-time.Minute), NotAfter: time.Now().Add(12 * time.Hour),
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}}
	der, err := x509.CreateCertificate(rand.Reader, template, p.root.cert, key.Public(), p.root.key)
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: p, ReadHeaderTimeout: 10 * time.Second, ErrorLog: log.New(io.Discard, "", 0)}
	secured := tls.NewListener(listener, &tls.Config{MinVersion: tls.VersionTLS12,
		Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}})
	var done sync.WaitGroup
	done.Go(func() { _ = server.Serve(secured) })
	t.Cleanup(func() {
		_ = server.Close()
		done.Wait()
	})
	return p
}

// ServeHTTP answers whoever asks for the keys.
func (p *identityProvider) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch p.answer {
	case identityRedirects:
		http.Redirect(w, r, "/elsewhere", http.StatusFound)
	case identityAway:
		panic(http.ErrAbortHandler)
	default:
		point, err := p.key.PublicKey.Bytes()
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		_ = json.NewEncoder(w).Encode(map[string]any{"keys": []map[string]any{
			{"kty": "EC", "kid": p.kid, "use": "sig", "alg": "ES256", "crv": "P-256", "x": base64URL(point[1:33]), "y": base64URL(point[33:])},
			{"kty": "oct", "kid": "symmetric", "k": base64URL([]byte("not a secret"))},
		}})
	}
}

func base64URL(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

func (p *identityProvider) answers(how int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.answer = how
}

// rotate signs with another key from now on, and publishes that alone.
func (p *identityProvider) rotate(t *testing.T) {
	t.Helper()
	key := newECKey(t)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.key, p.kid = key, fmt.Sprintf("key-%s", newSerial(t))
}

// token is one for the client orders, with other claims laid over it.
func (p *identityProvider) token(t *testing.T, over map[string]any) string {
	t.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	now := time.Now()
	claims := map[string]any{"iss": "https://id.example.com/realms/shop", "aud": []string{"account", "kafka"},
		"sub": "4711", "client_id": "orders", "iat": now.Add(-2 * time.Hour).Unix(), "exp": now.Add(2 * time.Hour).Unix()}
	maps.Copy(claims, over)
	input := ""
	for _, part := range []map[string]any{{"alg": "ES256", "kid": p.kid}, claims} {
		text, err := json.Marshal(part)
		if err != nil {
			t.Fatal(err)
		}
		if input != "" {
			input += "."
		}
		input += base64URL(text)
	}
	sum := sha256.Sum256([]byte(input))
	r, s, err := ecdsa.Sign(rand.Reader, p.key, sum[:])
	if err != nil {
		t.Fatal(err)
	}
	signature := make([]byte, 64)
	r.FillBytes(signature[:32])
	s.FillBytes(signature[32:])
	return input + "." + base64URL(signature)
}
