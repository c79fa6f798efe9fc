package v1alpha1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

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

// PasswordRotation says when the operator replaces a password that it has made.
//
// +kubebuilder:validation:XValidation:rule="!has(self.intervalSeconds) || !has(self.overlapSeconds) || self.overlapSeconds < self.intervalSeconds",message="overlapSeconds: it must be less than intervalSeconds"
type PasswordRotation struct {
	// After how many seconds a password is replaced. Default: the operator replaces it on demand alone, by the annotation
	// kafka.castellan.dev/rotate-password. 3600 to 315360000.
	// +optional
	// +kubebuilder:validation:Minimum=3600
	// +kubebuilder:validation:Maximum=315360000
	IntervalSeconds *int32 `json:"intervalSeconds,omitempty"`
	// For how many seconds the password before logs in by PLAIN, too. 0: it does not. SCRAM has one password at a time.
	// Default: 300. 0 to 86400.
	// +optional
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=86400
	OverlapSeconds *int32 `json:"overlapSeconds,omitempty"`
}

// RotationStatus says when a password was replaced, and when it will be.
type RotationStatus struct {
	// When the operator made the present password.
	// +optional
	MadeAt *metav1.Time `json:"madeAt,omitempty"`
	// When the operator makes the next one. Absent: on demand.
	// +optional
	NextAt *metav1.Time `json:"nextAt,omitempty"`
	// Until when the password before logs in by PLAIN, too. Absent: it does not.
	// +optional
	PreviousUntil *metav1.Time `json:"previousUntil,omitempty"`
	// Value of the annotation kafka.castellan.dev/rotate-password that was carried out last.
	// +optional
	Request string `json:"request,omitempty"`
}
