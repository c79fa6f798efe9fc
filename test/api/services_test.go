package api

import (
	"fmt"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/castellan-dev/castellan/api/v1alpha1"
	"github.com/castellan-dev/castellan/internal/apply"
	"github.com/castellan-dev/castellan/internal/exposure"
	"github.com/castellan-dev/castellan/internal/model"
)

// exposed is the Service of a broker for a listener of a type, as the operator renders it.
func exposed(name string, kind v1alpha1.ExposureType, port int32, services v1alpha1.ExposureServices) *corev1.Service {
	service := &corev1.Service{
		TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: "Service"},
		ObjectMeta: metav1.ObjectMeta{Namespace: metav1.NamespaceDefault, Name: name, Labels: map[string]string{"a": "b"}},
		Spec: corev1.ServiceSpec{
			Selector: map[string]string{"a": "b"}, PublishNotReadyAddresses: true,
			Ports: []corev1.ServicePort{
				{Name: "external", Port: 9094, TargetPort: intstr.FromString("external"), Protocol: corev1.ProtocolTCP}},
		},
	}
	l := model.Listener{Name: "external", Port: 9094, Exposure: kind, Services: services}
	exposure.Shape(service, &model.Cluster{Name: "events", Namespace: "default"}, l, &model.Node{ID: 1, PodName: "events-main-1"}, port)
	return service
}

// applied applies a Service as a pass does, knowing the node port that the Service has, until nothing is written.
func applied(t *testing.T, render func(port int32) *corev1.Service) (*corev1.Service, error) {
	t.Helper()
	applier := &apply.Applier{Client: kube}
	for range 4 {
		live := &corev1.Service{}
		var known client.Object
		port := int32(0)
		if err := kube.Get(t.Context(), client.ObjectKeyFromObject(render(0)), live); err == nil {
			known = live
			if len(live.Spec.Ports) > 0 {
				port = live.Spec.Ports[0].NodePort
			}
		}
		written, err := applier.Apply(t.Context(), render(port), known)
		if err != nil || !written {
			return live, err
		}
	}
	t.Fatal("the Service is written again and again")
	return nil, nil
}

// TestAServiceGoesFromEachTypeToEachOther is how an edit of exposure.type arrives at a Service that is there.
func TestAServiceGoesFromEachTypeToEachOther(t *testing.T) {
	t.Parallel()
	for _, from := range exposure.Rows {
		for _, to := range exposure.Rows {
			t.Run(fmt.Sprintf("%s to %s", from.Type, to.Type), func(t *testing.T) {
				t.Parallel()
				name := strings.ToLower(fmt.Sprintf("from-%s-to-%s", from.Type, to.Type))
				for _, row := range []exposure.Row{from, to} {
					live, err := applied(t, func(port int32) *corev1.Service {
						return exposed(name, row.Type, port, v1alpha1.ExposureServices{})
					})
					if err != nil {
						t.Fatal(err)
					}
					if want := exposed(name, row.Type, 0, v1alpha1.ExposureServices{}).Spec.Type; live.Spec.Type != want {
						t.Errorf("it is of type %s, want %s", live.Spec.Type, want)
					}
				}
			})
		}
	}
}

// TestWhatOthersWriteIntoAServiceStays: a cloud's controller and a webhook write what the operator does not render. It is
// neither taken away nor fought over, and what is rendered changes beside it.
func TestWhatOthersWriteIntoAServiceStays(t *testing.T) {
	t.Parallel()
	const name = "shared-with-a-cloud"
	local := v1alpha1.ExposureServices{ExternalTrafficPolicy: corev1.ServiceExternalTrafficPolicyLocal}
	render := func(port int32) *corev1.Service { return exposed(name, v1alpha1.ExposureLoadBalancer, port, local) }
	live, err := applied(t, render)
	if err != nil {
		t.Fatal(err)
	}
	health, port := live.Spec.HealthCheckNodePort, live.Spec.Ports[0].NodePort
	live.Annotations["cloud.example.com/id"], live.Finalizers = "42", []string{"service.kubernetes.io/load-balancer-cleanup"}
	if err := kube.Update(t.Context(), live, client.FieldOwner("cloud")); err != nil {
		t.Fatal(err)
	}
	live.Status.LoadBalancer.Ingress = []corev1.LoadBalancerIngress{{IP: "192.0.2.1"}}
	if err := kube.Status().Update(t.Context(), live, client.FieldOwner("cloud")); err != nil {
		t.Fatal(err)
	}
	before := live.ResourceVersion
	if live, err = applied(t, render); err != nil || live.ResourceVersion != before {
		t.Errorf("it is written although nothing changed: %v", err)
	}
	local.SourceRanges, local.Annotations = []string{"203.0.113.0/24"}, map[string]string{"mine": "1"}
	if live, err = applied(t, render); err != nil {
		t.Fatal(err)
	}
	if live.Annotations["cloud.example.com/id"] != "42" || live.Annotations["mine"] != "1" || len(live.Finalizers) != 1 ||
		live.Spec.HealthCheckNodePort != health || health == 0 || live.Spec.Ports[0].NodePort != port || port == 0 ||
		len(live.Status.LoadBalancer.Ingress) != 1 || len(live.Spec.LoadBalancerSourceRanges) != 1 {
		t.Errorf("it is %+v", live)
	}
	local.SourceRanges, local.Annotations = nil, nil
	if live, err = applied(t, render); err != nil || live.Annotations["mine"] != "" || len(live.Spec.LoadBalancerSourceRanges) != 0 ||
		live.Annotations["cloud.example.com/id"] != "42" {
		t.Errorf("what is no longer asked for stays, or what others wrote does not: %v, %+v", err, live)
	}
}

// TestKubernetesSaysWhichNodePortIsTaken: its words are what the status quotes.
func TestKubernetesSaysWhichNodePortIsTaken(t *testing.T) {
	t.Parallel()
	const port = 31517
	if _, err := applied(t, func(int32) *corev1.Service {
		return exposed("first-at-a-port", v1alpha1.ExposureNodePort, port, v1alpha1.ExposureServices{})
	}); err != nil {
		t.Fatal(err)
	}
	for name, wrong := range map[string]int32{"taken": port, "out-of-range": 29999} {
		_, err := applied(t, func(int32) *corev1.Service {
			return exposed("second-is-"+name, v1alpha1.ExposureNodePort, wrong, v1alpha1.ExposureServices{})
		})
		if !apierrors.IsInvalid(err) || !strings.Contains(err.Error(), "spec.ports[0].nodePort") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestAClassIsNeverChanged is why a change is refused before Kubernetes would, and one that a webhook set is left alone.
func TestAClassIsNeverChanged(t *testing.T) {
	t.Parallel()
	const name = "with-a-class"
	class := v1alpha1.ExposureServices{LoadBalancerClass: "example.com/a"}
	render := func(port int32) *corev1.Service { return exposed(name, v1alpha1.ExposureLoadBalancer, port, class) }
	if _, err := applied(t, render); err != nil {
		t.Fatal(err)
	}
	class.LoadBalancerClass = "example.com/b"
	if _, err := applied(t, render); !apierrors.IsInvalid(err) || !strings.Contains(err.Error(), "may not change once set") {
		t.Errorf("another class: %v", err)
	}
	const hooked = "with-a-class-of-a-webhook"
	service := exposed(hooked, v1alpha1.ExposureLoadBalancer, 0, v1alpha1.ExposureServices{})
	of := "example.com/webhook"
	service.Spec.LoadBalancerClass = &of
	if err := kube.Create(t.Context(), service, client.FieldOwner("webhook")); err != nil {
		t.Fatal(err)
	}
	live, err := applied(t, func(port int32) *corev1.Service {
		return exposed(hooked, v1alpha1.ExposureLoadBalancer, port, v1alpha1.ExposureServices{})
	})
	if err != nil || live.Spec.LoadBalancerClass == nil {
		t.Errorf("a class of somebody else's: %v, %v", err, live.Spec.LoadBalancerClass)
	}
}
