package plainauth

import (
	"bytes"
	"slices"
	"strings"
)

// A line of each users file may be its marker. Its password is new with each state of the file, and nobody has it but
// who wrote the file: a broker that lets the marker in has read that state, with all its lines.

// MarkerName is the name of the marker of a part of the users file; 0 is the first one. ListenerPrincipalBuilder lets
// nobody of that name send a request, as its organization is that of the cluster's own certificates; no KafkaUser may
// have it, and no ACL names it. To a class of before Castellan knew of markers it is a user like others.
func MarkerName(part int) string { return PartName(markerName, part) + markerOf }

const (
	markerName = "CN=castellan-users-file"
	markerOf   = ",O=castellan"
)

// IsMarker tells whether a name is that of a marker.
func IsMarker(name string) bool {
	return strings.HasPrefix(name, markerName) && strings.HasSuffix(name, markerOf)
}

// Marked is a file with the marker in place of any other.
func Marked(file []byte, marker Entry) []byte {
	return slices.Concat(Unmarked(file), []byte(marker.line()))
}

// Unmarked is a file without markers.
func Unmarked(file []byte) []byte {
	if !bytes.Contains(file, []byte(markerStart)) {
		return file
	}
	var rest strings.Builder
	for line := range strings.Lines(string(file)) {
		if !strings.HasPrefix(line, markerStart) {
			rest.WriteString(line)
		}
	}
	return []byte(rest.String())
}

var markerStart = encodeName(markerName)

// Bears tells whether a file has a marker in it.
func Bears(file []byte, marker Entry) bool {
	return marker.name != "" && bytes.Contains(file, []byte("\n"+marker.line()))
}
