// Package pki makes the certificates of a cluster. All functions keep what is
// there already, so that a run that was cut short can be repeated.
package pki

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"time"
)

const lifetime = 10 * 365 * 24 * time.Hour

// Store is a folder of NAME.crt and NAME.key files.
type Store string

// Subject is who a certificate is for.
type Subject struct {
	Name   string
	Groups []string
	// Hosts are DNS names and IP addresses of a server.
	Hosts []string
}

func (s Store) Cert(name string) string { return filepath.Join(string(s), name+".crt") }
func (s Store) Key(name string) string  { return filepath.Join(string(s), name+".key") }

// Public is the public half of a bare key pair.
func (s Store) Public(name string) string { return filepath.Join(string(s), name+".pub") }

func (s Store) has(name string) bool {
	_, errCert := os.Stat(s.Cert(name))
	_, errKey := os.Stat(s.Key(name))
	return errCert == nil && errKey == nil
}

// EnsureCA makes a self-signed authority.
func (s Store) EnsureCA(name string) error {
	if s.has(name) {
		return nil
	}
	template, err := newTemplate(Subject{Name: name})
	if err != nil {
		return err
	}
	template.IsCA, template.BasicConstraintsValid = true, true
	template.KeyUsage = x509.KeyUsageCertSign | x509.KeyUsageCRLSign | x509.KeyUsageDigitalSignature
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	return s.write(name, template, template, key, key)
}

// EnsureCert makes a certificate for servers and clients, signed by ca.
func (s Store) EnsureCert(ca, name string, subject Subject) error {
	if s.has(name) {
		return nil
	}
	caCert, caKey, err := s.load(ca)
	if err != nil {
		return err
	}
	template, err := newTemplate(subject)
	if err != nil {
		return err
	}
	template.KeyUsage = x509.KeyUsageDigitalSignature
	template.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	return s.write(name, template, caCert, key, caKey)
}

// EnsureKeyPair makes a bare key pair: NAME.key and NAME.pub.
func (s Store) EnsureKeyPair(name string) error {
	if _, err := os.Stat(s.Public(name)); err == nil {
		return nil
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	der, err := x509.MarshalPKIXPublicKey(&key.PublicKey)
	if err != nil {
		return err
	}
	if err := s.writeKey(name, key); err != nil {
		return err
	}
	return writePEM(s.Public(name), "PUBLIC KEY", der, 0o644)
}

func newTemplate(subject Subject) (*x509.Certificate, error) {
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	if err != nil {
		return nil, err
	}
	t := &x509.Certificate{
		SerialNumber: serial,
		Subject:      pkix.Name{CommonName: subject.Name, Organization: subject.Groups},
		NotBefore:    time.Now().Add(-time.Hour),
		NotAfter:     time.Now().Add(lifetime),
	}
	for _, h := range subject.Hosts {
		if ip := net.ParseIP(h); ip != nil {
			t.IPAddresses = append(t.IPAddresses, ip)
		} else {
			t.DNSNames = append(t.DNSNames, h)
		}
	}
	return t, nil
}

func (s Store) write(name string, template, parent *x509.Certificate, key, signer *ecdsa.PrivateKey) error {
	der, err := x509.CreateCertificate(rand.Reader, template, parent, &key.PublicKey, signer)
	if err != nil {
		return fmt.Errorf("certificate %s: %w", name, err)
	}
	if err := s.writeKey(name, key); err != nil {
		return err
	}
	return writePEM(s.Cert(name), "CERTIFICATE", der, 0o644)
}

func (s Store) writeKey(name string, key *ecdsa.PrivateKey) error {
	der, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		return err
	}
	return writePEM(s.Key(name), "EC PRIVATE KEY", der, 0o600)
}

// writePEM never leaves half a file.
func writePEM(path, kind string, der []byte, mode os.FileMode) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	block := pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
	if err := os.WriteFile(path+".tmp", block, mode); err != nil {
		return err
	}
	return os.Rename(path+".tmp", path)
}

func (s Store) load(name string) (*x509.Certificate, *ecdsa.PrivateKey, error) {
	cert, err := readPEM(s.Cert(name))
	if err != nil {
		return nil, nil, err
	}
	key, err := readPEM(s.Key(name))
	if err != nil {
		return nil, nil, err
	}
	c, errCert := x509.ParseCertificate(cert)
	k, errKey := x509.ParseECPrivateKey(key)
	return c, k, errors.Join(errCert, errKey)
}

func readPEM(path string) ([]byte, error) {
	content, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	block, _ := pem.Decode(content)
	if block == nil {
		return nil, fmt.Errorf("%s: no PEM block", path)
	}
	return block.Bytes, nil
}

// WriteKubeconfig writes a kubeconfig for the certificate of that name.
func (s Store) WriteKubeconfig(path, cluster, server, ca, name string) error {
	var data [3]string
	for i, file := range []string{s.Cert(ca), s.Cert(name), s.Key(name)} {
		content, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		data[i] = base64.StdEncoding.EncodeToString(content)
	}
	config := fmt.Sprintf(`apiVersion: v1
kind: Config
clusters:
- name: %[1]s
  cluster:
    server: %[2]s
    certificate-authority-data: %[3]s
users:
- name: %[4]s
  user:
    client-certificate-data: %[5]s
    client-key-data: %[6]s
contexts:
- name: %[1]s
  context:
    cluster: %[1]s
    user: %[4]s
current-context: %[1]s
`, cluster, server, data[0], name, data[1], data[2])
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	if err := os.WriteFile(path+".tmp", []byte(config), 0o600); err != nil {
		return err
	}
	return os.Rename(path+".tmp", path)
}
