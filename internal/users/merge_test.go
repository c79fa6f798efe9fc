package users

import (
	"fmt"
	"reflect"
	"testing"

	"github.com/castellan-dev/castellan/api/v1alpha1"
	"github.com/castellan-dev/castellan/internal/kafka"
	"github.com/castellan-dev/castellan/internal/model"
)

func TestWhatWasAddedIsReadAsItWasWritten(t *testing.T) {
	var acls []kafka.ACL
	for _, name := range []string{"t", "a b", "*", " c", "d ", "e,f"} {
		for _, operation := range []string{"Read", "Describe"} {
			a := acl("User:CN=app,OU=Team A", operation)
			a.ResourceType, a.ResourceName, a.Host, a.Pattern = "Group", name, "2001:db8:0:0:0:0:0:1", "Prefixed"
			acls = append(acls, a)
		}
	}
	record := &v1alpha1.Credentials{ClusterID: "id"}
	(&Stake{Added: append(acls, acls[0])}).Record(record)
	u := &v1alpha1.KafkaUser{Status: v1alpha1.KafkaUserStatus{Credentials: record}}
	stake := StakeOf("CN=app,OU=Team A", "id", []*v1alpha1.KafkaUser{u})
	if len(record.AddedACLs) != 6 || len(stake.Added) != len(acls) {
		t.Errorf("%q gives %v", record.AddedACLs, stake.Added)
	}
	for _, a := range acls {
		if !stake.Holds(a) {
			t.Errorf("%q lacks %+v", record.AddedACLs, a)
		}
	}
	again := &v1alpha1.Credentials{ClusterID: "id"}
	if stake.Record(again); !reflect.DeepEqual(again, record) {
		t.Errorf("%q, and once more %q", record.AddedACLs, again.AddedACLs)
	}
	if StakeOf("app", "another", []*v1alpha1.KafkaUser{u}) == nil {
		t.Error("what is on record of another incarnation counts")
	}
	if stake := StakeOf("app", "id", []*v1alpha1.KafkaUser{u, {Status: v1alpha1.KafkaUserStatus{
		Credentials: &v1alpha1.Credentials{ClusterID: "id"}}}}); stake != nil {
		t.Errorf("another has all of them: %v", stake)
	}
}

// What the spec before has added stands on record beside what the next one adds, until it is taken away.
func TestAllThatTwoSpecsCanAddFitsItsRecord(t *testing.T) {
	const rules, grants, room = 256, 64, 1024 // maxItems of spec.acls, spec.grants and status.credentials.addedACLs
	stake := &Stake{}
	for spec := range 2 {
		u := guest()
		u.Namespace = "home"
		for n := range rules {
			u.Spec.ACLs = append(u.Spec.ACLs, v1alpha1.ACLRule{Operations: []v1alpha1.Operation{"Read", "Write"},
				Resource: v1alpha1.ACLResource{Type: v1alpha1.ResourceTopic, Name: fmt.Sprintf("topic-%d-%d", spec, n)}})
		}
		for n := range grants {
			u.Spec.Grants = append(u.Spec.Grants, v1alpha1.Grant{Role: v1alpha1.RoleStreams,
				Group: fmt.Sprintf("group-%d-%d", spec, n)})
		}
		all, _ := Granted(u, model.Host{Namespace: "home"})
		stake = stake.Ahead(ACLsOf("app", all), nil)
	}
	record := &v1alpha1.Credentials{}
	if stake.Record(record); len(record.AddedACLs) < 2*rules || len(record.AddedACLs) > room {
		t.Errorf("%d lines, and there is room for %d", len(record.AddedACLs), room)
	}
}
