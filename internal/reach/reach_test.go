package reach

import (
	"os"
	"strings"
	"testing"
)

func TestEveryStepAndEveryFaultHasARowAndALineInTheDocs(t *testing.T) {
	page, err := os.ReadFile("../../docs/clients.md")
	if err != nil {
		t.Fatal(err)
	}
	if len(Steps) != int(steps) {
		t.Fatalf("%d rows of %d steps", len(Steps), steps)
	}
	faulty := map[Step]bool{}
	seen := map[Fault]bool{}
	for i, row := range Faults {
		if seen[row.Fault] || row.Cause == "" || row.Cure == "" || row.Fault.Row() != row {
			t.Errorf("fault %s: two rows, or an empty column", row.Fault)
		}
		if i > 0 && row.Step < Faults[i-1].Step {
			t.Errorf("fault %s is out of order", row.Fault)
		}
		faulty[row.Step], seen[row.Fault] = true, true
		if !strings.Contains(string(page), "| `"+Steps[row.Step].Title+"` | "+shown(row.Cause)+" | "+shown(row.Cure)+" |") {
			t.Errorf("docs/clients.md has no line | `%s` | %s | %s |", Steps[row.Step].Title, shown(row.Cause), shown(row.Cure))
		}
	}
	for i, row := range Steps {
		if row.Step != Step(i) || !faulty[row.Step] {
			t.Errorf("step %s is out of order, or nothing fails in it", row.Title)
		}
		if !strings.Contains(string(page), "| `"+row.Title+"` | "+row.Sentence+" |") {
			t.Errorf("docs/clients.md has no line | `%s` | %s |", row.Title, row.Sentence)
		}
	}
}

// shown is a format as a page shows it.
func shown(format string) string {
	return strings.NewReplacer("%[1]s", "...", "%[2]s", "...", "%[1]q", "...", "%[2]q", "...", "%[1]d", "N", "%[2]d", "N").
		Replace(format)
}

func TestTheNodeInTheNamesOfACertificate(t *testing.T) {
	for names, want := range map[string]int32{
		"events-clients.shop.svc events-main-12.events-nodes.shop.svc.cluster.local": 12,
		"a-b-nodes-0.a-b-nodes-nodes.x":                                              -1, // no pod of that cluster
		"a-nodes-pool-3.a-nodes-nodes.x.svc":                                         3,
		"*.example.com b0.example.com":                                               -1,
		"events-main-x.events-nodes.shop.svc":                                        -1,
		"other-main-1.events-nodes.shop.svc":                                         -1,
		"events-main-99999999999.events-nodes.shop.svc":                              -1,
		"": -1,
	} {
		got, known := NodeNamed(strings.Fields(names))
		if known != (want >= 0) || known && got != want {
			t.Errorf("%s: node %d, %t", names, got, known)
		}
	}
}

func TestWhatAStrangerSendsStaysShortAndOnOneLine(t *testing.T) {
	var f Finding
	f.Fail(FaultLogin, "no\n\x1b[31m\xff"+strings.Repeat("x", 5000))
	if text := f.Failure.String(); len(text) > 2*maxSentence+2 || strings.ContainsAny(text, "\n\x1b") {
		t.Errorf("%q", text)
	}
	f.Fail(FaultWantsTLS, "b0:9092", "more than is asked for")
	if text := f.Failure.String(); strings.Contains(text, "%!") {
		t.Error(text)
	}
}
