package e2e

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/castellan-dev/castellan/api/v1alpha1"
)

const customManifest = `
kind: KafkaCluster
metadata: {name: events}
spec:
  version: "4.3.1"
  pools:
  - {name: main, replicas: 1, storage: {volumes: [{name: data, size: 1Gi}]}, jvm: {heap: 256Mi}}
  listeners:
  - name: outside
    port: 9094
    encryption: None
    exposure: {type: NodePort}
    authentication:
      mechanisms: [%s]
      %s
  authorization: {type: Simple, superUsers: [admin]}
  config: {log.retention.ms: "%d"}
`

// withCustom is the cluster once its listener takes PLAIN of somebody else's beside SCRAM.
func withCustom(retention int) string {
	return fmt.Sprintf(customManifest, "SCRAM-SHA-512, Custom",
		`custom: {mechanism: PLAIN, secret: {name: directory}, principalPrefix: "ldap:"}`, retention)
}

const (
	customField  = "spec.listeners[outside].authentication.custom.secret"
	retentionKey = "log.retention.ms"
)

// jaasOf is the line of JAAS by which Kafka's own class for PLAIN knows two users.
func jaasOf(alice string) []byte {
	return fmt.Appendf(nil, "org.apache.kafka.common.security.plain.PlainLoginModule required\n"+
		"  user_alice=%q user_bob=\"bobs-1st\";", alice)
}

// A listener takes PLAIN whose users are in a Secret of the owner's, beside SCRAM, whose users are the operator's. What
// is wrong with the Secret is told, and nothing else waits for it.
func TestCase48_AMechanismThatIsNoneOfTheOperatorsStandsBesideScram(t *testing.T) {
	long(t)
	ns := newNamespace(t)
	apply(t, ns, fmt.Sprintf(customManifest, "SCRAM-SHA-512", "", 86400000))
	cluster := clusterNamed(ns, sharedName)
	waitReady(t, 3*time.Minute, cluster)
	apply(t, ns, adminManifest+"\n---\n"+topicManifest(sharedTopic, ", partitions: 1, replicationFactor: 1"))
	waitReady(t, time.Minute, userNamed(ns, adminUser))
	waitReady(t, time.Minute, topicNamed(ns, sharedTopic))
	byScram := loginOf(t, ns, adminUser).at(t, ns, sharedName, "outside")
	before := lives(t, ns, sharedName)

	// The mechanism is new, and waits until there is something to know it by. The cluster goes on as it was.
	apply(t, ns, withCustom(86400000))
	stalled := func(what, says string) {
		t.Helper()
		// Of a Secret without the label the operator hears nothing, and looks at its next pass.
		eventually(t, time.Minute, what+": it is told", func(ctx context.Context) error {
			return isStalled(ctx, cluster, "LoginSecret", []string{customField, says})
		})
		if err := tryToLogIn(t, byScram); err != nil {
			t.Errorf("%s, and somebody with a password of the operator's is refused: %v", what, err)
		}
	}
	stalled("there is no Secret", `there is no Secret "directory"`)
	secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: "directory"},
		Data: map[string][]byte{"jaas.conf": jaasOf("alices-1st"), "ca.pem": []byte("first")}}
	if err := kube.Create(t.Context(), secret); err != nil {
		t.Fatal(err)
	}
	stalled("nobody has labelled it", "kubectl label secret directory kafka.castellan.dev/use=plugin")
	mustLiveOn(t, ns, sharedName, before)

	write := func(label string, jaas []byte, ca string) {
		t.Helper()
		patch := client.MergeFrom(secret.DeepCopy())
		secret.Labels = map[string]string{v1alpha1.LabelUse: label}
		secret.Data = map[string][]byte{"jaas.conf": jaas, "ca.pem": []byte(ca)}
		if err := kube.Patch(t.Context(), secret, patch); err != nil {
			t.Fatal(err)
		}
	}
	write(v1alpha1.UsePlugin, jaasOf("alices-1st"), "first")
	as := func(user, password string) login {
		l := byScram.with(v1alpha1.MechanismPlain)
		l.username, l.password = user, password
		return l
	}
	took := eventually(t, 3*time.Minute, "alice logs in", func(context.Context) error {
		return tryToLogIn(t, as("alice", "alices-1st"))
	})
	figureSeconds(t, "custom-mechanism-added", took)
	waitReady(t, time.Minute, cluster)
	for what, l := range map[string]login{
		"a wrong password": as("alice", "bobs-1st"), "somebody whom nobody knows": as("carol", "alices-1st"),
		"a user of the operator's": as(adminUser, byScram.password),
	} {
		if err := tryToLogIn(t, l); !isLoginRefused(err) {
			t.Errorf("%s: %v", what, err)
		}
	}
	if err := tryToLogIn(t, byScram); err != nil {
		t.Errorf("with SCRAM, beside it: %v", err)
	}
	if s := listenerStatus(t, cluster, "outside"); s.CustomMechanism != "PLAIN" {
		t.Errorf("clients are told of the mechanism %q", s.CustomMechanism)
	}
	mustBeWhoTheDirectorySays(t, ns, as("alice", "alices-1st"), as("bob", "bobs-1st"))

	// A file is taken by the running broker, a line of JAAS with a restart.
	before = lives(t, ns, sharedName)
	write(v1alpha1.UsePlugin, jaasOf("alices-1st"), "second")
	eventually(t, 2*time.Minute, "the broker has the other file", func(ctx context.Context) error {
		out, err := kubectl(ctx, "exec", "-n", ns, "events-main-0", "-c", "kafka", "--", "cat",
			"/etc/castellan/login/outside.ca.pem")
		if err != nil || strings.TrimSpace(out) != "second" {
			return fmt.Errorf("it has %q: %w", out, err)
		}
		return nil
	})
	mustLiveOn(t, ns, sharedName, before)
	write(v1alpha1.UsePlugin, jaasOf("alices-2nd"), "second")
	figureSeconds(t, "custom-jaas-changed", eventually(t, 3*time.Minute, "alice logs in with another password",
		func(context.Context) error { return tryToLogIn(t, as("alice", "alices-2nd")) }))
	if err := tryToLogIn(t, as("alice", "alices-1st")); !isLoginRefused(err) {
		t.Errorf("with the password before: %v", err)
	}
	if after := lives(t, ns, sharedName); after["events-main-0"] == before["events-main-0"] {
		t.Error("the broker has not restarted")
	}
	waitReady(t, time.Minute, cluster)

	// Its label is gone: brokers go on with what they have, and all else that is asked for is done.
	before = lives(t, ns, sharedName)
	write("", jaasOf("alices-3rd"), "third")
	stalled("its label is gone", "nobody has labelled it")
	apply(t, ns, withCustom(172800000))
	admin := byScram.admin(t)
	eventually(t, time.Minute, "another change is in force", func(ctx context.Context) error {
		if value, err := brokerValue(ctx, admin, 0, retentionKey); err != nil || value != "172800000" {
			return fmt.Errorf("%s is %q (error %w)", retentionKey, value, err)
		}
		return nil
	})
	stalled("its label is gone, after another change", "nobody has labelled it")
	if err := tryToLogIn(t, as("alice", "alices-2nd")); err != nil {
		t.Errorf("brokers do not go on with what they had: %v", err)
	}
	mustLiveOn(t, ns, sharedName, before)
	mustNotTell(t, ns, cluster, "alices-1st", "bobs-1st", "alices-2nd", "alices-3rd")
	write(v1alpha1.UsePlugin, jaasOf("alices-2nd"), "second")
	waitReady(t, time.Minute, cluster)
	mustLiveOn(t, ns, sharedName, before)

	// It is taken away again: the copy of its files goes with it.
	apply(t, ns, fmt.Sprintf(customManifest, "SCRAM-SHA-512", "", 172800000))
	eventually(t, 3*time.Minute, "alice is refused", func(context.Context) error {
		if tryToLogIn(t, as("alice", "alices-2nd")) == nil {
			return errors.New("she is let in")
		}
		return nil
	})
	waitReady(t, 2*time.Minute, cluster)
	eventually(t, time.Minute, "nothing of it is left in the copy that brokers mounted", func(ctx context.Context) error {
		var logins corev1.Secret
		err := kube.Get(ctx, client.ObjectKey{Namespace: ns, Name: "events-logins"}, &logins)
		if client.IgnoreNotFound(err) != nil || err == nil && len(logins.Data) > 0 {
			return fmt.Errorf("%d entries are left (error %v)", len(logins.Data), err)
		}
		return nil
	})
	if err := tryToLogIn(t, byScram); err != nil {
		t.Errorf("with SCRAM, afterwards: %v", err)
	}
}

// mustBeWhoTheDirectorySays gives somebody from the directory rights by a KafkaUser without a credential, under a name
// that nobody else can have.
func mustBeWhoTheDirectorySays(t *testing.T, ns string, alice, bob login) {
	t.Helper()
	for who, l := range map[string]login{"alice": alice, "bob": bob} {
		if err := tryToProduce(t, l, sharedTopic); !isNotAuthorized(err) {
			t.Errorf("%s, without an ACL: %v", who, err)
		}
	}
	apply(t, ns, `
kind: KafkaUser
metadata: {name: alice}
spec:
  clusterRef: {name: events}
  name: ldap:alice
  authentication: {mechanisms: [External]}
  grants: [{role: Producer, topic: `+sharedTopic+`}]
`)
	waitReady(t, time.Minute, userNamed(ns, "alice"))
	eventually(t, 15*time.Second, "User:ldap:alice writes by its ACL", func(context.Context) error {
		return tryToProduce(t, alice, sharedTopic)
	})
	if err := tryToProduce(t, bob, sharedTopic); !isNotAuthorized(err) {
		t.Errorf("bob, whom nobody has given anything: %v", err)
	}
}

// mustNotTell looks for words in everything that many may read.
func mustNotTell(t *testing.T, ns string, cluster kafkaCluster, words ...string) {
	t.Helper()
	var maps corev1.ConfigMapList
	var events corev1.EventList
	for _, list := range []client.ObjectList{&maps, &events} {
		if err := kube.List(t.Context(), list, client.InNamespace(ns)); err != nil {
			t.Fatal(err)
		}
	}
	if err := refresh(t.Context(), cluster); err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal([]any{maps, events, cluster.KafkaCluster})
	if err != nil {
		t.Fatal(err)
	}
	for _, word := range words {
		if strings.Contains(string(text), word) {
			t.Errorf("ConfigMaps, events or the status tell %q", word)
		}
	}
}
