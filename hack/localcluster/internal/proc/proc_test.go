package proc

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

func TestParseStat(t *testing.T) {
	rest := " 1 1 1 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 4242 1000 10"
	for name, c := range map[string]struct {
		stat string
		want uint64
		ok   bool
	}{
		"plain":         {"7 (etcd) S" + rest, 4242, true},
		"odd name":      {"7 (a) S 1 (b c) R" + rest, 4242, true},
		"zombie":        {"7 (etcd) Z" + rest, 0, false},
		"short":         {"7 (etcd) S 1", 0, false},
		"no name":       {"7", 0, false},
		"not even that": {"", 0, false},
	} {
		got, err := parseStat(c.stat)
		if got != c.want || (err == nil) != c.ok {
			t.Errorf("%s: got %d, %v", name, got, err)
		}
	}
}

func TestRecordKnowsItsProcess(t *testing.T) {
	dir := t.TempDir()
	r, err := Of("self", os.Getpid())
	if err != nil || !r.Alive() {
		t.Fatalf("%+v: %v", r, err)
	}
	if err := r.Write(dir); err != nil {
		t.Fatal(err)
	}
	got, err := Read(dir, "self")
	if err != nil || !got.Alive() {
		t.Errorf("%+v: %v", got, err)
	}
	again := r
	again.Start++
	if again.Alive() {
		t.Error("another process with our id is taken for ours")
	}
	rebooted := r
	rebooted.Boot = "another"
	if rebooted.Alive() {
		t.Error("a process of an earlier boot is taken for ours")
	}
	none, err := Read(dir, "none")
	if err != nil || none.Alive() {
		t.Errorf("%+v: %v", none, err)
	}
}

func TestStop(t *testing.T) {
	cmd := exec.Command("sh", "-c", "trap '' TERM; while :; do sleep 0.05; done")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { _ = cmd.Wait() }()
	r, err := Of("stubborn", cmd.Process.Pid)
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Stop(200 * time.Millisecond); err != nil || r.Alive() {
		t.Errorf("%v", err)
	}
	if err := r.Stop(0); err != nil {
		t.Errorf("a second time: %v", err)
	}
}

func TestSupervisorStartsAgainAndEnds(t *testing.T) {
	dir := t.TempDir()
	spec := Spec{
		Name: "short", Argv: []string{"sh", "-c", "echo started; exit 3"},
		Log: filepath.Join(dir, "log", "short.log"), After: "ready",
	}
	long := Spec{Name: "long", Argv: []string{"sleep", "60"}, Log: filepath.Join(dir, "log", "long.log")}
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	asked := false
	s := Supervisor{RunDir: dir, Conditions: map[string]func(context.Context) error{
		"ready": func(context.Context) error { asked = true; return nil },
	}}
	s.Run(ctx, []Spec{spec, long})
	log, err := os.ReadFile(spec.Log)
	if err != nil || strings.Count(string(log), "started") < 2 || !strings.Contains(string(log), "exit status 3") {
		t.Errorf("log: %s, %v", log, err)
	}
	if r, err := Read(dir, "long"); err != nil || r.PID == 0 || r.Alive() {
		t.Errorf("%+v, %v", r, err)
	}
	if r, err := Read(dir, "short"); err != nil || r.Started < 2 || !asked {
		t.Errorf("%+v, %v, condition asked: %v", r, err, asked)
	}
}

func TestRunEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
	defer cancel()
	begin := time.Now()
	err := Command{Argv: []string{"sh", "-c", "sleep 60 & wait"}, End: syscall.SIGKILL}.Run(ctx, os.Stderr)
	if err == nil || time.Since(begin) > 3*time.Second {
		t.Errorf("%v after %s", err, time.Since(begin))
	}
}

func TestLock(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lock")
	unlock, err := Lock(context.Background(), path, nil)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 150*time.Millisecond)
	defer cancel()
	waited := 0
	if _, err := Lock(ctx, path, func() { waited++ }); !errors.Is(err, context.DeadlineExceeded) || waited != 1 {
		t.Errorf("%v, told %d times to wait", err, waited)
	}
	// The holder deletes the file: who waits must get a lock on the new one.
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	unlock()
	unlock, err = Lock(context.Background(), path, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer unlock()
	if _, err := os.Stat(path); err != nil {
		t.Error(err)
	}
}

func TestParsePSS(t *testing.T) {
	if got := parsePSS("Rss:  100 kB\nPss:       42 kB\nPss_Anon: 7 kB\n"); got != 42<<10 {
		t.Error(got)
	}
	if got := parsePSS(""); got != 0 {
		t.Error(got)
	}
}
