package mechanism

import (
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/castellan-dev/castellan/api/v1alpha1"
)

// complete names the columns of a row that are empty.
func complete(row any, mayBeEmpty ...string) (missing []string) {
	v := reflect.ValueOf(row)
	for i := range v.NumField() {
		if name := v.Type().Field(i).Name; v.Field(i).IsZero() && !slices.Contains(mayBeEmpty, name) {
			missing = append(missing, name)
		}
	}
	return missing
}

func TestEveryMechanismIsACompleteRow(t *testing.T) {
	seen, offered, users := map[string]bool{}, map[string]bool{}, map[string]bool{}
	for _, row := range Rows {
		name, mayBeEmpty := string(row.Name), []string{"Iterations"}
		if !row.Offered() {
			mayBeEmpty = append(mayBeEmpty, "Listener")
		}
		if !row.Offered() || !row.IsUsers() {
			mayBeEmpty = append(mayBeEmpty, "Java", "Librdkafka", "Login")
		}
		if missing := complete(row, mayBeEmpty...); len(missing) > 0 {
			t.Errorf("%s lacks %v", name, missing)
			continue
		}
		if seen[name] {
			t.Errorf("%s has two rows", name)
		}
		if row.IsUsers() {
			users[name] = true
		}
		if seen[name] = true; !row.Offered() {
			continue
		}
		offered[name] = true
		if (row.Store == ScramCredentials) != (row.Iterations > 0) {
			t.Errorf("%s: Kafka tells the iterations of SCRAM credentials, and of nothing else; the row says %d",
				name, row.Iterations)
		}
		if row.Store != ScramCredentials && row.Outside != OutsideNone {
			t.Errorf("%s: the files of brokers that are not ours cannot be written", name)
		}
		before := "krb:"
		told := row.Listener(Offer{UsersFile: "/users", KeysURL: "file:///keys",
			Custom: &v1alpha1.ListenerCustom{Mechanism: "GSSAPI", PrincipalPrefix: &before}})
		if isSasl := row.Layer == LayerSasl; isSasl != (len(told) > 0) {
			t.Errorf("%s: a listener that offers a SASL mechanism has properties of it, and no other has", name)
		}
		if !row.IsUsers() {
			continue
		}
		all := Credential{Username: "app", Password: "hush", Certificate: []byte("chain\n"), Key: []byte("secret\nkey\n")}
		shown := []string{"hush"}
		if row.Store == CertificateFile {
			shown = []string{"chain", `secret\nkey`}
		}
		for _, settings := range [][]Property{row.Java(all), row.Librdkafka(all)} {
			for _, value := range shown {
				if !slices.ContainsFunc(settings, func(p Property) bool {
					return strings.Contains(strings.ReplaceAll(p.Value, "\n", `\n`), value)
				}) {
					t.Errorf("%s: no client shows %q with %v", name, value, settings)
				}
			}
			if (row.Layer == LayerSasl) != slices.ContainsFunc(settings,
				func(p Property) bool { return strings.HasPrefix(p.Key, "sasl.mechanism") && p.Value == name }) {
				t.Errorf("%s: no client logs in with %v", name, settings)
			}
		}
		if login := row.Login(all); login.Mechanism != name || login.Username != "app" ||
			(login.Password == "hush") != (row.Layer == LayerSasl) || (len(login.Key) > 0) != (row.Layer == LayerTLS) {
			t.Errorf("%s: its login is tried by %+v", name, login)
		}
	}
	for kind, want := range map[string]map[string]bool{"kafkaclusters": offered, "kafkausers": users} {
		if got := enum(t, kind, "mechanisms"); !reflect.DeepEqual(got, want) {
			t.Errorf("the schema of %s offers %v, and the table has %v", kind, got, want)
		}
	}
}

// enum reads the values that the API server admits for the items of a list.
func enum(t *testing.T, kind, list string) map[string]bool {
	t.Helper()
	crd, err := os.ReadFile(filepath.Join("../../config/crd/bases", "kafka.castellan.dev_"+kind+".yaml"))
	if err != nil {
		t.Fatal(err)
	}
	found := regexp.MustCompile(`(?s)\n +` + list + `:\n.*?enum:\n((?: +- [^\n]+\n)+)`).FindSubmatch(crd)
	if found == nil {
		t.Fatalf("the schema of %s has no list %s", kind, list)
	}
	values := map[string]bool{}
	for line := range strings.Lines(string(found[1])) {
		values[strings.TrimPrefix(strings.TrimSpace(line), "- ")] = true
	}
	return values
}

func TestTheTableIsToldInASentence(t *testing.T) {
	if got := AllNames(); got != "Custom, OAUTHBEARER, PLAIN, SCRAM-SHA-256, SCRAM-SHA-512 or TLS" {
		t.Error(got)
	}
	outside := func(r Row) bool { return r.Offered() && r.Outside == OutsideToo }
	if got := Names(outside); got != "SCRAM-SHA-512 or SCRAM-SHA-256" {
		t.Error(got)
	}
	if got := Names(func(r Row) bool { return r.Store == PasswordFile }); got != "PLAIN" {
		t.Error(got)
	}
	if got := Names(Row.IsUsers); strings.Contains(got, "OAUTHBEARER") || strings.Contains(got, "Custom") {
		t.Error(got)
	}
}

func TestACustomMechanismIsCalledAsItsListenerSays(t *testing.T) {
	offered := []v1alpha1.Mechanism{v1alpha1.MechanismCustom, v1alpha1.MechanismScram512, v1alpha1.MechanismTLS}
	if got := strings.Join(SaslNames(offered, "GSSAPI"), ","); got != "GSSAPI,SCRAM-SHA-512" {
		t.Error(got)
	}
	row, _ := Of(v1alpha1.MechanismCustom)
	if row.Shows("GSSAPI") || !row.Shows("PLAIN") {
		t.Error("whoever reads the traffic learns a password of PLAIN, and nothing of Kerberos")
	}
	scram, _ := Of(v1alpha1.MechanismScram512)
	for custom, want := range map[string]int{"GSSAPI": 2, "PLAIN": 1} {
		got := scram.Properties(Offer{Custom: &v1alpha1.ListenerCustom{Mechanism: custom}})
		if len(got) != want || want == 2 && got[1].Key != "scram-sha-512.sasl.login.class" {
			t.Errorf("beside %s, SCRAM has %v", custom, got)
		}
	}
	before, properties := "krb:", map[string]string{}
	for _, p := range row.Listener(Offer{Jaas: "${a:b:c}", Custom: &v1alpha1.ListenerCustom{Mechanism: "GSSAPI",
		CallbackHandlerClass: "com.example.Handler", PrincipalPrefix: &before}}) {
		properties[p.Key] = p.Value
	}
	if want := map[string]string{"gssapi.sasl.jaas.config": "${a:b:c}", "castellan.custom.mechanism": "GSSAPI",
		"gssapi.sasl.server.callback.handler.class": "com.example.Handler", "castellan.custom.principal.prefix": "krb:",
	}; !reflect.DeepEqual(properties, want) {
		t.Errorf("%v", properties)
	}
}
