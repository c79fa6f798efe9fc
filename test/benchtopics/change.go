//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"sync"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/castellan-dev/castellan/api/v1alpha1"
	"github.com/castellan-dev/castellan/internal/kafka"
)

const (
	configKey   = "retention.ms"
	valueFirst  = "3600000"
	valueSecond = "7200000"
	// writers is how many objects are written at once, as many as the operator writes at once.
	writers = 16
)

// change is one of the things that happen to all topics: what a user writes, what an operator has to write after it, and
// what happens in Kafka.
type change struct {
	verb   string
	submit func(ctx context.Context, kube client.Client, t *v1alpha1.KafkaTopic) error
	// answer are the writes of the bare client in the operator's place.
	answer []func(ctx context.Context, kube client.Client, t *v1alpha1.KafkaTopic) error
	kafka  func(ctx context.Context, admin kafka.TopicAdmin, names []string) error
	// holds tells whether Kafka shows the topic as it should be; found = it has one.
	holds func(t kafka.Topic, found bool) bool
}

var create = change{
	verb: "create",
	submit: func(ctx context.Context, kube client.Client, t *v1alpha1.KafkaTopic) error {
		return kube.Create(ctx, t)
	},
	answer: []func(context.Context, client.Client, *v1alpha1.KafkaTopic) error{
		patch(`{"metadata":{"finalizers":["` + v1alpha1.Finalizer + `"]}}`), reportReady,
	},
	kafka: func(ctx context.Context, admin kafka.TopicAdmin, names []string) error {
		topics := make([]kafka.NewTopic, len(names))
		for i, name := range names {
			topics[i] = kafka.NewTopic{Name: name, Partitions: 1, ReplicationFactor: 1, Config: map[string]string{configKey: valueFirst}}
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
	answer: []func(context.Context, client.Client, *v1alpha1.KafkaTopic) error{reportReady},
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
	answer: []func(context.Context, client.Client, *v1alpha1.KafkaTopic) error{patch(`{"metadata":{"finalizers":null}}`)},
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

func patch(merge string) func(context.Context, client.Client, *v1alpha1.KafkaTopic) error {
	return func(ctx context.Context, kube client.Client, t *v1alpha1.KafkaTopic) error {
		return kube.Patch(ctx, t, client.RawPatch(types.MergePatchType, []byte(merge)))
	}
}

// reportReady writes a status of the size that the operator's has.
func reportReady(ctx context.Context, kube client.Client, t *v1alpha1.KafkaTopic) error {
	status := fmt.Sprintf(`{"status":{"observedGeneration":%[1]d,"name":%[2]q,"topicId":"AAAAAAAAAAAAAAAAAAAAAA","clusterId":"AAAAAAAAAAAAAAAAAAAAAA",`+
		`"partitions":1,"replicationFactor":1,"conditions":[{"type":"Ready","status":"True","observedGeneration":%[1]d,"reason":"AsSpecified",`+
		`"message":"the topic is as the spec asks for","lastTransitionTime":"2026-01-01T00:00:00Z"}]}}`, t.Generation, t.Name)
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

// submitAll makes the user's writes to all topics of a namespace, and with answers those that follow each of them.
func (c change) submitAll(ctx context.Context, kube client.Client, namespace string, n int, answers bool) error {
	todo := make(chan string)
	go func() {
		defer close(todo)
		for _, name := range topicNames(namespace, n) {
			select {
			case todo <- name:
			case <-ctx.Done():
				return
			}
		}
	}()
	writes := []func(context.Context, client.Client, *v1alpha1.KafkaTopic) error{c.submit}
	if answers {
		writes = append(writes, c.answer...)
	}
	errs := make([]error, writers)
	var group sync.WaitGroup
	for i := range errs {
		group.Go(func() {
			for name := range todo {
				t := newTopic(namespace, name)
				for _, write := range writes {
					if err := write(ctx, kube, t); err != nil {
						errs[i] = errors.Join(errs[i], fmt.Errorf("%s KafkaTopic %s/%s: %w", c.verb, namespace, name, err))
						break
					}
				}
			}
		})
	}
	group.Wait()
	return errors.Join(errors.Join(errs...), ctx.Err())
}
