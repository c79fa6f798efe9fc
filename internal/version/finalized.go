package version

import (
	"fmt"
	"maps"
	"slices"

	"github.com/castellan-dev/castellan/internal/verdict"
)

// ValidateFinalized holds a version against the features that the cluster has finalized: by their names, the levels as
// the status or a view of Kafka has them.
func ValidateFinalized[level int16 | int32](features map[string]level, v Version) verdict.List {
	newest := Catalogue[len(Catalogue)-1] // it knows the names of the older levels too
	cure := "upgrade the operator to one that has a version which can"
	if suitable := NamesWhere(func(w Version) bool { return supportsAll(w, features) }); suitable != "" {
		cure = "use one of: " + suitable
	}
	var faults verdict.List
	for _, feature := range slices.Sorted(maps.Keys(features)) {
		level := int16(features[feature])
		if v.Supports(feature, level) {
			continue
		}
		name, first := fmt.Sprint(level), ""
		if feature == MetadataVersion {
			name = newest.MetadataName(level)
			if latest, _ := v.MetadataLevel(AutoMetadata); newest.Supports(feature, level) && newest.CanLower(level, latest) {
				first = fmt.Sprintf("set spec.metadataVersion to %s before the version, or ", newest.MetadataName(latest))
			}
		}
		faults = append(
			faults,
			verdict.Stalled(
				verdict.ReasonInvalid,
				"spec.version",
				"Kafka %s cannot run with %s %s, which this cluster has finalized; %s%s",
				v.Kafka,
				feature,
				name,
				first,
				cure,
			),
		)
	}
	return faults
}

func supportsAll[level int16 | int32](v Version, features map[string]level) bool {
	for feature, level := range features {
		if !v.Supports(feature, int16(level)) {
			return false
		}
	}
	return true
}
