// Package report holds what a benchmark has measured, and prints it as a table and as a picture. It is pure: nothing is
// measured here.
package report

import (
	"cmp"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"time"
)

// Run is one run of the benchmark. Durations are in seconds, memory is in MiB.
type Run struct {
	Noun    string    `json:"noun"` // what there are N of
	N       int       `json:"n"`
	Looks   int       `json:"-"` // how many requests to Kafka there may be at rest
	Started time.Time `json:"started"`
	Cores   int       `json:"cores"`
	Phases  []Phase   `json:"phases"`
}

// Phase is what the operator did with all objects, beside the floor of the same minute.
type Phase struct {
	Name string `json:"name"`
	// Done lasts from the first write to the last object that is Ready or gone; P50 and P99 are when that share of the
	// objects was. All are zero in a phase at rest, and the last two where the operator starts.
	Done float64 `json:"doneSeconds,omitempty"`
	P50  float64 `json:"p50Seconds,omitempty"`
	P99  float64 `json:"p99Seconds,omitempty"`
	// KafkaLag is how long after the last Ready Kafka itself agreed; zero = when it was first asked.
	KafkaLag float64 `json:"kafkaLagSeconds"`
	// What follows holds for the phase and the seconds after it in which echoes are waited for.
	OperatorCPU   float64        `json:"operatorCPUSeconds"`
	PeakRSS       float64        `json:"operatorPeakRSSMiB"`
	APIRequests   map[string]int `json:"apiRequests"`   // of the operator, by verb; renewed watches are not among them
	Must          map[string]int `json:"-"`             // how many APIRequests there must be, by verb; nil = any
	KafkaRequests map[string]int `json:"kafkaRequests"` // of the operator, by API
	ServerCPU     float64        `json:"apiServerAndEtcdCPUSeconds"`
	BrokerCPU     float64        `json:"brokerCPUSeconds"`
	HarnessCPU    float64        `json:"harnessCPUSeconds"` // of the benchmark itself: the users' writes, and the watch
	Load          float64        `json:"loadAverage"`
	Floor         *Floor         `json:"floor,omitempty"` // nil at rest, and where the operator starts
}

// Floor is what the same change takes without an operator.
type Floor struct {
	API       float64 `json:"apiSeconds"`   // all objects, with the writes that an operator cannot do without
	Kafka     float64 `json:"kafkaSeconds"` // until Kafka has answered for all of them, between the writes
	ServerCPU float64 `json:"apiServerAndEtcdCPUSeconds"`
}

// Total is the time of one after the other.
func (f Floor) Total() float64 { return f.API + f.Kafka }

// Ratio is how many times the floor a phase took; zero = it has none.
func (p Phase) Ratio() float64 {
	if p.Floor == nil || p.Floor.Total() == 0 {
		return 0
	}
	return p.Done / p.Floor.Total()
}

// Miscounted tells of phases in which the operator did not send exactly as many requests to the API as there must be.
// At rest there must be none to the API, and no more than Looks to Kafka.
func (r Run) Miscounted() []string {
	var wrong []string
	for _, p := range r.Phases {
		if p.Must != nil && !maps.Equal(withoutLooks(p), p.Must) {
			wrong = append(wrong, fmt.Sprintf("%s: %s requests to the API, and there must be %s",
				p.Name, counted(p.APIRequests), counted(p.Must)))
		}
		if p.Done == 0 && sum(p.KafkaRequests) > r.Looks {
			wrong = append(
				wrong,
				fmt.Sprintf("%s: %s requests to Kafka, and there may be %d", p.Name, counted(p.KafkaRequests), r.Looks),
			)
		}
	}
	return wrong
}

// flushes is more than there are in a phase.
const flushes = 20

// withoutLooks are the requests of a phase to the API without the looks at namespaces: an operator that watches some
// namespaces alone has no cache of them, and looks once in a flush, however many objects it takes together. At rest it
// does not look.
func withoutLooks(p Phase) map[string]int {
	counts := maps.Clone(p.APIRequests)
	if p.Done > 0 && counts["get"] <= flushes {
		delete(counts, "get")
	}
	return counts
}

// Percentile is the smallest of the durations that at least the given share (0 to 1) of them does not exceed, in
// seconds;
// zero without any.
func Percentile(durations []time.Duration, share float64) float64 {
	if len(durations) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(durations))
	rank := int(math.Ceil(share * float64(len(sorted))))
	return sorted[min(max(rank, 1), len(sorted))-1].Seconds()
}

// Table prints the run in the form of Markdown.
func (r Run) Table() string {
	rows := [][]string{{
		"phase", "done s", "p50 / p99 s", "floor s", "ratio", "CPU s", "RSS max MiB", "API requests", "Kafka requests",
		"API server + etcd CPU s", "of the floor", "broker CPU s", "harness CPU s", "load",
	}}
	for _, p := range r.Phases {
		rows = append(rows, p.cells())
	}
	var out strings.Builder
	fmt.Fprintf(&out, "%d %s, %d cores, %s\n\n", r.N, r.Noun, r.Cores, r.Started.UTC().Format("2006-01-02 15:04 MST"))
	for i, row := range aligned(rows) {
		fmt.Fprintf(&out, "| %s |\n", strings.Join(row, " | "))
		if i == 0 {
			rule := make([]string, len(row))
			for j := range row {
				rule[j] = strings.Repeat("-", len(row[j])+2)
			}
			fmt.Fprintf(&out, "|%s|\n", strings.Join(rule, "|"))
		}
	}
	return out.String()
}

func (p Phase) cells() []string {
	done, percentiles, floor, ratio, floorCPU := "-", "-", "-", "-", "-"
	if p.Done > 0 {
		done = fmt.Sprintf("%.1f", p.Done)
	}
	if p.Floor != nil {
		percentiles = fmt.Sprintf("%.1f / %.1f", p.P50, p.P99)
		floor = fmt.Sprintf("%.1f + %.1f", p.Floor.API, p.Floor.Kafka)
		ratio = fmt.Sprintf("%.2f", p.Ratio())
		floorCPU = fmt.Sprintf("%.1f", p.Floor.ServerCPU)
	}
	return []string{
		p.Name, done, percentiles, floor, ratio,
		fmt.Sprintf("%.2f", p.OperatorCPU), fmt.Sprintf("%.0f", p.PeakRSS), counted(p.APIRequests), counted(p.KafkaRequests),
		fmt.Sprintf(
			"%.1f",
			p.ServerCPU,
		), floorCPU, fmt.Sprintf("%.1f", p.BrokerCPU), fmt.Sprintf("%.1f", p.HarnessCPU), fmt.Sprintf("%.1f", p.Load),
	}
}

// counted prints the sum, and what it is made of.
func counted(by map[string]int) string {
	var parts []string
	for _, name := range sortedByCount(by) {
		parts = append(parts, fmt.Sprintf("%d %s", by[name], name))
	}
	if len(parts) == 0 {
		return "0"
	}
	return fmt.Sprintf("%d (%s)", sum(by), strings.Join(parts, ", "))
}

func sum(by map[string]int) (total int) {
	for _, n := range by {
		total += n
	}
	return total
}

func sortedByCount(by map[string]int) []string {
	names := make([]string, 0, len(by))
	for name := range by {
		names = append(names, name)
	}
	slices.SortFunc(names, func(a, b string) int { return cmp.Or(cmp.Compare(by[b], by[a]), cmp.Compare(a, b)) })
	return names
}

// aligned pads every column to its widest cell.
func aligned(rows [][]string) [][]string {
	for column := range rows[0] {
		width := 0
		for _, row := range rows {
			width = max(width, len(row[column]))
		}
		for _, row := range rows {
			row[column] = fmt.Sprintf("%-*s", width, row[column])
		}
	}
	return rows
}
