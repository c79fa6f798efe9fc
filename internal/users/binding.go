package users

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/castellan-dev/castellan/api/v1alpha1"
	"github.com/castellan-dev/castellan/internal/verdict"
)

// LayoutOf is what a KafkaUser says of its connection Secret.
func LayoutOf(u *v1alpha1.KafkaUser) Layout {
	if b := u.Spec.Binding; b != nil {
		return Layout{Formats: b.Formats, MountPath: b.MountPath}
	}
	return Layout{}
}

const (
	nameField     = "spec.binding.name"
	metadataField = "spec.binding.metadata"
	// ownPrefix begins the keys of labels and annotations that are the operator's alone.
	ownPrefix = "kafka.castellan.dev/"
)

// NameField is what a user changes to have another connection Secret.
func NameField(u *v1alpha1.KafkaUser) string {
	if b := u.Spec.Binding; b != nil && b.Name != "" {
		return nameField
	}
	return "metadata.name"
}

// Dress puts the labels and annotations that a KafkaUser asks for on its connection Secret, and takes off those that it
// has asked for before. What others have put there stays. What cannot be put there is left out, and said.
func Dress(secret *corev1.Secret, u *v1alpha1.KafkaUser) []verdict.Verdict {
	var template v1alpha1.BindingMetadata
	if b := u.Spec.Binding; b != nil && b.Metadata != nil {
		template = *b.Metadata
	}
	labels, faults := admitted("labels", template.Labels, validation.IsValidLabelValue)
	annotations, refused := admitted("annotations", template.Annotations, nil)
	for key := range strings.FieldsSeq(secret.Annotations[v1alpha1.AnnotationTemplate]) {
		if label, is := strings.CutPrefix(key, "label:"); is && !isOwn(label) {
			delete(secret.Labels, label)
		} else if annotation, is := strings.CutPrefix(key, "annotation:"); is && !isOwn(annotation) {
			delete(secret.Annotations, annotation)
		}
	}
	secret.Labels, secret.Annotations = overlaid(secret.Labels, labels), overlaid(secret.Annotations, annotations)
	var keys []string
	for key := range labels {
		keys = append(keys, "label:"+key)
	}
	for key := range annotations {
		keys = append(keys, "annotation:"+key)
	}
	if slices.Sort(keys); len(keys) > 0 {
		secret.Annotations = overlaid(secret.Annotations,
			map[string]string{v1alpha1.AnnotationTemplate: strings.Join(keys, " ")})
	} else {
		delete(secret.Annotations, v1alpha1.AnnotationTemplate)
	}
	return append(faults, refused...)
}

func overlaid(all, more map[string]string) map[string]string {
	if all == nil && len(more) > 0 {
		all = map[string]string{}
	}
	maps.Copy(all, more)
	return all
}

func isOwn(key string) bool {
	return strings.HasPrefix(key, ownPrefix) || key == v1alpha1.LabelManagedBy
}

// admitted leaves out what is the operator's, and what Kubernetes would refuse the whole Secret for.
func admitted(kind string, asked v1alpha1.Metadata, badValue func(string) []string,
) (map[string]string, []verdict.Verdict) {
	good := map[string]string{}
	var faults []verdict.Verdict
	for _, key := range slices.Sorted(maps.Keys(asked)) {
		why, cure, compared := "", "use another key", key
		if badValue == nil { // of annotations, whose keys may have capitals
			compared = strings.ToLower(key)
		}
		if bad := validation.IsQualifiedName(compared); len(bad) > 0 {
			why = "Kubernetes takes no such key: " + bad[0]
		} else if isOwn(key) {
			why = "the key is the operator's own"
		} else if badValue != nil {
			if bad := badValue(asked[key]); len(bad) > 0 {
				why, cure = "Kubernetes takes no such value: "+bad[0], "use another value, or an annotation"
			}
		}
		if why == "" {
			good[key] = asked[key]
			continue
		}
		faults = append(faults, verdict.Stalled(ReasonBinding, fmt.Sprintf("%s.%s[%.64s]", metadataField, kind, key),
			"%s; %s", why, cure))
	}
	return good, faults
}

// TooLarge says that Kubernetes would not take a connection Secret; nil = it would.
func TooLarge(secret *corev1.Secret) *verdict.Verdict {
	size := 0
	for _, value := range secret.Data {
		size += len(value)
	}
	if size <= corev1.MaxSecretSize {
		return nil
	}
	fault := verdict.Stalled(ReasonBinding, FormatsField,
		"Secret %q would have %d bytes, and Kubernetes takes %d; name fewer formats, or let the KafkaCluster name fewer "+
			"authorities for its listeners", secret.Name, size, corev1.MaxSecretSize)
	return &fault
}
