package e2e

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
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
		{"go", "build", "-trimpath", "-buildvcs=false", "-ldflags=-s -w -buildid= -X main.version=e2e-other", "-o", binary, "."},
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

// TestCase07 upgrades to an operator that is another program and that renders every pod differently: Kafka's image comes
// from the registry under its long name, which is the operator's choice and not the user's.
func TestCase07_AnOtherOperatorRestartsNobody(t *testing.T) {
	if !isLocal() {
		t.Skip("the other image can only be loaded into the local cluster")
	}
	const repository = "docker.io/apache/kafka"
	ns := shared(t)
	before := lives(t, ns, sharedName)
	installed := operator(t).Spec.Template.Spec.Containers[0].Image
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 4*time.Minute)
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
	eventually(t, time.Minute, "the new operator has seen the cluster, and says what waits for the next restart", func(ctx context.Context) error {
		if err := isReady(ctx, cluster); err != nil {
			return err
		}
		if text := told(cluster.conditions()); !strings.Contains(text, "next restart") {
			return fmt.Errorf("its conditions: %s", text)
		}
		return nil
	})
	always(t, 20*time.Second, "the cluster stays Ready", func(ctx context.Context) error { return isReady(ctx, cluster) })
	mustLiveOn(t, ns, sharedName, before)

	change(t, cluster, func(c kafkaCluster) { setConfig(c, "queued.max.requests", "601") })
	waitReady(t, 5*time.Minute, cluster)
	pods, err := podsOf(t.Context(), ns, sharedName)
	if err != nil {
		t.Fatal(err)
	}
	for _, pod := range pods {
		if image := pod.Spec.Containers[0].Image; image != repository+":"+kafkaVersion {
			t.Errorf("pod %s, restarted for the user's sake, still has what the old operator rendered: %s", pod.Name, image)
		}
	}
}

func TestCase07_TheOperatorAloneIsRestartedAndNobodyElse(t *testing.T) {
	ns := shared(t)
	before := lives(t, ns, sharedName)
	waitQuiet(t)
	mark := auditMarkIfLocal(t)
	if err := killOperator(t.Context()); err != nil {
		t.Fatal(err)
	}
	waitOperator(t)
	waitReady(t, time.Minute, clusterNamed(ns, sharedName))
	always(t, 10*time.Second, "the cluster stays Ready", func(ctx context.Context) error { return isReady(ctx, clusterNamed(ns, sharedName)) })
	mustLiveOn(t, ns, sharedName, before)
	if mark >= 0 {
		if writes, _ := auditSince(t, mark, operatorUser(t)); len(writes) > 0 {
			t.Errorf("an operator that starts beside a converged cluster sent %d writes:%s", len(writes), tally(writes))
		}
	}
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
