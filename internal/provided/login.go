package provided

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/castellan-dev/castellan/api/v1alpha1"
	"github.com/castellan-dev/castellan/internal/model"
	"github.com/castellan-dev/castellan/internal/verdict"
)

// What a Secret for a custom mechanism may hold: those of the 16 listeners that a cluster may have fit into one Secret.
const (
	maxLogin      = 60 << 10 // bytes
	maxLoginEntry = 200      // characters of a name
)

// The variables of a line of JAAS that stand for what differs among brokers: the host that a broker advertises at the
// listener, and its node id.
const (
	HostVariable = "{host}"
	NodeVariable = "{nodeId}"
)

// DiffersByNode tells whether each broker has a line of JAAS of its own.
func DiffersByNode(line []byte) bool {
	return bytes.Contains(line, []byte(HostVariable)) || bytes.Contains(line, []byte(NodeVariable))
}

// LineOf is the line of JAAS of one broker.
func LineOf(line []byte, node int32, host string) []byte {
	return []byte(strings.NewReplacer(HostVariable, host, NodeVariable, fmt.Sprint(node)).Replace(string(line)))
}

// LoginField is the field that names the Secret of a listener's custom mechanism.
func LoginField(listener string) string {
	return model.ListenerField(listener, "authentication.custom.secret.name")
}

// Login is what brokers read for the custom mechanism of a listener, by entry, or why they cannot. Nothing of the
// content is in what is told of it.
func (s Secrets) Login(listener string, custom *v1alpha1.ListenerCustom) (map[string][]byte, *verdict.Verdict) {
	field, name := LoginField(listener), custom.Secret.Name
	data, fault := s.entries(Ref{name, v1alpha1.UsePlugin}, field, ReasonLogin, "the line of JAAS in "+model.JaasEntry)
	if fault != nil {
		return nil, fault
	}
	wrong := func(format string, args ...any) (map[string][]byte, *verdict.Verdict) {
		fault := verdict.Stalled(ReasonLogin, field, format, args...)
		return nil, &fault
	}
	line, exists := data[model.JaasEntry]
	if !exists {
		return wrong("Secret %q has no entry %s; put the line of JAAS there by which brokers know the mechanism", name,
			model.JaasEntry)
	}
	if err := checkJaas(string(line)); err != nil {
		return wrong("Secret %q: %s: %v", name, model.JaasEntry, err)
	}
	if conf, has := data[model.KerberosEntry]; has && (len(conf) == 0 || !utf8.Valid(conf)) {
		return wrong("Secret %q: %s is empty, or no text; put the configuration of Kerberos there, or remove the entry", name,
			model.KerberosEntry)
	}
	size := 0
	for _, entry := range slices.Sorted(maps.Keys(data)) {
		if size += len(data[entry]); len(entry) > maxLoginEntry {
			return wrong("Secret %q: the name of an entry is longer than %d characters; shorten it", name, maxLoginEntry)
		}
	}
	if size > maxLogin {
		return wrong("Secret %q holds %d bytes, and there is room for %d; leave out what the mechanism does not need", name,
			size, maxLogin)
	}
	return data, nil
}
