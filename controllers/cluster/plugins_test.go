package cluster

import (
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/castellan-dev/castellan/api/v1alpha1"
)

// The copy of the Secrets of tiered storage is there before any pod that needs it, is the cluster's own, and is not
// written at rest. What nobody has labelled is not in it.
func TestFilesOfAPluginAreThereBeforeTheFirstPodIsMade(t *testing.T) {
	h := newHouse(t)
	cluster := &v1alpha1.KafkaCluster{}
	h.get("events", cluster)
	cluster.Spec.Plugins = []v1alpha1.Plugin{{Name: "storage", Image: "a@sha256:" + strings.Repeat("0a", 32)}}
	cluster.Spec.TieredStorage = &v1alpha1.TieredStorage{Plugin: "storage", ClassName: "com.example.Storage",
		Config: map[string]string{"key": "${secret:store:key}"}, SecretRefs: []v1alpha1.SecretName{{Name: "store"}}}
	if err := h.api.Update(t.Context(), cluster); err != nil {
		t.Fatal(err)
	}
	secret := &corev1.Secret{ObjectMeta: named("store", nil), Data: map[string][]byte{"key": []byte("hush-hush")}}
	if err := h.api.Create(t.Context(), secret); err != nil {
		t.Fatal(err)
	}
	copied := &corev1.Secret{}
	name := client.ObjectKey{Namespace: "shop", Name: "events-plugin-files"}
	for range 3 {
		if said := h.reconcile(); h.api.Get(t.Context(), name, copied) == nil || strings.Contains(said, "hush") {
			t.Fatalf("brokers get %v; %s", copied.Data, said)
		}
	}
	h.get("events", cluster)
	if told := conditions(cluster); !strings.Contains(told, "kubectl label secret store kafka.castellan.dev/use=plugin") ||
		!strings.Contains(told, "spec.tieredStorage.secretRefs[store].name") {
		t.Errorf("%s", told)
	}
	if err := h.api.Delete(t.Context(), secret); err != nil {
		t.Fatal(err)
	}
	secret = &corev1.Secret{ObjectMeta: named("store", map[string]string{v1alpha1.LabelUse: v1alpha1.UsePlugin}), Data: secret.Data}
	if err := h.api.Create(t.Context(), secret); err != nil {
		t.Fatal(err)
	}
	var order []string
	h.applying = func(kind string) { order = append(order, kind) }
	h.reconcile()
	h.reconcile()
	set := slices.Index(order, "StatefulSet")
	h.get(name.Name, copied)
	if set < 0 || slices.Contains(order[set:], "Secret") || string(copied.Data["store_key"]) != "hush-hush" {
		t.Errorf("it was applied in the order %v: %v", order, copied.Data)
	}
	if len(copied.OwnerReferences) != 1 || copied.Labels[v1alpha1.LabelManagedBy] != v1alpha1.ManagedBy {
		t.Errorf("%+v", copied.ObjectMeta)
	}
	written := copied.ResourceVersion
	for range 3 {
		h.reconcile()
	}
	if h.get(name.Name, copied); copied.ResourceVersion != written {
		t.Error("it is written at rest")
	}
}
