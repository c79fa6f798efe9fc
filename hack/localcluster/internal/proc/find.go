package proc

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

func namespacePath(pid int, kind string) string { return fmt.Sprintf("/proc/%d/ns/%s", pid, kind) }

// InNamespace lists the processes in a namespace, whose id is as the kernel prints it: net:[4026531840].
func InNamespace(kind, id string) []Record {
	return find(func(pid int) bool {
		own, err := os.Readlink(namespacePath(pid, kind))
		return err == nil && own == id
	})
}

// WithArguments lists the processes whose command line passes the check.
func WithArguments(check func(argv []string) bool) []Record {
	return find(func(pid int) bool {
		argv := Arguments(pid)
		return len(argv) > 0 && check(argv)
	})
}

// Arguments is the command line of a process; none if it has ended or is one of the kernel's own.
func Arguments(pid int) []string {
	content, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
	if err != nil || len(content) == 0 {
		return nil
	}
	return strings.Split(strings.TrimSuffix(string(content), "\x00"), "\x00")
}

// Describe names a process for a reader: its id, and its command line as far as a line holds it.
func Describe(pid int) string {
	line := strings.Join(Arguments(pid), " ")
	if len(line) > maxDescribed {
		line = line[:maxDescribed] + "..."
	}
	return fmt.Sprintf("process %d (%s)", pid, line)
}

const maxDescribed = 60

// find lists all processes but this one that pass the check.
func find(check func(pid int) bool) []Record {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil
	}
	var found []Record
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil || pid == os.Getpid() || !check(pid) {
			continue
		}
		if r, err := Of("pid-"+e.Name(), pid); err == nil {
			found = append(found, r)
		}
	}
	return found
}

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
