package users

import (
	"regexp"
	"slices"
	"strings"

	"github.com/castellan-dev/castellan/api/v1alpha1"
	"github.com/castellan-dev/castellan/internal/claim"
	"github.com/castellan-dev/castellan/internal/mechanism"
	"github.com/castellan-dev/castellan/internal/model"
	"github.com/castellan-dev/castellan/internal/plainauth"
	"github.com/castellan-dev/castellan/internal/verdict"
)

// anonymous is Kafka's name of clients that do not log in.
const anonymous = "ANONYMOUS"

// loginName is what a user may be called that logs in with a password: nothing that one of its files would have to
// escape.
var loginName = regexp.MustCompile(`^[A-Za-z0-9._@+-]+$`)

// Elsewhere tells whether a user has its credential from somebody else than the operator.
func Elsewhere(u *v1alpha1.KafkaUser) bool {
	return mechanism.Uses(u.Spec.Authentication.Mechanisms, mechanism.Nowhere)
}

// NotForUsers refuses principals that are no user's: those of the cluster's own certificates and of markers, super
// users, whom no ACL binds, and clients that do not log in. Where the credential comes from elsewhere, nothing else
// keeps a KafkaUser from naming one. nil = it may have its name.
func NotForUsers(u *v1alpha1.KafkaUser, host model.Host) *claim.Bar {
	name := Name(u)
	refuse := func(format string, args ...any) *claim.Bar {
		return &claim.Bar{Verdict: verdict.Stalled(ReasonPrincipal, "spec.name", format, args...)}
	}
	switch elsewhere := Elsewhere(u); {
	case isInternal(name, host):
		return refuse("%q is, or looks like, the name in a certificate of a cluster of the operator's own; choose another",
			name)
	case plainauth.IsMarker(name):
		return refuse("%q is the name by which the operator sees what a broker has read; choose another", name)
	case !elsewhere && !loginName.MatchString(name):
		return refuse("%q is no name to log in with by a password; use letters, digits and . _ @ + -, or set "+
			"spec.authentication.mechanisms to [External]", name)
	case !elsewhere:
		return nil
	case name == anonymous:
		return refuse("%s is the name of clients that do not log in; choose another", name)
	case slices.Contains(host.SuperUsers, name):
		return refuse("%q is a super user of KafkaCluster %s/%s, so that ACLs do not bind it; choose another name, or take "+
			"it out of spec.authorization of the KafkaCluster", name, host.Namespace, host.Name)
	case name == anything && u.Namespace != host.Namespace:
		return refuse("ACLs of * are everybody's, and can only be asked for in the namespace of KafkaCluster %s/%s; choose "+
			"another name", host.Namespace, host.Name)
	}
	return nil
}

// isInternal tells whether a distinguished name may be one that the operator puts into the certificates of nodes and
// into its own, however its attributes are ordered. Brokers of its own let nobody of that organization in at a listener
// of clients; elsewhere the organization may be somebody's.
func isInternal(name string, host model.Host) bool {
	organization, common := false, !host.External
	for attribute := range strings.SplitSeq(strings.ToLower(name), ",") {
		key, value, _ := strings.Cut(attribute, "=")
		switch value = strings.TrimSpace(value); strings.TrimSpace(key) {
		case "o":
			organization = organization || value == v1alpha1.ManagedBy
		case "cn":
			common = common || value == "kafka-node" || strings.HasPrefix(value, v1alpha1.ManagedBy+"-")
		}
	}
	return organization && common
}
