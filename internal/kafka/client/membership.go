package client

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/castellan-dev/castellan/internal/kafka"
)

// controllerListener is the name of the listener on which the voters of the metadata quorum talk to each other.
const controllerListener = "CONTROLLER"

// AddVoter implements kafka.ClusterAdmin. Kafka refuses an observer that lags behind. It answers when the new set of
// voters is committed.
func (c *Client) AddVoter(ctx context.Context, replica kafka.QuorumMember, endpoint string) error {
	if err := c.addVoter(ctx, replica, endpoint); err != nil {
		return fmt.Errorf("add voter %s at %s: %w", memberText(replica), endpoint, err)
	}
	return nil
}

func (c *Client) addVoter(ctx context.Context, replica kafka.QuorumMember, endpoint string) error {
	directory, err := uuidBytes(replica.DirectoryID)
	if err != nil {
		return err
	}
	listener, err := raftListener(endpoint)
	if err != nil {
		return err
	}
	req := kmsg.NewPtrAddRaftVoterRequest()
	req.VoterID, req.VoterDirectoryID = replica.ID, directory
	req.Listeners = []kmsg.AddRaftVoterRequestListener{listener}
	req.TimeoutMillis = timeoutMillis
	return c.changeVoters(ctx, func() (int16, *string, error) {
		resp, err := write[*kmsg.AddRaftVoterResponse](ctx, c, req)
		if err != nil {
			return 0, nil, err
		}
		if resp.ErrorCode == kerr.DuplicateVoter.Code {
			// Kafka gives the same answer to a node with a new disk while its old disk is still a voter.
			if voter, err := c.isVoter(ctx, replica); voter || err != nil {
				return 0, nil, err
			}
		}
		return resp.ErrorCode, resp.ErrorMessage, nil
	})
}

// changeVoters sends a change of the set of voters, and sends it again if the broker did not find the quorum's leader.
// A broker forwards such a request to the last controller that it knew. The controller's NOT_LEADER does not make the
// broker look for another one. DescribeQuorum does, and is answered as soon as there is a leader.
func (c *Client) changeVoters(ctx context.Context, send func() (int16, *string, error)) error {
	code, message, err := send()
	if err == nil && code == kerr.NotLeaderForPartition.Code {
		if _, err = c.quorum(ctx); err == nil {
			code, message, err = send()
		}
	}
	if err != nil {
		return err
	}
	return answered(code, message)
}

func (c *Client) quorum(ctx context.Context) (kafka.Quorum, error) {
	resp, err := read[*kmsg.DescribeQuorumResponse](ctx, c, describeQuorum())
	if err == nil {
		var quorum kafka.Quorum
		if quorum, err = quorumOf(resp); err == nil {
			return quorum, nil
		}
	}
	return kafka.Quorum{}, fmt.Errorf("describe quorum: %w", err)
}

// isVoter asks the quorum's leader whether exactly this replica is a voter.
func (c *Client) isVoter(ctx context.Context, replica kafka.QuorumMember) (bool, error) {
	quorum, err := c.quorum(ctx)
	return slices.ContainsFunc(quorum.Voters, func(v kafka.QuorumReplica) bool {
		return v.ID == replica.ID && v.DirectoryID == replica.DirectoryID
	}), err
}

// RemoveVoter implements kafka.ClusterAdmin.
func (c *Client) RemoveVoter(ctx context.Context, replica kafka.QuorumMember) error {
	directory, err := uuidBytes(replica.DirectoryID)
	if err == nil {
		req := kmsg.NewPtrRemoveRaftVoterRequest()
		req.VoterID, req.VoterDirectoryID = replica.ID, directory
		err = c.changeVoters(ctx, func() (int16, *string, error) {
			resp, err := write[*kmsg.RemoveRaftVoterResponse](ctx, c, req)
			if err != nil {
				return 0, nil, err
			}
			if resp.ErrorCode == kerr.VoterNotFound.Code {
				// Kafka gives the same answer for the last voter, which it keeps.
				if voter, err := c.isVoter(ctx, replica); !voter || err != nil {
					return 0, nil, err
				}
			}
			return resp.ErrorCode, resp.ErrorMessage, nil
		})
	}
	if err != nil {
		return fmt.Errorf("remove voter %s: %w", memberText(replica), err)
	}
	return nil
}

// UnregisterBroker implements kafka.ClusterAdmin.
func (c *Client) UnregisterBroker(ctx context.Context, id int32) error {
	req := kmsg.NewPtrUnregisterBrokerRequest()
	req.BrokerID = id
	resp, err := write[*kmsg.UnregisterBrokerResponse](ctx, c, req)
	if err == nil && resp.ErrorCode != kerr.BrokerIDNotRegistered.Code {
		err = answered(resp.ErrorCode, resp.ErrorMessage)
	}
	if err != nil {
		return fmt.Errorf("unregister broker %d: %w", id, err)
	}
	return nil
}

// metadataVersion is the feature that says which records the metadata log may hold (KIP-584).
const metadataVersion = "metadata.version"

// Kinds of a change in UpdateFeatures (KIP-778). Castellan never asks for the third, a downgrade that loses metadata.
const (
	featureUpgrade       int8 = 1
	featureSafeDowngrade int8 = 2
)

// SetMetadataVersion implements kafka.ClusterAdmin.
func (c *Client) SetMetadataVersion(ctx context.Context, level int16) error {
	if err := c.setMetadataVersion(ctx, level); err != nil {
		return fmt.Errorf("set metadata.version to level %d: %w", level, err)
	}
	return nil
}

func (c *Client) setMetadataVersion(ctx context.Context, level int16) error {
	if level < 1 {
		return errors.New("the lowest level is 1") // Kafka takes a lower one for the wish to remove the feature
	}
	versions, err := read[*kmsg.ApiVersionsResponse](ctx, c, askFeatures())
	if err != nil {
		return fmt.Errorf("read feature levels: %w", err)
	}
	features, err := finalized(versions)
	if err != nil {
		return fmt.Errorf("read feature levels: %w", err)
	}
	if features[metadataVersion] == level {
		return nil
	}
	update := kmsg.NewUpdateFeaturesRequestFeatureUpdate()
	update.Feature, update.MaxVersionLevel, update.UpgradeType = metadataVersion, level, featureUpgrade
	if level < features[metadataVersion] {
		update.UpgradeType = featureSafeDowngrade
	}
	req := kmsg.NewPtrUpdateFeaturesRequest()
	req.TimeoutMillis = timeoutMillis
	req.FeatureUpdates = append(req.FeatureUpdates, update)
	resp, err := write[*kmsg.UpdateFeaturesResponse](ctx, c, req)
	if err != nil {
		return err
	}
	for _, r := range resp.Results { // v0 and v1 only: their error is here and not in the answer as a whole
		if err := answered(r.ErrorCode, r.ErrorMessage); err != nil {
			return err
		}
	}
	return answered(resp.ErrorCode, resp.ErrorMessage)
}

func raftListener(endpoint string) (kmsg.AddRaftVoterRequestListener, error) {
	listener := kmsg.NewAddRaftVoterRequestListener()
	host, text, err := net.SplitHostPort(endpoint)
	if err != nil {
		return listener, err
	}
	port, err := strconv.ParseUint(text, 10, 16)
	if err != nil {
		return listener, fmt.Errorf("port: %w", err)
	}
	listener.Name, listener.Host, listener.Port = controllerListener, host, uint16(port)
	return listener, nil
}

// uuidBytes reads a directory id in Kafka's text form (base64url).
func uuidBytes(text string) ([16]byte, error) {
	var id [16]byte
	raw, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil {
		return id, fmt.Errorf("directory id %q: %w", text, err)
	}
	if len(raw) != len(id) {
		return id, fmt.Errorf("directory id %q has %d bytes instead of %d", text, len(raw), len(id))
	}
	copy(id[:], raw)
	return id, nil
}

func memberText(m kafka.QuorumMember) string {
	return fmt.Sprintf("%d (directory %s)", m.ID, m.DirectoryID)
}
