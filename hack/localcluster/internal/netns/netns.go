// Package netns gives network namespaces names that ip(8) knows, and takes the names away again whatever else is
// mounted where they are.
package netns

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"golang.org/x/sys/unix"

	"github.com/castellan-dev/castellan/hack/localcluster/internal/mounts"
	"github.com/castellan-dev/castellan/hack/localcluster/internal/proc"
)

// Dir is the folder where ip(8) looks for network namespaces.
const Dir = "/run/netns"

// SettingsIPv6 is the folder of the kernel's settings of IPv6 for interfaces, where there are any.
const SettingsIPv6 = "/proc/sys/net/ipv6/conf"

// kind is the type of file system of a mounted namespace.
const kind = "nsfs"

// Path is the file of a name.
func Path(name string) string { return filepath.Join(Dir, name) }

// Ensure makes a network namespace with that name. It is not made by ip(8) itself, because that leaves a mount behind.
func Ensure(name string) error {
	path := Path(name)
	if Is(path) {
		return refuseMachine(path)
	}
	if err := os.MkdirAll(Dir, 0o755); err != nil {
		return err
	}
	if err := os.WriteFile(path, nil, 0o444); err != nil {
		return fmt.Errorf("network namespace %s: something else has its name: %w; remove it: `rm -r %s`", name, err, path)
	}
	return proc.InNewNetNS(func(own string) error {
		if err := forward(); err != nil {
			return err
		}
		if err := unix.Mount(own, path, "", unix.MS_BIND, ""); err != nil {
			return fmt.Errorf("mount %s: %w", path, err)
		}
		return nil
	})
}

// forward makes the namespace pass on what is not for itself, in both families. A new IPv6 address there is good at
// once: nobody else on the link claims it, and pods would wait for a second and a half.
func forward() error {
	if err := os.WriteFile("/proc/sys/net/ipv4/ip_forward", []byte("1"), 0o644); err != nil {
		return err
	}
	for _, s := range []struct{ name, value string }{
		{"all/disable_ipv6", "0"}, {"default/disable_ipv6", "0"}, {"default/accept_dad", "0"}, {"all/forwarding", "1"},
	} {
		err := os.WriteFile(filepath.Join(SettingsIPv6, s.name), []byte(s.value), 0o644)
		if errors.Is(err, os.ErrNotExist) {
			return nil // a kernel without IPv6
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// Is tells whether the path is a namespace as things are mounted now.
func Is(path string) bool {
	var fs unix.Statfs_t
	return unix.Statfs(path, &fs) == nil && fs.Type == unix.NSFS_MAGIC
}

// Taken tells whether anything has that name, hidden or not.
func Taken(name string) (bool, error) {
	table, err := mounts.Read()
	if err != nil || table.Has(Path(name)) {
		return true, err
	}
	_, err = os.Lstat(Path(name))
	return err == nil, nil
}

// Named returns the ids of the namespaces that have that name, as the kernel prints them (net:[4026531840]). There are
// several when the name was given again after something had been mounted over the first. The network of the machine
// itself is not among them.
func Named(name string) ([]string, error) {
	table, err := mounts.Read()
	var ids []string
	for _, m := range table {
		if m.Kind == kind && m.Point == Path(name) && !isMachine(m.Root) {
			ids = append(ids, m.Root)
		}
	}
	return ids, err
}

// machine are the namespaces of the machine itself. Somebody can give them a name, and it may be one of ours.
var machine = []string{"/proc/1/ns/net", "/proc/thread-self/ns/net"}

func isMachine(id string) bool {
	return slices.ContainsFunc(machine, func(path string) bool {
		own, err := os.Readlink(path)
		return err == nil && own == id
	})
}

func refuseMachine(path string) error {
	named, err := os.Stat(path)
	if err != nil {
		return err
	}
	for _, own := range machine {
		if info, err := os.Stat(own); err == nil && os.SameFile(info, named) {
			return fmt.Errorf("%s is the network of the machine itself, not one for a cluster; take the name away: `umount %s`",
				path, path)
		}
	}
	return nil
}

// MountedAt lists where a namespace is mounted.
func MountedAt(id string) ([]string, error) {
	table, err := mounts.Read()
	var points []string
	for _, m := range table {
		if m.Kind == kind && m.Root == id {
			points = append(points, m.Point)
		}
	}
	return points, err
}

// Remove takes a name away. A namespace that nobody else holds on to is gone with it.
//
// The kernel does not delete a file on which something is mounted, and what is mounted below another mount cannot be
// reached to be unmounted. After `ip netns add`, which mounts the folder over itself, both are so. But the kernel does
// delete the file for a process that has no mount on it in its own view of the file system, and drops the mounts of all
// other views with it. So we take a view of our own, clear the way to the file in there, and delete it. Nothing else is
// touched in the views of others.
func Remove(name string) error {
	if taken, err := Taken(name); err != nil || !taken {
		return err
	}
	path := Path(name)
	if err := proc.InNewMountNS(func() error { return uncover(path) }); err != nil {
		return err
	}
	table, err := mounts.Read()
	if err != nil {
		return err
	}
	if table.Has(path) {
		return fmt.Errorf("%s is still mounted", path)
	}
	_ = os.Remove(Dir) // only if it is empty
	return nil
}

// uncover deletes the file of that path in every layer that is mounted over the path's folders, from the top one down.
func uncover(path string) error {
	if err := dropCopies(path); err != nil {
		return err
	}
	for {
		if err := unmountAll(path); err != nil {
			return err
		}
		removed := os.Remove(path)
		if errors.Is(removed, os.ErrNotExist) {
			removed = nil
		}
		table, err := mounts.Read()
		if err != nil {
			return err
		}
		// A layer that shows the same file as a lower one does not delete it before the lower one is cleared.
		if !table.Has(path) {
			return removed
		}
		if err := peel(filepath.Dir(path)); err != nil {
			return fmt.Errorf("%s is hidden: %w", path, err)
		}
	}
}

// dropCopies unmounts what was mounted along when somebody mounted a folder above once more elsewhere.
func dropCopies(path string) error {
	table, err := mounts.Read()
	if err != nil {
		return err
	}
	for _, own := range table {
		for _, m := range table {
			if own.Point == path && own.Kind == kind && m.Kind == kind && m.Root == own.Root && m.Point != path {
				// One that is hidden itself cannot be reached. If it matters, deleting the file fails.
				_ = mounts.Unmount(m.Point)
			}
		}
	}
	return nil
}

// peel takes off the innermost mount at a folder or above it.
func peel(dir string) error {
	for ; dir != "/"; dir = filepath.Dir(dir) {
		if err := mounts.Unmount(dir); err == nil || !nothingMounted(err) {
			return err
		}
	}
	return errors.New("no mount above it can be taken off")
}

// unmountAll unmounts everything at a path, one on top of the other.
func unmountAll(path string) error {
	for {
		err := mounts.Unmount(path)
		if nothingMounted(err) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// nothingMounted: the path is no mount point, or is not there at all.
func nothingMounted(err error) bool {
	return errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ENOENT)
}
