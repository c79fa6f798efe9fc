// Package user brings the users of a cluster to what their KafkaUsers ask for, many in one flush: credentials, ACLs,
// quotas and connection Secrets. internal/users says what differs; this room reads, writes, and proves every login from
// outside.
package user

import (
	"cmp"
	"context"
	"maps"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/castellan-dev/castellan/api/v1alpha1"
	"github.com/castellan-dev/castellan/controllers/batch"
	"github.com/castellan-dev/castellan/internal/claim"
	"github.com/castellan-dev/castellan/internal/kafka"
	"github.com/castellan-dev/castellan/internal/model"
	"github.com/castellan-dev/castellan/internal/plainauth"
	"github.com/castellan-dev/castellan/internal/users"
	"github.com/castellan-dev/castellan/internal/verdict"
)

// +kubebuilder:rbac:groups=kafka.castellan.dev,resources=kafkausers,verbs=list;watch;patch
// +kubebuilder:rbac:groups=kafka.castellan.dev,resources=kafkausers/status,verbs=patch
// +kubebuilder:rbac:groups=kafka.castellan.dev,resources=kafkausers/finalizers,verbs=update
// +kubebuilder:rbac:groups=kafka.castellan.dev,resources=kafkaclusters,verbs=list;watch
// +kubebuilder:rbac:groups=kafka.castellan.dev,resources=kafkaclusters/status,verbs=patch
// +kubebuilder:rbac:groups="",resources=secrets,verbs=get;list;watch;create;update
// +kubebuilder:rbac:groups=events.k8s.io,resources=events,verbs=create;patch

// Reconciler cares for the users of one cluster at a time, many in one flush.
type Reconciler struct {
	batch.Reconciler[*v1alpha1.KafkaUser, v1alpha1.KafkaUserStatus]
	// apiReader reads past the cache, which holds no Secret of others.
	apiReader client.Reader
	// provided reads the Secrets that are labelled to hold passwords of users.
	provided client.Reader
	prober   kafka.Prober

	mu sync.Mutex
	// verified remembers which entry of the users file was made from which password: verifying one costs milliseconds.
	verified map[batch.Key]verifiedEntry
	// held remembers which process of which broker has been seen to have its SCRAM credentials.
	held map[holding]held
	// lost are the credentials to be set again, and the brokers that have lost them.
	lost map[batch.Key]map[v1alpha1.Mechanism][]int32
	// refused is why Kafka has not taken the default quotas of a cluster, as far as that was told.
	refused map[types.NamespacedName]string
	// unloaded are the users of whom something was written to the metadata log that not every broker has been seen to act
	// by.
	unloaded map[batch.Key]bool

	// announced are objects that have announced that they take their principals, until they have a status.
	announced batch.ByUID[announcement]

	// markers are those of the files of users.
	markers map[markedFile]*marker
	// partRoom is what the lines of one of those files may take, in bytes.
	partRoom int

	silence              silence
	loadLimit, loadPause time.Duration
	readLimit, readPause time.Duration
}

// New makes the reconciler. apiReader reads past the cache; prober logs in as a user would.
func New(c batch.Common, apiReader client.Reader, prober kafka.Prober) *Reconciler {
	r := &Reconciler{apiReader: apiReader, provided: apiReader, prober: prober, verified: map[batch.Key]verifiedEntry{},
		held: map[holding]held{}, lost: map[batch.Key]map[v1alpha1.Mechanism][]int32{}, unloaded: map[batch.Key]bool{},
		refused: map[types.NamespacedName]string{}, markers: map[markedFile]*marker{}, partRoom: users.Room,
		silence: silence{all: map[doorName]quiet{}}, loadLimit: loadLimit, loadPause: loadPause,
		readLimit: readLimit, readPause: readPause}
	r.Begin(c, kafkaUsers, r)
	return r
}

type verifiedEntry struct {
	passwordHash string
	entry        plainauth.Entry
}

// Open begins a flush of the users that were found.
func (r *Reconciler) Open(
	ctx context.Context, cluster batch.Host, a batch.Admission, all []batch.Found[*v1alpha1.KafkaUser],
	peers []*v1alpha1.KafkaUser,
) (*pass, batch.Work, error) {
	p := &userPass{r: r, pass: batch.NewPass(&r.Reconciler, cluster, a), tried: map[attempt]error{}}
	if cluster.Object == nil {
		r.forgetCluster(cluster.Key)
	}
	host := model.Host{
		Namespace: cluster.Key.Namespace, Name: cluster.Key.Name, SuperUsers: superUsers(cluster.Object),
		External: cluster.Object != nil && cluster.Object.IsExternal(), Access: cluster.Access(),
	}
	tooMany := r.overLimits(cluster, peers)
	bars := func(u *v1alpha1.KafkaUser) *claim.Bar {
		bar := cmp.Or(users.Presumes(u, host), a.Bars(u), users.Misnamed(u, host),
			users.NotForUsers(u, host)) // who is evicted is so whatever else holds
		for _, over := range tooMany {
			if v, is := over[u.UID]; bar == nil && is {
				bar = &claim.Bar{Verdict: v}
			}
		}
		return bar
	}
	p.host, p.bars = host, bars
	if err := p.meetSeal(ctx); err != nil {
		return nil, nil, err
	}
	for _, f := range all {
		p.recall(f.Objects)
		c := users.Sort(f.Name, f.Objects, cluster.ID(), bars)
		p.pass.Claims = append(p.pass.Claims, c)
		p.items = append(p.items, &userItem{claim: c})
	}
	return &p.pass, p, nil
}

// overLimits are the users that are too many of their namespaces, by what they are too many of.
func (r *Reconciler) overLimits(cluster batch.Host, peers []*v1alpha1.KafkaUser) (all []map[types.UID]verdict.Verdict) {
	id, limits := cluster.ID(), cluster.Limits()
	home := func(u *v1alpha1.KafkaUser) bool { return cluster.IsHome(u) }
	recorded := func(u *v1alpha1.KafkaUser) bool { return users.Owns(u, id) || r.Writer.Stale(u) }
	for _, limit := range []claim.Limit[*v1alpha1.KafkaUser]{
		{Max: limits.Users, Field: "spec.access.limits.users", Counts: batch.Every[*v1alpha1.KafkaUser]},
		{Max: limits.PlainUsers, Field: "spec.access.limits.plainUsers", Counts: func(u *v1alpha1.KafkaUser) bool {
			return inFile(u.Spec.Authentication.Mechanisms) || recordedInFile(users.Recorded(u, id))
		}},
	} {
		has := recorded
		if limit.Max == limits.PlainUsers && limits.PlainUsers != nil {
			has = func(u *v1alpha1.KafkaUser) bool { // or may have a line, where that is not known
				c := users.Recorded(u, id)
				unknown := c != nil && len(c.Mechanisms) == 0 || r.Writer.Stale(u)
				return recordedInFile(c) || unknown && inFile(u.Spec.Authentication.Mechanisms)
			}
		}
		all = append(all, claim.Over(peers, home, has, limit))
	}
	return all
}

// forgetCluster drops what is remembered of the brokers of a cluster that is gone.
func (r *Reconciler) forgetCluster(key types.NamespacedName) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.refused, key)
	maps.DeleteFunc(r.held, func(h holding, _ held) bool { return h.cluster == key })
	r.dropMarkers(key)
	r.silence.forget(key)
}

// Forget drops which password an entry of the users file was made from, what is to be set again, what is unproven, and
// what was announced.
func (r *Reconciler) Forget(key batch.Key) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.verified, key)
	delete(r.lost, key)
	delete(r.unloaded, key)
	r.announced.ForgetAll(func(made announcement) bool { return made.name == key })
}
