// Command components is every program of a Kubernetes cluster in one static
// binary: the API server, the controllers, the scheduler, kube-proxy, the
// kubelet, kubectl, etcd, CoreDNS, a CSI driver, load balancers and an image registry. One
// binary means that client-go is compiled and mapped into memory once. The
// program is chosen by the name of the executable or by the first argument.
package main

import (
	"context"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/coredns/coredns/core/dnsserver"
	"github.com/coredns/coredns/coremain"
	_ "github.com/coredns/coredns/plugin/bind"
	_ "github.com/coredns/coredns/plugin/cache"
	_ "github.com/coredns/coredns/plugin/errors"
	_ "github.com/coredns/coredns/plugin/health"
	_ "github.com/coredns/coredns/plugin/kubernetes"
	_ "github.com/coredns/coredns/plugin/ready"
	"github.com/spf13/cobra"
	"go.etcd.io/etcd/server/v3/etcdmain"
	"k8s.io/component-base/cli"
	_ "k8s.io/component-base/logs/json/register"
	_ "k8s.io/component-base/metrics/prometheus/clientgo"
	_ "k8s.io/component-base/metrics/prometheus/version"
	kubectl "k8s.io/kubectl/pkg/cmd"
	kubectlutil "k8s.io/kubectl/pkg/cmd/util"
	apiserver "k8s.io/kubernetes/cmd/kube-apiserver/app"
	controllers "k8s.io/kubernetes/cmd/kube-controller-manager/app"
	proxy "k8s.io/kubernetes/cmd/kube-proxy/app"
	scheduler "k8s.io/kubernetes/cmd/kube-scheduler/app"
	kubelet "k8s.io/kubernetes/cmd/kubelet/app"

	"github.com/castellan-dev/castellan/hack/localcluster/components/csi"
	"github.com/castellan-dev/castellan/hack/localcluster/components/loadbalancer"
	"github.com/castellan-dev/castellan/hack/localcluster/components/registry"
)

// programs start with os.Args[0] set to their own name.
var programs = map[string]func(){
	"kube-apiserver":          func() { runCommand(apiserver.NewAPIServerCommand()) },
	"kube-controller-manager": func() { runCommand(controllers.NewControllerManagerCommand()) },
	"kube-scheduler":          func() { runCommand(scheduler.NewSchedulerCommand()) },
	"kube-proxy":              func() { runCommand(proxy.NewProxyCommand()) },
	"kubelet":                 func() { runCommand(kubelet.NewKubeletCommand(context.Background())) },
	"kubectl":                 runKubectl,
	"etcd":                    func() { etcdmain.Main(os.Args) },
	"coredns":                 coremain.Run,
	"csi-dir":                 func() { fail(csi.Run(os.Args[1:], nil)) },
	"load-balancer":           func() { fail(loadbalancer.Run(os.Args[1:])) },
	"registry":                func() { fail(registry.Run(os.Args[1:])) },
}

func init() {
	// The order in which CoreDNS chains its plugins; it may name only those
	// that are compiled in.
	dnsserver.Directives = []string{"bind", "health", "ready", "errors", "cache", "kubernetes"}
}

func main() {
	run := programs[filepath.Base(os.Args[0])]
	if run == nil && len(os.Args) > 1 {
		os.Args = os.Args[1:]
		run = programs[os.Args[0]]
	}
	if run == nil {
		names := slices.Sorted(maps.Keys(programs))
		fmt.Fprintf(os.Stderr, "usage: components %s ARGUMENTS\n", strings.Join(names, "|"))
		os.Exit(2)
	}
	run()
}

func runCommand(c *cobra.Command) { os.Exit(cli.Run(c)) }

func runKubectl() {
	if err := cli.RunNoErrOutput(kubectl.NewDefaultKubectlCommand()); err != nil {
		kubectlutil.CheckErr(err)
	}
}

func fail(err error) {
	if err != nil {
		fmt.Fprintf(os.Stderr, "%s: %v\n", os.Args[0], err)
		os.Exit(1)
	}
}
