package user

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"runtime"
	"slices"
	"strconv"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/castellan-dev/castellan/api/v1alpha1"
	"github.com/castellan-dev/castellan/controllers/controllertest"
	"github.com/castellan-dev/castellan/internal/kafka"
	"github.com/castellan-dev/castellan/internal/plainauth"
)

// life is one random life of a few users, and what must hold in it whatever happens. lives_events_test.go has what may
// happen, lives_judge_test.go what must hold.
type life struct {
	*world
	seed   uint64
	random *rand.Rand
	trace  []string
	serial int
	marked int

	// theirs is what somebody else has put into Kafka; true = nobody may touch it.
	theirs map[fact]bool
	// secrets are those that somebody else has made, as they made them.
	secrets map[types.NamespacedName]string
	// ready is with what a user logged in when it was Ready last.
	ready map[types.UID]standing
	// left are names of users that have stayed when their object went.
	left map[string]bool
	// begun are objects that are being deleted, of whose user something had been taken away when it was to stay.
	begun map[types.UID]bool
	// dropped are objects that went without our finalizer, by somebody else's hand: what they had in Kafka stays.
	dropped map[types.UID]bool
	// repentant are objects whose deletion policy was changed while they were being deleted.
	repentant map[types.UID]bool
	// offered are the mechanisms that listeners offer.
	offered []v1alpha1.Mechanism
	// gone are logins of users of whom it was said that they are gone.
	gone []login
	// hushed is what must stand in no status and no event.
	hushed map[string]bool

	home *corev1.Namespace // the cluster's; its annotation is the default of spec.deletionPolicy
	away error             // why Kafka cannot be reached; nil = it can
	late bool              // the mounted files of brokers are refreshed when the kubelets are told to, and not at once
	fate *fate             // of the operator in this flush; nil = it lives on
	lag  *lag              // what the cache shows; nil = what there is
}

const livesBrokers = 3

var (
	liveNames = []string{"a", "b", "c", "root"} // the last is a super user
	openly    = v1alpha1.Listener{Name: "clients", Port: 9092, Encryption: v1alpha1.EncryptionNone,
		Authentication: &v1alpha1.ListenerAuthentication{Mechanisms: []v1alpha1.Mechanism{plain, scram512}}}
)

func newLife(t *testing.T, seed uint64) *life {
	cluster := controllertest.ReadyCluster(livesBrokers, openly, mutual)
	cluster.Spec.Authorization = &v1alpha1.Authorization{Type: v1alpha1.AuthorizationSimple, SuperUsers: []string{"root"}}
	controllertest.Admit(cluster)
	h := &life{
		world: newUsersOf(t, cluster), seed: seed, random: rand.New(rand.NewPCG(seed, 1)),
		theirs: map[fact]bool{}, secrets: map[types.NamespacedName]string{}, ready: map[types.UID]standing{},
		hushed: map[string]bool{}, left: map[string]bool{}, begun: map[types.UID]bool{},
		dropped: map[types.UID]bool{}, repentant: map[types.UID]bool{},
		offered: []v1alpha1.Mechanism{byTLS, v1alpha1.MechanismExternal, plain, scram512},
		home:    &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: controllertest.ClusterKey.Namespace}},
	}
	if err := h.Client.Get(t.Context(), client.ObjectKeyFromObject(h.home), h.home); err != nil {
		t.Fatal(err)
	}
	h.Apply(controllertest.GuestNamespace(), h.AuthorityIn("events-ca"), h.AuthorityIn("events-clients-ca"))
	h.inParts(2) // so that a few users stand in several Secrets
	for _, id := range allBrokers() {
		h.restartBroker(id, pick(h.random, plainauth.MaxParts, plainauth.MaxParts, 1))
	}
	h.Around = h.write
	h.Shared.Client = h.behind(h.Shared.Client)
	for _, kind := range kafkaKinds {
		h.Kafka.Before[kind] = func() { h.asked(kind) }
	}
	h.restart()
	h.stranger("f")
	h.stranger("g")
	return h
}

func (h *life) say(format string, args ...any) {
	h.trace = append(h.trace, fmt.Sprintf(format, args...))
}

func (h *life) fail(format string, args ...any) {
	h.T.Helper()
	for _, line := range h.trace {
		h.T.Log(line)
	}
	h.T.Fatalf("CASTELLAN_PROPERTY_RUNS=1 CASTELLAN_PROPERTY_SEED=%d: %s", h.seed, fmt.Sprintf(format, args...))
}

func pick[T any](r *rand.Rand, of ...T) T { return of[r.IntN(len(of))] }

// objects are all KafkaUsers as the API server has them.
func (h *life) objects() []*v1alpha1.KafkaUser {
	var list v1alpha1.KafkaUserList
	if err := h.Client.List(context.Background(), &list); err != nil {
		h.T.Fatal(err)
	}
	all := make([]*v1alpha1.KafkaUser, len(list.Items))
	for i := range list.Items {
		all[i] = &list.Items[i]
	}
	return all
}

// living are those that are not being deleted.
func (h *life) living() []*v1alpha1.KafkaUser {
	return slices.DeleteFunc(h.objects(), func(u *v1alpha1.KafkaUser) bool { return u.DeletionTimestamp != nil })
}

func (h *life) cluster() *v1alpha1.KafkaCluster {
	c := &v1alpha1.KafkaCluster{}
	if err := h.Client.Get(context.Background(), controllertest.ClusterKey, c); err != nil {
		h.T.Fatal(err)
	}
	return c
}

func (h *life) secretOf(namespace, name string) *corev1.Secret {
	s := &corev1.Secret{}
	if h.Client.Get(context.Background(), controllertest.ObjectKey(namespace, name), s) != nil {
		return nil
	}
	return s
}

// fate is at which request the operator ends, or does not hear the answer.
type fate struct {
	kind  string // of a request to Kafka, or the verb of one to the API server
	after bool   // the request is carried out
	dies  bool   // it ends there; else it misses the answer, and goes on
	dead  bool
}

var (
	errDead      = errors.New("the operator does not run any more")
	errUnheard   = errors.New("context deadline exceeded")
	kafkaKinds   = []string{"scram", "acls", "quotas", "scram-alter", "acl-create", "acl-delete", "quota-alter"}
	apiVerbs     = []string{"create", "update", "patch", "status"}
	kafkaRefuses = []error{&kafka.Refusal{Code: "POLICY_VIOLATION"}, &kafka.Denied{Code: "CLUSTER_AUTHORIZATION_FAILED"},
		errors.New("REQUEST_TIMED_OUT")}
)

// asked is called before each request to Kafka, which holds its lock.
func (h *life) asked(kind string) {
	switch f := h.fate; {
	case f == nil:
	case f.dead, f.kind == kind && f.dies && !f.after:
		f.dead, h.Kafka.Down = true, errDead
	case f.kind == kind:
		f.kind, h.Kafka.Lose = "", kind
		f.dead = f.dies
	}
}

// write carries out a write to the API server, unless the operator does not live to see it.
func (h *life) write(verb, _ string, write func() error) error {
	f := h.fate
	switch {
	case f == nil:
		return write()
	case f.dead:
		return errDead
	case f.kind != verb:
		return write()
	}
	f.kind = ""
	f.dead = f.dies
	if f.after {
		if err := write(); err != nil {
			return err
		}
	}
	return errUnheard
}

// flush runs the operator for a while, in which it may end.
func (h *life) flush() {
	for range 1 + h.random.IntN(3) {
		if h.random.IntN(4) == 0 {
			h.fate = &fate{kind: pick(h.random, slices.Concat(kafkaKinds, apiVerbs)...), after: h.random.IntN(2) == 0,
				dies: h.random.IntN(2) == 0}
			h.say("  fate %+v", *h.fate)
		}
		h.once()
		h.Clock.Move(time.Duration(h.random.IntN(3000)) * time.Millisecond)
	}
}

// once is one flush, and what is said of it.
func (h *life) once() {
	if h.lag != nil && h.random.IntN(2) == 0 {
		h.lag.look(h)
	}
	before := h.look()
	h.Kafka.Down = h.away
	h.Queue.Mark(controllertest.ClusterKey, liveNames...)
	_, err := h.Run.Reconcile(context.Background(), reconcile.Request{NamespacedName: controllertest.ClusterKey})
	ended := h.fate != nil && h.fate.dead
	h.fate, h.Kafka.Lose, h.Kafka.Down = nil, "", nil
	if err != nil {
		h.say("  %v", err)
	}
	if ended {
		h.begin()
	}
	h.judge(before)
}

// begin starts the operator again. A new process has a cache as of now.
func (h *life) begin() {
	h.lag = nil
	h.restart()
	h.say("  the operator starts again")
}

// mounted gives some brokers the files as they are now.
func (h *life) mounted(nodes ...int32) {
	if !h.late {
		h.Mounts = nil
		return
	}
	if h.Mounts == nil {
		h.Mounts = map[int32]map[string][]byte{}
	}
	for _, id := range nodes {
		h.Mounts[id] = h.Files()
	}
}

func allBrokers() (ids []int32) {
	for id := range int32(livesBrokers) {
		ids = append(ids, id)
	}
	return ids
}

// settle takes everything back that hinders the operator and lets it come to rest.
func (h *life) settle() {
	h.away, h.late, h.fate, h.lag = nil, false, nil, nil
	h.Kafka.Down, h.Kafka.Lose = nil, ""
	clear(h.Kafka.Refuse)
	h.mounted()
	for _, id := range allBrokers() {
		if h.Parts[id] == 1 {
			h.restartBroker(id, plainauth.MaxParts)
		}
	}
	h.authorizes(true)
	h.offers(plain, scram512)
	h.collect()
	for range 3 {
		before := h.look()
		h.Settle(liveNames...)
		h.judge(before)
		h.Clock.Move(10 * time.Minute) // what overlaps ends
	}
}

func TestRandomLivesOfUsers(t *testing.T) {
	runs, first := uint64(40), uint64(1)
	for key, value := range map[string]*uint64{"CASTELLAN_PROPERTY_RUNS": &runs, "CASTELLAN_PROPERTY_SEED": &first} {
		if n, err := strconv.ParseUint(os.Getenv(key), 10, 64); err == nil {
			*value = n
		}
	}
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1)) // so that a seed gives the same life
	failed := 0
	for seed := first; seed < first+runs && failed < 3; seed++ {
		if !t.Run(fmt.Sprint(seed), func(t *testing.T) {
			h := newLife(t, seed)
			for range 25 {
				h.event()
				h.flush()
			}
			h.settle()
			h.converged()
		}) {
			failed++
		}
	}
}
