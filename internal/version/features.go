package version

import (
	"fmt"
	"slices"
	"strings"
)

// MetadataVersion is the feature that says which records Kafka's metadata log may hold (KIP-584, KIP-778).
const MetadataVersion = "metadata.version"

// AutoMetadata asks for the latest metadata.version that a version of Kafka knows.
const AutoMetadata = "Auto"

// feature is the range of levels that a version of Kafka can run with.
type feature struct{ lowest, highest int16 }

// metadataLevel is one level of metadata.version, such as 4.3-IV0.
type metadataLevel struct {
	name    string
	level   int16
	changed bool // what the metadata log holds, so that Kafka does not go back behind it
}

// MetadataLevel finds a level of metadata.version by its name: 4.3-IV0, or 4.3 for the latest of that release, or Auto.
func (v Version) MetadataLevel(name string) (level int16, known bool) {
	for _, m := range slices.Backward(v.levels) {
		if m.level > v.features[MetadataVersion].highest {
			continue
		}
		if name == AutoMetadata || m.name == name || strings.HasPrefix(m.name, name+"-") {
			return m.level, true
		}
	}
	return 0, false
}

// MetadataName is the name of a level; one that this version does not know is named by its number.
func (v Version) MetadataName(level int16) string {
	for _, m := range v.levels {
		if m.level == level {
			return m.name
		}
	}
	return fmt.Sprintf("level %d", level)
}

// MetadataNames lists the levels of this version for a message, the latest first.
func (v Version) MetadataNames() string {
	var names []string
	for _, m := range slices.Backward(v.levels) {
		if m.level <= v.features[MetadataVersion].highest {
			names = append(names, m.name)
		}
	}
	return strings.Join(names, ", ")
}

// CanLower tells whether Kafka lowers metadata.version from one level to another, which it does only while nothing can
// be lost (KIP-778).
func (v Version) CanLower(from, to int16) bool {
	return !slices.ContainsFunc(
		v.levels,
		func(m metadataLevel) bool { return m.changed && to < m.level && m.level <= from },
	)
}

// Supports tells whether this version of Kafka can run in a cluster that has finalized a level of a feature. Level 0 is
// that the feature is off.
func (v Version) Supports(name string, level int16) bool {
	known, found := v.features[name]
	if !found {
		return level == 0
	}
	return level == 0 && name != MetadataVersion || known.lowest <= level && level <= known.highest
}

// readFeature reads one line of a table: "feature <name> <lowest> <highest>" or "level <name> <level> [changed]".
func (v *Version) readFeature(line string) error {
	fields := strings.Fields(line)
	if len(fields) == 4 && fields[0] == "feature" {
		var f feature
		if _, err := fmt.Sscan(fields[2]+" "+fields[3], &f.lowest, &f.highest); err != nil {
			return err
		}
		v.features[fields[1]] = f
		return nil
	}
	if n := len(fields); fields[0] == "level" && (n == 3 || n == 4 && fields[3] == "changed") {
		m := metadataLevel{name: fields[1], changed: n == 4}
		if _, err := fmt.Sscan(fields[2], &m.level); err != nil {
			return err
		}
		v.levels = append(v.levels, m)
		return nil
	}
	return fmt.Errorf("%q is neither a feature nor a level", line)
}
