package e2e

import (
	"context"
	"encoding/base64"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kadm"
)

// kafkaID is Kafka's own text form of a topic's UUID.
func kafkaID(id kadm.TopicID) string { return base64.RawURLEncoding.EncodeToString(id[:]) }

func setTopicConfig(t *testing.T, admin *kadm.Client, topic, key, value string) {
	t.Helper()
	answers, err := admin.AlterTopicConfigs(
		t.Context(),
		[]kadm.AlterConfig{{Op: kadm.SetConfig, Name: key, Value: &value}},
		topic,
	)
	if err == nil {
		for _, a := range answers {
			err = a.Err
		}
	}
	if err != nil {
		t.Fatalf("set %s of topic %s: %v", key, topic, err)
	}
}

func topicConfig(ctx context.Context, admin *kadm.Client, topic, key string) (string, error) {
	configs, err := admin.DescribeTopicConfigs(ctx, topic)
	return valueOf(configs, err, key)
}

func replaceOnce(text, from, to string) string { return strings.Replace(text, from, to, 1) }
