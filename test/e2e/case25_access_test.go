package e2e

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/castellan-dev/castellan/api/v1alpha1"
)

// An application team writes its topic and its user in its own namespace. It needs the cluster's consent; when that is
// withdrawn, its clients go on and nothing is changed or deleted.
func TestCase25_TopicsAndUsersOfAnotherNamespaceNeedTheClustersConsent(t *testing.T) {
	promise(t)
	home := shared(t)
	cluster := clusterNamed(home, sharedName)
	admin := sharedAdmin(t)
	guests := newNamespace(t)
	there := func(manifest string) string {
		return replaceOnce(
			manifest,
			"clusterRef: {name: events}",
			fmt.Sprintf("clusterRef: {name: events, namespace: %s}", home),
		)
	}
	apply(t, guests, strings.Join([]string{
		there(topicManifest("guests-orders", ", partitions: 2, config: {retention.ms: \"3600000\"}")),
		there(userManifest("guests-app", "guests-orders", allMechanisms...)),
		there(adminManifest),
	}, "\n---\n"))
	topic, user := topicNamed(guests, "guests-orders"), userNamed(guests, "guests-app")
	mustNotBeAdmitted := func() {
		t.Helper()
		for _, o := range []object{topic, user} {
			eventually(t, overdueLimit, "it says that it is not admitted", func(ctx context.Context) error {
				return isStalled(
					ctx,
					o,
					"NotAdmitted",
					[]string{"spec.clusterRef", home + "/" + sharedName, guests, "spec.access.namespaces"},
				)
			})
		}
	}
	mustNotBeAdmitted()
	if topics, err := admin.ListTopics(t.Context(), "guests-orders"); err == nil && topics.Error() == nil {
		t.Error("the topic was created for a namespace that is not admitted")
	}

	label(t, guests, "example.com/kafka", "events")
	change(t, cluster, func(c kafkaCluster) {
		c.Spec.Access = &v1alpha1.Access{
			Namespaces: v1alpha1.NamespaceSelector{MatchLabels: map[string]string{"example.com/kafka": "events"}},
		}
	})
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), pace.Of(time.Minute))
		defer cancel()
		if err := tryChange(ctx, cluster, func(c kafkaCluster) { c.Spec.Access = nil }); err != nil {
			t.Errorf("take the consent back: %v", err)
		}
	})
	waitReady(t, time.Minute, topic)
	waitReady(t, 2*time.Minute, user)
	eventually(
		t,
		20*time.Second,
		"a super user stays in the cluster's own namespace",
		func(ctx context.Context) error {
			return isStalled(ctx, userNamed(guests, adminUser), "SuperUserElsewhere", []string{"spec.name", home})
		},
	)
	app := loginOf(t, guests, "guests-app").at(t, home, sharedName, "outside")
	for _, m := range allMechanisms {
		if err := tryToProduce(t, app.with(m), "guests-orders"); err != nil {
			t.Errorf("produce as guests-app by %s: %v", m, err)
		}
	}

	say(t, "the namespace's label goes, and with it the consent")
	label(t, guests, "example.com/kafka", "")
	mustNotBeAdmitted()
	change(t, topic, func(o kafkaTopic) { o.Spec.Config["retention.ms"] = "7200000" })
	mustNotBeAdmitted()
	if value, err := topicConfig(t.Context(), admin, "guests-orders", "retention.ms"); value != "3600000" {
		t.Errorf("retention.ms became %s (error %v) without consent", value, err)
	}
	if err := tryToProduce(t, app, "guests-orders"); err != nil {
		t.Errorf("a client of the namespace is cut off: %v", err)
	}

	say(t, "the namespace is deleted")
	began := time.Now()
	if err := removeNamespace(t.Context(), guests); err != nil {
		t.Fatal(err)
	}
	figureSeconds(t, "namespace-of-guests-gone", time.Since(began))
	mustHaveTopic(t, "guests-orders", topic.Status.TopicID)
	say(t, "its topic is taken up in the cluster's own namespace")
	apply(t, home, topicManifest("moved", ", name: guests-orders, adoption: Always"))
	moved := topicNamed(home, "moved")
	waitReady(t, time.Minute, moved)
	if moved.Status.TopicID != topic.Status.TopicID || moved.Status.Origin != v1alpha1.OriginAdopted {
		t.Errorf(
			"the object that moved has topic %s by origin %s, expected %s, adopted",
			moved.Status.TopicID,
			moved.Status.Origin,
			topic.Status.TopicID,
		)
	}
	if value, err := topicConfig(t.Context(), admin, "guests-orders", "retention.ms"); value != "3600000" {
		t.Errorf("retention.ms became %s (error %v) when the object moved, and nobody asked for that", value, err)
	}
	eventually(t, 20*time.Second, "its user can log in no more", func(context.Context) error {
		switch err := tryToLogIn(t, app); {
		case err == nil:
			return errors.New("it can")
		case !isLoginRefused(err):
			return err
		}
		return nil
	})
}

// label sets a label of a namespace; an empty value removes it.
func label(t *testing.T, namespace, key, value string) {
	t.Helper()
	text := fmt.Sprintf("%q", value)
	if value == "" {
		text = "null"
	}
	ns := &corev1.Namespace{}
	ns.Name = namespace
	patch := client.RawPatch(
		"application/merge-patch+json",
		fmt.Appendf(nil, `{"metadata":{"labels":{%q:%s}}}`, key, text),
	)
	if err := kube.Patch(t.Context(), ns, patch); err != nil {
		t.Fatalf("label Namespace %s: %v", namespace, err)
	}
}
