// Package render prints a model.Cluster as what Kubernetes and Kafka read: objects, and each node's files. It is pure:
// a resolved cluster and, for parts that cannot be changed, the live object go in; complete objects come out. No
// client, no clock, no raw spec may enter.
//
// Everything that is printed is identified twice (model.Fingerprint): by what the user asked for, which is a reason to
// restart a node, and by the whole of it, which is not.
package render

import (
	"maps"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/castellan-dev/castellan/api/v1alpha1"
	"github.com/castellan-dev/castellan/internal/model"
	"github.com/castellan-dev/castellan/internal/plainauth"
)

const (
	// ContainerName is the container that runs Kafka.
	ContainerName = model.ContainerName

	// RevisionVolume is the pod's volume that names the ConfigMap of its revision.
	RevisionVolume  = model.OwnPrefix + "revision"
	internalVolume  = model.OwnPrefix + "internal"
	listenersVolume = model.OwnPrefix + "listeners"
	usersVolume     = model.OwnPrefix + "users"
	keysVolume      = model.OwnPrefix + "token-keys"
	loginsVolume    = model.OwnPrefix + "logins"
	podVolume       = model.OwnPrefix + "pod"
	tmpVolume       = model.OwnPrefix + "tmp"

	// Where the container finds its volumes. start.sh knows the same paths.
	revisionDir  = "/etc/castellan/revision"
	internalDir  = "/etc/castellan/internal"
	listenersDir = "/etc/castellan/listeners"
	usersDir     = "/etc/castellan/users"
	keysDir      = "/etc/castellan/token-keys"
	loginsDir    = "/etc/castellan/login"
	podDir       = "/etc/castellan/pod"
	dataDir      = model.DataDir
)

// The subjects of the two internal certificates, and the principals that Kafka makes of them. All nodes share one, so
// that super.users does not depend on the size of the cluster.
const (
	// NodeSubject is the distinguished name of every node (RFC 2253).
	NodeSubject = "CN=kafka-node,O=castellan"
	// OperatorSubject is the distinguished name of the operator.
	OperatorSubject = "CN=castellan-operator,O=castellan"
	// NodePrincipal is Kafka's principal of every node.
	NodePrincipal = "User:" + NodeSubject
	// OperatorPrincipal is Kafka's principal of the operator.
	OperatorPrincipal = "User:" + OperatorSubject
)

// UsersEntry is the key of the users file in the first of PlainUsersSecrets. In the others it has their number; see
// plainauth.PartName.
const UsersEntry = "users"

// CertificatesEntry is the key of the list of users' certificates beside the users file, and is numbered likewise.
const CertificatesEntry = "certificates"

// CAEntry is the key of the cluster's CA certificate in the Secret model.Cluster.InternalSecret.
const CAEntry = "ca.crt"

// PlainUsersSecret names the Secret with the file of PLAIN users, or the first part of it.
func PlainUsersSecret(clusterName string) string { return clusterName + "-plain-users" }

// PlainUsersSecrets names the Secrets with the files of users, the first one first. All of them stand in the template
// of a pod from the start, so that users find room without a restart; those beyond the first are there once needed.
func PlainUsersSecrets(clusterName string) (names []string) {
	for n := range plainauth.MaxParts {
		names = append(names, plainauth.PartName(PlainUsersSecret(clusterName), n))
	}
	return names
}

// PlainUsersMounted tells how many of the Secrets with the files of users a pod mounts. A pod of before there were
// several has one.
func PlainUsersMounted(pod *corev1.PodSpec) int {
	for _, v := range pod.Volumes {
		if v.Name == usersVolume && v.Projected != nil {
			return len(v.Projected.Sources)
		}
	}
	return 1
}

// clusterLabels are on everything of a cluster.
func clusterLabels(c *model.Cluster) map[string]string {
	all := model.Labels(c.Name)
	all["app.kubernetes.io/name"], all["app.kubernetes.io/instance"] = "kafka", c.Name
	return all
}

func labels(c *model.Cluster, more map[string]string) map[string]string {
	all := clusterLabels(c)
	maps.Copy(all, more)
	return all
}

func poolLabels(c *model.Cluster, pool *model.Pool) map[string]string {
	return labels(c, map[string]string{v1alpha1.LabelPool: pool.Name})
}

// podLabels tell brokers from controllers, so that Services can select them.
func podLabels(c *model.Cluster, pool *model.Pool) map[string]string {
	all := poolLabels(c, pool)
	if pool.Broker {
		all[v1alpha1.LabelBroker] = "true"
	}
	if pool.Controller {
		all[v1alpha1.LabelController] = "true"
	}
	return all
}

func objectMeta(c *model.Cluster, name string, labels map[string]string) metav1.ObjectMeta {
	return metav1.ObjectMeta{Namespace: c.Namespace, Name: name, Labels: labels}
}
