// Package v1alpha1 holds the kinds that users write: KafkaCluster, KafkaTopic and KafkaUser. It is the only place where
// their fields, bounds and defaults are stated; the CRDs and the API reference are generated from it. It knows neither
// Kafka's protocol nor how anything is carried out.
//
// +kubebuilder:object:generate=true
// +groupName=kafka.castellan.dev
package v1alpha1

import (
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/scheme"
)

var (
	// GroupVersion is the group and version of every kind in this package.
	GroupVersion = schema.GroupVersion{Group: "kafka.castellan.dev", Version: "v1alpha1"}
	// SchemeBuilder collects the kinds of this package.
	SchemeBuilder = &scheme.Builder{GroupVersion: GroupVersion}
	// AddToScheme registers them.
	AddToScheme = SchemeBuilder.AddToScheme
)
