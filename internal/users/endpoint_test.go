package users

import (
	"slices"
	"strings"
	"testing"

	"github.com/castellan-dev/castellan/api/v1alpha1"
	"github.com/castellan-dev/castellan/internal/model"
)

// Users do not wait for a load balancer, unless it is their only way in.
func TestNobodyWaitsForALoadBalancerBesideAnotherListener(t *testing.T) {
	const plain, scram = v1alpha1.MechanismPlain, v1alpha1.MechanismScram512
	clients := model.HostListener{Name: "clients", Inside: true, Bootstrap: "c:1", Mechanisms: []v1alpha1.Mechanism{scram}}
	external := model.HostListener{Name: "external", Late: true, Mechanisms: []v1alpha1.Mechanism{scram, plain}}
	known := external
	known.Late, known.Bootstrap = false, "lb:2"
	for name, tt := range map[string]struct {
		listeners  []model.HostListener
		mechanisms []v1alpha1.Mechanism
		want       []string
	}{
		"another offers what the user has": {[]model.HostListener{clients, external}, []v1alpha1.Mechanism{scram}, []string{"clients"}},
		"only it offers what the user has": {[]model.HostListener{clients, external}, []v1alpha1.Mechanism{plain}, []string{"external"}},
		"only it offers a part":            {[]model.HostListener{clients, external}, []v1alpha1.Mechanism{plain, scram}, []string{"clients", "external"}},
		"it is the only one":               {[]model.HostListener{external}, []v1alpha1.Mechanism{scram}, []string{"external"}},
		"its address is known":             {[]model.HostListener{clients, known}, []v1alpha1.Mechanism{scram}, []string{"clients", "external"}},
	} {
		var got []string
		for _, e := range Endpoints(model.Host{Listeners: tt.listeners}, tt.mechanisms) {
			got = append(got, e.Listener)
		}
		if !slices.Equal(got, tt.want) {
			t.Errorf("%s: %v, want %v", name, got, tt.want)
		}
	}
}

func TestAMechanismThatNobodyOffersIsToldWithItsFieldAndItsCure(t *testing.T) {
	const plain, scram, tls = v1alpha1.MechanismPlain, v1alpha1.MechanismScram512, v1alpha1.MechanismTLS
	listener := func(name string, m ...v1alpha1.Mechanism) model.HostListener {
		return model.HostListener{Name: name, Bootstrap: name + ":1", Mechanisms: m}
	}
	for name, c := range map[string]struct {
		external  bool
		listeners []model.HostListener
		asked     []v1alpha1.Mechanism
		field     string
		says      []string // nothing = it is offered
	}{
		"all are offered": {listeners: []model.HostListener{listener("a", plain), listener("b", tls)},
			asked: []v1alpha1.Mechanism{plain, tls}},
		"one is not": {listeners: []model.HostListener{listener("a", scram), listener("open"),
			listener("t", v1alpha1.MechanismOAuthBearer), listener("k", v1alpha1.MechanismCustom)},
			asked: []v1alpha1.Mechanism{scram, tls}, field: "spec.authentication.mechanisms",
			says: []string{`no listener of KafkaCluster "events" offers TLS`, "a (SCRAM-SHA-512)", "open (nobody logs in)",
				"t (tokens of an issuer alone)", "k (users of others alone)", "choose one of theirs, or add it to a listener"}},
		"not outside": {external: true, listeners: []model.HostListener{listener("a", scram)},
			asked: []v1alpha1.Mechanism{plain, scram}, field: "spec.authentication.mechanisms",
			says: []string{"PLAIN: KafkaCluster \"events\" is external", "use SCRAM-SHA-512"}},
		"none outside": {external: true, listeners: []model.HostListener{listener("a")}, asked: []v1alpha1.Mechanism{scram},
			field: "spec.clusterRef", says: []string{"name a listener with SASL"}},
	} {
		fault := NotOffered(model.Host{Name: "events", External: c.external, Listeners: c.listeners}, c.asked)
		if fault == nil || len(c.says) == 0 {
			if (fault == nil) != (len(c.says) == 0) {
				t.Errorf("%s: %v", name, fault)
			}
			continue
		}
		if fault.Reason != ReasonMechanism || fault.Field != c.field {
			t.Errorf("%s: %+v", name, fault)
		}
		for _, words := range c.says {
			if !strings.Contains(fault.Text(), words) {
				t.Errorf("%s: %q does not say %q", name, fault.Text(), words)
			}
		}
	}
}
