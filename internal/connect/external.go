package connect

import (
	"bytes"
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/predicate"

	"github.com/castellan-dev/castellan/api/v1alpha1"
	"github.com/castellan-dev/castellan/internal/external"
	"github.com/castellan-dev/castellan/internal/kafka/pool"
)

// knownAccess is what the Secrets of an external cluster said when they were last read.
type knownAccess struct {
	uid        types.UID // of the KafkaCluster
	generation int64
	access     external.Access
}

// Access returns how an external cluster is reached, as its Secrets said when they were last read. It reads them now
// when that was for an older spec. A verdict.Verdict as the error says what is wrong with them.
func (c *Connections) Access(ctx context.Context, cluster *v1alpha1.KafkaCluster) (external.Access, error) {
	c.mu.Lock()
	known := c.Accesses[client.ObjectKeyFromObject(cluster)]
	c.mu.Unlock()
	if known.uid == cluster.UID && known.generation >= cluster.Generation {
		return known.access, nil
	}
	return c.ReadAccess(ctx, cluster)
}

// ReadAccess reads the Secrets of an external cluster anew, past the cache. From then on Access answers the same.
func (c *Connections) ReadAccess(ctx context.Context, cluster *v1alpha1.KafkaCluster) (external.Access, error) {
	secrets := map[string]map[string][]byte{}
	for _, name := range external.Secrets(cluster.Spec.External) {
		secret := &corev1.Secret{}
		err := c.APIReader.Get(ctx, types.NamespacedName{Namespace: cluster.Namespace, Name: name}, secret)
		if apierrors.IsNotFound(err) {
			continue
		}
		if err != nil {
			return external.Access{}, fmt.Errorf("read Secret %s/%s: %w", cluster.Namespace, name, err)
		}
		secrets[name] = external.Data(secret.Labels, secret.Data)
	}
	access, fault := external.Resolve(cluster.Namespace, cluster.Spec.External, secrets)
	if fault != nil {
		return external.Access{}, *fault
	}
	before := c.keep(cluster, access)
	if before.uid == cluster.UID && !bytes.Equal(before.access.CA, access.CA) {
		c.Wake(poolKey(cluster)) // users' connection Secrets hold it too
	}
	return access, nil
}

func (c *Connections) keep(cluster *v1alpha1.KafkaCluster, access external.Access) (before knownAccess) {
	key := client.ObjectKeyFromObject(cluster)
	c.mu.Lock()
	defer c.mu.Unlock()
	before = c.Accesses[key]
	if before.uid != "" && before.uid != cluster.UID {
		c.Pool.Forget(string(before.uid))
	}
	if c.Accesses == nil {
		c.Accesses = map[types.NamespacedName]knownAccess{}
	}
	c.Accesses[key] = knownAccess{cluster.UID, cluster.Generation, access}
	return before
}

// externalOptions bind the connection to the cluster that was seen first: no other cluster is asked for anything.
func externalOptions(a external.Access, clusterID string) pool.Options {
	return pool.Options{
		Seeds: a.Seeds, CA: a.CA, Certificate: a.Certificate, Key: a.Key, SystemRoots: a.SystemRoots,
		Mechanism: a.Mechanism, Username: a.Username, Password: a.Password, ClusterID: clusterID,
	}
}

// ExternalOnly admits external KafkaClusters, or only the operator's own: each has a reconciler of its own.
func ExternalOnly(yes bool) predicate.Predicate {
	return predicate.NewPredicateFuncs(func(o client.Object) bool {
		cluster, ok := o.(*v1alpha1.KafkaCluster)
		return ok && cluster.IsExternal() == yes
	})
}
