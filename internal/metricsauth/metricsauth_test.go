package metricsauth

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/go-logr/logr/funcr"
	authenticationv1 "k8s.io/api/authentication/v1"
)

// oracle knows who bears which token, and who may do what.
type oracle struct {
	users  map[string]string
	grants map[string]bool // "user verb path"
	down   error
	asked  int
}

func (o *oracle) user(_ context.Context, token string) (*authenticationv1.UserInfo, error) {
	o.asked++
	if name := o.users[token]; name != "" {
		return &authenticationv1.UserInfo{Username: name}, o.down
	}
	return nil, o.down
}

func (o *oracle) may(_ context.Context, user *authenticationv1.UserInfo, verb, path string) (bool, error) {
	o.asked++
	return o.grants[user.Username+" "+verb+" "+path], nil
}

type fixture struct {
	*oracle
	guard  *guard
	now    time.Time
	served int
	logged string
}

func newFixture() *fixture {
	f := &fixture{now: time.Unix(1e9, 0), oracle: &oracle{
		users:  map[string]string{"good": "reader", "other": "stranger"},
		grants: map[string]bool{"reader get /metrics": true},
	}}
	f.guard = &guard{
		reviewer: f.oracle, known: map[question]verdict{}, now: func() time.Time { return f.now },
		next: http.HandlerFunc(func(http.ResponseWriter, *http.Request) { f.served++ }),
		log:  funcr.New(func(_, args string) { f.logged += args }, funcr.Options{}),
	}
	return f
}

func (f *fixture) get(method, path, header string) int {
	r := httptest.NewRequest(method, path, nil)
	if header != "" {
		r.Header.Set("Authorization", header)
	}
	w := httptest.NewRecorder()
	f.guard.ServeHTTP(w, r)
	return w.Code
}

func TestOnlyWhoMayReadsMetrics(t *testing.T) {
	for name, c := range map[string]struct {
		method, path, header string
		want                 int
	}{
		"may":                  {"GET", "/metrics", "Bearer good", 200},
		"in another spelling":  {"GET", "/metrics", "bearer  good", 200},
		"without a token":      {"GET", "/metrics", "", 401},
		"an empty token":       {"GET", "/metrics", "Bearer ", 401},
		"a password":           {"GET", "/metrics", "Basic good", 401},
		"an unknown token":     {"GET", "/metrics", "Bearer bad", 401},
		"known, may not":       {"GET", "/metrics", "Bearer other", 403},
		"another path":         {"GET", "/debug", "Bearer good", 403},
		"another verb":         {"POST", "/metrics", "Bearer good", 403},
		"a path beside it":     {"GET", "/metrics/x", "Bearer good", 403},
		"a token in the query": {"GET", "/metrics?token=good", "", 401},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture()
			if got := f.get(c.method, c.path, c.header); got != c.want || f.served != 1 && c.want == 200 ||
				f.served != 0 && c.want != 200 {
				t.Errorf("got %d, expected %d; served %d times", got, c.want, f.served)
			}
		})
	}
}

func TestAnAnswerHoldsForAMinuteAndForItsOwnQuestionAlone(t *testing.T) {
	f := newFixture()
	for range 3 {
		f.get("GET", "/metrics", "Bearer good")
	}
	if f.asked != 2 || f.served != 3 {
		t.Errorf("%d questions for three requests, %d served", f.asked, f.served)
	}
	if got := f.get("GET", "/metrics", "Bearer other"); got != 403 {
		t.Errorf("another caller got %d", got)
	}
	f.grants = nil // the permission is taken back
	f.now = f.now.Add(holds - time.Second)
	if got := f.get("GET", "/metrics", "Bearer good"); got != 200 {
		t.Errorf("%d within the minute", got)
	}
	f.now = f.now.Add(time.Second)
	if got := f.get("GET", "/metrics", "Bearer good"); got != 403 {
		t.Errorf("%d after the minute", got)
	}
}

func TestMemoryIsBounded(t *testing.T) {
	f := newFixture()
	for i := range 3 * most {
		f.get("GET", "/metrics", "Bearer "+string(rune('a'+i)))
	}
	if len(f.guard.known) > most {
		t.Errorf("%d answers are remembered", len(f.guard.known))
	}
}

func TestWhenTheAPIDoesNotAnswerNobodyPassesAndNothingIsRemembered(t *testing.T) {
	f := newFixture()
	f.down = errors.New("no answer")
	if got := f.get("GET", "/metrics", "Bearer good"); got != 500 || f.served != 0 {
		t.Errorf("got %d, served %d", got, f.served)
	}
	if f.logged == "" {
		t.Error("nothing is logged")
	}
	if strings.Contains(f.logged, "good") {
		t.Errorf("the token is in the log: %s", f.logged)
	}
	f.down = nil
	if got := f.get("GET", "/metrics", "Bearer good"); got != 200 {
		t.Errorf("got %d once it answers", got)
	}
}
