//go:build linux

package bench

import (
	"context"
	"fmt"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/castellan-dev/castellan/api/v1alpha1"
	"github.com/castellan-dev/castellan/controllers/batch"
	"github.com/castellan-dev/castellan/internal/kafka/kafkatest"
	"github.com/castellan-dev/castellan/internal/status"
)

// writers is how many objects are written at once, as many as the operator writes at once.
const writers = 16

// Subject is what is measured: objects of one kind, and what happens to all of them.
type Subject struct {
	Noun string // "topics"
	File string // how the files with the figures begin
	// New is an object as a user writes it, named in Kafka as itself.
	New  func(namespace, name string) client.Object
	List func() client.ObjectList
	// Status reads an object's.
	Status func(client.Object) (observedGeneration int64, conditions []metav1.Condition)
	// Idles: the operator is watched at rest also before there is anything.
	Idles bool
	// Looks is how many requests to Kafka the operator may make at rest, as it looks for drift from time to time.
	Looks int
	// Brokers is what the brokers of a side need that read files in a folder; nil = they read none.
	Brokers func(dir string) (kafkatest.Options, error)
	// Describe completes the KafkaCluster and its status before it is written; nil = there is nothing to complete.
	Describe func(ctx context.Context, w *World, cluster *v1alpha1.KafkaCluster) error
	// Begin comes once the KafkaCluster stands; nil = nothing begins then.
	Begin func(ctx context.Context, w *World) error
	// Changes happen in this order, and then again; the last is that the objects go.
	Changes []Change
}

// Change is one of the things that happen to all objects: what a user writes, what happens in Kafka, and what an
// operator has to write before and after that.
type Change struct {
	Verb          string
	Submit        Write
	Before, After []Write // of the bare client, in the operator's place
	// Kafka makes the change there, in the operator's place.
	Kafka func(ctx context.Context, side *Side, names []string) error
	// Wrong counts the names that Kafka does not show as they should be.
	Wrong func(ctx context.Context, side *Side, names []string) (int, error)
	// Gone: the object goes. Else it is done once it is Ready, for its new generation or as Done tells.
	Gone bool
	Done func(client.Object) bool
	// Clean is what somebody else than the operator does afterwards. It is not measured.
	Clean []Write
	// Requests are how many the operator makes to the API for each object, by verb; nil = it is not counted on.
	Requests map[string]int
}

// Write is one request to the API server for one object.
type Write func(ctx context.Context, kube client.Client, o client.Object) error

// Create makes the object as its user does.
func Create(ctx context.Context, kube client.Client, o client.Object) error {
	return kube.Create(ctx, o)
}

// Delete deletes the object as its user does.
func Delete(ctx context.Context, kube client.Client, o client.Object) error {
	return kube.Delete(ctx, o)
}

// Patch merges into the object.
func Patch(merge string) Write {
	return func(ctx context.Context, kube client.Client, o client.Object) error {
		return kube.Patch(ctx, o, client.RawPatch(types.MergePatchType, []byte(merge)))
	}
}

// done tells whether an object is as a change wants it. before is its generation before the change.
func (s Subject) done(o client.Object, c Change, before int64) bool {
	observed, conditions := s.Status(o)
	isNew := o.GetGeneration() > before
	if c.Done != nil {
		isNew = c.Done(o)
	}
	return isNew && observed == o.GetGeneration() && status.IsReady(conditions, o.GetGeneration())
}

// names are those of n objects.
func names(prefix string, n int) []string {
	all := make([]string, n)
	for i := range all {
		all[i] = fmt.Sprintf("%s-%05d", prefix, i)
	}
	return all
}

func (s Subject) objects(namespace string, names []string) []client.Object {
	all := make([]client.Object, len(names))
	for i, name := range names {
		all[i] = s.New(namespace, name)
	}
	return all
}

// writeAll makes the same writes, one after the other, to each of the objects, and ends with the first that fails.
func (c Change) writeAll(ctx context.Context, kube client.Client, objects []client.Object, writes ...Write) error {
	ctx, fail := context.WithCancelCause(ctx)
	defer fail(nil)
	batch.Each(writers, objects, func(o client.Object) {
		for _, write := range writes {
			if err := write(ctx, kube, o); err != nil {
				fail(fmt.Errorf("%s %s/%s: %w", c.Verb, o.GetNamespace(), o.GetName(), err))
				return
			}
		}
	})
	return context.Cause(ctx)
}
