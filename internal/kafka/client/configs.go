package client

import (
	"context"
	"fmt"
	"strconv"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/castellan-dev/castellan/internal/kafka"
)

// reloadKey is a run-time key that nobody sets: Castellan names the key stores in the broker's file. Deleting the key
// changes nothing, but makes the broker read every changed key store again.
const reloadKey = "listener.name.replication.ssl.keystore.location"

// AlterBrokerConfig implements kafka.ClusterAdmin. It sends one broker's keys to that broker, because no other accepts
// them.
func (c *Client) AlterBrokerConfig(ctx context.Context, id int32, changes []kafka.ConfigChange) error {
	if len(changes) == 0 {
		return nil
	}
	if err := c.alterBroker(ctx, id, changes); err != nil {
		return fmt.Errorf("alter configuration of %s: %w", brokerText(id), err)
	}
	return nil
}

// ReloadCertificates implements kafka.ClusterAdmin.
func (c *Client) ReloadCertificates(ctx context.Context, id int32) error {
	if id < 0 {
		return fmt.Errorf("reload certificates: %d is no broker", id)
	}
	if err := c.alterBroker(ctx, id, []kafka.ConfigChange{{Key: reloadKey}}); err != nil {
		return fmt.Errorf("reload certificates of %s: %w", brokerText(id), err)
	}
	return nil
}

// BrokerConfig implements kafka.ClusterAdmin.
func (c *Client) BrokerConfig(ctx context.Context, id int32) (map[string]string, error) {
	req := describeBroker(id)
	var resp *kmsg.DescribeConfigsResponse
	var err error
	if id == kafka.AllBrokers {
		resp, err = read[*kmsg.DescribeConfigsResponse](ctx, c, req)
	} else {
		resp, err = askBroker[*kmsg.DescribeConfigsResponse](ctx, c, id, req)
	}
	if err == nil {
		var config map[string]string
		if config, err = brokerConfig(id, resp); err == nil {
			return config, nil
		}
	}
	return nil, fmt.Errorf("describe configuration of %s: %w", brokerText(id), err)
}

func (c *Client) alterBroker(ctx context.Context, id int32, changes []kafka.ConfigChange) error {
	req := kmsg.NewPtrIncrementalAlterConfigsRequest()
	req.Resources = append(req.Resources, alteration(kmsg.ConfigResourceTypeBroker, brokerResource(id), changes))
	var resp *kmsg.IncrementalAlterConfigsResponse
	var err error
	if id == kafka.AllBrokers {
		resp, err = write[*kmsg.IncrementalAlterConfigsResponse](ctx, c, req)
	} else {
		resp, err = askBroker[*kmsg.IncrementalAlterConfigsResponse](ctx, c, id, req)
	}
	if err != nil {
		return err
	}
	for _, r := range resp.Resources {
		return answered(r.ErrorCode, r.ErrorMessage)
	}
	return errNoAnswer
}

func alteration(
	kind kmsg.ConfigResourceType, name string, changes []kafka.ConfigChange,
) kmsg.IncrementalAlterConfigsRequestResource {
	res := kmsg.NewIncrementalAlterConfigsRequestResource()
	res.ResourceType, res.ResourceName = kind, name
	for _, change := range changes {
		entry := kmsg.NewIncrementalAlterConfigsRequestResourceConfig()
		entry.Name, entry.Value = change.Key, change.Value
		entry.Op = kmsg.IncrementalAlterConfigOpSet
		if change.Value == nil {
			entry.Op = kmsg.IncrementalAlterConfigOpDelete
		}
		res.Configs = append(res.Configs, entry)
	}
	return res
}

func describeBroker(id int32) *kmsg.DescribeConfigsRequest {
	req := kmsg.NewPtrDescribeConfigsRequest()
	res := kmsg.NewDescribeConfigsRequestResource()
	res.ResourceType, res.ResourceName = kmsg.ConfigResourceTypeBroker, brokerResource(id)
	req.Resources = append(req.Resources, res)
	return req
}

// brokerConfig returns the keys that were set at run time for this resource alone. A broker also lists its file and its
// defaults.
func brokerConfig(id int32, resp *kmsg.DescribeConfigsResponse) (map[string]string, error) {
	source := kmsg.ConfigSourceDynamicBrokerConfig
	if id == kafka.AllBrokers {
		source = kmsg.ConfigSourceDynamicDefaultBrokerConfig
	}
	if len(resp.Resources) == 0 {
		return nil, errNoAnswer
	}
	r := resp.Resources[0] // the request named one
	if err := answered(r.ErrorCode, r.ErrorMessage); err != nil {
		return nil, err
	}
	return setHere(r.Configs, source), nil
}

func setHere(entries []kmsg.DescribeConfigsResponseResourceConfig, source kmsg.ConfigSource) map[string]string {
	config := map[string]string{}
	for _, e := range entries {
		if e.Source != source {
			continue
		}
		config[e.Name] = ""
		if e.Value != nil && !e.IsSensitive {
			config[e.Name] = *e.Value
		}
	}
	return config
}

// inUse returns the value that a broker uses of each key, wherever it comes from.
func inUse(resp *kmsg.DescribeConfigsResponse) map[string]string {
	values := map[string]string{}
	for _, r := range resp.Resources {
		for _, e := range r.Configs {
			if e.Value != nil && !e.IsSensitive {
				values[e.Name] = *e.Value
			}
		}
	}
	return values
}

// brokerResource is Kafka's name for one broker's configuration. The empty name stands for all brokers.
func brokerResource(id int32) string {
	if id == kafka.AllBrokers {
		return ""
	}
	return strconv.Itoa(int(id))
}

func brokerText(id int32) string {
	if id == kafka.AllBrokers {
		return "all brokers"
	}
	return "broker " + strconv.Itoa(int(id))
}
