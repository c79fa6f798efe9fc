package pki

import (
	"bytes"
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

// Encode returns a certificate as PEM.
func Encode(certificate *x509.Certificate) []byte { return encodeCertificate(certificate.Raw) }

// Union is a file of anchors and what another one has beyond it, each certificate once.
func Union(file, other []byte) []byte {
	var all []byte
	for _, certificate := range separate(append(bytes.Clone(endLine(file)), other...)) {
		if !bytes.Contains(all, certificate) {
			all = append(all, certificate...)
		}
	}
	return all
}

// Holds tells whether a file of anchors has every certificate of another one.
func Holds(file, other []byte) bool {
	all := CertificatesOnly(file)
	for _, certificate := range separate(other) {
		if !bytes.Contains(all, certificate) {
			return false
		}
	}
	return true
}

// separate takes a file of certificates apart, each in PEM form.
func separate(file []byte) [][]byte {
	var certificates [][]byte
	only := CertificatesOnly(file)
	for block, rest := pem.Decode(only); block != nil; block, rest = pem.Decode(rest) {
		certificates = append(certificates, encodeCertificate(block.Bytes))
	}
	return certificates
}
