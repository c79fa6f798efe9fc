package probe

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/castellan-dev/castellan/internal/reach/dial"
)

// target is where a client goes, and how.
type target struct {
	servers []server
	tls     bool
	ca      string // PEM; empty = what this machine trusts
	// login is nil where nobody logs in. anyLogin: nothing says whether somebody has to.
	login    *dial.Login
	anyLogin bool
}

// server is one entry of bootstrap.servers.
type server struct {
	host string
	port int32
}

// readConfig understands the settings of a client that matter for the way to a broker: a client.properties of Java, or
// a file of librdkafka, also one of JSON. read reads another file that the settings name. Errors name settings, never
// their values.
func readConfig(name, text string, read func(file string) ([]byte, error)) (target, error) {
	settings := librdkafka(text)
	var err error
	switch path.Ext(name) {
	case ".properties":
		settings = properties(text)
	case ".json":
		if settings, err = object(text); err != nil {
			return target{}, err
		}
	}
	var t target
	if t.servers, err = servers(settings["bootstrap.servers"]); err != nil {
		return t, fmt.Errorf("bootstrap.servers: %w", err)
	}
	protocol := strings.ToUpper(settings["security.protocol"])
	if protocol == "" {
		protocol = "PLAINTEXT"
	}
	if !slices.Contains([]string{"PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"}, protocol) {
		return t, errors.New("security.protocol: it is none of PLAINTEXT, SSL, SASL_PLAINTEXT and SASL_SSL")
	}
	if t.tls = strings.HasSuffix(protocol, "SSL"); t.tls {
		if t.ca, err = authorities(settings, read); err != nil {
			return t, err
		}
	}
	if strings.HasPrefix(protocol, "SASL_") {
		t.login, err = loginOf(settings)
	}
	return t, err
}

func authorities(settings map[string]string, read func(string) ([]byte, error)) (string, error) {
	for _, key := range []string{"ssl.keystore.location", "ssl.keystore.certificate.chain", "ssl.certificate.location",
		"ssl.certificate.pem"} {
		if settings[key] != "" {
			return "", fmt.Errorf("%s: the probe presents no certificate of a client", key)
		}
	}
	for _, key := range []string{"ssl.truststore.certificates", "ssl.ca.pem"} {
		if settings[key] != "" {
			return settings[key], nil
		}
	}
	for _, key := range []string{"ssl.truststore.location", "ssl.ca.location"} {
		file := settings[key]
		if file == "" {
			continue
		}
		if key == "ssl.truststore.location" && !strings.EqualFold(settings["ssl.truststore.type"], "PEM") {
			return "", fmt.Errorf("%s: it is read only with ssl.truststore.type=PEM; write it out with keytool -list -rfc, and "+
				"name that with --ca", key)
		}
		text, err := read(file)
		if err != nil {
			return "", fmt.Errorf("%s: %w", key, err)
		}
		return string(text), nil
	}
	return "", nil
}

func loginOf(settings map[string]string) (*dial.Login, error) {
	l := &dial.Login{Username: settings["sasl.username"], Password: settings["sasl.password"]}
	for _, key := range []string{"sasl.mechanism", "sasl.mechanisms"} {
		if settings[key] != "" {
			l.Mechanism = settings[key]
		}
	}
	if jaas := settings["sasl.jaas.config"]; jaas != "" {
		options := jaasOptions(jaas)
		l.Username, l.Password = options["username"], options["password"]
	}
	if !slices.Contains([]string{"PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"}, l.Mechanism) {
		return nil, errors.New("sasl.mechanism: the probe logs in with PLAIN, SCRAM-SHA-256 and SCRAM-SHA-512")
	}
	if l.Username == "" || l.Password == "" {
		return nil, errors.New("sasl.username and sasl.password, or sasl.jaas.config: no user with a password is named")
	}
	return l, nil
}

// servers reads bootstrap.servers.
func servers(text string) ([]server, error) {
	var all []server
	for entry := range strings.SplitSeq(text, ",") {
		if entry = strings.TrimSpace(entry); entry == "" {
			continue
		}
		if _, rest, found := strings.Cut(entry, "://"); found {
			entry = rest
		}
		host, number, err := net.SplitHostPort(entry)
		port, wrong := strconv.ParseUint(number, 10, 16)
		if err != nil || wrong != nil || host == "" || port == 0 {
			return nil, fmt.Errorf("%q is not host:port", entry)
		}
		all = append(all, server{host, int32(port)})
	}
	if len(all) == 0 {
		return nil, errors.New("no server is named")
	}
	return all, nil
}

// librdkafka reads a file of librdkafka: a setting a line. In a PEM text, \n stands for a line's end.
func librdkafka(text string) map[string]string {
	settings := map[string]string{}
	for line := range strings.Lines(text) {
		key, value, found := strings.Cut(strings.TrimSpace(line), "=")
		if !found || strings.HasPrefix(key, "#") {
			continue
		}
		if key = strings.TrimSpace(key); strings.HasSuffix(key, ".pem") {
			value = strings.ReplaceAll(value, `\n`, "\n")
		}
		settings[key] = strings.TrimSpace(value)
	}
	return settings
}

// object reads a file of JSON with the settings of librdkafka.
func object(text string) (settings map[string]string, err error) {
	if json.Unmarshal([]byte(text), &settings) != nil { // its error may quote the file
		return nil, errors.New("the file is no JSON object of texts")
	}
	return settings, nil
}

// properties reads a file of Java's: comments, lines that go on behind a backslash, and what a backslash stands for.
func properties(text string) map[string]string {
	settings := map[string]string{}
	text = strings.ReplaceAll(text, "\r\n", "\n")
	var whole string
	for line := range strings.SplitSeq(text, "\n") {
		line = strings.TrimLeft(line, " \t\f")
		if whole == "" && (line == "" || line[0] == '#' || line[0] == '!') {
			continue
		}
		whole += line
		if ends := len(whole) - len(strings.TrimRight(whole, `\`)); ends%2 == 1 {
			whole = whole[:len(whole)-1]
			continue
		}
		at := strings.IndexAny(whole, "=: \t")
		if at < 0 {
			at = len(whole)
		}
		value := strings.TrimLeft(whole[at:], " \t")
		value = strings.TrimLeft(strings.TrimPrefix(strings.TrimPrefix(value, "="), ":"), " \t")
		settings[whole[:at]] = unescaped(value)
		whole = ""
	}
	return settings
}

// unescaped puts what is meant in the place of what a backslash begins.
func unescaped(value string) string {
	var b strings.Builder
	for i := 0; i < len(value); i++ {
		if value[i] != '\\' || i+1 == len(value) {
			b.WriteByte(value[i])
			continue
		}
		i++
		switch c := value[i]; c {
		case 'n':
			b.WriteByte('\n')
		case 'r':
			b.WriteByte('\r')
		case 't':
			b.WriteByte('\t')
		case 'u':
			if code, err := strconv.ParseUint(value[min(i+1, len(value)):min(i+5, len(value))], 16, 16); err == nil {
				b.WriteRune(rune(code))
				i += 4
			}
		default:
			b.WriteByte(c)
		}
	}
	return b.String()
}

// jaasOptions reads the options of a login module: name="value", where a backslash keeps a quotation mark.
func jaasOptions(text string) map[string]string {
	options := map[string]string{}
	for {
		head, rest, found := strings.Cut(text, "=")
		if !found {
			return options
		}
		words := strings.Fields(head)
		rest = strings.TrimLeft(rest, " \t\n")
		if len(words) == 0 || rest == "" {
			return options
		}
		var value strings.Builder
		i, quoted := 0, rest[0] == '"' || rest[0] == '\''
		if quoted {
			i = 1
		}
		for ; i < len(rest); i++ {
			if quoted && rest[i] == rest[0] || !quoted && strings.ContainsRune(" \t\n;", rune(rest[i])) {
				break
			}
			if quoted && rest[i] == '\\' && i+1 < len(rest) {
				i++
			}
			value.WriteByte(rest[i])
		}
		options[words[len(words)-1]] = value.String()
		text = rest[min(i+1, len(rest)):]
	}
}
