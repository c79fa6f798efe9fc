package plan

import (
	"fmt"
	"strings"
	"time"

	"github.com/castellan-dev/castellan/internal/model"
)

// reason is one answer to "why should this be disturbed". Whether it may happen now is the predicates' matter.
type reason struct {
	name     string
	after    string // what brings it about, for the documentation
	sentence string // likewise
	leads    Kind   // what it leads to
	holds    func(v *view, n *node) (bool, string)
}

// reasons in the order in which they are told.
var reasons = []reason{
	{"filesChanged", "a key of `spec.config` or of a pool's `config` that Kafka reads only at its start, `jvm.heap`, `roles`, a listener added, removed or changed", "The node's configuration files differ from what its pod runs, in something that the user asked for.", Restart, filesChanged},
	{"templateChanged", "`spec.version`; `resources`, `podTemplate` or `roles` of a pool", "The pod template of its pool differs from what its pod runs, in something that the user asked for: the version of Kafka, resources, roles, the podTemplate.", Restart, templateChanged},
	{"revisionGone", "the ConfigMap of a revision deleted by hand", "The revision that its pod runs exists no more, so nobody can tell whether it is current.", Restart, revisionGone},
	{"podMissing", "a `podTemplate` that no pod can be made from, and another one after it", "The node has no pod, and the template that one would be made from is neither the wanted one nor known to work. The wanted one is staged; nothing is deleted.", Restart, podMissing},
	{"restartAsked", "the annotation `kafka.castellan.dev/restart` on the KafkaCluster", "The annotation kafka.castellan.dev/restart asks for it.", Restart, restartAsked},
	{"replaceAsked", "the annotation `kafka.castellan.dev/replace` on a claim", "The annotation kafka.castellan.dev/replace on a claim of the node permits an empty disk in its place.", ReplaceDisk, replaceAsked},
	{"diskChanged", "the disk of a controller lost or emptied", "A voter of the metadata quorum came back with another disk: the entry of the lost one is removed first.", RemoveVoter, diskChanged},
	{"notAController", "`replicas` of a pool of controllers lowered, the role Controller taken from it, the pool removed", "A voter of the metadata quorum is no longer asked for as a controller.", RemoveVoter, notAController},
	{"notAVoter", "`replicas` of a pool of controllers raised, the role Controller given to one, a pool added", "A node that is asked for as a controller runs, and is no voter of the metadata quorum.", AddVoter, notAVoter},
	{"notAskedFor", "`replicas` of a pool lowered, a pool removed", "The spec asks for fewer nodes, or for none of this pool.", ShrinkPool, notAskedFor},
	{"poolGone", "a pool removed, once its nodes are gone", "The spec has no such pool, and its StatefulSet has no nodes any more.", RemovePool, poolGone},
	{"brokerGone", "a broker gone for good", "Kafka remembers a broker of this cluster that has no pod and never will.", Unregister, brokerGone},
	{"metadataAsked", "`spec.metadataVersion`", "spec.metadataVersion asks for another metadata.version than is finalized.", FinalizeVersion, metadataAsked},
}

func filesChanged(_ *view, n *node) (bool, string) {
	if n.pod == nil || n.pod.Deleting || !n.known || isGone(n.pod) {
		return false, ""
	}
	if n.pod.Files.User == n.wanted.User {
		return false, ""
	}
	if len(n.changes) == 0 {
		return true, "configuration changed"
	}
	return true, "config " + strings.Join(n.changes, ", ")
}

func templateChanged(v *view, n *node) (bool, string) {
	if n.pod == nil || n.pod.Deleting || !n.rendered || isGone(n.pod) {
		return false, ""
	}
	if n.pod.Template.User == n.template.User {
		return false, ""
	}
	if n.pod.Version != "" && n.pod.Version != v.c.Version {
		return true, fmt.Sprintf("version %s -> %s", n.pod.Version, v.c.Version)
	}
	return true, "pod template changed"
}

func revisionGone(_ *view, n *node) (bool, string) {
	return n.pod != nil && !n.pod.Deleting && isGone(n.pod), "the revision that it runs is gone"
}

// podMissing leaves a pod that merely died to come back on what it last ran. Only a template can keep a pod from being
// made at all (a quota, an admission rule), so only a template that works nowhere is replaced before it has made a pod.
func podMissing(_ *view, n *node) (bool, string) {
	differs := n.rendered && n.set.Template.User != n.template.User
	return n.made && n.pod == nil && differs && !n.makeable, "no pod, and the pod template changed"
}

// restartAsked takes no notice of a time that has not come: a pod that was made before it would be too old again at once.
func restartAsked(v *view, n *node) (bool, string) {
	asked := n.RestartBefore
	if n.pod == nil || n.pod.Deleting || asked.IsZero() || asked.After(v.now) {
		return false, ""
	}
	return n.pod.CreatedAt.Before(asked), "asked for at " + asked.UTC().Format(time.RFC3339)
}

// isGone tells that what a pod runs cannot be read any more.
func isGone(pod *model.ObservedPod) bool {
	return pod.Files == (model.Fingerprint{}) || pod.Template == (model.Fingerprint{})
}
