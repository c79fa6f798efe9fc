package resolve

import (
	"cmp"
	"fmt"
	"net"
	"slices"
	"strconv"

	"github.com/castellan-dev/castellan/api/v1alpha1"
	"github.com/castellan-dev/castellan/internal/exposure"
	"github.com/castellan-dev/castellan/internal/identity"
	"github.com/castellan-dev/castellan/internal/model"
)

// HostOf says what users need to know of a cluster of the operator's own: the security of its listeners from the spec,
// their addresses from the status.
func HostOf(cluster *v1alpha1.KafkaCluster) model.Host {
	spec, status := &cluster.Spec, &cluster.Status
	h := model.Host{
		Namespace: cluster.Namespace, Name: cluster.Name, Access: spec.Access,
		Authorizes: authorizationOf(spec, defaultsOf(spec, status)) == v1alpha1.AuthorizationSimple,
	}
	if spec.Authorization != nil {
		h.SuperUsers = spec.Authorization.SuperUsers
	}
	pods := map[int32]string{}
	for _, node := range status.Nodes {
		h.Nodes = append(h.Nodes, node.ID)
		pods[node.ID] = node.Pod
	}
	for _, l := range spec.EffectiveListeners() {
		row := exposure.Of(l.Exposure.Type)
		listener := model.HostListener{
			Name: l.Name, TLS: l.Encryption != v1alpha1.EncryptionNone, Inside: row.Reach == exposure.ReachInside,
		}
		if l.Authentication != nil {
			listener.Mechanisms = l.Authentication.Mechanisms
		}
		known := slices.IndexFunc(status.Listeners, func(s v1alpha1.ListenerStatus) bool { return s.Name == l.Name })
		if known >= 0 {
			listener.Bootstrap = status.Listeners[known].BootstrapServers
			listener.Trust = model.Trust{Anchors: status.Listeners[known].CACertificates,
				Public: status.Listeners[known].PublicAuthority}
			listener.Addresses = addresses(cluster, l, row, status.Listeners[known].Addresses, pods)
		}
		listener.Late = listener.Bootstrap == "" && row.Known == exposure.KnownLate
		h.Listeners = append(h.Listeners, listener)
	}
	return h
}

func addresses(cluster *v1alpha1.KafkaCluster, l v1alpha1.Listener, row exposure.Row, known []v1alpha1.NodeAddress,
	pods map[int32]string) map[int32]model.BrokerAddress {
	all := map[int32]model.BrokerAddress{}
	service := (&model.Cluster{Name: cluster.Name}).NodesService()
	for _, a := range known {
		advertised, atPod := net.JoinHostPort(a.Host, strconv.Itoa(int(a.Port))), ""
		if pod := pods[a.NodeID]; pod != "" {
			atPod = fmt.Sprintf("%s.%s.%s.svc:%d", pod, service, cluster.Namespace, l.Port)
		}
		dial := row.Dial(advertised, atPod)
		if l.Exposure.Advertised != nil {
			dial = cmp.Or(atPod, advertised) // what is advertised may lead through a router that only others reach
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
