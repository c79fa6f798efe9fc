// Package kafka is the language in which the rest of Castellan speaks about a live Kafka cluster: plain values for what
// was seen (a Snapshot, topics, users) and for what is to be changed, and the Admin port that does both. The values are
// pure; the port is implemented by internal/kafka/client, the only package that knows the wire protocol. Nothing here
// may import Kubernetes.
package kafka

import (
	"context"
	"time"
)

// Admin is one live Kafka cluster: one of the operator's own, reached over its REPLICATION listener, or an external one,
// reached as its KafkaCluster says. All methods are safe for concurrent use, bounded in time by ctx, and wrap their errors
// with what was attempted.
type Admin interface {
	ClusterAdmin
	TopicAdmin
	UserAdmin
}

// ClusterAdmin observes the cluster and sets its run-time configuration.
type ClusterAdmin interface {
	// Overview asks with two requests who the cluster is and what it lacks; any Kafka from 2.8 on answers it, an older one
	// gives ErrTooOld.
	Overview(ctx context.Context) (*Overview, error)
	// Snapshot reads one consistent view of the cluster with a number of requests that does not depend on the number of
	// topics. An error means that the view is incomplete: there is no half snapshot.
	Snapshot(ctx context.Context) (*Snapshot, error)
	// AlterBrokerConfig sets and deletes run-time keys of one broker, or of all brokers when id is AllBrokers.
	AlterBrokerConfig(ctx context.Context, id int32, changes []ConfigChange) error
	// BrokerConfig returns the run-time keys set for one broker, or with AllBrokers those set for all (values of
	// sensitive keys are empty).
	BrokerConfig(ctx context.Context, id int32) (map[string]string, error)
	// ElectPreferredLeaders gives leadership back to the preferred replica wherever it is in sync.
	ElectPreferredLeaders(ctx context.Context) error
	// AddVoter makes an observer a voter of the metadata quorum (KIP-853). endpoint is the host:port of its CONTROLLER
	// listener. A replica that is a voter already is no error. Kafka makes one change of membership at a time.
	AddVoter(ctx context.Context, replica QuorumMember, endpoint string) error
	// RemoveVoter takes a voter out of the quorum; it lives on as an observer. One that is no voter is no error.
	RemoveVoter(ctx context.Context, replica QuorumMember) error
	// UnregisterBroker makes Kafka forget a broker. Its process must be gone: a running one would go on outside the
	// cluster. One that is not registered is no error.
	UnregisterBroker(ctx context.Context, id int32) error
	// SetMetadataVersion finalizes a level of metadata.version (KIP-584, KIP-778). A lower level is asked for as a safe
	// downgrade, which Kafka refuses (*Refusal) when metadata would be lost. A level that is in force is no error.
	SetMetadataVersion(ctx context.Context, level int16) error
	// ReloadCertificates makes one broker read its listener certificates again (KAFKA-14136); persists nothing and
	// proves nothing: the caller dials to see the new certificate.
	ReloadCertificates(ctx context.Context, id int32) error
}

// AllBrokers is the id under which Kafka keeps the configuration that holds for every broker.
const AllBrokers int32 = -1

// TopicAdmin reads and changes topics, many at a time. The maps that come back hold an entry for each name that was
// asked for; the error beside them means that nothing is known about any.
type TopicAdmin interface {
	// DescribeTopics reads partitions and dynamic configuration of the named topics; a name without a topic has no entry, and
	// a topic that may not be described has one that says so.
	DescribeTopics(ctx context.Context, names []string) (map[string]Topic, error)
	CreateTopics(ctx context.Context, topics []NewTopic) (map[string]TopicResult, error)
	// ValidateTopics tells what CreateTopics would say, and creates nothing. Quotas count it all the same.
	ValidateTopics(ctx context.Context, topics []NewTopic) (map[string]error, error)
	// CreatePartitions grows topics to the given total numbers of partitions. Like CreateTopics and DeleteTopics it may
	// be refused for a while (*Throttled); all changes may be refused to the operator itself (*Denied).
	CreatePartitions(ctx context.Context, totals map[string]int32) (map[string]error, error)
	AlterTopicConfigs(ctx context.Context, changes map[string][]ConfigChange) (map[string]error, error)
	// DeleteTopics deletes by UUID (KIP-516); ErrUnknownTopicID in the result means that it is gone already.
	DeleteTopics(ctx context.Context, ids []TopicID) (map[TopicID]error, error)
	// Brokers lists the registered brokers by id, fenced ones included; a Kafka that lacks FeatureFenced leaves those out.
	Brokers(ctx context.Context) ([]Broker, error)
	// Reassignments lists all reassignments under way (KIP-455), by topic and partition, whoever began them.
	Reassignments(ctx context.Context) (map[string]map[int32]Reassignment, error)
	// Reassign begins and cancels reassignments, by topic; the error of a topic is that of the first partition that has
	// one. Cancelling what is not under way is no error.
	Reassign(ctx context.Context, moves map[string][]Move) (map[string]error, error)
}

// UserAdmin reads and changes SCRAM credentials, ACLs and quotas, many principals at a time.
type UserAdmin interface {
	// ScramCredentials lists which SCRAM mechanisms each user has, with iterations (KIP-554); nil users = all.
	ScramCredentials(ctx context.Context, users []string) (map[string][]ScramCredential, error)
	AlterScramCredentials(ctx context.Context, upserts []ScramUpsert, deletions []ScramDeletion) (map[string]error, error)
	// ACLs lists every ACL of the cluster.
	ACLs(ctx context.Context) ([]ACL, error)
	CreateACLs(ctx context.Context, acls []ACL) ([]error, error)
	// DeleteACLs removes exactly the given ACLs (no wildcards); one that is gone already is no error.
	DeleteACLs(ctx context.Context, acls []ACL) ([]error, error)
	// Quotas lists the client quotas of entities that are exactly one user (KIP-546), by user.
	Quotas(ctx context.Context) (map[string]map[string]float64, error)
	// AlterQuotas sets the given keys of each user; a nil value removes the key.
	AlterQuotas(ctx context.Context, changes map[string]map[string]*float64) (map[string]error, error)
}

// Login is what Prober tries against one listener of one broker.
type Login struct {
	Address    string // host:port that is dialled; no other broker is asked
	ServerName string // name the certificate must hold; empty when TLS is off
	CA         []byte // PEM; nil = no TLS, or with SystemRoots whatever this machine trusts
	// SystemRoots: TLS without a CA of its own.
	SystemRoots bool
	Mechanism   string // PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512
	Username    string
	Password    string
}

// Prober proves from outside what a client would see.
type Prober interface {
	// TryLogin authenticates once and leaves. ErrAuthenticationFailed means that the broker refused; any other error
	// means that nothing is known, with CauseMechanism or CauseNoLogin because the listener does not take the mechanism.
	TryLogin(ctx context.Context, login Login) error
}

// Overview is what a cluster tells of itself at little cost.
type Overview struct {
	ClusterID string
	Brokers   []Broker  // as of Brokers, with their addresses
	Lacking   []Feature // in the order of Features
}

// Feature is something that not every Kafka from 2.8 on can do.
type Feature string

// Features, all of them.
const (
	// FeatureScram: SCRAM credentials can be read and written (KIP-554; with KRaft KIP-900).
	FeatureScram Feature = "ScramCredentials"
	// FeatureFenced: brokers that are down are told from those that are gone (KIP-1073).
	FeatureFenced Feature = "FencedBrokers"
)

// Snapshot is one view of a cluster, all of it younger than TakenAt + the time the reading took.
type Snapshot struct {
	TakenAt         time.Time // before the first request was sent
	ClusterID       string
	Brokers         []Broker    // registered ones, fenced ones included, by id
	Partitions      []Partition // of all topics, internal ones included, by topic and number
	Quorum          Quorum
	MetadataVersion int16             // finalized level of metadata.version
	Features        map[string]int16  // finalized levels of all features, metadata.version among them (KIP-584)
	Config          map[string]string // run-time keys set for all brokers (AllBrokers)
	// BrokerConfigs holds, per unfenced broker that answered, the run-time keys set for that broker alone.
	BrokerConfigs map[int32]map[string]string
	Reassigning   int // partitions under reassignment, by anybody
}

// Broker is one registered broker.
type Broker struct {
	ID     int32
	Rack   string
	Fenced bool // registered but not serving (KIP-1073)
	// Host and Port are what the broker advertises on the listener that was asked; known from Overview only.
	Host string
	Port int32
}

// Partition is one partition as the controller sees it.
type Partition struct {
	Topic    string
	Number   int32
	Leader   int32 // -1 = none
	Replicas []int32
	ISR      []int32
	MinISR   int32 // effective min.insync.replicas of its topic
}

// Quorum is the metadata quorum (KIP-595, KIP-853).
type Quorum struct {
	LeaderID      int32 // -1 = none
	LeaderEpoch   int32
	HighWatermark int64
	Voters        []QuorumReplica
	Observers     []QuorumReplica // brokers, and controllers that are not voters
}

// QuorumReplica is one follower of the metadata log.
type QuorumReplica struct {
	ID           int32
	DirectoryID  string // base64url as in meta.properties
	LogEndOffset int64
	LastCaughtUp time.Time // zero = never or unknown
}

// QuorumMember names one replica of the metadata log: a node id alone may stand for an old disk and a new one.
type QuorumMember struct {
	ID          int32
	DirectoryID string // base64url as in meta.properties
}

// ConfigChange sets one dynamic key, or deletes it when Value is nil.
type ConfigChange struct {
	Key   string
	Value *string
}

// TopicID is a topic's UUID in Kafka's own text form (base64url, 22 characters).
type TopicID string

// Topic is one live topic.
type Topic struct {
	Name              string
	ID                TopicID // empty = Kafka has given it none (inter.broker.protocol.version below 2.8)
	Partitions        int32
	ReplicationFactor int32             // the smallest of its partitions
	Config            map[string]string // only keys set on the topic itself
	Replicas          [][]int32         // node ids by partition; those that a reassignment adds or removes are among them
	ISR               [][]int32         // those of Replicas that are in sync, by partition
	UnderReplicated   int32             // partitions with replicas that are not in sync
	Offline           int32             // partitions without a leader
	// Denied is why nothing but the name is known of the topic, not even whether it exists; nil = all is known.
	Denied *Denied
}

// Reassignment is what is under way for one partition.
type Reassignment struct {
	Replicas []int32 // all of them, Adding and Removing included
	Adding   []int32
	Removing []int32
}

// Move asks for a partition's replicas to be these, the preferred leader first; nil cancels what is under way.
type Move struct {
	Partition int32
	Replicas  []int32
}

// NewTopic asks for a topic; zero Partitions or ReplicationFactor = the broker's default (KIP-464).
type NewTopic struct {
	Name              string
	Partitions        int32
	ReplicationFactor int32
	Config            map[string]string
	Assignment        [][]int32 // node ids by partition, in place of the two numbers; nil = Kafka places them
}

// TopicResult is what became of one NewTopic: Topic.ID, Partitions, ReplicationFactor and Config as created, or Err.
type TopicResult struct {
	Topic Topic
	Err   error
}

// ScramCredential is what Kafka tells about a stored SCRAM credential.
type ScramCredential struct {
	Mechanism  string // SCRAM-SHA-256 or SCRAM-SHA-512
	Iterations int32
}

// ScramUpsert stores a credential. The password is salted and hashed before it is sent.
type ScramUpsert struct {
	User       string
	Mechanism  string
	Iterations int32 // 4096..16384
	Password   string
}

// ScramDeletion removes a credential.
type ScramDeletion struct {
	User      string
	Mechanism string
}

// ACL is one access control entry in Kafka's own words.
type ACL struct {
	Principal    string // "User:app"
	Host         string // "*" = any
	ResourceType string // Topic, Group, Cluster, TransactionalId, DelegationToken, User
	ResourceName string
	Pattern      string // Literal, Prefixed
	Operation    string // Read, Write, Create, Delete, Alter, Describe, ClusterAction, DescribeConfigs, AlterConfigs, IdempotentWrite, CreateTokens, DescribeTokens, TwoPhaseCommit, All
	Permission   string // Allow, Deny
}
