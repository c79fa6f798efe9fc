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
		if !row.Offered() || !row.IsUsers() {
			continue
		}
		t.Run(string(row.Name), func(t *testing.T) {
			asked := []v1alpha1.Mechanism{row.Name}
			record := CredentialsOf(nil, "id", "hash", asked, nil, nil)
			store := newStore(t)
			desired := Desired{Name: "app", Mechanisms: asked, Password: password, Recorded: record}
			if !store.carryOut(t, desired) || !store.opens(row, password) {
				t.Error("it is not set")
			}
			if store.carryOut(t, desired) {
				t.Error("it is set again although it stands")
			}
			if !store.carryOut(t, Desired{Name: "app"}) || store.opens(row, password) {
				t.Error("it is not taken away")
			}
			endpoint := Endpoint{Listener: "clients", Bootstrap: "h:1", TLS: true, Mechanisms: asked}
			shown := mechanism.Credential{Username: "app", Password: password}
			keys, word := []string{"sasl.mechanism", "client.properties", "librdkafka.config"}, string(row.Name)
			if row.Layer == mechanism.LayerTLS {
				shown = mechanism.Credential{Username: "app", Certificate: store.certificate.CertPEM, Key: store.certificate.KeyPEM}
				keys, word = []string{"user.key", "client.properties", "librdkafka.json"}, "BEGIN PRIVATE KEY"
			}
			secret, _ := Layout{}.Connection(shown, nil, []Endpoint{endpoint})
			for _, key := range keys {
				if !strings.Contains(string(secret[key]), word) {
					t.Errorf("%s of its Secret is %q", key, secret[key])
				}
			}
		})
	}
}

// store is all that brokers look credentials up in.
type store struct {
	file, list  []byte
	scram       map[string]kafka.ScramUpsert
	certificate Certificate // of the user
}

func newStore(t *testing.T) *store {
	t.Helper()
	s := &store{scram: map[string]kafka.ScramUpsert{}}
	s.certificate = issued(t, clientsAuthority(t), "app", issuedAt)
	return s
}

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
	certified := map[string]Certificate{}
	listed := map[string]bool{}
	if mechanism.Uses(d.Mechanisms, mechanism.CertificateFile) {
		certified[d.Name], listed[d.Name] = s.certificate, true
	}
	list, _, _ := CertificateList(s.list, listed, certified, issuedAt)
	relisted := !bytes.Equal(s.list, list)
	s.list = list
	return len(changes.Upserts)+len(changes.Deletions) > 0 || !bytes.Equal(before, file) || relisted
}

// opens tells whether a login of the user "app" works.
func (s *store) opens(row mechanism.Row, password string) bool {
	switch row.Store {
	case mechanism.PasswordFile:
		return bytes.Contains(s.file, []byte("\napp:"))
	case mechanism.CertificateFile:
		return bytes.Contains(s.list, []byte("\napp:"+s.certificate.Status().Fingerprint))
	case mechanism.ScramCredentials:
		return s.scram[string(row.Name)].Password == password
	}
	return false
}
