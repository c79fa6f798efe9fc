package plainauth

import (
	"bytes"
	"slices"
	"strings"
)

// A line of each users file, and of each list of certificates, may be its marker. Its password, or the key of its
// certificate, is new with each state of the file, and nobody has it but who wrote the file: a broker that lets the
// marker in has read that state, with all its lines.

// Marker is the line that marks a state of a file: an Entry, or a UserCertificate.
type Marker interface{ line() string }

// MarkerName is the name of the marker of a part of the users file; 0 is the first one. ListenerPrincipalBuilder lets
// nobody of that name send a request, as its organization is that of the cluster's own certificates; no KafkaUser may
// have it, and no ACL names it. To a class of before Castellan knew of markers it is a user like others.
func MarkerName(part int) string { return PartName(markerName, part) + markerOf }

// ListMarker is the name of the marker of every list of certificates. It is one that a line may have, and that the
// class lets in: only an answer to a request shows that a certificate is taken, and the class would refuse a name like
// MarkerName as it refuses what is not in the list. So it can do what everybody can who has a certificate, as by ACLs
// of User:* or without an authorizer. No KafkaUser may have it, and no other ACL should name it.
const ListMarker = "castellan-marker"

const (
	markerName = "CN=castellan-users-file"
	markerOf   = ",O=castellan"
)

// IsMarker tells whether a name is that of a marker.
func IsMarker(name string) bool {
	return name == ListMarker || strings.HasPrefix(name, markerName) && strings.HasSuffix(name, markerOf)
}

// Marked is a file with the marker in place of any other.
func Marked(file []byte, marker Marker) []byte {
	return slices.Concat(Unmarked(file), []byte(marker.line()))
}

// Unmarked is a file without markers.
func Unmarked(file []byte) []byte {
	if !bytes.Contains(file, []byte(markerStart)) && !bytes.Contains(file, []byte(listMarkerStart)) {
		return file
	}
	var rest strings.Builder
	for line := range strings.Lines(string(file)) {
		if !marks(line) {
			rest.WriteString(line)
		}
	}
	return []byte(rest.String())
}

var markerStart = encodeName(markerName)

const listMarkerStart = ListMarker + ":"

// marks tells whether a line is a marker. A line of the users file has one field more than one of a list.
func marks(line string) bool {
	return strings.HasPrefix(line, markerStart) ||
		strings.HasPrefix(line, listMarkerStart) && strings.Count(line, ":") == 2
}

// Bears tells whether a file has a marker in it.
func Bears(file []byte, marker Marker) bool {
	line := marker.line()
	return marks(line) && bytes.Contains(file, []byte("\n"+line))
}
