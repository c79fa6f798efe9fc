package users

import (
	"bytes"
	"crypto/rand"
	"strings"
	"testing"

	"github.com/castellan-dev/castellan/api/v1alpha1"
	"github.com/castellan-dev/castellan/internal/kafka"
	"github.com/castellan-dev/castellan/internal/mechanism"
)

// TestEveryMechanismIsSetAndThenStandsAndIsTakenAway walks the table: a row with a store that nobody writes fails here.
func TestEveryMechanismIsSetAndThenStandsAndIsTakenAway(t *testing.T) {
	const password = "passwordpassword"
	for _, row := range mechanism.Rows {
		t.Run(string(row.Name), func(t *testing.T) {
			asked := []v1alpha1.Mechanism{row.Name}
			record := CredentialsOf(nil, "id", "hash", asked, nil, nil)
			desired := Desired{Name: "app", Mechanisms: asked, Password: password, Recorded: record}
			store := newStore()
			if !store.carryOut(t, desired) || !store.opens(row, password) {
				t.Error("it is not set")
			}
			if store.carryOut(t, desired) {
				t.Error("it is set again although it stands")
			}
			if !store.carryOut(t, Desired{Name: "app"}) || store.opens(row, password) {
				t.Error("it is not taken away")
			}
			endpoint := Endpoint{Listener: "clients", Bootstrap: "h:1", Mechanisms: asked}
			secret := Connection("app", password, nil, []Endpoint{endpoint})
			for _, key := range []string{"sasl.mechanism", "client.properties", "librdkafka.config"} {
				if !strings.Contains(string(secret[key]), string(row.Name)) {
					t.Errorf("%s of its Secret is %q", key, secret[key])
				}
			}
		})
	}
}

// store is all that brokers look credentials up in.
type store struct {
	file  []byte
	scram map[string]kafka.ScramUpsert
}

func newStore() *store { return &store{scram: map[string]kafka.ScramUpsert{}} }

// carryOut does what is due for one user, and tells whether anything was.
func (s *store) carryOut(t *testing.T, d Desired) (written bool) {
	t.Helper()
	live := Live{Scram: map[string][]kafka.ScramCredential{}}
	for name, c := range s.scram {
		live.Scram[d.Name] = append(live.Scram[d.Name],
			kafka.ScramCredential{Mechanism: name, Iterations: c.Iterations})
	}
	changes := Plan([]Desired{d}, live)
	for _, u := range changes.Upserts {
		s.scram[u.Mechanism] = u
	}
	for _, u := range changes.Deletions {
		delete(s.scram, u.Mechanism)
	}
	set := map[string]PlainUser{}
	all := map[string]bool{}
	if mechanism.Uses(d.Mechanisms, mechanism.PasswordFile) {
		set[d.Name], all[d.Name] = PlainUser{Password: d.Password}, true
	}
	file, _, _, err := PlainFile(s.file, all, set, rand.Reader, nil)
	if err != nil {
		t.Fatal(err)
	}
	before := s.file
	if s.file = file; before == nil {
		before, _, _, _ = PlainFile(nil, nil, nil, nil, nil)
	}
	return len(changes.Upserts)+len(changes.Deletions) > 0 || !bytes.Equal(before, file)
}

// opens tells whether a login of the user "app" works.
func (s *store) opens(row mechanism.Row, password string) bool {
	switch row.Store {
	case mechanism.PasswordFile:
		return bytes.Contains(s.file, []byte("\napp:"))
	case mechanism.ScramCredentials:
		return s.scram[string(row.Name)].Password == password
	}
	return false
}
