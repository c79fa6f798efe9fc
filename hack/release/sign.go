package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

const (
	publicKey = "castellan.pub"
	bundleEnd = ".sigstore.json"
	// noLog is a configuration of cosign without a transparency log and without a timestamp authority: a signature by a
	// key needs neither, and a release can be made without the Internet.
	noLog = `{"mediaType":"application/vnd.dev.sigstore.signingconfig.v0.2+json"}`
)

// cosign runs the program cosign, which reads COSIGN_PASSWORD itself.
func (r *release) cosign(ctx context.Context, args ...string) error {
	_, err := command(ctx, r.out, nil, r.tools.cosign, args...)
	return err
}

// signing are the arguments of every signature.
func (r *release) signing(key string) ([]string, error) {
	config := filepath.Join(r.work, "signing-config.json")
	if err := os.WriteFile(config, []byte(noLog), 0o600); err != nil {
		return nil, err
	}
	return []string{"--key", key, "--signing-config", config, "--yes"}, nil
}

// sign signs the checksums and the provenance, and verifies at once what it has signed with the public key that it
// leaves beside them.
func (r *release) sign(ctx context.Context, key string) error {
	signing, err := r.signing(key)
	if err != nil {
		return err
	}
	if err := r.cosign(ctx, "public-key", "--key", key, "--outfile", publicKey); err != nil {
		return fmt.Errorf("read the key: %w", err)
	}
	provenance := r.provenanceName()
	verified := []string{"--key", publicKey, "--insecure-ignore-tlog=true", "--bundle"}
	for _, args := range [][]string{
		append([]string{"sign-blob", "--bundle", checksums + bundleEnd, checksums}, signing...),
		append([]string{"attest-blob", "--bundle", provenance + bundleEnd, "--statement", provenance}, signing...),
		append(append([]string{"verify-blob"}, verified...), checksums+bundleEnd, checksums),
		append(append([]string{"verify-blob-attestation", "--type", "slsaprovenance1"}, verified...),
			provenance+bundleEnd, "install.yaml"),
	} {
		if err := r.cosign(ctx, args...); err != nil {
			return fmt.Errorf("sign the release: %w", err)
		}
	}
	// cosign lets nobody else read what it writes.
	return errors.Join(os.Chmod(filepath.Join(r.out, checksums+bundleEnd), 0o644),
		os.Chmod(filepath.Join(r.out, provenance+bundleEnd), 0o644), os.Chmod(filepath.Join(r.out, publicKey), 0o644))
}

// signPublished signs everything in the registry, and attests to the image what the SBOM and the provenance say.
func (r *release) signPublished(ctx context.Context, key string) error {
	signing, err := r.signing(key)
	if err != nil {
		return err
	}
	refs, err := r.references()
	if err != nil {
		return err
	}
	predicate, err := r.predicate()
	if err != nil {
		return err
	}
	content, err := json.Marshal(predicate)
	if err != nil {
		return err
	}
	file := filepath.Join(r.work, "predicate.json")
	if err := os.WriteFile(file, content, 0o600); err != nil {
		return err
	}
	for _, ref := range refs {
		at := ref.repository + "@" + ref.digest.String()
		// Admission policies may ask for a signature of the image for one architecture.
		all := [][]string{{"sign", "--recursive", at}, {"attest", "--type", "slsaprovenance1", "--predicate", file, at}}
		if ref.repository == r.repository() {
			all = append(all, []string{"attest", "--type", "spdxjson", "--predicate", filepath.Join(r.out, r.sbomName()), at})
		}
		for _, args := range all {
			if err := r.cosign(ctx, append(args, signing...)...); err != nil {
				return fmt.Errorf("sign %s: %w", at, err)
			}
		}
	}
	return nil
}
