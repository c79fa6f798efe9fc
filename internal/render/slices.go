package render

import (
	"fmt"
	"net/netip"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/castellan-dev/castellan/api/v1alpha1"
	"github.com/castellan-dev/castellan/internal/exposure"
	"github.com/castellan-dev/castellan/internal/model"
)

// Slices prints the EndpointSlices that lead to single brokers behind one Service: for each broker one of each family
// of the Service's addresses. pods are those that there are.
func Slices(c *model.Cluster, pods []corev1.Pod) []*discoveryv1.EndpointSlice {
	byName := map[string]*corev1.Pod{}
	for i := range pods {
		byName[pods[i].Name] = &pods[i]
	}
	var all []*discoveryv1.EndpointSlice
	for i := range c.Listeners {
		for _, family := range c.Listeners[i].Families {
			for _, n := range c.Reached() {
				all = append(all, slice(c, &c.Listeners[i], &n, family, byName[n.PodName]))
			}
		}
	}
	return all
}

// slice leads to one broker, ready or not: its clients know which one they want. Without a pod that serves the listener
// at an address of the family it leads to nobody.
func slice(c *model.Cluster, l *model.Listener, n *model.Node, family corev1.IPFamily,
	pod *corev1.Pod) *discoveryv1.EndpointSlice {
	name, protocol, port := exposure.BrokerPort(n.ID), corev1.ProtocolTCP, l.Port
	s := &discoveryv1.EndpointSlice{
		TypeMeta: metav1.TypeMeta{APIVersion: "discovery.k8s.io/v1", Kind: model.KindSlice},
		ObjectMeta: objectMeta(c, model.SliceName(n.PodName, l.Name, family), labels(c, map[string]string{
			v1alpha1.LabelListener: l.Name, v1alpha1.LabelPool: n.Pool, v1alpha1.LabelNodeID: fmt.Sprint(n.ID),
			discoveryv1.LabelServiceName: l.Service, discoveryv1.LabelManagedBy: v1alpha1.EndpointSliceManager,
		})),
		AddressType: discoveryv1.AddressType(family),
		Endpoints:   []discoveryv1.Endpoint{}, // nobody, and not whoever somebody else writes
	}
	if pod != nil {
		serves, at := servedAt(pod, l.Name), addressOf(pod, family)
		if serves != 0 && at != "" && HasAddress(pod) {
			port = serves
			s.Endpoints = append(s.Endpoints, discoveryv1.Endpoint{
				Addresses: []string{at}, Conditions: discoveryv1.EndpointConditions{Ready: ptr(true)},
				TargetRef: &corev1.ObjectReference{Kind: "Pod", Namespace: pod.Namespace, Name: pod.Name, UID: pod.UID},
			})
			if pod.Spec.NodeName != "" {
				s.Endpoints[0].NodeName = &pod.Spec.NodeName
			}
		}
	}
	s.Ports = []discoveryv1.EndpointPort{{Name: &name, Protocol: &protocol, Port: &port}}
	return s
}

// HasAddress tells that a pod has the addresses that its status says. One that has ended keeps them there while other
// pods are given them.
func HasAddress(pod *corev1.Pod) bool {
	return pod.Status.Phase != corev1.PodFailed && pod.Status.Phase != corev1.PodSucceeded
}

// servedAt is the port at which a pod has a listener; 0 = it was made without.
func servedAt(pod *corev1.Pod, listener string) int32 {
	for _, container := range pod.Spec.Containers {
		for _, port := range container.Ports {
			if container.Name == ContainerName && port.Name == listener {
				return port.ContainerPort
			}
		}
	}
	return 0
}

// addressOf is a pod's address of a family; empty = it has none.
func addressOf(pod *corev1.Pod, family corev1.IPFamily) string {
	for _, ip := range pod.Status.PodIPs {
		if address, err := netip.ParseAddr(ip.IP); err == nil && address.Is4() == (family == corev1.IPv4Protocol) {
			return address.String()
		}
	}
	return ""
}
