package render

import (
	"fmt"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/castellan-dev/castellan/api/v1alpha1"
	"github.com/castellan-dev/castellan/internal/exposure"
	"github.com/castellan-dev/castellan/internal/model"
)

// GatewayVersion is that of Gateways and routes.
var GatewayVersion = schema.GroupVersion{Group: "gateway.networking.k8s.io", Version: "v1"}

// Routes prints the routes that lead from Gateways to the Services. The Gateway API has a Go module, which would be the
// larger part of what it costs to have five fields of it.
func Routes(c *model.Cluster) []*unstructured.Unstructured {
	var objects []*unstructured.Unstructured
	for _, l := range c.Listeners {
		for _, r := range exposure.Routes(c, l) {
			objects = append(objects, route(c, l, r))
		}
	}
	return objects
}

func route(c *model.Cluster, l model.Listener, r exposure.Route) *unstructured.Unstructured {
	parent := map[string]any{
		"group": GatewayVersion.Group, "kind": string(l.Gateway.Kind), "namespace": l.Gateway.Namespace,
		"name": l.Gateway.Name,
	}
	if l.Gateway.SectionName != "" {
		parent["sectionName"] = l.Gateway.SectionName
	}
	spec := map[string]any{
		"parentRefs": []any{parent},
		"rules":      []any{map[string]any{"backendRefs": []any{map[string]any{"name": r.Name, "port": int64(r.Service)}}}},
	}
	switch r.Kind {
	case exposure.RouteTLS:
		hosts := []any{}
		for _, host := range r.Hosts {
			hosts = append(hosts, host)
		}
		spec["hostnames"] = hosts
	case exposure.RouteTCP:
		parent["port"] = int64(r.Port)
	}
	more := map[string]string{v1alpha1.LabelListener: l.Name}
	if r.Node != nil {
		more[v1alpha1.LabelPool], more[v1alpha1.LabelNodeID] = r.Node.Pool, fmt.Sprint(r.Node.ID)
	}
	object := &unstructured.Unstructured{Object: map[string]any{"spec": spec}}
	object.SetGroupVersionKind(GatewayVersion.WithKind(string(r.Kind)))
	object.SetNamespace(c.Namespace)
	object.SetName(r.Name)
	object.SetLabels(labels(c, more))
	return object
}
