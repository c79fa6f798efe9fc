package e2e

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"
	watchtools "k8s.io/client-go/tools/watch"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/castellan-dev/castellan/api/v1alpha1"
)

func podReady(pod *corev1.Pod) bool {
	for _, c := range pod.Status.Conditions {
		if c.Type == corev1.PodReady {
			return c.Status == corev1.ConditionTrue
		}
	}
	return false
}

func podsOf(ctx context.Context, namespace, cluster string) ([]corev1.Pod, error) {
	var pods corev1.PodList
	err := kube.List(ctx, &pods, client.InNamespace(namespace), client.MatchingLabels{v1alpha1.LabelCluster: cluster})
	slices.SortFunc(pods.Items, func(a, b corev1.Pod) int { return strings.Compare(a.Name, b.Name) })
	return pods.Items, err
}

func getPod(t *testing.T, namespace, name string) *corev1.Pod {
	t.Helper()
	pod := &corev1.Pod{}
	if err := kube.Get(t.Context(), client.ObjectKey{Namespace: namespace, Name: name}, pod); err != nil {
		t.Fatal(err)
	}
	return pod
}

// lives tells apart every life of every pod of a cluster: its UID and how often its containers were started.
func lives(t *testing.T, namespace, cluster string) map[string]string {
	t.Helper()
	pods, err := podsOf(t.Context(), namespace, cluster)
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]string{}
	for _, pod := range pods {
		restarts := int32(0)
		for _, c := range pod.Status.ContainerStatuses {
			restarts += c.RestartCount
		}
		out[pod.Name] = fmt.Sprintf("%s (%d container restarts)", pod.UID, restarts)
	}
	return out
}

// mustLiveOn fails unless every pod of before still lives the same life; pods that came since are no matter.
func mustLiveOn(t *testing.T, namespace, cluster string, before map[string]string) {
	t.Helper()
	after := lives(t, namespace, cluster)
	for _, name := range slices.Sorted(maps.Keys(before)) {
		if after[name] != before[name] {
			t.Errorf("pod %s was restarted: %s became %s", name, before[name], after[name])
		}
	}
}

// podEvent is one thing that was seen to happen to a pod.
type podEvent struct {
	at   time.Time
	pod  string
	uid  types.UID
	what string // created, deleting, started, ready, unready, gone
}

// podLog records what happens to the pods of a cluster.
type podLog struct {
	mu     sync.Mutex
	events []podEvent
	seen   map[types.UID]string
	stop   func()
}

// watchPods records until the case ends or stop is called.
func watchPods(t *testing.T, namespace, cluster string) *podLog {
	t.Helper()
	l := &podLog{seen: map[types.UID]string{}}
	stop, err := followPods(namespace, client.MatchingLabels{v1alpha1.LabelCluster: cluster}, l.note)
	if err != nil {
		t.Fatalf("watch pods: %v", err)
	}
	l.stop = stop
	t.Cleanup(l.stop)
	return l
}

// podWatcher watches the pods of a namespace that have some labels.
type podWatcher struct {
	namespace string
	labels    client.MatchingLabels
}

func (w podWatcher) WatchWithContext(ctx context.Context, options metav1.ListOptions) (watch.Interface, error) {
	return kube.Watch(
		ctx,
		&corev1.PodList{},
		&client.ListOptions{Raw: &options},
		client.InNamespace(w.namespace),
		w.labels,
	)
}

// followPods tells of the pods that there are and of all that happens to them, until it is stopped. It misses nothing
// when the API server ends the watch meanwhile.
func followPods(
	namespace string,
	labels client.MatchingLabels,
	note func(*corev1.Pod, watch.EventType),
) (stop func(), err error) {
	ctx, cancel := context.WithCancel(context.Background())
	var pods corev1.PodList
	if err := kube.List(ctx, &pods, client.InNamespace(namespace), labels); err != nil {
		cancel()
		return nil, err
	}
	for i := range pods.Items {
		note(&pods.Items[i], watch.Added)
	}
	w, err := watchtools.NewRetryWatcherWithContext(ctx, pods.ResourceVersion, podWatcher{namespace, labels})
	if err != nil {
		cancel()
		return nil, err
	}
	var done sync.WaitGroup
	done.Go(func() {
		for event := range w.ResultChan() {
			if pod, ok := event.Object.(*corev1.Pod); ok {
				note(pod, event.Type)
			}
		}
	})
	return sync.OnceFunc(func() { w.Stop(); cancel(); done.Wait() }), nil
}

func (l *podLog) note(pod *corev1.Pod, kind watch.EventType) {
	state := "created"
	switch {
	case kind == watch.Deleted:
		state = "gone"
	case pod.DeletionTimestamp != nil:
		state = "deleting"
	case podReady(pod):
		state = "ready"
	case len(pod.Status.ContainerStatuses) > 0 && pod.Status.ContainerStatuses[0].State.Running != nil:
		state = "started"
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.seen[pod.UID] != state {
		l.seen[pod.UID] = state
		l.events = append(l.events, podEvent{time.Now(), pod.Name, pod.UID, state})
	}
}

func (l *podLog) all() []podEvent {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.events)
}

// restarted lists the pods that were deleted, in order.
func (l *podLog) restarted() []string {
	var names []string
	for _, e := range l.all() {
		if e.what == "deleting" {
			names = append(names, e.pod)
		}
	}
	return names
}

// mostDown is how many of the pods that had been ready were not ready at one time, and when.
func (l *podLog) mostDown() (most int, when string) {
	up, down := map[string]bool{}, map[string]bool{}
	for _, e := range l.all() {
		switch {
		case e.what == "ready":
			up[e.pod] = true
			delete(down, e.pod)
		case up[e.pod]:
			down[e.pod] = true
		}
		if len(down) > most {
			most = len(down)
			when = fmt.Sprintf("%s: %v", e.at.Format(time.TimeOnly), slices.Sorted(maps.Keys(down)))
		}
	}
	return most, when
}

func (l *podLog) String() string {
	var b strings.Builder
	for _, e := range l.all() {
		fmt.Fprintf(&b, "\n  %s %s %s", e.at.Format("15:04:05.0"), e.pod, e.what)
	}
	return b.String()
}
