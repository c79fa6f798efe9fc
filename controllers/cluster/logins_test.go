package cluster

import (
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/castellan-dev/castellan/api/v1alpha1"
)

const aJaas = `com.example.Module required user_alice="hush-hush";`

// offeringKerberos is a house in which the cluster is asked to offer Kerberos, before its first pass.
func offeringKerberos(t *testing.T) *house {
	t.Helper()
	h := newHouse(t)
	cluster := &v1alpha1.KafkaCluster{}
	h.get("events", cluster)
	cluster.Spec.Listeners[0].Authentication = &v1alpha1.ListenerAuthentication{
		Mechanisms: []v1alpha1.Mechanism{v1alpha1.MechanismCustom},
		Custom:     &v1alpha1.ListenerCustom{Mechanism: "GSSAPI", Secret: v1alpha1.SecretName{Name: "kerberos"}}}
	if err := h.api.Update(t.Context(), cluster); err != nil {
		t.Fatal(err)
	}
	return h
}

func (h *house) provideLogin(labels map[string]string, data map[string][]byte) {
	h.Helper()
	secret := &corev1.Secret{ObjectMeta: named("kerberos", labels), Data: data}
	if err := h.api.Delete(h.Context(), &corev1.Secret{ObjectMeta: named("kerberos", nil)}); client.IgnoreNotFound(err) != nil {
		h.Fatal(err)
	}
	if err := h.api.Create(h.Context(), secret); err != nil {
		h.Fatal(err)
	}
}

func (h *house) logins() map[string][]byte {
	h.Helper()
	secret := &corev1.Secret{}
	err := h.api.Get(h.Context(), client.ObjectKey{Namespace: "shop", Name: "events-logins"}, secret)
	if client.IgnoreNotFound(err) != nil {
		h.Fatal(err)
	}
	return secret.Data
}

func TestASecretThatNobodyHasLabelledIsNotCopiedAndSaysSo(t *testing.T) {
	h := offeringKerberos(t)
	h.provideLogin(nil, map[string][]byte{"jaas.conf": []byte(aJaas)})
	for range 3 {
		if said := h.reconcile(); len(h.logins()) > 0 || strings.Contains(said, "hush") {
			t.Fatalf("brokers get %v; %s", h.logins(), said)
		}
	}
	cluster := &v1alpha1.KafkaCluster{}
	h.get("events", cluster)
	if told := conditions(cluster); !strings.Contains(told, "kubectl label secret kerberos kafka.castellan.dev/use=plugin") ||
		!strings.Contains(told, "spec.listeners[clients].authentication.custom.secret.name") {
		t.Errorf("%s", told)
	}
	h.provideLogin(map[string]string{v1alpha1.LabelUse: v1alpha1.UsePlugin}, map[string][]byte{"jaas.conf": []byte(aJaas)})
	h.reconcile()
	if string(h.logins()["clients.jaas.conf"]) != aJaas {
		t.Errorf("brokers get %v", h.logins())
	}
}

func conditions(cluster *v1alpha1.KafkaCluster) string {
	var all []string
	for _, c := range cluster.Status.Conditions {
		all = append(all, c.Message)
	}
	return strings.Join(all, "\n")
}

func TestTheFilesAreThereBeforeTheFirstPodIsMade(t *testing.T) {
	h := offeringKerberos(t)
	h.provideLogin(map[string]string{v1alpha1.LabelUse: v1alpha1.UsePlugin}, map[string][]byte{"jaas.conf": []byte(aJaas)})
	var order []string
	h.applying = func(kind string) { order = append(order, kind) }
	h.reconcile()
	set := slices.Index(order, "StatefulSet")
	if set < 0 || len(h.logins()) == 0 || slices.Contains(order[set:], "Secret") {
		t.Errorf("it was applied in the order %v", order)
	}
	secret := &corev1.Secret{}
	h.get("events-logins", secret)
	if len(secret.OwnerReferences) != 1 || secret.Labels[v1alpha1.LabelManagedBy] != v1alpha1.ManagedBy {
		t.Errorf("%+v", secret.ObjectMeta)
	}
	written := secret.ResourceVersion
	for range 3 {
		h.reconcile()
	}
	if h.get("events-logins", secret); secret.ResourceVersion != written {
		t.Error("it is written at rest")
	}
}

func TestAnotherKeytabReachesARunningBrokerWithoutARestart(t *testing.T) {
	b := aBroker(t)
	label := map[string]string{v1alpha1.LabelUse: v1alpha1.UsePlugin}
	b.provideLogin(label, map[string][]byte{"jaas.conf": []byte(aJaas), "a.keytab": {1}})
	cluster := &v1alpha1.KafkaCluster{}
	b.get("events", cluster)
	cluster.Spec.Listeners[0].Authentication = &v1alpha1.ListenerAuthentication{
		Mechanisms: []v1alpha1.Mechanism{v1alpha1.MechanismCustom},
		Custom:     &v1alpha1.ListenerCustom{Mechanism: "GSSAPI", Secret: v1alpha1.SecretName{Name: "kerberos"}}}
	cluster.Generation++
	if err := b.api.Update(t.Context(), cluster); err != nil {
		t.Fatal(err)
	}
	pod := &corev1.Pod{}
	b.get("events-main-0", pod)
	pod.Spec.Volumes = append(pod.Spec.Volumes, corev1.Volume{Name: "castellan-logins"})
	if err := b.api.Update(t.Context(), pod); err != nil {
		t.Fatal(err)
	}
	b.passes(time.Minute)
	b.get("events-main-0", pod)
	first, revision := pod.Annotations[v1alpha1.AnnotationLogins], string(b.logins()["clients"])
	if first == "" || revision == "" {
		t.Fatalf("the pod is touched %q; brokers get %v", first, b.logins())
	}
	b.provideLogin(label, map[string][]byte{"jaas.conf": []byte(aJaas), "a.keytab": {2}})
	b.passes(time.Minute)
	b.get("events-main-0", pod)
	if got := b.logins(); string(got["clients"]) != revision || got["clients.a.keytab"][0] != 2 ||
		pod.Annotations[v1alpha1.AnnotationLogins] == first {
		t.Errorf("the pod is touched %q; brokers get %v", pod.Annotations[v1alpha1.AnnotationLogins], got)
	}
}
