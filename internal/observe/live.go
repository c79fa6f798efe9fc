// Package observe turns what Kubernetes and Kafka show of a cluster into one model.Observation. It reads from the cache
// and from Kafka and changes nothing; what the observation means is the planner's matter.
package observe

import (
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"

	"github.com/castellan-dev/castellan/internal/exposure"
)

// Live is every Kubernetes object of one cluster, as the cache shows it.
type Live struct {
	StatefulSets map[string]*appsv1.StatefulSet
	Pods         []corev1.Pod
	Claims       map[string]*corev1.PersistentVolumeClaim
	ConfigMaps   map[string]*corev1.ConfigMap
	Secrets      map[string]*corev1.Secret
	Services     map[string]*corev1.Service
	Budgets      map[string]*policyv1.PodDisruptionBudget
	Policies     map[string]*networkingv1.NetworkPolicy
	// Slices are the EndpointSlices that the operator has written, where it may see them.
	Slices map[string]*discoveryv1.EndpointSlice
	// Revisions hold the templates that pods were made from: each pod names its own in a label.
	Revisions map[string]*appsv1.ControllerRevision
	// Refused says, by the name of a pod, why Kubernetes would not make it.
	Refused map[string]Refusal
	// Taken names what somebody else has under a name that the cluster needs: "Kind/name", as model.ObjectName.Key has it,
	// and whose it is; empty = it names nobody.
	Taken map[string]string
	// Gateways is what is seen of the Gateway API, where the cluster needs it.
	Gateways Gateways
}

// Refusal is Kubernetes' last word on a pod that it would not make.
type Refusal struct {
	Message string
	At      time.Time
}

// Refuse notes a refusal, if it is the last one of its pod.
func (l *Live) Refuse(pod string, refusal Refusal) {
	if l.Refused == nil {
		l.Refused = map[string]Refusal{}
	}
	if refusal.At.After(l.Refused[pod].At) {
		l.Refused[pod] = refusal
	}
}

// NodePorts are the ports that Kubernetes gave to Services, by Service name.
func (l *Live) NodePorts() map[string]int32 {
	ports := map[string]int32{}
	for name, service := range l.Services {
		if len(service.Spec.Ports) > 0 && service.Spec.Ports[0].NodePort != 0 {
			ports[name] = service.Spec.Ports[0].NodePort
		}
	}
	return ports
}

// Families are those of the addresses of Services, by Service name.
func (l *Live) Families() map[string][]corev1.IPFamily {
	families := map[string][]corev1.IPFamily{}
	for name, service := range l.Services {
		families[name] = service.Spec.IPFamilies
	}
	return families
}

// Balanced are the addresses of the load balancers of Services, best first, by Service name.
func (l *Live) Balanced() map[string][]string {
	balanced := map[string][]string{}
	for name, service := range l.Services {
		if hosts := exposure.Balance(service.Status.LoadBalancer.Ingress, service.Spec.IPFamilies); len(hosts) > 0 &&
			service.Spec.Type == corev1.ServiceTypeLoadBalancer {
			balanced[name] = hosts
		}
	}
	return balanced
}
