package main

import (
	"context"
	"debug/buildinfo"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/google/licensecheck"
)

// architectures are those of the image.
var architectures = []string{"amd64", "arm64"}

// module is a part of the binary: a Go module, or Go's own library, which is called stdlib.
type module struct {
	path, version string
	license       string // an SPDX expression, or NOASSERTION
	texts         []text
}

// text is a file that has to come along with the binary.
type text struct {
	name    string
	content []byte
}

// compile builds the operator for an architecture and returns the path of the binary. What decides about its bytes is
// said here, whatever the user's Go is set to: the commit, the version of Go, and these.
func (r *release) compile(ctx context.Context, arch string) (string, error) {
	binary := filepath.Join(r.work, product+"-"+arch)
	env := []string{
		"GOOS=linux", "GOARCH=" + arch, "GOAMD64=v1", "GOARM64=v8.0", "CGO_ENABLED=0",
		"GOFLAGS=-mod=readonly", "GOEXPERIMENT=", "GOFIPS140=off", "GOWORK=off", "GODEBUG=", "GOENV=off", "GO111MODULE=",
	}
	_, err := command(ctx, r.source, env, "go", "build", "-trimpath", "-buildvcs=false",
		"-ldflags=-s -w -buildid= -X main.version=v"+r.version, "-o", binary, ".")
	return binary, err
}

// modulesOf reads out of binaries what they were linked from, and finds the licences of that. The architectures may
// differ in what they need: the list has all of it.
func (r *release) modulesOf(ctx context.Context, binaries []string) error {
	wanted := map[string]string{}
	for _, binary := range binaries {
		info, err := buildinfo.ReadFile(binary)
		if err != nil {
			return fmt.Errorf("read what %s was built from: %w", binary, err)
		}
		r.goSDK = info.GoVersion
		for _, m := range info.Deps {
			if m.Replace != nil {
				return fmt.Errorf("%s is replaced by %s: a release is built from what its go.mod names", m.Path, m.Replace.Path)
			}
			wanted[m.Path] = m.Version
		}
	}
	folders, err := r.foldersOf(ctx, wanted)
	if err != nil {
		return err
	}
	for path, version := range wanted {
		m := module{path: path, version: version}
		if err := m.readLicenses(folders[path]); err != nil {
			return err
		}
		r.modules = append(r.modules, m)
	}
	root, err := command(ctx, r.source, nil, "go", "env", "GOROOT")
	if err != nil {
		return err
	}
	library := module{path: "stdlib", version: strings.TrimPrefix(r.goSDK, "go")}
	if err := library.readLicenses(strings.TrimSpace(string(root))); err != nil {
		return err
	}
	if len(library.texts) == 0 {
		return fmt.Errorf("the Go in %s has no LICENSE, and the image needs it: take the Go of https://go.dev/dl",
			strings.TrimSpace(string(root)))
	}
	r.modules = append(r.modules, library)
	slices.SortFunc(r.modules, func(a, b module) int { return strings.Compare(a.path, b.path) })
	return nil
}

// foldersOf returns where the modules lie that were just compiled.
func (r *release) foldersOf(ctx context.Context, wanted map[string]string) (map[string]string, error) {
	args := []string{"list", "-m", "-json"}
	for path := range wanted {
		args = append(args, path)
	}
	out, err := command(ctx, r.source, []string{"GOFLAGS=-mod=readonly", "GOWORK=off"}, "go", args...)
	if err != nil {
		return nil, err
	}
	folders := map[string]string{}
	for d := json.NewDecoder(strings.NewReader(string(out))); ; {
		var m struct{ Path, Version, Dir string }
		err := d.Decode(&m)
		if errors.Is(err, io.EOF) {
			return folders, nil
		}
		if err != nil {
			return nil, fmt.Errorf("list modules: %w", err)
		}
		if m.Version != wanted[m.Path] || m.Dir == "" {
			return nil, fmt.Errorf("module %s %s was compiled, and %s lies in %q", m.Path, wanted[m.Path], m.Version, m.Dir)
		}
		folders[m.Path] = m.Dir
	}
}

var (
	licenseFiles = regexp.MustCompile(`(?i)^(licen[cs]e|copying|unlicense)([.-].*)?$`)
	noticeFiles  = regexp.MustCompile(`(?i)^(notice|patents|authors|copyright)([.-].*)?$`)
)

const noAssertion = "NOASSERTION"

// readLicenses reads the texts in a module's top folder, and which licences they are.
func (m *module) readLicenses(folder string) error {
	entries, err := os.ReadDir(folder)
	if err != nil {
		return fmt.Errorf("licence of %s: %w", m.path, err)
	}
	var found []string
	for _, e := range entries {
		license := licenseFiles.MatchString(e.Name())
		if !e.Type().IsRegular() || (!license && !noticeFiles.MatchString(e.Name())) {
			continue
		}
		content, err := os.ReadFile(filepath.Join(folder, e.Name()))
		if err != nil {
			return fmt.Errorf("licence of %s: %w", m.path, err)
		}
		m.texts = append(m.texts, text{e.Name(), content})
		if license {
			for _, match := range licensecheck.Scan(content).Match {
				found = append(found, match.ID)
			}
		}
	}
	slices.Sort(found)
	m.license = strings.Join(slices.Compact(found), " AND ")
	if m.license == "" {
		m.license = noAssertion
	}
	return nil
}

// rootsModule has the authorities of the image.
const rootsModule = "golang.org/x/crypto/x509roots/fallback"

// moduleVersion is the version of a module that this program names in its go.mod.
func (r *release) moduleVersion(path string) (string, error) {
	file, err := os.ReadFile(filepath.Join(r.source, "hack", "release", "go.mod"))
	if err != nil {
		return "", fmt.Errorf("version of %s: %w", path, err)
	}
	for line := range strings.Lines(string(file)) {
		if fields := strings.Fields(line); len(fields) >= 2 && fields[0] == path {
			return fields[1], nil
		}
	}
	return "", fmt.Errorf("version of %s: hack/release/go.mod names none", path)
}
