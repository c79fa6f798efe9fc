package resolve

import (
	"fmt"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/castellan-dev/castellan/api/v1alpha1"
	"github.com/castellan-dev/castellan/internal/verdict"
	"github.com/castellan-dev/castellan/internal/version"
)

func template(json string) func(in *Inputs) {
	return func(in *Inputs) { in.Spec.Pools[0].PodTemplate = &runtime.RawExtension{Raw: []byte(json)} }
}

func config(key, value string) func(in *Inputs) {
	return func(in *Inputs) { in.Spec.Config[key] = value }
}

func ptr[T any](v T) *T { return &v }

// badInput is one mistake: what is changed in a good spec, and the one fault that must come of it.
type badInput struct {
	name   string
	change func(in *Inputs)
	reason string
	field  string
	cure   string // a part of the message
}

func TestBadInputIsRefusedWithTheFieldAndTheCure(t *testing.T) {
	for _, group := range [][]badInput{configFaults, shapeFaults, listenerFaults, changeFaults, templateFaults,
		advertisedFaults, servicesFaults, gatewayFaults, limitsFaults, wallFaults, oauthFaults, customFaults, replicasFaults,
		pluginFaults} {
		for _, tc := range group {
			t.Run(tc.name, func(t *testing.T) {
				in := running(t, small)
				tc.change(&in)
				_, faults := Resolve(in)
				if len(faults) != 1 {
					t.Fatalf("%d faults, want one: %v", len(faults), faults)
				}
				f := faults[0]
				if f.Reason != tc.reason || f.Field != tc.field || !strings.Contains(f.Sentence(), tc.cure) {
					t.Errorf("got %s %s\nwant %s %s: ...%s...", f.Reason, f.Error(), tc.reason, tc.field, tc.cure)
				}
			})
		}
	}
}

var configFaults = []badInput{
	{
		"listeners are owned",
		config("listeners", "x"),
		verdict.ReasonInvalid,
		"spec.config[listeners]",
		"use spec.listeners",
	},
	{
		"advertised listeners are owned",
		config("advertised.listeners", "x"),
		verdict.ReasonInvalid,
		"spec.config[advertised.listeners]",
		"use spec.listeners",
	},
	{
		"a listener's own keys are owned",
		config("listener.name.clients.ssl.protocol", "x"),
		verdict.ReasonInvalid,
		"spec.config[listener.name.clients.ssl.protocol]",
		"use spec.listeners",
	},
	{"a key of security that no field takes the place of", config("ssl.cipher.suites", "x"), verdict.ReasonInvalid,
		"spec.config[ssl.cipher.suites]", "remove the key where no field"},
	{"a secret of Kafka's", config("delegation.token.secret.key", "s3cret"), verdict.ReasonInvalid,
		"spec.config[delegation.token.secret.key]", "write a variable of a config provider that your own image resolves, such as ${env:NAME}"},
	{"a secret of a plug-in in a pool", func(in *Inputs) {
		in.Spec.Pools[1].Config = v1alpha1.Config{"my.plugin.s3.password": "s3cret"}
	}, verdict.ReasonInvalid, "spec.pools[extra].config[my.plugin.s3.password]", "remove it"},
	{"ZooKeeper is gone", config("zookeeper.connect", "x"), verdict.ReasonInvalid, "spec.config[zookeeper.connect]",
		"Kafka 4 has dropped this key; remove it"},
	{"the protocol of old brokers is gone", config("inter.broker.protocol.version", "3.9"), verdict.ReasonInvalid,
		"spec.config[inter.broker.protocol.version]", "Kafka 4 has dropped this key; remove it, or use spec.metadataVersion"},
	{"the format of old records is gone, in a pool too", func(in *Inputs) {
		in.Spec.Pools[1].Config = v1alpha1.Config{"log.message.format.version": "2.8"}
	}, verdict.ReasonInvalid, "spec.pools[extra].config[log.message.format.version]", "Kafka 4 has dropped this key; remove it"},
	{"a key with two successors", config("log.message.timestamp.difference.max.ms", "1"), verdict.ReasonInvalid,
		"spec.config[log.message.timestamp.difference.max.ms]",
		"or use log.message.timestamp.before.max.ms and log.message.timestamp.after.max.ms"},
	{"a dropped key is nobody's", func(in *Inputs) { in.Spec.UnmanagedConfig = []string{"log.message.downconversion.enable"} },
		verdict.ReasonInvalid, "spec.unmanagedConfig[log.message.downconversion.enable]", "Kafka 4 has dropped this key"},
	{"the node id is owned", config("node.id", "1"), verdict.ReasonInvalid, "spec.config[node.id]", "use spec.pools"},
	{
		"the roles are owned",
		config("process.roles", "broker"),
		verdict.ReasonInvalid,
		"spec.config[process.roles]",
		"use spec.pools",
	},
	{
		"the quorum's members are owned",
		config("controller.quorum.voters", "x"),
		verdict.ReasonInvalid,
		"spec.config[controller.quorum.voters]",
		"use spec.pools",
	},
	{
		"log directories are owned",
		config("log.dirs", "/x"),
		verdict.ReasonInvalid,
		"spec.config[log.dirs]",
		"use spec.pools[].storage.volumes",
	},
	{
		"super users are owned",
		config("super.users", "User:x"),
		verdict.ReasonInvalid,
		"spec.config[super.users]",
		"use spec.authorization",
	},
	{
		"what the class in the brokers reads is owned",
		config("castellan.federated.super.users", "User:oidc:boss"),
		verdict.ReasonInvalid,
		"spec.config[castellan.federated.super.users]",
		"use spec.authorization",
	},
	{
		"it is owned in pools, too",
		func(in *Inputs) {
			in.Spec.Pools[0].Config = v1alpha1.Config{"castellan.token.principal.prefix": ""}
		},
		verdict.ReasonInvalid,
		"spec.pools[main].config[castellan.token.principal.prefix]",
		"use spec.authorization",
	},
	{
		"and nobody else sets it",
		func(in *Inputs) { in.Spec.UnmanagedConfig = []string{"castellan.federated.super.users"} },
		verdict.ReasonInvalid,
		"spec.unmanagedConfig[castellan.federated.super.users]",
		"use spec.authorization",
	},
	{"the rack is owned", config("broker.rack", "x"), verdict.ReasonInvalid, "spec.config[broker.rack]", "use spec.rack"},
	{
		"a value has one line",
		config("num.partitions", "1\nlisteners=x"),
		verdict.ReasonInvalid,
		"spec.config[num.partitions]",
		"one line",
	},
	{"a key is a word", config("num partitions", "1"), verdict.ReasonInvalid, "spec.config[num partitions]", "letters"},
	{
		"a throttle belongs to others",
		config("leader.replication.throttled.rate", "1"),
		verdict.ReasonInvalid,
		"spec.config[leader.replication.throttled.rate]",
		"remove it",
	},
	{"min ISR has no pool", func(in *Inputs) { in.Spec.Pools[1].Config = v1alpha1.Config{"min.insync.replicas": "1"} },
		verdict.ReasonInvalid, "spec.pools[extra].config[min.insync.replicas]", "use spec.config"},
	{"an owned key of a pool is owned too", func(in *Inputs) { in.Spec.Pools[1].Config = v1alpha1.Config{"node.id": "1"} },
		verdict.ReasonInvalid, "spec.pools[extra].config[node.id]", "use spec.pools"},
	{"a key is set here or by others", func(in *Inputs) { in.Spec.UnmanagedConfig = []string{"log.segment.bytes"} },
		verdict.ReasonInvalid, "spec.unmanagedConfig[log.segment.bytes]", "remove it from one"},
	{"a key of a later version", func(in *Inputs) {
		in.Spec.Version = "4.2.2"
		in.Spec.Config["group.coordinator.background.threads"] = "2"
	}, verdict.ReasonInvalid, "spec.config[group.coordinator.background.threads]", "Kafka 4.2.2 has no such key; " +
		"remove it, or use a version that has it: 4.3.1"},
	{
		"a key of earlier versions in a pool",
		func(in *Inputs) { in.Spec.Pools[1].Config = v1alpha1.Config{"group.share.enable": "true"} },
		verdict.ReasonInvalid,
		"spec.pools[extra].config[group.share.enable]",
		"Kafka 4.3.1 has no such key; remove it, or use a version that has it: 4.1.2, 4.2.2",
	},
	{"others can only set run-time keys", func(in *Inputs) { in.Spec.UnmanagedConfig = []string{"num.partitions"} },
		verdict.ReasonInvalid, "spec.unmanagedConfig[num.partitions]", "set it in spec.config"},
}

var shapeFaults = []badInput{
	{"a size has lost its unit", func(in *Inputs) {
		in.Accepted, in.Spec.Pools[0].Storage.Volumes[0].Size = nil, resource.MustParse("10")
	}, verdict.ReasonInvalid, "spec.pools[main].storage.volumes[data].size", "did you forget the unit, such as Gi?"},
	{
		"a version that is not in the catalogue",
		func(in *Inputs) { in.Spec.Version = "4.2.9" },
		verdict.ReasonUnknownVersion,
		"spec.version",
		"use one of: 4.1.2, 4.2.2, 4.3.1",
	},
	{
		"a name that is too long",
		func(in *Inputs) { in.Cluster.Name = strings.Repeat("e", 33) },
		verdict.ReasonInvalid,
		"metadata.name",
		"another name",
	},
	{
		"a size of zero",
		func(in *Inputs) { in.Accepted = nil; in.Spec.Pools[1].Storage.Volumes[0].Size = resource.Quantity{} },
		verdict.ReasonInvalid,
		"spec.pools[extra].storage.volumes[data].size",
		"above zero",
	},
	{"a heap that is too small", func(in *Inputs) { in.Spec.Pools[0].JVM.Heap = ptr(resource.MustParse("64Mi")) },
		verdict.ReasonInvalid, "spec.pools[main].jvm.heap", "128Mi"},
	{"a heap in thousandths of a byte", func(in *Inputs) { in.Spec.Pools[0].JVM.Heap = ptr(resource.MustParse("512m")) },
		verdict.ReasonInvalid, "spec.pools[main].jvm.heap", "512m is 0.512 bytes, because m stands for thousandths; did you " +
			"mean 512Mi?"},
	{"a memory limit in thousandths of a byte", func(in *Inputs) {
		in.Spec.Pools[0].Resources.Limits = v1alpha1.ResourceList{"memory": resource.MustParse("2048m")}
	}, verdict.ReasonInvalid, "spec.pools[main].resources.limits[memory]", "2048m is 2.048 bytes, because m stands for " +
		"thousandths; did you mean 2048Mi?"},
	{"a heap that leaves too little of the memory limit", func(in *Inputs) {
		in.Spec.Pools[0].Resources.Limits = v1alpha1.ResourceList{"memory": resource.MustParse("1025Mi")}
	}, verdict.ReasonInvalid, "spec.pools[main].jvm.heap", "the heap 1Gi leaves 1Mi of the memory limit 1025Mi, and a node " +
		"needs at least 128Mi beside its heap; lower jvm.heap or raise resources.limits[memory] to 1152Mi"},
	{"a heap that the memory limit kills", func(in *Inputs) {
		in.Spec.Pools[0].Resources.Limits = v1alpha1.ResourceList{"memory": resource.MustParse("1Gi")}
	}, verdict.ReasonInvalid, "spec.pools[main].jvm.heap", "raise resources.limits"},
	{"an ephemeral controller among others", func(in *Inputs) {
		in.Accepted = nil
		in.Spec.Pools[0].Storage.Volumes[1].Ephemeral = true
	}, verdict.ReasonInvalid, "spec.pools[main].storage.volumes[more].ephemeral", "single node"},
	{
		"a volume with a name of ours",
		func(in *Inputs) { in.Accepted = nil; in.Spec.Pools[1].Storage.Volumes[0].Name = "castellan-x" },
		verdict.ReasonInvalid,
		"spec.pools[extra].storage.volumes[castellan-x].name",
		"choose another",
	},
	{"node ids of another pool", func(in *Inputs) {
		in.Accepted = nil
		in.Cluster.Status.Pools = nil
		in.Spec.Pools[0].FirstNodeID = ptr[int32](5)
		in.Spec.Pools[1].FirstNodeID = ptr[int32](7)
	},
		verdict.ReasonInvalid, "spec.pools[extra].firstNodeId", "choose ids that no pool has"},
	{"node ids that were given out otherwise", func(in *Inputs) { in.Spec.Pools[0].FirstNodeID = ptr[int32](7) },
		verdict.ReasonInvalid, "spec.pools[main].firstNodeId", "set it back to 0"},
	{
		"a name that somebody else's Service has",
		func(in *Inputs) { in.Taken = map[string]string{"Service/events-main-0-outside": "a user"} },
		verdict.ReasonInvalid,
		"spec.listeners[outside].name",
		"but belongs to a user",
	},
	{
		"a name that somebody else's claim has",
		func(in *Inputs) { in.Taken = map[string]string{"PersistentVolumeClaim/more-events-main-2": "a user"} },
		verdict.ReasonInvalid,
		"spec.pools[main].storage.volumes[more].name",
		"but belongs to a user",
	},
	{"a name that somebody else's StatefulSet has", func(in *Inputs) {
		in.Taken = map[string]string{"StatefulSet/events-extra": "KafkaCluster events-extra"}
	},
		verdict.ReasonInvalid, "spec.pools[extra].name", "rename the pool, or remove it"},
}

func TestNoControllersAndNoBrokersAreRefused(t *testing.T) {
	for role, other := range map[v1alpha1.Role]v1alpha1.Role{v1alpha1.RoleController: v1alpha1.RoleBroker, v1alpha1.RoleBroker: v1alpha1.RoleController} {
		in := running(t, small)
		in.Accepted = nil
		for i := range in.Spec.Pools {
			in.Spec.Pools[i].Roles = []v1alpha1.Role{other}
		}
		_, faults := Resolve(in)
		if len(faults) != 1 || faults[0].Field != "spec.pools" ||
			!strings.Contains(faults[0].Sentence(), "no node has the role "+string(role)) {
			t.Errorf("without %s: %v", role, faults)
		}
	}
}

var listenerFaults = []badInput{
	{
		"two listeners on a port",
		func(in *Inputs) { in.Spec.Listeners[1].Port = 9092 },
		verdict.ReasonInvalid,
		"spec.listeners[outside].port",
		"choose another",
	},
	{
		"the port of the quorum",
		func(in *Inputs) { in.Spec.Listeners[1].Port = 9093 },
		verdict.ReasonInvalid,
		"spec.listeners[outside].port",
		"choose another",
	},
	{
		"the port of replication",
		func(in *Inputs) { in.Spec.Listeners[1].Port = 9091 },
		verdict.ReasonInvalid,
		"spec.listeners[outside].port",
		"choose another",
	},
	{
		"the name of the quorum's listener",
		func(in *Inputs) { in.Spec.Listeners[0].Name = "controller" },
		verdict.ReasonInvalid,
		"spec.listeners[controller].name",
		"choose another",
	},
	{
		"the name of the nodes' Service",
		func(in *Inputs) { in.Spec.Listeners[0].Name = "nodes" },
		verdict.ReasonInvalid,
		"spec.listeners[nodes].name",
		"choose another",
	},
	{
		"the name of the controllers' Service",
		func(in *Inputs) { in.Spec.Listeners[0].Name = "controllers" },
		verdict.ReasonInvalid,
		"spec.listeners[controllers].name",
		"choose another",
	},
	{"a mechanism that is not there", func(in *Inputs) { in.Spec.Listeners[0].Authentication.Mechanisms[0] = "GSSAPI" },
		verdict.ReasonInvalid, "spec.listeners[clients].authentication.mechanisms", "use Custom, OAUTHBEARER, PLAIN"},
	{"a Service whose name is too long", func(in *Inputs) {
		in.Accepted = nil
		in.Cluster.Name = strings.Repeat("e", 32)
		in.Cluster.Status.Pools = nil
		in.Spec.Pools = in.Spec.Pools[:1]
		in.Spec.Pools[0].Replicas = new(int32(1))
		in.Spec.Pools[0].Name = strings.Repeat("p", 16)
		in.Spec.Pools[0].FirstNodeID = ptr[int32](100000)
	}, verdict.ReasonInvalid, "spec.listeners[outside].name", "1 characters shorter"},
}

func TestNamesThatAreEqualInCapitalsAreRefused(t *testing.T) {
	in := running(t, small)
	in.Spec.Listeners[1].Name = "CLIENTS"
	_, faults := Resolve(in)
	var messages []string
	for _, f := range faults {
		messages = append(messages, f.Error())
	}
	if all := strings.Join(messages, "\n"); !strings.Contains(
		all,
		"spec.listeners[CLIENTS].name: listener clients has the same name in Kafka, CLIENTS; choose another",
	) {
		t.Errorf("faults:\n%s", all)
	}
}

var changeFaults = []badInput{
	{"a volume shrinks", func(in *Inputs) { in.Spec.Pools[0].Storage.Volumes[0].Size = resource.MustParse("9Gi") },
		verdict.ReasonInvalid, "spec.pools[main].storage.volumes[data].size", "set the size back to 10Gi"},
	{"a volume shrinks below what a disk of it has", func(in *Inputs) {
		in.Spec.Pools[0].Storage.Volumes[0].Size = resource.MustParse("7Gi")
		in.Capacities = sizes("main", "data", "8Gi")
	}, verdict.ReasonInvalid, "spec.pools[main].storage.volumes[data].size", "a disk cannot shrink, and some of the pool " +
		"have 8Gi; set the size to 8Gi or more, or make a new pool with smaller volumes"},
	{"an ephemeral volume grows", func(in *Inputs) {
		in.Accepted.Pools[1].Storage.Volumes[0].Ephemeral = true
		in.Spec.Pools[1].Storage.Volumes[0].Ephemeral = true
		in.Spec.Pools[1].Storage.Volumes[0].Size = resource.MustParse("11Gi")
	}, verdict.ReasonInvalid, "spec.pools[extra].storage.volumes[data].size", "lose their records; set it back to 10Gi"},
	{"a class of attributes for what is no disk", func(in *Inputs) {
		in.Accepted.Pools[1].Storage.Volumes[0].Ephemeral = true
		in.Spec.Pools[1].Storage.Volumes[0].Ephemeral = true
		in.Spec.Pools[1].Storage.Volumes[0].VolumeAttributesClassName = ptr("gold")
	}, verdict.ReasonInvalid, "spec.pools[extra].storage.volumes[data].volumeAttributesClassName", "remove one of the two"},
	{"claims are to be deleted where there are none", func(in *Inputs) {
		in.Accepted.Pools[1].Storage.Volumes[0].Ephemeral = true
		in.Spec.Pools[1].Storage.Volumes[0].Ephemeral = true
		in.Spec.Pools[1].Storage.Retention = &v1alpha1.Retention{WhenScaled: v1alpha1.RetentionDelete}
	}, verdict.ReasonInvalid, "spec.pools[extra].storage.retention", "the pool has no claims"},
	{"the volume with the metadata log is removed",
		func(in *Inputs) { in.Spec.Pools[0].Storage.Volumes = in.Spec.Pools[0].Storage.Volumes[1:] },
		verdict.ReasonInvalid, "spec.pools[main].storage.volumes[data]", "holds the metadata log, which cannot move to " +
			"another; put it back as the first"},
	{"it is removed although an accepted spec was without the other",
		func(in *Inputs) {
			in.Living = map[string]v1alpha1.Pool{"main": *in.Accepted.Pools[0].DeepCopy()}
			in.Accepted.Pools[0].Storage.Volumes = in.Accepted.Pools[0].Storage.Volumes[:1]
			in.Spec.Pools[0].Storage.Volumes = in.Spec.Pools[0].Storage.Volumes[1:]
		},
		verdict.ReasonInvalid, "spec.pools[main].storage.volumes[data]", "holds the metadata log"},
	{"all volumes are removed", func(in *Inputs) { in.Spec.Pools[0].Storage.Volumes = nil },
		verdict.ReasonInvalid, "spec.pools[main].storage.volumes", "a node needs at least one volume"},
	{"a volume comes back in another class while it leaves", func(in *Inputs) {
		in.Living = map[string]v1alpha1.Pool{"main": *in.Accepted.Pools[0].DeepCopy()}
		in.Accepted.Pools[0].Storage.Volumes = in.Accepted.Pools[0].Storage.Volumes[:1]
		in.Spec.Pools[0].Storage.Volumes[1].StorageClassName = ptr("slow")
	}, verdict.ReasonInvalid, "spec.pools[main].storage.volumes[more].storageClassName", "remove it"},
	{"an ephemeral volume is removed", func(in *Inputs) {
		in.Accepted.Pools[1].Storage.Volumes = append(in.Accepted.Pools[1].Storage.Volumes,
			v1alpha1.Volume{Name: "scratch", Size: resource.MustParse("1Gi"), Ephemeral: true})
	}, verdict.ReasonInvalid, "spec.pools[extra].storage.volumes[scratch]", "put it back"},
	{"an ephemeral volume is added", func(in *Inputs) {
		in.Spec.Pools[1].Storage.Volumes = append(in.Spec.Pools[1].Storage.Volumes,
			v1alpha1.Volume{Name: "scratch", Size: resource.MustParse("1Gi"), Ephemeral: true})
	}, verdict.ReasonInvalid, "spec.pools[extra].storage.volumes[scratch]", "remove it"},
	{"a volume is added before the first", func(in *Inputs) {
		in.Spec.Pools[0].Storage.Volumes = append([]v1alpha1.Volume{{Name: "third", Size: resource.MustParse("1Gi")}},
			in.Spec.Pools[0].Storage.Volumes...)
	}, verdict.ReasonInvalid, "spec.pools[main].storage.volumes", "in the order [data more]"},
	{"volumes change places", func(in *Inputs) { v := in.Spec.Pools[0].Storage.Volumes; v[0], v[1] = v[1], v[0] },
		verdict.ReasonInvalid, "spec.pools[main].storage.volumes", "in the order [data more]"},
	{"another storage class", func(in *Inputs) { in.Spec.Pools[0].Storage.Volumes[0].StorageClassName = ptr("slow") },
		verdict.ReasonInvalid, "spec.pools[main].storage.volumes[data].storageClassName", "set it back to fast"},
	{
		"a storage class where there was none",
		func(in *Inputs) { in.Spec.Pools[0].Storage.Volumes[1].StorageClassName = ptr("slow") },
		verdict.ReasonInvalid,
		"spec.pools[main].storage.volumes[more].storageClassName",
		"remove it",
	},
	{"a disk becomes ephemeral", func(in *Inputs) { in.Spec.Pools[1].Storage.Volumes[0].Ephemeral = true },
		verdict.ReasonInvalid, "spec.pools[extra].storage.volumes[data].ephemeral", "set it back to false"},
	{"brokers lose their role", func(in *Inputs) { in.Spec.Pools[1].Roles = []v1alpha1.Role{v1alpha1.RoleController} },
		verdict.ReasonInvalid, "spec.pools[extra].roles", "set it back, and make a new pool"},
	{"founders are taken away before the cluster is founded", func(in *Inputs) {
		in.Cluster.Status.Bootstrapped = false
		in.Cluster.Status.InitialVoters = []v1alpha1.InitialVoter{{NodeID: 0, DiskUID: "disk"}, {NodeID: 1}, {NodeID: 2}}
		in.Spec.Pools[0].Replicas = new(int32(5))
	}, verdict.ReasonInvalid, "spec.pools[main].replicas", "set replicas back to 3"},
	{"a version that does not know what is finalized", func(in *Inputs) {
		in.Spec.Version = "4.2.2"
		in.Cluster.Status.Features = map[string]int32{version.MetadataVersion: 30}
	}, verdict.ReasonInvalid, "spec.version", "Kafka 4.2.2 cannot run with metadata.version 4.3-IV0, which this " +
		"cluster has finalized; use one of: 4.3.1"},
	{
		"a version that no version of the catalogue could follow",
		func(in *Inputs) { in.Cluster.Status.Features = map[string]int32{version.MetadataVersion: 31} },
		verdict.ReasonInvalid,
		"spec.version",
		"cannot run with metadata.version level 31, which this cluster has finalized; upgrade the operator",
	},
	{"a version that comes before the metadata.version is lowered", func(in *Inputs) {
		in.Spec.Version, in.Spec.MetadataVersion = "4.1.2", "4.1"
		in.Cluster.Status.Features = map[string]int32{version.MetadataVersion: 29}
	}, verdict.ReasonInvalid, "spec.version", "set spec.metadataVersion to 4.1-IV1 before the version, or use one of: " +
		"4.2.2, 4.3.1"},
	{"a version that has not heard of a feature", func(in *Inputs) {
		in.Spec.Version = "4.1.2"
		in.Cluster.Status.Features = map[string]int32{version.MetadataVersion: 27, "streams.version": 1}
	}, verdict.ReasonInvalid, "spec.version", "cannot run with streams.version 1, which this cluster has finalized; " +
		"use one of: 4.2.2, 4.3.1"},
	{"a metadata.version that is not known", func(in *Inputs) { in.Spec.MetadataVersion = "4.9" },
		verdict.ReasonInvalid, "spec.metadataVersion", "use Auto, or one of: 4.3-IV0"},
	{
		"a metadata.version of a later version",
		func(in *Inputs) { in.Spec.Version, in.Spec.MetadataVersion = "4.2.2", "4.3" },
		verdict.ReasonInvalid,
		"spec.metadataVersion",
		"Kafka 4.2.2 knows no metadata.version 4.3; use Auto, or one of: 4.2-IV1",
	},
	{"a metadata.version that Kafka cannot go back to", func(in *Inputs) {
		in.Spec.MetadataVersion = "4.2"
		in.Cluster.Status.Features = map[string]int32{version.MetadataVersion: 30}
	}, verdict.ReasonInvalid, "spec.metadataVersion", "cannot go back to 4.2-IV1 without losing metadata; remove the " +
		"field, or set it to 4.3-IV0"},
	{"a rate at which nothing would arrive", func(in *Inputs) {
		in.Spec.Balancing = &v1alpha1.Balancing{BytesPerSecondPerBroker: ptr[int64](0)}
	}, verdict.ReasonInvalid, "spec.balancing.bytesPerSecondPerBroker", "nothing would arrive at 0"},
	{"no move at a time", func(in *Inputs) { in.Spec.Balancing = &v1alpha1.Balancing{MaxMoving: ptr[int32](0)} },
		verdict.ReasonInvalid, "spec.balancing.maxMoving", "set spec.balancing.mode to Off"},
	{"a tolerance above all", func(in *Inputs) { in.Spec.Balancing = &v1alpha1.Balancing{TolerancePercent: ptr[int32](101)} },
		verdict.ReasonInvalid, "spec.balancing.tolerancePercent", "0 to 100"},
	{"a window that never opens", func(in *Inputs) {
		in.Spec.Balancing = &v1alpha1.Balancing{Windows: []v1alpha1.BalancingWindow{{From: "22:00", To: "22:00"}}}
	}, verdict.ReasonInvalid, "spec.balancing.windows[0]", "it begins and ends at 22:00; for always remove the windows"},
	{"a window at no time", func(in *Inputs) {
		in.Spec.Balancing = &v1alpha1.Balancing{Windows: []v1alpha1.BalancingWindow{{From: "10pm", To: "04:00"}}}
	}, verdict.ReasonInvalid, "spec.balancing.windows[0]", `"10pm" is no time of day`},
	{"a window on no day", func(in *Inputs) {
		in.Spec.Balancing = &v1alpha1.Balancing{Windows: []v1alpha1.BalancingWindow{{Days: []v1alpha1.Weekday{"Someday"}, From: "22:00", To: "04:00"}}}
	}, verdict.ReasonInvalid, "spec.balancing.windows[0]", `"Someday" is no day`},
	{"a mode of balancing that nobody knows", func(in *Inputs) { in.Spec.Balancing = &v1alpha1.Balancing{Mode: "Always"} },
		verdict.ReasonInvalid, "spec.balancing.mode", "use Off, OnScale or Continuous"},
	{"an approval that nobody knows", func(in *Inputs) { in.Spec.Balancing = &v1alpha1.Balancing{Approval: "Maybe"} },
		verdict.ReasonInvalid, "spec.balancing.approval", "use Automatic or Manual"},
	{"a topic that is neither a name nor a prefix", func(in *Inputs) { in.Spec.Balancing = &v1alpha1.Balancing{ExcludeTopics: []string{"a*b"}} },
		verdict.ReasonInvalid, "spec.balancing.excludeTopics[0]", "neither the name of a topic nor a prefix"},
	{"as many restarts as there are brokers", func(in *Inputs) { in.Spec.Rolling.MaxUnavailable = ptr[int32](5) },
		verdict.ReasonInvalid, "spec.rolling.maxUnavailable", "less than the 5 brokers"},
	{"more restarts than the largest rack has brokers", func(in *Inputs) {
		in.Spec.Rolling.MaxUnavailable = ptr[int32](3)
		inRacks(in, "a", "b", "c", "b", "c")
	}, verdict.ReasonInvalid, "spec.rolling.maxUnavailable", "the largest rack, b, has only 2 of the brokers; lower " +
		"it to at most 2, or remove it"},
	{"more restarts than brokers, whatever their racks", func(in *Inputs) {
		in.Spec.Rolling.MaxUnavailable = ptr[int32](5)
		inRacks(in, "a", "b", "c", "b", "c")
	}, verdict.ReasonInvalid, "spec.rolling.maxUnavailable", "less than the 5 brokers"},
	{"so few brokers that no rack has as many as may restart", func(in *Inputs) {
		in.Spec.Rolling.MaxUnavailable = ptr[int32](2)
		in.Spec.Pools[1].Replicas = new(int32(0))
		inRacks(in, "a", "b", "c", "b", "c")
	}, verdict.ReasonInvalid, "spec.rolling.maxUnavailable", "the largest rack, a, has only 1 of the brokers"},
	{
		"a pause with a typing error",
		func(in *Inputs) { in.Cluster.Annotations = map[string]string{v1alpha1.AnnotationPause: "ture"} },
		verdict.ReasonInvalid,
		"metadata.annotations[kafka.castellan.dev/pause]",
		"the cluster is paused",
	},
	{
		"a hold with a typing error",
		func(in *Inputs) { in.Cluster.Annotations = map[string]string{v1alpha1.AnnotationHoldAuthority: "yes"} },
		verdict.ReasonInvalid,
		"metadata.annotations[kafka.castellan.dev/replace-ca-hold]",
		"no other authority signs",
	},
	{
		"an annotation with a typing error",
		func(in *Inputs) { in.Cluster.Annotations = map[string]string{"kafka.castellan.dev/puase": "true"} },
		verdict.ReasonInvalid,
		"metadata.annotations[kafka.castellan.dev/puase]",
		"use kafka.castellan.dev/pause or",
	},
	{"a restart of a node that is not there", func(in *Inputs) {
		in.Cluster.Annotations = map[string]string{v1alpha1.AnnotationRestart: "77=2026-01-31T12:00:00Z"}
	}, verdict.ReasonInvalid, "metadata.annotations[kafka.castellan.dev/restart]", "its pools are main, extra"},
	{
		"a restart at no time",
		func(in *Inputs) { in.Cluster.Annotations = map[string]string{v1alpha1.AnnotationRestart: "now"} },
		verdict.ReasonInvalid,
		"metadata.annotations[kafka.castellan.dev/restart]",
		"write one such as 2026-01-31T12:00:00Z",
	},
}

// inRacks tells where the brokers of small were last seen.
func inRacks(in *Inputs, racks ...string) {
	for i, id := range []int32{0, 1, 2, 1000, 1001} {
		in.Cluster.Status.Nodes = append(in.Cluster.Status.Nodes, v1alpha1.NodeStatus{ID: id, Rack: racks[i]})
	}
}

func TestAsManyRestartsAsTheRacksAllowAreAccepted(t *testing.T) {
	for name, racks := range map[string][]string{
		"a rack that has as many":           {"a", "b", "a", "b", "a"},
		"no racks":                          {"", "", "", "", ""},
		"a broker that has not been placed": {"a", "b", "c", "a", ""},
	} {
		in := running(t, small)
		in.Spec.Rolling.MaxUnavailable = ptr[int32](3)
		inRacks(&in, racks...)
		if _, faults := Resolve(in); len(faults) > 0 {
			t.Errorf("%s: %v", name, faults)
		}
	}
}

var templateFaults = []badInput{
	{"a container named as ours", template(`{"spec":{"containers":[{"name":"kafka","env":[{"name":"A","value":"b"}]}]}}`),
		verdict.ReasonInvalid, "spec.pools[main].podTemplate.spec.containers[kafka].name", "choose another name"},
	{
		"a field that does not exist",
		template(`{"spec":{"contaners":[]}}`),
		verdict.ReasonInvalid,
		"spec.pools[main].podTemplate.spec.contaners",
		"correct or remove it",
	},
	{
		"no pod template at all",
		template(`{"spec":{"containers":7}}`),
		verdict.ReasonInvalid,
		"spec.pools[main].podTemplate",
		"not a pod template",
	},
	{"a label of ours", template(`{"metadata":{"labels":{"kafka.castellan.dev/pool":"x"}}}`),
		verdict.ReasonInvalid, "spec.pools[main].podTemplate.metadata.labels[kafka.castellan.dev/pool]", "remove it"},
	{
		"the host's network",
		template(`{"spec":{"hostNetwork":true}}`),
		verdict.ReasonInvalid,
		"spec.pools[main].podTemplate.spec.hostNetwork",
		"use spec.listeners[].exposure",
	},
	{"a service-account token", template(`{"spec":{"automountServiceAccountToken":true}}`),
		verdict.ReasonInvalid, "spec.pools[main].podTemplate.spec.automountServiceAccountToken", "remove it"},
	{
		"a token by the back door",
		template(`{"spec":{"volumes":[{"name":"t","projected":{"sources":[{"serviceAccountToken":{"path":"t"}}]}}]}}`),
		verdict.ReasonInvalid,
		"spec.pools[main].podTemplate.spec.volumes[t].projected.sources[0].serviceAccountToken",
		"remove it",
	},
	{"a volume named as a disk", template(`{"spec":{"volumes":[{"name":"data","emptyDir":{}}]}}`),
		verdict.ReasonInvalid, "spec.pools[main].podTemplate.spec.volumes[data].name", "use storage.volumes"},
	{"a volume named as ours", template(`{"spec":{"volumes":[{"name":"castellan-tmp","emptyDir":{}}]}}`),
		verdict.ReasonInvalid, "spec.pools[main].podTemplate.spec.volumes[castellan-tmp].name", "choose another"},
	{
		"a sidecar that mounts our keys",
		template(
			`{"spec":{"containers":[{"name":"s","image":"i","volumeMounts":[{"name":"castellan-internal","mountPath":"/k"}]}]}}`,
		),
		verdict.ReasonInvalid,
		"spec.pools[main].podTemplate.spec.containers[s].volumeMounts[castellan-internal]",
		"remove it",
	},
	{
		"a privileged sidecar",
		template(`{"spec":{"containers":[{"name":"s","image":"i","securityContext":{"privileged":true}}]}}`),
		verdict.ReasonInvalid,
		"spec.pools[main].podTemplate.spec.containers[s].securityContext.privileged",
		"restricted",
	},
	{
		"another restart policy",
		template(`{"spec":{"restartPolicy":"Never"}}`),
		verdict.ReasonInvalid,
		"spec.pools[main].podTemplate.spec.restartPolicy",
		"remove it",
	},
	{
		"another user",
		template(`{"spec":{"securityContext":{"runAsUser":0}}}`),
		verdict.ReasonInvalid,
		"spec.pools[main].podTemplate.spec.securityContext.runAsUser",
		"remove it",
	},
}

func TestChangesOfMembershipAreAccepted(t *testing.T) {
	for name, change := range map[string]func(in *Inputs){
		"a pool goes":           func(in *Inputs) { in.Spec.Pools = in.Spec.Pools[:1] },
		"fewer brokers":         func(in *Inputs) { in.Spec.Pools[1].Replicas = new(int32(1)) },
		"fewer controllers":     func(in *Inputs) { in.Spec.Pools[0].Replicas = new(int32(1)) },
		"more controllers":      func(in *Inputs) { in.Spec.Pools[0].Replicas = new(int32(5)) },
		"dedicated controllers": func(in *Inputs) { in.Spec.Pools[1].Roles = nil },
	} {
		in := running(t, small)
		in.Cluster.Status.Bootstrapped = true
		change(&in)
		if c, faults := Resolve(in); len(faults) > 0 || c == nil {
			t.Errorf("%s: %v", name, faults)
		}
	}
}

func TestChangesOfVersionsAreAccepted(t *testing.T) {
	for _, tc := range []struct {
		name              string
		finalized         int32
		version, metadata string
	}{
		{"up", 29, "4.3.1", ""},
		{"up, over a release", 27, "4.3.1", ""},
		{"up, and the metadata.version after it", 29, "4.3.1", "Auto"},
		{"down, while nothing of the new version is finalized", 27, "4.1.2", ""},
		{"a lower metadata.version that loses nothing", 29, "4.3.1", "4.1"},
	} {
		in := running(t, small)
		in.Cluster.Status.Features = map[string]int32{version.MetadataVersion: tc.finalized, "kraft.version": 1}
		in.Spec.Version, in.Spec.MetadataVersion = tc.version, tc.metadata
		if c, faults := Resolve(in); len(faults) > 0 || c.Image != "apache/kafka:"+tc.version {
			t.Errorf("%s: %v", tc.name, faults)
		}
	}
}

func TestRestartsAreAskedForByTime(t *testing.T) {
	in := running(t, small)
	in.Cluster.Annotations = map[string]string{
		v1alpha1.AnnotationRestart: "2026-01-01T00:00:00Z, extra=2026-01-02T00:00:00Z,0=2026-01-03T00:00:00Z",
	}
	c, faults := Resolve(in)
	if len(faults) > 0 {
		t.Fatal(faults)
	}
	var days []string
	for _, n := range c.Nodes {
		days = append(days, fmt.Sprintf("%s-%d:%d", n.Pool, n.ID, n.RestartBefore.Day()))
	}
	if got := strings.Join(days, " "); got != "main-0:3 main-1:1 main-2:1 extra-1000:2 extra-1001:2" {
		t.Errorf("restarts %s", got)
	}
}

func TestAllFaultsAreListedSortedByField(t *testing.T) {
	in := running(t, small)
	in.Spec.Config["node.id"] = "1"
	in.Spec.Config["log.dirs"] = "/x"
	in.Spec.Listeners[0].Port = 9091
	in.Spec.Version = "3.9.0"
	c, faults := Resolve(in)
	var fields []string
	for _, f := range faults {
		fields = append(fields, f.Field)
	}
	if got, want := strings.Join(fields, " "), "spec.config[log.dirs] spec.config[node.id] "+
		"spec.listeners[clients].port spec.version"; got != want {
		t.Errorf("fields %s\n  want %s", got, want)
	}
	if c != nil {
		t.Error("a cluster of an unknown version came out")
	}
}
