package e2e

import (
	"context"
	"fmt"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	networkingv1 "k8s.io/api/networking/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/castellan-dev/castellan/api/v1alpha1"
)

// wallsManifest has peers in its own namespace, and in the one that stands for %s.
const wallsManifest = `
kind: KafkaCluster
metadata: {name: events}
spec:
  version: "4.3.1"
  networkPolicy: {type: Ingress}
  pools:
  - {name: main, replicas: 3, storage: {volumes: [{name: data, size: 1Gi}]}, jvm: {heap: 256Mi}}
  listeners:
  - {name: outside, port: 9094, encryption: None, exposure: {type: NodePort}, authentication: {mechanisms: [SCRAM-SHA-512]}}
  - name: partners
    port: 9095
    authentication: {mechanisms: [SCRAM-SHA-512]}
    networkPolicyPeers:
    - podSelector: {matchLabels: {app: shop}}
    - namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: %s}}
      podSelector: {matchLabels: {app: invoices}}
  authorization: {type: Simple, superUsers: [admin]}
`

// callerManifest is a pod that only connects.
const callerManifest = `
apiVersion: v1
kind: Pod
metadata: {name: %s, labels: {app: %s}}
spec:
  automountServiceAccountToken: false
  terminationGracePeriodSeconds: 0
  securityContext: {runAsNonRoot: true, runAsUser: 1000, runAsGroup: 1000, seccompProfile: {type: RuntimeDefault}}
  containers:
  - name: caller
    image: apache/kafka:%s
    command: [sleep, infinity]
    securityContext: {allowPrivilegeEscalation: false, capabilities: {drop: [ALL]}}
`

// caller is a pod, and the ports of brokers that it reaches.
type caller struct{ ns, name, app, reaches string }

// Behind walls that something enforces a cluster forms, replicates, is cared for and restarts, users log in, and each
// port is reached by those for whom it is, and by nobody else.
func TestCase36_BehindWallsAClusterLivesAndOthersStayOut(t *testing.T) {
	long(t)
	if !isLocal() {
		t.Skip("whether another cluster enforces NetworkPolicies is not known")
	}
	if _, err := localcluster(t.Context(), "policies"); err != nil {
		t.Fatal(err)
	}
	ns, elsewhere := newNamespace(t), newNamespace(t)
	apply(t, ns, fmt.Sprintf(wallsManifest, elsewhere))
	cluster := clusterNamed(ns, sharedName)
	waitReady(t, 3*time.Minute, cluster)
	apply(t, ns, adminManifest+"\n---\n"+topicManifest(sharedTopic, ", partitions: 6, replicationFactor: 3"))
	waitReady(t, time.Minute, userNamed(ns, adminUser)) // the operator logs in at every listener
	waitReady(t, time.Minute, topicNamed(ns, sharedTopic))
	l := loginOf(t, ns, adminUser).at(t, ns, sharedName, "outside")
	callers := []caller{
		{ns, "shop", "shop", "9094 9095"},
		{ns, "stranger", "web", "9094"},
		{elsewhere, "invoices", "invoices", "9094 9095"},
		{elsewhere, "namesake", "shop", "9094"},
	}
	for _, c := range callers {
		apply(t, c.ns, fmt.Sprintf(callerManifest, c.name, c.app, kafkaVersion))
	}
	mustReach(t, ns, callers)
	pods, err := podsOf(t.Context(), ns, sharedName)
	if err != nil {
		t.Fatal(err)
	}
	for port, open := range map[int]bool{9091: false, 9093: false, 9094: true, 9095: false} {
		connection, err := net.DialTimeout("tcp", fmt.Sprintf("%s:%d", pods[0].Status.PodIP, port), 2*time.Second)
		if (err == nil) != open {
			t.Errorf("from outside port %d is open: %t, want %t", port, !open, open)
		}
		if err == nil {
			_ = connection.Close()
		}
	}

	flow := startFlow(t, l, sharedTopic, "behind-walls")
	before := lives(t, ns, sharedName)
	annotate(t, cluster, v1alpha1.AnnotationRestart, asked("main"))
	eventually(t, 4*time.Minute, "all pods are others", func(ctx context.Context) error {
		if err := isReady(ctx, cluster); err != nil {
			return err
		}
		for name, uid := range lives(t, ns, sharedName) {
			if before[name] == uid {
				return fmt.Errorf("%s is the same", name)
			}
		}
		return nil
	})
	waitInSync(t, l.admin(t))
	flow.stop(t)
	mustReach(t, ns, callers)

	before = lives(t, ns, sharedName)
	change(t, cluster, func(c kafkaCluster) {
		c.Spec.NetworkPolicy = nil
		c.Spec.Listeners[1].NetworkPolicyPeers = nil
	})
	for i := range callers {
		callers[i].reaches = "9091 9093 9094 9095"
	}
	mustReach(t, ns, callers)
	err = kube.Get(t.Context(), client.ObjectKey{Namespace: ns, Name: sharedName}, &networkingv1.NetworkPolicy{})
	if !apierrors.IsNotFound(err) {
		t.Errorf("the policy is still there: %v", err)
	}
	waitReady(t, time.Minute, cluster)
	mustLiveOn(t, ns, sharedName, before)
}

// mustReach waits until callers reach of each broker the ports that they are to reach, and no others. Each tries all
// ports at once, as one that is closed answers nobody.
func mustReach(t *testing.T, ns string, callers []caller) {
	t.Helper()
	eventually(t, 2*time.Minute, "everybody reaches what is open to them", func(ctx context.Context) error {
		brokers, err := podsOf(ctx, ns, sharedName)
		if err != nil {
			return err
		}
		var addresses []string
		for i := range brokers {
			addresses = append(addresses, brokers[i].Status.PodIP)
		}
		script := "for host in " + strings.Join(addresses, " ") + "; do for port in 9091 9093 9094 9095; do " +
			"(timeout 3 bash -c \"</dev/tcp/$host/$port\" 2>/dev/null && echo $host $port) & done; done; wait"
		for _, c := range callers {
			out, err := kubectl(ctx, "exec", "-n", c.ns, c.name, "--", "bash", "-c", script)
			if err != nil {
				return err
			}
			reached := map[string][]string{}
			for line := range strings.Lines(out) {
				host, port, _ := strings.Cut(strings.TrimSpace(line), " ")
				reached[host] = append(reached[host], port)
			}
			for i := range brokers {
				ports := reached[brokers[i].Status.PodIP]
				slices.Sort(ports)
				if got := strings.Join(ports, " "); got != c.reaches {
					return fmt.Errorf("%s reaches %q of %s, want %q", c.name, got, brokers[i].Name, c.reaches)
				}
			}
		}
		return nil
	})
}
