package main

import (
	"context"
	"encoding/base64"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

const (
	publicKey = "castellan.pub"
	signature = checksums + ".sig"
	// passwordVariable has the password of a key that is encrypted.
	passwordVariable = "KEY_PASSWORD"
)

// tryKey signs something else with the key: one that is missing, or locked, ends a release before it is built.
func (r *release) tryKey(ctx context.Context, key string) error {
	if _, err := exec.LookPath("openssl"); err != nil {
		return fmt.Errorf("openssl signs a release, and is not there: %w: install it", err)
	}
	if _, err := os.ReadFile(key); err != nil {
		return fmt.Errorf("KEY names no file that can be read: %w: docs/release.md says how a key is made", err)
	}
	trial := &release{out: filepath.Join(r.work, "trial"), work: r.work}
	if err := os.MkdirAll(trial.out, 0o755); err != nil {
		return fmt.Errorf("make a folder to try the key in: %w", err)
	}
	if err := trial.write(checksums, []byte("trial\n")); err != nil {
		return err
	}
	if err := trial.sign(ctx, key); err != nil {
		return fmt.Errorf("KEY=%s cannot sign: %w: is it a key as docs/release.md makes it, and %s its password?",
			key, err, passwordVariable)
	}
	return nil
}

// sign signs the checksums, which name every other file: SHA-256 with the key's algorithm, in base64. It verifies at
// once what it has signed with the public key that it leaves beside them.
func (r *release) sign(ctx context.Context, key string) error {
	// Without a password openssl would ask a terminal, or wait for one that is not there.
	password := []string{"-passin", "env:" + passwordVariable}
	env := []string{passwordVariable + "=" + os.Getenv(passwordVariable)}
	raw := filepath.Join(r.work, signature)
	for _, args := range [][]string{
		append([]string{"pkey", "-in", key, "-pubout", "-out", publicKey}, password...),
		append(append([]string{"dgst", "-sha256", "-sign", key, "-out", raw}, password...), checksums),
		{"dgst", "-sha256", "-verify", publicKey, "-signature", raw, checksums},
	} {
		if _, err := command(ctx, r.out, env, "openssl", args...); err != nil {
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
