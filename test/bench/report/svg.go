package report

import (
	"fmt"
	"strings"
)

// Measures of the picture, in its own units.
const (
	svgWidth = 720
	svgLeft  = 130 // names of phases
	svgRight = 150 // figures
	svgTop   = 52
	svgRow   = 44
	svgBar   = 15
)

// svgStyle holds for light and dark pages: the bars are of middle brightness, the text follows.
const svgStyle = `text{font:12px ui-monospace,Menlo,Consolas,monospace;fill:#24292f}.o{fill:#3d85d8}.f{fill:#8c959f}` +
	`@media(prefers-color-scheme:dark){text{fill:#e6edf3}}`

// SVG draws two bars for each phase: the operator's time, and the floor's.
func (r Run) SVG() string {
	var phases []Phase
	longest := 0.0
	for _, p := range r.Phases {
		if p.Floor != nil {
			phases = append(phases, p)
			longest = max(longest, p.Done, p.Floor.Total())
		}
	}
	var out strings.Builder
	fmt.Fprintf(
		&out,
		`<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" role="img">`+"\n",
		svgWidth,
		svgTop+svgRow*len(phases),
	)
	fmt.Fprintf(
		&out,
		"<title>%d %s: seconds with the operator and without</title>\n<style>%s</style>\n",
		r.N,
		r.Noun,
		svgStyle,
	)
	fmt.Fprintf(&out, `<text x="0" y="14" font-weight="bold">%d %s, seconds</text>`+"\n", r.N, r.Noun)
	fmt.Fprintf(
		&out,
		`<rect class="o" x="%d" y="24" width="14" height="10"/><text x="%d" y="34">operator</text>`+"\n",
		svgLeft,
		svgLeft+20,
	)
	fmt.Fprintf(
		&out,
		`<rect class="f" x="%d" y="24" width="14" height="10"/><text x="%d" y="34">floor</text>`+"\n",
		svgLeft+100,
		svgLeft+120,
	)
	for i, p := range phases {
		y := svgTop + svgRow*i
		fmt.Fprintf(&out, `<text x="0" y="%d">%s</text>`+"\n", y+svgBar+4, p.Name)
		svgBarOf(&out, "o", y, p.Done, longest, fmt.Sprintf("%.1f (%.2f x)", p.Done, p.Ratio()))
		svgBarOf(&out, "f", y+svgBar+2, p.Floor.Total(), longest, fmt.Sprintf("%.1f", p.Floor.Total()))
	}
	out.WriteString("</svg>\n")
	return out.String()
}

func svgBarOf(out *strings.Builder, class string, y int, value, longest float64, text string) {
	width := 0
	if longest > 0 {
		width = int(float64(svgWidth-svgLeft-svgRight) * value / longest)
	}
	fmt.Fprintf(out, `<rect class="%s" x="%d" y="%d" width="%d" height="%d"/><text x="%d" y="%d">%s</text>`+"\n",
		class, svgLeft, y, width, svgBar, svgLeft+width+6, y+svgBar-3, text)
}
