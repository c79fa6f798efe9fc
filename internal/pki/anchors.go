package pki

import (
	"bytes"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"time"
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

// Living returns the certificates of a PEM file that have not ended, each once, and those that have.
func Living(file []byte, now time.Time) (living []byte, ended []*x509.Certificate) {
	for _, each := range separate(Union(file, nil)) {
		switch certificates, err := ParseCertificates(each); {
		case err != nil: // separate gives such as can be read
		case now.Before(certificates[0].NotAfter):
			living = append(living, each...)
		default:
			ended = append(ended, certificates[0])
		}
	}
	return living, ended
}

// Encode returns a certificate as PEM.
func Encode(certificate *x509.Certificate) []byte { return encodeCertificate(certificate.Raw) }

// Fingerprint is the SHA-256 of a certificate, in lower-case hexadecimal digits.
func Fingerprint(certificate *x509.Certificate) string {
	sum := sha256.Sum256(certificate.Raw)
	return hex.EncodeToString(sum[:])
}

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
