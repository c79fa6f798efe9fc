package model

import "github.com/castellan-dev/castellan/api/v1alpha1"

// Reason is why a spec cannot be carried out, in the form of a condition's reason.
type Reason string

// Why a spec cannot be carried out.
const (
	ReasonInvalid         Reason = "Invalid"         // no version of Castellan will do it
	ReasonNotYetSupported Reason = "NotYetSupported" // a change that this version of Castellan cannot make yet
	ReasonUnknownVersion  Reason = "UnknownVersion"  // not in the catalogue
	ReasonHeld            Reason = "Held"            // under way, and only the user can end what holds it back
)

// Fault is a user's mistake: the field and the cure.
type Fault struct {
	Reason  Reason
	Field   string // path, such as spec.pools[main].storage.volumes[data].size
	Message string // what is wrong and what to do instead
}

// Error prints "field: message".
func (f Fault) Error() string { return f.Field + ": " + f.Message }

// Inputs is all that resolving looks at.
type Inputs struct {
	// Cluster gives name, namespace, UID, and the recorded facts in its status (cluster id, pools, voters, defaults).
	Cluster *v1alpha1.KafkaCluster
	// Spec is what shall be resolved: Cluster's own, or the last accepted one.
	Spec *v1alpha1.KafkaClusterSpec
	// Accepted is the last accepted spec, against which changes are judged; nil = there was none.
	Accepted *v1alpha1.KafkaClusterSpec
	// NodePorts are the ports that Kubernetes gave to Services, by Service name.
	NodePorts map[string]int32
	// ImageRepository is where Kafka's image comes from, such as apache/kafka.
	ImageRepository string
	// Domain is the DNS domain of the Kubernetes cluster.
	Domain string
	// Taken names objects of the namespace that belong to somebody else, as "Kind/name" (StatefulSet, Service,
	// PersistentVolumeClaim), each with whose they are. Two clusters can ask for one name: cluster a with pool b-c, and
	// cluster a-b with pool c. nil = nothing is known of others.
	Taken map[string]string
}
