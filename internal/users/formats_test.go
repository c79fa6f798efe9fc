package users

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/util/validation"
	"software.sslmate.com/src/go-pkcs12"

	"github.com/castellan-dev/castellan/api/v1alpha1"
	"github.com/castellan-dev/castellan/internal/mechanism"
	"github.com/castellan-dev/castellan/internal/pki"
)

const storePassword = "abcdefghijklmnopqrstuvwxyz012345"

// plainFiles is a layout with the files that can be read at a glance, for every listener.
var plainFiles = Layout{Formats: []v1alpha1.BindingFormat{v1alpha1.FormatClientProperties, v1alpha1.FormatLibrdkafka}}

func allFormats() (all []v1alpha1.BindingFormat) {
	for _, f := range formats {
		all = append(all, f.name)
	}
	return all
}

// written are the entries of a format, for a Secret with a second listener "outside".
var written = map[v1alpha1.BindingFormat][]string{
	v1alpha1.FormatClientProperties: {"client.properties", "client.outside.properties"},
	v1alpha1.FormatLibrdkafka:       {"librdkafka.config", "librdkafka.outside.config"},
	v1alpha1.FormatLibrdkafkaJSON:   {"librdkafka.json", "librdkafka.outside.json"},
	v1alpha1.FormatKafkaPython:      {"kafka-python.json", "kafka-python.outside.json"},
	v1alpha1.FormatSpring:           {"spring.properties", "spring.outside.properties"},
	v1alpha1.FormatPKCS12:           {"truststore.p12", "truststore.outside.p12"},
	v1alpha1.FormatEnv:              {"KAFKA_BOOTSTRAP_SERVERS", "KAFKA_OUTSIDE_BOOTSTRAP_SERVERS"},
}

func TestEveryFormatIsInTheSchema(t *testing.T) {
	crd, err := os.ReadFile("../../config/crd/bases/kafka.castellan.dev_kafkausers.yaml")
	if err != nil {
		t.Fatal(err)
	}
	found := regexp.MustCompile(`(?s)\n +formats:\n.*?enum:\n((?: +- [^\n]+\n)+)`).FindSubmatch(crd)
	if found == nil {
		t.Fatal("the schema has no formats")
	}
	var offered []v1alpha1.BindingFormat
	for line := range strings.Lines(string(found[1])) {
		offered = append(offered, v1alpha1.BindingFormat(strings.TrimPrefix(strings.TrimSpace(line), "- ")))
	}
	if !slices.Equal(offered, allFormats()) || len(written) != len(formats) {
		t.Errorf("the schema offers %v, and the table has %v", offered, allFormats())
	}
}

// two is a user's Secret with two listeners with TLS.
func two(t *testing.T, row mechanism.Row, layout Layout) (data map[string][]byte, c Certificate, ca pki.Authority) {
	t.Helper()
	ca, err := pki.NewAuthority(pki.AuthorityName("kafka", "events"), issuedAt)
	if err != nil {
		t.Fatal(err)
	}
	c = issued(t, clientsAuthority(t), "app", issuedAt)
	shown := mechanism.Credential{Username: "app"}
	switch {
	case !row.Offered():
	case row.Layer == mechanism.LayerTLS:
		shown.Certificate, shown.Key = c.CertPEM, c.KeyPEM
	default:
		shown.Password = "hush-hush"
	}
	at := func(name string) Endpoint {
		return Endpoint{Listener: name, Bootstrap: name + ":1", TLS: true, Mechanisms: []v1alpha1.Mechanism{row.Name}}
	}
	data, err = layout.Connection(shown, ca.CertPEM, []Endpoint{at("inside"), at("outside")})
	if err != nil {
		t.Fatal(err)
	}
	return data, c, ca
}

// TestEveryFormatIsWrittenForEveryMechanism walks both tables. What a user shows is in each format, what has a listener
// of its own is there for each, and who has its credential from elsewhere is given none.
func TestEveryFormatIsWrittenForEveryMechanism(t *testing.T) {
	for _, row := range mechanism.Rows {
		if !row.IsUsers() {
			continue
		}
		for _, f := range formats {
			t.Run(fmt.Sprintf("%s, %s", row.Name, f.name), func(t *testing.T) {
				layout := Layout{Formats: []v1alpha1.BindingFormat{f.name}, MountPath: "/elsewhere", StorePassword: storePassword}
				data, c, _ := two(t, row, layout)
				for n, entry := range written[f.name] {
					if len(data[entry]) == 0 {
						t.Errorf("there is no %s", entry)
					}
					if n == 1 && !bytes.Contains(data[entry], []byte("outside:1")) && f.name != v1alpha1.FormatPKCS12 {
						t.Errorf("%s leads to another listener", entry)
					}
				}
				for other, names := range written {
					if _, there := data[names[0]]; there && other != f.name {
						t.Errorf("%s is written although nobody has named it", names[0])
					}
				}
				key := strings.Split(string(c.KeyPEM), "\n")[1]
				shows := false
				for entry, value := range data {
					ofFormat := slices.Contains([]string{"user.p12"}, entry) || bytes.Contains(value, []byte("hush-hush")) ||
						bytes.Contains(value, []byte(key)) || bytes.Contains(value, []byte("/elsewhere/user.key"))
					fixed := entry == PasswordKey || entry == CertificateKeyEntry || entry == "sasl.jaas.config"
					if ofFormat && !fixed {
						shows = true
					}
					if !row.Offered() && (ofFormat || strings.Contains(string(value), "sasl.") || fixed || entry == "username") {
						t.Errorf("%s has a credential", entry)
					}
				}
				wants := row.Offered() && (f.name != v1alpha1.FormatPKCS12 || row.Layer == mechanism.LayerTLS)
				if shows != wants {
					t.Errorf("that it shows what the user logs in with is %t", shows)
				}
				if text := string(data[written[f.name][0]]); f.mounted != strings.Contains(text, "/elsewhere/ca.crt") {
					t.Errorf("it names the Secret's files, or does not: %s", text)
				}
			})
		}
	}
}

// A spec that names no formats has the files of docs/users.md: a Java client finds its own at each listener, and one on
// librdkafka at the listener to use by default.
func TestASecretWithoutFormatsHasTheFilesOfTheTwoMostUsedKindsOfClients(t *testing.T) {
	row, _ := mechanism.Of(v1alpha1.MechanismScram512)
	data, _, _ := two(t, row, Layout{})
	want := []string{"bootstrap.servers", "bootstrap.servers.inside", "bootstrap.servers.outside", "ca.crt",
		"client.inside.properties", "client.outside.properties", "client.properties", "librdkafka.config",
		"librdkafka.json", "password", "provider", "sasl.jaas.config", "sasl.mechanism", "security.protocol", "type",
		"username"}
	if got := slices.Sorted(maps.Keys(data)); !slices.Equal(got, want) {
		t.Errorf("%v", got)
	}
	if got := object(data["librdkafka.json"]); got["bootstrap.servers"] != "inside:1" || got["sasl.password"] != "hush-hush" {
		t.Errorf("%v", got)
	}
}

func TestACertificateIsInNoFileByDefaultWhoseReaderTakesASettingFromOneLine(t *testing.T) {
	row, _ := mechanism.Of(v1alpha1.MechanismTLS)
	data, _, _ := two(t, row, Layout{})
	if data["librdkafka.config"] != nil || object(data["librdkafka.json"])["ssl.key.pem"] == "" {
		t.Errorf("%v", slices.Sorted(maps.Keys(data)))
	}
	data, _, _ = two(t, row, Layout{Formats: []v1alpha1.BindingFormat{v1alpha1.FormatLibrdkafka}})
	if data["librdkafka.config"] == nil {
		t.Error("a spec that names it does not get it")
	}
}

func TestFilesNameTheSecretBelowBindingUnlessTold(t *testing.T) {
	row, _ := mechanism.Of(v1alpha1.MechanismTLS)
	data, _, _ := two(t, row, Layout{Formats: []v1alpha1.BindingFormat{v1alpha1.FormatKafkaPython}})
	got := object(data["kafka-python.json"])
	if got["ssl_cafile"] != "/binding/ca.crt" || got["ssl_certfile"] != "/binding/user.crt" ||
		got["ssl_keyfile"] != "/binding/user.key" {
		t.Errorf("%v", got)
	}
}

// Kubernetes leaves an entry out of envFrom that no variable can be called, with nothing but an event on the pod.
func TestEveryEntryMayBeTheNameOfAVariable(t *testing.T) {
	for _, row := range mechanism.Rows {
		if !row.IsUsers() {
			continue
		}
		data, _, _ := two(t, row, Layout{Formats: allFormats(), StorePassword: storePassword})
		for key := range data {
			bad := slices.Concat(validation.IsConfigMapKey(key), validation.IsRelaxedEnvVarName(key))
			if strings.HasPrefix(key, "KAFKA_") && !regexp.MustCompile("^[A-Z][A-Z0-9_]*$").MatchString(key) {
				bad = append(bad, "no shell can read it")
			}
			if len(bad) > 0 {
				t.Errorf("%s: %s: %v", row.Name, key, bad)
			}
		}
	}
}

func TestTheSameSecretIsTheSameBytes(t *testing.T) {
	ca := clientsAuthority(t)
	c := issued(t, ca, "app", issuedAt)
	layout := Layout{Formats: allFormats(), StorePassword: storePassword}
	at := []Endpoint{{Listener: "a", Bootstrap: "a:1", TLS: true, Mechanisms: []v1alpha1.Mechanism{v1alpha1.MechanismTLS}}}
	shown := mechanism.Credential{Username: "app", Password: "hush", Certificate: c.CertPEM, Key: c.KeyPEM}
	first, err := layout.Connection(shown, ca.CertPEM, at)
	if err != nil {
		t.Fatal(err)
	}
	second, _ := layout.Connection(shown, ca.CertPEM, at)
	if !maps.EqualFunc(first, second, bytes.Equal) {
		t.Error("it would be written at every look")
	}
	layout.StorePassword = strings.Repeat("z", 32)
	if third, _ := layout.Connection(shown, ca.CertPEM, at); bytes.Equal(first["user.p12"], third["user.p12"]) {
		t.Error("its salts do not follow from the password")
	}
}

func TestKeyStoresHoldTheCertificateAndWhomToTrust(t *testing.T) {
	row, _ := mechanism.Of(v1alpha1.MechanismTLS)
	data, c, ca := two(t, row, Layout{Formats: []v1alpha1.BindingFormat{v1alpha1.FormatPKCS12}, StorePassword: storePassword})
	key, certificate, _, err := pkcs12.DecodeChain(data["user.p12"], string(data[StorePasswordKey]))
	if err != nil || key == nil || !bytes.Equal(pki.Encode(certificate), c.CertPEM) {
		t.Errorf("%v %v", certificate, err)
	}
	trusted, err := pkcs12.DecodeTrustStore(data["truststore.p12"], storePassword)
	if err != nil || len(trusted) != 1 || !bytes.Equal(pki.Encode(trusted[0]), ca.CertPEM) {
		t.Errorf("%v %v", trusted, err)
	}
	if _, err := pkcs12.DecodeTrustStore(data["truststore.p12"], "other"); err == nil {
		t.Error("any password opens it")
	}
	keytool, err := exec.LookPath("keytool")
	if err != nil {
		t.Skip("no keytool: go-pkcs12 stands for it")
	}
	for file, kind := range map[string]string{"user.p12": "PrivateKeyEntry", "truststore.p12": "trustedCertEntry"} {
		path := filepath.Join(t.TempDir(), file)
		if err := os.WriteFile(path, data[file], 0o600); err != nil {
			t.Fatal(err)
		}
		out, err := exec.CommandContext(t.Context(), keytool, "-list", "-storetype", "PKCS12", "-keystore", path,
			"-storepass", storePassword).CombinedOutput()
		if err != nil || strings.Count(string(out), kind) != 1 {
			t.Errorf("%s: %v\n%s", file, err, out)
		}
	}
}

// size is what Kubernetes stores of a Secret's data.
func size(data map[string][]byte) (bytes int) {
	for key, value := range data {
		bytes += len(key) + len(value)
	}
	return bytes
}

// What docs/users.md tells of the size is measured. A change of the authority writes all of them.
func TestASecretHasAtMost8KiBByDefault(t *testing.T) {
	const limit = 8 << 10
	ca, err := pki.NewAuthority(pki.AuthorityName("kafka", "events"), issuedAt)
	if err != nil {
		t.Fatal(err)
	}
	signs, err := pki.NewAuthority(pki.ClientsAuthorityName("kafka", "events", issuedAt), issuedAt)
	if err != nil {
		t.Fatal(err)
	}
	c := issued(t, signs, "billing-service", issuedAt)
	scram, tls := v1alpha1.MechanismScram512, v1alpha1.MechanismTLS
	password := mechanism.Credential{Username: "billing-service", Password: storePassword}
	certificate := mechanism.Credential{Username: "billing-service", Certificate: c.CertPEM, Key: c.KeyPEM}
	both := password
	both.Certificate, both.Key = c.CertPEM, c.KeyPEM
	for _, row := range []struct {
		name    string
		shown   mechanism.Credential
		at      []v1alpha1.Mechanism
		formats []v1alpha1.BindingFormat
		limit   int
	}{
		{"a password, one listener", password, []v1alpha1.Mechanism{scram}, nil, limit},
		{"a password, two listeners", password, []v1alpha1.Mechanism{scram, scram}, nil, limit},
		{"a password, three listeners", password, []v1alpha1.Mechanism{scram, scram, scram}, nil, limit},
		{"a certificate, one listener", certificate, []v1alpha1.Mechanism{tls}, nil, limit},
		{"both, two listeners", both, []v1alpha1.Mechanism{scram, tls}, nil, limit},
		{"from elsewhere, three listeners", mechanism.Credential{}, []v1alpha1.Mechanism{"External", "External", "External"},
			nil, limit},
		{"every format, one listener", both, []v1alpha1.Mechanism{tls}, allFormats(), 32 << 10},
		{"every format, three listeners", password, []v1alpha1.Mechanism{scram, scram, scram}, allFormats(), 32 << 10},
	} {
		var endpoints []Endpoint
		for n, m := range row.at {
			name := []string{"clients", "secure", "external"}[n]
			endpoints = append(endpoints, Endpoint{Listener: name, TLS: true, Mechanisms: []v1alpha1.Mechanism{m},
				Bootstrap: "events-" + name + ".kafka.svc.cluster.local:9094"})
		}
		data, err := Layout{Formats: row.formats, StorePassword: storePassword}.Connection(row.shown, ca.CertPEM, endpoints)
		if err != nil {
			t.Fatal(err)
		}
		t.Logf("%-32s %5d bytes, %2d entries", row.name, size(data), len(data))
		if size(data) > row.limit {
			for _, key := range slices.Sorted(maps.Keys(data)) {
				t.Logf("  %-28s %5d", key, len(data[key]))
			}
			t.Errorf("%s: %d bytes are more than %d", row.name, size(data), row.limit)
		}
	}
}

func TestWhatSpringWouldReplaceIsRefusedAndTheOtherFilesAreWritten(t *testing.T) {
	layout := Layout{Formats: []v1alpha1.BindingFormat{v1alpha1.FormatSpring, v1alpha1.FormatLibrdkafkaJSON}}
	shown := mechanism.Credential{Username: "app", Password: "a${HOME}"}
	data, err := layout.Connection(shown, nil, []Endpoint{{Listener: "a", Bootstrap: "a:1",
		Mechanisms: []v1alpha1.Mechanism{v1alpha1.MechanismPlain}}})
	if err != nil || data["spring.properties"] != nil || data["librdkafka.json"] == nil {
		t.Errorf("%v %v", err, data)
	}
	faults := layout.Unfit(shown)
	if len(faults) != 1 || faults[0].Field != FormatsField || strings.Contains(faults[0].Text(), "HOME") {
		t.Errorf("%v", faults)
	}
	if faults := (Layout{}).Unfit(shown); len(faults) != 0 {
		t.Errorf("nobody has asked for it: %v", faults)
	}
}

const pythonReader = `
import json, sys
for directory in sys.argv[1:]:
    one = json.load(open(directory + "/librdkafka.json"))
    two = json.load(open(directory + "/kafka-python.json"))
    print(json.dumps([one["sasl.password"], two["sasl_plain_password"], one["ssl.ca.pem"]]))
`

func TestPythonReadsEveryPasswordInOneLineWhateverItsLocale(t *testing.T) {
	python, err := exec.LookPath("python3")
	if err != nil {
		t.Skip("no python3: encoding/json stands for it")
	}
	arguments := []string{"-X", "utf8=0", "-c", pythonReader}
	for n, password := range hard {
		dir := filepath.Join(t.TempDir(), fmt.Sprint(n))
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
	command := exec.CommandContext(t.Context(), python, arguments...)
	command.Env = append(os.Environ(), "LC_ALL=C", "PYTHONCOERCECLOCALE=0")
	out, err := command.Output()
	if err != nil {
		t.Fatal(err)
	}
	read := strings.Split(strings.TrimSpace(string(out)), "\n")
	if len(read) != len(hard) {
		t.Fatalf("%d lines for %d passwords", len(read), len(hard))
	}
	for n, password := range hard {
		var got []string
		if err := json.Unmarshal([]byte(read[n]), &got); err != nil || len(got) != 3 || got[0] != password || got[1] != password ||
			got[2] != "-----BEGIN CERTIFICATE-----\nAA==\n-----END CERTIFICATE-----" {
			t.Errorf("Python reads %q, want %q", got, password)
		}
	}
}
