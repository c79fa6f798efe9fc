// Package api holds the three kinds to their word: everything that a real API server can refuse, fill in or keep apart
// is tested against one, with the CRDs as they are generated. No operator and no node takes part; what only they can
// see belongs to test/e2e.
package api

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apimachinery/pkg/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/castellan-dev/castellan/api/v1alpha1"
)

// repository is the top folder of the repository, seen from a test of this package.
const repository = "../.."

// startTimeout covers a cold start; building the server's binary may come before it and is not bounded here.
const startTimeout = 45 * time.Minute

var (
	kube   client.Client
	config *rest.Config
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
	server, err := startServer(ctx)
	if err != nil {
		return 1, err
	}
	defer func() { err = errors.Join(err, server.stop()) }()
	if err := connect(server.kubeconfig); err != nil {
		return 1, err
	}
	if err := applyCRDs(ctx); err != nil {
		return 1, err
	}
	return m.Run(), nil
}

// server is an API server that lives as long as the pipe to its standard input, and so never longer than this process.
type server struct {
	kubeconfig string
	command    *exec.Cmd
	input      io.Closer
}

// startServer runs the local cluster's API server and waits until it is ready.
func startServer(ctx context.Context) (*server, error) {
	command := exec.Command("go", "-C", filepath.Join(repository, "hack", "localcluster"), "run", ".", "apiserver")
	if binary := os.Getenv("CASTELLAN_LOCALCLUSTER"); binary != "" {
		command = exec.Command(binary, "apiserver")
	}
	command.Stderr = os.Stderr
	// A group of its own: an interrupt from the terminal ends us, which closes the pipe, which ends the server in order.
	command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	input, err := command.StdinPipe()
	if err != nil {
		return nil, err
	}
	output, err := command.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := command.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", command, err)
	}
	s := &server{command: command, input: input}
	ready := make(chan error, 1)
	go func() { ready <- s.readUntilReady(output) }()
	select {
	case err = <-ready:
	case <-ctx.Done():
		err = ctx.Err()
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("wait for %s: %w", command, err), s.stop())
	}
	return s, nil
}

// readUntilReady reads KUBECONFIG=path and READY, and goes on reading so that the server never blocks on its output.
func (s *server) readUntilReady(output io.Reader) error {
	lines := bufio.NewScanner(output)
	for lines.Scan() {
		if path, ok := strings.CutPrefix(lines.Text(), "KUBECONFIG="); ok {
			s.kubeconfig = path
		}
		if lines.Text() == "READY" {
			go func() { _, _ = io.Copy(io.Discard, output) }()
			return nil
		}
	}
	return errors.Join(errors.New("it ended before it was ready"), lines.Err())
}

func (s *server) stop() error {
	_ = s.input.Close()
	if err := s.command.Wait(); err != nil {
		return fmt.Errorf("stop the API server: %w", err)
	}
	if _, err := os.Stat(s.kubeconfig); s.kubeconfig != "" && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("the API server left %s behind", s.kubeconfig)
	}
	return nil
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
