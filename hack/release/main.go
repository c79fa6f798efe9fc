// Command release makes what one version of Castellan consists of, from one commit and without Docker: the image for
// each architecture, the chart, the manifests, the bundle for OLM, an SBOM, the provenance, notes, checksums and
// signatures. Whoever builds the same commit with the same Go and the same tools gets the same bytes, but for the
// signatures.
//
// It belongs to people who release, runs the pinned helm and kustomize and openssl as programs, and shares no code with
// the operator. docs/release.md tells how it is used, docs/verify.md what those who install do with what it makes.
package main

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

const (
	product = "castellan"
	home    = "https://github.com/castellan-dev/castellan"
)

// options are the command line.
type options struct {
	root     string
	version  string
	out      string
	registry string
	push     string
	key      string
}

// tools are the paths of the programs that take part.
type tools struct {
	helm, kustomize, bundleCheck string
}

// release is one version while it is made. Each part fills in what those behind it need.
type release struct {
	version  string // without the leading v
	commit   string
	epoch    time.Time // of the commit: every file in every artefact has this time
	registry string    // folder of a registry: host/path
	source   string    // the commit's files
	out      string
	work     string
	tools    tools

	section string // of the changelog
	modules []module
	goSDK   string // version of the Go that compiled
	image   v1.ImageIndex
	chart   v1.Image
	hub     v1.Image // what Artifact Hub reads of the chart's repository
	bundle  v1.Image
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "release:", err)
		stop()
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, out io.Writer) error {
	o, err := parse(args)
	if err != nil {
		return err
	}
	r := &release{version: o.version[1:], registry: o.registry, out: o.out + ".part"}
	defer os.RemoveAll(r.out)
	if r.work, err = os.MkdirTemp("", "castellan-release-"); err != nil {
		return fmt.Errorf("make a folder to work in: %w", err)
	}
	defer os.RemoveAll(r.work)
	if err := r.prepare(ctx, o); err != nil {
		return err
	}
	if err := r.make(ctx, out); err != nil {
		return err
	}
	if o.key != "" {
		if err := r.sign(ctx, o.key); err != nil {
			return err
		}
	}
	if err := os.Rename(r.out, o.out); err != nil {
		return fmt.Errorf("move the finished release to %s: %w", o.out, err)
	}
	r.out = o.out
	if o.push != "" {
		if err := r.push(ctx); err != nil {
			return err
		}
	}
	return r.tell(out, o)
}

func parse(args []string) (options, error) {
	var o options
	flags := flag.NewFlagSet("release", flag.ContinueOnError)
	flags.StringVar(&o.root, "root", "../..", "the repository")
	flags.StringVar(&o.version, "version", "", "the version, as v0.1.0")
	flags.StringVar(&o.out, "out", "", "folder to make; must not exist")
	flags.StringVar(&o.registry, "registry", "ghcr.io/castellan-dev", "folder of the registry that the chart names")
	flags.StringVar(&o.push, "push", "", "folder of a registry to push to; takes the place of -registry")
	flags.StringVar(&o.key, "key", "", "file with the private key that signs, in PEM")
	if err := flags.Parse(args); err != nil {
		return o, err
	}
	if flags.NArg() != 0 {
		return o, fmt.Errorf("what is %q? Everything is told by flags", flags.Arg(0))
	}
	return o, o.check()
}

// versions are those of Semantic Versioning that are tags of images, too: without build metadata.
var versions = regexp.MustCompile(`^v(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)(-[0-9A-Za-z-]+(\.[0-9A-Za-z-]+)*)?$`)

// registries are host[:port]/folder...; a tag, a digest and a scheme are no part.
var registries = regexp.MustCompile(`^[a-zA-Z0-9.-]+(:\d+)?(/[a-z0-9._-]+)+$`)

func (o *options) check() error {
	if !versions.MatchString(o.version) {
		return fmt.Errorf("VERSION=%s is no version: write it as v0.1.0 or v0.1.0-rc.1", o.version)
	}
	if o.out == "" {
		return errors.New("OUT names no folder: write it as OUT=/tmp/castellan-0.1.0")
	}
	if _, err := os.Stat(o.out); err == nil {
		return fmt.Errorf("%s is there already: remove it, or name another folder with OUT", o.out)
	}
	if o.push != "" && o.key == "" {
		return errors.New("PUSH needs KEY: nothing is published that is not signed; docs/release.md says how a key is made")
	}
	o.registry = strings.TrimSuffix(cmp.Or(o.push, o.registry), "/")
	if !registries.MatchString(o.registry) {
		return fmt.Errorf("%s is no folder of a registry: write it as registry.example.com/team", o.registry)
	}
	return nil
}

// prepare settles what is released, and refuses what cannot end well before minutes are spent on building it.
func (r *release) prepare(ctx context.Context, o options) error {
	var err error
	if r.commit, r.epoch, err = commitOf(ctx, o.root, o.version); err != nil {
		return err
	}
	if err := errors.Join(os.RemoveAll(r.out), os.MkdirAll(r.out, 0o755)); err != nil {
		return fmt.Errorf("make the folder of the release: %w", err)
	}
	r.source = filepath.Join(r.work, "source")
	if err := export(ctx, o.root, r.commit, r.source); err != nil {
		return err
	}
	changelog, err := os.ReadFile(filepath.Join(r.source, "CHANGELOG.md"))
	if err != nil {
		return fmt.Errorf("read the changelog: %w", err)
	}
	if r.section, err = section(string(changelog), r.version); err != nil {
		return err
	}
	if o.key != "" {
		if err := r.tryKey(ctx, o.key); err != nil {
			return err
		}
	}
	if o.push != "" {
		if err := r.mayPush(ctx); err != nil {
			return err
		}
	}
	return r.tools.find(ctx, o.root)
}

// find builds the pinned programs where they are missing. The first time that takes minutes, and says so.
func (t *tools) find(ctx context.Context, root string) error {
	for name, path := range map[string]*string{
		"helm": &t.helm, "kustomize": &t.kustomize, "bundle-check": &t.bundleCheck,
	} {
		c := exec.CommandContext(ctx, filepath.Join(root, "hack", "tool.sh"), name)
		c.Stderr = os.Stderr
		out, err := c.Output()
		if err != nil {
			return fmt.Errorf("build %s: %w", name, err)
		}
		*path = strings.TrimSpace(string(out))
	}
	return nil
}

// make builds every artefact in the order in which they name each other: the chart names the image by its digest, the
// provenance names everything, and the checksums include the provenance.
func (r *release) make(ctx context.Context, out io.Writer) error {
	for _, part := range []struct {
		title string
		make  func(context.Context) error
	}{
		{"image", r.makeImage},
		{"SBOM", r.makeSBOM},
		{"manifests", r.makeManifests},
		{"chart", r.makeChart},
		{"Artifact Hub", r.makeHub},
		{"bundle for OLM", r.makeBundle},
		{"release notes", r.makeNotes},
		{"provenance", r.makeProvenance},
		{"checksums", r.makeChecksums},
	} {
		begun := time.Now()
		if err := part.make(ctx); err != nil {
			return fmt.Errorf("%s: %w", part.title, err)
		}
		fmt.Fprintf(out, "%-16s %5.1fs\n", part.title, time.Since(begun).Seconds())
	}
	return nil
}

// tell lists what was made, with sizes and digests.
func (r *release) tell(out io.Writer, o options) error {
	files, err := r.files()
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "\n%s\n", r.out)
	for _, name := range files {
		size, digest, err := measure(filepath.Join(r.out, name))
		if err != nil {
			return err
		}
		fmt.Fprintf(out, "  %-44s %10d  %s\n", name, size, digest)
	}
	refs, err := r.references()
	if err != nil {
		return err
	}
	verb := "named, not pushed"
	if o.push != "" {
		verb = "pushed"
	}
	fmt.Fprintf(out, "\n%s:\n", verb)
	for _, ref := range refs {
		fmt.Fprintf(out, "  %s@%s\n", ref.tagged, ref.digest)
	}
	if o.key == "" {
		fmt.Fprintln(out, "\nNOT SIGNED: KEY names no key")
	}
	return nil
}

// fileName is a name of an artefact: castellan-0.1.0 and what follows.
func (r *release) fileName(suffix string) string { return product + "-" + r.version + suffix }

// write puts an artefact into the release.
func (r *release) write(name string, content []byte) error {
	if err := os.WriteFile(filepath.Join(r.out, name), content, 0o644); err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	return nil
}
