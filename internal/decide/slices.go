package decide

import (
	"cmp"
	"slices"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/castellan-dev/castellan/internal/observe"
	"github.com/castellan-dev/castellan/internal/render"
)

// surplusSlices are EndpointSlices that nothing renders any more. One of a listener that goes leads clients on until
// nothing is under way; one whose pod is gone goes at once, because another pod may get its address.
func surplusSlices(cluster metav1.Object, rendered []*discoveryv1.EndpointSlice, live *observe.Live,
	atRest bool) []render.Object {
	var objects []render.Object
	for name, slice := range live.Slices {
		is := func(r *discoveryv1.EndpointSlice) bool { return r.Name == name }
		if metav1.IsControlledBy(slice, cluster) && slice.DeletionTimestamp == nil &&
			!slices.ContainsFunc(rendered, is) && (atRest || !leads(slice, live.Pods)) {
			objects = append(objects, slice)
		}
	}
	slices.SortFunc(objects, func(a, b render.Object) int { return cmp.Compare(a.GetName(), b.GetName()) })
	return objects
}

// leads tells that an EndpointSlice leads to pods of the cluster alone, and to some.
func leads(slice *discoveryv1.EndpointSlice, pods []corev1.Pod) bool {
	for _, e := range slice.Endpoints {
		if e.TargetRef == nil || !slices.ContainsFunc(pods, func(pod corev1.Pod) bool {
			return pod.UID == e.TargetRef.UID && render.HasAddress(&pod)
		}) {
			return false
		}
	}
	return len(slice.Endpoints) > 0
}
