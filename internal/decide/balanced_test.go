package decide

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/castellan-dev/castellan/api/v1alpha1"
	"github.com/castellan-dev/castellan/internal/model"
	"github.com/castellan-dev/castellan/internal/plan"
	"github.com/castellan-dev/castellan/internal/render"
	"github.com/castellan-dev/castellan/internal/report"
)

// balance gives the Services of nodes, and the one at which clients begin, addresses of load balancers.
func balance(in Inputs, d Decision, addresses map[string][]string) {
	for _, object := range render.Quiet(d.Model) {
		service := object.(*corev1.Service)
		if service.Spec.Type != corev1.ServiceTypeLoadBalancer {
			continue
		}
		for _, host := range addresses[service.Name] {
			service.Status.LoadBalancer.Ingress = append(service.Status.LoadBalancer.Ingress,
				corev1.LoadBalancerIngress{Hostname: host})
		}
		in.Live.Services[service.Name] = service
	}
}

func external(in *Inputs) {
	in.Cluster.Spec.Listeners = []v1alpha1.Listener{
		in.Cluster.Spec.EffectiveListeners()[0],
		{Name: "external", Port: 9094, Exposure: v1alpha1.Exposure{Type: v1alpha1.ExposureLoadBalancer},
			Authentication: &v1alpha1.ListenerAuthentication{Mechanisms: []v1alpha1.Mechanism{v1alpha1.MechanismPlain}}},
	}
}

// disturbed are the nodes that are to restart, or held back from it, sorted.
func disturbed(p plan.Plan) []int32 {
	var ids []int32
	for _, step := range p.Steps {
		if step.Kind == plan.Restart {
			ids = append(ids, step.Node)
		}
	}
	for _, held := range p.Held {
		ids = append(ids, held.Node)
	}
	slices.Sort(ids)
	return ids
}

const (
	first  = "events-main-0-external"
	second = "events-main-1-external"
	third  = "events-main-2-external"
	begin  = "events-external"
)

var everyAddress = map[string][]string{first: {"lb-0"}, second: {"lb-1"}, third: {"lb-2"}, begin: {"lb"}}

// A listener is added under load: nobody restarts before an address is known, and each node once.
func TestALoadBalancerThatIsAddedRestartsEachNodeOnceAndOnlyWhenItsAddressIsKnown(t *testing.T) {
	in := running(t)
	before := Decide(in)
	external(&in)
	for _, step := range []struct {
		name     string
		known    []string
		restarts []int32
		message  string
	}{
		{"none is known", nil, nil, "Service events-main-0-external waits for an address of its load balancer; and 3 more"},
		{"only that at which clients begin", []string{begin}, nil,
			"Service events-main-0-external waits for an address of its load balancer; and 2 more"},
		{"that of a node", []string{begin, second}, []int32{1},
			"Service events-main-0-external waits for an address of its load balancer; and 1 more"},
		{"that of a node, and not where clients begin", []string{second}, nil,
			"Service events-main-0-external waits for an address of its load balancer; and 2 more"},
		{"all", []string{begin, first, second, third}, []int32{0, 1, 2},
			"broker 0 does not have it yet; and 2 more; clients are told of it then"},
	} {
		known := maps.Clone(everyAddress)
		maps.DeleteFunc(known, func(name string, _ []string) bool { return !slices.Contains(step.known, name) })
		balance(in, Decide(in), known)
		d := Decide(in)
		if got := disturbed(d.Plan); !slices.Equal(got, step.restarts) {
			t.Errorf("%s: to restart are %v, want %v", step.name, got, step.restarts)
		}
		if len(d.Plan.Waiting)+len(d.Waiting) != 0 {
			t.Errorf("%s: something waits: %v %v", step.name, d.Plan.Waiting, d.Waiting)
		}
		if now := d.Desired.Templates["main"].User; now != before.Desired.Templates["main"].User {
			t.Errorf("%s: the template of the pool is a reason to restart every node of it", step.name)
		}
		for id, files := range d.Desired.Files {
			if changed := files.User != before.Desired.Files[id].User; changed != slices.Contains(step.restarts, id) {
				t.Errorf("%s: the files of node %d changed: %t", step.name, id, changed)
			}
		}
		status, _ := report.Status(report.Pass{Cluster: in.Cluster, Now: in.Now, Model: d.Model, Observation: d.Observation})
		if got := status.Listeners[1].Message; got != step.message {
			t.Errorf("%s: the status says %q, want %q", step.name, got, step.message)
		}
	}
	d := Decide(in)
	for _, held := range d.Plan.Held {
		if !strings.Contains(strings.Join(held.Reasons, ";"), "advertised.listeners none -> EXTERNAL://lb-") {
			t.Errorf("node %d restarts for %v", held.Node, held.Reasons)
		}
	}
}

// runs makes what is decided what there is.
func runs(t *testing.T, in Inputs) Inputs {
	t.Helper()
	d := Decide(in)
	pool := &d.Model.Pools[0]
	revision := render.Revision(d.Model, pool, d.Files)
	in.Live.ConfigMaps[revision.Name] = revision
	set := render.StatefulSet(d.Model, pool, revision.Name, pool.Replicas, nil)
	set.UID = in.Live.StatefulSets[set.Name].UID
	in.Live.StatefulSets[set.Name] = set
	for i := range in.Live.Pods {
		pod := &in.Live.Pods[i]
		pod.Spec = *set.Spec.Template.Spec.DeepCopy()
		for key, value := range set.Spec.Template.Annotations {
			pod.Annotations[key] = value
		}
		pod.Labels = maps.Clone(set.Spec.Template.Labels)
	}
	in.Accepted = in.Cluster.Spec.DeepCopy()
	return in
}

// A load balancer changes its mind while the cluster runs.
func TestARunningNodeFollowsItsLoadBalancerAndNeverLosesTheListener(t *testing.T) {
	in := running(t)
	external(&in)
	balance(in, Decide(in), everyAddress)
	in = runs(t, in)
	if d := Decide(in); len(disturbed(d.Plan)) != 0 || len(d.Plan.Pending) != 0 {
		t.Fatalf("what runs is not at rest: %v %v", d.Plan.Steps, d.Plan.Held)
	}
	seen := Decide(in)
	in.Cluster.Status, _ = report.Status(report.Pass{
		Cluster: in.Cluster, Now: in.Now, Model: seen.Model, Observation: seen.Observation})
	for _, step := range []struct {
		name      string
		addresses map[string][]string
		restarts  []int32
		host      string
		message   string
	}{
		{"it falls silent", map[string][]string{begin: {"lb"}, second: {"lb-1"}, third: {"lb-2"}}, nil, "lb-0",
			"Service events-main-0-external waits for an address of its load balancer"},
		{"all of them do", nil, nil, "lb-0", "Service events-main-0-external waits for an address of its load balancer; and 2 more"},
		{"it has another one besides, which sorts first", map[string][]string{
			begin: {"lb"}, first: {"lb-0", "a"}, second: {"lb-1"}, third: {"lb-2"}}, nil, "lb-0", ""},
		{"it has another one instead", map[string][]string{
			begin: {"lb"}, first: {"new"}, second: {"lb-1"}, third: {"lb-2"}}, []int32{0}, "new", ""},
	} {
		balance(in, Decide(in), step.addresses)
		d := Decide(in)
		if got := disturbed(d.Plan); !slices.Equal(got, step.restarts) {
			t.Errorf("%s: to restart are %v, want %v", step.name, got, step.restarts)
		}
		status := report.ListenerStatus(d.Model, nil)[1]
		if want := (v1alpha1.NodeAddress{NodeID: 0, Host: step.host, Port: 9094}); len(status.Addresses) != 3 ||
			status.Addresses[0] != want {
			t.Errorf("%s: the status has %v, want %v first", step.name, status.Addresses, want)
		}
		if status.BootstrapServers != "lb:9094" {
			t.Errorf("%s: clients begin at %q", step.name, status.BootstrapServers)
		}
		if status.Message != step.message {
			t.Errorf("%s: the status says %q, want %q", step.name, status.Message, step.message)
		}
	}
}

// An added node starts without the listener, and the others keep it.
func TestANewNodeDoesNotWaitForItsLoadBalancer(t *testing.T) {
	in := running(t)
	external(&in)
	balance(in, Decide(in), everyAddress)
	in = runs(t, in)
	in.Cluster.Spec.Pools[0].Roles = []v1alpha1.Role{v1alpha1.RoleController, v1alpha1.RoleBroker}
	in.Cluster.Spec.Pools[0].Replicas = new(int32(4))
	d := Decide(in)
	if len(disturbed(d.Plan)) != 0 || !slices.Contains(kinds(d.Plan), plan.ScalePool) {
		t.Errorf("steps %v, held %v, waiting %v", d.Plan.Steps, d.Plan.Held, d.Plan.Waiting)
	}
	if got := d.Files[3].Data["server.properties"]; strings.Contains(got, "EXTERNAL://") ||
		strings.Contains(got, "listener.name.external") {
		t.Errorf("the new node starts with\n%s", got)
	}
}

// In place from node ports to load balancers: nodes stay where they were until they know better.
func TestTheOldAddressHoldsUntilTheLoadBalancerHasOne(t *testing.T) {
	in := running(t)
	external(&in)
	in.Cluster.Spec.Listeners[1].Exposure.Type = v1alpha1.ExposureNodePort
	in.Cluster.Status.Listeners = []v1alpha1.ListenerStatus{{Name: "external", NodePorts: map[string]int32{
		first: 30000, second: 30001, third: 30002, begin: 30003}}}
	in = runs(t, in)
	in.Cluster.Spec.Listeners[1].Exposure.Type = v1alpha1.ExposureLoadBalancer
	d := Decide(in)
	for id := range int32(3) {
		want := fmt.Sprintf("EXTERNAL://@HOST_IP@:%d", 30000+id)
		if got := d.Files[id].Data["server.properties"]; !strings.Contains(got, want) {
			t.Errorf("node %d does not advertise %s any more:\n%s", id, want, got)
		}
	}
}

// A load balancer costs money: with its listener it goes, but not before the last broker has left it.
func TestTheLoadBalancersOfAListenerGoOnceNoBrokerHasIt(t *testing.T) {
	in := running(t)
	external(&in)
	balance(in, Decide(in), everyAddress)
	in = runs(t, in)
	for _, service := range in.Live.Services {
		service.OwnerReferences = []metav1.OwnerReference{
			{Kind: model.KindCluster, Name: "events", UID: in.Cluster.UID, Controller: new(true)}}
	}
	in.Cluster.Spec.Listeners = in.Cluster.Spec.Listeners[:1]
	if d := Decide(in); len(d.Surplus) != 0 || len(disturbed(d.Plan)) != 3 {
		t.Errorf("while brokers have the listener: surplus %v, to restart %v", d.Surplus, disturbed(d.Plan))
	}
	in = runs(t, in)
	var names []string
	for _, object := range Decide(in).Surplus {
		if _, is := object.(*corev1.Service); is {
			names = append(names, object.GetName())
		}
	}
	if want := []string{begin, first, second, third}; !slices.Equal(names, want) {
		t.Errorf("surplus are %v, want %v", names, want)
	}
}

// restarted lets one node run what is decided; the others go on with what they ran.
func restarted(in Inputs, d Decision, id int32) {
	pool := &d.Model.Pools[0]
	files := ranFiles(in.Live)
	files[id] = d.Files[id]
	revision := render.Revision(d.Model, pool, files)
	in.Live.ConfigMaps[revision.Name] = revision
	set := render.StatefulSet(d.Model, pool, revision.Name, pool.Replicas, nil)
	set.UID = in.Live.StatefulSets[set.Name].UID
	in.Live.StatefulSets[set.Name] = set
	for i := range in.Live.Pods {
		if pod := &in.Live.Pods[i]; pod.Name == d.Model.Node(id).PodName {
			pod.Spec, pod.Labels = *set.Spec.Template.Spec.DeepCopy(), maps.Clone(set.Spec.Template.Labels)
			maps.Copy(pod.Annotations, set.Spec.Template.Annotations)
		}
	}
}

// Addresses come and go in any order, several at a time, and in between nodes restart. Each restarts exactly once, and
// in the end all have the listener and nothing is asked of any of them.
func TestHoweverAddressesComeEachNodeRestartsOnce(t *testing.T) {
	for seed := range uint64(25) {
		r := rand.New(rand.NewPCG(seed, 14))
		in := running(t)
		external(&in)
		in.Accepted = in.Cluster.Spec.DeepCopy()
		if r.IntN(2) == 0 {
			in.Cluster.Spec.Listeners[1].Encryption = v1alpha1.EncryptionNone
		}
		known, restarts := map[string][]string{}, map[int32]int{}
		for round := 0; len(known) < len(everyAddress) || len(restarts) < 3; round++ {
			if round > 500 {
				t.Fatalf("seed %d: known are %v, restarted have %v, and that is all", seed, known, restarts)
			}
			for _, name := range slices.Sorted(maps.Keys(everyAddress)) {
				switch r.IntN(6) {
				case 0, 1:
					known[name] = everyAddress[name]
				case 2:
					delete(known, name) // it falls silent
				}
			}
			balance(in, Decide(in), known)
			d := Decide(in)
			in.Cluster.Status.Listeners = report.ListenerStatus(d.Model, nil)
			for _, id := range disturbed(d.Plan) {
				if r.IntN(2) == 0 {
					restarts[id]++
					restarted(in, d, id)
					break // one at a time, and then everything is looked at again
				}
			}
		}
		d := Decide(in)
		for id, count := range restarts {
			if count != 1 {
				t.Errorf("seed %d: node %d has restarted %d times", seed, id, count)
			}
		}
		if left := disturbed(d.Plan); len(left) != 0 || len(report.ListenerStatus(d.Model, nil)[1].Addresses) != 3 {
			t.Errorf("seed %d: in the end %v are to restart, and the status has %+v", seed, left, report.ListenerStatus(d.Model, nil)[1])
		}
	}
}

// A tunnel gives every Service the address 127.0.0.1. The first broker has it, and the others do without the listener
// until their load balancers have addresses of their own. Who advertised it before keeps it.
func TestLoadBalancersThatShareAnAddressServeOneBrokerAlone(t *testing.T) {
	for name, advertising := range map[string]int32{"nobody has it": -1, "node 2 has it": 2} {
		in := running(t)
		external(&in)
		in.Accepted = in.Cluster.Spec.DeepCopy()
		balance(in, Decide(in), map[string][]string{begin: {"127.0.0.1"}, third: {"127.0.0.1"}})
		if advertising >= 0 {
			restarted(in, Decide(in), advertising)
		}
		balance(in, Decide(in), map[string][]string{
			begin: {"127.0.0.1"}, first: {"127.0.0.1"}, second: {"127.0.0.1"}, third: {"127.0.0.1"}})
		d := Decide(in)
		for i := range d.Model.Nodes {
			n := &d.Model.Nodes[i]
			if has := n.Listener("EXTERNAL") != nil; has != (n.ID == max(advertising, 0)) {
				t.Errorf("%s: node %d has the listener: %t", name, n.ID, has)
			}
		}
		want := "Service events-main-1-external has the address of broker 0, 127.0.0.1:9094: a load balancer of its own has " +
			"another one; and 1 more"
		before := d.Desired.Files
		for id := range int32(3) { // an earlier operator let all of them have it
			in.Live.ConfigMaps = everyoneAt(in, "127.0.0.1")
			if after := Decide(in); advertising < 0 && after.Model.Node(id).Listener("EXTERNAL") == nil {
				t.Errorf("%s: node %d advertises it already, and loses it: %v", name, id, before[id])
			}
		}
		if got := statusOf(in, d).Listeners[1].Message; advertising < 0 && got != want {
			t.Errorf("%s: the status says %q, want %q", name, got, want)
		}
	}
}

// everyoneAt are the revisions, in which every node advertises one address.
func everyoneAt(in Inputs, host string) map[string]*corev1.ConfigMap {
	revisions := map[string]*corev1.ConfigMap{}
	for name, revision := range in.Live.ConfigMaps {
		revision = revision.DeepCopy()
		for key, text := range revision.Data {
			revision.Data[key] = strings.ReplaceAll(text, "\nadvertised.listeners=",
				"\nadvertised.listeners=EXTERNAL://"+host+":9094,")
		}
		revisions[name] = revision
	}
	return revisions
}
