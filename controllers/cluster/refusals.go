package cluster

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
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

// relabel gives pods of the cluster back what they have lost of the labels by which they are known: without them the
// controller of StatefulSets lets a pod go, and cannot make another under its name. A pod that is missing is looked for
// past the cache. One that nobody knows as the node's is named as what is in the way.
func (r *Reconciler) relabel(ctx context.Context, s *scope) error {
	at := make(map[string]int, len(s.seen.Live.Pods))
	for i := range s.seen.Live.Pods {
		at[s.seen.Live.Pods[i].Name] = i
	}
	for _, set := range s.seen.Live.StatefulSets {
		if set.Spec.Replicas == nil || set.DeletionTimestamp != nil {
			continue
		}
		first := int32(0)
		if set.Spec.Ordinals != nil {
			first = set.Spec.Ordinals.Start
		}
		for id := first; id < first+*set.Spec.Replicas; id++ {
			name := fmt.Sprintf("%s-%d", set.Name, id)
			i, seen := at[name]
			if seen && len(lacks(&s.seen.Live.Pods[i], set.Spec.Template.Labels)) == 0 {
				continue
			}
			if !seen {
				i = -1
			}
			if err := r.relabelPod(ctx, s, set, name, i); err != nil {
				return err
			}
		}
	}
	return nil
}

// relabelPod looks at one that is at a place among the pods that are known; -1 = at none.
func (r *Reconciler) relabelPod(ctx context.Context, s *scope, set *appsv1.StatefulSet, name string, at int) error {
	live := s.seen.Live
	pod := &corev1.Pod{}
	if at >= 0 {
		live.Pods[at].DeepCopyInto(pod)
	} else {
		err := r.APIReader.Get(ctx, types.NamespacedName{Namespace: set.Namespace, Name: name}, pod)
		if apierrors.IsNotFound(err) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("look whether pod %s/%s is in the way: %w", set.Namespace, name, err)
		}
	}
	if len(lacks(pod, set.Spec.Template.Labels)) == 0 {
		return nil // or the cache is behind
	}
	made, known := live.MadeWith(pod, set)
	if !known {
		live.Refuse(name, observe.Refusal{Message: inTheWay(pod, set), At: s.seen.Now})
	}
	missing := lacks(pod, made)
	if !known || len(missing) == 0 {
		return nil
	}
	if err := r.patch(ctx, pod, map[string]any{"labels": missing}, nil); err != nil {
		return apply.IgnoreGone(err)
	}
	r.event(s, corev1.EventTypeNormal, "LabelsRestored", "Pod "+name+" had lost "+written(missing))
	s.lookAgain(whenBehind)
	if at < 0 {
		live.Pods = append(live.Pods, *pod)
	} else {
		live.Pods[at] = *pod
	}
	return nil
}

// lacks lists those of the operator's labels that a pod does not have as it was made with them.
func lacks(pod *corev1.Pod, made map[string]string) map[string]string {
	missing := map[string]string{}
	for _, key := range []string{v1alpha1.LabelManagedBy, v1alpha1.LabelCluster, v1alpha1.LabelPool,
		v1alpha1.LabelController, v1alpha1.LabelBroker} {
		if value := made[key]; value != "" && pod.Labels[key] != value {
			missing[key] = value
		}
	}
	return missing
}

func inTheWay(pod *corev1.Pod, set *appsv1.StatefulSet) string {
	if owner := metav1.GetControllerOf(pod); owner != nil && owner.UID != set.UID {
		return fmt.Sprintf("pod %s exists and is %s %s's: remove it", pod.Name, owner.Kind, owner.Name)
	}
	return fmt.Sprintf("pod %s exists and lacks labels: if it is this node's, put them back with "+
		"`kubectl -n %s label --overwrite pod %s %s`, else delete it", pod.Name, pod.Namespace, pod.Name,
		written(lacks(pod, set.Spec.Template.Labels)))
}

// written are labels as kubectl takes them.
func written(labels map[string]string) string {
	words := make([]string, 0, len(labels))
	for _, key := range slices.Sorted(maps.Keys(labels)) {
		words = append(words, key+"="+labels[key])
	}
	return strings.Join(words, " ")
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
