//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
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
	"github.com/castellan-dev/castellan/internal/pki"
	"github.com/castellan-dev/castellan/internal/status"
	"github.com/castellan-dev/castellan/test/apiserver"
)

const (
	benchNamespace = "bench" // the operator's
	floorNamespace = "floor" // that no operator watches
	clusterName    = "events"
	podName        = "events-main-1"
	brokerHost     = podName + "." + clusterName + "-nodes." + benchNamespace + ".svc.cluster.local"
)

// world is everything that is measured: an API server, a broker, and an operator once it is started.
type world struct {
	server   *apiserver.Server
	kube     client.WithWatch
	broker   *kafkatest.Cluster
	front    *front
	admin    *kafkaclient.Client // past the front, so that only the operator is counted there
	operator *operator

	// The floor has a broker of its own, so that both have the same history, and as many files open as one process may.
	floorBroker *kafkatest.Cluster
	floorAdmin  *kafkaclient.Client

	hosts string
	halt  context.CancelFunc
}

func startWorld(ctx context.Context, o options) (w *world, err error) {
	ctx, cancel := context.WithCancel(ctx)
	w = &world{halt: cancel}
	defer func() {
		if err != nil {
			err = errors.Join(err, w.stop())
		}
	}()
	authority, err := pki.NewAuthority(benchNamespace+"/"+clusterName, time.Now())
	if err != nil {
		return w, err
	}
	if w.front, err = newFront(authority, brokerHost); err != nil {
		return w, err
	}
	if w.hosts, err = writeHosts(w.front.ip()); err != nil {
		return w, err
	}
	config := map[string]string{"advertised.listeners": "ADMIN://" + w.front.address()}
	if w.broker, w.admin, err = startBroker(ctx, config); err != nil {
		return w, err
	}
	go w.front.serve(ctx, w.broker.Admins()[0])
	if w.floorBroker, w.floorAdmin, err = startBroker(ctx, nil); err != nil {
		return w, err
	}
	if w.server, err = apiserver.Start(ctx, o.repository); err != nil {
		return w, err
	}
	if w.kube, err = connect(w.server.Kubeconfig); err != nil {
		return w, err
	}
	if err := apiserver.ApplyCRDs(ctx, w.kube, o.repository); err != nil {
		return w, err
	}
	return w, w.prepare(ctx, authority)
}

// startBroker starts a broker with as many threads as Kafka has by default, and a client that reaches it whatever
// address it advertises. What has been started is returned with an error, too.
func startBroker(ctx context.Context, config map[string]string) (*kafkatest.Cluster, *kafkaclient.Client, error) {
	all := map[string]string{"num.io.threads": "8", "num.network.threads": "3"}
	maps.Copy(all, config)
	broker, err := kafkatest.Start(ctx, kafkatest.Options{JVM: []string{"-Xmx1g", "-XX:TieredStopAtLevel=4"}, Config: all})
	if err != nil {
		return nil, nil, err
	}
	address := broker.Admins()[0]
	admin, err := kafkaclient.New(kafkaclient.Options{
		Seeds: []string{address}, ClientID: "benchtopics",
		Dialer: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, network, address)
		},
	})
	return broker, admin, err
}

func connect(kubeconfig string) (client.WithWatch, error) {
	config, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	if err != nil {
		return nil, err
	}
	config.QPS, config.UserAgent = -1, "benchtopics" // as fast as the API server takes it
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

// writeHosts lets the operator find the broker under the name that its pod would have.
func writeHosts(ip string) (string, error) {
	file, err := os.CreateTemp("", "benchtopics-hosts-")
	if err != nil {
		return "", err
	}
	_, err = fmt.Fprintf(file, "127.0.0.1 localhost\n%s %s\n", ip, brokerHost)
	return file.Name(), errors.Join(err, file.Close())
}

// prepare writes a KafkaCluster whose topics are cared for while it is not: its version is none, so the operator stalls
// and leaves everything as it is written here.
func (w *world) prepare(ctx context.Context, authority pki.Authority) error {
	for _, name := range []string{benchNamespace, floorNamespace} {
		if err := w.kube.Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}}); err != nil {
			return err
		}
	}
	err := w.kube.Create(ctx, &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: benchNamespace, Name: clusterName + "-ca",
			Labels: map[string]string{v1alpha1.LabelManagedBy: v1alpha1.ManagedBy, v1alpha1.LabelCluster: clusterName},
		},
		Data: map[string][]byte{"ca.crt": authority.CertPEM, "ca.key": authority.KeyPEM},
	})
	if err != nil {
		return err
	}
	one := int32(1)
	cluster := &v1alpha1.KafkaCluster{
		ObjectMeta: metav1.ObjectMeta{Namespace: benchNamespace, Name: clusterName},
		Spec: v1alpha1.KafkaClusterSpec{
			Version: "0.0.0",
			Pools: []v1alpha1.Pool{{
				Name: "main", Replicas: 1, FirstNodeID: &one,
				Storage: v1alpha1.Storage{Volumes: []v1alpha1.Volume{{Name: "data", Ephemeral: true}}},
			}},
		},
	}
	if err := w.kube.Create(ctx, cluster); err != nil {
		return err
	}
	cluster.Status.ClusterID, cluster.Status.Bootstrapped = w.broker.ID, true
	cluster.Status.Nodes = []v1alpha1.NodeStatus{{
		ID: one, Pool: "main", Pod: podName, State: v1alpha1.NodeServing,
		Roles: []v1alpha1.Role{v1alpha1.RoleController, v1alpha1.RoleBroker},
	}}
	status.Set(
		&cluster.Status.Conditions,
		v1alpha1.ConditionAvailable,
		metav1.ConditionTrue,
		cluster.Generation,
		"Serving",
		"a broker of the benchmark",
		time.Now(),
	)
	return w.kube.Status().Update(ctx, cluster)
}

// startOperator starts the operator and waits until it has read everything and said what it has to say of the cluster:
// the event comes last.
func (w *world) startOperator(ctx context.Context, o options) error {
	command := exec.Command(
		o.operator,
		"-watch-namespaces="+benchNamespace,
		"-metrics-bind-address=0",
		"-health-probe-bind-address=0",
	)
	if o.drift > 0 {
		command.Args = append(command.Args, "-drift-interval="+o.drift.String())
	}
	command.Env = append(os.Environ(), "KUBECONFIG="+w.server.Kubeconfig)
	var err error
	if w.operator, err = startOperator(w.hosts, filepath.Join(o.out, "operator.log"), command); err != nil {
		return err
	}
	key := client.ObjectKey{Namespace: benchNamespace, Name: clusterName}
	err = wait.PollUntilContextTimeout(
		ctx,
		50*time.Millisecond,
		time.Minute,
		true,
		func(ctx context.Context) (bool, error) {
			var cluster v1alpha1.KafkaCluster
			var told eventsv1.EventList
			err := errors.Join(w.operator.running(), w.kube.Get(ctx, key, &cluster),
				w.kube.List(ctx, &told, client.InNamespace(key.Namespace)))
			if err != nil {
				return false, err
			}
			isOfCluster := func(e eventsv1.Event) bool { return e.Regarding.Name == clusterName }
			return meta.IsStatusConditionTrue(cluster.Status.Conditions, v1alpha1.ConditionStalled) &&
				slices.ContainsFunc(told.Items, isOfCluster), nil
		},
	)
	if err != nil {
		return fmt.Errorf("wait until the operator has seen KafkaCluster %s: %w", key, err)
	}
	return nil
}

// brokersRun tells why a broker does not run; nil = both do.
func (w *world) brokersRun() error {
	var errs []error
	for _, k := range []*kafkatest.Cluster{w.broker, w.floorBroker} {
		errs = append(errs, k.Ended(k.Nodes[0].NodeID))
	}
	return errors.Join(errs...)
}

// stop ends everything that was started.
func (w *world) stop() error {
	if w.operator != nil {
		w.operator.stop()
	}
	w.halt()
	for _, admin := range []*kafkaclient.Client{w.admin, w.floorAdmin} {
		if admin != nil {
			admin.Close()
		}
	}
	for _, broker := range []*kafkatest.Cluster{w.broker, w.floorBroker} {
		if broker != nil {
			broker.Close()
		}
	}
	var err error
	if w.server != nil {
		err = w.server.Stop()
	}
	if w.hosts != "" {
		err = errors.Join(err, os.Remove(w.hosts))
	}
	return err
}
