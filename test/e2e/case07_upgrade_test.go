package e2e

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/castellan-dev/castellan/api/v1alpha1"
)

// otherImage builds the operator as another version: another program, another hash, another image.
func otherImage(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "castellan-other-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	binary, folder, reference := filepath.Join(dir, "castellan"), filepath.Join(dir, "image"), "castellan:e2e-other"
	t.Setenv("CGO_ENABLED", "0")
	for _, command := range [][]string{
		{"go", "build", "-trimpath", "-buildvcs=false", "-ldflags=-s -w -buildid= -X " +
			"main.version=e2e-other", "-o", binary, "."},
		{"bash", "hack/localcluster.sh", "image", "--from-binary", binary, "--ref", reference, "--out", folder},
	} {
		if _, err := run(t.Context(), nil, command[0], command[1:]...); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := localcluster(t.Context(), "load-image", folder); err != nil {
		t.Fatal(err)
	}
	return reference
}

// TestCase07 upgrades to an operator that is another program and that renders every pod differently: Kafka's image
// comes from the registry under its long name, which is the operator's choice and not the user's.
func TestCase07_AnOtherOperatorRestartsNobody(t *testing.T) {
	promise(t)
	if !isLocal() {
		t.Skip("the other image can only be loaded into the local cluster")
	}
	const repository = "docker.io/apache/kafka"
	ns := shared(t)
	before := lives(t, ns, sharedName)
	f := startFlow(t, common.login(t), sharedTopic, "upgraded")
	installed := operator(t).Spec.Template.Spec.Containers[0].Image
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), pace.Of(4*time.Minute))
		defer cancel()
		if err := installOperator(ctx, installed); err != nil {
			t.Errorf("put the operator back: %v", err)
		}
	})
	if err := installOperator(t.Context(), otherImage(t), "kafkaImage.repository="+repository); err != nil {
		t.Fatal(err)
	}
	waitOperator(t)
	say(t, "the operator is another one")
	cluster := clusterNamed(ns, sharedName)
	eventually(
		t,
		time.Minute,
		"the new operator has seen the cluster, and says what waits for the next restart",
		func(ctx context.Context) error {
			if err := isReady(ctx, cluster); err != nil {
				return err
			}
			if text := told(cluster.conditions()); !strings.Contains(text, "next restart") {
				return fmt.Errorf("its conditions: %s", text)
			}
			return nil
		},
	)
	always(t, 20*time.Second, "the cluster stays Ready", func(ctx context.Context) error { return isReady(ctx, cluster) })
	mustLiveOn(t, ns, sharedName, before)

	annotate(t, cluster, v1alpha1.AnnotationRestart, asked("0"))
	t.Cleanup(func() {
		_ = tryChange(
			context.Background(),
			cluster,
			func(c kafkaCluster) { delete(c.Annotations, v1alpha1.AnnotationRestart) },
		)
	})
	pod := &corev1.Pod{}
	eventually(
		t,
		2*time.Minute,
		"broker 0, restarted for the user's sake, has what the new operator renders",
		func(ctx context.Context) error {
			if err := kube.Get(ctx, client.ObjectKey{Namespace: ns, Name: "events-main-0"}, pod); err != nil {
				return err
			}
			if image := pod.Spec.Containers[0].Image; image != repository+":"+kafkaVersion || !podReady(pod) {
				return fmt.Errorf("it has %s, ready %v", image, podReady(pod))
			}
			return nil
		},
	)
	waitReady(t, time.Minute, cluster)
	delete(before, pod.Name)
	mustLiveOn(t, ns, sharedName, before)
	f.stopServed(t)
}

func TestCase07_TheOperatorAloneIsRestartedAndNobodyElse(t *testing.T) {
	promise(t)
	ns := shared(t)
	before := lives(t, ns, sharedName)
	waitQuiet(t)
	mark := auditMarkIfLocal(t)
	if err := killOperator(t.Context()); err != nil {
		t.Fatal(err)
	}
	waitOperator(t)
	waitReady(t, time.Minute, clusterNamed(ns, sharedName))
	always(
		t,
		10*time.Second,
		"the cluster stays Ready",
		func(ctx context.Context) error { return isReady(ctx, clusterNamed(ns, sharedName)) },
	)
	mustLiveOn(t, ns, sharedName, before)
	if mark >= 0 {
		if writes, _ := auditSince(t, mark, operatorUser(t)); len(writes) > 0 {
			t.Errorf("an operator that starts beside a converged cluster sent %d writes:%s", len(writes), tally(writes))
		}
	}
}

// A cluster works without its operator: a broker that is killed comes back on its disk, and clients go on.
func TestCase07_WithoutAnOperatorABrokerIsKilledComesBackAndNoAcknowledgedRecordIsLost(t *testing.T) {
	promise(t)
	ns := shared(t)
	admin := sharedAdmin(t)
	waitInSync(t, admin)
	f := startFlow(t, common.login(t), sharedTopic, "alone")
	t.Cleanup(func() {
		ctx := context.Background()
		if err := errors.Join(scaleOperator(ctx, 1), pollOperator(ctx)); err != nil {
			t.Errorf("start the operator again: %v", err)
		}
	})
	if err := scaleOperator(t.Context(), 0); err != nil {
		t.Fatal(err)
	}
	eventually(t, time.Minute, "no operator runs", func(ctx context.Context) error {
		pods, err := operatorPods(ctx)
		if err == nil && len(pods) > 0 {
			err = fmt.Errorf("%d pods", len(pods))
		}
		return err
	})
	pod := getPod(t, ns, "events-main-1")
	if err := kube.Delete(t.Context(), pod, client.GracePeriodSeconds(0)); err != nil {
		t.Fatal(err)
	}
	say(t, "pod %s of broker 1 is killed", pod.Name)
	f.progress(t, deliveryTimeout)
	eventually(t, 2*time.Minute, "another pod of the same name is ready", func(ctx context.Context) error {
		now := &corev1.Pod{}
		if err := kube.Get(ctx, client.ObjectKeyFromObject(pod), now); err != nil {
			return err
		}
		if now.UID == pod.UID || !podReady(now) {
			return fmt.Errorf("it is pod %s, ready %v", now.UID, podReady(now))
		}
		return nil
	})
	waitInSync(t, admin)
	f.stopServed(t)
	mustHaveBrokers(t, admin, 0, 1, 2)
}

// scaleOperator says how many pods of the operator there are to be.
func scaleOperator(ctx context.Context, replicas int) error {
	deployment, err := findOperator(ctx)
	if err != nil {
		return err
	}
	patch := client.RawPatch(types.MergePatchType, fmt.Appendf(nil, `{"spec":{"replicas":%d}}`, replicas))
	return kube.Patch(ctx, deployment, patch)
}

// waitQuiet waits until the operator has nothing to write any more: what a case before this one began is over.
func waitQuiet(t *testing.T) {
	t.Helper()
	if !isLocal() {
		return
	}
	user, mark, since := operatorUser(t), auditMark(t), time.Now()
	eventually(t, 2*time.Minute, "the operator has written nothing for 5 seconds", func(context.Context) error {
		if writes, _ := auditSince(t, mark, user); len(writes) > 0 {
			mark, since = auditMark(t), time.Now()
			return fmt.Errorf("it wrote:%s", tally(writes))
		}
		if quiet := time.Since(since); quiet < 5*time.Second {
			return fmt.Errorf("it has been quiet for %s", quiet)
		}
		return nil
	})
}

func auditMarkIfLocal(t *testing.T) int64 {
	if !isLocal() {
		return -1
	}
	return auditMark(t)
}

// claimUIDs are the claims of a cluster, by name.
func claimUIDs(t *testing.T, ns string) map[string]string {
	t.Helper()
	var claims corev1.PersistentVolumeClaimList
	if err := kube.List(t.Context(), &claims, client.InNamespace(ns)); err != nil {
		t.Fatal(err)
	}
	uids := map[string]string{}
	for _, claim := range claims.Items {
		uids[claim.Name] = string(claim.UID)
	}
	return uids
}
