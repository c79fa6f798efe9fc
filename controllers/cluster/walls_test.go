package cluster

import (
	"context"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/castellan-dev/castellan/api/v1alpha1"
)

// walls asks for walls, or takes them out of the spec.
func (h *house) walls(asked *v1alpha1.NetworkPolicy) {
	h.Helper()
	h.under.Settings.OperatorNamespace = "castellan-system"
	h.under.Settings.OperatorLabels = map[string]string{"app.kubernetes.io/name": "castellan"}
	cluster := &v1alpha1.KafkaCluster{}
	h.get("events", cluster)
	cluster.Spec.NetworkPolicy = asked
	cluster.Generation++
	if err := h.api.Update(h.Context(), cluster); err != nil {
		h.Fatal(err)
	}
}

// applyPolicy is what the API server does with a NetworkPolicy, of which the fake one can merge none.
func applyPolicy(ctx context.Context, c client.Client, o runtime.ApplyConfiguration, content map[string]any) error {
	policy, live := &networkingv1.NetworkPolicy{}, &networkingv1.NetworkPolicy{}
	convert := runtime.DefaultUnstructuredConverter
	if err := convert.FromUnstructured(content, policy); err != nil {
		return err
	}
	err := c.Get(ctx, client.ObjectKeyFromObject(policy), live)
	switch {
	case apierrors.IsNotFound(err):
		err = c.Create(ctx, policy)
	case err == nil:
		policy.ResourceVersion = live.ResourceVersion
		err = c.Update(ctx, policy)
	}
	if err != nil {
		return err
	}
	made, err := convert.ToUnstructured(policy)
	o.(interface{ SetUnstructuredContent(c map[string]any) }).SetUnstructuredContent(made)
	return err
}

var ingress = &v1alpha1.NetworkPolicy{Type: v1alpha1.NetworkPolicyIngress}

func TestWallsAreBuiltKeptAndTakenDown(t *testing.T) {
	h := newHouse(t)
	h.reconcile()
	if h.exists("events", &networkingv1.NetworkPolicy{}) {
		t.Fatal("a cluster that asks for no walls has them")
	}
	h.walls(ingress)
	h.reconcile()
	built := &networkingv1.NetworkPolicy{}
	h.get("events", built)
	if !metav1.IsControlledBy(built, &metav1.ObjectMeta{UID: "events-uid"}) || len(built.Spec.Ingress) != 3 {
		t.Errorf("%+v", built)
	}
	h.reconcile()
	again := &networkingv1.NetworkPolicy{}
	if h.get("events", again); again.ResourceVersion != built.ResourceVersion {
		t.Error("it is written at rest")
	}
	// Whatever an edit adds changes who is let in, although all that was rendered is still there.
	for name, edit := range map[string]func(p *networkingv1.NetworkPolicy){
		"fewer pods": func(p *networkingv1.NetworkPolicy) { p.Spec.PodSelector.MatchLabels["app"] = "other" },
		"another rule": func(p *networkingv1.NetworkPolicy) {
			p.Spec.Ingress = append(p.Spec.Ingress, networkingv1.NetworkPolicyIngressRule{})
		},
		"more ports": func(p *networkingv1.NetworkPolicy) { p.Spec.Ingress[0].Ports[0].EndPort = new(int32(9099)) },
		"a source": func(p *networkingv1.NetworkPolicy) {
			p.Spec.Ingress[2].From = []networkingv1.NetworkPolicyPeer{{PodSelector: &metav1.LabelSelector{}}}
		},
		"no sources": func(p *networkingv1.NetworkPolicy) { p.Spec.Ingress[0].From = nil },
	} {
		edited := &networkingv1.NetworkPolicy{}
		h.get("events", edited)
		edit(edited)
		if err := h.api.Update(t.Context(), edited); err != nil {
			t.Fatal(err)
		}
		h.reconcile()
		if h.get("events", again); !equality.Semantic.DeepEqual(again.Spec, built.Spec) {
			t.Errorf("%s: it is %+v", name, again.Spec)
		}
	}
	h.walls(nil)
	h.reconcile()
	if h.exists("events", &networkingv1.NetworkPolicy{}) {
		t.Error("it stays when it is no longer asked for")
	}
}

func TestAPolicyOfSomebodyElsesIsToldAndLeftAlone(t *testing.T) {
	theirs := &networkingv1.NetworkPolicy{ObjectMeta: named("events", web)}
	h := newHouse(t, theirs)
	if said := h.reconcile(); strings.Contains(said, "NetworkPolicy") {
		t.Errorf("without walls it says %q", said)
	}
	h.walls(ingress)
	said := h.reconcile()
	for _, want := range []string{"spec.networkPolicy", "NetworkPolicy events exists and is not this KafkaCluster's",
		"give it another name, or remove this field"} {
		if !strings.Contains(said, want) {
			t.Errorf("it says %q, expected %q", said, want)
		}
	}
	after := &networkingv1.NetworkPolicy{}
	if h.get("events", after); len(after.Spec.Ingress) > 0 || len(after.OwnerReferences) > 0 || len(after.Labels) != 1 {
		t.Errorf("it is %+v", after)
	}
	h.walls(nil)
	h.reconcile()
	if !h.exists("events", after) {
		t.Error("it is gone")
	}
}

// A policy that admission refuses holds nothing else up.
func TestWallsThatKubernetesRefusesAreTold(t *testing.T) {
	h := newHouse(t)
	h.walls(ingress)
	h.under.Client = interceptor.NewClient(h.under.Client.(client.WithWatch), interceptor.Funcs{
		Apply: func(ctx context.Context, c client.WithWatch, o runtime.ApplyConfiguration, opts ...client.ApplyOption) error {
			if o.(interface{ GetKind() string }).GetKind() == "NetworkPolicy" {
				return apierrors.NewForbidden(schema.GroupResource{Resource: "networkpolicies"}, "events", nil)
			}
			return c.Apply(ctx, o, opts...)
		},
	})
	h.under.applier.Client = h.under.Client
	said := h.reconcile()
	if !strings.Contains(said, "spec.networkPolicy") || !strings.Contains(said, "Kubernetes refuses NetworkPolicy events") {
		t.Errorf("it says %q", said)
	}
	if !h.exists("events-main", &appsv1.StatefulSet{}) {
		t.Error("no node is started")
	}
}
