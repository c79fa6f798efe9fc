package apply

import (
	"context"
	"testing"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/intstr"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"
)

func service(ports ...corev1.ServicePort) *corev1.Service {
	return &corev1.Service{
		TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: "Service"},
		ObjectMeta: metav1.ObjectMeta{Namespace: "kafka", Name: "events", Labels: map[string]string{"a": "b"}},
		Spec:       corev1.ServiceSpec{Ports: ports},
	}
}

func budget(unavailable int) *policyv1.PodDisruptionBudget {
	bound := intstr.FromInt(unavailable)
	return &policyv1.PodDisruptionBudget{
		TypeMeta:   metav1.TypeMeta{APIVersion: "policy/v1", Kind: "PodDisruptionBudget"},
		ObjectMeta: metav1.ObjectMeta{Namespace: "kafka", Name: "events"},
		Spec:       policyv1.PodDisruptionBudgetSpec{MaxUnavailable: &bound},
	}
}

func policy() *networkingv1.NetworkPolicy {
	port := intstr.FromInt(9092)
	return &networkingv1.NetworkPolicy{
		TypeMeta:   metav1.TypeMeta{APIVersion: "networking.k8s.io/v1", Kind: "NetworkPolicy"},
		ObjectMeta: metav1.ObjectMeta{Namespace: "kafka", Name: "events"},
		Spec: networkingv1.NetworkPolicySpec{
			PodSelector: metav1.LabelSelector{MatchLabels: map[string]string{"a": "b"}},
			PolicyTypes: []networkingv1.PolicyType{networkingv1.PolicyTypeIngress},
			Ingress:     []networkingv1.NetworkPolicyIngressRule{{Ports: []networkingv1.NetworkPolicyPort{{Port: &port}}}},
		},
	}
}

func TestApply(t *testing.T) {
	scheme := runtime.NewScheme()
	if err := clientgoscheme.AddToScheme(scheme); err != nil {
		t.Fatal(err)
	}
	port := corev1.ServicePort{Name: "a", Port: 9092, Protocol: corev1.ProtocolTCP}
	cases := map[string]struct {
		first   client.Object
		disturb func(client.Object)
		second  client.Object
		writes  bool
	}{
		"the same object again is not written": {service(port), nil, service(port), false},
		"what the server adds is not a difference": {
			service(port),
			func(o client.Object) { o.(*corev1.Service).Spec.ClusterIP = "10.0.0.1" },
			service(port),
			false,
		},
		"what somebody else changed is mended": {
			service(port),
			func(o client.Object) { o.(*corev1.Service).Spec.Ports[0].Port = 1 },
			service(port),
			true,
		},
		"a label that somebody else took away comes back": {
			service(port),
			func(o client.Object) { o.SetLabels(nil) },
			service(port),
			true,
		},
		"a field that is no longer rendered is removed": {service(port), nil, service(), true},
		"zero is a value": {budget(1), nil, budget(0), true},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			ctx := t.Context()
			cluster := fake.NewClientBuilder().WithScheme(scheme).Build()
			applier := &Applier{Client: cluster}
			if changed, err := applier.Apply(ctx, c.first, nil); err != nil || !changed {
				t.Fatalf("first apply: changed %v, error %v", changed, err)
			}
			live := c.first.DeepCopyObject().(client.Object)
			if err := cluster.Get(ctx, client.ObjectKeyFromObject(c.first), live); err != nil {
				t.Fatal(err)
			}
			if c.disturb != nil {
				c.disturb(live)
			}
			changed, err := applier.Apply(ctx, c.second, live)
			if err != nil {
				t.Fatal(err)
			}
			if changed != c.writes {
				t.Errorf("second apply wrote: %v, expected %v", changed, c.writes)
			}
		})
	}
}

// In a NetworkPolicy what is not said has a meaning: all that was rendered is still there, and others are let in.
func TestAPolicyIsComparedAsAWhole(t *testing.T) {
	for name, tt := range map[string]struct {
		edit func(spec *networkingv1.NetworkPolicySpec)
		same bool
	}{
		"it is as it was rendered": {func(*networkingv1.NetworkPolicySpec) {}, true},
		"a source where everybody was admitted": {func(spec *networkingv1.NetworkPolicySpec) {
			spec.Ingress[0].From = []networkingv1.NetworkPolicyPeer{{PodSelector: &metav1.LabelSelector{}}}
		}, false},
		"a range where there was a port": {func(spec *networkingv1.NetworkPolicySpec) {
			spec.Ingress[0].Ports[0].EndPort = new(int32(65535))
		}, false},
		"a further label, which selects fewer pods": {func(spec *networkingv1.NetworkPolicySpec) {
			spec.PodSelector.MatchLabels["c"] = "d"
		}, false},
		"a rule": {func(spec *networkingv1.NetworkPolicySpec) {
			spec.Ingress = append(spec.Ingress, networkingv1.NetworkPolicyIngressRule{})
		}, false},
	} {
		edited := policy()
		tt.edit(&edited.Spec)
		want, err := content(policy())
		if err != nil {
			t.Fatal(err)
		}
		have, err := content(edited)
		if err != nil {
			t.Fatal(err)
		}
		if matches(policy(), want, have) != tt.same {
			t.Errorf("%s: taken for the same: %t", name, !tt.same)
		}
	}
}

// A webhook that changes what is applied has the last word: the two of them would write for ever.
func TestWhatAdmissionChangesIsNotAppliedAgain(t *testing.T) {
	scheme := runtime.NewScheme()
	if err := clientgoscheme.AddToScheme(scheme); err != nil {
		t.Fatal(err)
	}
	change := func(o map[string]any) {
		ports, _, _ := unstructured.NestedSlice(o, "spec", "ports")
		ports[0].(map[string]any)["appProtocol"] = "kafka"
		ports[0].(map[string]any)["port"] = int64(1)
		_ = unstructured.SetNestedSlice(o, ports, "spec", "ports")
	}
	api := interceptor.NewClient(fake.NewClientBuilder().WithScheme(scheme).Build(), interceptor.Funcs{
		Apply: func(
			ctx context.Context, c client.WithWatch, o runtime.ApplyConfiguration, opts ...client.ApplyOption,
		) error {
			err := c.Apply(ctx, o, opts...)
			applied := o.(interface{ UnstructuredContent() map[string]any }).UnstructuredContent()
			_ = unstructured.SetNestedField(applied, "uid-of-events", "metadata", "uid")
			change(applied)
			return err
		},
	})
	applier := &Applier{Client: api}
	wanted := func() *corev1.Service { return service(corev1.ServicePort{Name: "a", Port: 9092}) }
	if _, err := applier.Apply(t.Context(), wanted(), nil); err != nil {
		t.Fatal(err)
	}
	live := wanted()
	if err := api.Get(t.Context(), client.ObjectKeyFromObject(live), live); err != nil {
		t.Fatal(err)
	}
	kafka := "kafka"
	live.UID, live.Spec.Ports[0].Port, live.Spec.Ports[0].AppProtocol = "uid-of-events", 1, &kafka
	if written, err := applier.Apply(t.Context(), wanted(), live); err != nil || written {
		t.Errorf("written again: %v, %v", written, err)
	}
	live.Spec.Ports[0].Port = 2
	if written, err := applier.Apply(t.Context(), wanted(), live); err != nil || !written {
		t.Errorf("what somebody else changed since is left: %v, %v", written, err)
	}
}
