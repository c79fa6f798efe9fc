package render

import (
	"cmp"
	"fmt"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/castellan-dev/castellan/api/v1alpha1"
	"github.com/castellan-dev/castellan/internal/exposure"
	"github.com/castellan-dev/castellan/internal/model"
)

// Object is any Kubernetes object.
type Object interface {
	metav1.Object
	runtime.Object
}

// Quiet prints the objects that can be applied at any time, because they disturb nobody: Services.
func Quiet(c *model.Cluster) []Object {
	objects := []Object{nodesService(c), controllersService(c)}
	for i := range c.Listeners {
		objects = append(objects, bootstrapService(c, &c.Listeners[i]))
	}
	for i := range c.Nodes {
		for _, l := range c.Nodes[i].AllListeners() {
			if l.Service != "" {
				objects = append(objects, nodeService(c, &c.Nodes[i], l))
			}
		}
	}
	return objects
}

func service(c *model.Cluster, name string, more map[string]string, spec corev1.ServiceSpec) *corev1.Service {
	return &corev1.Service{
		TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: "Service"},
		ObjectMeta: objectMeta(c, name, labels(c, more)),
		Spec:       spec,
	}
}

func servicePort(name string, port int32) corev1.ServicePort {
	return corev1.ServicePort{Name: name, Port: port, TargetPort: intstr.FromInt32(port), Protocol: corev1.ProtocolTCP}
}

// listenerPort is a port of a listener. It leads to the port of that name in the pod: while a listener moves to another
// port, to where each pod has it.
func listenerPort(name string, port int32) corev1.ServicePort {
	p := servicePort(name, port)
	p.TargetPort = intstr.FromString(name)
	return p
}

// nodesService gives every pod its DNS name, ready or not: nodes must find each other to become ready.
func nodesService(c *model.Cluster) *corev1.Service {
	ports := []corev1.ServicePort{servicePort("replication", model.PortReplication),
		servicePort("controller", model.PortController)}
	for _, l := range c.Listeners {
		ports = append(ports, servicePort(l.Name, l.Port))
	}
	return service(c, c.NodesService(), nil, corev1.ServiceSpec{
		Type: corev1.ServiceTypeClusterIP, ClusterIP: corev1.ClusterIPNone, PublishNotReadyAddresses: true,
		Selector: map[string]string{v1alpha1.LabelCluster: c.Name}, Ports: ports,
		IPFamilyPolicy: exposure.OfPodNames(c),
	})
}

// controllersService is the one stable name of the quorum.
func controllersService(c *model.Cluster) *corev1.Service {
	return service(c, c.ControllersService(), nil, corev1.ServiceSpec{
		Type: corev1.ServiceTypeClusterIP, ClusterIP: corev1.ClusterIPNone, PublishNotReadyAddresses: true,
		Selector: map[string]string{v1alpha1.LabelCluster: c.Name, v1alpha1.LabelController: "true"},
		Ports:    []corev1.ServicePort{servicePort("controller", model.PortController)},
	})
}

// Handover leads to the pod of a controller that knows the leader of the quorum. See model.QuorumServers.
func Handover(c *model.Cluster, pod string) *corev1.Service {
	return service(c, c.HandoverService(), nil, corev1.ServiceSpec{
		Type: corev1.ServiceTypeClusterIP, ClusterIP: corev1.ClusterIPNone, PublishNotReadyAddresses: true,
		Selector: map[string]string{v1alpha1.LabelCluster: c.Name, "statefulset.kubernetes.io/pod-name": pod},
		Ports:    []corev1.ServicePort{servicePort("controller", model.PortController)},
	})
}

// bootstrapService leads clients to any ready broker.
func bootstrapService(c *model.Cluster, l *model.Listener) *corev1.Service {
	bootstrap := service(c, l.Service, map[string]string{v1alpha1.LabelListener: l.Name}, corev1.ServiceSpec{
		Selector: map[string]string{v1alpha1.LabelCluster: c.Name, v1alpha1.LabelBroker: "true"},
		Ports:    []corev1.ServicePort{listenerPort(l.Name, l.Port)},
	})
	exposure.Shape(bootstrap, c, *l, nil, cmp.Or(l.NodePort, l.BootstrapPort))
	return bootstrap
}

// nodeService leads to one broker alone, ready or not: its clients know which one they want.
func nodeService(c *model.Cluster, n *model.Node, l model.NodeListener) *corev1.Service {
	name := strings.ToLower(l.Name)
	spec := corev1.ServiceSpec{
		Selector: map[string]string{v1alpha1.LabelCluster: c.Name,
			appsv1.StatefulSetPodNameLabel: n.PodName},
		Ports:                    []corev1.ServicePort{listenerPort(name, l.Port)},
		PublishNotReadyAddresses: true,
	}
	broker := service(c, l.Service, map[string]string{
		v1alpha1.LabelListener: name, v1alpha1.LabelPool: n.Pool, v1alpha1.LabelNodeID: fmt.Sprint(n.ID),
	}, spec)
	exposure.Shape(broker, c, *c.ClientListener(l.Name), n, cmp.Or(l.FixedPort, l.NodePort))
	return broker
}

// Budget covers brokers and controllers together: an eviction is a restart like any other, and there is one at a time.
// A pod that is not ready serves nobody and may always go; else it would keep its Kubernetes node from being drained.
// How many pods Kubernetes may evict now, and which ones it may evict in any case, is the plan's word.
func Budget(c *model.Cluster, evictable int32, spared []string, sealed bool) *policyv1.PodDisruptionBudget {
	unavailable := intstr.FromInt32(evictable)
	selector := &metav1.LabelSelector{MatchLabels: map[string]string{v1alpha1.LabelCluster: c.Name}}
	if len(spared) > 0 {
		selector.MatchExpressions = []metav1.LabelSelectorRequirement{{
			Key: appsv1.StatefulSetPodNameLabel, Operator: metav1.LabelSelectorOpNotIn, Values: spared,
		}}
	}
	budget := &policyv1.PodDisruptionBudget{
		TypeMeta:   metav1.TypeMeta{APIVersion: "policy/v1", Kind: "PodDisruptionBudget"},
		ObjectMeta: objectMeta(c, c.Name, labels(c, nil)),
		Spec: policyv1.PodDisruptionBudgetSpec{
			MaxUnavailable:             &unavailable,
			Selector:                   selector,
			UnhealthyPodEvictionPolicy: ptr(policyv1.AlwaysAllow),
		},
	}
	if sealed {
		least := intstr.FromInt32(moreThanAll)
		budget.Spec.MinAvailable, budget.Spec.MaxUnavailable = &least, nil
	}
	return budget
}

// moreThanAll is more pods than any cluster has.
const moreThanAll = 1_000_000
