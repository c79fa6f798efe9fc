package provided

import (
	"strings"
	"testing"

	"github.com/castellan-dev/castellan/api/v1alpha1"
	"github.com/castellan-dev/castellan/internal/model"
)

const goodJaas = `com.sun.security.auth.module.Krb5LoginModule required
  useKeyTab=true storeKey=true serviceName="kafka"
  keyTab="/etc/castellan/login/kerberos.kafka.keytab"
  principal="kafka/events.example.com@EXAMPLE.COM";
`

func TestALineOfJaasIsTakenOnlyIfKafkaReadsIt(t *testing.T) {
	for line, want := range map[string]string{
		goodJaas:                                "",
		`a.B required;`:                         "",
		`a.B OPTIONAL x=y z='a;b' ;`:            "",
		`a.B required user_alice="hush \" x";`:  "",
		`a.B required user_alice="hush${a:b}";`: "",
		"":                                      "it is empty",
		" \n":                                   "it is empty",
		`a.B required x="y"`:                    "does not end with a semicolon",
		`a.B required`:                          "does not end with a semicolon",
		`a.B;`:                                  "none of required",
		`a.B mandatory;`:                        "none of required",
		`KafkaServer { a.B required; };`:        "none of required",
		`{ a.B required; };`:                    "does not begin with the class",
		`"a.B" required;`:                       "does not begin with the class",
		`a.B required; c.D required;`:           "behind the semicolon",
		`a.B required x;`:                       "option x has no value",
		`a.B required keyTab=/etc/x;`:           "the value of option keyTab",
		`a.B required user_alice=1234;`:         "the value of option ...",
		`a.B required x="open;`:                 "the value of option x",
		`a.B required =y;`:                      "something that is no option",
		"a.B required x=\"y\x00\";":             "no text in UTF-8",
		"a.B required x=\"\xff\";":              "no text in UTF-8",
		`com.sun.security.auth.module.JndiLoginModule required;`:                "Module is none that Kafka takes",
		`com.sun.security.auth.module.LdapLoginModule required userFilter="x";`: "Module is none that Kafka takes",
		`a.B required x="` + strings.Repeat("y", maxJaas) + `";`:                "longer than",
	} {
		err := checkJaas(line)
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", line, err, want)
		}
		if err != nil && (strings.Contains(err.Error(), "hush") || strings.Contains(err.Error(), "1234") || strings.Contains(err.Error(), "alice")) {
			t.Errorf("it tells what is in it: %v", err)
		}
	}
}

func TestASecretForACustomMechanismIsTakenOnlyWholeAndLabelled(t *testing.T) {
	custom := &v1alpha1.ListenerCustom{Mechanism: "GSSAPI", Secret: v1alpha1.SecretName{Name: "kerberos"}}
	jaas := []byte(`a.B required user_alice="hush-hush";`)
	label := map[string]string{v1alpha1.LabelUse: v1alpha1.UsePlugin}
	for name, c := range map[string]struct {
		labels map[string]string
		data   map[string][]byte
		want   string
	}{
		"good":               {label, map[string][]byte{model.JaasEntry: jaas, "k.keytab": {0, 255}}, ""},
		"no label":           {nil, map[string][]byte{model.JaasEntry: jaas}, "kubectl label secret kerberos kafka.castellan.dev/use=plugin"},
		"for something else": {map[string]string{v1alpha1.LabelUse: v1alpha1.UseJWKS}, map[string][]byte{model.JaasEntry: jaas}, "nobody has labelled it"},
		"no line":            {label, map[string][]byte{"jaas": jaas}, "has no entry jaas.conf"},
		"nothing at all":     {label, nil, "has no entry jaas.conf"},
		"a broken line":      {label, map[string][]byte{model.JaasEntry: jaas[:len(jaas)-1]}, "add one"},
		"an empty krb5.conf": {label, map[string][]byte{model.JaasEntry: jaas, model.KerberosEntry: {}}, "krb5.conf is empty"},
		"a binary krb5.conf": {label, map[string][]byte{model.JaasEntry: jaas, model.KerberosEntry: {255}}, "krb5.conf is empty, or no text"},
		"too much":           {label, map[string][]byte{model.JaasEntry: jaas, "a": make([]byte, maxLogin)}, "there is room for 61440"},
		"a long name":        {label, map[string][]byte{model.JaasEntry: jaas, strings.Repeat("a", 201): {}}, "shorten it"},
	} {
		ref := Ref{"kerberos", v1alpha1.UsePlugin}
		data, fault := Secrets{ref: ref.Data(c.labels, c.data)}.Login("outside", custom)
		if (fault == nil) != (c.want == "") || (data == nil) != (fault != nil) {
			t.Errorf("%s: %v", name, fault)
			continue
		}
		if fault == nil {
			continue
		}
		if fault.Field != "spec.listeners[outside].authentication.custom.secret.name" || !strings.Contains(fault.Sentence(), c.want) ||
			strings.Contains(fault.Sentence(), "hush") {
			t.Errorf("%s: %s", name, fault.Error())
		}
	}
	if _, fault := (Secrets{}).Login("outside", custom); fault == nil || !strings.Contains(fault.Sentence(), "kafka.castellan.dev/use=plugin") {
		t.Errorf("%v", fault)
	}
}
