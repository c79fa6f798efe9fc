package user

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/types"

	"github.com/castellan-dev/castellan/api/v1alpha1"
	"github.com/castellan-dev/castellan/controllers/batch"
	"github.com/castellan-dev/castellan/internal/claim"
	"github.com/castellan-dev/castellan/internal/connect"
	"github.com/castellan-dev/castellan/internal/external"
	"github.com/castellan-dev/castellan/internal/kafka"
	"github.com/castellan-dev/castellan/internal/mechanism"
	"github.com/castellan-dev/castellan/internal/model"
	"github.com/castellan-dev/castellan/internal/resolve"
	"github.com/castellan-dev/castellan/internal/users"
	"github.com/castellan-dev/castellan/internal/verdict"
)

// pass is the part of a flush that is the same for topics and users.
type pass = batch.Pass[*v1alpha1.KafkaUser, v1alpha1.KafkaUserStatus]

// userPass is one flush of the users of a cluster.
type userPass struct {
	r     *Reconciler
	pass  pass
	items []*userItem
	host  model.Host
	bars  func(*v1alpha1.KafkaUser) *claim.Bar
	ca    []byte // PEM; of the authority that signs the brokers
	seal  []byte // of announcements; nil = none counts
	// clients is the authority that signs users.
	clients authority
	room    room
	live    users.Live
	// authorizer: one has answered, so that live has all ACLs.
	authorizer bool
	aclsBy     map[string][]kafka.ACL // those of live, by principal
	tried      map[attempt]error      // logins of this flush
	listed     bool                   // the files that brokers read are written
	wrote      bool                   // one of them by this flush
	files      *users.Spread          // which they are; nil = there are none, or they were not looked at
}

// Change brings Kafka to what the users ask for: it prepares every user, reads what is live, sends the difference, and
// logs in to see the effect. An error means that nothing is known about any user.
func (p *userPass) Change(ctx context.Context) error {
	defer p.keepFinalizers(ctx)
	admin, err := p.r.Clusters.Admin(ctx, p.pass.Cluster.Object)
	if err != nil {
		return err
	}
	if err := p.meet(ctx); err != nil {
		return err
	}
	remain := remaining(p.pass.Cluster.Object)
	for _, i := range p.items {
		i.remains = slices.Contains(remain, i.claim.Name)
		if f := users.Refused(p.host, i.claim.Name, p.needsScram(i)); f != nil {
			p.leaveAlone(i, *f)
			i.remains = false
		} else if v := p.paused(i); v != nil && i.claim.Frozen == nil {
			p.pause(i, v)
		} else if i.claim.Frozen != nil || i.claim.Holder == nil && len(p.formerOf(i)) == 0 {
			i.state = untouched // also where all who ask for it are barred: Kafka is not asked about it
		}
	}
	if p.live, err = p.readLive(ctx, admin); err != nil {
		return err
	}
	defer p.tellCertificates()
	batch.Each(batch.Writers, p.items, func(i *userItem) {
		if i.changes() {
			p.prepare(ctx, i)
		}
	})
	p.keepRemaining(ctx)
	if err := p.seekLost(ctx); err != nil {
		return err
	}
	if err := p.mend(ctx, admin); err != nil {
		return err
	}
	p.mendDefaults(ctx, admin)
	p.dropRemaining(ctx)
	err = p.plain(ctx)
	if p.listed = err == nil; !p.listed {
		p.plainFailed(err)
	}
	p.prove(ctx, admin)
	return nil
}

// meet makes the value that says what users need to know of their cluster.
func (p *userPass) meet(ctx context.Context) (err error) {
	cluster := p.pass.Cluster.Object
	if !cluster.IsExternal() {
		p.host = resolve.HostOf(cluster)
		if p.ca, err = connect.TrustedBy(ctx, p.r.Client, p.pass.Cluster.Key); err != nil {
			return err
		}
		return p.meetClientsAuthority(ctx)
	}
	access, err := p.r.Clusters.Access(ctx, cluster)
	p.host, p.ca = external.HostOf(cluster, access.User()), access.CA
	return err
}

// prepare decides what one user should have. It writes the finalizer and the connection Secret, so that both are there
// before anything happens in Kafka.
func (p *userPass) prepare(ctx context.Context, i *userItem) {
	i.desired = users.Desired{Name: i.claim.Name}
	former := p.formerOf(i)
	i.outgoing = p.outgoingOf(ctx, former) // before the holder may take over a Secret
	held := i.claim.Holder != nil && i.holderAwaits == nil && p.hold(ctx, i)
	// Who is evicted, or of another namespace, does not wait for what the holder lacks, unless the holder is in force and
	// would lose that.
	goes := i.state == untouched && p.hasStrangers(i) && !(i.unsettled() && p.inForce(i.claim.Holder))
	if len(former) > 0 && !goes && p.stops(i, held) {
		v := users.HandoverFrozen(former[0], i.claim.Holder)
		i.state, i.formerAwaits = untouched, &v
		return
	}
	if held && !goes || i.state == postponed {
		return
	}
	// Nobody in force holds the principal. What its former holders had is taken away.
	if len(former) == 0 {
		i.state = untouched
		return
	}
	i.state = revoking
	i.holderAwaits, i.report.Awaited = cmp.Or(i.holderAwaits, i.report.Awaited), nil
	i.desired = users.Desired{Name: i.claim.Name, Stake: p.stakeIn(i)}
	i.mechanisms, i.endpoints = nil, nil
	for _, o := range i.outgoing {
		i.mechanisms = append(i.mechanisms, lacking(o.mechanisms, i.mechanisms)...)
	}
}

// formerOf are those of a user's former objects that have, or may have, something of it in Kafka.
func (p *userPass) formerOf(i *userItem) []*v1alpha1.KafkaUser {
	return slices.DeleteFunc(i.former(), func(u *v1alpha1.KafkaUser) bool {
		return !users.Owns(u, p.pass.Cluster.ID()) || p.retains(u)
	})
}

// hasStrangers tells whether a former holder is evicted, or of another namespace than the present one.
func (p *userPass) hasStrangers(i *userItem) bool {
	return len(i.claim.Evicted) > 0 || slices.ContainsFunc(p.formerOf(i), func(u *v1alpha1.KafkaUser) bool {
		return u.Namespace != i.claim.Holder.Namespace
	})
}

// stops tells whether former holders wait until the holder has what it lacks: it does not know its password, or would
// be out.
func (p *userPass) stops(i *userItem, held bool) bool {
	if held {
		return i.state == untouched && len(i.report.Faults) > 0
	}
	return i.state != postponed && p.wouldBeOut(i)
}

// wouldBeOut tells whether a holder that lacks something would lose what it was seen to log in with, if what its former
// holders had were taken away. These wait for it, unless they are not to.
func (p *userPass) wouldBeOut(i *userItem) bool {
	u := i.claim.Holder
	return u != nil && p.inForce(u) && len(u.Status.Credentials.ProvenOn) > 0 && !p.hasStrangers(i)
}

// leaveAlone touches nothing of a user and says why, to its holder or to those that are being deleted.
func (p *userPass) leaveAlone(i *userItem, f verdict.Verdict) {
	i.state = untouched
	switch {
	case i.claim.Holder != nil:
		i.fault(f)
		i.keepRecord()
	case f.Reason == users.ReasonOwn:
		i.state = spared
	default:
		i.await(f.Reason, "%s", f.Text())
	}
}

// hold fills in what the holder asks for. It returns false when the holder cannot be in force, and when it postpones
// the item because that is not certain yet.
func (p *userPass) hold(ctx context.Context, i *userItem) bool {
	u := i.claim.Holder
	i.endpoints = users.Endpoints(p.host, u.Spec.Authentication.Mechanisms)
	if fault := users.NotOffered(p.host, u.Spec.Authentication.Mechanisms); fault != nil {
		i.fault(*fault)
	}
	for _, m := range u.Spec.Authentication.Mechanisms {
		if _, ok := users.For(i.endpoints, m); ok {
			i.mechanisms = append(i.mechanisms, m)
		}
	}
	if err := p.admitCertificate(ctx, i); err != nil {
		p.notWritten(i, err)
		return true
	}
	if len(i.mechanisms) == 0 {
		i.keepRecord()
		return false
	}
	if !p.vacant(i) {
		return false
	}
	if goOn, held := p.choose(ctx, i); !goOn {
		return held
	}
	if err := p.announce(ctx, i); err != nil {
		p.notWritten(i, err)
		return true
	}
	password, err := p.connect(ctx, i)
	switch fault, isFault := errors.AsType[verdict.Verdict](err); {
	case isFault:
		i.fault(fault)
		i.report.Credentials, i.report.ACLs = u.Status.Credentials, u.Status.ACLs
		if i.owned[boundSecret(u)] != nil {
			i.report.Secret = boundSecret(u)
		}
		return false
	case err != nil:
		p.notWritten(i, err)
		return true
	case password == "" && (i.report.Awaited != nil || p.wantsPassword(i)):
		// What the Secret needs is not known yet.
		i.state = untouched
		i.keepRecord()
		return true
	}
	i.report.Secret = i.secret
	if password != "" {
		i.overlap = p.rotation(i).Overlap && len(p.formerOf(i)) == 0
		i.hash = users.PasswordHash(cmp.Or(i.salt, string(u.UID)), password)
	}
	recorded := users.MadeWith(u, p.pass.Cluster.ID(), i.hash, password, i.certificate.Status())
	if recorded == nil && password != "" {
		i.desired = users.Desired{Name: i.claim.Name, Password: password} // for the login
		if recorded, err = p.foundInForce(ctx, i); err != nil {
			p.notWritten(i, err)
			return true
		}
	}
	recorded = users.AsItStands(recorded, p.live.Scram[i.claim.Name])
	if len(p.formerOf(i)) == 0 && !users.Elsewhere(u) { // else all that is not the holder's has to go at once
		i.leaving = users.Leaving(users.Recorded(u, p.pass.Cluster.ID()), recorded, i.mechanisms,
			batch.Serving(p.pass.Cluster.Object))
	}
	i.desired = users.Desired{Name: i.claim.Name, Mechanisms: slices.Concat(i.mechanisms, i.leaving), Password: password,
		Quotas: users.QuotasOf(u.Spec.Quotas), Recorded: recorded}
	if u.Spec.ACLPolicy == v1alpha1.ACLPolicyMerge {
		i.desired.Stake = p.stakeIn(i)
	}
	p.wantACLs(i)
	if !mechanism.At(slices.Concat(i.desired.Mechanisms, u.Spec.Authentication.Mechanisms), mechanism.LayerSasl) {
		i.hash = "" // the password opens nothing any more
	}
	i.report.Credentials = users.CredentialsOf(recorded, p.pass.Cluster.ID(), i.hash, i.mechanisms, i.leaving,
		p.host.Nodes)
	users.Certify(i.report.Credentials, i.certificate.Status())
	return true
}

// wantACLs fills in which ACLs the holder shall have, and says which of those that it asks for it cannot have.
func (p *userPass) wantACLs(i *userItem) {
	u := i.claim.Holder
	rules, beyond := users.Granted(u, p.host)
	i.report.Faults = append(i.report.Faults, beyond...)
	if fault := users.NotRetained(u, p.host); fault != nil {
		i.fault(*fault)
	}
	for _, fault := range users.Unfit(u) {
		i.fault(fault)
		i.desired.KeepACLs = len(beyond) == 0 // what reaches beyond a grant goes, whatever else is wrong
	}
	switch i.desired.ACLs = users.ACLsOf(i.claim.Name, rules); {
	case len(i.desired.ACLs) > 0 && !p.authorizer:
		fault := users.NoAuthorizer(p.host)
		if p.host.Authorizes { // the brokers are still to get it, or nobody will tell of it
			fault.After, fault.AtMost = claim.TakenLook, claim.TakenLookLimit
		}
		i.fault(fault)
		i.desired.ACLs = nil
	case len(i.desired.ACLs) > 0 && !p.host.Authorizes:
		i.fault(users.NoAuthorizer(p.host))
		i.desired.ACLs = p.settable(i.claim.Name, i.desired.ACLs)
		i.desired.KeepACLs = i.desired.KeepACLs && !i.remains
	case i.remains && i.desired.KeepACLs: // those that Kafka has are a former holder's
		i.desired.ACLs, i.desired.KeepACLs = nil, false
	}
	if i.report.ACLs = users.ListedACLs(i.desired.ACLs); i.desired.KeepACLs {
		i.report.ACLs = u.Status.ACLs
	}
}

func boundSecret(u *v1alpha1.KafkaUser) string {
	if u.Status.Binding == nil {
		return ""
	}
	return u.Status.Binding.Name
}

// vacant tells whether the holder may have the principal. It says no only after a while: Kafka may still show what was
// deleted a moment ago.
func (p *userPass) vacant(i *userItem) bool {
	key := batch.Key{Cluster: p.pass.Cluster.Key, Name: i.claim.Name}
	fault := users.Exists(i.claim, p.live, p.pass.Cluster.ID(), p.host)
	if fault == nil {
		p.r.Doubts.Forget(key)
		return true
	}
	if !p.r.Stands(&p.r.Doubts, key, fault.Reason, batch.ConfirmAfter) {
		i.state = postponed
		return false
	}
	i.fault(*fault)
	i.report.Secret = boundSecret(i.claim.Holder)
	return false
}

// notWritten leaves a user as it is, because something could not be written that has to stand before Kafka is changed,
// and says why.
func (p *userPass) notWritten(i *userItem, err error) {
	if p.pass.Overtaken(i.claim.Name, err) {
		i.state = postponed
		return
	}
	i.state = untouched
	i.keepRecord()
	i.failed(err)
}

// inForce tells whether credentials of an object are on record.
func (p *userPass) inForce(u *v1alpha1.KafkaUser) bool {
	c := users.Recorded(u, p.pass.Cluster.ID())
	return c != nil && len(c.Mechanisms) > 0
}

// mend sends the differences of SCRAM credentials, ACLs and quotas to Kafka, however many users there are.
func (p *userPass) mend(ctx context.Context, admin kafka.UserAdmin) error {
	byName := map[string]*userItem{}
	var desired []users.Desired
	for _, i := range p.items {
		if i.changes() {
			byName[i.claim.Name] = i
			desired = append(desired, i.desired)
		}
	}
	changes := users.Plan(desired, p.live)
	for _, i := range p.items {
		if i.remains && !i.changes() && p.authorizer {
			byName[i.claim.Name] = i
			changes.Sweep(i.claim.Name, nil, p.ownACLs(i), p.live)
		} else if keep, beyond := p.beyond(i); beyond {
			byName[i.claim.Name] = i
			changes.Sweep(i.claim.Name, p.stakeIn(i), keep, p.live)
			i.report.ACLs = users.ListedACLs(p.stakeIn(i).Among(keep).Added)
		}
	}
	p.noteWritten(changes, byName)
	if err := p.mendScram(ctx, admin, changes, byName); err != nil {
		return err
	}
	p.haveSet()
	if err := p.mendACLs(ctx, admin, changes, byName); err != nil || len(changes.Quotas) == 0 {
		return err
	}
	results, err := admin.AlterQuotas(ctx, changes.Quotas)
	if err != nil {
		return err
	}
	for name, err := range results {
		if i := byName[name]; i != nil && err != nil {
			i.refusedBy(err, "spec.quotas")
		}
	}
	return nil
}

// mendScram adds before it takes away. Where Kafka refuses what is to be added to a user, nothing is taken from it,
// unless that is somebody else's who loses the user.
func (p *userPass) mendScram(ctx context.Context, admin kafka.UserAdmin, changes users.Changes,
	byName map[string]*userItem) error {
	send := func(upserts []kafka.ScramUpsert, deletions []kafka.ScramDeletion) (map[string]error, error) {
		if len(upserts)+len(deletions) == 0 {
			return nil, nil
		}
		results, err := admin.AlterScramCredentials(ctx, upserts, deletions)
		for name, err := range results {
			if i := byName[name]; i != nil && err != nil {
				i.refusedBy(err, "spec.authentication.mechanisms")
				i.report.Credentials = nil // what stands is not known
			}
		}
		return results, err
	}
	added, err := send(changes.Upserts, nil)
	if err != nil {
		return err
	}
	_, err = send(nil, slices.DeleteFunc(changes.Deletions, func(d kafka.ScramDeletion) bool {
		i := byName[d.User]
		return added[d.User] != nil && i != nil && len(p.formerOf(i)) == 0
	}))
	return err
}

// readLive reads what Kafka has of the users of this flush: three requests for many users, fewer than twenty for few.
func (p *userPass) readLive(ctx context.Context, admin kafka.UserAdmin) (live users.Live, err error) {
	var names []string
	for _, i := range p.items {
		if i.changes() || (i.remains || p.ofGuest(i)) && p.host.MindsACLs() {
			names = append(names, i.claim.Name)
		}
	}
	slices.Sort(names)
	if len(names) == 0 {
		return live, nil
	}
	if live.Retained, err = p.readRetained(ctx); err != nil {
		return live, err
	}
	if p.host.NeedsForScram == "" {
		if live.Scram, err = admin.ScramCredentials(ctx, names); err != nil {
			return live, err
		}
	}
	ofQuotas := names
	if slices.ContainsFunc(p.items, func(i *userItem) bool { return i.claim.Name == defaultUser }) {
		ofQuotas = append([]string{kafka.DefaultUser}, names...)
	}
	if live.Quotas, err = admin.Quotas(ctx, ofQuotas); err != nil || !p.host.MindsACLs() {
		return live, err
	}
	principals := make([]string, len(names))
	for n, name := range names {
		principals[n] = users.Principal(name)
	}
	live.ACLs, err = admin.ACLs(ctx, principals)
	p.authorizer, p.aclsBy = err == nil, live.ACLsBy()
	// A class of a plug-in fails in ways of its own where it knows nothing of ACLs.
	if refusal, ok := errors.AsType[*kafka.Refusal](err); ok &&
		(refusal.Code == "SECURITY_DISABLED" || p.host.Authorizer != "") {
		return live, nil
	}
	return live, err
}

// mendACLs sends the steps one after the other, so that at no time a user may do less than before and after, nor what a
// Deny of either forbids. Of a principal to which something of a step could not be done, nothing of the later ones is.
func (p *userPass) mendACLs(ctx context.Context, admin kafka.UserAdmin, changes users.Changes,
	byName map[string]*userItem) error {
	failed := map[string]bool{} // by principal
	for _, step := range changes.ACLSteps() {
		acls := slices.DeleteFunc(step.ACLs, func(a kafka.ACL) bool { return failed[a.Principal] })
		whole := slices.DeleteFunc(step.Whole, func(of kafka.ACLsOf) bool { return failed[of.Principal] })
		send := admin.CreateACLs
		if step.Delete {
			send = admin.DeleteACLs
		}
		if len(acls) > 0 {
			results, err := send(ctx, acls)
			if err != nil {
				return err
			}
			for n, a := range acls {
				p.aclsRefused(a.Principal, results, n, failed, byName)
			}
		}
		if len(whole) > 0 {
			results, err := admin.DeleteACLsOf(ctx, whole)
			if err != nil {
				return err
			}
			for n, of := range whole {
				p.aclsRefused(of.Principal, results, n, failed, byName)
			}
		}
	}
	return nil
}

// aclsRefused notes that something of a principal's ACLs could not be done, if the result says so.
func (p *userPass) aclsRefused(principal string, results []error, n int, failed map[string]bool,
	byName map[string]*userItem) {
	if n >= len(results) || results[n] == nil {
		return
	}
	failed[principal] = true
	i := byName[nameOf(principal)]
	if i == nil {
		return
	}
	i.aclsFailed = true
	if i.claim.Holder != nil {
		i.report.ACLs = i.claim.Holder.Status.ACLs
	}
	i.refusedBy(results[n], "spec.acls")
}

// nameOf is the user that a principal stands for.
func nameOf(principal string) string { return strings.TrimPrefix(principal, users.Principal("")) }

func secretKey(namespace, name string) types.NamespacedName {
	return types.NamespacedName{Namespace: namespace, Name: name}
}
