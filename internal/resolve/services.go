package resolve

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/castellan-dev/castellan/api/v1alpha1"
	"github.com/castellan-dev/castellan/internal/exposure"
	"github.com/castellan-dev/castellan/internal/model"
	"github.com/castellan-dev/castellan/internal/verdict"
)

// validateServices checks what a listener asks of its Services: what its type of exposure has no use for, and what no
// Service can have.
func validateServices(l v1alpha1.Listener) verdict.List {
	var faults verdict.List
	kind, e := exposureOf(l), l.Exposure
	refuse := func(field, format string, args ...any) {
		faults.Refuse(model.ListenerField(l.Name, "exposure."+field), format, args...)
	}
	only := func(is bool, field string, kinds ...v1alpha1.ExposureType) {
		if is && !slices.Contains(kinds, kind) {
			refuse(field, "%s has no use for it; remove it, or use the type %s", kind, joined(kinds))
		}
	}
	const balancer, nodePort = v1alpha1.ExposureLoadBalancer, v1alpha1.ExposureNodePort
	if b := e.Bootstrap; b != nil {
		only(b.NodePort != 0, "bootstrap.nodePort", nodePort)
		if b.NodePort < 0 || b.NodePort > maxPort {
			refuse("bootstrap.nodePort", "a port is 1 to %d", maxPort)
		}
		faults = append(faults, validateMetadata(l, "bootstrap", b.Annotations, b.Labels, false)...)
	}
	if b := e.Brokers; b != nil {
		if exposure.Known(kind) && !exposure.Of(kind).PerNode() {
			refuse("brokers", "with %s no broker has a Service of its own; remove it, or use the type %s", kind,
				exposure.PerNodeTypes())
		} else {
			only(b.NodePortTemplate != nil, "brokers.nodePortTemplate", nodePort)
			only(b.PortTemplate != nil, "brokers.portTemplate", balancer)
			only(b.ServicePolicy == v1alpha1.ServiceShared, "brokers.servicePolicy", balancer)
		}
		if template, err := exposure.ParseNumber(b.PortTemplate); err != nil {
			refuse("brokers.portTemplate", "%s; write one such as 9000+{nodeId}", err)
		} else if b.PortTemplate != nil && !template.PerNode {
			refuse("brokers.portTemplate", "Services that share an address need ports of their own; add the node id, as in "+
				"%d+{nodeId}", template.Base)
		} else if s := e.Services; b.PortTemplate != nil && !sharesService(l) && s != nil &&
			s.ExternalTrafficPolicy == corev1.ServiceExternalTrafficPolicyLocal {
			refuse("services.externalTrafficPolicy", "at an address that Services share traffic comes to one Kubernetes "+
				"node for all of them; set it to Cluster, or remove brokers.portTemplate")
		}
		if template, err := exposure.ParseNumber(b.NodePortTemplate); err != nil {
			refuse("brokers.nodePortTemplate", "%s; write one such as 31000+{nodeId}", err)
		} else if b.NodePortTemplate != nil && !template.PerNode {
			refuse("brokers.nodePortTemplate", "two Services cannot have one node port; add the node id, as in %d+{nodeId}",
				template.Base)
		}
		faults = append(faults, validateMetadata(l, "brokers", b.Annotations, b.Labels, true)...)
		faults = append(faults, validateOneService(l)...)
	}
	if s := e.Services; s != nil {
		only(s.ExternalTrafficPolicy != "", "services.externalTrafficPolicy", nodePort, balancer)
		only(s.ExternalDNS, "services.externalDNS", nodePort, balancer)
		only(s.NodeAddressType != "", "services.nodeAddressType", nodePort)
		only(s.LoadBalancerClass != "", "services.loadBalancerClass", balancer)
		only(len(s.SourceRanges) > 0, "services.sourceRanges", balancer)
		only(s.AllocateNodePorts != nil, "services.allocateNodePorts", balancer)
		faults = append(faults, validateMetadata(l, "services", s.Annotations, s.Labels, false)...)
		faults = append(faults, validateShared(l, s)...)
	}
	return faults
}

// sharesService tells that all brokers of a listener are to be behind its bootstrap Service.
func sharesService(l v1alpha1.Listener) bool {
	b := l.Exposure.Brokers
	return b != nil && b.ServicePolicy == v1alpha1.ServiceShared &&
		exposure.Of(exposureOf(l)).Sharing == exposure.SharesOne
}

// validateOneService checks what a listener whose brokers are behind one Service cannot do without, or cannot have.
func validateOneService(l v1alpha1.Listener) verdict.List {
	var faults verdict.List
	if !sharesService(l) {
		return nil
	}
	refuse := func(field, format string, args ...any) {
		faults.Refuse(model.ListenerField(l.Name, "exposure."+field), format, args...)
	}
	b, s := l.Exposure.Brokers, l.Exposure.Services
	if b.PortTemplate == nil {
		refuse("brokers.portTemplate", "brokers behind one Service are told apart by their ports, and they have none; write "+
			"one such as 9100+{nodeId}")
	}
	for field, values := range map[string]v1alpha1.Metadata{"annotations": b.Annotations, "labels": b.Labels} {
		if len(values) > 0 {
			refuse("brokers."+field, "with servicePolicy %s no broker has a Service of its own; move them to "+
				"exposure.bootstrap.%s", b.ServicePolicy, field)
		}
	}
	if s != nil && s.ExternalTrafficPolicy == corev1.ServiceExternalTrafficPolicyLocal {
		refuse("services.externalTrafficPolicy", "a load balancer brings traffic for all brokers of a Service to each "+
			"Kubernetes node that runs one of them, and what is for a broker elsewhere would be dropped; set it to Cluster, or "+
			"brokers.servicePolicy to %s", v1alpha1.ServicePerBroker)
	}
	return faults
}

func joined(kinds []v1alpha1.ExposureType) string {
	var names []string
	for _, kind := range kinds {
		names = append(names, string(kind))
	}
	return strings.Join(names, " or ")
}

func validateShared(l v1alpha1.Listener, s *v1alpha1.ExposureServices) verdict.List {
	var faults verdict.List
	refuse := func(field, format string, args ...any) {
		faults.Refuse(model.ListenerField(l.Name, "exposure.services."+field), format, args...)
	}
	if t := s.NodeAddressType; t != "" && t != corev1.NodeInternalIP {
		refuse("nodeAddressType", "the operator does not read Kubernetes nodes, and knows only the InternalIP of the one on "+
			"which a broker runs; use exposure.advertised.hostTemplate or overrides for other addresses")
	}
	for _, text := range s.SourceRanges {
		if prefix, err := netip.ParsePrefix(text); err != nil {
			refuse("sourceRanges["+text+"]", "it is no network; write one such as 203.0.113.0/24 or 2001:db8::/32")
		} else if prefix != prefix.Masked() {
			refuse("sourceRanges["+text+"]", "it has bits beyond its length; did you mean %s?", prefix.Masked())
		}
	}
	if class := s.LoadBalancerClass; class != "" && len(validation.IsQualifiedName(class)) > 0 {
		refuse("loadBalancerClass", "%q is no name of a class; write one such as example.com/internal", class)
	}
	if len(s.IPFamilies) == 2 && s.IPFamilies[0] == s.IPFamilies[1] {
		refuse("ipFamilies", "%s stands there twice; remove one", s.IPFamilies[0])
	} else if len(s.IPFamilies) == 2 && s.IPFamilyPolicy != corev1.IPFamilyPolicyRequireDualStack &&
		s.IPFamilyPolicy != corev1.IPFamilyPolicyPreferDualStack {
		refuse("ipFamilies", "two families need ipFamilyPolicy PreferDualStack or RequireDualStack; set one, or remove "+
			"a family")
	}
	if s.ExternalDNS && !asksForNames(l) {
		refuse("externalDNS", "there is no name to ask external-dns for; add exposure.advertised.hostTemplate or "+
			"exposure.bootstrap.hosts, or remove it")
	}
	return faults
}

func asksForNames(l v1alpha1.Listener) bool {
	a, b := l.Exposure.Advertised, l.Exposure.Bootstrap
	return a != nil && (a.HostTemplate != "" || slices.ContainsFunc(a.Overrides,
		func(o v1alpha1.AdvertisedOverride) bool { return o.Host != "" })) || b != nil && len(b.Hosts) > 0
}

// ownMetadata begins the keys of labels and annotations that are the operator's.
var ownMetadata = []string{"kafka.castellan.dev/", "app.kubernetes.io/"}

// validateMetadata checks annotations and labels. perNode tells whether they are of single brokers, so that a broker's
// placeholders stand for something.
func validateMetadata(l v1alpha1.Listener, part string, annotations, labels v1alpha1.Metadata,
	perNode bool) verdict.List {
	var faults verdict.List
	for name, values := range map[string]v1alpha1.Metadata{"annotations": annotations, "labels": labels} {
		for _, key := range slices.Sorted(maps.Keys(values)) {
			field := model.ListenerField(l.Name, fmt.Sprintf("exposure.%s.%s[%s]", part, name, key))
			value := values[key]
			wrong := validation.IsQualifiedName(strings.ToLower(key))
			switch place := exposure.UnknownPlace(value); {
			case len(wrong) > 0:
				faults.Refuse(field, "%q is no key: %s; correct it", key, wrong[0])
			case slices.ContainsFunc(ownMetadata, func(own string) bool { return strings.HasPrefix(key, own) }):
				faults.Refuse(field, "keys that begin with %s are the operator's own; choose another",
					strings.Join(ownMetadata, " and "))
			case place != "":
				faults.Refuse(field, "%s stands for nothing; use %s", place, exposure.Places)
			case !perNode && exposure.OfBroker(value) != "":
				faults.Refuse(field, "%s stands for nothing here, because the Service leads to any broker; move it to "+
					"exposure.brokers.%s", exposure.OfBroker(value), name)
			case name == "labels" && len(validation.IsValidLabelValue(longest(value))) > 0:
				faults.Refuse(field, "%q can be no label's value: %s; correct it", value,
					validation.IsValidLabelValue(longest(value))[0])
			}
		}
	}
	return faults
}

// longest is a template with values of ordinary length in it.
func longest(template string) string {
	return exposure.Fill(template, &model.Cluster{Name: "cluster", Namespace: "namespace"},
		&model.Node{ID: 1000, PodName: "cluster-pool-1000"})
}

// validateClasses refuses another class for the load balancers of a listener: Kubernetes never changes it.
func validateClasses(in Inputs) verdict.List {
	if in.Accepted == nil {
		return nil
	}
	var faults verdict.List
	for _, l := range in.Spec.Listeners {
		at := slices.IndexFunc(in.Accepted.Listeners, func(b v1alpha1.Listener) bool { return b.Name == l.Name })
		if at < 0 || exposureOf(l) != v1alpha1.ExposureLoadBalancer ||
			exposureOf(in.Accepted.Listeners[at]) != v1alpha1.ExposureLoadBalancer {
			continue
		}
		if was, is := classOf(in.Accepted.Listeners[at]), classOf(l); was != is {
			faults.Refuse(model.ListenerField(l.Name, "exposure.services.loadBalancerClass"), "the class of a load balancer "+
				"cannot change from %q to %q; set it back, add a listener with the new class, and remove this one once its "+
				"clients have moved", was, is)
		}
	}
	return faults
}

// validateFamilies refuses another first family for the Services of a listener: Kubernetes never changes it.
func validateFamilies(in Inputs) verdict.List {
	var faults verdict.List
	c := &model.Cluster{Name: in.Cluster.Name}
	for _, l := range in.Spec.Listeners {
		if l.Exposure.Services == nil || len(l.Exposure.Services.IPFamilies) == 0 {
			continue
		}
		had, is := in.Families[c.BootstrapService(l.Name)], l.Exposure.Services.IPFamilies[0]
		if len(had) > 0 && had[0] != is {
			faults.Refuse(model.ListenerField(l.Name, "exposure.services.ipFamilies"), "the Services of the listener have %s "+
				"first, and Kubernetes never changes that to %s; set it back, add a listener with %[2]s, and remove this one "+
				"once its clients have moved", had[0], is)
		}
	}
	return faults
}

func classOf(l v1alpha1.Listener) string {
	if l.Exposure.Services == nil {
		return ""
	}
	return l.Exposure.Services.LoadBalancerClass
}
