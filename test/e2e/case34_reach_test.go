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
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/castellan-dev/castellan/api/v1alpha1"
)

// Every broker of the shared cluster is reached from inside at every listener, and from here where the listener is for
// clients outside: the probe goes the way of a client with the files of its Secret.
func TestCase34_EveryBrokerIsReachedAtItsAdvertisedAddress(t *testing.T) {
	promise(t)
	ns := shared(t)
	waitReached(t, ns, map[string]metav1.ConditionStatus{"inside": metav1.ConditionTrue, "outside": metav1.ConditionTrue,
		"secure": metav1.ConditionTrue, "securenp": metav1.ConditionTrue})
	binary, err := script(t.Context(), "hack/image.sh", "binary")
	if err != nil {
		t.Fatal(err)
	}
	secret := secretOf(t, ns, adminUser).Data
	for _, key := range []string{"client.securenp.properties", "client.outside.properties"} {
		said, err := probe(t, binary, key, secret[key])
		if err != nil || !strings.Contains(said, "Every broker is reached (3).") {
			t.Errorf("with %s: %v\n%s", key, err, said)
		}
	}
	said, err := probe(t, binary, "client.secure.properties", secret["client.secure.properties"])
	if err == nil || !strings.Contains(said, "at events-secure."+ns+".svc.cluster.local:9095 fails (resolves): DNS does not ") {
		t.Errorf("of names that are known inside alone it says: %v\n%s", err, said)
	}
}

// probe runs the subcommand on this machine with a file that holds a login, which nothing may show.
func probe(t *testing.T, binary, name string, config []byte) (string, error) {
	t.Helper()
	file := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(file, config, 0o600); err != nil {
		t.Fatal(err)
	}
	return run(t.Context(), nil, binary, "probe", "--config", file, "--timeout", pace.Of(4*time.Second).String())
}

// waitReached waits until the status says of each listener what it should.
func waitReached(t *testing.T, ns string, want map[string]metav1.ConditionStatus) map[string]v1alpha1.ListenerStatus {
	t.Helper()
	found := map[string]v1alpha1.ListenerStatus{}
	took := eventually(t, time.Minute, "the status says who is reached", func(ctx context.Context) error {
		cluster := clusterNamed(ns, sharedName)
		if err := refresh(ctx, cluster); err != nil {
			return err
		}
		for _, s := range cluster.Status.Listeners {
			found[s.Name] = s
		}
		for name, value := range want {
			if found[name].ReachableFromInside != value {
				return fmt.Errorf("listener %s: %q, %q", name, found[name].ReachableFromInside, found[name].Unreachable)
			}
		}
		return nil
	})
	figureSeconds(t, "reached", took)
	return found
}

const lostManifest = `
kind: KafkaCluster
metadata: {name: events}
spec:
  version: "4.3.1"
  pools:
  - {name: main, replicas: 2, storage: {volumes: [{name: data, size: 1Gi}]}, jvm: {heap: 256Mi}}
  listeners:
  - {name: clients, port: 9092, authentication: {mechanisms: [SCRAM-SHA-512]}}
  - {name: clear, port: 9099, encryption: None}
  - name: router
    port: 9096
    exposure: {type: ClusterIP, advertised: {hostTemplate: "b{nodeId}.r.test", portTemplate: 443}}
    authentication: {mechanisms: [SCRAM-SHA-512]}
  - name: swapped
    port: 9097
    exposure: {type: Internal, advertised: {overrides: [{nodeId: 0, host: events-main-1.events-nodes.NS.svc}]}}
    authentication: {mechanisms: [SCRAM-SHA-512]}
  - name: plainswap
    port: 9098
    encryption: None
    exposure: {type: Internal, advertised: {overrides: [{nodeId: 1, host: events-main-0.events-nodes.NS.svc}]}}
  authorization: {type: Simple, superUsers: [admin]}
`

// What is wrong with an address is said with the step and the cure, and keeps nothing from being Ready. The probe says
// the same in a pod.
func TestCase34_AnAddressThatLeadsNowhereOrToAnotherBrokerIsToldAndHoldsNothingUp(t *testing.T) {
	long(t)
	ns := newNamespace(t)
	apply(t, ns, strings.ReplaceAll(lostManifest, "NS", ns))
	cluster := clusterNamed(ns, sharedName)
	waitReady(t, 3*time.Minute, cluster)
	apply(t, ns, adminManifest)
	waitReady(t, time.Minute, userNamed(ns, adminUser))
	found := waitReached(t, ns, map[string]metav1.ConditionStatus{"clients": metav1.ConditionTrue, "clear": metav1.ConditionTrue,
		"router": metav1.ConditionFalse, "swapped": metav1.ConditionFalse, "plainswap": metav1.ConditionFalse})
	for listener, want := range map[string][]string{
		"router":    {"broker 0 at b0.r.test:443: DNS does not ", "broker 1 at b1.r.test:443: DNS does not "},
		"swapped":   {"broker 0 at events-main-1.events-nodes." + ns + ".svc:9097: behind it is broker 1; let the address lead to broker 0"},
		"plainswap": {"broker 1 at events-main-0.events-nodes." + ns + ".svc:9098: behind it is broker 0"},
	} {
		got := found[listener].Unreachable
		if len(got) != len(want) {
			t.Errorf("listener %s: %q, expected %q", listener, got, want)
			continue
		}
		for i := range want {
			if !strings.HasPrefix(got[i], want[i]) {
				t.Errorf("listener %s: %q, expected %q", listener, got[i], want[i])
			}
		}
	}
	waitReady(t, time.Minute, cluster)
	binding := userNamed(ns, adminUser)
	if err := refresh(t.Context(), binding); err != nil {
		t.Fatal(err)
	}
	for listener, want := range map[string]string{
		"clients": "Every broker is reached (2).", "swapped": "behind it is broker 1",
	} {
		phase, said := probeInPod(t, ns, listener, binding.Status.Binding.Name)
		if !strings.Contains(said, want) || (phase == corev1.PodSucceeded) != (listener == "clients") {
			t.Errorf("in a pod, at %s: %s\n%s", listener, phase, said)
		}
	}
}

// probeInPod runs the operator's image as a user would, with a user's Secret.
func probeInPod(t *testing.T, ns, listener, secret string) (corev1.PodPhase, string) {
	t.Helper()
	no, yes := false, true
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: "probe-" + listener},
		Spec: corev1.PodSpec{
			RestartPolicy: corev1.RestartPolicyNever, AutomountServiceAccountToken: &no,
			SecurityContext: &corev1.PodSecurityContext{RunAsNonRoot: &yes,
				SeccompProfile: &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeRuntimeDefault}},
			Containers: []corev1.Container{{
				Name: "probe", Image: operator(t).Spec.Template.Spec.Containers[0].Image,
				Args:         []string{"probe", "--config", "/binding/client." + listener + ".properties"},
				VolumeMounts: []corev1.VolumeMount{{Name: "binding", MountPath: "/binding", ReadOnly: true}},
				SecurityContext: &corev1.SecurityContext{AllowPrivilegeEscalation: &no, ReadOnlyRootFilesystem: &yes,
					Capabilities: &corev1.Capabilities{Drop: []corev1.Capability{"ALL"}}},
			}},
			Volumes: []corev1.Volume{{Name: "binding", VolumeSource: corev1.VolumeSource{
				Secret: &corev1.SecretVolumeSource{SecretName: secret}}}},
		},
	}
	if err := kube.Create(t.Context(), pod); err != nil {
		t.Fatal(err)
	}
	eventually(t, time.Minute, "the probe has ended", func(ctx context.Context) error {
		if err := kube.Get(ctx, client.ObjectKeyFromObject(pod), pod); err != nil {
			return err
		}
		if pod.Status.Phase != corev1.PodSucceeded && pod.Status.Phase != corev1.PodFailed {
			return fmt.Errorf("it is %s", pod.Status.Phase)
		}
		return nil
	})
	said, err := kubectl(t.Context(), "logs", "-n", ns, pod.Name)
	if err != nil {
		t.Error(err)
	}
	return pod.Status.Phase, said
}
