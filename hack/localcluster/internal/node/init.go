package node

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/castellan-dev/castellan/hack/localcluster/internal/proc"
)

// Start boots a node: a process in namespaces of its own, which is the first
// of the node. When it is killed, the kernel kills all processes of the node
// and drops all its mounts, as if the power had failed.
func Start(b Boot, netns string) (proc.Record, error) {
	boot, err := json.Marshal(b)
	if err != nil {
		return proc.Record{}, err
	}
	for dir := range disk {
		if err := os.MkdirAll(filepath.Join(b.Dir.Node(b.Node.Name), dir), 0o755); err != nil {
			return proc.Record{}, err
		}
	}
	var record proc.Record
	err = proc.InNetNS(netns, func() error {
		var err error
		record, err = proc.Detached(RecordName(b.Node.Name), []string{b.Program, "node-init", string(boot)},
			b.Dir.Log(b.Node.Name+"-init"),
			syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWNS | unix.CLONE_NEWPID | unix.CLONE_NEWUTS | unix.CLONE_NEWIPC})
		return err
	})
	return record, err
}

// RecordName is the name of the record of a node's first process.
func RecordName(node string) string { return "node-" + node }

// Init is the node's first process. It starts the second and waits for
// whatever ends, because all orphans of the node become its children.
func Init(boot string) error {
	var b Boot
	if err := json.Unmarshal([]byte(boot), &b); err != nil {
		return err
	}
	if err := b.makeRoot(); err != nil {
		return err
	}
	if err := unix.Sethostname([]byte(b.Node.Name)); err != nil {
		return err
	}
	cmd := exec.Command(b.Program, "node-run", boot)
	cmd.Env = []string{"PATH=" + Path(b.Tools), "HOME=/root", "LANG=C.UTF-8"}
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	if err := cmd.Start(); err != nil {
		return err
	}
	for {
		pid, err := unix.Wait4(-1, nil, 0, nil)
		if pid == cmd.Process.Pid || (err != nil && !errors.Is(err, unix.EINTR)) {
			return errors.New("the node's programs are not watched any more")
		}
	}
}

// Run is the node's second process: it keeps the node's programs running.
func Run(boot string) error {
	var b Boot
	if err := json.Unmarshal([]byte(boot), &b); err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	s := proc.Supervisor{Conditions: map[string]func(context.Context) error{afterContainerd: waitSocket}}
	s.Run(ctx, b.specs())
	return nil
}

func waitSocket(ctx context.Context) error {
	for ctx.Err() == nil {
		if conn, err := net.Dial("unix", containerdSocket); err == nil {
			return conn.Close()
		}
		time.Sleep(50 * time.Millisecond)
	}
	return ctx.Err()
}

// makeRoot gives the node a root file system in memory with the machine's
// programs, the node's disks and nothing else of the machine, so that nothing
// that a node does to /var or /etc is ever seen outside.
func (b Boot) makeRoot() error {
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("private mounts: %w", err)
	}
	root := filepath.Join(b.Dir.Node(b.Node.Name), "root")
	if err := os.MkdirAll(root, 0o755); err != nil {
		return err
	}
	r := builder{root: root}
	r.mount("tmpfs", "/", "tmpfs", 0, "mode=755")
	for _, dir := range []string{"/etc", "/opt", "/root", "/home", "/mnt", "/srv", "/var/lib", "/var/cache", "/run/netns", "/run/lock", "/run/cni-ipam"} {
		r.dir(dir, 0o755)
	}
	r.dir("/tmp", 0o1777)
	r.dir("/var/tmp", 0o1777)
	r.link("/run", "/var/run")
	r.machine("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32")
	r.copies("/etc/passwd", "/etc/group", "/etc/nsswitch.conf", "/etc/ld.so.cache", "/etc/protocols", "/etc/services",
		"/etc/machine-id", "/etc/os-release", "/etc/localtime", "/etc/mke2fs.conf")
	for _, dir := range []string{"/etc/ssl", "/etc/alternatives"} {
		if _, err := os.Stat(dir); err == nil {
			r.bind(dir, dir)
		}
	}
	r.bind("/dev", "/dev")
	r.mount("sysfs", "/sys", "sysfs", 0, "")
	r.bind("/sys/fs/cgroup", "/sys/fs/cgroup")
	r.mount("proc", "/proc", "proc", 0, "")
	r.bind(string(b.Dir), string(b.Dir))
	for _, tool := range []string{b.Tools.Components, b.Tools.Containerd, b.Tools.Runc, b.Tools.CNI} {
		r.bind(tool, tool)
	}
	for name, target := range disk {
		r.bind(filepath.Join(b.Dir.Node(b.Node.Name), name), target)
	}
	r.kernelSettings()
	// Mounts that the kubelet makes below must reach running containers.
	r.mountFlags("/var/lib/kubelet", unix.MS_SHARED)
	r.config(b)
	if r.err != nil {
		return r.err
	}
	return enter(root)
}

// enter makes root the file system and forgets the old one.
func enter(root string) error {
	old := filepath.Join(root, "mnt")
	if err := unix.PivotRoot(root, old); err != nil {
		return fmt.Errorf("pivot_root: %w", err)
	}
	if err := os.Chdir("/"); err != nil {
		return err
	}
	return unix.Unmount("/mnt", unix.MNT_DETACH)
}

// builder fills a root file system and stops at the first error.
type builder struct {
	root string
	err  error
}

func (r *builder) path(p string) string { return filepath.Join(r.root, p) }

func (r *builder) try(err error, format string, args ...any) {
	if r.err == nil && err != nil {
		r.err = fmt.Errorf(format+": %w", append(args, err)...)
	}
}

func (r *builder) dir(path string, mode uint32) {
	if r.err == nil {
		r.try(os.MkdirAll(r.path(path), 0o755), "folder %s", path)
		r.try(unix.Chmod(r.path(path), mode), "mode of %s", path)
	}
}

func (r *builder) link(target, path string) {
	if r.err == nil {
		r.try(os.Symlink(target, r.path(path)), "link %s", path)
	}
}

func (r *builder) mount(source, target, kind string, flags uintptr, data string) {
	if r.err != nil {
		return
	}
	r.try(os.MkdirAll(r.path(target), 0o755), "folder %s", target)
	if r.err == nil {
		r.try(unix.Mount(source, r.path(target), kind, flags, data), "mount %s", target)
	}
}

func (r *builder) bind(source, target string) {
	r.mount(source, target, "", unix.MS_BIND|unix.MS_REC, "")
}

func (r *builder) mountFlags(target string, flags uintptr) {
	if r.err == nil {
		r.try(unix.Mount("", r.path(target), "", flags, ""), "propagation of %s", target)
	}
}

// machine brings in the machine's folders; on a merged-usr system most of
// them are links.
func (r *builder) machine(paths ...string) {
	for _, path := range paths {
		info, err := os.Lstat(path)
		switch {
		case errors.Is(err, fs.ErrNotExist):
		case err != nil:
			r.try(err, "machine's folder")
		case info.Mode()&os.ModeSymlink != 0:
			target, err := os.Readlink(path)
			r.try(err, "machine's link")
			r.link(target, path)
		default:
			r.bind(path, path)
		}
	}
}

func (r *builder) copies(paths ...string) {
	for _, path := range paths {
		content, err := os.ReadFile(path)
		if err == nil && r.err == nil {
			r.try(os.WriteFile(r.path(path), content, 0o644), "copy")
		}
	}
}

// kernelSettings hides some settings of the machine's kernel behind files
// that hold what the kubelet wants to see. Otherwise it would change them, for
// the whole machine and for good.
func (r *builder) kernelSettings() {
	for name, value := range map[string]string{
		"vm/overcommit_memory": "1", "vm/panic_on_oom": "0", "kernel/panic": "10", "kernel/panic_on_oops": "1",
		"kernel/keys/root_maxkeys": "1000000", "kernel/keys/root_maxbytes": "25000000",
	} {
		setting := filepath.Join("/proc/sys", name)
		if _, err := os.Stat(setting); err != nil || r.err != nil {
			continue
		}
		file := r.path(filepath.Join("/run/kernel", name))
		r.try(os.MkdirAll(filepath.Dir(file), 0o755), "kernel setting")
		r.try(os.WriteFile(file, []byte(value+"\n"), 0o644), "kernel setting")
		r.try(unix.Mount(file, r.path(setting), "", unix.MS_BIND, ""), "kernel setting %s", name)
	}
}

func (r *builder) config(b Boot) {
	if r.err != nil {
		return
	}
	files, err := b.files()
	r.try(err, "configuration")
	for path, content := range files {
		r.try(os.MkdirAll(filepath.Dir(r.path(path)), 0o755), "configuration")
		mode := fs.FileMode(0o644)
		if strings.HasPrefix(content, "#!") {
			mode = 0o755
		}
		r.try(os.WriteFile(r.path(path), []byte(content), mode), "configuration")
	}
}
