package cluster

import (
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/castellan-dev/castellan/api/v1alpha1"
	"github.com/castellan-dev/castellan/internal/jwks"
	"github.com/castellan-dev/castellan/internal/render"
)

// issuers are where keys are fetched from.
type issuers struct {
	known     jwks.Fetched // of whichever source
	asked     []jwks.Source
	forgotten []string
}

func (i *issuers) Known(_ string, sources []jwks.Source) map[string]jwks.Fetched {
	i.asked = sources
	all := map[string]jwks.Fetched{}
	for _, s := range sources {
		all[s.Listener] = i.known
	}
	return all
}

func (i *issuers) Forget(owner string) { i.forgotten = append(i.forgotten, owner) }

func takeTokens(spec *v1alpha1.KafkaClusterSpec) {
	spec.Listeners[0].Authentication = &v1alpha1.ListenerAuthentication{
		Mechanisms: []v1alpha1.Mechanism{v1alpha1.MechanismOAuthBearer},
		OAuth: &v1alpha1.ListenerOAuth{Issuer: "https://id.example.com", Audience: "kafka",
			JWKS: v1alpha1.JWKS{URL: "https://id.example.com/keys"}},
	}
}

// takingTokens is a house in which the cluster is asked to take tokens, before its first pass.
func takingTokens(t *testing.T) (*house, *issuers) {
	t.Helper()
	h := newHouse(t)
	cluster := &v1alpha1.KafkaCluster{}
	h.get("events", cluster)
	takeTokens(&cluster.Spec)
	if err := h.api.Update(t.Context(), cluster); err != nil {
		t.Fatal(err)
	}
	return h, h.under.Keys.(*issuers)
}

func (h *house) keys() string {
	h.Helper()
	secret := &corev1.Secret{}
	h.get("events-token-keys", secret)
	return string(secret.Data["clients"+render.KeysEnd])
}

func TestTheKeySetIsThereBeforeTheFirstPodIsMade(t *testing.T) {
	h, _ := takingTokens(t)
	var order []string
	h.applying = func(kind string) { order = append(order, kind) }
	h.reconcile()
	if h.keys() != jwks.Empty {
		t.Errorf("brokers read %s", h.keys())
	}
	sets := slices.Index(order, "StatefulSet")
	if secrets := slices.Index(order, "Secret"); secrets < 0 || sets < secrets {
		t.Errorf("it was applied in the order %v", order)
	}
	secret := &corev1.Secret{}
	h.get("events-token-keys", secret)
	if len(secret.OwnerReferences) != 1 || secret.Labels[v1alpha1.LabelManagedBy] != v1alpha1.ManagedBy {
		t.Errorf("%+v", secret.ObjectMeta)
	}
}

func TestNewKeysReachARunningBrokerAndNothingIsWrittenAtRest(t *testing.T) {
	b := aBroker(t)
	cluster, known := &v1alpha1.KafkaCluster{}, b.under.Keys.(*issuers)
	b.get("events", cluster)
	takeTokens(&cluster.Spec)
	cluster.Generation++
	if err := b.api.Update(t.Context(), cluster); err != nil {
		t.Fatal(err)
	}
	pod := &corev1.Pod{}
	b.get("events-main-0", pod)
	pod.Spec.Volumes = append(pod.Spec.Volumes, corev1.Volume{Name: "castellan-token-keys"})
	if err := b.api.Update(t.Context(), pod); err != nil {
		t.Fatal(err)
	}
	b.passes(time.Minute)
	b.get("events-main-0", pod)
	first := pod.Annotations[v1alpha1.AnnotationTokenKeys]
	if first == "" || b.keys() != jwks.Empty {
		t.Fatalf("the pod is touched %q, and brokers read %s", first, b.keys())
	}
	const set = `{"keys":[{"kty":"RSA","kid":"a","n":"AQAB","e":"AQAB"}]}`
	known.known.Keys = []byte(set)
	b.passes(time.Minute)
	b.get("events-main-0", pod)
	if b.keys() != set || pod.Annotations[v1alpha1.AnnotationTokenKeys] == first {
		t.Fatalf("the pod is touched %q, and brokers read %s", pod.Annotations[v1alpha1.AnnotationTokenKeys], b.keys())
	}
	b.passes(10 * time.Minute)
	after := &corev1.Pod{}
	if b.get("events-main-0", after); after.ResourceVersion != pod.ResourceVersion {
		t.Error("the pod is written at rest")
	}
	known.known = jwks.Fetched{Keys: []byte(set), Fault: "its host refuses the connection"}
	b.passes(time.Minute)
	b.get("events", cluster)
	warned := slices.ContainsFunc(cluster.Status.Conditions, func(c metav1.Condition) bool {
		return c.Type == v1alpha1.ConditionWarning && strings.Contains(c.Message, "brokers go on with those")
	})
	if !warned || b.keys() != set {
		t.Errorf("%+v, brokers read %s", cluster.Status.Conditions, b.keys())
	}
}

func TestASecretOfThatNameOfSomebodyElseIsLeftAlone(t *testing.T) {
	h, _ := takingTokens(t)
	theirs := &corev1.Secret{ObjectMeta: named("events-token-keys", nil), Data: map[string][]byte{"a": []byte("b")}}
	if err := h.api.Create(t.Context(), theirs); err != nil {
		t.Fatal(err)
	}
	said := h.reconcile()
	h.get("events-token-keys", theirs)
	if string(theirs.Data["a"]) != "b" || len(theirs.Data) != 1 || !strings.Contains(said, "events-token-keys") {
		t.Errorf("%v; %s", theirs.Data, said)
	}
}

func TestTheKeysOfAClusterThatIsGoneAreNotFetchedAnyMore(t *testing.T) {
	h, known := takingTokens(t)
	h.reconcile()
	if len(known.asked) != 1 {
		t.Fatalf("%v is asked", known.asked)
	}
	cluster := &v1alpha1.KafkaCluster{}
	h.get("events", cluster)
	if err := h.api.Delete(t.Context(), cluster); client.IgnoreNotFound(err) != nil {
		t.Fatal(err)
	}
	_, err := h.under.Reconcile(t.Context(), reconcile.Request{NamespacedName: client.ObjectKey{Namespace: "shop", Name: "events"}})
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Contains(known.forgotten, "shop/events") {
		t.Error("its issuer is asked on")
	}
}
