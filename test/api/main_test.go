// Package api holds the three kinds to their word: everything that a real API server can refuse, fill in or keep apart
// is tested against one, with the CRDs as they are generated. No operator and no node takes part; what only they can
// see belongs to test/e2e.
package api

import (
	"context"
	"errors"
	"fmt"
	"os"
	"testing"
	"time"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apimachinery/pkg/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/castellan-dev/castellan/api/v1alpha1"
	"github.com/castellan-dev/castellan/test/apiserver"
)

// repository is the top folder of the repository, seen from a test of this package.
const repository = "../.."

// startTimeout covers a cold start; building the server's binary may come before it and is not bounded here.
const startTimeout = 45 * time.Minute

var (
	kube   client.Client
	config *rest.Config
	server *apiserver.Server
)

func TestMain(m *testing.M) {
	code, err := run(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, "test/api:", err)
		code = 1
	}
	os.Exit(code)
}

// run is TestMain with an error and with defers that are carried out.
func run(m *testing.M) (code int, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
	defer cancel()
	if server, err = apiserver.Start(ctx, repository); err != nil {
		return 1, err
	}
	defer func() { err = errors.Join(err, server.Stop()) }()
	if err := connect(server.Kubeconfig); err != nil {
		return 1, err
	}
	if err := apiserver.ApplyCRDs(ctx, kube, repository); err != nil {
		return 1, err
	}
	return m.Run(), nil
}

func connect(kubeconfig string) error {
	var err error
	if config, err = clientcmd.BuildConfigFromFlags("", kubeconfig); err != nil {
		return err
	}
	config.QPS, config.Burst = 200, 400
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{
		clientgoscheme.AddToScheme, apiextensionsv1.AddToScheme, v1alpha1.AddToScheme,
	} {
		if err := add(scheme); err != nil {
			return err
		}
	}
	kube, err = client.New(config, client.Options{Scheme: scheme})
	return err
}
