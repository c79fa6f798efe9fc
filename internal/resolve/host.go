package resolve

import (
	"cmp"
	"fmt"
	"net"
	"strconv"
	"strings"

	"github.com/castellan-dev/castellan/api/v1alpha1"
	"github.com/castellan-dev/castellan/internal/exposure"
	"github.com/castellan-dev/castellan/internal/identity"
	"github.com/castellan-dev/castellan/internal/model"
)

// HostOf says what users need to know of a cluster of the operator's own: its listeners as the status has them, in the
// order of the spec, who decides as the status has it, for a spec that is refused changes nothing of that, and who is
// admitted as the spec says.
func HostOf(cluster *v1alpha1.KafkaCluster) model.Host {
	spec, status := &cluster.Spec, &cluster.Status
	h := model.Host{
		Namespace: cluster.Namespace, Name: cluster.Name, Access: spec.Access,
		SuperUsers: spec.AllSuperUsers(),
	}
	decides := status.Authorization
	if decides == nil { // no spec was accepted yet, or by an operator that did not say so
		decides = &v1alpha1.AuthorizationStatus{Type: authorizationOf(spec, defaultsOf(spec, status))}
		if spec.Authorization != nil {
			decides.Class = spec.Authorization.Class
		}
	}
	h.Authorizes, h.Authorizer = decides.Type == v1alpha1.AuthorizationSimple, decides.Class
	pods := map[int32]string{}
	for _, node := range status.Nodes {
		h.Nodes = append(h.Nodes, node.ID)
		pods[node.ID] = node.Pod
	}
	inForce := map[string]v1alpha1.ListenerStatus{}
	for _, l := range status.Listeners {
		inForce[l.Name] = l
	}
	for _, l := range spec.EffectiveListeners() {
		h.Listeners = append(h.Listeners, hostListener(cluster, l, inForce[l.Name], pods))
		delete(inForce, l.Name)
	}
	for _, l := range status.Listeners { // a spec that is refused has lost it, and brokers still have it
		if _, left := inForce[l.Name]; left && l.Type != "" {
			h.Listeners = append(h.Listeners, hostListener(cluster, v1alpha1.Listener{Name: l.Name}, l, pods))
		}
	}
	return h
}

// hostListener tells what is in force of a listener. What the spec asks for may be refused, or not be carried out yet:
// it counts where the status says nothing.
func hostListener(cluster *v1alpha1.KafkaCluster, asked v1alpha1.Listener, known v1alpha1.ListenerStatus,
	pods map[int32]string) model.HostListener {
	if known.Type == "" {
		known.Type, known.Port = asked.Exposure.Type, asked.Port
		known.SecurityProtocol = model.Listener{TLS: asked.Encryption != v1alpha1.EncryptionNone}.SecurityProtocol()
		if asked.Authentication != nil {
			known.Mechanisms = asked.Authentication.Mechanisms
			if asked.Authentication.Custom != nil {
				known.CustomMechanism = asked.Authentication.Custom.Mechanism
			}
		}
	}
	row := exposure.Of(known.Type)
	// What is advertised in place of what the type gives may lead through a router that only others reach.
	elsewhere := asked.Exposure.Advertised != nil
	return model.HostListener{
		Name: asked.Name, TLS: strings.HasSuffix(known.SecurityProtocol, "SSL"), Inside: row.Reach == exposure.ReachInside,
		Mechanisms: known.Mechanisms, SaslName: known.CustomMechanism, Bootstrap: known.BootstrapServers,
		Addresses: addresses(cluster, known, row, elsewhere, pods),
		Trust:     model.Trust{Anchors: known.CACertificates, Public: known.PublicAuthority},
		Late: known.BootstrapServers == "" &&
			(known.Name == "" || known.Message != "" || row.Known == exposure.KnownLate),
	}
}

func addresses(cluster *v1alpha1.KafkaCluster, l v1alpha1.ListenerStatus, row exposure.Row, elsewhere bool,
	pods map[int32]string) map[int32]model.BrokerAddress {
	if len(l.Addresses) == 0 {
		return nil
	}
	all := map[int32]model.BrokerAddress{}
	service := (&model.Cluster{Name: cluster.Name}).NodesService()
	for _, a := range l.Addresses {
		advertised, atPod := net.JoinHostPort(a.Host, strconv.Itoa(int(a.Port))), ""
		if pod := pods[a.NodeID]; pod != "" {
			atPod = fmt.Sprintf("%s.%s.%s.svc:%d", pod, service, cluster.Namespace, l.Port)
		}
		dial := row.Dial(advertised, atPod)
		if elsewhere {
			dial = cmp.Or(atPod, advertised)
		}
		all[a.NodeID] = model.BrokerAddress{Dial: dial, ServerName: a.Host}
	}
	return all
}

// defaultsOf are those on record, or those that would be recorded now.
func defaultsOf(spec *v1alpha1.KafkaClusterSpec, status *v1alpha1.KafkaClusterStatus) v1alpha1.Defaults {
	if status.Defaults != nil {
		return *status.Defaults
	}
	return identity.Defaults(spec)
}

func authorizationOf(spec *v1alpha1.KafkaClusterSpec, defaults v1alpha1.Defaults) v1alpha1.AuthorizationType {
	if spec.Authorization == nil {
		return defaults.Authorization
	}
	return cmp.Or(spec.Authorization.Type, defaults.Authorization)
}
