package resolve

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/castellan-dev/castellan/api/v1alpha1"
	"github.com/castellan-dev/castellan/internal/exposure"
	"github.com/castellan-dev/castellan/internal/identity"
	"github.com/castellan-dev/castellan/internal/model"
	"github.com/castellan-dev/castellan/internal/verdict"
	"github.com/castellan-dev/castellan/internal/version"
)

const (
	defaultBrokerHeap     int64 = 1 << 30
	defaultControllerHeap int64 = 512 << 20

	defaultRackKey = corev1.LabelTopologyZone
)

// Resolve fills in every default and checks every rule. The faults are all that are found, sorted by field. A cluster
// comes with the faults as long as one can be made sense of, and is nil otherwise: a spec that was accepted once, and
// that a newer operator would no longer accept, is still cared for. A new spec with faults is never carried out.
//
// Node ids and defaults that are not recorded yet are computed as AssignNodeIDs and ComputeDefaults do.
func Resolve(in Inputs) (*model.Cluster, verdict.List) {
	v, known := version.Find(in.Spec.Version)
	pools, faults := identity.AssignNodeIDs(in.Spec, in.Cluster.Status.Pools)
	possible := known && len(faults) == 0 && withinBounds(in.Spec)
	templates, templateFaults := decodePodTemplates(in.Spec)
	faults = append(faults, templateFaults...)
	faults = append(faults, validate(in, v)...)
	faults = append(faults, validateAnnotations(in.Cluster.Annotations)...)
	faults = append(faults, validateChanges(in, v)...)
	faults = append(faults, validateWalls(in.Spec, in.Operator)...)

	var c *model.Cluster
	if possible {
		c = build(in, v, pools, templates)
		faults = append(faults, restarts(c, in.Cluster.Annotations)...)
		faults = append(faults, validateRacks(c, in.Cluster.Status.Nodes)...)
		faults = append(faults, validateNames(c, in.Taken)...)
		faults = append(faults, validateAddresses(c)...)
		faults = append(faults, validateNodePorts(c)...)
		faults = append(faults, validateRoutes(c)...)
		faults = append(faults, validateServicePorts(c)...)
	}
	slices.SortStableFunc(faults, func(a, b verdict.Verdict) int {
		return cmp.Or(cmp.Compare(a.Field, b.Field), cmp.Compare(a.Sentence(), b.Sentence()))
	})
	return c, slices.Compact(faults)
}

// build makes the cluster; it judges nothing.
func build(
	in Inputs,
	v version.Version,
	pools []v1alpha1.PoolStatus,
	templates map[string]decodedTemplate,
) *model.Cluster {
	status, spec := &in.Cluster.Status, in.Spec
	paused, _ := v1alpha1.Holds(in.Cluster.Annotations, v1alpha1.AnnotationPause)
	c := &model.Cluster{
		Namespace: in.Cluster.Namespace, Name: in.Cluster.Name, UID: string(in.Cluster.UID),
		Version: spec.Version, Image: in.ImageRepository + ":" + spec.Version, Domain: in.Domain,
		ClusterID: status.ClusterID, Bootstrapped: status.Bootstrapped, InitialVoters: slices.Clone(status.InitialVoters),
		RackKey:     cmp.Or(spec.Rack.TopologyKey, defaultRackKey),
		Unavailable: cmp.Or(spec.Rolling.Unavailable, v1alpha1.UnavailableProceed),
		Paused:      paused,
		Balancing:   resolveBalancing(in.Cluster, spec.Balancing),
	}
	if spec.Rolling.MaxUnavailable != nil {
		c.MaxUnavailable = *spec.Rolling.MaxUnavailable
	}
	if spec.MetadataVersion != "" {
		c.MetadataVersion, _ = v.MetadataLevel(spec.MetadataVersion)
	}
	c.EmptySince = map[int32]time.Time{}
	for _, n := range status.Nodes {
		if n.EmptySince != nil {
			c.EmptySince[n.ID] = n.EmptySince.Time
		}
	}
	c.Cordoned = map[int32]bool{}
	for _, id := range status.Cordoned {
		c.Cordoned[id] = true
	}
	for _, p := range status.Pools {
		if !slices.ContainsFunc(spec.Pools, func(q v1alpha1.Pool) bool { return q.Name == p.Name }) {
			c.FormerPools = append(c.FormerPools, p)
		}
	}
	slices.SortFunc(c.InitialVoters, func(a, b v1alpha1.InitialVoter) int { return cmp.Compare(a.NodeID, b.NodeID) })
	c.Defaults = defaultsOf(spec, status)
	c.Authorization = authorizationOf(spec, c.Defaults)
	if spec.Authorization != nil {
		c.Authorizer = spec.Authorization.Class
		c.SuperUsers = slices.Sorted(slices.Values(spec.Authorization.SuperUsers))
		c.FederatedSuperUsers = slices.Sorted(slices.Values(spec.Authorization.FederatedSuperUsers))
	}
	c.Plugins, c.Tiered = pluginsOf(spec), tieredOf(spec)
	c.UnmanagedConfig = map[string]bool{}
	for _, key := range spec.UnmanagedConfig {
		c.UnmanagedConfig[key] = true
	}
	if spec.ListenerAuthority != nil {
		c.ListenerAuthority = spec.ListenerAuthority.Name
	}
	c.TrustWindow = defaultTrustWindow
	if spec.TrustWindowSeconds != nil {
		c.TrustWindow = time.Duration(*spec.TrustWindowSeconds) * time.Second
	}
	c.DynamicConfig = dynamicConfig(spec, v, c)
	c.Listeners = resolveListeners(c, spec, in.given())
	c.Walls = resolveWalls(spec, in.Operator)
	for i := range spec.Pools {
		first, _ := identity.FirstNodeID(pools, spec.Pools[i].Name)
		c.Pools = append(c.Pools, buildPool(c, &spec.Pools[i], first, v, spec, templates[spec.Pools[i].Name]))
	}
	c.Nodes = buildNodes(c, in.given())
	return c
}

func buildPool(
	c *model.Cluster,
	p *v1alpha1.Pool,
	first int32,
	v version.Version,
	spec *v1alpha1.KafkaClusterSpec,
	template decodedTemplate,
) model.Pool {
	pool := model.Pool{
		Name: p.Name, StatefulSet: c.Name + "-" + p.Name, FirstNodeID: first, Replicas: spec.ReplicasOf(*p),
		Controller: p.HasRole(v1alpha1.RoleController), Broker: p.HasRole(v1alpha1.RoleBroker),
		Volumes: slices.Clone(p.Storage.Volumes), Retention: retentionOf(p),
		HeapBytes: heapOf(p),
		Resources: corev1.ResourceRequirements{
			Requests: resourceList(p.Resources.Requests),
			Limits:   resourceList(p.Resources.Limits),
		},
		Scaled:      p.Replicas == nil,
		PodTemplate: template.value, PodTemplateText: template.text,
	}
	pool.StaticConfig, pool.DynamicConfig = poolConfig(spec, p, v)
	return pool
}

func retentionOf(p *v1alpha1.Pool) v1alpha1.Retention {
	given := v1alpha1.Retention{}
	if p.Storage.Retention != nil {
		given = *p.Storage.Retention
	}
	return v1alpha1.Retention{
		WhenScaled:  cmp.Or(given.WhenScaled, v1alpha1.RetentionRetain),
		WhenDeleted: cmp.Or(given.WhenDeleted, v1alpha1.RetentionRetain),
	}
}

func heapOf(p *v1alpha1.Pool) int64 {
	switch {
	case p.JVM.Heap != nil:
		return p.JVM.Heap.Value()
	case p.HasRole(v1alpha1.RoleBroker):
		return defaultBrokerHeap
	default:
		return defaultControllerHeap
	}
}

func resourceList(list v1alpha1.ResourceList) corev1.ResourceList {
	if len(list) == 0 {
		return nil
	}
	out := corev1.ResourceList{}
	for name, quantity := range list {
		out[corev1.ResourceName(name)] = quantity
	}
	return out
}

func buildNodes(c *model.Cluster, given exposure.Given) []model.Node {
	var nodes []model.Node
	for i := range c.Pools {
		pool := &c.Pools[i]
		for k := range pool.Replicas {
			n := model.Node{ID: pool.FirstNodeID + k, Pool: pool.Name}
			n.PodName = fmt.Sprintf("%s-%d", pool.StatefulSet, n.ID)
			n.Host = n.PodName + "." + c.ServiceHost(c.NodesService())
			addListeners(c, pool, &n, given)
			nodes = append(nodes, n)
		}
	}
	slices.SortFunc(nodes, func(a, b model.Node) int { return cmp.Compare(a.ID, b.ID) })
	keepApart(c, nodes, given)
	return nodes
}

const (
	minISRKey    = "min.insync.replicas"
	reportersKey = "metric.reporters"
)

// isDynamic tells that a key of a configuration lives in Kafka's run-time configuration. Reporters of plug-ins do not:
// a class that a broker lacks would be found out on all of them at once, and by no restart. Without plug-ins they do,
// as they did before there were any.
func isDynamic(spec *v1alpha1.KafkaClusterSpec, v version.Version, key string) bool {
	return v.IsDynamic(key) && !(key == reportersKey && len(spec.Plugins) > 0)
}

// dynamicConfig is the run-time configuration of all brokers. min.insync.replicas is always among it: Kafka 4.3 ignores
// the file after the first start (eligible leader replicas, KIP-966).
func dynamicConfig(spec *v1alpha1.KafkaClusterSpec, v version.Version, c *model.Cluster) map[string]string {
	config := map[string]string{minISRKey: fmt.Sprint(c.Defaults.MinInsyncReplicas)}
	for key, value := range spec.Config {
		if isDynamic(spec, v, key) {
			config[key] = value
		}
	}
	for key := range c.UnmanagedConfig {
		delete(config, key)
	}
	for _, l := range spec.EffectiveListeners() {
		maps.Copy(config, listenerLimits(l))
	}
	return config
}

// listenerLimits are the run-time keys of a listener, which Kafka takes for all brokers (DynamicBrokerConfig:
// ClusterLevelListenerConfigs).
func listenerLimits(l v1alpha1.Listener) map[string]string {
	limits := map[string]string{}
	if l.Limits == nil {
		return limits
	}
	for key, value := range map[string]*int32{
		"max.connections": l.Limits.Connections, "max.connection.creation.rate": l.Limits.ConnectionsPerSecond,
	} {
		if value != nil {
			limits["listener.name."+strings.ToLower(l.Name)+"."+key] = fmt.Sprint(*value)
		}
	}
	return limits
}

// poolConfig splits a pool's configuration. Run-time keys of a pool without brokers stay in its file: nobody can set
// them through a broker, and all that they cost is a restart of a controller.
func poolConfig(
	spec *v1alpha1.KafkaClusterSpec,
	p *v1alpha1.Pool,
	v version.Version,
) (static, dynamic map[string]string) {
	static, dynamic = map[string]string{}, map[string]string{}
	for key, value := range spec.Config {
		if !isDynamic(spec, v, key) {
			static[key] = value
		}
	}
	for key, value := range p.Config {
		if isDynamic(spec, v, key) && p.HasRole(v1alpha1.RoleBroker) {
			dynamic[key] = value
		} else {
			static[key] = value
		}
	}
	return static, dynamic
}
