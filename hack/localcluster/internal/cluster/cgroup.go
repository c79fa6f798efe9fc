package cluster

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/castellan-dev/castellan/hack/localcluster/internal/plan"
	"github.com/castellan-dev/castellan/hack/localcluster/internal/proc"
)

const cgroupRoot = "/sys/fs/cgroup"

// Without these, all pods together weigh as much as one process of the host.
const (
	clusterShares = "8192"
	nodeShares    = "2048"
)

// ensureCgroups makes the folder that the node's kubelet puts pods in. The
// kubelet wants it to be there in every hierarchy.
func (c *Cluster) ensureCgroups(n plan.Node) error {
	if _, err := os.Stat(filepath.Join(cgroupRoot, "cgroup.controllers")); err == nil {
		return c.ensureUnifiedCgroup(n)
	}
	hierarchies, err := hierarchies()
	if err != nil {
		return err
	}
	for _, h := range hierarchies {
		if filepath.Base(h) == "unified" {
			continue // hybrid mode: without controllers
		}
		above := filepath.Join(h, c.Plan.Name)
		dir := filepath.Join(above, n.Name)
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return err
		}
		err := errors.Join(
			inherit(h, above, "cpuset.cpus"), inherit(h, above, "cpuset.mems"),
			inherit(h, dir, "cpuset.cpus"), inherit(h, dir, "cpuset.mems"),
			set(above, "cpu.shares", clusterShares), set(dir, "cpu.shares", nodeShares))
		if err != nil {
			return err
		}
	}
	return nil
}

// ensureUnifiedCgroup is for machines with cgroup version 2 only.
func (c *Cluster) ensureUnifiedCgroup(n plan.Node) error {
	content, err := os.ReadFile(filepath.Join(cgroupRoot, "cgroup.controllers"))
	if err != nil {
		return err
	}
	enable := "+" + strings.Join(strings.Fields(string(content)), " +")
	above := filepath.Join(cgroupRoot, c.Plan.Name)
	dir := filepath.Join(above, n.Name)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	return errors.Join(
		set(cgroupRoot, "cgroup.subtree_control", enable), set(above, "cgroup.subtree_control", enable),
		set(above, "cpu.weight", "1000"))
}

// hierarchies are the mounted folders of cgroup version 1; links such as
// cpu,cpuacct are left out.
func hierarchies() ([]string, error) {
	entries, err := os.ReadDir(cgroupRoot)
	if err != nil {
		return nil, err
	}
	var dirs []string
	for _, e := range entries {
		if e.IsDir() {
			dirs = append(dirs, filepath.Join(cgroupRoot, e.Name()))
		}
	}
	return dirs, nil
}

// inherit copies a value from one cgroup to another where it exists; a new
// cpuset is empty and takes no process.
func inherit(from, to, file string) error {
	content, err := os.ReadFile(filepath.Join(from, file))
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	return set(to, file, strings.TrimSpace(string(content)))
}

func set(dir, file, value string) error {
	path := filepath.Join(dir, file)
	if _, err := os.Stat(path); err != nil {
		return nil
	}
	return os.WriteFile(path, []byte(value), 0o644)
}

// cgroupPatience is how long processes that have been killed may take to be gone: a Java virtual machine that gives a
// gigabyte back on a busy machine takes seconds.
const cgroupPatience = 30 * time.Second

// deleteCgroups removes the cluster's folders, or those of one node, once the last process in them has ended. A process
// that is still in there is ended: whoever put it there, it is a part of the cluster.
func (c *Cluster) deleteCgroups(below ...string) error {
	dirs, err := hierarchies()
	if err != nil {
		return err
	}
	deadline := time.Now().Add(cgroupPatience)
	for {
		var busy []string
		err = nil
		for _, h := range append(dirs, cgroupRoot) {
			dir := filepath.Join(append([]string{h, c.Plan.Name}, below...)...)
			more, removeErr := removeCgroup(dir)
			busy, err = append(busy, more...), errors.Join(err, removeErr)
		}
		if len(busy) == 0 {
			return err
		}
		if time.Now().After(deadline) {
			for _, dir := range busy {
				err = errors.Join(err, busyCgroup(dir))
			}
			return err
		}
		for _, dir := range busy {
			for _, pid := range cgroupProcesses(dir) {
				if r, err := proc.Of("pid-"+strconv.Itoa(pid), pid); err == nil {
					r.Signal(unix.SIGKILL)
				}
			}
		}
		time.Sleep(100 * time.Millisecond)
	}
}

// busyCgroup says why a folder cannot go.
func busyCgroup(dir string) error {
	pids := cgroupProcesses(dir)
	if len(pids) == 0 {
		return remains("control group "+dir, unix.EBUSY, "`rmdir "+dir+"`")
	}
	names := make([]string, len(pids))
	for i, pid := range pids {
		names[i] = proc.Describe(pid)
	}
	return remains("control group "+dir, fmt.Errorf("%s does not end even by force", strings.Join(names, ", ")),
		"wait until that ends, or restart the machine")
}

// cgroupProcesses lists the processes in a folder itself. Those of another pid namespace than ours are counted as 0.
func cgroupProcesses(dir string) []int {
	content, err := os.ReadFile(filepath.Join(dir, "cgroup.procs"))
	if err != nil {
		return nil
	}
	var pids []int
	for line := range strings.Lines(string(content)) {
		if pid, err := strconv.Atoi(strings.TrimSpace(line)); err == nil && pid > 0 {
			pids = append(pids, pid)
		}
	}
	return pids
}

// removeCgroup removes folders from the innermost out; their files vanish by themselves. It returns those that are
// busy, without the ones around them, which cannot go either.
func removeCgroup(root string) (busy []string, err error) {
	var dirs []string
	err = filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if errors.Is(err, os.ErrNotExist) {
			return nil
		}
		if err == nil && d.IsDir() {
			dirs = append(dirs, path)
		}
		return err
	})
	var stay []string
	for _, dir := range slices.Backward(dirs) {
		if slices.ContainsFunc(stay, func(s string) bool { return strings.HasPrefix(s, dir+"/") }) {
			continue
		}
		removeErr := os.Remove(dir)
		switch {
		case removeErr == nil || errors.Is(removeErr, os.ErrNotExist):
			continue
		case errors.Is(removeErr, unix.EBUSY):
			busy = append(busy, dir)
		default:
			err = errors.Join(err, remains("control group "+dir, removeErr, "`rmdir "+dir+"`"))
		}
		stay = append(stay, dir)
	}
	return busy, err
}
