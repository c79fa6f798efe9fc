package e2e

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
)

// Kafka lets the number of its threads at most double or halve at once. Whatever a spec asks for is reached in steps, on
// a cluster that is new and on one that runs, without a restart and without a word.
func TestCase29_AnyNumberOfThreadsIsReachedWithoutARestart(t *testing.T) {
	promise(t)
	ns := small(t, true, `  config: {num.network.threads: "8", num.io.threads: "24", num.replica.fetchers: "4"}`+"\n")
	admin := loginOf(t, ns, adminUser).at(t, ns, sharedName, "outside").admin(t)
	cluster := clusterNamed(ns, sharedName)
	for _, kv := range []string{"num.network.threads=8", "num.io.threads=24", "num.replica.fetchers=4"} {
		mustHold(t, admin, kv)
	}
	before := lives(t, ns, sharedName)
	for _, value := range []string{"40", "2"} {
		change(t, cluster, func(c kafkaCluster) { c.Spec.Config["num.io.threads"] = value })
		figureSeconds(t, "threads-to-"+value, waitReady(t, 30*time.Second, cluster))
		mustHold(t, admin, "num.io.threads="+value)
	}
	mustLiveOn(t, ns, sharedName, before)
}

// mustHold waits until broker 0 has a value, which Ready has promised: brokers replay what they are told a moment later.
func mustHold(t *testing.T, admin *kadm.Client, keyAndValue string) {
	t.Helper()
	key, want, _ := strings.Cut(keyAndValue, "=")
	eventually(t, 5*time.Second, "broker 0 has "+keyAndValue, func(ctx context.Context) error {
		value, err := brokerValue(ctx, admin, 0, key)
		if err == nil && value != want {
			err = fmt.Errorf("it has %s", value)
		}
		return err
	})
}
