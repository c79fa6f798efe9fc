package plan

import "github.com/castellan-dev/castellan/internal/model"

// reason is one answer to "why should this node be restarted". It looks at nothing but the node; whether the restart may
// happen now is the predicates' matter.
type reason struct {
	name     string
	sentence string // for the documentation
	holds    func(n *node) (bool, string)
}

// reasons in the order in which they are told.
var reasons = []reason{
	{"filesChanged", "The node's configuration files differ from what its pod runs, in something that the user asked for.", filesChanged},
	{"templateChanged", "The pod template of its pool differs from what its pod runs, in something that the user asked for.", templateChanged},
	{"revisionGone", "The revision that its pod runs exists no more, so nobody can tell whether it is current.", revisionGone},
	{"podMissing", "The node has no pod, and the template that one would be made from is neither the wanted one nor known to work. The wanted one is staged; nothing is deleted.", podMissing},
}

func filesChanged(n *node) (bool, string) {
	if n.pod == nil || n.pod.Deleting || !n.known || isGone(n.pod) {
		return false, ""
	}
	return n.pod.Files.User != n.wanted.User, "configuration changed"
}

func templateChanged(n *node) (bool, string) {
	if n.pod == nil || n.pod.Deleting || !n.rendered || isGone(n.pod) {
		return false, ""
	}
	return n.pod.Template.User != n.template.User, "pod template changed"
}

func revisionGone(n *node) (bool, string) {
	return n.pod != nil && !n.pod.Deleting && isGone(n.pod), "the revision that it runs is gone"
}

// podMissing leaves a pod that merely died to come back on what it last ran. Only a template can keep a pod from being
// made at all (a quota, an admission rule), so only a template that works nowhere is replaced before it has made a pod.
func podMissing(n *node) (bool, string) {
	differs := n.rendered && n.set.Template.User != n.template.User
	return n.made && n.pod == nil && differs && !n.makeable, "no pod, and the pod template changed"
}

// isGone tells that what a pod runs cannot be read any more.
func isGone(pod *model.ObservedPod) bool {
	return pod.Files == (model.Fingerprint{}) || pod.Template == (model.Fingerprint{})
}

// Rule is a named reason or predicate, for documentation and status.
type Rule struct {
	Name     string
	Sentence string
}

// Reasons lists why a node is restarted.
func Reasons() []Rule {
	rules := make([]Rule, 0, len(reasons))
	for _, r := range reasons {
		rules = append(rules, Rule{r.name, r.sentence})
	}
	return rules
}

// Predicates lists what has to be true before a node is restarted.
func Predicates() []Rule {
	rules := make([]Rule, 0, len(predicates))
	for _, p := range predicates {
		rules = append(rules, Rule{p.name, p.sentence})
	}
	return rules
}
