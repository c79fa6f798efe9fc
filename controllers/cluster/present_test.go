package cluster

import (
	"bytes"
	"context"
	"crypto/x509"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/castellan-dev/castellan/api/v1alpha1"
	"github.com/castellan-dev/castellan/internal/connect"
	"github.com/castellan-dev/castellan/internal/decide"
	"github.com/castellan-dev/castellan/internal/kafka"
	"github.com/castellan-dev/castellan/internal/kafka/pool"
	"github.com/castellan-dev/castellan/internal/pki"
	"github.com/castellan-dev/castellan/internal/render"
)

// broker is one running process and the kubelet beside it: what its disk shows of the Secret, and what it has read.
type broker struct {
	*house
	kafka.Admin
	now time.Time

	mu       sync.Mutex
	mounted  []byte // as the kubelet refreshed it last
	touched  string // the annotation for which it did
	read     *x509.Certificate
	above    []*x509.Certificate // the rest of its chain
	deaf     error               // it does not answer
	broken   bool                // it cannot read what is mounted
	dials    int
	reloads  int
	noAlters error
}

func (b *broker) Close() {}

func (b *broker) Snapshot(context.Context, ...int32) (*kafka.Snapshot, error) {
	return nil, errors.New("not asked here")
}

func (b *broker) ReloadCertificates(context.Context, int32) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.reloads++
	if b.noAlters == nil && !b.broken {
		if chain, err := pki.ParseCertificates(pki.ParseBundle(b.mounted).CertPEM); err == nil {
			b.read, b.above = chain[0], chain[1:]
		}
	}
	return b.noAlters // Kafka's answer does not tell whether it could read them
}

func (b *broker) shown(context.Context, string) (connect.Sight, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.dials++
	return connect.Sight{Chain: append([]*x509.Certificate{b.read}, b.above...)}, b.deaf
}

// entry is what the Secret holds for the broker.
func (b *broker) entry() []byte {
	secret := &corev1.Secret{}
	b.get("events-main-listeners", secret)
	return secret.Data["0.clients.pem"]
}

// kubelet refreshes the mounts of a pod that was touched.
func (b *broker) kubelet() {
	pod := &corev1.Pod{}
	b.get("events-main-0", pod)
	if touched := pod.Annotations[v1alpha1.AnnotationCertificates]; touched != b.touched {
		b.touched, b.mounted = touched, b.entry()
	}
}

// asked is how often the broker was asked for anything.
func (b *broker) asked() int { return b.dials + b.reloads }

// renewed replaces the certificate of the broker in its Secret.
func (b *broker) renewed() {
	b.Helper()
	secret := &corev1.Secret{}
	b.get("events-main-listeners", secret)
	delete(secret.Data, "0.clients.pem")
	if err := b.api.Update(b.Context(), secret); err != nil {
		b.Fatal(err)
	}
}

// passes reconciles for a time, as often as is asked for, and returns what is said last.
func (b *broker) passes(during time.Duration) string {
	b.Helper()
	for end := b.now.Add(during); !b.now.After(end); {
		b.kubelet()
		after, err := b.under.Reconcile(b.Context(), reconcile.Request{
			NamespacedName: client.ObjectKey{Namespace: "shop", Name: "events"}})
		if err != nil {
			b.Fatal(err)
		}
		b.now = b.now.Add(max(after.RequeueAfter, time.Millisecond))
	}
	return b.said()
}

// missing is what is known to be missing.
func (b *broker) missing() string {
	return b.under.proofs.brokers[client.ObjectKey{Namespace: "shop", Name: "events"}][0].missing
}

// aBroker is one that runs and has read what its Secret holds.
func aBroker(t *testing.T) *broker {
	t.Helper()
	b := &broker{house: newHouse(t), now: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)}
	b.under.Settings.Now = func() time.Time { return b.now }
	b.under.Connections.Now = b.under.Settings.Now
	b.under.Connections.Pool = pool.New(pool.Config{Now: b.under.Settings.Now, Factory: func(pool.Options) (pool.Conn, error) {
		return b, nil
	}})
	b.under.Shown = b.shown
	b.reconcile()
	set := &appsv1.StatefulSet{}
	b.get("events-main", set)
	pod := &corev1.Pod{ObjectMeta: *set.Spec.Template.ObjectMeta.DeepCopy(), Spec: *set.Spec.Template.Spec.DeepCopy()}
	pod.Namespace, pod.Name, pod.UID = "shop", "events-main-0", "pod-0"
	pod.Status = corev1.PodStatus{
		PodIP:      "10.1.0.1",
		Conditions: []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue}},
		ContainerStatuses: []corev1.ContainerStatus{{Name: render.ContainerName, Ready: true, State: corev1.ContainerState{
			Running: &corev1.ContainerStateRunning{StartedAt: metav1.NewTime(b.now)}}}},
	}
	if err := b.api.Create(t.Context(), pod); err != nil {
		t.Fatal(err)
	}
	b.mounted = b.entry()
	b.read, _ = pki.ParseBundle(b.mounted).Certificate()
	b.passes(time.Minute)
	return b
}

func TestARenewedCertificateReachesARunningBroker(t *testing.T) {
	b := aBroker(t)
	if b.dials != 1 || b.reloads != 0 || b.touched != "" {
		t.Fatalf("a broker that has just started is asked %d times, reads anew %d times, and is touched %q", b.dials, b.reloads,
			b.touched)
	}
	before := b.read
	b.renewed()
	began := b.now
	b.passes(2 * time.Second)
	want, err := pki.ParseBundle(b.entry()).Certificate()
	if err != nil || want.Equal(before) {
		t.Fatalf("it was not renewed: %v", err)
	}
	if !b.read.Equal(want) {
		t.Fatalf("after %s it still shows the former one; it says %q", b.now.Sub(began), b.said())
	}
	if said := b.missing(); said != "" {
		t.Errorf("it shows it, and the status says %q", said)
	}
	asked := b.asked()
	pod := &corev1.Pod{}
	b.get("events-main-0", pod)
	b.passes(10 * time.Minute)
	b.under.proofs = proofs{} // another operator leads
	b.passes(10 * time.Minute)
	after := &corev1.Pod{}
	b.get("events-main-0", after)
	if b.asked() != asked+1 || after.ResourceVersion != pod.ResourceVersion {
		t.Errorf("at rest it is asked %d times, expected once by a new operator; its pod was written: %t", b.asked()-asked,
			after.ResourceVersion != pod.ResourceVersion)
	}
}

func TestABrokerThatDoesNotTakeItsCertificateIsToldOfAndAskedEverMoreSeldom(t *testing.T) {
	for name, c := range map[string]struct {
		fault func(b *broker)
		want  []string
	}{
		"it cannot read it": {func(b *broker) { b.broken = true },
			[]string{"broker 0 does not show its new certificate on listener clients yet", "Encountered metadata publishing fault"}},
		"it cannot be told": {func(b *broker) { b.noAlters = errors.New("it is out") },
			[]string{"broker 0 cannot be told to read its new certificate: ", "it is out"}},
		"it does not answer": {func(b *broker) { b.deaf = errors.New("connection refused") },
			[]string{"broker 0 cannot be asked whether it shows its new certificate: ", "connection refused"}},
	} {
		t.Run(name, func(t *testing.T) {
			b := aBroker(t)
			c.fault(b)
			b.now = b.now.Add(time.Hour)
			b.renewed()
			asked := b.asked()
			b.passes(3 * time.Minute)
			said := b.missing()
			for _, want := range c.want {
				if !strings.Contains(said, want) {
					t.Errorf("it says %q, expected %q", said, want)
				}
			}
			if n := b.asked() - asked; n > 2*14 {
				t.Errorf("it was asked %d times in three minutes", n)
			}
			b.broken, b.deaf, b.noAlters = false, nil, nil
			b.passes(time.Minute)
			if !bytes.Equal(b.mounted, b.entry()) || b.read == nil {
				t.Fatal("its mount was not refreshed")
			}
			if want, _ := pki.ParseBundle(b.entry()).Certificate(); !b.read.Equal(want) {
				t.Errorf("when it can, it does not show it: %q", b.said())
			}
		})
	}
}

// presents is a broker that has the same certificate to show.
func (b *broker) presents(id int32) decide.Presenting {
	return decide.Presenting{Node: id, PodUID: "another", Digest: "digest",
		Listeners: []decide.Presented{{Listener: "clients", Address: "10.1.0.9:9092", Certificate: b.read}}}
}

// A process that has been replaced proves nothing for its successor.
func TestAnotherProcessIsAskedAnew(t *testing.T) {
	b := aBroker(t)
	pod := &corev1.Pod{}
	b.get("events-main-0", pod)
	pod.Status.ContainerStatuses[0].State.Running.StartedAt = metav1.NewTime(b.now.Add(time.Minute))
	if err := b.api.Status().Update(t.Context(), pod); err != nil {
		t.Fatal(err)
	}
	b.passes(time.Minute)
	if b.dials != 2 {
		t.Errorf("it was asked %d times, expected once for each process", b.dials)
	}
}

// Brokers are asked side by side: each of these answers only once the other has been asked, too.
func TestABrokerThatIsSlowDelaysNoOther(t *testing.T) {
	b := aBroker(t)
	cluster := &v1alpha1.KafkaCluster{ObjectMeta: named("events", nil)}
	s := newScope(decide.Inputs{Cluster: cluster, Now: b.now})
	var both sync.WaitGroup
	both.Add(2)
	b.under.Shown = func(ctx context.Context, _ string) (connect.Sight, error) {
		both.Done()
		met := make(chan struct{})
		go func() { both.Wait(); close(met) }()
		select {
		case <-met:
			return connect.Sight{Chain: []*x509.Certificate{b.read}}, nil
		case <-ctx.Done():
			return connect.Sight{}, ctx.Err()
		}
	}
	one, other := b.presents(7), b.presents(8)
	s.decision.Presenting = []decide.Presenting{one, other}
	if err := b.under.present(t.Context(), s); err != nil {
		t.Fatal(err)
	}
	if len(s.presenting) > 0 || !b.under.proofs.of(s.key(), other).seen {
		t.Errorf("one waited for the other: %v", s.presenting)
	}
}

// An authority with another key under the same subject is not seen in a handshake. The broker is told to read it, and
// that it was outlives the operator.
func TestABrokerReadsAnAuthorityThatHasAnotherKeyUnderTheSameSubject(t *testing.T) {
	b := aBroker(t)
	pod, cluster := &corev1.Pod{}, &v1alpha1.KafkaCluster{}
	b.get("events", cluster)
	want := b.presents(0)
	want.Pod, want.PodUID, want.StartedAt, want.TrustChanged = "events-main-0", "pod-0", b.now.Add(-time.Hour), b.now
	run := func(during time.Duration) {
		t.Helper()
		for end := b.now.Add(during); b.now.Before(end); b.now = b.now.Add(300 * time.Millisecond) {
			b.get("events-main-0", pod)
			want.Touched, want.Reread = strings.CutSuffix(pod.Annotations[v1alpha1.AnnotationCertificates], decide.RereadMark)
			s := newScope(decide.Inputs{Cluster: cluster, Now: b.now})
			s.decision.Presenting = []decide.Presenting{want}
			if err := b.under.present(t.Context(), s); err != nil || len(s.presenting) > 0 {
				t.Fatalf("%v, %v", err, s.presenting)
			}
		}
	}
	began := b.reloads
	if run(2 * time.Second); want.Touched != want.Digest || b.reloads == began || want.Reread {
		t.Fatalf("within seconds it is touched for %q, told %d times, and that is noted: %t", want.Touched,
			b.reloads-began, want.Reread)
	}
	if run(10 * time.Minute); !want.Reread || b.reloads-began > 16 {
		t.Fatalf("it was told %d times, and that is noted: %t", b.reloads-began, want.Reread)
	}
	told, version := b.reloads, pod.ResourceVersion
	b.under.proofs = proofs{} // another operator leads
	if run(10 * time.Minute); b.reloads != told || pod.ResourceVersion != version {
		t.Errorf("another operator tells it %d times, and writes the pod: %t", b.reloads-told, pod.ResourceVersion != version)
	}
	want.Digest, want.StartedAt = "after it", b.now.Add(-time.Minute)
	b.now = b.now.Add(time.Hour)
	if run(time.Minute); b.reloads != told || pod.ResourceVersion != version {
		t.Error("a process that has started since is told")
	}
}

// A listener that nobody answers at, such as behind a wall, keeps no new certificate from the others of its broker.
func TestAListenerThatIsSilentKeepsNothingFromTheOthers(t *testing.T) {
	b := aBroker(t)
	s := newScope(decide.Inputs{Cluster: &v1alpha1.KafkaCluster{ObjectMeta: named("events", nil)}, Now: b.now})
	pod := &corev1.Pod{}
	b.get("events-main-0", pod)
	want := b.presents(0)
	want.Pod, want.PodUID, want.Digest = pod.Name, string(pod.UID), "another"
	want.Listeners = append(want.Listeners, decide.Presented{Listener: "walled", Address: "walled",
		Certificate: want.Listeners[0].Certificate})
	b.under.Shown = func(ctx context.Context, address string) (connect.Sight, error) {
		if address == "walled" {
			<-ctx.Done()
			return connect.Sight{}, ctx.Err()
		}
		return connect.Sight{Chain: []*x509.Certificate{{Raw: []byte("an older one")}}}, nil
	}
	if _, err := b.under.show(t.Context(), s, want, proof{}); err != nil {
		t.Fatal(err)
	}
	if b.get("events-main-0", pod); pod.Annotations[v1alpha1.AnnotationCertificates] != "another" {
		t.Errorf("the mounts are not refreshed: %v", pod.Annotations)
	}
}
