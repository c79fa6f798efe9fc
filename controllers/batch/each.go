package batch

import "sync"

// Each calls do for every item, at most workers at a time, and returns when all are done.
func Each[T any](workers int, items []T, do func(T)) {
	var group sync.WaitGroup
	slots := make(chan struct{}, workers)
	for _, item := range items {
		slots <- struct{}{}
		group.Go(func() {
			defer func() { <-slots }()
			do(item)
		})
	}
	group.Wait()
}
