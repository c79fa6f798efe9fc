// Package v1alpha1 holds the kinds that users write: KafkaCluster, KafkaTopic and KafkaUser. It is the only place where
// their fields, bounds and defaults are stated; the CRDs and the API reference are generated from it. It knows neither
// Kafka's protocol nor how anything is carried out.
//
// +kubebuilder:object:generate=true
// +groupName=kafka.castellan.dev
package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// GroupVersion is the group and version of every kind in this package.
var GroupVersion = schema.GroupVersion{Group: "kafka.castellan.dev", Version: "v1alpha1"}

// AddToScheme registers the kinds of this package.
func AddToScheme(scheme *runtime.Scheme) error {
	scheme.AddKnownTypes(GroupVersion,
		&KafkaCluster{}, &KafkaClusterList{}, &KafkaTopic{}, &KafkaTopicList{}, &KafkaUser{}, &KafkaUserList{})
	metav1.AddToGroupVersion(scheme, GroupVersion)
	return nil
}
