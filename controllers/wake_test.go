package controllers

import (
	"testing"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/castellan-dev/castellan/controllers/controllertest"
	"github.com/castellan-dev/castellan/internal/kafka/pool"
)

func TestAClusterThatAnswersAgainWakesEveryControllerAndNeverBlocks(t *testing.T) {
	w := newWakers(2)
	for range wakersAtOnce + 10 {
		w.wake(pool.Key{UID: "u", Namespace: controllertest.ClusterKey.Namespace, Name: controllertest.ClusterKey.Name})
	}
	for i, waker := range w {
		if e := <-waker; client.ObjectKeyFromObject(e.Object) != controllertest.ClusterKey || len(waker) != wakersAtOnce-1 {
			t.Errorf("controller %d: %v, %d more", i, e.Object, len(waker))
		}
	}
}
