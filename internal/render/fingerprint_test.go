package render

import (
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/castellan-dev/castellan/api/v1alpha1"
	"github.com/castellan-dev/castellan/internal/model"
	"github.com/castellan-dev/castellan/internal/resolve"
	"github.com/castellan-dev/castellan/internal/version"
)

func desired(c *model.Cluster) model.Desired { return Desired(c, Nodes(c)) }

func TestAnOperatorThatRendersOtherwiseIsNoReasonToRestart(t *testing.T) {
	c := cluster(t, "demo", demo)
	before := desired(c)

	saved := operatorDefaults
	defer func() { operatorDefaults = saved }()
	operatorDefaults = append([]property{{"controlled.shutdown.enable", "true"}}, saved...)
	c.Image = "mirror.example.org/kafka:4.3.1"
	after := desired(c)

	for id := range before.Files {
		if before.Files[id].User != after.Files[id].User {
			t.Errorf("node %d: the user's fingerprint changed with an operator's default", id)
		}
		if before.Files[id].Whole == after.Files[id].Whole {
			t.Errorf("node %d: the whole fingerprint did not change with an operator's default", id)
		}
	}
	if b, a := before.Templates["main"], after.Templates["main"]; b.User != a.User || b.Whole == a.Whole {
		t.Errorf("another image repository: template was %v, is %v", b, a)
	}
}

func TestAnOperatorThatWritesAnotherScriptIsNoReasonToRestart(t *testing.T) {
	c := cluster(t, "demo", demo)
	before := desired(c).Files[0]
	saved := startScript
	defer func() { startScript = saved }()
	startScript += "# more\n"
	if after := desired(c).Files[0]; after.User != before.User || after.Whole == before.Whole {
		t.Errorf("another script: files were %v, are %v", before, after)
	}
}

// TestWhatRestartsWhat is the list of what a change of the spec touches: "files" and "template" are reasons to restart.
func TestWhatRestartsWhat(t *testing.T) {
	quantity := resource.MustParse("1Gi")
	for _, tc := range []struct {
		name            string
		change          func(in *resolve.Inputs)
		files, template bool
	}{
		{"a static key changes the file", func(in *resolve.Inputs) { in.Spec.Config["log.retention.hours"] = "1" }, true, false},
		{"reporters without plug-ins change nothing", func(in *resolve.Inputs) {
			in.Spec.Config["metric.reporters"] = "org.apache.kafka.common.metrics.JmxReporter"
		}, false, false},
		{"a run-time key changes nothing", func(in *resolve.Inputs) { in.Spec.Config["log.segment.bytes"] = "1048576" }, false, false},
		{"a run-time key of a pool changes nothing", func(in *resolve.Inputs) {
			in.Spec.Pools[0].Config = v1alpha1.Config{"num.io.threads": "3"}
		}, false, false},
		{"min ISR changes nothing", func(in *resolve.Inputs) { in.Spec.Config["min.insync.replicas"] = "1" }, false, false},
		{"another order of listeners changes nothing", func(in *resolve.Inputs) {
			l := in.Spec.Listeners
			l[0], l[1] = l[1], l[0]
		}, false, false},
		{"super users change the file", func(in *resolve.Inputs) {
			in.Spec.Authorization = &v1alpha1.Authorization{Type: v1alpha1.AuthorizationSimple, SuperUsers: []string{"a", "b"}}
		}, true, false},
		{"another order of mechanisms changes nothing", func(in *resolve.Inputs) {
			m := in.Spec.Listeners[0].Authentication.Mechanisms
			m[0], m[1] = m[1], m[0]
		}, false, false},
		{"a listener's port changes both", func(in *resolve.Inputs) { in.Spec.Listeners[0].Port = 9095 }, true, true},
		{"another node port changes the file", func(in *resolve.Inputs) { in.NodePorts["demo-main-0-outside"] = 30999 }, true, false},
		{"another node port of the bootstrap Service changes nothing", func(in *resolve.Inputs) { in.NodePorts["demo-outside"] = 30998 }, false, false},
		{"authorization changes the file", func(in *resolve.Inputs) {
			in.Spec.Authorization = &v1alpha1.Authorization{Type: v1alpha1.AuthorizationNone}
		}, true, false},
		{"authorization spelled out as it is changes nothing", func(in *resolve.Inputs) {
			in.Spec.Authorization = &v1alpha1.Authorization{Type: v1alpha1.AuthorizationSimple}
		}, false, false},
		{"another heap changes the file", func(in *resolve.Inputs) {
			heap := resource.MustParse("300Mi")
			in.Spec.Pools[0].JVM.Heap = &heap
		}, true, false},
		{"the same heap in other words changes nothing", func(in *resolve.Inputs) {
			heap := resource.MustParse("262144Ki")
			in.Spec.Pools[0].JVM.Heap = &heap
		}, false, false},
		{"resources change the template", func(in *resolve.Inputs) {
			in.Spec.Pools[0].Resources.Limits["memory"] = quantity
		}, false, true},
		{"a podTemplate changes the template", func(in *resolve.Inputs) {
			in.Spec.Pools[0].PodTemplate = &runtime.RawExtension{Raw: []byte(`{"metadata":{"labels":{"a":"b"}}}`)}
		}, false, true},
		{"a rolling policy changes nothing", func(in *resolve.Inputs) { in.Spec.Rolling.Unavailable = v1alpha1.UnavailableWait }, false, false},
		{"more nodes change nothing", func(in *resolve.Inputs) { in.Spec.Pools[0].Replicas = new(int32(4)) }, false, false},
		{"a new pool of brokers changes nothing", func(in *resolve.Inputs) {
			in.Spec.Pools = append(in.Spec.Pools, v1alpha1.Pool{Name: "more", Replicas: new(int32(2)), Roles: []v1alpha1.Role{v1alpha1.RoleBroker},
				Storage: v1alpha1.Storage{Volumes: []v1alpha1.Volume{{Name: "data", Size: quantity}}}})
			in.NodePorts["demo-more-1000-outside"], in.NodePorts["demo-more-1001-outside"] = 30300, 30301
		}, false, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			before := desired(cluster(t, "demo", demo))
			in := inputs(t, "demo", demo)
			tc.change(&in)
			after := desired(resolved(t, in))
			if changed := before.Files[0] != after.Files[0]; changed != tc.files {
				t.Errorf("files changed: %v, want %v (%v, %v)", changed, tc.files, before.Files[0], after.Files[0])
			}
			if changed := before.Files[0].User != after.Files[0].User; changed != tc.files {
				t.Errorf("the user's fingerprint of the files changed: %v, want %v", changed, tc.files)
			}
			if changed := before.Templates["main"] != after.Templates["main"]; changed != tc.template {
				t.Errorf("template changed: %v, want %v", changed, tc.template)
			}
			if changed := before.Templates["main"].User != after.Templates["main"].User; changed != tc.template {
				t.Errorf("the user's fingerprint of the template changed: %v, want %v", changed, tc.template)
			}
		})
	}
}

func TestScalingAPoolChangesNoOtherNode(t *testing.T) {
	in := inputs(t, "dedicated", dedicated)
	before := desired(resolved(t, in))
	in.Spec.Pools[1].Replicas = new(int32(3))
	after := desired(resolved(t, in))
	if len(after.Files) != len(before.Files)+1 {
		t.Fatalf("%d nodes became %d", len(before.Files), len(after.Files))
	}
	for id, f := range before.Files {
		if after.Files[id] != f {
			t.Errorf("node %d: was %v, is %v", id, f, after.Files[id])
		}
	}
	for pool, f := range before.Templates {
		if after.Templates[pool] != f {
			t.Errorf("pool %s: was %v, is %v", pool, f, after.Templates[pool])
		}
	}
}

func TestAWaitingNodeHasNoFiles(t *testing.T) {
	in := inputs(t, "demo", demo)
	delete(in.NodePorts, "demo-main-1-outside")
	c := resolved(t, in)
	files := Nodes(c)
	if _, has := files[1]; has || len(files) != 2 {
		t.Errorf("nodes with files: %v", files)
	}
	if want := "Service demo-main-1-outside has no node port yet"; c.Node(1).Waiting != want {
		t.Errorf("node 1 waits for %q, want %q", c.Node(1).Waiting, want)
	}
}

func TestTheStatefulSetKeepsWhatCannotBeChanged(t *testing.T) {
	c := cluster(t, "demo", demo)
	live := StatefulSet(c, &c.Pools[0], "old", 3, nil)
	live.Spec.ServiceName = "another"
	live.Spec.VolumeClaimTemplates[0].Labels = map[string]string{"of": "old"}
	set := StatefulSet(c, &c.Pools[0], "new", 4, live)
	if set.Spec.ServiceName != "another" || set.Spec.VolumeClaimTemplates[0].Labels["of"] != "old" {
		t.Errorf("immutable parts changed: %s, %v", set.Spec.ServiceName, set.Spec.VolumeClaimTemplates[0].Labels)
	}
	if *set.Spec.Replicas != 4 || set.Spec.Template.Spec.Volumes[0].ConfigMap.Name != "new" ||
		set.Spec.Ordinals.Start != 0 {
		t.Errorf("replicas %d, revision %s", *set.Spec.Replicas, set.Spec.Template.Spec.Volumes[0].ConfigMap.Name)
	}
	if set.Spec.UpdateStrategy.Type != appsv1.OnDeleteStatefulSetStrategyType {
		t.Errorf("update strategy %s disturbs pods without a plan", set.Spec.UpdateStrategy.Type)
	}
	desired := desired(c).Templates["main"]
	if a := set.Spec.Template.Annotations; a[v1alpha1.AnnotationTemplateUser] != desired.User ||
		a[v1alpha1.AnnotationTemplateWhole] != desired.Whole {
		t.Errorf("the template says %v, Desired says %v", a, desired)
	}
}

// formatWord is what a pod is told about its empty metadata disk, as long as that was not an initial voter's.
func formatWord(c *model.Cluster, n *model.Node, podUID string) string {
	if c.IsInitialVoter(n.ID) && !c.Bootstrapped {
		return FormatInitial(c, podUID)
	}
	return FormatJoin(c, podUID)
}

func TestFormatWords(t *testing.T) {
	c := cluster(t, "dedicated", dedicated)
	c.Bootstrapped = true
	if got, want := formatWord(c, c.Node(1000), "U"), "U join 4L6g3nShT-eMCtK--X86sw"; got != want {
		t.Errorf("after the first quorum an initial voter hears %q, want %q", got, want)
	}
	c.Bootstrapped = false
	if got, want := formatWord(c, c.Node(100), "U"), "U join 4L6g3nShT-eMCtK--X86sw"; got != want {
		t.Errorf("a broker hears %q, want %q", got, want)
	}
}

func TestValuesSurviveJavaProperties(t *testing.T) {
	for value, want := range map[string]string{
		"plain":     "plain",
		`a\b`:       `a\\b`,
		" lead":     `\ lead`,
		"tail ":     "tail ",
		"a=b:c#d!e": "a=b:c#d!e",
		"é":         `\u00e9`,
		"𝄞":         `\ud834\udd1e`,
		"a\tb":      `a\tb`,
	} {
		if got := escapeValue(value); got != want {
			t.Errorf("%q is written %q, want %q", value, got, want)
		}
		if got := unescapeValue(want); got != value {
			t.Errorf("%q is read as %q, want %q", want, got, value)
		}
	}
}

// TestFingerprintsOfTheUserStay: these values are written on running pods. Whoever must change them here restarts every
// node of every cluster with the next operator; see nodeRequest.
func TestFingerprintsOfTheUserStay(t *testing.T) {
	for _, tc := range []struct {
		name, spec string
		node       int32
		pool       string
		files      string
		template   string
	}{
		{"demo", demo, 0, "main", "65e3f1bcbb5e582d", "cbf5395b8402dd70"},
		{"dedicated", dedicated, 100, "brokers", "d96d018a812dfd26", "9f66bd3298df5f32"},
		{"dedicated", dedicated, 1000, "control", "cd60b1c575be99c9", "33a5c55603bc3efd"},
	} {
		d := desired(cluster(t, tc.name, tc.spec))
		if got := d.Files[tc.node].User; got != tc.files {
			t.Errorf("%s: files of node %d: %s, were %s", tc.name, tc.node, got, tc.files)
		}
		if got := d.Templates[tc.pool].User; got != tc.template {
			t.Errorf("%s: template of pool %s: %s, was %s", tc.name, tc.pool, got, tc.template)
		}
	}
}

// What the operator chooses reaches a broker at its next restart, and is no reason for one.
func TestTheOperatorsChoicesBelongToTheWholeFingerprintOnly(t *testing.T) {
	for name, choices := range map[string]*[]property{"for every node": &operatorDefaults, "for brokers": &brokerDefaults} {
		t.Run(name, func(t *testing.T) {
			after := desired(cluster(t, "demo", demo)).Files[0]
			chosen := *choices
			*choices = nil
			t.Cleanup(func() { *choices = chosen })
			before := desired(cluster(t, "demo", demo)).Files[0]
			if before.Whole == after.Whole {
				t.Error("the choices are not in the files")
			}
			if before.User != after.User {
				t.Error("an operator that chooses otherwise restarts every broker")
			}
		})
	}
}

// A broker waits for its controllers longer than any of them takes to start.
func TestABrokerWaitsForItsControllers(t *testing.T) {
	const line = "initial.broker.registration.timeout.ms="
	files := Nodes(cluster(t, "dedicated", dedicated))
	if text := files[100].Data[fileProperties]; !strings.Contains(text, line+"900000\n") {
		t.Errorf("a broker ends after Kafka's own minute:\n%s", text)
	}
	if text := files[1000].Data[fileProperties]; strings.Contains(text, line) {
		t.Errorf("a controller registers with nobody:\n%s", text)
	}
}

func TestTheSameInOtherWordsIsTheSame(t *testing.T) {
	before := desired(cluster(t, "demo", demo)).Templates["main"]
	for name, change := range map[string]func(p *v1alpha1.Pool){
		"cpu in other words":         func(p *v1alpha1.Pool) { p.Resources.Requests["cpu"] = resource.MustParse("0.1") },
		"memory in other words":      func(p *v1alpha1.Pool) { p.Resources.Limits["memory"] = resource.MustParse("786432Ki") },
		"a pod template of nothing":  func(p *v1alpha1.Pool) { p.PodTemplate = &runtime.RawExtension{Raw: []byte(" { } ")} },
		"a pod template that is nil": func(p *v1alpha1.Pool) { p.PodTemplate = &runtime.RawExtension{} },
	} {
		in := inputs(t, "demo", demo)
		change(&in.Spec.Pools[0])
		if after := desired(resolved(t, in)).Templates["main"]; after.User != before.User {
			t.Errorf("%s changed the template from %v to %v", name, before, after)
		}
	}
}

func TestTheOrderOfSuperUsersMeansNothing(t *testing.T) {
	var seen []model.Fingerprint
	for _, users := range [][]string{{"a", "b"}, {"b", "a"}} {
		in := inputs(t, "demo", demo)
		in.Spec.Authorization = &v1alpha1.Authorization{Type: v1alpha1.AuthorizationSimple, SuperUsers: users}
		seen = append(seen, desired(resolved(t, in)).Files[0])
	}
	if seen[0] != seen[1] {
		t.Errorf("another order changed the files from %v to %v", seen[0], seen[1])
	}
}

func TestAKeyThatKafka4HasDroppedLeavesTheSpecWithoutARestart(t *testing.T) {
	leftovers := map[string]string{"inter.broker.protocol.version": "3.9", "zookeeper.connect": `a\b:1, é`}
	with := func(change func(in *resolve.Inputs)) *model.Cluster {
		in := inputs(t, "demo", demo)
		change(&in)
		c, _ := resolve.Resolve(in)
		return c
	}
	before := Nodes(with(func(in *resolve.Inputs) {
		for key, value := range leftovers {
			in.Spec.Config[key] = value
		}
	}))
	for name, c := range map[string]struct {
		change   func(in *resolve.Inputs)
		restarts bool
	}{
		"taken out": {func(*resolve.Inputs) {}, false},
		"one of two": {func(in *resolve.Inputs) { in.Spec.Config["zookeeper.connect"] = leftovers["zookeeper.connect"] },
			false},
		"together with another change": {func(in *resolve.Inputs) { in.Spec.Config["num.partitions"] = "17" }, true},
	} {
		wanted := with(c.change)
		for id, files := range Nodes(wanted) {
			got := WithoutDropped(wanted, id, before[id])
			if restarts := got.User != files.Fingerprint.User; restarts != c.restarts {
				t.Errorf("%s: node %d restarts: %t", name, id, restarts)
			}
			if got.Whole != before[id].Fingerprint.Whole {
				t.Errorf("%s: node %d is said to have other files", name, id)
			}
		}
	}
	if got := WithoutDropped(with(func(*resolve.Inputs) {}), 99, before[0]); got != before[0].Fingerprint {
		t.Error("a node that is gone counts as another")
	}
}

// In each round of a new authority every node restarts, on files that its keys have to belong to.
func TestARoundOfTheAuthorityRestartsEveryNodeOnFilesThatNameIt(t *testing.T) {
	c := cluster(t, "dedicated", dedicated)
	before := Nodes(c)
	c.AuthorityRound = 2
	for id, after := range Nodes(c) {
		if RoundOf(before[id]) != 0 || RoundOf(after) != 2 {
			t.Errorf("node %d: its files are of round %d, then %d", id, RoundOf(before[id]), RoundOf(after))
		}
		if before[id].Fingerprint.User == after.Fingerprint.User {
			t.Errorf("node %d does not restart", id)
		}
		if got := Differences(version.Version{}, before[id], after); len(got) != 1 || got[0] != "the certificate authority" {
			t.Errorf("node %d restarts because of %q", id, got)
		}
	}
}
