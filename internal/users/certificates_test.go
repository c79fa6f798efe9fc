package users

import (
	"bytes"
	"crypto/tls"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/castellan-dev/castellan/api/v1alpha1"
	"github.com/castellan-dev/castellan/internal/mechanism"
	"github.com/castellan-dev/castellan/internal/pki"
	"github.com/castellan-dev/castellan/internal/plainauth"
)

const day = 24 * time.Hour

var issuedAt = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func clientsAuthority(t *testing.T) pki.Authority {
	t.Helper()
	ca, err := pki.NewAuthority("clients", issuedAt.Add(-200*day))
	if err != nil {
		t.Fatal(err)
	}
	return ca
}

func issued(t *testing.T, ca pki.Authority, name string, at time.Time) Certificate {
	t.Helper()
	leaf, err := pki.Issue(ca, pki.UserRequest(name), at)
	if err != nil {
		t.Fatal(err)
	}
	return Certificate{Leaf: leaf}
}

func TestAFormerCertificateStaysGoodOnlyAfterARenewalInGoodOrder(t *testing.T) {
	ca, other := clientsAuthority(t), clientsAuthority(t)
	have := issued(t, ca, "app", issuedAt)
	have.Request = "old"
	asBefore := func(c Certificate) Certificate { return c }
	for name, c := range map[string]struct {
		have     Certificate
		request  string
		recorded *v1alpha1.UserCertificate
		ca       pki.Authority
		at       time.Time
		why      string // empty = it stays
		overlaps bool
	}{
		"it stays in its first two thirds":          {have, "old", have.Status(), ca, issuedAt.Add(59 * day), "", false},
		"it stays where nothing is asked for":       {have, "", have.Status(), ca, issuedAt.Add(59 * day), "", false},
		"it is renewed in the last third":           {have, "old", have.Status(), ca, issuedAt.Add(64 * day), "it ends at", true},
		"it has ended":                              {have, "old", have.Status(), ca, issuedAt.Add(91 * day), "it ends at", false},
		"another one is asked for":                  {have, "new", have.Status(), ca, issuedAt, "another one is asked for", false},
		"another one is asked for in its last days": {have, "new", have.Status(), ca, issuedAt.Add(89 * day), "another one", false},
		"the authority was replaced":                {have, "old", have.Status(), other, issuedAt, "it was not signed", false},
		"it is another user's":                      {issued(t, ca, "else", issuedAt), "old", nil, ca, issuedAt, "its subject", false},
		"the key is another one's":                  {with(have, func(c *Certificate) { c.KeyPEM = issued(t, ca, "app", issuedAt).KeyPEM }), "old", nil, ca, issuedAt, "the private key does not belong", false},
		"the Secret was emptied":                    {Certificate{Request: "old", Former: "ff"}, "old", have.Status(), ca, issuedAt, "there is no certificate", false},
		"it comes from a backup":                    {asBefore(have), "old", issued(t, ca, "app", issuedAt.Add(day)).Status(), ca, issuedAt.Add(2 * day), "it has been replaced before", false},
		"the status has not seen it yet":            {have, "old", issued(t, ca, "app", issuedAt.Add(-day)).Status(), ca, issuedAt, "", false},
	} {
		t.Run(name, func(t *testing.T) {
			next, why, err := c.have.Next("app", c.request, c.recorded, c.ca, c.at)
			if err != nil || !strings.HasPrefix(why, c.why) || (why == "") != (c.why == "") {
				t.Fatalf("%q, %v", why, err)
			}
			if c.why == "" {
				if next.Status().Fingerprint != c.have.Status().Fingerprint {
					t.Error("it is another one")
				}
				return
			}
			if next.Request != c.request || (next.Former != "") != c.overlaps ||
				c.overlaps && next.Former != c.have.Status().Fingerprint {
				t.Errorf("issued for %q, and the former one is %q", next.Request, next.Former)
			}
			if !pki.InForce(next.Leaf, pki.UserRequest("app"), c.ca, c.at) {
				t.Error("it does not fit")
			}
		})
	}
}

func with(c Certificate, change func(*Certificate)) Certificate {
	change(&c)
	return c
}

func TestWhatStandsBesideACertificateIsReadBack(t *testing.T) {
	secret := &corev1.Secret{}
	Certificate{Former: "ab", Request: "1"}.Annotate(secret)
	if c := CertificateIn(secret); c.Former != "ab" || c.Request != "1" {
		t.Errorf("%+v", secret.Annotations)
	}
	Certificate{}.Annotate(secret)
	if len(secret.Annotations) != 0 {
		t.Errorf("%v", secret.Annotations)
	}
	u := &v1alpha1.KafkaUser{ObjectMeta: metav1.ObjectMeta{Annotations: map[string]string{
		v1alpha1.AnnotationReissueCertificate: strings.Repeat("x", 200000)}}}
	if got := ReissueRequest(u); len(got) > 64 || got == "" {
		t.Errorf("%d characters", len(got))
	}
}

func TestTheListHoldsWhatSecretsVouchForAndNothingElse(t *testing.T) {
	ca := clientsAuthority(t)
	former, now := issued(t, ca, "app", issuedAt), issuedAt.Add(64*day)
	renewed := with(issued(t, ca, "app", now), func(c *Certificate) { c.Former = former.Status().Fingerprint })
	reissued := with(issued(t, ca, "app", now), func(c *Certificate) { c.Request = "1" })
	other, ended := issued(t, ca, "other", now), issued(t, ca, "other", issuedAt.Add(-30*day))
	lines := func(all map[string][]Certificate) []byte {
		var list []plainauth.UserCertificate
		for name, certificates := range all {
			for _, c := range certificates {
				list = append(list, c.line(name))
			}
		}
		return plainauth.CertificateList(list)
	}
	inOne := func(list []byte, room int) []byte { // as the first of the Secrets has it
		users := len(plainauth.UsersFile(nil))
		return SpreadOver(Part{Certificates: list}, []Part{{Certificates: list}}, room+users, 1).Parts[0].Certificates
	}
	type names = map[string]bool
	both := names{"app": true, "other": true}
	before := lines(map[string][]Certificate{"app": {former}, "other": {other}})
	for name, c := range map[string]struct {
		current []byte
		all     names
		set     map[string]Certificate
		room    int
		want    []byte
		missing string
		revoked bool
	}{
		"a first one":              {nil, both, map[string]Certificate{"app": former}, 1 << 20, lines(map[string][]Certificate{"app": {former}}), "[other]", false},
		"a renewal":                {before, both, map[string]Certificate{"app": renewed}, 1 << 20, lines(map[string][]Certificate{"app": {former, renewed}, "other": {other}}), "[]", false},
		"a re-issue":               {before, both, map[string]Certificate{"app": reissued}, 1 << 20, lines(map[string][]Certificate{"app": {reissued}, "other": {other}}), "[]", true},
		"a deletion":               {before, names{"other": true}, nil, 1 << 20, lines(map[string][]Certificate{"other": {other}}), "[]", true},
		"nothing":                  {before, both, map[string]Certificate{"app": former}, 1 << 20, before, "[]", false},
		"one that has ended":       {lines(map[string][]Certificate{"app": {former}, "other": {other, ended}}), both, nil, 1 << 20, before, "[]", false},
		"a line by another name":   {lines(map[string][]Certificate{"aaa": {former}}), names{"app": true, "aaa": true}, map[string]Certificate{"app": former}, 1 << 20, lines(map[string][]Certificate{"app": {former}}), "[aaa]", true},
		"a former one of nobody":   {lines(map[string][]Certificate{"other": {other}}), both, map[string]Certificate{"app": renewed}, 1 << 20, lines(map[string][]Certificate{"app": {renewed}, "other": {other}}), "[]", false},
		"nobody, and no list":      {nil, names{}, nil, 1 << 20, nil, "[]", false},
		"no room for former ones":  {before, both, map[string]Certificate{"app": renewed}, len(before), lines(map[string][]Certificate{"app": {renewed}, "other": {other}}), "[]", false},
		"a faulty line":            {append(slices.Clone(before), "app:zz:1\n"...), both, nil, 1 << 20, before, "[]", false},
		"somebody's who may not":   {before, names{"other": true}, map[string]Certificate{"app": former}, 1 << 20, lines(map[string][]Certificate{"other": {other}}), "[]", true},
		"the last one, which ends": {lines(map[string][]Certificate{"app": {former}}), names{}, nil, 1 << 20, lines(nil), "[]", true},
	} {
		t.Run(name, func(t *testing.T) {
			list, missing, revoked := CertificateList(c.current, c.all, c.set, now)
			list = inOne(list, c.room)
			if !bytes.Equal(list, c.want) || fmt.Sprint(missing) != c.missing || revoked != c.revoked {
				t.Errorf("missing %v, revoked %t:\n%s", missing, revoked, list)
			}
			again, _, revoked := CertificateList(list, c.all, c.set, now)
			again = inOne(again, c.room)
			if !bytes.Equal(again, list) || revoked {
				t.Errorf("it does not stay:\n%s", again)
			}
		})
	}
}

func TestTenThousandCertificatesFitOnlyInPartAndThatIsKnownBefore(t *testing.T) {
	var list []plainauth.UserCertificate
	room := Room - 100<<10
	users := 0
	for left := room; left >= LinesOf("user-00000"); left -= LinesOf("user-00000") {
		for _, half := range []string{"a", "b"} { // both of them, as while all are renewed
			list = append(list, plainauth.UserCertificate{Name: fmt.Sprintf("user-%05d", users), End: issuedAt.Add(90 * day),
				Fingerprint: strings.Repeat(half, 59) + fmt.Sprintf("%05d", users)})
		}
		users++
	}
	file := plainauth.CertificateList(list)
	names, bytes := Listed(file)
	if total := len(file) + 100<<10; total > 1<<20 || len(names) != users || bytes > room || users < 5000 {
		t.Errorf("%d users take %d bytes with a file of passwords, and %d are counted", users, total, bytes)
	}
}

// propertiesOf reads a file as java.util.Properties does, as far as escapes go.
func propertiesOf(file []byte) map[string]string {
	all := map[string]string{}
	for line := range strings.Lines(string(file)) {
		key, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), "=")
		all[key] = strings.NewReplacer(`\\`, `\`, `\n`, "\n").Replace(value)
	}
	return all
}

func TestTheFilesOfAListenerHoldTheCertificateAsClientsReadIt(t *testing.T) {
	ca := clientsAuthority(t)
	c := issued(t, ca, "app", issuedAt)
	endpoints := []Endpoint{
		{Listener: "mutual", Bootstrap: "h:1", TLS: true, Mechanisms: []v1alpha1.Mechanism{v1alpha1.MechanismTLS}},
		{Listener: "scram", Bootstrap: "h:2", TLS: true, Mechanisms: []v1alpha1.Mechanism{v1alpha1.MechanismScram512}},
	}
	alone, _ := plainFiles.Connection(mechanism.Credential{Username: "app", Certificate: c.CertPEM, Key: c.KeyPEM}, ca.CertPEM, endpoints[:1])
	for _, key := range []string{"password", "sasl.mechanism", "sasl.jaas.config", "ssl.keystore.key"} {
		if _, is := alone[key]; is {
			t.Errorf("a user without a password has %s", key)
		}
	}
	if string(alone["user.crt"]) != string(c.CertPEM) || string(alone["user.key"]) != string(c.KeyPEM) ||
		string(alone["security.protocol"]) != "SSL" {
		t.Errorf("security.protocol is %s", alone["security.protocol"])
	}
	java := propertiesOf(alone["client.mutual.properties"])
	if _, err := tls.X509KeyPair([]byte(java["ssl.keystore.certificate.chain"]), []byte(java["ssl.keystore.key"])); err != nil ||
		java["ssl.keystore.type"] != "PEM" || java["security.protocol"] != "SSL" {
		t.Errorf("Java: %v in\n%s", err, alone["client.mutual.properties"])
	}
	settings := propertiesOf(alone["librdkafka.mutual.config"]) // whoever reads the file unescapes line ends
	if _, err := tls.X509KeyPair([]byte(settings["ssl.certificate.pem"]), []byte(settings["ssl.key.pem"])); err != nil ||
		settings["security.protocol"] != "SSL" || settings["ssl.ca.pem"] == "" {
		t.Errorf("librdkafka: %v in\n%s", err, alone["librdkafka.mutual.config"])
	}
	both, _ := plainFiles.Connection(mechanism.Credential{Username: "app", Password: "secret", Certificate: c.CertPEM, Key: c.KeyPEM},
		ca.CertPEM, endpoints)
	if strings.Contains(string(both["client.mutual.properties"]), "secret\"") ||
		strings.Contains(string(both["client.scram.properties"]), "PRIVATE KEY") ||
		!strings.Contains(string(both["client.scram.properties"]), "secret") || both["password"] == nil || both["user.key"] == nil {
		t.Error("the file of a listener holds what the listener asks for")
	}
}

func TestWhatIsOnRecordOfAnotherCertificateCountsNoMore(t *testing.T) {
	ca := clientsAuthority(t)
	one, two := issued(t, ca, "app", issuedAt).Status(), issued(t, ca, "app", issuedAt).Status()
	both := []v1alpha1.Mechanism{v1alpha1.MechanismScram512, v1alpha1.MechanismTLS}
	u := &v1alpha1.KafkaUser{}
	u.Status.Credentials = CredentialsOf(nil, "id", "hash", both, nil, nil)
	u.Status.Credentials.ProvenOn = []int32{0}
	Certify(u.Status.Credentials, one)
	for name, c := range map[string]struct {
		hash   string
		shown  *v1alpha1.UserCertificate
		stands int
		proven int
	}{
		"the same": {"hash", one, 2, 1}, "another certificate": {"hash", two, 1, 0}, "another password": {"else", one, 0, 0},
		"none any more": {"hash", nil, 1, 0},
	} {
		made := MadeWith(u, "id", c.hash, "password", c.shown)
		if made == nil {
			made = &v1alpha1.Credentials{}
		}
		if len(made.Mechanisms) != c.stands || len(made.ProvenOn) != c.proven {
			t.Errorf("%s: %+v", name, made)
		}
	}
	if len(u.Status.Credentials.Mechanisms) != 2 || len(u.Status.Credentials.ProvenOn) != 1 {
		t.Error("the object in the cache is changed")
	}
	if made := MadeWith(u, "id", "", "", one); made == nil || len(made.ProvenOn) != 1 {
		t.Error("without a password there is none to compare")
	}
	for name, want := range map[string]string{
		strings.Repeat("a", 65): ReasonName, strings.Repeat("a", 64): "", "castellan-operator": ReasonPrincipal,
		"kafka-node": ReasonPrincipal, "kafka-node-2": "", "Kafka-Node": "",
	} {
		if f := UnfitName(name); (f == nil) != (want == "") || f != nil && (f.Reason != want || f.Field != "spec.name" ||
			!strings.Contains(f.Text(), "name, or take TLS out of spec.authentication.mechanisms")) {
			t.Errorf("%s: %v, expected %q", name, f, want)
		}
	}
}
