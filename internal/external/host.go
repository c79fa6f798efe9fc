package external

import (
	"net"
	"strconv"

	"github.com/castellan-dev/castellan/api/v1alpha1"
	"github.com/castellan-dev/castellan/internal/kafka"
	"github.com/castellan-dev/castellan/internal/mechanism"
	"github.com/castellan-dev/castellan/internal/model"
)

// HostOf says what users need to know of an external cluster. operator is the user that the operator logs in as.
func HostOf(cluster *v1alpha1.KafkaCluster, operator string) model.Host {
	h := model.Host{
		Namespace: cluster.Namespace, Name: cluster.Name, External: true, Authorizes: true,
		Access: cluster.Spec.Access, Operator: operator, NeedsForScram: Lacks(cluster, kafka.FeatureScram),
	}
	for _, node := range cluster.Status.Nodes {
		h.Nodes = append(h.Nodes, node.ID)
	}
	h.SuperUsers = cluster.Spec.AllSuperUsers()
	l := model.HostListener{Name: Listener, TLS: cluster.Spec.External.TLS != nil, Inside: true}
	for _, row := range mechanism.Rows {
		if Sasl(cluster.Spec.External) && row.Offered() && row.Outside == mechanism.OutsideToo {
			l.Mechanisms = append(l.Mechanisms, row.Name)
		}
	}
	for _, known := range cluster.Status.Listeners {
		if known.Name != Listener {
			continue
		}
		l.Bootstrap, l.Addresses = known.BootstrapServers, map[int32]model.BrokerAddress{}
		for _, a := range known.Addresses {
			dial := net.JoinHostPort(a.Host, strconv.Itoa(int(a.Port)))
			l.Addresses[a.NodeID] = model.BrokerAddress{Dial: dial, ServerName: a.Host}
		}
	}
	h.Listeners = []model.HostListener{l}
	return h
}
