package e2e

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"

	"github.com/castellan-dev/castellan/api/v1alpha1"
)

// A user is deleted while there is no authorizer, which alone could delete its ACLs. They do not come back with the next
// one, and whoever is given the name then inherits nothing.
func TestCase32_ACLsOfAUserThatWentWithoutAnAuthorizerDoNotComeBack(t *testing.T) {
	long(t)
	ns := small(t, false, "")
	cluster := clusterNamed(ns, sharedName)
	apply(t, ns, topicManifest(sharedTopic, ", partitions: 1, replicationFactor: 1")+"\n---\n"+
		userManifest("former", sharedTopic, v1alpha1.MechanismScram512))
	former := userNamed(ns, "former")
	waitReady(t, time.Minute, former)
	admin := loginOf(t, ns, adminUser).at(t, ns, sharedName, "outside").admin(t)
	if n, err := aclsOf(t.Context(), admin, "former"); err != nil || n == 0 {
		t.Fatalf("it has %d ACLs (error %v)", n, err)
	}
	authorize := func(kind v1alpha1.AuthorizationType) {
		t.Helper()
		change(t, cluster, func(c kafkaCluster) { c.Spec.Authorization.Type = kind })
		waitReady(t, 2*time.Minute, cluster)
	}
	authorize(v1alpha1.AuthorizationNone)
	ctx, cancel := context.WithTimeout(t.Context(), pace.Of(time.Minute))
	defer cancel()
	if err := kube.Delete(ctx, former.KafkaUser); err != nil {
		t.Fatal(err)
	}
	if err := waitGone(ctx, former.KafkaUser); err != nil {
		t.Fatal(err)
	}
	if err := refresh(ctx, cluster); err != nil || cluster.Status.RemainingACLs == nil {
		t.Fatalf("nothing is on record (error %v)", err)
	}
	authorize(v1alpha1.AuthorizationSimple)
	eventually(t, time.Minute, "its ACLs are gone, and so is the record", func(ctx context.Context) error {
		n, err := aclsOf(ctx, admin, "former")
		if err == nil && n > 0 {
			err = fmt.Errorf("it has %d ACLs", n)
		}
		if err == nil {
			err = refresh(ctx, cluster)
		}
		if err == nil && cluster.Status.RemainingACLs != nil {
			err = errors.New("it is still on record")
		}
		return err
	})
}

// aclsOf counts the ACLs of a user.
func aclsOf(ctx context.Context, admin *kadm.Client, user string) (int, error) {
	results, err := admin.DescribeACLs(ctx, kadm.NewACLs().Allow("User:"+user).AllowHosts().AnyResource().
		Operations(kadm.OpAny).ResourcePatternType(kadm.ACLPatternAny))
	count := 0
	for _, r := range results {
		err = errors.Join(err, r.Err)
		count += len(r.Described)
	}
	return count, err
}
