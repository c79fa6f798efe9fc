package main

import (
	"context"
	"encoding/base64"
	"fmt"
	"os"
	"path/filepath"
)

const (
	publicKey = "castellan.pub"
	signature = checksums + ".sig"
	// passwordVariable has the password of a key that is encrypted; without it openssl asks.
	passwordVariable = "KEY_PASSWORD"
)

// sign signs the checksums, which name every other file: SHA-256 with the key's algorithm, in base64. It verifies at
// once what it has signed with the public key that it leaves beside them.
func (r *release) sign(ctx context.Context, key string) error {
	var password []string
	if os.Getenv(passwordVariable) != "" {
		password = []string{"-passin", "env:" + passwordVariable}
	}
	raw := filepath.Join(r.work, signature)
	for _, args := range [][]string{
		append([]string{"pkey", "-in", key, "-pubout", "-out", publicKey}, password...),
		append(append([]string{"dgst", "-sha256", "-sign", key, "-out", raw}, password...), checksums),
		{"dgst", "-sha256", "-verify", publicKey, "-signature", raw, checksums},
	} {
		if _, err := command(ctx, r.out, nil, "openssl", args...); err != nil {
			return fmt.Errorf("sign %s: %w", checksums, err)
		}
	}
	signed, err := os.ReadFile(raw)
	if err != nil {
		return err
	}
	if err := os.Chmod(filepath.Join(r.out, publicKey), 0o644); err != nil {
		return err
	}
	return r.write(signature, []byte(base64.StdEncoding.EncodeToString(signed)+"\n"))
}
