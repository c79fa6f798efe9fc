package plan

import (
	"github.com/castellan-dev/castellan/internal/model"
	"github.com/castellan-dev/castellan/internal/verdict"
)

// planWaiting says what is under way and needs no step.
func (v *view) planWaiting(p *Plan) {
	if !v.obs.CacheCurrent {
		p.wait("the cache has not yet shown the last act")
	}
	for _, n := range v.nodes {
		v.waitForNode(p, n)
	}
	switch {
	case v.kafka.foreign != "":
		p.wait("Kafka answers with cluster id %s and not %s: nothing is done to it", v.kafka.foreign, v.c.ClusterID)
	case v.kafka.snapshot == nil && v.obs.KafkaError != "":
		p.wait("there is no view of Kafka: %s", v.obs.KafkaError)
	case v.kafka.snapshot == nil:
		p.wait("there is no view of Kafka")
	case v.kafka.quorum.LeaderID < 0:
		p.wait("the metadata quorum has no leader")
	}
}

func (v *view) waitForNode(p *Plan, n *node) {
	if !n.known && n.made && !n.leaving {
		p.wait("%s keeps its files: %s", n.name(), n.Waiting)
	}
	if lost := v.obs.Nodes[n.ID].LostVolume(); lost != "" {
		p.wait("%s does not start: %s", n.name(), lost)
	}
	failed := v.kafka.failed[n.ID]
	switch {
	case !n.made && n.pod == nil: // a step of the plan creates or grows its pool first
	case n.pod == nil && v.obs.Nodes[n.ID].Refused != "":
		p.wait("%s has no pod: Kubernetes refuses to make it: %s", n.name(), v.obs.Nodes[n.ID].Refused)
	case n.pod == nil:
		p.wait("%s has no pod yet", n.name())
	case n.pod.Deleting:
		p.wait("%s is stopping", n.name())
	case !n.pod.Ready:
		p.wait("%s", v.notReady(n))
	case v.unready(n) != "":
		p.wait("%s %s", n.name(), v.unready(n))
	case failed.String() != "" && failed.Cure() != "":
		p.wait("%s serves, and %s; %s", n.name(), failed, failed.Cure())
	case failed.String() != "":
		p.wait("%s serves, and %s", n.name(), failed)
	case n.isBroker() && v.behind(n) > 0:
		p.wait("%s is catching up on %s", n.name(), verdict.Counted(v.behind(n), "partition"))
	}
}

// behind counts the partitions that a broker is catching up on, without those that are on their way to where there is
// room: the cluster lacks nothing meanwhile, and the status tells how far they are.
func (v *view) behind(n *node) int {
	late := 0
	for _, i := range v.kafka.lagging[n.ID] {
		if p := v.kafka.partition(i); !v.course.Moves(p.Topic, p.Number) {
			late++
		}
	}
	return late
}

// notReady says why a pod is not ready, with Kubernetes' own message where there is one.
func (v *view) notReady(n *node) string {
	said := ""
	if n.pod.ProblemMessage != "" {
		said = ": " + n.pod.ProblemMessage
	}
	who := n.name()
	if n.pod.Container != "" {
		who = "container " + n.pod.Container + " of " + who
	}
	switch n.pod.Problem {
	case model.ProblemUnschedulable:
		return who + " finds no Kubernetes node" + said
	case model.ProblemImagePull:
		return who + " cannot pull its image" + said
	case model.ProblemCrashLoop:
		return who + " stops as soon as it starts (" + verdict.Counted(int(n.pod.Restarts), "restart") + ")" + said
	case model.ProblemConfig:
		return who + " cannot be set up" + said
	case model.ProblemEnded:
		return who + " was ended by Kubernetes, which makes its pod again" + said
	}
	switch {
	case n.pod.Silent:
		return n.name() + " is not heard of: the kubelet of Kubernetes node " + n.pod.KubernetesNode + " is silent"
	case n.pod.Serves:
		return n.name() + " serves, but another container of its pod is not ready"
	}
	if n.pod.Awaits != "" {
		return n.name() + " waits (" + verdict.Counted(int(n.pod.Restarts), "restart") + "): " + n.pod.Awaits
	}
	return n.name() + " is starting"
}
