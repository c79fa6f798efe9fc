package controllertest

import (
	"fmt"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/castellan-dev/castellan/api/v1alpha1"
	"github.com/castellan-dev/castellan/internal/external"
	"github.com/castellan-dev/castellan/internal/kafka"
)

// ExternalCluster is a KafkaCluster that somebody else runs, reached by SCRAM-SHA-512.
func ExternalCluster() *v1alpha1.KafkaCluster {
	return &v1alpha1.KafkaCluster{
		ObjectMeta: metav1.ObjectMeta{
			Namespace:  ClusterKey.Namespace,
			Name:       ClusterKey.Name,
			UID:        "external-uid",
			Generation: 1,
		},
		Spec: v1alpha1.KafkaClusterSpec{External: &v1alpha1.External{
			BootstrapServers: []v1alpha1.BootstrapServer{"kafka.example.com:9092"},
			Authentication:   &v1alpha1.ExternalAuthentication{Mechanism: "SCRAM-SHA-512", SecretName: "login"},
		}},
	}
}

// ReadyExternal is an external cluster that has been seen, for topics and users.
func ReadyExternal(lacking ...kafka.Feature) *v1alpha1.KafkaCluster {
	c := ExternalCluster()
	o := &kafka.Overview{ClusterID: "incarnation-1", Lacking: lacking}
	for id := range int32(3) {
		o.Brokers = append(o.Brokers, kafka.Broker{ID: id, Host: fmt.Sprintf("b%d", id), Port: 9092})
	}
	c.Status = external.StatusOf(c, o, nil, "", TestStart)
	return c
}
