package users

import (
	"strings"
	"testing"

	"github.com/castellan-dev/castellan/api/v1alpha1"
	"github.com/castellan-dev/castellan/internal/mechanism"
	"github.com/castellan-dev/castellan/internal/model"
)

func TestPrincipalsThatAreNoUsers(t *testing.T) {
	const elsewhere, scram = v1alpha1.MechanismExternal, v1alpha1.MechanismScram512
	for name, c := range map[string]struct {
		user, namespace string
		mechanism       v1alpha1.Mechanism
		refused         bool
	}{
		"a token's subject":                       {"oidc:3f2a", "home", elsewhere, false},
		"a distinguished name":                    {"CN=app,OU=Team A,O=Example", "home", elsewhere, false},
		"a guest's":                               {"CN=app,OU=Team A,O=Example", "guests", elsewhere, false},
		"everybody":                               {"*", "home", elsewhere, false},
		"everybody, for a guest":                  {"*", "guests", elsewhere, true},
		"a super user":                            {"root", "home", elsewhere, true},
		"a super user with a password":            {"root", "home", scram, false},
		"who does not log in":                     {"ANONYMOUS", "home", elsewhere, true},
		"the operator":                            {"CN=castellan-operator,O=castellan", "home", elsewhere, true},
		"the nodes":                               {"CN=kafka-node,O=castellan", "home", elsewhere, true},
		"the operator's, written otherwise":       {"o=castellan, cn=Castellan-Operator", "home", elsewhere, true},
		"some other certificate of the operator":  {"CN=castellan-new,O=castellan", "home", elsewhere, true},
		"another organization's":                  {"CN=castellan-operator,O=Example", "home", elsewhere, false},
		"another name in the same organization":   {"CN=app,O=castellan", "home", elsewhere, true},
		"the marker of lists of certificates":     {"castellan-marker", "home", scram, true},
		"the marker's, from elsewhere":            {"castellan-marker", "home", elsewhere, true},
		"a name like the marker's":                {"castellan-markers", "home", scram, false},
		"a password for a distinguished name":     {"CN=app", "home", scram, true},
		"a password for a name with a quote":      {`a"b`, "home", scram, true},
		"a password for the name of the operator": {"CN=castellan-operator,O=castellan", "home", scram, true},
	} {
		t.Run(name, func(t *testing.T) {
			u := guest()
			u.Namespace, u.Spec.Name = c.namespace, c.user
			u.Spec.Authentication.Mechanisms = []v1alpha1.Mechanism{c.mechanism}
			bar := NotForUsers(u, model.Host{Namespace: "home", Name: "events", SuperUsers: []string{"root"}})
			if (bar != nil) != c.refused || bar != nil && (bar.Evicts || bar.Field != "spec.name" ||
				!strings.Contains(bar.Text(), "; choose another") && !strings.Contains(bar.Text(), "; use letters")) {
				t.Errorf("%+v", bar)
			}
		})
	}
	// The brokers of a cluster of others may have somebody else's certificates of that organization.
	u := guest()
	u.Namespace, u.Spec.Name = "home", "CN=app,O=castellan"
	u.Spec.Authentication.Mechanisms = []v1alpha1.Mechanism{elsewhere}
	if bar := NotForUsers(u, model.Host{Namespace: "home", Name: "events", External: true}); bar != nil {
		t.Errorf("in an external cluster: %+v", bar)
	}
}

func TestAUserFromElsewhereIsSentToAnyListener(t *testing.T) {
	asked := []v1alpha1.Mechanism{v1alpha1.MechanismExternal}
	host := model.Host{Name: "events", Listeners: []model.HostListener{
		{Name: "late", TLS: true, Inside: true, Late: true},
		{Name: "open", Bootstrap: "o:1"},
		{Name: "clients", Bootstrap: "c:1", TLS: true, Inside: true,
			Mechanisms: []v1alpha1.Mechanism{v1alpha1.MechanismPlain}},
		{Name: "certificates", Bootstrap: "x:1", TLS: true},
	}}
	if fault := NotOffered(host, asked); fault != nil {
		t.Error(fault.Text())
	}
	data, _ := plainFiles.Connection(mechanism.Credential{Username: "CN=app"}, []byte("PEM\n"), Endpoints(host, asked))
	for key, want := range map[string]string{
		"type": "kafka", "provider": "castellan", "bootstrap.servers": "c:1", "security.protocol": "SASL_SSL",
		"ca.crt": "PEM\n",
		"client.properties": "bootstrap.servers=c:1\nsecurity.protocol=SASL_SSL\n" +
			"ssl.truststore.type=PEM\nssl.truststore.certificates=PEM\n",
		"client.open.properties":         "bootstrap.servers=o:1\nsecurity.protocol=PLAINTEXT\n",
		"librdkafka.certificates.config": "bootstrap.servers=x:1\nsecurity.protocol=SSL\nssl.ca.pem=PEM\n",
		"bootstrap.servers.certificates": "x:1",
	} {
		if got := string(data[key]); got != want {
			t.Errorf("%s = %q, want %q", key, got, want)
		}
	}
	for key, value := range data {
		if key == "username" || key == PasswordKey || strings.Contains(key+string(value), "sasl.") {
			t.Errorf("there is a credential in it: %s", key)
		}
	}
	if _, there := data["bootstrap.servers.late"]; there {
		t.Error("it waits for an address that may not be known for long")
	}
}
