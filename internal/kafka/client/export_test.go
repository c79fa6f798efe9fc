package client

import (
	"context"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// SnapshotFrom is what Snapshot does with the broker that it chose.
var SnapshotFrom = (*Client).snapshotFrom

// Prefer makes a broker the first to be asked.
var Prefer = (*Client).prefer

// Believe lets a client take a cluster to have so many ACLs.
func Believe(c *Client, acls int64) { c.acls.Store(acls) }

// SupportedFeatures asks a broker for the lowest and the highest level that it supports of each feature.
func SupportedFeatures(ctx context.Context, c *Client) (map[string][2]int16, error) {
	resp, err := read[*kmsg.ApiVersionsResponse](ctx, c, askFeatures())
	if err != nil {
		return nil, err
	}
	ranges := map[string][2]int16{}
	for _, f := range resp.SupportedFeatures {
		ranges[f.Name] = [2]int16{f.MinVersion, f.MaxVersion}
	}
	return ranges, nil
}
