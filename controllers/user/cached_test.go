package user

import (
	"encoding/json"
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/castellan-dev/castellan/api/v1alpha1"
	"github.com/castellan-dev/castellan/controllers/controllertest"
	"github.com/castellan-dev/castellan/internal/mechanism"
	"github.com/castellan-dev/castellan/internal/model"
	"github.com/castellan-dev/castellan/internal/users"
)

// manySecrets are connection Secrets as they come from the API server, for a listener with TLS and a password.
func manySecrets(t *testing.T, count int, ca []byte, keep func(any) (any, error)) (all []*corev1.Secret) {
	t.Helper()
	endpoints := []users.Endpoint{{Listener: "clients", Bootstrap: "events-clients.shop.svc:9092", TLS: true,
		Mechanisms: []v1alpha1.Mechanism{scram512}}}
	for n := range count {
		name := fmt.Sprintf("user-%05d", n)
		data, err := users.Layout{}.Connection(mechanism.Credential{Username: name,
			Password: fmt.Sprintf("%032d", n)}, ca, endpoints)
		if err != nil {
			t.Fatal(err)
		}
		owner := newUser(name, time.Hour, scram512)
		owner.UID = types.UID(fmt.Sprintf("6f2f0e9c-0000-0000-0000-%012d", n))
		labels := model.Labels("events")
		labels[v1alpha1.LabelUser] = name
		secret := &corev1.Secret{Type: users.SecretType, Data: data, ObjectMeta: metav1.ObjectMeta{
			Namespace: "shop", Name: name + "-kafka", UID: types.UID(fmt.Sprintf("7f2f0e9c-0000-0000-0000-%012d", n)),
			ResourceVersion: fmt.Sprint(n), Labels: labels, CreationTimestamp: metav1.NewTime(controllertest.TestStart),
			Annotations: map[string]string{v1alpha1.AnnotationSalt: fmt.Sprintf("%032d", n)},
			OwnerReferences: []metav1.OwnerReference{
				*metav1.NewControllerRef(owner, v1alpha1.GroupVersion.WithKind("KafkaUser"))},
		}}
		wire, err := secret.Marshal()
		if err != nil {
			t.Fatal(err)
		}
		read := &corev1.Secret{}
		if err := read.Unmarshal(wire); err != nil {
			t.Fatal(err)
		}
		kept, err := keep(read)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, kept.(*corev1.Secret))
	}
	return all
}

func heap() uint64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

func TestConnectionSecretsTakeLittleOfTheCache(t *testing.T) {
	const count = 2000
	ca := newUserWorld(t, 1).AuthorityIn("events-ca").Data["ca.crt"]
	each := func(keep func(any) (any, error)) uint64 {
		before := heap()
		all := manySecrets(t, count, ca, keep)
		bytes := (heap() - before) / count
		runtime.KeepAlive(all)
		return bytes
	}
	whole := each(func(o any) (any, error) { return o, nil })
	small := each(InCache())
	t.Logf("a connection Secret takes %d bytes, and %d in the cache", whole, small)
	if small > 2200 || small*3 > whole {
		t.Errorf("a connection Secret takes %d bytes in the cache, and %d whole", small, whole)
	}
}

func TestKafkaUsersShareInTheCacheWhatTheyHaveInCommon(t *testing.T) {
	const count = 2000
	w := newUserWorld(t, 3)
	w.Apply(newUser("user-00000", time.Hour, scram512))
	w.Settle("user-00000")
	w.wantUser("user-00000", "Ready")
	text, err := json.Marshal(w.user("user-00000"))
	if err != nil {
		t.Fatal(err)
	}
	each := func(keep func(any) (any, error)) uint64 {
		var all []any
		before := heap()
		for n := range count {
			read := &v1alpha1.KafkaUser{}
			if err := json.Unmarshal([]byte(strings.ReplaceAll(string(text), "00000", fmt.Sprintf("%05d", n))), read); err != nil {
				t.Fatal(err)
			}
			same := read.DeepCopy()
			kept, err := keep(read)
			if err != nil || !equality.Semantic.DeepEqual(kept, same) {
				t.Fatalf("it has become %+v (%v)", kept, err)
			}
			all = append(all, kept)
		}
		bytes := (heap() - before) / count
		runtime.KeepAlive(all)
		return bytes
	}
	whole, small := each(func(o any) (any, error) { return o, nil }), each(InCache())
	t.Logf("a KafkaUser takes %d bytes, and %d in the cache", whole, small)
	if small >= whole {
		t.Errorf("a KafkaUser takes %d bytes in the cache, and %d whole", small, whole)
	}
}

// What the cache has left out does not keep the operator from seeing a change, nor from putting it back whole.
func TestWhatTheCacheLeavesOutIsPutBackAsItWas(t *testing.T) {
	w := newUserWorld(t, 1)
	w.Apply(newUser("app", time.Hour, plain, scram512))
	w.Settle("app")
	before := w.secret("app-kafka")
	for name, change := range map[string]func(map[string][]byte){
		"a file that clients read": func(d map[string][]byte) { d["client.properties"] = []byte("# somebody's") },
		"an address":               func(d map[string][]byte) { d["bootstrap.servers.clients"] = []byte("elsewhere:1") },
		"an entry of somebody":     func(d map[string][]byte) { d["more"] = []byte("theirs") },
		"an entry that is gone":    func(d map[string][]byte) { delete(d, "librdkafka.json") },
		"a label":                  nil,
	} {
		t.Run(name, func(t *testing.T) {
			w.writeSecret("app-kafka", func(s *corev1.Secret) {
				if change == nil {
					delete(s.Labels, v1alpha1.LabelUser)
					return
				}
				change(s.Data)
			})
			w.Reset()
			w.Settle("app")
			if w.Requests["update Secret"] != 1 || fmt.Sprint(w.secret("app-kafka")) != fmt.Sprint(before) {
				t.Errorf("after %v it has %v", w.Requests, w.secret("app-kafka"))
			}
			w.WantSilence("app")
		})
	}
}
