package v1alpha1

// PasswordSecret names the password of a user in a Secret of the KafkaUser's namespace.
type PasswordSecret struct {
	// Name of the Secret. It has the label kafka.castellan.dev/use: password; without that it is not read. 1 to 253
	// characters.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	Name string `json:"name"`
	// Key of the Secret that holds the password. Default: password. 1 to 253 letters, digits and . _ -.
	// +optional
	// +kubebuilder:default=password
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:Pattern=`^[A-Za-z0-9._-]+$`
	Key string `json:"key,omitempty"`
}
