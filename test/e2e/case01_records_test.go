package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/castellan-dev/castellan/api/v1alpha1"
)

const manyRecords = 10000

// mechanismUsers are one user per mechanism; the values are their names.
var mechanismUsers = map[v1alpha1.Mechanism]string{
	v1alpha1.MechanismPlain: "by-plain", v1alpha1.MechanismScram256: "by-scram256", v1alpha1.MechanismScram512: "by-scram512",
}

func TestCase01_RecordsGoInAndOutWithNothingButTheSecret(t *testing.T) {
	promise(t)
	ns := shared(t)
	for mechanism, user := range mechanismUsers {
		apply(
			t,
			ns,
			topicManifest(
				"records-"+user,
				", partitions: 6, replicationFactor: 2",
			)+"\n---\n"+userManifest(
				user,
				"records-"+user,
				mechanism,
			),
		)
	}
	for _, user := range mechanismUsers {
		waitReady(t, time.Minute, topicNamed(ns, "records-"+user))
		waitReady(t, time.Minute, userNamed(ns, user))
	}
	t.Run("from a pod with the console tools", func(t *testing.T) {
		for mechanism, user := range mechanismUsers {
			startConsole(t, ns, user, secretOf(t, ns, user).Name, consoleScript)
			say(t, "a pod of %s (%s) is made", user, mechanism)
		}
		for _, user := range mechanismUsers {
			waitConsole(t, ns, user, "records=10000 keys=10000 partitions=6")
		}
	})
	for mechanism, user := range mechanismUsers {
		t.Run("from outside with "+string(mechanism), func(t *testing.T) {
			sendAndReadBack(t, loginOf(t, ns, user).at(t, ns, sharedName, "outside"), "records-"+user)
		})
	}
}

// consoleScript sends records with keys and reads all of the topic back; its last line is what was seen: records,
// different keys, partitions.
const consoleScript = `
set -euo pipefail
b=$(cat /client/bootstrap.servers)
for ((i = 0; i < 10000; i++)); do printf 'inside-%d\t{"id": %d}\n' "$i" "$i"; done |
  /opt/kafka/bin/kafka-console-producer.sh --bootstrap-server "$b" --command-config /client/client.properties \
    --topic "$TOPIC" --reader-property parse.key=true
/opt/kafka/bin/kafka-console-consumer.sh --bootstrap-server "$b" --command-config /client/client.properties \
    --topic "$TOPIC" --group "$GROUP" --from-beginning --max-messages 10000 --timeout-ms 300000 \
    --formatter-property print.key=true --formatter-property print.partition=true --formatter-property print.value=false > /tmp/seen
echo "records=$(wc -l < /tmp/seen) keys=$(grep -o 'inside-[0-9]*' /tmp/seen | sort -u | wc -l) partitions=$(grep -o 'Partition:[0-9]*' /tmp/seen | sort -u | wc -l)"
`

// startConsole runs the console tools of the Kafka image in a pod that has the Secret mounted and knows nothing else.
func startConsole(t *testing.T, ns, user, secret, does string) {
	t.Helper()
	pod := fmt.Sprintf(`
apiVersion: v1
kind: Pod
metadata: {name: console-%[1]s}
spec:
  restartPolicy: Never
  automountServiceAccountToken: false
  securityContext: {runAsNonRoot: true, runAsUser: 1000, runAsGroup: 1000, fsGroup: 1000, seccompProfile: {type: RuntimeDefault}}
  volumes:
  - {name: client, secret: {secretName: %[2]s}}
  - {name: tmp, emptyDir: {}}
  containers:
  - name: console
    image: apache/kafka:%[3]s
    env:
    - {name: TOPIC, value: records-%[1]s}
    - {name: GROUP, value: %[1]s-inside}
    - {name: LOG_DIR, value: /tmp}
    - {name: KAFKA_HEAP_OPTS, value: -Xmx128m}
    securityContext: {allowPrivilegeEscalation: false, capabilities: {drop: [ALL]}}
    volumeMounts:
    - {name: client, mountPath: /client, readOnly: true}
    - {name: tmp, mountPath: /tmp}
`, user, secret, kafkaVersion)
	script, err := json.Marshal(does)
	if err != nil {
		t.Fatal(err)
	}
	apply(t, ns, pod+"    command: [/bin/bash, -c, "+string(script)+"]\n")
}

// waitConsole waits for the end of such a pod, which has to say what is wanted.
func waitConsole(t *testing.T, ns, user, want string) {
	t.Helper()
	name := "console-" + user
	var phase corev1.PodPhase
	eventually(t, 3*time.Minute, "pod "+name+" has ended", func(ctx context.Context) error {
		pod := &corev1.Pod{}
		if err := kube.Get(ctx, client.ObjectKey{Namespace: ns, Name: name}, pod); err != nil {
			return err
		}
		if phase = pod.Status.Phase; phase != corev1.PodSucceeded && phase != corev1.PodFailed {
			return fmt.Errorf("it is %s", phase)
		}
		return nil
	})
	out, err := kubectl(t.Context(), "logs", "-n", ns, name)
	if err != nil {
		t.Fatal(err)
	}
	if phase != corev1.PodSucceeded || !strings.Contains(out, want) {
		t.Errorf("pod %s is %s and does not say %q: %s", name, phase, want, tail(out))
	}
}

// sendAndReadBack sends records over all partitions and checks each one.
func sendAndReadBack(t *testing.T, l login, topic string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), pace.Of(2*time.Minute))
	defer cancel()
	producer := l.client(t, kgo.DefaultProduceTopic(topic))
	records := make([]*kgo.Record, manyRecords)
	for i := range records {
		value, err := json.Marshal(record{ID: i, Sent: time.Now(), Text: "outside"})
		if err != nil {
			t.Fatal(err)
		}
		records[i] = &kgo.Record{Key: fmt.Appendf(nil, "outside-%d", i), Value: value}
	}
	if err := producer.ProduceSync(ctx, records...).FirstErr(); err != nil {
		t.Fatalf("produce as %s by %s: %v", l.username, l.mechanism, err)
	}
	found := readAll(ctx, t, l, topic)
	partitions := map[int32]int{}
	for _, r := range records {
		at, ok := found[string(r.Key)]
		if !ok {
			t.Fatalf("%s was sent and is not read back", r.Key)
		}
		partitions[at.partition]++
	}
	if len(partitions) != 6 {
		t.Errorf("the records lie in %d partitions, expected 6: %v", len(partitions), partitions)
	}
	say(t, "%d records sent and read back by %s over %v", manyRecords, l.mechanism, partitions)
}

func TestCase01_WhoMayNotIsRefused(t *testing.T) {
	promise(t)
	ns := shared(t)
	apply(
		t,
		ns,
		userManifest(
			"stranger",
			"another-topic",
			allMechanisms...)+"\n---\n"+userManifest(
			"guest",
			sharedTopic,
			allMechanisms...),
	)
	waitReady(t, time.Minute, userNamed(ns, "stranger"))
	waitReady(t, time.Minute, userNamed(ns, "guest"))
	stranger, guest := loginOf(t, ns, "stranger"), loginOf(t, ns, "guest")
	for _, listener := range []string{"inside", "outside"} {
		for _, mechanism := range allMechanisms {
			t.Run(listener+" "+string(mechanism), func(t *testing.T) {
				t.Parallel()
				good := guest.with(mechanism).at(t, ns, sharedName, listener)
				if err := tryToProduce(t, good, sharedTopic); err != nil {
					t.Errorf("the right password is refused: %v", err)
				}
				bad := good
				bad.password += "x"
				if err := tryToLogIn(t, bad); !isLoginRefused(err) {
					t.Errorf("a wrong password: error %v, expected a refused login", err)
				}
				bad.username, bad.password = "nobody-knows-me", good.password
				if err := tryToLogIn(t, bad); !isLoginRefused(err) {
					t.Errorf("an unknown user: error %v, expected a refused login", err)
				}
				without := stranger.with(mechanism).at(t, ns, sharedName, listener)
				if err := tryToProduce(t, without, sharedTopic); !isNotAuthorized(err) {
					t.Errorf("a user without an ACL: error %v, expected that the topic is not authorized", err)
				}
			})
		}
	}
}

func TestCase01_ADeletedUserIsRefusedBeforeItsObjectIsGone(t *testing.T) {
	promise(t)
	ns := shared(t)
	apply(t, ns, userManifest("leaver", sharedTopic, allMechanisms...))
	user := userNamed(ns, "leaver")
	waitReady(t, time.Minute, user)
	l := loginOf(t, ns, "leaver").at(t, ns, sharedName, "outside")
	secret := secretOf(t, ns, "leaver")
	if err := kube.Delete(t.Context(), user.KafkaUser); err != nil {
		t.Fatal(err)
	}
	took := eventually(t, time.Minute, "KafkaUser leaver is gone", func(ctx context.Context) error {
		if apierrors.IsNotFound(refresh(ctx, user)) {
			return nil
		}
		return fmt.Errorf("it is still there, finalizers %v, conditions %s", user.Finalizers, told(user.conditions()))
	})
	figureSeconds(t, "user-deletion", took)
	for _, mechanism := range allMechanisms {
		if err := tryToLogIn(t, l.with(mechanism)); !isLoginRefused(err) {
			t.Errorf("%s: the object is gone and its login ends with %v, expected a refused login", mechanism, err)
		}
	}
	eventually(t, time.Minute, "its Secret is gone", func(ctx context.Context) error {
		if err := kube.Get(ctx, client.ObjectKeyFromObject(secret), secret); err == nil {
			return fmt.Errorf("Secret %s is still there", secret.Name)
		}
		return nil
	})
}

func TestCase01_TheSecretIsACompleteClientConfiguration(t *testing.T) {
	promise(t)
	ns := shared(t)
	secret := secretOf(t, ns, adminUser)
	if secret.Type != "servicebinding.io/kafka" {
		t.Errorf("type %q, expected servicebinding.io/kafka", secret.Type)
	}
	for _, key := range []string{"type", "provider", "bootstrap.servers", "security.protocol", "sasl.mechanism", "username", "password",
		"sasl.jaas.config", "client.properties", "librdkafka.config", "librdkafka.json"} {
		if len(secret.Data[key]) == 0 {
			t.Errorf("the Secret has no %s", key)
		}
	}
	password := string(secret.Data["password"])
	for _, file := range []string{"client.properties", "librdkafka.config", "librdkafka.json", "sasl.jaas.config"} {
		if !strings.Contains(string(secret.Data[file]), password) {
			t.Errorf("%s does not hold the password", file)
		}
	}
}

func TestCase01_TLSListenersNameWhatTheyAdvertise(t *testing.T) {
	promise(t)
	ns := shared(t)
	for _, listener := range []string{"secure", "securenp"} {
		l := loginOf(t, ns, adminUser).at(t, ns, sharedName, listener)
		if l.protocol != "SASL_SSL" {
			t.Errorf("%s: security.protocol %s, expected SASL_SSL", listener, l.protocol)
		}
		if len(l.ca) == 0 {
			t.Fatalf("the Secret of a user who may use %s holds no ca.crt", listener)
		}
		brokers, err := l.admin(t).ListBrokers(t.Context())
		if err != nil || len(brokers) != 3 {
			t.Errorf("%s: %d brokers, error %v", listener, len(brokers), err)
			continue
		}
		cl := l.client(t)
		for _, b := range brokers {
			if _, err := cl.Broker(int(b.NodeID)).Request(t.Context(), kmsg.NewPtrApiVersionsRequest()); err != nil {
				t.Errorf("%s: broker %d at %s:%d, whose certificate must name it: %v", listener, b.NodeID, b.Host, b.Port, err)
			}
		}
	}
}
