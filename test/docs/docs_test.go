// Package docs holds the documentation together: each page stands in the navigation and in the index exactly once, and
// each link leads somewhere, in the repository as in the site. Tests of what pages promise are beside the code.
package docs

import (
	"fmt"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"
)

const (
	repository = "../.."
	navigation = "hack/site/mkdocs.yml"
	index      = "docs/README.md"
)

// site is what the tests read of the site's configuration.
type site struct {
	Nav []any `json:"nav"`
}

func configured(t *testing.T) (s site) {
	t.Helper()
	if err := yaml.Unmarshal([]byte(text(t, navigation)), &s); err != nil {
		t.Fatal(err)
	}
	return s
}

func text(t *testing.T, file string) string {
	t.Helper()
	content, err := os.ReadFile(filepath.Join(repository, file))
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}

// pages are the files of the documentation, as the repository names them.
func pages(t *testing.T) []string {
	t.Helper()
	var all []string
	for _, pattern := range []string{"docs/*.md", "docs/adr/*.md", "CHANGELOG.md", "CONTRIBUTING.md"} {
		found, err := filepath.Glob(filepath.Join(repository, pattern))
		if err != nil || len(found) == 0 {
			t.Fatalf("%s: %d pages (error %v)", pattern, len(found), err)
		}
		for _, file := range found {
			name, err := filepath.Rel(repository, file)
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, name)
		}
	}
	return all
}

// entries are the pages that a navigation names, as the repository names them.
func entries(nav []any) (all []string) {
	for _, entry := range nav {
		switch e := entry.(type) {
		case string:
			if !slices.Contains([]string{"CHANGELOG.md", "CONTRIBUTING.md"}, e) {
				e = path.Join("docs", e)
			}
			all = append(all, e)
		case []any:
			all = append(all, entries(e)...)
		case map[string]any:
			for _, below := range e {
				all = append(all, entries([]any{below})...)
			}
		}
	}
	return all
}

// countedIn compares pages with a list that has to name each once.
func countedIn(t *testing.T, list string, named, wanted []string) {
	t.Helper()
	times := map[string]int{}
	for _, page := range named {
		times[page]++
	}
	for _, page := range wanted {
		if times[page] != 1 {
			t.Errorf("%s names %s %d times; name it once, where its reader looks for it", list, page, times[page])
		}
		delete(times, page)
	}
	for page := range times {
		t.Errorf("%s names %s, which is not there", list, page)
	}
}

func TestEachPageStandsInTheNavigationOnce(t *testing.T) {
	s := configured(t)
	countedIn(t, navigation, entries(s.Nav), pages(t))
}

func TestTheIndexNamesEachPageOnceBelowItsReaders(t *testing.T) {
	wanted := slices.DeleteFunc(pages(t), func(page string) bool {
		return page == index || path.Dir(page) == "docs/adr" && page != "docs/adr/README.md"
	})
	_, lists, _ := strings.Cut(text(t, index), "\n## ")
	var named []string
	for _, l := range links(lists) {
		named = append(named, path.Join("docs", l.target))
	}
	countedIn(t, index, named, wanted)
}

// link is one in a page's text.
type link struct{ target, anchor string }

var (
	code   = regexp.MustCompile("(?ms)^ *```.*?^ *```[ \t]*$|`[^`\n]+`")
	inline = regexp.MustCompile(`\]\(([^)\s#:]*)(?:#([^)\s]*))?\)`)
	other  = regexp.MustCompile(`[^\p{L}\p{N}\p{M} _-]`)
)

// links are those of a page that stay in the repository.
func links(page string) (all []link) {
	for _, found := range inline.FindAllStringSubmatch(code.ReplaceAllString(page, ""), -1) {
		all = append(all, link{found[1], found[2]})
	}
	return all
}

// anchors are what headings of a page are linked by.
func anchors(page string) map[string]bool {
	all := map[string]bool{}
	fenced := regexp.MustCompile("(?ms)^ *```.*?^ *```[ \t]*$").ReplaceAllString(page, "")
	for line := range strings.Lines(fenced) {
		title := strings.TrimLeft(line, "#")
		if title == line || !strings.HasPrefix(title, " ") {
			continue
		}
		title = regexp.MustCompile(`\[([^]]*)\]\([^)]*\)`).ReplaceAllString(strings.TrimSpace(title), "$1")
		plain := strings.ReplaceAll(strings.ToLower(other.ReplaceAllString(title, "")), " ", "-")
		name := plain
		for n := 1; all[name]; n++ {
			name = fmt.Sprintf("%s-%d", plain, n)
		}
		all[name] = true
	}
	return all
}

func TestEachLinkLeadsSomewhere(t *testing.T) {
	for _, page := range append(pages(t), "README.md") {
		for _, l := range links(text(t, page)) {
			target := page
			if l.target != "" {
				target = path.Join(path.Dir(page), l.target)
			}
			if _, err := os.Stat(filepath.Join(repository, target)); err != nil {
				t.Errorf("%s: there is no %s", page, target)
				continue
			}
			if l.anchor != "" && !anchors(text(t, target))[l.anchor] {
				t.Errorf("%s: %s has no heading #%s", page, target, l.anchor)
			}
		}
	}
}

// The rules that find a broken link are tried on some.
func TestAnchorsAreAsTheRepositorysViewMakesThem(t *testing.T) {
	found := anchors("# One `two`\n```\n# no heading\n```\n## When it's A/B, [linked](x.md)\n## Again\n## Again\n")
	for _, want := range []string{"one-two", "when-its-ab-linked", "again", "again-1"} {
		if !found[want] {
			t.Errorf("no anchor %s in %v", want, found)
		}
	}
	if len(found) != 4 {
		t.Errorf("anchors %v", found)
	}
	got := links("[a](b.md#c) `[d](e.md)` [f](https://example.com/g) [h](#i)\n```\n[j](k.md)\n```\n")
	if !slices.Equal(got, []link{{"b.md", "c"}, {"", "i"}}) {
		t.Errorf("links %v", got)
	}
}
