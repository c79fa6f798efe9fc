package observe

import (
	"maps"
	"slices"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/castellan-dev/castellan/internal/model"
	"github.com/castellan-dev/castellan/internal/render"
)

// Kind is one kind of the objects that a cluster is made of. No column may be empty, except what is true or false.
type Kind struct {
	Name    string
	New     func() render.Object
	NewList func() runtime.Object
	// Copied tells that tools copy the labels of what they make such an object for: one without a controller is the
	// cluster's only if it also bears the mark of what the operator applies.
	Copied bool
	// Outlives tells that such objects outlive the cluster.
	Outlives bool
	// Optional tells that the operator may see such objects only where it is told so.
	Optional bool

	put func(l *Live, o metav1.Object)
	has func(l *Live, name string) bool
	all func(l *Live) []metav1.Object
}

// Kinds are all kinds of the objects that a cluster is made of, in the order in which a successor names what its
// predecessor has left.
var Kinds = []Kind{
	kind(Kind{Name: model.KindStatefulSet, NewList: func() runtime.Object { return &appsv1.StatefulSetList{} },
		Copied: true}, func(l *Live) *map[string]*appsv1.StatefulSet { return &l.StatefulSets }),
	kind(Kind{Name: model.KindSecret, NewList: func() runtime.Object { return &corev1.SecretList{} }},
		func(l *Live) *map[string]*corev1.Secret { return &l.Secrets }),
	kind(Kind{Name: model.KindConfigMap, NewList: func() runtime.Object { return &corev1.ConfigMapList{} }},
		func(l *Live) *map[string]*corev1.ConfigMap { return &l.ConfigMaps }),
	kind(Kind{Name: model.KindService, NewList: func() runtime.Object { return &corev1.ServiceList{} }, Copied: true},
		func(l *Live) *map[string]*corev1.Service { return &l.Services }),
	kind(Kind{Name: model.KindBudget, NewList: func() runtime.Object { return &policyv1.PodDisruptionBudgetList{} },
		Copied: true}, func(l *Live) *map[string]*policyv1.PodDisruptionBudget { return &l.Budgets }),
	kind(Kind{Name: model.KindPolicy, NewList: func() runtime.Object { return &networkingv1.NetworkPolicyList{} },
		Copied: true}, func(l *Live) *map[string]*networkingv1.NetworkPolicy { return &l.Policies }),
	kind(Kind{Name: model.KindSlice, NewList: func() runtime.Object { return &discoveryv1.EndpointSliceList{} },
		Copied: true, Optional: true}, func(l *Live) *map[string]*discoveryv1.EndpointSlice { return &l.Slices }),
	kind(Kind{Name: model.KindClaim, NewList: func() runtime.Object { return &corev1.PersistentVolumeClaimList{} },
		Outlives: true}, func(l *Live) *map[string]*corev1.PersistentVolumeClaim { return &l.Claims }),
}

// kind fills in what follows from where the live objects of a kind are.
func kind[T any, P interface {
	*T
	render.Object
}](k Kind, at func(l *Live) *map[string]P) Kind {
	k.New = func() render.Object { return P(new(T)) }
	k.put = func(l *Live, o metav1.Object) {
		if object, of := o.(P); of {
			objects := at(l)
			if *objects == nil {
				*objects = map[string]P{}
			}
			(*objects)[object.GetName()] = object
		}
	}
	k.has = func(l *Live, name string) bool { return (*at(l))[name] != nil }
	k.all = func(l *Live) []metav1.Object {
		var all []metav1.Object
		for _, name := range slices.Sorted(maps.Keys(*at(l))) {
			all = append(all, (*at(l))[name])
		}
		return all
	}
	return k
}

// KindOf returns the row of a kind; ok = there is one.
func KindOf(name string) (Kind, bool) {
	at := slices.IndexFunc(Kinds, func(k Kind) bool { return k.Name == name })
	if at < 0 {
		return Kind{}, false
	}
	return Kinds[at], true
}

// Add puts an object of one of the kinds among the live ones.
func (l *Live) Add(object metav1.Object) {
	for _, k := range Kinds {
		k.put(l, object)
	}
}

// Has tells whether the live objects show what has this name.
func (l *Live) Has(o model.ObjectName) bool {
	k, known := KindOf(o.Kind)
	return known && k.has(l, o.Name)
}

// All are the live objects of a kind, by their names.
func (l *Live) All(k Kind) []metav1.Object { return k.all(l) }
