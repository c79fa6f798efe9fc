package client_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/castellan-dev/castellan/internal/kafka"
	"github.com/castellan-dev/castellan/internal/kafka/client"
	"github.com/castellan-dev/castellan/internal/kafka/kafkatest"
	"github.com/castellan-dev/castellan/internal/version"
)

const (
	loadedTries = 10  // changes, each of which every broker has to act by at the first login
	loadedUsers = 100 // in each change, so that a broker takes a moment to act by it
)

// What a broker has shown before its last image it acts by. On this the operator relies, in place of a login of every
// user on every broker.
func TestABrokerActsByWhatItHasShownBeforeItsLastImage(t *testing.T) {
	needKafka(t)
	for _, v := range version.Catalogue {
		t.Run(v.Kafka, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), pace.Of(5*time.Minute))
			defer cancel()
			k := cluster
			if v.Kafka != kafkatest.Version {
				var err error
				if k, err = kafkatest.Start(ctx, kafkatest.Options{Version: v.Kafka}); err != nil {
					t.Fatal(err)
				}
				defer k.Close()
			}
			c, _ := connectTo(t, k)
			grows(ctx, t, c, k)
			for try := range loadedTries {
				let := fmt.Sprintf("let-%d", try)
				change(ctx, t, c, let, true)
				waitLoaded(ctx, t, c, k)
				for _, n := range k.Nodes {
					if err := logIn(ctx, n, let); err != nil {
						t.Errorf("try %d: broker %d has loaded the credentials: %v", try, n.NodeID, err)
					}
				}
				change(ctx, t, c, let, false)
				waitLoaded(ctx, t, c, k)
				for _, n := range k.Nodes {
					if err := logIn(ctx, n, let); !errors.Is(err, kafka.ErrAuthenticationFailed) {
						t.Errorf("try %d: broker %d has loaded their deletion: %v", try, n.NodeID, err)
					}
				}
			}
		})
	}
}

// grows sees that an idle cluster's log grows on every broker.
func grows(ctx context.Context, t *testing.T, c *client.Client, k *kafkatest.Cluster) {
	t.Helper()
	for _, n := range k.Nodes {
		began, shown := time.Now(), map[int64]bool{}
		eventually(t, "the log of an idle cluster grows", func() error {
			at, err := c.Loaded(ctx, n.NodeID)
			if err == nil {
				shown[at] = true
			}
			if len(shown) < 5 {
				return fmt.Errorf("%d images (%v)", len(shown), err)
			}
			return nil
		})
		t.Logf("broker %d shows a new image every %s", n.NodeID, (time.Since(began) / 4).Round(time.Millisecond))
	}
}

// change sets or deletes the credentials of many users, whose names begin so.
func change(ctx context.Context, t *testing.T, c *client.Client, prefix string, set bool) {
	t.Helper()
	var upserts []kafka.ScramUpsert
	var deletions []kafka.ScramDeletion
	for n := range loadedUsers {
		name := fmt.Sprintf("%s-%d", prefix, n)
		if set {
			upserts = append(upserts, kafka.ScramUpsert{User: name, Mechanism: "SCRAM-SHA-512", Iterations: 4096,
				Password: plainPassword})
		} else {
			deletions = append(deletions, kafka.ScramDeletion{User: name, Mechanism: "SCRAM-SHA-512"})
		}
	}
	eventually(t, "it is written", func() error {
		results, err := c.AlterScramCredentials(ctx, upserts, deletions)
		for _, result := range results {
			err = errors.Join(err, result)
		}
		return err
	})
}

// waitLoaded waits by the rule of kafka.UserAdmin until every broker acts by what has been written.
func waitLoaded(ctx context.Context, t *testing.T, c *client.Client, k *kafkatest.Cluster) {
	t.Helper()
	var end int64
	eventually(t, "the quorum tells where the log ends", func() (err error) {
		end, err = c.MetadataEnd(ctx)
		return err
	})
	for _, n := range k.Nodes {
		first := int64(-1)
		eventually(t, "the broker has loaded it", func() error {
			at, err := c.Loaded(ctx, n.NodeID)
			switch {
			case err == nil && first >= 0 && at > first:
				return nil
			case err == nil && first < 0 && at >= end-1:
				first = at
			}
			return fmt.Errorf("it shows %d, the end is %d (%w)", at, end, err)
		})
	}
}

// logIn tries the first, the middle and the last of many users: a broker takes them in no order.
func logIn(ctx context.Context, n *kafkatest.Node, prefix string) error {
	var errs []error
	for _, user := range []int{0, loadedUsers / 2, loadedUsers - 1} {
		errs = append(errs, client.Prober{}.TryLogin(ctx, kafka.Login{Address: n.Clients, Mechanism: "SCRAM-SHA-512",
			Username: fmt.Sprintf("%s-%d", prefix, user), Password: plainPassword}))
	}
	if slices.Contains(errs, nil) && errors.Join(errs...) != nil {
		return fmt.Errorf("some are let in, and others are not: %v", errs)
	}
	return errors.Join(errs...)
}
