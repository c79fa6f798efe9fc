package cluster

import (
	"context"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/castellan-dev/castellan/api/v1alpha1"
)

const sliceOfBroker0 = "events-main-0-clients-ipv4"

// behindOne exposes the listener at one Service for all brokers.
func behindOne() v1alpha1.Exposure {
	template := intstr.FromString("9100+{nodeId}")
	return v1alpha1.Exposure{
		Type: v1alpha1.ExposureLoadBalancer, Advertised: &v1alpha1.Advertised{HostTemplate: "kafka.example.com"},
		Bootstrap: &v1alpha1.BootstrapExposure{Hosts: []string{"kafka.example.com"}}, // nobody waits for a load balancer
		Brokers:   &v1alpha1.BrokersExposure{ServicePolicy: v1alpha1.ServiceShared, PortTemplate: &template}}
}

// slicing is a house whose operator may write EndpointSlices, with a broker's pod.
func slicing(t *testing.T, objects ...client.Object) *house {
	h := newHouse(t, objects...)
	h.under.Settings.EndpointSlices = true
	h.expose(behindOne())
	h.reconcile()
	service := &corev1.Service{}
	h.get("events-clients", service)
	service.Spec.IPFamilies = []corev1.IPFamily{corev1.IPv4Protocol}
	if err := h.api.Update(t.Context(), service); err != nil {
		t.Fatal(err)
	}
	h.starts("10.0.0.7")
	h.reconcile()
	return h
}

// starts makes the pod of node 0 anew, at another address.
func (h *house) starts(address string) {
	h.Helper()
	set := &appsv1.StatefulSet{}
	h.get("events-main", set)
	pod := &corev1.Pod{ObjectMeta: named("events-main-0", set.Spec.Template.Labels), Spec: *set.Spec.Template.Spec.DeepCopy()}
	pod.UID, pod.Annotations = types.UID("pod-"+address), set.Spec.Template.Annotations
	pod.Spec.Containers[0].Ports = []corev1.ContainerPort{{Name: "clients", ContainerPort: 9092}}
	if err := client.IgnoreNotFound(h.api.Delete(h.Context(), pod.DeepCopy())); err != nil {
		h.Fatal(err)
	}
	pod.Status.Phase, pod.Status.PodIPs = corev1.PodRunning, []corev1.PodIP{{IP: address}}
	if err := h.api.Create(h.Context(), pod); err != nil {
		h.Fatal(err)
	}
}

func (h *house) slice() *discoveryv1.EndpointSlice {
	h.Helper()
	slice := &discoveryv1.EndpointSlice{}
	h.get(sliceOfBroker0, slice)
	return slice
}

// ledTo is where the only broker's port leads.
func (h *house) ledTo() string {
	h.Helper()
	slice := h.slice()
	if len(slice.Endpoints) != 1 || len(slice.Ports) != 1 {
		return ""
	}
	return *slice.Ports[0].Name + " " + strings.Join(slice.Endpoints[0].Addresses, ",")
}

// What is right is not written again, what somebody edits or deletes is put back, and a pod that moves is followed.
func TestASliceIsKeptAsItIsMade(t *testing.T) {
	h := slicing(t)
	if got := h.ledTo(); got != "broker-0 10.0.0.7" || !metav1.IsControlledBy(h.slice(), &metav1.ObjectMeta{UID: "events-uid"}) {
		t.Fatalf("it leads to %q", got)
	}
	if got := h.listener().Addresses; len(got) != 1 || got[0] != (v1alpha1.NodeAddress{Host: "kafka.example.com", Port: 9100}) {
		t.Errorf("clients are told %+v", got)
	}
	before := h.slice().ResourceVersion
	h.reconcile()
	if h.slice().ResourceVersion != before {
		t.Error("it is written at rest")
	}
	for name, edit := range map[string]func(s *discoveryv1.EndpointSlice){
		"another address": func(s *discoveryv1.EndpointSlice) { s.Endpoints[0].Addresses = []string{"10.0.0.66"} },
		"a stranger beside it": func(s *discoveryv1.EndpointSlice) {
			s.Endpoints = append(s.Endpoints, discoveryv1.Endpoint{Addresses: []string{"10.0.0.66"}})
		},
		"nobody":          func(s *discoveryv1.EndpointSlice) { s.Endpoints = nil },
		"another port":    func(s *discoveryv1.EndpointSlice) { *s.Ports[0].Port = 1 },
		"another Service": func(s *discoveryv1.EndpointSlice) { s.Labels["kubernetes.io/service-name"] = "web" },
	} {
		edited := h.slice()
		edit(edited)
		if err := h.api.Update(t.Context(), edited); err != nil {
			t.Fatal(err)
		}
		h.reconcile()
		if h.ledTo() != "broker-0 10.0.0.7" || *h.slice().Ports[0].Port != 9092 ||
			h.slice().Labels["kubernetes.io/service-name"] != "events-clients" {
			t.Errorf("%s: it stays %+v", name, h.slice())
		}
	}
	if err := h.api.Delete(t.Context(), h.slice()); err != nil {
		t.Fatal(err)
	}
	h.reconcile()
	h.starts("10.0.0.8")
	h.reconcile()
	if got := h.ledTo(); got != "broker-0 10.0.0.8" {
		t.Errorf("made again, after the pod has moved, it leads to %q", got)
	}
	if err := h.api.Delete(t.Context(), &corev1.Pod{ObjectMeta: named("events-main-0", nil)}); err != nil {
		t.Fatal(err)
	}
	h.reconcile()
	if len(h.slice().Endpoints) != 0 {
		t.Errorf("without a pod it leads to %q", h.ledTo())
	}
	edited := h.slice()
	edited.Endpoints = []discoveryv1.Endpoint{{Addresses: []string{"10.0.0.66"}}}
	if err := h.api.Update(t.Context(), edited); err != nil {
		t.Fatal(err)
	}
	if h.reconcile(); len(h.slice().Endpoints) != 0 {
		t.Errorf("without a pod it leads to a stranger: %q", h.ledTo())
	}
	h.starts("10.0.0.9")
	h.reconcile()
	if got := h.ledTo(); got != "broker-0 10.0.0.9" {
		t.Errorf("with a pod again it leads to %q", got)
	}
}

// Kubernetes writes EndpointSlices for the same Service, and copies its labels to them. They are not ours, and neither is
// what somebody else has under a name that we need.
func TestSlicesOfOthersAreLeftAlone(t *testing.T) {
	labels := map[string]string{"kubernetes.io/service-name": "events-clients",
		"endpointslice.kubernetes.io/managed-by": "endpointslice-controller.k8s.io"}
	for key, value := range copied {
		labels[key] = value
	}
	yes := true
	ofService := &discoveryv1.EndpointSlice{ObjectMeta: named("events-clients-abcde", labels), AddressType: "IPv4",
		Endpoints: []discoveryv1.Endpoint{{Addresses: []string{"10.0.0.7"}}}}
	ofService.OwnerReferences = []metav1.OwnerReference{{Kind: "Service", Name: "events-clients", UID: "s", Controller: &yes}}
	theirs := &discoveryv1.EndpointSlice{ObjectMeta: named(sliceOfBroker0, web), AddressType: "IPv4"}
	before := map[string]*discoveryv1.EndpointSlice{}
	h := slicing(t, ofService, theirs)
	for _, name := range []string{ofService.Name, theirs.Name} {
		before[name] = &discoveryv1.EndpointSlice{}
		h.get(name, before[name])
	}
	said := h.reconcile()
	for _, want := range []string{"spec.listeners[clients].name", "EndpointSlice " + sliceOfBroker0 +
		" exists and is not this KafkaCluster's", "rename the listener"} {
		if !strings.Contains(said, want) {
			t.Errorf("it says %q, expected %q", said, want)
		}
	}
	h.expose(v1alpha1.Exposure{})
	h.reconcile()
	for name, was := range before {
		is := &discoveryv1.EndpointSlice{}
		if h.get(name, is); !equality.Semantic.DeepEqual(is, was) || len(is.Endpoints) != len(was.Endpoints) {
			t.Errorf("%s was %+v and is %+v", name, was, is)
		}
	}
	if err := h.api.Delete(t.Context(), theirs); err != nil {
		t.Fatal(err)
	}
	h.expose(behindOne())
	h.reconcile()
	h.starts("10.0.0.7")
	h.reconcile()
	if got := h.ledTo(); got != "broker-0 10.0.0.7" {
		t.Errorf("when it is gone ours leads to %q", got)
	}
}

// A slice that lost the label by which the cache shows it is known by its owner.
func TestASliceThatLostItsLabelsGetsThemBack(t *testing.T) {
	h := slicing(t)
	slice := h.slice()
	labels := slice.Labels
	slice.Labels = nil
	if err := h.api.Update(t.Context(), slice); err != nil {
		t.Fatal(err)
	}
	said := h.reconcile()
	if !equality.Semantic.DeepEqual(h.slice().Labels, labels) || strings.Contains(said, "exists") {
		t.Errorf("it has %v, want %v; it says %q", h.slice().Labels, labels, said)
	}
}

// Kubernetes' no, such as that of a policy, is told at the listener and holds nothing else up.
func TestASliceThatKubernetesRefusesIsTold(t *testing.T) {
	h := slicing(t)
	h.starts("10.0.0.8")
	h.under.applier.Client = interceptor.NewClient(h.under.applier.Client.(client.WithWatch), interceptor.Funcs{
		Apply: func(ctx context.Context, c client.WithWatch, o runtime.ApplyConfiguration, opts ...client.ApplyOption) error {
			if o.(interface{ GetKind() string }).GetKind() == "EndpointSlice" {
				return apierrors.NewForbidden(schema.GroupResource{Resource: "endpointslices"}, sliceOfBroker0, nil)
			}
			return c.Apply(ctx, o, opts...)
		}})
	if err := h.api.Delete(t.Context(), &corev1.Service{ObjectMeta: named("events-nodes", nil)}); err != nil {
		t.Fatal(err)
	}
	said := h.reconcile()
	if !strings.Contains(said, "spec.listeners[clients].exposure") || !strings.Contains(said, "Kubernetes refuses EndpointSlice "+sliceOfBroker0) {
		t.Errorf("it says %q", said)
	}
	if !h.exists("events-nodes", &corev1.Service{}) {
		t.Error("something else waits for it")
	}
}

// withoutSlices is an API server at which the operator may not see EndpointSlices.
type withoutSlices struct {
	client.Reader
	*testing.T
}

func (w withoutSlices) Get(ctx context.Context, key client.ObjectKey, o client.Object, options ...client.GetOption) error {
	if _, is := o.(*discoveryv1.EndpointSlice); is {
		w.Errorf("it asks for EndpointSlice %s", key.Name)
	}
	return w.Reader.Get(ctx, key, o, options...)
}

// Without the permission nothing is asked, the status says what to set, and the brokers start all the same.
func TestAnOperatorThatIsNotToldToWritesNoSlices(t *testing.T) {
	h := newHouse(t)
	h.under.APIReader = withoutSlices{h.api, t}
	h.under.Client = interceptor.NewClient(h.under.Client.(client.WithWatch), interceptor.Funcs{
		List: func(ctx context.Context, c client.WithWatch, list client.ObjectList, opts ...client.ListOption) error {
			if _, is := list.(*discoveryv1.EndpointSliceList); is {
				t.Error("it lists EndpointSlices")
			}
			return c.List(ctx, list, opts...)
		}})
	h.expose(behindOne())
	h.reconcile()
	if got := h.listener().Message; !strings.Contains(got, "set endpointSlices.enabled in the values of its chart") {
		t.Errorf("the status says %q", got)
	}
	if got := h.staged(); !strings.Contains(got, "REPLICATION://") || strings.Contains(got, "CLIENTS://") {
		t.Errorf("the node starts with %s", got)
	}
	for _, object := range labelled(h.under.Settings.kinds()) {
		if _, is := object.(*discoveryv1.EndpointSlice); is {
			t.Error("it watches EndpointSlices")
		}
	}
}

// The slices go with the listener, and those that Kubernetes makes of a Service stay its own.
func TestSlicesGoWithTheirListener(t *testing.T) {
	h := slicing(t)
	h.expose(v1alpha1.Exposure{Type: v1alpha1.ExposureClusterIP})
	if err := h.api.Delete(t.Context(), &corev1.Pod{ObjectMeta: named("events-main-0", nil)}); err != nil {
		t.Fatal(err)
	}
	h.reconcile()
	if h.exists(sliceOfBroker0, &discoveryv1.EndpointSlice{}) {
		t.Errorf("it leads to %q", h.ledTo())
	}
	service := &corev1.Service{}
	if h.get("events-clients", service); len(service.Spec.Ports) != 1 {
		t.Errorf("the Service still has %+v", service.Spec.Ports)
	}
}
