// Package apply writes rendered objects to Kubernetes by server-side apply, and writes nothing when the live object
// already is what was rendered. It knows no Kafka and decides nothing: what may be applied when is the caller's matter.
package apply

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// FieldOwner is the name under which the operator owns the fields it applies.
const FieldOwner = "castellan"

// AnnotationApplied holds the hash of what was applied last, so that a field which is no longer rendered is noticed
// too.
const AnnotationApplied = "kafka.castellan.dev/applied"

// Applier applies objects on behalf of one owner.
type Applier struct {
	Client client.Client
}

// Apply makes the live object hold everything that desired holds and removes what an earlier Apply held and desired no
// longer does. live is the object from the cache, or nil. It tells whether a write was needed.
func (a Applier) Apply(ctx context.Context, desired client.Object, live client.Object) (bool, error) {
	want, err := content(desired)
	if err != nil {
		return false, fmt.Errorf("apply %s: %w", describe(desired), err)
	}
	hash := digest(want)
	if live != nil && live.GetAnnotations()[AnnotationApplied] == hash {
		have, err := content(live)
		if err != nil {
			return false, fmt.Errorf("apply %s: %w", describe(desired), err)
		}
		if covers(want, have) {
			return false, nil
		}
	}
	object := &unstructured.Unstructured{Object: want}
	annotations := object.GetAnnotations()
	if annotations == nil {
		annotations = map[string]string{}
	}
	annotations[AnnotationApplied] = hash
	object.SetAnnotations(annotations)
	err = a.Client.Apply(
		ctx,
		client.ApplyConfigurationFromUnstructured(object),
		client.FieldOwner(FieldOwner),
		client.ForceOwnership,
	)
	if err != nil {
		return false, fmt.Errorf("apply %s: %w", describe(desired), err)
	}
	return true, nil
}

// Own makes owner the controller of object, so that Kubernetes deletes object with it.
func Own(object client.Object, owner client.Object, kind string, apiVersion string) {
	yes := true
	object.SetOwnerReferences([]metav1.OwnerReference{{
		APIVersion: apiVersion, Kind: kind, Name: owner.GetName(), UID: owner.GetUID(),
		Controller: &yes, BlockOwnerDeletion: &yes,
	}})
}

// content is an object as the API server would see it, without status and without what only the server sets.
func content(object client.Object) (map[string]any, error) {
	fields, err := runtime.DefaultUnstructuredConverter.ToUnstructured(object)
	if err != nil {
		return nil, err
	}
	delete(fields, "status")
	if metadata, ok := fields["metadata"].(map[string]any); ok {
		for _, key := range []string{"creationTimestamp", "managedFields", "resourceVersion", "uid", "generation"} {
			delete(metadata, key)
		}
	}
	prune(fields)
	return fields, nil
}

// prune drops nulls, which mean the same as absence.
func prune(fields map[string]any) {
	for key, value := range fields {
		switch value := value.(type) {
		case nil:
			delete(fields, key)
		case map[string]any:
			prune(value)
		case []any:
			for _, item := range value {
				if item, ok := item.(map[string]any); ok {
					prune(item)
				}
			}
		}
	}
}

func digest(fields map[string]any) string {
	text, _ := json.Marshal(fields) // maps are printed in key order, and what came out of a conversion can be printed
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:8])
}

// covers tells whether have holds everything that want holds. Kind and API version do not count: the cache drops them.
func covers(want, have map[string]any) bool {
	for key, value := range want {
		if key == "kind" || key == "apiVersion" {
			continue
		}
		if !coversValue(value, have[key]) {
			return false
		}
	}
	return true
}

func coversValue(want, have any) bool {
	switch want := want.(type) {
	case map[string]any:
		inner, ok := have.(map[string]any)
		if !ok {
			return len(want) == 0 && have == nil
		}
		for key, value := range want {
			if !coversValue(value, inner[key]) {
				return false
			}
		}
		return true
	case []any:
		inner, ok := have.([]any)
		if !ok {
			return len(want) == 0 && have == nil
		}
		if len(inner) != len(want) {
			return false
		}
		for i := range want {
			if !coversValue(want[i], inner[i]) {
				return false
			}
		}
		return true
	default:
		return want == have
	}
}

func describe(object client.Object) string {
	return fmt.Sprintf("%T %s/%s", object, object.GetNamespace(), object.GetName())
}
