// Package toolchain builds the programs that a cluster runs and keeps them in
// the cache. Each lies in a folder named after everything that it is made
// from, so that a change builds it anew and nothing else does.
package toolchain

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"

	"github.com/castellan-dev/castellan/hack/localcluster/internal/console"
	"github.com/castellan-dev/castellan/hack/localcluster/internal/plan"
	"github.com/castellan-dev/castellan/hack/localcluster/internal/proc"
)

// Versions of what is built. Kubernetes' own is also pinned in go.mod.
const (
	Kubernetes = "v1.36.3"
	runc       = "v1.4.0"
	containerd = "v2.2.9"
	cniPlugins = "v1.9.1"
	kubeRouter = "v2.1.0"
)

// Builder builds programs into the cache.
type Builder struct {
	Cache   plan.Cache
	Console *console.Console
	// Sources is this module: go.mod, go.sum, components and pause.
	Sources fs.FS
}

// Tools are the folders of the programs.
type Tools struct{ Components, Pause, Runc, Containerd, CNI string }

// ComponentsBinary is the program with all parts of Kubernetes.
func (t Tools) ComponentsBinary() string { return filepath.Join(t.Components, "components") }

// PauseBinary is the first process of pods.
func (t Tools) PauseBinary() string { return filepath.Join(t.Pause, "pause") }

// recipe is one build.
type recipe struct {
	name, title, hint string
	needs             []Need
	packages          []string // with versions: go install; without: from this module
	sources           []string // folders of this module that count for the key
	flags             []string
	cgo               bool
	finish            func(dir string) error
}

func componentsRecipe() recipe {
	return recipe{
		name: "components", title: "building Kubernetes " + Kubernetes + " components", hint: "first time: about 12 min",
		packages: []string{"./components", "./components/csi-controller"}, sources: []string{"go.mod", "go.sum", "components"},
		flags: []string{"-ldflags", versionFlags()},
		// kubectl prints its own name in help and errors.
		finish: func(dir string) error { return os.Symlink("components", filepath.Join(dir, "kubectl")) },
	}
}

func pauseRecipe() recipe {
	return recipe{
		name: "pause", title: "building pause", packages: []string{"./pause"}, sources: []string{"go.mod", "go.sum", "pause"},
		flags: []string{"-ldflags", "-s -w"},
	}
}

func runcRecipe() recipe {
	return recipe{
		name: "runc", title: "building runc " + runc, hint: "first time: about 1 min", needs: BuildNeeds, cgo: true,
		packages: []string{"github.com/opencontainers/runc@" + runc},
		flags:    []string{"-tags", "seccomp,urfave_cli_no_docs", "-ldflags", "-s -w"},
	}
}

func containerdRecipe() recipe {
	const path = "github.com/containerd/containerd/v2/cmd/"
	return recipe{
		name: "containerd", title: "building containerd " + containerd, hint: "first time: about 2 min",
		packages: []string{path + "containerd@" + containerd, path + "containerd-shim-runc-v2@" + containerd, path + "ctr@" + containerd},
		flags:    []string{"-ldflags", "-s -w"},
	}
}

func cniRecipe() recipe {
	const path = "github.com/containernetworking/plugins/plugins/"
	r := recipe{name: "cni", title: "building CNI plugins " + cniPlugins, flags: []string{"-ldflags", "-s -w"}}
	for _, p := range []string{"main/ptp", "main/loopback", "ipam/host-local", "meta/portmap"} {
		r.packages = append(r.packages, path+p+"@"+cniPlugins)
	}
	return r
}

func policiesRecipe() recipe {
	return recipe{
		name: "policies", title: "building kube-router " + kubeRouter, hint: "first time: about 5 min",
		packages: []string{"github.com/cloudnativelabs/kube-router/v2/cmd/kube-router@" + kubeRouter},
		flags:    []string{"-ldflags", "-s -w"},
	}
}

// versionFlags gives the Kubernetes programs the version that they report.
func versionFlags() string {
	parts := strings.Split(strings.TrimPrefix(Kubernetes, "v"), ".")
	flags := "-s -w"
	for _, pkg := range []string{"k8s.io/component-base/version", "k8s.io/client-go/pkg/version"} {
		flags += fmt.Sprintf(" -X %[1]s.gitVersion=%[2]s -X %[1]s.gitMajor=%[3]s -X %[1]s.gitMinor=%[4]s -X %[1]s.gitTreeState=clean -X %[1]s.gitCommit=%[5]s",
			pkg, Kubernetes, parts[0], parts[1], strings.Repeat("0", 40))
	}
	return flags
}

// Components builds only the program with the parts of Kubernetes.
func (b Builder) Components(ctx context.Context) (Tools, error) {
	dir, err := b.ensure(ctx, componentsRecipe())
	return Tools{Components: dir}, err
}

// Policies builds only the program that enforces NetworkPolicies, which no cluster has unless it is asked for.
func (b Builder) Policies(ctx context.Context) (program string, err error) {
	if err := EnsurePackages(ctx, b.Console, PolicyNeeds); err != nil {
		return "", err
	}
	dir, err := b.ensure(ctx, policiesRecipe())
	return filepath.Join(dir, "kube-router"), err
}

// All builds everything that a cluster needs.
func (b Builder) All(ctx context.Context) (Tools, error) {
	var t Tools
	for _, part := range []struct {
		recipe recipe
		dir    *string
	}{
		{pauseRecipe(), &t.Pause}, {cniRecipe(), &t.CNI}, {runcRecipe(), &t.Runc},
		{containerdRecipe(), &t.Containerd}, {componentsRecipe(), &t.Components},
	} {
		dir, err := b.ensure(ctx, part.recipe)
		if err != nil {
			return t, err
		}
		*part.dir = dir
	}
	return t, nil
}

// ensure returns the folder of a recipe's programs, built if it is not there.
// A folder appears in one step, when it is complete.
func (b Builder) ensure(ctx context.Context, r recipe) (string, error) {
	key, err := b.key(r)
	if err != nil {
		return "", err
	}
	dir := filepath.Join(b.Cache.Bin(), r.name+"-"+key)
	if isDir(dir) {
		return dir, nil
	}
	if err := EnsurePackages(ctx, b.Console, r.needs); err != nil {
		return "", err
	}
	unlock, err := proc.Lock(ctx, filepath.Join(b.Cache.Bin(), ".lock"), func() {
		b.Console.Say("%s: waiting for another build to end", r.title)
	})
	if err != nil {
		return "", err
	}
	defer unlock()
	if isDir(dir) {
		return dir, nil
	}
	work := dir + ".part"
	if err := os.RemoveAll(work); err != nil {
		return "", err
	}
	err = b.Console.Step(ctx, "build-"+r.name, r.title, r.hint, func(ctx context.Context, log io.Writer) error {
		return b.build(ctx, r, work, log)
	})
	if err != nil {
		return "", errors.Join(err, os.RemoveAll(work))
	}
	return dir, os.Rename(work, dir)
}

func (b Builder) build(ctx context.Context, r recipe, work string, log io.Writer) error {
	out := filepath.Join(work, "out")
	if err := os.MkdirAll(out, 0o755); err != nil {
		return err
	}
	cmd := proc.Command{Env: []string{"CGO_ENABLED=0", "GOWORK=off"}}
	if r.cgo {
		cmd.Env[0] = "CGO_ENABLED=1"
	}
	if strings.Contains(r.packages[0], "@") {
		cmd.Env = append(cmd.Env, "GOBIN="+out)
		cmd.Dir = work // outside of any module
		cmd.Argv = append([]string{"go", "install", "-trimpath"}, r.flags...)
	} else {
		cmd.Dir = filepath.Join(work, "src")
		if err := os.CopyFS(cmd.Dir, b.Sources); err != nil {
			return err
		}
		cmd.Argv = append([]string{"go", "build", "-trimpath", "-o", out + "/"}, r.flags...)
	}
	cmd.Argv = append(cmd.Argv, r.packages...)
	fmt.Fprintln(log, strings.Join(cmd.Argv, " "))
	if err := cmd.Run(ctx, log); err != nil {
		return err
	}
	if err := os.RemoveAll(filepath.Join(work, "src")); err != nil {
		return err
	}
	return flatten(work, out, r.finish)
}

// flatten moves the programs out of the folder that Go wrote them to.
func flatten(work, out string, finish func(string) error) error {
	entries, err := os.ReadDir(out)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if err := os.Rename(filepath.Join(out, e.Name()), filepath.Join(work, e.Name())); err != nil {
			return err
		}
	}
	if err := os.Remove(out); err != nil {
		return err
	}
	if finish == nil {
		return nil
	}
	return finish(work)
}

// key is a digest of all that goes into a build.
func (b Builder) key(r recipe) (string, error) {
	h := sha256.New()
	fmt.Fprintln(h, runtime.Version(), runtime.GOOS, runtime.GOARCH, r.cgo, r.packages, r.flags)
	for _, root := range r.sources {
		err := fs.WalkDir(b.Sources, root, func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() || strings.HasSuffix(path, "_test.go") {
				return err
			}
			content, err := fs.ReadFile(b.Sources, path)
			fmt.Fprintf(h, "%s %d\n", path, len(content))
			h.Write(content)
			return err
		})
		if err != nil {
			return "", fmt.Errorf("sources of %s: %w", r.name, err)
		}
	}
	return hex.EncodeToString(h.Sum(nil))[:12], nil
}

func isDir(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.IsDir()
}
