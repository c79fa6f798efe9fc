package plan

import (
	"os"
	"regexp"
	"testing"
)

// Whoever reads the name of a predicate in a status finds in the runbook what to do about it.
func TestTheRunbookHasAnEntryForEveryPredicate(t *testing.T) {
	page, err := os.ReadFile("../../docs/runbook.md")
	if err != nil {
		t.Fatal(err)
	}
	entries := map[string]bool{}
	for _, heading := range regexp.MustCompile("(?m)^### `(.+)`\n\n[^#\n]").FindAllSubmatch(page, -1) {
		entries[string(heading[1])] = true
	}
	for _, p := range predicates {
		if !entries[p.name] {
			t.Errorf("docs/runbook.md does not say what to do about %s; add a heading with its name in backquotes "+
				"and a paragraph", p.name)
		}
		delete(entries, p.name)
	}
	for name := range entries {
		t.Errorf("docs/runbook.md explains %s, which is no predicate; remove the entry", name)
	}
}
