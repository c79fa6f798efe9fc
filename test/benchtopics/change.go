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
	"github.com/castellan-dev/castellan/controllers/batch"
	"github.com/castellan-dev/castellan/internal/kafka"
)

const (
	configKey   = "retention.ms"
	valueFirst  = "3600000"
	valueSecond = "7200000"
	// writers is how many objects are written at once, as many as the operator writes at once.
	writers = 16
)

// write is one request to the API server for one topic.
type write func(ctx context.Context, kube client.Client, t *v1alpha1.KafkaTopic) error

// change is one of the things that happen to all topics: what a user writes, what happens in Kafka, and what an
// operator has to write before and after that.
type change struct {
	verb          string
	submit        write
	before, after []write // of the bare client, in the operator's place
	kafka         func(ctx context.Context, admin kafka.TopicAdmin, names []string) error
	// holds tells whether Kafka shows the topic as it should be; found = it has one.
	holds func(t kafka.Topic, found bool) bool
}

var create = change{
	verb: "create",
	submit: func(ctx context.Context, kube client.Client, t *v1alpha1.KafkaTopic) error {
		return kube.Create(ctx, t)
	},
	before: []write{patch(`{"metadata":{"finalizers":["` + v1alpha1.Finalizer + `"]}}`)},
	after:  []write{reportReady},
	kafka: func(ctx context.Context, admin kafka.TopicAdmin, names []string) error {
		topics := make([]kafka.NewTopic, len(names))
		for i, name := range names {
			topics[i] = kafka.NewTopic{
				Name:              name,
				Partitions:        1,
				ReplicationFactor: 1,
				Config:            map[string]string{configKey: valueFirst},
			}
		}
		results, err := admin.CreateTopics(ctx, topics)
		for _, result := range results {
			err = errors.Join(err, result.Err)
		}
		return err
	},
	holds: func(t kafka.Topic, found bool) bool { return found && t.Config[configKey] == valueFirst },
}

var alter = change{
	verb:   "change",
	submit: patch(`{"spec":{"config":{"` + configKey + `":"` + valueSecond + `"}}}`),
	after:  []write{reportReady},
	kafka: func(ctx context.Context, admin kafka.TopicAdmin, names []string) error {
		value := valueSecond
		changes := make(map[string][]kafka.ConfigChange, len(names))
		for _, name := range names {
			changes[name] = []kafka.ConfigChange{{Key: configKey, Value: &value}}
		}
		results, err := admin.AlterTopicConfigs(ctx, changes)
		for _, failure := range results {
			err = errors.Join(err, failure)
		}
		return err
	},
	holds: func(t kafka.Topic, found bool) bool { return found && t.Config[configKey] == valueSecond },
}

var remove = change{
	verb: "delete",
	submit: func(ctx context.Context, kube client.Client, t *v1alpha1.KafkaTopic) error {
		return kube.Delete(ctx, t)
	},
	after: []write{patch(`{"metadata":{"finalizers":null}}`)},
	kafka: func(ctx context.Context, admin kafka.TopicAdmin, names []string) error {
		live, err := admin.DescribeTopics(ctx, names)
		if err != nil {
			return err
		}
		ids := make([]kafka.TopicID, 0, len(live))
		for _, t := range live {
			ids = append(ids, t.ID)
		}
		results, err := admin.DeleteTopics(ctx, ids)
		for _, failure := range results {
			err = errors.Join(err, failure)
		}
		return err
	},
	holds: func(_ kafka.Topic, found bool) bool { return !found },
}

func patch(merge string) write {
	return func(ctx context.Context, kube client.Client, t *v1alpha1.KafkaTopic) error {
		return kube.Patch(ctx, t, client.RawPatch(types.MergePatchType, []byte(merge)))
	}
}

// reportReady writes a status of the size that the operator's has.
func reportReady(ctx context.Context, kube client.Client, t *v1alpha1.KafkaTopic) error {
	status := fmt.Sprintf(
		`{"status":{"observedGeneration":%[1]d,"name":%[2]q,"topicId":"AAAAAAAAAAAAAAAAAAAAAA",`+
			`"clusterId":"AAAAAAAAAAAAAAAAAAAAAA",`+
			`"partitions":1,"replicationFactor":1,"conditions":[{"type":"Ready","status":"True","observedGeneration":%[1]d,`+
			`"reason":"AsSpecified",`+
			`"message":"the topic is as the spec asks for","lastTransitionTime":"2026-01-01T00:00:00Z"}]}}`,
		t.Generation,
		t.Name,
	)
	return kube.Status().Patch(ctx, t, client.RawPatch(types.MergePatchType, []byte(status)))
}

func topicNames(namespace string, n int) []string {
	names := make([]string, n)
	for i := range names {
		names[i] = fmt.Sprintf("%s-%05d", namespace, i)
	}
	return names
}

// newTopic is a topic as a user writes it, named in Kafka as its object.
func newTopic(namespace, name string) *v1alpha1.KafkaTopic {
	one := int32(1)
	return &v1alpha1.KafkaTopic{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name},
		Spec: v1alpha1.KafkaTopicSpec{
			ClusterRef: v1alpha1.ClusterRef{Name: clusterName}, Partitions: &one, ReplicationFactor: &one,
			Config: map[string]string{configKey: valueFirst},
		},
	}
}

// newTopics are all topics of a namespace.
func newTopics(namespace string, n int) []*v1alpha1.KafkaTopic {
	topics := make([]*v1alpha1.KafkaTopic, n)
	for i, name := range topicNames(namespace, n) {
		topics[i] = newTopic(namespace, name)
	}
	return topics
}

// writeAll makes the same writes, one after the other, to each of the topics, and ends with the first that fails.
func (c change) writeAll(
	ctx context.Context,
	kube client.Client,
	topics []*v1alpha1.KafkaTopic,
	writes ...write,
) error {
	ctx, fail := context.WithCancelCause(ctx)
	defer fail(nil)
	batch.Each(writers, topics, func(t *v1alpha1.KafkaTopic) {
		for _, write := range writes {
			if err := write(ctx, kube, t); err != nil {
				fail(fmt.Errorf("%s KafkaTopic %s/%s: %w", c.verb, t.Namespace, t.Name, err))
				return
			}
		}
	})
	return context.Cause(ctx)
}
