package e2e

import (
	"fmt"
	"io"
	"sync"
	"testing"
	"text/tabwriter"
	"time"
)

// figures are measurements, printed in one table at the end of the suite.
var figures struct {
	sync.Mutex
	rows [][3]string // name, value, case
}

func figure(t *testing.T, name, format string, value any) {
	t.Helper()
	text := fmt.Sprintf(format, value)
	t.Logf("FIGURE %s %s", name, text)
	figures.Lock()
	defer figures.Unlock()
	figures.rows = append(figures.rows, [3]string{name, text, t.Name()})
}

func figureSeconds(t *testing.T, name string, d time.Duration) {
	t.Helper()
	figure(t, name, "%.1f s", d.Seconds())
}

func printFigures(out io.Writer) {
	figures.Lock()
	defer figures.Unlock()
	table := tabwriter.NewWriter(out, 0, 4, 2, ' ', 0)
	for _, row := range figures.rows {
		fmt.Fprintf(table, "FIGURE\t%s\t%s\t%s\n", row[0], row[1], row[2])
	}
	_ = table.Flush()
}
