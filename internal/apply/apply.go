// Package apply writes rendered objects to Kubernetes by server-side apply, and writes nothing when the live object
// already is what was rendered. It knows no Kafka and decides nothing: what may be applied when is the caller's matter.
package apply

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"sync"

	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/castellan-dev/castellan/api/v1alpha1"
)

// FieldOwner is the name under which the operator owns the fields it applies.
const FieldOwner = "castellan"

// Applier applies objects on behalf of one owner.
type Applier struct {
	Client client.Client

	mu sync.Mutex
	// overruled holds, by UID, the digest of what admission made of an object that was applied: it is not asked again.
	overruled map[types.UID]string
}

// Apply makes the live object hold everything that desired holds and removes what an earlier Apply held and desired no
// longer does. live is the object from the cache; nil = there is none, and then an object that is there all the same
// and says something else is left alone: the error is a conflict. With a resource version in desired, one that has been
// changed since is left alone too. It tells whether a write was needed.
func (a *Applier) Apply(ctx context.Context, desired client.Object, live client.Object) (bool, error) {
	want, err := content(desired)
	if err != nil {
		return false, fmt.Errorf("apply %s: %w", describe(desired), err)
	}
	hash := digest(want)
	if live != nil && live.GetAnnotations()[v1alpha1.AnnotationApplied] == hash {
		have, err := content(live)
		if err != nil {
			return false, fmt.Errorf("apply %s: %w", describe(desired), err)
		}
		if matches(desired, want, have) || a.isOverruled(live.GetUID(), digestLive(have)) {
			return false, nil
		}
	}
	object := &unstructured.Unstructured{Object: runtime.DeepCopyJSON(want)}
	annotations := object.GetAnnotations()
	if annotations == nil {
		annotations = map[string]string{}
	}
	annotations[v1alpha1.AnnotationApplied] = hash
	object.SetAnnotations(annotations)
	object.SetResourceVersion(desired.GetResourceVersion())
	options := []client.ApplyOption{client.FieldOwner(FieldOwner)}
	if live != nil {
		options = append(options, client.ForceOwnership)
	}
	if err := a.Client.Apply(ctx, client.ApplyConfigurationFromUnstructured(object), options...); err != nil {
		return false, fmt.Errorf("apply %s: %w", describe(desired), err)
	}
	made, err := contentAs(desired, object)
	if err != nil {
		return true, fmt.Errorf("read what became of %s: %w", describe(desired), err)
	}
	if !matches(desired, want, made) {
		a.overrule(object.GetUID(), digestLive(made))
	}
	return true, nil
}

// Edited tells whether somebody has changed what was made of this very content. An object that was applied with another
// content, such as by an earlier operator, is none that was edited.
func (a *Applier) Edited(desired, live client.Object) bool {
	want, wantErr := content(desired)
	have, haveErr := content(live)
	return wantErr == nil && haveErr == nil && live.GetAnnotations()[v1alpha1.AnnotationApplied] == digest(want) &&
		!matches(desired, want, have) && !a.isOverruled(live.GetUID(), digestLive(have))
}

// contentAs is the content of an answer of the API server as the cache will hold it: of the type that desired has.
func contentAs(desired client.Object, answer *unstructured.Unstructured) (map[string]any, error) {
	if _, untyped := desired.(*unstructured.Unstructured); untyped {
		return content(answer)
	}
	object := reflect.New(reflect.TypeOf(desired).Elem()).Interface()
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(answer.Object, object); err != nil {
		return nil, err
	}
	return content(object)
}

// isOverruled tells whether an object is what the API server made of it when it was last applied: a webhook or a
// default has the last word, and the two would write for ever.
func (a *Applier) isOverruled(uid types.UID, have string) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return uid != "" && a.overruled[uid] == have
}

func (a *Applier) overrule(uid types.UID, made string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.overruled == nil {
		a.overruled = map[types.UID]string{}
	}
	a.overruled[uid] = made
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
func content(object any) (map[string]any, error) {
	if untyped, is := object.(*unstructured.Unstructured); is {
		object = untyped.DeepCopy() // the converter would hand out its own fields
	}
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

// digestLive leaves out what the cache drops.
func digestLive(fields map[string]any) string {
	fields = maps.Clone(fields)
	delete(fields, "kind")
	delete(fields, "apiVersion")
	return digest(fields)
}

func digest(fields map[string]any) string {
	text, _ := json.Marshal(fields) // maps are printed in key order, and what came out of a conversion can be printed
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:8])
}

// matches tells whether have is what desired asks for. What others add is theirs, except in a NetworkPolicy: there a
// further label selects fewer pods, a last port opens a range of them, and a source closes what was open.
func matches(desired any, want, have map[string]any) bool {
	if _, whole := desired.(*networkingv1.NetworkPolicy); whole {
		wanted, _ := want["spec"].(map[string]any)
		found, _ := have["spec"].(map[string]any)
		for field := range wanted {
			if !reflect.DeepEqual(wanted[field], found[field]) {
				return false
			}
		}
	}
	return covers(want, have)
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
	if untyped, is := object.(*unstructured.Unstructured); is {
		return fmt.Sprintf("%s %s/%s", untyped.GetKind(), object.GetNamespace(), object.GetName())
	}
	return fmt.Sprintf("%T %s/%s", object, object.GetNamespace(), object.GetName())
}
