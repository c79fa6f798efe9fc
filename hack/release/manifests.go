package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// repository is where the operator's image lives.
func (r *release) repository() string { return r.registry + "/" + product }

// pinned is the operator's image by its digest: whoever installs gets these bytes or none.
func (r *release) pinned() (string, error) {
	digest, err := r.image.Digest()
	return r.repository() + "@" + digest.String(), err
}

// makeManifests writes install.yaml, for kubectl, and the folder that it comes from, for kustomize.
func (r *release) makeManifests(ctx context.Context) error {
	folder := filepath.Join(r.work, "kustomize")
	if err := os.CopyFS(folder, os.DirFS(filepath.Join(r.source, "config"))); err != nil {
		return fmt.Errorf("copy config: %w", err)
	}
	digest, err := r.image.Digest()
	if err != nil {
		return err
	}
	images := fmt.Sprintf("images:\n- name: %s\n  newName: %s\n  digest: %s\n", product, r.repository(), digest)
	if err := appendTo(filepath.Join(folder, "manager", "kustomization.yaml"), images); err != nil {
		return err
	}
	install, err := command(ctx, folder, nil, r.tools.kustomize, "build", "default")
	if err != nil {
		return err
	}
	pinned, err := r.pinned()
	if err != nil {
		return err
	}
	if n := strings.Count(string(install), "image: "+pinned+"\n"); n != 1 {
		return fmt.Errorf("install.yaml names %s %d times, not once", pinned, n)
	}
	head := fmt.Sprintf("# Castellan %s:\n#   kubectl apply --server-side -f install.yaml\n", r.version)
	if err := r.write("install.yaml", append([]byte(head), install...)); err != nil {
		return err
	}
	return r.writeTree(r.fileName("-kustomize.tar.gz"), folder, r.fileName("-kustomize"))
}

func appendTo(path, text string) error {
	content, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	return os.WriteFile(path, append(content, text...), 0o644)
}

// replaceOnce changes one place of a file, and fails where it is not there exactly once.
func replaceOnce(path, from, to string) error {
	content, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	if n := strings.Count(string(content), from); n != 1 {
		return fmt.Errorf("%s has %q %d times, not once", path, from, n)
	}
	return os.WriteFile(path, []byte(strings.Replace(string(content), from, to, 1)), 0o644)
}
