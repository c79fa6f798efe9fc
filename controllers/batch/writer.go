package batch

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"

	jsonpatch "github.com/evanphx/json-patch/v5"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/resourceversion"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// Writer writes objects and remembers what it wrote until the cache shows it. An object that the cache shows as it was
// before must not be acted upon: what is recorded in its status would be missed.
type Writer struct {
	Client client.Client

	mu      sync.Mutex
	written map[types.UID]string // resource version after the last write
}

// PatchMetadata writes the annotations and finalizers of an object in which it differs from base, provided that
// nobody has changed the object since it was read: a merge patch replaces the whole list of finalizers.
func (w *Writer) PatchMetadata(ctx context.Context, obj, base client.Object) error {
	patch, err := metadataPatch(obj, base)
	if err != nil {
		return err
	}
	return w.note(obj, w.Client.Patch(ctx, obj, patch))
}

// DropAnnotation takes an annotation off an object in the API, whatever else has changed there since obj was read;
// obj stays as it is.
func (w *Writer) DropAnnotation(ctx context.Context, obj client.Object, key string) error {
	patch, err := json.Marshal(map[string]any{"metadata": map[string]any{
		"uid": obj.GetUID(), "annotations": map[string]any{key: nil},
	}})
	if err != nil {
		return fmt.Errorf("merge patch: %w", err)
	}
	written, ok := obj.DeepCopyObject().(client.Object)
	if !ok {
		return fmt.Errorf("take an annotation off %T: it is no object", obj)
	}
	return w.note(written, w.Client.Patch(ctx, written, client.RawPatch(types.MergePatchType, patch)))
}

// PatchStatus writes what of an object's status differs from before. The patch names the object's UID, which the API
// server compares, so that it cannot land on another object that has got the name meanwhile.
func (w *Writer) PatchStatus(ctx context.Context, obj client.Object, before, after any) error {
	return w.patchStatus(ctx, obj, before, after, map[string]any{"uid": obj.GetUID()})
}

// ClaimStatus does the same, provided that nobody has changed the object since it was read: another installation of the
// operator may look after it.
func (w *Writer) ClaimStatus(ctx context.Context, obj client.Object, before, after any) error {
	return w.patchStatus(ctx, obj, before, after,
		map[string]any{"uid": obj.GetUID(), "resourceVersion": obj.GetResourceVersion()})
}

func (w *Writer) patchStatus(ctx context.Context, obj client.Object, before, after any, only map[string]any) error {
	patch, err := mergePatch(map[string]any{"status": before}, map[string]any{"status": after, "metadata": only})
	if err != nil {
		return err
	}
	return w.note(obj, w.Client.Status().Patch(ctx, obj, patch))
}

// Create creates an object.
func (w *Writer) Create(ctx context.Context, obj client.Object) error {
	return w.note(obj, w.Client.Create(ctx, obj))
}

// Update replaces an object, provided that nobody has changed it since it was read.
func (w *Writer) Update(ctx context.Context, obj client.Object) error {
	return w.note(obj, w.Client.Update(ctx, obj))
}

// Release takes the finalizer off, after which the object may be gone and is not remembered.
func (w *Writer) Release(ctx context.Context, obj, base client.Object) error {
	patch, err := metadataPatch(obj, base)
	if err != nil {
		return err
	}
	err = w.Client.Patch(ctx, obj, patch)
	if client.IgnoreNotFound(err) == nil {
		w.Forget(base.GetUID())
		return nil
	}
	return err
}

// Stale tells whether an object that was read from the cache is older than what was last written.
func (w *Writer) Stale(obj client.Object) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	last, ok := w.written[obj.GetUID()]
	if !ok {
		return false
	}
	if order, err := resourceversion.CompareResourceVersion(obj.GetResourceVersion(), last); err == nil && order < 0 {
		return true
	}
	return false
}

// Wrote tells whether an object is exactly what was last written: its event is an echo.
func (w *Writer) Wrote(obj client.Object) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	last, ok := w.written[obj.GetUID()]
	return ok && last == obj.GetResourceVersion()
}

// Forget drops an object that is gone.
func (w *Writer) Forget(uid types.UID) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.written, uid)
}

func (w *Writer) note(obj client.Object, err error) error {
	if err != nil {
		return err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.written == nil {
		w.written = map[types.UID]string{}
	}
	w.written[obj.GetUID()] = obj.GetResourceVersion()
	return nil
}

func metadataPatch(obj, base client.Object) (client.Patch, error) {
	metadata := func(o client.Object, version string) map[string]any {
		return map[string]any{"metadata": map[string]any{
			"annotations": o.GetAnnotations(), "finalizers": o.GetFinalizers(), "resourceVersion": version,
		}}
	}
	return mergePatch(metadata(base, ""), metadata(obj, base.GetResourceVersion()))
}

// mergePatch is of two documents and not of two objects, which are several times as large as what is ever written of
// them.
func mergePatch(before, after map[string]any) (client.Patch, error) {
	from, err1 := json.Marshal(before)
	to, err2 := json.Marshal(after)
	if err := errors.Join(err1, err2); err != nil {
		return nil, fmt.Errorf("merge patch: %w", err)
	}
	patch, err := jsonpatch.CreateMergePatch(from, to)
	if err != nil {
		return nil, fmt.Errorf("merge patch: %w", err)
	}
	return client.RawPatch(types.MergePatchType, patch), nil
}
