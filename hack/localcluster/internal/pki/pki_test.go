package pki

import (
	"crypto/x509"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestCertificates(t *testing.T) {
	s := Store(t.TempDir())
	if err := s.EnsureCA("ca"); err != nil {
		t.Fatal(err)
	}
	subject := Subject{Name: "server", Groups: []string{"g"}, Hosts: []string{"example.test", "10.0.0.1"}}
	if err := s.EnsureCert("ca", "server", subject); err != nil {
		t.Fatal(err)
	}
	ca, _, err := s.load("ca")
	if err != nil {
		t.Fatal(err)
	}
	cert, _, err := s.load("server")
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(ca)
	for _, host := range subject.Hosts {
		usages := []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}
		if _, err := cert.Verify(x509.VerifyOptions{DNSName: host, Roots: roots, KeyUsages: usages}); err != nil {
			t.Errorf("%s: %v", host, err)
		}
	}
	if cert.Subject.CommonName != "server" || cert.Subject.Organization[0] != "g" {
		t.Errorf("%v", cert.Subject)
	}
	if info, err := os.Stat(s.Key("server")); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
}

func TestKubeconfig(t *testing.T) {
	s := Store(t.TempDir())
	if err := s.EnsureCA("ca"); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(string(s), "sub", "conf")
	if err := s.WriteKubeconfig(path, "c", "https://x:1", "ca", "ca"); err != nil {
		t.Fatal(err)
	}
	content, err := os.ReadFile(path)
	if err != nil || !strings.Contains(string(content), "server: https://x:1\n") {
		t.Errorf("%s %v", content, err)
	}
	if err := s.WriteKubeconfig(path, "c", "https://x:1", "ca", "none"); err == nil {
		t.Error("a kubeconfig without certificate")
	}
}
