package controllertest

import (
	"context"
	"maps"

	corev1 "k8s.io/api/core/v1"

	"github.com/castellan-dev/castellan/internal/plainauth"
	"github.com/castellan-dev/castellan/internal/render"
)

// Files are the entries of the Secrets with the files of users, as a kubelet finds them now.
func (w *World) Files() map[string][]byte {
	all := map[string][]byte{}
	for _, name := range render.PlainUsersSecrets(ClusterKey.Name) {
		var s corev1.Secret
		if w.Client.Get(context.Background(), ObjectKey(ClusterKey.Namespace, name), &s) == nil {
			maps.Copy(all, s.Data)
		}
	}
	return all
}

// filesOf are the files of one kind that count for a broker, as it sees them: of those that it mounts.
func (w *World) filesOf(entry string, node int32) [][]byte {
	mounted, late := w.Mounts[node]
	if !late {
		mounted = w.Files()
	}
	first := mounted[entry]
	files := [][]byte{first}
	mounts := plainauth.MaxParts
	if n, older := w.Parts[node]; older {
		mounts = n
	}
	for part := 1; part < mounts; part++ {
		if file := mounted[plainauth.PartName(entry, part)]; plainauth.Counts(first, file, part) {
			files = append(files, file)
		}
	}
	return files
}

// linesOf are those of a name, as a broker reads them: of the first file that has one.
func (w *World) linesOf(name string, node int32) []plainauth.Entry {
	for _, file := range w.filesOf(render.UsersEntry, node) {
		entries, _ := plainauth.ParseUsersFile(file)
		if lines := entries[name]; len(lines) > 0 {
			return lines
		}
	}
	return nil
}
