package topics

import "strings"

// trimmed is a value without what Java takes for blanks around it.
func trimmed(value string) string {
	return strings.TrimFunc(value, func(r rune) bool { return r <= ' ' })
}
