package cluster

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"

	"golang.org/x/sys/unix"

	"github.com/castellan-dev/castellan/hack/localcluster/internal/node"
	"github.com/castellan-dev/castellan/hack/localcluster/internal/proc"
)

const (
	// shutdown is XFS_IOC_GOINGDOWN, and withoutLog its flag by which what has not been written is lost.
	shutdown   = 0x8004587d
	withoutLog = 2
	// staged is where the kubelet has a driver mount a volume, below the node's root; its last part but one is a digest.
	staged = "var/lib/kubelet/plugins/kubernetes.io/csi/dir.csi.localcluster/%x/globalmount"
)

// FailDisk makes every access to a sized volume an I/O error, for as long as it stays mounted on the node that uses it.
func (c *Cluster) FailDisk(volume string) (nodeName string, err error) {
	for _, n := range c.Plan.AllNodes() {
		record, err := proc.Read(c.Dir.Run(), node.RecordName(n.Name))
		if err != nil {
			return "", err
		}
		if !record.Alive() {
			continue
		}
		path := filepath.Join("/proc", strconv.Itoa(record.PID), "root", fmt.Sprintf(staged, sha256.Sum256([]byte(volume))))
		failed, err := failDisk(path)
		if err != nil || failed {
			return n.Name, err
		}
	}
	return "", fmt.Errorf("volume %s of the class sized is mounted on no node; `kubectl get pv` lists volumes", volume)
}

func failDisk(path string) (failed bool, err error) {
	var fs unix.Statfs_t
	err = unix.Statfs(path, &fs)
	if errors.Is(err, unix.ENOENT) || err == nil && fs.Type != unix.XFS_SUPER_MAGIC {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("statfs %s: %w", path, err)
	}
	dir, err := os.Open(path)
	if err != nil {
		return false, err
	}
	defer func() { _ = dir.Close() }()
	if err := unix.IoctlSetPointerInt(int(dir.Fd()), shutdown, withoutLog); err != nil {
		return false, fmt.Errorf("shut the file system %s down: %w", path, err)
	}
	return true, nil
}
