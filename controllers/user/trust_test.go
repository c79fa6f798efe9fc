package user

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/castellan-dev/castellan/api/v1alpha1"
	"github.com/castellan-dev/castellan/controllers/controllertest"
	"github.com/castellan-dev/castellan/internal/kafka"
	"github.com/castellan-dev/castellan/internal/pki"
)

// trustee remembers with which trust logins are tried.
type trustee struct {
	kafka.Prober
	mu     sync.Mutex
	trusts []string
	system bool
}

func (w *trustee) TryLogin(ctx context.Context, l kafka.Login) error {
	w.mu.Lock()
	w.trusts, w.system = append(w.trusts, string(l.CA)), w.system || l.SystemRoots
	w.mu.Unlock()
	return w.Prober.TryLogin(ctx, l)
}

// The operator logs in as a client would: with the trust of the listener, and not with that of the cluster. Users are
// given it as soon as the status names it.
func TestAUserIsProvenByTheAuthorityOfItsListener(t *testing.T) {
	secured := inside
	secured.Encryption = v1alpha1.EncryptionTLS
	cluster := controllertest.ReadyCluster(1, secured)
	authority, err := pki.NewAuthority("corporate", controllertest.TestStart)
	if err != nil {
		t.Fatal(err)
	}
	cluster.Status.Listeners[0].CACertificates = string(authority.CertPEM)
	w := newUsersOf(t, cluster)
	seen := &trustee{Prober: w}
	w.users = New(w.Shared, w.Client, seen)
	w.Queue, w.Run = &w.users.Queue, w.users
	w.Apply(newUser("app", time.Hour, v1alpha1.MechanismScram512))
	w.Settle("app")
	if got := w.secret("app-kafka")["ca.crt"]; got != string(authority.CertPEM) {
		t.Errorf("ca.crt is %q; the user is %+v", got, w.user("app").Status.Conditions)
	}
	for _, trust := range seen.trusts {
		if trust != string(authority.CertPEM) || seen.system {
			t.Errorf("it logs in with trust in %q", trust)
		}
	}
	if len(seen.trusts) == 0 {
		t.Error("nobody has logged in")
	}
	before := cluster.DeepCopy()
	cluster.Status.Listeners[0].PublicAuthority = true
	if sameForUsers(before, cluster) {
		t.Error("nobody looks at the users when whom they trust is another one")
	}
}
