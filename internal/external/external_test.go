package external

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/api/meta"

	"github.com/castellan-dev/castellan/api/v1alpha1"
	"github.com/castellan-dev/castellan/internal/kafka"
	"github.com/castellan-dev/castellan/internal/kafka/kafkatest"
	"github.com/castellan-dev/castellan/internal/verdict"
)

var now = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func spec(mechanism v1alpha1.ExternalMechanism, encrypted bool) *v1alpha1.External {
	e := &v1alpha1.External{BootstrapServers: []v1alpha1.BootstrapServer{"a.example.com:9092", "b.example.com:9092"}}
	if encrypted {
		e.TLS = &v1alpha1.ExternalTLS{CASecret: &v1alpha1.CASecret{Name: "trust"}}
	}
	if mechanism != "" {
		e.Authentication = &v1alpha1.ExternalAuthentication{Mechanism: mechanism, SecretName: "login"}
	}
	return e
}

// secretData is what the Secrets of a namespace hold, by name and key.
type secretData = map[string]map[string][]byte

func secrets(t *testing.T) secretData {
	t.Helper()
	ca, err := kafkatest.NewAuthority()
	if err != nil {
		t.Fatal(err)
	}
	certificate, key, err := ca.Issue("operator")
	if err != nil {
		t.Fatal(err)
	}
	return map[string]map[string][]byte{
		"trust": {"ca.crt": ca.PEM},
		"login": {"username": []byte("op"), "password": []byte("hush-hush"), "tls.crt": certificate, "tls.key": key},
	}
}

func TestAccessIsMadeOfTheSpecAndItsSecrets(t *testing.T) {
	given := secrets(t)
	for _, c := range []struct {
		mechanism v1alpha1.ExternalMechanism
		tls       bool
		check     func(Access) bool
	}{
		{"", false, func(a Access) bool { return a.CA == nil && !a.SystemRoots && a.Mechanism == "" }},
		{"PLAIN", false, func(a Access) bool {
			return a.Mechanism == "PLAIN" && a.Username == "op" &&
				a.Password == "hush-hush"
		}},
		{"SCRAM-SHA-512", true, func(a Access) bool {
			return a.Mechanism == "SCRAM-SHA-512" && len(a.CA) > 0 &&
				a.Key == nil
		}},
		{"TLS", true, func(a Access) bool {
			return a.Mechanism == "" && len(a.Certificate) > 0 && len(a.Key) > 0 && a.Password == ""
		}},
	} {
		a, f := Resolve("kafka", spec(c.mechanism, c.tls), given)
		if f != nil || !c.check(a) || !slices.Equal(a.Seeds, []string{"a.example.com:9092", "b.example.com:9092"}) {
			t.Errorf("%q: %v", c.mechanism, f)
		}
	}
	system := spec("", true)
	system.TLS.CASecret = nil
	if a, f := Resolve("kafka", system, nil); f != nil || !a.SystemRoots {
		t.Errorf("the system's authorities: %+v %v", a, f)
	}
	one := spec("TLS", true)
	one.TLS.CASecret.Name = "login"
	if names := Secrets(one); !slices.Equal(names, []string{"login"}) {
		t.Errorf("one Secret for both is read once: %v", names)
	}
}

func TestOfTheSecretOfAnAuthorityOnlyCertificatesAreTaken(t *testing.T) {
	given := secrets(t)
	certificate := string(given["trust"]["ca.crt"])
	given["trust"]["ca.crt"] = append([]byte(certificate), given["login"]["tls.key"]...)
	a, f := Resolve("kafka", spec("PLAIN", true), given)
	if f != nil || string(a.CA) != certificate {
		t.Errorf("users' Secrets hold the authority's, and %d bytes of another kind: %v", len(a.CA)-len(certificate), f)
	}
}

func TestWhatIsWrongWithASecretIsToldWithFieldAndCure(t *testing.T) {
	for _, c := range []struct {
		name      string
		mechanism v1alpha1.ExternalMechanism
		spoil     func(secretData)
		says      []string
	}{
		{"no Secret", "PLAIN", func(s secretData) { delete(s, "login") },
			[]string{"authentication.secretName", `no Secret "login"`,
				"with the label kafka.castellan.dev/use=external-cluster; ",
				`create it with the keys "username" and "password"`,
				"kubectl -n kafka label secret login kafka.castellan.dev/use=external-cluster"}},
		{"not labelled", "PLAIN", func(s secretData) { s["login"] = Data(nil, s["login"]) },
			[]string{"authentication.secretName", `"login"`, "is not read",
				"kubectl -n kafka label secret login kafka.castellan.dev/use=external-cluster"}},
		{"a CA that is not labelled", "PLAIN", func(s secretData) { s["trust"] = Data(nil, s["trust"]) },
			[]string{"tls.caSecret", `"trust"`, "kubectl -n kafka label secret trust kafka.castellan.dev/use=external-cluster"}},
		{"labelled and empty", "PLAIN", func(s secretData) {
			s["login"] = Data(map[string]string{"kafka.castellan.dev/use": "external-cluster"}, nil)
		}, []string{`"username"`, "add it"}},
		{"no password", "PLAIN", func(s secretData) { delete(s["login"], "password") },
			[]string{"authentication.secretName", `"password"`, "add it"}},
		{"an empty name", "PLAIN", func(s secretData) { s["login"]["username"] = nil },
			[]string{`"username"`, "add it"}},
		{"a line break", "PLAIN", func(s secretData) { s["login"]["password"] = []byte("hush-hush\n") },
			[]string{`"password"`, "line break", "write it without"}},
		{"no CA", "PLAIN", func(s secretData) { delete(s, "trust") },
			[]string{"tls.caSecret", `no Secret "trust"`, `"ca.crt"`}},
		{"a CA of nothing", "PLAIN", func(s secretData) { s["trust"]["ca.crt"] = []byte("hush-hush") },
			[]string{"tls.caSecret", "PEM", "put the authority's there"}},
		{"a key of another", "TLS", func(s secretData) { s["login"]["tls.key"] = []byte("hush-hush") },
			[]string{"authentication.secretName", "tls.crt and tls.key", "put such a pair there"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			given := secrets(t)
			c.spoil(given)
			_, f := Resolve("kafka", spec(c.mechanism, true), given)
			if f == nil {
				t.Fatal("nothing is said")
			}
			checkSentence(t, *f, c.says...)
		})
	}
}

func checkSentence(t *testing.T, f verdict.Verdict, says ...string) {
	t.Helper()
	for _, part := range append(says, "spec.external") {
		if !strings.Contains(f.Text(), part) {
			t.Errorf("%s does not say %q", f.Text(), part)
		}
	}
	if strings.Contains(f.Text(), "\n") || strings.Contains(f.Text(), "hush") || len(f.Text()) > 500 {
		t.Errorf("not one line without secrets: %s", f.Text())
	}
}

func TestEveryFaultNamesItsFieldAndItsCure(t *testing.T) {
	untrusted := &tls.CertificateVerificationError{Err: x509.UnknownAuthorityError{}}
	other := &x509.Certificate{DNSNames: []string{"c.example.com"}}
	misnamed := &tls.CertificateVerificationError{Err: x509.HostnameError{Certificate: other, Host: "a.example.com"}}
	expired := &tls.CertificateVerificationError{Err: x509.CertificateInvalidError{Reason: x509.Expired,
		Detail: "current time 12:00:01"}}
	unanswered := func(cause kafka.Cause) error {
		return fmt.Errorf("overview: %w",
			&kafka.Unanswered{Cause: cause, Kind: kafka.ErrUnreachable,
				Err: errors.New("read tcp 10.0.0.1:53211\nhush")})
	}
	because := func(err error) error {
		return &kafka.Unanswered{Cause: kafka.CauseUntrusted, Kind: kafka.ErrUnreachable, Err: err}
	}
	scram, mutual, plain, open := spec("SCRAM-SHA-512", true), spec("TLS", true), spec("PLAIN", false), spec("", false)
	for _, c := range []struct {
		name    string
		err     error
		e       *v1alpha1.External
		reason  string
		passing bool
		says    []string
	}{
		{"wrong password", unanswered(kafka.CauseLogin), scram, ReasonLogin, false,
			[]string{"secretName", "SCRAM-SHA-512", `"login"`, "correct them"}},
		{"refused certificate", unanswered(kafka.CauseCertificate), mutual, ReasonLogin, false,
			[]string{"secretName", `"login"`, "an authority that they trust"}},
		{"wanted certificate", unanswered(kafka.CauseCertificate), open, ReasonLogin, false,
			[]string{"authentication", "set mechanism TLS"}},
		{"no such mechanism", unanswered(kafka.CauseMechanism), plain, ReasonListener, false,
			[]string{"mechanism", "PLAIN", "choose one"}},
		{"no login due", unanswered(kafka.CauseNoLogin), plain, ReasonListener, false,
			[]string{"authentication", "remove authentication"}},
		{"no TLS there", unanswered(kafka.CauseNoTLS), scram, ReasonListener, false, []string{"tls", "remove tls"}},
		{"TLS there", unanswered(kafka.CauseWantsTLS), plain, ReasonListener, false, []string{"tls", "set tls"}},
		{"another CA", because(untrusted), scram, ReasonCertificate, false,
			[]string{"tls", "unknown authority", `Secret "trust"`}},
		{"another name", because(misnamed), scram, ReasonCertificate, false,
			[]string{"bootstrapServers", "c.example.com", "use one that it holds"}},
		{"an expired one", because(expired), scram, ReasonCertificate, true, []string{"expired", "renew it"}},
		{"not Kafka", unanswered(kafka.CauseNotKafka), open, ReasonNotKafka, false,
			[]string{"bootstrapServers", "not Kafka", "correct host and port"}},
		{"closed at once", unanswered(kafka.CauseClosed), open, ReasonUnreachable, true,
			[]string{"bootstrapServers", "closed", "correct"}},
		{"refused", unanswered(kafka.CauseRefused), open, ReasonUnreachable, true,
			[]string{"a.example.com:9092 and 1 more", "refused", "correct"}},
		{"no such host", unanswered(kafka.CauseNoHost), open, ReasonUnreachable, true, []string{"DNS", "correct"}},
		{"no route", unanswered(kafka.CauseNoRoute), open, ReasonUnreachable, true,
			[]string{"no route", "let the operator through"}},
		{"silent", unanswered(kafka.CauseSilent), open, ReasonUnreachable, true, []string{"in time"}},
		{"of unknown cause", fmt.Errorf("%w: something", kafka.ErrUnreachable), open, ReasonUnreachable, true,
			[]string{"no broker answers"}},
		{"too old", fmt.Errorf("ask: %w", kafka.ErrTooOld), open, ReasonTooOld, false,
			[]string{"Kafka 2.8", "upgrade"}},
		{"another cluster", &kafka.AnotherCluster{Want: "first", Have: "second"}, open, ReasonOther, false,
			[]string{"bootstrapServers", "first", "second", "nothing is changed"}},
		{"a Secret", verdict.Stalled(ReasonSecret, "spec.external", "x"), open, ReasonSecret, false, nil},
		{"anything else", errors.New("describe cluster: not now\nhush"), open, ReasonFailing, true,
			[]string{"not now", "tried again"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := Explain(c.err, c.e)
			if f.Reason != c.reason || f.Passes() != c.passing {
				t.Errorf("%s, passing %t: %s", f.Reason, f.Passes(), f.Text())
			}
			checkSentence(t, *f, c.says...)
		})
	}
}

func TestTheStatusTellsWhatTheClusterTellsAndThenIsSilent(t *testing.T) {
	c := &v1alpha1.KafkaCluster{Spec: v1alpha1.KafkaClusterSpec{External: spec("PLAIN", false)}}
	c.Generation = 3
	o := &kafka.Overview{ClusterID: "id-1", Lacking: []kafka.Feature{kafka.FeatureScram, kafka.FeatureFenced},
		Brokers: []kafka.Broker{{ID: 1, Host: "b1", Port: 9092}, {ID: 2, Host: "b2", Port: 9092, Fenced: true}}}
	c.Status = StatusOf(c, o, nil, "", now)
	s := c.Status
	if s.ClusterID != "id-1" || s.Brokers != "1/2" || len(s.Nodes) != 2 || s.Nodes[1].State != v1alpha1.NodeFenced ||
		len(s.Listeners) != 1 || s.Listeners[0].SecurityProtocol != "SASL_PLAINTEXT" ||
		len(s.Listeners[0].Addresses) != 1 ||
		s.Listeners[0].BootstrapServers != "a.example.com:9092,b.example.com:9092" {
		t.Errorf("%+v", s)
	}
	if Lacks(c, kafka.FeatureScram) == "" || Lacks(c, kafka.FeatureFenced) != "Kafka 4.0" {
		t.Errorf("lacking: %+v", s.External)
	}
	if !meta.IsStatusConditionTrue(s.Conditions, v1alpha1.ConditionAvailable) ||
		!meta.IsStatusConditionTrue(s.Conditions, v1alpha1.ConditionReady) ||
		!meta.IsStatusConditionTrue(s.Conditions, v1alpha1.ConditionWarning) {
		t.Errorf("%+v", s.Conditions)
	}
	if again := StatusOf(c, o, nil, "", now.Add(time.Hour)); !equality.Semantic.DeepEqual(s, again) {
		t.Errorf("it changes at rest: %+v", again)
	}
	f := Explain(&kafka.AnotherCluster{Want: "id-1", Have: "id-2"}, c.Spec.External)
	c.Status = StatusOf(c, nil, f, "", now.Add(time.Minute))
	if c.Status.ClusterID != "id-1" || len(c.Status.Nodes) != 2 ||
		!meta.IsStatusConditionFalse(c.Status.Conditions, v1alpha1.ConditionAvailable) ||
		!meta.IsStatusConditionTrue(c.Status.Conditions, v1alpha1.ConditionStalled) {
		t.Errorf("%+v", c.Status)
	}
	if again := StatusOf(c, nil, f, "", now.Add(time.Hour)); !equality.Semantic.DeepEqual(c.Status, again) {
		t.Errorf("it changes while the fault stays: %+v", again)
	}
	c.Spec.External.TLS = &v1alpha1.ExternalTLS{}
	for twin, want := range map[string]bool{"": false, "kafka/events": true} {
		w := meta.FindStatusCondition(StatusOf(c, o, nil, twin, now).Conditions, v1alpha1.ConditionWarning)
		if (w != nil) != want || want &&
			!strings.Contains(w.Message, "KafkaCluster kafka/events stands for the same Kafka") {
			t.Errorf("beside %q: %+v", twin, w)
		}
	}
	o.Lacking = nil
	if c.Status = StatusOf(c, o, nil, "", now); c.Status.External != nil {
		t.Errorf("after an upgrade it still lacks %+v", c.Status.External)
	}
}
