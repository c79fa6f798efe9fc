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
)

// membership is a cluster of dedicated controllers, whose quorum has one voter at first.
type membership struct {
	*testing.T
	ctx     context.Context
	kafka   *kafkatest.Cluster
	client  *client.Client
	counter *requests
}

// TestMembership is one story, because each chapter needs what the one before it left behind.
func TestMembership(t *testing.T) {
	needKafka(t)
	ctx, cancel := context.WithTimeout(t.Context(), pace.Of(5*time.Minute))
	defer cancel()
	k, err := kafkatest.Start(ctx, kafkatest.Options{Nodes: 2, Controllers: 3, Release: "4.2-IV1"})
	if err != nil {
		t.Fatal(err)
	}
	defer k.Close()
	c, counter := connectTo(t, k)
	m := &membership{ctx: ctx, kafka: k, client: c, counter: counter}
	for _, chapter := range []struct {
		name string
		run  func(*membership)
	}{
		{"observers become voters", (*membership).grow},
		{"a voter whose disk was emptied is replaced", (*membership).replace},
		{"the leader goes, and then another", (*membership).shrink},
		{"a stopped broker is forgotten", (*membership).unregister},
		{"metadata.version goes down and up", (*membership).features},
	} {
		ok := t.Run(chapter.name, func(t *testing.T) {
			m.T = t
			chapter.run(m)
		})
		if !ok {
			break
		}
	}
}

func (m *membership) grow() {
	m.voters("at first", 101)
	for i, id := range []int32{102, 103} {
		m.add(m.observer(id, ""))
		m.voters("one was added", []int32{101, 102, 103}[:i+2]...)
	}
	known := m.voter(102)
	if err := m.client.AddVoter(m.ctx, known, m.kafka.Node(102).Controller); err != nil {
		m.Errorf("a voter already: %v", err)
	}
	other := kafka.QuorumMember{ID: 102, DirectoryID: "A3nRkUPUQE6VhKxwKMZxTg"}
	if err := m.client.RemoveVoter(m.ctx, other); err != nil {
		m.Errorf("a directory that is no voter: %v", err)
	}
	for name, err := range map[string]error{
		"no port":            m.client.AddVoter(m.ctx, known, "localhost"),
		"no number":          m.client.AddVoter(m.ctx, known, "localhost:70000"),
		"a short directory":  m.client.AddVoter(m.ctx, kafka.QuorumMember{ID: 102, DirectoryID: "A3nR"}, "localhost:1"),
		"no base64":          m.client.RemoveVoter(m.ctx, kafka.QuorumMember{ID: 102, DirectoryID: "="}),
		"an empty directory": m.client.RemoveVoter(m.ctx, kafka.QuorumMember{ID: 102}),
	} {
		if err == nil || errors.Is(err, kafka.ErrUnreachable) {
			m.Errorf("%s: %v", name, err)
		}
	}
	m.voters("all were there already", 101, 102, 103)
}

func (m *membership) replace() {
	lost := m.voter(103)
	m.kafka.StopNode(m.ctx, 103)
	if err := m.kafka.EmptyNode(m.ctx, 103); err != nil {
		m.Fatal(err)
	}
	if err := m.kafka.StartNode(m.ctx, 103); err != nil {
		m.Fatal(err)
	}
	fresh := m.observer(103, lost.DirectoryID)
	// Kafka gives the same answer as for a voter that is there already, and that must not pass for success.
	refused(m.T, m.client.AddVoter(m.ctx, fresh, m.kafka.Node(103).Controller), "DUPLICATE_VOTER")
	for range 2 {
		if err := m.client.RemoveVoter(m.ctx, lost); err != nil {
			m.Fatal(err)
		}
	}
	m.voters("the lost disk was removed", 101, 102)
	m.add(fresh)
	m.voters("the new disk was added", 101, 102, 103)
	if got := m.voter(103); got != fresh {
		m.Errorf("the voter is %v, want %v", got, fresh)
	}
}

func (m *membership) shrink() {
	for left := 2; left >= 1; left-- {
		leader := m.voter(m.snapshot().Quorum.LeaderID)
		for range 2 { // and at once again, while the broker still takes it for the leader
			if err := m.client.RemoveVoter(m.ctx, leader); err != nil {
				m.Fatal(err)
			}
		}
		eventually(m.T, "another leads", func() error {
			s, err := m.client.Snapshot(m.ctx)
			if err != nil {
				return err
			}
			if len(s.Quorum.Voters) != left || s.Quorum.LeaderID == leader.ID {
				return fmt.Errorf("%+v", s.Quorum)
			}
			return nil
		})
	}
	last := m.voter(m.snapshot().Quorum.LeaderID)
	// Kafka gives the same answer as for one that is no voter.
	refused(m.T, m.client.RemoveVoter(m.ctx, last), "VOTER_NOT_FOUND")
	m.voters("nobody removes the last", last.ID)
}

func (m *membership) unregister() {
	m.kafka.StopNode(m.ctx, 2)
	for range 2 {
		if err := m.client.UnregisterBroker(m.ctx, 2); err != nil {
			m.Fatal(err)
		}
	}
	eventually(m.T, "only broker 1 is registered", func() error {
		s, err := m.client.Snapshot(m.ctx)
		if err != nil || len(s.Brokers) != 1 || s.Brokers[0].ID != 1 {
			return fmt.Errorf("%+v (%v)", s, err)
		}
		return nil
	})
	if err := m.client.UnregisterBroker(m.ctx, 77); err != nil {
		m.Errorf("one that never was: %v", err)
	}
}

func (m *membership) features() {
	set := func(level int16, updates int) {
		m.Helper()
		m.counter.take()
		if err := m.client.SetMetadataVersion(m.ctx, level); err != nil {
			m.Fatal(err)
		}
		if got := m.counter.take()["UpdateFeatures"]; got != updates {
			m.Errorf("%d updates for level %d, want %d", got, level, updates)
		}
		eventually(m.T, fmt.Sprintf("level %d", level), func() error {
			s, err := m.client.Snapshot(m.ctx)
			if err != nil || s.MetadataVersion != level ||
				s.Features["metadata.version"] != level || s.Features["kraft.version"] != 1 {
				return fmt.Errorf("%+v (%v)", s, err)
			}
			return nil
		})
	}
	set(29, 0)
	set(28, 1)
	set(29, 1)
	set(30, 1)
	set(30, 0)
	for _, level := range []int16{29, 99} { // 4.3 added records that no earlier level can hold; 99 does not exist
		refused(m.T, m.client.SetMetadataVersion(m.ctx, level), "INVALID_UPDATE_VERSION")
	}
	if err := m.client.SetMetadataVersion(m.ctx, 0); err == nil {
		m.Error("level 0 would take the feature away")
	}
	set(30, 0)
}

// add makes an observer a voter. Kafka refuses for a moment: the observer may be behind, or a change just before may
// not be finished.
func (m *membership) add(replica kafka.QuorumMember) {
	m.Helper()
	eventually(m.T, "add voter", func() error {
		return m.client.AddVoter(m.ctx, replica, m.kafka.Node(replica.ID).Controller)
	})
}

// observer returns an observer of the quorum that has another directory than the given one.
func (m *membership) observer(id int32, notDirectory string) kafka.QuorumMember {
	m.Helper()
	var found kafka.QuorumMember
	eventually(m.T, fmt.Sprintf("%d observes", id), func() error {
		s, err := m.client.Snapshot(m.ctx)
		if err != nil {
			return err
		}
		for _, o := range s.Quorum.Observers {
			if o.ID == id && o.DirectoryID != notDirectory {
				found = kafka.QuorumMember{ID: id, DirectoryID: o.DirectoryID}
				return nil
			}
		}
		return fmt.Errorf("%+v", s.Quorum)
	})
	return found
}

func (m *membership) voter(id int32) kafka.QuorumMember {
	m.Helper()
	q := m.snapshot().Quorum
	i := slices.IndexFunc(q.Voters, func(r kafka.QuorumReplica) bool { return r.ID == id })
	if i < 0 {
		m.Fatalf("%d is no voter: %+v", id, q)
	}
	return kafka.QuorumMember{ID: id, DirectoryID: q.Voters[i].DirectoryID}
}

func (m *membership) voters(when string, want ...int32) {
	m.Helper()
	var got []int32
	for _, v := range m.snapshot().Quorum.Voters {
		got = append(got, v.ID)
	}
	if !slices.Equal(got, want) {
		m.Errorf("%s: voters %v, want %v", when, got, want)
	}
}

func (m *membership) snapshot() *kafka.Snapshot {
	m.Helper()
	var s *kafka.Snapshot
	eventually(m.T, "snapshot", func() error {
		var err error
		s, err = m.client.Snapshot(m.ctx)
		return err
	})
	return s
}
