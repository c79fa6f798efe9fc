package client

import (
	"context"
	"fmt"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/castellan-dev/castellan/internal/kafka"
)

// uuidVersions are the first versions of the requests that name topics by UUID (KIP-516). DescribeCluster came with
// them in Kafka 2.8.
var uuidVersions = map[kmsg.Key]int16{
	kmsg.Metadata: 10, kmsg.CreateTopics: 7, kmsg.DeleteTopics: 6, kmsg.DescribeCluster: 0,
}

// fencedVersion is the first version of DescribeCluster that lists fenced brokers (KIP-1073).
const fencedVersion = 2

// Overview implements kafka.ClusterAdmin.
func (c *Client) Overview(ctx context.Context) (*kafka.Overview, error) {
	versions, err := read[*kmsg.ApiVersionsResponse](ctx, c, askFeatures())
	if err == nil {
		err = answered(versions.ErrorCode, nil)
	}
	if err != nil {
		return nil, fmt.Errorf("ask what the brokers can do: %w", err)
	}
	latest := map[kmsg.Key]int16{}
	for _, v := range versions.ApiKeys {
		latest[kmsg.Key(v.ApiKey)] = v.MaxVersion
	}
	for key, needed := range uuidVersions {
		if have, known := latest[key]; !known || have < needed {
			return nil, fmt.Errorf("ask what the brokers can do: %w", kafka.ErrTooOld)
		}
	}
	resp, err := read[*kmsg.DescribeClusterResponse](ctx, c, describeCluster())
	if err == nil {
		var o *kafka.Overview
		if o, err = overviewOf(resp); err == nil {
			o.Lacking = lacking(latest)
			return o, nil
		}
	}
	return nil, fmt.Errorf("describe cluster: %w", err)
}

func overviewOf(resp *kmsg.DescribeClusterResponse) (*kafka.Overview, error) {
	brokers, err := brokersOf(resp)
	if err != nil {
		return nil, err
	}
	addresses := map[int32]*kmsg.DescribeClusterResponseBroker{}
	for i := range resp.Brokers {
		addresses[resp.Brokers[i].NodeID] = &resp.Brokers[i]
	}
	for i := range brokers {
		at := addresses[brokers[i].ID]
		brokers[i].Host, brokers[i].Port = at.Host, at.Port
	}
	return &kafka.Overview{ClusterID: resp.ClusterID, Brokers: brokers}, nil
}

func lacking(latest map[kmsg.Key]int16) []kafka.Feature {
	var features []kafka.Feature
	_, reads := latest[kmsg.DescribeUserSCRAMCredentials]
	_, writes := latest[kmsg.AlterUserSCRAMCredentials]
	if !reads || !writes {
		features = append(features, kafka.FeatureScram)
	}
	if latest[kmsg.DescribeCluster] < fencedVersion {
		features = append(features, kafka.FeatureFenced)
	}
	return features
}
