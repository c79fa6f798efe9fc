package e2e

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/castellan-dev/castellan/api/v1alpha1"
)

// disksManifest is the shared cluster with two disks a broker, which fill and fail as disks do.
var disksManifest = strings.Replace(
	sharedManifest,
	"{name: data, size: 1Gi}",
	"{name: data, size: 400Mi, storageClassName: sized}, {name: more, size: 400Mi, storageClassName: sized}",
	1,
)

// A disk of several fails under a broker that serves, one is full, and that of the metadata fails. Each is told with the
// claim and Kafka's or the kernel's words, costs one broker, and is mended by what docs/scaling.md says.
func TestCase28_DisksFailAndFillAndNoAcknowledgedRecordIsLost(t *testing.T) {
	long(t)
	if !isLocal() {
		t.Skip("the disks of another cluster are not ours to break")
	}
	ns := newNamespace(t)
	d := startDisks(t, ns, disksManifest)
	claims := claimUIDs(t, ns)

	d.costs(t, "events-main-1", func(t *testing.T) {
		d.fail(t, "more-events-main-1")
		d.isTold(t, 1, `claim more-events-main-1\).*replica.*annotate its claim`)
		d.flow.progress(t, 30*time.Second)
		d.replace(t, "more-events-main-1")
	})
	d.costs(t, "events-main-2", func(t *testing.T) {
		d.fill(t, "events-main-2")
		d.isTold(t, 2, `No space left on device`)
		d.flow.progress(t, 30*time.Second)
		d.enlarge(t, "data-events-main-2", "800Mi")
	})
	d.costs(t, "events-main-0", func(t *testing.T) {
		d.fail(t, "data-events-main-0")
		// In the words of whichever thread of Kafka was the last to touch the disk.
		d.isTold(t, 0, `(?i)input/output error|io exception|log dir \S+ has failed`)
		d.flow.progress(t, 30*time.Second)
		d.replace(t, "data-events-main-0")
	})
	d.flow.stopKept(t)
	replaced := []string{"data-events-main-0", "more-events-main-1"}
	for name, uid := range claimUIDs(t, ns) {
		if made := claims[name] != uid; made != slices.Contains(replaced, name) {
			t.Errorf("claim %s is another one: %v", name, made)
		}
	}
}

// disks are those of one cluster under load.
type disks struct {
	ns      string
	cluster kafkaCluster
	login   login
	flow    *flow
}

// startDisks makes a cluster with a topic, and has records flow through it.
func startDisks(t *testing.T, ns, manifest string) disks {
	t.Helper()
	apply(t, ns, manifest)
	cluster := clusterNamed(ns, sharedName)
	waitReady(t, 3*time.Minute, cluster)
	apply(t, ns, adminManifest+"\n---\n"+topicManifest(sharedTopic, ", partitions: 12, replicationFactor: 3"))
	waitReady(t, time.Minute, userNamed(ns, adminUser))
	waitReady(t, time.Minute, topicNamed(ns, sharedTopic))
	l := loginOf(t, ns, adminUser).at(t, ns, sharedName, "outside")
	return disks{ns: ns, cluster: cluster, login: l, flow: startFlow(t, l, sharedTopic, "flow-of-disks")}
}

// costs does something to the disks of a pod, and holds that it is mended then, and that no other pod was disturbed.
func (d disks) costs(t *testing.T, pod string, happens func(t *testing.T)) {
	t.Helper()
	before := lives(t, d.ns, sharedName)
	happens(t)
	figureSeconds(t, "disk-mended", waitReady(t, 3*time.Minute, d.cluster))
	waitInSync(t, d.login.admin(t))
	delete(before, pod)
	mustLiveOn(t, d.ns, sharedName, before)
}

func (d disks) fail(t *testing.T, claim string) {
	t.Helper()
	if _, err := localcluster(t.Context(), "disk", "fail", d.claim(t, claim).Spec.VolumeName); err != nil {
		t.Fatal(err)
	}
	say(t, "the disk of %s fails", claim)
}

// fill leaves no room on the first disk of a pod.
func (d disks) fill(t *testing.T, pod string) {
	t.Helper()
	const script = "dd if=/dev/zero of=/var/lib/castellan/data/ballast bs=1M 2>&1; df /var/lib/castellan/data"
	out, err := kubectl(t.Context(), "exec", "-n", d.ns, pod, "-c", "kafka", "--", "bash", "-c", script)
	if err != nil || !strings.Contains(out, "No space left") {
		t.Fatalf("the disk is not full: %s (error %v)", out, err)
	}
	say(t, "the disk of %s is full", pod)
}

func (d disks) enlarge(t *testing.T, claim, size string) {
	t.Helper()
	patch := fmt.Sprintf(`{"spec":{"resources":{"requests":{"storage":%q}}}}`, size)
	if _, err := kubectl(t.Context(), "patch", "pvc", claim, "-n", d.ns, "--type=merge", "-p", patch); err != nil {
		t.Fatal(err)
	}
	say(t, "%s shall have %s", claim, size)
}

// replace permits an empty disk and waits for it.
func (d disks) replace(t *testing.T, claim string) {
	t.Helper()
	old := d.claim(t, claim)
	if _, err := kubectl(t.Context(), "annotate", "pvc", claim, "-n", d.ns, v1alpha1.AnnotationReplace+"=true"); err != nil {
		t.Fatal(err)
	}
	eventually(t, 2*time.Minute, "claim "+claim+" is another one", func(ctx context.Context) error {
		now := &corev1.PersistentVolumeClaim{}
		if err := kube.Get(ctx, client.ObjectKeyFromObject(old), now); err != nil {
			return err
		}
		if now.UID == old.UID {
			return fmt.Errorf("it is still the old one; the KafkaCluster says: %w", isReady(ctx, d.cluster))
		}
		return nil
	})
}

// isTold waits until the status of a node says something, and shows what it says.
func (d disks) isTold(t *testing.T, id int32, pattern string) {
	t.Helper()
	says := regexp.MustCompile(pattern)
	eventually(t, 2*time.Minute, fmt.Sprintf("the status of node %d says %s", id, says), func(ctx context.Context) error {
		if err := refresh(ctx, d.cluster); err != nil {
			return err
		}
		for _, n := range d.cluster.Status.Nodes {
			if n.ID == id && says.MatchString(n.Message) {
				say(t, "%s: %s: %s", n.Pod, n.State, n.Message)
				return nil
			}
		}
		return fmt.Errorf("%+v; conditions %s", d.cluster.Status.Nodes, told(d.cluster.conditions()))
	})
}

func (d disks) claim(t *testing.T, name string) *corev1.PersistentVolumeClaim {
	t.Helper()
	claim := &corev1.PersistentVolumeClaim{}
	if err := kube.Get(t.Context(), client.ObjectKey{Namespace: d.ns, Name: name}, claim); err != nil {
		t.Fatal(err)
	}
	return claim
}

// Somebody deletes the claim of a running broker. Kubernetes keeps it until the pod stops, and so nothing stops the pod:
// not a restart that was asked for, and not a drain.
func TestCase28_AClaimThatIsDeletedByMistakeStaysForAsLongAsItsPod(t *testing.T) {
	long(t)
	ns := newNamespace(t)
	d := startDisks(t, ns, sharedManifest)
	cluster := d.cluster
	comeAndGo(t, ns)
	const claim, pod = "data-events-main-2", "events-main-2"
	before, old := lives(t, ns, sharedName), d.claim(t, claim)
	t.Cleanup(func() {
		_ = tryChange(context.Background(), cluster, func(c kafkaCluster) { delete(c.Annotations, v1alpha1.AnnotationRestart) })
	})
	if _, err := kubectl(t.Context(), "delete", "pvc", claim, "-n", ns, "--wait=false"); err != nil {
		t.Fatal(err)
	}
	annotate(t, cluster, v1alpha1.AnnotationRestart, asked("2"))
	eventually(t, time.Minute, "the status says what holds the restart back, and the cure", func(ctx context.Context) error {
		if err := refresh(ctx, cluster); err != nil {
			return err
		}
		all := told(cluster.conditions())
		if missing := missingIn(all, []string{claim, "is being deleted", v1alpha1.AnnotationReplace}); missing != "" {
			return fmt.Errorf("%q is missing in %s", missing, all)
		}
		return nil
	})
	eventually(t, 20*time.Second, "Kubernetes evicts it for nobody", func(ctx context.Context) error {
		eviction := &policyv1.Eviction{DeleteOptions: &metav1.DeleteOptions{DryRun: []string{metav1.DryRunAll}}}
		err := kube.SubResource("eviction").Create(ctx, getPod(t, ns, pod), eviction)
		if apierrors.IsTooManyRequests(err) {
			return nil
		}
		return fmt.Errorf("the answer to an eviction is %v", err)
	})
	always(t, 10*time.Second, "the pod is not restarted", func(context.Context) error {
		if now := lives(t, ns, sharedName); now[pod] != before[pod] {
			return fmt.Errorf("it is %s, and was %s", now[pod], before[pod])
		}
		return nil
	})
	if now := d.claim(t, claim); now.UID != old.UID {
		t.Fatal("the claim is another one")
	}
	d.replace(t, claim)
	figureSeconds(t, "deleted-claim-replaced", waitReady(t, 3*time.Minute, cluster))
	d.everyBrokerKnowsUsers(t)
	waitInSync(t, d.login.admin(t))
	d.flow.stopKept(t) // what a producer sent to the broker that did not know it was refused for a few seconds
	delete(before, pod)
	mustLiveOn(t, ns, sharedName, before)
}

// comeAndGo makes a user and deletes it. A broker of Kafka 4.3.1 that reads the metadata log at once, from its beginning,
// loses all users with SCRAM-SHA-512 then: in Java's hash table this name comes before that of the admin.
func comeAndGo(t *testing.T, ns string) {
	t.Helper()
	user := userNamed(ns, "guests-tool")
	apply(t, ns, userManifest("guests-tool", sharedTopic, v1alpha1.MechanismScram512))
	waitReady(t, time.Minute, user)
	if err := kube.Delete(t.Context(), user.KafkaUser); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), pace.Of(time.Minute))
	defer cancel()
	if err := waitGone(ctx, user.KafkaUser); err != nil {
		t.Fatal(err)
	}
}

// everyBrokerKnowsUsers waits until the admin can log in at each broker.
func (d disks) everyBrokerKnowsUsers(t *testing.T) {
	t.Helper()
	took := eventually(t, time.Minute, "every broker knows the admin", func(ctx context.Context) error {
		if err := refresh(ctx, d.cluster); err != nil {
			return err
		}
		for _, s := range d.cluster.Status.Listeners {
			for _, a := range s.Addresses {
				at := d.login
				at.servers = fmt.Sprintf("%s:%d", a.Host, a.Port)
				if s.Name != "outside" {
					continue
				}
				if err := tryToLogIn(t, at); err != nil {
					return fmt.Errorf("broker %d: %w", a.NodeID, err)
				}
			}
		}
		return nil
	})
	figureSeconds(t, "users-known-again", took)
}
