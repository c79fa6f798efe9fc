package batch

import (
	"maps"
	"sync"

	"k8s.io/apimachinery/pkg/types"
)

// ByUID remembers something of objects, whatever they are called. The zero value is ready, and safe for concurrent use.
type ByUID[V any] struct {
	mu  sync.Mutex
	all map[types.UID]V
}

// Get is what is remembered of an object; false = nothing.
func (b *ByUID[V]) Get(id types.UID) (v V, known bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	v, known = b.all[id]
	return v, known
}

// Put remembers it in place of what was remembered before.
func (b *ByUID[V]) Put(id types.UID, v V) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.all == nil {
		b.all = map[types.UID]V{}
	}
	b.all[id] = v
}

// Forget drops what is remembered of an object.
func (b *ByUID[V]) Forget(id types.UID) {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.all, id)
}

// ForgetAll drops what is remembered where that holds.
func (b *ByUID[V]) ForgetAll(drop func(V) bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	maps.DeleteFunc(b.all, func(_ types.UID, v V) bool { return drop(v) })
}

// Len is of how many objects something is remembered.
func (b *ByUID[V]) Len() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.all)
}
