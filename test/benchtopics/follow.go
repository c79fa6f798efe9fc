//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/tools/cache"
	watchtools "k8s.io/client-go/tools/watch"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/castellan-dev/castellan/api/v1alpha1"
	"github.com/castellan-dev/castellan/internal/status"
)

// follower sees with one watch when each topic is as a change wants it.
type follower struct {
	watch watch.Interface
	done  chan error // nil once all topics are

	mu    sync.Mutex
	times map[string]time.Time
}

func (w *world) follow(ctx context.Context, namespace string, c change, n int) (*follower, error) {
	list := &v1alpha1.KafkaTopicList{}
	if err := w.kube.List(ctx, list, client.InNamespace(namespace)); err != nil {
		return nil, err
	}
	generations := map[string]int64{}
	for i := range list.Items {
		generations[list.Items[i].Name] = list.Items[i].Generation
	}
	// The API server ends watches, among other times shortly after a CRD was made; this one goes on where it was.
	watching, err := watchtools.NewRetryWatcherWithContext(ctx, list.ResourceVersion, &cache.ListWatch{
		WatchFuncWithContext: func(ctx context.Context, options metav1.ListOptions) (watch.Interface, error) {
			return w.kube.Watch(ctx, &v1alpha1.KafkaTopicList{}, &client.ListOptions{Namespace: namespace, Raw: &options})
		},
	})
	if err != nil {
		return nil, fmt.Errorf("watch KafkaTopics: %w", err)
	}
	f := &follower{watch: watching, done: make(chan error, 1), times: map[string]time.Time{}}
	go func() { f.done <- f.read(c, generations, n) }()
	return f, nil
}

func (f *follower) read(c change, before map[string]int64, n int) error {
	for event := range f.watch.ResultChan() {
		now := time.Now()
		t, ok := event.Object.(*v1alpha1.KafkaTopic)
		if !ok {
			return fmt.Errorf("the watch of KafkaTopics ended: %v", event.Object)
		}
		gone := event.Type == watch.Deleted
		ready := t.Generation > before[t.Name] && t.Status.ObservedGeneration == t.Generation &&
			status.IsReady(t.Status.Conditions, t.Generation)
		if c.verb == remove.verb && !gone || c.verb != remove.verb && !ready {
			continue
		}
		f.mu.Lock()
		if _, known := f.times[t.Name]; !known {
			f.times[t.Name] = now
		}
		settled := len(f.times)
		f.mu.Unlock()
		if settled == n {
			return nil
		}
	}
	return errors.New("the watch of KafkaTopics ended")
}

func (f *follower) stop() { f.watch.Stop() }

func (f *follower) settled() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.times)
}

// since tells how long after the start each topic was as it should be.
func (f *follower) since(start time.Time) []time.Duration {
	f.mu.Lock()
	defer f.mu.Unlock()
	durations := make([]time.Duration, 0, len(f.times))
	for _, at := range f.times {
		durations = append(durations, at.Sub(start))
	}
	return durations
}
