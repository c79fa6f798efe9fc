package mechanism

import (
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
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
	seen := map[string]bool{}
	for _, row := range Rows {
		name := string(row.Name)
		mayLack := []string{"Iterations"}
		if !row.IsUsers() {
			mayLack = append(mayLack, "Java", "Librdkafka", "Login")
		}
		if missing := complete(row, mayLack...); len(missing) > 0 {
			t.Errorf("%s lacks %v", name, missing)
			continue
		}
		if seen[name] {
			t.Errorf("%s has two rows", name)
		}
		seen[name] = true
		if (row.Store == ScramCredentials) != (row.Iterations > 0) {
			t.Errorf("%s: Kafka tells the iterations of SCRAM credentials, and of nothing else; the row says %d",
				name, row.Iterations)
		}
		if row.Store != ScramCredentials && row.Outside != OutsideNone {
			t.Errorf("%s: the files of brokers that are not ours cannot be written", name)
		}
		if len(row.Listener(Offer{UsersFile: "/users", KeysURL: "file:///keys"})) == 0 {
			t.Errorf("%s: a listener that offers it has no properties", name)
		}
		if !row.IsUsers() {
			continue
		}
		for _, settings := range [][]Property{row.Java("app", "hush"), row.Librdkafka("app", "hush")} {
			if !slices.ContainsFunc(settings,
				func(p Property) bool { return strings.HasPrefix(p.Key, "sasl.mechanism") && p.Value == name }) ||
				!slices.ContainsFunc(settings, func(p Property) bool { return strings.Contains(p.Value, "hush") }) {
				t.Errorf("%s: no client logs in with %v", name, settings)
			}
		}
		if login := row.Login("app", "hush"); login.Mechanism != name || login.Username != "app" ||
			login.Password != "hush" {
			t.Errorf("%s: its login is tried by %+v", name, login)
		}
	}
	if offered := enum(t, "kafkaclusters", "mechanisms"); !reflect.DeepEqual(offered, seen) {
		t.Errorf("the schema of kafkaclusters offers %v, and the table has %v", offered, seen)
	}
	for _, row := range Rows {
		if !row.IsUsers() {
			delete(seen, string(row.Name))
		}
	}
	if offered := enum(t, "kafkausers", "mechanisms"); !reflect.DeepEqual(offered, seen) {
		t.Errorf("the schema of kafkausers offers %v, and the table has %v for users", offered, seen)
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
	if got := AllNames(); got != "OAUTHBEARER, PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512" {
		t.Error(got)
	}
	if got := Names(func(r Row) bool { return r.Outside == OutsideToo }); got != "SCRAM-SHA-512 or SCRAM-SHA-256" {
		t.Error(got)
	}
	if got := Names(func(r Row) bool { return r.Store == PasswordFile }); got != "PLAIN" {
		t.Error(got)
	}
	if got := Names(Row.IsUsers); strings.Contains(got, "OAUTHBEARER") {
		t.Error(got)
	}
}
