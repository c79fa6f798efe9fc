package user

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/castellan-dev/castellan/api/v1alpha1"
	"github.com/castellan-dev/castellan/controllers/controllertest"
	"github.com/castellan-dev/castellan/internal/kafka"
	"github.com/castellan-dev/castellan/internal/model"
	"github.com/castellan-dev/castellan/internal/pki"
	"github.com/castellan-dev/castellan/internal/plainauth"
	"github.com/castellan-dev/castellan/internal/render"
	"github.com/castellan-dev/castellan/internal/users"
)

const (
	notReadList = "TLS on broker 0: it has not read the list of certificates as it is now"

	byTLS = v1alpha1.MechanismTLS
	day   = 24 * time.Hour
)

var mutual = v1alpha1.Listener{Name: "mutual", Port: 9095, Encryption: v1alpha1.EncryptionTLS,
	Authentication: &v1alpha1.ListenerAuthentication{Mechanisms: []v1alpha1.Mechanism{byTLS}}}

// newCertificateWorld has a listener for certificates beside the one for passwords, and both authorities.
func newCertificateWorld(t *testing.T, brokers int32) *world {
	t.Helper()
	w := newUsersOf(t, controllertest.ReadyCluster(brokers, inside, mutual))
	for id := range brokers {
		w.Apply(&corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: controllertest.ClusterKey.Namespace,
			Name: fmt.Sprintf("events-main-%d", id),
			Labels: map[string]string{v1alpha1.LabelCluster: controllertest.ClusterKey.Name,
				v1alpha1.LabelBroker: "true"}}})
	}
	w.Apply(w.AuthorityIn("events-ca"), w.AuthorityIn("events-clients-ca"))
	return w
}

// held is the certificate that the connection Secret of a user holds.
func (w *world) held(user string) users.Certificate {
	s := w.secret(user + "-kafka")
	return users.Certificate{Leaf: pki.Leaf{CertPEM: []byte(s["user.crt"]), KeyPEM: []byte(s["user.key"])}}
}

// admits tells whether broker 0 lets a user in with a certificate.
func (w *world) admits(user string, c users.Certificate) bool {
	return w.TryLogin(w.T.Context(), kafka.Login{Address: "events-main-0.", Mechanism: "TLS", Username: user,
		Certificate: c.CertPEM, Key: c.KeyPEM}) == nil
}

// listed are the fingerprints of a user in the list.
func (w *world) listed(user string) (all []string) {
	list := w.secret(render.PlainUsersSecret(controllertest.ClusterKey.Name))[render.CertificatesEntry]
	lines, err := plainauth.ParseCertificateList([]byte(list))
	if err != nil {
		w.T.Error(err)
	}
	for _, line := range lines {
		if line.Name == user {
			all = append(all, line.Fingerprint)
		}
	}
	return all
}

func (w *world) reissue(user, request string) {
	w.T.Helper()
	u := w.user(user)
	u.Annotations = map[string]string{v1alpha1.AnnotationReissueCertificate: request}
	if err := w.Client.Update(w.T.Context(), u); err != nil {
		w.T.Fatal(err)
	}
}

func certificateOnRecord(u *v1alpha1.KafkaUser) v1alpha1.UserCertificate {
	if c := users.RecordedCertificate(u.Status.Credentials); c != nil {
		return *c
	}
	return v1alpha1.UserCertificate{}
}

func TestAUserWithACertificateIsReadyOnceEveryBrokerTakesItAndThenCostsNothing(t *testing.T) {
	w := newCertificateWorld(t, 2)
	w.Apply(newUser("other", time.Hour, plain))
	w.Settle("other")
	w.Apply(newUser("app", time.Hour, byTLS))
	w.mountAll(2) // the kubelets have not refreshed yet
	_ = w.Once("app")
	w.wantUser("app", "Reconciling/ProvingLogin")
	var pod corev1.Pod
	if err := w.Client.Get(t.Context(), controllertest.ObjectKey("shop", "events-main-1"), &pod); err != nil ||
		pod.Annotations[v1alpha1.AnnotationTouched] == "" {
		t.Errorf("the pod is not touched: %v", err)
	}
	w.mountAll(2)
	w.Settle("app")
	w.wantUser("app", "Ready")
	u, s := w.user("app"), w.secret("app-kafka")
	if c := certificateOnRecord(u); !slices.Equal(w.listed("app"), []string{c.Fingerprint}) ||
		c.NotAfter.Sub(controllertest.TestStart) < 89*day {
		t.Errorf("on record is %+v, listed %v", c, w.listed("app"))
	}
	if m := controllertest.Message(u.Status.Conditions); !strings.Contains(m, "with a certificate until 2026-05-30") {
		t.Error(m)
	}
	if s["password"] != "" || s["sasl.jaas.config"] != "" || s["security.protocol"] != "SSL" || len(w.Kafka.Scram["app"]) != 0 ||
		u.Status.Credentials.PasswordHash != "" || s["bootstrap.servers"] != "events-mutual.shop.svc:9095" {
		t.Errorf("a user with a certificate alone has %v", s)
	}
	for _, c := range u.Status.Conditions {
		if strings.Contains(c.Message, "PRIVATE") {
			t.Error("a message tells the key")
		}
	}
	w.WantSilence("app", "other")
	if w.Logins != 0 {
		t.Errorf("%d logins at rest", w.Logins)
	}
	w.restart()
	w.WantSilence("app", "other")
}

func TestACertificateWaitsForTheAuthorityThatSignsIt(t *testing.T) {
	w := newCertificateWorld(t, 1)
	ca := w.AuthorityIn("events-clients-ca")
	w.Remove(ca)
	w.Apply(newUser("app", time.Hour, scram512, byTLS), newUser("other", time.Hour, scram512))
	w.Settle("other")
	_ = w.Once("app")
	w.wantUser("app", "Reconciling/CertificateAuthorityNotReady")
	w.wantUser("other", "Ready")
	if m := controllertest.Message(w.user("app").Status.Conditions); !strings.Contains(m, `"events-clients-ca"`) {
		t.Error(m)
	}
	if w.secret("app-kafka") != nil || len(w.Kafka.Scram["app"]) != 0 {
		t.Error("something was done")
	}
	w.Apply(ca)
	w.Settle("app")
	w.wantUser("app", "Ready")
}

// The authority of the nodes of cluster events-clients has the name that the one of the users of cluster events would
// have. What it signs is a node.
func TestNoUserIsSignedByTheAuthorityOfAnotherClustersNodes(t *testing.T) {
	for name, labelled := range map[string]string{"as it is": "events-clients", "labelled as this cluster's": "events"} {
		t.Run(name, func(t *testing.T) {
			w := newCertificateWorld(t, 1)
			ca := w.AuthorityIn("events-clients-ca")
			w.Remove(ca)
			nodes, err := pki.NewAuthority(pki.AuthorityName(ca.Namespace, "events-clients"), w.Clock.Now())
			if err != nil {
				t.Fatal(err)
			}
			ca.Labels = model.Labels(labelled)
			ca.Data = map[string][]byte{pki.AuthorityCertificate: nodes.CertPEM, pki.AuthorityKey: nodes.KeyPEM}
			w.Apply(ca, newUser("app", time.Hour, scram512, byTLS))
			_ = w.Once("app")
			w.wantUser("app", "Reconciling/CertificateAuthorityNotReady")
			if len(w.held("app").CertPEM) > 0 {
				t.Error("it has signed a user")
			}
		})
	}
}

func TestAnAuthorityOfThatNameSignsNoUserUnlessTheClusterIsItsOwn(t *testing.T) {
	w := newCertificateWorld(t, 1)
	ca := w.AuthorityIn("events-clients-ca")
	w.Remove(ca)
	ca.Labels = model.Labels("events-clients")
	w.Apply(ca, newUser("app", time.Hour, scram512, byTLS))
	_ = w.Once("app")
	w.wantUser("app", "Reconciling/CertificateAuthorityNotReady")
}

func TestARenewedCertificateAndTheFormerOneAreBothGoodUntilTheFormerEnds(t *testing.T) {
	w := newCertificateWorld(t, 2)
	w.Apply(newUser("app", time.Hour, scram512, byTLS))
	w.Settle("app")
	first, password := w.held("app"), w.secret("app-kafka")["password"]
	next, waits := w.Queue.Next(controllertest.ClusterKey)
	if !waits || next < 60*day || next > 63*day {
		t.Fatalf("looked at again after %s (%t)", next, waits)
	}
	w.Clock.Move(next - 2*time.Minute)
	w.WantSilence("app")
	w.LookAgain(2 * time.Minute)
	w.wantUser("app", "Ready")
	second := w.held("app")
	if string(second.CertPEM) == string(first.CertPEM) || !w.admits("app", first) || !w.admits("app", second) {
		t.Errorf("the former is let in: %t, the new one: %t; listed %v", w.admits("app", first), w.admits("app", second), w.listed("app"))
	}
	if s := w.secret("app-kafka"); s["password"] != password || w.Kafka.Upserts["app SCRAM-SHA-512"] != 0 {
		t.Error("its password is another one")
	}
	if !wasTold(w, "CertificateRenewed", "the former one is good until its end") {
		t.Error("nobody is told")
	}
	w.WantSilence("app")
	w.restart()
	w.WantSilence("app")
	w.Clock.Move(31 * day)
	if w.admits("app", first) {
		t.Error("what has ended lets in")
	}
	w.Settle("app")
	if len(w.listed("app")) != 1 || !w.admits("app", second) {
		t.Errorf("listed %v", w.listed("app"))
	}
	w.WantSilence("app")
}

func TestAFormerCertificateOpensNothingAtOnceWhereItMayBeInWrongHands(t *testing.T) {
	remove := func(w *world) {
		w.Remove(&corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "app-kafka"}})
	}
	for name, change := range map[string]func(*world){
		"it is issued anew on demand": func(w *world) { w.reissue("app", "2026-03-01") },
		"its Secret was deleted":      remove,
		"its Secret was emptied":      func(w *world) { w.writeSecret("app-kafka", func(s *corev1.Secret) { s.Data = nil }) },
		"the authority was replaced": func(w *world) {
			ca := w.AuthorityIn("events-clients-ca")
			w.Remove(ca)
			ca.ResourceVersion = ""
			w.Apply(ca)
		},
		"the key was overwritten": func(w *world) {
			w.writeSecret("app-kafka", func(s *corev1.Secret) { s.Data["user.key"] = []byte("none") })
		},
	} {
		for _, renewed := range []bool{false, true} {
			if renewed {
				name += ", after a renewal"
			}
			t.Run(name, func(t *testing.T) {
				w := newCertificateWorld(t, 2)
				w.Apply(newUser("app", time.Hour, byTLS))
				w.Settle("app")
				former := []users.Certificate{w.held("app")}
				if renewed {
					w.LookAgain(64 * day)
					former = append(former, w.held("app"))
				}
				change(w)
				w.mountAll(2)
				_ = w.Once("app")
				w.wantUser("app", "Reconciling/ProvingLogin")
				w.mountAll(2)
				w.Settle("app")
				w.wantUser("app", "Ready")
				for n, c := range former {
					if w.admits("app", c) {
						t.Errorf("certificate %d still lets in", n)
					}
				}
				if !w.admits("app", w.held("app")) || len(w.listed("app")) != 1 {
					t.Errorf("the new one does not let in; listed %v", w.listed("app"))
				}
				w.WantSilence("app")
				w.restart()
				w.WantSilence("app")
			})
		}
	}
}

func TestARequestIsCarriedOutOnceAndABackupDoesNotUndoIt(t *testing.T) {
	w := newCertificateWorld(t, 1)
	w.Apply(newUser("app", time.Hour, byTLS))
	w.Settle("app")
	first := w.held("app")
	backup := &corev1.Secret{}
	if err := w.Client.Get(t.Context(), controllertest.ObjectKey("shop", "app-kafka"), backup); err != nil {
		t.Fatal(err)
	}
	w.Clock.Move(time.Minute)
	w.reissue("app", "leaked")
	w.Settle("app")
	second := w.held("app")
	if c := certificateOnRecord(w.user("app")); c.Request != "leaked" || string(second.CertPEM) == string(first.CertPEM) {
		t.Errorf("on record is %+v", c)
	}
	w.WantSilence("app")
	for _, annotation := range []string{"leaked", ""} { // also once the request is gone
		w.reissue("app", annotation)
		w.writeSecret("app-kafka", func(s *corev1.Secret) { s.Data, s.Annotations = backup.Data, backup.Annotations })
		w.Clock.Move(time.Minute)
		w.Settle("app")
		w.wantUser("app", "Ready")
		if w.admits("app", first) {
			t.Errorf("with the annotation %q a backup brings back what was revoked", annotation)
		}
		if !w.admits("app", w.held("app")) {
			t.Error("it does not log in")
		}
		w.WantSilence("app")
	}
}

func TestABackupOfADeletedUsersSecretBringsNothingBackToItsSuccessor(t *testing.T) {
	w := newCertificateWorld(t, 1)
	w.Apply(newUser("app", time.Hour, byTLS))
	w.Settle("app")
	first, backup := w.held("app"), w.object("app-kafka")
	w.Remove(w.user("app"))
	w.Settle("app")
	if w.user("app") != nil {
		t.Fatal("it is held")
	}
	w.Remove(w.object("app-kafka")) // as Kubernetes does
	backup.ResourceVersion = ""
	next := newUser("app", time.Minute, byTLS)
	next.UID = "uid-of-the-next"
	w.Apply(backup, next)
	w.Settle("app")
	w.wantUser("app", "Ready")
	if w.admits("app", first) || !w.admits("app", w.held("app")) {
		t.Errorf("listed %v", w.listed("app"))
	}
}

func TestADeletedUsersCertificatesAreRefusedBeforeItsObjectIsGone(t *testing.T) {
	w := newCertificateWorld(t, 2)
	w.Apply(newUser("app", time.Hour, byTLS), newUser("other", time.Hour, byTLS))
	w.Settle("app", "other")
	first := w.held("app")
	w.Clock.Move(64 * day)
	w.Settle("app", "other")
	w.mountAll(2)
	second := w.held("app")
	w.Remove(w.user("app"))
	_ = w.Once("app")
	w.wantUser("app", "Reconciling/Revoking")
	if m := controllertest.Message(w.user("app").Status.Conditions); !strings.Contains(m, notReadList) {
		t.Error(m)
	}
	w.mountAll(2)
	w.Settle()
	if w.user("app") != nil || w.admits("app", first) || w.admits("app", second) || !w.admits("other", w.held("other")) {
		t.Errorf("gone: %t; listed %v, and the other %v", w.user("app") == nil, w.listed("app"), w.listed("other"))
	}
}

func TestBetweenPasswordsAndCertificatesTheWayInStaysUntilTheOtherIsSeenToWork(t *testing.T) {
	for name, c := range map[string]struct{ from, to []v1alpha1.Mechanism }{
		"SCRAM to TLS":           {[]v1alpha1.Mechanism{scram512}, []v1alpha1.Mechanism{byTLS}},
		"PLAIN to TLS":           {[]v1alpha1.Mechanism{plain}, []v1alpha1.Mechanism{byTLS}},
		"TLS to SCRAM":           {[]v1alpha1.Mechanism{byTLS}, []v1alpha1.Mechanism{scram512}},
		"TLS to PLAIN":           {[]v1alpha1.Mechanism{byTLS}, []v1alpha1.Mechanism{plain}},
		"SCRAM to both":          {[]v1alpha1.Mechanism{scram512}, []v1alpha1.Mechanism{scram512, byTLS}},
		"both to TLS":            {[]v1alpha1.Mechanism{scram512, byTLS}, []v1alpha1.Mechanism{byTLS}},
		"both to SCRAM":          {[]v1alpha1.Mechanism{scram512, byTLS}, []v1alpha1.Mechanism{scram512}},
		"PLAIN and TLS to SCRAM": {[]v1alpha1.Mechanism{plain, byTLS}, []v1alpha1.Mechanism{scram512}},
	} {
		t.Run(name, func(t *testing.T) {
			w := newCertificateWorld(t, 2)
			w.Apply(newUser("app", time.Hour, c.from...))
			w.Settle("app")
			w.wantUser("app", "Ready")
			password, certificate := w.secret("app-kafka")["password"], w.held("app")
			opens := func(m v1alpha1.Mechanism) bool {
				if m == byTLS {
					return w.admits("app", certificate)
				}
				return w.TryLogin(t.Context(), kafka.Login{Address: "events-main-0.", Mechanism: string(m), Username: "app",
					Password: password}) == nil
			}
			w.Kafka.Silent[1] = true // so that nothing can be seen to work there
			w.changeUser("app", func(u *v1alpha1.KafkaUser) { u.Spec.Authentication.Mechanisms = c.to })
			for range 5 {
				_ = w.Once("app")
				w.Clock.Move(time.Minute)
			}
			seen := !slices.ContainsFunc(c.to, func(m v1alpha1.Mechanism) bool { return !slices.Contains(c.from, m) })
			for _, m := range c.from {
				if !seen && !opens(m) {
					t.Errorf("%s is taken away already", m)
				}
			}
			delete(w.Kafka.Silent, 1)
			w.Settle("app")
			w.wantUser("app", "Ready")
			for _, m := range c.from {
				if opens(m) != slices.Contains(c.to, m) {
					t.Errorf("%s opens: %t", m, opens(m))
				}
			}
			s := w.secret("app-kafka")
			if (s["password"] != "") != (c.to[0] != byTLS) || (s["user.key"] != "") != slices.Contains(c.to, byTLS) {
				t.Errorf("its Secret keeps what opens nothing: password %t, certificate %t", s["password"] != "", s["user.key"] != "")
			}
			if got := len(w.user("app").Status.Credentials.Mechanisms); got != len(c.to) {
				t.Errorf("on record is %+v", w.user("app").Status.Credentials)
			}
			w.WantSilence("app")
			w.restart()
			w.WantSilence("app")
		})
	}
}

func TestAUserThatCannotHaveACertificateHasWhatElseItAsksFor(t *testing.T) {
	long := strings.Repeat("a", 65)
	full := func(w *world) {
		var lines []plainauth.UserCertificate
		for n := range 5000 {
			lines = append(lines, plainauth.UserCertificate{Name: fmt.Sprintf("someone-%05d", n), End: controllertest.TestStart.Add(day),
				Fingerprint: strings.Repeat("a", 59) + fmt.Sprintf("%05d", n)})
		}
		w.fillParts()
		w.writeSecret("events-plain-users", func(s *corev1.Secret) {
			s.Data[render.CertificatesEntry] = append(s.Data[render.CertificatesEntry], plainauth.CertificateList(lines)...)
			s.Data[render.UsersEntry] = append(s.Data[render.UsersEntry], strings.Repeat("# filler\n", 40000)...)
		})
	}
	for name, c := range map[string]struct {
		user, want, field string
		spoil             func(*world)
	}{
		"its name is too long": {long, "Stalled/NameTooLong", "spec.name: ", func(*world) {}},
		"the list is full":     {"app", "Stalled/TooManyCertificates", "spec.authentication.mechanisms: ", full},
	} {
		t.Run(name, func(t *testing.T) {
			w := newCertificateWorld(t, 1)
			w.Apply(newUser("first", time.Hour, byTLS))
			w.Settle("first")
			c.spoil(w)
			alone, both := newUser("alone", time.Hour, byTLS), newUser("both", time.Hour, scram512, byTLS)
			alone.Spec.Name, both.Spec.Name = c.user+"x", c.user+"y"
			w.Apply(alone, both)
			for range 3 {
				_ = w.Once(c.user+"x", c.user+"y")
				w.Clock.Move(time.Second)
			}
			for _, user := range []string{"alone", "both"} {
				w.wantUser(user, c.want)
				if m := controllertest.Message(w.user(user).Status.Conditions); !strings.HasPrefix(m, c.field) {
					t.Error(m)
				}
			}
			if w.secret("alone-kafka") != nil || w.user("alone").Status.Credentials != nil {
				t.Error("something was made of whoever has nothing else")
			}
			if !slices.Equal(recorded(w.user("both").Status.Credentials), []v1alpha1.Mechanism{scram512}) ||
				w.secret("both-kafka")["user.crt"] != "" || w.Kafka.Scram[c.user+"y"] == nil {
				t.Errorf("on record is %+v", w.user("both").Status.Credentials)
			}
			if c.user != "app" {
				return
			}
			before := w.held("first")
			w.reissue("first", "1") // who is in the list is cared for all the same
			_ = w.Once("first")
			if now := w.held("first"); bytes.Equal(now.CertPEM, before.CertPEM) || !w.admits("first", now) {
				t.Error("who is in the list is refused")
			}
		})
	}
}

func TestTheRoomForOneCertificateIsTakenByOneUser(t *testing.T) {
	w := newCertificateWorld(t, 1)
	w.Apply(newUser("first", time.Hour, byTLS))
	w.Settle("first")
	w.fillParts()
	w.writeSecret("events-plain-users", func(s *corev1.Secret) {
		_, taken := users.Listed(plainauth.Unmarked(s.Data[render.CertificatesEntry]))
		more := users.Room - len(plainauth.Unmarked(s.Data[render.UsersEntry])) - taken - users.LinesOf("one")
		filler := strings.Repeat("# filler\n", more/9) + strings.Repeat("\n", more%9)
		s.Data[render.UsersEntry] = append(s.Data[render.UsersEntry], filler...)
	})
	w.Apply(newUser("one", time.Hour, byTLS), newUser("two", time.Hour, byTLS))
	_ = w.Once("one", "two")
	if one, two := len(w.held("one").CertPEM), len(w.held("two").CertPEM); (one > 0) == (two > 0) {
		t.Errorf("each has one, or none has: %d and %d bytes", one, two)
	}
}

func TestWhoLosesAPrincipalLosesItsCertificate(t *testing.T) {
	w := newCertificateWorld(t, 1)
	old, young := newUser("old", time.Hour, byTLS), newUser("young", time.Minute, byTLS)
	old.Spec.Name, young.Spec.Name = "app", "app"
	w.Apply(old, young)
	w.Settle("app")
	w.wantUser("old", "Ready")
	w.wantUser("young", "Stalled/Conflict")
	if w.secret("young-kafka") != nil {
		t.Error("a loser has a Secret")
	}
	first := w.held("old")
	w.Remove(w.user("old"))
	w.Settle("app")
	w.wantUser("young", "Ready")
	if w.user("old") != nil || w.admits("app", first) || !w.admits("app", w.held("young")) {
		t.Errorf("listed %v", w.listed("app"))
	}
	w.WantSilence("app")
}

func TestAGuestsCertificateOutlivesTheConsentButNotItsEviction(t *testing.T) {
	w := newCertificateWorld(t, 1)
	w.ChangeCluster(controllertest.Admit)
	w.Apply(controllertest.GuestNamespace(), controllertest.FromGuests(newUser("app", time.Hour, byTLS)))
	w.Settle("app")
	w.mustSay(controllertest.Guests, "app", "Ready")
	secret := &corev1.Secret{}
	key := controllertest.ObjectKey(controllertest.Guests, "app-kafka")
	if err := w.Client.Get(t.Context(), key, secret); err != nil {
		t.Fatal(err)
	}
	held := users.CertificateIn(secret)
	w.ChangeCluster(func(c *v1alpha1.KafkaCluster) { c.Spec.Access = nil })
	w.Apply(newUser("beside", time.Hour, byTLS)) // for whom the list is written
	w.Settle("app", "beside")
	w.mustSay(controllertest.Guests, "app", "Stalled/NotAdmitted")
	if !w.admits("app", held) {
		t.Errorf("who is frozen is refused; listed %v", w.listed("app"))
	}
	w.ChangeCluster(func(c *v1alpha1.KafkaCluster) {
		controllertest.Admit(c)
		c.Spec.Access.Evicted = []string{controllertest.Guests}
	})
	w.Settle("app")
	w.mustSay(controllertest.Guests, "app", "Stalled/Evicted")
	if err := w.Client.Get(t.Context(), key, secret); err != nil || len(secret.Data) != 0 || w.admits("app", held) {
		t.Errorf("its Secret holds %d entries (%v), and its certificate is let in: %t", len(secret.Data), err,
			w.admits("app", held))
	}
	w.ChangeCluster(func(c *v1alpha1.KafkaCluster) { c.Spec.Access.Evicted = nil })
	w.Settle("app")
	w.mustSay(controllertest.Guests, "app", "Ready")
	if w.admits("app", held) || !w.admits("beside", w.held("beside")) {
		t.Error("who is admitted again comes with what was revoked")
	}
}

func TestWhatBecameOfAFormerCertificateIsToldOnceItIsSo(t *testing.T) {
	for name, fails := range map[string]bool{"the list is written": false, "the list cannot be written": true} {
		t.Run(name, func(t *testing.T) {
			w := newCertificateWorld(t, 1)
			w.Apply(newUser("app", time.Hour, byTLS))
			w.Settle("app")
			w.told()
			if fails {
				w.Failing["update events-plain-users"] = overQuota("secrets", "file")
			}
			w.reissue("app", "leaked")
			_ = w.Once("app")
			told := w.told()
			if got := strings.Contains(told, "the former one opens nothing any more"); got == fails ||
				strings.Count(told, "CertificateRenewed") != 1 ||
				!strings.Contains(told, `Secret "app-kafka" holds a new certificate; the reason: another one is asked for; `) {
				t.Errorf("%q", told)
			}
		})
	}
}
