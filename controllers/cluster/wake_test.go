package cluster

import (
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"sigs.k8s.io/controller-runtime/pkg/event"

	"github.com/castellan-dev/castellan/api/v1alpha1"
	"github.com/castellan-dev/castellan/internal/model"
	"github.com/castellan-dev/castellan/internal/pki"
)

// connection is the connection Secret of a user, or a Secret of the cluster itself.
func connection(ownerKind string, data map[string]string) *corev1.Secret {
	yes := true
	s := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "s", Labels: model.Labels("events"),
		OwnerReferences: []metav1.OwnerReference{{Kind: ownerKind, Name: "o", Controller: &yes}}},
		Data: map[string][]byte{}}
	for key, value := range data {
		s.Data[key] = []byte(value)
	}
	return s
}

func TestAConnectionSecretWakesItsClusterOnlyWhereItTellsClientsOfAnotherAuthority(t *testing.T) {
	users, own := "KafkaUser", "KafkaCluster"
	old := map[string]string{"password": "a", pki.TLSAuthority: "one", "bootstrap.servers.clients": "a:1"}
	passes := concerning(&corev1.Secret{})
	for name, c := range map[string]struct {
		kind  string
		after map[string]string
		wakes bool
	}{
		"another password": {users, map[string]string{"password": "b", pki.TLSAuthority: "one",
			"bootstrap.servers.clients": "a:1"}, false},
		"another address": {users, map[string]string{"password": "a", pki.TLSAuthority: "one",
			"bootstrap.servers.clients": "b:1"}, false},
		"another authority": {users, map[string]string{"password": "a", pki.TLSAuthority: "one and two",
			"bootstrap.servers.clients": "a:1"}, true},
		"another listener": {users, map[string]string{"password": "a", pki.TLSAuthority: "one",
			"bootstrap.servers.external": "a:1"}, true},
		"a Secret of the cluster": {own, old, true},
	} {
		before, after := connection(c.kind, old), connection(c.kind, c.after)
		if passes.Update(event.UpdateEvent{ObjectOld: before, ObjectNew: after}) != c.wakes {
			t.Errorf("%s: wakes the cluster: %t", name, !c.wakes)
		}
		ofCluster := c.kind == own
		if passes.Create(event.CreateEvent{Object: after}) != ofCluster ||
			passes.Delete(event.DeleteEvent{Object: after}) != ofCluster {
			t.Errorf("%s: to come and to go does not wake a cluster that it belongs to, or wakes another", name)
		}
	}
	if !concerning(&appsv1.StatefulSet{}).Create(event.CreateEvent{Object: connection(users, nil)}) {
		t.Error("other kinds are held off, too")
	}
}

func TestAPassOfAClusterReadsNoConnectionSecret(t *testing.T) {
	selector := ofClusterItself("events").Selector
	user := labels.Merge(model.Labels("events"), map[string]string{v1alpha1.LabelUser: "app"})
	if !selector.Matches(labels.Set(model.Labels("events"))) || selector.Matches(user) ||
		selector.Matches(labels.Set(model.Labels("other"))) {
		t.Error("it reads what it should not, or does not read what it should")
	}
}
