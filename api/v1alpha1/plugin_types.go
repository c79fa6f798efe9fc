package v1alpha1

import corev1 "k8s.io/api/core/v1"

// Plugin is an image with jars that every node of the cluster has on its class path, behind Kafka's own.
type Plugin struct {
	// Name of the plug-in. The image is mounted at /opt/castellan/plugins/<name>. At most 16 characters.
	// +required
	// +kubebuilder:validation:Pattern=`^[a-z]([-a-z0-9]*[a-z0-9])?$`
	// +kubebuilder:validation:MaxLength=16
	Name string `json:"name"`

	// Image by its digest, as in registry.example.com/team/plugin@sha256:... Its jars run inside of Kafka and may do all
	// that Kafka may. A tag beside the digest says nothing. Kubernetes has to mount images as volumes, as it does from
	// 1.35 on. At most 512 characters.
	// +required
	// +kubebuilder:validation:MaxLength=512
	// +kubebuilder:validation:Pattern=`^[a-z0-9][a-z0-9._:/-]*(:[A-Za-z0-9_][A-Za-z0-9._-]*)?@sha256:[0-9a-f]{64}$`
	Image string `json:"image"`

	// Folder of the image with the jars. Those in it and in the folders directly in it are taken. Default: /. At most 256
	// characters.
	// +optional
	// +kubebuilder:validation:MaxLength=256
	// +kubebuilder:validation:Pattern=`^/([A-Za-z0-9_-][A-Za-z0-9._-]*/?)*$`
	Path string `json:"path,omitempty"`

	// When the image is pulled: Always, IfNotPresent or Never. Default: IfNotPresent.
	// +optional
	// +kubebuilder:validation:Enum=Always;IfNotPresent;Never
	PullPolicy corev1.PullPolicy `json:"pullPolicy,omitempty"`
}

// TieredStorage moves segments of topics with remote.storage.enable to a store behind a plug-in (KIP-405).
type TieredStorage struct {
	// Name of the plug-in in spec.plugins that has the class. At most 16 characters.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=16
	Plugin string `json:"plugin"`

	// Class of the plug-in that stores segments, a RemoteStorageManager of Kafka's. At most 256 characters.
	// +required
	// +kubebuilder:validation:MaxLength=256
	// +kubebuilder:validation:Pattern=`^[A-Za-z_][A-Za-z0-9_]*([.$][A-Za-z_][A-Za-z0-9_]*)*$`
	ClassName string `json:"className"`

	// Configuration of the class, with its own keys: the operator puts rsm.config. before them. In a value
	// ${secret:<name>:<entry>} stands for an entry of one of secretRefs. Default: none. At most 128 keys.
	// +optional
	// +kubebuilder:validation:MaxProperties=128
	// +kubebuilder:validation:XValidation:rule="self.all(k, size(k) >= 1 && size(k) <= 200 && k.matches('^[a-zA-Z0-9._-]+$'))",message="config: a key has 1 to 200 letters, digits, dots, underscores and dashes"
	Config map[string]ConfigValue `json:"config,omitempty"`

	// Secrets with the label kafka.castellan.dev/use: plugin. Brokers have each entry as the file
	// /etc/castellan/plugin/<name>_<entry>. Default: none. At most 8, of at most 256 KiB together.
	// +optional
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MaxItems=8
	SecretRefs []SecretName `json:"secretRefs,omitempty"`
}
