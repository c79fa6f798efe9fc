//go:build linux

package main

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/castellan-dev/castellan/api/v1alpha1"
	"github.com/castellan-dev/castellan/test/bench"
)

const (
	operator = "castellan" // the field manager
	user     = "kubectl"
	uuid     = "AAAAAAAAAAAAAAAAAAAAAA"
	config   = "retention.ms"
)

type (
	// set is topics that are alike, in a namespace of this name.
	set struct {
		name, creator string
		writes        []write
	}
	write  func(ctx context.Context, kube client.Client, t *v1alpha1.KafkaTopic) error
	fields = map[string]any
)

// What a topic's managedFields hold follows from who has written it: the user, the operator's finalizer and its status
// are three entries.
var (
	small        = set{"small", user, []write{finalizer, reports(smallStatus)}}
	full         = set{"full", user, []write{finalizer, reports(fullStatus)}}
	smallApplied = set{"small-applied", user, []write{finalizer, applies(smallStatus)}}
	fullApplied  = set{"full-applied", user, []write{finalizer, applies(fullStatus)}}
	twoEntries   = set{"two-entries", operator, []write{finalizer, reports(smallStatus)}}
	sixEntries   = set{"six-entries", user, []write{
		finalizer, reports(smallStatus), label("one"), label("two"), label("three"),
	}}
	noEntries = set{"no-entries", user, []write{
		finalizer, reports(smallStatus), merge(`{"metadata":{"managedFields":[{}]}}`, operator),
	}}
)

// topic is one as a user writes it.
func topic(namespace, name string) *v1alpha1.KafkaTopic {
	one := int32(1)
	return &v1alpha1.KafkaTopic{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name},
		Spec: v1alpha1.KafkaTopicSpec{
			ClusterRef: v1alpha1.ClusterRef{Name: bench.ClusterName}, Partitions: &one, ReplicationFactor: &one,
			Config: map[string]string{config: "3600000"},
		},
	}
}

func merge(patch, manager string) write {
	return func(ctx context.Context, kube client.Client, t *v1alpha1.KafkaTopic) error {
		return kube.Patch(ctx, t, client.RawPatch(types.MergePatchType, []byte(patch)), client.FieldOwner(manager))
	}
}

func finalizer(ctx context.Context, kube client.Client, t *v1alpha1.KafkaTopic) error {
	patch := fmt.Sprintf(`{"metadata":{"finalizers":[%q],"annotations":{%q:"0"}}}`,
		v1alpha1.Finalizer, v1alpha1.AnnotationCreating)
	return merge(patch, operator)(ctx, kube, t)
}

// label is what another tool writes.
func label(tool string) write {
	return merge(fmt.Sprintf(`{"metadata":{"labels":{%q:"true"}}}`, tool+".example.com/seen"), tool)
}

func reports(status func(turn int) fields) write { return writes(status, types.MergePatchType) }
func applies(status func(turn int) fields) write { return writes(status, types.ApplyPatchType) }

func writes(status func(turn int) fields, how types.PatchType) write {
	return func(ctx context.Context, kube client.Client, t *v1alpha1.KafkaTopic) error {
		document, err := json.Marshal(fields{
			"apiVersion": v1alpha1.GroupVersion.String(), "kind": "KafkaTopic", "status": status(0),
		})
		if err != nil {
			return err
		}
		return kube.Status().Patch(ctx, t, client.RawPatch(how, document), client.FieldOwner(operator))
	}
}

// smallStatus is that of a topic with one key, which is as its spec asks for. turn makes it another one.
func smallStatus(turn int) fields {
	return fields{
		"observedGeneration": turn, "operator": "castellan/castellan", "name": "topic", "topicId": uuid,
		"clusterId": uuid, "partitions": 1, "replicationFactor": 1, "origin": "Created", "deletionPolicy": "Delete",
		"configKeys": []string{config}, "config": fields{config: fmt.Sprint(turn)}, "health": "Healthy",
		"conditions": []fields{condition(turn, "Ready", "the topic is as the spec asks for")},
	}
}

// fullStatus is that of a topic with 20 keys, three conditions and ten partitions whose replicas move.
func fullStatus(turn int) fields {
	status := smallStatus(turn)
	message := strings.Repeat("replicas move to other brokers, as the spec asks for; ", 4)
	status["conditions"] = []fields{
		condition(turn, "Ready", message), condition(turn, "Reconciling", message), condition(turn, "Stalled", message),
	}
	keys, values := []string{}, fields{}
	for i := range 20 {
		key := fmt.Sprintf("some.configuration.key.%02d.ms", i)
		keys, values[key] = append(keys, key), fmt.Sprint(turn)
	}
	var moves []fields
	for i := range 10 {
		moves = append(moves, fields{"partition": i, "replicas": []int{1, 2, 3, 4}})
	}
	status["configKeys"], status["config"] = keys, values
	status["reassignment"] = fields{"startedAt": "2026-01-01T00:00:00Z", "moved": turn, "left": 10, "inFlight": moves}
	return status
}

func condition(turn int, kind, message string) fields {
	return fields{
		"type": kind, "status": "True", "observedGeneration": turn, "reason": "AsSpecified", "message": message,
		"lastTransitionTime": "2026-01-01T00:00:00Z",
	}
}
