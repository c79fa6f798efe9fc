package cluster

import (
	"sync"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/castellan-dev/castellan/api/v1alpha1"
	"github.com/castellan-dev/castellan/internal/reach"
)

// roads know of each way what a test says.
type roads struct {
	mu        sync.Mutex
	state     reach.State
	finding   reach.Finding
	asked     []reach.Way
	forgotten string
}

func (r *roads) Known(_ string, ways []reach.Way) []reach.Known {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.asked = ways
	var all []reach.Known
	for _, way := range ways {
		all = append(all, reach.Known{Way: way, State: r.state, Finding: r.finding})
	}
	return all
}

func (r *roads) Forget(owner string) { r.mu.Lock(); defer r.mu.Unlock(); r.forgotten = owner }

// listener is what the status says of the only one.
func (b *broker) listener() (v1alpha1.ListenerStatus, *v1alpha1.KafkaCluster) {
	b.Helper()
	cluster := &v1alpha1.KafkaCluster{}
	b.get("events", cluster)
	if len(cluster.Status.Listeners) != 1 {
		b.Fatalf("%+v", cluster.Status.Listeners)
	}
	return cluster.Status.Listeners[0], cluster
}

func TestTheStatusSaysWhetherAListenerIsReachedAndNothingDependsOnIt(t *testing.T) {
	b := aBroker(t)
	known := b.under.Reach.(*roads)
	if l, _ := b.listener(); l.ReachableFromInside != metav1.ConditionUnknown {
		t.Errorf("before anything was tried: %+v", l)
	}
	if len(known.asked) != 1 || known.asked[0].Listener != "clients" || !known.asked[0].TLS {
		t.Fatalf("asked for %+v", known.asked)
	}
	known.state = reach.Tried
	b.passes(time.Minute)
	l, cluster := b.listener()
	if l.ReachableFromInside != metav1.ConditionTrue || len(l.Unreachable) != 0 {
		t.Errorf("%+v", l)
	}
	written, said := cluster.ResourceVersion, b.said()
	b.passes(10 * time.Minute)
	if _, cluster = b.listener(); cluster.ResourceVersion != written {
		t.Error("at rest the status is written")
	}
	known.finding.Fail(reach.FaultNoHost, "b0")
	b.passes(time.Minute)
	l, cluster = b.listener()
	if l.ReachableFromInside != metav1.ConditionFalse || len(l.Unreachable) != 1 {
		t.Errorf("%+v", l)
	}
	if b.said() != said {
		t.Errorf("the cluster says %q, and %q before", b.said(), said)
	}
	written = cluster.ResourceVersion
	b.passes(10 * time.Minute)
	if _, cluster = b.listener(); cluster.ResourceVersion != written {
		t.Error("the same failure is written again")
	}
	if err := b.api.Delete(t.Context(), cluster); err != nil {
		t.Fatal(err)
	}
	_, err := b.under.Reconcile(t.Context(), reconcile.Request{
		NamespacedName: client.ObjectKey{Namespace: "shop", Name: "events"}})
	if err != nil || known.forgotten != "shop/events" {
		t.Errorf("of a cluster that is gone %q is forgotten: %v", known.forgotten, err)
	}
}
