package cluster

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/castellan-dev/castellan/api/v1alpha1"
)

// behind exposes the listener by names that a Gateway leads from.
func behind() v1alpha1.Exposure {
	return v1alpha1.Exposure{
		Type: v1alpha1.ExposureTLSRoute, Gateway: &v1alpha1.GatewayReference{Name: "public", Namespace: "infra"},
		Advertised: &v1alpha1.Advertised{HostTemplate: "b{nodeId}.example.com"},
		Bootstrap:  &v1alpha1.BootstrapExposure{Hosts: []string{"kafka.example.com"}},
	}
}

// routed is a house whose operator works with the Gateway API, and whose clock goes on with each pass.
func routed(t *testing.T, objects ...client.Object) *house {
	h := newHouse(t, objects...)
	now := time.Now()
	h.under.Settings.GatewayAPI = true
	h.under.Settings.Now = func() time.Time { now = now.Add(time.Second); return now }
	return h
}

// put makes an object of the Gateway API, or changes it.
func (h *house) put(kind, namespace, name string, fields map[string]any) {
	h.Helper()
	object := untyped(kind)
	err := h.api.Get(h.Context(), client.ObjectKey{Namespace: namespace, Name: name}, object)
	for field, value := range fields {
		object.Object[field] = value
	}
	if object.SetNamespace(namespace); err == nil {
		err = h.api.Update(h.Context(), object)
	} else {
		object.SetName(name)
		err = h.api.Create(h.Context(), object)
	}
	if err != nil {
		h.Fatal(err)
	}
}

// answers has the Gateway say something of a route.
func (h *house) answers(route, condition, status, reason, message string) {
	h.Helper()
	h.put("TLSRoute", "shop", route, map[string]any{"status": map[string]any{"parents": []any{map[string]any{
		"parentRef":      map[string]any{"kind": "Gateway", "namespace": "infra", "name": "public"},
		"controllerName": "example.com/gateway",
		"conditions": []any{map[string]any{"type": condition, "status": status, "reason": reason, "message": message,
			"lastTransitionTime": "2026-01-01T00:00:00Z"}},
	}}}})
}

func passthrough(port int64) map[string]any {
	return map[string]any{"spec": map[string]any{"listeners": []any{map[string]any{
		"name": "kafka", "port": port, "protocol": "TLS", "tls": map[string]any{"mode": "Passthrough"}}}}}
}

// A Gateway may take its time, or say no: the brokers start with the addresses that the spec gives them, and the status has
// the Gateway's words.
func TestNothingWaitsForAGateway(t *testing.T) {
	h := routed(t)
	h.expose(behind())
	h.reconcile()
	if got := h.staged(); !strings.Contains(got, "CLIENTS://b0.example.com:443") {
		t.Errorf("the node starts with %s", got)
	}
	says := func(want string) {
		t.Helper()
		h.reconcile()
		if got := h.listener().Message; got != want {
			t.Errorf("the status says %q, want %q", got, want)
		}
	}
	says("Gateway infra/public does not exist; make it, or correct exposure.gateway")
	h.put("Gateway", "infra", "public", map[string]any{"spec": map[string]any{"listeners": []any{
		map[string]any{"name": "web", "port": int64(443), "protocol": "HTTPS"}}}})
	says("Gateway infra/public has no listener with protocol TLS: add one, with mode Passthrough")
	h.put("Gateway", "infra", "public", map[string]any{"spec": map[string]any{"listeners": []any{
		map[string]any{"name": "kafka", "port": int64(443), "protocol": "TLS", "tls": map[string]any{"mode": "Terminate"}}}}})
	says("Gateway infra/public does not pass TLS on at its listener kafka: set its protocol to TLS and its tls.mode to Passthrough")
	h.put("Gateway", "infra", "public", passthrough(443))
	says("Gateway infra/public has not accepted TLSRoute events-clients yet; and 1 more")
	h.answers("events-clients", "Accepted", "True", "Accepted", "")
	h.answers("events-main-0-clients", "Accepted", "False", "NotAllowedByListeners", "no namespace shop")
	says(`Gateway infra/public rejects TLSRoute events-main-0-clients: NotAllowedByListeners ("no namespace shop")`)
	h.answers("events-main-0-clients", "Accepted", "True", "Accepted", "")
	says("")
	h.put("Gateway", "infra", "public", passthrough(8443))
	h.reconcile()
	cluster := &v1alpha1.KafkaCluster{}
	h.get("events", cluster)
	if text := warned(cluster); !strings.Contains(text, "clients are told port 443, and Gateway infra/public passes TLS on at port 8443") {
		t.Errorf("it warns of %q", text)
	}
}

func warned(cluster *v1alpha1.KafkaCluster) string {
	for _, c := range cluster.Status.Conditions {
		if c.Type == v1alpha1.ConditionWarning {
			return c.Message
		}
	}
	return ""
}

// What is right is not written again, what somebody edits is put back, and what somebody else has is left alone.
func TestRoutesAreKeptAsTheyAreMade(t *testing.T) {
	theirs := untyped("TLSRoute")
	theirs.SetNamespace("shop")
	theirs.SetName("events-main-0-clients")
	theirs.Object["spec"] = map[string]any{"hostnames": []any{"web.example.com"}}
	h := routed(t, theirs)
	h.put("Gateway", "infra", "public", passthrough(443))
	h.expose(behind())
	h.reconcile()
	if got := h.listener().Message; !strings.Contains(got, "has not accepted TLSRoute events-clients yet; and 1 more") {
		t.Errorf("the status says %q", got)
	}
	h.answers("events-clients", "Accepted", "True", "Accepted", "")
	h.reconcile()
	const want = "TLSRoute events-main-0-clients exists and is not this KafkaCluster's; remove it, or rename the listener"
	if got := h.listener().Message; got != want {
		t.Errorf("the status says %q, want %q", got, want)
	}
	route := func(name string) *unstructured.Unstructured {
		t.Helper()
		found := untyped("TLSRoute")
		h.get(name, found)
		return found
	}
	if hosts, _, _ := unstructured.NestedStringSlice(route("events-main-0-clients").Object, "spec", "hostnames"); hosts[0] != "web.example.com" {
		t.Errorf("what somebody else has is of %v now", hosts)
	}
	if err := h.api.Delete(t.Context(), theirs); err != nil {
		t.Fatal(err)
	}
	h.reconcile()
	before := route("events-main-0-clients").GetResourceVersion()
	h.reconcile()
	if route("events-main-0-clients").GetResourceVersion() != before {
		t.Error("the route is written again and again")
	}
	defaulted := route("events-main-0-clients") // as the API server fills in what nobody said
	rules, _, _ := unstructured.NestedSlice(defaulted.Object, "spec", "rules")
	backend := rules[0].(map[string]any)["backendRefs"].([]any)[0].(map[string]any)
	backend["group"], backend["kind"], backend["weight"] = "", "Service", int64(1)
	if err := unstructured.SetNestedSlice(defaulted.Object, rules, "spec", "rules"); err != nil {
		t.Fatal(err)
	}
	if err := h.api.Update(t.Context(), defaulted); err != nil {
		t.Fatal(err)
	}
	h.reconcile()
	if route("events-main-0-clients").GetResourceVersion() != defaulted.GetResourceVersion() {
		t.Error("the route is written again because of what the API server filled in")
	}
	h.put("TLSRoute", "shop", "events-main-0-clients", map[string]any{"spec": map[string]any{"hostnames": []any{"elsewhere.org"}}})
	h.reconcile()
	if hosts, _, _ := unstructured.NestedStringSlice(route("events-main-0-clients").Object, "spec", "hostnames"); hosts[0] != "b0.example.com" {
		t.Errorf("what somebody edited stays: %v", hosts)
	}
}

// withoutRoutes is an API server that does not know the kinds of routes, or does not serve this version of them.
type withoutRoutes struct {
	client.Reader
	err   error
	lists int
}

func (w *withoutRoutes) List(ctx context.Context, list client.ObjectList, options ...client.ListOption) error {
	if _, untyped := list.(*unstructured.UnstructuredList); untyped {
		w.lists++
		return w.err
	}
	return w.Reader.List(ctx, list, options...)
}

// A cluster works without the Gateway API. When that is installed it is noticed, and what needs it is made.
func TestTheGatewayAPIMayComeLater(t *testing.T) {
	for name, err := range map[string]error{
		"the kind is not known":     &meta.NoKindMatchError{GroupKind: schema.GroupKind{Kind: "TLSRoute"}},
		"the version is not served": apierrors.NewNotFound(schema.GroupResource{Resource: "tlsroutes"}, ""),
		"it may not be read":        apierrors.NewForbidden(schema.GroupResource{Resource: "tlsroutes"}, "", errors.New("no")),
	} {
		t.Run(name, func(t *testing.T) {
			h := routed(t)
			reader := &withoutRoutes{Reader: h.api, err: err}
			h.under.APIReader = reader
			h.reconcile()
			h.reconcile()
			if reader.lists != 2 {
				t.Errorf("a cluster that needs no Gateway asks for routes %d times", reader.lists)
			}
			h.expose(behind())
			h.reconcile()
			if got := h.listener().Message; !strings.Contains(got, "TLSRoute") ||
				!strings.Contains(got, "install the Gateway API") && !strings.Contains(got, "set gatewayAPI.enabled") {
				t.Errorf("the status says %q", got)
			}
			h.under.APIReader = h.api
			h.put("Gateway", "infra", "public", passthrough(443))
			h.reconcile()
			h.reconcile()
			if got := h.listener().Message; !strings.Contains(got, "has not accepted TLSRoute events-clients yet") {
				t.Errorf("once it is there the status says %q", got)
			}
		})
	}
}

// Without the permission nothing is asked, and the status says what to set.
func TestAnOperatorThatIsNotToldToDoesNotAskForGateways(t *testing.T) {
	h := newHouse(t)
	h.expose(behind())
	h.reconcile()
	if got := h.listener().Message; !strings.Contains(got, "set gatewayAPI.enabled in the values of its chart") {
		t.Errorf("the status says %q", got)
	}
	if !h.exists("events-main", &appsv1.StatefulSet{}) {
		t.Error("the brokers wait")
	}
}

// A TCPRoute is at the address of its Gateway, which may come late, and at ports that the Gateway's owner opens.
func TestBrokersAreAtThePortsOfAGateway(t *testing.T) {
	h := routed(t)
	h.expose(v1alpha1.Exposure{Type: v1alpha1.ExposureTCPRoute,
		Gateway: &v1alpha1.GatewayReference{Name: "public", Namespace: "infra"}})
	h.reconcile()
	if got, message := h.staged(), h.listener().Message; strings.Contains(got, "CLIENTS") || message != "Gateway infra/public has no address yet" {
		t.Errorf("the node starts with %s, and the status says %q", got, message)
	}
	gateway := func(ports ...int64) {
		listeners := []any{}
		for _, port := range ports {
			listeners = append(listeners, map[string]any{"name": "k", "port": port, "protocol": "TCP"})
		}
		h.put("Gateway", "infra", "public", map[string]any{"spec": map[string]any{"listeners": listeners},
			"status": map[string]any{"addresses": []any{map[string]any{"type": "IPAddress", "value": "192.0.2.7"}}}})
	}
	gateway(9092)
	h.reconcile()
	got := h.listener()
	if got.Message != "Gateway infra/public has no listener with protocol TCP for port 9000: add it" ||
		got.BootstrapServers != "" || len(got.Addresses) != 1 || got.Addresses[0].Host != "192.0.2.7" || got.Addresses[0].Port != 9000 {
		t.Errorf("the status says %+v", got)
	}
	gateway(9092, 9000)
	h.reconcile()
	if got := h.listener().Message; !strings.Contains(got, "has not accepted TCPRoute events-clients yet") {
		t.Errorf("the status says %q", got)
	}
	h.expose(v1alpha1.Exposure{Type: v1alpha1.ExposureClusterIP})
	h.reconcile()
	if got := h.listener(); strings.Contains(got.Message, "Gateway") || got.Addresses[0].Host != "events-main-0-clients.shop.svc.cluster.local" {
		t.Errorf("without a Gateway the status says %+v", got)
	}
}

// A webhook of a Gateway's may be away: routes wait for it, and nothing else does.
func TestAWebhookThatIsAwayHoldsUpRoutesAlone(t *testing.T) {
	h := routed(t)
	away := true
	h.under.applier.Client = interceptor.NewClient(h.under.applier.Client.(client.WithWatch), interceptor.Funcs{
		Apply: func(ctx context.Context, c client.WithWatch, o runtime.ApplyConfiguration, opts ...client.ApplyOption) error {
			content := o.(interface{ UnstructuredContent() map[string]any }).UnstructuredContent()
			if away && content["kind"] == "TLSRoute" {
				return apierrors.NewInternalError(errors.New("failed calling webhook"))
			}
			return c.Apply(ctx, o, opts...)
		}})
	h.put("Gateway", "infra", "public", passthrough(443))
	h.expose(behind())
	h.reconcile()
	if got := h.listener().Message; !strings.Contains(got, "apply TLSRoute shop/events-clients") || !strings.Contains(got, "failed calling webhook; and 1 more") {
		t.Errorf("the status says %q", got)
	}
	if got := h.staged(); !strings.Contains(got, "CLIENTS://b0.example.com:443") {
		t.Errorf("the node starts with %s", got)
	}
	away = false
	h.reconcile()
	if !h.exists("events-clients", untyped("TLSRoute")) {
		t.Error("the route is not made once the webhook is back")
	}
}
