package plan

import (
	"fmt"
	"strings"
	"time"

	"github.com/castellan-dev/castellan/internal/model"
)

// reason is one rule about why something should be disturbed. The predicates decide whether that may happen now.
type reason struct {
	name     string
	after    string // what the user did or what happened, for the documentation
	sentence string // what holds then, for the documentation
	leads    Kind   // the disruption that it asks for
	holds    func(v *view, n *node) (bool, string)
}

// reasons in the order in which they are told.
var reasons = []reason{
	{
		name: "filesChanged", leads: Restart, holds: filesChanged,
		after: "a key of `spec.config` or of a pool's `config` that Kafka reads only at its start, `jvm.heap`, " +
			"`roles`, a listener added, removed or changed, `spec.tieredStorage`",
		sentence: "The node's configuration files differ from what its pod runs, in something that the user asked " +
			"for.",
	},
	{
		name: "templateChanged", leads: Restart, holds: templateChanged,
		after: "`spec.version`; `spec.plugins`; `resources`, `podTemplate`, `roles` or `storage.volumes` of a pool",
		sentence: "The pod template of its pool differs from what its pod runs, in something that the user asked " +
			"for: the version of Kafka, plug-ins, resources, roles, the podTemplate.",
	},
	{
		name: "templateEdited", leads: Restart, holds: templateEdited,
		after: "a pod made while its StatefulSet was edited by hand, once the StatefulSet is put back",
		sentence: "The template that its pod was made from is not the one that it names: somebody had edited the " +
			"StatefulSet.",
	},
	{
		name: "revisionGone", leads: Restart, holds: revisionGone,
		after: "the ConfigMap of a revision deleted by hand",
		sentence: "The ConfigMap of the revision that the pod runs is gone, so nobody can tell whether the pod is " +
			"current. A node that leaves and has no files to come back on is left as it is.",
	},
	{
		name: "podMissing", leads: Restart, holds: podMissing,
		after: "a `podTemplate` that no pod could be made from, replaced by another",
		sentence: "The node has no pod, and the staged pod template is neither the wanted one nor known to work. " +
			"The wanted one is staged; nothing is deleted.",
	},
	{
		name: "restartAsked", leads: Restart, holds: restartAsked,
		after:    "the annotation `kafka.castellan.dev/restart` on the KafkaCluster",
		sentence: "The annotation kafka.castellan.dev/restart asks for it.",
	},
	{
		name: "identityEnds", leads: Restart, holds: identityEnds,
		after: "nothing at all for years: the certificate with which the node started nears its end",
		sentence: "The certificate of the node for CONTROLLER and REPLICATION, as its process has read it, ends within " +
			"half a year. A new one is in its Secret, and Kafka reads it only when it starts.",
	},
	{
		name: "diskGoes", leads: Restart, holds: diskGoes,
		after: "the annotation `kafka.castellan.dev/replace` on a claim that is being deleted",
		sentence: "A claim of the node is being deleted, and the annotation kafka.castellan.dev/replace on it permits an " +
			"empty disk in its place.",
	},
	{
		name: "replaceAsked", leads: ReplaceDisk, holds: replaceAsked,
		after: "the annotation `kafka.castellan.dev/replace` on a claim",
		sentence: "The annotation kafka.castellan.dev/replace on a claim of the node permits an empty disk in its " +
			"place.",
	},
	{
		name: "diskChanged", leads: RemoveVoter, holds: diskChanged,
		after: "the disk of a controller lost or emptied",
		sentence: "A voter of the metadata quorum came back with another disk: the entry of the lost one is removed " +
			"first.",
	},
	{
		name: "notAController", leads: RemoveVoter, holds: notAController,
		after:    "`replicas` of a pool of controllers lowered, the role Controller taken from it, the pool removed",
		sentence: "A voter of the metadata quorum is no longer asked for as a controller.",
	},
	{
		name: "notAVoter", leads: AddVoter, holds: notAVoter,
		after:    "`replicas` of a pool of controllers raised, the role Controller given to one, a pool added",
		sentence: "A node that is asked for as a controller runs, and is no voter of the metadata quorum.",
	},
	{
		name: "notAskedFor", leads: ShrinkPool, holds: notAskedFor,
		after:    "`replicas` of a pool lowered, a pool removed",
		sentence: "The spec asks for fewer nodes, or for none of this pool.",
	},
	{
		name: "poolGone", leads: RemovePool, holds: poolGone,
		after:    "a pool removed, once its nodes are gone",
		sentence: "The spec has no such pool, and its StatefulSet has no nodes any more.",
	},
	{
		name: "brokerGone", leads: Unregister, holds: brokerGone,
		after:    "a broker gone for good",
		sentence: "Kafka lists a broker of this cluster that has no pod and never will.",
	},
	{
		name: "claimsUnwanted", leads: DeleteClaims, holds: claimsUnwanted,
		after: "a node gone for good, of a pool with `storage.retention.whenScaled: Delete`",
		sentence: "A node is gone, and storage.retention.whenScaled of its pool said Delete while the pool had " +
			"it: its claims bear the annotation kafka.castellan.dev/when-scaled.",
	},
	{
		name: "metadataAsked", leads: FinalizeVersion, holds: metadataAsked,
		after:    "`spec.metadataVersion`",
		sentence: "spec.metadataVersion differs from the metadata.version that Kafka has finalized.",
	},
	{
		name: "movesDue", leads: BeginMoves, holds: movesDue,
		after: "`replicas` of a pool, a pool added or removed; with `spec.balancing.mode` Continuous also nothing at all: " +
			"data grows unevenly",
		sentence: "A broker leaves and holds replicas, or was added and has not got its share, or brokers are to be evened " +
			"out continuously, and spec.balancing permits it.",
	},
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
	if n.pod.Template.User == n.template.User || n.pod.Edited != "" {
		return false, ""
	}
	if n.pod.Version != "" && n.pod.Version != v.c.Version {
		return true, fmt.Sprintf("version %s -> %s", n.pod.Version, v.c.Version)
	}
	return true, "pod template changed"
}

func templateEdited(_ *view, n *node) (bool, string) {
	if n.pod == nil || n.pod.Deleting || !n.rendered {
		return false, ""
	}
	return n.pod.Edited != "", n.pod.Edited
}

// revisionGone does not hold of a node that leaves and has no files to come back on, such as one that somebody made who
// scaled the StatefulSet by hand: its next pod would be no better.
func revisionGone(_ *view, n *node) (bool, string) {
	if n.leaving && !n.isStaged {
		return false, ""
	}
	return n.pod != nil && !n.pod.Deleting && isGone(n.pod), "the revision that it runs is gone"
}

// podMissing asks for another template where the staged one may be why there is no pod: a quota or an admission rule
// can refuse it. It does not hold while the staged template works on another node of the pool: a pod that merely died
// comes back on what it last ran.
func podMissing(_ *view, n *node) (bool, string) {
	differs := n.rendered && n.set.Template.User != n.template.User
	return n.made && n.pod == nil && differs && !n.templateWorks, "no pod, and the pod template changed"
}

// restartAsked ignores a time in the future: a pod restarted before that time would be too old once it has come.
func restartAsked(v *view, n *node) (bool, string) {
	asked := n.RestartBefore
	if n.pod == nil || n.pod.Deleting || asked.IsZero() || asked.After(v.now) {
		return false, ""
	}
	return n.pod.CreatedAt.Before(asked), "asked for at " + asked.UTC().Format(time.RFC3339)
}

// identityLead is how long before its end a certificate that only a restart replaces is a reason for one.
const identityLead = 182 * 24 * time.Hour

func identityEnds(v *view, n *node) (bool, string) {
	if n.pod == nil || n.pod.Deleting || n.identityEnds.IsZero() {
		return false, ""
	}
	return n.identityEnds.Sub(v.now) < identityLead,
		"its certificate ends at " + n.identityEnds.UTC().Format(time.RFC3339)
}

// isGone tells whether the ConfigMap of the revision that a pod runs is gone.
func isGone(pod *model.ObservedPod) bool {
	return pod.Files == (model.Fingerprint{}) || pod.Template == (model.Fingerprint{})
}
