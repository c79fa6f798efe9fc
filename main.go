// Castellan is a Kubernetes operator for Apache Kafka. This file only wires it: options, manager, controllers.
package main

import (
	"cmp"
	"context"
	"crypto/tls"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"path"
	"strings"
	"time"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	_ "k8s.io/client-go/plugin/pkg/client/auth"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/healthz"
	"sigs.k8s.io/controller-runtime/pkg/metrics/server"

	"github.com/castellan-dev/castellan/api/v1alpha1"
	"github.com/castellan-dev/castellan/controllers"
	"github.com/castellan-dev/castellan/controllers/batch"
	"github.com/castellan-dev/castellan/internal/claim"
	"github.com/castellan-dev/castellan/internal/memory"
	"github.com/castellan-dev/castellan/internal/metricsauth"
	"github.com/castellan-dev/castellan/internal/probe"
)

// version is set when the binary is linked.
var version = "dev"

func main() {
	if len(os.Args) > 1 && os.Args[1] == probe.Name {
		os.Exit(probe.Main(context.Background(), os.Args[2:], os.Stdout, os.Stderr))
	}
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "castellan:", err)
		os.Exit(1)
	}
}

// options are the operator's flags.
type options struct {
	metricsAddress  string
	probeAddress    string
	leaderElect     bool
	namespaces      string
	imageRepository string
	registries      string
	domain          string
	drift           time.Duration
	moveRate        int64
	retention       string
	externalOnly    bool
	labels          string
	succeeds        string
	readNodes       bool
	gatewayAPI      bool
	endpointSlices  bool
	logLevel        slog.Level
}

func (o *options) bind(flags *flag.FlagSet) {
	flags.StringVar(
		&o.metricsAddress,
		"metrics-bind-address",
		":8443",
		"address of the metrics, over TLS and for authorized readers only; 0 = none",
	)
	flags.StringVar(&o.probeAddress, "health-probe-bind-address", ":8081", "address of /healthz and /readyz")
	flags.BoolVar(&o.leaderElect, "leader-elect", false, "let one of several replicas work at a time")
	flags.StringVar(&o.namespaces, "watch-namespaces", "", "namespaces to work in, separated by commas; none = all")
	flags.StringVar(
		&o.imageRepository,
		"kafka-image-repository",
		"apache/kafka",
		"where Kafka's image comes from; the tag is the version",
	)
	flags.StringVar(
		&o.registries,
		"plugin-registries",
		"",
		"registries from which plug-ins of KafkaClusters may come, or their folders, as registry.example.com/team, "+
			"separated by commas; none = any",
	)
	flags.StringVar(&o.domain, "cluster-domain", "cluster.local", "DNS domain of the Kubernetes cluster")
	flags.DurationVar(
		&o.drift,
		"drift-interval",
		batch.DriftInterval,
		"how often topics and users are compared with Kafka when nothing has happened, give or take a tenth",
	)
	flags.Int64Var(
		&o.moveRate,
		"reassignment-rate",
		50<<20,
		"bytes per second that each broker sends and receives while replicas of topics are moved, unless the cluster has "+
			"a limit of its own; 0 = no limit",
	)
	flags.StringVar(
		&o.retention,
		"deletion-policy",
		string(v1alpha1.DeletionDelete),
		"what becomes of topics and users whose objects and namespaces do not say: Delete or Retain",
	)
	flags.BoolVar(
		&o.externalOnly,
		"external-only",
		false,
		"look after external clusters (spec.external) alone, which takes no permission on pods, StatefulSets and their like",
	)
	flags.StringVar(
		&o.labels,
		"operator-labels",
		"",
		"labels of the operator's own pods, as key=value separated by commas: with POD_NAMESPACE, whom NetworkPolicies admit",
	)
	flags.StringVar(
		&o.succeeds,
		"succeeds",
		"",
		"installations of the operator that are gone and in whose place this one comes, as namespace/release separated by "+
			"commas: what status.operator says they look after becomes this one's",
	)
	flags.BoolVar(
		&o.readNodes,
		"read-nodes",
		false,
		"read the addresses of Kubernetes nodes, so that certificates of listeners of type NodePort name all of them",
	)
	flags.BoolVar(
		&o.gatewayAPI,
		"gateway-api",
		false,
		"make routes of the Gateway API for listeners of the types TLSRoute and TCPRoute, which takes permissions on them",
	)
	flags.BoolVar(
		&o.endpointSlices,
		"endpoint-slices",
		false,
		"write EndpointSlices for listeners whose brokers share a Service, which takes permissions on them",
	)
	flags.TextVar(&o.logLevel, "log-level", slog.LevelInfo, "what is logged: DEBUG, INFO, WARN or ERROR")
}

func run() error {
	memory.Limit()
	var o options
	o.bind(flag.CommandLine)
	flag.Parse()
	ctrl.SetLogger(logr.FromSlogHandler(slog.NewJSONHandler(os.Stderr, &slog.HandlerOptions{Level: o.logLevel})))
	ctrl.Log.Info("castellan begins", "version", version)

	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{clientgoscheme.AddToScheme, v1alpha1.AddToScheme} {
		if err := add(scheme); err != nil {
			return fmt.Errorf("register the kinds: %w", err)
		}
	}
	retention, err := retentionOf(o.retention)
	if err != nil {
		return err
	}
	own, err := labels.ConvertSelectorToLabelsMap(o.labels)
	if err != nil {
		return fmt.Errorf("read --operator-labels: %w", err)
	}
	release := cmp.Or(own[labelInstance], "castellan")
	config, err := ctrl.GetConfig()
	if err != nil {
		return fmt.Errorf("find the Kubernetes API: %w", err)
	}
	config.QPS = -1 // topics come by the thousand; the API server itself sees to fairness
	mgr, err := ctrl.NewManager(config, ctrl.Options{
		Scheme:                        scheme,
		Cache:                         cacheOptions(o.namespaces),
		Metrics:                       metricsOptions(o.metricsAddress),
		HealthProbeBindAddress:        o.probeAddress,
		LeaderElection:                o.leaderElect,
		LeaderElectionID:              release + ".kafka.castellan.dev",
		LeaderElectionNamespace:       os.Getenv("POD_NAMESPACE"), // empty = that of the pod
		LeaderElectionReleaseOnCancel: true,                       // main ends when the manager does
	})
	if err != nil {
		return fmt.Errorf("start the manager: %w", err)
	}
	checks := map[string]func(string, healthz.Checker) error{"healthz": mgr.AddHealthzCheck, "readyz": mgr.AddReadyzCheck}
	for name, check := range checks {
		if err := check(name, healthz.Ping); err != nil {
			return fmt.Errorf("serve /%s: %w", name, err)
		}
	}
	if err := mgr.Add(memory.Returner{}); err != nil {
		return fmt.Errorf("watch the memory: %w", err)
	}
	err = controllers.Setup(mgr, controllers.Options{
		OperatorNamespace: os.Getenv("POD_NAMESPACE"), OperatorLabels: own,
		ImageRepository: o.imageRepository, PluginRegistries: listOf(o.registries), Domain: o.domain, DriftInterval: o.drift,
		ReassignmentRate: o.moveRate, Namespaces: listOf(o.namespaces), ExternalOnly: o.externalOnly,
		Retention: retention,
		ReadNodes: o.readNodes, GatewayAPI: o.gatewayAPI, EndpointSlices: o.endpointSlices, Now: time.Now,
		Installation: claim.Installation{
			Name: path.Join(os.Getenv("POD_NAMESPACE"), release), Succeeds: listOf(o.succeeds),
		},
	})
	if err != nil {
		return err
	}
	return mgr.Start(ctrl.SetupSignalHandler())
}

// retentionOf reads --deletion-policy. A misspelt one does not start: nothing may be deleted for it.
func retentionOf(text string) (v1alpha1.DeletionPolicy, error) {
	switch policy := v1alpha1.DeletionPolicy(text); policy {
	case v1alpha1.DeletionDelete, v1alpha1.DeletionRetain:
		return policy, nil
	}
	return "", fmt.Errorf("read --deletion-policy: %q is neither Delete nor Retain", text)
}

// labelInstance is the label of the operator's pods with the name of its release.
const labelInstance = "app.kubernetes.io/instance"

func listOf(text string) []string {
	return strings.FieldsFunc(text, func(r rune) bool { return r == ',' || r == ' ' })
}

// cacheOptions keep in memory only what the operator itself has made, of the kinds that others use too.
func cacheOptions(namespaces string) cache.Options {
	ours := cache.ByObject{Label: labels.SelectorFromSet(labels.Set{v1alpha1.LabelManagedBy: v1alpha1.ManagedBy})}
	o := cache.Options{
		DefaultTransform: cache.TransformStripManagedFields(),
		ByObject: map[client.Object]cache.ByObject{
			&corev1.Node{}: {Transform: addressesAlone}, &v1alpha1.KafkaUser{}: {Transform: controllers.InCache()},
		},
	}
	for _, object := range controllers.Labelled() {
		o.ByObject[object] = ours
		if _, is := object.(*corev1.Secret); is {
			o.ByObject[object] = cache.ByObject{Label: ours.Label, Transform: controllers.InCache()}
		}
		if _, is := object.(*discoveryv1.EndpointSlice); is {
			// Kubernetes copies the labels of Services to the ones that it writes for them.
			o.ByObject[object] = cache.ByObject{Label: labels.SelectorFromSet(labels.Set{
				v1alpha1.LabelManagedBy: v1alpha1.ManagedBy, discoveryv1.LabelManagedBy: v1alpha1.EndpointSliceManager})}
		}
	}
	for _, namespace := range listOf(namespaces) {
		if o.DefaultNamespaces == nil {
			o.DefaultNamespaces = map[string]cache.Config{}
		}
		o.DefaultNamespaces[namespace] = cache.Config{}
	}
	return o
}

// addressesAlone keeps in memory what certificates name of a Kubernetes node.
func addressesAlone(object any) (any, error) {
	if node, is := object.(*corev1.Node); is {
		return &corev1.Node{
			ObjectMeta: metav1.ObjectMeta{Name: node.Name, UID: node.UID, ResourceVersion: node.ResourceVersion,
				DeletionTimestamp: node.DeletionTimestamp},
			Status: corev1.NodeStatus{Addresses: node.Status.Addresses},
		}, nil
	}
	return object, nil
}

func metricsOptions(address string) server.Options {
	return server.Options{
		BindAddress: address, SecureServing: true, FilterProvider: metricsauth.Filter,
		TLSOpts: []func(*tls.Config){func(c *tls.Config) { c.MinVersion = tls.VersionTLS13 }},
	}
}
