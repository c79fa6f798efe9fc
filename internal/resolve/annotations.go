package resolve

import (
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/castellan-dev/castellan/api/v1alpha1"
	"github.com/castellan-dev/castellan/internal/model"
	"github.com/castellan-dev/castellan/internal/verdict"
)

// ownAnnotations are those of a KafkaCluster that mean something. Another one with the operator's prefix is a typing
// error: a pause that is not understood would be worse than one that is refused.
var ownAnnotations = []string{
	v1alpha1.AnnotationPause, v1alpha1.AnnotationRestart,
	v1alpha1.AnnotationReplaceAuthority, v1alpha1.AnnotationHoldAuthority, v1alpha1.AnnotationApproveBalance,
}

const annotationPrefix = "kafka.castellan.dev/"

func annotationField(key string) string { return "metadata.annotations[" + key + "]" }

// validateAnnotations checks what people ask for beside the spec.
func validateAnnotations(annotations map[string]string) verdict.List {
	var faults verdict.List
	for _, key := range slices.Sorted(maps.Keys(annotations)) {
		if strings.HasPrefix(key, annotationPrefix) && !slices.Contains(ownAnnotations, key) {
			faults.Refuse(
				annotationField(key),
				"%s",
				"the operator knows no such annotation; use "+strings.Join(ownAnnotations, " or ")+", or remove it",
			)
		}
	}
	for _, held := range []struct{ annotation, meanwhile string }{
		{v1alpha1.AnnotationPause, "the cluster is paused"},
		{v1alpha1.AnnotationHoldAuthority, "no other authority signs"},
	} {
		if _, misspelt := v1alpha1.Holds(annotations, held.annotation); misspelt {
			faults.Refuse(
				annotationField(held.annotation),
				"%q is neither true nor false; until it is one of them, or removed, "+held.meanwhile,
				annotations[held.annotation],
			)
		}
	}
	return faults
}

// restarts reads the annotation that asks for restarts: "<time>" for all, or "<pool or node id>=<time>" separated by
// commas. It sets RestartBefore of the nodes that are meant, and finds what names nobody.
func restarts(c *model.Cluster, annotations map[string]string) verdict.List {
	text, set := annotations[v1alpha1.AnnotationRestart]
	if !set || text == "" {
		return nil
	}
	var faults verdict.List
	refuse := func(format string, args ...any) {
		faults.Refuse(annotationField(v1alpha1.AnnotationRestart), format, args...)
	}
	for entry := range strings.SplitSeq(text, ",") {
		target, moment, found := strings.Cut(strings.TrimSpace(entry), "=")
		if !found {
			target, moment = "", target
		}
		at, err := time.Parse(time.RFC3339, moment)
		if err != nil {
			refuse(
				"%q is no time; write one such as 2026-01-31T12:00:00Z, with a pool or a node id and = before it for less than "+
					"the whole cluster",
				moment,
			)
			continue
		}
		if asked := askRestart(c, target, at); !asked {
			refuse(
				"%q is neither a pool nor a node id of this cluster; its pools are %s",
				target,
				strings.Join(poolNames(c), ", "),
			)
		}
	}
	return faults
}

// askRestart asks for the restart of all nodes, of a pool, or of one node, and tells whether there is any such.
func askRestart(c *model.Cluster, target string, at time.Time) bool {
	found := false
	for i := range c.Nodes {
		n := &c.Nodes[i]
		if target != "" && target != n.Pool && target != strconv.Itoa(int(n.ID)) {
			continue
		}
		found = true
		if at.After(n.RestartBefore) {
			n.RestartBefore = at
		}
	}
	return found || c.Pool(target) != nil
}

func poolNames(c *model.Cluster) []string {
	names := make([]string, 0, len(c.Pools))
	for _, p := range c.Pools {
		names = append(names, p.Name)
	}
	return names
}
