package batch

import (
	"context"
	"encoding/json"
	"reflect"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/castellan-dev/castellan/api/v1alpha1"
)

// recorder takes patches in the place of an API server, which gives each object it has changed a new version.
type recorder struct{ sent string }

func (r *recorder) take(obj client.Object, patch client.Patch) error {
	data, err := patch.Data(obj)
	r.sent = string(data)
	obj.SetResourceVersion(obj.GetResourceVersion() + "0")
	return err
}

type objects struct {
	client.Client
	*recorder
}

type statuses struct {
	client.SubResourceWriter
	*recorder
}

func (o objects) Patch(_ context.Context, obj client.Object, patch client.Patch, _ ...client.PatchOption) error {
	return o.take(obj, patch)
}

func (o objects) Status() client.SubResourceWriter { return statuses{recorder: o.recorder} }

func (s statuses) Patch(
	_ context.Context,
	obj client.Object,
	patch client.Patch,
	_ ...client.SubResourcePatchOption,
) error {
	return s.take(obj, patch)
}

func TestAPatchHoldsWhatDiffersAndWhatItMustNotBeAppliedWithout(t *testing.T) {
	object := func(change func(*v1alpha1.KafkaTopic)) *v1alpha1.KafkaTopic {
		topic := &v1alpha1.KafkaTopic{ObjectMeta: metav1.ObjectMeta{
			Name: "orders", UID: "u1", ResourceVersion: "1", Annotations: map[string]string{"a": "1", "b": "2"}, Finalizers: []string{"others"},
			Labels: map[string]string{"big": "as it is"},
		}}
		if change != nil {
			change(topic)
		}
		return topic
	}
	status := v1alpha1.KafkaTopicStatus{
		Name:       "orders",
		TopicID:    "id",
		Config:     map[string]string{"k": "v", "l": "w"},
		Partitions: 3,
	}
	for name, c := range map[string]struct {
		write func(w *Writer, obj *v1alpha1.KafkaTopic) error
		want  string
	}{
		"a finalizer is added": {
			func(w *Writer, obj *v1alpha1.KafkaTopic) error {
				obj.Finalizers = append(obj.Finalizers, "ours")
				return w.PatchMetadata(t.Context(), obj, object(nil))
			},
			`{"metadata":{"finalizers":["others","ours"],"resourceVersion":"1"}}`,
		},
		"an annotation and all finalizers are taken off": {
			func(w *Writer, obj *v1alpha1.KafkaTopic) error {
				delete(obj.Annotations, "b")
				obj.Finalizers = nil
				return w.Release(t.Context(), obj, object(nil))
			},
			`{"metadata":{"annotations":{"b":null},"finalizers":null,"resourceVersion":"1"}}`,
		},
		"a status is the first": {
			func(w *Writer, obj *v1alpha1.KafkaTopic) error {
				return w.PatchStatus(t.Context(), obj, v1alpha1.KafkaTopicStatus{}, v1alpha1.KafkaTopicStatus{Name: "orders"})
			},
			`{"metadata":{"uid":"u1"},"status":{"name":"orders"}}`,
		},
		"a status loses fields": {
			func(w *Writer, obj *v1alpha1.KafkaTopic) error {
				return w.PatchStatus(t.Context(), obj, status, v1alpha1.KafkaTopicStatus{Name: "orders", TopicID: "other", Config: map[string]string{"k": "v"}})
			},
			`{"metadata":{"uid":"u1"},"status":{"config":{"l":null},"partitions":null,"topicId":"other"}}`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			r := &recorder{}
			if err := c.write(&Writer{Client: objects{recorder: r}}, object(nil)); err != nil {
				t.Fatal(err)
			}
			var got, want any
			if err := json.Unmarshal([]byte(r.sent), &got); err != nil {
				t.Fatal(err, r.sent)
			}
			if err := json.Unmarshal([]byte(c.want), &want); err != nil {
				t.Fatal(err)
			}
			if !reflect.DeepEqual(got, want) {
				t.Errorf("sent %s, want %s", r.sent, c.want)
			}
		})
	}
}

func TestAnObjectIsStaleUntilTheCacheShowsTheLastWrite(t *testing.T) {
	w := &Writer{Client: objects{recorder: &recorder{}}}
	topic := &v1alpha1.KafkaTopic{ObjectMeta: metav1.ObjectMeta{UID: "u1", ResourceVersion: "7"}}
	cached := topic.DeepCopy()
	if w.Stale(cached) || w.Wrote(cached) {
		t.Error("nothing has been written")
	}
	if err := w.PatchStatus(t.Context(), topic, v1alpha1.KafkaTopicStatus{}, v1alpha1.KafkaTopicStatus{Name: "orders"}); err != nil {
		t.Fatal(err)
	}
	if !w.Stale(cached) || w.Stale(topic) || !w.Wrote(topic) {
		t.Errorf(
			"version 7 is stale: %v; version %s: %v, and its event is an echo: %v",
			w.Stale(cached),
			topic.ResourceVersion,
			w.Stale(topic),
			w.Wrote(topic),
		)
	}
	if w.Forget("u1"); w.Stale(cached) {
		t.Error("what is gone is not remembered")
	}
}
