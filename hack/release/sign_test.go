package main

import (
	"encoding/base64"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// newKey makes a private key as docs/release.md says, with a password if there is one.
func newKey(t *testing.T, password string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "castellan.key")
	args := []string{"genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out", path}
	if password != "" {
		args = append(args, "-aes-256-cbc", "-pass", "pass:"+password)
	}
	if out, err := exec.Command("openssl", args...).CombinedOutput(); err != nil {
		t.Fatalf("openssl: %v: %s", err, out)
	}
	return path
}

// verified says what openssl says of a signature in base64.
func verified(t *testing.T, folder, key string) error {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(folder, signature))
	if err != nil {
		t.Fatal(err)
	}
	raw, err := base64.StdEncoding.DecodeString(strings.TrimSpace(string(text)))
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "raw")
	put(t, path, string(raw))
	_, err = command(t.Context(), folder, nil, "openssl", "dgst", "-sha256", "-verify", key, "-signature", path, checksums)
	return err
}

func TestASignatureHoldsForTheseChecksumsAndThisKeyAlone(t *testing.T) {
	for title, password := range map[string]string{"a plain key": "", "an encrypted key": "throw-away"} {
		t.Run(title, func(t *testing.T) {
			t.Setenv(passwordVariable, password)
			r := sample(t)
			put(t, filepath.Join(r.out, checksums), "0  a\n")
			if err := r.sign(t.Context(), newKey(t, password)); err != nil {
				t.Fatal(err)
			}
			own := filepath.Join(r.out, publicKey)
			if err := verified(t, r.out, own); err != nil {
				t.Error(err)
			}
			other := sample(t)
			put(t, filepath.Join(other.out, checksums), "0  a\n")
			if err := other.sign(t.Context(), newKey(t, password)); err != nil {
				t.Fatal(err)
			}
			if verified(t, other.out, own) == nil {
				t.Error("the signature of another key is accepted")
			}
			put(t, filepath.Join(r.out, checksums), "1  a\n")
			if verified(t, r.out, own) == nil {
				t.Error("changed checksums are accepted")
			}
		})
	}
}

func TestAKeyThatCannotSignEndsTheRelease(t *testing.T) {
	r := sample(t)
	put(t, filepath.Join(r.out, checksums), "0  a\n")
	t.Setenv(passwordVariable, "another")
	for title, key := range map[string]string{
		"no file": filepath.Join(t.TempDir(), "none"), "another password": newKey(t, "throw-away"),
	} {
		if err := r.sign(t.Context(), key); err == nil {
			t.Errorf("%s: it was signed", title)
		}
	}
	if _, err := os.Stat(filepath.Join(r.out, signature)); err == nil {
		t.Error("there is a signature")
	}
}
