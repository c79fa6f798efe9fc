// Package decide is the middle of a pass over a KafkaCluster: from what is asked for and what is seen it says
// everything that would be recorded, written, disturbed and told. It is one pure call, and can be made for a spec that
// nobody has applied.
package decide

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/castellan-dev/castellan/api/v1alpha1"
	"github.com/castellan-dev/castellan/internal/identity"
	"github.com/castellan-dev/castellan/internal/jwks"
	"github.com/castellan-dev/castellan/internal/kafka"
	"github.com/castellan-dev/castellan/internal/model"
	"github.com/castellan-dev/castellan/internal/observe"
	"github.com/castellan-dev/castellan/internal/plan"
	"github.com/castellan-dev/castellan/internal/provided"
	"github.com/castellan-dev/castellan/internal/reach"
	"github.com/castellan-dev/castellan/internal/render"
	"github.com/castellan-dev/castellan/internal/report"
	"github.com/castellan-dev/castellan/internal/resolve"
	"github.com/castellan-dev/castellan/internal/verdict"
)

// Inputs is all that a pass looks at.
type Inputs struct {
	// Cluster gives the spec that is asked for, and in its status what is recorded.
	Cluster *v1alpha1.KafkaCluster
	// Accepted is the last accepted spec; nil = there is none yet.
	Accepted *v1alpha1.KafkaClusterSpec
	Live     *observe.Live
	// CacheCurrent is false while the cache has not shown yet what this operator did last.
	CacheCurrent bool
	// Usage is what brokers said last of their log directories, by node id.
	Usage      map[int32][]kafka.LogDir
	Kafka      *kafka.Snapshot // nil = none
	KafkaError string          // why there is none
	// ImageRepository is where Kafka's image comes from; Domain is the DNS domain of the Kubernetes cluster.
	ImageRepository, Domain string
	Registries              []string       // from which plug-ins may come; none = any
	Operator                model.Operator // its own pods
	EndpointSlices          bool           // it may write them
	SlicesDenied            string         // why it may not, although it is told to; empty = it is not told
	NewUUID                 func() string
	Now                     time.Time

	// HostAddresses are those of the Kubernetes nodes, sorted; none = they are not known.
	HostAddresses []string
	// HostsDenied is why they are not known although certificates shall name them; empty = they are, or shall not.
	HostsDenied string
	// Provided are the Secrets of users that specs name.
	Provided provided.Secrets
	// Holders lists the Secrets that tell clients how to connect. It is asked when another authority is about to sign.
	Holders func() ([]provided.Holder, error)
	// Balancing asks what moving replicas takes, and tells what is remembered of it.
	Balancing model.BalancingSeen
	// Shown tells whether a broker was seen to show what it has to; nil = none was.
	Shown func(Presenting) bool
	// Fetched tells what is known of the sources of issuers' keys, by listener; nil = nothing is.
	Fetched func([]jwks.Source) map[string]jwks.Fetched
}

// Decision is what follows.
type Decision struct {
	// Blocked says why nothing can be done at all for now; empty = something can.
	Blocked string
	// Identity is to be recorded before anything else is done.
	Identity identity.Record
	// Model is what the spec means, or the last accepted one where the spec has faults; nil = no sense can be made of
	// either.
	Model       *model.Cluster
	Accepted    *v1alpha1.KafkaClusterSpec // the spec that Model was made of
	Observation *model.Observation
	Files       map[int32]render.NodeFiles // what each node shall run, by node id
	Desired     model.Desired              // the fingerprints of all that is rendered
	Authority   AuthorityState             // what is known of the certificate authority
	Plan        plan.Plan
	// Presenting is what each running broker has to show to clients.
	Presenting []Presenting
	// Ways are those to the brokers that are up, as clients go them.
	Ways []reach.Way
	// Expiries are when the first certificate of each kind ends.
	Expiries map[string]time.Time
	// Successor is the pod that the handover Service leads to; empty = nobody needs it.
	Successor string
	// Unseen is what would be made for the first time, as far as the live objects show, which are those that bear our
	// labels. Somebody else's may have the name: it is looked for past the cache, and the decision made again.
	Unseen []model.ObjectName
	// Remade is what gives way to what a spec asks for that was changed before the cluster had formed.
	Remade Remade
	Walls  Walls
	// ClaimChanges are those of claims that stay, and Growing says which disks do not have yet what the spec asks for.
	ClaimChanges []ClaimChange
	Growing      []string
	// Slices lead to single brokers behind one Service.
	Slices []*discoveryv1.EndpointSlice
	// Surplus is what nothing renders any more, to be removed once nothing is under way, or once it leads to nobody.
	Surplus  []render.Object
	Verdicts []verdict.Verdict // what the user has to change
	Warnings []string
	// Waiting is what is waited for beside the plan.
	Waiting []string
	// Routing says, by listener, what keeps its Gateway from leading clients to the brokers. Nothing else waits for it.
	Routing map[string][]string
	// TokenKeys is by what brokers know the issuers of tokens, and Logins what they read of custom mechanisms.
	TokenKeys TokenKeys
	Logins    Logins
	// PluginFiles is what brokers read for tiered storage.
	PluginFiles PluginFiles
}

// Decide makes the decision.
func Decide(in Inputs) Decision {
	d := Decision{Identity: identity.Of(&in.Cluster.Status), Blocked: blocked(in)}
	if d.Blocked != "" {
		return d
	}
	if !d.resolve(in) {
		return d
	}
	if in.Holders != nil {
		in.Holders = sync.OnceValues(in.Holders)
	}
	d.keepVolumes(in)
	d.nameHosts(in.HostAddresses)
	if in.HostsDenied != "" {
		d.Warnings = append(d.Warnings, fmt.Sprintf("certificates of listeners of type NodePort name the address of a "+
			"broker's own Kubernetes node alone: the operator is told to read all nodes, and may not (%s); give its role the "+
			"permission, as readNodes of its chart does", in.HostsDenied))
	}
	d.Remade = remade(d.Model, in.Live)
	d.Warnings = slices.Concat(d.Warnings, resolve.Warnings(d.Model), resolve.Outgrown(d.Model, d.Accepted),
		keptClaims(d.Model, in.Live, d.Remade.Claims), in.Live.Gateways.Warnings(d.Model))
	d.Routing = in.Live.Gateways.Problems(d.Model)
	if d.Authority = authorityOf(in.Live, in.Cluster.Name, in.Now); d.Authority.Problem != "" {
		d.Waiting = append(d.Waiting, d.Authority.Problem)
	}
	d.clientsAuthority(in)
	d.Model.AuthorityRound = d.Authority.Round
	if d.Authority.Problem != "" {
		d.Model.AuthorityRound = leastRound(in.Live)
	}
	d.knowLogins(in)
	d.knowPluginFiles(in)
	d.Files = render.Nodes(d.Model)
	d.Observation = observe.Kubernetes(d.Model, in.Live, d.Files, in.Now)
	d.Observation.CacheCurrent = d.Observation.CacheCurrent && in.CacheCurrent
	d.Model.Parting = d.Model.PartingBrokers(d.Observation)
	d.Slices = render.Slices(d.Model, in.Live.Pods)
	d.Observation.Kafka, d.Observation.KafkaError, d.Observation.Usage = in.Kafka, in.KafkaError, in.Usage
	d.Observation.Balancing = in.Balancing
	d.ClaimChanges = claimChanges(d.Model, in.Live)
	d.Growing = growing(d.Model, d.Observation, d.ClaimChanges)
	ran := sync.OnceValue(func() map[int32]render.NodeFiles { return ranFiles(in.Live) })
	if d.Model.Tiered != nil {
		d.Warnings = append(d.Warnings, d.otherTiers(ran())...)
	}
	d.Observation.Untold = untold(d.Model, d.Observation, ran, in.Cluster.Status.Listeners, in.Now)
	observeIdentities(d.Model, d.Observation, in.Live)
	d.Desired = render.Desired(d.Model, d.Files)
	d.Plan = plan.Next(d.Model, d.Desired, d.Observation, in.Now)
	var replacing string
	if d.Authority.Turn, replacing = turn(d.Model, d.Observation, d.Authority, in); replacing != "" {
		d.Plan.Waiting = append(d.Plan.Waiting, replacing)
	}
	d.Warnings = append(d.Warnings, d.Authority.leftBehind(d.Model, in)...)
	d.Successor = d.Model.FindSuccessor(d.Observation)
	d.Presenting = presenting(d.Model, d.Observation, in.Live)
	d.provide(in)
	d.giveTokenKeys(in)
	d.giveLogins(in)
	d.givePluginFiles(in)
	d.Ways = ways(&d, ran, Hosts(in.Live.Pods))
	d.Expiries = expiries(&d)
	d.Warnings = append(d.Warnings, endings(&d, in.Now)...)
	d.Verdicts = append(d.Verdicts, heldVerdicts(d.Plan.Held)...)
	d.Unseen = unseen(&d, in.Live)
	d.Walls = walls(in.Cluster, &d, ran, in.Live)
	atRest := d.atRest()
	d.Surplus = surplusSlices(in.Cluster, d.Slices, in.Live, atRest)
	if atRest {
		d.Surplus = append(d.Surplus, surplus(in.Cluster, d.Model, in.Live, d.Successor)...)
	}
	return d
}

// atRest tells that nothing is under way, and nothing waited for.
func (d *Decision) atRest() bool {
	return d.Plan.Empty() && len(d.Plan.Pending) == 0 && len(d.Waiting) == 0
}

// resolve turns the spec into the model. A spec that cannot be carried out stalls, and the last accepted one is cared
// for instead; false = there is none, or no sense can be made of it either.
func (d *Decision) resolve(in Inputs) bool {
	spec, used := &in.Cluster.Spec, tieredUsed(in)
	record, faults := identify(in, spec)
	if len(faults) == 0 {
		d.Model, faults = resolve.Resolve(toResolve(in, record, spec))
	}
	if len(faults) == 0 && !equality.Semantic.DeepEqual(in.Accepted, spec) {
		faults = slices.Concat(tooLarge(d.Model), refuseLogins(in, d.Model, spec), refusePluginFiles(in, d.Model, spec),
			keepsTiers(in, spec, used), headless(in, spec))
	}
	if d.Verdicts = faults; len(faults) > 0 {
		d.Model = nil
		if spec = in.Accepted; spec == nil {
			return false
		}
		if record, faults = identify(in, spec); len(faults) > 0 {
			return false
		}
		// What was accepted once is cared for even where this operator would no longer accept it: its faults do not count.
		d.Model, _ = resolve.Resolve(toResolve(in, record, spec))
	}
	record.TieredUsed = used
	d.Identity, d.Accepted = record, spec
	return d.Model != nil
}

func identify(in Inputs, spec *v1alpha1.KafkaClusterSpec) (identity.Record, []verdict.Verdict) {
	return identity.Propose(identity.Inputs{
		Recorded: identity.Of(&in.Cluster.Status), Spec: spec, Claims: in.Live.Claims, Pods: in.Live.Pods, Kafka: in.Kafka,
		NewUUID: in.NewUUID,
	})
}

func toResolve(in Inputs, record identity.Record, spec *v1alpha1.KafkaClusterSpec) resolve.Inputs {
	cluster := in.Cluster.DeepCopy()
	record.WriteTo(&cluster.Status)
	return resolve.Inputs{
		Cluster: cluster, Spec: spec, Accepted: in.Accepted, NodePorts: nodePorts(in), Taken: in.Live.Taken,
		Balanced: balanced(in, spec), Advertised: advertised(in.Live, spec),
		EndpointSlices: in.EndpointSlices, SlicesDenied: in.SlicesDenied, Families: in.Live.Families(),
		ImageRepository: in.ImageRepository, Registries: in.Registries, Domain: in.Domain, Operator: in.Operator,
		Living: living(in.Live), Disks: disks(in.Live), Capacities: capacities(in.Live),
	}
}

// nodePorts are the ports of Services that are there, and those that a Service had which was deleted: it is made again
// with the port that clients know.
func nodePorts(in Inputs) map[string]int32 {
	ports := map[string]int32{}
	for _, l := range in.Cluster.Status.Listeners {
		maps.Copy(ports, l.NodePorts)
	}
	maps.Copy(ports, in.Live.NodePorts())
	return ports
}

// balanced are the addresses of load balancers and Gateways. Clients go on to begin where they did while what is there
// is silent, or is made again.
func balanced(in Inputs, spec *v1alpha1.KafkaClusterSpec) map[string][]string {
	addresses := in.Live.Balanced()
	c := &model.Cluster{Name: in.Cluster.Name}
	for _, l := range spec.Listeners {
		if l.Exposure.Type == v1alpha1.ExposureTCPRoute && l.Exposure.Gateway != nil {
			addresses[c.BootstrapService(l.Name)] = in.Live.Gateways.Addresses(resolve.GatewayOf(in.Cluster.Namespace, l))
		}
	}
	for _, l := range in.Cluster.Status.Listeners {
		service := c.BootstrapService(l.Name)
		if len(addresses[service]) == 0 && len(l.LoadBalancerAddresses) > 0 && keepsExposure(in.Accepted, spec, l.Name) {
			addresses[service] = l.LoadBalancerAddresses
		}
	}
	return addresses
}

// keepsExposure tells that what is known of a listener's addresses was said of the exposure that it has now.
func keepsExposure(accepted, spec *v1alpha1.KafkaClusterSpec, listener string) bool {
	if accepted == nil {
		return true
	}
	exposures := [2]v1alpha1.ExposureType{}
	for i, s := range []*v1alpha1.KafkaClusterSpec{accepted, spec} {
		for _, l := range s.Listeners {
			if l.Name == listener {
				exposures[i] = l.Exposure.Type
			}
		}
	}
	return exposures[0] == exposures[1]
}

// heldVerdicts are what only the user can end: one verdict for each field, however many nodes it holds back.
func heldVerdicts(held []plan.Held) []verdict.Verdict {
	var fields []string
	messages := map[string][]string{}
	for _, h := range held {
		if h.Field == "" {
			continue
		}
		if messages[h.Field] == nil {
			fields = append(fields, h.Field)
		}
		messages[h.Field] = append(messages[h.Field], h.Message)
	}
	var verdicts []verdict.Verdict
	for _, field := range fields {
		verdicts = append(verdicts, verdict.Stalled(verdict.ReasonHeld, field, "%s", report.First(messages[field])))
	}
	return verdicts
}

// surplus is what is no longer rendered: a listener that was taken out of the spec keeps its Services until no node
// listens there, a revision until no pod and no StatefulSet names it. What the cluster does
// not own is left alone, however it is labelled. Of claims, which have no owner, see staleClaims.
func surplus(cluster metav1.Object, c *model.Cluster, live *observe.Live, successor string) []render.Object {
	rendered := map[string]bool{}
	for _, object := range render.Quiet(c) {
		rendered[object.GetName()] = true
	}
	if successor != "" {
		rendered[c.HandoverService()] = true
	}
	for service := range c.StillTold() {
		rendered[service] = true
	}
	var objects []render.Object
	for name, service := range live.Services {
		if !rendered[name] && metav1.IsControlledBy(service, cluster) {
			objects = append(objects, service)
		}
	}
	objects = append(objects, surplusRoutes(cluster, c, live)...)
	used := revisionsInUse(live)
	for name, configMap := range live.ConfigMaps {
		if render.ReadRevision(configMap) != nil && !slices.Contains(used, name) &&
			metav1.IsControlledBy(configMap, cluster) {
			objects = append(objects, configMap)
		}
	}
	for _, claim := range staleClaims(c, live) {
		objects = append(objects, claim)
	}
	objects = slices.DeleteFunc(objects, func(o render.Object) bool { return o.GetDeletionTimestamp() != nil })
	slices.SortFunc(objects, func(a, b render.Object) int { return cmp.Compare(a.GetName(), b.GetName()) })
	return objects
}

// surplusRoutes are those that lead to nobody any more.
func surplusRoutes(cluster metav1.Object, c *model.Cluster, live *observe.Live) []render.Object {
	rendered := map[string]bool{}
	for _, route := range render.Routes(c) {
		rendered[route.GetKind()+" "+route.GetName()] = true
	}
	var objects []render.Object
	for name, route := range live.Gateways.Routes {
		if !rendered[name] && metav1.IsControlledBy(route, cluster) {
			objects = append(objects, route)
		}
	}
	return objects
}

// unseen lists what the decision makes that is not among the live objects.
func unseen(d *Decision, live *observe.Live) []model.ObjectName {
	names := d.Model.ObjectNames()
	for _, name := range revisionsInUse(live) {
		names = append(names, model.ObjectName{Kind: model.KindConfigMap, Name: name})
	}
	return slices.DeleteFunc(names, func(o model.ObjectName) bool {
		handover := o.Kind == model.KindService && o.Name == d.Model.HandoverService()
		_, taken := live.Taken[o.Key()]
		return live.Has(o) || taken || handover && d.Successor == ""
	})
}

// revisionsInUse lists the revisions that a pod or a StatefulSet names.
func revisionsInUse(live *observe.Live) []string {
	var names []string
	for i := range live.Pods {
		names = append(names, observe.RevisionName(live.Pods[i].Spec.Volumes))
	}
	for _, set := range live.StatefulSets {
		names = append(names, observe.RevisionName(set.Spec.Template.Spec.Volumes))
	}
	slices.Sort(names)
	return slices.DeleteFunc(slices.Compact(names), func(name string) bool { return name == "" })
}

// acceptedKey is the entry of the ConfigMap that holds the last accepted spec.
const acceptedKey = "spec.json"

// AcceptedSpec reads the last accepted spec; nil = there is none yet.
func AcceptedSpec(live *observe.Live, cluster string) (*v1alpha1.KafkaClusterSpec, error) {
	recorded := live.ConfigMaps[model.AcceptedConfigMap(cluster)]
	if recorded == nil {
		return nil, nil
	}
	spec := &v1alpha1.KafkaClusterSpec{}
	if err := json.Unmarshal([]byte(recorded.Data[acceptedKey]), spec); err != nil {
		return nil, fmt.Errorf("read the last accepted spec from ConfigMap %s: %w", recorded.Name, err)
	}
	return spec, nil
}

// RenderAccepted prints the ConfigMap that keeps the spec which is in force, so that a later mistake does not end the
// care of the cluster.
func RenderAccepted(cluster *v1alpha1.KafkaCluster, spec *v1alpha1.KafkaClusterSpec) (*corev1.ConfigMap, error) {
	text, err := json.Marshal(spec)
	if err != nil {
		return nil, fmt.Errorf("print the accepted spec: %w", err)
	}
	return &corev1.ConfigMap{
		TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "ConfigMap"},
		ObjectMeta: metav1.ObjectMeta{
			Namespace: cluster.Namespace, Name: model.AcceptedConfigMap(cluster.Name), Labels: model.Labels(cluster.Name),
		},
		Data: map[string]string{acceptedKey: string(text)},
	}, nil
}
