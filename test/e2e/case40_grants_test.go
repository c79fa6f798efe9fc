package e2e

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/castellan-dev/castellan/api/v1alpha1"
)

// grantCase is a role, what a client does with it, and grants with which it may not.
type grantCase struct {
	role, grants, less string
	use                func(t *testing.T, l login) error
}

const grantTopic = "grants-orders"

var grantCases = []grantCase{
	{"producer", "{role: Producer, topicPrefix: grants-}", "{role: Consumer, topicPrefix: grants-, group: g}",
		func(t *testing.T, l login) error { return tryToProduce(t, l, grantTopic) }}, // idempotent, as clients are now
	{"transactional",
		"{role: TransactionalProducer, topic: grants-orders, transactionalIdPrefix: till-}",
		"{role: Producer, topic: grants-orders}",
		func(t *testing.T, l login) error { return tryTransaction(t, l, "till-1", grantTopic) }},
	{"consumer", "{role: Consumer, topic: grants-orders, group: grants-billing}",
		"{role: ShareConsumer, topic: grants-orders, group: others}",
		func(t *testing.T, l login) error {
			return tryToConsume(t, l, kgo.ConsumerGroup("grants-billing"), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
		}},
	{"share", "{role: ShareConsumer, topicPrefix: grants-, groupPrefix: grants-work}",
		"{role: Consumer, topicPrefix: grants-, group: grants-billing}",
		func(t *testing.T, l login) error { return tryToConsume(t, l, kgo.ShareGroup("grants-work-1")) }},
	{"streams",
		"{role: Streams, group: words}, {role: Streams, group: words-next}, " +
			"{role: Consumer, topic: grants-orders, group: words}",
		"{role: Consumer, topic: grants-orders, group: words}",
		tryStreams},
	{"owner", "{role: Owner, topicPrefix: owned-}",
		"{role: TransactionalProducer, topicPrefix: owned-, transactionalId: a}",
		tryToOwn},
}

// Each role does what its application does, with the operator's ACLs and nothing else, and other roles do not.
func TestCase40_ARoleIsWhatItsApplicationNeedsAndNoMore(t *testing.T) {
	long(t)
	ns := small(t, false, "")
	manifests := []string{topicManifest(grantTopic, ", partitions: 1, replicationFactor: 1")}
	for _, c := range grantCases {
		manifests = append(manifests, grantManifest(c.role, c.grants), grantManifest(c.role+"-less", c.less))
	}
	apply(t, ns, strings.Join(manifests, "\n---\n"))
	waitReady(t, time.Minute, topicNamed(ns, grantTopic))
	fromTheBeginning(t, loginOf(t, ns, adminUser).at(t, ns, sharedName, "outside"), "grants-work-1")
	for _, c := range grantCases {
		t.Run(c.role, func(t *testing.T) {
			for _, name := range []string{c.role, c.role + "-less"} {
				waitReady(t, time.Minute, userNamed(ns, name))
			}
			user := userNamed(ns, c.role)
			if err := refresh(t.Context(), user); err != nil || len(user.Status.ACLs) == 0 {
				t.Fatalf("status.acls tells nothing (error %v)", err)
			}
			say(t, "%s: %s", c.role, strings.Join(user.Status.ACLs, "; "))
			err := c.use(t, loginOf(t, ns, c.role+"-less").at(t, ns, sharedName, "outside"))
			if !isNotAuthorized(err) && !errors.Is(err, kerr.TransactionalIDAuthorizationFailed) {
				t.Errorf("with %s it gets %v", c.less, err)
			}
			if err := c.use(t, loginOf(t, ns, c.role).at(t, ns, sharedName, "outside")); err != nil {
				t.Errorf("with %s it cannot: %v", c.grants, err)
			}
		})
	}
}

// What others have added to a principal stays while its KafkaUser comes, changes and goes, and the default quotas come
// and go with their field.
func TestCase40_OthersKeepTheirACLsAndTheirDefaultQuotas(t *testing.T) {
	long(t)
	ns := small(t, true, "  defaultQuotas: {producerByteRate: 1048576}\n")
	const principal = "CN=app,OU=Team A,O=Example"
	admin := loginOf(t, ns, adminUser).at(t, ns, sharedName, "outside").admin(t)
	foreign := kadm.NewACLs().Allow("User:" + principal).AllowHosts().Groups("foreign").Operations(kadm.OpRead).
		ResourcePatternType(kadm.ACLPatternLiteral)
	if _, err := admin.CreateACLs(t.Context(), foreign); err != nil {
		t.Fatal(err)
	}
	apply(t, ns, `
kind: KafkaUser
metadata: {name: merging}
spec:
  clusterRef: {name: events}
  name: `+principal+`
  authentication: {mechanisms: [External]}
  aclPolicy: Merge
  grants: [{role: Producer, topic: flow}]
`)
	user := userNamed(ns, "merging")
	waitReady(t, time.Minute, user)
	has := func(want int) {
		t.Helper()
		eventually(t, time.Minute, fmt.Sprintf("the principal has %d ACLs", want), func(ctx context.Context) error {
			if n, err := aclsOf(ctx, admin, principal); err != nil || n != want {
				return fmt.Errorf("it has %d (error %v)", n, err)
			}
			return nil
		})
	}
	has(3)
	secret := secretOf(t, ns, "merging").Data
	if len(secret["password"]) > 0 || len(secret["bootstrap.servers"]) == 0 {
		t.Errorf("its Secret has %v", slices.Sorted(maps.Keys(secret)))
	}
	if err := kube.Delete(t.Context(), user.KafkaUser); err != nil {
		t.Fatal(err)
	}
	if err := waitGone(t.Context(), user.KafkaUser); err != nil {
		t.Fatal(err)
	}
	has(1)
	defaults := func(want int) {
		t.Helper()
		eventually(t, time.Minute, fmt.Sprintf("there are %d default quotas", want), func(ctx context.Context) error {
			quotas, err := admin.DescribeClientQuotas(ctx, true, []kadm.DescribeClientQuotaComponent{
				{Type: "user", MatchType: kmsg.QuotasMatchTypeDefault}})
			if err != nil || len(quotas) != want {
				return fmt.Errorf("%v (error %v)", quotas, err)
			}
			return nil
		})
	}
	defaults(1)
	change(t, clusterNamed(ns, sharedName), func(c kafkaCluster) { c.Spec.DefaultQuotas = nil })
	defaults(0)
}

func grantManifest(name, grants string) string {
	return fmt.Sprintf(`
kind: KafkaUser
metadata: {name: %s}
spec:
  clusterRef: {name: events}
  authentication: {mechanisms: [%s]}
  grants: [%s]
`, name, v1alpha1.MechanismScram512, grants)
}

// fromTheBeginning lets a share group read what was there before it.
func fromTheBeginning(t *testing.T, l login, group string) {
	t.Helper()
	earliest := "earliest"
	req := kmsg.NewPtrIncrementalAlterConfigsRequest()
	resource := kmsg.NewIncrementalAlterConfigsRequestResource()
	resource.ResourceType, resource.ResourceName = kmsg.ConfigResourceTypeGroupConfig, group
	config := kmsg.NewIncrementalAlterConfigsRequestResourceConfig()
	config.Name, config.Value = "share.auto.offset.reset", &earliest
	resource.Configs = append(resource.Configs, config)
	req.Resources = append(req.Resources, resource)
	resp, err := req.RequestWith(t.Context(), l.client(t))
	if err == nil {
		for _, r := range resp.Resources {
			err = errors.Join(err, kerr.ErrorForCode(r.ErrorCode))
		}
	}
	if err != nil {
		t.Fatal(err)
	}
}

func tryTransaction(t *testing.T, l login, id, topic string) error {
	t.Helper()
	cl := l.client(t, kgo.TransactionalID(id), kgo.RetryTimeout(pace.Of(10*time.Second)),
		kgo.RecordDeliveryTimeout(pace.Of(10*time.Second)))
	defer cl.Close()
	ctx, cancel := context.WithTimeout(t.Context(), pace.Of(time.Minute))
	defer cancel()
	if err := cl.BeginTransaction(); err != nil {
		return err
	}
	if err := cl.ProduceSync(ctx, &kgo.Record{Topic: topic, Value: []byte("whole")}).FirstErr(); err != nil {
		return errors.Join(err, cl.EndTransaction(ctx, kgo.TryAbort))
	}
	return cl.EndTransaction(ctx, kgo.TryCommit)
}

// tryToConsume reads one record of the topic in a group.
func tryToConsume(t *testing.T, l login, group ...kgo.Opt) error {
	t.Helper()
	cl := l.client(t, append(group, kgo.ConsumeTopics(grantTopic), kgo.RetryTimeout(pace.Of(10*time.Second)))...)
	defer cl.Close()
	ctx, cancel := context.WithTimeout(t.Context(), pace.Of(time.Minute))
	defer cancel()
	for ctx.Err() == nil {
		fetches := cl.PollFetches(ctx)
		for _, e := range fetches.Errors() {
			if isNotAuthorized(e.Err) {
				return e.Err
			}
		}
		if fetches.NumRecords() > 0 {
			return nil
		}
	}
	return errors.New("nothing was read, and nothing was refused")
}

// tryStreams does what Kafka Streams does at the brokers, with the application.id words: it makes an internal topic,
// looks at its configuration, writes to it in a transaction, prunes it, and reads in its group by both protocols.
func tryStreams(t *testing.T, l login) error {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), pace.Of(2*time.Minute))
	defer cancel()
	admin := l.admin(t)
	const inner = "words-counts-repartition"
	compact := "delete"
	created, err := admin.CreateTopic(ctx, 1, 1, map[string]*string{"cleanup.policy": &compact}, inner)
	if err = errors.Join(err, created.Err); err != nil && !errors.Is(err, kerr.TopicAlreadyExists) {
		return err
	}
	configs, err := admin.DescribeTopicConfigs(ctx, inner)
	for _, c := range configs {
		err = errors.Join(err, c.Err)
	}
	if err != nil {
		return err
	}
	if err := tryTransaction(t, l, "words-0a1b-1", inner); err != nil {
		return err
	}
	offsets := kadm.Offsets{}
	offsets.Add(kadm.Offset{Topic: inner, Partition: 0, At: 1})
	deleted, err := admin.DeleteRecords(ctx, offsets)
	if err = errors.Join(err, deleted.Error()); err != nil {
		return err
	}
	if err := tryToConsume(t, l, kgo.ConsumerGroup("words"),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart())); err != nil {
		return err
	}
	return streamsHeartbeat(ctx, l.client(t))
}

// streamsHeartbeat joins a group by the protocol of KIP-1071, with one internal topic that the coordinator is to make.
func streamsHeartbeat(ctx context.Context, cl *kgo.Client) error {
	req := kmsg.NewPtrStreamsGroupHeartbeatRequest()
	req.Group, req.MemberID, req.MemberEpoch, req.RebalanceTimeoutMillis = "words-next", "member-1", 0, 60_000
	topology := kmsg.NewStreamsGroupHeartbeatRequestTopology()
	part := kmsg.NewStreamsGroupHeartbeatRequestTopologySubtopology()
	part.SubtopologyID, part.SourceTopics = "0", []string{grantTopic}
	changelog := kmsg.NewTopicInfo()
	changelog.Topic = "words-next-store-changelog"
	part.StateChangelogTopics = append(part.StateChangelogTopics, changelog)
	topology.Subtopologies = append(topology.Subtopologies, part)
	req.Topology = &topology
	req.ActiveTasks, req.StandbyTasks, req.WarmupTasks = []kmsg.TaskIDs{}, []kmsg.TaskIDs{}, []kmsg.TaskIDs{}
	process := "process-1"
	req.ProcessID = &process
	// This client does not know whose request it is, and the one broker is the coordinator of every group.
	resp, err := req.RequestWith(ctx, cl.Broker(0))
	if err != nil {
		return err
	}
	return kerr.ErrorForCode(resp.ErrorCode)
}

// tryToOwn makes a topic, changes it, gives it more partitions, and deletes it.
func tryToOwn(t *testing.T, l login) error {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), pace.Of(time.Minute))
	defer cancel()
	admin := l.admin(t)
	const topic = "owned-one"
	created, err := admin.CreateTopic(ctx, 1, 1, nil, topic)
	if err = errors.Join(err, created.Err); err != nil {
		return err
	}
	hour := "3600000"
	altered, err := admin.AlterTopicConfigs(ctx, []kadm.AlterConfig{{Op: kadm.SetConfig, Name: "retention.ms",
		Value: &hour}}, topic)
	for _, a := range altered {
		err = errors.Join(err, a.Err)
	}
	if err != nil {
		return err
	}
	grown, err := admin.CreatePartitions(ctx, 1, topic)
	if err = errors.Join(err, grown.Error()); err != nil {
		return err
	}
	deleted, err := admin.DeleteTopic(ctx, topic)
	return errors.Join(err, deleted.Err)
}
