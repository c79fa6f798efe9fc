package connect

import (
	"fmt"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/selection"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/castellan-dev/castellan/api/v1alpha1"
)

// startedCache runs with the caches of the manager, before its controllers.
type startedCache struct{ cache.Cache }

// GetCache is by what the manager knows a cache.
func (c startedCache) GetCache() cache.Cache { return c.Cache }

// CacheLabelled makes a cache of the Secrets whose owners have labelled them for one of the uses, and of no others.
// They are not the operator's, so that its own cache does not hold them.
func CacheLabelled(mgr ctrl.Manager, namespaces []string, uses ...string) (cache.Cache, error) {
	labelled, err := labels.NewRequirement(v1alpha1.LabelUse, selection.In, uses)
	if err != nil {
		return nil, fmt.Errorf("select the Secrets that users provide: %w", err)
	}
	options := cache.Options{
		HTTPClient: mgr.GetHTTPClient(), Scheme: mgr.GetScheme(), Mapper: mgr.GetRESTMapper(),
		DefaultTransform: cache.TransformStripManagedFields(),
		ByObject:         map[client.Object]cache.ByObject{&corev1.Secret{}: {Label: labels.NewSelector().Add(*labelled)}},
	}
	for _, namespace := range namespaces {
		if options.DefaultNamespaces == nil {
			options.DefaultNamespaces = map[string]cache.Config{}
		}
		options.DefaultNamespaces[namespace] = cache.Config{}
	}
	made, err := cache.New(mgr.GetConfig(), options)
	if err == nil {
		err = mgr.Add(startedCache{made})
	}
	if err != nil {
		return nil, fmt.Errorf("watch the Secrets that users provide: %w", err)
	}
	return made, nil
}
