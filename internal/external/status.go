package external

import (
	"fmt"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/castellan-dev/castellan/api/v1alpha1"
	"github.com/castellan-dev/castellan/internal/kafka"
	"github.com/castellan-dev/castellan/internal/mechanism"
	"github.com/castellan-dev/castellan/internal/status"
	"github.com/castellan-dev/castellan/internal/verdict"
)

// Listener names the one listener of an external cluster that the operator knows, in the status and in users' Secrets.
const Listener = "external"

// needs names the Kafka that has a feature.
var needs = map[kafka.Feature]string{
	kafka.FeatureScram:  "Kafka 3.5 (with ZooKeeper 2.7)",
	kafka.FeatureFenced: "Kafka 4.0",
}

// Lacks returns which Kafka has a feature that this cluster lacks; empty = this cluster has it.
func Lacks(cluster *v1alpha1.KafkaCluster, feature kafka.Feature) string {
	if cluster.Status.External == nil {
		return ""
	}
	for _, l := range cluster.Status.External.Lacking {
		if l.Feature == string(feature) {
			return l.Needs
		}
	}
	return ""
}

// StatusOf returns the status of an external cluster that has answered. With a fault it has not, and what was known of
// it stays. twin is another KafkaCluster that stands for the same Kafka; empty = none does.
func StatusOf(c *v1alpha1.KafkaCluster, o *kafka.Overview, f *verdict.Verdict, twin string,
	now time.Time) v1alpha1.KafkaClusterStatus {
	s := *c.Status.DeepCopy()
	s.ObservedGeneration = c.Generation
	warn(&s, c, twin, now)
	if f != nil {
		status.Set(&s.Conditions, v1alpha1.ConditionAvailable, metav1.ConditionFalse, c.Generation, f.Reason,
			f.Text(), now)
		if f.Passes() {
			status.Reconciling(&s.Conditions, c.Generation, f.Reason, f.Text(), now)
		} else {
			status.Stalled(&s.Conditions, c.Generation, f.Reason, f.Text(), now)
		}
		return s
	}
	s.ClusterID = o.ClusterID
	observe(&s, c.Spec.External, o)
	status.Set(&s.Conditions, v1alpha1.ConditionAvailable, metav1.ConditionTrue, c.Generation, ReasonServing,
		"the brokers answer and let the operator in", now)
	status.Ready(&s.Conditions, c.Generation, ReasonAsSpecified, "the brokers answer and let the operator in", now)
	return s
}

// observe writes what the cluster tells of itself.
func observe(s *v1alpha1.KafkaClusterStatus, e *v1alpha1.External, o *kafka.Overview) {
	servers := make([]string, len(e.BootstrapServers))
	for i, server := range e.BootstrapServers {
		servers[i] = string(server)
	}
	listener := v1alpha1.ListenerStatus{Name: Listener, BootstrapServers: strings.Join(servers, ","),
		SecurityProtocol: Protocol(e)}
	s.Nodes = nil
	serving := 0
	for _, b := range o.Brokers {
		node := v1alpha1.NodeStatus{ID: b.ID, Roles: []v1alpha1.Role{v1alpha1.RoleBroker}, State: v1alpha1.NodeServing}
		if b.Fenced {
			node.State = v1alpha1.NodeFenced
		} else {
			serving++
			listener.Addresses = append(listener.Addresses,
				v1alpha1.NodeAddress{NodeID: b.ID, Host: b.Host, Port: b.Port})
		}
		s.Nodes = append(s.Nodes, node)
	}
	s.Listeners = []v1alpha1.ListenerStatus{listener}
	s.Brokers = fmt.Sprintf("%d/%d", serving, len(o.Brokers))
	s.External = nil
	if len(o.Lacking) > 0 {
		s.External = &v1alpha1.ExternalStatus{}
	}
	for _, feature := range o.Lacking {
		s.External.Lacking = append(s.External.Lacking,
			v1alpha1.LackingFeature{Feature: string(feature), Needs: needs[feature]})
	}
}

// Sasl tells whether clients of the listener log in by SASL.
func Sasl(e *v1alpha1.External) bool {
	return e.Authentication != nil && e.Authentication.Mechanism != v1alpha1.ExternalTLSCertificate
}

// Protocol is the value of security.protocol.
func Protocol(e *v1alpha1.External) string {
	switch {
	case Sasl(e) && e.TLS != nil:
		return "SASL_SSL"
	case Sasl(e):
		return "SASL_PLAINTEXT"
	case e.TLS != nil:
		return "SSL"
	default:
		return "PLAINTEXT"
	}
}

// warn sets the condition Warning for what works and is worth a second thought.
func warn(s *v1alpha1.KafkaClusterStatus, c *v1alpha1.KafkaCluster, twin string, now time.Time) {
	var warnings []string
	if e := c.Spec.External; e.TLS == nil && Sasl(e) {
		m := v1alpha1.Mechanism(e.Authentication.Mechanism)
		if row, known := mechanism.Of(m); known && row.Wire == mechanism.WireShows {
			warnings = append(warnings, fmt.Sprintf("spec.external.authentication: %s without tls sends the "+
				"operator's password readable for whoever sees the traffic; set tls, or use SCRAM", m))
		}
	}
	if twin != "" {
		warnings = append(warnings, fmt.Sprintf("spec.external.bootstrapServers: KafkaCluster %s stands for the same "+
			"Kafka, and who holds a topic or a user is sorted out within each of the two alone; keep one of them, "+
			"and admit namespaces to it by spec.access", twin))
	}
	if len(warnings) == 0 {
		meta.RemoveStatusCondition(&s.Conditions, v1alpha1.ConditionWarning)
		return
	}
	status.Set(&s.Conditions, v1alpha1.ConditionWarning, metav1.ConditionTrue, c.Generation, ReasonSecondThought,
		strings.Join(warnings, "; "), now)
}
