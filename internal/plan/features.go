package plan

import (
	"fmt"

	"github.com/castellan-dev/castellan/internal/version"
)

func metadataAsked(v *view, _ *node) (bool, string) {
	s := v.kafka.snapshot
	if s == nil || v.c.MetadataVersion == 0 || v.c.MetadataVersion == s.MetadataVersion {
		return false, ""
	}
	return true, fmt.Sprintf("metadata.version is %d and %d is asked for", s.MetadataVersion, v.c.MetadataVersion)
}

// allOnVersion: once metadata.version is raised, a node of an older version could not come back.
func allOnVersion(v *view, _ *disruption, _ *round) (bool, string) {
	for _, n := range v.nodes {
		switch {
		case n.gone:
		case n.leaving:
			return false, n.name() + " is still to leave"
		case v.unready(n) != "":
			return false, n.name() + " " + v.unready(n)
		case !n.runsWanted():
			return false, n.name() + " does not run what is asked for"
		}
	}
	return true, ""
}

// knowsFeatures asks what Kafka shows now: a version is accepted by the status, which may be older than a metadata.version
// that somebody has just raised. A node that runs the version already is not told that it cannot.
func knowsFeatures(v *view, d *disruption, _ *round) (bool, string) {
	asked, known := version.Find(v.c.Version)
	if !known || v.kafka.snapshot == nil || d.node.pod != nil && d.node.pod.Version == v.c.Version {
		return true, ""
	}
	if faults := version.ValidateFinalized(v.kafka.snapshot.Features, asked); len(faults) > 0 {
		return false, faults[0].Sentence()
	}
	return true, ""
}

func fieldOfVersion(*view, *disruption) string { return "spec.version" }
