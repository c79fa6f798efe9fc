package pki

import (
	"crypto/x509"
	"encoding/pem"
)

// CertificatesOnly returns the certificates of a PEM file, and nothing else that stands in it: no key, no text. What
// cannot be decoded is left out, as crypto/x509 does when it fills a pool. nil = there is no certificate.
func CertificatesOnly(file []byte) []byte {
	var certificates []byte
	for block, rest := pem.Decode(file); block != nil; block, rest = pem.Decode(rest) {
		if block.Type != blockCertificate || len(block.Headers) > 0 {
			continue
		}
		if _, err := x509.ParseCertificate(block.Bytes); err == nil {
			certificates = append(certificates, encodeCertificate(block.Bytes)...)
		}
	}
	return certificates
}
