package provided

import (
	"maps"
	"slices"

	"github.com/castellan-dev/castellan/api/v1alpha1"
	"github.com/castellan-dev/castellan/internal/model"
	"github.com/castellan-dev/castellan/internal/verdict"
)

// What the Secrets of tiered storage may hold: they fit into one Secret together, with what is kept of former ones.
const (
	maxPluginFiles = 256 << 10 // bytes
	maxPluginFile  = 253       // characters of a name, which Kubernetes takes for an entry
)

// PluginField is the field that names a Secret of tiered storage.
func PluginField(secret string) string { return "spec.tieredStorage.secretRefs[" + secret + "].name" }

// PluginFiles are what brokers read for tiered storage, by the entry of the copy, or why they cannot. Nothing of the
// content is in what is told of it.
func (s Secrets) PluginFiles(t *model.Tiered) (map[string][]byte, *verdict.Verdict) {
	files, size := map[string][]byte{}, 0
	for _, name := range t.Secrets {
		field := PluginField(name)
		data, fault := s.entries(Ref{name, v1alpha1.UsePlugin}, field, ReasonPlugin, "what the plug-in needs")
		if fault != nil {
			return nil, fault
		}
		for _, entry := range slices.Sorted(maps.Keys(data)) {
			file := model.PluginFile(name, entry)
			if files[file], size = data[entry], size+len(data[entry]); len(file) > maxPluginFile {
				return nil, plugin(field, "Secret %q: its name and that of an entry have more than %d characters "+
					"together; shorten one", name, maxPluginFile-1)
			}
			if size > maxPluginFiles {
				return nil, plugin(field, "Secret %q: with it there are more than %d bytes, and there is room for no "+
					"more; leave out what the plug-in does not need", name, maxPluginFiles)
			}
		}
	}
	for _, named := range t.Named() {
		if _, exists := files[model.PluginFile(named.Secret, named.Entry)]; !exists {
			return nil, plugin(PluginField(named.Secret), "Secret %q has no entry %q, which spec.tieredStorage.config "+
				"names; put it there, or name another", named.Secret, named.Entry)
		}
	}
	return files, nil
}

func plugin(field, format string, args ...any) *verdict.Verdict {
	fault := verdict.Stalled(ReasonPlugin, field, format, args...)
	return &fault
}
