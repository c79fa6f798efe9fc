package e2e

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/castellan-dev/castellan/api/v1alpha1"
)

// strangers are somebody else's objects under names that cluster events needs.
const strangers = `
apiVersion: v1
kind: Service
metadata: {name: events-outside, labels: {app: web}}
spec: {selector: {app: web}, ports: [{name: http, port: 80}]}
---
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata: {name: events}
spec: {maxUnavailable: 1, selector: {matchLabels: {app: web}}}
---
apiVersion: v1
kind: Secret
metadata: {name: events-main-internal}
stringData: {key: theirs}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: events-accepted}
data: {key: theirs}
---
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: data-events-main-0}
spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Gi}}}
`

func TestCase27_WhatSomebodyElseHasIsNeitherTakenNorChangedNorRemoved(t *testing.T) {
	promise(t)
	ns := newNamespace(t)
	apply(t, ns, strangers)
	theirs := map[string]client.Object{
		"Service/events-outside":                   &corev1.Service{},
		"PodDisruptionBudget/events":               &policyv1.PodDisruptionBudget{},
		"Secret/events-main-internal":              &corev1.Secret{},
		"ConfigMap/events-accepted":                &corev1.ConfigMap{},
		"PersistentVolumeClaim/data-events-main-0": &corev1.PersistentVolumeClaim{},
	}
	for name, object := range theirs {
		mustGet(t, ns, name, object)
	}
	apply(t, ns, smallManifest(false, ""))
	cluster := clusterNamed(ns, sharedName)
	left := len(theirs)
	for name, before := range theirs {
		kind, short, _ := strings.Cut(name, "/")
		eventually(t, time.Minute, "the cluster says that "+name+" is in its way", func(ctx context.Context) error {
			return isStalled(ctx, cluster, "Invalid", []string{kind + " " + short + " exists and is not this KafkaCluster's"})
		})
		now := before.DeepCopyObject().(client.Object)
		mustGet(t, ns, name, now)
		if now.GetUID() != before.GetUID() || now.GetGeneration() != before.GetGeneration() ||
			!equality.Semantic.DeepEqual(now.GetLabels(), before.GetLabels()) || len(now.GetOwnerReferences()) != 0 {
			t.Errorf("%s was %v and is %v", name, before, now)
		}
		if pods, err := podsOf(t.Context(), ns, sharedName); err != nil || len(pods) != 0 {
			t.Errorf("%d pods although %d names are taken (error %v)", len(pods), left, err)
		}
		if err := kube.Delete(t.Context(), now); err != nil {
			t.Fatal(err)
		}
		left--
	}
	waitReady(t, 3*time.Minute, cluster)
	apply(t, ns, adminManifest)
	waitReady(t, time.Minute, userNamed(ns, adminUser))

	pods := lives(t, ns, sharedName)
	mustComeBackLabelled(t, ns)
	mustUndoEdits(t, ns)
	mustKeepPorts(t, ns)
	mustLeaveACopyOfALabelAlone(t, ns)
	mustKeepItsFinalizer(t, ns)
	mustLiveOn(t, ns, sharedName, pods)
	waitReady(t, time.Minute, cluster)
}

// mustComeBackLabelled takes the labels off what is the cluster's.
func mustComeBackLabelled(t *testing.T, ns string) {
	t.Helper()
	for name, object := range map[string]client.Object{
		"Service/events-outside":                   &corev1.Service{},
		"Secret/events-ca":                         &corev1.Secret{},
		"Secret/events-main-internal":              &corev1.Secret{},
		"ConfigMap/events-accepted":                &corev1.ConfigMap{},
		"StatefulSet/events-main":                  &appsv1.StatefulSet{},
		"PersistentVolumeClaim/data-events-main-0": &corev1.PersistentVolumeClaim{},
	} {
		mustGet(t, ns, name, object)
		labels, uid := object.GetLabels(), object.GetUID()
		none := client.RawPatch(types.MergePatchType, []byte(`{"metadata":{"labels":null}}`))
		if err := kube.Patch(t.Context(), object, none); err != nil {
			t.Fatal(err)
		}
		eventually(t, 30*time.Second, name+" has its labels back", func(ctx context.Context) error {
			key := client.ObjectKeyFromObject(object)
			if err := kube.Get(ctx, key, object); err != nil {
				return err
			}
			if !equality.Semantic.DeepEqual(object.GetLabels(), labels) || object.GetUID() != uid {
				return fmt.Errorf("%v, expected %v", object.GetLabels(), labels)
			}
			return nil
		})
	}
}

// mustUndoEdits edits what would make Kubernetes replace pods or delete disks by itself.
func mustUndoEdits(t *testing.T, ns string) {
	t.Helper()
	set := &appsv1.StatefulSet{}
	mustGet(t, ns, "StatefulSet/events-main", set)
	before := set.Spec.DeepCopy()
	for _, edit := range []string{
		`{"spec":{"updateStrategy":{"type":"RollingUpdate"},"persistentVolumeClaimRetentionPolicy":{"whenScaled":"Delete"}}}`,
		`{"spec":{"template":{"spec":{"containers":[{"name":"kafka","image":"somebody/kafka:4.3.1"}]}}}}`,
	} {
		patch := client.RawPatch(types.StrategicMergePatchType, []byte(edit))
		if err := kube.Patch(t.Context(), set, patch); err != nil {
			t.Fatal(err)
		}
		eventually(t, 30*time.Second, "the edit is undone", func(ctx context.Context) error {
			if err := kube.Get(ctx, client.ObjectKeyFromObject(set), set); err != nil {
				return err
			}
			if !equality.Semantic.DeepEqual(&set.Spec, before) {
				return fmt.Errorf("%+v, expected %+v", set.Spec, before)
			}
			return nil
		})
	}
}

// mustKeepPorts deletes the Services by which clients come from outside.
func mustKeepPorts(t *testing.T, ns string) {
	t.Helper()
	for _, name := range []string{"events-outside", "events-main-0-outside"} {
		service := &corev1.Service{}
		mustGet(t, ns, "Service/"+name, service)
		port, uid := service.Spec.Ports[0].NodePort, service.UID
		if err := kube.Delete(t.Context(), service); err != nil {
			t.Fatal(err)
		}
		eventually(t, 30*time.Second, "Service "+name+" is there again", func(ctx context.Context) error {
			if err := kube.Get(ctx, client.ObjectKey{Namespace: ns, Name: name}, service); err != nil {
				return err
			}
			if service.UID == uid {
				return errors.New("it is not gone yet")
			}
			return nil
		})
		if got := service.Spec.Ports[0].NodePort; got != port {
			t.Errorf("Service %s had port %d and has %d", name, port, got)
		}
	}
}

// mustLeaveACopyOfALabelAlone exposes what is the cluster's, which copies its labels, and lets a restart go by: the
// surplus of the cluster is removed, and this is none.
func mustLeaveACopyOfALabelAlone(t *testing.T, ns string) {
	t.Helper()
	if _, err := kubectl(t.Context(), "expose", "service", "events-outside", "-n", ns, "--name=events-mine", "--port=80"); err != nil {
		t.Fatal(err)
	}
	mine, stale := &corev1.Service{}, &corev1.Service{}
	mustGet(t, ns, "Service/events-mine", mine)
	if mine.Labels[v1alpha1.LabelCluster] != sharedName {
		t.Fatalf("kubectl expose copied no labels: %v", mine.Labels)
	}
	mustGet(t, ns, "Service/events-outside", stale)
	owned := mine.DeepCopy()
	owned.ObjectMeta = metav1.ObjectMeta{
		Namespace: ns, Name: "events-surplus", Labels: mine.Labels, OwnerReferences: stale.OwnerReferences,
	}
	owned.Spec.ClusterIP, owned.Spec.ClusterIPs = "", nil
	if err := kube.Create(t.Context(), owned); err != nil {
		t.Fatal(err)
	}
	eventually(t, time.Minute, "the cluster's own surplus is removed", func(ctx context.Context) error {
		if err := kube.Get(ctx, client.ObjectKeyFromObject(owned), owned); client.IgnoreNotFound(err) != nil || err == nil {
			return fmt.Errorf("it is there (error %v)", err)
		}
		return nil
	})
	mustGet(t, ns, "Service/events-mine", mine)
	if mine.DeletionTimestamp != nil || len(mine.OwnerReferences) != 0 {
		t.Errorf("what kubectl expose made is %v", mine)
	}
}

// mustKeepItsFinalizer replaces a topic by its manifest, which takes off all that the manifest does not hold.
func mustKeepItsFinalizer(t *testing.T, ns string) {
	t.Helper()
	apply(t, ns, topicManifest("replaced", ""))
	topic := topicNamed(ns, "replaced")
	waitReady(t, time.Minute, topic)
	manifest := fmt.Sprintf(`{"apiVersion":"kafka.castellan.dev/v1alpha1","kind":"KafkaTopic",
		"metadata":{"name":"replaced","namespace":%q},"spec":{"clusterRef":{"name":"events"}}}`, ns)
	file := filepath.Join(t.TempDir(), "topic.json")
	if err := os.WriteFile(file, []byte(manifest), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := kubectl(t.Context(), "replace", "-f", file); err != nil {
		t.Fatal(err)
	}
	eventually(t, 15*time.Second, "the topic has its finalizer back", func(ctx context.Context) error {
		if err := refresh(ctx, topic); err != nil {
			return err
		}
		if !slices.Contains(topic.Finalizers, v1alpha1.Finalizer) {
			return fmt.Errorf("finalizers %v", topic.Finalizers)
		}
		return nil
	})
	mustGo(t, topic)
	names, err := loginOf(t, ns, adminUser).at(t, ns, sharedName, "outside").admin(t).ListTopics(t.Context())
	if err != nil || names.Has("replaced") {
		t.Errorf("the object is gone, and its topic stands in Kafka (error %v)", err)
	}
}

// mustGet reads an object named Kind/name.
func mustGet(t *testing.T, ns, name string, object client.Object) {
	t.Helper()
	_, short, _ := strings.Cut(name, "/")
	if err := kube.Get(t.Context(), client.ObjectKey{Namespace: ns, Name: short}, object); err != nil {
		t.Fatalf("read %s: %v", name, err)
	}
}
