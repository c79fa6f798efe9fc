package decide

import (
	"github.com/castellan-dev/castellan/internal/observe"
	"github.com/castellan-dev/castellan/internal/render"
)

// ranFiles are the files that each node runs, by node id: those of the revision that its pod names. A node without a pod
// comes back on those of the revision that its StatefulSet names.
func ranFiles(live *observe.Live) map[int32]render.NodeFiles {
	ran := map[int32]render.NodeFiles{}
	revisions := map[string]map[int32]render.NodeFiles{}
	of := func(name string) map[int32]render.NodeFiles {
		if _, read := revisions[name]; !read {
			revisions[name] = render.ReadRevision(live.ConfigMaps[name])
		}
		return revisions[name]
	}
	for _, set := range live.StatefulSets {
		for id, files := range of(observe.RevisionName(set.Spec.Template.Spec.Volumes)) {
			ran[id] = files
		}
	}
	for i := range live.Pods {
		pod := &live.Pods[i]
		if id, is := observe.NodeID(pod.Name); is {
			if files, has := of(observe.RevisionName(pod.Spec.Volumes))[id]; has {
				ran[id] = files
			}
		}
	}
	return ran
}
