package onkafka_test

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/castellan-dev/castellan/api/v1alpha1"
	"github.com/castellan-dev/castellan/internal/kafka"
	"github.com/castellan-dev/castellan/internal/kafka/client"
	"github.com/castellan-dev/castellan/internal/kafka/kafkatest"
	"github.com/castellan-dev/castellan/internal/mechanism"
	"github.com/castellan-dev/castellan/internal/model"
	"github.com/castellan-dev/castellan/internal/users"
	"github.com/castellan-dev/castellan/test/suite"
)

// words is an application of Kafka Streams that counts words, exactly once: it has a repartition topic and a changelog.
// Its arguments are its application.id, its group protocol, and a folder. It ends once the counts are committed.
const words = `
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.time.Instant;
import java.util.List;
import java.util.Properties;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.common.serialization.StringDeserializer;
import org.apache.kafka.common.serialization.StringSerializer;
import org.apache.kafka.streams.KafkaStreams;
import org.apache.kafka.streams.StreamsBuilder;
import org.apache.kafka.streams.errors.StreamsUncaughtExceptionHandler.StreamThreadExceptionResponse;
import org.apache.kafka.streams.kstream.Consumed;
import org.apache.kafka.streams.kstream.Grouped;
import org.apache.kafka.streams.kstream.Materialized;
import org.apache.kafka.streams.kstream.Produced;
import org.apache.kafka.streams.state.Stores;

public class Words {
    public static void main(String[] arguments) throws Exception {
        var settings = new Properties();
        try (var file = Files.newInputStream(Path.of(System.getenv("BINDING"), "client.properties"))) {
            settings.load(file);
        }
        try (var producer = new KafkaProducer<>(settings, new StringSerializer(), new StringSerializer())) {
            producer.send(new ProducerRecord<>("lines", "to be or not to be")).get();
        }
        var strings = Serdes.String();
        var builder = new StreamsBuilder();
        builder.stream("lines", Consumed.with(strings, strings))
            .flatMapValues(line -> List.of(line.split(" ")))
            .groupBy((key, word) -> word, Grouped.with(strings, strings))
            .count(Materialized.<String, Long>as(Stores.inMemoryKeyValueStore("seen")).withKeySerde(strings)
                .withValueSerde(Serdes.Long()))
            .toStream().mapValues(count -> arguments[0] + " " + count).to("counts", Produced.with(strings, strings));
        var streaming = new Properties();
        streaming.putAll(settings);
        streaming.put("application.id", arguments[0]);
        streaming.put("group.protocol", arguments[1]);
        streaming.put("state.dir", arguments[2]);
        streaming.put("processing.guarantee", "exactly_once_v2");
        try (var streams = new KafkaStreams(builder.build(), streaming)) {
            streams.setUncaughtExceptionHandler(cause -> {
                cause.printStackTrace();
                Runtime.getRuntime().halt(3);
                return StreamThreadExceptionResponse.SHUTDOWN_CLIENT;
            });
            streams.start();
            settings.put("isolation.level", "read_committed");
            settings.put("auto.offset.reset", "earliest");
            try (var reader = new KafkaConsumer<>(settings, new StringDeserializer(), new StringDeserializer())) {
                reader.assign(List.of(new TopicPartition("counts", 0)));
                var end = Instant.now().plus(Duration.ofSeconds(Long.parseLong(arguments[3])));
                while (Instant.now().isBefore(end)) {
                    for (var record : reader.poll(Duration.ofMillis(200))) {
                        if (record.key().equals("be") && record.value().startsWith(arguments[0] + " ")) {
                            System.out.println("counted: " + record.value());
                            return;
                        }
                    }
                }
            }
        }
        System.out.println("nothing is counted");
        Runtime.getRuntime().halt(4);
    }
}
`

// An application of Kafka Streams does with the role Streams what it is there for, by both group protocols, and without
// the role it does not.
func TestAStreamsApplicationNeedsItsRoleAndNoMore(t *testing.T) {
	if testing.Short() {
		t.Skip("needs a real Kafka")
	}
	if suite.Lane(os.Getenv("CASTELLAN_E2E_LANE")) == suite.Promise {
		t.Skip("a part of all tests, not of the first lane")
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
	t.Cleanup(cancel)
	libs, err := kafkatest.Streams(ctx)
	if err != nil {
		t.Fatal(err)
	}
	k, err := kafkatest.Start(ctx, kafkatest.Options{Config: map[string]string{"group.initial.rebalance.delay.ms": "0"}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(k.Close)
	around := func(group string) []v1alpha1.Grant {
		return []v1alpha1.Grant{{Role: v1alpha1.RoleConsumer, Topic: "lines", Group: group},
			{Role: v1alpha1.RoleConsumer, Topic: "counts", Group: group},
			{Role: v1alpha1.RoleProducer, Topic: "lines"}, {Role: v1alpha1.RoleProducer, Topic: "counts"}}
	}
	streams := func(group string) []v1alpha1.Grant {
		return append(around(group), v1alpha1.Grant{Role: v1alpha1.RoleStreams, Group: group})
	}
	admin, err := client.New(client.Options{Seeds: k.Admins()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(admin.Close)
	if _, err := admin.CreateTopics(ctx, []kafka.NewTopic{{Name: "lines", Partitions: 2}, {Name: "counts", Partitions: 1}}); err != nil {
		t.Fatal(err)
	}
	java := []string{"-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-cp", filepath.Join(libs, "*")}
	source := put(t, filepath.Join(t.TempDir(), "Words.java"), []byte(words))
	for _, c := range []struct {
		group, protocol, seconds string
		grants                   []v1alpha1.Grant
		works                    bool
	}{
		{"classic", "classic", "90", streams("classic"), true},
		{"next", "streams", "90", streams("next"), true},
		{"less", "classic", "30", around("less"), false},
		{"others", "classic", "30", append(around("others"), v1alpha1.Grant{Role: v1alpha1.RoleStreams, Group: "other"}), false},
	} {
		t.Run(c.group, func(t *testing.T) {
			u := &v1alpha1.KafkaUser{}
			u.Name, u.Spec.Grants = c.group+"-user", c.grants
			results, err := admin.CreateACLs(ctx, aclsOf(t, u))
			if err = errors.Join(append(results, err)...); err != nil {
				t.Fatal(err)
			}
			const password = "correct horse"
			refused, err := admin.AlterScramCredentials(ctx, []kafka.ScramUpsert{{User: u.Name, Mechanism: "SCRAM-SHA-512",
				Iterations: mechanism.ScramIterations, Password: password}}, nil)
			if err = errors.Join(err, refused[u.Name]); err != nil {
				t.Fatal(err)
			}
			binding, err := users.Layout{}.Connection(mechanism.Credential{Username: u.Name, Password: password}, k.CA.PEM,
				[]users.Endpoint{{Listener: "secure", Bootstrap: k.Nodes[0].Secure, TLS: true,
					Mechanisms: []v1alpha1.Mechanism{v1alpha1.MechanismScram512}}})
			if err != nil {
				t.Fatal(err)
			}
			dir := t.TempDir()
			put(t, filepath.Join(dir, "client.properties"), binding["client.properties"])
			cmd := exec.CommandContext(ctx, "java", append(java, source, c.group, c.protocol, t.TempDir(), c.seconds)...)
			cmd.Env = append(os.Environ(), "BINDING="+dir)
			out, err := cmd.CombinedOutput()
			counted := strings.Contains(string(out), "counted: "+c.group+" ")
			if counted != c.works || counted != (err == nil) || !c.works && !strings.Contains(string(out), "AuthorizationException") {
				t.Errorf("that it counts is %t: %v\n%s", counted, err, out)
			}
		})
	}
}

// aclsOf are the ACLs that the grants of a user come to.
func aclsOf(t *testing.T, u *v1alpha1.KafkaUser) []kafka.ACL {
	t.Helper()
	rules, faults := users.Granted(u, model.Host{Namespace: u.Namespace})
	if len(faults) > 0 {
		t.Fatal(faults)
	}
	return users.ACLsOf(u.Name, rules)
}
