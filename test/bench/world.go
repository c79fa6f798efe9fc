//go:build linux

package bench

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/wait"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/tools/clientcmd"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/castellan-dev/castellan/api/v1alpha1"
	kafkaclient "github.com/castellan-dev/castellan/internal/kafka/client"
	"github.com/castellan-dev/castellan/internal/kafka/kafkatest"
	"github.com/castellan-dev/castellan/internal/model"
	"github.com/castellan-dev/castellan/internal/pki"
	"github.com/castellan-dev/castellan/internal/status"
	"github.com/castellan-dev/castellan/test/apiserver"
)

const (
	// Namespace is the operator's.
	Namespace = "bench"
	// ClusterName is the KafkaCluster's.
	ClusterName = "events"
	// Installation is how the operator calls itself in status.operator.
	Installation = "castellan"

	floorNamespace = "floor" // that no operator watches
	pool           = "main"
)

// World is everything that is measured: an API server, brokers, and an operator once it is started. The floor has
// brokers of its own, so that both sides have the same history, and as many files open as one process may.
type World struct {
	Kube         client.WithWatch
	Cluster      *v1alpha1.KafkaCluster
	Authority    pki.Authority // the cluster's
	Bench, Floor *Side
	Operator     *Operator

	subject Subject
	options Options
	server  *apiserver.Server
	fronts  []*front
	wire    wire
	hosts   string
	halt    context.CancelFunc
}

// Side is one of the two that are compared: the operator's, and that of the bare client in its place.
type Side struct {
	Namespace string
	Brokers   *kafkatest.Cluster
	Admin     *kafkaclient.Client // past the fronts, so that only the operator is counted there
	Dir       string              // with files that the brokers read; empty = they read none
}

// sides are both.
func (w *World) sides() []*Side { return []*Side{w.Bench, w.Floor} }

// StartWorld starts everything but the operator. The caller must call Stop.
func StartWorld(ctx context.Context, o Options, s Subject) (w *World, err error) {
	ctx, cancel := context.WithCancel(ctx)
	w = &World{
		subject: s, options: o, halt: cancel, wire: wire{counts: map[string]int{}},
		Bench: &Side{Namespace: Namespace}, Floor: &Side{Namespace: floorNamespace},
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, w.Stop())
		}
	}()
	if w.Authority, err = pki.NewAuthority(Namespace+"/"+ClusterName, time.Now()); err != nil {
		return w, err
	}
	if w.fronts, err = listenReplication(w.Authority, w.brokerHosts()); err != nil {
		return w, err
	}
	if w.hosts, err = w.writeHosts(); err != nil {
		return w, err
	}
	if err := w.startBrokers(ctx); err != nil {
		return w, err
	}
	if w.server, err = apiserver.Start(ctx, o.Repository); err != nil {
		return w, err
	}
	if w.Kube, err = connect(w.server.Kubeconfig); err != nil {
		return w, err
	}
	if err := apiserver.ApplyCRDs(ctx, w.Kube, o.Repository); err != nil {
		return w, err
	}
	if err := w.prepare(ctx); err != nil || s.Begin == nil {
		return w, err
	}
	return w, s.Begin(ctx, w)
}

func podName(id int32) string { return fmt.Sprintf("%s-%s-%d", ClusterName, pool, id) }

// brokerHosts are the names that the brokers' pods would have, in the order of the node ids.
func (w *World) brokerHosts() []string {
	hosts := make([]string, max(w.options.Brokers, 1))
	for i := range hosts {
		hosts[i] = fmt.Sprintf("%s.%s-nodes.%s.svc.cluster.local", podName(int32(i+1)), ClusterName, Namespace)
	}
	return hosts
}

// startBrokers starts those of both sides, with as many threads as Kafka has by default.
func (w *World) startBrokers(ctx context.Context) error {
	for _, side := range w.sides() {
		options, err := w.brokerOptions(side)
		if err != nil {
			return err
		}
		if side.Brokers, err = kafkatest.Start(ctx, options); err != nil {
			return err
		}
		side.Admin, err = kafkaclient.New(kafkaclient.Options{Seeds: side.Brokers.Admins(), ClientID: "bench"})
		if err != nil {
			return err
		}
	}
	for i, f := range w.fronts {
		go f.serve(ctx, w.Bench.Brokers.Nodes[i].Behind, &w.wire)
	}
	return nil
}

func connect(kubeconfig string) (client.WithWatch, error) {
	config, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	if err != nil {
		return nil, err
	}
	config.QPS, config.UserAgent = -1, "bench" // as fast as the API server takes it
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{
		clientgoscheme.AddToScheme, apiextensionsv1.AddToScheme, v1alpha1.AddToScheme,
	} {
		if err := add(scheme); err != nil {
			return nil, err
		}
	}
	return client.NewWithWatch(config, client.Options{Scheme: scheme})
}

func (w *World) brokerOptions(side *Side) (options kafkatest.Options, err error) {
	if w.subject.Brokers != nil {
		if side.Dir, err = os.MkdirTemp("", "bench-"); err != nil {
			return options, err
		}
		if options, err = w.subject.Brokers(side.Dir); err != nil {
			return options, err
		}
	}
	config := map[string]string{"num.io.threads": "8", "num.network.threads": "3"}
	maps.Copy(config, options.Config)
	options.Config, options.Nodes = config, len(w.fronts)
	options.JVM = []string{"-Xmx1g", "-XX:TieredStopAtLevel=4"}
	if side == w.Bench {
		for _, f := range w.fronts {
			options.Fronts = append(options.Fronts, f.address())
		}
	}
	return options, nil
}

// writeHosts lets the operator find the brokers under the names that their pods would have.
func (w *World) writeHosts() (string, error) {
	file, err := os.CreateTemp("", "bench-hosts-")
	if err != nil {
		return "", err
	}
	_, err = fmt.Fprintln(file, "127.0.0.1 localhost")
	for i, host := range w.brokerHosts() {
		_, failed := fmt.Fprintf(file, "%s %s\n", w.fronts[i].ip(), host)
		err = errors.Join(err, failed)
	}
	return file.Name(), errors.Join(err, file.Close())
}

// prepare writes a KafkaCluster whose topics and users are cared for while it is not: its version is none, so the
// operator stalls and leaves everything as it is written here.
func (w *World) prepare(ctx context.Context) error {
	for _, side := range w.sides() {
		namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: side.Namespace}}
		if err := w.Kube.Create(ctx, namespace); err != nil {
			return err
		}
	}
	if err := w.CreateAuthority(ctx, pki.AuthoritySecret(ClusterName), w.Authority); err != nil {
		return err
	}
	w.Cluster = w.describe()
	if w.subject.Describe != nil {
		if err := w.subject.Describe(ctx, w, w.Cluster); err != nil {
			return err
		}
	}
	known := w.Cluster.Status.DeepCopy()
	if err := w.Kube.Create(ctx, w.Cluster); err != nil {
		return err
	}
	w.Cluster.Status = *known
	status.Set(&w.Cluster.Status.Conditions, v1alpha1.ConditionAvailable, metav1.ConditionTrue, w.Cluster.Generation,
		"Serving", "brokers of the benchmark", time.Now())
	return w.Kube.Status().Update(ctx, w.Cluster)
}

// CreateAuthority makes the Secret of one of the cluster's authorities.
func (w *World) CreateAuthority(ctx context.Context, name string, authority pki.Authority) error {
	return w.Kube.Create(ctx, &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Namespace: Namespace, Name: name, Labels: model.Labels(ClusterName)},
		Data: map[string][]byte{
			pki.AuthorityCertificate: authority.CertPEM, pki.AuthorityKey: authority.KeyPEM,
		},
	})
}

// describe is the KafkaCluster with its status.
func (w *World) describe() *v1alpha1.KafkaCluster {
	nodes := w.Bench.Brokers.Nodes
	first := nodes[0].NodeID
	cluster := &v1alpha1.KafkaCluster{
		ObjectMeta: metav1.ObjectMeta{Namespace: Namespace, Name: ClusterName},
		Spec: v1alpha1.KafkaClusterSpec{
			Version: "0.0.0",
			Pools: []v1alpha1.Pool{{
				Name: pool, Replicas: new(int32(len(nodes))), FirstNodeID: &first,
				Storage: v1alpha1.Storage{Volumes: []v1alpha1.Volume{{Name: "data", Ephemeral: true}}},
			}},
		},
		Status: v1alpha1.KafkaClusterStatus{
			ClusterID: w.Bench.Brokers.ID, Bootstrapped: true, Operator: Installation,
		},
	}
	for _, n := range nodes {
		cluster.Status.Nodes = append(cluster.Status.Nodes, v1alpha1.NodeStatus{
			ID: n.NodeID, Pool: pool, Pod: podName(n.NodeID), State: v1alpha1.NodeServing,
			Roles: []v1alpha1.Role{v1alpha1.RoleController, v1alpha1.RoleBroker},
		})
	}
	return cluster
}

// StartOperator starts the operator and waits until it has read everything and said what it has to say of the cluster:
// the event comes last.
func (w *World) StartOperator(ctx context.Context) error {
	command := exec.Command(
		w.options.Operator,
		"-watch-namespaces="+Namespace,
		"-metrics-bind-address=0",
		"-health-probe-bind-address=0",
	)
	if drift := w.options.Drift; drift > 0 {
		command.Args = append(command.Args, "-drift-interval="+drift.String())
	}
	command.Env = append(os.Environ(), "KUBECONFIG="+w.server.Kubeconfig)
	var err error
	log := filepath.Join(w.options.Out, "operator.log")
	if w.Operator, err = startOperator(w.hosts, log, command); err != nil {
		return err
	}
	key := client.ObjectKey{Namespace: Namespace, Name: ClusterName}
	err = wait.PollUntilContextTimeout(
		ctx,
		50*time.Millisecond,
		time.Minute,
		true,
		func(ctx context.Context) (bool, error) {
			var cluster v1alpha1.KafkaCluster
			var told eventsv1.EventList
			err := errors.Join(w.Operator.Running(), w.Kube.Get(ctx, key, &cluster),
				w.Kube.List(ctx, &told, client.InNamespace(key.Namespace)))
			if err != nil {
				return false, err
			}
			isOfCluster := func(e eventsv1.Event) bool { return e.Regarding.Name == ClusterName }
			return meta.IsStatusConditionTrue(cluster.Status.Conditions, v1alpha1.ConditionStalled) &&
				slices.ContainsFunc(told.Items, isOfCluster), nil
		},
	)
	if err != nil {
		return fmt.Errorf("wait until the operator has seen KafkaCluster %s: %w", key, err)
	}
	return nil
}

// brokersRun tells why a broker does not run; nil = all do.
func (w *World) brokersRun() error {
	var errs []error
	for _, side := range w.sides() {
		for _, n := range side.Brokers.Nodes {
			errs = append(errs, side.Brokers.Ended(n.NodeID))
		}
	}
	return errors.Join(errs...)
}

// Stop ends everything that was started.
func (w *World) Stop() (err error) {
	if w.Operator != nil {
		w.Operator.stop()
	}
	w.halt()
	for _, side := range w.sides() {
		if side.Admin != nil {
			side.Admin.Close()
		}
		if side.Brokers != nil {
			side.Brokers.Close()
		}
		if side.Dir != "" {
			err = errors.Join(err, os.RemoveAll(side.Dir))
		}
	}
	if w.server != nil {
		err = errors.Join(err, w.server.Stop())
	}
	if w.hosts != "" {
		err = errors.Join(err, os.Remove(w.hosts))
	}
	return err
}
