// Package standalone runs an API server with its etcd on loopback ports, for
// tests that need the API but no nodes. It needs no privileges.
package standalone

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/castellan-dev/castellan/hack/localcluster/internal/console"
	"github.com/castellan-dev/castellan/hack/localcluster/internal/control"
	"github.com/castellan-dev/castellan/hack/localcluster/internal/kube"
	"github.com/castellan-dev/castellan/hack/localcluster/internal/pki"
	"github.com/castellan-dev/castellan/hack/localcluster/internal/proc"
)

const startTimeout = 60 * time.Second

// Options of a stand-alone API server.
type Options struct {
	// Dir takes all files. Empty means a temporary folder.
	Dir string
	// Components is the binary that holds etcd and kube-apiserver.
	Components string
	// APIServer is a program that takes the place of the kube-apiserver there, such as one of another version; empty =
	// none does.
	APIServer string
	// Keep leaves the files at the end, to look at logs.
	Keep bool
	// Fsync makes etcd wait for the disk, which the local cluster's does not.
	Fsync bool
	// Extra are more arguments for kube-apiserver.
	Extra []string
}

// Run starts the server, prints KUBECONFIG=path and READY, and ends when the
// context does.
func Run(ctx context.Context, o Options, out io.Writer) (err error) {
	dir, cleanup, err := makeDir(o.Dir)
	if err != nil {
		return err
	}
	if !o.Keep {
		defer func() { err = errors.Join(err, cleanup()) }()
	}
	ports, err := freePorts(3)
	if err != nil {
		return err
	}
	server, etcd, err := prepare(dir, ports, o.Extra)
	if err != nil {
		return err
	}
	client, err := kube.New(fmt.Sprintf("https://127.0.0.1:%d", ports[0]), server.PKI, control.CA, control.Admin)
	if err != nil {
		return err
	}
	if o.Fsync {
		etcd = slices.DeleteFunc(etcd, func(argument string) bool { return argument == "--unsafe-no-fsync" })
	}
	ctx, stop := context.WithCancel(ctx)
	failed := make(chan error, 2)
	var group sync.WaitGroup
	start := func(name string, argv []string) {
		log := filepath.Join(dir, name+".log")
		group.Go(func() { failed <- runLogged(ctx, name, argv, log) })
	}
	defer func() { stop(); group.Wait() }()
	start("etcd", append([]string{o.Components}, etcd...))
	argv := append([]string{o.Components}, server.Args()...)
	if o.APIServer != "" {
		argv = append([]string{o.APIServer}, server.Args()[1:]...)
	}
	start("kube-apiserver", argv)
	if err := client.WaitReady(ctx, startTimeout, failed); err != nil {
		return err
	}
	fmt.Fprintf(out, "KUBECONFIG=%s\nREADY\n", kubeconfig(dir))
	select {
	case <-ctx.Done():
		return nil
	case err := <-failed:
		return err
	}
}

func kubeconfig(dir string) string { return filepath.Join(dir, "kubeconfig") }

func prepare(dir string, ports []int, extra []string) (control.APIServer, []string, error) {
	loopback := func(port int) string { return fmt.Sprintf("http://127.0.0.1:%d", port) }
	server := control.APIServer{
		PKI:           pki.Store(filepath.Join(dir, "pki")),
		RunDir:        filepath.Join(dir, "run"),
		Etcd:          loopback(ports[1]),
		BindAddress:   "127.0.0.1",
		Advertise:     "127.0.0.1",
		Port:          ports[0],
		ServiceCIDR:   "10.96.0.0/16",
		AuditLog:      filepath.Join(dir, "audit.log"),
		AuditPolicy:   filepath.Join(dir, "audit-policy.yaml"),
		NoControllers: true,
		// The address 127.0.0.1 is refused in endpoints of Service kubernetes.
		Extra: append([]string{"--endpoint-reconciler-type=none"}, extra...),
	}
	if err := server.EnsurePKI(nil); err != nil {
		return server, nil, err
	}
	if err := os.WriteFile(server.AuditPolicy, []byte(control.AuditPolicy), 0o644); err != nil {
		return server, nil, err
	}
	err := server.PKI.WriteKubeconfig(kubeconfig(dir), "apiserver",
		fmt.Sprintf("https://127.0.0.1:%d", ports[0]), control.CA, control.Admin)
	return server, control.Etcd(filepath.Join(dir, "etcd"), loopback(ports[1]), loopback(ports[2])), err
}

// makeDir returns a folder and a function that removes what we put there.
func makeDir(path string) (string, func() error, error) {
	if path == "" {
		dir, err := os.MkdirTemp("", "apiserver-")
		return dir, func() error { return os.RemoveAll(dir) }, err
	}
	dir, err := filepath.Abs(path)
	if err != nil {
		return "", nil, err
	}
	before, err := os.ReadDir(dir)
	if errors.Is(err, os.ErrNotExist) {
		return dir, func() error { return os.RemoveAll(dir) }, os.MkdirAll(dir, 0o755)
	}
	if err != nil {
		return "", nil, err
	}
	if len(before) > 0 {
		return "", nil, fmt.Errorf("folder %s is not empty", dir)
	}
	return dir, func() error { return emptyDir(dir) }, nil
}

func emptyDir(dir string) error {
	entries, err := os.ReadDir(dir)
	for _, e := range entries {
		err = errors.Join(err, os.RemoveAll(filepath.Join(dir, e.Name())))
	}
	return err
}

// freePorts asks the kernel for ports and holds them all until it has enough,
// so that they differ.
func freePorts(n int) ([]int, error) {
	var ports []int
	for range n {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		defer l.Close()
		ports = append(ports, l.Addr().(*net.TCPAddr).Port)
	}
	return ports, nil
}

// runLogged runs a program that must not end before the context.
func runLogged(ctx context.Context, name string, argv []string, log string) error {
	f, err := os.Create(log)
	if err != nil {
		return err
	}
	defer f.Close()
	// Nothing is worth an orderly end, which takes the API server seconds.
	err = proc.Command{Argv: argv, End: syscall.SIGKILL}.Run(ctx, f)
	if ctx.Err() != nil {
		return nil
	}
	return fmt.Errorf("%s ended: %w\n%s", name, err, strings.TrimSuffix(console.Tail(log, 15), "\n"))
}
