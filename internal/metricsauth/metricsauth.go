// Package metricsauth lets those read the metrics whom the Kubernetes API knows and permits to: the caller's token is
// reviewed, and then whether that caller may use the verb on the path. It does what the API server's own library does
// for such servers, without bringing the API server into the operator's memory.
package metricsauth

import (
	"context"
	"crypto/sha256"
	"fmt"
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
	// holds is how long an answer counts: a revoked token or permission works for so long.
	holds = time.Minute
	// most answers that are remembered.
	most = 256
	// patience with the API server, for both questions.
	patience = 10 * time.Second
)

// verdict is what a caller gets.
type verdict struct {
	code  int // an HTTP status; 200 = may pass
	until time.Time
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

	mu    sync.Mutex
	known map[question]verdict
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
		return &guard{reviewer: api{tokens, access}, next: next, log: log, now: time.Now, known: map[question]verdict{}}, nil
	}, nil
}

// ServeHTTP implements http.Handler.
func (g *guard) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if code := g.judge(r); code != http.StatusOK {
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
	g.mu.Lock()
	v, found := g.known[q]
	g.mu.Unlock()
	if found && g.now().Before(v.until) {
		return v.code
	}
	ctx, cancel := context.WithTimeout(r.Context(), patience)
	defer cancel()
	code, err := g.ask(ctx, token, verb, r.URL.Path)
	if err != nil {
		g.log.Error(err, "cannot tell whether a caller may read metrics", "path", r.URL.Path)
		return http.StatusInternalServerError // and nothing is remembered
	}
	g.remember(q, code)
	return code
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

func (g *guard) remember(q question, code int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if len(g.known) >= most {
		clear(g.known)
	}
	g.known[q] = verdict{code, g.now().Add(holds)}
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
