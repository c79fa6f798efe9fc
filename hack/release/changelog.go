package main

import (
	"context"
	"fmt"
	"regexp"
	"strings"
)

const unreleased = "Unreleased"

// section returns what the changelog says of a version. Before a version is final it may still stand under Unreleased.
func section(changelog, version string) (string, error) {
	titles := []string{version}
	if strings.Contains(version, "-") {
		titles = append(titles, unreleased)
	}
	for _, title := range titles {
		if text, ok := sectionNamed(changelog, title); ok {
			if text == "" {
				return "", fmt.Errorf("CHANGELOG.md says nothing under %q: write there what the version changes", title)
			}
			return text, nil
		}
	}
	return "", fmt.Errorf("CHANGELOG.md has no section %q: give what stands under %q that title",
		"## "+version+" - DATE", unreleased)
}

// sectionNamed finds "## TITLE", "## [TITLE]" and either of them with " - DATE" behind it.
func sectionNamed(changelog, title string) (string, bool) {
	var found []string
	inside := false
	for line := range strings.SplitSeq(changelog, "\n") {
		if heading, ok := strings.CutPrefix(line, "## "); ok {
			if inside {
				break
			}
			name, _, _ := strings.Cut(heading, " - ")
			inside = strings.Trim(strings.TrimSpace(name), "[]") == title
			continue
		}
		if inside {
			found = append(found, line)
		}
	}
	return strings.TrimSpace(strings.Join(found, "\n")), inside
}

// change is an entry of the changelog, by the headings of Keep a Changelog.
type change struct {
	Kind        string `json:"kind"`
	Description string `json:"description"`
}

// kinds are those that Artifact Hub knows, too.
var kinds = map[string]string{
	"Added": "added", "Changed": "changed", "Deprecated": "deprecated", "Removed": "removed", "Fixed": "fixed",
	"Security": "security",
}

// changes are the entries of a section, each by its first sentence, under headings that Keep a Changelog names.
func changes(section string) []change {
	var found []change
	kind, entry := "", ""
	end := func() {
		if entry != "" && kind != "" {
			found = append(found, change{kind, firstSentence(entry)})
		}
		entry = ""
	}
	for line := range strings.SplitSeq(section, "\n") {
		heading, isHeading := strings.CutPrefix(line, "### ")
		item, isItem := strings.CutPrefix(line, "- ")
		switch {
		case isHeading:
			end()
			kind = kinds[strings.TrimSpace(heading)]
		case isItem:
			end()
			entry = item
		case strings.HasPrefix(line, "  ") && entry != "":
			entry += " " + strings.TrimSpace(line)
		default:
			end()
		}
	}
	end()
	return found
}

var (
	sentenceEnd = regexp.MustCompile(`[.;]( |$)`)
	links       = regexp.MustCompile(`\[([^\]]*)\]\([^)]*\)`)
)

// firstSentence is text up to its first full stop or semicolon, without links.
func firstSentence(text string) string {
	text = links.ReplaceAllString(text, "$1")
	if at := sentenceEnd.FindStringIndex(text); at != nil {
		text = text[:at[0]]
	}
	return text
}

// ownLinks are links to files of the repository.
var ownLinks = regexp.MustCompile(`\]\(((?:docs|config|charts|hack)/[^)]*)\)`)

// makeNotes writes the release notes: how to install and to verify what was published, and what the changelog says.
func (r *release) makeNotes(context.Context) error {
	refs, err := r.references()
	if err != nil {
		return err
	}
	at := home + "/blob/v" + r.version + "/"
	var b strings.Builder
	fmt.Fprintf(&b, "# Castellan %s\n\n", r.version)
	fmt.Fprintf(&b, "[Install](%sdocs/quickstart.md) · [verify what you install](%sdocs/verify.md) · "+
		"[all of the documentation](%sREADME.md)\n\n", at, at, at)
	b.WriteString("| | |\n|---|---|\n")
	for _, ref := range refs {
		fmt.Fprintf(&b, "| %s | `%s@%s` |\n", ref.title, ref.tagged, ref.digest)
	}
	fmt.Fprintf(&b, "| commit | `%s` |\n\n", r.commit)
	b.WriteString(ownLinks.ReplaceAllString(r.section, "]("+at+"$1)"))
	b.WriteString("\n")
	return r.write("RELEASE_NOTES.md", []byte(b.String()))
}
