package topic

import (
	"testing"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/castellan-dev/castellan/api/v1alpha1"
	"github.com/castellan-dev/castellan/controllers/controllertest"
)

// world is a world with the controller of topics.
type world struct {
	*controllertest.World
	topics *Reconciler
}

func newWorld(t *testing.T, objects ...client.Object) *world {
	t.Helper()
	w := &world{
		World: controllertest.NewCore(
			t,
			controllertest.Indexed{Object: &v1alpha1.KafkaTopic{}, Indexes: kafkaTopics.Indexes()},
			objects...),
	}
	w.restart()
	return w
}

// restart forgets everything that an operator keeps in memory.
func (w *world) restart() {
	w.topics = New(w.Shared, 1000)
	w.Queue, w.Run = &w.topics.engine.Queue, w.topics
}
