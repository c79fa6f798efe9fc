package decide

import (
	"slices"
	"strings"
	"time"

	"github.com/castellan-dev/castellan/api/v1alpha1"
	"github.com/castellan-dev/castellan/internal/exposure"
	"github.com/castellan-dev/castellan/internal/model"
	"github.com/castellan-dev/castellan/internal/observe"
	"github.com/castellan-dev/castellan/internal/render"
)

// ranFiles are the files that each node runs, by node id: those of the revision that its pod names. A node without a
// pod comes back on those of the revision that its StatefulSet names.
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

// leastRound is the earliest round of the files that nodes run: nobody restarts for a round that cannot be read.
func leastRound(live *observe.Live) int {
	least := -1
	for _, files := range ranFiles(live) {
		if round := render.RoundOf(files); least < 0 || round < least {
			least = round
		}
	}
	return max(least, 0)
}

// advertised is what each node advertises in the files that it runs, by the listener's name in Kafka. It is read only
// where addresses of listeners come late: nothing else asks for it.
func advertised(live *observe.Live, spec *v1alpha1.KafkaClusterSpec) map[int32]map[string]model.HostPort {
	late := slices.ContainsFunc(spec.EffectiveListeners(), func(l v1alpha1.Listener) bool {
		return exposure.Of(l.Exposure.Type).Known == exposure.KnownLate
	})
	if !late {
		return nil
	}
	all := map[int32]map[string]model.HostPort{}
	for id, files := range ranFiles(live) {
		all[id] = render.Advertised(files)
	}
	return all
}

// maxStart is how long a broker that is not up is waited for before clients are told of a new listener: it leads
// nothing, and refuses nobody.
const maxStart = 5 * time.Minute

// untold finds the listeners of which clients have not been told, and the brokers that do not serve them: those that
// run files without, and where clients know of other listeners already those that are starting. A client would learn of
// the listener from the others, and be refused by this one. A listener that was told of once stays so: a broker that
// comes later and is without it for a while is no reason to take it from all clients.
func untold(
	c *model.Cluster, o *model.Observation, ran func() map[int32]render.NodeFiles, status []v1alpha1.ListenerStatus,
	now time.Time,
) map[string][]int32 {
	told := map[string]bool{}
	for _, l := range status {
		// One whose address comes late waited for that before it waited for brokers.
		if len(l.LackedBy) == 0 && (l.BootstrapServers != "" || exposure.Of(l.Type).Known == exposure.KnownAtOnce) {
			told[l.Name] = true
		}
	}
	lacking := map[string][]int32{}
	for _, l := range c.Listeners {
		if told[l.Name] {
			continue
		}
		for i := range c.Nodes {
			n := &c.Nodes[i]
			files, known := ran()[n.ID]
			if !known || !c.IsBroker(n) {
				continue
			}
			pod := o.Nodes[n.ID].Pod
			up := pod.IsUp()
			if pod != nil && !up && now.Sub(pod.CreatedAt) > maxStart {
				continue
			}
			_, has := render.Advertised(files)[strings.ToUpper(l.Name)]
			if !has || len(told) > 0 && !up {
				lacking[l.Name] = append(lacking[l.Name], n.ID)
			}
		}
	}
	return lacking
}
