package fetch

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/castellan-dev/castellan/internal/jwks"
	"github.com/castellan-dev/castellan/internal/pki"
)

// aKeySet is one EC key.
func aKeySet(t *testing.T) string {
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
	return fmt.Sprintf(`{"keys":[{"kty":"EC","kid":"a","crv":"P-256","x":%q,"y":%q}]}`, b64(public[1:33]), b64(public[33:]))
}

// issuer is an identity provider on this machine, and the source that leads to it.
func issuer(t *testing.T, answer http.HandlerFunc) (*httptest.Server, jwks.Source) {
	t.Helper()
	server := httptest.NewUnstartedServer(answer)
	server.EnableHTTP2 = true
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.StartTLS()
	t.Cleanup(server.Close)
	anchors := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	return server, jwks.Source{Listener: "clients", URL: server.URL + "/keys", Anchors: string(anchors)}
}

func TestKeysAreFetchedFromWhereTheSpecSays(t *testing.T) {
	text := aKeySet(t)
	_, source := issuer(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(text)) })
	set, err := HTTPS{loopback: true}.Get(t.Context(), source)
	if err != nil || string(set.JSON()) != text {
		t.Errorf("%s, %v", set.JSON(), err)
	}
}

func TestWhatAnIssuerDoesWrongIsToldWithoutItsAnswer(t *testing.T) {
	var zipped bytes.Buffer
	z := gzip.NewWriter(&zipped)
	_, _ = z.Write(bytes.Repeat([]byte(" "), 64<<20))
	_ = z.Close()
	elsewhere := 0
	good := aKeySet(t)
	server, source := issuer(t, func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/redirect":
			http.Redirect(w, r, "/keys", http.StatusFound)
		case "/gone":
			http.Error(w, "topsecret", http.StatusNotFound)
		case "/page":
			_, _ = w.Write([]byte("<html>topsecret</html>"))
		case "/empty":
			_, _ = w.Write([]byte(jwks.Empty))
		case "/symmetric":
			_, _ = w.Write([]byte(`{"keys":[{"kty":"oct","k":"dG9wc2VjcmV0"}]}`))
		case "/large":
			_, _ = w.Write(bytes.Repeat([]byte(" "), jwks.MaxBytes+1))
		case "/zipped":
			w.Header().Set("Content-Encoding", "gzip")
			_, _ = w.Write(zipped.Bytes())
		default:
			elsewhere++
			_, _ = w.Write([]byte(good))
		}
	})
	at := func(path string) jwks.Source {
		s := source
		s.URL = server.URL + path
		return s
	}
	stranger, closed := issuer(t, func(http.ResponseWriter, *http.Request) {})
	stranger.Close()
	another, err := pki.NewAuthority("another", time.Now())
	if err != nil {
		t.Fatal(err)
	}
	foreign := source
	foreign.Anchors = string(another.CertPEM)
	for name, c := range map[string]struct {
		source jwks.Source
		told   string
	}{
		"a redirect":                        {at("/redirect"), "redirect (302), which is not followed"},
		"no such page":                      {at("/gone"), "the status 404"},
		"no JSON":                           {at("/page"), "not a key set in JSON"},
		"no keys":                           {at("/empty"), "it has no keys"},
		"no usable key":                     {at("/symmetric"), "1 symmetric (oct)"},
		"too much":                          {at("/large"), "more than 1048576 bytes"},
		"too much unzipped":                 {at("/zipped"), "more than 1048576 bytes"},
		"nobody there":                      {closed, "refuses the connection"},
		"another authority":                 {foreign, "signed by nobody who is trusted"},
		"public authorities do not know it": {jwks.Source{URL: source.URL}, "signed by nobody who is trusted"},
		"another host":                      {jwks.Source{URL: strings.Replace(source.URL, "127.0.0.1", "localhost", 1), Anchors: source.Anchors}, "another host's"},
		"no certificates":                   {jwks.Source{URL: source.URL, Anchors: "none"}, "cannot be read"},
		"no name":                           {jwks.Source{URL: "https://nobody.invalid/keys"}, "cannot be resolved"},
		"plain http":                        {jwks.Source{URL: strings.Replace(source.URL, "https:", "http:", 1)}, "no https address"},
		"a login in it":                     {jwks.Source{URL: strings.Replace(source.URL, "https://", "https://me:topsecret@", 1)}, "no https address"},
	} {
		for try := range 2 {
			_, err := HTTPS{loopback: true}.Get(t.Context(), c.source)
			if err == nil || !strings.Contains(err.Error(), c.told) || strings.Contains(err.Error(), "topsecret") ||
				strings.Contains(err.Error(), "127.0.0") {
				t.Errorf("%s, try %d: %v", name, try, err)
			}
		}
	}
	if elsewhere != 0 {
		t.Errorf("%d requests went where a redirect led", elsewhere)
	}
}

// An answer that does not end is read up to the bound, and not into memory until time is over.
func TestNoMoreIsReadThanAKeySetMayTake(t *testing.T) {
	const all = 64 << 20
	sent := make(chan int, 1)
	_, source := issuer(t, func(w http.ResponseWriter, _ *http.Request) {
		total := 0
		for piece := bytes.Repeat([]byte(" "), 64<<10); total < all; total += len(piece) {
			if _, err := w.Write(piece); err != nil {
				break
			}
		}
		sent <- total
	})
	if _, err := (HTTPS{loopback: true}).Get(t.Context(), source); err == nil || !strings.Contains(err.Error(), "more than") {
		t.Error(err)
	}
	if total := <-sent; total >= all/4 { // some is on the way when the operator hangs up
		t.Errorf("%d bytes were taken", total)
	}
}

func TestTheOperatorDialsNothingThatIsMeantForItsOwnMachine(t *testing.T) {
	for address, permitted := range map[string]bool{
		"10.96.0.1:443": true, "192.168.1.1:443": true, "[fd12::1]:443": true, "203.0.113.9:8443": true,
		"169.254.169.254:443": false, "169.254.0.1:443": false, "[fe80::1%eth0]:443": false, "127.0.0.1:8443": false,
		"[::1]:443": false, "0.0.0.0:443": false, "[::]:443": false, "224.0.0.1:443": false, "[fd00:ec2::254]:80": false,
		"[::ffff:169.254.169.254]:443": false, "[::ffff:127.0.0.1]:443": false, "nonsense": false,
	} {
		if err := (HTTPS{}).permits("tcp", address, nil); (err == nil) != permitted {
			t.Errorf("%s: %v", address, err)
		}
	}
	_, source := issuer(t, func(http.ResponseWriter, *http.Request) { t.Error("it was asked") })
	if _, err := (HTTPS{}).Get(t.Context(), source); err == nil || !strings.Contains(err.Error(), "does not fetch from") {
		t.Error(err)
	}
}

func TestAnIssuerThatSaysNothingIsGivenUp(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	_, source := issuer(t, func(_ http.ResponseWriter, r *http.Request) {
		cancel() // in place of ten seconds
		<-r.Context().Done()
	})
	if _, err := (HTTPS{loopback: true}).Get(ctx, source); err == nil {
		t.Error("an answer came from nobody")
	}
	if got := reason(context.DeadlineExceeded); got != "it does not answer within 10s" {
		t.Error(got)
	}
}
