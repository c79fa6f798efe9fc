package client_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/castellan-dev/castellan/internal/kafka"
	"github.com/castellan-dev/castellan/internal/kafka/kafkatest"
)

func TestWhatTheOperatorMayNotSeeOrDoIsToldTopicByTopic(t *testing.T) {
	admin, _ := connect(t)
	for _, name := range []string{"told", "untold"} {
		topic := kafka.NewTopic{Name: name, Partitions: 1, ReplicationFactor: 1}
		if r, err := admin.CreateTopics(t.Context(), []kafka.NewTopic{topic}); err != nil || r[name].Err != nil {
			t.Fatal(err, r)
		}
	}
	acl := func(name, operation string) kafka.ACL {
		return allow("User:CN=stranger", operation, "Topic", name, "Literal")
	}
	acls := []kafka.ACL{acl("told", "Describe"), acl("told", "DescribeConfigs"), acl("untold", "Describe")}
	grant(t, admin, acls...)
	// Other tests count the ACLs of this cluster.
	t.Cleanup(func() { revoke(context.WithoutCancel(t.Context()), t, admin, acls...) })
	stranger := login(t, "stranger")
	eventually(t, "one topic is seen and the other is not", func() error {
		found, err := stranger.DescribeTopics(t.Context(), []string{"told", "untold", "absent"})
		switch {
		case err != nil:
			return err
		case found["told"].Partitions != 1 || found["told"].Denied != nil:
			return fmt.Errorf("told: %+v", found["told"])
		case found["untold"].Denied == nil || found["untold"].Denied.Code != "TOPIC_AUTHORIZATION_FAILED":
			return fmt.Errorf("untold: %+v", found["untold"])
		case found["absent"].Denied == nil: // whether it is there is not told either
			return fmt.Errorf("absent: %+v", found["absent"])
		}
		return nil
	})
	denied := func(what string, err error) {
		t.Helper()
		if _, ok := errors.AsType[*kafka.Denied](err); !ok {
			t.Errorf("%s: %v", what, err)
		}
	}
	mine := []kafka.NewTopic{{Name: "mine", Partitions: 1, ReplicationFactor: 1}}
	created, err := stranger.CreateTopics(t.Context(), mine)
	denied("create", errors.Join(err, created["mine"].Err))
	changes := map[string][]kafka.ConfigChange{"told": {set("retention.ms", "1000")}}
	altered, err := stranger.AlterTopicConfigs(t.Context(), changes)
	denied("alter", errors.Join(err, altered["told"]))
	grown, err := stranger.CreatePartitions(t.Context(), map[string]int32{"told": 2})
	denied("grow", errors.Join(err, grown["told"]))
}

// A status repeats the sentence: one that differs each time would be written for ever.
func TestADenialReadsTheSameEachTime(t *testing.T) {
	needKafka(t)
	stranger := login(t, "stranger")
	moves := map[string][]kafka.Move{"none": {{Partition: 0}}}
	for what, attempt := range map[string]func() error{
		"at the broker":     func() error { _, err := stranger.ACLs(t.Context(), nil); return err },
		"at the controller": func() error { _, err := stranger.Reassign(t.Context(), moves); return err },
	} {
		var said []string
		for range 2 {
			denied, ok := errors.AsType[*kafka.Denied](attempt())
			if !ok {
				t.Fatalf("%s: not denied", what)
			}
			said = append(said, denied.Error())
		}
		if said[0] != said[1] || !strings.Contains(said[0], "permission") || strings.Contains(said[0], "127.0.0.1") {
			t.Errorf("%s: %q, then %q", what, said[0], said[1])
		}
	}
}

const policySource = `
import java.util.Map;
import org.apache.kafka.common.errors.PolicyViolationException;
import org.apache.kafka.server.policy.CreateTopicPolicy;

public class FewPartitions implements CreateTopicPolicy {
    public void configure(Map<String, ?> configs) {}
    public void close() {}
    public void validate(RequestMetadata topic) {
        if (topic.numPartitions() != null && topic.numPartitions() > 3) {
            throw new PolicyViolationException("more than 3 partitions need a permit");
        }
    }
}
`

func TestAPolicyAndAQuotaRefuseInTheirOwnWords(t *testing.T) {
	needKafka(t)
	ctx, cancel := context.WithTimeout(t.Context(), pace.Of(2*time.Minute))
	defer cancel()
	libs, err := kafkatest.Libs(ctx, kafkatest.Version)
	if err != nil {
		t.Fatal(err)
	}
	classes := t.TempDir()
	source := filepath.Join(classes, "FewPartitions.java")
	if err := os.WriteFile(source, []byte(policySource), 0o600); err != nil {
		t.Fatal(err)
	}
	compile := exec.CommandContext(ctx, "javac", "-cp", filepath.Join(libs, "*"), "-d", classes, source)
	if out, err := compile.CombinedOutput(); err != nil {
		t.Fatalf("compile the policy: %v: %s", err, out)
	}
	k, err := kafkatest.Start(ctx, kafkatest.Options{Jars: []string{classes}, Config: map[string]string{
		"create.topic.policy.class.name": "FewPartitions", "num.partitions": "4000",
	}})
	if err != nil {
		t.Fatal(err)
	}
	defer k.Close()
	c, _ := connectTo(t, k)
	results, err := c.CreateTopics(ctx, []kafka.NewTopic{
		{Name: "small", Partitions: 3, ReplicationFactor: 1}, {Name: "large", Partitions: 4, ReplicationFactor: 1},
	})
	if err != nil || results["small"].Err != nil {
		t.Fatal(err, results)
	}
	refused(t, results["large"].Err, "POLICY_VIOLATION")
	if !strings.Contains(results["large"].Err.Error(), "more than 3 partitions need a permit") {
		t.Errorf("the policy's words are lost: %v", results["large"].Err)
	}
	// With the brokers' default these are 16,000 partitions, more than Kafka takes in one request. Still each topic
	// gets a refusal of its own.
	many := []kafka.NewTopic{
		{Name: "one"}, {Name: "two"}, {Name: "three"}, {Name: "four"},
		{Name: "small", Partitions: 1, ReplicationFactor: 1},
	}
	for i := range many[:4] {
		many[i].ReplicationFactor = 3
	}
	refusals, err := c.ValidateTopics(ctx, many)
	if err != nil || !errors.Is(refusals["small"], kafka.ErrTopicExists) {
		t.Fatal(err, refusals)
	}
	for _, topic := range many[:4] {
		refused(t, refusals[topic.Name], "INVALID_REPLICATION_FACTOR")
	}

	noErrors(t)(c.AlterQuotas(ctx, map[string]map[string]*float64{
		"ANONYMOUS": {"controller_mutation_rate": ptr(0.1)},
	}))
	n := 0
	eventually(t, "the quota is used up", func() error {
		n++
		name := fmt.Sprintf("quota-%d", n)
		results, err := c.CreateTopics(ctx, []kafka.NewTopic{{Name: name, Partitions: 3, ReplicationFactor: 1}})
		if err != nil {
			return err
		}
		throttled, ok := errors.AsType[*kafka.Throttled](results[name].Err)
		if !ok {
			return fmt.Errorf("topic %s: %w", name, results[name].Err)
		}
		if throttled.After < time.Second || throttled.After > time.Hour {
			t.Errorf("Kafka asks to wait for %s", throttled.After)
		}
		return nil
	})
}
