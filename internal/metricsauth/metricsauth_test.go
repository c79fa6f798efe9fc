package metricsauth

import (
	"context"
	"errors"
	"fmt"
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
	// meanwhile happens before the API server answers; nil = nothing.
	meanwhile func()
}

func (o *oracle) user(_ context.Context, token string) (*authenticationv1.UserInfo, error) {
	o.asked++
	if o.meanwhile != nil {
		o.meanwhile()
	}
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
	tokens int
}

func newFixture() *fixture {
	f := &fixture{now: time.Unix(1e9, 0), oracle: &oracle{
		users:  map[string]string{"good": "reader", "other": "stranger"},
		grants: map[string]bool{"reader get /metrics": true},
	}}
	f.guard = &guard{
		reviewer: f.oracle, now: func() time.Time { return f.now },
		next: http.HandlerFunc(func(http.ResponseWriter, *http.Request) { f.served++ }),
		log:  funcr.New(func(_, args string) { f.logged += args }, funcr.Options{}),
	}
	return f
}

func (f *fixture) get(method, path, header string) int {
	return f.getFrom("10.0.0.1:1", method, path, header)
}

func (f *fixture) getFrom(address, method, path, header string) int {
	r := httptest.NewRequest(method, path, nil)
	r.RemoteAddr = address
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

// flood sends requests with tokens that nobody has issued, from one address, and returns the codes they got.
func (f *fixture) flood(requests int) map[int]int {
	codes := map[int]int{}
	for range requests {
		f.tokens++
		codes[f.getFrom("10.9.9.9:1", "GET", "/metrics", fmt.Sprintf("Bearer random-%d", f.tokens))]++
	}
	return codes
}

func TestUnknownTokensAskTheAPIServerAtABoundedRate(t *testing.T) {
	f := newFixture()
	codes := f.flood(1000)
	if f.asked != burst || codes[401] != burst || codes[429] != 1000-burst {
		t.Errorf("%d questions for 1000 random tokens at one time, answers %v", f.asked, codes)
	}
	f.asked = 0
	for range 60 {
		f.now = f.now.Add(time.Second)
		f.flood(100)
	}
	if f.asked != 60*perSecond {
		t.Errorf("%d questions within a minute, expected %d", f.asked, 60*perSecond)
	}
	if n := strings.Count(f.logged, "turned away"); n != 2 {
		t.Errorf("a minute of it is told %d times in the log, expected at its begin and a minute later", n)
	}
	if strings.Contains(f.logged, "random") {
		t.Errorf("a token is in the log: %s", f.logged)
	}
}

func TestAKnownReaderIsNotStalledByUnknownTokens(t *testing.T) {
	f := newFixture()
	f.grants["reader with a new token get /metrics"] = true
	f.users["good-2"] = "reader with a new token"
	if got := f.get("GET", "/metrics", "Bearer good"); got != 200 {
		t.Fatalf("got %d", got)
	}
	for range 20 { // five minutes of scrapes: what is known of the token is asked anew each minute
		f.flood(1000)
		if got := f.get("GET", "/metrics", "Bearer good"); got != 200 {
			t.Fatalf("the known token got %d", got)
		}
		f.now = f.now.Add(15 * time.Second)
	}
	f.flood(1000)
	if got := f.get("GET", "/metrics", "Bearer good-2"); got != 200 {
		t.Errorf("a reader whose token was renewed got %d at the address that it has always called from", got)
	}
	f.flood(1000)
	if got := f.getFrom("10.1.1.1:1", "GET", "/metrics", "Bearer good-2"); got != 200 {
		t.Errorf("a known token got %d at another address", got)
	}
}

func TestTheAddressOfAKnownReaderBuysNoUnlimitedQuestions(t *testing.T) {
	f := newFixture()
	f.getFrom("10.9.9.9:1", "GET", "/metrics", "Bearer good")
	f.asked = 0
	if f.flood(1000); f.asked != 2*burst-1 {
		t.Errorf("%d questions, expected the two shares of %d, less what the reader has used", f.asked, burst)
	}
}

func TestAReaderWhomTheAPIServerIsSlowToJudgeAsksOnce(t *testing.T) {
	f := newFixture()
	f.get("GET", "/metrics", "Bearer good")
	f.now = f.now.Add(holds)
	f.asked, f.meanwhile = 0, func() { // requests that come while the first is still being judged
		f.meanwhile = nil
		for range 1000 {
			f.get("GET", "/metrics", "Bearer good")
		}
	}
	if f.get("GET", "/metrics", "Bearer good"); f.asked > 2*(1+2*burst) {
		t.Errorf("%d questions about one token", f.asked)
	}
}

func TestARefusalHoldsForAShortTime(t *testing.T) {
	f := newFixture()
	for range 3 {
		if got := f.get("GET", "/metrics", "Bearer late"); got != 401 {
			t.Fatalf("got %d", got)
		}
	}
	if f.asked != 1 {
		t.Errorf("%d questions for three requests", f.asked)
	}
	f.users["late"] = "reader"
	f.now = f.now.Add(refused)
	if got := f.get("GET", "/metrics", "Bearer late"); got != 200 {
		t.Errorf("got %d once the token is known", got)
	}
}

func TestAReaderWhomThePermissionIsTakenFromIsKnownNoMore(t *testing.T) {
	f := newFixture()
	f.get("GET", "/metrics", "Bearer good")
	f.grants = nil
	f.now = f.now.Add(holds)
	if got := f.get("GET", "/metrics", "Bearer good"); got != 403 {
		t.Errorf("got %d", got)
	}
	if len(f.guard.readers) != 0 {
		t.Error("it still counts as a reader")
	}
}

func TestMemoryIsBounded(t *testing.T) {
	f := newFixture()
	for i := range 3 * most {
		f.now = f.now.Add(time.Second) // unknown tokens that come slowly are judged
		f.get("GET", "/metrics", fmt.Sprintf("Bearer bad-%d", i))
		f.users[fmt.Sprintf("good-%d", i)] = "reader"
		if got := f.get("GET", "/metrics", fmt.Sprintf("Bearer good-%d", i)); got != 200 {
			t.Fatalf("reader %d got %d", i, got)
		}
	}
	if len(f.guard.readers) > most || len(f.guard.refusals) > most {
		t.Errorf("%d readers and %d refusals are remembered", len(f.guard.readers), len(f.guard.refusals))
	}
	asked := f.asked
	if f.get("GET", "/metrics", fmt.Sprintf("Bearer good-%d", 3*most-1)); f.asked != asked {
		t.Error("the newest reader is forgotten, and not the oldest")
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
