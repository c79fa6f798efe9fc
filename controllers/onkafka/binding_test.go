package onkafka_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/castellan-dev/castellan/api/v1alpha1"
	"github.com/castellan-dev/castellan/internal/kafka"
	"github.com/castellan-dev/castellan/internal/kafka/client"
	"github.com/castellan-dev/castellan/internal/kafka/kafkatest"
	"github.com/castellan-dev/castellan/internal/mechanism"
	"github.com/castellan-dev/castellan/internal/users"
)

// clients are those that the program uses.
const clients = "confluent-kafka==2.16.1\nkafka-python==3.0.12\n"

// program connects with the files as they are, by a line each.
const program = `
import json, sys
from confluent_kafka import Consumer, Producer
from kafka import KafkaProducer

at, topic = sys.argv[1], sys.argv[2]
one = Producer(json.load(open(at + "/librdkafka.json")))
one.produce(topic, b"from confluent-kafka")
if one.flush(60):
    sys.exit("confluent-kafka has sent nothing")
two = KafkaProducer(**json.load(open(at + "/kafka-python.json")))
two.send(topic, b"from kafka-python").get(60)
two.close()
reader = Consumer(json.load(open(at + "/librdkafka.secure.json")) | {"group.id": "a", "auto.offset.reset": "earliest"})
reader.subscribe([topic])
for _ in range(2):
    message = reader.poll(60)
    if message is None or message.error():
        sys.exit(f"nothing is read: {message and message.error()}")
    print(message.value().decode())
reader.close()
`

// keeping is held by who looks whether something is kept: tests run side by side, and two want the same.
var keeping sync.Mutex

// kept is a directory for what is fetched once, in the user's cache. install fills it; where it cannot, the test is
// skipped.
func kept(t *testing.T, kind, wanted string, install func(dir string) error) string {
	t.Helper()
	keeping.Lock()
	defer keeping.Unlock()
	cache := os.Getenv("CASTELLAN_CACHE")
	if cache == "" {
		home, err := os.UserCacheDir()
		if err != nil {
			t.Skip(err)
		}
		cache = filepath.Join(home, "castellan")
	}
	sum := sha256.Sum256([]byte(wanted))
	dir := filepath.Join(cache, kind+"-"+hex.EncodeToString(sum[:6]))
	done := filepath.Join(dir, "complete")
	if _, err := os.Stat(done); err == nil {
		return dir
	}
	if err := install(dir); err != nil {
		t.Skipf("%q cannot be installed: %v", wanted, err)
	}
	if err := os.WriteFile(done, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	return dir
}

func TestWhatTwoTestsWantAtOnceIsFetchedOnce(t *testing.T) {
	t.Setenv("CASTELLAN_CACHE", t.TempDir())
	var fetched atomic.Int32
	var wait sync.WaitGroup
	for range 20 {
		wait.Go(func() {
			kept(t, "any", "thing", func(dir string) error {
				fetched.Add(1)
				return os.MkdirAll(dir, 0o700)
			})
		})
	}
	wait.Wait()
	if n := fetched.Load(); n != 1 {
		t.Errorf("it is fetched %d times", n)
	}
}

// call runs a program and gives what it has printed as a part of the error.
func call(ctx context.Context, program string, args ...string) error {
	if out, err := exec.CommandContext(ctx, program, args...).CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w\n%s", program, err, out)
	}
	return nil
}

// python is an interpreter with the clients, in an environment of its own that is made once.
func python(ctx context.Context, t *testing.T) string {
	t.Helper()
	dir := kept(t, "python", clients, func(dir string) error {
		if err := call(ctx, "python3", "-m", "venv", "--clear", dir); err != nil {
			return err
		}
		install := []string{"-m", "pip", "install", "--quiet", "--only-binary", ":all:"}
		return call(ctx, filepath.Join(dir, "bin", "python"), append(install, strings.Fields(clients)...)...)
	})
	return filepath.Join(dir, "bin", "python")
}

// The files of a connection Secret connect real clients as they are, over TLS and with SCRAM, also with a password that
// a file could get wrong.
func TestClientsConnectWithTheFilesOfAConnectionSecretAsTheyAre(t *testing.T) {
	if testing.Short() {
		t.Skip("needs a real Kafka")
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
	defer cancel()
	interpreter := python(ctx, t)
	k, err := kafkatest.Start(ctx, kafkatest.Options{Config: map[string]string{"super.users": "User:ANONYMOUS;User:app"}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(k.Close)
	admin, err := client.New(client.Options{Seeds: k.Admins()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(admin.Close)
	const hard, topic = `a"b\c ${d} 'é' <&>`, "orders"
	refused, err := admin.AlterScramCredentials(ctx, []kafka.ScramUpsert{{User: "app", Mechanism: "SCRAM-SHA-512",
		Iterations: mechanism.ScramIterations, Password: hard}}, nil)
	if err != nil || refused["app"] != nil {
		t.Fatal(err, refused)
	}
	if _, err := admin.CreateTopics(ctx, []kafka.NewTopic{{Name: topic, Partitions: 1}}); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	binding, err := users.Layout{MountPath: dir, Formats: []v1alpha1.BindingFormat{v1alpha1.FormatLibrdkafkaJSON,
		v1alpha1.FormatKafkaPython}}.Connection(mechanism.Credential{Username: "app", Password: hard}, k.CA.PEM,
		[]users.Endpoint{{Listener: "secure", Bootstrap: k.Nodes[0].Secure, TLS: true,
			Mechanisms: []v1alpha1.Mechanism{v1alpha1.MechanismScram512}}})
	if err != nil {
		t.Fatal(err)
	}
	for entry, value := range binding {
		if err := os.WriteFile(filepath.Join(dir, entry), value, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	out, err := exec.CommandContext(ctx, interpreter, "-c", program, dir, topic).CombinedOutput()
	if err != nil || !strings.Contains(string(out), "from confluent-kafka\nfrom kafka-python\n") {
		t.Errorf("%v\n%s", err, out)
	}
}
