package batch

import (
	"context"
	"encoding/json"
	"fmt"
	"sync"

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

// PatchMetadata writes what of an object's metadata differs from base, provided that nobody has changed the object since
// it was read: a merge patch replaces the whole list of finalizers.
func (w *Writer) PatchMetadata(ctx context.Context, obj, base client.Object) error {
	return w.note(obj, w.Client.Patch(ctx, obj, client.MergeFromWithOptions(base, client.MergeFromWithOptimisticLock{})))
}

// PatchStatus writes what of an object's status differs from base. The patch names the object's UID, so that it cannot
// land on another object that has got the name meanwhile.
func (w *Writer) PatchStatus(ctx context.Context, obj, base client.Object) error {
	return w.note(obj, w.Client.Status().Patch(ctx, obj, sameObject{client.MergeFrom(base), base.GetUID()}))
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
	err := w.Client.Patch(ctx, obj, client.MergeFromWithOptions(base, client.MergeFromWithOptimisticLock{}))
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

// sameObject adds the UID, which the API server compares, to a merge patch.
type sameObject struct {
	client.Patch
	uid types.UID
}

func (p sameObject) Data(obj client.Object) ([]byte, error) {
	data, err := p.Patch.Data(obj)
	if err != nil {
		return nil, err
	}
	var patch map[string]any
	if err := json.Unmarshal(data, &patch); err != nil {
		return nil, fmt.Errorf("merge patch: %w", err)
	}
	metadata, ok := patch["metadata"].(map[string]any)
	if !ok {
		metadata = map[string]any{}
		patch["metadata"] = metadata
	}
	metadata["uid"] = string(p.uid)
	return json.Marshal(patch)
}
