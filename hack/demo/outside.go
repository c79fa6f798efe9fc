package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// outside sends and reads the records from this machine, through the NodePort, with an ordinary Python client that
// knows nothing but the entries of the user's Secret.
func (d *demo) outside(ctx context.Context) (*tally, error) {
	t := newTally("outside-" + strconv.FormatInt(time.Now().Unix(), 36))
	return t, d.step("10,000 records from this machine, as "+outsideUser, func() error {
		python, err := d.python(ctx)
		if err != nil {
			return err
		}
		binding, err := d.writeBinding(ctx, outsideUser)
		if err != nil {
			return err
		}
		defer os.RemoveAll(binding)
		command := program(ctx, python, filepath.Join(d.root, "hack", "demo", "client.py"),
			"--binding", binding, "--listener", "external", "--topic", topic, "--group", outsideUser+"-"+t.run,
			"--run", t.run, "--records", strconv.Itoa(records), "--keys", strconv.Itoa(keys))
		var stdout, stderr bytes.Buffer
		command.Stdout, command.Stderr = &stdout, &stderr
		if err := command.Run(); err != nil {
			return fmt.Errorf("the Python client: %w\n%s", err, lastLines(stderr.String(), 20))
		}
		for _, line := range strings.Split(stdout.String(), "\n") {
			if err := t.line(line); err != nil {
				return err
			}
		}
		return t.complete()
	})
}

// writeBinding puts the entries of a user's Secret into files that only we can read, as a mount would.
func (d *demo) writeBinding(ctx context.Context, user string) (string, error) {
	name, err := d.secretName(ctx, user)
	if err != nil {
		return "", err
	}
	entries, err := d.secret(ctx, name)
	if err != nil {
		return "", err
	}
	dir, err := os.MkdirTemp("", "castellan-binding-")
	if err != nil {
		return "", err
	}
	for key, value := range entries {
		if err := os.WriteFile(filepath.Join(dir, key), value, 0o600); err != nil {
			return "", err
		}
	}
	return dir, nil
}

// python is an interpreter with the client library, in a virtual environment of its own that is made once.
func (d *demo) python(ctx context.Context) (string, error) {
	requirements := filepath.Join(d.root, "hack", "demo", "requirements.txt")
	content, err := os.ReadFile(requirements)
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256(content)
	dir := filepath.Join(d.cache, "python-"+hex.EncodeToString(sum[:6]))
	done := filepath.Join(dir, "complete")
	python := filepath.Join(dir, "bin", "python")
	if _, err := os.Stat(done); err == nil {
		return python, nil
	}
	d.say("  Python client library (once)")
	if err := os.RemoveAll(dir); err != nil {
		return "", err
	}
	if _, err := d.output(ctx, "python3", "-m", "venv", dir); err != nil {
		return "", fmt.Errorf("%w\n(on Debian: apt-get install python3-venv)", err)
	}
	_, err = d.output(ctx, python, "-m", "pip", "install", "--quiet", "--only-binary", ":all:", "-r", requirements)
	if err != nil {
		return "", err
	}
	return python, os.WriteFile(done, nil, 0o600)
}
