//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/castellan-dev/castellan/api/v1alpha1"
	"github.com/castellan-dev/castellan/internal/kafka"
	"github.com/castellan-dev/castellan/test/bench"
)

const (
	configKey   = "retention.ms"
	valueFirst  = "3600000"
	valueSecond = "7200000"
)

var topics = bench.Subject{
	Noun: "topics",
	File: "topics",
	New:  func(namespace, name string) client.Object { return newTopic(namespace, name) },
	List: func() client.ObjectList { return &v1alpha1.KafkaTopicList{} },
	Status: func(o client.Object) (int64, []metav1.Condition) {
		t := o.(*v1alpha1.KafkaTopic)
		return t.Status.ObservedGeneration, t.Status.Conditions
	},
	Changes: []bench.Change{create, alter, remove},
}

var create = bench.Change{
	Verb:   "create",
	Submit: bench.Create,
	Before: []bench.Write{bench.Patch(`{"metadata":{"finalizers":["` + v1alpha1.Finalizer + `"]}}`)},
	Kafka: func(ctx context.Context, side *bench.Side, names []string) error {
		topics := make([]kafka.NewTopic, len(names))
		for i, name := range names {
			topics[i] = kafka.NewTopic{
				Name:              name,
				Partitions:        1,
				ReplicationFactor: 1,
				Config:            map[string]string{configKey: valueFirst},
			}
		}
		results, err := side.Admin.CreateTopics(ctx, topics)
		for _, result := range results {
			err = errors.Join(err, result.Err)
		}
		return err
	},
	After:    []bench.Write{reportReady},
	Wrong:    wrong(func(t kafka.Topic, found bool) bool { return found && t.Config[configKey] == valueFirst }),
	Requests: map[string]int{"patch": 2},
}

var alter = bench.Change{
	Verb:   "change",
	Submit: bench.Patch(`{"spec":{"config":{"` + configKey + `":"` + valueSecond + `"}}}`),
	Kafka: func(ctx context.Context, side *bench.Side, names []string) error {
		value := valueSecond
		changes := make(map[string][]kafka.ConfigChange, len(names))
		for _, name := range names {
			changes[name] = []kafka.ConfigChange{{Key: configKey, Value: &value}}
		}
		results, err := side.Admin.AlterTopicConfigs(ctx, changes)
		for _, failure := range results {
			err = errors.Join(err, failure)
		}
		return err
	},
	After:    []bench.Write{reportReady},
	Wrong:    wrong(func(t kafka.Topic, found bool) bool { return found && t.Config[configKey] == valueSecond }),
	Requests: map[string]int{"patch": 1},
}

var remove = bench.Change{
	Verb:   "delete",
	Submit: bench.Delete,
	Kafka: func(ctx context.Context, side *bench.Side, names []string) error {
		live, err := side.Admin.DescribeTopics(ctx, names)
		if err != nil {
			return err
		}
		ids := make([]kafka.TopicID, 0, len(live))
		for _, t := range live {
			ids = append(ids, t.ID)
		}
		results, err := side.Admin.DeleteTopics(ctx, ids)
		for _, failure := range results {
			err = errors.Join(err, failure)
		}
		return err
	},
	After:    []bench.Write{bench.Patch(`{"metadata":{"finalizers":null}}`)},
	Wrong:    wrong(func(_ kafka.Topic, found bool) bool { return !found }),
	Gone:     true,
	Requests: map[string]int{"patch": 1},
}

// wrong counts the topics of which Kafka shows something else. found = it has the topic.
func wrong(holds func(t kafka.Topic, found bool) bool) func(context.Context, *bench.Side, []string) (int, error) {
	return func(ctx context.Context, side *bench.Side, names []string) (int, error) {
		live, err := side.Admin.DescribeTopics(ctx, names)
		count := 0
		for _, name := range names {
			if t, found := live[name]; !holds(t, found) {
				count++
			}
		}
		return count, err
	}
}

// reportReady writes a status of the size that the operator's has.
func reportReady(ctx context.Context, kube client.Client, t client.Object) error {
	status := fmt.Sprintf(
		`{"status":{"observedGeneration":%[1]d,"name":%[2]q,"topicId":"AAAAAAAAAAAAAAAAAAAAAA",`+
			`"clusterId":"AAAAAAAAAAAAAAAAAAAAAA",`+
			`"partitions":1,"replicationFactor":1,"conditions":[{"type":"Ready","status":"True","observedGeneration":%[1]d,`+
			`"reason":"AsSpecified",`+
			`"message":"the topic is as the spec asks for","lastTransitionTime":"2026-01-01T00:00:00Z"}]}}`,
		t.GetGeneration(),
		t.GetName(),
	)
	return kube.Status().Patch(ctx, t, client.RawPatch(types.MergePatchType, []byte(status)))
}

// newTopic is a topic as a user writes it, named in Kafka as its object.
func newTopic(namespace, name string) *v1alpha1.KafkaTopic {
	one := int32(1)
	return &v1alpha1.KafkaTopic{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name},
		Spec: v1alpha1.KafkaTopicSpec{
			ClusterRef: v1alpha1.ClusterRef{Name: bench.ClusterName}, Partitions: &one, ReplicationFactor: &one,
			Config: map[string]string{configKey: valueFirst},
		},
	}
}
