package e2e

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/castellan-dev/castellan/api/v1alpha1"
)

// Two releases of the chart watch one namespace: the first looks after it, and the other says so. They work side by
// side where each has a namespace of its own, and one takes over when the other is uninstalled. No broker restarts, and
// no record is lost.
func TestCase60_TwoOperatorsDoNotDisturbEachOtherAndOneTakesOver(t *testing.T) {
	long(t)
	w := newTwoReleases(t)
	left, right := w.namespaces[0], w.namespaces[1]
	w.install("left", "", left)
	before := w.begin(left, "left")
	w.install("right", "", left, right) // overlapping
	beside := w.begin(right, "right")
	w.tellsOf("left", "right", left)

	say(t, "the first is not there, and a change waits")
	w.scale("left", 0)
	w.change(left, "1")
	w.stalled(left)
	before.mustStand("the other said whose they are")
	w.scale("left", 1)
	w.mustLookAfter(left, "left")

	say(t, "each has a namespace of its own")
	w.install("right", "", right)
	for n, release := range []string{"left", "right"} {
		w.change(w.namespaces[n], "2")
		w.mustLookAfter(w.namespaces[n], release)
	}

	say(t, "the first is uninstalled, and the other takes over")
	w.uninstall("left")
	before.mustStand("their operator was uninstalled")
	w.install("right", w.operators+"/left", left, right)
	w.change(left, "3")
	w.mustLookAfter(left, "right")
	w.mustLookAfter(right, "right")
	before.mustStand("another operator took over")
	beside.mustStand("its operator took another namespace over")

	// With watchNamespaces the operator's role is in the namespace, and may go before what it is needed for.
	say(t, "a namespace goes, and the operator's role there before its topics")
	mustKubectl(t, "-n", left, "delete", "rolebinding", "-l", "app.kubernetes.io/instance=right")
	mustKubectl(t, "delete", "namespace", left, "--wait=false")
	w.hangs(left)
	w.printed("docs/uninstall.md", 0)
	if err := waitGone(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: left}}); err != nil {
		t.Error(err)
	}
}

// twoReleases are releases of the chart in one namespace, and namespaces that they watch, in place of the suite's
// operator.
type twoReleases struct {
	*testing.T
	helm, image string
	operators   string
	namespaces  []string
}

func newTwoReleases(t *testing.T) *twoReleases {
	helm, err := script(t.Context(), "hack/tool.sh", "helm")
	if err != nil {
		t.Fatal(err)
	}
	own := operator(t)
	w := &twoReleases{T: t, helm: helm, image: own.Spec.Template.Spec.Containers[0].Image}
	t.Cleanup(func() {
		if _, err := kubectl(context.Background(), "-n", own.Namespace, "scale", "deployment", own.Name,
			"--replicas=1"); err != nil {
			t.Error(err)
		}
		if err := pollOperator(context.Background()); err != nil {
			t.Error(err)
		}
	})
	mustKubectl(t, "-n", own.Namespace, "scale", "deployment", own.Name, "--replicas=0")
	w.operators = newNamespace(t)
	t.Cleanup(func() {
		for _, release := range []string{"left", "right"} {
			_, err := run(context.Background(), nil, helm, "uninstall", release, "--namespace", w.operators, "--wait",
				"--ignore-not-found")
			if err != nil {
				t.Error(err)
			}
		}
	})
	w.namespaces = []string{newNamespace(t), newNamespace(t)}
	t.Cleanup(func() {
		if t.Failed() {
			w.letGo()
			return
		}
		for _, namespace := range w.namespaces { // before the namespace, which takes the operator's role with it
			for _, kind := range []string{"kafkaclusters", "kafkatopics", "kafkausers"} {
				if _, err := kubectl(context.Background(), "-n", namespace, "delete", kind+".kafka.castellan.dev", "--all",
					"--timeout=2m"); err != nil {
					t.Error(err)
				}
			}
		}
	})
	return w
}

// letGo lets namespaces go whatever has become of the operators.
func (w *twoReleases) letGo() {
	ctx := context.Background()
	for _, release := range []string{"left", "right"} {
		logs, _ := kubectl(ctx, "-n", w.operators, "logs", "--tail=60", "-l", "app.kubernetes.io/instance="+release)
		w.Logf("operator %s: %s", release, logs)
		_, _ = run(ctx, nil, w.helm, "uninstall", release, "--namespace", w.operators, "--wait", "--ignore-not-found")
	}
	for _, namespace := range w.namespaces {
		for _, kind := range []string{"kafkatopics.kafka.castellan.dev", "kafkausers.kafka.castellan.dev"} {
			names, _ := kubectl(ctx, "-n", namespace, "get", kind, "-o", "name")
			for name := range strings.FieldsSeq(names) {
				_, _ = kubectl(ctx, "-n", namespace, "patch", name, "--type=merge", "-p", `{"metadata":{"finalizers":null}}`)
			}
		}
	}
}

// install installs or upgrades a release that watches namespaces.
func (w *twoReleases) install(release, succeeds string, watched ...string) {
	w.Helper()
	name, tag := w.image[:strings.LastIndex(w.image, ":")], w.image[strings.LastIndex(w.image, ":")+1:]
	args := []string{"upgrade", "--install", release, "charts/castellan", "--namespace", w.operators, "--wait",
		"--timeout", installLimit.String(), "--set-string", "image.repository=" + name, "--set-string", "image.tag=" + tag,
		"--set", "crds.install=false", "--set", "watchNamespaces={" + strings.Join(watched, ",") + "}"}
	if succeeds != "" {
		args = append(args, "--set", "succeeds={"+succeeds+"}")
	}
	if _, err := run(w.Context(), nil, w.helm, args...); err != nil {
		w.Fatal(err)
	}
	say(w.T, "release %s watches %v", release, watched)
}

func (w *twoReleases) uninstall(release string) {
	w.Helper()
	if _, err := run(w.Context(), nil, w.helm, "uninstall", release, "--namespace", w.operators, "--wait"); err != nil {
		w.Fatal(err)
	}
}

// scale starts or stops the operator of a release, and waits until that is so.
func (w *twoReleases) scale(release string, replicas int) {
	w.Helper()
	selector := client.MatchingLabels{"app.kubernetes.io/instance": release, "app.kubernetes.io/name": "castellan"}
	mustKubectl(w.T, "-n", w.operators, "scale", "deployment", "-l", "app.kubernetes.io/instance="+release,
		fmt.Sprintf("--replicas=%d", replicas))
	eventually(w.T, 2*time.Minute, fmt.Sprintf("release %s has %d pods", release, replicas),
		func(ctx context.Context) error {
			var pods corev1.PodList
			err := kube.List(ctx, &pods, client.InNamespace(w.operators), selector)
			if err == nil && len(pods.Items) != replicas {
				return fmt.Errorf("it has %d", len(pods.Items))
			}
			return err
		})
}

// standing is what must outlive all that operators do to each other.
type standing struct {
	w         *twoReleases
	namespace string
	topic     string
	pod       types.UID
}

// begin applies a cluster, a user and a topic at once, of which none may be Stalled meanwhile, and writes a record.
func (w *twoReleases) begin(namespace, release string) standing {
	w.Helper()
	apply(w.T, namespace, topicManifest("orders", "")+"\n---\n"+adminManifest+"\n---\n"+smallManifest(false, ""))
	cluster, topic := clusterNamed(namespace, sharedName), topicNamed(namespace, "orders")
	user := userNamed(namespace, adminUser)
	eventually(w.T, 4*time.Minute, "what was applied at once is Ready", func(ctx context.Context) error {
		var last error
		for _, o := range []object{topic, user, cluster} {
			if err := isReady(ctx, o); err != nil {
				last = err
			}
			if stalled := meta.FindStatusCondition(o.conditions(), v1alpha1.ConditionStalled); stalled != nil {
				w.Fatalf("%s %s was Stalled meanwhile: %s", kindOf(o), o.GetName(), stalled.Message)
			}
		}
		return last
	})
	w.mustLookAfter(namespace, release)
	producer := loginOf(w.T, namespace, adminUser).client(w.T)
	defer producer.Close()
	record := &kgo.Record{Topic: "orders", Key: []byte("kept"), Value: []byte("kept")}
	if err := producer.ProduceSync(w.Context(), record).FirstErr(); err != nil {
		w.Fatal(err)
	}
	return standing{w, namespace, topic.Status.TopicID, getPod(w.T, namespace, "events-main-0").UID}
}

func (s standing) mustStand(after string) {
	s.w.Helper()
	topic := topicNamed(s.namespace, "orders")
	if err := refresh(s.w.Context(), topic); err != nil {
		s.w.Fatal(err)
	}
	pod := getPod(s.w.T, s.namespace, "events-main-0")
	ctx, cancel := context.WithTimeout(s.w.Context(), time.Minute)
	defer cancel()
	found := readAll(ctx, s.w.T, loginOf(s.w.T, s.namespace, adminUser), "orders")
	if topic.Status.TopicID != s.topic || pod.UID != s.pod || pod.Status.ContainerStatuses[0].RestartCount != 0 ||
		len(found) != 1 {
		s.w.Fatalf("after %s: topic %s with %v, pod %s; expected %s with one record, and %s; its container %+v", after,
			topic.Status.TopicID, found, pod.UID, s.topic, s.pod, pod.Status.ContainerStatuses[0])
	}
}

// change changes the cluster and its topic.
func (w *twoReleases) change(namespace, number string) {
	w.Helper()
	mustKubectl(w.T, "-n", namespace, "patch", "kafkaclusters.kafka.castellan.dev", sharedName, "--type=merge",
		"-p", `{"spec":{"config":{"message.max.bytes":"200000`+number+`"}}}`)
	mustKubectl(w.T, "-n", namespace, "patch", "kafkatopics.kafka.castellan.dev", "orders", "--type=merge",
		"-p", `{"spec":{"config":{"retention.ms":"60480000`+number+`"}}}`)
}

// mustLookAfter waits until a release is on record, and has taken all changes up.
func (w *twoReleases) mustLookAfter(namespace, release string) {
	w.Helper()
	eventually(w.T, 3*time.Minute, release+" looks after "+namespace, func(ctx context.Context) error {
		cluster, topic := clusterNamed(namespace, sharedName), topicNamed(namespace, "orders")
		for _, o := range []object{cluster, topic} {
			if err := isReady(ctx, o); err != nil {
				return err
			}
		}
		if want := w.operators + "/" + release; cluster.Status.Operator != want || topic.Status.Operator != want {
			return fmt.Errorf("on record are %q and %q", cluster.Status.Operator, topic.Status.Operator)
		}
		return nil
	})
}

// tellsOf waits for the event by which one release says that the cluster is the other's.
func (w *twoReleases) tellsOf(owner, teller, namespace string) {
	w.Helper()
	eventually(w.T, time.Minute, teller+" says whose the cluster is", func(ctx context.Context) error {
		var list eventsv1.EventList
		if err := kube.List(ctx, &list, client.InNamespace(namespace)); err != nil {
			return err
		}
		for _, e := range list.Items {
			if e.Reason == "OtherOperator" && strings.Contains(e.Note, `"`+w.operators+"/"+owner+`"`) &&
				strings.Contains(e.Note, `"`+w.operators+"/"+teller+`"`) {
				return nil
			}
		}
		return fmt.Errorf("no event among %d", len(list.Items))
	})
}

// stalled waits until cluster and topic say that a change waits for the other operator.
func (w *twoReleases) stalled(namespace string) {
	w.Helper()
	eventually(w.T, 4*time.Minute, "the change that waits is told", func(ctx context.Context) error {
		for _, o := range []object{clusterNamed(namespace, sharedName), topicNamed(namespace, "orders")} {
			if err := refresh(ctx, o); err != nil {
				return err
			}
			stalled := meta.FindStatusCondition(o.conditions(), v1alpha1.ConditionStalled)
			if stalled == nil || stalled.Reason != "OtherOperator" {
				return fmt.Errorf("%s says %v", kindOf(o), o.conditions())
			}
		}
		return nil
	})
}

// hangs waits until Kubernetes says that finalizers keep a namespace.
func (w *twoReleases) hangs(namespace string) {
	w.Helper()
	eventually(w.T, 2*time.Minute, "finalizers keep the namespace", func(ctx context.Context) error {
		ns := &corev1.Namespace{}
		if err := kube.Get(ctx, client.ObjectKey{Name: namespace}, ns); err != nil {
			return err
		}
		for _, c := range ns.Status.Conditions {
			if c.Type == corev1.NamespaceFinalizersRemaining && c.Status == corev1.ConditionTrue &&
				strings.Contains(c.Message, v1alpha1.Finalizer) {
				return nil
			}
		}
		return fmt.Errorf("its conditions are %v", ns.Status.Conditions)
	})
}

// printed runs the block of a page that is fenced as sh api, as a reader would.
func (w *twoReleases) printed(page string, block int) {
	w.Helper()
	text, err := os.ReadFile(filepath.Join(repository, page))
	if err != nil {
		w.Fatal(err)
	}
	path, err := kubectlPath()
	if err != nil {
		w.Fatal(err)
	}
	commands, _, _ := strings.Cut(strings.Split(string(text), "```sh api\n")[1+block], "```")
	if _, err := run(w.Context(), nil, "bash", "-euo", "pipefail", "-c",
		"PATH="+filepath.Dir(path)+":$PATH\n"+commands); err != nil {
		w.Fatal(err)
	}
}
