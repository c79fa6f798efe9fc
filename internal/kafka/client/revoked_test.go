package client_test

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/castellan-dev/castellan/internal/kafka"
	"github.com/castellan-dev/castellan/internal/kafka/client"
	"github.com/castellan-dev/castellan/internal/kafka/kafkatest"
	"github.com/castellan-dev/castellan/internal/kafka/wire"
	"github.com/castellan-dev/castellan/internal/pki"
	"github.com/castellan-dev/castellan/internal/plainauth"
)

// A real broker with the operator's principal builder: what it does to a certificate that is revoked is seen for what it
// is, and open connections end.
func TestARealBrokerLetsACertificateInAsLongAsItIsInTheList(t *testing.T) {
	needKafka(t)
	ctx, cancel := context.WithTimeout(t.Context(), pace.Of(2*time.Minute))
	defer cancel()
	dir, now := t.TempDir(), time.Now()
	authority := func(name string) pki.Authority {
		ca, err := pki.NewAuthority(name, now)
		if err != nil {
			t.Fatal(err)
		}
		return ca
	}
	issue := func(ca pki.Authority) pki.Leaf {
		leaf, err := pki.Issue(ca, pki.UserRequest("app"), now)
		if err != nil {
			t.Fatal(err)
		}
		return leaf
	}
	clients, corp := authority("clients"), authority("Example Corp")
	user, other, stranger := issue(clients), issue(clients), issue(authority("strangers"))
	list := filepath.Join(dir, "certificates")
	write := func(leaves ...pki.Leaf) { // as a mounted Secret: the old file or the new one, and nothing between
		t.Helper()
		var lines []plainauth.UserCertificate
		for _, leaf := range leaves {
			certificate, err := leaf.Certificate()
			if err != nil {
				t.Fatal(err)
			}
			lines = append(lines, plainauth.CertificateOf("app", certificate))
		}
		if err := errors.Join(os.WriteFile(list+".new", plainauth.CertificateList(lines), 0o600),
			os.Rename(list+".new", list)); err != nil {
			t.Fatal(err)
		}
	}
	write(user)
	jar, trust := filepath.Join(dir, plainauth.JarName), filepath.Join(dir, "clients.pem")
	if err := errors.Join(os.WriteFile(jar, plainauth.Jar(), 0o600), os.WriteFile(trust, pki.Union(clients.CertPEM, corp.CertPEM), 0o600)); err != nil {
		t.Fatal(err)
	}
	k, err := kafkatest.Start(ctx, kafkatest.Options{Jars: []string{jar}, Config: map[string]string{
		"principal.builder.class":                            plainauth.PrincipalBuilderClass,
		"listener.name.mutual.ssl.truststore.location":       trust,
		"listener.name.mutual." + plainauth.CertificatesFile: list,
	}})
	if err != nil {
		t.Fatal(err)
	}
	defer k.Close()
	login := func(leaf pki.Leaf) error {
		return client.Prober{}.TryLogin(ctx, kafka.Login{Address: k.Nodes[0].Mutual, ServerName: "localhost", CA: k.CA.PEM,
			Mechanism: "TLS", Username: "app", Certificate: leaf.CertPEM, Key: leaf.KeyPEM})
	}
	if err := login(user); err != nil {
		t.Fatal(err)
	}
	for name, leaf := range map[string]pki.Leaf{"one that was never listed": other, "one of another authority": stranger} {
		if err := login(leaf); !errors.Is(err, kafka.ErrAuthenticationFailed) {
			t.Errorf("%s is answered with %v", name, err)
		}
	}

	config, err := client.TLSConfig(k.CA.PEM, user.CertPEM, user.KeyPEM)
	if err != nil {
		t.Fatal(err)
	}
	config.ServerName = "localhost"
	raw, err := (&tls.Dialer{Config: config}).DialContext(ctx, "tcp", k.Nodes[0].Mutual)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = raw.Close() }()
	open := wire.New(raw, "open")
	if _, _, err := open.Brokers(ctx); err != nil {
		t.Fatal(err)
	}
	write(user, other) // a renewal: both are good
	eventually(t, "the new one is let in", func() error { return login(other) })
	if _, _, err := open.Brokers(ctx); err != nil {
		t.Errorf("a renewal ends connections: %v", err)
	}
	write(other)
	eventually(t, "the former one is refused", func() error {
		if err := login(user); !errors.Is(err, kafka.ErrAuthenticationFailed) {
			return fmt.Errorf("it is answered with %w", err)
		}
		return nil
	})
	if _, _, err := open.Brokers(ctx); !errors.Is(err, wire.ErrClosed) {
		t.Errorf("an open connection of it goes on: %v", err)
	}
	if err := login(other); err != nil {
		t.Error(err)
	}
	foreignCertificates(ctx, t, k.Nodes[0].Mutual, k.CA.PEM, trust, clients, corp)
	k.StopNode(ctx, k.Nodes[0].NodeID)
	if err := login(user); err == nil || errors.Is(err, kafka.ErrAuthenticationFailed) {
		t.Errorf("a broker that is down says %v", err)
	}
}

// foreignCertificates shows the broker one of an authority of the owner's, which ends by the owner's word alone: nobody
// has the broker read its trust store again.
func foreignCertificates(ctx context.Context, t *testing.T, address string, servers []byte, trust string,
	clients, corp pki.Authority) {
	t.Helper()
	job, err := pki.Issue(corp, pki.Request{CommonName: "job", Organization: "Example",
		Usages: pki.Usages{Client: true}, ValidFor: time.Hour}, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	login := func() error {
		return client.Prober{}.TryLogin(ctx, kafka.Login{Address: address, ServerName: "localhost", CA: servers,
			Mechanism: "TLS", Username: "job", Certificate: job.CertPEM, Key: job.KeyPEM})
	}
	put := func(file string, content []byte) {
		t.Helper()
		if err := errors.Join(os.WriteFile(file+".new", content, 0o600), os.Rename(file+".new", file)); err != nil {
			t.Fatal(err)
		}
	}
	refused := trust + ".refused"
	for _, c := range []struct {
		what      string
		end, undo func()
	}{
		{"its subject is refused", func() { put(refused, []byte("cn=job, o=Example\n")) },
			func() { put(refused, []byte("# nobody\n")) }},
		{"its authority is trusted no more", func() { put(trust, clients.CertPEM) },
			func() { put(trust, pki.Union(clients.CertPEM, corp.CertPEM)) }},
	} {
		eventually(t, "it is let in before "+c.what, login)
		config, err := client.TLSConfig(servers, job.CertPEM, job.KeyPEM)
		if err != nil {
			t.Fatal(err)
		}
		config.ServerName = "localhost"
		raw, err := (&tls.Dialer{Config: config}).DialContext(ctx, "tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		open := wire.New(raw, "open")
		if _, _, err := open.Brokers(ctx); err != nil {
			t.Errorf("before %s: %v", c.what, err)
		}
		c.end()
		eventually(t, c.what, func() error {
			if err := login(); !errors.Is(err, kafka.ErrAuthenticationFailed) {
				return fmt.Errorf("it is answered with %w", err)
			}
			return nil
		})
		if _, _, err := open.Brokers(ctx); !errors.Is(err, wire.ErrClosed) {
			t.Errorf("%s, and an open connection goes on: %v", c.what, err)
		}
		_ = raw.Close()
		c.undo()
	}
}

// The marker of the file of PLAIN users logs in, and can do nothing else: its first request is refused.
func TestTheMarkerOfTheFileLogsInAndSendsNoRequest(t *testing.T) {
	needKafka(t)
	ctx, cancel := context.WithTimeout(t.Context(), pace.Of(2*time.Minute))
	defer cancel()
	options := withPlainHandler(t)
	options.Config["principal.builder.class"] = plainauth.PrincipalBuilderClass
	k, err := kafkatest.Start(ctx, options)
	if err != nil {
		t.Fatal(err)
	}
	defer k.Close()
	file := filepath.Join(filepath.Dir(options.Jars[0]), "users")
	before, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	put := func(part int, content []byte) {
		t.Helper()
		path := plainauth.PartName(file, part)
		if err := errors.Join(os.WriteFile(path+".new", content, 0o600), os.Rename(path+".new", path)); err != nil {
			t.Fatal(err)
		}
	}
	for _, part := range []int{0, 1, plainauth.MaxParts - 1} {
		state := before
		if part > 0 { // of the first file, which says that it counts
			words := slices.Repeat([]string{"0123456789abcdef"}, part)
			put(0, plainauth.Worded(before, words...))
			state = plainauth.Worded(plainauth.UsersFile(nil), words[0])
		}
		marker := kafka.Login{Address: k.Nodes[0].Clients, Mechanism: "PLAIN", Username: plainauth.MarkerName(part), Silent: true}
		for _, password := range []string{"the-first", "the-second"} {
			entry, err := plainauth.Hash(plainauth.MarkerName(part), password, []byte("sixteen bytes ok"), plainauth.MinIterations)
			if err != nil {
				t.Fatal(err)
			}
			put(part, plainauth.Marked(state, entry))
			marker.Password = password
			if err := (client.Prober{}).TryLogin(ctx, marker); err != nil {
				t.Errorf("part %d, %s: %v", part, password, err)
			}
		}
		marker.Password = "the-first"
		if err := (client.Prober{}).TryLogin(ctx, marker); !errors.Is(err, kafka.ErrAuthenticationFailed) {
			t.Errorf("part %d: the marker of a former state of the file is answered with %v", part, err)
		}
		marker.Password, marker.Silent = "the-second", false
		if err := (client.Prober{}).TryLogin(ctx, marker); err == nil || errors.Is(err, kafka.ErrAuthenticationFailed) {
			t.Errorf("part %d: the first request of the marker is answered with %v", part, err)
		}
		if part == 0 {
			continue
		}
		put(0, before) // as an operator writes it that knows of no further ones
		marker.Silent = true
		if err := (client.Prober{}).TryLogin(ctx, marker); !errors.Is(err, kafka.ErrAuthenticationFailed) {
			t.Errorf("part %d does not count any more, and its marker is answered with %v", part, err)
		}
	}
	checkPlain(ctx, t, k.Nodes[0].Clients)
}

// The marker of the list of users' certificates is let in by the state that it stands for alone, and whoever the state
// lacks is refused from that moment on. It can do what ACLs of everybody allow.
func TestTheMarkerOfTheListTellsWhatABrokerHasRead(t *testing.T) {
	needKafka(t)
	ctx, cancel := context.WithTimeout(t.Context(), pace.Of(2*time.Minute))
	defer cancel()
	dir, now := t.TempDir(), time.Now()
	clients, err := pki.NewAuthority("clients", now)
	if err != nil {
		t.Fatal(err)
	}
	jar, trust, list := filepath.Join(dir, plainauth.JarName), filepath.Join(dir, "clients.pem"), filepath.Join(dir, "certificates")
	put := func(file string, content []byte) { // as a mounted Secret: the old file or the new one, and nothing between
		t.Helper()
		if err := errors.Join(os.WriteFile(file+".new", content, 0o600), os.Rename(file+".new", file)); err != nil {
			t.Fatal(err)
		}
	}
	put(jar, plainauth.Jar())
	put(trust, clients.CertPEM)
	put(list, plainauth.CertificateList(nil))
	k, err := kafkatest.Start(ctx, kafkatest.Options{Jars: []string{jar}, Config: map[string]string{
		"principal.builder.class":                            plainauth.PrincipalBuilderClass,
		"listener.name.mutual.ssl.truststore.location":       trust,
		"listener.name.mutual." + plainauth.CertificatesFile: list,
	}})
	if err != nil {
		t.Fatal(err)
	}
	defer k.Close()
	issue := func(name string) (pki.Leaf, plainauth.UserCertificate) {
		t.Helper()
		leaf, err := pki.Issue(clients, pki.UserRequest(name), now)
		if err != nil {
			t.Fatal(err)
		}
		certificate, err := leaf.Certificate()
		if err != nil {
			t.Fatal(err)
		}
		return leaf, plainauth.CertificateOf(name, certificate)
	}
	login := func(name string, leaf pki.Leaf) error {
		return client.Prober{}.TryLogin(ctx, kafka.Login{Address: k.Nodes[0].Mutual, ServerName: "localhost", CA: k.CA.PEM,
			Mechanism: "TLS", Username: name, Certificate: leaf.CertPEM, Key: leaf.KeyPEM, Silent: true})
	}
	words := []string{"0123456789abcdef", "123456789abcdef0"}
	for part := range len(words) + 1 {
		file, own := plainauth.PartName(list, part), words[:0]
		if part > 0 {
			own = words[part-1 : part]
			put(list, plainauth.Worded(plainauth.CertificateList(nil), words[:part]...))
		}
		var former pki.Leaf
		for round := range 3 { // of which each lacks the user of the one before
			user, line := issue(fmt.Sprintf("user-%d", round))
			marker, mark := issue(plainauth.ListMarker)
			put(file, plainauth.Marked(plainauth.Worded(plainauth.CertificateList([]plainauth.UserCertificate{line}), own...), mark))
			eventually(t, "the marker is let in", func() error { return login(plainauth.ListMarker, marker) })
			if len(former.CertPEM) > 0 {
				if err := login("former", former); !errors.Is(err, kafka.ErrAuthenticationFailed) {
					t.Errorf("part %d: a broker that takes the marker answers who was revoked with %v", part, err)
				}
			}
			if err := login("user", user); err != nil {
				t.Errorf("part %d: a broker that takes the marker answers who is new with %v", part, err)
			}
			former = user
			put(file, plainauth.Worded(plainauth.CertificateList([]plainauth.UserCertificate{line}), own...))
			eventually(t, "the marker of a former state is refused", func() error {
				if err := login(plainauth.ListMarker, marker); !errors.Is(err, kafka.ErrAuthenticationFailed) {
					return fmt.Errorf("it is answered with %w", err)
				}
				return nil
			})
		}
	}
	marker, mark := issue(plainauth.ListMarker)
	put(list, plainauth.Marked(plainauth.CertificateList(nil), mark))
	eventually(t, "the marker is let in", func() error { return login(plainauth.ListMarker, marker) })
	config, err := client.TLSConfig(k.CA.PEM, marker.CertPEM, marker.KeyPEM)
	if err != nil {
		t.Fatal(err)
	}
	c, err := client.New(client.Options{Seeds: []string{k.Nodes[0].Mutual}, TLS: config})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	results, err := c.CreateACLs(ctx, []kafka.ACL{allow("User:"+plainauth.ListMarker, "All", "Topic", "t", "Literal")})
	if err == nil && errors.Join(results...) == nil {
		t.Error("the marker gives itself rights")
	}
}
