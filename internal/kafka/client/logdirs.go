package client

import (
	"context"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/castellan-dev/castellan/internal/kafka"
)

// logDirsTimeout bounds what the brokers whose log directories are asked for add to the time of a snapshot. They are
// asked together. A file system that hangs delays such an answer for ever.
const logDirsTimeout = 2 * time.Second

// readLogDirs asks brokers for their log directories. None has an entry that does not answer, or not with all of them.
func (c *Client) readLogDirs(ctx context.Context, inDoubt []int32, s *kafka.Snapshot) {
	ctx, cancel := context.WithTimeout(ctx, logDirsTimeout)
	defer cancel()
	var (
		wait sync.WaitGroup
		mu   sync.Mutex
	)
	for _, id := range toAskForLogDirs(inDoubt, s) {
		wait.Go(func() {
			resp, err := askBroker[*kmsg.DescribeLogDirsResponse](ctx, c, id, describeLogDirs())
			if err != nil {
				return
			}
			if dirs := logDirsOf(resp); dirs != nil {
				findSole(id, dirs, s.Partitions)
				mu.Lock()
				defer mu.Unlock()
				if s.LogDirs == nil {
					s.LogDirs = map[int32][]kafka.LogDir{}
				}
				s.LogDirs[id] = dirs
			}
		})
	}
	wait.Wait()
}

// toAskForLogDirs lists the brokers that are not fenced and have an offline replica, so that one of their log
// directories has failed, and those in doubt. A broker that has just not answered for its run-time keys is left out.
func toAskForLogDirs(inDoubt []int32, s *kafka.Snapshot) []int32 {
	ids := slices.Clone(inDoubt)
	for i := range s.Partitions {
		ids = append(ids, s.Partitions[i].Offline...)
	}
	slices.Sort(ids)
	return slices.DeleteFunc(slices.Compact(ids), func(id int32) bool {
		_, answers := s.BrokerConfigs[id]
		return !answers
	})
}

// describeLogDirs asks a broker for its log directories with all that is in them.
func describeLogDirs() *kmsg.DescribeLogDirsRequest {
	req := kmsg.NewPtrDescribeLogDirsRequest()
	req.Topics = nil // all
	return req
}

// findSole finds in the log directories of a broker the replicas whose partitions are in sync on no other.
func findSole(id int32, dirs []kafka.LogDir, partitions []kafka.Partition) {
	sole := map[kafka.PartitionID]bool{}
	for i := range partitions {
		if p := &partitions[i]; slices.Contains(p.Replicas, id) && p.IsSole(id) {
			sole[kafka.PartitionID{Topic: p.Topic, Number: p.Number}] = true
		}
	}
	for i := range dirs {
		for _, held := range dirs[i].Holds {
			if sole[held] {
				dirs[i].Sole = append(dirs[i].Sole, held)
			}
		}
	}
}

// logDirsOf sorts the directories by path; nil = the broker has not told them. Before version 3 a broker that denies
// the request lists none.
func logDirsOf(resp *kmsg.DescribeLogDirsResponse) []kafka.LogDir {
	if resp.ErrorCode != 0 {
		return nil
	}
	var dirs []kafka.LogDir
	for i := range resp.Dirs {
		told := &resp.Dirs[i]
		dir := kafka.LogDir{Path: told.Dir, TotalBytes: told.TotalBytes, UsableBytes: told.UsableBytes}
		if told.ErrorCode != 0 {
			dir.Error = kerr.TypedErrorForCode(told.ErrorCode).Message
		}
		for _, topic := range told.Topics {
			for _, p := range topic.Partitions {
				if id := (kafka.PartitionID{Topic: topic.Topic, Number: p.Partition}); p.IsFuture {
					dir.Coming = append(dir.Coming, id)
				} else {
					dir.Holds = append(dir.Holds, id)
				}
			}
		}
		slices.SortFunc(dir.Holds, kafka.PartitionID.Compare)
		slices.SortFunc(dir.Coming, kafka.PartitionID.Compare)
		dirs = append(dirs, dir)
	}
	slices.SortFunc(dirs, func(a, b kafka.LogDir) int { return strings.Compare(a.Path, b.Path) })
	return dirs
}
