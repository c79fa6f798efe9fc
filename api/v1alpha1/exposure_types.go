package v1alpha1

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// Encryption says whether a listener encrypts.
//
// +kubebuilder:validation:Enum=TLS;None
type Encryption string

// Whether a listener encrypts.
const (
	EncryptionTLS  Encryption = "TLS"
	EncryptionNone Encryption = "None"
)

// ExposureType says from where a listener can be reached.
//
// +kubebuilder:validation:Enum=Internal;ClusterIP;NodePort;LoadBalancer;TLSRoute;TCPRoute
type ExposureType string

// From where a listener can be reached.
const (
	ExposureInternal     ExposureType = "Internal"
	ExposureClusterIP    ExposureType = "ClusterIP"
	ExposureNodePort     ExposureType = "NodePort"
	ExposureLoadBalancer ExposureType = "LoadBalancer"
	ExposureTLSRoute     ExposureType = "TLSRoute"
	ExposureTCPRoute     ExposureType = "TCPRoute"
)

// Exposure says how clients reach a listener.
type Exposure struct {
	// What each broker advertises. Internal: its pod's DNS name, for clients inside the Kubernetes cluster. ClusterIP:
	// the DNS name of a Service of its own, for routers of yours that lead to it. NodePort: the address of the
	// Kubernetes node on which it runs (status.hostIP of its pod, often private) and a port of it, for clients that reach
	// both. LoadBalancer: the address of a load balancer of its own. TLSRoute: a name of its own, by which a Gateway leads
	// clients to it (advertised.hostTemplate). TCPRoute: a port of its own at the one address of a Gateway. Default:
	// Internal.
	// +optional
	// +kubebuilder:default=Internal
	Type ExposureType `json:"type,omitempty"`

	// What brokers advertise in place of what the type gives. For routers, tunnels and address translation in front of
	// the listener. Default: what the type gives.
	// +optional
	Advertised *Advertised `json:"advertised,omitempty"`

	// Where clients begin. Default: at what the type gives.
	// +optional
	Bootstrap *BootstrapExposure `json:"bootstrap,omitempty"`

	// Gateway (gateway.networking.k8s.io) that leads clients to the brokers. With TLSRoute and TCPRoute alone, which need
	// it.
	// +optional
	Gateway *GatewayReference `json:"gateway,omitempty"`

	// What the Service of each broker has of its own. Internal has none.
	// +optional
	Brokers *BrokersExposure `json:"brokers,omitempty"`

	// What the Services of the listener have in common.
	// +optional
	Services *ExposureServices `json:"services,omitempty"`
}

// GatewayReference names a Gateway, or a ListenerSet that adds listeners to one.
type GatewayReference struct {
	// Name of the Gateway. At most 253 characters.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	Name string `json:"name"`

	// Namespace of the Gateway. Default: that of the KafkaCluster. At most 63 characters.
	// +optional
	// +kubebuilder:validation:MaxLength=63
	Namespace string `json:"namespace,omitempty"`

	// Gateway or ListenerSet. Default: Gateway.
	// +optional
	// +kubebuilder:validation:Enum=Gateway;ListenerSet
	Kind GatewayKind `json:"kind,omitempty"`

	// Name of the Gateway's listener that passes TLS on. With TLSRoute alone. Default: all that take the names. At most
	// 253 characters.
	// +optional
	// +kubebuilder:validation:MaxLength=253
	SectionName string `json:"sectionName,omitempty"`
}

// GatewayKind is the kind of what routes attach to.
type GatewayKind string

// What routes attach to.
const (
	GatewayKindGateway     GatewayKind = "Gateway"
	GatewayKindListenerSet GatewayKind = "ListenerSet"
)

// Metadata are annotations or labels of an object that the operator makes.
//
// +kubebuilder:validation:MaxProperties=32
type Metadata map[string]string

// BrokersExposure is what the Services of single brokers have. {nodeId}, {pod}, {cluster} and {namespace} in values
// stand for those of the broker.
type BrokersExposure struct {
	// Whether each broker has a Service of its own (PerBroker), or all are behind the bootstrap Service, each at a port
	// of its own (Shared). Shared is for LoadBalancer alone. It needs portTemplate and an operator that may write
	// EndpointSlices: endpointSlices.enabled of its chart. A broker whose pod gets another address is unreachable there
	// until a running operator has written it. Default: PerBroker.
	// +optional
	// +kubebuilder:validation:Enum=PerBroker;Shared
	ServicePolicy ServicePolicy `json:"servicePolicy,omitempty"`

	// Port of the Service of each broker with LoadBalancer: a number to which the node id is added, such as
	// "9000+{nodeId}", which clients are told. Services with ports of their own can share one address. With servicePolicy
	// Shared: the port of the broker at the bootstrap Service. Default: the port of the listener.
	// +optional
	PortTemplate *intstr.IntOrString `json:"portTemplate,omitempty"`

	// Node port of each broker with NodePort: a number to which the node id is added, such as "31000+{nodeId}". Default:
	// a port that Kubernetes chooses.
	// +optional
	NodePortTemplate *intstr.IntOrString `json:"nodePortTemplate,omitempty"`

	// Annotations. Default: none. At most 32.
	// +optional
	Annotations Metadata `json:"annotations,omitempty"`

	// Labels. Default: none. At most 32.
	// +optional
	Labels Metadata `json:"labels,omitempty"`
}

// ServicePolicy says which Services brokers are behind.
type ServicePolicy string

// Which Services brokers are behind.
const (
	ServicePerBroker ServicePolicy = "PerBroker"
	ServiceShared    ServicePolicy = "Shared"
)

// ExposureServices is what all Services of a listener have.
type ExposureServices struct {
	// Annotations of all Services of the listener, with {cluster} and {namespace} in values. Default: none. At most 32.
	// +optional
	Annotations Metadata `json:"annotations,omitempty"`

	// Labels of all Services of the listener. Default: none. At most 32.
	// +optional
	Labels Metadata `json:"labels,omitempty"`

	// Whether to ask external-dns for the names that are advertised (advertised.hostTemplate and overrides) and for
	// bootstrap.hosts, by annotations under its old and its new prefix. For NodePort and LoadBalancer. Default: false.
	// +optional
	ExternalDNS bool `json:"externalDNS,omitempty"`

	// Families of the Services' addresses, the first one first. Brokers advertise addresses of the first, which cannot
	// change while the listener is there. Default: that of the Kubernetes cluster.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=2
	// +kubebuilder:validation:items:Enum=IPv4;IPv6
	IPFamilies []corev1.IPFamily `json:"ipFamilies,omitempty"`

	// Whether the Services have addresses of one family or of two. Default: SingleStack for new Services; those that are
	// there keep what they have.
	// +optional
	// +kubebuilder:validation:Enum=SingleStack;PreferDualStack;RequireDualStack
	IPFamilyPolicy corev1.IPFamilyPolicy `json:"ipFamilyPolicy,omitempty"`

	// Whether traffic stays on the Kubernetes node that it came to (Local: brokers see the client's address) or may be
	// passed on (Cluster). For NodePort and LoadBalancer. Default: Local with NodePort, Cluster with LoadBalancer.
	// +optional
	// +kubebuilder:validation:Enum=Local;Cluster
	ExternalTrafficPolicy corev1.ServiceExternalTrafficPolicy `json:"externalTrafficPolicy,omitempty"`

	// Which address of the Kubernetes node brokers advertise with NodePort: InternalIP, the only one that this version
	// knows without reading nodes. Default: InternalIP.
	// +optional
	// +kubebuilder:validation:Enum=InternalIP;ExternalIP;Hostname
	NodeAddressType corev1.NodeAddressType `json:"nodeAddressType,omitempty"`

	// Who makes the load balancers. It cannot change while the listener is there. Default: the cluster's own. At most
	// 253 characters.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	LoadBalancerClass string `json:"loadBalancerClass,omitempty"`

	// Networks from which clients may come to a load balancer, as 203.0.113.0/24. Not every load balancer heeds them.
	// Default: all. At most 64.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=64
	// +kubebuilder:validation:items:MaxLength=64
	SourceRanges []string `json:"sourceRanges,omitempty"`

	// Whether a load balancer's Services have node ports, too. Default: true.
	// +optional
	AllocateNodePorts *bool `json:"allocateNodePorts,omitempty"`
}

// Advertised is what brokers tell clients to connect to.
type Advertised struct {
	// Host name or IP address of each broker. {nodeId}, {pod}, {cluster} and {namespace} stand for those of the broker,
	// as in broker-{nodeId}.kafka.example.com. With TLS the broker's certificate names it. Default: what the type gives.
	// At most 253 characters.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	HostTemplate string `json:"hostTemplate,omitempty"`

	// Port of each broker: a number such as 443, or a number to which the node id is added, such as "9000+{nodeId}".
	// Default: what the type gives; 443 with TLSRoute, and "9000+{nodeId}" with TCPRoute.
	// +optional
	PortTemplate *intstr.IntOrString `json:"portTemplate,omitempty"`

	// Single brokers that advertise something else. Default: none. At most 256.
	// +optional
	// +listType=map
	// +listMapKey=nodeId
	// +kubebuilder:validation:MaxItems=256
	Overrides []AdvertisedOverride `json:"overrides,omitempty"`
}

// AdvertisedOverride is what one broker advertises.
type AdvertisedOverride struct {
	// Node id of the broker. At least 0.
	// +required
	// +kubebuilder:validation:Minimum=0
	NodeID int32 `json:"nodeId"`

	// Host name or IP address. Default: that of the template. At most 253 characters.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	Host string `json:"host,omitempty"`

	// Port. Default: that of the template. 1 to 65535.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=65535
	Port int32 `json:"port,omitempty"`
}

// BootstrapExposure is where clients of a listener begin.
type BootstrapExposure struct {
	// Host names or IP addresses of your own that lead to any broker, such as kafka.example.com. They come first in
	// bootstrapServers, and with TLS every broker's certificate names them. Default: none. At most 8.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=8
	// +kubebuilder:validation:items:MinLength=1
	// +kubebuilder:validation:items:MaxLength=253
	Hosts []string `json:"hosts,omitempty"`

	// Port of these hosts. Default: advertised.portTemplate where that is a number alone, else the port at which the
	// bootstrap Service is reached. With TCPRoute: the port of the Gateway at which clients begin, without hosts too;
	// default: the port of the listener. 1 to 65535.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=65535
	Port int32 `json:"port,omitempty"`

	// Node port of the bootstrap Service with NodePort. Default: one that Kubernetes chooses. 1 to 65535.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=65535
	NodePort int32 `json:"nodePort,omitempty"`

	// Annotations of the bootstrap Service. Default: none. At most 32.
	// +optional
	Annotations Metadata `json:"annotations,omitempty"`

	// Labels of the bootstrap Service. Default: none. At most 32.
	// +optional
	Labels Metadata `json:"labels,omitempty"`
}
