// Package image makes images as OCI layouts and pushes them to registries.
package image

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
)

// refAnnotation names the image in a layout's index.
const refAnnotation = "org.opencontainers.image.ref.name"

// Pushed is an image in a registry.
type Pushed struct {
	// Ref is the full name that a pod may use, with the registry's name.
	Ref    string
	Digest v1.Hash
}

// Push puts an image to the registry at host:port. The image is an OCI layout,
// as a folder or in a tar file, or a tar file of `docker save`. Without a
// reference the image's own is taken. The registry answers for all others,
// hence the reference's registry is dropped.
func Push(ctx context.Context, path, ref, registry string) (Pushed, error) {
	img, own, closeImage, err := open(path)
	if err != nil {
		return Pushed{}, err
	}
	defer closeImage()
	if ref == "" {
		ref = own
	}
	if ref == "" {
		return Pushed{}, fmt.Errorf("%s does not tell its name; give one with --ref", path)
	}
	parsed, err := name.NewTag(ref)
	if err != nil {
		return Pushed{}, err
	}
	target, err := name.NewTag(registry+"/"+parsed.RepositoryStr()+":"+parsed.TagStr(), name.Insecure)
	if err != nil {
		return Pushed{}, err
	}
	if err := remote.Write(target, img, remote.WithContext(ctx)); err != nil {
		return Pushed{}, fmt.Errorf("push %s: %w", ref, err)
	}
	digest, err := img.Digest()
	return Pushed{Ref: fullName(parsed), Digest: digest}, err
}

// fullName is the name under which containerd keeps the image.
func fullName(t name.Tag) string {
	registry := t.RegistryStr()
	if registry == name.DefaultRegistry {
		registry = "docker.io"
	}
	return registry + "/" + t.RepositoryStr() + ":" + t.TagStr()
}

func open(path string) (v1.Image, string, func(), error) {
	nothing := func() {}
	info, err := os.Stat(path)
	if err != nil {
		return nil, "", nothing, err
	}
	if info.IsDir() {
		img, ref, err := fromLayout(path)
		return img, ref, nothing, err
	}
	if manifest, err := tarball.LoadManifest(func() (io.ReadCloser, error) { return os.Open(path) }); err == nil && len(manifest) > 0 {
		img, err := tarball.ImageFromPath(path, nil)
		ref := ""
		if len(manifest[0].RepoTags) > 0 {
			ref = manifest[0].RepoTags[0]
		}
		return img, ref, nothing, err
	}
	dir, err := os.MkdirTemp("", "layout-")
	if err != nil {
		return nil, "", nothing, err
	}
	remove := func() { os.RemoveAll(dir) }
	if err := untar(path, dir); err != nil {
		return nil, "", nothing, errors.Join(fmt.Errorf("%s is no image: %w", path, err), os.RemoveAll(dir))
	}
	img, ref, err := fromLayout(dir)
	return img, ref, remove, err
}

// fromLayout takes the first image for this kind of machine.
func fromLayout(dir string) (v1.Image, string, error) {
	index, err := layout.ImageIndexFromPath(dir)
	if err != nil {
		return nil, "", fmt.Errorf("%s: %w", dir, err)
	}
	manifest, err := index.IndexManifest()
	if err != nil {
		return nil, "", err
	}
	for _, d := range manifest.Manifests {
		if d.Platform != nil && (d.Platform.OS != "linux" || d.Platform.Architecture != architecture) {
			continue
		}
		ref := d.Annotations[refAnnotation]
		if !d.MediaType.IsIndex() {
			img, err := index.Image(d.Digest)
			return img, ref, err
		}
		nested, err := index.ImageIndex(d.Digest)
		if err != nil {
			return nil, "", err
		}
		img, err := forPlatform(nested)
		return img, ref, err
	}
	return nil, "", fmt.Errorf("%s holds no image for linux/%s", dir, architecture)
}

func forPlatform(index v1.ImageIndex) (v1.Image, error) {
	manifest, err := index.IndexManifest()
	if err != nil {
		return nil, err
	}
	for _, d := range manifest.Manifests {
		if d.Platform != nil && d.Platform.OS == "linux" && d.Platform.Architecture == architecture {
			return index.Image(d.Digest)
		}
	}
	return nil, fmt.Errorf("no image for linux/%s", architecture)
}

// Folder is the folder of an image below the image cache.
func Folder(images, ref string) (string, error) {
	t, err := name.NewTag(ref)
	if err != nil {
		return "", err
	}
	return filepath.Join(images, sanitize(t.RepositoryStr()+"_"+t.TagStr())), nil
}
