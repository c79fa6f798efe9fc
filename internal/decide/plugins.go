package decide

import (
	"bytes"
	"fmt"
	"maps"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"

	"github.com/castellan-dev/castellan/api/v1alpha1"
	"github.com/castellan-dev/castellan/internal/model"
	"github.com/castellan-dev/castellan/internal/observe"
	"github.com/castellan-dev/castellan/internal/render"
	"github.com/castellan-dev/castellan/internal/verdict"
)

// fewTopics are named where topics keep something from being done.
const fewTopics = 5

// PluginFiles are the files of Secrets that tiered storage names. They are a copy, for the same reasons as Logins are.
type PluginFiles struct{ Mounted }

// refusePluginFiles are the faults of a spec whose tiered storage names a Secret that cannot be used, where nothing is
// in force that could go on.
func refusePluginFiles(in Inputs, c *model.Cluster, spec *v1alpha1.KafkaClusterSpec) []verdict.Verdict {
	if !c.Tiered.HasFiles() || in.Accepted != nil &&
		equality.Semantic.DeepEqual(in.Accepted.TieredStorage, spec.TieredStorage) {
		return nil
	}
	if _, fault := in.Provided.PluginFiles(c.Tiered); fault != nil {
		return []verdict.Verdict{*fault}
	}
	return nil
}

// keepsTiers refuses to end tiered storage while a topic has it: nobody could read what is in the store then. Kafka
// does not: a broker without it starts, serves what is on its own disk, and logs an error. As long as no broker tells
// which topics have it, it stays, unless none was ever ready with it: no topic can have it then, and it may be what
// keeps the brokers from starting.
func keepsTiers(in Inputs, spec *v1alpha1.KafkaClusterSpec, used bool) []verdict.Verdict {
	const field = "spec.tieredStorage"
	if in.Accepted == nil || in.Accepted.TieredStorage == nil || spec.TieredStorage != nil {
		return nil
	}
	if in.Kafka == nil && !used {
		return nil
	}
	if in.Kafka == nil {
		return []verdict.Verdict{verdict.Stalled(verdict.ReasonHeld, field, "no broker tells whether topics have segments "+
			"there (%s), so that it stays; wait until one does, or put it back, or correct it", in.KafkaError)}
	}
	if len(in.Kafka.Tiered) == 0 {
		return nil
	}
	return []verdict.Verdict{verdict.Stalled(verdict.ReasonHeld, field, "topics have segments there (%s), which nobody "+
		"could read without it; put it back, or first set remote.storage.enable=false and remote.log.delete.on.disable=true "+
		"in each, which deletes what is there, or delete them", verdict.Few(fewTopics, in.Kafka.Tiered))}
}

// tieredUsed tells whether a broker has been ready with tiered storage since the cluster has it. It is on record,
// because brokers that are all down do not tell what they once were.
func tieredUsed(in Inputs) bool {
	was, asked := in.Cluster.Status.TieredStorageUsed, in.Accepted != nil && in.Accepted.TieredStorage != nil
	if was == asked {
		return was
	}
	ran := ranFiles(in.Live)
	if was { // it ends with the last broker that runs with it
		return slices.ContainsFunc(slices.Collect(maps.Values(ran)), render.HasTiers)
	}
	return slices.ContainsFunc(in.Live.Pods, func(pod corev1.Pod) bool {
		id, is := observe.NodeID(pod.Name)
		return is && render.HasTiers(ran[id]) && observe.IsReady(&pod)
	})
}

// otherTiers warns while brokers go from one class or configuration of tiered storage to another, and topics have
// segments where the former one has put them.
func (d *Decision) otherTiers(ran map[int32]render.NodeFiles) []string {
	if d.Model.Tiered == nil || d.Observation.Kafka == nil || len(d.Observation.Kafka.Tiered) == 0 {
		return nil
	}
	for id, files := range ran {
		if next, is := d.Files[id]; is && render.HasTiers(files) && !render.SameTiers(files, next) {
			return []string{fmt.Sprintf("spec.tieredStorage: topics have segments where its former className and "+
				"config have put them (%s), and those can be read only if the new ones find them there; take the change "+
				"back unless they do",
				verdict.Few(fewTopics, d.Observation.Kafka.Tiered))}
		}
	}
	return nil
}

// knowPluginFiles tells the model what brokers read of Secrets for tiered storage now: what is in the live copy. A
// change of it counts from when it can be seen there, and files of nodes that would name what is not there yet wait.
func (d *Decision) knowPluginFiles(in Inputs) {
	if !d.Model.Tiered.HasFiles() {
		return
	}
	live := map[string][]byte{}
	if secret := in.Live.Secrets[model.PluginFilesSecret(d.Model.Name)]; secret != nil {
		live = secret.Data
	}
	d.Model.Tiered.Revision = string(live[model.PluginRevision])
	missing := d.Model.Tiered.Revision == "" ||
		slices.ContainsFunc(d.Model.Tiered.Named(), func(named model.SecretEntry) bool {
			return live[model.PluginFile(named.Secret, named.Entry)] == nil
		})
	for i := range d.Model.Nodes {
		if n := &d.Model.Nodes[i]; missing && n.Waiting == "" && d.Model.IsBroker(n) {
			n.Waiting = "the files of spec.tieredStorage are not there yet"
		}
	}
}

// givePluginFiles decides what brokers read of Secrets for tiered storage. What they have goes on where a Secret cannot
// be used.
func (d *Decision) givePluginFiles(in Inputs) {
	name := model.PluginFilesSecret(d.Model.Name)
	live := in.Live.Secrets[name]
	if !d.Model.Tiered.HasFiles() && live == nil {
		return
	}
	files, keep := PluginFiles{Mounted{Secret: name, Data: map[string][]byte{}}}, !d.atRest()
	if d.Model.Tiered.HasFiles() {
		read, fault := in.Provided.PluginFiles(d.Model.Tiered)
		switch {
		case fault != nil:
			d.refuse(fault)
			keep = true
		case d.otherFiles(read, live):
			files.Data = read
			// Brokers go on with what they have until they restart, and so do the files that it names.
			files.Data[model.PluginRevision], keep = []byte(in.NewUUID()), true
		default:
			files.Data = read
			files.Data[model.PluginRevision] = live.Data[model.PluginRevision]
		}
	}
	files.settle(live, keep)
	d.PluginFiles = files
}

// otherFiles tells whether what the configuration names is another than in the live copy. A class reads that but once.
// All else it may read again by itself, or not before a restart.
func (d *Decision) otherFiles(read map[string][]byte, live *corev1.Secret) bool {
	if live == nil || len(live.Data[model.PluginRevision]) == 0 {
		return true
	}
	return slices.ContainsFunc(d.Model.Tiered.Named(), func(named model.SecretEntry) bool {
		file := model.PluginFile(named.Secret, named.Entry)
		return !bytes.Equal(read[file], live.Data[file])
	})
}
