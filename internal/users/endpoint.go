package users

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/castellan-dev/castellan/api/v1alpha1"
	"github.com/castellan-dev/castellan/internal/mechanism"
	"github.com/castellan-dev/castellan/internal/model"
	"github.com/castellan-dev/castellan/internal/verdict"
)

// Endpoint is one listener as a certain user sees it.
type Endpoint struct {
	Listener  string
	Bootstrap string // empty = not known yet
	TLS       bool
	// NoLogin: the listener offers no SASL mechanism at all, but certificates or nothing.
	NoLogin  bool
	Internal bool
	// Mechanisms are those of the user that the listener offers, the strongest first.
	Mechanisms []v1alpha1.Mechanism
	// Addresses of the listener, by node id.
	Addresses map[int32]model.BrokerAddress
	// Trust is whom the user trusts at the listener; the zero value = the authority that signs for the whole cluster.
	Trust model.Trust
	// SaslName is the mechanism by which whoever has its credential from elsewhere logs in; empty = that is not known.
	SaslName string
}

// Endpoints lists the listeners that offer any of the mechanisms, the one to use by default first: internal ones before
// others, those that offer all before those that offer some, and then in the order of the spec. One whose address may
// not be known for long is left out until it is, as long as the others offer as many of the mechanisms.
func Endpoints(host model.Host, mechanisms []v1alpha1.Mechanism) []Endpoint {
	prompt := slices.DeleteFunc(slices.Clone(host.Listeners), func(l model.HostListener) bool { return l.Late })
	if offered(prompt, mechanisms) == offered(host.Listeners, mechanisms) {
		return endpointsOf(prompt, mechanisms)
	}
	return endpointsOf(host.Listeners, mechanisms)
}

// offered counts the mechanisms that any of the listeners offers.
func offered(listeners []model.HostListener, mechanisms []v1alpha1.Mechanism) int {
	count := 0
	for _, m := range mechanisms {
		if slices.ContainsFunc(listeners, func(l model.HostListener) bool { return offers(l, m) }) {
			count++
		}
	}
	return count
}

// offers tells whether a user of a mechanism is sent to a listener: to any, where it has its credential from elsewhere.
func offers(l model.HostListener, m v1alpha1.Mechanism) bool {
	row, known := mechanism.Of(m)
	return known && !row.Offered() || slices.Contains(l.Mechanisms, m)
}

func endpointsOf(listeners []model.HostListener, mechanisms []v1alpha1.Mechanism) []Endpoint {
	var endpoints []Endpoint
	for _, l := range listeners {
		e := Endpoint{Listener: l.Name, Bootstrap: l.Bootstrap, TLS: l.TLS, Internal: l.Inside, Addresses: l.Addresses,
			Trust: l.Trust, NoLogin: !mechanism.IsSasl(l.Mechanisms), SaslName: foreign(l)}
		for _, row := range mechanism.Rows {
			if slices.Contains(mechanisms, row.Name) && offers(l, row.Name) {
				e.Mechanisms = append(e.Mechanisms, row.Name)
			}
		}
		if len(e.Mechanisms) > 0 {
			endpoints = append(endpoints, e)
		}
	}
	rank := func(e Endpoint) int {
		r := 0
		if !e.Internal {
			r += 2
		}
		if len(e.Mechanisms) < len(mechanisms) {
			r++
		}
		return r
	}
	slices.SortStableFunc(endpoints, func(a, b Endpoint) int { return cmp.Compare(rank(a), rank(b)) })
	return endpoints
}

// foreign is by what whoever is not the operator's logs in at a listener, where that can only be its custom mechanism.
func foreign(l model.HostListener) string {
	if mechanism.Uses(l.Mechanisms, mechanism.IssuerKeys) {
		return ""
	}
	return l.SaslName
}

// Protocol is the value of security.protocol.
func (e Endpoint) Protocol() string {
	protocol := "PLAINTEXT"
	if e.TLS {
		protocol = "SSL"
	}
	if e.NoLogin || mechanism.Uses(e.Mechanisms, mechanism.CertificateFile) {
		return protocol
	}
	return "SASL_" + protocol
}

// For returns the endpoint at which logins by a mechanism are proven: the first that offers it.
func For(endpoints []Endpoint, m v1alpha1.Mechanism) (Endpoint, bool) {
	i := slices.IndexFunc(endpoints, func(e Endpoint) bool { return slices.Contains(e.Mechanisms, m) })
	if i < 0 {
		return Endpoint{}, false
	}
	return endpoints[i], true
}

const mechanismsField = "spec.authentication.mechanisms"

// NotOffered says which of a user's mechanisms no listener offers; nil = all are offered.
func NotOffered(host model.Host, mechanisms []v1alpha1.Mechanism) *verdict.Verdict {
	endpoints := Endpoints(host, mechanisms)
	var lacking []string
	for _, m := range mechanisms {
		if _, ok := For(endpoints, m); !ok {
			lacking = append(lacking, string(m))
		}
	}
	if len(lacking) == 0 {
		return nil
	}
	if host.External {
		return notOfferedOutside(host, lacking)
	}
	var offers []string
	for _, l := range host.Listeners {
		offer, ofUsers := "nobody logs in", slices.DeleteFunc(slices.Clone(l.Mechanisms), isForeign)
		switch {
		case len(ofUsers) > 0:
			offer = Join(ofUsers)
		case mechanism.Uses(l.Mechanisms, mechanism.Directory):
			offer = "users of others alone"
		case len(l.Mechanisms) > 0:
			offer = "tokens of an issuer alone"
		}
		offers = append(offers, fmt.Sprintf("%s (%s)", l.Name, offer))
	}
	fault := verdict.Stalled(ReasonMechanism, mechanismsField,
		"no listener of KafkaCluster %q offers %s; its listeners are %s; choose one of theirs, or add it to a listener",
		host.Name, strings.Join(lacking, ", "), strings.Join(offers, ", "))
	fault.Follows = true
	return &fault
}

// isForeign tells whether a mechanism is one that no KafkaUser has.
func isForeign(m v1alpha1.Mechanism) bool {
	row, known := mechanism.Of(m)
	return known && !row.IsUsers()
}

func notOfferedOutside(host model.Host, lacking []string) *verdict.Verdict {
	fault := verdict.Stalled(ReasonMechanism, "spec.clusterRef",
		"the operator reaches KafkaCluster %q at a listener without SASL, so that no user could log in there; "+
			"in spec.external of the KafkaCluster, name a listener with SASL", host.Name)
	if slices.ContainsFunc(host.Listeners, func(l model.HostListener) bool { return len(l.Mechanisms) > 0 }) {
		offered := mechanism.Names(func(row mechanism.Row) bool {
			return row.Offered() && row.Outside == mechanism.OutsideToo
		})
		fault = verdict.Stalled(ReasonMechanism, mechanismsField,
			"%s: KafkaCluster %q is external, and the operator has no access to the files in which its brokers keep "+
				"such passwords; use %s", strings.Join(lacking, ", "), host.Name, offered)
	}
	return &fault
}

// Refused says why nothing of a user may be touched in the cluster; nil = it may. scram: it has, or asks for, a
// credential of the operator's.
func Refused(host model.Host, name string, scram bool) *verdict.Verdict {
	if scram && host.NeedsForScram != "" {
		fault := verdict.Stalled(ReasonTooOld, "spec.clusterRef",
			"a user's SCRAM credentials need %s, and KafkaCluster %q is older; upgrade it, or delete this KafkaUser",
			host.NeedsForScram, host.Name)
		return &fault
	}
	if IsOperator(host, name) {
		fault := verdict.Stalled(ReasonOwn, "spec.name",
			"the operator itself logs in to KafkaCluster %q as user %q, and would lock itself out; "+
				"choose another name, or give the operator a user of its own", host.Name, name)
		return &fault
	}
	return nil
}

// IsOperator tells whether the operator itself logs in as the user.
func IsOperator(host model.Host, name string) bool { return host.External && name == host.Operator }

// Join lists mechanisms for a message.
func Join(mechanisms []v1alpha1.Mechanism) string {
	names := make([]string, len(mechanisms))
	for i, m := range mechanisms {
		names[i] = string(m)
	}
	return strings.Join(names, ", ")
}
