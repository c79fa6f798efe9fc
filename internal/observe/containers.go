package observe

import (
	"fmt"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/castellan-dev/castellan/internal/model"
	"github.com/castellan-dev/castellan/internal/render"
)

const (
	// longRun is how long a process has to run for its end to be no part of a crash loop: the kubelet begins its back-off
	// anew then (twice its longest back-off of 5 minutes).
	longRun = 10 * time.Minute
	// outlived is by how much a process has to outlive the one before it to count as one that gets up.
	outlived = time.Minute
	// killed is the exit code of a process that got SIGKILL.
	killed = 137

	// Where a LimitRange says what it gave to which container of a pod.
	limitRanger    = "kubernetes.io/limit-ranger"
	limitRangerSet = "LimitRanger plugin set: "
)

// observeContainers says whether a pod is ready and, if it is not, which container keeps it from that and why. The
// container kafka comes first, then what runs before it, then what runs beside it.
func observeContainers(observed *model.ObservedPod, pod *corev1.Pod, now time.Time) {
	status := &pod.Status
	var turned time.Time // when the condition Ready became what it is
	containersReady := false
	for _, condition := range status.Conditions {
		switch {
		case condition.Type == corev1.PodReady:
			turned = condition.LastTransitionTime.Time
			if observed.Ready = condition.Status == corev1.ConditionTrue; observed.Ready {
				observed.ReadySince = turned
			}
		case condition.Type == corev1.ContainersReady:
			containersReady = condition.Status == corev1.ConditionTrue
		case condition.Type == corev1.PodScheduled && condition.Status == corev1.ConditionFalse &&
			condition.Reason == corev1.PodReasonUnschedulable:
			observed.Problem, observed.ProblemMessage = model.ProblemUnschedulable, condition.Message
		}
	}
	observed.Silent = containersReady && !observed.Ready
	if status.Phase == corev1.PodFailed || status.Phase == corev1.PodSucceeded {
		observed.Problem, observed.ProblemMessage = model.ProblemEnded, sentence(status.Reason, status.Message)
	}
	blame := func(container corev1.ContainerStatus, beside bool) {
		if observed.Problem != model.ProblemNone || observed.Ready {
			return
		}
		if problem, message := problemOf(pod, container, turned, now); problem != model.ProblemNone {
			observed.Problem, observed.ProblemMessage, observed.Beside = problem, message, beside
			if container.Name != render.ContainerName {
				observed.Container = container.Name
			}
		}
	}
	for _, container := range status.ContainerStatuses {
		if container.Name != render.ContainerName {
			continue
		}
		observed.Serves = container.Ready
		if running := container.State.Running; running != nil {
			observed.Running, observed.StartedAt = true, running.StartedAt.Time
		}
		blame(container, false)
	}
	for _, container := range status.InitContainerStatuses {
		observed.Restarts += container.RestartCount
		blame(container, observed.Running) // until kafka has been started it waits for them, and then no more
	}
	for _, container := range status.ContainerStatuses {
		observed.Restarts += container.RestartCount
		if container.Name != render.ContainerName {
			blame(container, true)
		}
	}
}

// problemOf is why a container does not get up now; turned is when its pod's condition Ready became what it is.
func problemOf(pod *corev1.Pod, container corev1.ContainerStatus, turned, now time.Time) (model.PodProblem, string) {
	if waiting := container.State.Waiting; waiting != nil {
		switch waiting.Reason {
		case "ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull", "ImageInspectError",
			"RegistryUnavailable", "SignatureValidationFailed":
			return model.ProblemImagePull, sentence(waiting.Reason, waiting.Message)
		case "CrashLoopBackOff":
			return model.ProblemCrashLoop, lastWords(pod, container.Name, container.LastTerminationState.Terminated)
		case "CreateContainerConfigError", "CreateContainerError", "RunContainerError", "PreCreateHookError",
			"PreStartHookError", "PostStartHookError":
			return model.ProblemConfig, sentence(waiting.Reason, waiting.Message)
		}
		return model.ProblemNone, ""
	}
	if ended := crashesAgain(container, turned, now); ended != nil {
		return model.ProblemCrashLoop, lastWords(pod, container.Name, ended)
	}
	return model.ProblemNone, ""
}

// crashesAgain tells how the last process of a container ended, if it is between two crashes: it runs, and looks alive
// for a moment, or it has ended once more, and the kubelet has not said yet that it waits. It is not between two, if
//
//   - it is ready, or its pod was ready since it started: its Ready has turned since then. So a pod that crashed once
//     and is unready weeks later, because its kubelet is silent or another container is unready, does not crash;
//   - the process that ended ran for long: its end was an accident;
//   - it has outlived the process before it: it takes its time, such as to recover its logs.
func crashesAgain(container corev1.ContainerStatus, turned, now time.Time) *corev1.ContainerStateTerminated {
	running, ended := container.State.Running, container.State.Terminated
	var since, until time.Time // of its process, or of the last one
	switch {
	case running != nil:
		since, until, ended = running.StartedAt.Time, now, container.LastTerminationState.Terminated
	case ended != nil:
		since, until = ended.StartedAt.Time, ended.FinishedAt.Time
	}
	if ended == nil || container.Ready || container.RestartCount == 0 || turned.After(since) {
		return nil
	}
	ran := ended.FinishedAt.Sub(ended.StartedAt.Time)
	if ran >= longRun || until.Sub(since) >= ran+outlived {
		return nil
	}
	return ended
}

// lastWords say why a container ended: that it was killed for its memory, its own last words, or its exit code.
func lastWords(pod *corev1.Pod, container string, ended *corev1.ContainerStateTerminated) string {
	switch {
	case ended == nil:
		return "the container ended"
	case ended.Reason == "OOMKilled":
		return "OOMKilled: the container needed more memory than its limit" + limitOf(pod, container)
	case ended.ExitCode == killed:
		return "the container was killed (exit code 137), as happens where memory is short"
	}
	if last := cause(ended.Message); last != "" {
		return last
	}
	return fmt.Sprintf("the container ended with exit code %d (%s)", ended.ExitCode, ended.Reason)
}

// limitOf says which memory limit a container has and, if the pool did not ask for it, in Kubernetes' words who set it;
// empty = the limit is not known.
func limitOf(pod *corev1.Pod, container string) string {
	for _, c := range slices.Concat(pod.Spec.Containers, pod.Spec.InitContainers) {
		limit, limited := c.Resources.Limits[corev1.ResourceMemory]
		if c.Name != container || !limited {
			continue
		}
		for said := range strings.SplitSeq(strings.TrimPrefix(pod.Annotations[limitRanger], limitRangerSet), "; ") {
			what, whose, _ := strings.Cut(said, " limit for ")
			if strings.HasSuffix(whose, "container "+container) && strings.Contains(what, string(corev1.ResourceMemory)) {
				return fmt.Sprintf(" of %s, which a LimitRange of the namespace set (%q); set resources.limits[memory] of the "+
					"pool", limit.String(), said)
			}
		}
		return " of " + limit.String()
	}
	return ""
}

// sentence joins Kubernetes' reason and its message; either may be missing.
func sentence(reason, message string) string {
	switch {
	case message == "":
		return reason
	case reason == "":
		return message
	}
	return reason + ": " + message
}
