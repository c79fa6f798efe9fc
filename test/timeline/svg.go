package timeline

import (
	"fmt"
	"html"
	"strings"
	"time"
)

// Measures of the picture, in its own units.
const (
	svgWidth  = 880
	svgLeft   = 150 // names and racks
	svgRight  = 70  // restarts
	svgTop    = 46
	svgRow    = 22
	svgBar    = 14
	svgCells  = 1200 // of all rows together: what bounds the size of the file
	svgLegend = 34
)

// svgStates are drawn in this order; a serving broker is a thin line, so that what is no rest stands out.
var svgStates = []struct {
	state       State
	class, name string
	width       int
}{
	{Serving, "s", "serving", 4},
	{Stopping, "p", "stopping", svgBar},
	{Gone, "g", "gone", svgBar},
	{Starting, "t", "starting", svgBar},
	{CatchingUp, "c", "catching up", svgBar},
	{Unknown, "u", "unknown", 2},
}

// svgStyle holds for light and dark pages: the colours of the states are of middle brightness, the text follows.
const svgStyle = `text{font:12px ui-monospace,Menlo,Consolas,monospace;fill:#24292f}.m{fill:#57606a}path{fill:none}` +
	`.a{stroke:#8c959f;stroke-opacity:.35}.k{stroke:#8c959f;stroke-dasharray:3 3}` +
	`.s{stroke:#2da44e}.p{stroke:#cf5a2b}.g{stroke:#8c959f}.t{stroke:#bf8700}.c{stroke:#3d85d8}.u{stroke:#8c959f}` +
	`@media(prefers-color-scheme:dark){text{fill:#e6edf3}.m{fill:#9ea7b3}}`

// SVG draws the record as a picture that needs nothing else, is readable on light and on dark pages, and is smaller
// than 30 KB for up to 50 brokers.
func (r *Record) SVG(title string) string {
	rows := r.sorted()
	bottom := svgTop + svgRow*len(rows)
	height := bottom + svgLegend + 16*len(r.marks)
	var out strings.Builder
	fmt.Fprintf(&out, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" role="img" aria-label="%s">`+"\n",
		svgWidth, height, html.EscapeString(title))
	fmt.Fprintf(&out, "<title>%s</title>\n<style>%s</style>\n", html.EscapeString(title), svgStyle)
	fmt.Fprintf(&out, `<text x="0" y="14" font-weight="bold">%s</text>`+"\n", html.EscapeString(title))
	r.svgAxis(&out, bottom)
	for i, b := range rows {
		r.svgRow(&out, b, svgTop+svgRow*i+svgRow/2, svgCells/len(rows))
	}
	for i, m := range r.marks {
		x := r.svgX(m.at)
		fmt.Fprintf(&out, `<path class="k" d="M%d %dV%d"/><text class="m" x="%d" y="%d">%c</text>`+"\n",
			x, svgTop, bottom, x-3, bottom+11, pointer(i))
		fmt.Fprintf(&out, `<text class="m" x="%d" y="%d">%c %.0f s: %s</text>`+"\n",
			svgLeft, bottom+svgLegend+12+16*i, pointer(i), m.at.Seconds(), html.EscapeString(m.text))
	}
	x := svgLeft
	for _, s := range svgStates {
		fmt.Fprintf(&out, `<path class="%s" stroke-width="%d" d="M%d %dh16"/><text class="m" x="%d" y="%d">%s</text>`+"\n",
			s.class, s.width, x, bottom+24, x+22, bottom+28, s.name)
		x += 46 + 8*len(s.name)
	}
	out.WriteString("</svg>\n")
	return out.String()
}

func (r *Record) svgX(at time.Duration) int {
	return svgLeft + int(int64(svgWidth-svgLeft-svgRight)*int64(at)/max(int64(r.end), 1))
}

// svgAxis draws a line every so many seconds, at most a dozen.
func (r *Record) svgAxis(out *strings.Builder, bottom int) {
	step := 5 * time.Second
	for _, seconds := range []int{10, 20, 30, 60, 120, 300, 600} {
		if r.end/step > 12 {
			step = time.Duration(seconds) * time.Second
		}
	}
	for at := time.Duration(0); at <= r.end; at += step {
		fmt.Fprintf(out, `<path class="a" d="M%d %dV%d"/><text class="m" x="%d" y="%d">%.0f s</text>`+"\n",
			r.svgX(at), svgTop, bottom, r.svgX(at)-3, svgTop-6, at.Seconds())
	}
}

// svgRow draws a broker: its name and rack, then one path a state, whose pieces are the times in that state.
func (r *Record) svgRow(out *strings.Builder, b *row, y, most int) {
	const width = svgWidth - svgLeft - svgRight
	fmt.Fprintf(out, `<text x="0" y="%d">%s <tspan class="m">%s</tspan></text>`+"\n",
		y+4, html.EscapeString(b.name), html.EscapeString(b.rack))
	n := max(min(int(r.end/(100*time.Millisecond)), width/2, most), 1)
	cells := r.cells(b, n)
	for _, s := range svgStates {
		var path strings.Builder
		for i := 0; i < n; {
			j := i + 1
			for j < n && cells[j] == cells[i] {
				j++
			}
			if cells[i] == s.state {
				fmt.Fprintf(&path, "M%d %dH%d", svgLeft+width*i/n, y, svgLeft+width*j/n)
			}
			i = j
		}
		if path.Len() > 0 {
			fmt.Fprintf(out, `<path class="%s" stroke-width="%d" d="%s"/>`+"\n", s.class, s.width, path.String())
		}
	}
	if b.restarts > 0 {
		fmt.Fprintf(out, `<text class="m" x="%d" y="%d">%d×</text>`+"\n", svgWidth-svgRight+6, y+4, b.restarts)
	}
}
