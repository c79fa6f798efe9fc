package cluster

import (
	"context"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/castellan-dev/castellan/api/v1alpha1"
	"github.com/castellan-dev/castellan/internal/apply"
	"github.com/castellan-dev/castellan/internal/decide"
	"github.com/castellan-dev/castellan/internal/observe"
	"github.com/castellan-dev/castellan/internal/plan"
)

// readRefusals reads, past the cache, why Kubernetes makes no pod for a StatefulSet that lacks one: only the events of
// the StatefulSet say so. They are words to quote, so that they cannot be read keeps nobody from anything.
func (r *Reconciler) readRefusals(ctx context.Context, in *decide.Inputs) {
	for _, set := range in.Live.StatefulSets {
		if set.Spec.Replicas == nil || podsOf(set, in.Live.Pods) >= *set.Spec.Replicas {
			continue
		}
		list := &corev1.EventList{}
		err := r.APIReader.List(ctx, list, client.InNamespace(set.Namespace), client.MatchingFields{
			"involvedObject.uid": string(set.UID), "reason": "FailedCreate",
		})
		if err != nil {
			ctrl.LoggerFrom(ctx).V(1).Info("cannot read why a pod is missing", "statefulSet", set.Name, "error", err.Error())
			continue
		}
		for i := range list.Items {
			in.Live.Refuse(refusalOf(&list.Items[i]))
		}
	}
}

func podsOf(set *appsv1.StatefulSet, pods []corev1.Pod) int32 {
	count := int32(0)
	for i := range pods {
		if pods[i].Labels[v1alpha1.LabelPool] == set.Labels[v1alpha1.LabelPool] {
			count++
		}
	}
	return count
}

// refusalOf reads an event of the controller of StatefulSets, such as "Create Pod events-main-1 in StatefulSet
// events-main failed error: pods "events-main-1" is forbidden: exceeded quota: tenant".
func refusalOf(event *corev1.Event) (pod string, refusal observe.Refusal) {
	words := strings.Fields(event.Message)
	if len(words) > 2 && strings.EqualFold(words[0], "create") && words[1] == "Pod" {
		pod = words[2]
	}
	refusal = observe.Refusal{Message: event.Message, At: event.LastTimestamp.Time}
	if _, why, found := strings.Cut(event.Message, "failed error: "); found {
		refusal.Message = why
	}
	if event.Series != nil && event.Series.LastObservedTime.After(refusal.At) {
		refusal.At = event.Series.LastObservedTime.Time
	}
	if event.EventTime.After(refusal.At) {
		refusal.At = event.EventTime.Time
	}
	return pod, refusal
}

// touch changes an annotation of a StatefulSet, whose controller then tries at once to make the pods that are missing.
func (r *Reconciler) touch(ctx context.Context, s *scope, step plan.Step) error {
	set := &appsv1.StatefulSet{ObjectMeta: metav1.ObjectMeta{
		Namespace: s.base.Namespace, Name: s.statefulSet(step), UID: types.UID(step.SetUID)}}
	now := map[string]string{v1alpha1.AnnotationRetried: s.seen.Now.UTC().Format(time.RFC3339)}
	return apply.IgnoreGone(r.patch(ctx, set, map[string]any{"annotations": now}, nil))
}
