// Package apiserver starts a real API server with its etcd on loopback, with the CRDs as they are generated and without
// nodes and controllers, for tests and benchmarks; it leaves nothing behind.
package apiserver

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
)

// Server is an API server that lives as long as the pipe to its standard input, and so never longer than this process.
type Server struct {
	Kubeconfig string

	command *exec.Cmd
	input   io.Closer
}

// Start runs the API server of the local cluster (hack/localcluster) and waits until it is ready. The environment's
// CASTELLAN_LOCALCLUSTER names the program; without it, it is built from the repository's folder. Arguments are more of
// that program's, such as -fsync, or after "--" of the API server's.
func Start(ctx context.Context, repository string, arguments ...string) (*Server, error) {
	command := exec.Command("go", "-C", filepath.Join(repository, "hack", "localcluster"), "run", ".", "apiserver")
	if binary := os.Getenv("CASTELLAN_LOCALCLUSTER"); binary != "" {
		command = exec.Command(binary, "apiserver")
	}
	command.Args = append(command.Args, arguments...)
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
	s := &Server{command: command, input: input}
	ready := make(chan error, 1)
	go func() { ready <- s.readUntilReady(output) }()
	select {
	case err = <-ready:
	case <-ctx.Done():
		err = ctx.Err()
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("wait for %s: %w", command, err), s.Stop())
	}
	return s, nil
}

// PID is the process whose descendants are the API server and etcd.
func (s *Server) PID() int { return s.command.Process.Pid }

// AuditLog is the file that gets a line for every request, before it is answered.
func (s *Server) AuditLog() string { return filepath.Join(filepath.Dir(s.Kubeconfig), "audit.log") }

// Stop ends the server and checks that its files are gone.
func (s *Server) Stop() error {
	_ = s.input.Close()
	if err := s.command.Wait(); err != nil {
		return fmt.Errorf("stop the API server: %w", err)
	}
	if _, err := os.Stat(s.Kubeconfig); s.Kubeconfig != "" && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("the API server left %s behind", s.Kubeconfig)
	}
	return nil
}

// readUntilReady reads KUBECONFIG=path and READY, and goes on reading so that the server never blocks on its output.
func (s *Server) readUntilReady(output io.Reader) error {
	lines := bufio.NewScanner(output)
	for lines.Scan() {
		if path, ok := strings.CutPrefix(lines.Text(), "KUBECONFIG="); ok {
			s.Kubeconfig = path
		}
		if lines.Text() == "READY" {
			go func() { _, _ = io.Copy(io.Discard, output) }()
			return nil
		}
	}
	return errors.Join(errors.New("it ended before it was ready"), lines.Err())
}
