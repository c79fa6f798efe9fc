package users

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/castellan-dev/castellan/api/v1alpha1"
	"github.com/castellan-dev/castellan/internal/mechanism"
)

func TestAPasswordThatClientsWouldNotAgreeOnIsUnusable(t *testing.T) {
	for password, want := range map[string]string{
		"":                              "empty",
		"p\xff":                         "UTF-8",
		strings.Repeat("a", 257):        "256",
		"hunter2\n":                     "line break",
		"hunter2\r\n":                   "line break",
		"hun\tter2":                     "control",
		"hun\nter2\n":                   "control",
		"hun\u0085ter2":                 "control",
		" hunter2":                      "space",
		"hunter2 ":                      "space",
		"hunter\u00a02":                 "SASLprep", // a space that does not break
		"I\u00adX":                      "SASLprep", // RFC 4013: a soft hyphen goes
		"\u00aa":                        "SASLprep", // RFC 4013: becomes a
		"\u2168":                        "SASLprep", // RFC 4013: becomes IX
		"e\u0301":                       "SASLprep", // composed by NFKC
		"a\u034fb":                      "SASLprep",
		"a\ufe0fb":                      "SASLprep",
		"a\ufffdb":                      "SASLprep",
		"a\u200bb":                      "SASLprep",
		"a\ue000b":                      "SASLprep",
		"\U0001F511":                    "SASLprep", // younger than RFC 3454
		"\u0627\u0031":                  "SASLprep", // RFC 4013: does not end from right to left
		"\u0627a\u0628":                 "SASLprep", // both directions
		`a\=b`:                          "kcat",
		`a\:b`:                          "kcat",
		"a":                             "",
		"correct horse battery staple":  "",
		`"quoted" and \ and '=:#;!${x}`: "",
		`ends with \`:                   "",
		"pässwörd":                      "",
		"日本語":                           "",
		"\u0627\u0628":                  "", // from right to left throughout
		strings.Repeat("a", 256):        "",
	} {
		got := Unusable(password)
		if (want == "") != (got == "") || !strings.Contains(got, want) {
			t.Errorf("%q: %q, want %q", password, got, want)
		}
		if password != "" && want != "" && len(password) > 2 && strings.Contains(got, password) {
			t.Errorf("%q: what is said of it holds it", password)
		}
	}
}

func TestWhatIsSaidOfASecretLeadsToItsCureAndNeverHoldsThePassword(t *testing.T) {
	u := &v1alpha1.KafkaUser{Spec: v1alpha1.KafkaUserSpec{Authentication: v1alpha1.UserAuthentication{
		PasswordSecret: &v1alpha1.PasswordSecret{Name: "app-password"}}}}
	u.Namespace = "shop"
	from := SourceOf(u)
	if from == nil || from.Key != "password" || SourceOf(&v1alpha1.KafkaUser{}) != nil {
		t.Fatalf("%+v", from)
	}
	if got := from.Unlabelled().Text(); !strings.Contains(got,
		"kubectl -n shop label secret app-password kafka.castellan.dev/use=password") {
		t.Error(got)
	}
	if got := from.Missing().Text(); !strings.HasPrefix(got, PasswordField+`: there is no Secret "app-password" in the `+
		"namespace of the KafkaUser with the label kafka.castellan.dev/use=password; create it with ") ||
		!strings.HasSuffix(got, "kubectl -n shop label secret app-password kafka.castellan.dev/use=password") {
		t.Error(got)
	}
	if _, fault := from.Read(map[string][]byte{"other": []byte("x")}); fault == nil || fault.Field != PasswordField+".key" {
		t.Error(fault)
	}
	if _, fault := from.Read(map[string][]byte{"password": []byte("hush-hush\n")}); fault == nil ||
		fault.Field != PasswordField || strings.Contains(fault.Text(), "hush") {
		t.Error(fault)
	}
	if password, fault := from.Read(map[string][]byte{"password": []byte("hush-hush")}); fault != nil ||
		password != "hush-hush" {
		t.Error(password, fault)
	}
}

// hard are passwords that some file could get wrong.
var hard = []string{"a", `\`, `"`, `'`, `\"`, `a"b\c`, `x" y="z`, `";`, `//no comment`, `/* nor this */`, "# nor this",
	"!", `${env:HOME}`, `a=b:c`, `\\\\`, `\n`, `\u0041`, `\101`, `%41`, `~`, "a  b", "pässwörd", "日本語",
	"\u0627\u0628", strings.Repeat(`\"`, 128)}

// readers read the password out of each file of a connection Secret, as clients do.
func readers(data map[string][]byte) map[string]string {
	java := properties(string(data["client.properties"]))
	all := map[string]string{
		"password":                  string(data["password"]),
		"sasl.jaas.config":          jaasPassword(string(data["sasl.jaas.config"])),
		"client.properties":         jaasPassword(java["sasl.jaas.config"]),
		"client.clients.properties": jaasPassword(properties(string(data["client.clients.properties"]))["sasl.jaas.config"]),
		"librdkafka.config":         kcat(string(data["librdkafka.config"]))["sasl.password"],
		"librdkafka.json":           object(data["librdkafka.json"])["sasl.password"],
		"kafka-python.json":         object(data["kafka-python.json"])["sasl_plain_password"],
		"KAFKA_SASL_PASSWORD":       string(data["KAFKA_SASL_PASSWORD"]),
		"KAFKA_SASL_JAAS_CONFIG":    jaasPassword(string(data["KAFKA_SASL_JAAS_CONFIG"])),
	}
	if spring, written := data["spring.properties"]; written || !strings.Contains(string(data["password"]), "${") {
		all["spring.properties"] = jaasPassword(properties(string(spring))["spring.kafka.properties.sasl.jaas.config"])
	}
	return all
}

// object reads a file of JSON, which has to be ASCII.
func object(file []byte) (settings map[string]string) {
	if bytes.ContainsFunc(file, func(r rune) bool { return r > '~' }) || json.Unmarshal(file, &settings) != nil {
		return nil
	}
	return settings
}

func connectionOf(password string) map[string][]byte {
	formats := slices.DeleteFunc(allFormats(), func(f v1alpha1.BindingFormat) bool { return f == v1alpha1.FormatPKCS12 })
	data, err := Layout{Formats: formats}.Connection(mechanism.Credential{Username: "app", Password: password},
		[]byte("-----BEGIN CERTIFICATE-----\nAA==\n-----END CERTIFICATE-----\n"),
		[]Endpoint{{Listener: "clients", Bootstrap: "b:9092", TLS: true,
			Mechanisms: []v1alpha1.Mechanism{v1alpha1.MechanismScram512}}})
	if err != nil {
		panic(err)
	}
	return data
}

func TestEveryFileOfAConnectionSecretHoldsThePasswordAsItsReaderReadsIt(t *testing.T) {
	for _, password := range hard {
		data := connectionOf(password)
		for file, got := range readers(data) {
			if got != password {
				t.Errorf("%s has %q, want %q", file, got, password)
			}
		}
		if got := properties(string(data["client.properties"]))["ssl.truststore.certificates"]; got !=
			"-----BEGIN CERTIFICATE-----\nAA==\n-----END CERTIFICATE-----" {
			t.Errorf("%q: the CA is %q", password, got)
		}
	}
}

func FuzzPasswords(f *testing.F) {
	for _, password := range hard {
		f.Add(password)
	}
	f.Fuzz(func(t *testing.T, password string) {
		if Unusable(password) != "" {
			return
		}
		for file, got := range readers(connectionOf(password)) {
			if got != password {
				t.Errorf("%s has %q, want %q", file, got, password)
			}
		}
	})
}

// properties reads a file as java.util.Properties does: Latin-1, and escapes in values.
func properties(file string) map[string]string {
	all := map[string]string{}
	for line := range strings.Lines(file) {
		line = strings.TrimLeft(strings.TrimRight(line, "\n"), " \t\f")
		if line == "" || line[0] == '#' || line[0] == '!' {
			continue
		}
		key, value, _ := strings.Cut(line, "=") // no key of ours has an escape
		value = strings.TrimLeft(value, " \t\f")
		var text []rune
		for i := 0; i < len(value); i++ {
			c := rune(value[i]) // Latin-1
			if c == '\\' && i+1 < len(value) {
				i++
				switch value[i] {
				case 'n':
					c = '\n'
				case 'r':
					c = '\r'
				case 't':
					c = '\t'
				case 'f':
					c = '\f'
				case 'u':
					unit, _ := strconv.ParseUint(value[i+1:i+5], 16, 16)
					c, i = rune(unit), i+4
				default:
					c = rune(value[i])
				}
			}
			text = append(text, c)
		}
		all[key] = string(text) // passwords have no character beyond 16 bits
	}
	return all
}

// jaasPassword reads as org.apache.kafka.common.security.JaasConfig does, by java.io.StreamTokenizer: in quotes a
// backslash begins an escape, which may be octal, and only the quote ends them.
func jaasPassword(config string) string {
	_, rest, _ := strings.Cut(config, ` password="`)
	var text strings.Builder
	for i := 0; i < len(rest) && rest[i] != '"'; i++ {
		c := rest[i]
		if c == '\\' && i+1 < len(rest) {
			i++
			switch c = rest[i]; {
			case c == 'n':
				c = '\n'
			case c == 't':
				c = '\t'
			case '0' <= c && c <= '7':
				return "octal"
			}
		}
		text.WriteByte(c)
	}
	return text.String()
}

// kcat reads a file as kcat -F does: lines of at most 511 bytes, blanks trimmed, a few escapes of Java undone.
func kcat(file string) map[string]string {
	all := map[string]string{}
	for line := range strings.Lines(file) {
		if len(line) > 511 && utf8.RuneCountInString(line) == len(line) && strings.HasPrefix(line, "sasl.") {
			return nil
		}
		line = strings.TrimSpace(line)
		for _, escaped := range []string{":", "="} {
			for strings.Contains(line, `\`+escaped) {
				line = strings.Replace(line, `\`+escaped, escaped, 1)
			}
		}
		key, value, _ := strings.Cut(line, "=")
		all[key] = value
	}
	return all
}

const javaReader = `
import java.io.*; import java.nio.charset.StandardCharsets; import java.nio.file.*; import java.util.*;
public class Read {
  // As Kafka's JaasConfig reads a value.
  static String password(String config) throws IOException {
    StreamTokenizer t = new StreamTokenizer(new StringReader(config));
    t.slashSlashComments(true); t.slashStarComments(true); t.wordChars('-', '-'); t.wordChars('_', '_'); t.wordChars('$', '$');
    t.nextToken(); t.nextToken();
    while (t.nextToken() != ';') {
      if (t.ttype == StreamTokenizer.TT_EOF) return null;
      String key = t.sval;
      if (t.nextToken() != '=') return null;
      t.nextToken();
      if (key.equals("password")) { String v = t.sval; if (t.nextToken() != ';') return null; return v; }
    }
    return null;
  }
  public static void main(String[] a) throws Exception {
    for (String dir : a) {
      Properties p = new Properties();
      try (InputStream in = Files.newInputStream(Path.of(dir, "client.properties"))) { p.load(in); }
      if (Files.exists(Path.of(dir, "spring.properties")))
        try (InputStream in = Files.newInputStream(Path.of(dir, "spring.properties"))) { p.load(in); }
      String jaas = Files.readString(Path.of(dir, "sasl.jaas.config"));
      for (String s : new String[] {p.getProperty("sasl.jaas.config"), jaas,
          p.getProperty("spring.kafka.properties.sasl.jaas.config", "")}) {
        String v = password(s);
        System.out.println(v == null ? "-" : Base64.getEncoder().encodeToString(v.getBytes(StandardCharsets.UTF_8)));
      }
    }
  }
}
`

func TestJavaReadsEveryPasswordFromEveryFile(t *testing.T) {
	java, err := exec.LookPath("java")
	if err != nil {
		t.Skip("no java: the readers of this test stand for it")
	}
	root := t.TempDir()
	source := filepath.Join(root, "Read.java")
	if err := os.WriteFile(source, []byte(javaReader), 0o600); err != nil {
		t.Fatal(err)
	}
	arguments := []string{"-Xshare:auto", source}
	for n, password := range hard {
		dir := filepath.Join(root, strconv.Itoa(n))
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		for key, value := range connectionOf(password) {
			if err := os.WriteFile(filepath.Join(dir, key), value, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		arguments = append(arguments, dir)
	}
	out, err := exec.CommandContext(t.Context(), java, arguments...).Output()
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Fields(string(out))
	const files = 3
	if len(lines) != files*len(hard) {
		t.Fatalf("%d lines for %d passwords", len(lines), len(hard))
	}
	for n, password := range hard {
		for m, where := range []string{"client.properties", "sasl.jaas.config", "spring.properties"} {
			if m == 2 && strings.Contains(password, "${") {
				continue // is not written
			}
			if got, _ := base64.StdEncoding.DecodeString(lines[files*n+m]); string(got) != password {
				t.Errorf("Java reads %q from %s, want %q", got, where, password)
			}
		}
	}
}
