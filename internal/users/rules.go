package users

import (
	"fmt"
	"net/netip"
	"regexp"
	"strings"

	"github.com/castellan-dev/castellan/api/v1alpha1"
	"github.com/castellan-dev/castellan/internal/verdict"
)

// anything is the name of all resources and of all hosts.
const anything = "*"

// hostText writes an address as brokers print that of a client (java.net.InetAddress.getHostAddress), because the
// authorizer compares the two as text: eight groups, none of them shortened away.
func hostText(host string) string {
	address, err := netip.ParseAddr(host)
	if err != nil {
		return host // "*"; Misfits refuses everything else
	}
	address = address.Unmap() // as Java does
	if address.Is4() {
		return address.String()
	}
	bytes, groups := address.As16(), make([]string, 8)
	for i := range groups {
		groups[i] = fmt.Sprintf("%x", uint16(bytes[2*i])<<8|uint16(bytes[2*i+1]))
	}
	return strings.Join(groups, ":")
}

// topicCharacters are those that Kafka takes in the name of a topic (org.apache.kafka.common.internals.Topic).
var topicCharacters = regexp.MustCompile(`^[a-zA-Z0-9._-]+$`)

// Misfits refuses rules that Kafka takes and that match nobody and nothing: a Deny among them would deny nobody. The
// API server refuses some of them; a stored object may be older.
func Misfits(rules []v1alpha1.ACLRule) []verdict.Verdict {
	var faults verdict.List
	for i, rule := range rules {
		field := fmt.Sprintf("spec.acls[%d]", i)
		name, pattern := rule.Resource.Name, rule.Resource.Pattern
		switch isTopic := rule.Resource.Type == v1alpha1.ResourceTopic; {
		case pattern == v1alpha1.PatternPrefixed && name == anything:
			faults.Add(ReasonInvalidACL, field+".resource.pattern",
				"%s Prefixed with the name * are those whose names begin with an asterisk; for all of them use Literal",
				rule.Resource.Type)
		case !isTopic || name == anything:
		case !topicCharacters.MatchString(name):
			faults.Add(ReasonInvalidACL, field+".resource.name", "no topic can be called %q, so that the rule would match "+
				"none; use letters, digits, dots, underscores and dashes%s", name, prefixMeant(name))
		case pattern != v1alpha1.PatternPrefixed && (name == "." || name == ".."):
			faults.Add(ReasonInvalidACL, field+".resource.name",
				"no topic can be called %q, so that the rule would match none; correct it", name)
		}
		address, err := netip.ParseAddr(rule.Host)
		switch {
		case rule.Host == "" || rule.Host == anything:
		case err != nil || address.Zone() != "":
			faults.Add(ReasonInvalidACL, field+".host",
				"%q is no address of a client, as Kafka knows neither names nor networks; write one IP address, or * for any",
				rule.Host)
		case address.Is6() && address.IsLinkLocalUnicast():
			faults.Add(ReasonInvalidACL, field+".host", "brokers print a link-local address with the name of their interface, "+
				"so that %s would match no client; write another address of the client, or * for any", rule.Host)
		}
	}
	return faults
}

// prefixMeant is what somebody probably meant who ends a name with an asterisk.
func prefixMeant(name string) string {
	if prefix, ok := strings.CutSuffix(name, "*"); ok && topicCharacters.MatchString(prefix) {
		return fmt.Sprintf(", or pattern Prefixed with the name %q", prefix)
	}
	return ""
}
