package e2e

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// run runs a program in the repository's top folder and returns what it printed.
func run(ctx context.Context, stdin []byte, name string, args ...string) (string, error) {
	command := exec.CommandContext(ctx, name, args...)
	command.Dir = repository
	command.Env = os.Environ()
	if kubeconfig != "" {
		command.Env = append(command.Env, "KUBECONFIG="+kubeconfig)
	}
	command.Stdin = bytes.NewReader(stdin)
	var stdout, stderr bytes.Buffer
	command.Stdout, command.Stderr = &stdout, &stderr
	if err := command.Run(); err != nil {
		return stdout.String(), fmt.Errorf(
			"%s %s: %w\n%s",
			name,
			strings.Join(args, " "),
			err,
			tail(stderr.String()+stdout.String()),
		)
	}
	return stdout.String(), nil
}

func tail(text string) string {
	const most = 4000
	if len(text) > most {
		return "..." + text[len(text)-most:]
	}
	return text
}

// script runs one of the repository's scripts and returns its last line.
func script(ctx context.Context, args ...string) (string, error) {
	out, err := run(ctx, nil, "bash", args...)
	lines := strings.Split(strings.TrimSpace(out), "\n")
	return lines[len(lines)-1], err
}

// localcluster runs a command of hack/localcluster, on the cluster that CASTELLAN_LOCALCLUSTER means, else on the
// demo's.
func localcluster(ctx context.Context, args ...string) (string, error) {
	return script(ctx, append([]string{"hack/localcluster.sh"}, args...)...)
}

// isLocal tells whether the cluster is hack/localcluster's, whose nodes can be powered off and whose audit log we can
// read.
func isLocal() bool { return os.Getenv("CASTELLAN_E2E_KUBECONFIG") == "" }

func ensureKubernetes(ctx context.Context) (string, error) {
	if !isLocal() {
		return os.Getenv("CASTELLAN_E2E_KUBECONFIG"), nil
	}
	if _, err := localcluster(ctx, "up"); err != nil {
		return "", fmt.Errorf("start the local cluster: %w", err)
	}
	return localcluster(ctx, "kubeconfig")
}

// release is the chart's release; its namespace is the documentation's.
const release, releaseNamespace = "castellan", "castellan-system"

// installLimit is longer than any machine takes: nothing tells yet how slow this one is.
const installLimit = 10 * time.Minute

// installOperator installs or upgrades the chart with an image and more values, and waits until it works.
func installOperator(ctx context.Context, image string, values ...string) error {
	var flags []string
	for _, value := range values {
		flags = append(flags, "--set", value)
	}
	return upgradeOperator(ctx, image, flags...)
}

// upgradeOperator installs the operator, or upgrades it, with more flags of Helm.
func upgradeOperator(ctx context.Context, image string, flags ...string) error {
	helm, err := script(ctx, "hack/tool.sh", "helm")
	if err != nil {
		return err
	}
	name, tag := image[:strings.LastIndex(image, ":")], image[strings.LastIndex(image, ":")+1:]
	args := []string{"upgrade", "--install", release, "charts/castellan", "--kubeconfig", kubeconfig,
		"--namespace", releaseNamespace, "--create-namespace", "--wait", "--timeout", installLimit.String(),
		"--set-string", "image.repository=" + name, "--set-string", "image.tag=" + tag}
	_, err = run(ctx, nil, helm, append(args, flags...)...)
	return err
}

// ensureOperator installs the operator as the documentation says and waits until it works.
func ensureOperator(ctx context.Context) error {
	if os.Getenv("CASTELLAN_E2E_INSTALLED") == "" {
		if !isLocal() {
			return errors.New(
				"CASTELLAN_E2E_KUBECONFIG names a cluster of your own: install the operator there and set CASTELLAN_E2E_INSTALLED",
			)
		}
		image, err := script(ctx, "hack/image.sh", "load")
		if err != nil {
			return fmt.Errorf("build the operator's image: %w", err)
		}
		if err := installOperator(ctx, image); err != nil {
			return fmt.Errorf("install the operator: %w", err)
		}
	}
	return wait.PollUntilContextTimeout(ctx, pollInterval, installLimit, true, func(ctx context.Context) (bool, error) {
		deployment, err := findOperator(ctx)
		return err == nil && deployment.Status.ReadyReplicas > 0, nil
	})
}

// findOperator returns the operator's Deployment, in whatever namespace it was installed.
func findOperator(ctx context.Context) (*appsv1.Deployment, error) {
	var list appsv1.DeploymentList
	if err := kube.List(ctx, &list, client.MatchingLabels{"app.kubernetes.io/name": "castellan"}); err != nil {
		return nil, err
	}
	if len(list.Items) != 1 {
		return nil, fmt.Errorf("%d Deployments with the label app.kubernetes.io/name=castellan, expected 1", len(list.Items))
	}
	return &list.Items[0], nil
}

func operator(t *testing.T) *appsv1.Deployment {
	t.Helper()
	deployment, err := findOperator(t.Context())
	if err != nil {
		t.Fatalf("find the operator: %v", err)
	}
	return deployment
}

// operatorUser is the operator's name in the audit log.
func operatorUser(t *testing.T) string {
	d := operator(t)
	return fmt.Sprintf("system:serviceaccount:%s:%s", d.Namespace, d.Spec.Template.Spec.ServiceAccountName)
}

func operatorPods(ctx context.Context) ([]corev1.Pod, error) {
	deployment, err := findOperator(ctx)
	if err != nil {
		return nil, err
	}
	var pods corev1.PodList
	err = kube.List(
		ctx,
		&pods,
		client.InNamespace(deployment.Namespace),
		client.MatchingLabels(deployment.Spec.Selector.MatchLabels),
	)
	return pods.Items, err
}

// killOperator kills the operator the hard way: no grace, no release of its lease. The lease is removed as if its time
// had passed, because waiting for that is all that the next 15 seconds would test.
func killOperator(ctx context.Context) error {
	pods, err := operatorPods(ctx)
	if err != nil {
		return err
	}
	for i := range pods {
		if err := kube.Delete(ctx, &pods[i], client.GracePeriodSeconds(0)); client.IgnoreNotFound(err) != nil {
			return fmt.Errorf("kill the operator: %w", err)
		}
	}
	deployment, err := findOperator(ctx)
	if err != nil {
		return err
	}
	return client.IgnoreNotFound(kube.DeleteAllOf(ctx, &coordinationv1.Lease{}, client.InNamespace(deployment.Namespace)))
}

// waitOperator waits until one operator is ready and leads.
func waitOperator(t *testing.T) {
	t.Helper()
	if err := pollOperator(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func pollOperator(ctx context.Context) error {
	_, err := poll(ctx, 2*time.Minute, "the operator is back", func(ctx context.Context) error {
		deployment, err := findOperator(ctx)
		if err != nil {
			return err
		}
		pods, err := operatorPods(ctx)
		if err != nil {
			return err
		}
		var leases coordinationv1.LeaseList
		if err := kube.List(ctx, &leases, client.InNamespace(deployment.Namespace)); err != nil {
			return err
		}
		for _, pod := range pods {
			for _, lease := range leases.Items {
				holder := lease.Spec.HolderIdentity
				if pod.DeletionTimestamp == nil && podReady(&pod) && holder != nil && strings.HasPrefix(*holder, pod.Name) {
					return nil
				}
			}
		}
		return fmt.Errorf("%d operator pods, none of which is ready and holds the lease", len(pods))
	})
	return err
}

// kubectl is the program, which the local cluster brings along when the machine has none.
var kubectlPath = sync.OnceValues(func() (string, error) {
	if path, err := exec.LookPath("kubectl"); err == nil {
		return path, nil
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", err
	}
	if own := os.Getenv("CASTELLAN_CACHE"); own != "" {
		cache = filepath.Dir(own)
	}
	found, err := filepath.Glob(filepath.Join(cache, "castellan", "bin", "components-*", "kubectl"))
	if err != nil || len(found) == 0 {
		return "", fmt.Errorf("no kubectl on the PATH and none in %s (%w)", cache, err)
	}
	return found[0], nil
})

// kubectl runs kubectl, and again while it has not reached the API server.
func kubectl(ctx context.Context, args ...string) (string, error) {
	path, err := kubectlPath()
	if err != nil {
		return "", err
	}
	for deadline := time.Now().Add(pace.Of(time.Minute)); ; {
		out, err := run(ctx, nil, path, args...)
		if err == nil || !strings.Contains(err.Error(), "Unable to connect to the server") || time.Now().After(deadline) {
			return out, err
		}
		select {
		case <-ctx.Done():
			return out, err
		case <-time.After(pollInterval):
		}
	}
}
