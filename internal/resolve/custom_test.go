package resolve

import (
	"strings"
	"testing"

	"github.com/castellan-dev/castellan/api/v1alpha1"
	"github.com/castellan-dev/castellan/internal/verdict"
)

// kerberos has the listener outside offer Kerberos beside SCRAM, as change has it.
func kerberos(change func(c *v1alpha1.ListenerCustom)) func(in *Inputs) {
	return func(in *Inputs) {
		a := in.Spec.Listeners[1].Authentication
		a.Mechanisms = append(a.Mechanisms, v1alpha1.MechanismCustom)
		a.Custom = &v1alpha1.ListenerCustom{Mechanism: "GSSAPI", Secret: v1alpha1.SecretName{Name: "kerberos"}}
		change(a.Custom)
	}
}

func offered(*v1alpha1.ListenerCustom) {}

func called(name string) func(in *Inputs) {
	return kerberos(func(c *v1alpha1.ListenerCustom) { c.Mechanism = name })
}

func beside(mechanisms ...v1alpha1.Mechanism) func(in *Inputs) {
	return func(in *Inputs) {
		kerberos(offered)(in)
		in.Spec.Listeners[1].Authentication.Mechanisms = mechanisms
	}
}

func with(change func(in *Inputs)) func(in *Inputs) {
	return func(in *Inputs) {
		kerberos(offered)(in)
		change(in)
	}
}

const ofCustom = "spec.listeners[outside].authentication.custom"

var customFaults = []badInput{
	{"Custom, and nothing says what", func(in *Inputs) {
		in.Spec.Listeners[1].Authentication.Mechanisms = []v1alpha1.Mechanism{v1alpha1.MechanismCustom}
	}, verdict.ReasonInvalid, ofCustom, "name mechanism and secret"},
	{"what Custom is, and nobody asks", beside(v1alpha1.MechanismScram512), verdict.ReasonInvalid, ofCustom,
		"add Custom to mechanisms"},
	{"Custom beside TLS", beside(v1alpha1.MechanismCustom, v1alpha1.MechanismTLS), verdict.ReasonInvalid,
		"spec.listeners[outside].authentication.mechanisms", "make a listener of its own"},
	{"a mechanism in small letters", called("gssapi"), verdict.ReasonInvalid, ofCustom + ".mechanism", "such as GSSAPI"},
	{"a mechanism that would begin another property", called("A.B"), verdict.ReasonInvalid, ofCustom + ".mechanism",
		"capitals, digits, - and _"},
	{"a mechanism without a name", called(""), verdict.ReasonInvalid, ofCustom + ".mechanism", "such as GSSAPI"},
	{"a mechanism of the operator's", called("SCRAM-SHA-512"), verdict.ReasonInvalid, ofCustom + ".mechanism",
		"name it in mechanisms"},
	{"a prefix that is an issuer's", func(in *Inputs) {
		tokens(func(*v1alpha1.ListenerOAuth) {})(in)
		prefix := "oidc:"
		kerberos(func(c *v1alpha1.ListenerCustom) { c.PrincipalPrefix = &prefix })(in)
	}, verdict.ReasonInvalid, ofCustom + ".principalPrefix", "give each a prefix"},
	{"tokens", called("OAUTHBEARER"), verdict.ReasonInvalid, ofCustom + ".mechanism", "name it in mechanisms"},
	{"TLS, which is none of SASL", called("TLS"), verdict.ReasonInvalid, ofCustom + ".mechanism", "name it in mechanisms"},
	{"PLAIN twice", func(in *Inputs) {
		called("PLAIN")(in)
		a := in.Spec.Listeners[1].Authentication
		a.Mechanisms = append(a.Mechanisms, v1alpha1.MechanismPlain)
	}, verdict.ReasonInvalid, ofCustom + ".mechanism", "remove one of the two"},
	{"a class that would be a variable", kerberos(func(c *v1alpha1.ListenerCustom) { c.CallbackHandlerClass = "${a:b}" }),
		verdict.ReasonInvalid, ofCustom + ".callbackHandlerClass", "such as com.example.Handler"},
	{"no Secret", kerberos(func(c *v1alpha1.ListenerCustom) { c.Secret.Name = "" }), verdict.ReasonInvalid,
		ofCustom + ".secret.name", "name the Secret with jaas.conf"},
	{"a prefix that would be a variable", kerberos(func(c *v1alpha1.ListenerCustom) { c.PrincipalPrefix = ptr("${a:b}") }),
		verdict.ReasonInvalid, ofCustom + ".principalPrefix", "at most 64 letters"},
	{"a variable of the provider in a key that many can read", with(config("log.cleaner.threads",
		"${castellan:/etc/castellan/login:outside.jaas.conf}")), verdict.ReasonInvalid, "spec.config[log.cleaner.threads]",
		"write the value itself"},
	{"a variable in the middle of a run-time key", with(config("log.retention.hours", "7${env:A}")), verdict.ReasonInvalid,
		"spec.config[log.retention.hours]", "write the value itself"},
	{"a variable of the user's own provider", with(config("my.plugin.password", "${env:A}")), verdict.ReasonInvalid,
		"spec.config[my.plugin.password]", "write the value itself"},
	{"a variable of a pool", with(func(in *Inputs) {
		in.Spec.Pools[1].Config = v1alpha1.Config{"my.plugin": "${castellan:/etc/castellan/login:outside.jaas.conf}"}
	}), verdict.ReasonInvalid, "spec.pools[extra].config[my.plugin]", "write the value itself"},
	{"a provider of the user's own", with(config("config.providers", "file")), verdict.ReasonInvalid,
		"spec.config[config.providers]", "remove this key"},
	{"an option of a provider", with(config("config.providers.castellan.param.allowed.paths", "/")), verdict.ReasonInvalid,
		"spec.config[config.providers.castellan.param.allowed.paths]", "remove this key"},
	{"a super user by a variable", with(func(in *Inputs) {
		in.Spec.Authorization = &v1alpha1.Authorization{Type: v1alpha1.AuthorizationSimple,
			FederatedSuperUsers: []string{"${castellan:/etc/castellan/login:outside.jaas.conf}"}}
	}), verdict.ReasonInvalid, "spec.authorization.federatedSuperUsers[${castellan:/etc/castellan/login:outside.jaas.conf}]",
		"and no name"},
}

func TestACustomMechanismThatIsFineIsTakenWithEveryDefault(t *testing.T) {
	in := running(t, small)
	kerberos(offered)(&in)
	c, faults := Resolve(in)
	if len(faults) > 0 {
		t.Fatal(faults)
	}
	l := c.Listeners[1]
	if l.Custom == nil || *l.Custom.PrincipalPrefix != "custom:" || l.SaslName() != "GSSAPI" || c.Listeners[0].Custom != nil {
		t.Errorf("%+v", l)
	}
}

// Kafka resolves no variable by itself: where there is no provider of the operator's, what users of today write stays.
func TestVariablesStayWhereNoListenerHasACustomMechanism(t *testing.T) {
	in := running(t, small)
	in.Spec.Config["my.plugin.password"], in.Spec.Config["config.providers"] = "${env:A}", "env"
	if _, faults := Resolve(in); len(faults) > 0 {
		t.Error(faults)
	}
}

func TestAForeignPLAINMayStandWhereNoPLAINOfTheOperatorsDoes(t *testing.T) {
	in := running(t, small)
	called("PLAIN")(&in)
	in.Spec.Listeners[1].Authentication.Custom.PrincipalPrefix = ptr("")
	in.Spec.Listeners[1].Encryption = v1alpha1.EncryptionNone
	c, faults := Resolve(in)
	if len(faults) > 0 {
		t.Fatal(faults)
	}
	told := strings.Join(Warnings(c), "\n")
	for _, want := range []string{"spec.listeners[outside]: PLAIN without TLS sends passwords", "custom.principalPrefix: it is empty"} {
		if !strings.Contains(told, want) {
			t.Errorf("%q is not in\n%s", want, told)
		}
	}
}

// Whom a mechanism names follows from its Secret, but for Kerberos, of which a broker has one configuration.
func TestWhoNamesUsersByAMechanismIsToldApartByItsSecret(t *testing.T) {
	for name, test := range map[string]struct {
		mechanism, first, second string
		refused                  bool
	}{
		"one directory at two listeners":       {"PLAIN", "ldap", "ldap", false},
		"two directories":                      {"PLAIN", "ldap", "partner", true},
		"Kerberos, of a Secret for each":       {"GSSAPI", "kerberos", "kerberos-2", false},
		"two mechanisms of a Secret each":      {"CORP", "corp", "other", true},
		"one mechanism of one Secret, as well": {"CORP", "corp", "corp", false},
	} {
		in := running(t, small)
		for n, secret := range []string{test.first, test.second} {
			l := &in.Spec.Listeners[n]
			l.Encryption, l.Authentication = v1alpha1.EncryptionTLS, &v1alpha1.ListenerAuthentication{
				Mechanisms: []v1alpha1.Mechanism{v1alpha1.MechanismCustom},
				Custom:     &v1alpha1.ListenerCustom{Mechanism: test.mechanism, Secret: v1alpha1.SecretName{Name: secret}}}
		}
		_, faults := Resolve(in)
		if refused := len(faults) == 1 && faults[0].Field == ofCustom+".principalPrefix"; refused != test.refused ||
			!refused && len(faults) > 0 {
			t.Errorf("%s: %v", name, faults)
		}
	}
}
