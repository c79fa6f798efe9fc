package suite

import (
	"strings"
	"testing"
	"time"
)

func TestTheTableOfDurationsIsSlowestFirst(t *testing.T) {
	var d Durations
	d.Add(Ran{Case{"TestShort", Promise}, time.Second, "passed"})
	d.Add(Ran{Case{"TestSlow", Long}, 2 * time.Minute, "failed"})
	d.Add(Ran{Case{"TestLost", Promise}, 3 * time.Second, NotRun})
	var out strings.Builder
	if err := d.Print(&out); err != nil {
		t.Fatal(err)
	}
	const want = `
 120.0s  long     failed   TestSlow
   3.0s  promise  not run  TestLost
   1.0s  promise  passed   TestShort
   4.0s  promise           2 cases
 120.0s  long              1 cases
`
	if got := "\n" + out.String(); got != want {
		t.Errorf("the table is%sexpected%s", got, want)
	}
}
