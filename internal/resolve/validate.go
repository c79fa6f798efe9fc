package resolve

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/castellan-dev/castellan/api/v1alpha1"
	"github.com/castellan-dev/castellan/internal/claim"
	"github.com/castellan-dev/castellan/internal/exposure"
	"github.com/castellan-dev/castellan/internal/identity"
	"github.com/castellan-dev/castellan/internal/mechanism"
	"github.com/castellan-dev/castellan/internal/model"
	"github.com/castellan-dev/castellan/internal/verdict"
	"github.com/castellan-dev/castellan/internal/version"
)

var (
	dnsName      = regexp.MustCompile(`^[a-z]([-a-z0-9]*[a-z0-9])?$`)
	listenerName = regexp.MustCompile(`^[a-z][a-z0-9]{0,10}$`)
	federated    = regexp.MustCompile(`^[^;\x00-\x1f]{1,512}$`)
	subjectName  = regexp.MustCompile(`^[A-Za-z0-9.]+ *=[^\x00-\x1f]+$`)
	superUser    = regexp.MustCompile(`^[A-Za-z0-9._@+-]{1,128}$`)
)

const (
	maxClusterName = 32
	maxPoolName    = 16
	maxVolumeName  = 16
	maxServiceName = 63
	maxSubject     = 512
	maxTrustWindow = 2_592_000 // seconds
)

// defaultTrustWindow is for how long another authority for a listener waits until clients have been given it.
const defaultTrustWindow = 24 * time.Hour

// validate checks what a spec alone can be wrong about. What the CRD refuses is checked again: the spec may have been
// stored under an older one.
func validate(in Inputs, v version.Version) verdict.List {
	var faults verdict.List
	if name := in.Cluster.Name; len(name) > maxClusterName || !dnsName.MatchString(name) {
		faults.Refuse(
			"metadata.name",
			"the name must be a lower-case DNS label of at most %d characters that starts with a letter, because the names "+
				"of pods and Services are made from it; make the cluster under another name",
			maxClusterName,
		)
	}
	if v.Kafka == "" {
		faults.Add(
			verdict.ReasonUnknownVersion,
			"spec.version",
			"Kafka %s is not in the catalogue of this operator; use one of: %s",
			in.Spec.Version,
			version.Names(),
		)
	}
	if unsaid := validateReplicas(in.Spec); len(unsaid) > 0 { // nobody knows what the pools come to
		faults = append(faults, unsaid...)
	} else {
		faults = append(faults, validateRoles(in.Spec)...)
	}
	seen := map[string]bool{}
	for i := range in.Spec.Pools {
		p := &in.Spec.Pools[i]
		if seen[p.Name] {
			faults.Refuse(model.PoolField(p.Name, "name"), "two pools have this name; give each a name of its own")
		}
		seen[p.Name] = true
		faults = append(faults, validatePool(in.Spec, p)...)
		faults = append(faults, validateMemory(p, memoryBefore(in, p.Name))...)
	}
	faults = append(faults, validateListeners(in.Spec)...)
	faults = append(faults, validatePrefixes(in)...)
	faults = append(faults, validateConfig(in, v)...)
	faults = append(faults, validateClassKeys(in.Spec, in.ImageRepository)...)
	faults = append(faults, validatePlugins(in.Spec, in.Registries)...)
	faults = append(faults, validateTiered(in.Spec)...)
	return append(faults, validateRest(in.Spec)...)
}

// validateReplicas asks that every pool says how many nodes it has, but for one where spec.replicas does.
func validateReplicas(spec *v1alpha1.KafkaClusterSpec) verdict.List {
	var faults verdict.List
	var silent []string
	for _, p := range spec.Pools {
		if p.Replicas == nil {
			silent = append(silent, p.Name)
		}
	}
	switch {
	case len(silent) > 1:
		faults.Refuse(model.PoolField(silent[1], "replicas"), "pools %s have no replicas, and spec.replicas is for one "+
			"alone; say how many nodes each of the others has", verdict.Few(len(silent), silent))
	case len(silent) == 1 && spec.Replicas == nil:
		faults.Refuse(model.PoolField(silent[0], "replicas"), "nothing says how many nodes the pool has; set it here, or in "+
			"spec.replicas, where kubectl scale sets it")
	case len(silent) == 0 && spec.Replicas != nil:
		faults.Refuse("spec.replicas", "every pool has replicas of its own, so that it is for none; take replicas out of "+
			"the pool that it is for, or remove spec.replicas")
	}
	return faults
}

// validateRoles asks for at least one controller and one broker, in nodes and not only in pools.
func validateRoles(spec *v1alpha1.KafkaClusterSpec) verdict.List {
	var controllers, brokers int32
	for _, p := range spec.Pools {
		if p.HasRole(v1alpha1.RoleController) {
			controllers += spec.ReplicasOf(p)
		}
		if p.HasRole(v1alpha1.RoleBroker) {
			brokers += spec.ReplicasOf(p)
		}
	}
	var faults verdict.List
	if controllers == 0 {
		faults.Refuse(
			"spec.pools",
			"no node has the role Controller; give it to a pool with replicas above 0, a cluster needs 1, 3 or 5 controllers",
		)
	}
	if brokers == 0 {
		faults.Refuse("spec.pools", "no node has the role Broker; give it to a pool with replicas above 0")
	}
	return faults
}

func validatePool(spec *v1alpha1.KafkaClusterSpec, p *v1alpha1.Pool) verdict.List {
	var faults verdict.List
	if len(p.Name) > maxPoolName || !dnsName.MatchString(p.Name) {
		faults.Refuse(
			model.PoolField(p.Name, "name"),
			"the name must be a lower-case DNS label of at most %d characters that starts with a letter; choose another",
			maxPoolName,
		)
	}
	if n := spec.ReplicasOf(*p); n < 0 || n > identity.MaxReplicas {
		faults.Refuse(
			model.ReplicasField(p.Name, p.Replicas == nil),
			"a pool has 0 to %d nodes; use another pool for more",
			identity.MaxReplicas,
		)
	}
	if p.FirstNodeID != nil && (*p.FirstNodeID < 0 || *p.FirstNodeID > identity.MaxNodeID) {
		faults.Refuse(model.PoolField(p.Name, "firstNodeId"), "a node id is 0 to %d", identity.MaxNodeID)
	}
	for _, role := range p.Roles {
		if role != v1alpha1.RoleController && role != v1alpha1.RoleBroker {
			faults.Refuse(model.PoolField(p.Name, "roles"), "%s is no role; use Controller, Broker or both", role)
		}
	}
	return append(append(faults, validateVolumes(spec, p)...), validateRetention(p)...)
}

// validateRetention refuses what would mean nothing.
func validateRetention(p *v1alpha1.Pool) verdict.List {
	var faults verdict.List
	claims := slices.ContainsFunc(p.Storage.Volumes, func(v v1alpha1.Volume) bool { return !v.Ephemeral })
	if p.Storage.Retention != nil && !claims && len(p.Storage.Volumes) > 0 {
		faults.Refuse(model.PoolField(p.Name, "storage.retention"),
			"the pool has no claims, because its volumes are ephemeral and go with their pods; remove it")
	}
	return faults
}

// leastSize of a volume, in bytes, tells a number without its unit from a small disk.
const leastSize = 1 << 20

func validateVolumes(spec *v1alpha1.KafkaClusterSpec, p *v1alpha1.Pool) verdict.List {
	var faults verdict.List
	if len(p.Storage.Volumes) == 0 {
		faults.Refuse(model.PoolField(p.Name, "storage.volumes"), "a node needs at least one volume; add one")
	}
	seen := map[string]bool{}
	for _, v := range p.Storage.Volumes {
		switch {
		case len(v.Name) > maxVolumeName || !dnsName.MatchString(v.Name):
			faults.Refuse(
				model.VolumeField(p.Name, v.Name, "name"),
				"the name must be a lower-case DNS label of at most %d characters that starts with a letter; choose another",
				maxVolumeName,
			)
		case strings.HasPrefix(v.Name, model.OwnPrefix):
			faults.Refuse(
				model.VolumeField(p.Name, v.Name, "name"),
				"%s",
				"names that begin with "+model.OwnPrefix+" are the operator's own; choose another",
			)
		case seen[v.Name]:
			faults.Refuse(
				model.VolumeField(p.Name, v.Name, "name"),
				"two volumes of the pool have this name; give each a name of its own",
			)
		}
		seen[v.Name] = true
		switch size := model.VolumeField(p.Name, v.Name, "size"); {
		case v.Size.Sign() <= 0:
			faults.Refuse(size, "the size must be above zero, such as 100Gi")
		case v.Size.CmpInt64(leastSize) < 0:
			faults.Refuse(size, "it is %s, and a volume has at least 1Mi; did you forget the unit, such as Gi?",
				verdict.Counted(int(v.Size.Value()), "byte"))
		}
		if v.Ephemeral && v.StorageClassName != nil {
			faults.Refuse(
				model.VolumeField(p.Name, v.Name, "storageClassName"),
				"an ephemeral volume has no storage class; remove one of the two",
			)
		}
		if v.Ephemeral && v.VolumeAttributesClassName != nil {
			faults.Refuse(
				model.VolumeField(p.Name, v.Name, "volumeAttributesClassName"),
				"an ephemeral volume has no class of attributes; remove one of the two",
			)
		}
		if v.Ephemeral && p.HasRole(v1alpha1.RoleController) && totalReplicas(spec) > 1 {
			faults.Refuse(
				model.VolumeField(p.Name, v.Name, "ephemeral"),
				"a controller that loses its disk with its pod endangers the quorum; use ephemeral volumes only in pools "+
					"without the role Controller, or in a cluster of a single node",
			)
		}
	}
	return faults
}

func totalReplicas(spec *v1alpha1.KafkaClusterSpec) int32 {
	var total int32
	for _, p := range spec.Pools {
		total += spec.ReplicasOf(p)
	}
	return total
}

func totalBrokers(spec *v1alpha1.KafkaClusterSpec) int32 {
	var total int32
	for _, p := range spec.Pools {
		if p.HasRole(v1alpha1.RoleBroker) {
			total += spec.ReplicasOf(p)
		}
	}
	return total
}

func validateListeners(spec *v1alpha1.KafkaClusterSpec) verdict.List {
	var faults verdict.List
	ports, names := map[int32]string{}, map[string]string{}
	for _, l := range spec.EffectiveListeners() {
		if why, reserved := reservedListenerNames[strings.ToLower(l.Name)]; reserved {
			faults.Refuse(
				model.ListenerField(l.Name, "name"),
				"%s",
				"a listener cannot have this name, because "+why+"; choose another",
			)
		} else if !listenerName.MatchString(l.Name) {
			faults.Refuse(model.ListenerField(l.Name, "name"), "a name has at most 11 lower-case letters and digits and "+
				"starts with a letter; choose another")
		}
		if other, taken := names[strings.ToUpper(l.Name)]; taken {
			faults.Refuse(
				model.ListenerField(l.Name, "name"),
				"listener %s has the same name in Kafka, %s; choose another",
				other,
				strings.ToUpper(l.Name),
			)
		}
		if other, taken := ports[l.Port]; taken {
			faults.Refuse(model.ListenerField(l.Name, "port"), "listener %s has the port %d too; choose another", other, l.Port)
		}
		names[strings.ToUpper(l.Name)], ports[l.Port] = l.Name, l.Name
		switch {
		case l.Port == model.PortReplication || l.Port == model.PortController:
			faults.Refuse(
				model.ListenerField(l.Name, "port"),
				"%d and %d are the cluster's own ports; choose another",
				model.PortReplication,
				model.PortController,
			)
		case l.Port < 1024 || l.Port > 65535:
			faults.Refuse(model.ListenerField(l.Name, "port"), "a port is 1024 to 65535")
		}
		faults = append(faults, validateSecurity(l)...)
		faults = append(faults, validateAdvertised(l)...)
		faults = append(faults, validateServices(l)...)
		faults = append(faults, validateGateway(l)...)
	}
	return faults
}

func validateSecurity(l v1alpha1.Listener) verdict.List {
	var faults verdict.List
	if !exposure.Known(exposureOf(l)) {
		faults.Refuse(model.ListenerField(l.Name, "exposure.type"), "use %s", exposure.Names())
	}
	if e := l.Encryption; e != "" && e != v1alpha1.EncryptionTLS && e != v1alpha1.EncryptionNone {
		faults.Refuse(model.ListenerField(l.Name, "encryption"), "use TLS or None")
	}
	faults = append(faults, validateLimits(l)...)
	if l.Authentication == nil {
		return faults
	}
	faults = append(faults, validateOAuth(l)...)
	faults = append(faults, validateCustom(l)...)
	if len(l.Authentication.Mechanisms) == 0 {
		faults.Refuse(
			model.ListenerField(l.Name, "authentication.mechanisms"),
			"name at least one mechanism, or remove authentication to let anybody in",
		)
	}
	for i, m := range l.Authentication.Mechanisms {
		if row, known := mechanism.Of(m); !known || !row.Offered() {
			faults.Refuse(
				model.ListenerField(l.Name, "authentication.mechanisms"),
				"%s is not offered; use %s",
				m,
				mechanism.AllNames(),
			)
		}
		if slices.Contains(l.Authentication.Mechanisms[:i], m) {
			faults.Refuse(model.ListenerField(l.Name, "authentication.mechanisms"), "%s stands there twice; remove one", m)
		}
	}
	return append(faults, validateClientCertificates(l)...)
}

// validateClientCertificates holds Kafka's rules for certificates of clients: they are asked for in the handshake, so
// that there is no choice of mechanisms after it.
func validateClientCertificates(l v1alpha1.Listener) verdict.List {
	var faults verdict.List
	asks := slices.Contains(l.Authentication.Mechanisms, v1alpha1.MechanismTLS)
	switch {
	case asks && len(l.Authentication.Mechanisms) > 1:
		faults.Refuse(model.ListenerField(l.Name, "authentication.mechanisms"), "TLS, a certificate of the client, cannot "+
			"share a listener with the others in Kafka; make a listener of its own for it")
	case asks && l.Encryption == v1alpha1.EncryptionNone:
		faults.Refuse(model.ListenerField(l.Name, "encryption"), "a client shows its certificate in TLS; set it to TLS, or "+
			"choose another mechanism")
	case asks && l.Authentication.ReauthenticateSeconds != nil:
		faults.Refuse(model.ListenerField(l.Name, "authentication.reauthenticateSeconds"), "clients with a certificate do "+
			"not log in again in Kafka, and are cut off when their certificate is revoked or ends; remove it")
	case !asks && len(l.Authentication.ClientAuthorities) > 0:
		faults.Refuse(model.ListenerField(l.Name, "authentication.clientAuthorities"), "they sign certificates of clients, "+
			"which only a listener with mechanisms [TLS] asks for; remove them, or make such a listener")
	case !asks && len(l.Authentication.RefusedSubjects) > 0:
		faults.Refuse(model.ListenerField(l.Name, "authentication.refusedSubjects"), "they are those of certificates of "+
			"clients, which only a listener with mechanisms [TLS] asks for; remove them, or make such a listener")
	}
	for _, subject := range l.Authentication.RefusedSubjects {
		if len(subject) > maxSubject || !subjectName.MatchString(subject) {
			faults.Refuse(model.ListenerField(l.Name, "authentication.refusedSubjects["+subject+"]"), "it is no subject of at "+
				"most %d characters without a control character; write it as brokers log it, as in CN=app,O=Example", maxSubject)
		}
	}
	return faults
}

func validateRest(spec *v1alpha1.KafkaClusterSpec) verdict.List {
	var faults verdict.List
	if a := spec.Authorization; a != nil {
		faults = append(faults, validateAuthorizer(spec)...)
		for _, name := range a.SuperUsers {
			if !superUser.MatchString(name) {
				faults.Refuse(
					"spec.authorization.superUsers["+name+"]",
					"a name has 1 to 128 letters, digits, dots, underscores, @, + and -, without User: before it",
				)
			}
		}
		for _, name := range a.FederatedSuperUsers {
			if !federated.MatchString(name) {
				faults.Refuse("spec.authorization.federatedSuperUsers["+name+"]", "a name has 1 to 512 characters, no semicolon "+
					"and no control character, without User: before it")
			}
		}
	}
	if window := spec.TrustWindowSeconds; window != nil && (*window < 0 || *window > maxTrustWindow) {
		faults.Refuse("spec.trustWindowSeconds", "it is 0 to %d, which is 30 days", maxTrustWindow)
	}
	if key := spec.Rack.TopologyKey; key != "" && key != defaultRackKey {
		faults.Refuse("spec.rack.topologyKey", "%s", "use "+defaultRackKey)
	}
	if m := spec.Rolling.MaxUnavailable; m != nil {
		if brokers := totalBrokers(spec); *m < 1 || *m >= max(brokers, 2) {
			faults.Refuse(
				"spec.rolling.maxUnavailable",
				"it is at least 1 and less than the %d brokers of the cluster, or nobody would be left to serve; lower it, or "+
					"remove it for one rack at a time",
				brokers,
			)
		}
	}
	faults = append(faults, validateBalancing(spec.Balancing)...)
	if _, err := claim.Admits(spec.Access, nil); err != nil {
		faults.Refuse("spec.access.namespaces", "%s", strings.TrimPrefix(err.Error(), "spec.access.namespaces: "))
	}
	if u := spec.Rolling.Unavailable; u != "" && u != v1alpha1.UnavailableProceed && u != v1alpha1.UnavailableWait {
		faults.Refuse("spec.rolling.unavailable", "use Proceed or Wait")
	}
	return faults
}

// validateRacks refuses more restarts at once than the largest rack has brokers, because a batch never spans racks. It
// says nothing until every broker has been seen in a rack, nor of a number that is too large for any cluster of this
// size.
func validateRacks(c *model.Cluster, seen []v1alpha1.NodeStatus) verdict.List {
	rackOf, brokersIn := map[int32]string{}, map[string]int32{}
	for _, n := range seen {
		rackOf[n.ID] = n.Rack
	}
	total := int32(0)
	for i := range c.Nodes {
		if n := &c.Nodes[i]; c.IsBroker(n) {
			total++
			brokersIn[rackOf[n.ID]]++
		}
	}
	largest := ""
	for _, rack := range sortedKeys(brokersIn) {
		if brokersIn[rack] > brokersIn[largest] {
			largest = rack
		}
	}
	if brokersIn[""] > 0 || c.MaxUnavailable <= brokersIn[largest] || c.MaxUnavailable >= total {
		return nil
	}
	return verdict.List{
		verdict.Stalled(
			verdict.ReasonInvalid,
			"spec.rolling.maxUnavailable",
			"nodes that restart together are in one rack, and the largest rack, %s, has only %d of the brokers; lower it to "+
				"at most %[2]d, or remove it for one rack at a time",
			largest,
			brokersIn[largest],
		),
	}
}

// validateNames checks what the cluster's objects would be called: within Kubernetes' bounds, and nobody else's.
func validateNames(c *model.Cluster, taken map[string]string) verdict.List {
	var faults verdict.List
	for _, o := range c.ObjectNames() {
		if owner, is := taken[o.Key()]; is {
			if owner != "" {
				owner = " but belongs to " + owner
			}
			faults.Refuse(o.Field, "%s %s exists and is not this KafkaCluster's%s; %s",
				o.Kind, o.Name, owner, whenTaken(c.Name, o))
		}
	}
	for i := range c.Nodes {
		n := &c.Nodes[i]
		for _, l := range n.AllListeners() {
			field := model.ListenerField(strings.ToLower(l.Name), "name")
			if over := len(l.Service) - maxServiceName; over > 0 {
				faults.Refuse(
					field,
					"the Service %s would have a name longer than %d characters; make the name of the listener, the pool or the "+
						"cluster %d characters shorter",
					l.Service,
					maxServiceName,
					over,
				)
			}
		}
	}
	return faults
}

// whenTaken is what to do about an object of somebody else's under a name that the cluster needs.
func whenTaken(cluster string, o model.ObjectName) string {
	cure := "rename the " + o.Part + ", or remove it"
	switch o.Part {
	case model.PartCluster:
		cure = "make the KafkaCluster under another name, or remove it"
	case model.PartPolicy:
		cure = "give it another name, or remove this field"
	}
	if o.Kind == model.KindSecret || o.Kind == model.KindConfigMap {
		cure += fmt.Sprintf("; if it is this cluster's own, label it %s=%s and %s=%s",
			v1alpha1.LabelManagedBy, v1alpha1.ManagedBy, v1alpha1.LabelCluster, cluster)
	}
	return cure
}

// withinBounds keeps numbers that no CRD of ours lets in from making a cluster of a million nodes.
func withinBounds(spec *v1alpha1.KafkaClusterSpec) bool {
	return !slices.ContainsFunc(spec.Pools, func(p v1alpha1.Pool) bool {
		return spec.ReplicasOf(p) < 0 || spec.ReplicasOf(p) > identity.MaxReplicas ||
			p.FirstNodeID != nil && (*p.FirstNodeID < 0 || *p.FirstNodeID > identity.MaxNodeID)
	})
}
