package version

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// Type is the type of a key's value (org.apache.kafka.common.config.ConfigDef.Type).
type Type string

// Kafka's types. The zero value is the type of a key that is not known.
const (
	Boolean  Type = "boolean"
	Int      Type = "int"
	Short    Type = "short"
	Long     Type = "long"
	Double   Type = "double"
	List     Type = "list"
	String   Type = "string"
	Class    Type = "class"
	Password Type = "password" // Kafka never tells its value: whatever was set counts as what is wanted
)

func (t Type) check(line string) error {
	switch t {
	case Boolean, Int, Short, Long, Double, List, String, Class, Password:
		return nil
	}
	return fmt.Errorf("%q has a type that is not known", line)
}

// unordered are keys whose lists are sets to Kafka.
var unordered = map[string]bool{"cleanup.policy": true, "log.cleanup.policy": true}

// Same tells whether Kafka reads two values of a broker key alike. A broker tells a value as it understood it and not
// as it was written: comparing the text would set such a key again and again.
func (v Version) Same(key, want, have string) bool {
	return same(key, v.keys[key].kind, want, have)
}

// SameOnTopic is Same for a key of a topic, on any version of Kafka: none of them changes its type.
func SameOnTopic(key, want, have string) bool {
	return same(key, topicType(key), want, have)
}

// topicType is that of a key which any version of the catalogue knows: a patch of an older one may have what the newest
// has not.
func topicType(key string) Type {
	for _, v := range slices.Backward(Catalogue) {
		if t := v.topicKeys[key]; t != "" {
			return t
		}
	}
	return ""
}

// SpeltOnTopic returns a value of a topic's key as it is to be sent: without what Kafka's parser of the type drops, as
// other readers of the stored text may stumble over it. Strings, passwords, keys that are not known, and what Kafka
// will refuse are sent as they were written.
func SpeltOnTopic(key, value string) string {
	t := topicType(key)
	read, is := t.parse(value)
	switch {
	case !is:
		return value
	case t == Boolean, t == Int, t == Short, t == Long:
		return read[0]
	case t == Double, t == Class: // a number has one spelling in Java and another one here
		return Trimmed(value)
	case t == List:
		all := strings.Split(value, ",")
		for i := range all {
			all[i] = Trimmed(all[i])
		}
		return strings.Join(all, ",")
	}
	return value
}

func same(key string, t Type, want, have string) bool {
	if t == "" {
		return want == have || slices.EqualFunc(words(want), words(have), looksAlike)
	}
	if t == Password && have == "" {
		return true
	}
	w, isWanted := t.parse(want)
	h, is := t.parse(have)
	if unordered[key] {
		slices.Sort(w)
		slices.Sort(h)
	}
	return want == have || isWanted && is && slices.Equal(w, h)
}

// parse reads a value as ConfigDef.parseType does, and returns a text of its own for each value; false = Kafka would
// refuse it.
func (t Type) parse(value string) ([]string, bool) {
	value = Trimmed(value)
	switch t {
	case Boolean:
		value = strings.ToLower(value)
		return []string{value}, value == "true" || value == "false"
	case Int, Short, Long:
		n, err := strconv.ParseInt(value, 10, bits[t])
		return []string{strconv.FormatInt(n, 10)}, err == nil
	case Double:
		f, ok := parseDouble(value)
		return []string{f}, ok
	case List:
		return words(value), true
	}
	return []string{value}, true
}

var bits = map[Type]int{Short: 16, Int: 32, Long: 64}

// Trimmed is a value without the blanks around it, which Kafka takes off whatever its type. It does not everywhere: a
// broker of 4.3.1 that is given " 1000" for group.consumer.assignment.interval.ms takes no run-time key any more.
func Trimmed(value string) string { return strings.TrimFunc(value, isBlank) }

// isBlank tells what String.trim takes off.
func isBlank(r rune) bool { return r <= ' ' }

// words are what a list holds, in its order, each once: Kafka from 4.3 on leaves out repetitions.
func words(value string) []string {
	var all []string
	for word := range strings.SplitSeq(value, ",") {
		if word = strings.TrimFunc(word, isBlank); !slices.Contains(all, word) {
			all = append(all, word)
		}
	}
	return all
}

// javaDouble is what Double.parseDouble takes, but for hexadecimal digits.
var javaDouble = regexp.MustCompile(`^[+-]?(NaN|Infinity|([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?[fFdD]?)$`)

func parseDouble(value string) (string, bool) {
	if !javaDouble.MatchString(value) {
		return "", false
	}
	f, err := strconv.ParseFloat(strings.TrimRight(value, "fFdD"), 64)
	if err != nil && !strings.HasSuffix(err.Error(), strconv.ErrRange.Error()) { // Java takes infinity, or zero
		return "", false
	}
	return strconv.FormatFloat(f, 'g', -1, 64), true
}

// looksAlike compares two words of a key that is not known, of a newer Kafka or of a plug-in, by what they look like.
func looksAlike(want, have string) bool {
	if want == have || strings.EqualFold(want, have) && (have == "true" || have == "false") {
		return true
	}
	if w, whole := Long.parse(want); whole {
		if h, is := Long.parse(have); is {
			return w[0] == h[0]
		}
	}
	// A fraction comes back with a point. What comes without is a whole number, for which "5.0" and "1e3" are
	// mistakes: let Kafka say so.
	w, isWanted := parseDouble(want)
	h, is := parseDouble(have)
	return isWanted && is && w == h && strings.Contains(have, ".")
}
