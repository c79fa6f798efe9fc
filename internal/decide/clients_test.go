package decide

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/castellan-dev/castellan/api/v1alpha1"
	"github.com/castellan-dev/castellan/internal/model"
	"github.com/castellan-dev/castellan/internal/pki"
	"github.com/castellan-dev/castellan/internal/plainauth"
	"github.com/castellan-dev/castellan/internal/provided"
	"github.com/castellan-dev/castellan/internal/render"
)

var clientsTime = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// signer makes an authority for users' certificates of the cluster.
func signer(t *testing.T, at time.Time) pki.Authority {
	t.Helper()
	authority, err := pki.NewAuthority(pki.ClientsAuthorityName("shop", "events", at), at)
	if err != nil {
		t.Fatal(err)
	}
	return authority
}

func foreignSigner(t *testing.T) []byte {
	t.Helper()
	return foreignSignerAt(t, clientsTime)
}

func foreignSignerAt(t *testing.T, at time.Time) []byte {
	t.Helper()
	authority, err := pki.NewAuthority("Example Corp", at)
	if err != nil {
		t.Fatal(err)
	}
	return authority.CertPEM
}

// TestWhomAListenerTrustsAboutItsClients holds the rules of the entry that brokers mount as the listener's trust store.
func TestWhomAListenerTrustsAboutItsClients(t *testing.T) {
	c := &model.Cluster{Namespace: "shop", Name: "events", Listeners: []model.Listener{
		{Name: "clients", TLS: true, Mechanisms: []v1alpha1.Mechanism{v1alpha1.MechanismScram512}},
		{Name: "mutual", TLS: true, Mechanisms: []v1alpha1.Mechanism{v1alpha1.MechanismTLS},
			ClientAuthorities: []string{"corp", "partner"}},
	}}
	former, present, corp := signer(t, clientsTime), signer(t, clientsTime.Add(time.Hour)), foreignSigner(t)
	ended := signer(t, clientsTime.AddDate(-11, 0, 0))
	removed, over := foreignSigner(t), foreignSignerAt(t, clientsTime.AddDate(-11, 0, 0))
	var many, newest []byte // of the operator's own, the newest first
	for n := range 6 {
		one := signer(t, clientsTime.Add(-time.Duration(n)*time.Hour)).CertPEM
		if many = pki.Union(many, one); n < 4 {
			newest = many
		}
	}
	only := func(secrets map[string][]byte) map[string]map[string][]byte {
		return map[string]map[string][]byte{"mutual": secrets}
	}
	none := only(map[string][]byte{"corp": nil, "partner": nil})
	from := func(secret string, anchors []byte) string {
		certificates, err := pki.ParseCertificates(anchors)
		if err != nil {
			t.Fatal(err)
		}
		return pki.Fingerprint(certificates[0]) + " " + secret + "\n"
	}
	cases := map[string]struct {
		state ClientsState
		had   []byte
		from  string // of had
		want  []byte
	}{
		"the present one": {ClientsState{Authority: present, Provided: none}, nil, "", present.CertPEM},
		"one that was made anew, beside the former": {
			ClientsState{Authority: present, Provided: none}, former.CertPEM, "", pki.Union(present.CertPEM, former.CertPEM)},
		"a former one that has ended goes": {
			ClientsState{Authority: present, Provided: none}, ended.CertPEM, "", present.CertPEM},
		"of more than four former ones the oldest go": {
			ClientsState{Authority: present, Provided: none}, many, "", pki.Union(present.CertPEM, newest)},
		"one of the owner's beside it": {
			ClientsState{Authority: present, Provided: only(map[string][]byte{"corp": corp, "partner": nil})}, nil, "",
			pki.Union(present.CertPEM, corp)},
		"one of the owner's that the spec has lost goes at once": {
			ClientsState{Authority: present, Provided: none}, pki.Union(present.CertPEM, removed), from("gone", removed),
			present.CertPEM},
		"those of a Secret that cannot be used stay": {
			ClientsState{Authority: present, Provided: only(map[string][]byte{"partner": nil})},
			pki.Union(present.CertPEM, corp), from("corp", corp), pki.Union(present.CertPEM, corp)},
		"but for one that has ended": {
			ClientsState{Authority: present, Provided: only(map[string][]byte{"partner": nil})},
			pki.Union(pki.Union(present.CertPEM, over), corp), from("corp", over) + from("corp", corp),
			pki.Union(present.CertPEM, corp)},
		"and those of others go meanwhile": {
			ClientsState{Authority: present, Provided: only(map[string][]byte{"partner": nil})},
			pki.Union(pki.Union(present.CertPEM, corp), removed), from("corp", corp) + from("partner", removed),
			pki.Union(present.CertPEM, corp)},
		"also those of a Secret that the spec has lost": {
			ClientsState{Authority: present, Provided: only(map[string][]byte{"partner": nil})},
			pki.Union(pki.Union(present.CertPEM, corp), removed), from("corp", corp) + from("gone", removed),
			pki.Union(present.CertPEM, corp)},
		"of which nobody knows by which Secret they came stay": {
			ClientsState{Authority: present, Provided: only(map[string][]byte{"partner": nil})},
			pki.Union(present.CertPEM, corp), "", pki.Union(present.CertPEM, corp)},
		"the operator's own stay while its Secret is damaged": {
			ClientsState{Problem: "damaged", Provided: only(map[string][]byte{"corp": corp, "partner": nil})},
			pki.Union(former.CertPEM, corp), "", pki.Union(former.CertPEM, corp)},
		"and a removed one of the owner's goes": {
			ClientsState{Problem: "damaged", Provided: none}, pki.Union(former.CertPEM, removed), from("corp", removed),
			former.CertPEM},
	}
	for name, test := range cases {
		t.Run(name, func(t *testing.T) {
			var have *corev1.Secret
			if test.had != nil {
				have = &corev1.Secret{Data: map[string][]byte{
					"mutual.clients.crt": test.had, "mutual.clients.from": []byte(test.from)}}
			}
			got := test.state.trust(c, have, clientsTime)
			if !bytes.Equal(got["mutual.clients.crt"], test.want) {
				t.Errorf("%d entries, %d certificates; want %d", len(got),
					strings.Count(string(got["mutual.clients.crt"]), "BEGIN"), strings.Count(string(test.want), "BEGIN"))
			}
			for _, own := range fingerprints(pki.Union(many, pki.Union(former.CertPEM, present.CertPEM))) {
				if strings.Contains(string(got["mutual.clients.from"]), own) {
					t.Error("one of the operator's own counts as one of the owner's")
				}
			}
			changed := test.had != nil && !bytes.Equal(test.had, test.want)
			if at := string(got["mutual.clients.changed"]); (at == "2026-03-01T12:00:00Z") != changed {
				t.Errorf("it was changed: %t, and %q is noted", changed, at)
			}
			again := test.state.trust(c, &corev1.Secret{Data: got}, clientsTime.Add(time.Hour))
			if !maps.EqualFunc(again, got, bytes.Equal) {
				t.Error("another pass would write it again")
			}
		})
	}
}

// withMutual is a running cluster with a listener that asks for certificates of clients.
func withMutual(t *testing.T) Inputs {
	t.Helper()
	in := running(t)
	in.Cluster.Spec.Listeners = []v1alpha1.Listener{{Name: "mutual", Port: 9095, Encryption: v1alpha1.EncryptionTLS,
		Authentication: &v1alpha1.ListenerAuthentication{Mechanisms: []v1alpha1.Mechanism{v1alpha1.MechanismTLS}}}}
	in.Accepted = in.Cluster.Spec.DeepCopy()
	return in
}

// The Secret in which cluster events has the authority of its users is that in which cluster events-clients has the one
// of its nodes.
func TestAnAuthorityOfAnotherClustersNodesIsNotOneOfUsers(t *testing.T) {
	for name, commonName := range map[string]string{
		"the nodes of another cluster": "shop/events-clients", "its own nodes": "shop/events",
		"the users of a cluster beside it": pki.ClientsAuthorityName("shop", "other", clientsTime),
		"the users of a cluster elsewhere": pki.ClientsAuthorityName("other", "events", clientsTime),
	} {
		in := withMutual(t)
		authority, err := pki.NewAuthority(commonName, clientsTime)
		if err != nil {
			t.Fatal(err)
		}
		in.Live.Secrets["events-clients-ca"] = &corev1.Secret{Data: map[string][]byte{
			pki.AuthorityCertificate: authority.CertPEM, pki.AuthorityKey: authority.KeyPEM}}
		state := Decide(in).Authority.Clients
		if !strings.Contains(state.Problem, "events-clients-ca") || len(state.Authority.CertPEM) > 0 || state.Renew != "" {
			t.Errorf("%s: %q", name, state.Problem)
		}
	}
	for _, taken := range []string{"Secret/events-clients-ca", "Secret/events-ca", "ConfigMap/events-accepted"} {
		in := withMutual(t)
		in.Accepted = nil
		in.Live.Taken = map[string]string{taken: "KafkaCluster another"}
		if d := Decide(in); len(d.Verdicts) != 1 || d.Verdicts[0].Field != "metadata.name" ||
			!strings.Contains(d.Verdicts[0].Text(), "belongs to KafkaCluster another") {
			t.Errorf("%s: %v", taken, d.Verdicts)
		}
	}
}

func TestABrokerIsHeldToWhomItSaysItTrusts(t *testing.T) {
	one, _ := pki.ParseCertificates(signer(t, clientsTime).CertPEM)
	two, _ := pki.ParseCertificates(foreignSigner(t))
	p := Presented{ClientAuthorities: append(one, two...)}
	first, second := one[0].RawSubject, two[0].RawSubject
	for name, test := range map[string]struct {
		told [][]byte
		want bool
	}{
		"both, in another order":         {[][]byte{second, first}, true},
		"one that it should trust lacks": {[][]byte{first}, false},
		"one that it should not trust":   {[][]byte{first, second, []byte("other")}, false},
		"it does not say":                {nil, true},
	} {
		if p.Trusts(test.told) != test.want {
			t.Errorf("%s: want %t", name, test.want)
		}
	}
	if !(Presented{}).Trusts([][]byte{first}) {
		t.Error("a listener without certificates of clients is held to authorities")
	}
}

func TestRefusedSubjectsReachRunningBrokers(t *testing.T) {
	c := &model.Cluster{Namespace: "shop", Name: "events", Listeners: []model.Listener{
		{Name: "mutual", TLS: true, Mechanisms: []v1alpha1.Mechanism{v1alpha1.MechanismTLS}}}}
	state := ClientsState{Authority: signer(t, clientsTime)}
	first := state.trust(c, nil, clientsTime)
	if _, there := first["mutual.clients.crt.refused"]; there || first["mutual.clients.changed"] != nil {
		t.Errorf("where nobody is refused: %v", slices.Collect(maps.Keys(first)))
	}
	c.Listeners[0].RefusedSubjects = []string{"CN=a,O=Example", "CN=b"}
	second := state.trust(c, &corev1.Secret{Data: first}, clientsTime)
	if string(second["mutual.clients.crt.refused"]) != "CN=a,O=Example\nCN=b\n" || second["mutual.clients.changed"] == nil {
		t.Errorf("%q", second)
	}
	third := state.trust(c, &corev1.Secret{Data: second}, clientsTime.Add(time.Hour))
	if !maps.EqualFunc(second, third, bytes.Equal) {
		t.Error("another pass would write it again")
	}
	c.Listeners[0].RefusedSubjects = nil
	fourth := state.trust(c, &corev1.Secret{Data: third}, clientsTime.Add(time.Hour))
	if _, there := fourth["mutual.clients.crt.refused"]; there || bytes.Equal(fourth["mutual.clients.changed"],
		third["mutual.clients.changed"]) {
		t.Errorf("when nobody is refused any more: %q", fourth)
	}
}

func TestABrokerReadsAnewWhomItTrustsOnceAfterThatHasChanged(t *testing.T) {
	started := clientsTime
	for name, test := range map[string]struct {
		changed time.Duration // after it started
		touched string        // its digest is a
		reread  bool
		want    bool
	}{
		"it changed since":                     {changed: time.Second, want: true},
		"it changed while the mount may lag":   {changed: -time.Minute, want: true},
		"it changed long before it started":    {changed: -time.Hour},
		"it was touched for it":                {touched: "a", want: true},
		"it was told":                          {touched: "a", reread: true},
		"it was told of what was there before": {touched: "b", reread: true, want: true},
	} {
		p := Presenting{StartedAt: started, TrustChanged: started.Add(test.changed), Digest: "a", Touched: test.touched,
			Reread: test.reread}
		if p.MustReread() != test.want {
			t.Errorf("%s: want %t", name, test.want)
		}
	}
	if (Presenting{StartedAt: started, Digest: "a"}).MustReread() {
		t.Error("what has never changed is to be read")
	}
	secret := &corev1.Secret{Data: map[string][]byte{"mutual.clients.changed": []byte("2026-03-01T12:00:00Z")}}
	if at := trustChanged(secret, "mutual"); !at.Equal(clientsTime) || !trustChanged(secret, "other").IsZero() {
		t.Error(at)
	}
}

func TestTheChangeOfWhomAListenerTrustsIsKnownOfEachBrokerThatHasTheListener(t *testing.T) {
	in := withMutual(t)
	authority := signer(t, clientsTime)
	in.Live.Secrets["events-clients-ca"] = &corev1.Secret{Data: map[string][]byte{
		pki.AuthorityCertificate: authority.CertPEM, pki.AuthorityKey: authority.KeyPEM}}
	d := Decide(in)
	issueAll(t, in, d)
	in = renderedAgain(t, in, d)
	told := func() (all []bool) {
		for _, p := range Decide(in).Presenting {
			all = append(all, p.MustReread())
		}
		return all
	}
	if all := told(); !slices.Equal(all, []bool{false, false, false}) {
		t.Fatalf("nothing has changed: %v", all)
	}
	data := in.Live.Secrets["events-main-listeners"].Data
	data["mutual.clients.changed"] = []byte(start.Add(time.Hour).UTC().Format(time.RFC3339))
	if all := told(); !slices.Equal(all, []bool{true, true, true}) {
		t.Errorf("it has changed: %v", all)
	}
	digest := Decide(in).Presenting[1].Digest
	in.Live.Pods[1].Annotations[v1alpha1.AnnotationCertificates] = digest + RereadMark
	if all := told(); !slices.Equal(all, []bool{true, false, true}) {
		t.Errorf("one has read it, which its pod says: %v", all)
	}
}

func TestAuthoritiesOfClientsAreRefusedWithACure(t *testing.T) {
	l := model.Listener{Name: "mutual", ClientAuthorities: []string{"corp"}}
	ref := provided.Ref{Name: "corp", Use: v1alpha1.UseClientAuthority}
	authority := signer(t, clientsTime)
	leaf, err := pki.Issue(authority, pki.UserRequest("app"), clientsTime)
	if err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		secrets provided.Secrets
		want    string
	}{
		"missing":    {provided.Secrets{}, "with the label kafka.castellan.dev/use=client-authority; brokers go on to trust what it held; create it with ca.crt"},
		"unlabelled": {provided.Secrets{ref: nil}, "kubectl label secret corp kafka.castellan.dev/use=client-authority"},
		"empty":      {provided.Secrets{ref: {}}, "no PEM certificate"},
		"a leaf":     {provided.Secrets{ref: {"ca.crt": leaf.CertPEM}}, "CN=app,O=castellan is no certificate of an authority"},
		"a key": {provided.Secrets{ref: {"ca.crt": append(bytes.Clone(authority.CertPEM), authority.KeyPEM...)}},
			"PRIVATE KEY"},
	} {
		given := provided.ClientAnchors(l, test.secrets, clientsTime)
		if len(given.Anchors) > 0 || len(given.Faults) != 1 || !strings.Contains(given.Faults[0].Text(), test.want) ||
			!strings.HasPrefix(given.Faults[0].Field, "spec.listeners[mutual].authentication.clientAuthorities[corp]") ||
			!strings.Contains(given.Faults[0].Text(), "brokers go on to trust what it held") {
			t.Errorf("%s: %d anchors, %v", name, len(given.Anchors), given.Faults)
		}
	}
}

func TestAnEndedAuthorityOfClientsIsLeftOutAndToldOf(t *testing.T) {
	l := model.Listener{Name: "mutual", ClientAuthorities: []string{"corp"}}
	ref := provided.Ref{Name: "corp", Use: v1alpha1.UseClientAuthority}
	ended, living := signer(t, clientsTime.AddDate(-11, 0, 0)).CertPEM, foreignSigner(t)
	for name, test := range map[string]struct{ has, want []byte }{
		"beside another": {pki.Union(ended, living), living}, "alone": {ended, nil},
	} {
		given := provided.ClientAnchors(l, provided.Secrets{ref: {"ca.crt": test.has}}, clientsTime)
		if anchors, usable := given.Anchors["corp"]; !usable || !bytes.Equal(anchors, test.want) || len(given.Faults) > 0 ||
			len(given.Warnings) != 1 || !strings.Contains(given.Warnings[0], "has ended at 2025-03-01T12:00:00Z") ||
			!strings.HasPrefix(given.Warnings[0], "spec.listeners[mutual].authentication.clientAuthorities[corp]: ") {
			t.Errorf("%s: %+v", name, given)
		}
	}
}

// What ends by itself is told of while somebody can do something about it.
func TestTheEndOfAnAuthorityOfClientsIsToldOfBefore(t *testing.T) {
	l := model.Listener{Name: "mutual", ClientAuthorities: []string{"corp"}}
	ref := provided.Ref{Name: "corp", Use: v1alpha1.UseClientAuthority}
	soon, living := signer(t, clientsTime.AddDate(-10, 0, 5)), foreignSigner(t)
	renewed, err := pki.RenewAuthority(soon, clientsTime)
	if err != nil {
		t.Fatal(err)
	}
	const told = `in Secret "corp" ends at 2026-03-0`
	for name, test := range map[string]struct {
		has  []byte
		at   time.Time
		told bool
	}{
		"alone":                         {soon.CertPEM, clientsTime, true},
		"beside another":                {pki.Union(soon.CertPEM, living), clientsTime, true},
		"beside a later one of its key": {pki.Union(soon.CertPEM, renewed.CertPEM), clientsTime, false},
		"two weeks and more before":     {soon.CertPEM, clientsTime.AddDate(0, 0, -20), false},
		"another":                       {living, clientsTime, false},
	} {
		given := provided.ClientAnchors(l, provided.Secrets{ref: {"ca.crt": test.has}}, test.at)
		if got := strings.Contains(strings.Join(given.Warnings, "; "), told); got != test.told || len(given.Faults) > 0 ||
			!bytes.Equal(given.Anchors["corp"], test.has) {
			t.Errorf("%s: told %t: %+v", name, got, given)
		}
	}
}

func TestTheEndOfUsersCertificatesIsToldWhileNobodyRenewsThem(t *testing.T) {
	authority := func(at time.Time) map[string][]byte {
		a := signer(t, at)
		return map[string][]byte{pki.AuthorityCertificate: a.CertPEM, pki.AuthorityKey: a.KeyPEM}
	}
	line := func(name string, days int) plainauth.UserCertificate {
		return plainauth.UserCertificate{Name: name, Fingerprint: strings.Repeat("a", 60) + fmt.Sprintf("%04d", days),
			End: start.AddDate(0, 0, days)}
	}
	both := plainauth.CertificateList([]plainauth.UserCertificate{line("app", 20), line("app", 80), line("other", 50)})
	marked := plainauth.Marked(both, plainauth.UserCertificate{Name: plainauth.ListMarker,
		Fingerprint: strings.Repeat("b", 64), End: start.AddDate(0, 0, 5)})
	const (
		first = "without the authority for users' certificates none of them is renewed, and the first ends at 2026-04-20"
		soon  = "the authority for users' certificates in Secret events-clients-ca ends at 2026-04-"
	)
	for name, test := range map[string]struct {
		secret map[string][]byte
		list   []byte
		want   string
	}{
		"it signs":      {authority(start), both, ""},
		"it is damaged": {map[string][]byte{pki.AuthorityCertificate: []byte("x")}, both, first},
		"it is damaged, and the list has a marker": {map[string][]byte{pki.AuthorityCertificate: []byte("x")}, marked, first},
		"it is damaged, and nobody has any":        {map[string][]byte{pki.AuthorityCertificate: []byte("x")}, nil, ""},
		"it ends, and is not renewed":              {authority(start.AddDate(-10, 0, 40)), both, soon},
		"it ends in a year":                        {authority(start.AddDate(-9, 0, 0)), both, ""},
	} {
		in := withMutual(t)
		in.Live.Secrets["events-clients-ca"] = &corev1.Secret{Data: test.secret}
		in.Live.Secrets[render.PlainUsersSecret("events")] = &corev1.Secret{Data: map[string][]byte{render.CertificatesEntry: test.list}}
		warnings := strings.Join(Decide(in).Warnings, "; ")
		for _, text := range []string{first, soon} {
			if strings.Contains(warnings, text) != (text == test.want) {
				t.Errorf("%s: %q", name, warnings)
			}
		}
	}
}
