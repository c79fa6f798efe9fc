package e2e

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/twmb/franz-go/pkg/kadm"

	"github.com/castellan-dev/castellan/api/v1alpha1"
)

const oauthManifest = `
kind: KafkaCluster
metadata: {name: events}
spec:
  version: "4.3.1"
  pools:
  - {name: main, replicas: 1, storage: {volumes: [{name: data, size: 1Gi}]}, jvm: {heap: 256Mi}}
  listeners:
  - name: outside
    port: 9094
    exposure: {type: NodePort}
    authentication:
      mechanisms: [SCRAM-SHA-512, OAUTHBEARER]
      oauth:
        issuer: https://id.example.com/realms/shop
        audience: kafka
        principalClaim: client_id
        jwks: {url: "%s", caSecret: {name: id, key: ca.crt}}
  authorization: {type: Simple, superUsers: [admin]}
`

// Clients log in by tokens and by passwords at one listener. Brokers follow the issuer's keys without a restart, and
// start and take tokens while it is away.
func TestCase42_TokensAreTakenBesidePasswordsAndTheKeysOfTheirIssuerAreFollowed(t *testing.T) {
	long(t)
	if !isLocal() {
		t.Skip("the identity provider runs on this machine, which the operator of another cluster need not reach")
	}
	id := startIdentityProvider(t)
	ns := newNamespace(t)
	ca := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: "id",
		Labels: map[string]string{v1alpha1.LabelUse: v1alpha1.UseJWKS}}, Data: map[string][]byte{"ca.crt": id.root.pem()}}
	if err := kube.Create(t.Context(), ca); err != nil {
		t.Fatal(err)
	}
	apply(t, ns, fmt.Sprintf(oauthManifest, id.url))
	cluster := clusterNamed(ns, sharedName)
	waitReady(t, 3*time.Minute, cluster)
	apply(t, ns, adminManifest+"\n---\n"+topicManifest(sharedTopic, ", partitions: 1, replicationFactor: 1"))
	waitReady(t, time.Minute, userNamed(ns, adminUser))
	waitReady(t, time.Minute, topicNamed(ns, sharedTopic))

	byPassword := loginOf(t, ns, adminUser).at(t, ns, sharedName, "outside")
	byToken := func(token string) login {
		l := byPassword.with(v1alpha1.MechanismOAuthBearer)
		l.username, l.password = "", token
		return l
	}
	taken := func(within time.Duration, what string, token string) time.Duration {
		t.Helper()
		return eventually(t, within, what, func(context.Context) error { return tryToLogIn(t, byToken(token)) })
	}
	first := id.token(t, nil)
	taken(time.Minute, "a token is taken", first)
	if err := tryToLogIn(t, byPassword); err != nil {
		t.Errorf("by password, at the same listener: %v", err)
	}
	for what, token := range map[string]string{
		"another audience": id.token(t, map[string]any{"aud": "shop"}), "another issuer": id.token(t, map[string]any{"iss": "x"}),
		"expired": id.token(t, map[string]any{"exp": time.Now().Add(-time.Hour).Unix()}),
	} {
		if err := tryToLogIn(t, byToken(token)); err == nil {
			t.Errorf("%s: it is taken", what)
		}
	}
	allowed := kadm.NewACLs().Topics(sharedTopic).ResourcePatternType(kadm.ACLPatternLiteral).
		Operations(kadm.OpWrite, kadm.OpDescribe).Allow("User:oidc:orders").AllowHosts()
	if _, err := byPassword.admin(t).CreateACLs(t.Context(), allowed); err != nil {
		t.Fatal(err)
	}
	eventually(t, 15*time.Second, "User:oidc:orders writes by its ACL", func(context.Context) error {
		return tryToProduce(t, byToken(id.token(t, nil)), sharedTopic)
	})

	before := lives(t, ns, sharedName)
	id.rotate(t)
	figureSeconds(t, "new-key-of-an-issuer", taken(2*time.Minute, "a token with the new key is taken", id.token(t, nil)))
	eventually(t, 2*time.Minute, "a token with the old key is refused", func(context.Context) error {
		if tryToLogIn(t, byToken(first)) == nil {
			return errors.New("it is taken")
		}
		return nil
	})
	mustLiveOn(t, ns, sharedName, before)

	id.answers(identityRedirects)
	warns(t, cluster, "redirect (302), which is not followed")
	id.answers(identityAway)
	warns(t, cluster, "brokers go on with those that were fetched last")
	t.Run("a broker restarts while the issuer is away", func(t *testing.T) {
		if err := kube.Delete(t.Context(), getPod(t, ns, "events-main-0")); err != nil {
			t.Fatal(err)
		}
		eventually(t, 3*time.Minute, "another pod takes tokens", func(ctx context.Context) error {
			for pod, life := range lives(t, ns, sharedName) {
				if before[pod] == life {
					return fmt.Errorf("%s is the same", pod)
				}
			}
			return tryToLogIn(t, byToken(id.token(t, nil)))
		})
		waitReady(t, time.Minute, cluster)
	})
	id.answers(identityServes)
	id.rotate(t)
	taken(2*time.Minute, "the next key is followed once the issuer is back", id.token(t, nil))
	eventually(t, time.Minute, "nothing is warned of any more", func(ctx context.Context) error {
		if err := refresh(ctx, cluster); err != nil {
			return err
		}
		if w := meta.FindStatusCondition(cluster.conditions(), v1alpha1.ConditionWarning); w != nil &&
			strings.Contains(w.Message, "keys of issuer") {
			return errors.New(w.Message)
		}
		return nil
	})
}

// warns waits for the condition Warning to say something.
func warns(t *testing.T, cluster kafkaCluster, what string) {
	t.Helper()
	eventually(t, 2*time.Minute, "it is warned of: "+what, func(ctx context.Context) error {
		if err := refresh(ctx, cluster); err != nil {
			return err
		}
		w := meta.FindStatusCondition(cluster.conditions(), v1alpha1.ConditionWarning)
		if w == nil || !strings.Contains(w.Message, what) {
			return fmt.Errorf("%s", told(cluster.conditions()))
		}
		return nil
	})
}
