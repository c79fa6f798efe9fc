package e2e

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

const argoNamespace = "argocd"

var (
	argoApplication = schema.GroupVersionKind{Group: "argoproj.io", Version: "v1alpha1", Kind: "Application"}
	argoProject     = argoApplication.GroupVersion().WithKind("AppProject")
)

// Real Argo CD installs the operator from a registry and the rest from git, by the files of docs/gitops.md: with the
// health checks its waves wait, without them they do not; nothing shows as changed after a sync, a refused spec shows
// as Degraded, and what is removed leaves namespace and disks.
func TestCase52_ArgoCDSyncsInWavesWithoutDriftAndTellsTheHealth(t *testing.T) {
	long(t)
	if !isLocal() {
		t.Skip("the operator is handed over to Argo CD, and its chart goes to the registry of the local cluster")
	}
	helm, err := script(t.Context(), "hack/tool.sh", "helm")
	if err != nil {
		t.Fatal(err)
	}
	pushChart(t, helm, "0.1.0", func(text string) string { return text })
	image := handOver(t, helm)
	f := newFleet(t, releaseFrom(t, image))
	withOneBroker(t, f)
	startArgoCD(t, helm)
	fleet := strings.NewReplacer(sampleGit+"fleet.git", f.url)
	mustNotWaitWithoutHealth(t, fleet)

	if _, err := kubectl(t.Context(), "apply", "--server-side", "--field-manager=castellan-health",
		"-f", "config/argocd/argocd-cm.yaml"); err != nil {
		t.Fatal(err)
	}
	name, tag, _ := strings.Cut(image, ":")
	applySample(t, "argocd/castellan.yaml", strings.NewReplacer("oci://"+sampleRegistry, "oci://"+clusterRegistry(t)+"/",
		"repository: "+sampleRegistry+"castellan\n          tag: 0.1.0", "repository: "+name+"\n          tag: "+tag))
	waitArgoCD(t, 5*time.Minute, "castellan", "Synced", "Healthy")
	applySample(t, "argocd/kafka.yaml", fleet)
	waitArgoCD(t, 8*time.Minute, "kafka", "Synced", "Healthy")

	cluster, topic := clusterNamed(sampleNamespace, "events"), topicNamed(sampleNamespace, "orders")
	mustHaveWaited(t, topic)
	mustBeAsInGit(t, "castellan", "kafka")
	mustNotInherit(t, "argocd.argoproj.io/tracking-id")
	mustKeepTheCRDs(t)
	refuseASpec(t, f, cluster)
	removeWithTheApplication(t, cluster)
}

// startArgoCD installs the definitions of Argo CD, what its other parts would have made, and runs its application
// controller, its repository server and a cache as processes of this machine.
func startArgoCD(t *testing.T, helm string) {
	t.Helper()
	ensureNamespace(t, argoNamespace)
	installDefinitions(t, filepath.Join("hack", "tools", "argocd"), "github.com/argoproj/argo-cd/v3",
		filepath.Join("manifests", "crds"), []string{"application-crd.yaml", "appproject-crd.yaml"})
	t.Cleanup(func() { letGo(t, argoNamespace, argoApplication, argoProject) })
	eventually(t, 30*time.Second, "Argo CD has its settings", func(ctx context.Context) error {
		return tryApply(ctx, argoNamespace, fmt.Sprintf(argoSettings, clusterRegistry(t)))
	})
	program, err := script(t.Context(), "hack/tool.sh", "argocd")
	if err != nil {
		t.Fatal(err)
	}
	kustomize, err := script(t.Context(), "hack/tool.sh", "kustomize")
	if err != nil {
		t.Fatal(err)
	}
	work := t.TempDir()
	for link, to := range map[string]string{"helm": helm, "kustomize": kustomize} {
		if err := os.Symlink(to, filepath.Join(work, link)); err != nil {
			t.Fatal(err)
		}
	}
	env := []string{
		"PATH=" + work + string(os.PathListSeparator) + os.Getenv("PATH"), "TMPDIR=" + work, "HOME=" + work,
		"ARGOCD_FAKE_IN_CLUSTER=true", "ARGOCD_GPG_ENABLED=false", "ARGOCD_TLS_DATA_PATH=" + work,
		"ARGOCD_SSH_DATA_PATH=" + work, "ARGOCD_ASK_PASS_SOCK=" + filepath.Join(work, "ask"),
		"ARGOCD_PLUGINSOCKFILEPATH=" + work,
	}
	cache, server := freeAddress(t), freeAddress(t)
	_, port, _ := strings.Cut(server, ":")
	startTool(t, "redis", program, env, "redis", "--address", cache)
	startTool(t, "repo-server", program, env, "repo-server", "--address=127.0.0.1", "--port="+port, "--disable-tls",
		"--metrics-address=127.0.0.1", "--metrics-port="+portOf(t), "--redis="+cache, "--loglevel=warn")
	startTool(t, "application-controller", program, env, "controller", "--namespace="+argoNamespace,
		"--repo-server="+server, "--repo-server-plaintext", "--redis="+cache, "--metrics-port="+portOf(t),
		"--app-resync=10", "--app-resync-jitter=0", "--loglevel=warn", "--persist-resource-health")
}

func portOf(t *testing.T) string {
	t.Helper()
	_, port, _ := strings.Cut(freeAddress(t), ":")
	return port
}

// argoSettings are what Argo CD's own manifests and its API server make, and the registry, which speaks HTTP.
const argoSettings = `apiVersion: v1
kind: ConfigMap
metadata: {name: argocd-cm, labels: {app.kubernetes.io/part-of: argocd}}
data: {timeout.reconciliation: 10s}
---
apiVersion: v1
kind: Secret
metadata: {name: argocd-secret, labels: {app.kubernetes.io/part-of: argocd}}
stringData: {server.secretkey: for-tests}
---
apiVersion: argoproj.io/v1alpha1
kind: AppProject
metadata: {name: default}
spec:
  sourceRepos: ["*"]
  destinations: [{namespace: "*", server: "*"}]
  clusterResourceWhitelist: [{group: "*", kind: "*"}]
---
apiVersion: v1
kind: Secret
metadata: {name: registry, labels: {argocd.argoproj.io/secret-type: repository}}
stringData: {type: oci, url: "oci://%s/charts/castellan", insecureOCIForceHttp: "true"}
`

func application(name string) *unstructured.Unstructured {
	o := &unstructured.Unstructured{}
	o.SetGroupVersionKind(argoApplication)
	o.SetNamespace(argoNamespace)
	o.SetName(name)
	return o
}

// argoTells tells whether an application is synced and healthy as expected, and if not, why.
func argoTells(ctx context.Context, name, sync, health string) error {
	o := application(name)
	if err := kube.Get(ctx, client.ObjectKeyFromObject(o), o); err != nil {
		return err
	}
	s, _, _ := unstructured.NestedString(o.Object, "status", "sync", "status")
	h, _, _ := unstructured.NestedString(o.Object, "status", "health", "status")
	if s == sync && h == health {
		return nil
	}
	operation, _, _ := unstructured.NestedString(o.Object, "status", "operationState", "message")
	conditions, _, _ := unstructured.NestedSlice(o.Object, "status", "conditions")
	resources, _, _ := unstructured.NestedSlice(o.Object, "status", "resources")
	return fmt.Errorf("%q, %q: %s; %v; %v", s, h, operation, conditions, resources)
}

func waitArgoCD(t *testing.T, within time.Duration, name, sync, health string) {
	t.Helper()
	eventually(t, within, "Application "+name+" is "+sync+" and "+health, func(ctx context.Context) error {
		return argoTells(ctx, name, sync, health)
	})
}

// healthOf is what Argo CD tells of one object of an application; empty = nothing.
func healthOf(ctx context.Context, app, kind string) (health, message string, err error) {
	o := application(app)
	if err := kube.Get(ctx, client.ObjectKeyFromObject(o), o); err != nil {
		return "", "", err
	}
	resources, _, _ := unstructured.NestedSlice(o.Object, "status", "resources")
	for _, r := range resources {
		fields, _ := r.(map[string]any)
		if fields["kind"] != kind {
			continue
		}
		health, _, _ = unstructured.NestedString(fields, "health", "status")
		message, _, _ = unstructured.NestedString(fields, "health", "message")
		return health, message, nil
	}
	return "", "", fmt.Errorf("Application %s has no %s: %v", app, kind, resources)
}

// mustNotWaitWithoutHealth shows what docs/gitops.md says of Argo CD without the health checks: while no operator runs,
// all waves are applied in one go, and nothing is told of the cluster.
func mustNotWaitWithoutHealth(t *testing.T, fleet *strings.Replacer) {
	t.Helper()
	applySample(t, "argocd/kafka.yaml", fleet)
	eventually(t, 2*time.Minute, "without health checks the last wave comes at once", func(ctx context.Context) error {
		app := &appsv1.Deployment{}
		if err := kube.Get(ctx, client.ObjectKey{Namespace: sampleNamespace, Name: "shop"}, app); err != nil {
			return errors.Join(err, argoTells(ctx, "kafka", "Synced", ""))
		}
		health, _, err := healthOf(ctx, "kafka", "KafkaCluster")
		if err == nil && health != "" {
			return fmt.Errorf("the cluster is %s", health)
		}
		return err
	})
	if _, err := kubectl(t.Context(), "-n", argoNamespace, "delete", "application", "kafka"); err != nil {
		t.Fatal(err)
	}
	_, err := kubectl(t.Context(), "-n", sampleNamespace, "delete", "deployment/shop",
		"kafkatopics."+kafkaGroup+"/orders", "kafkausers."+kafkaGroup+"/shop", "kafkaclusters."+kafkaGroup+"/events")
	if err != nil {
		t.Fatal(err)
	}
}

// mustBeAsInGit has Argo CD compare from scratch, in both of its ways: it sees no difference and has synced once.
func mustBeAsInGit(t *testing.T, names ...string) {
	t.Helper()
	for _, options := range []string{"ServerSideDiff=false", "ServerSideDiff=true"} {
		for _, name := range names {
			o := application(name)
			patch := fmt.Appendf(nil, `{"metadata":{"annotations":{"argocd.argoproj.io/refresh":"hard",
				"argocd.argoproj.io/compare-options":%q}}}`, options)
			if err := kube.Patch(t.Context(), o, client.RawPatch("application/merge-patch+json", patch)); err != nil {
				t.Fatal(err)
			}
			eventually(t, time.Minute, name+" has been compared with "+options, func(ctx context.Context) error {
				if err := kube.Get(ctx, client.ObjectKeyFromObject(o), o); err != nil {
					return err
				}
				if o.GetAnnotations()["argocd.argoproj.io/refresh"] != "" {
					return errors.New("not yet")
				}
				return argoTells(ctx, name, "Synced", "Healthy")
			})
			if history, _, _ := unstructured.NestedSlice(o.Object, "status", "history"); len(history) != 1 {
				t.Errorf("Application %s has synced %d times: %v", name, len(history), history)
			}
		}
	}
}

// mustKeepTheCRDs has the chart leave the CRDs out: Argo CD would prune them, and every topic with them.
func mustKeepTheCRDs(t *testing.T) {
	t.Helper()
	install := func(value string) {
		patch := fmt.Appendf(nil, `{"spec":{"source":{"helm":{"valuesObject":{"crds":{"install":%s}}}}}}`, value)
		by := client.RawPatch("application/merge-patch+json", patch)
		if err := kube.Patch(t.Context(), application("castellan"), by); err != nil {
			t.Fatal(err)
		}
	}
	install("false")
	eventually(t, 2*time.Minute, "Argo CD has synced without the CRDs", func(ctx context.Context) error {
		o := application("castellan")
		if err := kube.Get(ctx, client.ObjectKeyFromObject(o), o); err != nil {
			return err
		}
		resources, _, _ := unstructured.NestedSlice(o.Object, "status", "operationState", "syncResult", "resources")
		if told := fmt.Sprint(resources); strings.Count(told, "no prune") != 3 {
			return fmt.Errorf("it has said of no CRDs that it does not prune them: %s", told)
		}
		return nil
	})
	for _, kind := range []string{"kafkaclusters", "kafkatopics", "kafkausers"} {
		out, err := kubectl(t.Context(), "get", "crd", kind+"."+kafkaGroup, "-o", "jsonpath={.metadata.deletionTimestamp}")
		if err != nil || out != "" {
			t.Errorf("the CRD of %s is gone or goes: %q (error %v)", kind, out, err)
		}
	}
	install("true")
	waitArgoCD(t, 2*time.Minute, "castellan", "Synced", "Healthy")
}

// refuseASpec commits what the operator refuses, and takes it back.
func refuseASpec(t *testing.T, f *fleetRepository, cluster kafkaCluster) {
	t.Helper()
	before := lives(t, sampleNamespace, "events")
	f.edit(t, "kafka/cluster.yaml", func(text string) string { return replaceOnce(text, "4.3.1", "9.9.9") })
	f.commit(t, "Ask for a version that nobody knows")
	eventually(t, 2*time.Minute, "Argo CD shows what the operator refuses", func(ctx context.Context) error {
		health, message, err := healthOf(ctx, "kafka", "KafkaCluster")
		if err == nil && (health != "Degraded" || !strings.Contains(message, "9.9.9")) {
			err = fmt.Errorf("%s %q", health, message)
		}
		return err
	})
	f.edit(t, "kafka/cluster.yaml", func(text string) string { return replaceOnce(text, "9.9.9", "4.3.1") })
	f.commit(t, "Take it back")
	waitArgoCD(t, 3*time.Minute, "kafka", "Synced", "Healthy")
	waitReady(t, time.Minute, cluster)
	mustLiveOn(t, sampleNamespace, "events", before)
}

// removeWithTheApplication deletes the application with all that it has made: namespace and disks stay.
func removeWithTheApplication(t *testing.T, cluster kafkaCluster) {
	t.Helper()
	had := claims(t)
	o := application("kafka")
	patch := []byte(`{"metadata":{"finalizers":["resources-finalizer.argocd.argoproj.io"]}}`)
	if err := kube.Patch(t.Context(), o, client.RawPatch("application/merge-patch+json", patch)); err != nil {
		t.Fatal(err)
	}
	if _, err := kubectl(t.Context(), "-n", argoNamespace, "delete", "application", "kafka", "--timeout=5m"); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), pace.Of(time.Minute))
	defer cancel()
	for _, gone := range []client.Object{cluster.KafkaCluster, topicNamed(sampleNamespace, "orders").KafkaTopic,
		userNamed(sampleNamespace, "shop").KafkaUser} {
		if err := waitGone(ctx, gone); err != nil {
			t.Error(err)
		}
	}
	if now := claims(t); len(had) == 0 || !maps.Equal(now, had) {
		t.Errorf("the claims are %v, and were %v", now, had)
	}
}
