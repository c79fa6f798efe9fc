package users

import (
	"fmt"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/castellan-dev/castellan/api/v1alpha1"
	"github.com/castellan-dev/castellan/internal/model"
)

func onCluster(permission string, operations ...v1alpha1.Operation) v1alpha1.ACLRule {
	return v1alpha1.ACLRule{Resource: v1alpha1.ACLResource{Type: v1alpha1.ResourceCluster}, Permission: permission,
		Operations: operations}
}

func guest(rules ...v1alpha1.ACLRule) *v1alpha1.KafkaUser {
	return &v1alpha1.KafkaUser{ObjectMeta: metav1.ObjectMeta{Namespace: "guests", Name: "app"},
		Spec: v1alpha1.KafkaUserSpec{ACLs: rules}}
}

// inWords says which operations are granted, and what the verdicts are about.
func inWords(rules []v1alpha1.ACLRule, faults []string) string {
	var all []string
	for _, a := range ACLsOf("app", rules) {
		all = append(all, a.Permission+" "+a.Operation+" on "+a.ResourceType+" "+a.ResourceName)
	}
	return strings.Join(all, ", ") + "; " + strings.Join(faults, ", ")
}

func TestWhatAGuestMayBeAllowedOnTheCluster(t *testing.T) {
	granted := func(operations ...v1alpha1.ClusterOperation) *v1alpha1.Access {
		return &v1alpha1.Access{Grants: []v1alpha1.AccessGrant{
			{Namespace: "others", ClusterOperations: []v1alpha1.ClusterOperation{"All"}},
			{Namespace: "guests", ClusterOperations: operations},
		}}
	}
	for name, c := range map[string]struct {
		rule   v1alpha1.ACLRule
		access *v1alpha1.Access
		want   string
	}{
		"nothing but what is harmless": {onCluster("Allow", "IdempotentWrite", "Alter"), granted(),
			"Allow IdempotentWrite on Cluster kafka-cluster; spec.acls[0].operations: Alter"},
		"without a word in spec.access": {onCluster("", "All"), nil, "; spec.acls[0].operations: All"},
		"every operation that reaches beyond": {
			onCluster("Allow", "All", "Create", "Alter", "Describe", "ClusterAction", "DescribeConfigs", "AlterConfigs"), nil,
			"; spec.acls[0].operations: All, Create, Alter, Describe, ClusterAction, DescribeConfigs, AlterConfigs"},
		"what its owner grants by name": {onCluster("Allow", "Describe", "Alter"), granted("Describe"),
			"Allow Describe on Cluster kafka-cluster; spec.acls[0].operations: Alter"},
		"all, where its owner grants all": {onCluster("Allow", "Alter", "All"), granted("All"),
			"Allow All on Cluster kafka-cluster, Allow Alter on Cluster kafka-cluster; "},
		"the single operations are not all of them": {onCluster("Allow", "All"), granted("Alter", "Create"),
			"; spec.acls[0].operations: All"},
		"whatever it denies itself": {onCluster("Deny", "Alter"), nil, "Deny Alter on Cluster kafka-cluster; "},
	} {
		t.Run(name, func(t *testing.T) {
			rules, faults := Granted(guest(c.rule), model.Host{Namespace: "home", Name: "events", Access: c.access})
			var about []string
			for _, f := range faults {
				about = append(about, f.Field+": "+strings.SplitN(f.Cause, " on the Cluster", 2)[0])
				if f.Passes() || !strings.Contains(f.Text(), "home/events") || !strings.Contains(f.Cure, "spec.access.grants") {
					t.Errorf("%+v", f)
				}
			}
			if got := inWords(rules, about); got != c.want {
				t.Errorf("%s\nexpected %s", got, c.want)
			}
		})
	}
}

func TestTheClustersOwnNamespaceGrantsItselfWhatItWants(t *testing.T) {
	own := guest(onCluster("Allow", "All"))
	own.Namespace = "home"
	rules, faults := Granted(own, model.Host{Namespace: "home"})
	if len(faults) != 0 || fmt.Sprint(rules) != fmt.Sprint(own.Spec.ACLs) {
		t.Errorf("%v %v", rules, faults)
	}
}

func TestWhatAGuestMayNameInItsACLs(t *testing.T) {
	access := &v1alpha1.Access{Names: &v1alpha1.AccessNames{Prefixes: []v1alpha1.NamePrefix{"{namespace}.", "common-"}}}
	for name, c := range map[string]struct {
		resource v1alpha1.ACLResource
		refused  bool
	}{
		"its own topic":             {v1alpha1.ACLResource{Type: "Topic", Name: "guests.orders"}, false},
		"its own group":             {v1alpha1.ACLResource{Type: "Group", Name: "guests.app"}, false},
		"its own transactions":      {v1alpha1.ACLResource{Type: "TransactionalId", Name: "guests.", Pattern: "Prefixed"}, false},
		"what is common":            {v1alpha1.ACLResource{Type: "Topic", Name: "common-x"}, false},
		"somebody else's topic":     {v1alpha1.ACLResource{Type: "Topic", Name: "orders"}, true},
		"a namespace named alike":   {v1alpha1.ACLResource{Type: "Topic", Name: "guests-two.orders"}, true},
		"a prefix that reaches out": {v1alpha1.ACLResource{Type: "Topic", Name: "guests", Pattern: "Prefixed"}, true},
		"all groups":                {v1alpha1.ACLResource{Type: "Group", Name: "*"}, true},
		"all transactions":          {v1alpha1.ACLResource{Type: "TransactionalId", Name: "*"}, true},
		"Kafka's own topic":         {v1alpha1.ACLResource{Type: "Topic", Name: "__consumer_offsets"}, true},
	} {
		t.Run(name, func(t *testing.T) {
			host := model.Host{Namespace: "home", Name: "events", Access: access}
			allows := v1alpha1.ACLRule{Resource: c.resource, Operations: []v1alpha1.Operation{"Describe"}}
			denies := allows
			denies.Permission = "Deny"
			rules, faults := Granted(guest(denies, allows), host)
			if refused := len(rules) == 1 && len(faults) == 1; refused != c.refused {
				t.Fatalf("%v %v", rules, faults)
			}
			if c.refused && (faults[0].Field != "spec.acls[1].resource.name" ||
				!strings.Contains(faults[0].Cause, "guests. or common-")) {
				t.Error(faults[0].Text())
			}
			host.Access = &v1alpha1.Access{}
			if rules, faults := Granted(guest(allows), host); len(rules) != 1 || len(faults) != 0 {
				t.Errorf("without names: %v %v", rules, faults)
			}
		})
	}
}

func TestWhatAGuestMayBeCalled(t *testing.T) {
	names := &v1alpha1.Access{Names: &v1alpha1.AccessNames{Prefixes: []v1alpha1.NamePrefix{"{namespace}."}}}
	for name, c := range map[string]struct {
		user   string
		host   model.Host
		barred bool
	}{
		"what it likes":                         {"root", model.Host{Access: &v1alpha1.Access{}}, false},
		"what begins as its owner wants":        {"guests.app", model.Host{Access: names}, false},
		"nothing else":                          {"app", model.Host{Access: names}, true},
		"nothing outside without its owner":     {"guests.app", model.Host{External: true, Access: &v1alpha1.Access{}}, true},
		"what its owner lets it be outside":     {"guests.app", model.Host{External: true, Access: names}, false},
		"no super user outside that is unknown": {"root", model.Host{External: true, Access: names}, true},
	} {
		t.Run(name, func(t *testing.T) {
			c.host.Namespace, c.host.Name = "home", "events"
			u := guest()
			u.Spec.Name = c.user
			bar := Misnamed(u, c.host)
			if (bar != nil) != c.barred || bar != nil && (bar.Evicts || !strings.Contains(bar.Text(), "spec.access.names")) {
				t.Errorf("%+v", bar)
			}
			u.Namespace = "home"
			if bar := Misnamed(u, c.host); bar != nil {
				t.Errorf("in the cluster's own namespace: %+v", bar)
			}
		})
	}
}
