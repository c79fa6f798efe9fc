package model

import (
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
)

const (
	// OwnPrefix begins the names of the pod's volumes that the operator owns.
	OwnPrefix = "castellan-"
	// ContainerName is the container that runs Kafka.
	ContainerName = "kafka"
)

// NodesService names the headless Service over all nodes, which gives every pod its DNS name.
func (c *Cluster) NodesService() string { return c.Name + "-nodes" }

// ControllersService names the headless Service over all controllers, by which every node finds the quorum.
func (c *Cluster) ControllersService() string { return c.Name + "-controllers" }

// HandoverService names the headless Service over one controller that knows the quorum's leader. It is there only while
// others join or leave.
func (c *Cluster) HandoverService() string { return c.Name + "-handover" }

// BootstrapService names the Service that clients of a listener connect to first.
func (c *Cluster) BootstrapService(listener string) string { return c.Name + "-" + listener }

// NodeService names the Service of one node alone, for a listener that is exposed node by node.
func NodeService(podName, listener string) string { return podName + "-" + listener }

// SliceName names the EndpointSlice of one node alone, for a listener whose brokers are behind one Service. It holds
// addresses of one family.
func SliceName(podName, listener string, family corev1.IPFamily) string {
	return NodeService(podName, listener) + "-" + strings.ToLower(string(family))
}

// ServiceHost is the full DNS name of a Service of the cluster.
func (c *Cluster) ServiceHost(service string) string {
	return fmt.Sprintf("%s.%s.svc.%s", service, c.Namespace, c.Domain)
}

// QuorumServers is the value of controller.quorum.bootstrap.servers: stable names, so that the number of controllers
// never enters a file. Kafka tries the names at random and keeps its connection to each. One name is not enough:
//   - The Service over all controllers may lead to a node that is not yet a voter, or no longer one, even to the node
//     itself. Such a node knows no leader, and Kafka would ask it for ever.
//   - The handover Service leads to a controller that knows the leader. It exists only while the quorum changes, so
//     that no connection to it is older than the change.
func (c *Cluster) QuorumServers() string {
	return fmt.Sprintf(
		"%s:%d,%s:%[2]d",
		c.ServiceHost(c.ControllersService()),
		PortController,
		c.ServiceHost(c.HandoverService()),
	)
}

// ClaimName names the claim of a node's volume as the StatefulSet would.
func ClaimName(volume, podName string) string { return volume + "-" + podName }
