package onkafka_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"sigs.k8s.io/yaml"

	"github.com/castellan-dev/castellan/api/v1alpha1"
	"github.com/castellan-dev/castellan/internal/kafka"
	"github.com/castellan-dev/castellan/internal/kafka/client"
	"github.com/castellan-dev/castellan/internal/kafka/kafkatest"
	"github.com/castellan-dev/castellan/internal/mechanism"
	"github.com/castellan-dev/castellan/internal/model"
	"github.com/castellan-dev/castellan/internal/users"
)

const tutorials = "../../docs/tutorials.md"

// committed prints what has been committed to the topic invoices, up to its end.
const committed = `
import json, os
from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition
settings = json.load(open(os.environ["BINDING"] + "/librdkafka.json"))
consumer = Consumer(settings | {"group.id": "shop-look", "enable.partition.eof": True, "auto.offset.reset": "earliest"})
consumer.assign([TopicPartition("invoices", p, 0) for p in range(3)])
ended = set()
while len(ended) < 3:
    message = consumer.poll(10)
    if message is None:
        raise SystemExit("nothing comes")
    if not message.error():
        print(message.value().decode())
    elif message.error().code() == KafkaError._PARTITION_EOF:
        ended.add(message.partition())
    else:
        raise KafkaException(message.error())
`

// many sends enough orders that a program can be killed among them.
const many = `
import json, os
from confluent_kafka import Producer
producer = Producer(json.load(open(os.environ["BINDING"] + "/librdkafka.json")))
for number in range(300):
    producer.produce("orders", key=str(number), value=json.dumps({"number": number, "customer": "c", "total": 10}))
if producer.flush(60):
    raise SystemExit("not all is sent")
`

// lesson is a broker that knows the user of the page, and one language in which the page's programs are run.
type lesson struct {
	t       *testing.T
	ctx     context.Context
	text    string // of the page
	fence   string
	binding string
	start   func(program string) []string
}

// program is the command that runs what the page prints below a heading.
func (l *lesson) program(heading string) []string {
	return l.start(block(l.t, l.text, heading, l.fence))
}

func (l *lesson) command(args []string) *exec.Cmd {
	cmd := exec.CommandContext(l.ctx, args[0], args[1:]...)
	cmd.Env = append(os.Environ(), "BINDING="+l.binding)
	cmd.Stderr = l.t.Output()
	return cmd
}

// whole runs a program to its end and returns its lines.
func (l *lesson) whole(args []string) []string {
	l.t.Helper()
	out, err := l.command(args).Output()
	if err != nil {
		l.t.Fatalf("%v\n%s", err, out)
	}
	return strings.Split(strings.TrimSpace(string(out)), "\n")
}

// until runs a program until it has printed enough, ends it by a signal, and returns all that it has printed.
func (l *lesson) until(args []string, enough func([]string) bool, end syscall.Signal) (lines []string, ended error) {
	l.t.Helper()
	cmd := l.command(args)
	out, err := cmd.StdoutPipe()
	if err != nil {
		l.t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		l.t.Fatal(err)
	}
	signalled := false
	for scanner := bufio.NewScanner(out); scanner.Scan(); {
		lines = append(lines, scanner.Text())
		if !signalled && enough(lines) {
			signalled = true
			if err := cmd.Process.Signal(end); err != nil {
				l.t.Fatal(err)
			}
		}
	}
	ended = cmd.Wait()
	if !signalled {
		l.t.Fatalf("it has ended by itself (%v) after\n%s", ended, strings.Join(lines, "\n"))
	}
	return lines, ended
}

// starter makes ready what runs the programs of a language.
type starter func(ctx context.Context, t *testing.T) func(program string) []string

// taught starts a broker as the page's manifests ask for one.
func taught(t *testing.T, fence string, start starter) *lesson {
	t.Helper()
	content, err := os.ReadFile(tutorials)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	t.Cleanup(cancel)
	l := &lesson{t: t, ctx: ctx, text: string(content), fence: fence, start: start(ctx, t)}
	config := map[string]string{"group.initial.rebalance.delay.ms": "0"}
	broker, err := kafkatest.Start(ctx, kafkatest.Options{Config: config})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(broker.Close)
	admin, err := client.New(client.Options{Seeds: broker.Admins()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(admin.Close)
	user := &v1alpha1.KafkaUser{}
	for _, manifest := range strings.Split(block(t, l.text, "", "yaml"), "\n---\n") {
		topic := &v1alpha1.KafkaTopic{}
		if err := yaml.Unmarshal([]byte(manifest), topic); err != nil {
			t.Fatal(err)
		}
		if topic.Kind == "KafkaTopic" {
			wanted := kafka.NewTopic{Name: topic.Name, Partitions: *topic.Spec.Partitions}
			if _, err := admin.CreateTopics(ctx, []kafka.NewTopic{wanted}); err != nil {
				t.Fatal(err)
			}
			continue
		}
		if err := yaml.UnmarshalStrict([]byte(manifest), user); err != nil {
			t.Fatal(err)
		}
	}
	refused, err := admin.AlterScramCredentials(ctx, []kafka.ScramUpsert{{User: user.Name, Mechanism: "SCRAM-SHA-512",
		Iterations: mechanism.ScramIterations, Password: hard}}, nil)
	if err != nil || refused[user.Name] != nil {
		t.Fatal(err, refused)
	}
	rules, faults := users.Granted(user, model.Host{Namespace: user.Namespace})
	if len(faults) > 0 {
		t.Fatal(faults)
	}
	results, err := admin.CreateACLs(ctx, users.ACLsOf(user.Name, rules))
	if err != nil || slices.ContainsFunc(results, func(err error) bool { return err != nil }) {
		t.Fatal(err, results)
	}
	h := &hall{ctx: ctx, user: user}
	l.binding = h.mount(t, attempt{at: users.Endpoint{Listener: "secure", Bootstrap: broker.Nodes[0].Secure, TLS: true,
		Mechanisms: user.Spec.Authentication.Mechanisms}, shown: mechanism.Credential{Username: user.Name, Password: hard},
		ca: broker.CA.PEM})
	return l
}

// sends runs the first program of the page.
func (l *lesson) sends() {
	l.t.Helper()
	lines := l.whole(l.program("Send JSON"))
	at := regexp.MustCompile(`^customer-[0-2] is at [0-2]/\d+$`)
	if len(lines) != 10 || slices.ContainsFunc(lines, func(line string) bool { return !at.MatchString(line) }) {
		l.t.Fatalf("it has sent\n%s", strings.Join(lines, "\n"))
	}
}

// groups says that a group goes on where it has committed.
func (l *lesson) groups() {
	l.t.Helper()
	reader := l.program("Read as a group")
	ten := func(lines []string) bool { return len(lines) == 10 }
	first, ended := l.until(reader, ten, syscall.SIGTERM)
	if len(first) != 10 || !slices.Contains(first, "bill customer-1: 70") {
		l.t.Errorf("the first time it has billed (%v)\n%s", ended, strings.Join(first, "\n"))
	}
	l.sends()
	second, ended := l.until(reader, ten, syscall.SIGTERM)
	slices.Sort(first)
	slices.Sort(second)
	if !slices.Equal(first, second) {
		l.t.Errorf("the second time it has billed (%v)\n%s", ended, strings.Join(second, "\n"))
	}
}

// seeks says that the last three records of a partition are shown, and its first.
func (l *lesson) seeks() {
	l.t.Helper()
	var offsets []string
	for _, line := range l.whole(l.program("Read from where you like")) {
		offset, value, _ := strings.Cut(line, ": ")
		if !json.Valid([]byte(value)) {
			l.t.Errorf("it has read %q", line)
		}
		offsets = append(offsets, offset)
	}
	if n := len(offsets); n != 4 || offsets[n-1] != "0" || offsets[0] == "0" {
		l.t.Errorf("it has read the offsets %v", offsets)
	}
}

// invoices says that each order has one invoice, also when the program is killed in the middle.
func (l *lesson) invoices(interpreter string) {
	l.t.Helper()
	const all = 20 + 300
	l.whole([]string{interpreter, "-c", many})
	program := l.program("Exactly once")
	told := func(lines []string) (sum int) {
		for _, line := range lines {
			n := 0
			if _, err := fmt.Sscanf(line, "%d invoices", &n); err != nil {
				l.t.Fatalf("%v in %q", err, line)
			}
			sum += n
		}
		return sum
	}
	for _, most := range []int{1, 20} {
		_, _ = l.until(program, func(lines []string) bool { return told(lines) >= most }, syscall.SIGKILL)
	}
	before := l.invoiced(interpreter)
	if n := len(before); n == 0 || n >= all {
		l.t.Fatalf("it was to be killed in the middle, and has written %d invoices", n)
	}
	left := all - len(before)
	_, _ = l.until(program, func(lines []string) bool { return told(lines) >= left }, syscall.SIGKILL)
	after := l.invoiced(interpreter)
	if len(after) != all {
		l.t.Errorf("%d of %d orders have an invoice", len(after), all)
	}
	for order, times := range after {
		if times != 1 {
			l.t.Errorf("order %s has %d invoices", order, times)
		}
	}
}

// invoiced is how many invoices each order has.
func (l *lesson) invoiced(interpreter string) map[string]int {
	l.t.Helper()
	orders := map[string]int{}
	for _, line := range l.whole([]string{interpreter, "-c", committed}) {
		var invoice struct {
			Order string `json:"order"`
		}
		if err := json.Unmarshal([]byte(line), &invoice); err != nil {
			l.t.Fatalf("%v in %q", err, line)
		}
		orders[invoice.Order]++
	}
	return orders
}

// The programs of docs/tutorials.md do what the page says of them.
func TestTheTutorialsDoAsTheySay(t *testing.T) {
	if testing.Short() {
		t.Skip("needs a real Kafka")
	}
	interpreter := python(t.Context(), t)
	inPython := func(context.Context, *testing.T) func(string) []string {
		return func(program string) []string { return []string{interpreter, "-c", program} }
	}
	inJava := func(ctx context.Context, t *testing.T) func(string) []string {
		libs, err := kafkatest.Libs(ctx, kafkatest.Version)
		if err != nil {
			t.Fatal(err)
		}
		dir := t.TempDir()
		name := regexp.MustCompile(`public class (\w+) `)
		return func(program string) []string {
			file := put(t, filepath.Join(dir, name.FindStringSubmatch(program)[1]+".java"), []byte(program))
			return []string{"java", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-cp", filepath.Join(libs, "*"), file}
		}
	}
	for fence, start := range map[string]starter{"python": inPython, "java": inJava} {
		t.Run(fence, func(t *testing.T) {
			l := taught(t, fence, start)
			l.sends()
			l.groups()
			l.seeks()
			l.invoices(interpreter)
		})
	}
}
