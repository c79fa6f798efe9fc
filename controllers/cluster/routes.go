package cluster

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/castellan-dev/castellan/api/v1alpha1"
	"github.com/castellan-dev/castellan/internal/exposure"
	"github.com/castellan-dev/castellan/internal/model"
	"github.com/castellan-dev/castellan/internal/observe"
	"github.com/castellan-dev/castellan/internal/render"
	"github.com/castellan-dev/castellan/internal/resolve"
)

// whenRoutesAreRead is how old what was read of the Gateway API may be. It is not watched: it may not be installed, and
// an informer of a kind that is not there never ends to complain.
const whenRoutesAreRead = 2 * time.Second

// routeKinds are the kinds of routes that a cluster may have.
var routeKinds = []exposure.RouteKind{exposure.RouteTLS, exposure.RouteTCP}

// gatewayLooks remember what was read of the Gateway API for each cluster.
type gatewayLooks struct {
	mu    sync.Mutex
	looks map[types.NamespacedName]gatewayLook
}

type gatewayLook struct {
	at    time.Time // zero = look again
	named string    // the Gateways that the listeners name
	seen  observe.Gateways
}

func (g *gatewayLooks) last(cluster types.NamespacedName) (gatewayLook, bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	look, known := g.looks[cluster]
	return look, known
}

func (g *gatewayLooks) keep(cluster types.NamespacedName, look gatewayLook) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.looks == nil {
		g.looks = map[types.NamespacedName]gatewayLook{}
	}
	g.looks[cluster] = look
}

func (g *gatewayLooks) forget(cluster types.NamespacedName) {
	g.mu.Lock()
	defer g.mu.Unlock()
	delete(g.looks, cluster)
}

// lookAtGateways reads, past the cache, the routes of a cluster and the Gateways that its listeners name. A cluster
// without such listeners is looked at once in the life of the process: an earlier one may have left it with routes.
func (r *Reconciler) lookAtGateways(ctx context.Context, cluster *v1alpha1.KafkaCluster,
	accepted *v1alpha1.KafkaClusterSpec,
) observe.Gateways {
	gateways := gatewaysOf(cluster, accepted)
	if !r.Settings.GatewayAPI {
		off := "the operator is not told to work with the Gateway API: set gatewayAPI.enabled in the values of its chart"
		return observe.Gateways{Off: map[exposure.RouteKind]string{exposure.RouteTLS: off, exposure.RouteTCP: off}}
	}
	key, named := client.ObjectKeyFromObject(cluster), fmt.Sprint(gateways)
	last, looked := r.gateways.last(key)
	idle := looked && !last.at.IsZero() && len(gateways) == 0 && len(last.seen.Routes) == 0
	fresh := r.Settings.Now().Sub(last.at) < whenRoutesAreRead && last.named == named
	if idle || fresh {
		return last.seen
	}
	seen := observe.Gateways{
		Off: map[exposure.RouteKind]string{}, Routes: map[string]*unstructured.Unstructured{}, Taken: map[string]bool{},
		Gateways: map[string]*unstructured.Unstructured{},
	}
	for _, kind := range routeKinds {
		r.readRoutes(ctx, cluster, kind, &seen)
	}
	for _, g := range gateways {
		object := untyped(string(g.Kind))
		err := r.APIReader.Get(ctx, client.ObjectKey{Namespace: g.Namespace, Name: g.Name}, object)
		switch {
		case err == nil:
			seen.Gateways[exposure.GatewayName(g)] = object
		case apierrors.IsNotFound(err):
			seen.Gateways[exposure.GatewayName(g)] = nil
		default: // what the routes say is all that there is
			ctrl.LoggerFrom(ctx).V(1).Info("cannot read a Gateway", "gateway", exposure.GatewayName(g), "error", err.Error())
		}
	}
	r.gateways.keep(key, gatewayLook{at: r.Settings.Now(), named: named, seen: seen})
	return seen
}

// readRoutes lists the routes of a kind, or says why there can be none. Whatever that is, it holds nothing else up.
func (r *Reconciler) readRoutes(ctx context.Context, cluster *v1alpha1.KafkaCluster, kind exposure.RouteKind,
	seen *observe.Gateways) {
	list := &unstructured.UnstructuredList{}
	list.SetGroupVersionKind(render.GatewayVersion.WithKind(string(kind) + "List"))
	err := r.APIReader.List(ctx, list, client.InNamespace(cluster.Namespace),
		client.MatchingLabels(model.Labels(cluster.Name)))
	switch {
	case meta.IsNoMatchError(err), apierrors.IsNotFound(err):
		seen.Off[kind] = fmt.Sprintf("Kubernetes does not know %s in %s: install the Gateway API, 1.5 or later for "+
			"TLSRoute and 1.6 or later for TCPRoute", kind, render.GatewayVersion)
	case apierrors.IsForbidden(err):
		seen.Off[kind] = fmt.Sprintf("the operator may not read %s: %s; set gatewayAPI.enabled in the values of its chart",
			kind, err.Error())
	case err != nil:
		seen.Off[kind] = fmt.Sprintf("%s cannot be read: %s", kind, err.Error())
	}
	for i := range list.Items {
		route := &list.Items[i]
		if _, ours := observe.Whose(string(kind), route, cluster); ours {
			seen.Routes[nameOf(route)] = route
		}
	}
}

// gatewaysOf are those that the listeners of a cluster name, in the spec that is asked for and in the one that is in
// force.
func gatewaysOf(cluster *v1alpha1.KafkaCluster, accepted *v1alpha1.KafkaClusterSpec) []v1alpha1.GatewayReference {
	var found []v1alpha1.GatewayReference
	for _, spec := range []*v1alpha1.KafkaClusterSpec{&cluster.Spec, accepted} {
		if spec == nil {
			continue
		}
		for _, l := range spec.Listeners {
			g := resolve.GatewayOf(cluster.Namespace, l)
			g.SectionName = ""
			if g.Name != "" && !slices.Contains(found, g) {
				found = append(found, g)
			}
		}
	}
	return found
}

// applyRoutes makes the routes what was rendered. Kubernetes' no is the fault of the listener alone, and what else goes
// wrong, such as a webhook of a Gateway's that is away, is told there and holds nothing else up.
func (r *Reconciler) applyRoutes(ctx context.Context, s *scope) {
	seen, failed := &s.seen.Live.Gateways, map[string][]string{}
	for _, route := range render.Routes(s.decision.Model) {
		name := nameOf(route)
		if seen.Off[exposure.RouteKind(route.GetKind())] != "" {
			continue
		}
		var err error
		var written bool
		live := seen.Routes[name]
		if live == nil {
			live, err = r.lookForRoute(ctx, s, route)
		}
		if err == nil && !seen.Taken[name] {
			written, err = r.apply(ctx, s, route.GetKind(), route, orNil(live))
		}
		if err := s.refuseExposed(route, err); err != nil {
			listener := route.GetLabels()[v1alpha1.LabelListener]
			failed[listener] = append(failed[listener], err.Error())
			written = apierrors.IsConflict(err) // what was read is old
		}
		if written {
			r.gateways.keep(s.key(), gatewayLook{})
			s.lookAgain(whenBehind)
		}
	}
	maps.Copy(s.decision.Routing, failed)
	if len(s.decision.Routing) > 0 {
		s.lookAgain(whenHeld) // nothing tells when a Gateway has made up its mind
	}
}

// lookForRoute looks whether the name of a route that is to be made is somebody else's; nil = it is nobody's, or
// theirs.
func (r *Reconciler) lookForRoute(ctx context.Context, s *scope, route *unstructured.Unstructured,
) (*unstructured.Unstructured, error) {
	object := untyped(route.GetKind())
	err := r.APIReader.Get(ctx, client.ObjectKeyFromObject(route), object)
	if apierrors.IsNotFound(err) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("look whether %s is somebody else's: %w", nameOf(route), err)
	}
	if _, ours := observe.Whose(route.GetKind(), object, s.base); ours {
		return object, nil
	}
	s.seen.Live.Gateways.Taken[nameOf(route)] = true
	s.decision.Routing = s.seen.Live.Gateways.Problems(s.decision.Model)
	return nil, nil
}

func nameOf(route *unstructured.Unstructured) string {
	return exposure.Route{Kind: exposure.RouteKind(route.GetKind()), Name: route.GetName()}.String()
}

func untyped(kind string) *unstructured.Unstructured {
	object := &unstructured.Unstructured{}
	object.SetGroupVersionKind(render.GatewayVersion.WithKind(kind))
	return object
}
