package batch

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/castellan-dev/castellan/api/v1alpha1"
	"github.com/castellan-dev/castellan/internal/claim"
	"github.com/castellan-dev/castellan/internal/external"
	"github.com/castellan-dev/castellan/internal/kafka"
)

// Clusters gives the connection to a KafkaCluster. It alone dials and backs off; an error means that nothing is known.
type Clusters interface {
	Admin(ctx context.Context, cluster *v1alpha1.KafkaCluster) (kafka.Admin, error)
	// Access tells how an external cluster is reached.
	Access(ctx context.Context, cluster *v1alpha1.KafkaCluster) (external.Access, error)
}

const (
	reasonClusterNotFound     = "ClusterNotFound"
	reasonClusterNotAvailable = "ClusterNotAvailable"
	reasonClusterUnreachable  = "ClusterUnreachable"
	reasonNotAuthorized       = "NotAuthorized"
	reasonRetrying            = "Retrying"
)

// Host is the KafkaCluster that topics or users live in, as one flush sees it.
type Host struct {
	Key    types.NamespacedName
	Object *v1alpha1.KafkaCluster // nil = there is none
	// elsewhere: the operator does not work in its namespace, and knows nothing of it.
	elsewhere bool
	// namespaceGoes: the namespace of an external cluster is terminating. We may see the deletion of topics and users
	// before that of the KafkaCluster. What is deleted in somebody else's Kafka must not depend on the order.
	namespaceGoes bool
	// nobodys: the operator looks after external clusters alone, and this is none.
	nobodys bool
	// tenure: how the cluster stands to this installation of the operator.
	tenure claim.Tenure
}

func getHost(ctx context.Context, reader client.Reader, n Namespaces, key types.NamespacedName) (Host, error) {
	if len(n.Only) > 0 && !slices.Contains(n.Only, key.Namespace) {
		return Host{Key: key, elsewhere: true}, nil
	}
	object := &v1alpha1.KafkaCluster{}
	switch err := reader.Get(ctx, key, object); {
	case apierrors.IsNotFound(err):
		return Host{Key: key}, nil
	case err != nil:
		return Host{}, fmt.Errorf("get KafkaCluster %s: %w", key, err)
	}
	return Host{Key: key, Object: object}, nil
}

// ID is the incarnation of the cluster; empty = none yet.
func (c Host) ID() string {
	if c.Object == nil {
		return ""
	}
	return c.Object.Status.ClusterID
}

// Access is what the cluster lets other namespaces have; nil = nothing, or there is no cluster.
func (c Host) Access() *v1alpha1.Access {
	if c.Object == nil {
		return nil
	}
	return c.Object.Spec.Access
}

// Limits are what each other namespace may have at most.
func (c Host) Limits() v1alpha1.AccessLimits {
	if access := c.Access(); access != nil && access.Limits != nil {
		return *access.Limits
	}
	return v1alpha1.AccessLimits{}
}

// IsHome tells whether an object is from the cluster's own namespace.
func (c Host) IsHome(o client.Object) bool { return o.GetNamespace() == c.Key.Namespace }

// Permits tells whether the cluster lets an object do what its owner has to grant to other namespaces.
func (c Host) Permits(o client.Object, p v1alpha1.AccessPermission) bool {
	return claim.Permits(c.Access(), c.Key.Namespace, o.GetNamespace(), p)
}

// gone: what lived in the cluster needs no care any more.
func (c Host) gone() bool {
	return c.Object == nil || c.Object.DeletionTimestamp != nil || c.namespaceGoes
}

// goneText says in what way the cluster is gone.
func (c Host) goneText() string {
	switch {
	case c.elsewhere:
		return fmt.Sprintf("the operator does not look after namespace %q (its flag --watch-namespaces)", c.Key.Namespace)
	case c.Object == nil:
		return fmt.Sprintf("there is no KafkaCluster %q in namespace %q", c.Key.Name, c.Key.Namespace)
	case c.namespaceGoes:
		return fmt.Sprintf("KafkaCluster %q is being deleted with its namespace", c.Key.Name)
	}
	return fmt.Sprintf("KafkaCluster %q is being deleted", c.Key.Name)
}

// found says how an object of this kind comes by a cluster, where there is none. spec.clusterRef cannot be changed.
func (c Host) found(kind string) string {
	if c.elsewhere {
		return "add it there, or delete this " + kind
	}
	return fmt.Sprintf("create it, or write another %s that names one that there is, with spec.clusterRef.namespace if "+
		"it is elsewhere, and delete this one", kind)
}

// awaited says what the cluster still needs before anything can be done in it; empty = nothing.
func (c Host) awaited() string {
	if c.nobodys {
		return fmt.Sprintf("the operator looks after external clusters alone (its flag --external-only), and KafkaCluster "+
			"%q is none", c.Key.Name)
	}
	if c.tenure == claim.TenureVacant {
		return fmt.Sprintf("waiting for status.operator of KafkaCluster %q to name this operator; its events say what is in "+
			"the way", c.Key.Name)
	}
	available := meta.FindStatusCondition(c.Object.Status.Conditions, v1alpha1.ConditionAvailable)
	switch {
	case available == nil || c.ID() == "":
		return fmt.Sprintf("waiting for KafkaCluster %q to start", c.Key.Name)
	case !answers(c.Object):
		return fmt.Sprintf("waiting for KafkaCluster %q to be Available: %s", c.Key.Name, available.Message)
	}
	return ""
}

// answers tells whether a cluster can be asked and changed. It can while partitions lack replicas, and must: the
// change may be what they lack.
func answers(cluster *v1alpha1.KafkaCluster) bool {
	return meta.IsStatusConditionTrue(cluster.Status.Conditions, v1alpha1.ConditionAvailable) ||
		cluster.Status.PartitionsBelowMinISR > 0
}

// Brokers counts the nodes with the role Broker.
func (c Host) Brokers() int {
	n := 0
	for _, node := range c.Object.Status.Nodes {
		if slices.Contains(node.Roles, v1alpha1.RoleBroker) {
			n++
		}
	}
	return n
}

// Serving lists the brokers that take clients, by node id.
func Serving(cluster *v1alpha1.KafkaCluster) []int32 {
	var ids []int32
	for _, node := range cluster.Status.Nodes {
		if node.State == v1alpha1.NodeServing && slices.Contains(node.Roles, v1alpha1.RoleBroker) {
			ids = append(ids, node.ID)
		}
	}
	slices.Sort(ids)
	return ids
}

// clusterFacts is what of a KafkaCluster decides whether its topics and users can be cared for at all.
type clusterFacts struct {
	clusterID string
	answers   bool
	deleted   bool
	access    string
	operator  string
}

// FactsOf reads the facts from a KafkaCluster.
func FactsOf(cluster *v1alpha1.KafkaCluster) clusterFacts {
	f := clusterFacts{
		clusterID: cluster.Status.ClusterID, answers: answers(cluster), deleted: cluster.DeletionTimestamp != nil,
		operator: cluster.Status.Operator,
	}
	if a := cluster.Spec.Access; a != nil {
		text, _ := json.Marshal(a) // in one order, and without the addresses of pointers
		f.access = string(text)
	}
	return f
}

// unanswered says what to wait for after a flush of which nothing came.
func unanswered(cluster Host, err error) (reason, message string) {
	_, other := errors.AsType[*kafka.AnotherCluster](err)
	denied, isDenied := errors.AsType[*kafka.Denied](err)
	switch {
	case other && cluster.Object.IsExternal():
		return reasonClusterNotAvailable, external.Explain(err, cluster.Object.Spec.External).Text()
	case kafka.Unreachable(err) || errors.Is(err, kafka.ErrAuthenticationFailed):
		return reasonClusterUnreachable, unreachableText(cluster.Key)
	case isDenied:
		return reasonNotAuthorized, fmt.Sprintf(
			"Kafka does not let the operator do it: %s; grant its principal Alter and AlterConfigs on the Cluster", denied)
	}
	// The innermost error is what Kafka said; those around it count what was asked, which differs from one look to
	// the next.
	cause := err
	for inner := errors.Unwrap(cause); inner != nil; inner = errors.Unwrap(cause) {
		cause = inner
	}
	return reasonRetrying, cause.Error()
}

func unreachableText(cluster types.NamespacedName) string {
	return fmt.Sprintf(
		"no broker of KafkaCluster %q answers, or lets the operator in; tried again at growing intervals", cluster.Name)
}

func sameStatus(a, b any) bool { return equality.Semantic.DeepEqual(a, b) }
