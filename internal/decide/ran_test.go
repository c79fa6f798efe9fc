package decide

import (
	"fmt"
	"reflect"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/castellan-dev/castellan/api/v1alpha1"
	"github.com/castellan-dev/castellan/internal/report"
)

func statusOf(in Inputs, d Decision) v1alpha1.KafkaClusterStatus {
	status, _ := report.Status(report.Pass{Cluster: in.Cluster, Now: in.Now, Model: d.Model, Observation: d.Observation,
		Plan: d.Plan})
	return status
}

// A client that learns of a listener from one broker is sent to the others: all have to have it before it is told.
func TestClientsAreToldOfANewListenerOnceEveryBrokerHasIt(t *testing.T) {
	in := running(t)
	in.Cluster.Status.Listeners = statusOf(in, Decide(in)).Listeners
	before := in.Cluster.Status.Listeners[0]
	in.Cluster.Spec.Listeners = append(in.Cluster.Spec.EffectiveListeners(), v1alpha1.Listener{Name: "apps", Port: 9094})
	for _, step := range []struct {
		restarted int32 // -1 = none
		lacking   map[string][]int32
		message   string
	}{
		{-1, map[string][]int32{"apps": {0, 1, 2}}, "broker 0 does not have it yet; and 2 more; clients are told of it then"},
		{1, map[string][]int32{"apps": {0, 2}}, "broker 0 does not have it yet; and 1 more; clients are told of it then"},
		{0, map[string][]int32{"apps": {2}}, "broker 2 does not have it yet; clients are told of it then"},
		{2, map[string][]int32{}, ""},
	} {
		name := fmt.Sprintf("once node %d runs the new files", step.restarted)
		if step.restarted >= 0 {
			restarted(in, Decide(in), step.restarted)
		}
		d := Decide(in)
		if !reflect.DeepEqual(d.Observation.Untold, step.lacking) {
			t.Errorf("%s: clients are not told of %v, want %v", name, d.Observation.Untold, step.lacking)
		}
		in.Cluster.Status.Listeners = statusOf(in, d).Listeners
		apps, clients := in.Cluster.Status.Listeners[0], in.Cluster.Status.Listeners[1]
		if told := apps.BootstrapServers != ""; told != (len(step.lacking) == 0) || apps.Message != step.message {
			t.Errorf("%s: the status says %+v, want the message %q", name, apps, step.message)
		}
		if !reflect.DeepEqual(clients, before) {
			t.Errorf("%s: the other listener is now %+v, and was %+v", name, clients, before)
		}
	}
	pod := &in.Live.Pods[1]
	ready := pod.Status.Conditions
	pod.Status.Conditions, in.Cluster.Status.Listeners[0].LackedBy = nil, []int32{1}
	pod.CreationTimestamp = metav1.NewTime(in.Now.Add(-time.Minute))
	if d := Decide(in); !reflect.DeepEqual(d.Observation.Untold, map[string][]int32{"apps": {1}}) {
		t.Errorf("broker 1 is not up, and clients are not told of %v", d.Observation.Untold)
	}
	in.Now = in.Now.Add(time.Hour)
	if d := Decide(in); len(d.Observation.Untold) > 0 {
		t.Errorf("broker 1 does not get up, and clients are not told of %v", d.Observation.Untold)
	}
	in.Now, pod.Status.Conditions = in.Now.Add(-time.Hour), ready
	in.Cluster.Status.Listeners[0].LackedBy = nil
	// Nor do clients forget a listener whose addresses are not known for a while, such as with NodePort and no pod.
	in.Cluster.Status.Listeners[0].BootstrapServers = ""
	// A broker that has lost it, or a new one that is without it for a while, takes it from nobody.
	in.Cluster.Spec.Listeners = in.Cluster.Spec.Listeners[:1]
	without := Decide(in)
	in.Cluster.Spec.Listeners = append(in.Cluster.Spec.EffectiveListeners(), v1alpha1.Listener{Name: "apps", Port: 9094})
	restarted(in, without, 1)
	if d := Decide(in); len(d.Observation.Untold) > 0 || statusOf(in, d).Listeners[0].BootstrapServers == "" {
		t.Errorf("clients were told of it, and are no longer: %v", d.Observation.Untold)
	}
}
