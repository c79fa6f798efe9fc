package cluster

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/castellan-dev/castellan/hack/localcluster/internal/console"
	"github.com/castellan-dev/castellan/hack/localcluster/internal/netns"
	"github.com/castellan-dev/castellan/hack/localcluster/internal/plan"
	"github.com/castellan-dev/castellan/hack/localcluster/internal/proc"
)

// apart runs the test once more in a process with mounts and a network of its own, where /run and the control groups
// are empty. It returns true in that process.
func apart(t *testing.T) bool {
	t.Helper()
	const marker = "LOCALCLUSTER_TEST_APART"
	if os.Getenv(marker) == t.Name() {
		for _, dir := range []string{"/run", cgroupRoot} {
			must(t, unix.Mount("tmpfs", dir, "tmpfs", 0, "mode=755"))
		}
		return true
	}
	if os.Geteuid() != 0 {
		t.Skip("needs root: it makes namespaces and mounts")
	}
	cmd := exec.Command("/proc/self/exe", "-test.run=^"+t.Name()+"$", "-test.v")
	cmd.Env = append(os.Environ(), marker+"="+t.Name())
	// Unshare, not clone: Go makes the mounts private then.
	cmd.SysProcAttr = &syscall.SysProcAttr{Unshareflags: unix.CLONE_NEWNS | unix.CLONE_NEWNET}
	out, err := cmd.CombinedOutput()
	if errors.Is(err, unix.EPERM) {
		t.Skip("this machine lets nobody make namespaces:", err)
	}
	if err != nil {
		t.Fatalf("in namespaces of its own: %v\n%s", err, out)
	}
	return false
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func mountTable(t *testing.T) string {
	t.Helper()
	content, err := os.ReadFile("/proc/thread-self/mountinfo")
	must(t, err)
	var lines []string
	for line := range strings.Lines(string(content)) {
		if strings.Contains(line, "/run") || strings.Contains(line, "nsfs") {
			lines = append(lines, line)
		}
	}
	return strings.Join(lines, "")
}

// newCluster is a cluster of one node that was brought up as far as its files and namespaces go.
func newCluster(t *testing.T, cache plan.Cache) *Cluster {
	t.Helper()
	c := New(cache, Config{Plan: plan.Plan{Name: "lc-unit", Nodes: 1}}, console.New(os.Stderr, t.TempDir()))
	must(t, c.save(cache))
	for _, dir := range []string{"etcd", "run"} {
		must(t, os.MkdirAll(c.Dir.Path(dir), 0o755))
	}
	for _, name := range []string{"lc-unit-cp", "lc-unit-n1"} {
		must(t, netns.Ensure(name))
	}
	return c
}

// shareNetNSFolder does what the first `ip netns add` on a machine does: it mounts the folder over itself.
func shareNetNSFolder(t *testing.T) {
	t.Helper()
	must(t, os.MkdirAll(netns.Dir, 0o755))
	must(t, unix.Mount(netns.Dir, netns.Dir, "none", unix.MS_BIND|unix.MS_REC, ""))
	must(t, unix.Mount("", netns.Dir, "none", unix.MS_SHARED|unix.MS_REC, ""))
}

// program starts a program that runs until it is ended.
func program(t *testing.T, namespace string) proc.Record {
	t.Helper()
	cmd := exec.Command("sleep", "600")
	start := cmd.Start
	if namespace != "" {
		start = func() error { return proc.InNetNS(netns.Path(namespace), cmd.Start) }
	}
	must(t, start())
	go func() { _ = cmd.Wait() }()
	t.Cleanup(func() { _ = cmd.Process.Kill() })
	r, err := proc.Of("program", cmd.Process.Pid)
	must(t, err)
	return r
}

func TestDownRemovesItsNamespacesWhateverIsMountedOverThem(t *testing.T) {
	if !apart(t) {
		return
	}
	for name, foreign := range map[string]func(t *testing.T){
		"nothing": func(*testing.T) {},
		"the folder over itself, as ip netns add does": shareNetNSFolder,
		"twice": func(t *testing.T) { shareNetNSFolder(t); shareNetNSFolder(t) },
		"another file system": func(t *testing.T) {
			must(t, unix.Mount("tmpfs", netns.Dir, "tmpfs", 0, ""))
		},
		"another file system over all of /run": func(t *testing.T) {
			must(t, unix.Mount("tmpfs", "/run", "tmpfs", 0, ""))
			must(t, os.MkdirAll(netns.Dir, 0o755))
		},
		"a second view of /run elsewhere": func(t *testing.T) {
			view := t.TempDir()
			must(t, unix.Mount("/run", view, "", unix.MS_BIND|unix.MS_REC, ""))
			t.Cleanup(func() { _ = unix.Unmount(view, unix.MNT_DETACH) })
		},
	} {
		t.Run(name, func(t *testing.T) {
			// Each case begins with a /run of its own.
			must(t, unix.Mount("tmpfs", "/run", "tmpfs", 0, "mode=755"))
			t.Cleanup(func() { must(t, unix.Unmount("/run", unix.MNT_DETACH)) })
			c := newCluster(t, plan.Cache(t.TempDir()))
			within := program(t, "lc-unit-n1")
			foreign(t)
			must(t, netns.Ensure("foreign"))
			if err := c.Down(t.Context(), false); err != nil {
				t.Error(err)
			}
			if within.Alive() {
				t.Error("a program in the node's network goes on")
			}
			if table := mountTable(t); strings.Contains(table, "lc-unit") {
				t.Errorf("mounts are left:\n%s", table)
			}
			if !netns.Is(netns.Path("foreign")) {
				t.Error("somebody else's namespace is gone")
			}
			if left, _ := filepath.Glob(netns.Path("lc-unit-*")); len(left) != 0 {
				t.Errorf("left: %v", left)
			}
			if _, err := os.Stat(string(c.Dir)); !os.IsNotExist(err) {
				t.Errorf("the cluster's folder: %v", err)
			}
		})
	}
}

// A process that this test program becomes does nothing but wait, whatever its command line says.
const idle = "LOCALCLUSTER_TEST_IDLE"

func TestMain(m *testing.M) {
	if os.Getenv(idle) != "" {
		<-time.After(time.Minute)
		return
	}
	os.Exit(m.Run())
}

// supervisor starts a process that looks like the supervisor of the cluster in that folder. There is no record of it.
func supervisor(t *testing.T, dir plan.Dir) proc.Record {
	t.Helper()
	cmd := exec.Command("/proc/self/exe")
	cmd.Args = []string{dir.Path(programName), "supervise", string(dir)}
	cmd.Env = append(os.Environ(), idle+"=yes")
	must(t, cmd.Start())
	go func() { _ = cmd.Wait() }()
	t.Cleanup(func() { _ = cmd.Process.Kill() })
	r, err := proc.Of("supervisor", cmd.Process.Pid)
	must(t, err)
	return r
}

func exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}

// wantError checks that an error says each of the texts.
func wantError(t *testing.T, err error, texts ...string) {
	t.Helper()
	for _, text := range texts {
		if err == nil || !strings.Contains(err.Error(), text) {
			t.Errorf("want an error that says %q, got: %v", text, err)
		}
	}
}

func TestDownGoesOnAndNamesWhatIsLeft(t *testing.T) {
	if !apart(t) {
		return
	}
	c := newCluster(t, plan.Cache(t.TempDir()))
	foreign := c.Dir.Path("etcd", "mine")
	must(t, os.MkdirAll(foreign, 0o755))
	must(t, unix.Mount("tmpfs", foreign, "tmpfs", 0, ""))
	precious := filepath.Join(foreign, "precious")
	must(t, os.WriteFile(precious, nil, 0o644))
	must(t, os.MkdirAll(c.Dir.Path("volumes"), 0o755))
	must(t, os.WriteFile(c.Dir.Path("run", "supervisor.json"), []byte(`{"pid":`), 0o644))
	orphan := supervisor(t, c.Dir)
	other := filepath.Join(t.TempDir(), "name")
	must(t, os.WriteFile(other, nil, 0o644))
	must(t, unix.Mount(netns.Path("lc-unit-n1"), other, "", unix.MS_BIND, ""))

	err := c.Down(t.Context(), false)
	wantError(t, err, "`umount "+foreign+"`", "network namespace lc-unit-n1", "`umount "+other+"`", "down --name lc-unit")
	if !exists(precious) {
		t.Error("what somebody mounted into the cluster's folder was deleted")
	}
	if orphan.Alive() {
		t.Error("a supervisor whose record cannot be read goes on")
	}
	if exists(c.Dir.Path("volumes")) || exists(netns.Path("lc-unit-cp")) {
		t.Error("what could be removed is left")
	}
	if !c.exists() {
		t.Error("the plan is gone although something is left")
	}

	must(t, unix.Unmount(foreign, 0))
	must(t, unix.Unmount(other, 0))
	must(t, c.Down(t.Context(), false))
	if exists(string(c.Dir)) {
		t.Error("the folder is left")
	}
}

func TestUpAfterAHalfDoneDownStartsCleanOrSaysWhatIsInTheWay(t *testing.T) {
	if !apart(t) {
		return
	}
	for _, keepData := range []bool{false, true} {
		c := newCluster(t, plan.Cache(t.TempDir()))
		must(t, c.noteEnding(keepData))
		within := program(t, "lc-unit-cp")
		foreign := c.Dir.Path("log")
		must(t, os.MkdirAll(foreign, 0o755))
		must(t, unix.Mount("tmpfs", foreign, "tmpfs", 0, ""))
		wantError(t, c.clearWay(t.Context()), "lc-unit cannot come up", "`umount "+foreign+"`")
		must(t, unix.Unmount(foreign, 0))
		must(t, c.clearWay(t.Context()))
		if within.Alive() || exists(netns.Path("lc-unit-cp")) {
			t.Error("programs or namespaces of the earlier life are left")
		}
		if exists(c.Dir.Path("etcd")) != keepData || exists(c.Dir.Path("run")) || exists(c.Dir.Path(endingFile)) {
			t.Errorf("keep data: %v: the folder does not hold what it should", keepData)
		}
	}
}

func TestUpHealsAClusterThatNobodyTookDown(t *testing.T) {
	if !apart(t) {
		return
	}
	c := newCluster(t, plan.Cache(t.TempDir()))
	within := program(t, "lc-unit-cp")
	must(t, c.clearWay(t.Context()))
	if !within.Alive() || !exists(c.Dir.Path("etcd")) || !exists(netns.Path("lc-unit-cp")) {
		t.Error("a cluster that is up was touched")
	}
	must(t, c.Down(t.Context(), false))
}

func TestLeftoversWithoutAFolderAreRemovedUnlessSomebodyUsesThem(t *testing.T) {
	if !apart(t) {
		return
	}
	for name, act := range map[string]func(*Cluster) error{
		"up":   func(c *Cluster) error { return c.clearWay(t.Context()) },
		"down": func(c *Cluster) error { return c.Down(t.Context(), false) },
	} {
		t.Run(name, func(t *testing.T) {
			c := newCluster(t, plan.Cache(t.TempDir()))
			// More nodes than anybody asks for now.
			must(t, netns.Ensure("lc-unit-n5"))
			must(t, os.RemoveAll(string(c.Dir)))
			must(t, os.MkdirAll(c.Dir.Deleted(), 0o755))
			shareNetNSFolder(t)
			orphan := supervisor(t, c.Dir)
			resident := program(t, "lc-unit-cp")
			wantError(t, act(c), "lc-unit-cp", "sleep 600", "kill "+strconv.Itoa(resident.PID))
			if !resident.Alive() || !exists(netns.Path("lc-unit-cp")) {
				t.Error("a process that is not known to be ours, or its namespace, was removed")
			}
			if orphan.Alive() {
				t.Error("a supervisor without a cluster goes on")
			}
			must(t, resident.Stop(0))
			must(t, act(c))
			for _, n := range []string{"cp", "n1", "n5"} {
				if exists(netns.Path("lc-unit-" + n)) {
					t.Errorf("lc-unit-%s is left", n)
				}
			}
			if exists(c.Dir.Deleted()) {
				t.Error("a folder that was to be deleted is left")
			}
		})
	}
}

func TestTwoCachesDoNotTakeDownEachOthersCluster(t *testing.T) {
	if !apart(t) {
		return
	}
	theirs := newCluster(t, plan.Cache(t.TempDir()))
	running := supervisor(t, theirs.Dir)
	resident := program(t, "lc-unit-cp")
	ours := New(plan.Cache(t.TempDir()), theirs.Config, theirs.Console)
	for name, err := range map[string]error{"up": ours.clearWay(t.Context()), "down": ours.Down(t.Context(), false)} {
		if err == nil {
			t.Errorf("%s: no error", name)
		}
		wantError(t, err, "--cache "+filepath.Dir(filepath.Dir(string(theirs.Dir))), strconv.Itoa(running.PID))
	}
	if !running.Alive() || !resident.Alive() || !exists(netns.Path("lc-unit-cp")) {
		t.Error("the other cluster was touched")
	}
	// The same folder by another path is no other cluster.
	link := filepath.Join(t.TempDir(), "cache")
	must(t, os.Symlink(filepath.Dir(filepath.Dir(string(theirs.Dir))), link))
	must(t, New(plan.Cache(link), theirs.Config, theirs.Console).Down(t.Context(), false))
	if running.Alive() || resident.Alive() || exists(string(theirs.Dir)) {
		t.Error("the cluster is not down")
	}
}

func TestANodeOfAClusterThatIsTakenDownIsNotStarted(t *testing.T) {
	c := New(plan.Cache(t.TempDir()), Config{Plan: plan.Plan{Name: "lc-unit", Nodes: 1}}, console.New(os.Stderr, t.TempDir()))
	must(t, os.MkdirAll(string(c.Dir), 0o755))
	must(t, c.noteEnding(false))
	wantError(t, c.StartNode(t.Context(), "n1"), "taken down", "`localcluster down --name lc-unit`")
}

func TestDownOfNothingIsNoError(t *testing.T) {
	if !apart(t) {
		return
	}
	cache := plan.Cache(filepath.Join(t.TempDir(), "cache"))
	c := New(cache, Config{Plan: plan.Plan{Name: "lc-unit", Nodes: 1}}, console.New(os.Stderr, t.TempDir()))
	must(t, c.Down(t.Context(), false))
	if exists(string(cache)) {
		t.Error("looking has made a folder")
	}
}

func TestRemoveCgroupGoesOnAfterOneThatCannotGo(t *testing.T) {
	root := filepath.Join(t.TempDir(), "c")
	for _, dir := range []string{"n1", "n2", "n3"} {
		must(t, os.MkdirAll(filepath.Join(root, dir, "pods"), 0o755))
	}
	stays := filepath.Join(root, "n2", "pods")
	must(t, os.WriteFile(filepath.Join(stays, "file"), nil, 0o644))
	busy, err := removeCgroup(root)
	wantError(t, err, "control group "+stays, "rmdir")
	if len(busy) > 0 || strings.Count(err.Error(), "control group") != 1 {
		t.Errorf("%v, %v", busy, err)
	}
	for _, dir := range []string{"n1", "n3"} {
		if exists(filepath.Join(root, dir)) {
			t.Errorf("%s is left", dir)
		}
	}
}

func TestTheMachinesOwnNetworkIsNotTakenForTheClusters(t *testing.T) {
	if !apart(t) {
		return
	}
	c := newCluster(t, plan.Cache(t.TempDir()))
	bystander := program(t, "")
	must(t, netns.Remove("lc-unit-cp"))
	must(t, os.MkdirAll(netns.Dir, 0o755))
	must(t, os.WriteFile(netns.Path("lc-unit-cp"), nil, 0o444))
	must(t, unix.Mount("/proc/thread-self/ns/net", netns.Path("lc-unit-cp"), "", unix.MS_BIND, ""))
	wantError(t, netns.Ensure("lc-unit-cp"), "the network of the machine", "umount "+netns.Path("lc-unit-cp"))
	must(t, c.Down(t.Context(), false))
	if !bystander.Alive() {
		t.Error("a process of the machine was ended")
	}
	if exists(netns.Path("lc-unit-cp")) {
		t.Error("the name is left")
	}
}
