//go:build linux

package bench

import (
	"context"
	"fmt"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/castellan-dev/castellan/controllers/batch"
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
	// Gone: the object goes. Else it is done once it is Ready in its generation.
	Gone bool
	// Requests are how many the operator makes to the API for each object, by verb.
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
func (s Subject) done(o client.Object, before int64) bool {
	observed, conditions := s.Status(o)
	return o.GetGeneration() > before && observed == o.GetGeneration() && status.IsReady(conditions, o.GetGeneration())
}

// names are those of all objects of a namespace.
func names(namespace string, n int) []string {
	all := make([]string, n)
	for i := range all {
		all[i] = fmt.Sprintf("%s-%05d", namespace, i)
	}
	return all
}

func (s Subject) objects(namespace string, n int) []client.Object {
	all := make([]client.Object, n)
	for i, name := range names(namespace, n) {
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
