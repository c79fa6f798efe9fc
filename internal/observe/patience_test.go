package observe

import (
	"os"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/castellan-dev/castellan/api/v1alpha1"
	"github.com/castellan-dev/castellan/internal/model"
	"github.com/castellan-dev/castellan/internal/render"
)

var ended = time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)

// crashed is a broker's pod in back-off, whose container ended with these words.
func crashed(words string) *corev1.Pod {
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{
			Name:   "events-main-10",
			Labels: map[string]string{v1alpha1.LabelPool: "main", v1alpha1.LabelBroker: "true"},
		},
		Status: corev1.PodStatus{ContainerStatuses: []corev1.ContainerStatus{{
			Name: render.ContainerName, RestartCount: 2,
			State: corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: "CrashLoopBackOff"}},
			LastTerminationState: corev1.ContainerState{
				Terminated: &corev1.ContainerStateTerminated{ExitCode: 1, Message: words, FinishedAt: metav1.NewTime(ended)},
			},
		}}},
	}
}

// controllerPod is one that has been ready since a moment, or never when that is zero.
func controllerPod(name string, readySince time.Time) *corev1.Pod {
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{
			Name:   name,
			Labels: map[string]string{v1alpha1.LabelPool: "ctl", v1alpha1.LabelController: "true"},
		},
	}
	if !readySince.IsZero() {
		pod.Status.Conditions = []corev1.PodCondition{
			{Type: corev1.PodReady, Status: corev1.ConditionTrue, LastTransitionTime: metav1.NewTime(readySince)},
		}
	}
	return pod
}

func TestABrokerThatEndedForWantOfControllersWaits(t *testing.T) {
	text, err := os.ReadFile("testdata/no-controllers.txt")
	if err != nil {
		t.Fatal(err)
	}
	long, never := ended.Add(-10*time.Minute), time.Time{}
	for name, tt := range map[string]struct {
		words string
		since [3]time.Time // of the three controllers
		waits bool
	}{
		"no controller was there":                    {string(text), [3]time.Time{never, never, never}, true},
		"one of three was":                           {string(text), [3]time.Time{long, never, never}, true},
		"they came when it had ended":                {string(text), [3]time.Time{ended.Add(time.Second), ended.Add(time.Second), never}, true},
		"they came just before":                      {string(text), [3]time.Time{ended.Add(-time.Second), ended.Add(-time.Second), never}, true},
		"they were there, and it could not register": {string(text), [3]time.Time{long, long, never}, false},
		"it ended for another reason":                {"ERROR the disk is full (LogManager)", [3]time.Time{never, never, never}, false},
	} {
		t.Run(name, func(t *testing.T) {
			live := &Live{Pods: []corev1.Pod{*crashed(tt.words)}}
			for i, since := range tt.since {
				live.Pods = append(live.Pods, *controllerPod("events-ctl-"+string(rune('0'+i)), since))
			}
			c := &model.Cluster{
				Pools: []model.Pool{{Name: "ctl", Controller: true}, {Name: "main", Broker: true}},
				Nodes: []model.Node{{ID: 0, Pool: "ctl"}, {ID: 1, Pool: "ctl"}, {ID: 2, Pool: "ctl"}, {ID: 10, Pool: "main"}},
			}
			pod := Kubernetes(c, live, nil, ended).Nodes[10].Pod
			if got := pod.Awaits != ""; got != tt.waits {
				t.Errorf("it waits for %q, problem %s: %s", pod.Awaits, pod.Problem, pod.ProblemMessage)
			}
			if fails := pod.Problem == model.ProblemCrashLoop; fails == tt.waits {
				t.Errorf("it fails: %v (%s)", fails, pod.Problem)
			}
		})
	}
}
