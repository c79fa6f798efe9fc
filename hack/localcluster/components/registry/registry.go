// Package registry is the cluster's image registry. Blobs are looked up in the
// cluster's own folder first and then in the OCI layouts of the image cache,
// so that pushing a cached image moves no data. Manifests are written to disk
// and read again at the start: the library keeps them in memory only.
package registry

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// Run serves the registry until it fails.
func Run(args []string) error {
	flags := flag.NewFlagSet("registry", flag.ContinueOnError)
	address := flags.String("address", "", "address to listen on")
	dir := flags.String("dir", "", "folder for pushed blobs and manifests")
	layouts := flags.String("layouts", "", "folder of OCI layouts whose blobs are served, too")
	if err := flags.Parse(args); err != nil {
		return err
	}
	handler, err := newHandler(*dir, *layouts)
	if err != nil {
		return err
	}
	return http.ListenAndServe(*address, handler)
}

type handler struct {
	next      http.Handler
	manifests string
}

func newHandler(dir, layouts string) (http.Handler, error) {
	own := filepath.Join(dir, "blobs")
	h := &handler{manifests: filepath.Join(dir, "manifests")}
	for _, d := range []string{own, h.manifests} {
		if err := os.MkdirAll(d, 0o755); err != nil {
			return nil, err
		}
	}
	quiet := registry.Logger(log.New(io.Discard, "", 0))
	h.next = registry.New(quiet, registry.WithBlobHandler(&blobs{own: own, layouts: layouts}))
	return h, h.replay()
}

// ServeHTTP keeps every manifest that was put successfully.
func (h *handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodPut || !strings.Contains(r.URL.Path, "/manifests/") {
		h.next.ServeHTTP(w, r)
		return
	}
	body, err := io.ReadAll(io.LimitReader(r.Body, 8<<20))
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	status := &statusWriter{ResponseWriter: w, status: http.StatusOK}
	h.next.ServeHTTP(status, r)
	if status.status/100 == 2 {
		if err := h.keep(r.URL.Path, r.Header.Get("Content-Type"), body); err != nil {
			log.Printf("manifest %s is not kept: %v", r.URL.Path, err)
		}
	}
}

// keep writes one file a manifest: the content type, a line feed, the body.
func (h *handler) keep(path, contentType string, body []byte) error {
	file := filepath.Join(h.manifests, url.PathEscape(path))
	content := append([]byte(contentType+"\n"), body...)
	if err := os.WriteFile(file+".tmp", content, 0o644); err != nil {
		return err
	}
	return os.Rename(file+".tmp", file)
}

// replay puts the kept manifests into the registry again. It goes over them
// twice, because an index is refused while its images are not there.
func (h *handler) replay() error {
	entries, err := os.ReadDir(h.manifests)
	if err != nil {
		return err
	}
	for range 2 {
		for _, e := range entries {
			path, err := url.PathUnescape(e.Name())
			if err != nil || strings.HasSuffix(path, ".tmp") {
				continue
			}
			content, err := os.ReadFile(filepath.Join(h.manifests, e.Name()))
			if err != nil {
				return err
			}
			contentType, body, _ := bytes.Cut(content, []byte("\n"))
			req := httptest.NewRequest(http.MethodPut, path, bytes.NewReader(body))
			req.Header.Set("Content-Type", string(contentType))
			h.next.ServeHTTP(httptest.NewRecorder(), req)
		}
	}
	return nil
}

type statusWriter struct {
	http.ResponseWriter
	status int
}

func (w *statusWriter) WriteHeader(status int) {
	w.status = status
	w.ResponseWriter.WriteHeader(status)
}

// blobs is a store of blobs on disk. Nothing is hashed again on reading: the
// files are named by digest when they are written, and containerd verifies.
type blobs struct{ own, layouts string }

func (b *blobs) find(h v1.Hash) (string, error) {
	path := filepath.Join(b.own, h.Algorithm, h.Hex)
	if _, err := os.Stat(path); err == nil {
		return path, nil
	}
	found, err := filepath.Glob(filepath.Join(b.layouts, "*", "blobs", h.Algorithm, h.Hex))
	if err != nil || len(found) == 0 || b.layouts == "" {
		return "", registry.ErrNotFound
	}
	return found[0], nil
}

func (b *blobs) Stat(_ context.Context, _ string, h v1.Hash) (int64, error) {
	path, err := b.find(h)
	if err != nil {
		return 0, err
	}
	info, err := os.Stat(path)
	if err != nil {
		return 0, err
	}
	return info.Size(), nil
}

func (b *blobs) Get(_ context.Context, _ string, h v1.Hash) (io.ReadCloser, error) {
	path, err := b.find(h)
	if err != nil {
		return nil, err
	}
	return os.Open(path)
}

func (b *blobs) Put(_ context.Context, _ string, h v1.Hash, content io.ReadCloser) error {
	dir := filepath.Join(b.own, h.Algorithm)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	f, err := os.CreateTemp(b.own, "upload-*")
	if err != nil {
		return err
	}
	_, err = io.Copy(f, content)
	if err = errors.Join(err, f.Close()); err != nil {
		return errors.Join(fmt.Errorf("blob %s: %w", h, err), os.Remove(f.Name()))
	}
	return os.Rename(f.Name(), filepath.Join(dir, h.Hex))
}
