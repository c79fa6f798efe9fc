package e2e

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/castellan-dev/castellan/api/v1alpha1"
)

// fluxNamespace is where the samples have Flux's objects.
const fluxNamespace = "flux-system"

// The kinds of Flux that the samples use, and which of its controllers has each.
var (
	fluxGit         = schema.GroupVersionKind{Group: "source.toolkit.fluxcd.io", Version: "v1", Kind: "GitRepository"}
	fluxOCI         = fluxGit.GroupVersion().WithKind("OCIRepository")
	fluxKust        = schema.GroupVersionKind{Group: "kustomize.toolkit.fluxcd.io", Version: "v1", Kind: "Kustomization"}
	fluxHelm        = schema.GroupVersionKind{Group: "helm.toolkit.fluxcd.io", Version: "v2", Kind: "HelmRelease"}
	fluxControllers = []struct{ name, group, plurals string }{
		{"source", fluxGit.Group, "gitrepositories ocirepositories helmcharts helmrepositories buckets externalartifacts"},
		{"kustomize", fluxKust.Group, "kustomizations"},
		{"helm", fluxHelm.Group, "helmreleases"},
	}
)

// Real Flux installs the operator from a registry and the rest from git, by the files of docs/gitops.md: the
// application waits for its topic, applying again changes nothing, a team sets its own part of the cluster's config, a
// tag that does not exist harms nothing, an upgrade brings the CRDs, and a registry takes the place of git. No record
// is lost by any of it, and no broker restarts.
func TestCase52_FluxInstallsGatesAndUpgradesWithoutLosingARecord(t *testing.T) {
	long(t)
	f := fluxFleet(t)
	waitFlux(t, 3*time.Minute, fluxKust, "app")
	cluster, topic := clusterNamed(sampleNamespace, "events"), topicNamed(sampleNamespace, "orders")
	for _, o := range []object{cluster, topic, userNamed(sampleNamespace, "shop")} {
		if err := isReady(t.Context(), o); err != nil {
			t.Errorf("Flux says Ready before it is: %v", err)
		}
	}
	mustHaveWaited(t, topic)
	mustStandStill(t, cluster, topic)
	mustRestWhileApplied(t)
	mustNotInherit(t, fluxKust.Group+"/name", fluxKust.Group+"/namespace")

	records := startFlow(t, shopOutside(t), "orders", "shop-flow")
	before := lives(t, sampleNamespace, "events")
	shareConfig(t, f)
	upgradeByGit(t, f)
	moveToRegistry(t, f)
	records.progress(t, 30*time.Second)
	mustLiveOn(t, sampleNamespace, "events", before)
	records.stop(t)
}

// What Flux prunes comes back with its records: a topic whose file is removed by mistake, and a cluster with all that
// it has. Where the operator goes first, the rest waits for one, and no disk goes.
func TestCase52_FluxPrunesInAnyOrderWithoutLosingARecord(t *testing.T) {
	long(t)
	f := fluxFleet(t, withOneBroker)
	records := startFlow(t, shopOutside(t), "orders", "shop-flow")
	records.stop(t)
	pruneTheTopic(t, f, records)
	pruneTheCluster(t, records)
	uninstallAtOnce(t)
}

// withOneBroker has the sample's cluster make do with one.
func withOneBroker(t *testing.T, f *fleetRepository) {
	t.Helper()
	f.edit(t, "kafka/cluster.yaml", func(text string) string { return replaceOnce(text, "replicas: 3", "replicas: 1") })
	f.edit(t, "kafka/topic.yaml", func(text string) string { return replaceOnce(text, "Factor: 3", "Factor: 1") })
	f.commit(t, "Make do with one broker")
}

// fluxFleet hands the operator over to Flux and waits until that has installed it, and Kafka. The repository is altered
// before.
func fluxFleet(t *testing.T, alter ...func(*testing.T, *fleetRepository)) *fleetRepository {
	t.Helper()
	if !isLocal() {
		t.Skip("the operator is handed over to Flux, and its chart goes to the registry of the local cluster")
	}
	helm, err := script(t.Context(), "hack/tool.sh", "helm")
	if err != nil {
		t.Fatal(err)
	}
	pushChart(t, helm, "0.1.0", func(text string) string { return text })
	pushChart(t, helm, "0.1.1", markCRD)
	f := newFleet(t, releaseFrom(t, handOver(t, helm)))
	for _, one := range alter {
		one(t, f)
	}
	startFlux(t)
	applyPrinted(t, strings.NewReplacer(sampleGit+"fleet.git", f.url))
	waitFlux(t, 5*time.Minute, fluxKust, "castellan")
	waitFlux(t, 6*time.Minute, fluxKust, "kafka")
	return f
}

// shopOutside is the sample's user at the listener for clients outside.
func shopOutside(t *testing.T) login {
	t.Helper()
	return loginOf(t, sampleNamespace, "shop").at(t, sampleNamespace, "events", "external")
}

// releaseFrom puts the cluster's registry and the operator's image into castellan/release.yaml.
func releaseFrom(t *testing.T, image string) func(string) string {
	t.Helper()
	name, tag, _ := strings.Cut(image, ":")
	return strings.NewReplacer(
		"  url: oci://"+sampleRegistry, "  insecure: true\n  url: oci://"+clusterRegistry(t)+"/",
		"repository: "+sampleRegistry+"castellan\n      tag: 0.1.0", "repository: "+name+"\n      tag: "+tag,
	).Replace
}

// crdMark is what tells the CRD of a later chart from the one before.
const crdMark = "Generation of the spec that this status describes, since 0.1.1."

func markCRD(text string) string {
	return strings.ReplaceAll(text, "Generation of the spec that this status describes.", crdMark)
}

// startFlux installs the definitions of Flux and runs its controllers as processes of this machine, which reach the API
// server by the kubeconfig and each other over loopback.
func startFlux(t *testing.T) {
	t.Helper()
	ensureNamespace(t, fluxNamespace)
	for _, c := range fluxControllers {
		var files []string
		for plural := range strings.FieldsSeq(c.plurals) {
			files = append(files, c.group+"_"+plural+".yaml")
		}
		module := "github.com/fluxcd/" + c.name + "-controller"
		in := filepath.Join("hack", "tools", c.name+"-controller")
		installDefinitions(t, in, module, filepath.Join("config", "crd", "bases"), files)
	}
	t.Cleanup(func() { letGo(t, fluxNamespace, fluxHelm, fluxKust, fluxOCI, fluxGit) })
	awaitKinds(t, fluxHelm, fluxKust, fluxOCI, fluxGit) // or a controller ends at once, and nobody starts it again
	storage := freeAddress(t)
	more := map[string][]string{
		"source": {"--storage-path=" + t.TempDir(), "--storage-addr=" + storage, "--storage-adv-addr=" + storage},
		// Without it a commit that repairs something waits until the health checks of the one before are out of time.
		"kustomize": {"--feature-gates=CancelHealthCheckOnNewRevision=true"},
	}
	for _, c := range fluxControllers {
		program, err := script(t.Context(), "hack/tool.sh", c.name+"-controller")
		if err != nil {
			t.Fatal(err)
		}
		flags := append([]string{"--metrics-addr=0", "--health-addr=127.0.0.1:0", "--requeue-dependency=2s"}, more[c.name]...)
		startTool(t, c.name+"-controller", program, []string{"RUNTIME_NAMESPACE=" + fluxNamespace}, flags...)
	}
}

func fluxObject(kind schema.GroupVersionKind, name string) *unstructured.Unstructured {
	o := &unstructured.Unstructured{}
	o.SetGroupVersionKind(kind)
	o.SetNamespace(fluxNamespace)
	o.SetName(name)
	return o
}

// waitFlux waits until Flux says that an object is Ready.
func waitFlux(t *testing.T, within time.Duration, kind schema.GroupVersionKind, name string) {
	t.Helper()
	eventually(t, within, kind.Kind+" "+name+" is Ready", func(ctx context.Context) error {
		return inForce(ctx, fluxObject(kind, name))
	})
}

// reconcile does what `flux reconcile` does: it asks and waits for the answer.
func reconcile(t *testing.T, kind schema.GroupVersionKind, name string) {
	t.Helper()
	asked := time.Now().Format(time.RFC3339Nano)
	patch := fmt.Appendf(nil, `{"metadata":{"annotations":{"reconcile.fluxcd.io/requestedAt":%q}}}`, asked)
	o := fluxObject(kind, name)
	if err := kube.Patch(t.Context(), o, client.RawPatch("application/merge-patch+json", patch)); err != nil {
		t.Fatal(err)
	}
	eventually(t, time.Minute, kind.Kind+" "+name+" has been looked at", func(ctx context.Context) error {
		if err := kube.Get(ctx, client.ObjectKeyFromObject(o), o); err != nil {
			return err
		}
		if handled, _, _ := unstructured.NestedString(o.Object, "status", "lastHandledReconcileAt"); handled != asked {
			return fmt.Errorf("last at %q", handled)
		}
		return nil
	})
}

// applied waits until a Kustomization has a commit in force.
func applied(t *testing.T, within time.Duration, name, commit string) {
	t.Helper()
	eventually(t, within, "Kustomization "+name+" has the commit", func(ctx context.Context) error {
		o := fluxObject(fluxKust, name)
		if err := inForce(ctx, o); err != nil {
			return err
		}
		has, _, _ := unstructured.NestedString(o.Object, "status", "lastAppliedRevision")
		if !strings.HasSuffix(has, commit) {
			return fmt.Errorf("it has %s", has)
		}
		return nil
	})
}

// mustHaveWaited fails when the application was made before its topic was ready.
func mustHaveWaited(t *testing.T, topic kafkaTopic) {
	t.Helper()
	app := &appsv1.Deployment{}
	if err := kube.Get(t.Context(), client.ObjectKey{Namespace: sampleNamespace, Name: "shop"}, app); err != nil {
		t.Fatal(err)
	}
	if err := refresh(t.Context(), topic); err != nil {
		t.Fatal(err)
	}
	ready := meta.FindStatusCondition(topic.Status.Conditions, v1alpha1.ConditionReady)
	if app.CreationTimestamp.Before(&ready.LastTransitionTime) {
		t.Errorf("the application is of %s, and its topic was ready at %s", app.CreationTimestamp, ready.LastTransitionTime)
	}
}

// mustStandStill has Flux apply all again, which changes nothing: neither it nor the operator writes into the other's
// fields.
func mustStandStill(t *testing.T, objects ...object) {
	t.Helper()
	seen := func() string {
		b := &strings.Builder{}
		for _, o := range objects {
			if err := refresh(t.Context(), o); err != nil {
				t.Fatal(err)
			}
			fmt.Fprintf(b, "%s: generation %d, labels %v, annotations %v, managers %v\n", o.GetName(), o.GetGeneration(),
				o.GetLabels(), o.GetAnnotations(), managersOfSpec(o))
		}
		return b.String()
	}
	before := seen()
	for range 2 {
		reconcile(t, fluxKust, "kafka")
	}
	if after := seen(); after != before {
		t.Errorf("applying again changed\n%s to\n%s", before, after)
	}
	reconcile(t, fluxHelm, "castellan")
	o := fluxObject(fluxHelm, "castellan")
	if err := inForce(t.Context(), o); err != nil {
		t.Error(err)
	}
	if history, _, _ := unstructured.NestedSlice(o.Object, "status", "history"); len(history) != 1 {
		t.Errorf("Flux takes the operator for drifted: %v", history)
	}
}

// managersOfSpec are who has fields outside the status.
func managersOfSpec(o object) (names []string) {
	for _, m := range o.GetManagedFields() {
		if m.Subresource == "" {
			names = append(names, m.Manager)
		}
	}
	return names
}

// upgradeByGit names a tag that does not exist, then one that does: the first harms nothing, the second brings CRDs.
func upgradeByGit(t *testing.T, f *fleetRepository) {
	t.Helper()
	toTag := func(from, to string) func(string) string {
		return func(text string) string { return replaceOnce(text, "ref:\n    tag: "+from, "ref:\n    tag: "+to) }
	}
	f.edit(t, "castellan/release.yaml", toTag("0.1.0", "9.9.9"))
	f.commit(t, "Upgrade to what does not exist")
	reconcile(t, fluxGit, "fleet")
	eventually(t, 2*time.Minute, "Flux says that there is no such tag", func(ctx context.Context) error {
		if err := inForce(ctx, fluxObject(fluxOCI, "castellan")); err == nil || !strings.Contains(err.Error(), "9.9.9") {
			return fmt.Errorf("it says %w", err)
		}
		return nil
	})
	f.edit(t, "castellan/release.yaml", toTag("9.9.9", "0.1.1"))
	commit := f.commit(t, "Upgrade")
	reconcile(t, fluxGit, "fleet")
	applied(t, 5*time.Minute, "castellan", commit)
	eventually(t, 2*time.Minute, "the chart is the later one", func(ctx context.Context) error {
		o := fluxObject(fluxHelm, "castellan")
		if err := inForce(ctx, o); err != nil {
			return err
		}
		history, _, _ := unstructured.NestedSlice(o.Object, "status", "history")
		last, _ := history[0].(map[string]any)
		if !strings.HasPrefix(fmt.Sprint(last["chartVersion"]), "0.1.1") {
			return fmt.Errorf("%v", last)
		}
		return nil
	})
	scheme := runtime.NewScheme()
	if err := apiextensionsv1.AddToScheme(scheme); err != nil {
		t.Fatal(err)
	}
	c, err := client.New(restConfig, client.Options{Scheme: scheme})
	if err != nil {
		t.Fatal(err)
	}
	crd := &apiextensionsv1.CustomResourceDefinition{}
	if err := c.Get(t.Context(), client.ObjectKey{Name: "kafkatopics." + kafkaGroup}, crd); err != nil {
		t.Fatal(err)
	}
	status := crd.Spec.Versions[0].Schema.OpenAPIV3Schema.Properties["status"]
	if says := status.Properties["observedGeneration"].Description; says != crdMark {
		t.Errorf("the CRD is not the later chart's: %q", says)
	}
	applied(t, 3*time.Minute, "kafka", commit)
}

// pruneTheTopic takes the topic's file out of git and puts it back: the topic is the same, with its records.
func pruneTheTopic(t *testing.T, f *fleetRepository, records *flow) {
	t.Helper()
	topic := topicNamed(sampleNamespace, "orders")
	if err := refresh(t.Context(), topic); err != nil {
		t.Fatal(err)
	}
	id := topic.Status.TopicID
	f.edit(t, "kafka/kustomization.yaml", func(text string) string { return replaceOnce(text, "- topic.yaml\n", "") })
	applyCommit(t, f, "Remove the topic")
	eventually(t, time.Minute, "the KafkaTopic is gone", func(ctx context.Context) error {
		if err := refresh(ctx, topic); !apierrors.IsNotFound(err) {
			return fmt.Errorf("it is there (%w)", err)
		}
		return nil
	})
	mustHoldRecords(t, records)
	f.edit(t, "kafka/kustomization.yaml", func(text string) string { return text + "- topic.yaml\n" })
	applyCommit(t, f, "Put the topic back")
	waitReady(t, time.Minute, topic)
	if topic.Status.TopicID != id {
		t.Errorf("the topic is another one: %s, and was %s", topic.Status.TopicID, id)
	}
	mustHoldRecords(t, records)
}

func applyCommit(t *testing.T, f *fleetRepository, message string) {
	t.Helper()
	commit := f.commit(t, message)
	reconcile(t, fluxGit, "fleet")
	applied(t, 3*time.Minute, "kafka", commit)
}

// mustHoldRecords fails unless the topic has every record that was acknowledged.
func mustHoldRecords(t *testing.T, records *flow) {
	t.Helper()
	l := shopOutside(t)
	ctx, cancel := context.WithTimeout(t.Context(), pace.Of(2*time.Minute))
	defer cancel()
	found := readAll(ctx, t, l, "orders")
	records.mu.Lock()
	defer records.mu.Unlock()
	lost := 0
	for key, at := range records.acked {
		if found[key] != at {
			lost++
		}
	}
	if lost > 0 {
		t.Errorf("%d of %d records are not where they were acknowledged", lost, len(records.acked))
	}
	say(t, "%d records are there", len(records.acked))
}

// deleteFlux deletes Kustomizations as docs/gitops.md says.
func deleteFlux(t *testing.T, args ...string) {
	t.Helper()
	command := append([]string{"-n", fluxNamespace, "delete", "kustomization"}, args...)
	if _, err := kubectl(t.Context(), command...); err != nil {
		t.Fatal(err)
	}
}

// claims are the disks of the sample's cluster, by name.
func claims(t *testing.T) map[string]string {
	t.Helper()
	var list corev1.PersistentVolumeClaimList
	if err := kube.List(t.Context(), &list, client.InNamespace(sampleNamespace)); err != nil {
		t.Fatal(err)
	}
	found := map[string]string{}
	for _, claim := range list.Items {
		found[claim.Name] = string(claim.UID)
	}
	return found
}

// pruneTheCluster removes the Kustomization that has the cluster, before the application that uses it: namespace and
// claims stay. Then it puts it back.
func pruneTheCluster(t *testing.T, records *flow) {
	t.Helper()
	had := claims(t)
	kust := fluxObject(fluxKust, "kafka")
	if err := kube.Get(t.Context(), client.ObjectKeyFromObject(kust), kust); err != nil {
		t.Fatal(err)
	}
	deleteFlux(t, "kafka", "--timeout=5m")
	var left v1alpha1.KafkaClusterList
	if err := kube.List(t.Context(), &left, client.InNamespace(sampleNamespace)); err != nil || len(left.Items) > 0 {
		t.Errorf("Flux has removed the Kustomization, and %d clusters are left (error %v)", len(left.Items), err)
	}
	if now := claims(t); len(had) == 0 || !maps.Equal(now, had) {
		t.Fatalf("the claims are %v, and were %v", now, had)
	}
	again := fluxObject(fluxKust, "kafka")
	again.Object["spec"] = kust.Object["spec"]
	if err := kube.Create(t.Context(), again); err != nil {
		t.Fatal(err)
	}
	waitFlux(t, 6*time.Minute, fluxKust, "kafka")
	mustHoldRecords(t, records)
	if now := claims(t); !maps.Equal(now, had) {
		t.Errorf("the claims are %v, and were %v", now, had)
	}
}

// uninstallAtOnce removes everything in the wrong order, the operator first. The CRDs stay, and what the operator has
// to let go of waits for it. No claim goes.
func uninstallAtOnce(t *testing.T) {
	t.Helper()
	cluster := clusterNamed(sampleNamespace, "events")
	had := claims(t)
	deleteFlux(t, "castellan", "--timeout=5m")
	eventually(t, 2*time.Minute, "the operator is gone", func(ctx context.Context) error {
		if _, err := findOperator(ctx); err == nil {
			return errors.New("it is there")
		}
		return nil
	})
	if err := refresh(t.Context(), cluster); err != nil {
		t.Fatalf("the cluster went with the operator: %v", err)
	}
	deleteFlux(t, "kafka", "app", "--wait=false")
	eventually(t, time.Minute, "the topic waits for an operator", func(ctx context.Context) error {
		topic := topicNamed(sampleNamespace, "orders")
		if err := refresh(ctx, topic); err != nil || topic.DeletionTimestamp == nil {
			return fmt.Errorf("it is not being deleted (error %w)", err)
		}
		return nil
	})
	if now := claims(t); !maps.Equal(now, had) {
		t.Errorf("the claims are %v, and were %v", now, had)
	}
}
