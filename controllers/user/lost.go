package user

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/types"

	"github.com/castellan-dev/castellan/api/v1alpha1"
	"github.com/castellan-dev/castellan/controllers/batch"
	"github.com/castellan-dev/castellan/internal/kafka"
	"github.com/castellan-dev/castellan/internal/mechanism"
	"github.com/castellan-dev/castellan/internal/users"
)

// A broker of Kafka 3.9 to 4.3 that reads the metadata log in one go, such as a new one, may lose the credentials of
// all users of a SCRAM mechanism (ScramDelta.apply): one that is removed in the log comes first, finds the image
// without any, and takes the mechanism out of it. Credentials that are set later it has. So each process of a broker is
// asked once whether it knows a user that has been there for long, and if not, all of the mechanism are set again.

// holding names what one broker has of a SCRAM mechanism.
type holding struct {
	cluster   types.NamespacedName
	broker    int32
	mechanism v1alpha1.Mechanism
}

// held is what has been seen of it.
type held struct {
	startedAt time.Time // of the process in which it was seen
	refused   time.Time // since when it has refused a user that it should have; zero = it has not
	settled   bool      // nothing more is looked for in this process
	setAgain  bool      // it had lost them, and they have been set again
}

// witness is the user by whom it is seen whether brokers have the credentials of a mechanism.
type witness struct {
	item *userItem
	// vanished: the broker that told which credentials there are had none of it. It may be the one that has lost them, or
	// somebody else has deleted it.
	vanished bool
}

// attempt is a login that was tried in this flush already.
type attempt struct {
	item      *userItem
	broker    int32
	mechanism v1alpha1.Mechanism
}

// serving are the brokers that take clients, and since when the present process of each runs; zero = nobody says.
func serving(cluster *v1alpha1.KafkaCluster) map[int32]time.Time {
	all := map[int32]time.Time{}
	ids := batch.Serving(cluster)
	for _, n := range cluster.Status.Nodes {
		if !slices.Contains(ids, n.ID) {
			continue
		}
		all[n.ID] = time.Time{}
		if n.StartedAt != nil {
			all[n.ID] = n.StartedAt.Time
		}
	}
	return all
}

// anew tells whether some broker takes clients in a process that did not take any before.
func anew(before, after *v1alpha1.KafkaCluster) bool {
	had := serving(before)
	for id, startedAt := range serving(after) {
		if since, known := had[id]; !known || !since.Equal(startedAt) {
			return true
		}
	}
	return false
}

// seekLost logs in as one user of each SCRAM mechanism, on each broker whose process has not been seen to know it. What
// a broker has lost is set again. It comes before anything is changed: who has just been set speaks for no other.
func (p *userPass) seekLost(ctx context.Context) error {
	startedAt := serving(p.pass.Cluster.Object)
	open := map[v1alpha1.Mechanism][]int32{}
	for _, id := range slices.Sorted(maps.Keys(startedAt)) {
		for _, row := range mechanism.Rows {
			at := holding{p.pass.Cluster.Key, id, row.Name}
			if row.Store == mechanism.ScramCredentials && !startedAt[id].IsZero() &&
				!p.r.heldBy(at, startedAt[id]).settled {
				open[row.Name] = append(open[row.Name], id)
			}
		}
	}
	if len(open) == 0 {
		p.setAgain()
		return nil
	}
	all, err := p.r.Of(ctx, p.pass.Cluster.Key)
	if err != nil {
		return err
	}
	for _, m := range slices.Sorted(maps.Keys(open)) {
		w := p.witness(m, all)
		if w.item == nil {
			continue
		}
		brokers := open[m]
		if w.vanished { // others have to say that it is there
			brokers = batch.Serving(p.pass.Cluster.Object)
		}
		var probes []*probe
		for _, id := range brokers {
			probes = append(probes, &probe{item: w.item, node: id, mechanism: m})
		}
		batch.Each(probers, probes, func(t *probe) { t.err = p.knock(ctx, t) })
		if w.vanished && !slices.ContainsFunc(probes, func(t *probe) bool { return t.err == nil }) {
			w.item.unseen = true // it is written now, as whatever is missing
			continue
		}
		for _, t := range probes {
			if slices.Contains(open[m], t.node) {
				p.weigh(t, startedAt[t.node], w.vanished, usersOf(all, p.pass.Cluster.ID(), m))
			}
		}
	}
	p.setAgain()
	return nil
}

// witness is whoever of a mechanism's users has been in force for the longest; no item = nobody can tell now. Where
// that one is not in this flush, it is looked at next.
func (p *userPass) witness(m v1alpha1.Mechanism, all []*v1alpha1.KafkaUser) (found witness) {
	byAge := func(a, b *v1alpha1.KafkaUser) int {
		if ready := kafkaUsers.IsReady(a); ready != kafkaUsers.IsReady(b) {
			if ready {
				return -1
			}
			return 1
		}
		return cmp.Or(lastChange(a).Compare(lastChange(b)), cmp.Compare(a.UID, b.UID))
	}
	of := usersOf(all, p.pass.Cluster.ID(), m)
	if len(of) == 0 {
		return found
	}
	oldest := users.Name(slices.MinFunc(of, byAge))
	if !slices.ContainsFunc(p.items, func(i *userItem) bool { return i.claim.Name == oldest }) {
		p.r.Queue.Mark(p.pass.Cluster.Key, oldest)
		return found
	}
	for _, i := range p.items {
		if i.state != granting || i.desired.Recorded == nil || len(i.desired.Recorded.ProvenOn) == 0 ||
			!slices.Contains(i.mechanisms, m) || !onRecord(i.desired.Recorded, m) ||
			found.item != nil && byAge(i.claim.Holder, found.item.claim.Holder) > 0 {
			continue
		}
		found = witness{item: i, vanished: !slices.ContainsFunc(p.live.Scram[i.claim.Name],
			func(c kafka.ScramCredential) bool { return c.Mechanism == string(m) })}
	}
	return found
}

func onRecord(c *v1alpha1.Credentials, m v1alpha1.Mechanism) bool {
	return slices.ContainsFunc(c.Mechanisms, func(s v1alpha1.CredentialStatus) bool { return s.Mechanism == m })
}

// usersOf are the users that have a mechanism on record.
func usersOf(all []*v1alpha1.KafkaUser, clusterID string, m v1alpha1.Mechanism) []*v1alpha1.KafkaUser {
	return slices.DeleteFunc(slices.Clone(all), func(u *v1alpha1.KafkaUser) bool {
		c := users.Recorded(u, clusterID)
		return u.DeletionTimestamp != nil || c == nil || !onRecord(c, m)
	})
}

// lastChange is when a user became Ready, or ceased to be.
func lastChange(u *v1alpha1.KafkaUser) time.Time {
	if c := meta.FindStatusCondition(u.Status.Conditions, v1alpha1.ConditionReady); c != nil {
		return c.LastTransitionTime.Time
	}
	return u.CreationTimestamp.Time
}

// weigh draws the conclusion from one login. A refusal must stand for a while, for a broker may not have read yet what
// is new, unless this flush writes what the refusal is of.
func (p *userPass) weigh(t *probe, startedAt time.Time, vanished bool, of []*v1alpha1.KafkaUser) {
	at := holding{p.pass.Cluster.Key, t.node, t.mechanism}
	seen, now := p.r.heldBy(at, startedAt), p.r.Clock.Now()
	refused := errors.Is(t.err, kafka.ErrAuthenticationFailed) // no answer is no refusal
	if refused && seen.refused.IsZero() {
		seen.refused = now
	}
	switch {
	case t.err == nil:
		seen.settled = true
	case refused && (vanished || now.Sub(seen.refused) >= batch.ConfirmAfter):
		p.lost(t, of)
		seen.settled, seen.setAgain = true, true
	default:
		t.item.unseen = true
	}
	if !seen.setAgain { // nobody has to ask a second time in this flush
		p.tried[attempt{t.item, t.node, t.mechanism}] = t.err
	}
	p.r.mu.Lock()
	defer p.r.mu.Unlock()
	p.r.held[at] = seen
}

// lost has every user of a mechanism set again, because a broker has lost them.
func (p *userPass) lost(t *probe, of []*v1alpha1.KafkaUser) {
	p.r.mu.Lock()
	defer p.r.mu.Unlock()
	for _, u := range of {
		key := batch.Key{Cluster: p.pass.Cluster.Key, Name: users.Name(u)}
		if p.r.lost[key] == nil {
			p.r.lost[key] = map[v1alpha1.Mechanism][]int32{}
		}
		p.r.lost[key][t.mechanism] = append(p.r.lost[key][t.mechanism], t.node)
		if !slices.ContainsFunc(p.items, func(i *userItem) bool { return i.claim.Name == key.Name }) {
			p.r.Queue.Mark(key.Cluster, key.Name)
		}
	}
	p.r.Events.Eventf(p.pass.Cluster.Object, t.item.claim.Holder, corev1.EventTypeWarning, "CredentialsLost", "Heal",
		"Broker %d has lost the %s credentials of its users since it was started (a fault of Kafka): it refused user %q, "+
			"and those of the %d KafkaUsers are set again, with the same passwords",
		t.node, t.mechanism, t.item.claim.Name, len(of))
}

// setAgain lets what a broker has lost be written once more, and seen to work there.
func (p *userPass) setAgain() {
	p.r.mu.Lock()
	defer p.r.mu.Unlock()
	for _, i := range p.items {
		lost := p.r.lost[batch.Key{Cluster: p.pass.Cluster.Key, Name: i.claim.Name}]
		if len(lost) == 0 || i.state != granting || i.report.Credentials == nil {
			continue
		}
		if i.desired.Recorded != nil {
			i.desired.Recorded = i.desired.Recorded.DeepCopy()
			i.desired.Recorded.Mechanisms = slices.DeleteFunc(i.desired.Recorded.Mechanisms,
				func(s v1alpha1.CredentialStatus) bool { return lost[s.Mechanism] != nil })
		}
		for m, brokers := range lost {
			i.report.Credentials.ProvenOn = lacking(i.report.Credentials.ProvenOn, brokers)
			for n, s := range i.report.Credentials.Mechanisms {
				if row, _ := mechanism.Of(m); s.Mechanism == m { // also where it had others, and was kept
					i.report.Credentials.Mechanisms[n].Iterations = row.Iterations
				}
			}
		}
		i.resets = true
	}
}

// haveSet forgets what was lost and has been written.
func (p *userPass) haveSet() {
	p.r.mu.Lock()
	defer p.r.mu.Unlock()
	for _, i := range p.items {
		if i.resets {
			delete(p.r.lost, batch.Key{Cluster: p.pass.Cluster.Key, Name: i.claim.Name})
		}
	}
}

// wasSetAgain tells whether a broker had lost the mechanism's users in its present process.
func (p *userPass) wasSetAgain(broker int32, m v1alpha1.Mechanism) bool {
	startedAt := serving(p.pass.Cluster.Object)[broker]
	return p.r.heldBy(holding{p.pass.Cluster.Key, broker, m}, startedAt).setAgain
}

// heldBy is what has been seen in the process of a broker that runs since then.
func (r *Reconciler) heldBy(at holding, startedAt time.Time) held {
	r.mu.Lock()
	defer r.mu.Unlock()
	if seen := r.held[at]; seen.startedAt.Equal(startedAt) {
		return seen
	}
	return held{startedAt: startedAt}
}
