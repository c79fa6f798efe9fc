package topics

import (
	"slices"
	"strconv"
	"strings"
)

// sameValue tells whether Kafka would read two values of one key alike. A broker tells a value as it understood it,
// not as it was written: "TRUE" comes back as "true", "compact, delete" as "compact,delete", "0.50" as "0.5", and
// from Kafka 4.3 "compact,compact" as "compact". Comparing the text would set such a key again and again.
func sameValue(want, have string) bool {
	return want == have || slices.EqualFunc(words(want), words(have), sameWord)
}

// words are what a value lists, in its order, each once.
func words(value string) []string {
	var all []string
	for word := range strings.SplitSeq(value, ",") {
		if word = trimmed(word); !slices.Contains(all, word) {
			all = append(all, word)
		}
	}
	return all
}

// trimmed is a value without what Java takes for blanks around it.
func trimmed(value string) string {
	return strings.TrimFunc(value, func(r rune) bool { return r <= ' ' })
}

func sameWord(want, have string) bool {
	if want == have || isBool(have) && strings.EqualFold(want, have) {
		return true
	}
	if w, err := strconv.ParseInt(want, 10, 64); err == nil {
		if h, err := strconv.ParseInt(have, 10, 64); err == nil {
			return w == h
		}
	}
	// A fraction comes back with a point. What comes without is a whole number, for which "5.0" and "1e3" are
	// mistakes: let Kafka say so.
	if !isDecimal(want) || !isDecimal(have) || !strings.Contains(have, ".") {
		return false
	}
	w, wrong := strconv.ParseFloat(want, 64)
	h, err := strconv.ParseFloat(have, 64)
	return wrong == nil && err == nil && w == h
}

func isBool(s string) bool { return s == "true" || s == "false" }

func isDecimal(s string) bool { return s != "" && strings.Trim(s, "0123456789+-.eE") == "" }
