package report

import (
	"encoding/xml"
	"errors"
	"io"
	"strings"
	"testing"
	"time"
)

func TestPercentileIsTheNearestRank(t *testing.T) {
	t.Parallel()
	hundred := make([]time.Duration, 100)
	for i := range hundred {
		hundred[i] = time.Duration(100-i) * time.Second // the order does not matter
	}
	for name, c := range map[string]struct {
		durations []time.Duration
		share     float64
		want      float64
	}{
		"half of a hundred":       {hundred, 0.5, 50},
		"99 of a hundred":         {hundred, 0.99, 99},
		"all of a hundred":        {hundred, 1, 100},
		"none is the first":       {hundred, 0, 1},
		"half of three":           {[]time.Duration{3 * time.Second, time.Second, 2 * time.Second}, 0.5, 2},
		"one":                     {[]time.Duration{1500 * time.Millisecond}, 0.99, 1.5},
		"nothing has been timed":  {nil, 0.5, 0},
		"a share between the two": {[]time.Duration{time.Second, 2 * time.Second}, 0.51, 2},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := Percentile(c.durations, c.share); got != c.want {
				t.Errorf("Percentile(%v) = %v, want %v", c.share, got, c.want)
			}
		})
	}
	if hundred[0] != 100*time.Second {
		t.Error("Percentile has changed the order of what it was given")
	}
}

func TestRatioIsToBothHalvesOfTheFloor(t *testing.T) {
	t.Parallel()
	if got := (Phase{Done: 14, Floor: &Floor{API: 6, Kafka: 4}}).Ratio(); got != 1.4 {
		t.Errorf("14 s over a floor of 6 + 4 s are %v times it, want 1.4", got)
	}
	if got := (Phase{Done: 14}).Ratio(); got != 0 {
		t.Errorf("without a floor the ratio is %v, want none", got)
	}
}

func sample() Run {
	return Run{
		Noun: "topics", N: 250, Cores: 2, Started: time.Date(2026, 1, 2, 3, 4, 0, 0, time.UTC),
		Phases: []Phase{
			{
				Name: "create cold", Done: 5.04, P50: 2.5, P99: 5, OperatorCPU: 1.234, PeakRSS: 41.6,
				APIRequests: map[string]int{
					"patch": 500,
					"list":  3,
				}, KafkaRequests: map[string]int{"Metadata": 2, "CreateTopics": 2},
				ServerCPU: 6.1, BrokerCPU: 2.5, HarnessCPU: 1.5, Load: 3.14, Floor: &Floor{API: 4, Kafka: 0.2, ServerCPU: 5.5},
			},
			{Name: "rest 240 s", OperatorCPU: 0.1, PeakRSS: 40, ServerCPU: 2, Load: 1},
		},
	}
}

func TestTable(t *testing.T) {
	t.Parallel()
	const want = `250 topics, 2 cores, 2026-01-02 03:04 UTC

| phase       | done s | p50 / p99 s | floor s   | ratio | CPU s | RSS max MiB | API requests            | Kafka requests                 | API server + etcd CPU s | of the floor | broker CPU s | harness CPU s | load |
|-------------|--------|-------------|-----------|-------|-------|-------------|-------------------------|--------------------------------|-------------------------|--------------|--------------|---------------|------|
| create cold | 5.0    | 2.5 / 5.0   | 4.0 + 0.2 | 1.20  | 1.23  | 42          | 503 (500 patch, 3 list) | 4 (2 CreateTopics, 2 Metadata) | 6.1                     | 5.5          | 2.5          | 1.5           | 3.1  |
| rest 240 s  | -      | -           | -         | -     | 0.10  | 40          | 0                       | 0                              | 2.0                     | -            | 0.0          | 0.0           | 1.0  |
`
	if got := sample().Table(); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func TestPictureHasTwoBarsForEachPhaseWithAFloor(t *testing.T) {
	t.Parallel()
	picture := sample().SVG()
	decoder := xml.NewDecoder(strings.NewReader(picture))
	for {
		if _, err := decoder.Token(); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatalf("the picture is no XML: %v\n%s", err, picture)
		}
	}
	for _, bar := range []string{
		`<rect class="o" x="130" y="52" width="440" height="15"/><text x="576" y="64">5.0 (1.20 x)</text>`,
		`<rect class="f" x="130" y="69" width="366" height="15"/><text x="502" y="81">4.2</text>`,
	} {
		if !strings.Contains(picture, bar) {
			t.Errorf("no bar %s in\n%s", bar, picture)
		}
	}
	if strings.Contains(picture, "rest") {
		t.Errorf("a phase at rest is drawn:\n%s", picture)
	}
}

func TestMiscounted(t *testing.T) {
	right := func() Run {
		phase := func(name string, patches int) Phase {
			return Phase{Name: name, Done: 1, Floor: &Floor{}, APIRequests: map[string]int{"patch": patches},
				Must: map[string]int{"patch": patches}}
		}
		create := phase("create cold", 4)
		create.KafkaRequests = map[string]int{"Metadata": 9}
		return Run{Phases: []Phase{create, phase("change cold", 2), phase("delete cold", 2),
			{Name: "rest 10 s", Must: map[string]int{}},
			{Name: "start", Done: 1, APIRequests: map[string]int{"list": 9}, KafkaRequests: map[string]int{"Metadata": 1}}}}
	}
	if wrong := right().Miscounted(); len(wrong) > 0 {
		t.Errorf("as it must be, and yet: %v", wrong)
	}
	for name, spoil := range map[string]func(Run){
		"one patch more":  func(r Run) { r.Phases[0].APIRequests["patch"]++ },
		"one patch less":  func(r Run) { r.Phases[1].APIRequests["patch"]-- },
		"a read of each":  func(r Run) { r.Phases[2].APIRequests["get"] = 250 },
		"a write at rest": func(r Run) { r.Phases[3].APIRequests = map[string]int{"patch": 1} },
		"a read at rest":  func(r Run) { r.Phases[3].APIRequests = map[string]int{"list": 1} },
		"Kafka at rest":   func(r Run) { r.Phases[3].KafkaRequests = map[string]int{"Metadata": 1} },
	} {
		r := right()
		if spoil(r); len(r.Miscounted()) != 1 {
			t.Errorf("%s: %v", name, r.Miscounted())
		}
	}
}
