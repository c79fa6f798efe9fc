package proc

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"sync"
	"syscall"
	"time"
)

const (
	stopGrace  = 5 * time.Second
	firstDelay = 200 * time.Millisecond
	maxDelay   = 5 * time.Second
	longLife   = 30 * time.Second
)

// Spec is a program to keep running.
type Spec struct {
	Name string   `json:"name"`
	Argv []string `json:"argv"`
	// Env is added to the supervisor's environment.
	Env []string `json:"env,omitempty"`
	// NetNS is the path of a network namespace; empty means the supervisor's.
	NetNS string `json:"netns,omitempty"`
	// Log takes what the program prints.
	Log string `json:"log"`
	// After names a condition to wait for before the first start.
	After string `json:"after,omitempty"`
}

// Supervisor keeps programs running until its context ends.
type Supervisor struct {
	// RunDir takes a record of every process, if set.
	RunDir string
	// Conditions are the functions behind Spec.After; they return when the
	// condition holds.
	Conditions map[string]func(context.Context) error
}

// Run returns when the context has ended and all programs with it.
func (s Supervisor) Run(ctx context.Context, specs []Spec) {
	var group sync.WaitGroup
	for _, spec := range specs {
		group.Go(func() {
			// The thread stays for as long as the program is kept: it is in the
			// program's network namespace, and when it dies, that is, when the
			// supervisor is killed, the kernel kills the program.
			runtime.LockOSThread()
			if spec.NetNS != "" {
				if err := enterNetNS(spec.NetNS); err != nil {
					s.note(spec, "%v", err)
					return
				}
			}
			s.keep(ctx, spec)
		})
	}
	group.Wait()
}

func (s Supervisor) keep(ctx context.Context, spec Spec) {
	if wait := s.Conditions[spec.After]; wait != nil {
		if err := wait(ctx); err != nil {
			s.note(spec, "not started: %v", err)
			return
		}
	}
	delay := firstDelay
	for count := 1; ctx.Err() == nil; count++ {
		begin := time.Now()
		err := s.once(ctx, spec, count)
		if ctx.Err() != nil {
			return
		}
		s.note(spec, "ended after %s: %v", time.Since(begin).Round(time.Millisecond), err)
		if time.Since(begin) > longLife {
			delay = firstDelay
		}
		select {
		case <-ctx.Done():
		case <-time.After(delay):
		}
		delay = min(2*delay, maxDelay)
	}
}

// once runs the program to its end. When the context ends, so does the
// program and, after a while, by force.
func (s Supervisor) once(ctx context.Context, spec Spec, count int) error {
	log, err := openLog(spec.Log)
	if err != nil {
		return err
	}
	defer log.Close()
	cmd := exec.Command(spec.Argv[0], spec.Argv[1:]...)
	cmd.Env = append(os.Environ(), spec.Env...)
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		return err
	}
	if r, err := Of(spec.Name, cmd.Process.Pid); err == nil && s.RunDir != "" {
		r.Started = count
		if err := r.Write(s.RunDir); err != nil {
			s.note(spec, "record: %v", err)
		}
	}
	ended := make(chan struct{})
	go func() {
		select {
		case <-ended:
			return
		case <-ctx.Done():
			_ = cmd.Process.Signal(syscall.SIGTERM)
		}
		select {
		case <-ended:
		case <-time.After(stopGrace):
			_ = cmd.Process.Kill()
		}
	}()
	err = cmd.Wait()
	close(ended)
	return err
}

func (s Supervisor) note(spec Spec, format string, args ...any) {
	log, err := openLog(spec.Log)
	if err != nil {
		return
	}
	defer log.Close()
	fmt.Fprintf(log, "%s supervisor: %s: %s\n", time.Now().Format(time.RFC3339), spec.Name, fmt.Sprintf(format, args...))
}

func openLog(path string) (*os.File, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return nil, err
	}
	return os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
}
