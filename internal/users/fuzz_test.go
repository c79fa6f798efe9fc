package users

import (
	"reflect"
	"slices"
	"strings"
	"testing"
	"unicode"

	"github.com/castellan-dev/castellan/api/v1alpha1"
	"github.com/castellan-dev/castellan/internal/kafka"
	"github.com/castellan-dev/castellan/internal/model"
)

var principals = []string{
	"app", "CN=app,OU=Team A,O=Example", `CN=a\,b,O=Müller & Co`, "spiffe://example.org/ns/a/sa/b", "*", "oidc:3f2a", "a b  c",
	"User:app", "ANONYMOUS", "#", "\u00e9", "e\u0301", "cn = castellan-operator , o = castellan", "O=castellan,CN=kafka-node",
	"CN=castellan-x,OU=a,O=CASTELLAN",
}

// Whatever a user and its resources are called, what is on record of its ACLs is read as it was written, and names
// nothing of anybody else.
func FuzzPrincipals(f *testing.F) {
	for _, name := range principals {
		f.Add(name, "orders", "group with  spaces", "10.0.0.1")
	}
	f.Add("a", " ", "a,b", "fd00::1")
	f.Add("a", "Literal * x", "Allow Read Topic", "*")
	f.Fuzz(func(t *testing.T, name, topic, group, host string) {
		u := guest()
		u.Namespace, u.Spec.Name = "home", name
		u.Spec.ACLs = []v1alpha1.ACLRule{
			{Resource: v1alpha1.ACLResource{Type: v1alpha1.ResourceTopic, Name: topic},
				Operations: []v1alpha1.Operation{"Read", "Write"}},
			{Resource: v1alpha1.ACLResource{Type: v1alpha1.ResourceGroup, Name: group, Pattern: v1alpha1.PatternPrefixed},
				Operations: []v1alpha1.Operation{"Read"}, Permission: "Deny", Host: host},
		}
		if len(Misfits(u.Spec.ACLs)) > 0 || name == "" || topic == "" || group == "" {
			return // it is refused
		}
		acls := ACLsOf(name, u.Spec.ACLs)
		record := &v1alpha1.Credentials{}
		(&Stake{Added: acls}).Record(record)
		read := addedACLs(name, record.AddedACLs)
		slices.SortFunc(read, compareACLs)
		if !reflect.DeepEqual(read, acls) {
			t.Errorf("%q was written as %q and is read as %q", acls, record.AddedACLs, read)
		}
		for _, a := range acls {
			if a.Principal != "User:"+name {
				t.Errorf("an ACL of %q is one of %q", name, a.Principal)
			}
		}
		live := Live{ACLs: append(slices.Clone(acls), kafka.ACL{Principal: "User:" + name + "x", Permission: "Allow"},
			kafka.ACL{Principal: "User:", Permission: "Allow"})}
		c := Plan([]Desired{{Name: name}}, live)
		if len(c.DeleteACLs) != len(acls) || len(c.CreateACLs)+len(c.Upserts)+len(c.Quotas) > 0 {
			t.Errorf("to take everything from %q means %+v", name, c)
		}
	})
}

// No KafkaUser has the name in a certificate of the operator's or of a broker's, in whichever order, case and spaces it
// is written, and whatever stands beside it.
func FuzzInternalPrincipals(f *testing.F) {
	for n, name := range principals {
		f.Add(name, "OU="+name, n, " ")
	}
	f.Add("a", "", 3, "\u00a0")
	f.Fuzz(func(t *testing.T, name, beside string, how int, blank string) {
		if strings.Trim(blank, " \t\u00a0") != "" {
			blank = ""
		}
		for _, internal := range []string{"CN=kafka-node,O=castellan", "CN=castellan-operator,O=castellan"} {
			attributes := strings.Split(internal, ",")
			if beside != "" && !strings.ContainsFunc(beside, unicode.IsControl) {
				attributes = slices.Insert(attributes, abs(how)%(len(attributes)+1), beside)
			}
			if how&1 != 0 {
				slices.Reverse(attributes)
			}
			for i, a := range attributes {
				key, value, _ := strings.Cut(a, "=")
				attributes[i] = blank + key + blank + "=" + blank + value
			}
			written := strings.Join(attributes, blank+",")
			if how&2 != 0 {
				written = strings.ToUpper(written)
			}
			u := &v1alpha1.KafkaUser{Spec: v1alpha1.KafkaUserSpec{Name: written,
				Authentication: v1alpha1.UserAuthentication{Mechanisms: []v1alpha1.Mechanism{v1alpha1.MechanismExternal}}}}
			if NotForUsers(u, model.Host{}) == nil {
				t.Errorf("%q is taken", written)
			}
		}
		host := model.Host{Namespace: "home", SuperUsers: []string{name}}
		for _, m := range []v1alpha1.Mechanism{v1alpha1.MechanismExternal, v1alpha1.MechanismScram512} {
			u := &v1alpha1.KafkaUser{Spec: v1alpha1.KafkaUserSpec{Name: name,
				Authentication: v1alpha1.UserAuthentication{Mechanisms: []v1alpha1.Mechanism{m}}}}
			u.Name, u.Namespace = "object", "guests"
			if name != "" && NotForUsers(u, host) == nil && Presumes(u, host) == nil {
				t.Errorf("a guest may be super user %q by %s", name, m)
			}
		}
	})
}

func abs(n int) int { return max(n, -(n + 1)) }

// A grant that is taken comes to ACLs of topics that there can be.
func FuzzGrants(f *testing.F) {
	for _, name := range append(principals, "orders-*", "..", ".", "a/b", "*", strings.Repeat("a", 249), "\u0130", "a\n") {
		for role := range Roles {
			f.Add(role, name, "group", false)
			f.Add(role, "orders", name, true)
		}
	}
	f.Fuzz(func(t *testing.T, role int, topic, group string, prefixed bool) {
		g := v1alpha1.Grant{Role: Roles[abs(role)%len(Roles)].Name, Topic: topic, Group: group, TransactionalID: group}
		if prefixed {
			g = v1alpha1.Grant{Role: g.Role, TopicPrefix: topic, GroupPrefix: group, TransactionalIDPrefix: group}
		}
		u := guest()
		u.Namespace, u.Spec.ACLs, u.Spec.Grants = "home", nil, []v1alpha1.Grant{g}
		if len(Unfit(u)) > 0 {
			return
		}
		rules, beyond := Granted(u, model.Host{Namespace: "home"})
		if len(rules) == 0 || len(beyond) > 0 {
			t.Errorf("%+v comes to nothing: %v", g, beyond)
		}
		for _, a := range ACLsOf("app", rules) {
			if a.ResourceType != "Topic" || a.ResourceName == "*" && a.Pattern == "Literal" {
				continue
			}
			if strings.Trim(a.ResourceName, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-") != "" ||
				a.Pattern == "Literal" && (a.ResourceName == "." || a.ResourceName == "..") {
				t.Errorf("%+v comes to %+v, and no topic is called so", g, a)
			}
		}
	})
}
