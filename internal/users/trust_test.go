package users

import (
	"strings"
	"testing"
	"time"

	"github.com/castellan-dev/castellan/api/v1alpha1"
	"github.com/castellan-dev/castellan/internal/mechanism"
	"github.com/castellan-dev/castellan/internal/model"
	"github.com/castellan-dev/castellan/internal/pki"
)

// A user's Secret serves several listeners: ca.crt has what any of them needs, and the file of each what that one does.
func TestEachListenersFileTrustsWhoSignsForItAndCACrtAllOfThem(t *testing.T) {
	authority := func(name string) string {
		ca, err := pki.NewAuthority(name, time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC))
		if err != nil {
			t.Fatal(err)
		}
		return string(ca.CertPEM)
	}
	own, corporate := authority("own"), authority("corporate")
	at := func(listener string, trust model.Trust) Endpoint {
		return Endpoint{Listener: listener, Bootstrap: listener + ":1", TLS: true, Trust: trust,
			Mechanisms: []v1alpha1.Mechanism{v1alpha1.MechanismScram512}}
	}
	data, _ := plainFiles.Connection(mechanism.Credential{Username: "app", Password: "secret"}, []byte(own), []Endpoint{
		at("inside", model.Trust{}), at("outside", model.Trust{Anchors: corporate}), at("www", model.Trust{Public: true}),
		at("switching", model.Trust{Anchors: own + corporate}),
	})
	for entry, want := range map[string][2]bool{
		"ca.crt": {true, true}, "client.properties": {true, false}, "client.inside.properties": {true, false},
		"client.outside.properties": {false, true}, "librdkafka.outside.config": {false, true},
		"client.www.properties": {false, false}, "librdkafka.www.config": {false, false},
		"client.switching.properties": {true, true},
	} {
		text := strings.ReplaceAll(string(data[entry]), `\n`, "\n")
		for i, anchor := range []string{own, corporate} {
			if has := strings.Contains(text, strings.TrimSpace(anchor)); has != want[i] {
				t.Errorf("%s has anchor %d: %t", entry, i, has)
			}
		}
	}
	if n := strings.Count(string(data["ca.crt"]), "BEGIN CERTIFICATE"); n != 2 {
		t.Errorf("ca.crt has %d certificates", n)
	}
	if strings.Contains(string(data["client.www.properties"]), "truststore") {
		t.Error("who shall trust its system is given another trust store")
	}
	data, _ = plainFiles.Connection(mechanism.Credential{Username: "app", Password: "secret"}, []byte(own),
		[]Endpoint{at("www", model.Trust{Public: true})})
	if data["ca.crt"] != nil {
		t.Error("ca.crt of a public authority would be taken for all that is to be trusted")
	}
}
