package proc

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

func namespacePath(pid int, kind string) string { return fmt.Sprintf("/proc/%d/ns/%s", pid, kind) }

// InNamespace lists the processes that are in the namespace of that path.
func InNamespace(kind, path string) []Record {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil
	}
	var found []Record
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil || pid == os.Getpid() || !SameNamespace(pid, kind, path) {
			continue
		}
		if r, err := Of("pid-"+e.Name(), pid); err == nil {
			found = append(found, r)
		}
	}
	return found
}

// PIDNamespace is the path of the process's own pid namespace.
func PIDNamespace(pid int) string { return namespacePath(pid, "pid") }

// Memory returns a process's proportional set size in bytes: memory that is
// shared with others is divided among them, so that sums are right.
func Memory(pid int) int64 {
	content, err := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", pid))
	if err != nil {
		return 0
	}
	return parsePSS(string(content))
}

func parsePSS(rollup string) int64 {
	for line := range strings.Lines(rollup) {
		if rest, ok := strings.CutPrefix(line, "Pss:"); ok {
			kib, _ := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(rest), " kB"), 10, 64)
			return kib << 10
		}
	}
	return 0
}

// Descendants lists a process and all that descend from it.
func Descendants(root int) []int {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil
	}
	children := map[int][]int{}
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		content, err := os.ReadFile(filepath.Join("/proc", e.Name(), "stat"))
		if err != nil {
			continue
		}
		stat := string(content)
		fields := strings.Fields(stat[strings.LastIndexByte(stat, ')')+1:])
		if len(fields) < 2 {
			continue
		}
		if parent, err := strconv.Atoi(fields[1]); err == nil {
			children[parent] = append(children[parent], pid)
		}
	}
	all := []int{root}
	for i := 0; i < len(all); i++ {
		all = append(all, children[all[i]]...)
	}
	return all
}
