// Package e2e holds the whole product to its word: the operator runs in a real Kubernetes cluster and makes real Kafka
// clusters there, and each case checks one promise from outside, as a user would see it broken.
//
// `make test` starts a cluster of its own, builds and loads the operator's image, and tells where all that is. Without its
// variables, as under `go test ./test/e2e`, the suite uses the local cluster of `make demo`, which it starts when it does
// not run, and builds and loads the image itself. In both cases it installs the chart. The environment:
//
//	KUBECONFIG, CASTELLAN_CLUSTER   a running local cluster, and the flags that name it to hack/localcluster
//	CASTELLAN_IMAGE, CASTELLAN_HELM the operator's image, loaded already, and the program helm
//	CONTEXT, IMAGE                  an existing cluster of the kubeconfig, and the operator's image that it can pull
//	CASTELLAN_E2E_INSTALLED         any value: the operator is installed already, leave it as it is
//	CASTELLAN_E2E_REST              how long case 10 watches a cluster at rest (default 240s)
//	CASTELLAN_E2E_ARTIFACTS         where descriptions and logs of failed cases go (default: a temporary folder)
//	CASTELLAN_E2E_KEEP              any value: leave the namespaces of failed cases for a look at them
package e2e

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
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
)

// repository is the top folder of the repository, seen from a test of this package.
const repository = "../.."

// What every case works with; set once, before the first.
var (
	kube       client.WithWatch
	restConfig *rest.Config
	kubeconfig string
	began      = time.Now()
)

func TestMain(m *testing.M) {
	log.SetLogger(logr.Discard())
	if err := setUp(context.Background()); err != nil {
		fmt.Fprintln(os.Stderr, "test/e2e:", err)
		os.Exit(1)
	}
	code := m.Run()
	if err := common.remove(context.Background()); err != nil {
		fmt.Fprintln(os.Stderr, "test/e2e: clean up:", err)
		code = 1
	}
	printFigures(os.Stdout)
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
	restConfig, err = clientcmd.NewNonInteractiveDeferredLoadingClientConfig(
		&clientcmd.ClientConfigLoadingRules{Precedence: filepath.SplitList(kubeconfig)},
		&clientcmd.ConfigOverrides{CurrentContext: os.Getenv("CONTEXT")}).ClientConfig()
	if err != nil {
		return err
	}
	restConfig.QPS, restConfig.Burst = 200, 400
	restConfig.UserAgent = "castellan-e2e"
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
	return removeLeftovers(ctx)
}

// say prints what a case does, with the time since the case and since the suite began.
func say(t *testing.T, format string, args ...any) {
	t.Helper()
	t.Logf("[%6.1fs] %s", time.Since(began).Seconds(), fmt.Sprintf(format, args...))
}
