package users

import (
	"strings"
	"testing"

	"github.com/castellan-dev/castellan/api/v1alpha1"
	"github.com/castellan-dev/castellan/internal/kafka"
)

func TestHostsAreWrittenAsBrokersPrintThem(t *testing.T) {
	for host, want := range map[string]string{ // java.net.InetAddress.getHostAddress, with which Kafka compares
		"":                      "*",
		"*":                     "*",
		"10.0.0.1":              "10.0.0.1",
		"2001:db8::1":           "2001:db8:0:0:0:0:0:1",
		"2001:DB8:0::0001":      "2001:db8:0:0:0:0:0:1",
		"2001:0db8:0:0:0:0:0:1": "2001:db8:0:0:0:0:0:1",
		"::":                    "0:0:0:0:0:0:0:0",
		"::1":                   "0:0:0:0:0:0:0:1",
		"::ffff:10.0.0.1":       "10.0.0.1", // Java makes an IPv4 address of it
		"64:ff9b::10.0.0.1":     "64:ff9b:0:0:0:0:a00:1",
	} {
		acls := ACLsOf("a", []v1alpha1.ACLRule{{Resource: v1alpha1.ACLResource{Type: v1alpha1.ResourceTopic, Name: "t"},
			Operations: []v1alpha1.Operation{"Read"}, Host: host}})
		if acls[0].Host != want {
			t.Errorf("%q becomes %q, want %q", host, acls[0].Host, want)
		}
	}
}

func TestTwoSpellingsOfOneHostAreOneACL(t *testing.T) {
	rule := func(host string) v1alpha1.ACLRule {
		return v1alpha1.ACLRule{Resource: v1alpha1.ACLResource{Type: v1alpha1.ResourceTopic, Name: "t"},
			Operations: []v1alpha1.Operation{"Read"}, Host: host}
	}
	if acls := ACLsOf("a", []v1alpha1.ACLRule{rule("2001:db8::1"), rule("2001:DB8::0:1")}); len(acls) != 1 {
		t.Errorf("%v", acls)
	}
}

func TestRulesThatCanMatchNothingAreRefusedWithTheirFieldAndACure(t *testing.T) {
	on := func(kind v1alpha1.ResourceType, name string, pattern v1alpha1.PatternType) v1alpha1.ACLRule {
		return v1alpha1.ACLRule{Resource: v1alpha1.ACLResource{Type: kind, Name: name, Pattern: pattern}}
	}
	from := func(host string) v1alpha1.ACLRule {
		rule := on(v1alpha1.ResourceTopic, "t", "")
		rule.Host = host
		return rule
	}
	for _, c := range []struct {
		name string
		rule v1alpha1.ACLRule
		want []string // empty = it is fine
	}{
		{"every topic", on(v1alpha1.ResourceTopic, "*", v1alpha1.PatternLiteral), nil},
		{"every topic, with the default pattern", on(v1alpha1.ResourceTopic, "*", ""), nil},
		{"every topic as people guess it", on(v1alpha1.ResourceTopic, "*", v1alpha1.PatternPrefixed),
			[]string{"spec.acls[0].resource.pattern: ", "use Literal"}},
		{"every group as people guess it", on(v1alpha1.ResourceGroup, "*", v1alpha1.PatternPrefixed),
			[]string{"spec.acls[0].resource.pattern: ", "use Literal"}},
		{"a prefix with an asterisk", on(v1alpha1.ResourceTopic, "orders-*", v1alpha1.PatternPrefixed),
			[]string{"spec.acls[0].resource.name: ", "orders-"}},
		{"an asterisk with no pattern", on(v1alpha1.ResourceTopic, "orders-*", ""),
			[]string{"spec.acls[0].resource.name: ", `pattern Prefixed with the name "orders-"`}},
		{"a name with a blank", on(v1alpha1.ResourceTopic, "my topic", ""), []string{"spec.acls[0].resource.name: "}},
		{"a dot", on(v1alpha1.ResourceTopic, ".", ""), []string{"spec.acls[0].resource.name: "}},
		{"two dots", on(v1alpha1.ResourceTopic, "..", ""), []string{"spec.acls[0].resource.name: "}},
		{"topics that begin with a dot", on(v1alpha1.ResourceTopic, ".", v1alpha1.PatternPrefixed), nil},
		{"groups may be called anything", on(v1alpha1.ResourceGroup, "my group*", ""), nil},
		{"transactional ids, too", on(v1alpha1.ResourceTransactionalID, "my tx/1", v1alpha1.PatternPrefixed), nil},
		{"the cluster", on(v1alpha1.ResourceCluster, "", ""), nil},
		{"a host", from("2001:db8::1"), nil},
		{"any host", from("*"), nil},
		{"a name for a host", from("build.example.com"), []string{"spec.acls[0].host: ", "IP address"}},
		{"a link-local host, which brokers print with the name of their interface", from("fe80::1"),
			[]string{"spec.acls[0].host: ", "link-local"}},
		{"a link-local host of IPv4, which they print as it is", from("169.254.0.1"), nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			faults := Misfits([]v1alpha1.ACLRule{c.rule})
			if len(faults) == 0 != (len(c.want) == 0) {
				t.Fatalf("%v", faults)
			}
			for _, want := range c.want {
				if got := faults[0].Text(); !strings.Contains(got, want) || faults[0].Cure == "" {
					t.Errorf("%q does not say %q, or has no cure", got, want)
				}
			}
		})
	}
}

func TestNothingChangesOfACLsWhoseRulesHaveAFault(t *testing.T) {
	d := Desired{Name: "a", ACLs: []kafka.ACL{acl("User:a", "Read")}, KeepACLs: true}
	got := Plan([]Desired{d}, Live{ACLs: []kafka.ACL{acl("User:a", "Write")}})
	if len(got.CreateACLs)+len(got.DeleteACLs) != 0 {
		t.Errorf("%v %v", got.CreateACLs, got.DeleteACLs)
	}
}
