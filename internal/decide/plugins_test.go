package decide

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/castellan-dev/castellan/api/v1alpha1"
	"github.com/castellan-dev/castellan/internal/provided"
	"github.com/castellan-dev/castellan/internal/render"
)

var storeRef = provided.Ref{Name: "s3-login", Use: v1alpha1.UsePlugin}

// asksForTiers is a running cluster that is asked for tiered storage. Nothing is accepted of that yet.
func asksForTiers(t *testing.T) Inputs {
	t.Helper()
	in := running(t)
	d := Decide(in)
	issueAll(t, in, d)
	in = renderedAgain(t, in, d)
	in.Cluster.Spec.Plugins = []v1alpha1.Plugin{{Name: "storage", Image: "a/b@sha256:" + strings.Repeat("0a", 32)}}
	in.Cluster.Spec.TieredStorage = &v1alpha1.TieredStorage{Plugin: "storage", ClassName: "com.example.Storage",
		Config:     map[string]string{"key": "${secret:s3-login:key}", "file": "/etc/castellan/plugin/s3-login_ca.pem"},
		SecretRefs: []v1alpha1.SecretName{{Name: "s3-login"}}}
	in.Provided = provided.Secrets{storeRef: {"key": []byte("hush"), "ca.pem": []byte("first")}}
	return in
}

// writePluginFiles writes the copy as a pass would.
func writePluginFiles(t *testing.T, in Inputs) Decision {
	t.Helper()
	d := Decide(in)
	in.Live.Secrets[d.PluginFiles.Secret] = &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Name: d.PluginFiles.Secret}, Data: d.PluginFiles.Data}
	after := Decide(in)
	if !after.PluginFiles.Current || after.PluginFiles.Digest == "" {
		t.Fatalf("what was written is written again: %+v", after.PluginFiles)
	}
	return after
}

// withTiers is the same cluster once its brokers have tiered storage.
func withTiers(t *testing.T) (Inputs, Decision) {
	t.Helper()
	in := asksForTiers(t)
	in.Accepted = in.Cluster.Spec.DeepCopy()
	d := writePluginFiles(t, in)
	in = renderedAgain(t, in, d)
	if d = writePluginFiles(t, in); !d.Plan.Empty() {
		t.Fatalf("not at rest:\n%s", d.Plan.String())
	}
	return in, d
}

func TestNoBrokerIsToldOfFilesOfAPluginThatAreNotThereYet(t *testing.T) {
	in := asksForTiers(t)
	d := Decide(in)
	if d.PluginFiles.Secret != "events-plugin-files" || len(d.Files) != 0 || len(d.Verdicts) > 0 || len(d.Plan.Steps) != 0 {
		t.Fatalf("%d files, %v\n%s", len(d.Files), d.Verdicts, d.Plan.String())
	}
	if got := slices.Sorted(maps.Keys(d.PluginFiles.Data)); !slices.Equal(got,
		[]string{"revision", "s3-login_ca.pem", "s3-login_key"}) {
		t.Fatalf("brokers get %v", got)
	}
	if d = writePluginFiles(t, in); len(d.Files) != 3 || d.Plan.Empty() {
		t.Errorf("no broker restarts for it: %v\n%s", d.Files, d.Plan.String())
	}
}

func TestTieredStorageWhoseSecretCannotBeUsedIsNotCarriedOut(t *testing.T) {
	for name, c := range map[string]struct {
		change func(in *Inputs)
		want   string
	}{
		"missing":    {func(in *Inputs) { delete(in.Provided, storeRef) }, "create it with what the plug-in needs"},
		"unlabelled": {func(in *Inputs) { in.Provided[storeRef] = nil }, "kubectl label secret s3-login kafka.castellan.dev/use=plugin"},
		"no entry":   {func(in *Inputs) { delete(in.Provided[storeRef], "key") }, `has no entry "key"`},
		"too large":  {func(in *Inputs) { in.Provided[storeRef]["x"] = make([]byte, 256<<10) }, "leave out what"},
		"a long name": {func(in *Inputs) { in.Provided[storeRef][strings.Repeat("x", 245)] = nil },
			"shorten one"},
	} {
		in := asksForTiers(t)
		c.change(&in)
		d := Decide(in)
		if d.Model == nil || d.Model.Tiered != nil || len(d.Model.Plugins) > 0 || !strings.Contains(told(d), c.want) ||
			!strings.HasPrefix(told(d), "spec.tieredStorage.secretRefs[s3-login].name: ") {
			t.Errorf("%s: %s", name, told(d))
		}
		if strings.Contains(told(d), "hush") || d.PluginFiles.Secret != "" || !d.Plan.Empty() {
			t.Errorf("%s: %+v\n%s", name, d.PluginFiles, d.Plan.String())
		}
	}
}

// What brokers have goes on, and whatever else is asked of the cluster is done.
func TestFilesOfAPluginGoOnWhateverBecomesOfTheirSecret(t *testing.T) {
	for name, change := range map[string]func(in *Inputs){
		"missing":    func(in *Inputs) { delete(in.Provided, storeRef) },
		"unlabelled": func(in *Inputs) { in.Provided[storeRef] = nil },
		"no entry":   func(in *Inputs) { in.Provided[storeRef] = map[string][]byte{} },
	} {
		in, _ := withTiers(t)
		change(&in)
		in.Cluster.Spec.Config = v1alpha1.Config{"log.cleaner.threads": "2"}
		d := Decide(in)
		if !d.PluginFiles.Current || string(d.PluginFiles.Data["s3-login_key"]) != "hush" || len(d.Verdicts) != 1 {
			t.Errorf("%s: %+v; %s", name, d.PluginFiles, told(d))
		}
		if d.Model.DynamicConfig["log.cleaner.threads"] == "" {
			t.Errorf("%s: nothing else is cared for; %s", name, told(d))
		}
	}
}

func TestAnEntryThatTheConfigurationNamesIsAPlannedRestartAndAnotherFileIsNone(t *testing.T) {
	in, before := withTiers(t)
	in.Provided[storeRef]["ca.pem"] = []byte("second")
	d := writePluginFiles(t, in)
	if d.Files[0].Fingerprint != before.Files[0].Fingerprint || !d.Plan.Empty() ||
		string(d.PluginFiles.Data["s3-login_ca.pem"]) != "second" || d.PluginFiles.Digest == before.PluginFiles.Digest {
		t.Errorf("another file: %v\n%s", d.PluginFiles.Data, d.Plan.String())
	}
	in.Provided[storeRef] = map[string][]byte{"key": []byte("other")}
	first := Decide(in)
	if first.Files[0].Fingerprint != before.Files[0].Fingerprint || first.PluginFiles.Data["s3-login_ca.pem"] == nil {
		t.Errorf("brokers restart before the files are there, or lose one that they read: %v", first.PluginFiles.Data)
	}
	after := writePluginFiles(t, in)
	if after.Files[0].Fingerprint.User == before.Files[0].Fingerprint.User || after.Plan.Empty() ||
		after.PluginFiles.Data["s3-login_ca.pem"] == nil {
		t.Errorf("no planned restart, or a file is lost in mid-roll:\n%s", after.Plan.String())
	}
	in = renderedAgain(t, in, after)
	if rest := writePluginFiles(t, in); rest.PluginFiles.Data["s3-login_ca.pem"] != nil || !rest.Plan.Empty() {
		t.Errorf("at rest brokers have %v\n%s", slices.Sorted(maps.Keys(rest.PluginFiles.Data)), rest.Plan.String())
	}
}

func TestNothingThatManyCanReadDependsOnWhatIsInTheFilesOfAPlugin(t *testing.T) {
	print := func(key string) string {
		in := asksForTiers(t)
		in.NewUUID = func() string { return "the-same" }
		in.Provided[storeRef]["key"] = []byte(key)
		in.Accepted = in.Cluster.Spec.DeepCopy()
		d := writePluginFiles(t, in)
		pool := &d.Model.Pools[0]
		revision := render.Revision(d.Model, pool, d.Files)
		text, err := json.Marshal([]any{revision, render.StatefulSet(d.Model, pool, revision.Name, 3, nil)})
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	if first, second := print("hush-hush"), print("other"); first != second || strings.Contains(first, "hush") {
		t.Errorf("a ConfigMap or a StatefulSet tells of it:\n%s\n%s", first, second)
	}
}

// Kafka starts without tiered storage though a topic has it, and what is in the store can be read by nobody then.
func TestTieredStorageStaysWhileATopicHasIt(t *testing.T) {
	const field = "spec.tieredStorage: "
	for name, c := range map[string]struct {
		topics []string
		blind  bool
		want   []string // none = it goes
	}{
		"no topic":      {nil, false, nil},
		"two topics":    {[]string{"orders", "returns"}, false, []string{"(orders, returns)", "put it back"}},
		"many topics":   {[]string{"a", "b", "c", "d", "e", "f", "g"}, false, []string{"(a, b, c, d, e and 2 more)"}},
		"nobody to ask": {nil, true, []string{"no broker tells", "no broker is ready"}},
	} {
		in, _ := withTiers(t)
		in.Kafka.Tiered = c.topics
		if c.blind {
			in.Kafka, in.KafkaError = nil, "no broker is ready"
		}
		in.Cluster.Spec.TieredStorage = nil
		d := Decide(in)
		goes, restarts := len(c.want) == 0, !d.Plan.Empty() && !c.blind
		if goes != (d.Model.Tiered == nil) || goes != restarts {
			t.Errorf("%s: tiered storage %+v; %s\n%s", name, d.Model.Tiered, told(d), d.Plan.String())
		}
		for _, want := range c.want {
			if !strings.HasPrefix(told(d), field) || !strings.Contains(told(d), want) {
				t.Errorf("%s: %s", name, told(d))
			}
		}
		if d.PluginFiles.Data["s3-login_key"] == nil {
			t.Errorf("%s: brokers that run lose a file", name)
		}
	}
}

// Tiered storage that no broker was ever ready with may be what keeps them from starting: it can be taken back, though
// nobody can be asked. What brokers once had stays on record while all of them are down.
func TestTieredStorageThatNoBrokerWasReadyWithCanBeTakenBack(t *testing.T) {
	down := func(in *Inputs) {
		in.Kafka, in.KafkaError = nil, "no broker is ready"
		for i := range in.Live.Pods {
			in.Live.Pods[i].Status.Conditions = nil
		}
	}
	for name, c := range map[string]struct {
		change func(in *Inputs)
		used   bool // as the record says after
	}{
		"none was ready with it":         {down, false},
		"the cluster never had a quorum": {func(in *Inputs) { down(in); in.Cluster.Status.Bootstrapped = false }, false},
		"one is ready":                   {func(in *Inputs) { in.Kafka = nil }, true},
		"one was ready": {func(in *Inputs) {
			Decide(*in).Identity.WriteTo(&in.Cluster.Status)
			down(in)
		}, true},
	} {
		in, _ := withTiers(t)
		in.Cluster.Status.TieredStorageUsed = false
		c.change(&in)
		before := Decide(in).Identity
		in.Cluster.Spec.TieredStorage = nil
		d := Decide(in)
		if before.TieredUsed != c.used || (d.Model.Tiered != nil) != c.used {
			t.Errorf("%s: on record is %t, and tiered storage is %+v; %s", name, before.TieredUsed, d.Model.Tiered, told(d))
		}
		if c.used && !strings.Contains(told(d), "or correct it") {
			t.Errorf("%s: %s", name, told(d))
		}
	}
}

func TestTheRecordOfTieredStorageEndsWithTheLastBrokerThatHasIt(t *testing.T) {
	in, d := withTiers(t)
	if !d.Identity.TieredUsed {
		t.Fatal("brokers are ready with it, and that is not on record")
	}
	d.Identity.WriteTo(&in.Cluster.Status)
	in.Cluster.Spec.TieredStorage = nil
	in.Accepted = in.Cluster.Spec.DeepCopy()
	if d = Decide(in); !d.Identity.TieredUsed {
		t.Error("brokers still run with it")
	}
	in = renderedAgain(t, in, d)
	if d = Decide(in); d.Identity.TieredUsed {
		t.Error("no broker runs with it")
	}
}

func TestAnotherStoreIsWarnedOfWhileTopicsHaveSegmentsInTheFormer(t *testing.T) {
	for name, c := range map[string]struct {
		change func(s *v1alpha1.TieredStorage)
		topics []string
		warned bool
	}{
		"another class":               {func(s *v1alpha1.TieredStorage) { s.ClassName = "a.B" }, []string{"orders"}, true},
		"another key":                 {func(s *v1alpha1.TieredStorage) { s.Config["bucket"] = "b" }, []string{"orders"}, true},
		"another key, and no segment": {func(s *v1alpha1.TieredStorage) { s.Config["bucket"] = "b" }, nil, false},
		"nothing":                     {func(*v1alpha1.TieredStorage) {}, []string{"orders"}, false},
	} {
		in, _ := withTiers(t)
		in.Kafka.Tiered = c.topics
		c.change(in.Cluster.Spec.TieredStorage)
		d := Decide(in)
		if told := strings.Join(d.Warnings, "\n"); strings.Contains(told, "former className and config") != c.warned ||
			c.warned && !strings.Contains(told, "(orders)") {
			t.Errorf("%s: %s", name, told)
		}
	}
}
