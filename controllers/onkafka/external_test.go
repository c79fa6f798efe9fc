// Package onkafka_test runs a controller against real brokers. Kubernetes is a fake here; the brokers are not.
package onkafka_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/events"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/castellan-dev/castellan/api/v1alpha1"
	"github.com/castellan-dev/castellan/controllers/external"
	"github.com/castellan-dev/castellan/internal/connect"
	"github.com/castellan-dev/castellan/internal/kafka"
	"github.com/castellan-dev/castellan/internal/kafka/kafkatest"
	"github.com/castellan-dev/castellan/internal/kafka/pool"
	"github.com/castellan-dev/castellan/test/suite"
)

const password = "correct-horse"

var key = types.NamespacedName{Namespace: "shop", Name: "legacy"}

// scene is an external cluster, its reconciler, and the brokers.
type scene struct {
	t     *testing.T
	ctx   context.Context
	kube  client.Client
	under *external.Reconciler
	kafka *kafkatest.Cluster
	pace  suite.Pace
}

// quietStart is how long one node takes to start on two quiet cores, with something to spare.
const quietStart = 5 * time.Second

func start(ctx context.Context, t *testing.T) *kafkatest.Cluster {
	t.Helper()
	k, err := kafkatest.Start(
		ctx,
		kafkatest.Options{Users: map[string]string{"operator": password}, Config: map[string]string{
			"super.users": "User:ANONYMOUS;User:operator;User:CN=" + kafkatest.OperatorName}},
	)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(k.Close)
	return k
}

func newScene(t *testing.T) *scene {
	t.Helper()
	if testing.Short() {
		t.Skip("needs a real Kafka")
	}
	ctx, cancel := context.WithTimeout(t.Context(), 15*time.Minute)
	t.Cleanup(cancel)
	scheme := runtime.NewScheme()
	if err := errors.Join(v1alpha1.AddToScheme(scheme), corev1.AddToScheme(scheme)); err != nil {
		t.Fatal(err)
	}
	s := &scene{t: t, ctx: ctx, kafka: start(ctx, t)}
	s.pace = suite.PaceOf(s.kafka.StartTook, quietStart)
	s.kube = fake.NewClientBuilder().WithScheme(scheme).WithStatusSubresource(&v1alpha1.KafkaCluster{}).Build()
	p := pool.New(pool.Config{BackoffMax: 2 * time.Second})
	t.Cleanup(p.Close)
	s.under = &external.Reconciler{
		Client: s.kube, Recorder: events.NewFakeRecorder(1000), Now: time.Now,
		Connections: &connect.Connections{Client: s.kube, APIReader: s.kube, Pool: p, Now: time.Now, Wake: func(pool.Key) {}},
	}
	cluster := &v1alpha1.KafkaCluster{
		ObjectMeta: metav1.ObjectMeta{Namespace: key.Namespace, Name: key.Name, UID: "uid", Generation: 1},
	}
	cluster.Spec.External = &v1alpha1.External{BootstrapServers: []v1alpha1.BootstrapServer{"127.0.0.1:1"}}
	if err := s.kube.Create(ctx, cluster); err != nil {
		t.Fatal(err)
	}
	return s
}

func (s *scene) secret(name string, data map[string]string) {
	s.t.Helper()
	secret := &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Namespace: key.Namespace, Name: name,
			Labels: map[string]string{v1alpha1.LabelUse: v1alpha1.UseExternalCluster}},
		Data: map[string][]byte{},
	}
	for k, v := range data {
		secret.Data[k] = []byte(v)
	}
	if err := s.kube.Delete(s.ctx, secret.DeepCopy()); client.IgnoreNotFound(err) != nil {
		s.t.Fatal(err)
	}
	if err := s.kube.Create(s.ctx, secret); err != nil {
		s.t.Fatal(err)
	}
}

func (s *scene) cluster() *v1alpha1.KafkaCluster {
	s.t.Helper()
	c := &v1alpha1.KafkaCluster{}
	if err := s.kube.Get(s.ctx, key, c); err != nil {
		s.t.Fatal(err)
	}
	return c
}

func (s *scene) spec(address string, tls bool, mechanism v1alpha1.ExternalMechanism) {
	s.t.Helper()
	c := s.cluster()
	e := &v1alpha1.External{BootstrapServers: []v1alpha1.BootstrapServer{v1alpha1.BootstrapServer(address)}}
	if tls {
		e.TLS = &v1alpha1.ExternalTLS{CASecret: &v1alpha1.CASecret{Name: "trust"}}
	}
	if mechanism != "" {
		e.Authentication = &v1alpha1.ExternalAuthentication{Mechanism: mechanism, SecretName: "login"}
	}
	c.Spec.External = e
	c.Generation++
	if err := s.kube.Update(s.ctx, c); err != nil {
		s.t.Fatal(err)
	}
}

// becomes reconciles until Ready has this reason; an empty reason stands for Ready itself.
func (s *scene) becomes(reason string) *v1alpha1.KafkaCluster {
	s.t.Helper()
	want, deadline, last := reason, time.Now().Add(s.pace.Of(time.Minute)), ""
	if want == "" {
		want = "AsSpecified"
	}
	for time.Now().Before(deadline) {
		if _, err := s.under.Reconcile(s.ctx, reconcile.Request{NamespacedName: key}); err != nil {
			s.t.Fatal(err)
		}
		c := s.cluster()
		ready := meta.FindStatusCondition(c.Status.Conditions, v1alpha1.ConditionReady)
		if last = ready.Reason + ": " + ready.Message; strings.Contains(last, password) {
			s.t.Fatalf("a secret is told: %s", last)
		}
		if ready.Reason == want &&
			meta.IsStatusConditionTrue(c.Status.Conditions, v1alpha1.ConditionAvailable) == (reason == "") {
			s.t.Log(last)
			return c
		}
		time.Sleep(200 * time.Millisecond)
	}
	s.t.Fatalf("want %s, it is %s", want, last)
	return nil
}

func (s *scene) createTopic(name string) error {
	admin, err := s.under.Connections.Admin(s.ctx, s.cluster())
	if err != nil {
		return err
	}
	results, err := admin.CreateTopics(s.ctx, []kafka.NewTopic{{Name: name, Partitions: 1}})
	if err == nil {
		err = results[name].Err
	}
	return err
}

func TestTheLifeOfAnExternalClusterOnRealBrokers(t *testing.T) {
	s := newScene(t)
	node := s.kafka.Nodes[0]
	s.becomes("Unreachable")
	s.spec(node.Clients, false, "PLAIN")
	s.becomes("InvalidSecret")
	s.secret("login", map[string]string{"username": "operator", "password": "wrong"})
	s.becomes("AuthenticationFailed")
	s.secret("login", map[string]string{"username": "operator", "password": password})
	c := s.becomes("")
	if c.Status.ClusterID != s.kafka.ID || c.Status.Brokers != "1/1" ||
		c.Status.Listeners[0].Addresses[0].Host != "127.0.0.1" {
		t.Errorf("%+v", c.Status)
	}
	if err := s.createTopic("orders"); err != nil {
		t.Error(err)
	}
	s.everyListener()
	s.anotherCluster()

	s.kafka.StopNode(s.ctx, 1)
	s.becomes("Unreachable")
	if err := s.kafka.StartNode(s.ctx, 1); err != nil {
		t.Fatal(err)
	}
	s.becomes("")
}

// everyListener goes through TLS, SCRAM, client certificates, and what is not Kafka.
func (s *scene) everyListener() {
	s.t.Helper()
	admin, err := s.under.Connections.Admin(s.ctx, s.cluster())
	if err != nil {
		s.t.Fatal(err)
	}
	upsert := kafka.ScramUpsert{User: "operator", Mechanism: "SCRAM-SHA-512", Iterations: 4096, Password: password}
	if results, err := admin.AlterScramCredentials(s.ctx, []kafka.ScramUpsert{upsert}, nil); err != nil ||
		results["operator"] != nil {
		s.t.Fatal(err, results)
	}
	node := s.kafka.Nodes[0]
	other, err := kafkatest.NewAuthority()
	if err != nil {
		s.t.Fatal(err)
	}
	s.secret("trust", map[string]string{"ca.crt": string(other.PEM)})
	s.spec(node.Secure, true, "SCRAM-SHA-512")
	s.becomes("CertificateNotTrusted")
	s.secret("trust", map[string]string{"ca.crt": string(s.kafka.CA.PEM)})
	s.becomes("")
	certificate, private, err := s.kafka.CA.Issue(kafkatest.OperatorName)
	if err != nil {
		s.t.Fatal(err)
	}
	s.secret("login", map[string]string{"tls.crt": string(certificate), "tls.key": string(private)})
	s.spec(node.Mutual, true, v1alpha1.ExternalTLSCertificate)
	s.becomes("")
	s.spec(node.Mutual, true, "")
	s.becomes("AuthenticationFailed")
	s.spec(node.Secure, false, "")
	s.becomes("WrongListener")
	s.spec(webServer(s.t), false, "")
	s.becomes("NotKafka")
	s.spec(node.Admin, false, "")
	s.becomes("")
}

// anotherCluster leads the addresses to other brokers, in which nothing may happen.
func (s *scene) anotherCluster() {
	s.t.Helper()
	other := start(s.ctx, s.t)
	defer other.Close()
	s.spec(other.Nodes[0].Admin, false, "")
	err := s.createTopic("strange") // before anybody has looked
	if _, held := errors.AsType[*kafka.AnotherCluster](err); !held {
		s.t.Errorf("create a topic in another cluster: %v", err)
	}
	c := s.becomes("AnotherCluster")
	if c.Status.ClusterID != s.kafka.ID {
		s.t.Errorf("the id on record is %s", c.Status.ClusterID)
	}
	s.spec(s.kafka.Nodes[0].Admin, false, "")
	s.becomes("")
	if err := s.createTopic("strange"); err != nil {
		s.t.Error(fmt.Errorf("back in its own cluster: %w", err))
	}
}

// webServer refuses whatever it reads, as web servers do.
func webServer(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			_, _ = io.WriteString(conn, "HTTP/1.1 400 Bad Request\r\n\r\n")
			_ = conn.Close()
		}
	}()
	return l.Addr().String()
}
