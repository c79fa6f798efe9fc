package observe

import (
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/castellan-dev/castellan/api/v1alpha1"
	"github.com/castellan-dev/castellan/internal/model"
	"github.com/castellan-dev/castellan/internal/render"
)

const (
	// unregistered is what a broker throws when no controller has taken its registration in time
	// (initial.broker.registration.timeout.ms).
	unregistered = "Received a fatal error while waiting for the controller to acknowledge that we are caught up"
	// registrationTime is how long a majority of the controllers has to be ready for a broker to be blamed: it has to find
	// them, and they have to elect a leader.
	registrationTime = 30 * time.Second
)

// excuseBrokers takes a crash loop back where the controllers are its cause: a broker that ended before a majority of
// them was there does not fail. Kubernetes starts it again, and until then it may sit in back-off although they have
// come.
func excuseBrokers(c *model.Cluster, pods []corev1.Pod, observation *model.Observation) {
	for i := range pods {
		id, _ := NodeID(pods[i].Name)
		pod := observation.Nodes[id].Pod
		if pod == nil || pod.Problem != model.ProblemCrashLoop || pod.ProblemMessage != unregistered {
			continue
		}
		if !controllersWereThere(c, pods, endOf(&pods[i]).Add(-registrationTime)) {
			pod.Problem, pod.ProblemMessage = model.ProblemNone, ""
			pod.Awaits = "the broker ended because a majority of the controllers was not there to register with, and is " +
				"started again"
		}
	}
}

// controllersWereThere tells that a majority of the wanted controllers has been ready since a moment or longer.
func controllersWereThere(c *model.Cluster, pods []corev1.Pod, moment time.Time) bool {
	wanted, there := 0, 0
	for i := range c.Nodes {
		if pool := c.PoolOf(&c.Nodes[i]); pool != nil && pool.Controller {
			wanted++
		}
	}
	for i := range pods {
		if pods[i].Labels[v1alpha1.LabelController] != "true" {
			continue
		}
		for _, condition := range pods[i].Status.Conditions {
			if condition.Type == corev1.PodReady && condition.Status == corev1.ConditionTrue &&
				!condition.LastTransitionTime.After(moment) {
				there++
			}
		}
	}
	return 2*there > wanted
}

// endOf is when the pod's last process ended; zero = none has.
func endOf(pod *corev1.Pod) time.Time {
	for _, container := range pod.Status.ContainerStatuses {
		if terminated := container.LastTerminationState.Terminated; container.Name == render.ContainerName &&
			terminated != nil {
			return terminated.FinishedAt.Time
		}
	}
	return time.Time{}
}
