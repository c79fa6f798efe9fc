package decide

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/castellan-dev/castellan/api/v1alpha1"
	"github.com/castellan-dev/castellan/internal/provided"
	"github.com/castellan-dev/castellan/internal/render"
	"github.com/castellan-dev/castellan/internal/report"
	"github.com/castellan-dev/castellan/internal/resolve"
)

const (
	firstJaas  = `com.sun.security.auth.module.Krb5LoginModule required serviceName="kafka" storeKey=true;`
	secondJaas = `com.sun.security.auth.module.Krb5LoginModule required serviceName="kafka" useKeyTab=true;`
)

var kerberosRef = provided.Ref{Name: "kerberos", Use: v1alpha1.UsePlugin}

// offersKerberos is a running cluster that is asked to offer Kerberos at its listener. Nothing is accepted of that yet.
func offersKerberos(t *testing.T) Inputs {
	t.Helper()
	in := running(t)
	in.Cluster.Spec.Listeners = []v1alpha1.Listener{{Name: "clients", Port: 9092}}
	in.Accepted = in.Cluster.Spec.DeepCopy()
	d := Decide(in)
	issueAll(t, in, d)
	in = renderedAgain(t, in, d)
	in.Cluster.Spec.Listeners[0].Authentication = &v1alpha1.ListenerAuthentication{
		Mechanisms: []v1alpha1.Mechanism{v1alpha1.MechanismCustom},
		Custom:     &v1alpha1.ListenerCustom{Mechanism: "GSSAPI", Secret: v1alpha1.SecretName{Name: "kerberos"}}}
	in.Provided = provided.Secrets{kerberosRef: {"jaas.conf": []byte(firstJaas), "krb5.conf": []byte("[libdefaults]"),
		"kafka.keytab": {5, 2, 1}}}
	return in
}

// writeLogins writes the copy as a pass would.
func writeLogins(t *testing.T, in Inputs) Decision {
	t.Helper()
	d := Decide(in)
	in.Live.Secrets[d.Logins.Secret] = &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: d.Logins.Secret}, Data: d.Logins.Data}
	after := Decide(in)
	if !after.Logins.Current || after.Logins.Digest == "" {
		t.Fatalf("what was written is written again: %+v", after.Logins)
	}
	return after
}

// loggedIn is the same cluster once its brokers offer Kerberos.
func loggedIn(t *testing.T) (Inputs, Decision) {
	t.Helper()
	in := offersKerberos(t)
	in.Accepted = in.Cluster.Spec.DeepCopy()
	d := writeLogins(t, in)
	issueAll(t, in, d)
	in = renderedAgain(t, in, d)
	return in, writeLogins(t, in)
}

func told(d Decision) string {
	var all []string
	for _, v := range d.Verdicts {
		all = append(all, v.Error())
	}
	return strings.Join(all, "\n")
}

func TestNoBrokerIsToldOfFilesThatAreNotThereYet(t *testing.T) {
	in := offersKerberos(t)
	before := Decide(in)
	if d := before; d.Logins.Secret != "events-logins" || d.Logins.Current || len(d.Files) != 0 || len(d.Verdicts) > 0 ||
		len(d.Plan.Steps) != 0 {
		t.Fatalf("%v, %d files, %v\n%s", d.Logins.Data, len(d.Files), d.Verdicts, d.Plan.String())
	}
	if got := slices.Sorted(maps.Keys(before.Logins.Data)); !slices.Equal(got,
		[]string{"clients", "clients.jaas.conf", "clients.kafka.keytab", "clients.krb5.conf"}) {
		t.Fatalf("brokers get %v", got)
	}
	d := writeLogins(t, in)
	if len(d.Files) != 3 || !strings.Contains(d.Files[0].Data["jvm"], "-Djava.security.krb5.conf=/etc/castellan/login/clients.krb5.conf") {
		t.Errorf("%v", d.Files)
	}
	if d.Plan.Empty() {
		t.Errorf("no broker restarts for it:\n%s", d.Plan.String())
	}
}

func TestASpecWhoseSecretCannotBeUsedIsNotCarriedOut(t *testing.T) {
	for name, c := range map[string]struct {
		change func(in *Inputs)
		want   string
	}{
		"missing":    {func(in *Inputs) { delete(in.Provided, kerberosRef) }, "create it with the line of JAAS"},
		"unlabelled": {func(in *Inputs) { in.Provided[kerberosRef] = nil }, "label it, if you may"},
		"broken":     {func(in *Inputs) { in.Provided[kerberosRef]["jaas.conf"] = []byte("x") }, "none of required"},
	} {
		in := offersKerberos(t)
		c.change(&in)
		d := Decide(in)
		if d.Model == nil || d.Model.HasCustom() || !strings.Contains(told(d), c.want) ||
			!strings.HasPrefix(told(d), "spec.listeners[clients].authentication.custom.secret.name: ") {
			t.Errorf("%s: %s", name, told(d))
		}
		if d.Logins.Secret != "" || !d.Plan.Empty() {
			t.Errorf("%s: %+v\n%s", name, d.Logins, d.Plan.String())
		}
	}
}

// What brokers have goes on, and whatever else is asked of the cluster is done.
func TestFilesGoOnWhateverBecomesOfTheirSecret(t *testing.T) {
	for name, change := range map[string]func(in *Inputs){
		"missing":    func(in *Inputs) { delete(in.Provided, kerberosRef) },
		"unlabelled": func(in *Inputs) { in.Provided[kerberosRef] = nil },
		"broken":     func(in *Inputs) { in.Provided[kerberosRef] = map[string][]byte{"jaas.conf": []byte("a.B;")} },
	} {
		in, before := loggedIn(t)
		if !before.Plan.Empty() {
			t.Fatalf("not at rest:\n%s", before.Plan.String())
		}
		change(&in)
		in.Cluster.Spec.Config = v1alpha1.Config{"log.cleaner.threads": "2", "log.message.timestamp.type": "LogAppendTime"}
		d := Decide(in)
		if !d.Logins.Current || string(d.Logins.Data["clients.jaas.conf"]) != firstJaas || len(d.Verdicts) != 1 {
			t.Errorf("%s: %+v; %s", name, d.Logins, told(d))
		}
		if d.Model.Pools[0].StaticConfig["log.message.timestamp.type"]+d.Model.DynamicConfig["log.cleaner.threads"] == "" {
			t.Errorf("%s: nothing else is cared for; %s", name, told(d))
		}
	}
}

func TestAnotherSecretThatCannotBeUsedLeavesTheFormerMechanismInForce(t *testing.T) {
	in, _ := loggedIn(t)
	custom := in.Cluster.Spec.Listeners[0].Authentication.Custom
	custom.Mechanism, custom.Secret.Name = "PLAIN", "ldap"
	d := Decide(in)
	if d.Model.Listeners[0].SaslName() != "GSSAPI" || !d.Logins.Current || !d.Plan.Empty() || !strings.Contains(told(d), `"ldap"`) {
		t.Errorf("%s\n%s", told(d), d.Plan.String())
	}
}

func TestAChangedLineOfJaasIsAPlannedRestartAndAChangedKeytabIsNone(t *testing.T) {
	in, before := loggedIn(t)
	in.Provided[kerberosRef] = map[string][]byte{"jaas.conf": []byte(firstJaas), "krb5.conf": []byte("[libdefaults]"),
		"kafka.keytab": {5, 2, 2}}
	d := writeLogins(t, in)
	if d.Files[0].Fingerprint != before.Files[0].Fingerprint || d.Logins.Data["clients.kafka.keytab"][2] != 2 || !d.Plan.Empty() {
		t.Errorf("another keytab: %v\n%s", d.Logins.Data["clients.kafka.keytab"], d.Plan.String())
	}
	if d.Logins.Digest == before.Logins.Digest {
		t.Error("no kubelet is told of another keytab")
	}
	for name, files := range map[string]map[string][]byte{
		"another line": {"jaas.conf": []byte(secondJaas), "krb5.conf": []byte("[libdefaults]"), "other.keytab": {1}},
		"another krb5": {"jaas.conf": []byte(firstJaas), "krb5.conf": []byte("[realms]"), "other.keytab": {1}},
		"no krb5":      {"jaas.conf": []byte(firstJaas), "other.keytab": {1}},
	} {
		in, before := loggedIn(t)
		in.Provided[kerberosRef] = files
		first := Decide(in)
		if first.Files[0].Fingerprint != before.Files[0].Fingerprint {
			t.Errorf("%s: brokers restart before the files are there", name)
		}
		if first.Logins.Data["clients.kafka.keytab"] == nil {
			t.Errorf("%s: brokers that run lose their keytab", name)
		}
		after := writeLogins(t, in)
		if after.Files[0].Fingerprint.User == before.Files[0].Fingerprint.User || after.Plan.Empty() {
			t.Errorf("%s: no planned restart:\n%s", name, after.Plan.String())
		}
		if after.Logins.Data["clients.kafka.keytab"] == nil {
			t.Errorf("%s: brokers lose their keytab in mid-roll", name)
		}
		in = renderedAgain(t, in, after)
		if rest := writeLogins(t, in); rest.Logins.Data["clients.kafka.keytab"] != nil || !rest.Plan.Empty() {
			t.Errorf("%s: at rest brokers have %v\n%s", name, slices.Sorted(maps.Keys(rest.Logins.Data)), rest.Plan.String())
		}
	}
}

func TestClientsAndProbesKnowTheMechanismByItsNameInSASL(t *testing.T) {
	in, d := loggedIn(t)
	if len(d.Ways) == 0 {
		t.Fatal("nobody looks at the way to the brokers")
	}
	for _, way := range d.Ways {
		if !slices.Equal(way.Mechanisms, []string{"GSSAPI"}) {
			t.Errorf("brokers are asked for %v", way.Mechanisms)
		}
	}
	in.Cluster.Status.Listeners = report.ListenerStatus(d.Model, nil)
	l := in.Cluster.Status.Listeners[0]
	if l.CustomMechanism != "GSSAPI" || !slices.Equal(l.Mechanisms, []v1alpha1.Mechanism{v1alpha1.MechanismCustom}) {
		t.Errorf("%+v", l)
	}
	in.Cluster.Spec.Listeners[0].Authentication.Custom.Mechanism = "OTHER" // and that is not in force
	if host := resolve.HostOf(in.Cluster); host.Listeners[0].SaslName != "GSSAPI" {
		t.Errorf("users are told of %s", host.Listeners[0].SaslName)
	}
}

// A fingerprint of a short password that many can read is as good as the password.
func TestNothingThatManyCanReadDependsOnWhatIsInTheFiles(t *testing.T) {
	print := func(line string) string {
		in := offersKerberos(t)
		in.NewUUID = func() string { return "the-same" }
		in.Provided[kerberosRef]["jaas.conf"] = []byte(line)
		in.Accepted = in.Cluster.Spec.DeepCopy()
		d := writeLogins(t, in)
		pool := &d.Model.Pools[0]
		revision := render.Revision(d.Model, pool, d.Files)
		set := render.StatefulSet(d.Model, pool, revision.Name, 3, nil)
		text, err := json.Marshal([]any{revision, set})
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	if first, second := print(`a.B required user_alice="hush-hush";`), print(`a.B required user_alice="other";`); first != second ||
		strings.Contains(first, "hush") {
		t.Errorf("a ConfigMap or a StatefulSet tells of it:\n%s\n%s", first, second)
	}
}

// A broker is a principal of its own in Kerberos, by the name at which clients come to it.
func TestEachBrokerHasItsOwnLineWhereLinesDiffer(t *testing.T) {
	in, _ := loggedIn(t)
	const line = `a.B required principal="kafka/{host}@EXAMPLE.COM" x="{nodeId}";`
	in.Provided[kerberosRef] = map[string][]byte{"jaas.conf": []byte(line)}
	d := writeLogins(t, in)
	if got, want := string(d.Logins.Data["1.clients.jaas.conf"]), `a.B required principal="kafka/`+d.Model.Nodes[1].Host+
		`@EXAMPLE.COM" x="1";`; got != want || !strings.Contains(got, "events-main-1") {
		t.Errorf("the line of node 1 is %s, want %s", got, want)
	}
	if text := d.Files[1].Data["server.properties"]; !strings.Contains(text, "${castellan:/etc/castellan/login:1.clients.jaas.conf}") {
		t.Errorf("%s", text)
	}
	in.Accepted = in.Cluster.Spec.DeepCopy()
	issueAll(t, in, d)
	in = renderedAgain(t, in, d)
	before := writeLogins(t, in)
	delete(in.Provided, kerberosRef) // and a node comes
	*in.Cluster.Spec.Pools[0].Replicas++
	if d = Decide(in); d.Files[3].Data != nil || d.Logins.Data["3.clients.jaas.conf"] == nil || d.Logins.Current {
		t.Errorf("a node starts without its line: %v, %+v", d.Files[3].Data, d.Logins)
	}
	if after := writeLogins(t, in); after.Files[3].Data == nil || after.Files[0].Fingerprint != before.Files[0].Fingerprint {
		t.Errorf("it never starts, or others restart for it\n%s", after.Plan.String())
	}
	in, _ = loggedIn(t)
	in.Provided[kerberosRef] = map[string][]byte{"jaas.conf": []byte(line)}
	in.Cluster.Spec.Listeners[0].Exposure.Type = v1alpha1.ExposureNodePort
	if d := Decide(in); !strings.Contains(told(d), "use {nodeId}, or advertise names") || len(d.Logins.Data["0.clients.jaas.conf"]) > 0 {
		t.Errorf("%s", told(d))
	}
}

func TestABrokerHasOneConfigurationOfKerberos(t *testing.T) {
	in, _ := loggedIn(t)
	second := *in.Cluster.Spec.Listeners[0].DeepCopy()
	second.Name, second.Port, second.Authentication.Custom.Secret.Name = "second", 9094, "second"
	in.Cluster.Spec.Listeners = append(in.Cluster.Spec.Listeners, second)
	in.Provided[provided.Ref{Name: "second", Use: v1alpha1.UsePlugin}] = map[string][]byte{
		"jaas.conf": []byte(firstJaas), "krb5.conf": []byte("[realms]")}
	if d := Decide(in); !strings.Contains(told(d), "spec.listeners[second].authentication.custom.secret.name: ") ||
		!strings.Contains(told(d), "make both the same") || len(d.Model.Listeners) != 1 {
		t.Errorf("%s", told(d))
	}
	in.Provided[provided.Ref{Name: "second", Use: v1alpha1.UsePlugin}]["krb5.conf"] = []byte("[libdefaults]")
	if d := Decide(in); len(d.Verdicts) > 0 || len(d.Logins.Data) != 7 {
		t.Errorf("%s; %v", told(d), slices.Sorted(maps.Keys(d.Logins.Data)))
	}
}

func TestFilesOfAListenerThatIsGoneGoOnceNobodyReadsThem(t *testing.T) {
	in, _ := loggedIn(t)
	in.Cluster.Spec.Listeners[0].Authentication = nil
	d := writeLogins(t, in)
	if d.Logins.Data["clients.jaas.conf"] == nil || d.Plan.Empty() {
		t.Errorf("%v\n%s", slices.Sorted(maps.Keys(d.Logins.Data)), d.Plan.String())
	}
	in.Accepted = in.Cluster.Spec.DeepCopy()
	issueAll(t, in, d)
	in = renderedAgain(t, in, d)
	if d := Decide(in); len(d.Logins.Data) != 0 || !d.Plan.Empty() {
		t.Errorf("%v\n%s", slices.Sorted(maps.Keys(d.Logins.Data)), d.Plan.String())
	}
}
