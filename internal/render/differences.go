package render

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/castellan-dev/castellan/internal/verdict"
	"github.com/castellan-dev/castellan/internal/version"
)

// Differences tells in words what changes when a node goes from one set of files to another, such as
// "log.segment.bytes 1073741824 -> 536870912". Values are told only of keys that Kafka has, and of none that may hold a
// secret: what comes from here stands in events and in the status.
func Differences(v version.Version, before, after NodeFiles) []string {
	old, next := readProperties(before.Data[fileProperties]), readProperties(after.Data[fileProperties])
	keys := slices.Sorted(maps.Keys(old))
	for key := range next {
		if _, both := old[key]; !both {
			keys = append(keys, key)
		}
	}
	slices.Sort(keys)
	var texts []string
	for _, key := range keys {
		was, had := old[key]
		is, has := next[key]
		if was == is && had == has {
			continue
		}
		if key == "advertised.listeners" && had && has {
			was, is = apart(was, is) // the addresses that change may stand far behind
		}
		open := v.Scope(key) != version.Unknown && !version.MayHoldSecret(key)
		switch {
		case !open:
			texts = append(texts, key)
		case !had:
			texts = append(texts, fmt.Sprintf("%s %s", key, shorten(is)))
		case !has:
			texts = append(texts, key+" removed")
		default:
			texts = append(texts, fmt.Sprintf("%s %s -> %s", key, shorten(was), shorten(is)))
		}
	}
	if heapOf(before) != heapOf(after) { // what else is there follows from listeners
		texts = append(texts, "jvm.heap")
	}
	if RoundOf(before) != RoundOf(after) {
		texts = append(texts, "the certificate authority")
	}
	return verdict.Shortened(maxDifferences, texts)
}

func heapOf(files NodeFiles) string {
	heap, _, _ := strings.Cut(files.Data[fileJVM], " -D")
	return strings.TrimSpace(heap)
}

// apart leaves out of two lists what both have; "none" = nothing is left.
func apart(was, is string) (before, after string) {
	old, next := strings.Split(was, ","), strings.Split(is, ",")
	without := func(list, other []string) string {
		list = slices.DeleteFunc(slices.Clone(list), func(entry string) bool { return slices.Contains(other, entry) })
		return cmp.Or(strings.Join(list, ","), "none")
	}
	return without(old, next), without(next, old)
}

// The most that is told of one change.
const (
	maxDifferences = 6
	maxValueShown  = 60
)

func shorten(value string) string {
	if len(value) > maxValueShown {
		return value[:maxValueShown] + "..."
	}
	return value
}

// readProperties reads back what serverProperties wrote, as it stands there.
func readProperties(text string) map[string]string {
	values := map[string]string{}
	for line := range strings.Lines(text) {
		key, value, found := strings.Cut(strings.TrimSuffix(line, "\n"), "=")
		if found && !strings.HasPrefix(key, "#") {
			values[key] = value
		}
	}
	return values
}
