package controllers

import (
	"sigs.k8s.io/controller-runtime/pkg/event"

	"github.com/castellan-dev/castellan/api/v1alpha1"
	"github.com/castellan-dev/castellan/internal/connect"
)

// wakers tell controllers of clusters that answer again or are reached in another way, so that what waits for one does
// not wait out its interval.
type wakers []chan event.GenericEvent

// wakersAtOnce is how many clusters may come back together; beyond that an interval has to do.
const wakersAtOnce = 256

func newWakers(controllers int) wakers {
	w := make(wakers, controllers)
	for i := range w {
		w[i] = make(chan event.GenericEvent, wakersAtOnce)
	}
	return w
}

// wake never blocks: the pool calls it in the midst of a request.
func (w wakers) wake(key connect.Key) {
	for _, waker := range w {
		cluster := &v1alpha1.KafkaCluster{}
		cluster.Namespace, cluster.Name = key.Namespace, key.Name
		select {
		case waker <- event.GenericEvent{Object: cluster}:
		default:
		}
	}
}
