package probe

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/castellan-dev/castellan/api/v1alpha1"
	"github.com/castellan-dev/castellan/internal/mechanism"
	"github.com/castellan-dev/castellan/internal/pki"
	"github.com/castellan-dev/castellan/internal/reach/dial"
	"github.com/castellan-dev/castellan/internal/reach/reachtest"
	"github.com/castellan-dev/castellan/internal/users"
)

const password = "correcthorsebattery"

// ground is a cluster of two brokers, and a folder for files.
type ground struct {
	*testing.T
	authority pki.Authority
	brokers   [2]*reachtest.Broker
	ports     [2]uint16
	folder    string
	names     map[string]string // other addresses than 127.0.0.1; empty = unknown
}

func newGround(t *testing.T, change func(*ground, *reachtest.Broker, int)) *ground {
	t.Helper()
	g := &ground{T: t, authority: reachtest.Authority(t, time.Now()), folder: t.TempDir(), names: map[string]string{}}
	var told []reachtest.Told
	for i := range g.brokers {
		g.brokers[i] = &reachtest.Broker{
			Certificate: reachtest.Certificate(t, g.authority, time.Now(), host(i), pod(i), "kafka.example.com"),
			Mechanisms:  []string{"PLAIN"}, Passwords: map[string]string{"app": password}, ClusterID: "id"}
		change(g, g.brokers[i], i)
		g.ports[i] = g.brokers[i].Start(t).Port()
		told = append(told, reachtest.Told{ID: int32(i), Host: host(i), Port: int32(g.ports[i])})
	}
	for _, b := range g.brokers {
		b.Brokers = told
	}
	return g
}

func host(i int) string { return fmt.Sprintf("b%d.example.com", i) }
func pod(i int) string  { return fmt.Sprintf("events-main-%d.events-nodes.shop.svc.cluster.local", i) }

// file writes a file.
func (g *ground) file(name string, text []byte) string {
	g.Helper()
	path := filepath.Join(g.folder, name)
	if err := os.WriteFile(path, text, 0o600); err != nil {
		g.Fatal(err)
	}
	return path
}

// secret writes the files of a user's Secret, as the operator makes them, and returns their names.
func (g *ground) secret(tls bool, servers string) (librdkafka, java, object string) {
	g.Helper()
	data, _ := users.Layout{}.Connection(mechanism.Credential{Username: "app", Password: password}, g.authority.CertPEM, []users.Endpoint{{
		Listener: "clients", Bootstrap: servers, TLS: tls, Mechanisms: []v1alpha1.Mechanism{v1alpha1.MechanismPlain}}})
	return g.file("librdkafka.config", data["librdkafka.config"]), g.file("client.properties", data["client.properties"]), g.file("librdkafka.json", data["librdkafka.json"])
}

// begin is where clients begin.
func (g *ground) begin() string { return fmt.Sprintf("kafka.example.com:%d", g.ports[0]) }

// run runs the subcommand.
func (g *ground) run(args ...string) (said string, code int) {
	g.Helper()
	var out, faults bytes.Buffer
	code = run(g.Context(), args, &out, &faults, dial.Net{
		Resolve: func(_ context.Context, host string) ([]netip.Addr, error) {
			if address, told := g.names[host]; told {
				if address == "" {
					return nil, &net.DNSError{Name: host, IsNotFound: true}
				}
				return []netip.Addr{netip.MustParseAddr(address)}, nil
			}
			return []netip.Addr{netip.MustParseAddr("127.0.0.1")}, nil
		},
	})
	said = out.String() + faults.String()
	if strings.Contains(said, password) || strings.Contains(said, "PRIVATE") {
		g.Errorf("it shows a secret: %s", said)
	}
	return said, code
}

// cells are the words of the line of a broker.
func cells(t *testing.T, said, broker string) string {
	t.Helper()
	for line := range strings.Lines(said) {
		if words := strings.Fields(line); len(words) > 2 && words[0] == broker {
			return strings.Join(words[2:], " ")
		}
	}
	t.Errorf("there is no line of %s:\n%s", broker, said)
	return ""
}

func TestTheFilesOfAUsersSecretLeadToEveryBroker(t *testing.T) {
	for name, c := range map[string]struct {
		tls  bool
		more []string
		line string
	}{
		"with TLS": {true, nil, "yes yes yes yes yes yes yes yes"},
		"without":  {false, []string{"--allow-clear-text-password"}, "yes yes - ? - yes yes yes"},
	} {
		t.Run(name, func(t *testing.T) {
			g := newGround(t, func(_ *ground, b *reachtest.Broker, _ int) {
				if !c.tls {
					b.Certificate = nil
				}
			})
			librdkafka, java, object := g.secret(c.tls, g.begin())
			for _, file := range []string{librdkafka, java, object} {
				said, code := g.run(append([]string{"--config", file}, c.more...)...)
				if code != 0 || !strings.Contains(said, "Every broker is reached (2).") || cells(t, said, "0") != c.line ||
					cells(t, said, "1") != c.line {
					t.Errorf("%s: exit code %d\n%s", filepath.Base(file), code, said)
				}
			}
		})
	}
}

func TestTheFirstFailureIsSaidWithItsCure(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*ground, *reachtest.Broker, int)
		before func(g *ground)
		line   string // of broker 1
		says   string
	}{
		"a name that is known inside alone": {func(*ground, *reachtest.Broker, int) {},
			func(g *ground) { g.names["b1.example.com"] = "" }, "NO - - - - - - -",
			"The way to broker 1 at b1.example.com:%d fails (resolves): DNS does not know b1.example.com; make a record"},
		"two names with each other's address": {func(g *ground, b *reachtest.Broker, i int) {
			if i == 1 {
				b.Certificate = reachtest.Certificate(g, g.authority, time.Now(), pod(0), host(0), host(1))
			}
		}, func(*ground) {}, "yes yes yes NO - - - -", "fails (broker): behind it is broker 0; let the address lead to broker 1 alone"},
		"a broker that says nothing": {func(g *ground, b *reachtest.Broker, i int) { b.Silent = i == 1 }, func(*ground) {},
			"yes yes NO - - - - -", "does not answer a TLS handshake"},
		"a password that is not known there yet": {func(g *ground, b *reachtest.Broker, i int) {
			if i == 1 {
				b.Passwords = nil
			}
		}, func(*ground) {}, "yes yes yes yes yes yes NO -", "Invalid username or password"},
	} {
		t.Run(name, func(t *testing.T) {
			g := newGround(t, c.change)
			c.before(g)
			file, _, _ := g.secret(true, g.begin())
			said, code := g.run("--config", file, "--timeout", "500ms")
			want := c.says
			if strings.Contains(want, "%d") {
				want = fmt.Sprintf(want, g.ports[1])
			}
			if code != 1 || cells(t, said, "1") != c.line || !strings.Contains(said, want) ||
				!strings.HasPrefix(cells(t, said, "0"), "yes yes yes yes yes yes yes yes") {
				t.Errorf("exit code %d, expected %q\n%s", code, want, said)
			}
		})
	}
}

// The listener of another cluster's certificate gets no login, and no broker is looked at.
func TestNothingIsSentToWhomTheAuthorityOfTheFileDoesNotProve(t *testing.T) {
	g := newGround(t, func(*ground, *reachtest.Broker, int) {})
	g.authority = reachtest.Authority(t, time.Now())
	_, file, _ := g.secret(true, g.begin()+","+fmt.Sprintf("kafka.example.com:%d", g.ports[1]))
	said, code := g.run("--config", file)
	if code != 1 || !strings.Contains(said, "is of no trusted authority") || !strings.Contains(said, "1 more fail.") {
		t.Errorf("exit code %d\n%s", code, said)
	}
	for i, b := range g.brokers {
		if b.Logins() != 0 || bytes.Contains(b.Received(), []byte(password)) {
			t.Errorf("server %d got a login", i)
		}
	}
}

func TestWithoutTheFileOfAUserWhatIsSeenIsSaid(t *testing.T) {
	g := newGround(t, func(*ground, *reachtest.Broker, int) {})
	ca := g.file("ca.crt", g.authority.CertPEM)
	said, code := g.run("--bootstrap-server", g.begin(), "--ca", ca)
	if code != 1 || cells(t, said, "bootstrap") != "yes yes yes - yes yes - -" || !strings.Contains(said, "the listener offers PLAIN.") {
		t.Errorf("a listener with a login: exit code %d\n%s", code, said)
	}
	g = newGround(t, func(_ *ground, b *reachtest.Broker, _ int) { b.Mechanisms, b.Certificate = nil, nil })
	if said, code = g.run("--bootstrap-server", g.begin()); code != 0 || cells(t, said, "1") != "yes yes - ? - - - yes" {
		t.Errorf("one without: exit code %d\n%s", code, said)
	}
}

func TestWhatCannotBeReadIsNamed(t *testing.T) {
	g := newGround(t, func(*ground, *reachtest.Broker, int) {})
	g.file("store.jks", []byte{1})
	for text, want := range map[string]string{
		"security.protocol=SSL":                        "bootstrap.servers: no server is named",
		"bootstrap.servers=b":                          `bootstrap.servers: "b" is not host:port`,
		"bootstrap.servers=b:1\nsecurity.protocol=TLS": "security.protocol",
		"bootstrap.servers=b:1\nsecurity.protocol=SASL_SSL\nsasl.mechanism=GSSAPI":                 "sasl.mechanism",
		"bootstrap.servers=b:1\nsecurity.protocol=SASL_SSL\nsasl.mechanism=PLAIN\nsasl.username=a": "sasl.password",
		"bootstrap.servers=b:1\nsecurity.protocol=SSL\nssl.truststore.location=store.jks":          "keytool",
		"bootstrap.servers=b:1\nsecurity.protocol=SSL\nssl.ca.location=/nowhere":                   "ssl.ca.location",
		"bootstrap.servers=b:1\nsecurity.protocol=SSL\nssl.ca.pem=no":                              "no PEM certificate",
		"bootstrap.servers=b:1\nsecurity.protocol=SSL\nssl.keystore.location=user.p12":             "presents no certificate",
	} {
		if said, code := g.run("--config", g.file("c.config", []byte(text))); code != 1 || !strings.Contains(said, want) {
			t.Errorf("%q: exit code %d, %q, expected %q", text, code, said, want)
		}
	}
	for _, args := range [][]string{{}, {"--nonsense"}, {"b:1"}, {"--config", "/nowhere"}, {"--bootstrap-server", "x"}} {
		if said, code := g.run(args...); code != 1 || said == "" {
			t.Errorf("%v: exit code %d, %q", args, code, said)
		}
	}
}
