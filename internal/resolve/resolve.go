// Package resolve turns a KafkaCluster's spec into the model: every default filled in, every rule checked, every
// mistake named with its field and its cure. It is pure. Rules about a spec live here and nowhere else; what a resolved
// cluster is, internal/model says.
package resolve

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/castellan-dev/castellan/api/v1alpha1"
	"github.com/castellan-dev/castellan/internal/exposure"
	"github.com/castellan-dev/castellan/internal/model"
)

// Inputs is all that resolving looks at.
type Inputs struct {
	// Cluster gives name, namespace, UID, and the recorded facts in its status (cluster id, pools, voters, defaults).
	Cluster *v1alpha1.KafkaCluster
	// Spec is what shall be resolved: Cluster's own, or the last accepted one.
	Spec *v1alpha1.KafkaClusterSpec
	// Accepted is the last accepted spec, against which changes are judged; nil = there was none.
	Accepted *v1alpha1.KafkaClusterSpec
	// Living are the pools that there are, as their StatefulSets were made; they may be in neither spec.
	Living map[string]v1alpha1.Pool
	// Disks name a claim that has a volume, by pool and by the name of the volume.
	Disks map[string]map[string]string
	// Capacities are what Kubernetes has given to claims, the largest of each volume, by pool and by the name of the
	// volume. A volume without an entry has no disk; nil = nothing is known.
	Capacities map[string]map[string]resource.Quantity
	// NodePorts are the ports that Kubernetes gave to Services, by Service name.
	NodePorts map[string]int32
	// Balanced are the addresses of the load balancers of Services, best first, by Service name.
	Balanced map[string][]string
	// Advertised is what nodes advertise in the files that they run, by node id and by the listener's name in Kafka.
	Advertised map[int32]map[string]model.HostPort
	// EndpointSlices tells that the operator may write them, SlicesDenied why not where it is told to, and Families are
	// those of Services' addresses, by Service name.
	EndpointSlices bool
	SlicesDenied   string
	Families       map[string][]corev1.IPFamily
	// ImageRepository is where Kafka's image comes from, such as apache/kafka.
	ImageRepository string
	// Registries are those from which plug-ins may come; none = any.
	Registries []string
	// Domain is the DNS domain of the Kubernetes cluster.
	Domain string
	// Operator is the pods of the operator; the zero value = it was not told.
	Operator model.Operator
	// Taken names objects of the namespace that belong to somebody else, as "Kind/name" (StatefulSet, Service,
	// PersistentVolumeClaim), each with whose they are. Two clusters can ask for one name: cluster a with pool b-c, and
	// cluster a-b with pool c. nil = nothing is known of others.
	Taken map[string]string
}

// given is what Kubernetes gave, as the table of exposures asks for it.
func (in Inputs) given() exposure.Given {
	return exposure.Given{Ports: in.NodePorts, Balanced: in.Balanced, Advertised: in.Advertised,
		WritesSlices: in.EndpointSlices, SlicesDenied: in.SlicesDenied, Families: in.Families}
}
