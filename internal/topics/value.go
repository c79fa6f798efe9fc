package topics

import (
	"strconv"
	"strings"
)

// sameValue tells whether Kafka would read two values of one key alike. A broker tells a value as it understood it, not as
// it was written: "TRUE" comes back as "true", "compact, delete" as "compact,delete", "0.50" as "0.5". Comparing the text
// would set such a key again and again.
func sameValue(want, have string) bool {
	if want == have {
		return true
	}
	w, h := strings.Split(want, ","), strings.Split(have, ",")
	if len(w) != len(h) {
		return false
	}
	for i := range w {
		if !sameWord(strings.TrimSpace(w[i]), strings.TrimSpace(h[i])) {
			return false
		}
	}
	return true
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
	// A whole number written with an exponent is a number to Go and a mistake to Kafka: let Kafka say so.
	if !isDecimal(want) || strings.ContainsAny(want, "eE") && !strings.ContainsAny(have, ".eE") {
		return false
	}
	w, err := strconv.ParseFloat(want, 64)
	if err != nil || !isDecimal(have) {
		return false
	}
	h, err := strconv.ParseFloat(have, 64)
	return err == nil && w == h && strings.ContainsAny(have, ".eE")
}

func isBool(s string) bool { return s == "true" || s == "false" }

func isDecimal(s string) bool { return s != "" && strings.Trim(s, "0123456789+-.eE") == "" }
