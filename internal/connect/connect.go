// Package connect opens the connections to Kafka, and reads the Secrets with a certificate authority or a login that
// they need. Nobody else opens a pool or a client, and nobody else reads such a Secret: what somebody needs to know of
// one is a function here.
package connect

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/castellan-dev/castellan/api/v1alpha1"
	"github.com/castellan-dev/castellan/internal/kafka"
	kafkaclient "github.com/castellan-dev/castellan/internal/kafka/client"
	"github.com/castellan-dev/castellan/internal/kafka/pool"
	"github.com/castellan-dev/castellan/internal/model"
	"github.com/castellan-dev/castellan/internal/pki"
)

// ClustersAtOnce is how many clusters each controller works on side by side. One that does not answer keeps its place
// for up to half a minute. Places cost next to nothing, so there are more than clusters that fall silent together.
const ClustersAtOnce = 32

// identityLife is how long the operator's own certificate for a cluster lives. It is made in memory, from the cluster's
// authority, and written nowhere.
const identityLife = 30 * 24 * time.Hour

// Key names a cluster that is connected to.
type Key = pool.Key

// Prober logs in as a client would, to see what the client would see.
func Prober() kafka.Prober { return kafkaclient.Prober{} }

// Connections gives a kafka.Admin for every KafkaCluster. For the operator's own clusters it takes the addresses from
// the status and proves by a certificate that it is the operator. For an external one it reads from the spec and its
// Secrets how the cluster is reached. The pool dials and backs off.
type Connections struct {
	Client client.Reader
	// APIReader reads past the cache, which holds no Secret of others.
	APIReader client.Reader
	Pool      *pool.Pool
	// Wake lets the controllers look again at what lives in a cluster. It is called when something has changed that no
	// object shows.
	Wake   func(Key)
	Domain string
	Now    func() time.Time

	mu         sync.Mutex
	identities map[types.NamespacedName]certificate
	Accesses   map[types.NamespacedName]knownAccess
}

// certificate is the operator's certificate for one cluster.
type certificate struct {
	uid       types.UID // of the KafkaCluster
	authority string    // the certificate that signed it
	leaf      pki.Leaf
}

// Open makes the pool of the connections.
func (c *Connections) Open() *Connections {
	c.Pool = pool.New(pool.Config{OnReachable: c.Wake})
	return c
}

// Start closes idle connections from time to time until ctx is over, and then all of them.
func (c *Connections) Start(ctx context.Context) error { return c.Pool.Start(ctx) }

// Admin returns the connection to a cluster; it does not dial.
func (c *Connections) Admin(ctx context.Context, cluster *v1alpha1.KafkaCluster) (kafka.Admin, error) {
	key := client.ObjectKeyFromObject(cluster)
	if cluster.IsExternal() {
		access, err := c.Access(ctx, cluster)
		if err != nil {
			return nil, err
		}
		return c.Pool.Get(poolKey(cluster), externalOptions(access, cluster.Status.ClusterID))
	}
	secret, err := readAuthority(ctx, c.Client, key)
	if err != nil {
		return nil, err
	}
	authority, err := Authority(secret)
	if err != nil {
		return nil, fmt.Errorf("read the certificate authority of KafkaCluster %s from Secret %s: %w", key,
			secret.Name, err)
	}
	leaf, err := c.identity(key, cluster.UID, authority)
	if err != nil {
		return nil, err
	}
	options := pool.Options{Seeds: c.seeds(cluster), CA: anchors(secret), Certificate: leaf.CertPEM, Key: leaf.KeyPEM}
	if len(options.Seeds) == 0 {
		return nil, fmt.Errorf("connect to KafkaCluster %s: no broker is known yet: %w", key, kafka.ErrUnreachable)
	}
	return c.Pool.Get(poolKey(cluster), options)
}

func poolKey(cluster *v1alpha1.KafkaCluster) pool.Key {
	return pool.Key{UID: string(cluster.UID), Namespace: cluster.Namespace, Name: cluster.Name}
}

// Forget ends the connection of a cluster that is gone.
func (c *Connections) Forget(key types.NamespacedName) {
	c.mu.Lock()
	known, found := c.identities[key]
	delete(c.identities, key)
	access, external := c.Accesses[key]
	delete(c.Accesses, key)
	c.mu.Unlock()
	if found {
		c.Pool.Forget(string(known.uid))
	}
	if external {
		c.Pool.Forget(string(access.uid))
	}
}

func (c *Connections) identity(key types.NamespacedName, uid types.UID, authority pki.Authority) (pki.Leaf, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	request := pki.Request{
		CommonName: pki.OperatorName, Organization: pki.Organization,
		Usages: pki.Usages{Client: true}, ValidFor: identityLife,
	}
	known := c.identities[key]
	if known.uid == uid && known.authority == string(authority.CertPEM) {
		if _, renew := pki.NeedsRenewal(known.leaf, request, authority, c.Now(), pki.LastThird); !renew {
			return known.leaf, nil
		}
	}
	leaf, err := pki.Issue(authority, request, c.Now())
	if err != nil {
		return pki.Leaf{}, fmt.Errorf("issue the operator's certificate for KafkaCluster %s: %w", key, err)
	}
	if known.uid != "" && known.uid != uid {
		c.Pool.Forget(string(known.uid))
	}
	if c.identities == nil {
		c.identities = map[types.NamespacedName]certificate{}
	}
	c.identities[key] = certificate{uid: uid, authority: string(authority.CertPEM), leaf: leaf}
	return leaf, nil
}

// seeds are the REPLICATION addresses of the cluster's brokers.
func (c *Connections) seeds(cluster *v1alpha1.KafkaCluster) []string {
	var seeds []string
	for _, node := range cluster.Status.Nodes {
		if slices.Contains(node.Roles, v1alpha1.RoleBroker) {
			seeds = append(seeds, fmt.Sprintf("%s.%s-nodes.%s.svc.%s:%d", node.Pod, cluster.Name, cluster.Namespace,
				c.Domain, model.PortReplication))
		}
	}
	return seeds
}
