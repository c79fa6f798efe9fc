package e2e

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// artifactStore keeps what one wants to see after a failure.
type artifactStore struct{ path string }

var artifacts artifactStore

func (a *artifactStore) used() bool { return a.path != "" }

func (a *artifactStore) dir() string {
	if a.path == "" {
		a.path = os.Getenv("CASTELLAN_E2E_ARTIFACTS")
		if a.path == "" {
			a.path, _ = os.MkdirTemp("", "castellan-e2e-")
		}
	}
	return a.path
}

func (a *artifactStore) collectIfFailed(t *testing.T, namespace string) {
	if t.Failed() {
		a.collect(t, namespace)
	}
}

// collect writes descriptions of a namespace's objects and the logs of its pods and of the operator. It is best effort.
func (a *artifactStore) collect(t *testing.T, namespace string) {
	ctx, cancel := context.WithTimeout(context.Background(), pace.Of(time.Minute))
	defer cancel()
	dir := filepath.Join(a.dir(), strings.ReplaceAll(t.Name(), "/", "_"))
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Logf("no artifacts: %v", err)
		return
	}
	keep := func(name string, args ...string) {
		out, err := kubectl(ctx, args...)
		if err != nil {
			out += "\n" + err.Error()
		}
		_ = os.WriteFile(filepath.Join(dir, name), []byte(out), 0o644)
	}
	keep("kafka.yaml", "get", "kafkaclusters,kafkatopics,kafkausers", "-n", namespace, "-o", "yaml")
	keep(
		"describe.txt",
		"describe",
		"kafkaclusters,kafkatopics,kafkausers,statefulsets,pods,pvc,services,pdb",
		"-n",
		namespace,
	)
	keep("configmaps.yaml", "get", "configmaps", "-n", namespace, "-o", "yaml")
	keep("events.txt", "get", "events", "-n", namespace, "--sort-by=.lastTimestamp")
	var pods corev1.PodList
	if err := kube.List(ctx, &pods, client.InNamespace(namespace)); err == nil {
		for _, pod := range pods.Items {
			keep(pod.Name+".log", "logs", "-n", namespace, pod.Name, "--all-containers", "--tail=2000")
			keep(pod.Name+".previous.log", "logs", "-n", namespace, pod.Name, "--all-containers", "--tail=500", "--previous")
		}
	}
	running, _ := operatorPods(ctx)
	for _, pod := range running {
		keep("operator-"+pod.Name+".log", "logs", "-n", pod.Namespace, pod.Name, "--tail=3000")
	}
	t.Logf("descriptions and logs: %s", dir)
}
