package decide

import (
	"bytes"
	"crypto/x509"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/castellan-dev/castellan/api/v1alpha1"
	"github.com/castellan-dev/castellan/internal/pki"
	"github.com/castellan-dev/castellan/internal/provided"
	"github.com/castellan-dev/castellan/internal/render"
)

// side is what one side of a connection presents and trusts.
type side struct {
	what   string
	leaf   *x509.Certificate
	trusts *x509.CertPool
}

// process is a running node: what its raft client has read at its start, and what its listeners have read since.
type process struct{ raft, listeners side }

// nodes is a cluster whose processes read their files at their start, and those of their listeners at any moment.
type nodes struct {
	*testing.T
	in      Inputs
	random  *rand.Rand
	running map[int32]process
	turns   []Turn
	steps   int
}

const internalSecret = "events-main-internal"

func (n *nodes) read(id int32, what string) side {
	n.Helper()
	secret := n.in.Live.Secrets[internalSecret]
	leaf := certificateIn(secret, fmt.Sprint(id))
	pool := x509.NewCertPool()
	if leaf == nil || !pool.AppendCertsFromPEM(secret.Data[pki.AuthorityCertificate]) {
		n.Fatalf("node %d has no certificate", id)
	}
	return side{fmt.Sprintf("%s of node %d", what, id), leaf, pool}
}

// start runs the start script: it waits for every name that the node's files ask for.
func (n *nodes) start(id int32) (started bool) {
	pod := &n.in.Live.Pods[id]
	var files render.NodeFiles
	for _, volume := range pod.Spec.Volumes {
		if volume.Name == render.RevisionVolume {
			files = render.ReadRevision(n.in.Live.ConfigMaps[volume.ConfigMap.Name])[id]
		}
	}
	have := strings.Split(string(n.in.Live.Secrets[internalSecret].Data[fmt.Sprint(id)+".names"]), "\n")
	for line := range strings.Lines(files.Data["names"]) {
		if name, internal := strings.CutPrefix(strings.TrimSpace(line), "internal "); internal && !slices.Contains(have, name) {
			return false
		}
	}
	n.running[id] = process{n.read(id, "raft client"), n.read(id, "listeners")}
	return true
}

// agree holds every two sides to each other: each trusts what the other presents.
func (n *nodes) agree(after string) {
	n.Helper()
	var sides []side
	for _, id := range slices.Sorted(maps.Keys(n.running)) {
		sides = append(sides, n.running[id].raft, n.running[id].listeners)
	}
	state := authorityOf(n.in.Live, "events", n.in.Now)
	if state.Problem != "" {
		n.Fatalf("after %s: %s", after, state.Problem)
	}
	leaf, err := pki.Issue(state.Authority, pki.Request{CommonName: pki.OperatorName, Organization: pki.Organization,
		Usages: pki.Usages{Client: true, Server: true}, DNSNames: []string{"o"}, ValidFor: time.Hour}, n.in.Now)
	if err != nil {
		n.Fatal(err)
	}
	operator := side{what: "operator", trusts: x509.NewCertPool()}
	operator.leaf, _ = leaf.Certificate()
	operator.trusts.AppendCertsFromPEM(state.Anchors())
	sides = append(sides, operator)
	for _, a := range sides {
		for _, b := range sides {
			if _, err := b.leaf.Verify(x509.VerifyOptions{Roots: a.trusts, CurrentTime: n.in.Now,
				KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny}}); err != nil {
				n.Fatalf("step %d, after %s, turns %v: the %s does not trust the %s: %v", n.steps, after, n.turns, a.what, b.what, err)
			}
		}
	}
}

// operate is a pass of the operator, which may die after any of its writes.
func (n *nodes) operate() string {
	d := Decide(n.in)
	if d.Authority.Turn != NoTurn {
		var next pki.Authority
		if d.Authority.Turn == TrustNext {
			var err error
			if next, err = pki.NewAuthority("shop/events", n.in.Now); err != nil {
				n.Fatal(err)
			}
		}
		n.in.Live.Secrets["events-ca"].Data = d.Authority.Turned(next, n.in.Cluster.Annotations[v1alpha1.AnnotationReplaceAuthority])
		n.turns = append(n.turns, d.Authority.Turn)
		return "the turn " + string(d.Authority.Turn)
	}
	for _, k := range KeySecrets(d.Model, d.Observation, n.in.Live, d.Authority, n.in.Now) {
		if k.Current || n.random.IntN(3) == 0 { // it dies before this write
			continue
		}
		data := maps.Clone(k.Keep)
		for _, leaf := range k.Issue {
			issued, err := pki.Issue(d.Authority.Authority, leaf.Request, n.in.Now)
			if err != nil {
				n.Fatal(err)
			}
			data[leaf.Entry+".pem"] = issued.Bundle()
		}
		n.in.Live.Secrets[k.Name] = &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: k.Name}, Data: data}
	}
	return "a pass"
}

// restart gives a node the files that it shall run, in whatever order, and starts it if its keys are there.
func (n *nodes) restart(id int32) {
	d := Decide(n.in)
	pool := &d.Model.Pools[0]
	revision := render.Revision(d.Model, pool, d.Files)
	n.in.Live.ConfigMaps[revision.Name] = revision
	pod := &n.in.Live.Pods[id]
	pod.Spec = *render.StatefulSet(d.Model, pool, revision.Name, pool.Replicas, nil).Spec.Template.Spec.DeepCopy()
	pod.CreationTimestamp = metav1.NewTime(n.in.Now)
	pod.Status.ContainerStatuses[0].State.Running.StartedAt = metav1.NewTime(n.in.Now)
	pod.Status.Conditions = nil
	delete(n.running, id)
}

func aCluster(t *testing.T, seed uint64) *nodes {
	n := &nodes{T: t, in: withTLS(t), random: rand.New(rand.NewPCG(seed, 14)), running: map[int32]process{}}
	n.in.Cluster.Annotations = map[string]string{}
	for id := range int32(3) {
		n.start(id)
	}
	return n
}

// step does one of the things that may happen next.
func (n *nodes) step() {
	n.steps++
	n.in.Now = n.in.Now.Add(time.Minute)
	n.in.Kafka.TakenAt = n.in.Now
	id := int32(n.random.IntN(3))
	after := ""
	switch n.random.IntN(5) {
	case 0, 1:
		after = n.operate()
	case 2:
		if p, runs := n.running[id]; runs { // anybody has altered a run-time key of the broker
			p.listeners, after = n.read(id, "listeners"), "listeners read their files"
			n.running[id] = p
		}
	case 3:
		if n.random.IntN(4) == 0 && n.running[id].raft.leaf != nil {
			after = "a crash"
			n.in.Live.Pods[id].Status.Conditions = nil
			delete(n.running, id)
		} else if want := Decide(n.in).Observation.Nodes[id].Pod.AuthorityRound; want != Decide(n.in).Authority.Round {
			n.restart(id)
			after = "a restart"
		}
	case 4:
		if _, runs := n.running[id]; !runs && n.start(id) {
			n.in.Live.Pods[id].Status.Conditions = []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue}}
			after = "a start"
		}
	}
	if after != "" {
		n.agree(after)
	}
}

// Nodes restart in any order, crash, and read changed files at any moment; the operator dies between any two writes. At
// every moment every node trusts what every other one presents, and so does the operator.
func TestAtEveryMomentOfAReplacementEverybodyTrustsEverybody(t *testing.T) {
	for seed := range uint64(2) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			n := aCluster(t, seed)
			first := keyOf(n.in.Live.Secrets["events-ca"].Data[pki.AuthorityCertificate])
			n.in.Cluster.Annotations[v1alpha1.AnnotationReplaceAuthority] = "once"
			for len(n.turns) < 3 && n.steps < 5000 {
				if n.step(); len(n.turns) == 2 && seed == 0 { // meanwhile somebody asks again
					n.in.Cluster.Annotations[v1alpha1.AnnotationReplaceAuthority] = "twice"
				}
			}
			want := []Turn{TrustNext, PresentNext, ForgetFormer}
			if seed == 0 {
				want = slices.Concat(want, want)
			}
			for len(n.turns) < len(want) && n.steps < 10000 {
				n.step()
			}
			if !slices.Equal(n.turns, want) {
				t.Fatalf("after %d steps the turns are %v, expected %v", n.steps, n.turns, want)
			}
			for range 100 {
				n.step()
			}
			d := Decide(n.in)
			if len(n.turns) != len(want) || d.Authority.Round != len(want) || bytes.Equal(keyOf(d.Authority.Authority.CertPEM), first) {
				t.Errorf("at rest: turns %v, round %d", n.turns, d.Authority.Round)
			}
			if anchors, err := pki.ParseCertificates(n.in.Live.Secrets[internalSecret].Data[pki.AuthorityCertificate]); err != nil || len(anchors) != 1 {
				t.Errorf("at the end %d are trusted: %v", len(anchors), err)
			}
		})
	}
}

func TestAReplacementThatIsHeldStaysWhereBothAreTrusted(t *testing.T) {
	for _, word := range []string{"true", "ture"} {
		t.Run(word, func(t *testing.T) { staysHeld(t, word) })
	}
}

func staysHeld(t *testing.T, word string) {
	n := aCluster(t, 1)
	n.in.Cluster.Annotations[v1alpha1.AnnotationReplaceAuthority] = "once"
	n.in.Cluster.Annotations[v1alpha1.AnnotationHoldAuthority] = word
	for range 200 {
		n.step()
	}
	if !slices.Equal(n.turns, []Turn{TrustNext}) {
		t.Fatalf("turns %v", n.turns)
	}
	n.in.Live.Pods[0].Status.Conditions = []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue}}
	state := authorityOf(n.in.Live, "events", n.in.Now)
	if _, told := turn(Decide(n.in).Model, Decide(n.in).Observation, state, n.in); told == "" {
		t.Error("nothing is told")
	}
	delete(n.in.Cluster.Annotations, v1alpha1.AnnotationHoldAuthority)
	for len(n.turns) < 3 && n.steps < 5000 {
		n.step()
	}
	if len(n.turns) != 3 {
		t.Errorf("let go: turns %v", n.turns)
	}
}

// Clients are given the next authority before brokers show what it has signed. A Secret that cannot be written keeps
// that from happening for a day, and is named from then on.
func TestASecretThatLacksTheNextAuthorityDelaysItForADayAtMost(t *testing.T) {
	n := aCluster(t, 1)
	holder := provided.Holder{Name: `Secret "app-kafka" of KafkaUser shop/app`, Listeners: []string{"clients"},
		Anchors: n.in.Live.Secrets["events-ca"].Data[pki.AuthorityCertificate]}
	apart := provided.Holder{Name: `Secret "other-kafka" of KafkaUser shop/other`, Listeners: []string{"plaintext"}}
	n.in.Holders = func() ([]provided.Holder, error) { return []provided.Holder{holder, apart}, nil }
	n.in.Cluster.Annotations[v1alpha1.AnnotationReplaceAuthority] = "once"
	waits := func() string {
		for _, told := range Decide(n.in).Plan.Waiting {
			if strings.Contains(told, `waiting for Secret "app-kafka" of KafkaUser shop/app`) {
				return told
			}
		}
		return ""
	}
	for n.steps < 5000 && waits() == "" {
		n.step()
	}
	holders := n.in.Holders
	n.in.Holders = func() ([]provided.Holder, error) { return nil, errors.New("it is silent") }
	if waiting := strings.Join(Decide(n.in).Plan.Waiting, "; "); !strings.Contains(waiting, "it is silent") {
		t.Errorf("nobody knows which Secrets lack it, and it waits: %s", waiting)
	}
	n.in.Holders = holders
	for range 200 {
		n.step()
	}
	if !slices.Equal(n.turns, []Turn{TrustNext}) || strings.Contains(waits(), "other") {
		t.Fatalf("turns %v, and it waits: %s", n.turns, waits())
	}
	if left := Decide(n.in).Warnings; slices.ContainsFunc(left, func(w string) bool { return strings.Contains(w, "app-kafka") }) {
		t.Errorf("nobody is left behind yet: %v", left)
	}
	n.in.Now = n.in.Now.Add(24 * time.Hour)
	for n.steps < 10000 && len(n.turns) < 2 {
		n.step()
	}
	warns := func() bool {
		return slices.ContainsFunc(Decide(n.in).Warnings, func(w string) bool {
			return strings.Contains(w, `Secret "app-kafka" of KafkaUser shop/app`) && !strings.Contains(w, "other")
		})
	}
	if !slices.Equal(n.turns, []Turn{TrustNext, PresentNext}) || !warns() {
		t.Fatalf("turns %v, and the warnings are %v", n.turns, Decide(n.in).Warnings)
	}
	holder.Anchors = authorityOf(n.in.Live, "events", n.in.Now).Anchors()
	if warns() {
		t.Error("it is named although it is written")
	}
}

func TestTheNextAuthoritySignsAtOnceWhereEverySecretHasIt(t *testing.T) {
	n := aCluster(t, 1)
	n.in.Holders = func() ([]provided.Holder, error) {
		return []provided.Holder{{Name: "app", Listeners: []string{"clients"},
			Anchors: authorityOf(n.in.Live, "events", n.in.Now).Anchors()}}, nil
	}
	n.in.Cluster.Annotations[v1alpha1.AnnotationReplaceAuthority] = "once"
	for n.steps < 5000 && len(n.turns) < 3 {
		n.step()
	}
	if len(n.turns) != 3 {
		t.Errorf("turns %v", n.turns)
	}
}

func TestWhoeverAsksForNothingRestartsNobody(t *testing.T) {
	in := withTLS(t)
	d := Decide(in)
	if d.Authority.Turn != NoTurn || d.Model.AuthorityRound != 0 {
		t.Fatalf("%+v", d.Authority)
	}
	for id, files := range d.Files {
		if strings.Contains(files.Data["names"], "authority") {
			t.Errorf("the files of node %d name a round: %s", id, files.Data["names"])
		}
	}
	for entry, value := range in.Live.Secrets[internalSecret].Data {
		if strings.Contains(string(value), "castellan-authority") {
			t.Errorf("%s holds a round", entry)
		}
	}
}
