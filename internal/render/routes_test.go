package render

import (
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/castellan-dev/castellan/internal/exposure"
	"github.com/castellan-dev/castellan/internal/model"
)

func parentOf(t *testing.T, route *unstructured.Unstructured) map[string]any {
	t.Helper()
	parents, _, _ := unstructured.NestedSlice(route.Object, "spec", "parentRefs")
	if len(parents) != 1 {
		t.Fatalf("%s has the parents %v", route.GetName(), parents)
	}
	return parents[0].(map[string]any)
}

// checkRoutes: each Service of a listener behind a Gateway has a route, which leads to the Service's port, and by which
// the Gateway finds exactly the broker that advertises that name or port.
func checkRoutes(t *testing.T, c *model.Cluster, services map[string]*corev1.Service) {
	t.Helper()
	routes, needed := map[string]*unstructured.Unstructured{}, 0
	for _, r := range Routes(c) {
		routes[r.GetName()] = r
	}
	places := map[string]string{}
	for _, l := range c.Listeners {
		kind := exposure.Of(l.Exposure).Route
		if kind == exposure.RouteNone {
			continue
		}
		names := map[string]*model.NodeListener{l.Service: nil}
		for i := range c.Nodes {
			for _, nl := range c.Nodes[i].AllListeners() {
				if nl.Name == strings.ToUpper(l.Name) {
					names[nl.Service] = &nl
				}
			}
		}
		for name, nl := range names {
			needed++
			r := routes[name]
			if r == nil || r.GetKind() != string(kind) {
				t.Fatalf("no %s leads to Service %s", kind, name)
			}
			rules, _, _ := unstructured.NestedSlice(r.Object, "spec", "rules")
			backend := rules[0].(map[string]any)["backendRefs"].([]any)[0].(map[string]any)
			if backend["name"] != name || backend["port"] != int64(services[name].Spec.Ports[0].Port) {
				t.Errorf("route %s leads to %v, and the Service has %v", name, backend, services[name].Spec.Ports)
			}
			parent := parentOf(t, r)
			if parent["name"] != l.Gateway.Name || parent["namespace"] != l.Gateway.Namespace || parent["kind"] != "Gateway" {
				t.Errorf("route %s is of %v, want %+v", name, parent, l.Gateway)
			}
			hosts, _, _ := unstructured.NestedStringSlice(r.Object, "spec", "hostnames")
			port, _ := parent["port"].(int64)
			if kind == exposure.RouteTLS != (len(hosts) > 0) || (kind == exposure.RouteTCP) != (port != 0) {
				t.Errorf("%s %s has the names %v and port %d", kind, name, hosts, port)
			}
			if nl != nil && nl.Late == "" && (kind == exposure.RouteTLS && !slices.Equal(hosts, []string{nl.AdvertisedHost}) ||
				kind == exposure.RouteTCP && int32(port) != nl.AdvertisedPort) {
				t.Errorf("%s %s is of %v, port %d, and the broker advertises %+v", kind, name, hosts, port, nl)
			}
			for _, place := range append(hosts, string(rune(port))) {
				key := l.Gateway.Name + place
				if other := places[key]; other != "" && (place != "\x00") {
					t.Errorf("%s and %s are at one place, %q", name, other, key)
				}
				places[key] = name
			}
		}
	}
	if len(routes) != needed {
		t.Errorf("%d routes are rendered, and %d needed", len(routes), needed)
	}
}

const behindGateways = `
version: "4.3.1"
pools: [{name: main, replicas: 2, storage: {volumes: [{name: data, size: 1Gi}]}}]
listeners:
- name: names
  port: 9094
  exposure:
    type: TLSRoute
    gateway: {name: public, namespace: infra, sectionName: kafka}
    advertised: {hostTemplate: "b{nodeId}.example.com"}
    bootstrap: {hosts: [kafka.example.com]}
- name: ports
  port: 9095
  encryption: None
  exposure:
    type: TCPRoute
    gateway: {name: more, kind: ListenerSet}
    advertised: {hostTemplate: kafka.example.com}
`

func TestRoutesAreAsTheGatewayAPIHasThem(t *testing.T) {
	c := cluster(t, "demo", behindGateways)
	var got []string
	for _, r := range Routes(c) {
		text, err := r.MarshalJSON()
		if err != nil {
			t.Fatal(err)
		}
		_, spec, _ := strings.Cut(strings.TrimSpace(string(text)), `"spec":`)
		got = append(got, r.GetAPIVersion()+" "+r.GetKind()+" "+r.GetName()+" "+r.GetLabels()["kafka.castellan.dev/node-id"]+" "+spec)
	}
	const tls, tcp = "gateway.networking.k8s.io/v1 TLSRoute ", "gateway.networking.k8s.io/v1 TCPRoute "
	const kafka = `"parentRefs":[{"group":"gateway.networking.k8s.io","kind":"Gateway","name":"public","namespace":"infra","sectionName":"kafka"}]`
	more := func(port string) string {
		return `{"parentRefs":[{"group":"gateway.networking.k8s.io","kind":"ListenerSet","name":"more","namespace":"shop","port":` + port + `}]`
	}
	want := []string{
		tls + `demo-names  {"hostnames":["kafka.example.com"],` + kafka + `,"rules":[{"backendRefs":[{"name":"demo-names","port":9094}]}]}}`,
		tls + `demo-main-0-names 0 {"hostnames":["b0.example.com"],` + kafka + `,"rules":[{"backendRefs":[{"name":"demo-main-0-names","port":9094}]}]}}`,
		tls + `demo-main-1-names 1 {"hostnames":["b1.example.com"],` + kafka + `,"rules":[{"backendRefs":[{"name":"demo-main-1-names","port":9094}]}]}}`,
		tcp + `demo-ports  ` + more("9095") + `,"rules":[{"backendRefs":[{"name":"demo-ports","port":9095}]}]}}`,
		tcp + `demo-main-0-ports 0 ` + more("9000") + `,"rules":[{"backendRefs":[{"name":"demo-main-0-ports","port":9095}]}]}}`,
		tcp + `demo-main-1-ports 1 ` + more("9001") + `,"rules":[{"backendRefs":[{"name":"demo-main-1-ports","port":9095}]}]}}`,
	}
	for i := range want {
		if i >= len(got) || got[i] != want[i] {
			t.Fatalf("route %d:\n%s\nwant\n%s", i, strings.Join(got, "\n"), want[i])
		}
	}
	text := ""
	for _, n := range c.Nodes {
		text += readProperties(Nodes(c)[n.ID].Data[fileProperties])["advertised.listeners"] + " "
	}
	for _, part := range []string{"NAMES://b0.example.com:443", "NAMES://b1.example.com:443", "PORTS://kafka.example.com:9000",
		"PORTS://kafka.example.com:9001"} {
		if !strings.Contains(text, part) {
			t.Errorf("%s is not advertised: %s", part, text)
		}
	}
}
