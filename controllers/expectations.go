package controllers

import (
	"sync"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
)

// expectations remembers which pods this operator has deleted until the cache shows it, so that a stale cache cannot
// make it delete a second one. A new leader starts with a fresh cache and expects nothing.
type expectations struct {
	mu   sync.Mutex
	pods map[types.NamespacedName]types.UID
}

func (e *expectations) deleted(cluster types.NamespacedName, pod types.UID) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.pods == nil {
		e.pods = map[types.NamespacedName]types.UID{}
	}
	e.pods[cluster] = pod
}

// met tells whether the cache shows what was done last: the pod is gone or going.
func (e *expectations) met(cluster types.NamespacedName, pods []corev1.Pod) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	uid, expecting := e.pods[cluster]
	if !expecting {
		return true
	}
	for i := range pods {
		if pods[i].UID == uid && pods[i].DeletionTimestamp == nil {
			return false
		}
	}
	delete(e.pods, cluster)
	return true
}

func (e *expectations) forget(cluster types.NamespacedName) {
	e.mu.Lock()
	defer e.mu.Unlock()
	delete(e.pods, cluster)
}
