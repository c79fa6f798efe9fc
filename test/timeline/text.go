package timeline

import (
	"fmt"
	"strings"
	"time"
)

// textWidth is the most columns that a picture in text has beside the names.
const textWidth = 100

// letters are how a state looks in text.
var letters = map[State]byte{Unknown: '?', Serving: '=', Stopping: 'v', Gone: '.', Starting: '^', CatchingUp: '~'}

const textLegend = "= serving  v stopping  . gone  ^ starting  ~ catching up  ? unknown"

// Text draws the record with one row a broker and one column a second, or more seconds when that would be wider than
// 100 columns.
func (r *Record) Text() string {
	columns := min(max(int((r.end+time.Second-1)/time.Second), 1), textWidth)
	name, rack := len("broker"), len("rack")
	for _, b := range r.rows {
		name, rack = max(name, len(b.name)), max(rack, len(b.rack))
	}
	var out strings.Builder
	head := func(rackText, nameText, rest string) {
		fmt.Fprintln(&out, strings.TrimRight(fmt.Sprintf("%-*s  %-*s  %s", rack, rackText, name, nameText, rest), " "))
	}
	head("rack", "broker", r.ruler(columns))
	for _, b := range r.sorted() {
		line := make([]byte, columns)
		for i, state := range r.cells(b, columns) {
			line[i] = letters[state]
		}
		head(b.rack, b.name, string(line)+times(b.restarts))
	}
	if len(r.marks) > 0 {
		head("", "", r.pointers(columns))
		for i, m := range r.marks {
			head("", "", fmt.Sprintf("%c %.1fs %s", pointer(i), m.at.Seconds(), m.text))
		}
	}
	most, racks := r.MostDown(), r.MostRacksDown()
	fmt.Fprintf(&out, "%s  (a column is %.1fs)\n", textLegend, (r.end / time.Duration(columns)).Seconds())
	fmt.Fprintf(&out, "batches in %.1fs:", r.Disturbed().Seconds())
	for _, batch := range r.Batches() {
		fmt.Fprintf(&out, " %s (%.1fs)", strings.Join(batch.Names, "+"), (batch.End - batch.Begin).Seconds())
	}
	fmt.Fprintf(&out, "; at once at most brokers %v of racks %v\n", most.Names, racks.Names)
	return out.String()
}

func times(restarts int) string {
	switch restarts {
	case 0:
		return ""
	case 1:
		return "  1 restart"
	default:
		return fmt.Sprintf("  %d restarts", restarts)
	}
}

// ruler writes the time above every 20th column.
func (r *Record) ruler(columns int) string {
	line := []byte(strings.Repeat(" ", columns+10))
	for i := 0; i < columns; i += 20 {
		copy(line[i:], fmt.Sprintf("|%.0fs", (r.end*time.Duration(i)/time.Duration(columns)).Seconds()))
	}
	return string(line)
}

// pointers sets one sign a mark below the column in which it happened.
func (r *Record) pointers(columns int) string {
	line := []byte(strings.Repeat(" ", columns))
	for i, m := range r.marks {
		line[min(int(int64(m.at)*int64(columns)/max(int64(r.end), 1)), columns-1)] = pointer(i)
	}
	return string(line)
}

// pointer is the sign of a mark: a letter each, and the last one for all that are too many.
func pointer(i int) byte { return 'A' + byte(min(i, 25)) }
