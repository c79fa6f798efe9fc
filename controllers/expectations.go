package controllers

import (
	"sync"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
)

// expectations remembers which pods this operator has deleted until the cache shows it, so that a stale cache cannot
// make it delete others as well. A new leader starts with a fresh cache and expects nothing.
type expectations struct {
	mu   sync.Mutex
	pods map[types.NamespacedName]map[types.UID]bool
}

func (e *expectations) deleted(cluster types.NamespacedName, pod types.UID) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.pods == nil {
		e.pods = map[types.NamespacedName]map[types.UID]bool{}
	}
	if e.pods[cluster] == nil {
		e.pods[cluster] = map[types.UID]bool{}
	}
	e.pods[cluster][pod] = true
}

// met tells whether the cache shows what was done last: the pods are gone or going.
func (e *expectations) met(cluster types.NamespacedName, pods []corev1.Pod) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	for i := range pods {
		if e.pods[cluster][pods[i].UID] && pods[i].DeletionTimestamp == nil {
			return false
		}
	}
	delete(e.pods, cluster)
	return true
}

// kept takes back that a pod was deleted: the request failed.
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
