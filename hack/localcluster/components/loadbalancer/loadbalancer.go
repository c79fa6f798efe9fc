// Package loadbalancer is the cloud of a local cluster as far as Services of type LoadBalancer see one: Kubernetes' own
// service controller, with finalizers, events and retries as in clouds, over a range of addresses that kube-proxy
// serves on every node and for the host.
package loadbalancer

import (
	"context"
	"errors"
	"flag"
	"net/netip"
	"strings"
	"sync"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	listers "k8s.io/client-go/listers/core/v1"
	"k8s.io/client-go/tools/clientcmd"
	cloudprovider "k8s.io/cloud-provider"
	"k8s.io/cloud-provider/controllers/service"
	"k8s.io/component-base/featuregate"
	controllermetrics "k8s.io/component-base/metrics/prometheus/controllers"
)

// Run hands out addresses until the process ends.
func Run(args []string) error {
	flags := flag.NewFlagSet("load-balancer", flag.ContinueOnError)
	kubeconfig := flags.String("kubeconfig", "", "access to the API server")
	ranges := flags.String("pools", "", "ranges of addresses to hand out, one a family, with commas")
	if err := flags.Parse(args); err != nil {
		return err
	}
	var pools []netip.Prefix
	for _, text := range strings.Split(*ranges, ",") {
		pool, err := netip.ParsePrefix(text)
		if err != nil {
			return err
		}
		pools = append(pools, pool)
	}
	cfg, err := clientcmd.BuildConfigFromFlags("", *kubeconfig)
	if err != nil {
		return err
	}
	cfg.QPS, cfg.Burst, cfg.UserAgent = 50, 100, "load-balancer"
	client, err := kubernetes.NewForConfig(cfg)
	if err != nil {
		return err
	}
	ctx := context.Background()
	factory := informers.NewSharedInformerFactory(client, 0)
	services := factory.Core().V1().Services()
	c := &cloud{pools: pools, services: services.Lister()}
	controller, err := service.New(
		c,
		client,
		services,
		factory.Core().V1().Nodes(),
		"local",
		featuregate.NewFeatureGate(),
	)
	if err != nil {
		return err
	}
	factory.Start(ctx.Done())
	controller.Run(ctx, 1, controllermetrics.NewControllerManagerMetrics("load-balancer"))
	return errors.New("the service controller ended")
}

// cloud is one that has load balancers and nothing else.
type cloud struct {
	cloudprovider.Interface // whatever else is called is a fault of this program
	pools                   []netip.Prefix
	services                listers.ServiceLister

	mu sync.Mutex // one Service at a time, and the cache may not have seen the last one yet
	// given are the addresses that were handed out, by UID of the Service.
	given map[string]*corev1.Service
}

func (c *cloud) LoadBalancer() (cloudprovider.LoadBalancer, bool) { return c, true }
func (c *cloud) ProviderName() string                             { return "localcluster" }
func (c *cloud) HasClusterID() bool                               { return true }

func (c *cloud) GetLoadBalancerName(_ context.Context, _ string, s *corev1.Service) string {
	return s.Namespace + "/" + s.Name
}

func (c *cloud) GetLoadBalancer(
	_ context.Context,
	_ string,
	s *corev1.Service,
) (*corev1.LoadBalancerStatus, bool, error) {
	return &s.Status.LoadBalancer, len(s.Status.LoadBalancer.Ingress) > 0, nil
}

func (c *cloud) EnsureLoadBalancer(
	_ context.Context,
	_ string,
	s *corev1.Service,
	_ []*corev1.Node,
) (*corev1.LoadBalancerStatus, error) {
	if s.Annotations[Pending] != "" {
		return nil, errors.New("the quota of load balancers is used up (annotation " + Pending + ")")
	}
	if name := s.Annotations[Hostname]; name != "" {
		return &corev1.LoadBalancerStatus{Ingress: []corev1.LoadBalancerIngress{{Hostname: name}}}, nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	others, err := c.others()
	if err != nil {
		return nil, err
	}
	addresses, err := assign(c.pools, s, others)
	if err != nil {
		return nil, err
	}
	var status corev1.LoadBalancerStatus
	for _, a := range addresses {
		status.Ingress = append(status.Ingress, corev1.LoadBalancerIngress{IP: a.String()})
	}
	given := s.DeepCopy()
	given.Status.LoadBalancer = status
	c.given[string(s.UID)] = given
	return &status, nil
}

// others are all Services with the addresses that they have or are about to be told.
func (c *cloud) others() ([]*corev1.Service, error) {
	all, err := c.services.List(labels.Everything())
	if err != nil {
		return nil, err
	}
	if c.given == nil {
		c.given = map[string]*corev1.Service{}
	}
	var services []*corev1.Service
	for _, s := range all {
		if given := c.given[string(s.UID)]; given != nil {
			s = given
		}
		services = append(services, s)
	}
	return services, nil
}

func (c *cloud) UpdateLoadBalancer(context.Context, string, *corev1.Service, []*corev1.Node) error {
	return nil // every node forwards to every other
}

func (c *cloud) EnsureLoadBalancerDeleted(_ context.Context, _ string, s *corev1.Service) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.given, string(s.UID))
	return nil
}
