package install

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"github.com/castellan-dev/castellan/api/v1alpha1"
)

// manifest creates an object from YAML in a namespace.
func manifest(t *testing.T, namespace, text string) *unstructured.Unstructured {
	t.Helper()
	o := &unstructured.Unstructured{}
	if err := yaml.Unmarshal([]byte(text), &o.Object); err != nil {
		t.Fatal(err)
	}
	o.SetNamespace(namespace)
	o.SetAPIVersion(v1alpha1.GroupVersion.String())
	if err := kube.Create(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	return o
}

const (
	oneNode = `
kind: KafkaCluster
metadata: {name: events}
spec:
  version: "4.3.1"
  pools: [{name: main, replicas: 1, storage: {volumes: [{name: data, size: 1Gi}]}}]
`
	oneTopic = `
kind: KafkaTopic
metadata: {name: orders}
spec: {clusterRef: {name: events}}
`
	oneUser = `
kind: KafkaUser
metadata: {name: billing}
spec: {clusterRef: {name: events}, authentication: {mechanisms: [SCRAM-SHA-512]}}
`
)

func clusterIn(t *testing.T, namespace string) *v1alpha1.KafkaCluster {
	t.Helper()
	c := &v1alpha1.KafkaCluster{}
	if err := kube.Get(t.Context(), client.ObjectKey{Namespace: namespace, Name: "events"}, c); err != nil {
		t.Fatal(err)
	}
	return c
}

// looksAfter waits until an operator is on record and has made the StatefulSet.
func looksAfter(t *testing.T, namespace, operator string) {
	t.Helper()
	eventually(t, fmt.Sprintf("%s looks after the cluster in %s", operator, namespace), func() error {
		c := clusterIn(t, namespace)
		if c.Status.Operator != operator || c.Status.ObservedGeneration != c.Generation {
			return fmt.Errorf("status.operator is %q, observedGeneration %d of %d", c.Status.Operator,
				c.Status.ObservedGeneration, c.Generation)
		}
		return kube.Get(t.Context(), client.ObjectKey{Namespace: namespace, Name: "events-main"}, &appsv1.StatefulSet{})
	})
}

// tellsOfOther waits for the event by which an operator says that a cluster is another one's.
func tellsOfOther(t *testing.T, namespace, other, self string) {
	t.Helper()
	eventually(t, self+" says whose the cluster is", func() error {
		var list eventsv1.EventList
		if err := kube.List(t.Context(), &list, client.InNamespace(namespace)); err != nil {
			return err
		}
		for _, e := range list.Items {
			if e.Reason == "OtherOperator" && e.Type == "Warning" && strings.Contains(e.Note, `"`+other+`"`) &&
				strings.Contains(e.Note, `"`+self+`"`) {
				return nil
			}
		}
		return fmt.Errorf("no event among %d", len(list.Items))
	})
}

// versions are those of everything of a cluster: nobody has written while they are the same.
func versions(t *testing.T, namespace string) map[string]string {
	t.Helper()
	found := map[string]string{}
	for _, kind := range []schema.GroupVersionKind{
		v1alpha1.GroupVersion.WithKind("KafkaClusterList"), v1alpha1.GroupVersion.WithKind("KafkaTopicList"),
		v1alpha1.GroupVersion.WithKind("KafkaUserList"), appsv1.SchemeGroupVersion.WithKind("StatefulSetList"),
		corev1.SchemeGroupVersion.WithKind("SecretList"), corev1.SchemeGroupVersion.WithKind("ConfigMapList"),
		corev1.SchemeGroupVersion.WithKind("ServiceList"),
	} {
		list := &metav1.PartialObjectMetadataList{}
		list.SetGroupVersionKind(kind)
		if err := kube.List(t.Context(), list, client.InNamespace(namespace)); err != nil {
			t.Fatal(err)
		}
		for _, o := range list.Items {
			found[kind.Kind+" "+o.Name] = o.ResourceVersion
		}
	}
	return found
}

func TestTwoOperatorsOverOneNamespace(t *testing.T) {
	withCRDs(t)
	makeNamespace(t, "shared")
	first := start(t, "kafka-a", "castellan")
	manifest(t, "shared", oneNode)
	looksAfter(t, "shared", "kafka-a/castellan")
	manifest(t, "shared", oneTopic)
	manifest(t, "shared", oneUser)
	eventually(t, "the topic and the user are told what they wait for", func() error {
		topic, user := &v1alpha1.KafkaTopic{}, &v1alpha1.KafkaUser{}
		err := kube.Get(t.Context(), client.ObjectKey{Namespace: "shared", Name: "orders"}, topic)
		err = errors.Join(err, kube.Get(t.Context(), client.ObjectKey{Namespace: "shared", Name: "billing"}, user))
		if signers := topic.Status.Operator + " " + user.Status.Operator; signers != "kafka-a/castellan kafka-a/castellan" {
			return errors.Join(err, fmt.Errorf("they are signed %q", signers))
		}
		return err
	})

	second := start(t, "kafka-b", "castellan")
	tellsOfOther(t, "shared", "kafka-a/castellan", "kafka-b/castellan")
	// The first is gone now, and nobody changes anything: the second leaves all of it alone.
	first.stop()
	before := versions(t, "shared")
	second.stop()
	third := start(t, "kafka-b", "castellan")
	tellsOfOther(t, "shared", "kafka-a/castellan", "kafka-b/castellan")
	// It works all the same, on what is nobody else's.
	makeNamespace(t, "beside")
	manifest(t, "beside", oneNode)
	looksAfter(t, "beside", "kafka-b/castellan")
	if after := versions(t, "shared"); fmt.Sprint(before) != fmt.Sprint(after) {
		t.Errorf("another operator has written: %v, now %v", before, after)
	}
	third.stop()

	// Installed again under the same names it is the same one.
	uid := clusterIn(t, "shared").UID
	again := start(t, "kafka-a", "castellan")
	change(t, "shared", "1")
	looksAfter(t, "shared", "kafka-a/castellan")
	tellsOfOther(t, "beside", "kafka-b/castellan", "kafka-a/castellan")
	again.stop()

	// It has moved: the other one succeeds it, by word of who installs it.
	start(t, "kafka-b", "castellan", "--succeeds", "kafka-a/castellan")
	looksAfter(t, "shared", "kafka-b/castellan")
	change(t, "shared", "2")
	looksAfter(t, "shared", "kafka-b/castellan")
	if clusterIn(t, "shared").UID != uid {
		t.Error("it is another object")
	}
}

// change makes a change of the spec that an operator has to take up.
func change(t *testing.T, namespace, value string) {
	t.Helper()
	mustKubectl(t, "-n", namespace, "patch", "kafkaclusters.kafka.castellan.dev", "events", "--type=merge",
		"-p", `{"spec":{"config":{"num.partitions":"`+value+`"}}}`)
}

func TestOperatorsOfDisjointNamespacesWorkSideBySide(t *testing.T) {
	withCRDs(t)
	for _, namespace := range []string{"left", "right"} {
		makeNamespace(t, namespace)
		manifest(t, namespace, oneNode)
	}
	makeNamespace(t, "operators")
	// Two releases of one namespace: each has a lease of its own.
	start(t, "operators", "castellan-left", "--watch-namespaces", "left", "--leader-elect")
	start(t, "operators", "castellan-right", "--watch-namespaces", "right", "--leader-elect")
	looksAfter(t, "left", "operators/castellan-left")
	looksAfter(t, "right", "operators/castellan-right")
}

// Who may write specs may not write a status, and so can take no cluster from an operator, nor give one away.
func TestAUserCannotSayWhoLooksAfterACluster(t *testing.T) {
	withCRDs(t)
	makeNamespace(t, "claimed")
	o := manifest(t, "claimed", oneNode+"status: {operator: mine/castellan}\n")
	if c := clusterIn(t, "claimed"); c.Status.Operator != "" {
		t.Errorf("a manifest has recorded %q", c.Status.Operator)
	}
	if err := unstructured.SetNestedField(o.Object, "mine/castellan", "status", "operator"); err != nil {
		t.Fatal(err)
	}
	if err := kube.Update(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	if c := clusterIn(t, "claimed"); c.Status.Operator != "" {
		t.Errorf("an update has recorded %q", c.Status.Operator)
	}
}
