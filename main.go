// Castellan is a Kubernetes operator for Apache Kafka. This file only wires it: options, manager, controllers.
package main

import (
	"crypto/tls"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"time"

	"github.com/go-logr/logr"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
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
	"github.com/castellan-dev/castellan/internal/metricsauth"
)

// version is set when the binary is linked.
var version = "dev"

func main() {
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
	domain          string
	drift           time.Duration
	moveRate        int64
	externalOnly    bool
	gatewayAPI      bool
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
	flags.BoolVar(
		&o.externalOnly,
		"external-only",
		false,
		"look after external clusters (spec.external) alone, which takes no permission on pods, StatefulSets and their like",
	)
	flags.BoolVar(
		&o.gatewayAPI,
		"gateway-api",
		false,
		"make routes of the Gateway API for listeners of the types TLSRoute and TCPRoute, which takes permissions on them",
	)
	flags.TextVar(&o.logLevel, "log-level", slog.LevelInfo, "what is logged: DEBUG, INFO, WARN or ERROR")
}

func run() error {
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
		LeaderElectionID:              "castellan.kafka.castellan.dev",
		LeaderElectionReleaseOnCancel: true, // main ends when the manager does
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
	err = controllers.Setup(mgr, controllers.Options{
		ImageRepository: o.imageRepository, Domain: o.domain, DriftInterval: o.drift,
		ReassignmentRate: o.moveRate, Namespaces: namespacesOf(o.namespaces), ExternalOnly: o.externalOnly,
		GatewayAPI: o.gatewayAPI, Now: time.Now,
	})
	if err != nil {
		return err
	}
	return mgr.Start(ctrl.SetupSignalHandler())
}

func namespacesOf(text string) []string {
	return strings.FieldsFunc(text, func(r rune) bool { return r == ',' || r == ' ' })
}

// cacheOptions keep in memory only what the operator itself has made, of the kinds that others use too.
func cacheOptions(namespaces string) cache.Options {
	ours := cache.ByObject{Label: labels.SelectorFromSet(labels.Set{v1alpha1.LabelManagedBy: v1alpha1.ManagedBy})}
	o := cache.Options{
		DefaultTransform: cache.TransformStripManagedFields(),
		ByObject: map[client.Object]cache.ByObject{
			&corev1.Pod{}: ours, &corev1.Service{}: ours, &corev1.ConfigMap{}: ours, &corev1.Secret{}: ours,
			&corev1.PersistentVolumeClaim{}: ours, &appsv1.StatefulSet{}: ours, &policyv1.PodDisruptionBudget{}: ours,
			&appsv1.ControllerRevision{}: ours, // they bear the labels of the pods that are made from them
		},
	}
	for _, namespace := range namespacesOf(namespaces) {
		if o.DefaultNamespaces == nil {
			o.DefaultNamespaces = map[string]cache.Config{}
		}
		o.DefaultNamespaces[namespace] = cache.Config{}
	}
	return o
}

func metricsOptions(address string) server.Options {
	return server.Options{
		BindAddress: address, SecureServing: true, FilterProvider: metricsauth.Filter,
		TLSOpts: []func(*tls.Config){func(c *tls.Config) { c.MinVersion = tls.VersionTLS13 }},
	}
}
