// Package proc starts, records, supervises and ends processes. A process is
// known by its id together with its start time and the machine's boot id, so
// that an id that was used again is never mistaken for ours.
package proc

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// Record identifies one process for all time.
type Record struct {
	Name    string    `json:"name"`
	PID     int       `json:"pid"`
	Start   uint64    `json:"start"` // clock ticks since boot
	Boot    string    `json:"boot"`
	Since   time.Time `json:"since"`
	Started int       `json:"started,omitempty"` // how often a supervisor started it
}

// Of returns the record of a process that runs.
func Of(name string, pid int) (Record, error) {
	start, err := startTime(pid)
	if err != nil {
		return Record{}, err
	}
	boot, err := bootID()
	return Record{Name: name, PID: pid, Start: start, Boot: boot, Since: time.Now()}, err
}

// Alive tells whether this very process runs. A zombie does not.
func (r Record) Alive() bool {
	if r.PID <= 1 {
		return false
	}
	start, err := startTime(r.PID)
	if err != nil || start != r.Start {
		return false
	}
	boot, err := bootID()
	return err == nil && boot == r.Boot
}

// Signal sends a signal if this very process runs.
func (r Record) Signal(s syscall.Signal) {
	if r.Alive() {
		_ = syscall.Kill(r.PID, s)
	}
}

// Stop asks the process to end, and ends it by force after the grace period.
func (r Record) Stop(grace time.Duration) error {
	if grace > 0 {
		r.Signal(syscall.SIGTERM)
		if r.waitGone(grace) {
			return nil
		}
	}
	r.Signal(syscall.SIGKILL)
	if !r.waitGone(20 * time.Second) {
		return fmt.Errorf("process %d (%s) does not end even by force: the kernel holds it, most often for a device or a "+
			"file system that does not answer; once that answers it ends by itself", r.PID, r.Name)
	}
	return nil
}

func (r Record) waitGone(limit time.Duration) bool {
	for end := time.Now().Add(limit); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		if !r.Alive() {
			return true
		}
	}
	return !r.Alive()
}

// Write stores the record as DIR/NAME.json.
func (r Record) Write(dir string) error {
	content, err := json.Marshal(r)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	path := filepath.Join(dir, r.Name+".json")
	if err := os.WriteFile(path+".tmp", content, 0o644); err != nil {
		return err
	}
	return os.Rename(path+".tmp", path)
}

// Read returns the record of that name; without one it is a dead process. So it is when the record is cut short. A failure
// of the machine leaves such records, and no process outlives one.
func Read(dir, name string) (Record, error) {
	content, err := os.ReadFile(filepath.Join(dir, name+".json"))
	if errors.Is(err, os.ErrNotExist) {
		return Record{Name: name}, nil
	}
	if err != nil {
		return Record{}, err
	}
	var r Record
	if json.Unmarshal(content, &r) != nil {
		return Record{Name: name}, nil
	}
	return r, nil
}

// ReadAll returns all records in a folder that can be read, and an error for those that cannot.
func ReadAll(dir string) ([]Record, error) {
	files, err := filepath.Glob(filepath.Join(dir, "*.json"))
	var records []Record
	for _, f := range files {
		r, readErr := Read(dir, strings.TrimSuffix(filepath.Base(f), ".json"))
		if readErr != nil {
			err = errors.Join(err, readErr)
			continue
		}
		records = append(records, r)
	}
	return records, err
}

// startTime reads the 22nd field of /proc/PID/stat.
func startTime(pid int) (uint64, error) {
	content, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, err
	}
	return parseStat(string(content))
}

// parseStat returns the start time; a process that has ended is an error. The
// name, the second field, is in parentheses and may itself hold anything.
func parseStat(stat string) (uint64, error) {
	i := strings.LastIndexByte(stat, ')')
	fields := strings.Fields(stat[i+1:])
	const state, start = 0, 19 // counted from the third field
	if i < 0 || len(fields) <= start {
		return 0, errors.New("malformed stat of a process")
	}
	if fields[state] == "Z" || fields[state] == "X" {
		return 0, errors.New("the process has ended")
	}
	return strconv.ParseUint(fields[start], 10, 64)
}

func bootID() (string, error) {
	content, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	return strings.TrimSpace(string(content)), err
}
