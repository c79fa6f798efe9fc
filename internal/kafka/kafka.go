// Package kafka holds the words in which the rest of Castellan speaks about a live Kafka cluster: plain values for what
// Kafka says (a Snapshot, topics, users), plain values for changes, and the Admin port that reads and changes. The
// values are pure. internal/kafka/client implements the port and is the only package that knows the wire protocol.
// Nothing here may import Kubernetes.
package kafka

import (
	"cmp"
	"context"
	"slices"
	"time"
)

// Admin is one live Kafka cluster. The operator reaches its own clusters over their REPLICATION listener, and an
// external cluster as its KafkaCluster says. All methods are safe for concurrent use. ctx bounds their time. They wrap
// their errors with what they attempted.
type Admin interface {
	ClusterAdmin
	TopicAdmin
	UserAdmin
}

// ClusterAdmin reads the state of the cluster and changes its run-time configuration and its membership.
type ClusterAdmin interface {
	// Overview reads, with two requests, the cluster's id, its brokers and the features that it lacks. Any Kafka from
	// 2.8 on answers. An older one gives ErrTooOld.
	Overview(ctx context.Context) (*Overview, error)
	// Snapshot reads one consistent view of the cluster. The number of requests does not depend on the number of
	// topics. A snapshot is complete or it is an error, but for what only single brokers know. It asks for the log
	// directories of brokers that have lost some, and of those in doubt.
	Snapshot(ctx context.Context, inDoubt ...int32) (*Snapshot, error)
	// Loads asks every broker that is not fenced for its log directories and the size of each replica in them (KIP-113,
	// KIP-827), with one request a broker. An answer is complete or it is an error: nobody shall take a broker that is
	// silent for an empty one.
	Loads(ctx context.Context) (map[int32][]LoadDir, error)
	// MoveWithin has a broker move replicas to other log directories of its own (KIP-113), each by the path of the one
	// that it goes to. It returns one result per partition. Kafka has begun a move when it answers, and goes on with it
	// after a restart. It refuses (*Refusal) a log directory that is cordoned or has failed.
	MoveWithin(ctx context.Context, id int32, to map[PartitionID]string) (map[PartitionID]error, error)
	// AlterBrokerConfig sets and deletes run-time keys of one broker, or with AllBrokers those of all brokers.
	AlterBrokerConfig(ctx context.Context, id int32, changes []ConfigChange) error
	// BrokerConfig returns the run-time keys set for one broker, or with AllBrokers those set for all brokers. The
	// values of sensitive keys are empty.
	BrokerConfig(ctx context.Context, id int32) (map[string]string, error)
	// ElectPreferredLeaders gives leadership back to the preferred replica of each partition where it is in sync
	// (KIP-460), and a leader to those that have none and a replica in sync; of some partitions, or with none of all.
	ElectPreferredLeaders(ctx context.Context, some ...PartitionID) error
	// AddVoter makes an observer a voter of the metadata quorum (KIP-853). endpoint is the host:port of its CONTROLLER
	// listener. Adding a voter again is no error. Kafka makes one change of membership at a time.
	AddVoter(ctx context.Context, replica QuorumMember, endpoint string) error
	// RemoveVoter takes a voter out of the metadata quorum (KIP-853). It lives on as an observer. Removing a replica
	// that is no voter is no error.
	RemoveVoter(ctx context.Context, replica QuorumMember) error
	// UnregisterBroker makes Kafka forget a broker. Its process must be gone: a running broker would go on outside the
	// cluster. Unregistering a broker that is not registered is no error.
	UnregisterBroker(ctx context.Context, id int32) error
	// SetMetadataVersion finalizes a level of metadata.version (KIP-584, KIP-778). It asks for a lower level as a safe
	// downgrade. Kafka refuses that (*Refusal) if metadata would be lost. Setting the level in force is no error.
	SetMetadataVersion(ctx context.Context, level int16) error
	// ReloadCertificates makes one broker read its listener certificates again (KAFKA-14136). It stores nothing in
	// Kafka. It does not check the result: the caller dials to see the new certificate.
	ReloadCertificates(ctx context.Context, id int32) error
}

// AllBrokers stands for the configuration that Kafka keeps for every broker.
const AllBrokers int32 = -1

// TopicAdmin reads and changes topics, many at a time. A returned map of results holds an entry for each item asked
// for. The error beside it means that nothing is known about any item.
type TopicAdmin interface {
	// DescribeTopics reads the partitions and the dynamic configuration of the named topics. A name without a topic has
	// no entry. A topic that the operator may not describe has an entry with Denied set.
	DescribeTopics(ctx context.Context, names []string) (map[string]Topic, error)
	// CreateTopics creates topics. ErrTopicExists in a result means that the name is taken.
	CreateTopics(ctx context.Context, topics []NewTopic) (map[string]TopicResult, error)
	// ValidateTopics returns what CreateTopics would, and creates nothing. Kafka's quotas count it like CreateTopics.
	ValidateTopics(ctx context.Context, topics []NewTopic) (map[string]error, error)
	// CreatePartitions grows each topic to the given total number of partitions. Kafka may refuse it for a while, like
	// CreateTopics and DeleteTopics (*Throttled). It may refuse any change to the operator itself (*Denied).
	CreatePartitions(ctx context.Context, totals map[string]int32) (map[string]error, error)
	// AlterTopicConfigs sets and deletes dynamic keys of topics.
	AlterTopicConfigs(ctx context.Context, changes map[string][]ConfigChange) (map[string]error, error)
	// DeleteTopics deletes by UUID (KIP-516). ErrUnknownTopicID in a result means that the topic is gone already.
	DeleteTopics(ctx context.Context, ids []TopicID) (map[TopicID]error, error)
	// Brokers lists the registered brokers, sorted by id. Fenced ones are among them unless Kafka lacks FeatureFenced.
	Brokers(ctx context.Context) ([]Broker, error)
	// Reassignments lists all reassignments in progress (KIP-455), by topic and partition, whoever began them.
	Reassignments(ctx context.Context) (map[string]map[int32]Reassignment, error)
	// Reassign begins and cancels reassignments, by topic. The error of a topic is that of its first partition that has
	// one. Cancelling where no reassignment is in progress is no error.
	Reassign(ctx context.Context, moves map[string][]Move) (map[string]error, error)
}

// UserAdmin reads and changes SCRAM credentials, ACLs and quotas, many principals at a time.
type UserAdmin interface {
	// ScramCredentials lists the SCRAM mechanisms of each user, with their iterations (KIP-554). nil users = all users.
	// A user without credentials has no entry.
	ScramCredentials(ctx context.Context, users []string) (map[string][]ScramCredential, error)
	// AlterScramCredentials stores and removes credentials. It returns one result per user.
	AlterScramCredentials(
		ctx context.Context, upserts []ScramUpsert, deletions []ScramDeletion,
	) (map[string]error, error)
	// ACLs lists the ACLs of some principals; nil = every ACL of the cluster. Few are asked for one by one: Kafka takes
	// one principal in a request, and looks through all ACLs for it. For more it is asked for all.
	ACLs(ctx context.Context, principals []string) ([]ACL, error)
	// CreateACLs creates ACLs and returns one result per ACL, in order. Creating an ACL that exists is no error.
	CreateACLs(ctx context.Context, acls []ACL) ([]error, error)
	// DeleteACLs removes exactly the given ACLs and returns one result per ACL, in order. Nothing in an ACL is taken
	// for a wildcard. Deleting an ACL that is gone already is no error.
	DeleteACLs(ctx context.Context, acls []ACL) ([]error, error)
	// DeleteACLsOf removes all ACLs of a principal with one permission, also those that nobody knew of, and returns one
	// result for each, in order. Kafka's controller looks through all ACLs for each ACL of DeleteACLs, and here once for
	// all of the principal.
	DeleteACLsOf(ctx context.Context, of []ACLsOf) ([]error, error)
	// Quotas lists the client quotas (KIP-546) of some users, by user and key; nil = of all. Those of the default user are
	// under DefaultUser. It leaves out the quotas of client ids, and of users with a client id. Few users are asked for
	// one by one, as with ACLs.
	Quotas(ctx context.Context, users []string) (map[string]map[string]float64, error)
	// AlterQuotas sets the given keys of each user. A nil value removes the key.
	AlterQuotas(ctx context.Context, changes map[string]map[string]*float64) (map[string]error, error)
	// MetadataEnd is where the metadata log ends, as the leader of its quorum says (KIP-595): every write that Kafka has
	// answered before stands below. Only Kafka with KRaft has it.
	MetadataEnd(ctx context.Context) (int64, error)
	// Loaded is the offset of the last record in one broker's image of the metadata. A broker shows an image before it
	// acts by the credentials, ACLs and quotas in it, and has done so with one image before it shows the next: it acts
	// by all records up to an offset once it has shown that offset, or a higher one, and after that another. The log
	// grows about twice a second also where nothing changes (metadata.max.idle.interval.ms).
	Loaded(ctx context.Context, broker int32) (int64, error)
}

// DefaultUser stands for Kafka's default user, whose quotas hold for every user without quotas of its own. No user has
// an empty name.
const DefaultUser = ""

// Login is what a Prober tries on one listener of one broker.
type Login struct {
	Address     string // host:port that is dialled; no other broker is asked
	ServerName  string // name that the certificate must hold; empty without TLS
	CA          []byte // PEM; nil = no TLS, unless SystemRoots is set
	SystemRoots bool   // without a CA: use TLS and trust what this machine trusts
	Mechanism   string // PLAIN, SCRAM-SHA-256, SCRAM-SHA-512, or TLS with a certificate in place of a password
	Username    string
	Password    string
	Certificate []byte // PEM
	Key         []byte // PEM
	// Silent ends the connection once the broker has taken the password, before any request. The user may be one who can
	// do no more than log in. Of a certificate it means nothing.
	Silent bool
}

// Prober tries from outside what a client would see.
type Prober interface {
	// TryLogin logs in once and closes the connection. ErrAuthenticationFailed means that the broker refused the login.
	// Any other error proves nothing about the login: with CauseMechanism or CauseNoLogin the listener does not take
	// the mechanism.
	TryLogin(ctx context.Context, login Login) error
}

// Overview is what two requests tell about a cluster.
type Overview struct {
	ClusterID string
	Brokers   []Broker  // as Admin.Brokers returns them, with Host and Port
	Lacking   []Feature // in the order of the constants
}

// Feature is an ability that some Kafka from 2.8 on lacks.
type Feature string

// All features.
const (
	// FeatureScram: Kafka reads and writes SCRAM credentials by request (KIP-554; with KRaft KIP-900).
	FeatureScram Feature = "ScramCredentials"
	// FeatureFenced: Kafka lists fenced brokers, so that a broker that is down differs from one that is gone
	// (KIP-1073).
	FeatureFenced Feature = "FencedBrokers"
)

// Snapshot is one view of a cluster. It shows the cluster at TakenAt or later, but for the 5 s at most that the
// answering broker's metadata may be behind.
type Snapshot struct {
	TakenAt         time.Time // this machine's clock, before the first request
	ClusterID       string
	Brokers         []Broker    // registered, fenced ones included; sorted by id
	Partitions      []Partition // of all topics, internal ones included; sorted by topic and number
	Tiered          []string    // topics with remote.storage.enable; sorted
	Quorum          Quorum
	MetadataVersion int16             // finalized level of metadata.version
	Features        map[string]int16  // finalized level by feature, metadata.version included (KIP-584)
	Config          map[string]string // run-time keys set for all brokers
	// BrokerConfigs holds the run-time keys set for one broker alone, by broker. A fenced broker and one that did not
	// answer have no entry.
	BrokerConfigs map[int32]map[string]string
	// InUse holds, with the same entries, the value that each broker uses of each key, wherever it comes from. Sensitive
	// keys are left out.
	InUse       map[int32]map[string]string
	Reassigning int // number of partitions under reassignment, whoever began it
	// Reassignments are those in progress (KIP-455), by topic and partition.
	Reassignments map[string]map[int32]Reassignment
	// LogDirs holds the log directories of brokers, as each of them says itself. Only those were asked that are not
	// fenced and have offline replicas, and those in doubt. One that did not answer has no entry.
	LogDirs map[int32][]LogDir
}

// LogDir is one log directory of a broker (KIP-113).
type LogDir struct {
	Path string // absolute
	// Error is Kafka's name of the error that the broker has with it, ErrorStorage if it has failed; empty = it works.
	Error string
	// TotalBytes and UsableBytes are those of its file system (KIP-827); -1 = the broker does not say.
	TotalBytes, UsableBytes int64
	// Sole lists those of its replicas whose partition is in sync on no other broker. Kafka lists nothing of a directory
	// that has failed, and a replica that is only on its way to another directory is not in that one yet.
	Sole []PartitionID
	// Holds are the replicas that are in it, and Coming those on their way to it from another directory of the broker
	// (KIP-113). Both are sorted. Kafka lists nothing of a directory that has failed.
	Holds, Coming []PartitionID
}

// LoadDir is one log directory of a broker with what is in it.
type LoadDir struct {
	LogDir
	// Sizes are those of its replicas in bytes, without what tiered storage holds. A replica that is only on its way to
	// another directory counts where it is.
	Sizes map[PartitionID]int64
}

// ErrorStorage is the error of a log directory that the broker has given up. It goes on with its others, until it is
// started again (KIP-112).
const ErrorStorage = "KAFKA_STORAGE_ERROR"

// PartitionID names a partition.
type PartitionID struct {
	Topic  string
	Number int32
}

// Compare sorts by topic and number.
func (p PartitionID) Compare(o PartitionID) int {
	return cmp.Or(cmp.Compare(p.Topic, o.Topic), cmp.Compare(p.Number, o.Number))
}

// Broker is one registered broker.
type Broker struct {
	ID     int32
	Rack   string
	Fenced bool // registered but not serving (KIP-1073)
	// Host and Port are the broker's advertised address on the listener that was asked. Only Overview sets them.
	Host string
	Port int32
}

// Partition is one partition as the answering broker knows it.
type Partition struct {
	Topic    string
	Number   int32
	Leader   int32 // -1 = none
	Replicas []int32
	ISR      []int32
	MinISR   int32 // effective min.insync.replicas of its topic
	// Offline lists the replicas that their broker cannot serve: the broker is down, or the log directory has failed.
	Offline []int32
}

// IsSole tells whether a partition is in sync on no broker but this one. If it is in sync on none, this broker may have
// the last copy.
func (p *Partition) IsSole(id int32) bool {
	return !slices.ContainsFunc(p.ISR, func(other int32) bool { return other != id })
}

// Quorum is the metadata quorum (KIP-595, KIP-853).
type Quorum struct {
	LeaderID      int32 // -1 = none
	LeaderEpoch   int32
	HighWatermark int64
	Voters        []QuorumReplica
	Observers     []QuorumReplica // brokers, and controllers that are not voters
}

// QuorumReplica is one replica of the metadata log, as the quorum's leader knows it.
type QuorumReplica struct {
	ID           int32
	DirectoryID  string // base64url as in meta.properties
	LogEndOffset int64
	LastCaughtUp time.Time // on the leader's clock; zero = never, or unknown
}

// QuorumMember names one replica of the metadata log. A node id alone may stand for an old disk and a new one
// (KIP-853).
type QuorumMember struct {
	ID          int32
	DirectoryID string // base64url as in meta.properties
}

// ConfigChange sets one dynamic key, or deletes it if Value is nil.
type ConfigChange struct {
	Key   string
	Value *string
}

// TopicID is a topic's UUID in Kafka's own text form (base64url, 22 characters).
type TopicID string

// Topic is one live topic.
type Topic struct {
	Name              string
	ID                TopicID           // empty = Kafka has given it none (inter.broker.protocol.version below 2.8)
	Partitions        int32             // number of partitions
	ReplicationFactor int32             // the smallest of all partitions
	Config            map[string]string // only keys set on the topic itself
	Replicas          [][]int32         // node ids by partition, with those that a reassignment adds or removes
	ISR               [][]int32         // node ids in sync, by partition
	UnderReplicated   int32             // number of partitions with a replica out of sync
	Offline           int32             // number of partitions without a leader
	// Denied, if set, says why only Name is known: the operator may not see the topic, nor whether it exists.
	Denied *Denied
}

// Reassignment is the reassignment in progress of one partition (KIP-455).
type Reassignment struct {
	Replicas []int32 // all replicas, Adding and Removing included
	Adding   []int32
	Removing []int32
}

// Move reassigns one partition, or cancels its reassignment.
type Move struct {
	Partition int32
	Replicas  []int32 // node ids, the preferred leader first; nil = cancel
	// KeepFactor has Kafka refuse the move if the partition does not have that many replicas by then (KIP-860). Kafka
	// before 4.1 does not know that.
	KeepFactor bool
}

// NewTopic is a topic to create.
type NewTopic struct {
	Name              string
	Partitions        int32 // 0 = the brokers' default (KIP-464)
	ReplicationFactor int32 // 0 = the brokers' default (KIP-464)
	Config            map[string]string
	Assignment        [][]int32 // node ids by partition, in place of the two numbers; nil = Kafka places the replicas
}

// TopicResult is the result of one NewTopic. Without Err, Topic holds Name, ID, Partitions, ReplicationFactor and
// Config as created; its other fields stay empty.
type TopicResult struct {
	Topic Topic
	Err   error
}

// ScramCredential is what Kafka says about a stored SCRAM credential. Kafka never returns salt or hash.
type ScramCredential struct {
	Mechanism  string // SCRAM-SHA-256 or SCRAM-SHA-512
	Iterations int32
}

// ScramUpsert stores a credential. The client salts and hashes the password before it sends it.
type ScramUpsert struct {
	User       string
	Mechanism  string // SCRAM-SHA-256 or SCRAM-SHA-512
	Iterations int32  // 4096..16384
	Password   string
}

// ScramDeletion removes a credential.
type ScramDeletion struct {
	User      string
	Mechanism string // SCRAM-SHA-256 or SCRAM-SHA-512
}

// ACLsOf stands for all ACLs of a principal that have one permission.
type ACLsOf struct {
	Principal  string // "User:app"
	Permission string // Allow, Deny
	Count      int    // how many they are, as far as is known
}

// ACL is one access control entry in Kafka's own words.
type ACL struct {
	Principal    string // "User:app"
	Host         string // "*" = any
	ResourceType string // Topic, Group, Cluster, TransactionalId, DelegationToken, User
	ResourceName string
	Pattern      string // Literal, Prefixed
	// Operation is Read, Write, Create, Delete, Alter, Describe, ClusterAction, DescribeConfigs, AlterConfigs,
	// IdempotentWrite, CreateTokens, DescribeTokens, TwoPhaseCommit or All.
	Operation  string
	Permission string // Allow, Deny
}
