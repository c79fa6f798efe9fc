package crds

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Breaks says what a schema refuses, drops or understands in another way than a released one; empty = nothing.
func Breaks(released, now Schema) (all []string) {
	for _, path := range slices.Sorted(maps.Keys(released)) {
		is, there := now[path]
		if !there {
			if _, gone := now[parentOf(path)]; gone || parentOf(path) == "" { // else its parent tells of it
				all = append(all, path+": it is gone; keep it, and say in its description that it does nothing any more")
			}
			continue
		}
		all = append(all, broken(path, released[path], is)...)
	}
	for _, path := range slices.Sorted(maps.Keys(now)) {
		_, before := released[path]
		_, parentBefore := released[parentOf(path)]
		if !before && parentBefore && now[path]["required"] != "" && now[path]["default"] == "" {
			all = append(all, path+": it is new and required, so that no manifest of before is taken; make it optional")
		}
	}
	return all
}

// parentOf is the value that holds another one.
func parentOf(path string) string {
	version, field := path, ""
	if parts := strings.SplitN(path, " ", 3); len(parts) == 3 {
		version, field = parts[0]+" "+parts[1], parts[2]
	}
	if field == "" {
		return ""
	}
	cut := max(strings.LastIndexAny(field, ".[{"), 0)
	return strings.TrimSpace(version + " " + field[:cut])
}

// compare says what a keyword may become: each takes its values before and now, empty = it is not there.
var compare = map[string]func(before, now string) bool{
	"required": func(before, now string) bool { return now == "" || before != "" },
	"enum":     holdsAll, "categories": holdsAll, "shortNames": holdsAll,
	"rules":   func(before, now string) bool { return now == "" || before != "" && holdsAll(now, before) },
	"minimum": atMost, "minLength": atMost, "minItems": atMost, "minProperties": atMost,
	"maximum": atLeast, "maxLength": atLeast, "maxItems": atLeast, "maxProperties": atLeast,
	"pattern":      func(before, now string) bool { return now == "" || now == before },
	"nullable":     func(before, now string) bool { return before == "" || now != "" },
	"preserves":    func(before, now string) bool { return before == "" || now != "" },
	"subresources": func(before, now string) bool { return before == "" || now == before },
}

func broken(path string, before, now Field) (all []string) {
	keywords := map[string]bool{}
	for k := range before {
		keywords[k] = true
	}
	for k := range now {
		keywords[k] = true
	}
	for _, k := range slices.Sorted(maps.Keys(keywords)) {
		may := compare[k]
		if may == nil { // type, format, default, list, keys, names: they stay what they are
			may = func(before, now string) bool { return before == now }
		}
		if !may(before[k], now[k]) {
			all = append(all, fmt.Sprintf("%s: %s was %s and is %s", path, k, or(before[k]), or(now[k])))
		}
	}
	return all
}

func or(value string) string {
	if value == "" {
		return "absent"
	}
	return value
}

// holdsAll tells whether a list still has what it had. An enum that comes or a list that goes is judged the same way:
// nothing limited the values before, or nothing does now.
func holdsAll(before, now string) bool {
	if before == "" {
		return now == ""
	}
	if now == "" {
		return true
	}
	var had, has []any
	if json.Unmarshal([]byte(before), &had) != nil || json.Unmarshal([]byte(now), &has) != nil {
		return false
	}
	return !slices.ContainsFunc(had, func(v any) bool { return !slices.Contains(has, v) })
}

func number(text string) (v float64, is bool) {
	return v, text != "" && json.Unmarshal([]byte(text), &v) == nil
}

// atMost: a lower bound may only sink or go.
func atMost(before, now string) bool {
	b, had := number(before)
	n, has := number(now)
	return !has || had && n <= b
}

// atLeast: an upper bound may only rise or go.
func atLeast(before, now string) bool {
	b, had := number(before)
	n, has := number(now)
	return !has || had && n >= b
}
