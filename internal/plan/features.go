package plan

import "fmt"

func metadataAsked(v *view, _ *node) (bool, string) {
	s := v.kafka.snapshot
	if s == nil || v.c.MetadataVersion == 0 || v.c.MetadataVersion == s.MetadataVersion {
		return false, ""
	}
	return true, fmt.Sprintf("metadata.version is %d and %d is asked for", s.MetadataVersion, v.c.MetadataVersion)
}

// allOnVersion: once metadata.version is raised, a node of an older version could not come back.
func allOnVersion(v *view, _ *act, _ *batch) (bool, string) {
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
