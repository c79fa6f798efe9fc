package client_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/castellan-dev/castellan/internal/kafka"
	"github.com/castellan-dev/castellan/internal/kafka/kafkatest"
	"github.com/castellan-dev/castellan/internal/version"
)

// What is set for all brokers is told as it was written, and what one broker uses as it has understood it.
func TestWhatABrokerUsesIsReadBackInEverySpelling(t *testing.T) {
	needKafka(t)
	ctx, cancel := context.WithTimeout(t.Context(), pace.Of(2*time.Minute))
	defer cancel()
	k, err := kafkatest.Start(ctx, kafkatest.Options{Nodes: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer k.Close()
	c, _ := connectTo(t, k)
	v, _ := version.Find("4.3.1")
	for _, step := range []struct {
		id         int32
		key, value string
		uses       string // empty = Kafka refuses it
	}{
		{kafka.AllBrokers, "max.connections.per.ip.overrides", " 127.0.0.1:9000 ", "127.0.0.1:9000"},
		{kafka.AllBrokers, "num.io.threads", "+4", "4"}, // it runs 2
		{kafka.AllBrokers, "num.io.threads", "40", ""},
		{1, "num.io.threads", " 8", "8"},
		{kafka.AllBrokers, "num.io.threads", "40", "8"}, // which it need not take now
		{kafka.AllBrokers, "background.threads", "4", ""},
		{1, "log.cleaner.min.cleanable.ratio", "0.50", "0.5"},
		{1, "log.preallocate", "FALSE", "false"},
		{1, "log.retention.ms", " +86400000", "86400000"},
		{kafka.AllBrokers, "log.cleanup.policy", "delete, compact", "delete,compact"},
		{kafka.AllBrokers, "min.insync.replicas", "2", "2"},
		{1, version.CordonKey, "*", "*"}, // by which the planner knows a cordon of all its directories
	} {
		err := c.AlterBrokerConfig(ctx, step.id, []kafka.ConfigChange{set(step.key, step.value)})
		if step.uses == "" {
			refused(t, err, "INVALID_REQUEST")
			continue
		}
		if err != nil {
			t.Errorf("%s = %q: %v", step.key, step.value, err)
			continue
		}
		eventually(t, step.key, func() error {
			s, err := c.Snapshot(ctx)
			if err != nil {
				return err
			}
			told := s.Config[step.key]
			if step.id != kafka.AllBrokers {
				told = s.BrokerConfigs[1][step.key]
			}
			if uses := s.InUse[1][step.key]; uses != step.uses || !v.Same(step.key, step.value, told) {
				return fmt.Errorf("%s = %q is told as %q, and the broker uses %q", step.key, step.value, told, uses)
			}
			return nil
		})
	}
}
