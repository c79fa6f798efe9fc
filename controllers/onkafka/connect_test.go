package onkafka_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"sigs.k8s.io/yaml"

	"github.com/castellan-dev/castellan/api/v1alpha1"
	"github.com/castellan-dev/castellan/internal/kafka"
	"github.com/castellan-dev/castellan/internal/kafka/client"
	"github.com/castellan-dev/castellan/internal/kafka/kafkatest"
	"github.com/castellan-dev/castellan/internal/mechanism"
	"github.com/castellan-dev/castellan/internal/model"
	"github.com/castellan-dev/castellan/internal/pki"
	"github.com/castellan-dev/castellan/internal/plainauth"
	"github.com/castellan-dev/castellan/internal/users"
	"github.com/castellan-dev/castellan/test/suite"
)

// page is the page whose programs are run.
const page = "../../docs/connect.md"

// language is one client of the page.
type language struct {
	client  string // as the table of the page calls it
	heading string
	fence   string
	// ready makes the program one that can be called, in a directory of its own.
	ready func(ctx context.Context, t *testing.T, dir, program string) []string
	long  bool   // it takes a minute, which the first lane of the tests has no room for
	above string // what stands below the lines that make the program log in with a token
}

var languages = []language{
	{"confluent-kafka", "Python, with confluent-kafka", "python", interpreted, false, "def told("},
	{"kafka-python", "Python, with kafka-python", "python", interpreted, false, "producer = KafkaProducer("},
	{"franz-go", "Go, with franz-go", "go", compiled, false, "\treturn all, err\n}\n\nfunc run("},
	{"Java", "Java", "java", onJVM, true, "        try (var producer ="},
	{"kafkajs", "Node, with kafkajs", "javascript", onNode, false, "  retry: {"},
}

// withToken is a program as the page says to change it, so that it logs in with a token.
func (l language) withToken(t *testing.T, text, program string) string {
	t.Helper()
	_, section, found := strings.Cut(text, "\n### Tokens with "+l.client+"\n")
	if !found || strings.Count(program, l.above) != 1 {
		t.Fatalf("%s does not say where the token goes with %s", page, l.client)
	}
	program = strings.Replace(program, l.above, block(t, section, "", l.fence)+l.above, 1)
	const sasl = "\t\"github.com/twmb/franz-go/pkg/sasl/"
	return strings.Replace(program, sasl+"plain\"\n", sasl+"oauth\"\n"+sasl+"plain\"\n", 1)
}

func put(t *testing.T, file string, content []byte) string {
	t.Helper()
	if err := os.WriteFile(file, content, 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

func interpreted(ctx context.Context, t *testing.T, dir, program string) []string {
	return []string{python(ctx, t), put(t, filepath.Join(dir, "connect.py"), []byte(program))}
}

// compiled builds a program with the version of franz-go that the operator has.
func compiled(ctx context.Context, t *testing.T, dir, program string) []string {
	source, built := put(t, filepath.Join(dir, "main.go"), []byte(program)), filepath.Join(dir, "connect")
	if err := call(ctx, "go", "build", "-o", built, source); err != nil {
		t.Fatal(err)
	}
	return []string{built}
}

// onJVM compiles a program with the clients of the broker's version.
func onJVM(ctx context.Context, t *testing.T, dir, program string) []string {
	libs, err := kafkatest.Libs(ctx, kafkatest.Version)
	if err != nil {
		t.Fatal(err)
	}
	libs = filepath.Join(libs, "*")
	source := put(t, filepath.Join(dir, "Connect.java"), []byte(program))
	if err := call(ctx, "javac", "-cp", libs, "-d", dir, source); err != nil {
		t.Fatal(err)
	}
	return []string{"java", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-cp", dir + ":" + libs, "Connect"}
}

// nodeClient is what the program for Node uses.
const nodeClient = "kafkajs@2.2.4"

// onNode puts the program beside the client, where Node looks for it.
func onNode(ctx context.Context, t *testing.T, dir, program string) []string {
	modules := kept(t, "node", nodeClient, func(dir string) error {
		return call(ctx, "npm", "install", "--silent", "--no-audit", "--no-fund", "--ignore-scripts", "--prefix", dir,
			nodeClient)
	})
	if err := os.Symlink(filepath.Join(modules, "node_modules"), filepath.Join(dir, "node_modules")); err != nil {
		t.Fatal(err)
	}
	return []string{"node", put(t, filepath.Join(dir, "connect.js"), []byte(program))}
}

// block is the first block of a page that is fenced so, below a heading.
func block(t *testing.T, text, heading, fence string) string {
	t.Helper()
	if heading != "" {
		var found bool
		if _, text, found = strings.Cut(text, "\n## "+heading+"\n"); !found {
			t.Fatalf("the page has no section %q", heading)
		}
	}
	_, rest, found := strings.Cut(text, "\n```"+fence+"\n")
	content, _, closed := strings.Cut(rest, "\n```\n")
	if !found || !closed {
		t.Fatalf("the page has no block of %s below %q", fence, heading)
	}
	return content + "\n"
}

// said is the table of what clients say: the words that are quoted, by what is wrong and then by client.
func said(text string) map[string]map[string][]string {
	quoted, all, wrong := regexp.MustCompile("`[^`]+`"), map[string]map[string][]string{}, ""
	_, table, _ := strings.Cut(text, "\n| what is wrong | client | it says | it means | cure |\n|---|---|---|---|---|\n")
	for line := range strings.Lines(table) {
		cells := strings.Split(strings.Trim(line, "|\n"), "|")
		if len(cells) != 5 {
			break
		}
		if name := strings.TrimSpace(cells[0]); name != "" {
			wrong, all[name] = name, map[string][]string{}
		}
		client := strings.TrimSpace(cells[1])
		for _, words := range quoted.FindAllString(cells[2], -1) {
			all[wrong][client] = append(all[wrong][client], strings.Trim(words, "`"))
		}
	}
	return all
}

// attempt is a Secret that a client connects with.
type attempt struct {
	name  string
	wrong bool // then the name is what is wrong, in the words of the page
	at    users.Endpoint
	shown mechanism.Credential
	ca    []byte
	token string // that the client logs in with, in place of what the Secret shows; empty = none
}

// hard is a password that a file could get wrong.
const hard = `a"b\c ${d} 'é' <&>`

// hall is a broker that knows the user of the page.
type hall struct {
	ctx   context.Context
	kafka *kafkatest.Cluster
	user  *v1alpha1.KafkaUser
	tries []attempt
	// group is held by who reads as the group of the page: others would take its records.
	group sync.Mutex
}

func (h *hall) open(t *testing.T) {
	t.Helper()
	authority, err := pki.NewAuthority("clients", time.Now())
	if err != nil {
		t.Fatal(err)
	}
	issue := func() (mechanism.Credential, plainauth.UserCertificate) {
		leaf, err := pki.Issue(authority, pki.UserRequest(h.user.Name), time.Now())
		if err != nil {
			t.Fatal(err)
		}
		certificate, err := leaf.Certificate()
		if err != nil {
			t.Fatal(err)
		}
		return mechanism.Credential{Username: h.user.Name, Certificate: leaf.CertPEM, Key: leaf.KeyPEM},
			plainauth.CertificateOf(h.user.Name, certificate)
	}
	holder, listed := issue()
	former, _ := issue()
	entry, err := plainauth.Hash(h.user.Name, hard, []byte("sixteen bytes ok"), plainauth.MinIterations)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	file := func(name string, content []byte) string { return put(t, filepath.Join(dir, name), content) }
	tokens := newIssuer(t, file)
	h.kafka, err = kafkatest.Start(h.ctx, kafkatest.Options{Jars: []string{file(plainauth.JarName, plainauth.Jar())},
		JVM: []string{"-Dorg.apache.kafka.sasl.oauthbearer.allowed.urls=" + tokens.url}, Config: tokens.taken(map[string]string{
			"group.initial.rebalance.delay.ms": "0",
			"principal.builder.class":          plainauth.PrincipalBuilderClass,
			"listener.name.secure.plain.sasl.jaas.config": plainauth.JaasConfig(
				file("users", plainauth.UsersFile([]plainauth.Entry{entry}))),
			"listener.name.secure.plain.sasl.server.callback.handler.class": plainauth.HandlerClass,
			"listener.name.mutual.ssl.truststore.location":                  file("clients.pem", authority.CertPEM),
			"listener.name.mutual." + plainauth.CertificatesFile: file("certificates",
				plainauth.CertificateList([]plainauth.UserCertificate{listed})),
		})})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(h.kafka.Close)
	h.tries = append(h.attempts(holder, former, authority.CertPEM), h.attemptsBy(tokens)...)
}

func (h *hall) attempts(holder, former mechanism.Credential, foreign []byte) []attempt {
	node, ca := h.kafka.Nodes[0], h.kafka.CA.PEM
	listener := func(name, address string, m v1alpha1.Mechanism) users.Endpoint {
		return users.Endpoint{Listener: name, Bootstrap: address, TLS: true, NoLogin: m == v1alpha1.MechanismTLS,
			Mechanisms: []v1alpha1.Mechanism{m}}
	}
	scram := listener("secure", node.Secure, v1alpha1.MechanismScram512)
	plain := listener("secure", node.Secure, v1alpha1.MechanismPlain)
	mutual := listener("mutual", node.Mutual, v1alpha1.MechanismTLS)
	open := listener("clients", node.Clients, v1alpha1.MechanismScram256)
	open.TLS = false
	with := func(name, password string) mechanism.Credential {
		return mechanism.Credential{Username: name, Password: password}
	}
	user := h.user.Name
	return []attempt{
		{"SCRAM", false, scram, with(user, hard), ca, ""},
		{"SCRAM-SHA-256 without TLS", false, open, with(user, hard), ca, ""},
		{"PLAIN", false, plain, with(user, hard), ca, ""},
		{"certificate", false, mutual, holder, ca, ""},
		{"the password, with SCRAM", true, scram, with(user, "another"), ca, ""},
		{"the password, with PLAIN", true, plain, with(user, "another"), ca, ""},
		{"the certificate of the user", true, mutual, former, ca, ""},
		{"`ca.crt`", true, scram, with(user, hard), foreign, ""},
		{"no grant for the topic", true, scram, with("stranger", hard), ca, ""},
		{"no grant for the group", true, scram, with("writer", hard), ca, ""},
	}
}

// attemptsBy are those of somebody whom the issuer knows by the name of the page's user.
func (h *hall) attemptsBy(tokens *issuer) []attempt {
	at := users.Endpoint{Listener: "secure", Bootstrap: h.kafka.Nodes[0].Secure, TLS: true,
		Mechanisms: []v1alpha1.Mechanism{v1alpha1.MechanismExternal}}
	until := func(end time.Duration) string { return tokens.token(h.user.Name, time.Now().Add(end)) }
	return []attempt{
		{"token", false, at, mechanism.Credential{}, h.kafka.CA.PEM, until(time.Hour)},
		{"the token, which has expired", true, at, mechanism.Credential{}, h.kafka.CA.PEM, until(-time.Hour)},
	}
}

// admit gives the user of the page what its grants say, another one less of it, and a third nothing.
func (h *hall) admit(t *testing.T) {
	t.Helper()
	admin, err := client.New(client.Options{Seeds: h.kafka.Admins()})
	if err != nil {
		t.Fatal(err)
	}
	defer admin.Close()
	if _, err := admin.CreateTopics(h.ctx, []kafka.NewTopic{{Name: "orders", Partitions: 1}}); err != nil {
		t.Fatal(err)
	}
	credentials := []kafka.ScramUpsert{{User: h.user.Name, Mechanism: "SCRAM-SHA-256",
		Iterations: mechanism.ScramIterations, Password: hard}}
	for _, user := range []string{h.user.Name, "writer", "stranger"} {
		credentials = append(credentials, kafka.ScramUpsert{User: user, Mechanism: "SCRAM-SHA-512",
			Iterations: mechanism.ScramIterations, Password: hard})
	}
	refused, err := admin.AlterScramCredentials(h.ctx, credentials, nil)
	for _, why := range refused {
		err = errors.Join(err, why)
	}
	if err != nil {
		t.Fatal(err)
	}
	rules, faults := users.Granted(h.user, model.Host{Namespace: h.user.Namespace})
	if len(faults) > 0 || len(h.user.Spec.Grants) != 2 {
		t.Fatal(faults, h.user.Spec.Grants)
	}
	acls := slices.Concat(users.ACLsOf(h.user.Name, rules), users.ACLsOf(tokenPrefix+h.user.Name, rules),
		users.ACLsOf("writer", users.RulesOf(h.user.Spec.Grants[0])))
	results, err := admin.CreateACLs(h.ctx, acls)
	if err = errors.Join(append(results, err)...); err != nil {
		t.Fatal(err)
	}
}

// mount writes the Secret of an attempt, as the operator would for the user of the page, into a directory.
func (h *hall) mount(t *testing.T, a attempt) (dir string) {
	t.Helper()
	layout := users.LayoutOf(h.user)
	layout.MountPath = t.TempDir()
	binding, err := layout.Connection(a.shown, a.ca, []users.Endpoint{a.at})
	if err != nil {
		t.Fatal(err)
	}
	for entry, value := range binding {
		put(t, filepath.Join(layout.MountPath, entry), value)
	}
	put(t, filepath.Join(layout.MountPath, tokenFile), []byte(a.token+"\n"))
	return layout.MountPath
}

// tokenFile is where the token of an attempt is.
const tokenFile = "token.jwt"

// try runs a program with the Secret in a directory.
func (h *hall) try(dir string, command []string) (output string, connected bool) {
	ctx, cancel := context.WithTimeout(h.ctx, 2*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, command[0], command[1:]...)
	cmd.Env = append(os.Environ(), "BINDING="+dir, "TOKEN="+filepath.Join(dir, tokenFile))
	out, err := cmd.CombinedOutput()
	return string(out), err == nil
}

// The programs of docs/connect.md connect as they stand there with the Secret of the KafkaUser that stands there,
// whatever it holds; and what each client says when something is wrong is what the table there quotes.
func TestTheProgramsOfThePageConnectAndSayWhatThePageSays(t *testing.T) {
	if testing.Short() {
		t.Skip("needs a real Kafka")
	}
	content, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	text := string(content)
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
	t.Cleanup(cancel)
	h := &hall{ctx: ctx, user: &v1alpha1.KafkaUser{}}
	if err := yaml.UnmarshalStrict([]byte(block(t, text, "", "yaml")), h.user); err != nil {
		t.Fatal(err)
	}
	h.open(t)
	h.admit(t)
	words := said(text)
	h.played(t, words)
	for _, l := range languages {
		t.Run(l.client, func(t *testing.T) {
			if l.long && suite.Lane(os.Getenv("CASTELLAN_E2E_LANE")) == suite.Promise {
				t.Skip("a part of all tests, not of the first lane")
			}
			t.Parallel()
			program := block(t, text, l.heading, l.fence)
			h.speak(t, l, program, l.withToken(t, text, program), words)
		})
	}
}

// played finds rows of the table that no test plays.
func (h *hall) played(t *testing.T, words map[string]map[string][]string) {
	t.Helper()
	for fault, by := range words {
		if !slices.ContainsFunc(h.tries, func(a attempt) bool { return a.wrong && a.name == fault }) {
			t.Errorf("%s tells what is said when %q is wrong, which is not tried", page, fault)
		}
		for client := range by {
			if !slices.ContainsFunc(languages, func(l language) bool { return l.client == client }) {
				t.Errorf("%s tells what %q says, which is not run", page, client)
			}
		}
	}
}

// speak makes all attempts with one client. Those that must fail are made at once: most of their time is waiting.
func (h *hall) speak(t *testing.T, l language, program, withToken string, words map[string]map[string][]string) {
	t.Helper()
	bySecret, byToken := l.ready(h.ctx, t, t.TempDir(), program), l.ready(h.ctx, t, t.TempDir(), withToken)
	var wait sync.WaitGroup
	for _, a := range h.tries {
		dir, command := h.mount(t, a), bySecret
		if a.token != "" {
			command = byToken
		}
		if a.wrong {
			wait.Go(func() { h.fails(t, dir, command, a, words[a.name][l.client]) })
			continue
		}
		h.group.Lock()
		if out, connected := h.try(dir, command); !connected || !strings.Contains(out, "{\"total\": 42}\n") {
			t.Errorf("%s: it does not connect:\n%s", a.name, out)
		}
		h.group.Unlock()
	}
	wait.Wait()
}

func (h *hall) fails(t *testing.T, dir string, command []string, a attempt, words []string) {
	out, connected := h.try(dir, command)
	fault := ""
	switch {
	case connected:
		fault = "it is let in"
	case len(words) == 0:
		fault = "the page does not say what it says"
	case strings.Contains(out, hard):
		fault = "it tells the password"
	case a.token != "" && strings.Contains(out, a.token):
		fault = "it tells the token"
	}
	for _, want := range words {
		if !strings.Contains(out, want) {
			fault = fmt.Sprintf("it does not say %q", want)
		}
	}
	if fault != "" {
		t.Errorf("%s: %s:\n%s", a.name, fault, out)
	}
}
