// Command kube-apiserver is the API server of Kubernetes 1.37, one end of what is supported: test/api is to run on it,
// too.
package main

import (
	"os"

	"k8s.io/component-base/cli"
	"k8s.io/kubernetes/cmd/kube-apiserver/app"
)

func main() { os.Exit(cli.Run(app.NewAPIServerCommand())) }
