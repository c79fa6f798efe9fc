package decide

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/castellan-dev/castellan/api/v1alpha1"
	"github.com/castellan-dev/castellan/internal/model"
	"github.com/castellan-dev/castellan/internal/plan"
	"github.com/castellan-dev/castellan/internal/render"
)

// shared puts the brokers of the load balancer behind one Service.
func shared(in *Inputs) {
	template := intstr.FromString("9100+{nodeId}")
	in.Cluster.Spec.Listeners[1].Exposure.Brokers = &v1alpha1.BrokersExposure{
		ServicePolicy: v1alpha1.ServiceShared, PortTemplate: &template}
}

// behindOne is a cluster that runs with one Service for its three brokers, and its EndpointSlices.
func behindOne(t *testing.T) Inputs {
	t.Helper()
	in := running(t)
	in.EndpointSlices = true
	external(&in)
	shared(&in)
	balance(in, Decide(in), map[string][]string{begin: {"lb"}})
	in = runs(t, in)
	for i := range in.Live.Pods {
		in.Live.Pods[i].Status.Phase, in.Live.Pods[i].Status.PodIPs = corev1.PodRunning, []corev1.PodIP{{IP: fmt.Sprint("10.0.0.", i)}}
	}
	in.Live.Services[begin].Spec.IPFamilies = []corev1.IPFamily{corev1.IPv4Protocol}
	in.Live.Slices = map[string]*discoveryv1.EndpointSlice{}
	for _, slice := range Decide(in).Slices {
		in.Live.Slices[slice.Name] = slice
	}
	for _, o := range in.Live.Slices {
		o.OwnerReferences = []metav1.OwnerReference{{Kind: model.KindCluster, Name: "events", UID: in.Cluster.UID, Controller: new(true)}}
	}
	for _, o := range in.Live.Services {
		o.OwnerReferences = []metav1.OwnerReference{{Kind: model.KindCluster, Name: "events", UID: in.Cluster.UID, Controller: new(true)}}
	}
	return in
}

// portsOf are the ports of brokers at the one Service that is decided.
func portsOf(d Decision) string {
	var ports []string
	for _, object := range render.Quiet(d.Model) {
		if service, is := object.(*corev1.Service); is && service.Name == begin {
			for _, p := range service.Spec.Ports {
				ports = append(ports, fmt.Sprintf("%s:%d", p.Name, p.Port))
			}
		}
	}
	return strings.Join(ports, " ")
}

func surplusOf(d Decision, kind string) []string {
	var names []string
	for _, object := range d.Surplus {
		if object.GetObjectKind().GroupVersionKind().Kind == kind {
			names = append(names, object.GetName())
		}
	}
	return names
}

const ofThree = "external:9094 broker-0:9100 broker-1:9101 broker-2:9102"

func TestWhatIsBehindOneServiceIsAtRest(t *testing.T) {
	d := Decide(behindOne(t))
	unseen := slices.ContainsFunc(d.Unseen, func(o model.ObjectName) bool { return o.Kind == model.KindSlice })
	if !d.Plan.Empty() || len(d.Plan.Pending) > 0 || len(d.Surplus) > 0 || unseen || len(d.Verdicts) > 0 {
		t.Errorf("steps %v, surplus %v, unseen %v, verdicts %v", d.Plan.Steps, d.Surplus, d.Unseen, d.Verdicts)
	}
	if portsOf(d) != ofThree || len(d.Slices) != 3 {
		t.Errorf("ports %s, %d slices", portsOf(d), len(d.Slices))
	}
}

// A broker that is added gets a port and a slice, and no other notices.
func TestABrokerIsAddedBehindOneServiceAndNobodyRestarts(t *testing.T) {
	in := behindOne(t)
	before := Decide(in).Desired
	in.Cluster.Spec.Pools[0].Roles = []v1alpha1.Role{v1alpha1.RoleController, v1alpha1.RoleBroker}
	in.Cluster.Spec.Pools[0].Replicas = new(int32(4))
	d := Decide(in)
	if len(disturbed(d.Plan)) != 0 || !slices.Contains(kinds(d.Plan), plan.ScalePool) {
		t.Errorf("steps %v, held %v", d.Plan.Steps, d.Plan.Held)
	}
	for id := range int32(3) {
		if d.Desired.Files[id] != before.Files[id] {
			t.Errorf("node %d has other files", id)
		}
	}
	if got := d.Files[3].Data["server.properties"]; portsOf(d) != ofThree+" broker-3:9103" ||
		!strings.Contains(got, "EXTERNAL://lb:9103") {
		t.Errorf("ports %s, and the new broker advertises\n%s", portsOf(d), got)
	}
	looksFor := model.ObjectName{Kind: model.KindSlice, Name: "events-main-3-external-ipv4"}
	if !slices.ContainsFunc(d.Unseen, func(o model.ObjectName) bool { return o.Key() == looksFor.Key() }) {
		t.Errorf("before a slice is made it is looked for: %v", d.Unseen)
	}
}

// Clients of a broker that is drained go on with it. Its slice goes with its pod, because another pod may get the
// address, and its port with its StatefulSet's word.
func TestABrokerThatLeavesKeepsItsPortUntilItIsGone(t *testing.T) {
	in := behindOne(t)
	in.Cluster.Spec.Pools[0].Replicas = new(int32(2))
	d := Decide(in)
	if portsOf(d) != ofThree || len(d.Slices) != 3 || len(d.Slices[2].Endpoints) != 1 || len(surplusOf(d, "EndpointSlice")) > 0 {
		t.Errorf("while it leaves: ports %s, %d slices, surplus %v", portsOf(d), len(d.Slices), d.Surplus)
	}
	kept := in.Live.Pods[2]
	in.Live.Pods = in.Live.Pods[:2]
	if d = Decide(in); portsOf(d) != ofThree || len(d.Slices[2].Endpoints) != 0 {
		t.Errorf("while its pod is away: ports %s, it is led to %v", portsOf(d), d.Slices[2].Endpoints)
	}
	two := int32(2)
	in.Live.StatefulSets["events-main"].Spec.Replicas = &two
	in.Live.Pods = append(in.Live.Pods, kept)
	if d = Decide(in); portsOf(d) != ofThree || len(surplusOf(d, "EndpointSlice")) > 0 {
		t.Errorf("while its pod ends: ports %s, surplus %v", portsOf(d), d.Surplus)
	}
	in.Live.Pods = in.Live.Pods[:2]
	in.Kafka, in.KafkaError = nil, "no broker answers" // whatever else is under way
	d = Decide(in)
	if got := surplusOf(d, "EndpointSlice"); d.Plan.Empty() && len(d.Waiting) == 0 || portsOf(d) != "external:9094 broker-0:9100 broker-1:9101" ||
		!slices.Equal(got, []string{"events-main-2-external-ipv4"}) {
		t.Errorf("once it is gone: ports %s, surplus %v", portsOf(d), got)
	}
}

func TestASliceThatIsNoLongerRenderedGoesWhenItLeadsNowhereElseOnceNothingIsUnderWay(t *testing.T) {
	in := behindOne(t)
	in.Cluster.Spec.Listeners = in.Cluster.Spec.Listeners[:1]
	for name, tt := range map[string]struct {
		change func(in *Inputs)
		want   int
	}{
		"while brokers have the listener": {func(*Inputs) {}, 0},
		"a pod was made again":            {func(in *Inputs) { in.Live.Pods[1].UID = "another" }, 1},
		"a pod is gone":                   {func(in *Inputs) { in.Live.Pods = in.Live.Pods[1:] }, 1},
		"a pod has ended":                 {func(in *Inputs) { in.Live.Pods[1].Status.Phase = corev1.PodFailed }, 1},
		"the slice leads to nobody": {func(in *Inputs) {
			in.Live.Slices["events-main-0-external-ipv4"].Endpoints = nil
		}, 1},
		"somebody wrote a stranger into it": {func(in *Inputs) {
			in.Live.Slices["events-main-0-external-ipv4"].Endpoints[0].TargetRef = nil
		}, 1},
		"it is not the cluster's": {func(in *Inputs) {
			in.Live.Slices["events-main-0-external-ipv4"].Endpoints = nil
			in.Live.Slices["events-main-0-external-ipv4"].OwnerReferences[0].UID = "another"
		}, 0},
		"no broker has the listener any more": {func(in *Inputs) { *in = runs(t, *in) }, 3},
	} {
		in := in
		in.Live = behindOne(t).Live
		tt.change(&in)
		d := Decide(in)
		if got := surplusOf(d, "EndpointSlice"); len(got) != tt.want {
			t.Errorf("%s: %v go, want %d", name, got, tt.want)
		}
	}
}

// In place from Services of their own to one Service, and without the permission: brokers stay where clients know them,
// and their Services stay with them.
func TestBrokersStayWhereTheyAreWhileNobodyLeadsToThemBehindOneService(t *testing.T) {
	in := running(t)
	external(&in)
	balance(in, Decide(in), everyAddress)
	in = runs(t, in)
	for _, o := range in.Live.Services {
		o.OwnerReferences = []metav1.OwnerReference{{Kind: model.KindCluster, Name: "events", UID: in.Cluster.UID, Controller: new(true)}}
	}
	shared(&in)
	d := Decide(in)
	if len(disturbed(d.Plan)) != 0 || len(surplusOf(d, "Service")) > 0 || len(d.Slices) > 0 || len(d.Verdicts) > 0 {
		t.Errorf("to restart are %v, surplus %v, %d slices, verdicts %v", disturbed(d.Plan), surplusOf(d, "Service"), len(d.Slices), d.Verdicts)
	}
	const want = "the operator is not told to write EndpointSlices, which alone lead to single brokers behind one Service: " +
		"set endpointSlices.enabled in the values of its chart"
	if got := statusOf(in, d).Listeners[1]; got.Message != want || got.Addresses[0].Host != "lb-0" || got.BootstrapServers != "lb:9094" {
		t.Errorf("the status says %+v, want %q", got, want)
	}
	for _, o := range d.Unseen {
		if o.Kind == model.KindSlice {
			t.Errorf("it looks for %s", o.Name)
		}
	}
	// The cure: each restarts once, and the Services of their own go when none of them is told any more.
	in.EndpointSlices = true
	in.Live.Services[begin].Spec.IPFamilies = []corev1.IPFamily{corev1.IPv4Protocol}
	if d = Decide(in); !slices.Equal(disturbed(d.Plan), []int32{0, 1, 2}) || len(surplusOf(d, "Service")) > 0 || len(d.Slices) != 3 {
		t.Errorf("to restart are %v, surplus %v, %d slices", disturbed(d.Plan), surplusOf(d, "Service"), len(d.Slices))
	}
	in = runs(t, in)
	if d = Decide(in); !slices.Equal(surplusOf(d, "Service"), []string{first, second, third}) {
		t.Errorf("surplus %v, steps %v", surplusOf(d, "Service"), d.Plan.Steps)
	}
}

// A pod that comes back has another address, and so has its slice at once, whatever Kafka says.
func TestASliceFollowsItsPod(t *testing.T) {
	in := behindOne(t)
	in.Live.Pods[1].UID, in.Live.Pods[1].Status.PodIPs = types.UID("new"), []corev1.PodIP{{IP: "10.0.9.9"}}
	in.Live.Pods[1].Status.Conditions = nil
	in.Kafka, in.KafkaError = nil, "no broker answers"
	d := Decide(in)
	if e := d.Slices[1].Endpoints; len(e) != 1 || e[0].Addresses[0] != "10.0.9.9" || e[0].TargetRef.UID != "new" || !*e[0].Conditions.Ready {
		t.Errorf("it leads to %+v", e)
	}
}
