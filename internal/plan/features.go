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

// allOnVersion wants every node on the new version first: a node of an older one could not start after the rise.
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

// knowsFeatures compares with what Kafka shows now. The spec's version was accepted on the word of the status, and
// somebody may have raised metadata.version since. A node that runs the version already has shown that it can.
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
