//go:build linux

package bench

import (
	"context"
	"fmt"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/tools/cache"
	watchtools "k8s.io/client-go/tools/watch"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// follower sees with one watch when each object is as a change wants it.
type follower struct {
	watch watch.Interface
	done  chan error // nil once all objects are

	mu    sync.Mutex
	times map[string]time.Time
}

func (w *World) follow(ctx context.Context, namespace string, c Change, n int) (*follower, error) {
	list := w.subject.List()
	if err := w.Kube.List(ctx, list, client.InNamespace(namespace)); err != nil {
		return nil, err
	}
	generations := map[string]int64{}
	err := meta.EachListItem(list, func(item runtime.Object) error {
		o, err := meta.Accessor(item)
		if err == nil {
			generations[o.GetName()] = o.GetGeneration()
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	watching, err := w.watchFrom(ctx, list, namespace)
	if err != nil {
		return nil, fmt.Errorf("watch %s: %w", w.subject.Noun, err)
	}
	f := &follower{watch: watching, done: make(chan error, 1), times: map[string]time.Time{}}
	go func() { f.done <- f.read(w.subject, c, generations, n) }()
	return f, nil
}

// Watch tells of what becomes of a namespace's objects of a list's kind until ctx ends.
func (w *World) Watch(ctx context.Context, list client.ObjectList, namespace string) (watch.Interface, error) {
	if err := w.Kube.List(ctx, list, client.InNamespace(namespace)); err != nil {
		return nil, err
	}
	return w.watchFrom(ctx, list, namespace)
}

// watchFrom goes on where a list ends. The API server ends watches, among other times shortly after a CRD was made;
// this one goes on where it was.
func (w *World) watchFrom(ctx context.Context, from client.ObjectList, namespace string) (watch.Interface, error) {
	kind := from.DeepCopyObject().(client.ObjectList)
	return watchtools.NewRetryWatcherWithContext(ctx, from.GetResourceVersion(), &cache.ListWatch{
		WatchFuncWithContext: func(ctx context.Context, options metav1.ListOptions) (watch.Interface, error) {
			return w.Kube.Watch(ctx, kind, &client.ListOptions{Namespace: namespace, Raw: &options})
		},
	})
}

func (f *follower) read(s Subject, c Change, before map[string]int64, n int) error {
	for event := range f.watch.ResultChan() {
		now := time.Now()
		o, ok := event.Object.(client.Object)
		if !ok {
			return fmt.Errorf("the watch of %s ended: %v", s.Noun, event.Object)
		}
		if gone := event.Type == watch.Deleted; c.Gone && !gone || !c.Gone && !s.done(o, c, before[o.GetName()]) {
			continue
		}
		f.mu.Lock()
		if _, known := f.times[o.GetName()]; !known {
			f.times[o.GetName()] = now
		}
		settled := len(f.times)
		f.mu.Unlock()
		if settled == n {
			return nil
		}
	}
	return fmt.Errorf("the watch of %s ended", s.Noun)
}

func (f *follower) stop() { f.watch.Stop() }

func (f *follower) settled() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.times)
}

// since tells how long after the start each object was as it should be.
func (f *follower) since(start time.Time) []time.Duration {
	f.mu.Lock()
	defer f.mu.Unlock()
	durations := make([]time.Duration, 0, len(f.times))
	for _, at := range f.times {
		durations = append(durations, at.Sub(start))
	}
	return durations
}
