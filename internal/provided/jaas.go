package provided

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"
)

const maxJaas = 8 << 10 // bytes

// disallowedModules are those that Kafka takes from nobody (org.apache.kafka.disallowed.login.modules, CVE-2023-25194).
var disallowedModules = []string{
	"com.sun.security.auth.module.JndiLoginModule", "com.sun.security.auth.module.LdapLoginModule",
}

var controlFlags = []string{"required", "requisite", "sufficient", "optional"}

// checkJaas tells why Kafka would not read a line of JAAS, with which a broker does not start: one module, its flag,
// and options with values. An error says nothing of the values.
func checkJaas(line string) error {
	switch {
	case strings.TrimSpace(line) == "":
		return errors.New("it is empty; put one line there, such as: com.example.LoginModule required option=\"value\";")
	case len(line) > maxJaas:
		return fmt.Errorf("it is longer than %d bytes; name files in it instead", maxJaas)
	case !utf8.ValidString(line) || strings.ContainsRune(line, 0):
		return errors.New("it is no text in UTF-8; write it anew")
	}
	rest := jaas{text: strings.TrimSpace(line)}
	module, quoted := rest.word()
	if module == "" || quoted {
		return errors.New("it does not begin with the class of a login module; begin with such as " +
			"com.sun.security.auth.module.Krb5LoginModule, and not with { or a name before it")
	}
	if slices.Contains(disallowedModules, module) {
		return fmt.Errorf("%s is none that Kafka takes; use a callback handler for PLAIN that asks the directory", module)
	}
	if flag, _ := rest.word(); !slices.Contains(controlFlags, strings.ToLower(flag)) {
		return errors.New("behind the login module there is none of required, requisite, sufficient and optional; write " +
			"required")
	}
	for !rest.skip(';') {
		if rest.text == "" {
			return errors.New("it does not end with a semicolon; add one")
		}
		option, _ := rest.word()
		if option == "" {
			return errors.New("behind the flag there is something that is no option; write each as name=\"value\", and ; at " +
				"the end")
		}
		if !rest.skip('=') {
			return fmt.Errorf("option %s has no value; write each as name=\"value\"", nameOf(option))
		}
		if _, quoted := rest.word(); !quoted && rest.last == "" {
			return fmt.Errorf("the value of option %s is none that Kafka reads; put it between quotation marks", nameOf(option))
		}
	}
	if rest.text != "" {
		return errors.New("something stands behind the semicolon; a listener has one login module for a mechanism")
	}
	return nil
}

// nameOf shows an option's name and not, where a value stands in its place, that.
func nameOf(option string) string {
	name, _, password := strings.Cut(option, "_") // user_alice
	if password || len(name) > 40 {
		return "..."
	}
	return name
}

// jaas is what is left of a line to read, as Kafka does (java.io.StreamTokenizer).
type jaas struct {
	text string
	last string // the last word
}

// word takes a word, or what stands between quotation marks; "" = there is neither.
func (j *jaas) word() (word string, quoted bool) {
	j.last = ""
	if j.text == "" {
		return "", false
	}
	if mark := j.text[0]; mark == '"' || mark == '\'' {
		for i := 1; i < len(j.text) && j.text[i] != '\n' && j.text[i] != '\r'; i++ {
			switch j.text[i] {
			case '\\':
				i++
			case mark:
				j.last, j.text = j.text[1:i], strings.TrimSpace(j.text[i+1:])
				return j.last, true
			}
		}
		return "", false
	}
	end := strings.IndexFunc(j.text, func(r rune) bool { return !inWord(r) })
	if end < 0 {
		end = len(j.text)
	}
	if first := j.text[0]; end == 0 || '0' <= first && first <= '9' || first == '-' || first == '.' {
		return "", false // a number, which is no word to Kafka
	}
	j.last, j.text = j.text[:end], strings.TrimSpace(j.text[end:])
	return j.last, false
}

func inWord(r rune) bool {
	return 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' || strings.ContainsRune("._-$", r) ||
		r >= 0xa0
}

// skip takes one character, if it comes next.
func (j *jaas) skip(c byte) bool {
	if j.text == "" || j.text[0] != c {
		return false
	}
	j.text = strings.TrimSpace(j.text[1:])
	return true
}
