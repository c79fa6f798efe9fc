// Package e2e holds the whole product to its word: the operator runs in a real Kubernetes cluster and makes real Kafka
// clusters there, and each case checks one promise from outside, as a user would see it broken.
//
// Without any setting the suite uses the local cluster of `make demo`, which it starts when it does not run, builds the
// operator's image and installs the chart. `make test` has a local cluster of its own. The environment says what
// differs:
//
//	CASTELLAN_LOCALCLUSTER     the program of hack/localcluster, with which cluster it means already settled
//	CASTELLAN_E2E_LANE         promise: only the cases that begin with promise(t); long: only those with long(t)
//	CASTELLAN_E2E_SHARD        i/n: only the i-th of n pieces of these
//	CASTELLAN_E2E_DURATIONS    the file that the table of durations goes to
//	CASTELLAN_E2E_KUBECONFIG   an existing cluster instead (KUBECONFIG is not used: a suite that powers nodes off must
//
// be asked)
//
//	CASTELLAN_E2E_INSTALLED    any value: the operator is installed already, leave it as it is
//	CASTELLAN_E2E_OLDER_KAFKA  the version of Kafka that case 20 upgrades from (default 4.2.2)
//	CASTELLAN_E2E_BALANCED_MIB how many MiB case 44 begins with (default 96)
//	CASTELLAN_E2E_REST         how long case 10 watches a cluster at rest (default 240s)
//	CASTELLAN_E2E_ARTIFACTS    where descriptions and logs of failed cases go (default: a temporary folder)
//	CASTELLAN_E2E_KEEP         any value: leave the namespaces of failed cases for a look at them
package e2e

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/go-logr/logr"

	"github.com/castellan-dev/castellan/api/v1alpha1"
	"github.com/castellan-dev/castellan/test/suite"
)

// repository is the top folder of the repository, seen from a test of this package.
const repository = "../.."

// What every case works with; set once, before the first.
var (
	kube       client.WithWatch
	restConfig *rest.Config
	kubeconfig string
	began      = time.Now()

	pace        suite.Pace
	brokerStart time.Duration // how long one broker took from apply to Ready, which the pace follows from
)

func TestMain(m *testing.M) {
	log.SetLogger(logr.Discard())
	left, err := selectCases()
	if err == nil && left > 0 && flag.Lookup("test.list").Value.String() == "" {
		err = setUp(context.Background())
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "test/e2e:", err)
		os.Exit(1)
	}
	code := m.Run()
	for _, cluster := range sharedClusters {
		if err := cluster.remove(context.Background()); err != nil {
			fmt.Fprintln(os.Stderr, "test/e2e: clean up:", err)
			code = 1
		}
	}
	printFigures(os.Stdout)
	if err := printDurations(); err != nil {
		fmt.Fprintln(os.Stderr, "test/e2e: print the durations:", err)
		code = 1
	}
	if artifacts.used() {
		fmt.Println("descriptions and logs of failed cases:", artifacts.dir())
	}
	os.Exit(code)
}

func setUp(ctx context.Context) error {
	var err error
	if kubeconfig, err = ensureKubernetes(ctx); err != nil {
		return err
	}
	if restConfig, err = clientcmd.BuildConfigFromFlags("", kubeconfig); err != nil {
		return err
	}
	restConfig.QPS, restConfig.Burst = 200, 400
	restConfig.UserAgent = "castellan-e2e"
	restConfig.Wrap(suite.Outlasting)
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{clientgoscheme.AddToScheme, v1alpha1.AddToScheme} {
		if err := add(scheme); err != nil {
			return err
		}
	}
	if kube, err = client.NewWithWatch(restConfig, client.Options{Scheme: scheme}); err != nil {
		return err
	}
	if err := ensureOperator(ctx); err != nil {
		return err
	}
	if err := removeLeftovers(ctx); err != nil {
		return err
	}
	return takePace(ctx)
}

// quietStart is how long one broker takes from apply to Ready on two quiet cores, with something to spare.
const quietStart = 10 * time.Second

// takePace makes the shared cluster of one broker and judges the machine by how long that takes.
func takePace(ctx context.Context) error {
	pace = suite.PaceOf(3*quietStart, quietStart) // so much patience as long as nothing is known
	if err := single.make(ctx); err != nil {
		pods, _ := kubectl(ctx, "describe", "pods", "-n", single.namespace)
		return fmt.Errorf("start one broker: %w\n%s", errors.Join(err, single.remove(ctx)), tail(pods))
	}
	brokerStart = single.readyIn
	pace = suite.PaceOf(brokerStart, quietStart)
	fmt.Printf(
		"one broker took %.1fs from apply to Ready: time-outs are %s times those of a quiet machine\n",
		brokerStart.Seconds(),
		pace,
	)
	return nil
}

// say prints what a case does, with the time since the case and since the suite began.
func say(t *testing.T, format string, args ...any) {
	t.Helper()
	t.Logf("[%6.1fs] %s", time.Since(began).Seconds(), fmt.Sprintf(format, args...))
}
