package users

import (
	"bytes"
	"crypto/rand"
	"slices"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/castellan-dev/castellan/api/v1alpha1"
	"github.com/castellan-dev/castellan/internal/kafka"
	"github.com/castellan-dev/castellan/internal/mechanism"
	"github.com/castellan-dev/castellan/internal/model"
	"github.com/castellan-dev/castellan/internal/plainauth"
	"github.com/castellan-dev/castellan/internal/resolve"
)

func acl(principal, operation string) kafka.ACL {
	return kafka.ACL{Principal: principal, Host: "*", ResourceType: "Topic", ResourceName: "t", Pattern: "Literal",
		Operation: operation, Permission: "Allow"}
}

func TestPlanChangesOnlyWhatDiffersAndOnlyOfWhomIsDesired(t *testing.T) {
	stored := &v1alpha1.Credentials{Mechanisms: []v1alpha1.CredentialStatus{{Mechanism: v1alpha1.MechanismScram512,
		Iterations: mechanism.ScramIterations}}}
	scram := func(m string, i int32) []kafka.ScramCredential {
		return []kafka.ScramCredential{{Mechanism: m, Iterations: i}}
	}
	for _, c := range []struct {
		name                     string
		desired                  Desired
		live                     Live
		upserts, deletions       int
		created, deleted, quotas int
	}{
		{name: "converged",
			desired: Desired{Mechanisms: []v1alpha1.Mechanism{v1alpha1.MechanismPlain, v1alpha1.MechanismScram512},
				Recorded: stored, ACLs: []kafka.ACL{acl("User:a", "Read")}, Quotas: map[string]float64{"q": 1}},
			live: Live{Scram: map[string][]kafka.ScramCredential{"a": scram("SCRAM-SHA-512",
				mechanism.ScramIterations)}, ACLs: []kafka.ACL{acl("User:a", "Read")},
				Quotas: map[string]map[string]float64{"a": {"q": 1}}}},
		{name: "not on record is written again",
			desired: Desired{Mechanisms: []v1alpha1.Mechanism{v1alpha1.MechanismScram512}},
			live: Live{Scram: map[string][]kafka.ScramCredential{"a": scram("SCRAM-SHA-512",
				mechanism.ScramIterations)}}, upserts: 1},
		{name: "what Kafka's own tool has set is written again",
			desired: Desired{Mechanisms: []v1alpha1.Mechanism{v1alpha1.MechanismScram512}, Recorded: stored},
			live:    Live{Scram: map[string][]kafka.ScramCredential{"a": scram("SCRAM-SHA-512", 4096)}}, upserts: 1},
		{name: "other iterations are written again",
			desired: Desired{Mechanisms: []v1alpha1.Mechanism{v1alpha1.MechanismScram512}, Recorded: stored},
			live:    Live{Scram: map[string][]kafka.ScramCredential{"a": scram("SCRAM-SHA-512", 8192)}}, upserts: 1},
		{name: "missing is written", desired: Desired{Mechanisms: []v1alpha1.Mechanism{v1alpha1.MechanismScram512},
			Recorded: stored}, upserts: 1},
		{name: "nothing desired takes everything away", desired: Desired{},
			live: Live{Scram: map[string][]kafka.ScramCredential{"a": scram("SCRAM-SHA-256",
				mechanism.ScramIterations)}, ACLs: []kafka.ACL{acl("User:a", "Read"), acl("User:a", "Write")},
				Quotas: map[string]map[string]float64{"a": {"q": 1}}}, deletions: 1, deleted: 2, quotas: 1},
		{name: "a surplus ACL goes and a missing one comes",
			desired: Desired{ACLs: []kafka.ACL{acl("User:a", "Read")}},
			live:    Live{ACLs: []kafka.ACL{acl("User:a", "Write")}}, created: 1, deleted: 1},
		{name: "an ACL beyond our words stays", desired: Desired{},
			live: Live{ACLs: []kafka.ACL{acl("User:a", "#99")}}},
		{name: "another quota is set", desired: Desired{Quotas: map[string]float64{"q": 2}},
			live: Live{Quotas: map[string]map[string]float64{"a": {"q": 1}}}, quotas: 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.desired.Name = "a"
			c.live.ACLs = append(c.live.ACLs, acl("User:foreign", "All"))
			got := Plan([]Desired{c.desired}, c.live)
			if len(got.Upserts) != c.upserts || len(got.Deletions) != c.deletions ||
				len(got.CreateACLs) != c.created || len(got.DeleteACLs) != c.deleted || len(got.Quotas) != c.quotas {
				t.Errorf("%d upserts, %d deletions, ACLs %v %v, quotas %v", len(got.Upserts), len(got.Deletions),
					got.CreateACLs, got.DeleteACLs, got.Quotas)
			}
		})
	}
}

func TestWhoLosesAllACLsLosesThemByOneFilterForEachPermission(t *testing.T) {
	deny := acl("User:a", "Delete")
	deny.Permission = "Deny"
	three := []kafka.ACL{acl("User:a", "Read"), acl("User:a", "Write"), deny}
	for name, c := range map[string]struct {
		desired Desired
		live    []kafka.ACL
		whole   bool
	}{
		"all go":                         {Desired{}, three, true},
		"a single one":                   {Desired{}, three[:1], false}, // which its name costs no more
		"one stays":                      {Desired{ACLs: three[:1]}, three, false},
		"another comes":                  {Desired{ACLs: []kafka.ACL{acl("User:a", "Alter")}}, three, false},
		"others have added some (Merge)": {Desired{Stake: &Stake{Added: three}}, three, false},
		"one is beyond our words":        {Desired{}, append([]kafka.ACL{acl("User:a", "#99")}, three...), false},
		"nothing is changed":             {Desired{KeepACLs: true}, three, false},
	} {
		c.desired.Name = "a"
		changes := Plan([]Desired{c.desired}, Live{ACLs: c.live})
		steps := changes.ACLSteps()
		var allow, forbid []kafka.ACLsOf
		if c.whole {
			allow = []kafka.ACLsOf{{Principal: "User:a", Permission: "Allow", Count: 2}}
			forbid = []kafka.ACLsOf{{Principal: "User:a", Permission: "Deny", Count: 1}}
		}
		if !slices.Equal(steps[2].Whole, allow) || !slices.Equal(steps[3].Whole, forbid) {
			t.Errorf("%s: %v, and then %v", name, steps[2].Whole, steps[3].Whole)
		}
		one := len(steps[2].ACLs) + len(steps[3].ACLs)
		if c.whole != (one == 0 && len(changes.DeleteACLs) > 0) {
			t.Errorf("%s: %d go one by one", name, one)
		}
	}
}

func TestRulesAreSpelledOutOnceEach(t *testing.T) {
	rules := []v1alpha1.ACLRule{
		{Resource: v1alpha1.ACLResource{Type: v1alpha1.ResourceCluster}, Operations: []v1alpha1.Operation{"Create"}},
		{Resource: v1alpha1.ACLResource{Type: v1alpha1.ResourceTopic, Name: "t"},
			Operations: []v1alpha1.Operation{"Read", "Write"}},
		{Resource: v1alpha1.ACLResource{Type: v1alpha1.ResourceTopic, Name: "t", Pattern: v1alpha1.PatternLiteral},
			Operations: []v1alpha1.Operation{"Read"}, Permission: "Allow", Host: "*"},
	}
	acls := ACLsOf("a", rules)
	if len(acls) != 3 || acls[0].ResourceName != "kafka-cluster" || acls[0].Principal != "User:a" {
		t.Errorf("%v", acls)
	}
}

func TestPasswordsAreLongDifferentAndUsable(t *testing.T) {
	a, err := NewPassword(rand.Reader)
	b, _ := NewPassword(rand.Reader)
	if err != nil || len(a) != 32 || a == b || Unusable(a) != "" {
		t.Error("not a password")
	}
	if _, err := NewPassword(bytes.NewReader(nil)); err == nil {
		t.Error("no randomness is an error")
	}
	long := strings.Repeat("a", 20)
	if PasswordHash("u1", a) == PasswordHash("u2", a) || strings.Contains(PasswordHash("u1", a), a) {
		t.Error("the hash tells too much")
	}
	if !Generated(a) || Generated(long+"abcdefghijkl"[:11]) || Generated(a[:31]+"-") {
		t.Error("whose password it is cannot be told")
	}
	salt, err := NewSalt(rand.Reader)
	if again, _ := NewSalt(rand.Reader); err != nil || !IsSalt(salt) || salt == again || IsSalt("") || IsSalt(salt[2:]) {
		t.Error("not a salt")
	}
	if _, err := NewSalt(bytes.NewReader(nil)); err == nil {
		t.Error("no randomness is an error")
	}
}

func TestThePlainFileKeepsWhatStillVerifies(t *testing.T) {
	all := map[string]bool{"a": true, "b": true}
	set := map[string]PlainUser{"a": {Password: "passwordpassword"}, "b": {Password: "otherotherother!"}}
	file, entries, missing, err := PlainFile(nil, all, set, rand.Reader, nil)
	if err != nil || len(missing) != 0 || len(entries) != 2 {
		t.Fatal(entries, missing, err)
	}
	again, _, _, _ := PlainFile(file, all, map[string]PlainUser{"a": set["a"]}, rand.Reader, nil)
	if !bytes.Equal(file, again) {
		t.Error("an unchanged file is written anew")
	}
	proven, _, _, _ := PlainFile(file, all,
		map[string]PlainUser{"a": {Password: "passwordpassword", Proven: entries["a"]}}, nil, nil)
	if !bytes.Equal(file, proven) {
		t.Error("a proven entry is kept without a look")
	}
	changed, _, _, _ := PlainFile(file, map[string]bool{"a": true, "c": true},
		map[string]PlainUser{"a": {Password: "changedchanged!!", Proven: plainauth.Entry{}}}, rand.Reader, nil)
	parsed, _ := plainauth.ParseUsersFile(changed)
	if len(parsed) != 1 || len(parsed["a"]) != 1 || !parsed["a"][0].Verify("changedchanged!!") {
		t.Errorf("%v", parsed)
	}
	_, _, missing, _ = PlainFile(file, map[string]bool{"a": true, "c": true}, nil, rand.Reader, nil)
	if !slices.Equal(missing, []string{"c"}) {
		t.Errorf("missing %v", missing)
	}
}

func TestTheDefaultEndpointIsInternalAndOffersAll(t *testing.T) {
	listener := func(name string, exposure v1alpha1.ExposureType, mechanisms ...v1alpha1.Mechanism) v1alpha1.Listener {
		return v1alpha1.Listener{Name: name, Exposure: v1alpha1.Exposure{Type: exposure},
			Authentication: &v1alpha1.ListenerAuthentication{Mechanisms: mechanisms}}
	}
	host := resolve.HostOf(&v1alpha1.KafkaCluster{Spec: v1alpha1.KafkaClusterSpec{Listeners: []v1alpha1.Listener{
		listener("out", v1alpha1.ExposureNodePort, v1alpha1.MechanismPlain, v1alpha1.MechanismScram512),
		listener("some", v1alpha1.ExposureInternal, v1alpha1.MechanismPlain),
		{Name: "open"},
		listener("all", v1alpha1.ExposureInternal, v1alpha1.MechanismPlain, v1alpha1.MechanismScram512),
	}}})
	var names []string
	endpoints := Endpoints(host, []v1alpha1.Mechanism{v1alpha1.MechanismPlain, v1alpha1.MechanismScram512})
	for _, e := range endpoints {
		names = append(names, e.Listener)
	}
	if !slices.Equal(names, []string{"all", "some", "out"}) ||
		endpoints[0].Mechanisms[0] != v1alpha1.MechanismScram512 {
		t.Errorf("%v %v", names, endpoints[0].Mechanisms)
	}
	host.Listeners = append(host.Listeners,
		model.HostListener{Name: "issuer", Mechanisms: []v1alpha1.Mechanism{v1alpha1.MechanismOAuthBearer}},
		model.HostListener{Name: "both", Mechanisms: []v1alpha1.Mechanism{v1alpha1.MechanismOAuthBearer, v1alpha1.MechanismPlain}},
		model.HostListener{Name: "kerberos", Mechanisms: []v1alpha1.Mechanism{v1alpha1.MechanismCustom}, SaslName: "GSSAPI"})
	fault := NotOffered(host, []v1alpha1.Mechanism{v1alpha1.MechanismScram256})
	if message := fault.Text(); !strings.Contains(message, "SCRAM-SHA-256") ||
		!strings.Contains(message, "open (nobody logs in)") || strings.Contains(message, "OAUTHBEARER") ||
		!strings.Contains(message, "issuer (tokens of an issuer alone), both (PLAIN), kerberos (users of others alone)") {
		t.Error(message)
	}
}

// A PLAIN of somebody else's takes no password of a KafkaUser, and says what its own users need.
func TestWhoIsKnownElsewhereIsToldTheCustomMechanism(t *testing.T) {
	host := model.Host{Name: "events", Listeners: []model.HostListener{
		{Name: "ldap", TLS: true, Inside: true, Bootstrap: "h:1", SaslName: "PLAIN",
			Mechanisms: []v1alpha1.Mechanism{v1alpha1.MechanismCustom, v1alpha1.MechanismScram512}},
		{Name: "mixed", TLS: true, Inside: true, Bootstrap: "h:2", SaslName: "GSSAPI",
			Mechanisms: []v1alpha1.Mechanism{v1alpha1.MechanismCustom, v1alpha1.MechanismOAuthBearer}},
	}}
	if got := Endpoints(host, []v1alpha1.Mechanism{v1alpha1.MechanismPlain}); len(got) != 0 {
		t.Errorf("a user of PLAIN is sent to %+v", got)
	}
	data, _ := plainFiles.Connection(mechanism.Credential{Username: "ldap:alice"}, nil,
		Endpoints(host, []v1alpha1.Mechanism{v1alpha1.MechanismExternal}))
	for entry, want := range map[string]string{
		"sasl.mechanism": "PLAIN", "bootstrap.servers": "h:1", "security.protocol": "SASL_SSL", "username": "", "password": "",
		"sasl.jaas.config":        "",
		"client.ldap.properties":  "bootstrap.servers=h:1\nsecurity.protocol=SASL_SSL\nsasl.mechanism=PLAIN\n",
		"librdkafka.ldap.config":  "bootstrap.servers=h:1\nsecurity.protocol=SASL_SSL\nsasl.mechanisms=PLAIN\n",
		"client.mixed.properties": "bootstrap.servers=h:2\nsecurity.protocol=SASL_SSL\n", // a token, or a ticket
	} {
		if got := string(data[entry]); got != want {
			t.Errorf("%s is %q, want %q", entry, got, want)
		}
	}
}

func TestTheConnectionSecretHoldsAllThatAClientNeeds(t *testing.T) {
	const jaas = `org.apache.kafka.common.security.scram.ScramLoginModule required ` +
		`username="app" password="secretsecretsecret";`
	data, _ := plainFiles.Connection(mechanism.Credential{Username: "app", Password: "secretsecretsecret"},
		[]byte("-----BEGIN CERTIFICATE-----\nAA\n-----END CERTIFICATE-----\n"), []Endpoint{
			{Listener: "clients", Bootstrap: "h:1", TLS: true, Internal: true,
				Mechanisms: []v1alpha1.Mechanism{v1alpha1.MechanismScram512}},
			{Listener: "outside", Bootstrap: "n:2", Mechanisms: []v1alpha1.Mechanism{v1alpha1.MechanismPlain}},
		})
	for key, want := range map[string]string{
		"type": "kafka", "provider": "castellan", "bootstrap.servers": "h:1", "security.protocol": "SASL_SSL",
		"sasl.mechanism": "SCRAM-SHA-512",
		"username":       "app", "password": "secretsecretsecret", "bootstrap.servers.outside": "n:2",
		"sasl.jaas.config": jaas,
		"client.properties": "bootstrap.servers=h:1\nsecurity.protocol=SASL_SSL\nsasl.mechanism=SCRAM-SHA-512\n" +
			"sasl.jaas.config=" + jaas + "\n" +
			"ssl.truststore.type=PEM\n" +
			`ssl.truststore.certificates=-----BEGIN CERTIFICATE-----\nAA\n-----END CERTIFICATE-----` + "\n",
		"librdkafka.outside.config": "bootstrap.servers=n:2\nsecurity.protocol=SASL_PLAINTEXT\n" +
			"sasl.mechanisms=PLAIN\nsasl.username=app\nsasl.password=secretsecretsecret\n",
	} {
		if got := string(data[key]); got != want {
			t.Errorf("%s = %q", key, got)
		}
	}
	if len(data["ca.crt"]) == 0 || strings.Contains(string(data["client.outside.properties"]), "ssl.") {
		t.Error("the CA stands where there is TLS, and only there")
	}
}

func TestSecretNamesFit(t *testing.T) {
	name := func(user string) string {
		return SecretName(&v1alpha1.KafkaUser{ObjectMeta: metav1.ObjectMeta{Name: user}})
	}
	if got := name("app"); got != "app-kafka" {
		t.Error(got)
	}
	long := name(strings.Repeat("a", 253))
	if len(long) > 253 || long == name(strings.Repeat("a", 252)) {
		t.Error(long)
	}
	if got := SecretName(&v1alpha1.KafkaUser{Spec: v1alpha1.KafkaUserSpec{
		Binding: &v1alpha1.UserBinding{Name: "orders"}}}); got != "orders" {
		t.Error(got)
	}
}
