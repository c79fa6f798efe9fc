package plainauth

import (
	"bytes"
	"slices"
	"strings"
)

// A line of the users file may be the marker. Its password is new with each state of the file, and nobody has it but
// who wrote the file: a broker that lets the marker in has read that state, with all its lines.

// MarkerName is the name of the marker. ListenerPrincipalBuilder lets nobody of that name send a request, as its
// organization is that of the cluster's own certificates; no KafkaUser may have it, and no ACL names it. To a class of
// before Castellan knew of markers it is a user like others.
const MarkerName = "CN=castellan-users-file,O=castellan"

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

var markerStart = encodeName(MarkerName) + ":"

// Bears tells whether a file has a marker in it.
func Bears(file []byte, marker Entry) bool {
	return marker.name != "" && bytes.Contains(file, []byte("\n"+marker.line()))
}
