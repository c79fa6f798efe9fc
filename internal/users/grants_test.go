package users

import (
	"fmt"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/castellan-dev/castellan/api/v1alpha1"
	"github.com/castellan-dev/castellan/internal/kafka"
	"github.com/castellan-dev/castellan/internal/model"
)

// TestEveryRoleIsACompleteRow walks the table: the operations are those of the resource, the schema offers the role,
// and the page about users has a line for each of its resources.
func TestEveryRoleIsACompleteRow(t *testing.T) {
	knows := map[v1alpha1.ResourceType]string{ // as the rules of ACLRule have it
		v1alpha1.ResourceTopic:           "Read, Write, Create, Delete, Alter, Describe, DescribeConfigs, AlterConfigs",
		v1alpha1.ResourceGroup:           "Read, Delete, Describe, DescribeConfigs, AlterConfigs",
		v1alpha1.ResourceTransactionalID: "Write, Describe, TwoPhaseCommit",
	}
	page := fileText(t, "../../docs/users.md")
	schema := fileText(t, "../../config/crd/bases/kafka.castellan.dev_kafkausers.yaml")
	seen := map[v1alpha1.GrantRole]bool{}
	for _, role := range Roles {
		if seen[role.Name] || len(role.Needs) == 0 {
			t.Errorf("%q has two rows, or needs nothing", role.Name)
		}
		seen[role.Name] = true
		if !strings.Contains(schema, "- "+string(role.Name)+"\n") {
			t.Errorf("the schema does not offer %s", role.Name)
		}
		for _, n := range role.Needs {
			if n.Of == 0 || len(n.Operations) == 0 || !slices.IsSorted(n.Operations) {
				t.Errorf("%s: %+v lacks something", role.Name, n)
			}
			for _, o := range n.Operations {
				if !slices.Contains(strings.Split(knows[n.Type], ", "), string(o)) {
					t.Errorf("%s: a %s knows no %s", role.Name, n.Type, o)
				}
			}
			line := fmt.Sprintf("| `%s` | %s | %s | %s |", role.Name, n.Type, namesIn(n), joined(n.Operations))
			if !strings.Contains(page, line) {
				t.Errorf("docs/users.md has no line\n%s", line)
			}
		}
	}
	if len(seen) != 6 {
		t.Errorf("%d roles", len(seen))
	}
}

func fileText(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// namesIn says where the names of a need come from, as the page about users does.
func namesIn(n Need) string {
	field := n.Of.of(v1alpha1.Grant{}).field
	if n.Inner {
		return "begin with `" + field + "` and a dash, or with `" + field + "Prefix`"
	}
	return "`" + field + "` or `" + field + "Prefix`"
}

func joined(operations []v1alpha1.Operation) string {
	var all []string
	for _, o := range operations {
		all = append(all, "`"+string(o)+"`")
	}
	return strings.Join(all, ", ")
}

func TestGrantsAreSpelledOut(t *testing.T) {
	for name, c := range map[string]struct {
		grants []v1alpha1.Grant
		acls   []v1alpha1.ACLRule
		want   []string
	}{
		"a producer": {[]v1alpha1.Grant{{Role: "Producer", Topic: "orders"}}, nil,
			[]string{"Allow Describe, Write on Topic orders"}},
		"a producer of all topics": {[]v1alpha1.Grant{{Role: "Producer", Topic: "*"}}, nil,
			[]string{"Allow Describe, Write on every Topic"}},
		"a transactional producer": {
			[]v1alpha1.Grant{{Role: "TransactionalProducer", TopicPrefix: "orders-", TransactionalIDPrefix: "till-"}}, nil,
			[]string{"Allow Describe, Write on every Topic that begins with orders-",
				"Allow Describe, Write on every TransactionalId that begins with till-"}},
		"a consumer": {[]v1alpha1.Grant{{Role: "Consumer", TopicPrefix: "orders-", Group: "billing"}}, nil,
			[]string{"Allow Describe, Read on Group billing", "Allow Describe, Read on every Topic that begins with orders-"}},
		"a share consumer": {[]v1alpha1.Grant{{Role: "ShareConsumer", Topic: "jobs", GroupPrefix: "work"}}, nil,
			[]string{"Allow Describe, Read on every Group that begins with work", "Allow Describe, Read on Topic jobs"}},
		"a Streams application, whose internal topics begin with its id and a dash": {
			[]v1alpha1.Grant{{Role: "Streams", Group: "app"}}, nil,
			[]string{"Allow Describe, Read on Group app",
				"Allow AlterConfigs, Create, Delete, Describe, DescribeConfigs, Read, Write on every Topic that begins with app-",
				"Allow Describe, Write on every TransactionalId that begins with app-"}},
		"Streams applications by prefix": {[]v1alpha1.Grant{{Role: "Streams", GroupPrefix: "app"}}, nil,
			[]string{"Allow Describe, Read on every Group that begins with app",
				"Allow AlterConfigs, Create, Delete, Describe, DescribeConfigs, Read, Write on every Topic that begins with app",
				"Allow Describe, Write on every TransactionalId that begins with app"}},
		"an owner": {[]v1alpha1.Grant{{Role: "Owner", Topic: "orders"}}, nil,
			[]string{"Allow Alter, AlterConfigs, Create, Delete, Describe, DescribeConfigs, Read, Write on Topic orders"}},
		"grants and rules that overlap add up to one": {
			[]v1alpha1.Grant{{Role: "Producer", Topic: "orders"}, {Role: "Consumer", Topic: "orders", Group: "g"},
				{Role: "Producer", Topic: "orders"}},
			[]v1alpha1.ACLRule{
				{Resource: v1alpha1.ACLResource{Type: v1alpha1.ResourceTopic, Name: "orders"},
					Operations: []v1alpha1.Operation{"Read"}},
				{Resource: v1alpha1.ACLResource{Type: v1alpha1.ResourceCluster}, Operations: []v1alpha1.Operation{"Describe"},
					Host: "10.0.0.1"},
				{Resource: v1alpha1.ACLResource{Type: v1alpha1.ResourceTopic, Name: "orders"}, Permission: "Deny",
					Operations: []v1alpha1.Operation{"Delete"}}},
			[]string{"Allow Describe on the Cluster from 10.0.0.1", "Allow Describe, Read on Group g",
				"Allow Describe, Read, Write on Topic orders", "Deny Delete on Topic orders"}},
		"a grant that lacks what its role needs gives nothing": {
			[]v1alpha1.Grant{{Role: "Consumer", Topic: "orders"}, {Role: "Nobody", Topic: "orders"}}, nil, nil},
	} {
		t.Run(name, func(t *testing.T) {
			u := guest()
			u.Namespace, u.Spec.Grants, u.Spec.ACLs = "home", c.grants, c.acls
			rules, faults := Granted(u, model.Host{Namespace: "home"})
			acls := ACLsOf("app", rules)
			if got := ListedACLs(acls); !reflect.DeepEqual(got, c.want) || len(faults) > 0 {
				t.Errorf("%q %v", got, faults)
			}
			if !slices.IsSortedFunc(acls, compareACLs) || len(slices.Compact(slices.Clone(acls))) != len(acls) {
				t.Errorf("one of them is there twice: %v", acls)
			}
		})
	}
}

func TestTheListOfACLsIsBounded(t *testing.T) {
	var acls []kafka.ACL
	for i := range 100 {
		a := acl("User:a", "Read")
		a.ResourceName = fmt.Sprintf("t%03d", i)
		acls = append(acls, a)
	}
	lines := ListedACLs(acls)
	if len(lines) != 64 || lines[62] != "Allow Read on Topic t062" || lines[63] != "and 37 more lines like these" {
		t.Errorf("%d lines: %q", len(lines), lines[len(lines)-2:])
	}
	if lines := ListedACLs(acls[:64]); len(lines) != 64 || lines[63] != "Allow Read on Topic t063" {
		t.Errorf("64 of them: %q", lines[len(lines)-1])
	}
}

func TestGrantsThatMatchNothingAreRefused(t *testing.T) {
	for name, c := range map[string]struct {
		grant v1alpha1.Grant
		says  []string // nothing = it is taken
	}{
		"a topic":                {v1alpha1.Grant{Role: "Owner", Topic: "orders.new_1-a"}, nil},
		"all topics":             {v1alpha1.Grant{Role: "Consumer", Topic: "*", Group: "*"}, nil},
		"a prefix that is a dot": {v1alpha1.Grant{Role: "Producer", TopicPrefix: "."}, nil},
		"a group with a slash":   {v1alpha1.Grant{Role: "Consumer", Topic: "t", Group: "a/b"}, nil},
		"a topic with an asterisk": {v1alpha1.Grant{Role: "Producer", Topic: "orders-*"},
			[]string{"grants[0].topic", "topicPrefix: orders-"}},
		"a topic with a space": {v1alpha1.Grant{Role: "Producer", Topic: "a b"},
			[]string{"grants[0].topic", "letters"}},
		"a topic that is a dot": {v1alpha1.Grant{Role: "Producer", Topic: "."},
			[]string{"grants[0].topic", "correct it"}},
		"a prefix that is an asterisk": {v1alpha1.Grant{Role: "Producer", TopicPrefix: "*"},
			[]string{"grants[0].topicPrefix", "use topic"}},
		"a group prefix that is asterisk": {v1alpha1.Grant{Role: "Consumer", Topic: "t", GroupPrefix: "*"},
			[]string{"grants[0].groupPrefix", "use group"}},
		"no group": {v1alpha1.Grant{Role: "Consumer", Topic: "t"},
			[]string{"grants[0].group", "groupPrefix"}},
		"an application called asterisk": {v1alpha1.Grant{Role: "Streams", Group: "*"},
			[]string{"grants[0].group", "application.id"}},
		"an application called by a slash": {v1alpha1.Grant{Role: "Streams", Group: "a/b"},
			[]string{"grants[0].group", "application.id"}},
	} {
		t.Run(name, func(t *testing.T) {
			u := guest()
			u.Spec.Grants = []v1alpha1.Grant{c.grant}
			faults := Unfit(u)
			if len(c.says) == 0 {
				if len(faults) > 0 {
					t.Errorf("refused: %v", faults)
				}
				return
			}
			if len(faults) == 0 || faults[0].Reason != ReasonInvalidACL {
				t.Fatalf("%v", faults)
			}
			for _, word := range c.says {
				if !strings.Contains(faults[0].Text(), word) {
					t.Errorf("%q does not say %q", faults[0].Text(), word)
				}
			}
		})
	}
}

func TestAGuestsGrantsStayWithinItsPrefixes(t *testing.T) {
	host := model.Host{Namespace: "home", Name: "events", Access: &v1alpha1.Access{
		Names: &v1alpha1.AccessNames{Prefixes: []v1alpha1.NamePrefix{"{namespace}."}}}}
	for name, c := range map[string]struct {
		grant  v1alpha1.Grant
		beyond string // field; empty = it is granted
	}{
		"its own topic":             {v1alpha1.Grant{Role: "Owner", Topic: "guests.a"}, ""},
		"its own names":             {v1alpha1.Grant{Role: "Consumer", TopicPrefix: "guests.", GroupPrefix: "guests."}, ""},
		"its own application":       {v1alpha1.Grant{Role: "Streams", Group: "guests.app"}, ""},
		"another's topic":           {v1alpha1.Grant{Role: "Producer", Topic: "orders"}, "spec.grants[1].topic"},
		"all topics":                {v1alpha1.Grant{Role: "Producer", Topic: "*"}, "spec.grants[1].topic"},
		"a prefix that is too wide": {v1alpha1.Grant{Role: "Producer", TopicPrefix: "guests"}, "spec.grants[1].topicPrefix"},
		"another's group": {v1alpha1.Grant{Role: "Consumer", Topic: "guests.a", Group: "billing"},
			"spec.grants[1].group"},
		"another's groups": {v1alpha1.Grant{Role: "ShareConsumer", Topic: "guests.a", GroupPrefix: "b"},
			"spec.grants[1].groupPrefix"},
		"another's application": {v1alpha1.Grant{Role: "Streams", Group: "billing"}, "spec.grants[1].group"},
		"another's transactional id": {v1alpha1.Grant{Role: "TransactionalProducer", Topic: "guests.a", TransactionalID: "x"},
			"spec.grants[1].transactionalId"},
		"another's transactional ids": {
			v1alpha1.Grant{Role: "TransactionalProducer", Topic: "guests.a", TransactionalIDPrefix: "x"},
			"spec.grants[1].transactionalIdPrefix"},
	} {
		t.Run(name, func(t *testing.T) {
			u := guest()
			u.Spec.Grants = []v1alpha1.Grant{{Role: "Producer", Topic: "guests.b"}, c.grant}
			rules, faults := Granted(u, host)
			if c.beyond == "" {
				if len(faults) > 0 || len(rules) < 2 {
					t.Errorf("%v %v", rules, faults)
				}
				return
			}
			if len(faults) != 1 || faults[0].Field != c.beyond || faults[0].Reason != ReasonBeyond ||
				!strings.Contains(faults[0].Text(), "spec.access.names") || len(rules) != 1 {
				t.Errorf("%v %v", rules, faults)
			}
			u.Namespace = "home"
			if _, faults := Granted(u, host); len(faults) > 0 {
				t.Errorf("in the cluster's own namespace: %v", faults)
			}
		})
	}
}
