package cluster

import (
	"context"
	"fmt"
	"sync"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// expectations remembers which pods this operator has deleted until the cache shows it, so that a stale cache cannot
// make it delete others as well. A new leader starts with a fresh cache and expects nothing.
type expectations struct {
	mu   sync.Mutex
	pods map[types.NamespacedName]map[types.UID]deletion
}

// deletion is what is known of one that was asked for.
type deletion int

const (
	answered deletion = iota // the API server took it, and the cache will show it
	doubted                  // no answer came: it may have been taken
)

func (e *expectations) expect(cluster types.NamespacedName, pod types.UID, known deletion) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.pods == nil {
		e.pods = map[types.NamespacedName]map[types.UID]deletion{}
	}
	if e.pods[cluster] == nil {
		e.pods[cluster] = map[types.UID]deletion{}
	}
	e.pods[cluster][pod] = known
}

// met tells whether the cache shows what was done last: the pods are gone or going. Where an answer was lost, it reads
// past the cache, through fresh, what became of the pod.
func (e *expectations) met(
	ctx context.Context,
	fresh client.Reader,
	cluster types.NamespacedName,
	pods []corev1.Pod,
) (bool, error) {
	for i := range pods {
		pod := &pods[i]
		known, expected := e.of(cluster, pod.UID)
		if !expected || pod.DeletionTimestamp != nil {
			continue
		}
		if known == answered {
			return false, nil
		}
		stands, err := stillStands(ctx, fresh, pod)
		if err != nil {
			return false, err
		}
		if !stands {
			return false, nil
		}
		e.kept(cluster, pod.UID)
	}
	e.forget(cluster)
	return true, nil
}

// stillStands tells whether the very pod is there and not on its way out.
func stillStands(ctx context.Context, fresh client.Reader, pod *corev1.Pod) (bool, error) {
	now := &corev1.Pod{}
	err := fresh.Get(ctx, client.ObjectKeyFromObject(pod), now)
	if apierrors.IsNotFound(err) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf(
			"read whether pod %s was deleted, as no answer came: %w",
			client.ObjectKeyFromObject(pod),
			err,
		)
	}
	return now.UID == pod.UID && now.DeletionTimestamp == nil, nil
}

func (e *expectations) of(cluster types.NamespacedName, pod types.UID) (known deletion, expected bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	known, expected = e.pods[cluster][pod]
	return known, expected
}

// kept takes back that a pod was deleted: it was not.
func (e *expectations) kept(cluster types.NamespacedName, pod types.UID) {
	e.mu.Lock()
	defer e.mu.Unlock()
	delete(e.pods[cluster], pod)
}

func (e *expectations) forget(cluster types.NamespacedName) {
	e.mu.Lock()
	defer e.mu.Unlock()
	delete(e.pods, cluster)
}
