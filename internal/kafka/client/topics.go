package client

import (
	"cmp"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/castellan-dev/castellan/internal/kafka"
)

// timeoutMillis bounds Kafka's own work on a write.
const timeoutMillis = int32(10_000)

// DescribeTopics implements kafka.TopicAdmin with two requests per thousand names.
func (c *Client) DescribeTopics(ctx context.Context, names []string) (map[string]kafka.Topic, error) {
	found := make(map[string]kafka.Topic, len(names))
	for chunk := range slices.Chunk(names, itemsPerRequest) {
		if err := c.describeTopics(ctx, chunk, found); err != nil {
			return nil, fmt.Errorf("describe %d topics: %w", len(names), err)
		}
	}
	return found, nil
}

func (c *Client) describeTopics(ctx context.Context, names []string, found map[string]kafka.Topic) error {
	req := kmsg.NewPtrMetadataRequest()
	req.AllowAutoTopicCreation = false
	for _, name := range names {
		t := kmsg.NewMetadataRequestTopic()
		t.Topic = kmsg.StringPtr(name)
		req.Topics = append(req.Topics, t)
	}
	metadata, err := read[*kmsg.MetadataResponse](ctx, c, req)
	if err != nil {
		return err
	}
	existing := make(map[string]kafka.Topic, len(names))
	for i := range metadata.Topics {
		t := &metadata.Topics[i]
		if isUnknownTopic(t.ErrorCode) || t.ErrorCode == kerr.InvalidTopicException.Code || t.Topic == nil {
			continue
		}
		err := answered(t.ErrorCode, nil)
		if denied, is := errors.AsType[*kafka.Denied](err); is {
			found[*t.Topic] = kafka.Topic{Name: *t.Topic, Denied: denied}
			continue
		}
		if err != nil {
			return fmt.Errorf("topic %q: %w", *t.Topic, err)
		}
		existing[*t.Topic] = topicOf(t)
	}
	if len(existing) == 0 {
		return nil
	}
	return c.describeTopicConfigs(ctx, existing, found)
}

func topicOf(t *kmsg.MetadataResponseTopic) kafka.Topic {
	topic := kafka.Topic{Name: *t.Topic, ID: topicID(t.TopicID), Partitions: int32(len(t.Partitions))}
	slices.SortFunc(t.Partitions, func(a, b kmsg.MetadataResponseTopicPartition) int {
		return cmp.Compare(a.Partition, b.Partition)
	})
	for i := range t.Partitions {
		p := &t.Partitions[i]
		if n := int32(len(p.Replicas)); i == 0 || n < topic.ReplicationFactor {
			topic.ReplicationFactor = n
		}
		topic.Replicas, topic.ISR = append(topic.Replicas, p.Replicas), append(topic.ISR, p.ISR)
		if p.Leader < 0 {
			topic.Offline++
		}
		if len(p.ISR) < len(p.Replicas) {
			topic.UnderReplicated++
		}
	}
	return topic
}

func (c *Client) describeTopicConfigs(ctx context.Context, existing, found map[string]kafka.Topic) error {
	names := make([]string, 0, len(existing))
	for name := range existing {
		names = append(names, name)
	}
	configs, err := read[*kmsg.DescribeConfigsResponse](ctx, c, describeTopics(names))
	if err != nil {
		return err
	}
	for i := range configs.Resources {
		r := &configs.Resources[i]
		topic, ok := existing[r.ResourceName]
		if !ok || isUnknownTopic(r.ErrorCode) { // deleted between the two answers
			delete(existing, r.ResourceName)
			continue
		}
		err := answered(r.ErrorCode, r.ErrorMessage)
		if denied, is := errors.AsType[*kafka.Denied](err); is {
			found[r.ResourceName] = kafka.Topic{Name: r.ResourceName, Denied: denied}
			delete(existing, r.ResourceName)
			continue
		}
		if err != nil {
			return fmt.Errorf("topic %q: %w", r.ResourceName, err)
		}
		topic.Config = setHere(r.Configs, kmsg.ConfigSourceDynamicTopicConfig)
		found[r.ResourceName] = topic
		delete(existing, r.ResourceName)
	}
	for name := range existing {
		return fmt.Errorf("topic %q: %w", name, errNoAnswer)
	}
	return nil
}

// CreateTopics implements kafka.TopicAdmin with one request per thousand topics or 5,000 partitions. It sends more if
// the brokers' default number of partitions makes a request too large.
func (c *Client) CreateTopics(ctx context.Context, topics []kafka.NewTopic) (map[string]kafka.TopicResult, error) {
	return c.makeTopics(ctx, topics, false)
}

// ValidateTopics implements kafka.TopicAdmin with as many requests as CreateTopics.
func (c *Client) ValidateTopics(ctx context.Context, topics []kafka.NewTopic) (map[string]error, error) {
	results, err := c.makeTopics(ctx, topics, true)
	if err != nil {
		return nil, err
	}
	errs := make(map[string]error, len(results))
	for name, result := range results {
		errs[name] = result.Err
	}
	return errs, nil
}

func (c *Client) makeTopics(
	ctx context.Context, topics []kafka.NewTopic, validateOnly bool,
) (map[string]kafka.TopicResult, error) {
	results := make(map[string]kafka.TopicResult, len(topics))
	failed := func(t kafka.NewTopic, err error) { results[t.Name] = notCreated(t.Name, err) }
	err := inBatches(batches(topics, creationRecords), func(batch []kafka.NewTopic) error {
		if err := c.createTopics(ctx, batch, validateOnly, results); err != nil {
			return err
		}
		for _, t := range batch {
			if _, ok := results[t.Name]; !ok {
				failed(t, errNoAnswer)
			}
		}
		return nil
	}, failed)
	if err != nil {
		return nil, fmt.Errorf("create topics (%d of them): %w", len(topics), err)
	}
	return results, nil
}

func creationRecords(t kafka.NewTopic) int { return 1 + int(max(t.Partitions, 1)) + len(t.Config) }

func notCreated(name string, err error) kafka.TopicResult {
	return kafka.TopicResult{Topic: kafka.Topic{Name: name}, Err: fmt.Errorf("create topic %q: %w", name, err)}
}

func (c *Client) createTopics(
	ctx context.Context, topics []kafka.NewTopic, validateOnly bool, results map[string]kafka.TopicResult,
) error {
	req := kmsg.NewPtrCreateTopicsRequest()
	req.TimeoutMillis, req.ValidateOnly = timeoutMillis, validateOnly
	for _, t := range topics {
		item := kmsg.NewCreateTopicsRequestTopic()
		item.Topic, item.NumPartitions, item.ReplicationFactor = t.Name, -1, -1
		if t.Partitions != 0 {
			item.NumPartitions = t.Partitions
		}
		if t.ReplicationFactor != 0 {
			item.ReplicationFactor = int16(min(t.ReplicationFactor, math.MaxInt16)) // Kafka refuses both values
		}
		for partition, replicas := range t.Assignment {
			item.NumPartitions, item.ReplicationFactor = -1, -1 // Kafka refuses numbers beside an assignment
			placed := kmsg.NewCreateTopicsRequestTopicReplicaAssignment()
			placed.Partition, placed.Replicas = int32(partition), replicas
			item.ReplicaAssignment = append(item.ReplicaAssignment, placed)
		}
		for key, value := range t.Config {
			entry := kmsg.NewCreateTopicsRequestTopicConfig()
			entry.Name, entry.Value = key, kmsg.StringPtr(value)
			item.Configs = append(item.Configs, entry)
		}
		req.Topics = append(req.Topics, item)
	}
	resp, err := write[*kmsg.CreateTopicsResponse](ctx, c, req)
	if err != nil {
		return err
	}
	refusedForItsSize := func(t kmsg.CreateTopicsResponseTopic) bool {
		return tooLarge(answered(t.ErrorCode, t.ErrorMessage))
	}
	if len(topics) > 1 && all(resp.Topics, refusedForItsSize) {
		return errTooLarge
	}
	for _, t := range resp.Topics {
		if err := mutated(t.ErrorCode, t.ErrorMessage, resp.ThrottleMillis); err != nil {
			results[t.Topic] = notCreated(t.Topic, err)
			continue
		}
		results[t.Topic] = kafka.TopicResult{Topic: kafka.Topic{
			Name: t.Topic, ID: topicID(t.TopicID),
			Partitions: t.NumPartitions, ReplicationFactor: int32(t.ReplicationFactor), Config: createdWith(t.Configs),
		}}
	}
	return nil
}

func createdWith(entries []kmsg.CreateTopicsResponseTopicConfig) map[string]string {
	config := map[string]string{}
	for _, e := range entries {
		if kmsg.ConfigSource(e.Source) == kmsg.ConfigSourceDynamicTopicConfig && e.Value != nil {
			config[e.Name] = *e.Value
		}
	}
	return config
}

// CreatePartitions implements kafka.TopicAdmin with one request per thousand topics or 5,000 partitions.
func (c *Client) CreatePartitions(ctx context.Context, totals map[string]int32) (map[string]error, error) {
	// The most that Kafka may have to write: the present number of partitions is not known here.
	records := func(name string) int { return int(totals[name]) }
	const attempt = "create partitions of topic"
	return eachName(totals, records, attempt, func(names []string, results map[string]error) error {
		req := kmsg.NewPtrCreatePartitionsRequest()
		req.TimeoutMillis = timeoutMillis
		for _, name := range names {
			item := kmsg.NewCreatePartitionsRequestTopic()
			item.Topic, item.Count = name, totals[name]
			req.Topics = append(req.Topics, item)
		}
		resp, err := write[*kmsg.CreatePartitionsResponse](ctx, c, req)
		if err != nil {
			return err
		}
		for _, t := range resp.Topics {
			results[t.Topic] = mutated(t.ErrorCode, t.ErrorMessage, resp.ThrottleMillis)
		}
		return nil
	})
}

// AlterTopicConfigs implements kafka.TopicAdmin with one request per thousand topics or 5,000 keys. Kafka makes all
// changes of one topic or none.
func (c *Client) AlterTopicConfigs(
	ctx context.Context, changes map[string][]kafka.ConfigChange,
) (map[string]error, error) {
	records := func(name string) int { return len(changes[name]) }
	const attempt = "alter configuration of topic"
	return eachName(changes, records, attempt, func(names []string, results map[string]error) error {
		req := kmsg.NewPtrIncrementalAlterConfigsRequest()
		for _, name := range names {
			req.Resources = append(req.Resources, alteration(kmsg.ConfigResourceTypeTopic, name, changes[name]))
		}
		resp, err := write[*kmsg.IncrementalAlterConfigsResponse](ctx, c, req)
		if err != nil {
			return err
		}
		for _, r := range resp.Resources {
			results[r.ResourceName] = answered(r.ErrorCode, r.ErrorMessage)
		}
		return nil
	})
}

// DeleteTopics implements kafka.TopicAdmin with one request per thousand topics.
func (c *Client) DeleteTopics(ctx context.Context, ids []kafka.TopicID) (map[kafka.TopicID]error, error) {
	results := make(map[kafka.TopicID]error, len(ids))
	var raw [][16]byte
	for _, id := range ids {
		uuid, err := parseUUID(string(id))
		if err != nil {
			results[id] = fmt.Errorf("delete topic %s: %w", id, err)
			continue
		}
		results[id] = fmt.Errorf("delete topic %s: %w", id, errNoAnswer)
		raw = append(raw, uuid)
	}
	failed := func(id [16]byte, err error) {
		results[kafka.TopicID(uuidText(id))] = attempting(err, "delete topic "+uuidText(id))
	}
	err := inBatches(batches(raw, oneRecord), func(chunk [][16]byte) error {
		req := kmsg.NewPtrDeleteTopicsRequest()
		req.TimeoutMillis = timeoutMillis
		for _, id := range chunk {
			item := kmsg.NewDeleteTopicsRequestTopic()
			item.TopicID = id
			req.Topics = append(req.Topics, item)
		}
		resp, err := write[*kmsg.DeleteTopicsResponse](ctx, c, req)
		if err != nil {
			return err
		}
		for _, t := range resp.Topics {
			failed(t.TopicID, mutated(t.ErrorCode, t.ErrorMessage, resp.ThrottleMillis))
		}
		return nil
	}, failed)
	if err != nil {
		return nil, fmt.Errorf("delete %d topics: %w", len(ids), err)
	}
	return results, nil
}

// eachName sends the items in batches, sorted by name, and returns one result per name.
func eachName[V any](items map[string]V, records func(string) int, attempt string,
	send func(names []string, results map[string]error) error,
) (map[string]error, error) {
	names := make([]string, 0, len(items))
	for name := range items {
		names = append(names, name)
	}
	slices.Sort(names)
	results := make(map[string]error, len(names))
	err := inBatches(batches(names, records),
		func(chunk []string) error { return send(chunk, results) },
		func(name string, err error) { results[name] = err })
	if err != nil {
		return nil, fmt.Errorf("%s (%d of them): %w", attempt, len(names), err)
	}
	for _, name := range names {
		err, ok := results[name]
		if !ok {
			err = errNoAnswer
		}
		results[name] = attempting(err, fmt.Sprintf("%s %q", attempt, name))
	}
	return results, nil
}

func describeTopics(names []string, keys ...string) *kmsg.DescribeConfigsRequest {
	req := kmsg.NewPtrDescribeConfigsRequest()
	for _, name := range names {
		res := kmsg.NewDescribeConfigsRequestResource()
		res.ResourceType, res.ResourceName = kmsg.ConfigResourceTypeTopic, name
		res.ConfigNames = keys // nil = all
		req.Resources = append(req.Resources, res)
	}
	return req
}

// topicID is empty for a topic without a UUID.
func topicID(id [16]byte) kafka.TopicID {
	if id == [16]byte{} {
		return ""
	}
	return kafka.TopicID(uuidText(id))
}

func isUnknownTopic(code int16) bool { return code == kerr.UnknownTopicOrPartition.Code }

func parseUUID(text string) ([16]byte, error) {
	var id [16]byte
	raw, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil || len(raw) != len(id) {
		return id, &kafka.Refusal{
			Code: kerr.InvalidRequest.Message, Message: "the id is not 22 characters of base64url",
		}
	}
	copy(id[:], raw)
	return id, nil
}
