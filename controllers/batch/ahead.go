package batch

import (
	"sync"

	"k8s.io/apimachinery/pkg/types"
)

// storedStatuses are, by UID, those of objects that say more in memory; see Pass.Ahead.
type storedStatuses[S any] struct {
	mu sync.Mutex
	of map[types.UID]S
}

func (s *storedStatuses[S]) get(id types.UID) (stored S, is bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	stored, is = s.of[id]
	return stored, is
}

func (s *storedStatuses[S]) put(id types.UID, stored S) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.of[id] = stored
}

func (s *storedStatuses[S]) drop(id types.UID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.of, id)
}

func newStored[S any]() *storedStatuses[S] { return &storedStatuses[S]{of: map[types.UID]S{}} }

// Ahead has the status of an object say, in memory, what the object has announced. The next status that is written of
// it stores that.
func (p *Pass[T, S]) Ahead(o T, s S) {
	p.ahead.put(o.GetUID(), p.stored(o))
	*p.reconciler.Status(o) = s
}

// stored is the status of an object as the API server has it.
func (p *Pass[T, S]) stored(o T) S {
	if s, says := p.ahead.get(o.GetUID()); says {
		return s
	}
	return *p.reconciler.Status(o)
}

// keepAhead has an object say after a write of its metadata what it said before: the answer of the API server does not.
func (p *Pass[T, S]) keepAhead(o T) (restore func()) {
	if _, says := p.ahead.get(o.GetUID()); !says {
		return func() {}
	}
	said := *p.reconciler.Status(o)
	return func() { *p.reconciler.Status(o) = said }
}
