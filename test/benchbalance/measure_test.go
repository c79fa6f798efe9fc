package main

import (
	"os"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"sigs.k8s.io/controller-runtime/pkg/log"
)

// Six real brokers, three of which hold everything: the operator copies hardly more than any plan would have to,
// brokers hold their shares, no throttle is left and no record is lost. Kafka's own tool is measured in the same way.
func TestACopyOfRealDataIsEvenedOutForLittleMoreThanTheLeast(t *testing.T) {
	if os.Getenv("CASTELLAN_BENCH_OPERATOR") == "" {
		t.Skip("make test STAGES=kafka runs it, which sets CASTELLAN_BENCH_OPERATOR")
	}
	log.SetLogger(logr.Discard())
	o := Options{Size: 48 << 20, Rate: 20 << 20, Records: 100, Proposals: 1, Rest: 2 * time.Second}
	rows, err := measure(t.Context(), o, "skewed")
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("\n%s", table(rows))
	own, tools := rows[0], rows[1]
	if own.Least == 0 || float64(own.Copied) > 1.1*float64(own.Least) {
		t.Errorf("the operator copied %d bytes, and %d are the least", own.Copied, own.Least)
	}
	if own.Farthest > tolerance {
		t.Errorf("a broker is %.1f %% from its share, and the tolerance is %d %%", own.Farthest, tolerance)
	}
	for _, r := range rows {
		if r.Lost > 0 || r.Acked == 0 {
			t.Errorf("%s: of %d acknowledged records %d are lost", r.Who, r.Acked, r.Lost)
		}
	}
	if tools.Copied == 0 || tools.Replicas == 0 {
		t.Errorf("Kafka's own tool moved nothing: %+v", tools)
	}
}

func TestAPlanOfKafkasToolIsRead(t *testing.T) {
	t.Parallel()
	for name, out := range map[string]string{
		"nothing":               "",
		"no plan":               "Current partition replica assignment\n",
		"a partition too many":  `{"version":1,"partitions":[{"topic":"data","partition":48,"replicas":[1]}]}`,
		"partitions are missed": `{"version":1,"partitions":[{"topic":"data","partition":0,"replicas":[1]}]}`,
	} {
		if _, err := parseProposal(out); err == nil {
			t.Errorf("%s: it is taken", name)
		}
	}
}

func TestHowEvenBrokersAre(t *testing.T) {
	t.Parallel()
	sizes := map[int32]int64{0: 3, 1: 3, 2: 3, 3: 3}
	farthest, counts, leaders := evenness([][]int32{{1, 2}, {2, 3}, {4, 5}, {6, 1}}, sizes)
	if farthest != 50 || counts != [2]int{1, 2} || leaders != [2]int{0, 1} {
		t.Errorf("%v %v %v", farthest, counts, leaders)
	}
	if _, bytes := cost(home(), map[int32]int64{0: 1}); bytes != 0 {
		t.Errorf("staying costs %d bytes", bytes)
	}
}
