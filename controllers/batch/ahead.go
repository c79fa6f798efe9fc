package batch

// Ahead has the status of an object say, in memory, what the object has announced. The next status that is written of
// it stores that.
func (p *Pass[T, S]) Ahead(o T, s S) {
	p.ahead.Put(o.GetUID(), p.stored(o))
	*p.reconciler.Status(o) = s
}

// stored is the status of an object as the API server has it.
func (p *Pass[T, S]) stored(o T) S {
	if s, says := p.ahead.Get(o.GetUID()); says {
		return s
	}
	return *p.reconciler.Status(o)
}

// keepAhead has an object say after a write of its metadata what it said before: the answer of the API server does not.
func (p *Pass[T, S]) keepAhead(o T) (restore func()) {
	if _, says := p.ahead.Get(o.GetUID()); !says {
		return func() {}
	}
	said := *p.reconciler.Status(o)
	return func() { *p.reconciler.Status(o) = said }
}
