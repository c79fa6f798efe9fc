// Package mounts reads the kernel's table of mounts. The table also has what is hidden below another mount.
package mounts

import (
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// Mount is a line of the table.
type Mount struct {
	// Root is the folder of the file system that is mounted; for a namespace it is the namespace's id.
	Root string
	// Point is where it is mounted.
	Point string
	// Kind is the type of the file system.
	Kind string
}

// Table are the mounts in the order in which they were made.
type Table []Mount

// Read returns the table as the calling thread sees it.
func Read() (Table, error) {
	content, err := os.ReadFile("/proc/thread-self/mountinfo")
	return parse(string(content)), err
}

// Has tells whether anything is mounted at a path.
func (t Table) Has(point string) bool {
	return slices.ContainsFunc(t, func(m Mount) bool { return m.Point == point })
}

// Below lists what is mounted at a folder or within it.
func Below(dir string) ([]string, error) {
	// The table knows no symbolic links.
	if resolved, err := filepath.EvalSymlinks(dir); err == nil {
		dir = resolved
	}
	table, err := Read()
	var points []string
	for _, m := range table {
		if m.Point == dir || strings.HasPrefix(m.Point, dir+"/") {
			points = append(points, m.Point)
		}
	}
	return points, err
}

// Unmount takes off the uppermost mount at a path. Who uses it may go on to do so.
func Unmount(path string) error {
	if err := unix.Unmount(path, unix.MNT_DETACH); err != nil {
		return &os.PathError{Op: "unmount", Path: path, Err: err}
	}
	return nil
}

func parse(text string) Table {
	var table Table
	for line := range strings.Lines(text) {
		// 36 35 98:0 /root /point options [optional fields] - kind source options
		before, after, _ := strings.Cut(line, " - ")
		fields, kind := strings.Fields(before), strings.Fields(after)
		const root, point = 3, 4
		if len(fields) > point && len(kind) > 0 {
			table = append(table, Mount{Root: unescape(fields[root]), Point: unescape(fields[point]), Kind: kind[0]})
		}
	}
	return table
}

// unescape undoes what the kernel does to spaces and the like in paths.
var unescape = strings.NewReplacer(`\040`, " ", `\011`, "\t", `\012`, "\n", `\134`, `\`).Replace
