package suite

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"strings"
	"testing"
	"time"
)

var errHandshake = errors.New("net/http: TLS handshake timeout")

// failing fails the first requests, before or after the connection stands, and lets the others through.
type failing struct {
	times     int
	connected bool
	asked     int
}

func (f *failing) RoundTrip(request *http.Request) (*http.Response, error) {
	if f.asked++; f.asked > f.times {
		return http.DefaultTransport.RoundTrip(request)
	}
	if trace := httptrace.ContextClientTrace(request.Context()); f.connected && trace != nil {
		trace.GotConn(httptrace.GotConnInfo{})
	}
	if request.Body != nil {
		_, _ = io.Copy(io.Discard, request.Body)
	}
	return nil, errHandshake
}

func send(t *testing.T, next http.RoundTripper, method, url string, within time.Duration) (string, error) {
	t.Helper()
	var body io.Reader
	if method != http.MethodGet {
		body = strings.NewReader("the body")
	}
	request, err := http.NewRequestWithContext(t.Context(), method, url, body)
	if err != nil {
		t.Fatal(err)
	}
	client := &http.Client{Transport: outlasting{next: next, pause: time.Millisecond, within: within}}
	response, err := client.Do(request)
	if err != nil {
		return "", err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	return response.Status + " " + string(text), err
}

// server answers 503 a few times and then with what it was sent.
func server(t *testing.T, refusals int) (url string, asked *int) {
	t.Helper()
	n := 0
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if n++; n <= refusals {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		_, _ = io.Copy(w, r.Body)
	}))
	t.Cleanup(s.Close)
	return s.URL, &n
}

func TestARequestOutlastsErrorsOfTheServer(t *testing.T) {
	url, _ := server(t, 2)
	for name, c := range map[string]struct {
		method    string
		connected bool
		again     bool
	}{
		"read, never connected":   {http.MethodGet, false, true},
		"read, no answer":         {http.MethodGet, true, true},
		"patch, no answer":        {http.MethodPatch, true, true},
		"create, never connected": {http.MethodPost, false, true},
		"create, no answer":       {http.MethodPost, true, false},
		"delete, never connected": {http.MethodDelete, false, true},
		"delete, no answer":       {http.MethodDelete, true, false},
	} {
		t.Run(name, func(t *testing.T) {
			next := &failing{times: 3, connected: c.connected}
			_, err := send(t, next, c.method, url, time.Minute)
			if again := next.asked > 1; again != c.again || again && err != nil {
				t.Errorf("sent %d times, error %v", next.asked, err)
			}
		})
	}
}

func TestARequestIsSentAgainWithItsWholeBody(t *testing.T) {
	url, _ := server(t, 0)
	got, err := send(t, &failing{times: 2}, http.MethodPost, url, time.Minute)
	if err != nil || got != "200 OK the body" {
		t.Errorf("%q (error %v)", got, err)
	}
}

func TestAnOverloadedServerIsAskedAgainWhereThatChangesNothing(t *testing.T) {
	for method, want := range map[string]int{http.MethodGet: 3, http.MethodPatch: 3, http.MethodPost: 1, http.MethodDelete: 1} {
		url, asked := server(t, 2)
		if _, err := send(t, http.DefaultTransport, method, url, time.Minute); err != nil || *asked != want {
			t.Errorf("%s: sent %d times (error %v), expected %d", method, *asked, err, want)
		}
	}
}

func TestPatienceEnds(t *testing.T) {
	url, _ := server(t, 0)
	if _, err := send(t, &failing{times: 1 << 30}, http.MethodGet, url, 20*time.Millisecond); !errors.Is(
		err,
		errHandshake,
	) {
		t.Errorf("error %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if sleep(ctx, time.Hour) {
		t.Error("it waits on when the request is over")
	}
}
