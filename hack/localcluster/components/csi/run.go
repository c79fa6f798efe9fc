// Package csi is a CSI driver whose volumes are folders on the machine that
// carries the whole cluster. A volume is usable on every node, but it is bound
// to a zone like a cloud's disk. The same driver serves the node service on
// every node and the controller service in the program csi-controller.
package csi

import (
	"context"
	"flag"
	"net"
	"os"
	"path/filepath"

	"github.com/container-storage-interface/spec/lib/go/csi"
	"google.golang.org/grpc"
	registration "k8s.io/kubelet/pkg/apis/pluginregistration/v1"
)

// Driver is what a controller needs to know of the driver.
type Driver struct {
	Volumes    Volumes
	Endpoint   string
	Kubeconfig string
}

// Run serves the driver until a part of it fails. With a controller function
// it serves the controller service, too, and runs the function beside it.
func Run(args []string, controller func(context.Context, Driver) error) error {
	s := &server{}
	flags := flag.NewFlagSet("csi-dir", flag.ContinueOnError)
	flags.StringVar(&s.endpoint, "endpoint", "", "unix socket of the CSI services")
	flags.StringVar(&s.volumes.root, "root", "", "folder of the volumes")
	flags.StringVar(&s.node, "node", "", "serve the node service under this node name")
	register := flags.String("register", "", "unix socket in the kubelet's plugins_registry")
	kubeconfig := flags.String("kubeconfig", "", "the controller's access to the API server")
	if err := flags.Parse(args); err != nil {
		return err
	}
	failed := make(chan error, 4)
	driver := grpc.NewServer()
	csi.RegisterIdentityServer(driver, s)
	if s.node != "" {
		csi.RegisterNodeServer(driver, s)
	}
	if controller != nil {
		csi.RegisterControllerServer(driver, s)
	}
	if err := serve(driver, s.endpoint, failed); err != nil {
		return err
	}
	if *register != "" {
		r := grpc.NewServer()
		registration.RegisterRegistrationServer(r, s)
		if err := serve(r, *register, failed); err != nil {
			return err
		}
	}
	if controller != nil {
		go func() {
			failed <- controller(context.Background(), Driver{s.volumes, s.endpoint, *kubeconfig})
		}()
	}
	return <-failed
}

// serve listens before it returns and serves in the background.
func serve(s *grpc.Server, socket string, failed chan<- error) error {
	if err := os.MkdirAll(filepath.Dir(socket), 0o755); err != nil {
		return err
	}
	if err := os.Remove(socket); err != nil && !os.IsNotExist(err) {
		return err
	}
	l, err := net.Listen("unix", socket)
	if err != nil {
		return err
	}
	go func() { failed <- s.Serve(l) }()
	return nil
}
