package proc

import (
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Command is a program that runs to its end.
type Command struct {
	Argv []string
	Dir  string
	Env  []string // in addition to our own
	In   io.Reader
	Attr syscall.SysProcAttr
	// End is the signal that ends it early; the default is SIGTERM.
	End syscall.Signal
}

// Run runs the command, writes what it says to out, and ends it together with
// its children when the context ends or when this process dies.
func (c Command) Run(ctx context.Context, out io.Writer) error {
	// The kernel sends the death signal when the thread ends that started the
	// child, hence the thread must not end before.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	cmd := exec.CommandContext(ctx, c.Argv[0], c.Argv[1:]...)
	cmd.Dir, cmd.Stdin, cmd.Stdout, cmd.Stderr = c.Dir, c.In, out, out
	cmd.Env = append(os.Environ(), c.Env...)
	end := c.End
	if end == 0 {
		end = syscall.SIGTERM
	}
	attr := c.Attr
	attr.Setpgid, attr.Pdeathsig = true, end
	cmd.SysProcAttr = &attr
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, end) }
	cmd.WaitDelay = 5 * time.Second
	return cmd.Run()
}

// Output runs a short command and returns what it prints. What it says when it
// fails becomes part of the error.
func Output(ctx context.Context, argv ...string) (string, error) {
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	out, err := cmd.Output()
	if err != nil {
		text := strings.Join(argv, " ") + ": " + err.Error()
		var exit *exec.ExitError
		if errors.As(err, &exit) && len(exit.Stderr) > 0 {
			text += ": " + strings.TrimSpace(string(exit.Stderr))
		}
		return "", errors.New(text)
	}
	return string(out), nil
}

// Detached starts a program that goes on when we end: a session of its own,
// no input, its output in a file.
func Detached(name string, argv []string, log string, attr syscall.SysProcAttr) (Record, error) {
	out, err := os.OpenFile(log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return Record{}, err
	}
	defer out.Close()
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Stdout, cmd.Stderr = out, out
	attr.Setsid = true
	cmd.SysProcAttr = &attr
	if err := cmd.Start(); err != nil {
		return Record{}, err
	}
	r, err := Of(name, cmd.Process.Pid)
	// Take the exit status while we live, so that there is no zombie.
	go func() { _ = cmd.Wait() }()
	return r, err
}

// InNetNS calls f on a thread in the network namespace of that path. What f
// starts is born there. The thread is thrown away afterwards.
func InNetNS(path string, f func() error) error {
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread ends with the goroutine
		if err := enterNetNS(path); err != nil {
			done <- err
			return
		}
		done <- f()
	}()
	return <-done
}

func enterNetNS(path string) error {
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return &os.PathError{Op: "open network namespace", Path: path, Err: err}
	}
	defer unix.Close(fd)
	return unix.Setns(fd, unix.CLONE_NEWNET)
}

// SameNamespace tells whether a process is in the namespace of that path;
// kind is net, pid and so on.
func SameNamespace(pid int, kind, path string) bool {
	own, errOwn := os.Stat(namespacePath(pid, kind))
	other, errOther := os.Stat(path)
	return errOwn == nil && errOther == nil && os.SameFile(own, other)
}

// InNewNetNS calls f on a thread in a new network namespace, which lives only
// as long as somebody holds on to it; own is its path during the call.
func InNewNetNS(f func(own string) error) error {
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread ends with the goroutine
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			done <- os.NewSyscallError("unshare network", err)
			return
		}
		done <- f("/proc/thread-self/ns/net")
	}()
	return <-done
}

// InNewMountNS calls f on a thread with a view of the file system of its own: what f mounts and unmounts is seen
// nowhere else. The view ends with the call.
func InNewMountNS(f func() error) error {
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread ends with the goroutine
		if err := unix.Unshare(unix.CLONE_NEWNS); err != nil {
			done <- os.NewSyscallError("unshare mounts", err)
			return
		}
		if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
			done <- os.NewSyscallError("make mounts private", err)
			return
		}
		done <- f()
	}()
	return <-done
}
