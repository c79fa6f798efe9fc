package main

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestTheSectionOfAVersionIsFound(t *testing.T) {
	const log = "# Changelog\n\n## Unreleased\n\n### Added\n\n- New.\n\n## [0.2.0] - 2026-12-01\n\n- Two.\n\n" +
		"## 0.1.0\n\n- One.\n\n## 0.0.9\n"
	for _, c := range []struct{ title, log, version, want, refused string }{
		{"with brackets and a date", log, "0.2.0", "- Two.", ""},
		{"plain", log, "0.1.0", "- One.", ""},
		{"a pre-release without a section of its own", log, "0.3.0-rc.1", "### Added\n\n- New.", ""},
		{"a final version without a section", log, "0.3.0", "", `no section "## 0.3.0 - DATE"`},
		{"an empty section", log, "0.0.9", "", "says nothing"},
		{"a version that another one begins with", log, "0.1", "", "no section"},
		{"a pre-release with a section of its own", "## Unreleased\n- a\n## 0.3.0-rc.1\n- b\n", "0.3.0-rc.1", "- b", ""},
	} {
		t.Run(c.title, func(t *testing.T) {
			got, err := section(c.log, c.version)
			if got != c.want || (err == nil) != (c.refused == "") || (err != nil && !strings.Contains(err.Error(), c.refused)) {
				t.Errorf("%q, %v", got, err)
			}
		})
	}
}

func TestChangesAreTheFirstSentencesOfEntries(t *testing.T) {
	got := changes("### Added\n\n- `a` of [b](docs/b.md): more.\n- Two\n  lines. And\n  more.\n\nNo entry.\n\n" +
		"### Fixed\n\n- 0.5 of it\n\n### Not yet\n\n- x\n")
	want := []change{{"added", "`a` of b: more"}, {"added", "Two lines"}, {"fixed", "0.5 of it"}}
	if !slices.Equal(got, want) {
		t.Errorf("%+v\nwant %+v", got, want)
	}
}

func TestTheChangelogCanBeReleased(t *testing.T) {
	log, err := os.ReadFile(filepath.Join(repository, "CHANGELOG.md"))
	if err != nil {
		t.Fatal(err)
	}
	text, err := section(string(log), "0.0.0-test")
	if err != nil {
		t.Fatal(err)
	}
	found := changes(text)
	if len(found) == 0 {
		t.Error("no entry is found")
	}
	for _, c := range found {
		if c.Description == "" || len(c.Description) > 400 {
			t.Errorf("%q is no sentence to show", c.Description)
		}
	}
}
