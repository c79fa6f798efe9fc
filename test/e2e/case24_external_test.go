package e2e

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/castellan-dev/castellan/api/v1alpha1"
)

// externalManifest is the shared cluster as somebody sees it who does not run it: an address and a login.
func externalManifest(servers string) string {
	return fmt.Sprintf(`
kind: KafkaCluster
metadata: {name: events}
spec:
  external:
    bootstrapServers: [%q]
    authentication: {mechanism: SCRAM-SHA-512, secretName: login}
`, servers)
}

// forExternal says that the operator may read a Secret.
var forExternal = map[string]string{v1alpha1.LabelUse: v1alpha1.UseExternalCluster}

// writeLogin makes the Secret of the operator's login, or changes its password and labels.
func writeLogin(t *testing.T, namespace, username, password string, labels map[string]string) {
	t.Helper()
	secret := &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "login", Labels: labels},
		Data:       map[string][]byte{"username": []byte(username), "password": []byte(password)},
	}
	err := kube.Create(t.Context(), secret)
	if apierrors.IsAlreadyExists(err) {
		err = kube.Update(t.Context(), secret)
	}
	if err != nil {
		t.Fatalf("write the Secret login: %v", err)
	}
}

func TestCase24_AClusterOfSomebodyElsesIsCaredForByAddressAndLogin(t *testing.T) {
	promise(t)
	careAbroad(t)
	waitReady(t, time.Minute, clusterNamed(common.namespace, sharedName))
}

// The same with an operator that has no permission for anything else. The clusters of the other one run on meanwhile.
func TestCase24_AnOperatorForExternalClustersNeedsFewPermissions(t *testing.T) {
	long(t)
	if !isLocal() {
		t.Skip("the operator of another cluster is not ours to install differently")
	}
	installed := operator(t).Spec.Template.Spec.Containers[0].Image
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), pace.Of(4*time.Minute))
		defer cancel()
		if err := installOperator(ctx, installed); err != nil {
			t.Errorf("install the operator as it was: %v", err)
		}
	})
	shared(t)
	if err := installOperator(t.Context(), installed, "externalOnly=true"); err != nil {
		t.Fatal(err)
	}
	as := "system:serviceaccount:" + releaseNamespace + ":" + operator(t).Spec.Template.Spec.ServiceAccountName
	for _, what := range []string{"statefulsets.apps", "pods", "persistentvolumeclaims", "configmaps"} {
		if out, err := kubectl(t.Context(), "auth", "can-i", "create", what, "-n", common.namespace, "--as", as); err == nil {
			t.Errorf("it may create %s: %s", what, out)
		}
	}
	careAbroad(t)
}

// careAbroad sees topics and users of an external cluster through their lives.
func careAbroad(t *testing.T) {
	t.Helper()
	home := shared(t)
	before := lives(t, home, sharedName)
	admin := loginOf(t, home, adminUser).at(t, home, sharedName, "inside")
	ns := newNamespace(t)
	cluster := clusterNamed(ns, sharedName)

	writeLogin(t, ns, admin.username, admin.password, nil)
	apply(
		t,
		ns,
		externalManifest(admin.servers)+"\n---\n"+topicManifest("abroad", ", partitions: 2, replicationFactor: 2"),
	)
	eventually(t, time.Minute, "a Secret that nobody has labelled for it is not read", func(ctx context.Context) error {
		return isStalled(ctx, cluster, "InvalidSecret", []string{"spec.external.authentication.secretName",
			"label secret login kafka.castellan.dev/use=external-cluster"})
	})
	writeLogin(t, ns, admin.username, "not-the-password-of-admin", forExternal)
	eventually(t, time.Minute, "the wrong password is told", func(ctx context.Context) error {
		return isStalled(
			ctx,
			cluster,
			"AuthenticationFailed",
			[]string{"spec.external.authentication.secretName", `"login"`, "correct them"},
		)
	})
	eventually(t, 15*time.Second, "the topic waits and says why", func(ctx context.Context) error {
		return hasReason(ctx, topicNamed(ns, "abroad"), v1alpha1.ConditionReady, "ClusterNotAvailable")
	})
	writeLogin(t, ns, admin.username, admin.password, forExternal)
	waitReady(t, time.Minute, cluster)
	waitReady(t, 30*time.Second, topicNamed(ns, "abroad"))
	if seen, own := cluster.Status.ClusterID, clusterNamed(home, sharedName); refresh(t.Context(), own) != nil ||
		seen != own.Status.ClusterID {
		t.Errorf("the cluster's id is %q, its owner says %q", seen, own.Status.ClusterID)
	}

	changeTopicAbroad(t, ns)
	userAbroad(t, ns)
	leaveAbroad(t, ns)
	mustLiveOn(t, home, sharedName, before)
}

// changeTopicAbroad grows a topic and sets its configuration, and deletes another.
func changeTopicAbroad(t *testing.T, ns string) {
	t.Helper()
	apply(
		t,
		ns,
		topicManifest(
			"abroad",
			`, partitions: 3, replicationFactor: 2, config: {retention.ms: "86400000"}`,
		)+"\n---\n"+topicManifest(
			"brief",
			"",
		),
	)
	admin := sharedAdmin(t)
	eventually(t, 30*time.Second, "the topic is as changed", func(ctx context.Context) error {
		topics, err := admin.ListTopics(ctx, "abroad")
		if err != nil {
			return err
		}
		if n := len(topics["abroad"].Partitions); n != 3 {
			return fmt.Errorf("it has %d partitions", n)
		}
		value, err := topicConfig(ctx, admin, "abroad", "retention.ms")
		if err == nil && value != "86400000" {
			err = fmt.Errorf("retention.ms is %s", value)
		}
		return err
	})
	waitReady(t, 30*time.Second, topicNamed(ns, "brief"))
	ctx, cancel := context.WithTimeout(t.Context(), pace.Of(30*time.Second))
	defer cancel()
	brief := inner(topicNamed(ns, "brief"))
	if err := kube.Delete(ctx, brief); err != nil {
		t.Fatal(err)
	}
	if err := waitGone(ctx, brief); err != nil {
		t.Fatal(err)
	}
	eventually(t, 15*time.Second, "the deleted topic is gone from Kafka", func(ctx context.Context) error {
		topics, err := admin.ListTopics(ctx)
		if err == nil && topics.Has("brief") {
			err = errors.New("it is still there")
		}
		return err
	})
}

// userAbroad takes over a user of the external cluster, once it is asked to, and logs in with its Secret alone.
func userAbroad(t *testing.T, ns string) {
	t.Helper()
	theirs := kadm.UpsertSCRAM{User: "traveller", Mechanism: kadm.ScramSha512, Iterations: 4096, Password: "set by hand"}
	if r, err := sharedAdmin(t).AlterUserSCRAMs(t.Context(), nil, []kadm.UpsertSCRAM{theirs}); err != nil ||
		r.Error() != nil {
		t.Fatal(err, r.Error())
	}
	apply(t, ns, userManifest("traveller", "abroad", "SCRAM-SHA-512"))
	eventually(t, 30*time.Second, "the user that exists is a conflict", func(ctx context.Context) error {
		return isStalled(
			ctx,
			userNamed(ns, "traveller"),
			"UserExists",
			[]string{"spec.adoption", "SCRAM credentials", "Always"},
		)
	})
	apply(t, ns, userManifest("traveller", "abroad", "SCRAM-SHA-512")+"  adoption: Always\n")
	waitReady(t, time.Minute, userNamed(ns, "traveller"))
	if err := tryToProduce(t, loginOf(t, ns, "traveller"), "abroad"); err != nil {
		t.Errorf("the user of the external cluster cannot work: %v", err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), pace.Of(time.Minute))
	defer cancel()
	user := inner(userNamed(ns, "traveller"))
	if err := kube.Delete(ctx, user); err != nil {
		t.Fatal(err)
	}
	if err := waitGone(ctx, user); err != nil {
		t.Fatal(err)
	}
}

// leaveAbroad deletes the external KafkaCluster: its KafkaTopics go when they are asked to, and the topic stays in
// Kafka.
func leaveAbroad(t *testing.T, ns string) {
	t.Helper()
	topic := topicNamed(ns, "abroad")
	if err := refresh(t.Context(), topic); err != nil {
		t.Fatal(err)
	}
	id := topic.Status.TopicID
	ctx, cancel := context.WithTimeout(t.Context(), pace.Of(time.Minute))
	defer cancel()
	for _, o := range []client.Object{inner(clusterNamed(ns, sharedName)), inner(topicNamed(ns, "abroad"))} {
		if err := kube.Delete(ctx, o); err != nil {
			t.Fatal(err)
		}
		if err := waitGone(ctx, o); err != nil {
			t.Fatal(err)
		}
	}
	mustHaveTopic(t, "abroad", id)
	if _, err := sharedAdmin(t).DeleteTopics(ctx, "abroad"); err != nil {
		t.Errorf("tidy up: %v", err)
	}
}
