package e2e

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sasl/oauth"
	"github.com/twmb/franz-go/pkg/sasl/plain"
	"github.com/twmb/franz-go/pkg/sasl/scram"

	"github.com/castellan-dev/castellan/api/v1alpha1"
)

// login is what a client needs, as it stands in a user's Secret.
type login struct {
	servers, protocol, mechanism, username, password string // with OAUTHBEARER the password is a token
	ca                                               []byte
	certificate                                      *tls.Certificate // that the client shows; nil = none
	// via is where a connection for an address really goes: the way of a router or a tunnel; nil = there.
	via func(address string) string
}

// secretOf reads the connection Secret that a KafkaUser names.
func secretOf(t *testing.T, namespace, user string) *corev1.Secret {
	t.Helper()
	u := userNamed(namespace, user)
	if err := refresh(t.Context(), u); err != nil {
		t.Fatal(err)
	}
	if u.Status.Binding == nil {
		t.Fatalf("KafkaUser %s names no Secret", user)
	}
	secret := &corev1.Secret{}
	if err := kube.Get(t.Context(), client.ObjectKey{Namespace: namespace, Name: u.Status.Binding.Name}, secret); err != nil {
		t.Fatal(err)
	}
	return secret
}

func loginOf(t *testing.T, namespace, user string) login {
	t.Helper()
	data := secretOf(t, namespace, user).Data
	return login{
		servers: string(
			data["bootstrap.servers"],
		), protocol: string(data["security.protocol"]), mechanism: string(data["sasl.mechanism"]),
		username: string(data["username"]), password: string(data["password"]), ca: data["ca.crt"],
	}
}

// at is the same login at another listener.
func (l login) at(t *testing.T, namespace, cluster, listener string) login {
	t.Helper()
	c := clusterNamed(namespace, cluster)
	if err := refresh(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	for _, s := range c.Status.Listeners {
		if s.Name == listener {
			l.servers, l.protocol = s.BootstrapServers, s.SecurityProtocol
			return l
		}
	}
	t.Fatalf("status.listeners of %s has no %s: %+v", cluster, listener, c.Status.Listeners)
	return l
}

// showing is the same client with a certificate in place of a password.
func (l login) showing(t *testing.T, certificate, key []byte) login {
	t.Helper()
	pair, err := tls.X509KeyPair(certificate, key)
	if err != nil {
		t.Fatal(err)
	}
	l.certificate, l.username, l.password = &pair, "", ""
	return l
}

// with is the same login by another mechanism.
func (l login) with(mechanism v1alpha1.Mechanism) login {
	l.mechanism = string(mechanism)
	return l
}

// options are what an ordinary client library is given.
func (l login) options() ([]kgo.Opt, error) {
	if l.servers == "" {
		return nil, errors.New("bootstrap.servers is empty")
	}
	opts := []kgo.Opt{kgo.SeedBrokers(strings.Split(l.servers, ",")...)}
	dialer := &net.Dialer{Timeout: pace.Of(5 * time.Second), Resolver: clusterResolver()}
	dial := func(ctx context.Context, network, address string) (net.Conn, error) {
		if l.via != nil {
			address = l.via(address)
		}
		return dialer.DialContext(ctx, network, address)
	}
	if strings.HasSuffix(l.protocol, "SSL") {
		pool := x509.NewCertPool()
		if !pool.AppendCertsFromPEM(l.ca) {
			return nil, errors.New("ca.crt holds no certificate")
		}
		dial = secured(dial, pool, l.certificate)
	}
	opts = append(opts, kgo.Dialer(dial))
	if !strings.HasPrefix(l.protocol, "SASL") {
		return opts, nil
	}
	switch l.mechanism {
	case "PLAIN":
		return append(opts, kgo.SASL(plain.Auth{User: l.username, Pass: l.password}.AsMechanism())), nil
	case "SCRAM-SHA-256":
		return append(opts, kgo.SASL(scram.Auth{User: l.username, Pass: l.password}.AsSha256Mechanism())), nil
	case "SCRAM-SHA-512":
		return append(opts, kgo.SASL(scram.Auth{User: l.username, Pass: l.password}.AsSha512Mechanism())), nil
	case "OAUTHBEARER":
		return append(opts, kgo.SASL(oauth.Auth{Token: l.password}.AsMechanism())), nil
	}
	return nil, fmt.Errorf("sasl.mechanism is %q", l.mechanism)
}

type dialing = func(ctx context.Context, network, address string) (net.Conn, error)

// secured is TLS over a dialed connection. The server has to show the name that was asked for, wherever it was dialed.
func secured(dial dialing, roots *x509.CertPool, certificate *tls.Certificate) dialing {
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		host, _, err := net.SplitHostPort(address)
		if err != nil {
			return nil, err
		}
		plain, err := dial(ctx, network, address)
		if err != nil {
			return nil, err
		}
		config := &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12, ServerName: host}
		if certificate != nil {
			config.Certificates = []tls.Certificate{*certificate}
		}
		conn := tls.Client(plain, config)
		if err := conn.HandshakeContext(ctx); err != nil {
			return nil, errors.Join(err, plain.Close())
		}
		return conn, nil
	}
}

func (l login) client(t *testing.T, more ...kgo.Opt) *kgo.Client {
	t.Helper()
	opts, err := l.options()
	if err != nil {
		t.Fatal(err)
	}
	cl, err := kgo.NewClient(append(opts, more...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cl.Close)
	return cl
}

func (l login) admin(t *testing.T) *kadm.Client {
	t.Helper()
	// kadm answers from what it knows already, when that is younger; the cases ask what is true now.
	cl := l.client(t, kgo.RetryTimeout(pace.Of(10*time.Second)), kgo.MetadataMinAge(pollInterval/2))
	// A node's port refuses for a moment after the pod is ready, until kube-proxy has heard of it.
	eventually(t, 15*time.Second, "the brokers answer at "+l.servers, cl.Ping)
	return kadm.NewClient(cl)
}

// clusterResolver asks the Kubernetes cluster's own DNS, which this machine can reach but does not use.
var clusterResolver = sync.OnceValue(func() *net.Resolver {
	ctx, cancel := context.WithTimeout(context.Background(), pace.Of(10*time.Second))
	defer cancel()
	service := &corev1.Service{}
	if err := kube.Get(ctx, client.ObjectKey{Namespace: "kube-system", Name: "kube-dns"}, service); err != nil {
		return net.DefaultResolver
	}
	server := net.JoinHostPort(service.Spec.ClusterIP, "53")
	return &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, network, _ string) (net.Conn, error) {
		return (&net.Dialer{Timeout: 2 * time.Second}).DialContext(ctx, network, server)
	}}
})

// underReplicated names partitions with fewer in-sync replicas than replicas; nil error = none.
func underReplicated(ctx context.Context, admin *kadm.Client) error {
	topics, err := admin.ListTopicsWithInternal(ctx)
	if err != nil {
		return err
	}
	for _, topic := range topics.Sorted() {
		for _, p := range topic.Partitions.Sorted() {
			if len(p.ISR) < len(p.Replicas) {
				return fmt.Errorf("%s-%d has %d of %d replicas in sync", p.Topic, p.Partition, len(p.ISR), len(p.Replicas))
			}
		}
	}
	return nil
}

// brokerValue is the value of a key that is in force on a broker.
func brokerValue(ctx context.Context, admin *kadm.Client, id int32, key string) (string, error) {
	configs, err := admin.DescribeBrokerConfigs(ctx, id)
	return valueOf(configs, err, key)
}

// valueOf is the value of a key in what Kafka tells of one topic or broker.
func valueOf(configs kadm.ResourceConfigs, err error, key string) (string, error) {
	if err != nil {
		return "", err
	}
	for _, resource := range configs {
		if resource.Err != nil {
			return "", resource.Err
		}
		for _, c := range resource.Configs {
			if c.Key == key {
				return c.MaybeValue(), nil
			}
		}
	}
	return "", fmt.Errorf("there is no key %s", key)
}

// tryToProduce sends one record, with little patience.
func tryToProduce(t *testing.T, l login, topic string) error {
	t.Helper()
	cl := l.client(
		t,
		kgo.RecordDeliveryTimeout(pace.Of(5*time.Second)),
		kgo.RetryTimeout(pace.Of(5*time.Second)),
		kgo.UnknownTopicRetries(1),
	)
	defer cl.Close()
	ctx, cancel := context.WithTimeout(t.Context(), pace.Of(30*time.Second))
	defer cancel()
	return cl.ProduceSync(ctx, &kgo.Record{Topic: topic, Value: []byte("one")}).FirstErr()
}

// tryToLogIn asks one broker for a word, once.
func tryToLogIn(t *testing.T, l login) error {
	t.Helper()
	cl := l.client(t, kgo.RequestRetries(0))
	defer cl.Close()
	ctx, cancel := context.WithTimeout(t.Context(), pace.Of(30*time.Second))
	defer cancel()
	return cl.Ping(ctx)
}

// isLoginRefused tells whether an error is a broker's refusal of a login.
func isLoginRefused(err error) bool {
	return errors.Is(err, kerr.SaslAuthenticationFailed)
}

func isNotAuthorized(err error) bool {
	return errors.Is(err, kerr.TopicAuthorizationFailed) || errors.Is(err, kerr.GroupAuthorizationFailed) ||
		errors.Is(err, kerr.ClusterAuthorizationFailed)
}
