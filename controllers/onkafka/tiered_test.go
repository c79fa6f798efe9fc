package onkafka_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/castellan-dev/castellan/api/v1alpha1"
	"github.com/castellan-dev/castellan/internal/identity"
	"github.com/castellan-dev/castellan/internal/kafka"
	"github.com/castellan-dev/castellan/internal/kafka/client"
	"github.com/castellan-dev/castellan/internal/kafka/kafkatest"
	"github.com/castellan-dev/castellan/internal/model"
	"github.com/castellan-dev/castellan/internal/plainauth"
	"github.com/castellan-dev/castellan/internal/render"
	"github.com/castellan-dev/castellan/internal/resolve"
	"github.com/castellan-dev/castellan/internal/topics"
	"github.com/castellan-dev/castellan/internal/version"
	"github.com/castellan-dev/castellan/test/suite"
)

// anImage stands for the plug-in, whose jars are in a folder of the test.
const anImage = "a@sha256:0000000000000000000000000000000000000000000000000000000000000000"

// tieredSpec is a cluster with tiered storage, a reporter and a policy of one plug-in. It looks often, for a test.
func tieredSpec(kafkaVersion, store, note string) v1alpha1.KafkaClusterSpec {
	disks := v1alpha1.Storage{Volumes: []v1alpha1.Volume{{Name: "data"}}}
	return v1alpha1.KafkaClusterSpec{
		Version: kafkaVersion,
		Pools: []v1alpha1.Pool{
			{Name: "control", Replicas: new(int32(1)), Roles: []v1alpha1.Role{v1alpha1.RoleController}, Storage: disks},
			{Name: "main", Replicas: new(int32(1)), Roles: []v1alpha1.Role{v1alpha1.RoleBroker}, Storage: disks},
		},
		Plugins: []v1alpha1.Plugin{{Name: "test", Image: anImage}},
		TieredStorage: &v1alpha1.TieredStorage{Plugin: "test", ClassName: kafkatest.PluginStorage,
			Config:     map[string]string{"directory": store, "password": "${secret:store:word}"},
			SecretRefs: []v1alpha1.SecretName{{Name: "store"}}},
		Config: v1alpha1.Config{
			"metric.reporters": kafkatest.PluginReporter, kafkatest.PluginNote: note,
			"create.topic.policy.class.name":                                   kafkatest.PluginPolicy,
			"remote.log.manager.task.interval.ms":                              "500",
			"log.retention.check.interval.ms":                                  "1000",
			"log.initial.task.delay.ms":                                        "500",
			"rlmm.config.remote.log.metadata.topic.num.partitions":             "1",
			"rlmm.config.remote.log.metadata.initialization.retry.interval.ms": "500",
		},
	}
}

// plugged gives a broker and a controller what is rendered for such a cluster of plug-ins and tiered storage. The files
// of its Secret and the plug-in are in folders of the test, and MUTUAL takes the place of REPLICATION.
func plugged(t *testing.T, spec v1alpha1.KafkaClusterSpec, jars, secrets string) kafkatest.Options {
	t.Helper()
	cluster := &v1alpha1.KafkaCluster{Spec: spec}
	cluster.Namespace, cluster.Name = "shop", "events"
	pools, _ := identity.AssignNodeIDs(&spec, nil)
	cluster.Status.Pools = pools
	c, _ := resolve.Resolve(resolve.Inputs{Cluster: cluster, Spec: &spec, ImageRepository: "a", Domain: "b"})
	if c == nil {
		t.Fatal("it makes no sense")
	}
	files := render.Nodes(c)
	read := func(id int32) map[string]string {
		config := map[string]string{}
		for line := range strings.Lines(files[id].Data["server.properties"]) {
			key, value, _ := strings.Cut(strings.TrimSpace(line), "=")
			ours := strings.HasPrefix(key, "config.providers") || strings.HasPrefix(key, "r") && strings.Contains(key, ".")
			if _, users := spec.Config[key]; ours && !strings.HasPrefix(key, "replica.") || users {
				config[key] = strings.NewReplacer("/opt/castellan/plugins/test", jars, "/etc/castellan/plugin", secrets,
					fmt.Sprintf("/etc/castellan/internal/%d.pem", id), "{dir}/server.pem",
					"/etc/castellan/internal/ca.crt", "{dir}/ca.pem", "REPLICATION", "MUTUAL").Replace(value)
			}
		}
		return config
	}
	o := kafkatest.Options{Version: spec.Version, Controllers: 1, Config: read(0), BrokerConfig: read(1000)}
	if o.Config["remote.log.storage.system.enable"] != "true" || len(o.BrokerConfig) < len(o.Config)+8 {
		t.Fatalf("nothing of it is rendered: %v; %v", o.Config, o.BrokerConfig)
	}
	o.Config["super.users"] = "User:ANONYMOUS;User:CN=node" // the name in the certificates of its nodes
	plain := filepath.Join(t.TempDir(), plainauth.JarName)
	o.Jars = []string{put(t, plain, plainauth.Jar()), filepath.Join(jars, "*")}
	return o
}

// Segments of a topic go to the store of the plug-in, the broker drops them from its disk, and whoever reads from the
// beginning has every record. The class has its Secret, and a loader of its own; reporter and policy run.
func TestBrokersMoveSegmentsToTheStoreOfAPlugin(t *testing.T) {
	if testing.Short() {
		t.Skip("needs a real Kafka")
	}
	for _, v := range version.Catalogue {
		t.Run(v.Kafka, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
			defer cancel()
			jars, secrets, store := t.TempDir(), t.TempDir(), filepath.Join(t.TempDir(), "store")
			if _, err := kafkatest.PluginJar(ctx, jars); err != nil {
				t.Fatal(err)
			}
			put(t, filepath.Join(secrets, model.PluginFile("store", "word")), []byte("a${b:c}secret"))
			note := filepath.Join(t.TempDir(), "note")
			k, err := kafkatest.Start(ctx, plugged(t, tieredSpec(v.Kafka, store, note), jars, secrets))
			if err != nil {
				t.Fatal(err)
			}
			defer k.Close()
			s := &tieredScene{t, ctx, k, suite.PaceOf(k.StartTook, quietStart)}
			s.mustHold(note, kafkatest.ReporterWords)
			s.mustHold(filepath.Join(store, "password"), "a${b:c}secret")
			s.mustHold(filepath.Join(store, "loader"), "ChildFirstClassLoader")
			s.moves()
			s.refuses()
		})
	}
}

type tieredScene struct {
	t     *testing.T
	ctx   context.Context
	kafka *kafkatest.Cluster
	pace  suite.Pace
}

func (s *tieredScene) mustHold(file, want string) {
	s.t.Helper()
	s.eventually(filepath.Base(file), func() error {
		got, err := os.ReadFile(file)
		if err == nil && string(got) != want {
			err = fmt.Errorf("%q, want %q", got, want)
		}
		return err
	})
}

func (s *tieredScene) eventually(what string, check func() error) {
	s.t.Helper()
	deadline := time.Now().Add(s.pace.Of(2 * time.Minute))
	for {
		err := check()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			s.t.Fatalf("%s: still %v; the broker says\n%s", what, err, s.kafka.Log(1))
		}
		time.Sleep(200 * time.Millisecond)
	}
}

func (s *tieredScene) admin() *client.Client {
	s.t.Helper()
	admin, err := client.New(client.Options{Seeds: s.kafka.Admins()})
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(admin.Close)
	return admin
}

// moves fills a topic with 4 MB in segments of 1 MB, until only the last of them is on the broker's disk.
func (s *tieredScene) moves() {
	const records = 4000
	admin := s.admin()
	topic := kafka.NewTopic{Name: "tiered", Partitions: 1, ReplicationFactor: 1, Config: map[string]string{
		"remote.storage.enable": "true", "segment.bytes": "1048576", "local.retention.ms": "1", "file.delete.delay.ms": "1"}}
	s.eventually("the topic is made", func() error {
		made, err := admin.CreateTopics(s.ctx, []kafka.NewTopic{topic})
		return errors.Join(err, made["tiered"].Err)
	})
	cl, err := kgo.NewClient(kgo.SeedBrokers(s.kafka.Admins()...), kgo.DefaultProduceTopic("tiered"),
		kgo.ProducerBatchCompression(kgo.NoCompression()), kgo.ConsumeTopics("tiered"),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	if err != nil {
		s.t.Fatal(err)
	}
	defer cl.Close()
	value := bytes.Repeat([]byte("x"), 1000)
	for i := range records {
		cl.Produce(s.ctx, &kgo.Record{Key: fmt.Append(nil, i), Value: value}, nil)
	}
	if err := cl.Flush(s.ctx); err != nil {
		s.t.Fatal(err)
	}
	s.eventually("segments leave the broker's disk", func() error {
		const earliest, earliestLocal = -2, -4
		local, err := offsetAt(s.ctx, cl, earliestLocal)
		first, err2 := offsetAt(s.ctx, cl, earliest)
		if err = errors.Join(err, err2); err == nil && (local < records/2 || first != 0) {
			err = fmt.Errorf("the first record is %d, and the first on the disk %d", first, local)
		}
		return err
	})
	found := map[string]bool{}
	for len(found) < records {
		fetches := cl.PollFetches(s.ctx)
		if err := fetches.Err(); err != nil {
			s.t.Fatalf("%d of %d records are read: %v; the broker says\n%s", len(found), records, err, s.kafka.Log(1))
		}
		fetches.EachRecord(func(r *kgo.Record) { found[string(r.Key)] = true })
	}
	snapshot, err := admin.Snapshot(s.ctx)
	if err != nil || fmt.Sprint(snapshot.Tiered) != "[tiered]" {
		s.t.Errorf("%v; topics with tiered storage: %+v", err, snapshot)
	}
}

// offsetAt asks for one of the offsets that have a name.
func offsetAt(ctx context.Context, cl *kgo.Client, timestamp int64) (int64, error) {
	ask, topic, partition := kmsg.NewPtrListOffsetsRequest(), kmsg.NewListOffsetsRequestTopic(),
		kmsg.NewListOffsetsRequestTopicPartition()
	ask.ReplicaID, topic.Topic, partition.Timestamp = -1, "tiered", timestamp
	topic.Partitions = append(topic.Partitions, partition)
	ask.Topics = append(ask.Topics, topic)
	answer, err := ask.RequestWith(ctx, cl)
	if err != nil {
		return 0, err
	}
	if p := answer.Topics[0].Partitions[0]; p.ErrorCode == 0 {
		return p.Offset, nil
	}
	return 0, fmt.Errorf("code %d", answer.Topics[0].Partitions[0].ErrorCode)
}

// refuses holds that what Kafka and the plug-in refuse is told by the field and with the cure.
func (s *tieredScene) refuses() {
	admin := s.admin()
	made, err := admin.CreateTopics(s.ctx, []kafka.NewTopic{{Name: "forbidden-orders", Partitions: 1, ReplicationFactor: 1}})
	if err != nil {
		s.t.Fatal(err)
	}
	mustTell(s.t, made["forbidden-orders"].Err, topics.Desired{Name: "forbidden-orders"}, "spec: ",
		"create.topic.policy.class.name", kafkatest.PolicyWords)
	off := "false"
	altered, err := admin.AlterTopicConfigs(s.ctx, map[string][]kafka.ConfigChange{
		"tiered": {{Key: "remote.storage.enable", Value: &off}}})
	if err != nil {
		s.t.Fatal(err)
	}
	mustTell(s.t, altered["tiered"], topics.Desired{Name: "tiered", Config: map[string]string{"remote.storage.enable": off}},
		"spec.config[remote.storage.enable]: ", "remote.log.delete.on.disable=true")
}

func mustTell(t *testing.T, err error, d topics.Desired, field string, says ...string) {
	t.Helper()
	told, is := topics.Explain(err, "Create", d, 1)
	if !is || !strings.HasPrefix(told.Error(), field) {
		t.Errorf("%v is told as %s", err, told.Error())
	}
	for _, want := range says {
		if !strings.Contains(told.Error(), want) {
			t.Errorf("%q is not in %s", want, told.Error())
		}
	}
}

func TestATopicCannotHaveTieredStorageWhereTheClusterHasNone(t *testing.T) {
	if testing.Short() {
		t.Skip("needs a real Kafka")
	}
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	k, err := kafkatest.Start(ctx, kafkatest.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer k.Close()
	admin := (&tieredScene{t: t, ctx: ctx, kafka: k}).admin()
	config := map[string]string{"remote.storage.enable": "true", "retention.ms": "1"}
	made, err := admin.CreateTopics(ctx, []kafka.NewTopic{{Name: "cold", Partitions: 1, ReplicationFactor: 1, Config: maps.Clone(config)}})
	if err != nil {
		t.Fatal(err)
	}
	mustTell(t, made["cold"].Err, topics.Desired{Name: "cold", Config: config}, "spec.config[remote.storage.enable]: ",
		"the cluster has no tiered storage", "set spec.tieredStorage of the KafkaCluster", "or remove this key")
}
