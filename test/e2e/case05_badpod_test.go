package e2e

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/castellan-dev/castellan/api/v1alpha1"
	"github.com/castellan-dev/castellan/internal/render"
)

// podMistake is a pod template with which a pod does not get up, or does not stay up.
type podMistake struct {
	template string   // %s is the image of Kafka
	says     []string // what the status of the node says of it, in Kubernetes' words
}

const sidecar = `{"spec":{"containers":[{"name":"helper","image":%q,"command":["sh","-c",%q],
	"securityContext":{"allowPrivilegeEscalation":false,"capabilities":{"drop":["ALL"]}}}]}}`

// endsAtOnce is ready for a moment each time before it ends.
func endsAtOnce(image string) podMistake {
	return podMistake{fmt.Sprintf(sidecar, image, "exit 3"), []string{"helper"}}
}

func TestCase05_ASidecarThatEndsAtOnceCostsOneNodeAndTakingItBackHeals(t *testing.T) {
	promise(t)
	ns := shared(t)
	mustCostOneNode(t, ns, endsAtOnce(kafkaImage(t, ns)), 60*time.Second)
}

func TestCase05_APodThatIsNotMadeOrDoesNotStartCostsOneNodeAndTakingItBackHeals(t *testing.T) {
	long(t)
	ns := shared(t)
	for name, m := range map[string]podMistake{
		"an account that is not there":   {`{"spec":{"serviceAccountName":"nobody"}}`, []string{"serviceaccount", "nobody"}},
		"a class that is not there":      {`{"spec":{"priorityClassName":"none"}}`, []string{"PriorityClass", "none"}},
		"an image that is not there":     {fmt.Sprintf(sidecar, "registry.invalid/none:1", "true"), []string{"helper", "ImagePull"}},
		"a first container that fails":   {initContainer(kafkaImage(t, ns)), []string{"first"}},
		"a sidecar that ends in a while": {fmt.Sprintf(sidecar, kafkaImage(t, ns), "sleep 5; exit 3"), []string{"helper"}},
	} {
		t.Run(name, func(t *testing.T) { mustCostOneNode(t, ns, m, 20*time.Second) })
	}
}

func initContainer(image string) string {
	return strings.NewReplacer(`"containers"`, `"initContainers"`, `"helper"`, `"first"`).
		Replace(fmt.Sprintf(sidecar, image, "exit 3"))
}

// kafkaImage is one that every Kubernetes node has.
func kafkaImage(t *testing.T, ns string) string {
	t.Helper()
	pods, err := podsOf(t.Context(), ns, sharedName)
	if err != nil || len(pods) == 0 {
		t.Fatalf("%d pods (error %v)", len(pods), err)
	}
	i := slices.IndexFunc(pods[0].Spec.Containers, func(c corev1.Container) bool { return c.Name == render.ContainerName })
	return pods[0].Spec.Containers[i].Image
}

// mustCostOneNode makes a mistake, waits until it is told, watches for a while that it goes no further, and takes it
// back.
func mustCostOneNode(t *testing.T, ns string, m podMistake, watching time.Duration) {
	t.Helper()
	mustCostOneNodeBy(t, ns, m.says, watching,
		func(c kafkaCluster) { c.Spec.Pools[0].PodTemplate = podTemplate(m.template) },
		func(c kafkaCluster) { c.Spec.Pools[0].PodTemplate = nil })
}

// mustCostOneNodeBy does the same with any change of the spec.
func mustCostOneNodeBy(t *testing.T, ns string, says []string, watching time.Duration, mistake,
	takeBack func(kafkaCluster)) {
	t.Helper()
	admin := sharedAdmin(t)
	waitInSync(t, admin)
	before := lives(t, ns, sharedName)
	f := startFlow(t, loginOf(t, ns, adminUser).at(t, ns, sharedName, "outside"), sharedTopic, "mistaken")
	watched := watchPods(t, ns, sharedName)
	cluster := clusterNamed(ns, sharedName)
	t.Cleanup(func() { _ = tryChange(context.Background(), cluster, takeBack) })
	change(t, cluster, mistake)
	var failing v1alpha1.NodeStatus
	eventually(t, 3*time.Minute, "the status of one node says what is wrong", func(ctx context.Context) error {
		if err := refresh(ctx, cluster); err != nil {
			return err
		}
		for _, n := range cluster.Status.Nodes {
			if n.State != v1alpha1.NodeServing && missingIn(n.Message, says) == "" {
				failing = n
				return nil
			}
		}
		return fmt.Errorf("%+v; conditions %s", cluster.Status.Nodes, told(cluster.conditions()))
	})
	say(t, "%s: %s", failing.Pod, failing.Message)
	always(t, watching, "no other node is touched", func(context.Context) error {
		for _, name := range watched.restarted() {
			if name != failing.Pod {
				return fmt.Errorf("pod %s was restarted too:%s", name, watched)
			}
		}
		return nil
	})
	f.progress(t, 30*time.Second)
	change(t, cluster, takeBack)
	took := waitReady(t, 2*time.Minute, cluster)
	figureSeconds(t, "bad-pod-healed", took)
	waitInSync(t, admin)
	f.stop(t)
	delete(before, failing.Pod)
	mustLiveOn(t, ns, sharedName, before)
}
