package e2e

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
)

// scaleFence begins the blocks of docs/balancing.md that are run here.
const (
	scaleFence  = "```sh scale"
	balancePage = "balancing.md"
)

// Its blocks, in this order.
const (
	allowBlock = iota
	watchBlock
	moreBlock
	fewerBlock
	largerBlock
	lookBlock
	scaleBlocks
)

const newcomerManifest = `
kind: KafkaCluster
metadata: {name: events}
spec:
  version: "4.3.1"
  pools:
  - name: main
    replicas: 3
    roles: [Broker]
    storage: {volumes: [{name: data, size: 1Gi, storageClassName: sized}]}
    jvm: {heap: 256Mi}
  - {name: ctl, replicas: 1, roles: [Controller], storage: {volumes: [{name: data, size: 1Gi}]}, jvm: {heap: 192Mi}}
  balancing: {mode: "Off", bytesPerSecondPerBroker: 2097152}
  listeners:
  - {name: outside, port: 9094, encryption: None, exposure: {type: NodePort}, authentication: {mechanisms: [SCRAM-SHA-512]}}
  authorization: {type: Simple, superUsers: [admin]}
`

// howFar is what the one line says while replicas move: bytes, percent and how long it takes.
var howFar = regexp.MustCompile(`balancing: \d+ of \d+ moves?, [\d.]+ of [\d.]+ [KMG]iB, \d+%, about \d+ min left`)

// leavesAfter is what it says while brokers are emptied.
var leavesAfter = regexp.MustCompile(
	`leaves once its \d+ partitions? (is|are) elsewhere: balancing: \d+ of \d+ moves?, [\d.]+ of [\d.]+ [KMG]iB, \d+%`)

// A newcomer goes by docs/balancing.md: three brokers become six and three again, their disks larger, and one line says
// what happens.
func TestCase51_ANewcomerGrowsAndShrinksAClusterAsThePageSays(t *testing.T) {
	long(t)
	if !isLocal() {
		t.Skip("the class is the local cluster's")
	}
	blocks, err := fencedBlocks(filepath.Join(repository, "docs", balancePage), scaleFence)
	if err != nil || len(blocks) != scaleBlocks {
		t.Fatalf("docs/%s has %d blocks, expected %d (error %v)", balancePage, len(blocks), scaleBlocks, err)
	}
	ns := newNamespace(t)
	for i, block := range blocks {
		if blocks[i] = strings.ReplaceAll(block, "kubectl -n kafka ", "kubectl -n "+ns+" "); blocks[i] == block {
			t.Fatalf("the block names no namespace: %s", block)
		}
	}
	apply(t, ns, newcomerManifest+"\n---\n"+adminManifest)
	cluster := clusterNamed(ns, sharedName)
	waitReady(t, 4*time.Minute, cluster)
	waitReady(t, time.Minute, userNamed(ns, adminUser))
	l := loginOf(t, ns, adminUser).at(t, ns, sharedName, "outside")
	apply(t, ns, topicManifest(balancedTopic, fmt.Sprintf(", partitions: %d, replicationFactor: 3", balancedPartitions)))
	waitReady(t, time.Minute, topicNamed(ns, balancedTopic))
	fill(t, l, balancedTopic, balancedBytes)
	records := startFlow(t, l, balancedTopic, "newcomer")

	runBlocks(t, balancePage, blocks[allowBlock:watchBlock])
	waitSpread(t, cluster, 0, 1, 2)
	line := startWatch(t, blocks[watchBlock])
	begin := time.Now()
	runBlocks(t, balancePage, blocks[moreBlock:fewerBlock])
	waitBalancing(t, cluster)
	runBlocks(t, balancePage, blocks[lookBlock:])
	if err := tellsHowFar(t.Context(), ns); err != nil {
		t.Error(err)
	}
	waitSpread(t, cluster, 0, 1, 2, 3, 4, 5)
	figureSeconds(t, "newcomer-3-to-6", time.Since(begin))
	mustBeEven(t, l.admin(t), 6)
	line.mustHaveTold(t, howFar)

	begin = time.Now()
	runBlocks(t, balancePage, blocks[fewerBlock:largerBlock])
	figureSeconds(t, "newcomer-6-to-3", time.Since(begin))
	if there, err := registered(t.Context(), l.client(t)); err != nil || !slices.Equal(there, []int32{0, 1, 2}) {
		t.Errorf("registered are %v (%v)", there, err)
	}
	mustBeEven(t, l.admin(t), 3)
	line.mustHaveTold(t, leavesAfter)

	runBlocks(t, balancePage, blocks[largerBlock:lookBlock])
	d := disks{ns: ns, cluster: cluster}
	for _, claim := range []string{"data-events-main-0", "data-events-main-1", "data-events-main-2"} {
		if err := d.hasCapacity(t.Context(), claim, "2Gi"); err != nil {
			t.Error(err)
		}
	}
	mustThrottleNothing(t, l.admin(t))
	records.stop(t)
}

// tellsHowFar waits until kubectl describe says it, too.
func tellsHowFar(ctx context.Context, ns string) error {
	_, err := poll(ctx, standstill, "kubectl describe says how far it is", func(ctx context.Context) error {
		out, err := kubectl(ctx, "-n", ns, "describe", "kafkacluster", sharedName)
		if err == nil && !howFar.MatchString(strings.Join(strings.Fields(out), " ")) {
			_, after, _ := strings.Cut(out, "Balancing:")
			err = errors.New(after)
		}
		return err
	})
	return err
}

// watched is what a command prints that does not end by itself.
type watched struct {
	mu   sync.Mutex
	text strings.Builder
}

func (w *watched) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.text.Write(p)
}

// startWatch runs a command of kubectl until the case ends.
func startWatch(t *testing.T, command string) *watched {
	t.Helper()
	path, err := kubectlPath()
	if err != nil {
		t.Fatal(err)
	}
	program, args, _ := strings.Cut(command, " ")
	if program != "kubectl" {
		t.Fatalf("it is no command of kubectl: %s", command)
	}
	w := &watched{}
	watch := exec.CommandContext(t.Context(), path, strings.Fields(args)...)
	watch.Env = append(os.Environ(), "KUBECONFIG="+kubeconfig)
	watch.Stdout, watch.Stderr = w, w
	if err := watch.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = watch.Wait() }) // it is killed when the case ends
	return w
}

// mustHaveTold holds that of the lines since the last call one says each of these.
func (w *watched) mustHaveTold(t *testing.T, all ...*regexp.Regexp) {
	t.Helper()
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, what := range all {
		if !what.MatchString(w.text.String()) {
			t.Errorf("no line says %s:\n%s", what, w.text.String())
		}
	}
	w.text.Reset()
}
