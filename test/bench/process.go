//go:build linux

package bench

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Operator is the operator's program as a process of its own.
type Operator struct {
	command *exec.Cmd
	log     string
	done    chan struct{} // closed when it has ended
}

const stopPatience = 10 * time.Second

// startOperator starts a program with its own /etc/hosts and its output in a file. The child dies with the thread that
// started it, hence a goroutine that holds its thread, which has a mount namespace of its own, until the child is gone.
func startOperator(hosts, log string, command *exec.Cmd) (*Operator, error) {
	out, err := os.Create(log)
	if err != nil {
		return nil, err
	}
	command.Stdout, command.Stderr = out, out
	command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	o := &Operator{command: command, log: log, done: make(chan struct{})}
	started := make(chan error)
	go func() {
		runtime.LockOSThread() // and never unlocked: the thread ends with the goroutine, and its mounts with it
		err := ownHosts(hosts)
		if err == nil {
			err = command.Start()
		}
		_ = out.Close()
		started <- err
		if err == nil {
			_ = command.Wait()
			close(o.done)
		}
	}()
	if err := <-started; err != nil {
		return nil, fmt.Errorf("start %s: %w", command, err)
	}
	return o, nil
}

// ownHosts puts a file in the place of /etc/hosts, for the calling thread and its children only.
func ownHosts(file string) error {
	if err := syscall.Unshare(syscall.CLONE_NEWNS); err != nil {
		return fmt.Errorf("make a mount namespace: %w", err)
	}
	if err := syscall.Mount("", "/", "", syscall.MS_REC|syscall.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("keep mounts private: %w", err)
	}
	if err := syscall.Mount(file, "/etc/hosts", "", syscall.MS_BIND, ""); err != nil {
		return fmt.Errorf("mount %s as /etc/hosts: %w", file, err)
	}
	return nil
}

// Running returns an error with the end of the log when the operator has ended.
func (o *Operator) Running() error {
	select {
	case <-o.done:
		content, err := os.ReadFile(o.log)
		if err != nil {
			return err
		}
		return fmt.Errorf(
			"the operator ended: %s; the end of its log %s:\n%s",
			o.command.ProcessState,
			o.log,
			content[max(0, len(content)-2000):],
		)
	default:
		return nil
	}
}

// stop ends the operator as Kubernetes would.
func (o *Operator) stop() {
	if o.Running() != nil {
		return
	}
	_ = o.command.Process.Signal(syscall.SIGTERM)
	ctx, cancel := context.WithTimeout(context.Background(), stopPatience)
	defer cancel()
	select {
	case <-o.done:
	case <-ctx.Done():
		_ = o.command.Process.Kill()
		<-o.done
	}
}

func (o *Operator) pid() int { return o.command.Process.Pid }

// CPUSeconds is what a process has used since it began.
func CPUSeconds(pid int) (float64, error) {
	// The clock of a whole process by its id, as clock_getcpuclockid(3) makes it: /proc counts in hundredths of a second.
	const scheduled = 2
	var used unix.Timespec
	if err := unix.ClockGettime(int32(^pid)<<3|scheduled, &used); err != nil {
		return 0, fmt.Errorf("read the times of process %d: %w", pid, err)
	}
	return time.Duration(used.Nano()).Seconds(), nil
}

// stat returns the fields of /proc/PID/stat that follow the name.
func stat(pid int) ([]string, error) {
	content, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return nil, err
	}
	fields := strings.Fields(string(content[strings.LastIndexByte(string(content), ')')+1:]))
	if len(fields) < 13 {
		return nil, fmt.Errorf("read /proc/%d/stat: %d fields", pid, len(fields))
	}
	return fields, nil
}

// Descendants are all processes below one.
func Descendants(pid int) ([]int, error) {
	paths, err := filepath.Glob("/proc/[0-9]*")
	if err != nil {
		return nil, err
	}
	children := map[int][]int{}
	for _, path := range paths {
		child, err := strconv.Atoi(filepath.Base(path))
		if err != nil {
			continue
		}
		fields, err := stat(child)
		if err != nil {
			continue // it has ended meanwhile
		}
		parent, err := strconv.Atoi(fields[1])
		if err == nil {
			children[parent] = append(children[parent], child)
		}
	}
	all := children[pid]
	for i := 0; i < len(all); i++ {
		all = append(all, children[all[i]]...)
	}
	return all, nil
}

// resetPeak makes peakRSS count from now.
func resetPeak(pid int) error {
	return os.WriteFile(fmt.Sprintf("/proc/%d/clear_refs", pid), []byte("5"), 0)
}

// peakRSS is the most memory, in MiB, that a process has held since resetPeak.
func peakRSS(pid int) (float64, error) {
	content, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(content)) {
		if rest, ok := strings.CutPrefix(line, "VmHWM:"); ok {
			kib, err := strconv.ParseFloat(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(rest), "kB")), 64)
			return kib / 1024, err
		}
	}
	return 0, fmt.Errorf("process %d tells no VmHWM", pid)
}

// LoadAverage is the machine's of the last minute.
func LoadAverage() (float64, error) {
	content, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return 0, err
	}
	first, _, _ := strings.Cut(string(content), " ")
	return strconv.ParseFloat(first, 64)
}
