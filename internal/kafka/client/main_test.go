package client_test

import (
	"context"
	"flag"
	"fmt"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/castellan-dev/castellan/internal/kafka"
	"github.com/castellan-dev/castellan/internal/kafka/client"
	"github.com/castellan-dev/castellan/internal/kafka/kafkatest"
	"github.com/castellan-dev/castellan/test/suite"
)

// cluster is one real Kafka of three nodes for the whole package; nil with -short.
var cluster *kafkatest.Cluster

// pace is how slow this machine is today, by how long that Kafka took to start.
var pace suite.Pace

// quietStart is how long three nodes take to start on two quiet cores, with something to spare.
const quietStart = 8 * time.Second

const plainPassword = "correct-horse"

func TestMain(m *testing.M) {
	flag.Parse()
	os.Exit(run(m))
}

func run(m *testing.M) int {
	if !testing.Short() {
		ctx, cancel := context.WithTimeout(context.Background(), 15*time.Minute)
		defer cancel()
		bob := map[string]string{"bob": plainPassword}
		// Leaders are where the tests have them elected, and not where Kafka does every five minutes.
		quiet := map[string]string{"auto.leader.rebalance.enable": "false"}
		started, err := kafkatest.Start(ctx, kafkatest.Options{Nodes: 3, Users: bob, Config: quiet})
		if err != nil {
			fmt.Fprintln(os.Stderr, err, "(without Java: go test -short)")
			return 1
		}
		defer started.Close()
		cluster = started
		pace = suite.PaceOf(started.StartTook, quietStart)
		fmt.Printf("Kafka started in %s: time-outs are %s times those of a quiet machine\n", started.StartTook, pace)
	}
	return m.Run()
}

func needKafka(t *testing.T) {
	t.Helper()
	if cluster == nil {
		t.Skip("needs a real Kafka")
	}
}

// requests counts what a client writes to Kafka.
type requests struct {
	mu   sync.Mutex
	byID map[string]int
}

func (r *requests) on(api string, _ int32) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.byID == nil {
		r.byID = map[string]int{}
	}
	r.byID[api]++
}

// take returns what was counted since the last take.
func (r *requests) take() map[string]int {
	r.mu.Lock()
	defer r.mu.Unlock()
	taken := r.byID
	r.byID = nil
	return taken
}

func total(counts map[string]int) int {
	n := 0
	for _, c := range counts {
		n += c
	}
	return n
}

// connect returns a client that has already found the brokers, so that what follows is what an operation costs.
func connect(t *testing.T) (*client.Client, *requests) {
	t.Helper()
	needKafka(t)
	return connectTo(t, cluster)
}

func connectTo(t *testing.T, k *kafkatest.Cluster) (*client.Client, *requests) {
	t.Helper()
	counter := &requests{}
	c, err := client.New(client.Options{Seeds: k.Admins(), OnRequest: counter.on})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	if _, err := c.BrokerConfig(t.Context(), kafka.AllBrokers); err != nil {
		t.Fatal(err)
	}
	counter.take()
	return c, counter
}

// eventually waits for what Kafka promises only for later: brokers learn of a write some milliseconds after its answer.
func eventually(t *testing.T, what string, check func() error) {
	t.Helper()
	deadline := time.Now().Add(pace.Of(30 * time.Second))
	for {
		err := check()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s: still %v", what, err)
		}
		time.Sleep(50 * time.Millisecond)
	}
}

func ptr[T any](v T) *T { return &v }

func set(key, value string) kafka.ConfigChange { return kafka.ConfigChange{Key: key, Value: &value} }

// allow is an ACL that lets a principal do something from any host.
func allow(principal, operation, kind, name, pattern string) kafka.ACL {
	return kafka.ACL{
		Principal: principal, Host: "*", Operation: operation, Permission: "Allow",
		ResourceType: kind, ResourceName: name, Pattern: pattern,
	}
}
