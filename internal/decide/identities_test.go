package decide

import (
	"bytes"
	"maps"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/castellan-dev/castellan/api/v1alpha1"
	"github.com/castellan-dev/castellan/internal/pki"
	"github.com/castellan-dev/castellan/internal/plan"
)

// isToRestart tells whether a plan wants a restart because of a certificate.
func isToRestart(p plan.Plan) bool {
	for _, step := range p.Steps {
		if strings.Contains(step.String(), "its certificate ends at") {
			return true
		}
	}
	for _, held := range p.Held {
		if strings.Contains(strings.Join(held.Reasons, " "), "its certificate ends at") {
			return true
		}
	}
	return false
}

// at moves the clock, has everything reissued that is due, and decides.
func at(t *testing.T, in *Inputs, now time.Time) Decision {
	t.Helper()
	in.Now = now
	if in.Kafka != nil {
		in.Kafka.TakenAt = now
	}
	d := Decide(*in)
	if d.Authority.Renew != "" {
		renewed, err := pki.RenewAuthority(d.Authority.Authority, now)
		if err != nil {
			t.Fatal(err)
		}
		in.Live.Secrets[pki.AuthoritySecret("events")].Data[pki.AuthorityCertificate] = renewed.CertPEM
		d = Decide(*in)
	}
	issueAll(t, *in, d)
	return Decide(*in)
}

// A process reads the certificate for CONTROLLER once. Twenty years of a cluster that nobody restarts, looked at every
// month: nobody is ever restarted while there is half a year left, and nobody lives to see an end.
func TestNoProcessLivesToSeeItsCertificateEnd(t *testing.T) {
	in := withTLS(t)
	started := map[int]time.Time{}
	read := map[int]time.Time{}
	restart := func(i int, now time.Time) {
		in.Live.Pods[i].Status.ContainerStatuses[0].State.Running.StartedAt = metav1.NewTime(now)
		started[i] = now
		certificate := certificateIn(in.Live.Secrets["events-main-internal"], string(rune('0'+i)))
		read[i] = certificate.NotAfter
	}
	for i := range in.Live.Pods {
		restart(i, start.Add(time.Minute))
	}
	restarts := 0
	for month := 1; month < 20*12; month++ {
		now := start.AddDate(0, month, 0)
		d := at(t, &in, now)
		for i := range in.Live.Pods {
			if !now.Before(read[i]) {
				t.Fatalf("in month %d node %d uses a certificate that has ended at %s", month, i, read[i])
			}
			if got := d.Observation.Nodes[int32(i)].IdentityEnds; got.After(read[i]) {
				t.Fatalf("in month %d node %d is thought to have one that ends at %s, and has one until %s", month, i, got, read[i])
			}
		}
		if authority := d.Expiries[ExpiryAuthority]; authority.Before(now.AddDate(1, 0, 0)) {
			t.Fatalf("in month %d the authority ends at %s", month, authority)
		}
		if isToRestart(d.Plan) {
			for i := range in.Live.Pods {
				if end := read[i]; end.Sub(now) < 182*24*time.Hour {
					restart(i, now)
					restarts++
				}
			}
			if after := Decide(in); isToRestart(after.Plan) {
				t.Fatalf("in month %d: restarted, and again: %v", month, after.Plan.Steps)
			}
		}
	}
	if restarts < 3*3 || restarts > 3*6 {
		t.Errorf("%d restarts of three nodes in twenty years", restarts)
	}
}

// Two renewals while a process runs: what counts is the certificate that it has read, not the one in between.
func TestAProcessIsKnownByTheFirstCertificateThatItMayHaveRead(t *testing.T) {
	in := withTLS(t)
	first := Decide(in).Observation.Nodes[1].IdentityEnds
	for _, year := range []int{1, 2} {
		data := in.Live.Secrets["events-main-internal"].Data
		data["1.pem"] = otherKey(data["1.pem"], data["0.pem"])
		d := at(t, &in, start.AddDate(year, 0, 0))
		if got := d.Observation.Nodes[1].IdentityEnds; !got.Equal(first) {
			t.Errorf("after %d renewals its certificate is thought to end at %s, and ends at %s", year, got, first)
		}
	}
	in.Live.Pods[1].Status.ContainerStatuses[0].State.Running.StartedAt = metav1.NewTime(start.AddDate(2, 1, 0))
	if got := Decide(in).Observation.Nodes[1].IdentityEnds; !got.After(start.AddDate(6, 11, 0)) {
		t.Errorf("restarted, it is thought to have one that ends at %s", got)
	}
}

// otherKey is a bundle with the key of another one, which has to be made anew.
func otherKey(bundle, other []byte) []byte {
	leaf, stranger := pki.ParseBundle(bundle), pki.ParseBundle(other)
	return pki.Leaf{CertPEM: leaf.CertPEM, KeyPEM: stranger.KeyPEM}.Bundle()
}

// The operator was down until everything had ended: nobody can connect to anybody, and Kafka cannot be asked. Each node
// restarts without waiting for the one before: what has restarted cannot come back, for it would refuse the others.
func TestAfterTheEndOfAllCertificatesNobodyWaitsForAnybodyToRestart(t *testing.T) {
	in := withTLS(t)
	in.Kafka, in.KafkaError = nil, "certificate has expired"
	d := at(t, &in, start.AddDate(11, 0, 0))
	if d.Authority.Problem != "" || d.Expiries[ExpiryAuthority].Before(start.AddDate(20, 0, 0)) {
		t.Fatalf("the authority was not renewed: %+v", d.Authority)
	}
	restarted := map[int32]bool{}
	for range in.Live.Pods { // each pass sees that nobody who was restarted comes back while the others are what they are
		for _, step := range d.Plan.Steps {
			if step.Kind != plan.Restart {
				continue
			}
			pod := &in.Live.Pods[step.Node]
			pod.Status.Conditions = nil
			pod.CreationTimestamp = metav1.NewTime(in.Now.Add(2 * time.Second))
			pod.Status.ContainerStatuses[0].State.Running.StartedAt = metav1.NewTime(in.Now.Add(3 * time.Second))
			restarted[step.Node] = true
		}
		d = Decide(in)
	}
	if len(restarted) != 3 || isToRestart(d.Plan) { // nobody twice
		t.Errorf("restarted are %v; then %v, held %v", restarted, d.Plan.Steps, d.Plan.Held)
	}
}

func TestWhatIsAboutToEndIsToldAheadWithItsCure(t *testing.T) {
	for name, c := range map[string]struct {
		change func(in *Inputs)
		at     time.Time
		want   string
	}{
		"at rest":                          {func(*Inputs) {}, start.AddDate(1, 0, 0), ""},
		"a node that may not be restarted": {func(*Inputs) {}, start.AddDate(4, 11, 0), "node 0: the certificate with which it started ends at 2031-02-2"},
		"no authority":                     {func(in *Inputs) { delete(in.Live.Secrets, "events-ca") }, start.AddDate(0, 1, 0), "without its certificate authority no certificate of this cluster is renewed, and the first ends at 2031-02-2"},
	} {
		t.Run(name, func(t *testing.T) {
			in := withTLS(t)
			c.change(&in)
			in.Now = c.at
			got := strings.Join(Decide(in).Warnings, "; ")
			if !strings.Contains(got, c.want) || c.want == "" && strings.Contains(got, "certificate") {
				t.Errorf("the warning is %q, expected %q", got, c.want)
			}
		})
	}
}

// A backup from before the authority was replaced, or that of another cluster: what it would sign, every node refuses.
func TestAnAuthorityThatNodesDoNotTrustIsNotTakenForTheirs(t *testing.T) {
	in := withTLS(t)
	old, err := pki.NewAuthority("shop/events", start)
	if err != nil {
		t.Fatal(err)
	}
	secret := in.Live.Secrets[pki.AuthoritySecret("events")]
	secret.Data = map[string][]byte{pki.AuthorityCertificate: old.CertPEM, pki.AuthorityKey: old.KeyPEM}
	if d := Decide(in); !strings.Contains(d.Authority.Problem, "holds another certificate authority") ||
		!strings.Contains(d.Authority.Problem, "events-main-internal") {
		t.Errorf("it is taken for theirs: %+v", d.Authority)
	}
	in.Live.Pods = nil
	if d := Decide(in); d.Authority.Problem != "" {
		t.Errorf("nobody runs: %s", d.Authority.Problem)
	}
	in = withTLS(t)
	own := in.Live.Secrets[pki.AuthoritySecret("events")].Data
	backup := map[string][]byte{pki.AuthorityCertificate: own[pki.AuthorityCertificate], pki.AuthorityKey: own[pki.AuthorityKey]}
	at(t, &in, start.AddDate(7, 0, 0))
	in.Live.Secrets[pki.AuthoritySecret("events")].Data = backup
	if d := at(t, &in, start.AddDate(7, 1, 0)); d.Authority.Problem != "" {
		t.Errorf("a backup from before its renewal has the same key: %s", d.Authority.Problem)
	}
}

// An earlier version noted nothing when it replaced a certificate. The guess is a reason for a restart under the rules,
// and no proof that a node serves nobody any more.
func TestAGuessedEndEndsNobodysService(t *testing.T) {
	in := withTLS(t)
	for i := range in.Live.Pods {
		in.Live.Pods[i].CreationTimestamp = metav1.NewTime(start.AddDate(-2, 0, 0))
		in.Live.Pods[i].Status.ContainerStatuses[0].State.Running.StartedAt = metav1.NewTime(start.AddDate(-2, 0, 0))
	}
	if d := Decide(in); !isToRestart(d.Plan) {
		t.Errorf("seen, it is no reason: %+v", d.Observation.Nodes[0])
	}
	in.Kafka, in.KafkaError = nil, "connection refused"
	for _, step := range Decide(in).Plan.Steps {
		if step.Kind == plan.Restart {
			t.Errorf("unseen, it restarts: %s", step)
		}
	}
}

// The Secrets of a pool stay when it is removed, and nobody keeps them current.
func TestTheSecretOfARemovedPoolSpeaksForNobody(t *testing.T) {
	in := withTLS(t)
	old, err := pki.NewAuthority("shop/events", start)
	if err != nil {
		t.Fatal(err)
	}
	in.Live.Secrets["events-old-internal"] = &corev1.Secret{Data: map[string][]byte{pki.AuthorityCertificate: old.CertPEM}}
	if d := Decide(in); d.Authority.Problem != "" {
		t.Errorf("it is asked: %s", d.Authority.Problem)
	}
}

// A backup from before the replacement is trusted still when the next authority has signed already: what it would sign
// nodes accept, and what they present it would have others refuse.
func TestABackupFromBeforeAReplacementIsNotTakenOnceTheNextOneSigns(t *testing.T) {
	n := aCluster(t, 1)
	backup := maps.Clone(n.in.Live.Secrets["events-ca"].Data)
	n.in.Cluster.Annotations[v1alpha1.AnnotationReplaceAuthority] = "once"
	next := func() bool {
		anchors, err := pki.ParseCertificates(n.in.Live.Secrets[internalSecret].Data[pki.AuthorityCertificate])
		return err == nil && !bytes.Equal(anchors[0].RawSubjectPublicKeyInfo, keyOf(backup[pki.AuthorityCertificate]))
	}
	for len(n.turns) < 3 && n.steps < 5000 && !next() {
		n.step()
	}
	if len(n.turns) != 2 || !next() {
		t.Fatalf("the next one does not sign: turns %v", n.turns)
	}
	n.in.Live.Secrets["events-ca"].Data = backup
	if state := authorityOf(n.in.Live, "events", n.in.Now); !strings.Contains(state.Problem, "restore its last backup") {
		t.Errorf("it is taken: %+v", state)
	}
}

// People can edit the Secret: what is no round is told, and restarts nobody.
func TestWhatIsNoRoundIsToldAndRestartsNobody(t *testing.T) {
	in := withTLS(t)
	secret := in.Live.Secrets[pki.AuthoritySecret("events")]
	secret.Data[pki.AuthorityRound] = []byte("3 once")
	d := Decide(in)
	issueAll(t, in, d)
	in = renderedAgain(t, in, d)
	for _, text := range []string{"-1 once", "3000000000 once", "three"} {
		secret.Data[pki.AuthorityRound] = []byte(text)
		if d := Decide(in); !strings.Contains(d.Authority.Problem, "no round") || d.Model.AuthorityRound != 3 {
			t.Errorf("%s: round %d, %s", text, d.Model.AuthorityRound, d.Authority.Problem)
		}
	}
	delete(in.Live.Secrets, pki.AuthoritySecret("events"))
	if d := Decide(in); d.Authority.Problem == "" || d.Model.AuthorityRound != 3 {
		t.Errorf("missing: round %d, %s", d.Model.AuthorityRound, d.Authority.Problem)
	}
}
