package client_test

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/castellan-dev/castellan/internal/kafka"
	"github.com/castellan-dev/castellan/internal/kafka/client"
)

func TestSnapshotSaysWhatTheClusterIs(t *testing.T) {
	c, _ := connect(t)
	ctx := t.Context()
	topics, err := c.CreateTopics(ctx, []kafka.NewTopic{
		{Name: "seen", Partitions: 2, ReplicationFactor: 3, Config: map[string]string{"min.insync.replicas": "2"}},
		{Name: "seen-plain", Partitions: 1, ReplicationFactor: 1},
	})
	if err != nil || topics["seen"].Err != nil || topics["seen-plain"].Err != nil {
		t.Fatal(err, topics)
	}
	for id, change := range map[int32]kafka.ConfigChange{
		kafka.AllBrokers: {Key: "log.cleaner.threads", Value: ptr("1")},
		2:                {Key: "leader.replication.throttled.rate", Value: ptr("1000000")},
	} {
		if err := c.AlterBrokerConfig(ctx, id, []kafka.ConfigChange{change}); err != nil {
			t.Fatal(err)
		}
	}
	before := time.Now()
	var s *kafka.Snapshot
	eventually(t, "snapshot", func() error {
		if s, err = c.Snapshot(ctx); err != nil {
			return err
		}
		if of(s, "seen") != 2 || of(s, "seen-plain") != 1 ||
			s.Config["log.cleaner.threads"] != "1" || len(s.BrokerConfigs[2]) != 1 {
			return fmt.Errorf("%+v", s)
		}
		return nil
	})
	if s.TakenAt.Before(before) || s.ClusterID != cluster.ID || s.MetadataVersion != 30 || s.Reassigning != 0 {
		t.Errorf("got %+v", s)
	}
	if want := []kafka.Broker{{ID: 1}, {ID: 2}, {ID: 3}}; !slices.Equal(s.Brokers, want) {
		t.Errorf("brokers %+v, want %+v", s.Brokers, want)
	}
	if len(s.BrokerConfigs) != 3 || len(s.BrokerConfigs[1]) != 0 ||
		s.BrokerConfigs[2]["leader.replication.throttled.rate"] != "1000000" {
		t.Errorf("broker configurations %v", s.BrokerConfigs)
	}
	if s.Config["min.insync.replicas"] != "1" { // written by the controller at the first start, because ELR is on
		t.Errorf("configuration of all %v", s.Config)
	}
	if !slices.IsSortedFunc(s.Partitions, func(a, b kafka.Partition) int {
		return cmp.Or(cmp.Compare(a.Topic, b.Topic), cmp.Compare(a.Number, b.Number))
	}) {
		t.Error("partitions are not sorted")
	}
	for _, p := range s.Partitions {
		want := int32(1)
		if p.Topic == "seen" {
			want = 2
		}
		if p.MinISR != want || p.Leader < 1 || len(p.ISR) != len(p.Replicas) {
			t.Errorf("partition %+v", p)
		}
	}
	checkQuorum(t, s.Quorum)
}

func checkQuorum(t *testing.T, q kafka.Quorum) {
	t.Helper()
	if q.LeaderID < 1 || q.LeaderEpoch < 1 || q.HighWatermark < 1 || len(q.Voters) != 3 {
		t.Fatalf("quorum %+v", q)
	}
	for i, v := range q.Voters {
		if v.ID != int32(i+1) || len(v.DirectoryID) != 22 || v.LogEndOffset < 1 ||
			time.Since(v.LastCaughtUp) > time.Minute {
			t.Errorf("voter %+v", v)
		}
	}
}

func of(s *kafka.Snapshot, topic string) int {
	n := 0
	for _, p := range s.Partitions {
		if p.Topic == topic {
			n++
		}
	}
	return n
}

func TestSnapshotCostsTheSameForFewAndManyTopics(t *testing.T) {
	c, counter := connect(t)
	var asked []kafka.NewTopic
	for i := range 200 {
		asked = append(asked, kafka.NewTopic{Name: fmt.Sprintf("many-%03d", i), Partitions: 1, ReplicationFactor: 1})
	}
	var costs []int
	for _, upTo := range []int{5, 200} {
		if _, err := c.CreateTopics(t.Context(), asked[len(costs)*5:upTo]); err != nil {
			t.Fatal(err)
		}
		eventually(t, "all topics are seen", func() error {
			counter.take()
			began := time.Now()
			s, err := c.Snapshot(t.Context())
			if err != nil {
				return err
			}
			if of(s, asked[upTo-1].Name) != 1 {
				return errors.New("not all are there")
			}
			t.Logf("%d partitions in %s", len(s.Partitions), time.Since(began))
			return nil
		})
		got := counter.take()
		t.Logf("with %d topics and more: %v", upTo, got)
		// The question for the feature levels is an ApiVersions too, as is the greeting of a new connection: the kinds
		// that no connection sends are compared.
		delete(got, "ApiVersions")
		costs = append(costs, total(got))
	}
	if costs[0] != costs[1] || costs[0] != 7+3 {
		t.Errorf("requests without ApiVersions: %v, want 10 (3 brokers) each time", costs)
	}
}

func TestABrokerInDoubtIsAskedForItsLogDirectories(t *testing.T) {
	c, counter := connect(t)
	name := kafka.NewTopic{Name: "placed", Partitions: 3, ReplicationFactor: 1}
	if _, err := c.CreateTopics(t.Context(), []kafka.NewTopic{name}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the partition of broker 2 is in its log directory", func() error {
		counter.take()
		s, err := c.Snapshot(t.Context(), 2)
		if err != nil {
			return err
		}
		i := slices.IndexFunc(s.Partitions, func(p kafka.Partition) bool { return p.Topic == "placed" && p.Leader == 2 })
		dirs := s.LogDirs[2]
		if i < 0 || len(s.LogDirs) != 1 || len(dirs) != 1 || dirs[0].Error != "" ||
			dirs[0].UsableBytes <= 0 || dirs[0].TotalBytes < dirs[0].UsableBytes ||
			!slices.Contains(dirs[0].Sole, kafka.PartitionID{Topic: "placed", Number: s.Partitions[i].Number}) {
			return fmt.Errorf("%+v", s.LogDirs)
		}
		return nil
	})
	if asked := counter.take()["DescribeLogDirs"]; asked != 1 {
		t.Errorf("%d brokers were asked", asked)
	}
}

func TestAtRestNothingIsSent(t *testing.T) {
	c, counter := connect(t)
	if _, err := c.Snapshot(t.Context()); err != nil {
		t.Fatal(err)
	}
	counter.take()
	// There is no event for "nothing": the counter is watched for longer than any period of the library below the hour
	// (its metadata back-off is 5 s), and the test ends at once when something is sent.
	deadline := time.After(7 * time.Second)
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-deadline:
			return
		case <-tick.C:
			if got := counter.take(); len(got) > 0 {
				t.Fatalf("at rest: %v", got)
			}
		}
	}
}

func TestBrokerConfigurationIsSetAndTakenBack(t *testing.T) {
	c, counter := connect(t)
	ctx := t.Context()
	const key = "follower.replication.throttled.rate"
	for _, id := range []int32{kafka.AllBrokers, 3} {
		if err := c.AlterBrokerConfig(ctx, id, []kafka.ConfigChange{{Key: key, Value: ptr("5000000")}}); err != nil {
			t.Fatal(err)
		}
		has := func(want bool) func() error {
			return func() error {
				config, err := c.BrokerConfig(ctx, id)
				if _, ok := config[key]; err != nil || ok != want {
					return fmt.Errorf("%v (%v)", config, err)
				}
				return nil
			}
		}
		eventually(t, "set", has(true))
		if err := c.AlterBrokerConfig(ctx, id, []kafka.ConfigChange{{Key: key}}); err != nil {
			t.Fatal(err)
		}
		eventually(t, "deleted", has(false))
	}
	counter.take()
	err := c.AlterBrokerConfig(ctx, kafka.AllBrokers, []kafka.ConfigChange{set("log.cleaner.threads", "many")})
	refused(t, err, "INVALID_REQUEST") // a topic's would be INVALID_CONFIG
	cost(t, counter, "IncrementalAlterConfigs", 1)
	if err := c.AlterBrokerConfig(ctx, 77, []kafka.ConfigChange{{Key: key}}); !errors.Is(err, kafka.ErrUnreachable) {
		t.Errorf("a broker that is none: %v", err)
	}
	if err := c.ElectPreferredLeaders(ctx); err != nil {
		t.Errorf("nothing to elect: %v", err)
	}
}

func TestReloadServesTheNewCertificateAndPersistsNothing(t *testing.T) {
	c, _ := connect(t)
	node := cluster.Nodes[1]
	before := serial(t, node.Secure)
	if err := node.Certify(cluster.CA); err != nil {
		t.Fatal(err)
	}
	if err := c.ReloadCertificates(t.Context(), node.NodeID); err != nil {
		t.Fatal(err)
	}
	eventually(t, "a new certificate", func() error {
		if now := serial(t, node.Secure); now == before {
			return fmt.Errorf("serial %s", now)
		}
		return nil
	})
	config, err := c.BrokerConfig(t.Context(), node.NodeID)
	for key := range config {
		if key == "listener.name.replication.ssl.keystore.location" {
			t.Errorf("persisted %s", key)
		}
	}
	if err != nil {
		t.Error(err)
	}
}

func serial(t *testing.T, address string) string {
	t.Helper()
	config, err := client.TLSConfig(cluster.CA.PEM, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	conn, err := tls.Dial("tcp", address, config)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	return conn.ConnectionState().PeerCertificates[0].SerialNumber.String()
}

func TestOverMutualTLSWithADeadSeedInFront(t *testing.T) {
	needKafka(t)
	config := identity(t, "operator")
	seeds := []string{"none.invalid:9091", "127.0.0.1:1", cluster.Nodes[0].Mutual}
	for range 3 { // the library starts with a seed by chance
		c, err := client.New(client.Options{Seeds: seeds, TLS: config})
		if err != nil {
			t.Fatal(err)
		}
		s, err := c.Snapshot(t.Context())
		c.Close()
		if err != nil || len(s.Brokers) != 3 {
			t.Fatal(err)
		}
	}
	anonymous, err := client.TLSConfig(cluster.CA.PEM, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	c, err := client.New(client.Options{Seeds: []string{cluster.Nodes[0].Mutual}, TLS: anonymous})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := c.Snapshot(t.Context()); !errors.Is(err, kafka.ErrAuthenticationFailed) {
		t.Errorf("without a certificate: %v", err)
	}
}

func TestNobodyAnswers(t *testing.T) {
	c, err := client.New(client.Options{Seeds: []string{"127.0.0.1:1", "none.invalid:9092"}})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := c.Snapshot(t.Context()); !errors.Is(err, kafka.ErrUnreachable) {
		t.Errorf("snapshot: %v", err)
	}
	if _, err := c.DescribeTopics(t.Context(), []string{"a"}); !errors.Is(err, kafka.ErrUnreachable) {
		t.Errorf("describe: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := c.ACLs(ctx, nil); !errors.Is(err, context.Canceled) || errors.Is(err, kafka.ErrUnreachable) {
		t.Errorf("cancelled: %v", err)
	}
}

// TestBrokerOutages stops a node and freezes another.
func TestBrokerOutages(t *testing.T) {
	c, _ := connect(t)
	ctx, cancel := context.WithTimeout(t.Context(), pace.Of(3*time.Minute))
	defer cancel()

	created, err := c.CreateTopics(ctx, []kafka.NewTopic{{Name: "outages", Partitions: 6, ReplicationFactor: 3}})
	if err := errors.Join(err, created["outages"].Err); err != nil {
		t.Fatal(err)
	}
	cluster.StopNode(ctx, 3)
	eventually(t, "a stopped broker is fenced and its ISR shrinks", func() error {
		s, err := c.Snapshot(ctx)
		if err != nil {
			return err
		}
		fenced := slices.ContainsFunc(s.Brokers, func(b kafka.Broker) bool { return b.ID == 3 && b.Fenced })
		if _, ok := s.BrokerConfigs[3]; ok || !fenced || len(s.BrokerConfigs) != 2 {
			return fmt.Errorf("brokers %+v, configurations %v", s.Brokers, s.BrokerConfigs)
		}
		return nil
	})
	err = c.AlterBrokerConfig(ctx, 3, []kafka.ConfigChange{{Key: "background.threads"}})
	if !errors.Is(err, kafka.ErrUnreachable) {
		t.Errorf("alter the stopped broker: %v", err)
	}
	for range 4 { // whoever is asked first, somebody answers
		if _, err := c.ACLs(ctx, nil); err != nil {
			t.Errorf("list ACLs: %v", err)
		}
	}
	if err := cluster.StartNode(ctx, 3); err != nil {
		t.Fatal(err)
	}
	eventually(t, "all ISRs are complete", func() error {
		s, err := c.Snapshot(ctx)
		if err != nil {
			return err
		}
		for _, p := range s.Partitions {
			if len(p.ISR) != len(p.Replicas) {
				return fmt.Errorf("%+v", p)
			}
		}
		return nil
	})
	away := ledByOthers(t, c)
	if len(away) < 2 {
		t.Fatalf("others lead %v", away)
	}
	if err := c.ElectPreferredLeaders(ctx, away[0]); err != nil {
		t.Errorf("elect the preferred leader of %v: %v", away[0], err)
	}
	eventually(t, "of one partition the preferred replica leads again, and of no other", func() error {
		if now := ledByOthers(t, c); !slices.Equal(now, away[1:]) {
			return fmt.Errorf("others lead %v, and led %v", now, away)
		}
		return nil
	})
	if err := c.ElectPreferredLeaders(ctx); err != nil {
		t.Errorf("elect preferred leaders: %v", err)
	}
	eventually(t, "preferred leaders lead", func() error {
		s, err := c.Snapshot(ctx)
		if err != nil {
			return err
		}
		for _, p := range s.Partitions {
			if p.Leader != p.Replicas[0] {
				return fmt.Errorf("%+v", p)
			}
		}
		return nil
	})
}

// ledByOthers lists the partitions of the test's topic that others lead than their preferred replicas.
func ledByOthers(t *testing.T, c *client.Client) []kafka.PartitionID {
	t.Helper()
	s, err := c.Snapshot(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var away []kafka.PartitionID
	for _, p := range s.Partitions {
		if p.Topic == "outages" && p.Leader != p.Replicas[0] {
			away = append(away, kafka.PartitionID{Topic: p.Topic, Number: p.Number})
		}
	}
	slices.SortFunc(away, kafka.PartitionID.Compare)
	return away
}

// TestTheViewOfAFrozenBrokerIsNoEvidence: a broker that wakes up believes for a moment that all is as it was.
func TestTheViewOfAFrozenBrokerIsNoEvidence(t *testing.T) {
	c, _ := connect(t)
	ctx, cancel := context.WithTimeout(t.Context(), pace.Of(2*time.Minute))
	defer cancel()
	s, err := c.Snapshot(ctx)
	if err != nil {
		t.Fatal(err)
	}
	victim := s.Quorum.LeaderID%3 + 1 // not the quorum's leader, which would only cost an election
	if err := cluster.Pause(victim); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = cluster.Resume(victim) }()
	eventually(t, "the frozen broker is fenced", func() error {
		s, err := c.Snapshot(ctx)
		if err != nil {
			return err
		}
		if !slices.ContainsFunc(s.Brokers, func(b kafka.Broker) bool { return b.ID == victim && b.Fenced }) {
			return fmt.Errorf("brokers %+v", s.Brokers)
		}
		return nil
	})
	direct, _ := connect(t) // asks the frozen broker as soon as it wakes up
	if err := cluster.Resume(victim); err != nil {
		t.Fatal(err)
	}
	refused := 0
	for range 20 { // through the woken broker: the present, or an error, but no rosy picture of the past
		s, err := client.SnapshotFrom(direct, ctx, victim)
		if err != nil {
			refused++
			t.Log(err)
			continue
		}
		leader, self := lastSeen(s, s.Quorum.LeaderID), lastSeen(s, victim)
		if leader.Sub(self) > 5*time.Second {
			t.Fatalf("a snapshot of the past: %+v", s.Quorum)
		}
	}
	t.Logf("%d of 20 snapshots were refused", refused)
	eventually(t, "it is back", func() error {
		s, err := c.Snapshot(ctx)
		if err != nil || slices.ContainsFunc(s.Brokers, func(b kafka.Broker) bool { return b.Fenced }) {
			return fmt.Errorf("%+v (%v)", s, err)
		}
		return nil
	})
}

func lastSeen(s *kafka.Snapshot, id int32) time.Time {
	for _, r := range slices.Concat(s.Quorum.Voters, s.Quorum.Observers) {
		if r.ID == id {
			return r.LastCaughtUp
		}
	}
	return time.Time{}
}
