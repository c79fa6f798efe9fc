package dial

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net/netip"
	"slices"
	"time"

	"github.com/castellan-dev/castellan/internal/reach"
	"github.com/castellan-dev/castellan/internal/verdict"
)

var errNotProven = errors.New("the certificate proves nothing")

// verify judges the certificate that a broker shows. Its error ends the handshake before anything of ours is sent.
func (w *walk) verify(state tls.ConnectionState) error {
	chain, ok := w.chain(state.PeerCertificates, w.way.Anchors)
	if !ok {
		w.found.Fail(chain.fault, chain.value)
		return errNotProven
	}
	w.found.Pass(reach.StepTLS)
	leaf := state.PeerCertificates[0]
	if w.way.Node != reach.AnyNode {
		if w.isBroker(leaf.DNSNames); !w.found.OK() {
			return errNotProven
		}
	}
	if leaf.VerifyHostname(w.way.Host) != nil {
		w.found.Fail(reach.FaultNotNamed, w.way.Host, namesOf(leaf))
		return errNotProven
	}
	w.found.Pass(reach.StepName)
	return nil
}

// untrusted is why a chain is not accepted.
type untrusted struct {
	fault reach.Fault
	value string
}

// chain looks whether a chain ends at an anchor and is valid now. It looks at no name.
func (w *walk) chain(shown []*x509.Certificate, anchors string) (untrusted, bool) {
	if len(shown) == 0 {
		return untrusted{reach.FaultUnusable, "there is none"}, false
	}
	options := x509.VerifyOptions{Intermediates: x509.NewCertPool(), CurrentTime: w.Now()}
	if anchors != "" {
		options.Roots = x509.NewCertPool()
		options.Roots.AppendCertsFromPEM([]byte(anchors))
	}
	for _, certificate := range shown[1:] {
		options.Intermediates.AddCert(certificate)
	}
	leaf := shown[0]
	_, err := leaf.Verify(options)
	_, unknown := errors.AsType[x509.UnknownAuthorityError](err)
	invalid, is := errors.AsType[x509.CertificateInvalidError](err)
	switch {
	case err == nil:
		return untrusted{}, true
	case is && invalid.Reason == x509.Expired && w.Now().After(invalid.Cert.NotAfter):
		return untrusted{reach.FaultExpired, invalid.Cert.NotAfter.UTC().Format(time.RFC3339)}, false
	case is && invalid.Reason == x509.Expired:
		return untrusted{reach.FaultNotYet, invalid.Cert.NotBefore.UTC().Format(time.RFC3339)}, false
	case unknown:
		return untrusted{reach.FaultUntrusted, cut(leaf.Issuer.String(), 100)}, false
	default:
		return untrusted{reach.FaultUnusable, err.Error()}, false
	}
}

// isBroker looks whether the names of a certificate, which is proven to be of the cluster, are those of the broker.
func (w *walk) isBroker(names []string) {
	w.found.Steps[reach.StepBroker] = reach.NotProven
	other, known := reach.NodeNamed(names)
	switch {
	case w.way.NodeHost != "" && slices.Contains(names, w.way.NodeHost):
		w.found.Pass(reach.StepBroker)
	case known && other != w.way.Node:
		w.found.Fail(reach.FaultAnotherBroker, other, w.way.Node)
	case known && w.way.NodeHost == "":
		w.found.Pass(reach.StepBroker)
	}
}

// maxNames is how many names of a certificate are told.
const maxNames = 4

// namesOf lists what a certificate names.
func namesOf(leaf *x509.Certificate) string {
	names := slices.Clone(leaf.DNSNames)
	for _, ip := range leaf.IPAddresses {
		if address, ok := netip.AddrFromSlice(ip); ok {
			names = append(names, address.Unmap().String())
		}
	}
	if len(names) == 0 {
		return "no host"
	}
	for i := range names {
		names[i] = cut(names[i], 64)
	}
	return verdict.Few(maxNames, names)
}

func cut(text string, most int) string {
	if len(text) <= most {
		return text
	}
	return text[:most] + "..."
}
