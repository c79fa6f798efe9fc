package main

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"golang.org/x/crypto/x509roots/fallback/bundle"
)

const (
	user        = 65532
	passwd      = "root:x:0:0:root:/root:/sbin/nologin\nnonroot:x:65532:65532:nonroot:/home/nonroot:/sbin/nologin\n"
	group       = "root:x:0:\nnonroot:x:65532:\n"
	authorities = "etc/ssl/certs/ca-certificates.crt"
	// refName is the annotation of a layout's index that names an image.
	refName = "org.opencontainers.image.ref.name"
	// revisionLabel is the label and annotation that has the commit.
	revisionLabel = "org.opencontainers.image.revision"
)

// makeImage compiles the operator for every architecture and makes one index of the images.
func (r *release) makeImage(ctx context.Context) error {
	var binaries []string
	for _, arch := range architectures {
		binary, err := r.compile(ctx, arch)
		if err != nil {
			return err
		}
		binaries = append(binaries, binary)
	}
	if err := r.modulesOf(ctx, binaries); err != nil {
		return err
	}
	base, err := layerOf(r.epoch, r.base)
	if err != nil {
		return err
	}
	index := mutate.IndexMediaType(empty.Index, types.OCIImageIndex)
	for i, arch := range architectures {
		image, err := r.imageFor(arch, base, binaries[i])
		if err != nil {
			return err
		}
		index = mutate.AppendManifests(index, mutate.IndexAddendum{
			Add: image, Descriptor: v1.Descriptor{Platform: &v1.Platform{OS: "linux", Architecture: arch}},
		})
	}
	annotated, ok := mutate.Annotations(index, r.labels(product)).(v1.ImageIndex)
	if !ok {
		return errors.New("an annotated index is no index")
	}
	r.image = annotated
	return r.writeLayout("-image.tar", func(to layout.Path, name layout.Option) error {
		return to.AppendIndex(r.image, name)
	})
}

// base is what every architecture has: a user, authorities and the licences of what the binary is made of.
func (r *release) base(a archive) error {
	for _, dir := range []string{"etc", "etc/ssl", "etc/ssl/certs", "home", "licenses"} {
		if err := a.folder(dir, 0o755, 0); err != nil {
			return err
		}
	}
	if err := errors.Join(a.folder("home/nonroot", 0o755, user), a.folder("tmp", 0o1777, 0)); err != nil {
		return err
	}
	license, err := os.ReadFile(filepath.Join(r.source, "LICENSE"))
	if err != nil {
		return err
	}
	err = errors.Join(
		a.file("etc/passwd", 0o644, []byte(passwd)), a.file("etc/group", 0o644, []byte(group)),
		a.file(authorities, 0o644, roots()), a.file("licenses/LICENSE", 0o644, license),
	)
	for _, m := range r.modules {
		for _, t := range m.texts {
			err = errors.Join(err, a.file("licenses/"+m.path+"/"+t.name, 0o644, t.content))
		}
	}
	return err
}

// roots are the authorities that Mozilla trusts, out of a Go module: those of the machine would make another image
// elsewhere. What Mozilla trusts with a reserve, such as "not beyond 2025", is left out: a PEM file cannot say that.
func roots() []byte {
	var b bytes.Buffer
	for root := range bundle.Roots() {
		if root.Constraint == nil {
			b.Write(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: root.Certificate}))
		}
	}
	return b.Bytes()
}

func (r *release) imageFor(arch string, base v1.Layer, binary string) (v1.Image, error) {
	program, err := os.ReadFile(binary)
	if err != nil {
		return nil, err
	}
	own, err := layerOf(r.epoch, func(a archive) error { return a.file(product, 0o755, program) })
	if err != nil {
		return nil, err
	}
	return assemble(&v1.ConfigFile{
		OS: "linux", Architecture: arch, Created: v1.Time{Time: r.epoch},
		Config: v1.Config{
			Entrypoint: []string{"/" + product}, User: fmt.Sprintf("%d:%d", user, user), WorkingDir: "/",
			Env:    []string{"PATH=/usr/local/bin:/usr/bin:/bin", "SSL_CERT_FILE=/" + authorities},
			Labels: r.labels(product),
		},
	}, r.epoch, base, own)
}

// labels are those that registries and scanners read.
func (r *release) labels(title string) map[string]string {
	const prefix = "org.opencontainers.image."
	return map[string]string{
		prefix + "title":         title,
		prefix + "description":   "Kubernetes operator for Apache Kafka (KRaft)",
		prefix + "version":       r.version,
		revisionLabel:            r.commit,
		prefix + "created":       r.epoch.Format(time.RFC3339),
		prefix + "source":        home,
		prefix + "documentation": home + "/blob/v" + r.version + "/docs/quickstart.md",
		prefix + "licenses":      "Apache-2.0",
	}
}

// layerOf makes a compressed layer of what fill writes.
func layerOf(epoch time.Time, fill func(archive) error) (v1.Layer, error) {
	content, err := tarred(epoch, fill)
	if err != nil {
		return nil, fmt.Errorf("make a layer: %w", err)
	}
	open := func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(content)), nil }
	return tarball.LayerFromOpener(open, tarball.WithCompressionLevel(gzip.BestCompression),
		tarball.WithCompressedCaching, tarball.WithMediaType(types.OCILayer))
}

// assemble makes an image of layers; the configuration's history and file system follow them.
func assemble(config *v1.ConfigFile, epoch time.Time, layers ...v1.Layer) (v1.Image, error) {
	image, err := mutate.ConfigFile(
		mutate.ConfigMediaType(mutate.MediaType(empty.Image, types.OCIManifestSchema1), types.OCIConfigJSON), config)
	if err != nil {
		return nil, err
	}
	for _, layer := range layers {
		image, err = mutate.Append(image, mutate.Addendum{
			Layer: layer, History: v1.History{Created: v1.Time{Time: epoch}, CreatedBy: "make release"},
		})
		if err != nil {
			return nil, err
		}
	}
	return image, nil
}

// writeLayout puts an OCI layout into the release, as one tar file.
func (r *release) writeLayout(suffix string, add func(layout.Path, layout.Option) error) error {
	folder := filepath.Join(r.work, "layout"+strings.TrimSuffix(suffix, ".tar"))
	path, err := layout.Write(folder, empty.Index)
	if err != nil {
		return err
	}
	if err := add(path, layout.WithAnnotations(map[string]string{refName: r.version})); err != nil {
		return err
	}
	return r.writeTree(r.fileName(suffix), folder, ".")
}
