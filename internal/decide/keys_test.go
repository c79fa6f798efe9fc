package decide

import (
	"testing"

	"github.com/castellan-dev/castellan/internal/pki"
	"github.com/castellan-dev/castellan/internal/render"
)

func TestTheCertificatesNameThePrincipalsThatBrokersTakeForSuperUsers(t *testing.T) {
	node := nodeRequest([]string{"events-main-0"}, "")
	operator := pki.Request{CommonName: pki.OperatorName, Organization: pki.Organization}
	for principal, want := range map[string]string{node.Principal(): render.NodePrincipal, operator.Principal(): render.OperatorPrincipal} {
		if principal != want {
			t.Errorf("the certificate makes %s, super.users holds %s", principal, want)
		}
	}
}

func TestAListenersCertificateNamesTheAddressOfItsKubernetesNode(t *testing.T) {
	request := nodeRequest([]string{"b", "a", "b"}, "10.0.0.7")
	if got := (Leaf{Request: request}).Names(); got != "a\nb\n10.0.0.7\n" {
		t.Errorf("names %q", got)
	}
}
