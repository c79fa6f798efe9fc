package users

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/castellan-dev/castellan/api/v1alpha1"
	"github.com/castellan-dev/castellan/internal/claim"
	"github.com/castellan-dev/castellan/internal/kafka"
	"github.com/castellan-dev/castellan/internal/model"
	"github.com/castellan-dev/castellan/internal/verdict"
)

// Subject is the pair of fields of a grant that names what a role is about: one name, or all names that begin so.
type Subject int

// The subjects.
const (
	SubjectTopic Subject = iota + 1
	SubjectGroup
	SubjectTransactionalID
)

// Need is one kind of resource that a role has to do with, and its operations there.
type Need struct {
	Type v1alpha1.ResourceType
	// Of names the resources.
	Of Subject
	// Inner: not the resource of that name, but all whose names begin with it and a dash, as Kafka Streams calls what
	// belongs to an application.
	Inner      bool
	Operations []v1alpha1.Operation
}

// RoleRow is one role, and the row is all there is to say of it. No column may be empty.
type RoleRow struct {
	Name  v1alpha1.GrantRole
	Needs []Need
}

// Read, Write, Delete and Alter imply Describe, and AlterConfigs implies DescribeConfigs, in Kafka's authorizer. They
// are written out all the same, so that status.acls says all of it.
var (
	writes     = []v1alpha1.Operation{"Describe", "Write"}
	reads      = []v1alpha1.Operation{"Describe", "Read"}
	everything = []v1alpha1.Operation{"Alter", "AlterConfigs", "Create", "Delete", "Describe", "DescribeConfigs", "Read",
		"Write"}
	// Streams makes its internal topics with their configuration, and prunes repartition topics by DeleteRecords, which
	// takes Delete. It never alters their number of partitions, and nothing but its reset tool deletes them.
	internalTopics = []v1alpha1.Operation{"AlterConfigs", "Create", "Delete", "Describe", "DescribeConfigs", "Read",
		"Write"}
)

// Roles are all roles. The operations are those that the table "Operations and Resources on Protocols" of Kafka's
// documentation asks for in the requests of such a client. None needs IdempotentWrite on the Cluster: since Kafka 2.8,
// whoever may write to a topic may number its records (KIP-679).
var Roles = []RoleRow{
	{v1alpha1.RoleProducer, []Need{{Type: v1alpha1.ResourceTopic, Of: SubjectTopic, Operations: writes}}},
	// FindCoordinator asks for Describe of the transactional id, InitProducerId and all that follows for Write (KIP-98).
	{v1alpha1.RoleTransactionalProducer, []Need{
		{Type: v1alpha1.ResourceTopic, Of: SubjectTopic, Operations: writes},
		{Type: v1alpha1.ResourceTransactionalID, Of: SubjectTransactionalID, Operations: writes},
	}},
	// FindCoordinator and OffsetFetch ask for Describe of the group (KIP-163), all else for Read, with the classic
	// protocol and with that of KIP-848.
	{v1alpha1.RoleConsumer, []Need{
		{Type: v1alpha1.ResourceTopic, Of: SubjectTopic, Operations: reads},
		{Type: v1alpha1.ResourceGroup, Of: SubjectGroup, Operations: reads},
	}},
	// ShareGroupHeartbeat, ShareFetch and ShareAcknowledge ask for Read of the group, and the latter two for Read of the
	// topic (KIP-932).
	{v1alpha1.RoleShareConsumer, []Need{
		{Type: v1alpha1.ResourceTopic, Of: SubjectTopic, Operations: reads},
		{Type: v1alpha1.ResourceGroup, Of: SubjectGroup, Operations: reads},
	}},
	// The application.id is the group, and with a dash after it the beginning of internal topics and, for exactly_once_v2
	// (KIP-447), of transactional ids. With the protocol of KIP-1071, StreamsGroupHeartbeat asks for Read of the group,
	// and for Create of the internal topics, which the coordinator then makes.
	{v1alpha1.RoleStreams, []Need{
		{Type: v1alpha1.ResourceGroup, Of: SubjectGroup, Operations: reads},
		{Type: v1alpha1.ResourceTopic, Of: SubjectGroup, Inner: true, Operations: internalTopics},
		{Type: v1alpha1.ResourceTransactionalID, Of: SubjectGroup, Inner: true, Operations: writes},
	}},
	{v1alpha1.RoleOwner, []Need{{Type: v1alpha1.ResourceTopic, Of: SubjectTopic, Operations: everything}}},
}

// RoleOf returns the row of a role; false = there is no such role.
func RoleOf(name v1alpha1.GrantRole) (RoleRow, bool) {
	i := slices.IndexFunc(Roles, func(r RoleRow) bool { return r.Name == name })
	if i < 0 {
		return RoleRow{}, false
	}
	return Roles[i], true
}

// named is what one pair of fields of a grant says.
type named struct {
	field   string
	name    string
	pattern v1alpha1.PatternType
}

func (s Subject) of(g v1alpha1.Grant) named {
	one, prefix := named{"topic", g.Topic, v1alpha1.PatternLiteral}, g.TopicPrefix
	switch s {
	case SubjectGroup:
		one, prefix = named{"group", g.Group, v1alpha1.PatternLiteral}, g.GroupPrefix
	case SubjectTransactionalID:
		one, prefix = named{"transactionalId", g.TransactionalID, v1alpha1.PatternLiteral}, g.TransactionalIDPrefix
	}
	if prefix != "" {
		return named{one.field + "Prefix", prefix, v1alpha1.PatternPrefixed}
	}
	return one
}

// resource is what a need is about; false = the grant does not name it.
func (n Need) resource(g v1alpha1.Grant) (v1alpha1.ACLResource, bool) {
	subject := n.Of.of(g)
	r := v1alpha1.ACLResource{Type: n.Type, Name: subject.name, Pattern: subject.pattern}
	if n.Inner && r.Pattern == v1alpha1.PatternLiteral {
		r.Name, r.Pattern = subject.name+"-", v1alpha1.PatternPrefixed
	}
	return r, subject.name != ""
}

// RulesOf are the rules that a grant comes to. One that lacks a name which its role needs, and the API server refuses,
// comes to none.
func RulesOf(g v1alpha1.Grant) (rules []v1alpha1.ACLRule) {
	role, _ := RoleOf(g.Role)
	for _, n := range role.Needs {
		resource, ok := n.resource(g)
		if !ok {
			return nil
		}
		rules = append(rules, v1alpha1.ACLRule{Resource: resource, Operations: n.Operations})
	}
	return rules
}

// granted are the rules of a user's grants. For a user of another namespace than the cluster's, a grant that reaches
// beyond it is left out, and a verdict for each of its fields that does says why.
func granted(u *v1alpha1.KafkaUser, host model.Host) (rules []v1alpha1.ACLRule, faults []verdict.Verdict) {
	for i, g := range u.Spec.Grants {
		var beyond []verdict.Verdict
		for _, s := range []Subject{SubjectTopic, SubjectGroup, SubjectTransactionalID} {
			n := s.of(g)
			if n.name == "" || u.Namespace == host.Namespace || claim.MayName(host.Access, u.Namespace, n.name) {
				continue
			}
			beyond = append(beyond, verdict.Stalled(ReasonBeyond, fmt.Sprintf("spec.grants[%d].%s", i, n.field),
				"%s; choose such a name, or ask for another one in spec.access.names of the KafkaCluster",
				beginWith("what grants of namespace %q may name", u, host, n.name)))
		}
		if faults = append(faults, beyond...); len(beyond) == 0 {
			rules = append(rules, RulesOf(g)...)
		}
	}
	return rules, faults
}

// AsksForACLs tells whether a user asks for any ACL.
func AsksForACLs(u *v1alpha1.KafkaUser) bool { return len(u.Spec.ACLs)+len(u.Spec.Grants) > 0 }

// Unfit refuses rules and grants of a user that match nobody and nothing.
func Unfit(u *v1alpha1.KafkaUser) []verdict.Verdict {
	return append(Misfits(u.Spec.ACLs), misfitGrants(u.Spec.Grants)...)
}

// misfitGrants refuses names that no topic can have. The API server refuses most of them; it may be told not to look.
func misfitGrants(grants []v1alpha1.Grant) []verdict.Verdict {
	var faults verdict.List
	for i, g := range grants {
		role, _ := RoleOf(g.Role)
		for _, n := range role.Needs {
			subject := n.Of.of(g)
			field := fmt.Sprintf("spec.grants[%d].%s", i, subject.field)
			prefixed := subject.pattern == v1alpha1.PatternPrefixed
			switch name := subject.name; {
			case name == "":
				faults.Add(ReasonInvalidACL, field, "role %s needs a name here; write one, or every name that begins so in %s",
					g.Role, subject.field+"Prefix")
			case name == anything && !prefixed && !n.Inner:
			case name == anything && prefixed:
				faults.Add(ReasonInvalidACL, field, "with * these are only names that begin with an asterisk; for all of them "+
					"use %s", strings.TrimSuffix(subject.field, "Prefix"))
			case n.Type != v1alpha1.ResourceTopic:
			case n.Inner && !topicCharacters.MatchString(name):
				faults.Add(ReasonInvalidACL, field, "the internal topics of a Streams application begin with its application.id, "+
					"and no topic begins with %q; use letters, digits, dots, underscores and dashes", name)
			case !topicCharacters.MatchString(name):
				faults.Add(ReasonInvalidACL, field, "no topic can be called %q, so that the grant would match none; use letters, "+
					"digits, dots, underscores and dashes%s", name, topicPrefixMeant(name))
			case !prefixed && !n.Inner && (name == "." || name == ".."):
				faults.Add(ReasonInvalidACL, field, "no topic can be called %q, so that the grant would match none; correct it",
					name)
			}
		}
	}
	return faults
}

// topicPrefixMeant is what somebody probably meant who ends a name with an asterisk.
func topicPrefixMeant(name string) string {
	if prefix, ok := strings.CutSuffix(name, anything); ok && topicCharacters.MatchString(prefix) {
		return fmt.Sprintf(", or topicPrefix: %s", prefix)
	}
	return ""
}

// maxACLLines is how many lines status.acls has at most.
const maxACLLines = 64

// ListedACLs says in words what ACLs come to, a line for each resource, permission and host.
func ListedACLs(acls []kafka.ACL) []string {
	var lines []string
	for _, same := range byResource(acls) {
		lines = append(lines, same[0].Permission+" "+strings.Join(operationsOf(same), ", ")+" on "+resourceOf(same[0])+
			hostOf(same[0]))
	}
	if len(lines) > maxACLLines {
		more := len(lines) - maxACLLines + 1
		lines = append(lines[:maxACLLines-1:maxACLLines-1], fmt.Sprintf("and %d more lines like these", more))
	}
	return lines
}

// byResource puts those together that differ in nothing but the operation.
func byResource(acls []kafka.ACL) (groups [][]kafka.ACL) {
	sorted := slices.SortedFunc(slices.Values(acls), func(a, b kafka.ACL) int {
		return cmp.Or(compareACLs(without(a), without(b)), cmp.Compare(a.Operation, b.Operation))
	})
	for i, a := range sorted {
		if i == 0 || without(sorted[i-1]) != without(a) {
			groups = append(groups, nil)
		}
		groups[len(groups)-1] = append(groups[len(groups)-1], a)
	}
	return groups
}

func without(a kafka.ACL) kafka.ACL {
	a.Operation = ""
	return a
}

func operationsOf(acls []kafka.ACL) (operations []string) {
	for _, a := range acls {
		operations = append(operations, a.Operation)
	}
	return operations
}

func resourceOf(a kafka.ACL) string {
	switch {
	case a.ResourceType == string(v1alpha1.ResourceCluster):
		return "the Cluster"
	case a.Pattern == string(v1alpha1.PatternPrefixed):
		return "every " + a.ResourceType + " that begins with " + a.ResourceName
	case a.ResourceName == anything:
		return "every " + a.ResourceType
	}
	return a.ResourceType + " " + a.ResourceName
}

func hostOf(a kafka.ACL) string {
	if a.Host == anything {
		return ""
	}
	return " from " + a.Host
}
