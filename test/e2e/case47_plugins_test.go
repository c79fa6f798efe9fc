package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/castellan-dev/castellan/api/v1alpha1"
	"github.com/castellan-dev/castellan/internal/kafka/kafkatest"
)

// pluginRepository is where the image of the plug-in is; the local registry answers for any.
const pluginRepository = "plugins.example.com/team/test"

// pluginImage compiles the plug-in, loads an image with its jar into the cluster, and names that by its digest.
func pluginImage(t *testing.T) string {
	t.Helper()
	if !isLocal() {
		t.Skip("the image of the plug-in can only be loaded into the local cluster")
	}
	dir := t.TempDir()
	jar, err := kafkatest.PluginJar(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	folder := filepath.Join(dir, "image")
	if _, err := run(t.Context(), nil, "bash", "hack/localcluster.sh", "image", "--from-binary", jar, "--entrypoint",
		filepath.Base(jar), "--ref", pluginRepository+":e2e", "--out", folder); err != nil {
		t.Fatal(err)
	}
	if _, err := localcluster(t.Context(), "load-image", folder); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(folder, "index.json"))
	if err != nil {
		t.Fatal(err)
	}
	var index struct {
		Manifests []struct{ Digest string }
	}
	if err := json.Unmarshal(text, &index); err != nil || len(index.Manifests) != 1 {
		t.Fatalf("%v: %s", err, text)
	}
	return pluginRepository + "@" + index.Manifests[0].Digest
}

// pluginManifest is a small cluster with tiered storage, a reporter and a policy. Its store is on the broker's disk.
const pluginManifest = `
kind: KafkaCluster
metadata: {name: events}
spec:
  version: "4.3.1"
  pools:
  - {name: main, replicas: 1, storage: {volumes: [{name: data, size: 1Gi}]}, jvm: {heap: 256Mi}}
  listeners:
  - {name: outside, port: 9094, encryption: None, exposure: {type: NodePort}, authentication: {mechanisms: [PLAIN, SCRAM-SHA-512]}}
  authorization: {type: Simple, superUsers: [admin]}
  plugins: [{name: test, image: %q}]
  tieredStorage:
    plugin: test
    className: test.plugin.DirectoryStorage
    config: {directory: /var/lib/castellan/data/store, password: "${secret:store:word}"}
    secretRefs: [{name: store}]
  config:
    metric.reporters: test.plugin.NotingReporter
    test.plugin.note: /tmp/note
    create.topic.policy.class.name: test.plugin.NamePolicy
    remote.log.manager.task.interval.ms: "1000"
    log.initial.task.delay.ms: "1000"
    log.retention.check.interval.ms: "1000"
`

// A plug-in's image is mounted, and its classes run. Segments of a topic leave the broker's disk for the plug-in's
// store, and all records are read from the beginning. Tiered storage stays as long as a topic has it.
func TestCase47_SegmentsGoToTheStoreOfAPluginAndAreReadFromThere(t *testing.T) {
	promise(t)
	image := pluginImage(t)
	ns := newNamespace(t)
	word := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: "store"},
		Data: map[string][]byte{"word": []byte("hush-hush")}}
	if err := kube.Create(t.Context(), word); err != nil {
		t.Fatal(err)
	}
	apply(t, ns, fmt.Sprintf(pluginManifest, image))
	cluster := clusterNamed(ns, sharedName)
	eventually(t, time.Minute, "a Secret that nobody has labelled for it is not read", func(ctx context.Context) error {
		return isStalled(ctx, cluster, "PluginSecret", []string{"spec.tieredStorage.secretRefs[store].name",
			"kubectl label secret store kafka.castellan.dev/use=plugin"})
	})
	word.Labels = map[string]string{v1alpha1.LabelUse: v1alpha1.UsePlugin}
	if err := kube.Update(t.Context(), word); err != nil {
		t.Fatal(err)
	}
	waitReady(t, 4*time.Minute, cluster)
	for file, want := range map[string]string{
		"/tmp/note": kafkatest.ReporterWords, "/var/lib/castellan/data/store/password": "hush-hush",
	} {
		if got, err := kubectl(t.Context(), "exec", "-n", ns, "events-main-0", "-c", "kafka", "--", "cat", file); err != nil ||
			strings.TrimSpace(got) != want {
			t.Errorf("%s: %q (%v), want %q", file, got, err, want)
		}
	}
	apply(t, ns, strings.Join([]string{adminManifest, topicManifest("orders", `, partitions: 1, config: {remote.storage.enable: `+
		`"true", segment.bytes: "1048576", local.retention.ms: "1", file.delete.delay.ms: "1"}`),
		topicManifest("forbidden", ", name: forbidden-orders")}, "\n---\n"))
	waitReady(t, 2*time.Minute, userNamed(ns, adminUser))
	waitReady(t, time.Minute, topicNamed(ns, "orders"))
	eventually(t, time.Minute, "the policy of the plug-in is told", func(ctx context.Context) error {
		return isStalled(ctx, topicNamed(ns, "forbidden"), "PolicyViolation", []string{kafkatest.PolicyWords})
	})
	admin := loginOf(t, ns, adminUser).at(t, ns, sharedName, "outside")
	readWhatWasMoved(t, admin)
	keepTiers(t, ns, cluster)
}

// readWhatWasMoved fills a topic, waits until segments have left the broker's disk, and reads all.
func readWhatWasMoved(t *testing.T, l login) {
	t.Helper()
	const records = 4000
	cl := l.client(t, kgo.ProducerBatchCompression(kgo.NoCompression()))
	value := bytes.Repeat([]byte("x"), 1000)
	for i := range records {
		cl.Produce(t.Context(), &kgo.Record{Topic: "orders", Key: fmt.Append(nil, i), Value: value}, nil)
	}
	if err := cl.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	eventually(t, 3*time.Minute, "segments leave the broker's disk", func(ctx context.Context) error {
		const earliestLocal = -4
		local, err := kadm.NewClient(cl).ListOffsetsAfterMilli(ctx, earliestLocal, "orders")
		if err != nil {
			return err
		}
		if o, _ := local.Lookup("orders", 0); o.Err != nil || o.Offset < records/2 {
			return fmt.Errorf("the first record on the disk is %d (error %v)", o.Offset, o.Err)
		}
		return nil
	})
	ctx, cancel := context.WithTimeout(t.Context(), pace.Of(2*time.Minute))
	defer cancel()
	if found := readAll(ctx, t, l, "orders"); len(found) != records {
		t.Errorf("%d of %d records are read", len(found), records)
	}
}

// keepTiers takes tiered storage away, which is refused while a topic has it, and done once it is gone.
func keepTiers(t *testing.T, ns string, cluster kafkaCluster) {
	t.Helper()
	before := lives(t, ns, sharedName)
	var was *v1alpha1.TieredStorage
	change(t, cluster, func(c kafkaCluster) { was, c.Spec.TieredStorage = c.Spec.TieredStorage, nil })
	eventually(t, time.Minute, "it stays, and says for whom", func(ctx context.Context) error {
		return isStalled(ctx, cluster, "Held", []string{"spec.tieredStorage", "orders", "put it back"})
	})
	mustLiveOn(t, ns, sharedName, before)
	change(t, cluster, func(c kafkaCluster) { c.Spec.TieredStorage = was })
	waitReady(t, time.Minute, cluster)
	mustLiveOn(t, ns, sharedName, before)
	change(t, topicNamed(ns, "orders"), func(o kafkaTopic) {
		o.Spec.Config = map[string]string{"remote.storage.enable": "false", "remote.log.delete.on.disable": "true"}
	})
	waitReady(t, time.Minute, topicNamed(ns, "orders"))
	change(t, cluster, func(c kafkaCluster) { c.Spec.TieredStorage = nil })
	waitReady(t, 4*time.Minute, cluster)
	if after := lives(t, ns, sharedName); maps.Equal(after, before) {
		t.Errorf("the broker was not restarted: %v", after)
	}
}

// An image that nobody has costs one node, and is told in Kubernetes' words.
func TestCase47_APluginThatIsNotThereCostsOneNodeAndTakingItBackHeals(t *testing.T) {
	long(t)
	ns := shared(t)
	nobodys := "plugins.example.com/team/nobodys@sha256:" + strings.Repeat("0a", 32)
	mustCostOneNodeBy(t, ns, []string{"ImagePull"}, 20*time.Second,
		func(c kafkaCluster) { c.Spec.Plugins = []v1alpha1.Plugin{{Name: "test", Image: nobodys}} },
		func(c kafkaCluster) { c.Spec.Plugins = nil })
}

// A class that no jar has costs one node as well.
func TestCase47_AClassThatNoJarHasCostsOneNodeAndTakingItBackHeals(t *testing.T) {
	long(t)
	image := pluginImage(t)
	ns := shared(t)
	mustCostOneNodeBy(t, ns, []string{"test.plugin.Nobodys"}, 20*time.Second,
		func(c kafkaCluster) {
			c.Spec.Plugins = []v1alpha1.Plugin{{Name: "test", Image: image}}
			c.Spec.Config["create.topic.policy.class.name"] = "test.plugin.Nobodys"
		},
		func(c kafkaCluster) {
			c.Spec.Plugins = nil
			delete(c.Spec.Config, "create.topic.policy.class.name")
		})
}
