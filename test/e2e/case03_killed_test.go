package e2e

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	appsv1 "k8s.io/api/apps/v1"

	"github.com/castellan-dev/castellan/api/v1alpha1"
)

// phase tells apart every state of a cluster between nothing and Ready that can be seen from outside: what was written
// ahead, what exists, what was said to which pod, and how far each pod is.
func phase(ctx context.Context, namespace, name string) (string, error) {
	c := clusterNamed(namespace, name)
	if err := refresh(ctx, c); err != nil {
		return "", err
	}
	var secrets corev1.SecretList
	var services corev1.ServiceList
	var claims corev1.PersistentVolumeClaimList
	var sets appsv1.StatefulSetList
	var configs corev1.ConfigMapList
	ours := client.MatchingLabels{v1alpha1.LabelCluster: name}
	for _, list := range []client.ObjectList{&secrets, &services, &claims, &sets, &configs} {
		if err := kube.List(ctx, list, client.InNamespace(namespace), ours); err != nil {
			return "", err
		}
	}
	pods, err := podsOf(ctx, namespace, name)
	if err != nil {
		return "", err
	}
	states := make([]string, len(pods))
	for i, pod := range pods {
		states[i] = podPhase(&pod)
	}
	s := c.Status
	return fmt.Sprintf(
		"id:%v pools:%d voters:%d bootstrapped:%v secrets:%d services:%d claims:%d sets:%d configs:%d pods:%s brokers:%s",
		s.ClusterID != "",
		len(s.Pools),
		len(s.InitialVoters),
		s.Bootstrapped,
		len(secrets.Items),
		len(services.Items),
		len(claims.Items),
		len(sets.Items),
		len(configs.Items),
		strings.Join(states, ","),
		s.Brokers,
	), nil
}

func podPhase(pod *corev1.Pod) string {
	switch {
	case pod.DeletionTimestamp != nil:
		return "stopping"
	case podReady(pod):
		return "ready"
	case pod.Annotations[v1alpha1.AnnotationFormat] != "":
		return "told"
	case pod.Status.Phase == corev1.PodRunning:
		return "runs"
	default:
		return "new"
	}
}

// killAtEveryPhase kills the operator once at each phase that it has not seen before, until the cluster is Ready in its
// present generation. It returns the phases.
func killAtEveryPhase(t *testing.T, namespace, name string, most int) (phases []string) {
	t.Helper()
	seen := map[string]bool{}
	c := clusterNamed(namespace, name)
	var id string
	eventually(
		t,
		8*time.Minute,
		"the cluster is Ready although the operator is killed at every phase",
		func(ctx context.Context) error {
			ready := isReady(ctx, c)
			switch {
			case id == "":
				id = c.Status.ClusterID
			case c.Status.ClusterID != id:
				t.Fatalf("the cluster id changed from %s to %q", id, c.Status.ClusterID)
			}
			if ready == nil {
				return nil
			}
			now, err := phase(ctx, namespace, name)
			if err != nil || seen[now] || len(phases) >= most {
				return fmt.Errorf("%w; phase %s (error %v, %d kills)", ready, now, err, len(phases))
			}
			seen[now] = true
			phases = append(phases, now)
			if err := killOperator(ctx); err != nil {
				return err
			}
			say(t, "operator killed (%d) at %s", len(phases), now)
			return ready
		},
	)
	return phases
}

func TestCase03_TheOperatorIsKilledAtEveryPhaseOfCreationAndAtEveryStepOfARoll(t *testing.T) {
	long(t)
	const mostKills = 14
	ns := newNamespace(t)
	waitOperator(t)
	apply(t, ns, sharedManifest+"\n---\n"+adminManifest)
	created := killAtEveryPhase(t, ns, sharedName, mostKills)
	waitOperator(t)
	waitReady(t, 2*time.Minute, userNamed(ns, adminUser))
	c := clusterNamed(ns, sharedName)
	if err := refresh(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	l := loginOf(t, ns, adminUser).at(t, ns, sharedName, "outside")
	cl, admin := l.client(t), l.admin(t)
	metadata, err := admin.BrokerMetadata(t.Context())
	if err != nil || metadata.Cluster != c.Status.ClusterID {
		t.Errorf("Kafka's cluster id is %q (error %v), status says %s", metadata.Cluster, err, c.Status.ClusterID)
	}
	mustBeOneQuorum(t, cl, []int32{0, 1, 2}, []int32{0, 1, 2})
	if len(created) < 5 {
		t.Errorf("only %d phases of creation were seen: %v", len(created), created)
	}

	watched := watchPods(t, ns, sharedName)
	change(t, c, func(c kafkaCluster) { setConfig(c, "queued.max.requests", "611") })
	rolled := killAtEveryPhase(t, ns, sharedName, mostKills)
	waitOperator(t)
	if names := watched.restarted(); len(names) != 3 {
		t.Errorf("%d restarts, expected one of each of 3 pods:%s", len(names), watched)
	}
	if most, when := watched.mostDown(); most > 1 {
		t.Errorf("%d pods were down at one time (%s):%s", most, when, watched)
	}
	mustBeOneQuorum(t, cl, []int32{0, 1, 2}, []int32{0, 1, 2})
	for id := range int32(3) {
		if value, err := brokerValue(t.Context(), admin, id, "queued.max.requests"); value != "611" {
			t.Errorf("broker %d has queued.max.requests=%s (error %v), expected 611", id, value, err)
		}
	}
	if len(rolled) < 4 {
		t.Errorf("only %d steps of the roll were seen: %v", len(rolled), rolled)
	}

	// A running cluster of three is also the one that is slow to go: its last nodes have no quorum to take leave of.
	mustGo(t, c)
	eventually(t, deletionLimit, "its pods are gone", func(ctx context.Context) error {
		pods, err := podsOf(ctx, ns, sharedName)
		if err != nil || len(pods) > 0 {
			return fmt.Errorf("%d pods are still there (error %w)", len(pods), err)
		}
		return nil
	})
}

func setConfig(c kafkaCluster, key, value string) {
	if c.Spec.Config == nil {
		c.Spec.Config = v1alpha1.Config{}
	}
	c.Spec.Config[key] = value
}
