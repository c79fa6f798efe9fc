package pki

import "strings"

// Principal returns the principal that Kafka gives to whoever presents the certificate, with the default
// ssl.principal.mapping.rules: "User:" and the subject as Java's X500Principal.getName() prints it (RFC 2253, the last
// attribute first), for example "User:CN=kafka-node,O=castellan". That Java 17 prints certificates issued by this
// package so, and escapes as javaEscape does, was seen with all subjects of the test's table.
//
// A principal that holds an escaped semicolon cannot stand in super.users, whose separator that is.
func (r Request) Principal() string {
	principal := "User:CN=" + javaEscape(r.CommonName)
	if r.Organization != "" {
		principal += ",O=" + javaEscape(r.Organization)
	}
	return principal
}

// javaEscape goes beyond RFC 2253 where Java does: '=' and '#' are escaped anywhere in a value, and so is every space
// at its beginning and end, not only the outermost. Letters outside ASCII stay as they are.
func javaEscape(value string) string {
	core := strings.Trim(value, " ")
	leading := strings.Index(value, core)
	trailing := len(value) - leading - len(core)
	var escaped strings.Builder
	escaped.WriteString(strings.Repeat(`\ `, leading))
	for i := range len(core) {
		if strings.IndexByte(`,=+<>#;"\`, core[i]) >= 0 {
			escaped.WriteByte('\\')
		}
		escaped.WriteByte(core[i])
	}
	escaped.WriteString(strings.Repeat(`\ `, trailing))
	return escaped.String()
}
