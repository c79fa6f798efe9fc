package observe

import (
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/castellan-dev/castellan/internal/model"
	"github.com/castellan-dev/castellan/internal/render"
)

// container is one that runs since a moment; the tests change it.
func container(name string, since time.Time, ready bool) corev1.ContainerStatus {
	return corev1.ContainerStatus{Name: name, Ready: ready, State: corev1.ContainerState{
		Running: &corev1.ContainerStateRunning{StartedAt: metav1.NewTime(since)},
	}}
}

// restarted is a container whose process before this one ran for a time and ended just before.
func restarted(c corev1.ContainerStatus, ran time.Duration) corev1.ContainerStatus {
	end := c.State.Running.StartedAt.Add(-time.Second)
	c.RestartCount = 1
	c.LastTerminationState.Terminated = &corev1.ContainerStateTerminated{
		ExitCode: 1, Reason: "Error", Message: "no such file",
		StartedAt: metav1.NewTime(end.Add(-ran)), FinishedAt: metav1.NewTime(end),
	}
	return c
}

// terminated is a container whose process ran for a time and ended; it was restarted so often before.
func terminated(name string, restarts int32, since time.Time, ran time.Duration) corev1.ContainerStatus {
	return corev1.ContainerStatus{Name: name, RestartCount: restarts, State: corev1.ContainerState{
		Terminated: &corev1.ContainerStateTerminated{ExitCode: 1, Reason: "Error", Message: "disk full",
			StartedAt: metav1.NewTime(since), FinishedAt: metav1.NewTime(since.Add(ran))},
	}}
}

func waiting(name, reason, message string) corev1.ContainerStatus {
	return corev1.ContainerStatus{Name: name, State: corev1.ContainerState{
		Waiting: &corev1.ContainerStateWaiting{Reason: reason, Message: message},
	}}
}

func TestWhatKeepsAPodFromBeingReady(t *testing.T) {
	now := time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)
	ago := func(d time.Duration) time.Time { return now.Add(-d) }
	kafka := render.ContainerName
	loop := waiting("", "CrashLoopBackOff", "back-off 10s restarting failed container")
	loop.LastTerminationState.Terminated = &corev1.ContainerStateTerminated{ExitCode: 137, Reason: "OOMKilled",
		Message: "start.sh: line 177: 21 Killed"}
	looping := func(name string) corev1.ContainerStatus { c := loop; c.Name = name; return c }
	for name, tt := range map[string]struct {
		turned           time.Time // when the pod became unready
		init, containers []corev1.ContainerStatus
		phase            corev1.PodPhase
		problem          model.PodProblem
		container        string
		beside           bool
		message          string
	}{
		"a process that starts": {
			turned: ago(time.Minute), containers: []corev1.ContainerStatus{container(kafka, ago(5*time.Second), false)},
		},
		"between two crashes it looks alive": {
			turned:     ago(time.Minute),
			containers: []corev1.ContainerStatus{restarted(container(kafka, ago(5*time.Second), false), 5*time.Second)},
			problem:    model.ProblemCrashLoop, message: "no such file",
		},
		"it has crashed again, and the kubelet has not said yet that it waits": {
			turned:     ago(time.Minute),
			containers: []corev1.ContainerStatus{terminated(kafka, 1, ago(5*time.Second), 4*time.Second)},
			problem:    model.ProblemCrashLoop, message: "disk full",
		},
		"it has ended for the first time, and is started at once": {
			turned: ago(time.Minute), containers: []corev1.ContainerStatus{terminated(kafka, 0, ago(5*time.Second), 4*time.Second)},
		},
		"it ran for hours before it ended once more": {
			turned: ago(5 * time.Hour), containers: []corev1.ContainerStatus{terminated(kafka, 3, ago(4*time.Hour), 4*time.Hour)},
		},
		"it crashed once weeks ago, and another container is unready": {
			turned: ago(time.Minute),
			containers: []corev1.ContainerStatus{
				restarted(container(kafka, ago(500*time.Hour), true), 5*time.Second),
				container("logger", ago(500*time.Hour), false),
			},
		},
		"it crashed once weeks ago, and its port was closed for a moment": {
			turned:     ago(time.Minute),
			containers: []corev1.ContainerStatus{restarted(container(kafka, ago(500*time.Hour), false), 5*time.Second)},
		},
		"it crashed once, was ready again, and its kubelet is silent": {
			turned:     ago(time.Second),
			containers: []corev1.ContainerStatus{restarted(container(kafka, ago(30*time.Second), false), 5*time.Second)},
		},
		"it ran for hours before it was killed, and starts": {
			turned:     ago(10 * time.Second),
			containers: []corev1.ContainerStatus{restarted(container(kafka, ago(5*time.Second), false), 5*time.Hour)},
		},
		"it has outlived the process before it, and recovers its logs": {
			turned:     ago(time.Hour),
			containers: []corev1.ContainerStatus{restarted(container(kafka, ago(10*time.Minute), false), 20*time.Second)},
		},
		"it is out of memory": {
			containers: []corev1.ContainerStatus{looping(kafka)},
			problem:    model.ProblemCrashLoop, message: "OOMKilled",
		},
		"an init container fails before Kafka": {
			init:       []corev1.ContainerStatus{looping("prepare")},
			containers: []corev1.ContainerStatus{waiting(kafka, "PodInitializing", "")},
			problem:    model.ProblemCrashLoop, container: "prepare", message: "OOMKilled",
		},
		"a sidecar among the init containers fails beside Kafka": {
			init:       []corev1.ContainerStatus{looping("proxy")},
			containers: []corev1.ContainerStatus{container(kafka, ago(time.Hour), true)},
			problem:    model.ProblemCrashLoop, container: "proxy", beside: true, message: "OOMKilled",
		},
		"the image of a sidecar does not exist": {
			containers: []corev1.ContainerStatus{
				waiting("logger", "ErrImagePull", "not found"), container(kafka, ago(time.Hour), true),
			},
			problem: model.ProblemImagePull, container: "logger", beside: true, message: "ErrImagePull: not found",
		},
		"Kafka's own problem comes first": {
			containers: []corev1.ContainerStatus{looping("logger"), waiting(kafka, "CreateContainerConfigError",
				`secret "x" not found`)},
			problem: model.ProblemConfig, message: `CreateContainerConfigError: secret "x" not found`,
		},
		"the kubelet has ended the pod": {
			phase: corev1.PodFailed, problem: model.ProblemEnded, message: "Evicted: the node was low on memory",
		},
	} {
		t.Run(name, func(t *testing.T) {
			pod := &corev1.Pod{Status: corev1.PodStatus{
				Phase: tt.phase, InitContainerStatuses: tt.init, ContainerStatuses: tt.containers,
				Conditions: []corev1.PodCondition{{
					Type: corev1.PodReady, Status: corev1.ConditionFalse, LastTransitionTime: metav1.NewTime(tt.turned),
				}},
			}}
			if tt.phase == corev1.PodFailed {
				pod.Status.Reason, pod.Status.Message = "Evicted", "the node was low on memory"
			}
			got := observePod(pod, 1, nil, now)
			if got.Problem != tt.problem || got.Container != tt.container || got.Beside != tt.beside ||
				!strings.HasPrefix(got.ProblemMessage, tt.message) {
				t.Errorf("container %q, problem %q: %q, beside Kafka: %t", got.Container, got.Problem, got.ProblemMessage,
					got.Beside)
			}
		})
	}
}

// The limit that killed a container is not always the spec's own.
func TestTheLimitThatKillsIsTold(t *testing.T) {
	killed := waiting(render.ContainerName, "CrashLoopBackOff", "back-off 10s restarting failed container")
	killed.LastTerminationState.Terminated = &corev1.ContainerStateTerminated{ExitCode: 137, Reason: "OOMKilled"}
	const said = "LimitRanger plugin set: cpu request for container kafka; cpu, memory limit for container kafka; cpu " +
		"limit for container logger"
	for name, tt := range map[string]struct {
		limit, limitRanger, want string
	}{
		"no limit is known": {"", "", "OOMKilled: the container needed more memory than its limit"},
		"the pool's limit":  {"1Gi", "", "OOMKilled: the container needed more memory than its limit of 1Gi"},
		"the limit of a LimitRange": {"300Mi", said, "OOMKilled: the container needed more memory than its limit of 300Mi, " +
			`which a LimitRange of the namespace set ("cpu, memory limit for container kafka"); set resources.limits[memory] of ` +
			"the pool"},
		"a LimitRange that set something else": {"1Gi", "LimitRanger plugin set: memory limit for container logger",
			"OOMKilled: the container needed more memory than its limit of 1Gi"},
	} {
		t.Run(name, func(t *testing.T) {
			pod := &corev1.Pod{Status: corev1.PodStatus{ContainerStatuses: []corev1.ContainerStatus{killed}}}
			pod.Annotations = map[string]string{"kubernetes.io/limit-ranger": tt.limitRanger}
			pod.Spec.Containers = []corev1.Container{{Name: render.ContainerName}, {Name: "logger"}}
			if tt.limit != "" {
				pod.Spec.Containers[0].Resources.Limits = corev1.ResourceList{"memory": resource.MustParse(tt.limit)}
			}
			if got := observePod(pod, 1, nil, time.Now()); got.ProblemMessage != tt.want {
				t.Errorf("got  %s\nwant %s", got.ProblemMessage, tt.want)
			}
		})
	}
}

func TestAPodSaysSinceWhenItIsReadyAndHowOftenAnyContainerRestarted(t *testing.T) {
	since := time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)
	sidecar := restarted(container("logger", since, true), time.Second)
	sidecar.RestartCount = 3
	got := observePod(&corev1.Pod{Status: corev1.PodStatus{
		ContainerStatuses:     []corev1.ContainerStatus{container(render.ContainerName, since, true), sidecar},
		InitContainerStatuses: []corev1.ContainerStatus{restarted(container("proxy", since, true), time.Second)},
		Conditions: []corev1.PodCondition{{
			Type: corev1.PodReady, Status: corev1.ConditionTrue, LastTransitionTime: metav1.NewTime(since),
		}},
	}}, 1, nil, since)
	if !got.Ready || !got.Serves || !got.ReadySince.Equal(since) || got.Restarts != 4 {
		t.Errorf("ready %t since %s, serves %t, %d restarts", got.Ready, got.ReadySince, got.Serves, got.Restarts)
	}
}
