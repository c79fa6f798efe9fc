package model

import (
	"fmt"
	"strings"

	"github.com/castellan-dev/castellan/api/v1alpha1"
	"github.com/castellan-dev/castellan/internal/pki"
)

// KindCluster is the kind of the owner of what a cluster is made of.
const KindCluster = "KafkaCluster"

// Labels mark an object as a cluster's.
func Labels(cluster string) map[string]string {
	return map[string]string{v1alpha1.LabelManagedBy: v1alpha1.ManagedBy, v1alpha1.LabelCluster: cluster}
}

// Selector is the part of the labels of a pool's pods that never changes, and that no other pod of the namespace has.
func (c *Cluster) Selector(pool *Pool) map[string]string {
	return map[string]string{v1alpha1.LabelCluster: c.Name, v1alpha1.LabelPool: pool.Name}
}

// The kinds of the objects that a cluster is made of.
const (
	KindService     = "Service"
	KindSecret      = "Secret"
	KindConfigMap   = "ConfigMap"
	KindClaim       = "PersistentVolumeClaim"
	KindStatefulSet = "StatefulSet"
	KindBudget      = "PodDisruptionBudget"
	KindPolicy      = "NetworkPolicy"
	KindSlice       = "EndpointSlice"
)

// The parts of a spec whose names go into the names of objects.
const (
	PartCluster  = "cluster"
	PartListener = "listener"
	PartPool     = "pool"
	PartVolume   = "volume"
	PartPolicy   = "NetworkPolicy" // nobody's, but only that object needs the name
)

// ObjectName is what an object of a cluster is called, and what the name is made from.
type ObjectName struct {
	Kind, Name string
	Part       string // whose name is in it beside the cluster's; PartCluster = nobody's
	Field      string // the path of that part's name
}

// ClusterNameField is the path of a cluster's name.
const ClusterNameField = "metadata.name"

// NetworkPolicyField is the path of what asks for the NetworkPolicy.
const NetworkPolicyField = "spec.networkPolicy"

// Key is the kind and the name in one.
func (o ObjectName) Key() string { return o.Kind + "/" + o.Name }

// InternalSuffix ends the name of every InternalSecret.
const InternalSuffix = "-internal"

// InternalSecret names the Secret with the nodes' keys and certificates for CONTROLLER and REPLICATION: ca.crt, and for
// each node id <id>.pem (key and chain in one) and <id>.names (what the certificate names, one a line).
func (c *Cluster) InternalSecret(pool *Pool) string { return c.Name + "-" + pool.Name + InternalSuffix }

// ListenersSecrets is how many Secrets a pool has for its keys for clients: a Secret holds 1 MiB, which is about 750 of
// them. The pods mount all as one folder, those too that are not there yet, so that a pool may grow.
const ListenersSecrets = 4

// ListenersSecrets names the Secrets with the nodes' keys and certificates for the listeners of clients, the first one
// first: <id>.<listener>.pem and <id>.<listener>.names, both of a listener in one of them.
func (c *Cluster) ListenersSecrets(pool *Pool) []string {
	names := []string{c.Name + "-" + pool.Name + "-listeners"}
	for i := 1; i < ListenersSecrets; i++ {
		names = append(names, fmt.Sprintf("%s-%d", names[0], i))
	}
	return names
}

// TokenKeysSecret names the Secret with what brokers know the issuers of tokens by, for each listener that takes
// tokens: <listener>.json with the issuer's keys, and <listener>.issuer with whose they are; or <listener>.ca.pem, by
// which brokers that fetch the keys themselves know the host that they ask.
func TokenKeysSecret(cluster string) string { return cluster + "-token-keys" }

// LoginsSecret names the Secret with the files of custom mechanisms, for each listener that offers one:
// <listener>.<entry> is an entry of the user's Secret, <id>.<listener>.jaas.conf the line of one node where they
// differ, and <listener> the revision of what brokers read but once. Names of listeners begin with a letter and hold no
// dot.
func LoginsSecret(cluster string) string { return cluster + "-logins" }

// The entries of a user's Secret for a custom mechanism that mean something to the operator. Brokers read them but
// once.
const (
	JaasEntry     = "jaas.conf"
	KerberosEntry = "krb5.conf"
)

// LoginEntry is an entry of the Secret with the files of custom mechanisms.
func LoginEntry(listener, entry string) string { return listener + "." + entry }

// NodeJaasEntry is the entry with the line of one node.
func NodeJaasEntry(listener string, node int32) string {
	return fmt.Sprintf("%d.%s", node, LoginEntry(listener, JaasEntry))
}

// PluginFilesSecret names the Secret with the files of spec.tieredStorage: <name>_<entry> is an entry of the user's
// Secret of that name, and PluginRevision the revision of those that brokers read but once. Names of Secrets hold no
// underscore.
func PluginFilesSecret(cluster string) string { return cluster + "-plugin-files" }

// PluginRevision is the entry of PluginFilesSecret that is no file.
const PluginRevision = "revision"

// PluginFile is an entry of PluginFilesSecret, and the file of that name in a broker.
func PluginFile(secret, entry string) string { return secret + "_" + entry }

// AcceptedConfigMap names the ConfigMap that holds the last accepted spec of a cluster.
func AcceptedConfigMap(cluster string) string { return cluster + "-accepted" }

// ObjectNames lists the objects that the cluster needs under a name that follows from its spec. The handover Service is
// among them, which is there only at times. Revisions are not: their names hold a hash of what is in them.
func (c *Cluster) ObjectNames() []ObjectName {
	var names []ObjectName
	add := func(part, field, kind string, objects ...string) {
		for _, name := range objects {
			names = append(names, ObjectName{Kind: kind, Name: name, Part: part, Field: field})
		}
	}
	add(PartCluster, ClusterNameField, KindSecret, pki.AuthoritySecret(c.Name))
	if c.AsksForCertificates() {
		add(PartCluster, ClusterNameField, KindSecret, pki.ClientsAuthoritySecret(c.Name))
	}
	add(PartCluster, ClusterNameField, KindConfigMap, AcceptedConfigMap(c.Name))
	if c.TakesTokens() {
		add(PartCluster, ClusterNameField, KindSecret, TokenKeysSecret(c.Name))
	}
	if c.HasCustom() {
		add(PartCluster, ClusterNameField, KindSecret, LoginsSecret(c.Name))
	}
	if c.Tiered.HasFiles() {
		add(PartCluster, ClusterNameField, KindSecret, PluginFilesSecret(c.Name))
	}
	add(PartCluster, ClusterNameField, KindBudget, c.Name)
	if c.Walls.Ingress {
		add(PartPolicy, NetworkPolicyField, KindPolicy, c.Name)
	}
	add(PartCluster, ClusterNameField, KindService, c.NodesService(), c.ControllersService(), c.HandoverService())
	for _, l := range c.Listeners {
		add(PartListener, ListenerField(l.Name, "name"), KindService, l.Service)
		for _, family := range l.Families {
			for _, n := range c.Reached() {
				add(PartListener, ListenerField(l.Name, "name"), KindSlice, SliceName(n.PodName, l.Name, family))
			}
		}
	}
	for i := range c.Pools {
		pool := &c.Pools[i]
		field := PoolField(pool.Name, "name")
		add(PartPool, field, KindStatefulSet, pool.StatefulSet)
		add(PartPool, field, KindSecret, c.InternalSecret(pool))
		if pool.Broker && c.certifiesListeners() {
			names := c.ListenersSecrets(pool)
			if c.keysOf(pool) < keysInOneSecret { // the others are not looked for, and not made
				names = names[:1]
			}
			add(PartPool, field, KindSecret, names...)
		}
	}
	for i := range c.Nodes {
		node := &c.Nodes[i]
		for _, v := range c.PoolOf(node).Volumes {
			if !v.Ephemeral {
				add(PartVolume, VolumeField(node.Pool, v.Name, "name"), KindClaim, ClaimName(v.Name, node.PodName))
			}
		}
		for _, l := range node.AllListeners() {
			if l.Service != "" {
				add(PartListener, ListenerField(strings.ToLower(l.Name), "name"), KindService, l.Service)
			}
		}
	}
	return names
}

// keysInOneSecret is fewer than a Secret holds of the largest, which take 7 KiB with all their names.
const keysInOneSecret = 150

// keysOf is how many keys a pool has for its listeners with TLS.
func (c *Cluster) keysOf(pool *Pool) int {
	listeners := 0
	for _, l := range c.Listeners {
		if l.TLS {
			listeners++
		}
	}
	return listeners * int(pool.Replicas)
}

// certifiesListeners tells whether brokers prove to clients who they are.
func (c *Cluster) certifiesListeners() bool {
	for _, l := range c.Listeners {
		if l.TLS {
			return true
		}
	}
	return false
}
