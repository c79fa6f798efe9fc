//go:build linux

package main

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/util/wait"

	"github.com/castellan-dev/castellan/api/v1alpha1"
	"github.com/castellan-dev/castellan/internal/status"
	"github.com/castellan-dev/castellan/test/bench"
	"github.com/castellan-dev/castellan/test/bench/report"
)

// The operator looks at topics again and again, some of whose values a broker spells in another way, and some of which
// Kafka does not create: it reads, and sends no change, neither to Kafka nor to Kubernetes.
func TestLookingForDriftChangesNothing(t *testing.T) {
	o := bench.Options{Operator: needOperator(t), Repository: "../..", Out: t.TempDir(), Drift: 2 * time.Second}
	w := startAll(t, o)
	settled := map[string]func(*v1alpha1.KafkaTopic) bool{}
	add := func(name, key, value string, done func(*v1alpha1.KafkaTopic) bool) {
		topic := newTopic(bench.Namespace, name)
		topic.Spec.Config = v1alpha1.Config{key: value}
		if err := w.Kube.Create(t.Context(), topic); err != nil {
			t.Fatal(err)
		}
		settled[name] = done
	}
	ready := func(topic *v1alpha1.KafkaTopic) bool {
		return status.IsReady(topic.Status.Conditions, topic.Generation)
	}
	for i, c := range [][2]string{
		{"cleanup.policy", "compact, delete"}, {"cleanup.policy", "compact,compact"}, {"min.cleanable.dirty.ratio", "0.50"},
		{"preallocate", "TRUE"}, {"retention.ms", " 3600000"}, {"segment.bytes", "+16777216"},
	} {
		add(fmt.Sprintf("spelt-%d", i), c[0], c[1], ready)
	}
	add("refused", "retention.ms", "soon", func(topic *v1alpha1.KafkaTopic) bool {
		return meta.IsStatusConditionTrue(topic.Status.Conditions, v1alpha1.ConditionStalled)
	})
	eventually := func(what string, holds func() (bool, error)) {
		t.Helper()
		err := wait.PollUntilContextTimeout(
			t.Context(),
			100*time.Millisecond,
			time.Minute,
			true,
			func(context.Context) (bool, error) {
				done, err := holds()
				if err == nil {
					err = w.Operator.Running()
				}
				return done, err
			},
		)
		if err != nil {
			t.Fatalf("%s: %v", what, err)
		}
	}
	eventually("the topics come to rest", func() (bool, error) {
		var list v1alpha1.KafkaTopicList
		err := w.Kube.List(t.Context(), &list)
		for i := range list.Items {
			if done := settled[list.Items[i].Name]; done == nil || !done(&list.Items[i]) {
				return false, err
			}
		}
		return len(list.Items) == len(settled), err
	})
	meter, err := w.NewMeter()
	if err != nil {
		t.Fatal(err)
	}
	before := w.Counted("DescribeConfigs")
	eventually("the operator has looked five times", func() (bool, error) {
		return w.Counted("DescribeConfigs") >= before+5, nil
	})
	var used report.Phase
	if err := meter.Read(&used); err != nil {
		t.Fatal(err)
	}
	// With watchNamespaces the operator has no cache of namespaces, and looks once each time for what stays by default.
	const looks = 6
	if used.APIRequests["get"] <= looks {
		delete(used.APIRequests, "get")
	}
	if len(used.APIRequests) > 0 {
		t.Errorf("requests to the API server: %v", used.APIRequests)
	}
	// CreateTopics is asked with validateOnly: whether what was refused would be taken now.
	reads := []string{"CreateTopics", "DescribeConfigs", "Metadata"}
	if got := slices.Sorted(maps.Keys(used.KafkaRequests)); !slices.Equal(got, reads) {
		t.Errorf("requests to Kafka: %v, expected %v alone", used.KafkaRequests, reads)
	}
}
