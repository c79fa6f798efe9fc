package client_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	saslplain "github.com/twmb/franz-go/pkg/sasl/plain"

	"github.com/castellan-dev/castellan/api/v1alpha1"
	"github.com/castellan-dev/castellan/internal/kafka/kafkatest"
	"github.com/castellan-dev/castellan/internal/model"
	"github.com/castellan-dev/castellan/internal/plainauth"
	"github.com/castellan-dev/castellan/internal/render"
	"github.com/castellan-dev/castellan/internal/resolve"
	"github.com/castellan-dev/castellan/internal/version"
)

// offersCustom gives the listener of the clients what is rendered for one with a custom mechanism, its files in a folder
// of the test.
func offersCustom(t *testing.T, folder string, mechanism, prefix string) kafkatest.Options {
	t.Helper()
	cluster := &v1alpha1.KafkaCluster{}
	cluster.Namespace, cluster.Name = "shop", "events"
	cluster.Spec = v1alpha1.KafkaClusterSpec{Version: kafkatest.Version,
		Pools: []v1alpha1.Pool{{Name: "main", Replicas: new(int32(1)), Storage: v1alpha1.Storage{Volumes: []v1alpha1.Volume{{Name: "data"}}}}},
		Listeners: []v1alpha1.Listener{{Name: "clients", Port: 9092, Encryption: v1alpha1.EncryptionNone,
			Authentication: &v1alpha1.ListenerAuthentication{
				Mechanisms: []v1alpha1.Mechanism{v1alpha1.MechanismCustom, v1alpha1.MechanismScram512},
				Custom: &v1alpha1.ListenerCustom{Mechanism: mechanism, Secret: v1alpha1.SecretName{Name: "a"},
					PrincipalPrefix: &prefix}}}}}
	c, _ := resolve.Resolve(resolve.Inputs{Cluster: cluster, Spec: &cluster.Spec, ImageRepository: "a", Domain: "b"})
	if c == nil {
		t.Fatal("it makes no sense")
	}
	config := map[string]string{"principal.builder.class": plainauth.PrincipalBuilderClass,
		"super.users": "User:ANONYMOUS;User:admin;User:custom:boss;User:custom:chief", plainauth.FederatedSuperUsers: "User:custom:chief"}
	c.Listeners[0].Login.Revision = "any"
	for line := range strings.Lines(render.Nodes(c)[0].Data["server.properties"]) {
		key, value, _ := strings.Cut(strings.TrimSpace(line), "=")
		if strings.HasPrefix(key, "config.providers") || strings.HasPrefix(key, "listener.name.clients.") {
			config[key] = strings.ReplaceAll(value, "/etc/castellan/login", folder)
		}
	}
	if len(config) < 10 {
		t.Fatalf("nothing of it is rendered: %v", config)
	}
	jar := filepath.Join(t.TempDir(), plainauth.JarName)
	if err := os.WriteFile(jar, plainauth.Jar(), 0o600); err != nil {
		t.Fatal(err)
	}
	return kafkatest.Options{Jars: []string{jar}, Config: config}
}

func provideFile(t *testing.T, folder, entry, content string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(folder, "clients."+entry), []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

// request asks a broker something, with a login or, with the zero value, without.
func request[T any](ctx context.Context, t *testing.T, address string, login saslplain.Auth, do func(context.Context, *kgo.Client) (T, error)) (T, error) {
	t.Helper()
	options := []kgo.Opt{kgo.SeedBrokers(address), kgo.RequestRetries(0), kgo.DialTimeout(pace.Of(5 * time.Second))}
	if login.User != "" {
		options = append(options, kgo.SASL(login.AsMechanism()))
	}
	c, err := kgo.NewClient(options...)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	ctx, cancel := context.WithTimeout(ctx, pace.Of(10*time.Second))
	defer cancel()
	return do(ctx, c)
}

// allACLs asks for all ACLs, which only somebody with a right may see, and gives Kafka's code.
func allACLs(ctx context.Context, c *kgo.Client) (int16, error) {
	ask := kmsg.NewPtrDescribeACLsRequest()
	ask.ResourceType, ask.ResourcePatternType = kmsg.ACLResourceTypeAny, kmsg.ACLResourcePatternTypeAny
	ask.Operation, ask.PermissionType = kmsg.ACLOperationAny, kmsg.ACLPermissionTypeAny
	answer, err := ask.RequestWith(ctx, c)
	if err != nil {
		return 0, err
	}
	return answer.ErrorCode, nil
}

// mayAsk gives a principal the right to see ACLs.
func mayAsk(principal string) func(context.Context, *kgo.Client) (int16, error) {
	return func(ctx context.Context, c *kgo.Client) (int16, error) {
		ask, creation := kmsg.NewPtrCreateACLsRequest(), kmsg.NewCreateACLsRequestCreation()
		creation.ResourceType, creation.ResourceName = kmsg.ACLResourceTypeCluster, "kafka-cluster"
		creation.ResourcePatternType, creation.Principal, creation.Host = kmsg.ACLResourcePatternTypeLiteral, principal, "*"
		creation.Operation, creation.PermissionType = kmsg.ACLOperationDescribe, kmsg.ACLPermissionTypeAllow
		ask.Creations = append(ask.Creations, creation)
		answer, err := ask.RequestWith(ctx, c)
		if err != nil {
			return 0, err
		}
		return answer.Results[0].ErrorCode, nil
	}
}

// brokerConfig is all that somebody with every right sees of a broker's configuration.
func brokerConfig(ctx context.Context, c *kgo.Client) (string, error) {
	ask, resource := kmsg.NewPtrDescribeConfigsRequest(), kmsg.NewDescribeConfigsRequestResource()
	resource.ResourceType, resource.ResourceName = kmsg.ConfigResourceTypeBroker, "1"
	ask.Resources, ask.IncludeSynonyms = append(ask.Resources, resource), true
	answer, err := ask.RequestWith(ctx, c)
	if err != nil {
		return "", err
	}
	var text strings.Builder
	for _, entry := range answer.Resources[0].Configs {
		value := func(v *string) string {
			if v == nil {
				return "null"
			}
			return *v
		}
		fmt.Fprintln(&text, entry.Name, value(entry.Value))
		for _, s := range entry.ConfigSynonyms {
			fmt.Fprintln(&text, s.Name, value(s.Value))
		}
	}
	return text.String(), nil
}

const forbidden int16 = 31 // CLUSTER_AUTHORIZATION_FAILED

// What is rendered, read by every version of Kafka in the catalogue: PLAIN against Kafka's own list, which stands for a
// directory.
func TestBrokersTakeACustomMechanismWhoseLineOfJaasIsInAFile(t *testing.T) {
	needKafka(t)
	for _, v := range version.Catalogue {
		t.Run(v.Kafka, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), pace.Of(5*time.Minute))
			defer cancel()
			folder := t.TempDir()
			provideFile(t, folder, "jaas.conf", `org.apache.kafka.common.security.plain.PlainLoginModule required
  user_alice="alice-${env:HOME}-secret" user_admin="admin-secret"
  user_boss="boss-secret" user_chief="chief-secret";
`)
			options := offersCustom(t, folder, "PLAIN", "custom:")
			options.Version = v.Kafka
			k, err := kafkatest.Start(ctx, options)
			if err != nil {
				t.Fatal(err)
			}
			defer k.Close()
			clients, admin := k.Nodes[0].Clients, k.Nodes[0].Admin
			alice := saslplain.Auth{User: "alice", Pass: "alice-${env:HOME}-secret"}
			eventually(t, "the listener is open", func() error {
				_, err := request(ctx, t, clients, alice, allACLs)
				return err
			})
			for name, c := range map[string]struct {
				login saslplain.Auth
				code  int16
			}{
				"somebody without a right":                  {alice, forbidden},
				"somebody called as a super user":           {saslplain.Auth{User: "admin", Pass: "admin-secret"}, forbidden},
				"a super user by the owner's word":          {saslplain.Auth{User: "chief", Pass: "chief-secret"}, 0},
				"somebody who is a super user by no word":   {saslplain.Auth{User: "boss", Pass: "boss-secret"}, -1},
				"a wrong password":                          {saslplain.Auth{User: "alice", Pass: "alice-secret"}, -1},
				"somebody whom the mechanism does not know": {saslplain.Auth{User: "bob", Pass: "bob"}, -1},
			} {
				code, err := request(ctx, t, clients, c.login, allACLs)
				if err != nil {
					code = -1
				}
				if code != c.code {
					t.Errorf("%s: %d, %v; want %d", name, code, err, c.code)
				}
			}
			for _, principal := range []string{"User:alice", "User:custom:alice"} {
				if code, err := request(ctx, t, admin, saslplain.Auth{}, mayAsk(principal)); code != 0 || err != nil {
					t.Fatal(code, err)
				}
				want := forbidden // as long as another alice alone has the right
				if principal == "User:custom:alice" {
					want = 0
				}
				eventually(t, principal+" has a right", func() error {
					if code, err := request(ctx, t, clients, alice, allACLs); err != nil || code != want {
						return fmt.Errorf("alice is answered with %d, %w", code, err)
					}
					return nil
				})
			}
			text, err := request(ctx, t, admin, saslplain.Auth{}, brokerConfig)
			if err != nil || !strings.Contains(text, "config.providers") || strings.Contains(text, "-secret") {
				t.Errorf("%v; Kafka tells\n%s", err, text)
			}
			if log := k.Log(1); strings.Contains(log, "-secret") {
				t.Errorf("the broker's log tells\n%s", log)
			}
		})
	}
}

// realm is a Kerberos realm of the test's own.
type realm struct {
	t    *testing.T
	dir  string
	in   io.Writer
	said *bufio.Scanner
}

func newRealm(ctx context.Context, t *testing.T) *realm {
	t.Helper()
	libs, err := kafkatest.KDC(ctx)
	if err != nil {
		t.Fatal(err)
	}
	port, err := kafkatest.FreePort()
	if err != nil {
		t.Fatal(err)
	}
	r := &realm{t: t, dir: t.TempDir()}
	cmd := exec.CommandContext(ctx, "java", "-Xmx128m", "-cp", filepath.Join(libs, "*"), "testdata/kerberos/Realm.java", r.dir, port)
	var complaints bytes.Buffer
	cmd.Stderr = &complaints
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { // it ends with its input
		_ = in.Close()
		_ = cmd.Wait()
	})
	r.in, r.said = in, bufio.NewScanner(out)
	if !r.ready() {
		t.Fatalf("there is no realm: %s", &complaints)
	}
	return r
}

func (r *realm) ready() bool {
	for r.said.Scan() {
		if r.said.Text() == "ready" {
			return true
		}
	}
	return false
}

func (r *realm) file(name string) string { return filepath.Join(r.dir, name) }

// ask has Kafka's own client log in with a ticket and see ACLs, and tells what came of it.
func (r *realm) ask(ctx context.Context, address, principal, keytab string) string {
	r.t.Helper()
	libs, err := kafkatest.Libs(ctx, kafkatest.Version)
	if err != nil {
		r.t.Fatal(err)
	}
	out, err := exec.CommandContext(ctx, "java", "-Xmx128m", "-Djava.security.krb5.conf="+r.file("krb5.conf"), "-cp", filepath.Join(libs, "*"),
		"testdata/kerberos/Ask.java", address, principal, r.file(keytab)).CombinedOutput()
	_, outcome, found := strings.Cut(string(out), "outcome ")
	if err != nil || !found {
		r.t.Fatalf("%v: %s", err, out)
	}
	return strings.TrimSpace(outcome)
}

// Kerberos: a ticket lets in, nothing else does, and a new key of the service counts without a restart.
func TestBrokersTakeTicketsOfKerberos(t *testing.T) {
	needKafka(t)
	ctx, cancel := context.WithTimeout(t.Context(), pace.Of(8*time.Minute))
	defer cancel()
	r, folder := newRealm(ctx, t), t.TempDir()
	keytab := func() {
		content, err := os.ReadFile(r.file("kafka.keytab"))
		if err != nil {
			t.Fatal(err)
		}
		next := filepath.Join(folder, "clients.kafka.keytab")
		if err := errors.Join(os.WriteFile(next+".new", content, 0o600), os.Rename(next+".new", next)); err != nil {
			t.Fatal(err)
		}
	}
	keytab()
	provideFile(t, folder, model.JaasEntry, `com.sun.security.auth.module.Krb5LoginModule required useKeyTab=true storeKey=true isInitiator=false
  serviceName="kafka" principal="kafka/localhost@EXAMPLE.COM" keyTab="`+folder+`/clients.kafka.keytab";`)
	options := offersCustom(t, folder, "GSSAPI", "custom:")
	options.JVM = []string{"-Djava.security.krb5.conf=" + r.file("krb5.conf")}
	k, err := kafkatest.Start(ctx, options)
	if err != nil {
		t.Fatal(err)
	}
	defer k.Close()
	address := k.Nodes[0].Clients
	if code, err := request(ctx, t, k.Nodes[0].Admin, saslplain.Auth{}, mayAsk("User:custom:alice")); code != 0 || err != nil {
		t.Fatal(code, err)
	}
	if got := r.ask(ctx, address, "alice@EXAMPLE.COM", "alice.keytab"); got != "in" {
		t.Errorf("alice with a ticket: %s\n%s", got, k.Log(1))
	}
	if got := r.ask(ctx, address, "boss@EXAMPLE.COM", "boss.keytab"); got == "in" || strings.HasPrefix(got, "ClusterAuthorization") {
		t.Errorf("a super user that nobody has named for tickets: %s", got)
	}
	if got := r.ask(ctx, address, "alice@EXAMPLE.COM", "boss.keytab"); got == "in" {
		t.Error("she is let in without a ticket of her own")
	}
	if _, err := fmt.Fprintln(r.in, "second"); err != nil || !r.ready() {
		t.Fatal("the realm has no new key")
	}
	keytab()
	if got := r.ask(ctx, address, "alice@EXAMPLE.COM", "alice.keytab"); got != "in" {
		t.Errorf("alice with a ticket for the service's new key: %s\n%s", got, k.Log(1))
	}
}
