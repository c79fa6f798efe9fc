package image

import (
	"archive/tar"
	"errors"
	"os"
	"path/filepath"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// PauseRef is the image of every pod's first process.
const PauseRef = "registry.k8s.io/pause:3.10"

// Pause makes the pause image from its program, if it is not there.
func Pause(images, binary string) error {
	dir, err := Folder(images, PauseRef)
	if err != nil {
		return err
	}
	if _, err := os.Stat(dir); err == nil {
		return nil
	}
	return fromBinary(binary, "pause", "65535:65535", PauseRef, dir)
}

// FromBinary makes an image of one static program: the program at /NAME, the
// machine's certificate authorities, a user, and no shell.
func FromBinary(binary, entrypoint, ref, out string) error {
	return fromBinary(binary, entrypoint, "65532:65532", ref, out)
}

const (
	authorities = "/etc/ssl/certs/ca-certificates.crt"
	passwd      = "root:x:0:0:root:/root:/sbin/nologin\nnonroot:x:65532:65532:nonroot:/home/nonroot:/sbin/nologin\n"
	group       = "root:x:0:\nnonroot:x:65532:\n"
)

func fromBinary(binary, entrypoint, user, ref, out string) error {
	program, err := os.ReadFile(binary)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(out), 0o755); err != nil {
		return err
	}
	work, err := os.MkdirTemp(filepath.Dir(out), ".layer-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(work)
	layer, err := layerFile(filepath.Join(work, "layer.tar"), func(w *tar.Writer) error {
		if err := skeleton(w); err != nil {
			return err
		}
		return file(w, entrypoint, 0o755, program)
	})
	if err != nil {
		return err
	}
	img, err := assemble(v1.Config{
		Entrypoint: []string{"/" + entrypoint}, User: user, WorkingDir: "/",
		Env: []string{"PATH=/usr/local/bin:/usr/bin:/bin", "SSL_CERT_FILE=" + authorities},
	}, layer)
	if err != nil {
		return err
	}
	return save(img, ref, out)
}

// skeleton is the little that programs expect of a file system.
func skeleton(w *tar.Writer) error {
	for _, dir := range []string{"etc", "etc/ssl", "etc/ssl/certs", "tmp", "home", "home/nonroot"} {
		h := &tar.Header{Typeflag: tar.TypeDir, Name: dir + "/", Mode: 0o755, ModTime: epoch}
		switch dir {
		case "tmp":
			h.Mode = 0o1777
		case "home/nonroot":
			h.Uid, h.Gid = 65532, 65532
		}
		if err := w.WriteHeader(h); err != nil {
			return err
		}
	}
	if err := errors.Join(file(w, "etc/passwd", 0o644, []byte(passwd)), file(w, "etc/group", 0o644, []byte(group))); err != nil {
		return err
	}
	certificates, err := os.ReadFile(authorities)
	if err != nil {
		return nil // a machine without them makes an image without them
	}
	return file(w, authorities[1:], 0o644, certificates)
}
