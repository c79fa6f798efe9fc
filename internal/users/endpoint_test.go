package users

import (
	"slices"
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
