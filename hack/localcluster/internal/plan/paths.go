package plan

import (
	"os"
	"path/filepath"
)

// Cache is the folder that holds everything this program keeps.
type Cache string

// DefaultCache follows the XDG base directory rules.
func DefaultCache() Cache {
	dir, err := os.UserCacheDir()
	if err != nil {
		dir = "/var/cache"
	}
	return Cache(filepath.Join(dir, "castellan"))
}

func (c Cache) join(name string) string { return filepath.Join(string(c), name) }

func (c Cache) Bin() string    { return c.join("bin") }
func (c Cache) Images() string { return c.join("images") }

// ImageWork holds what images are made from.
func (c Cache) ImageWork() string { return c.join("image-work") }
func (c Cache) Logs() string      { return c.join("logs") }
func (c Cache) Clusters() string  { return c.join("clusters") }

// Cluster is the folder of the state of one cluster.
func (c Cache) Cluster(name string) Dir { return Dir(filepath.Join(c.Clusters(), name)) }

// Dir is the folder of the state of one cluster.
type Dir string

// Path joins names to the folder.
func (d Dir) Path(names ...string) string {
	return filepath.Join(append([]string{string(d)}, names...)...)
}

// Deleted is what the folder is called while it is being deleted.
func (d Dir) Deleted() string { return string(d) + ".deleted" }

func (d Dir) Config() string          { return d.Path("cluster.json") }
func (d Dir) Kubeconfig() string      { return d.Path("admin.conf") }
func (d Dir) PKI() string             { return d.Path("pki") }
func (d Dir) Run() string             { return d.Path("run") }
func (d Dir) Log(name string) string  { return d.Path("log", name+".log") }
func (d Dir) Audit() string           { return d.Path("audit.log") }
func (d Dir) Volumes() string         { return d.Path("volumes") }
func (d Dir) Node(name string) string { return d.Path("nodes", name) }
func (d Dir) User(name string) string { return d.Path("users", name+".conf") }

// Data are the folders that `down --keep-data` keeps: etcd, the volumes, the
// nodes' disks, the images and the certificates.
func (d Dir) Data() []string {
	return []string{"etcd", "volumes", "nodes", "registry", "pki", "users", "admin.conf", "cluster.json"}
}
