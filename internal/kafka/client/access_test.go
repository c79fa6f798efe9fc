package client_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/castellan-dev/castellan/internal/kafka"
	"github.com/castellan-dev/castellan/internal/kafka/client"
	"github.com/castellan-dev/castellan/internal/kafka/kafkatest"
)

// way is how a listener is approached.
type way struct {
	address     string
	ca          []byte // nil = no TLS
	system      bool
	certificate bool
	login       *client.Login
	clusterID   string
}

func (w way) overview(ctx context.Context, t *testing.T) (*kafka.Overview, error) {
	t.Helper()
	o := client.Options{Seeds: []string{w.address}, Login: w.login, ClusterID: w.clusterID}
	var certificate, key []byte
	var err error
	if w.certificate {
		if certificate, key, err = cluster.CA.Issue(kafkatest.OperatorName); err != nil {
			t.Fatal(err)
		}
	}
	switch {
	case w.ca != nil:
		o.TLS, err = client.TLSConfig(w.ca, certificate, key)
	case w.system:
		o.TLS, err = client.SystemTLSConfig(certificate, key)
	}
	if err != nil {
		t.Fatal(err)
	}
	c, err := client.New(o)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	return c.Overview(ctx)
}

func TestEveryWayInToACluster(t *testing.T) {
	c, counter := connect(t)
	upserts := []kafka.ScramUpsert{
		{User: "dora", Mechanism: "SCRAM-SHA-256", Iterations: 4096, Password: "doras-password"},
		{User: "dora", Mechanism: "SCRAM-SHA-512", Iterations: 4096, Password: "doras-password"},
	}
	noErrors(t)(c.AlterScramCredentials(t.Context(), upserts, nil))
	counter.take()
	bob := &client.Login{Mechanism: "PLAIN", Username: "bob", Password: plainPassword}
	dora := func(mechanism string) *client.Login {
		return &client.Login{Mechanism: mechanism, Username: "dora", Password: "doras-password"}
	}
	node, ca := cluster.Nodes[0], cluster.CA.PEM
	for name, w := range map[string]way{
		"plaintext":              {address: node.Admin, clusterID: cluster.ID},
		"PLAIN":                  {address: node.Clients, login: bob},
		"SCRAM-SHA-256":          {address: node.Clients, login: dora("SCRAM-SHA-256")},
		"SCRAM-SHA-512 over TLS": {address: node.Secure, ca: ca, login: dora("SCRAM-SHA-512")},
		"mTLS":                   {address: node.Mutual, ca: ca, certificate: true},
	} {
		t.Run(name, func(t *testing.T) {
			eventually(t, "the login is known", func() error {
				o, err := w.overview(t.Context(), t)
				if err != nil {
					return err
				}
				if o.ClusterID != cluster.ID || len(o.Brokers) != 3 || len(o.Lacking) != 0 || o.Brokers[0].Fenced ||
					fmt.Sprintf("%s:%d", o.Brokers[0].Host, o.Brokers[0].Port) != w.address {
					return fmt.Errorf("%+v", o)
				}
				return nil
			})
		})
	}
}

func TestEveryFaultOfAWayInIsToldApart(t *testing.T) {
	needKafka(t)
	node, ca := cluster.Nodes[0], cluster.CA.PEM
	other, err := kafkatest.NewAuthority()
	if err != nil {
		t.Fatal(err)
	}
	web := httptest.NewServer(http.NotFoundHandler())
	t.Cleanup(web.Close)
	webTLS := httptest.NewTLSServer(http.NotFoundHandler())
	t.Cleanup(webTLS.Close)
	mute := listen(t, func(conn net.Conn) { _, _ = io.Copy(io.Discard, conn) })
	hasty := listen(t, func(conn net.Conn) { _, _ = io.WriteString(conn, "HTTP/1.1 400 Bad Request\r\n\r\n") })
	shut := listen(t, func(net.Conn) {})
	login := func(mechanism, user, password string) *client.Login {
		return &client.Login{Mechanism: mechanism, Username: user, Password: password}
	}
	bob := login("PLAIN", "bob", plainPassword)
	for name, c := range map[string]struct {
		way
		cause kafka.Cause
	}{
		"wrong password by PLAIN": {
			way{address: node.Clients, login: login("PLAIN", "bob", "not-bobs-password")}, kafka.CauseLogin,
		},
		"wrong password by SCRAM": {
			way{address: node.Clients, login: login("SCRAM-SHA-512", "nobody", "not-anybodys")}, kafka.CauseLogin,
		},
		"another CA":                 {way{address: node.Secure, ca: other.PEM, login: bob}, kafka.CauseUntrusted},
		"the system's CAs":           {way{address: node.Secure, system: true}, kafka.CauseUntrusted},
		"no client certificate":      {way{address: node.Mutual, ca: ca}, kafka.CauseCertificate},
		"TLS to a plain listener":    {way{address: node.Admin, ca: ca}, kafka.CauseClosed},
		"plain to a TLS listener":    {way{address: node.Secure}, kafka.CauseWantsTLS},
		"no login where one is due":  {way{address: node.Clients}, kafka.CauseClosed},
		"a login where none is due":  {way{address: node.Admin, login: bob}, kafka.CauseNoLogin},
		"a web server":               {way{address: hasty}, kafka.CauseNotKafka},
		"a web server with patience": {way{address: strings.TrimPrefix(web.URL, "http://")}, kafka.CauseSilent},
		"a web server with TLS":      {way{address: strings.TrimPrefix(webTLS.URL, "https://")}, kafka.CauseClosed},
		"TLS to a web server":        {way{address: strings.TrimPrefix(web.URL, "http://"), ca: ca}, kafka.CauseNoTLS},
		"what closes at once":        {way{address: shut}, kafka.CauseClosed},
		"TLS to what closes at once": {way{address: shut, ca: ca}, kafka.CauseClosed},
		"what never answers":         {way{address: mute}, kafka.CauseSilent},
		"TLS to what never answers":  {way{address: mute, ca: ca}, kafka.CauseSilent},
		"a closed port":              {way{address: "127.0.0.1:1"}, kafka.CauseRefused},
		"a name of nobody":           {way{address: "none.invalid:9092"}, kafka.CauseNoHost},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ctx, cancel := context.WithTimeout(context.Background(), pace.Of(15*time.Second))
			defer cancel()
			_, err := c.overview(ctx, t)
			u, told := errors.AsType[*kafka.Unanswered](err)
			if !told || u.Cause != c.cause {
				t.Fatalf("got %v, want the cause %q", err, c.cause)
			}
			refused := slices.Contains([]kafka.Cause{kafka.CauseLogin, kafka.CauseCertificate}, c.cause)
			if errors.Is(err, kafka.ErrAuthenticationFailed) != refused ||
				errors.Is(err, kafka.ErrUnreachable) == refused {
				t.Errorf("of the wrong kind: %v", err)
			}
			if c.login != nil && strings.Contains(err.Error(), c.login.Password) {
				t.Errorf("it tells the password: %v", err)
			}
		})
	}
}

func TestTheFaultOfTheFirstAddressIsToldEachTime(t *testing.T) {
	seeds := []string{"127.0.0.1:1", "none.invalid:9092", "also.invalid:9092"}
	for _, want := range []kafka.Cause{kafka.CauseRefused, kafka.CauseNoHost} {
		for range 5 { // the library begins anywhere
			c, err := client.New(client.Options{Seeds: seeds})
			if err != nil {
				t.Fatal(err)
			}
			_, err = c.Overview(t.Context())
			c.Close()
			if u, told := errors.AsType[*kafka.Unanswered](err); !told || u.Cause != want {
				t.Errorf("%v tell %v, want %q", seeds, err, want)
			}
		}
		seeds = slices.Insert(seeds[1:], 1, seeds[0])
	}
}

// listen serves every connection with serve and then closes it.
func listen(t *testing.T, serve func(net.Conn)) string {
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
			go func() {
				serve(conn)
				_ = conn.Close()
			}()
		}
	}()
	return l.Addr().String()
}

func TestATopicThatMayNotBeDescribedHidesNoOther(t *testing.T) {
	c, _ := connect(t)
	topics := []kafka.NewTopic{{Name: "visible", Partitions: 1}, {Name: "hidden", Partitions: 1}}
	created, err := c.CreateTopics(t.Context(), topics)
	if err != nil || created["visible"].Err != nil || created["hidden"].Err != nil {
		t.Fatal(err, created)
	}
	var acls []kafka.ACL
	for _, operation := range []string{"Describe", "DescribeConfigs"} {
		acls = append(acls, allow("User:bob", operation, "Topic", "visible", "Literal"))
	}
	if results, err := c.CreateACLs(t.Context(), acls); err != nil || results[0] != nil || results[1] != nil {
		t.Fatal(err, results)
	}
	t.Cleanup(func() { _, _ = c.DeleteACLs(context.Background(), acls) })
	bob, err := client.New(client.Options{
		Seeds: []string{cluster.Nodes[0].Clients},
		Login: &client.Login{Mechanism: "PLAIN", Username: "bob", Password: plainPassword},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(bob.Close)
	eventually(t, "bob sees what he may", func() error {
		live, err := bob.DescribeTopics(t.Context(), []string{"visible", "hidden"})
		visible, hidden := live["visible"], live["hidden"]
		if err != nil || visible.Partitions != 1 || visible.Denied != nil || hidden.Denied == nil || hidden.ID != "" {
			return fmt.Errorf("%v %+v", err, live)
		}
		return nil
	})
}

func TestAnotherClusterIsAskedForNothing(t *testing.T) {
	needKafka(t)
	c, err := client.New(client.Options{Seeds: cluster.Admins(), ClusterID: "somebody-elses"})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	results, err := c.CreateTopics(t.Context(), []kafka.NewTopic{{Name: "strange", Partitions: 1}})
	other, ok := errors.AsType[*kafka.AnotherCluster](err)
	if !ok || other.Have != cluster.ID || other.Want != "somebody-elses" {
		t.Errorf("%v %v", results, err)
	}
	ours, _ := connect(t)
	if live, err := ours.DescribeTopics(t.Context(), []string{"strange"}); err != nil || len(live) != 0 {
		t.Errorf("it has been created: %v %v", live, err)
	}
}
