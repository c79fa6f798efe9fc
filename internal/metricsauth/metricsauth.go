// Package metricsauth lets those read the metrics whom the Kubernetes API knows and permits to: the caller's token is
// reviewed, and then whether that caller may use the verb on the path. It does what the API server's own library does
// for such servers, without bringing the API server into the operator's memory.
package metricsauth

import (
	"context"
	"crypto/sha256"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/go-logr/logr"
	authenticationv1 "k8s.io/api/authentication/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	authentication "k8s.io/client-go/kubernetes/typed/authentication/v1"
	authorization "k8s.io/client-go/kubernetes/typed/authorization/v1"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/metrics/server"
)

const (
	// holds is how long a permission counts: a revoked token or permission works for so long.
	holds = time.Minute
	// refused is how long a refusal counts.
	refused = 10 * time.Second
	// known is how long after its last permission a reader is still judged before strangers.
	known = time.Hour
	// most readers that are remembered, and most refusals.
	most = 256
	// patience with the API server, for both questions.
	patience = 10 * time.Second
	// perSecond and burst bound about how many strangers' tokens the API server is asked.
	perSecond, burst = 5, 20
	// tells is how often the log says that callers were turned away.
	tells = time.Minute
)

// reader is a caller who was permitted to read.
type reader struct {
	at    time.Time // of the last permission
	asked time.Time // of the last question; until it is answered, or patience is over, no other one goes free
	from  string    // its address
}

// refusal is what a caller got who may not read.
type refusal struct {
	code  int // an HTTP status
	until time.Time
}

// share is a number of questions that fills up with time.
type share struct {
	used float64
	at   time.Time
}

// take tells whether there is one left.
func (s *share) take(now time.Time) bool {
	s.used, s.at = max(0, s.used-perSecond*now.Sub(s.at).Seconds()), now
	if s.used > burst-1 {
		return false
	}
	s.used++
	return true
}

// question is one token, verb and path. The token itself is not kept.
type question [sha256.Size]byte

// reviewer asks the Kubernetes API.
type reviewer interface {
	// user returns who bears a token; nil = nobody that is known.
	user(ctx context.Context, token string) (*authenticationv1.UserInfo, error)
	// may tells whether a user may use a verb on a path that is no resource.
	may(ctx context.Context, user *authenticationv1.UserInfo, verb, path string) (bool, error)
}

// guard stands before a handler.
type guard struct {
	reviewer reviewer
	next     http.Handler
	log      logr.Logger
	now      func() time.Time

	mu       sync.Mutex
	readers  map[question]reader
	refusals map[question]refusal
	// strangers may ask of the first share. A token that nobody knows may also be a reader's new one: who calls from the
	// address of a reader has the second share to itself.
	strangers, neighbours share
	away                  int       // callers that were turned away and are not in the log yet
	told                  time.Time // when the log last said so
}

// Filter is the server's FilterProvider.
func Filter(config *rest.Config, c *http.Client) (server.Filter, error) {
	tokens, err := authentication.NewForConfigAndClient(config, c)
	if err != nil {
		return nil, fmt.Errorf("review tokens: %w", err)
	}
	access, err := authorization.NewForConfigAndClient(config, c)
	if err != nil {
		return nil, fmt.Errorf("review access: %w", err)
	}
	return func(log logr.Logger, next http.Handler) (http.Handler, error) {
		return &guard{reviewer: api{tokens, access}, next: next, log: log, now: time.Now}, nil
	}, nil
}

// ServeHTTP implements http.Handler.
func (g *guard) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if code := g.judge(r); code != http.StatusOK {
		if code == http.StatusTooManyRequests {
			w.Header().Set("Retry-After", "1")
		}
		http.Error(w, http.StatusText(code), code)
		return
	}
	g.next.ServeHTTP(w, r)
}

func (g *guard) judge(r *http.Request) int {
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	token = strings.TrimSpace(token)
	if !strings.EqualFold(scheme, "Bearer") || token == "" {
		return http.StatusUnauthorized
	}
	verb := strings.ToLower(r.Method)
	q := question(sha256.Sum256([]byte(verb + "\n" + r.URL.Path + "\n" + token)))
	from, _, _ := net.SplitHostPort(r.RemoteAddr)
	if code := g.recall(q, from); code != 0 {
		return code
	}
	ctx, cancel := context.WithTimeout(r.Context(), patience)
	defer cancel()
	code, err := g.ask(ctx, token, verb, r.URL.Path)
	g.remember(q, from, code)
	if err != nil {
		g.log.Error(err, "cannot tell whether a caller may read metrics", "path", r.URL.Path)
		return http.StatusInternalServerError
	}
	return code
}

// recall answers a question without the API server; 0 = it has to be asked. It is asked at a bounded rate, but for the
// readers that are known: each of them asks once a minute, whatever others do.
func (g *guard) recall(q question, from string) int {
	g.mu.Lock()
	defer g.mu.Unlock()
	now := g.now()
	r, isReader := g.readers[q]
	if isReader && now.Before(r.at.Add(holds)) {
		return http.StatusOK
	}
	if v, found := g.refusals[q]; found && now.Before(v.until) {
		return v.code
	}
	if isReader && now.Before(r.at.Add(known)) && !now.Before(r.asked.Add(patience)) {
		r.asked = now
		g.readers[q] = r
		return 0
	}
	if g.strangers.take(now) || g.isReaders(from, now) && g.neighbours.take(now) {
		return 0
	}
	if g.away++; !now.Before(g.told.Add(tells)) {
		g.log.Info("callers of the metrics port with unknown tokens are turned away: the API server is not asked "+
			"about more of them at a time", "since the last time", g.away, "one of them", from)
		g.away, g.told = 0, now
	}
	return http.StatusTooManyRequests
}

// isReaders tells whether a known reader has called from an address.
func (g *guard) isReaders(address string, now time.Time) bool {
	for _, r := range g.readers {
		if r.from == address && now.Before(r.at.Add(known)) {
			return true
		}
	}
	return false
}

func (g *guard) ask(ctx context.Context, token, verb, path string) (int, error) {
	user, err := g.reviewer.user(ctx, token)
	switch {
	case err != nil:
		return 0, fmt.Errorf("review the caller's token: %w", err)
	case user == nil:
		return http.StatusUnauthorized, nil
	}
	may, err := g.reviewer.may(ctx, user, verb, path)
	switch {
	case err != nil:
		return 0, fmt.Errorf("review whether %s may %s %s: %w", user.Username, verb, path, err)
	case !may:
		return http.StatusForbidden, nil
	}
	return http.StatusOK, nil
}

// remember keeps what the API server answered; code 0 = nothing, and a known reader may ask again at once.
func (g *guard) remember(q question, from string, code int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	now := g.now()
	switch r, isReader := g.readers[q]; {
	case code == http.StatusOK:
		if !isReader && len(g.readers) >= most {
			g.forgetOldest()
		}
		if g.readers == nil {
			g.readers = map[question]reader{}
		}
		g.readers[q] = reader{at: now, from: from}
	case code != 0:
		delete(g.readers, q)
		if g.refusals == nil || len(g.refusals) >= most {
			g.refusals = map[question]refusal{}
		}
		g.refusals[q] = refusal{code, now.Add(refused)}
	case isReader:
		r.asked = time.Time{}
		g.readers[q] = r
	}
}

func (g *guard) forgetOldest() {
	var oldest question
	for q, r := range g.readers {
		if first, found := g.readers[oldest]; !found || r.at.Before(first.at) {
			oldest = q
		}
	}
	delete(g.readers, oldest)
}

// api is the reviewer that asks the real one.
type api struct {
	tokens authentication.AuthenticationV1Interface
	access authorization.AuthorizationV1Interface
}

func (a api) user(ctx context.Context, token string) (*authenticationv1.UserInfo, error) {
	review, err := a.tokens.TokenReviews().
		Create(
			ctx,
			&authenticationv1.TokenReview{Spec: authenticationv1.TokenReviewSpec{Token: token}},
			metav1.CreateOptions{},
		)
	if err != nil || !review.Status.Authenticated {
		return nil, err
	}
	return &review.Status.User, nil
}

func (a api) may(ctx context.Context, user *authenticationv1.UserInfo, verb, path string) (bool, error) {
	spec := authorizationv1.SubjectAccessReviewSpec{
		User: user.Username, UID: user.UID, Groups: user.Groups,
		NonResourceAttributes: &authorizationv1.NonResourceAttributes{Verb: verb, Path: path},
	}
	for key, values := range user.Extra {
		if spec.Extra == nil {
			spec.Extra = map[string]authorizationv1.ExtraValue{}
		}
		spec.Extra[key] = authorizationv1.ExtraValue(values)
	}
	review, err := a.access.SubjectAccessReviews().
		Create(ctx, &authorizationv1.SubjectAccessReview{Spec: spec}, metav1.CreateOptions{})
	if err != nil {
		return false, err
	}
	return review.Status.Allowed && !review.Status.Denied, nil
}
