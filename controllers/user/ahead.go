package user

import (
	"context"

	"github.com/castellan-dev/castellan/api/v1alpha1"
	"github.com/castellan-dev/castellan/controllers/batch"
	"github.com/castellan-dev/castellan/internal/claim"
	"github.com/castellan-dev/castellan/internal/connect"
	"github.com/castellan-dev/castellan/internal/users"
)

// announcement is what an object has announced: by which name, and in which incarnation of the cluster.
type announcement struct {
	name      batch.Key
	clusterID string
}

// announce writes to the object, before anything happens in Kafka, the finalizer, and on record that the object takes
// the principal: with one write, where an announcement says all that.
func (p *userPass) announce(ctx context.Context, i *userItem) error {
	u, clusterID := i.claim.Holder, p.pass.Cluster.ID()
	record, next := users.Recorded(u, clusterID), *u.Status.DeepCopy()
	if p.remembered(u) && !users.Announced(u, clusterID, p.seal) {
		record = nil // it is announced once more
	}
	if record == nil {
		next.Credentials = users.Taken(clusterID)
	}
	more := p.aclsAhead(i, next.Credentials)
	if intent := users.Announcement(u, clusterID, p.seal); intent != "" && record == nil && !more {
		if err := p.pass.Announce(ctx, u, intent); err != nil {
			return err
		}
		p.pass.Ahead(u, next)
		p.remember(u)
		return nil
	}
	if !claim.HasFinalizer(u) {
		if err := p.pass.Announce(ctx, u, ""); err != nil {
			return err
		}
	}
	if record != nil && !more {
		return nil
	}
	return p.pass.RecordAhead(ctx, u, next)
}

// keepFinalizers gives the finalizer back to objects that have something in Kafka on record, also where nothing of them
// was to be written in this flush: without it nobody would take that away when they are deleted.
func (p *userPass) keepFinalizers(ctx context.Context) {
	batch.Each(batch.Writers, p.items, func(i *userItem) {
		all := []*v1alpha1.KafkaUser{i.claim.Holder}
		for _, e := range i.claim.Evicted {
			all = append(all, e.Object)
		}
		for _, u := range all {
			if i.state == postponed || i.unsettled() || u == nil || u.DeletionTimestamp != nil || claim.HasFinalizer(u) ||
				!users.Owns(u, p.pass.Cluster.ID()) {
				continue
			}
			if err := p.pass.Announce(ctx, u, ""); err != nil && !p.pass.Overtaken(i.claim.Name, err) {
				p.pass.Errs.Add(i.claim.Name, err)
			}
		}
	})
}

// meetSeal reads the key by which announcements are known. Without the Secret of the cluster's authority there is none.
func (p *userPass) meetSeal(ctx context.Context) (err error) {
	if cluster := p.pass.Cluster.Object; cluster != nil && !cluster.IsExternal() {
		p.seal, err = connect.Seal(ctx, p.r.Client, p.pass.Cluster.Key)
	}
	return err
}

// recall puts what objects have announced on record, in memory.
func (p *userPass) recall(objects []*v1alpha1.KafkaUser) {
	for _, u := range objects {
		if p.announced(u) {
			next := *u.Status.DeepCopy()
			next.Credentials = users.Taken(p.pass.Cluster.ID())
			p.pass.Ahead(u, next)
		}
	}
}

// announced tells whether an object has announced that it takes its principal.
func (p *userPass) announced(u *v1alpha1.KafkaUser) bool {
	return users.Announced(u, p.pass.Cluster.ID(), p.seal) || p.remembered(u)
}

// remember is for an object that has announced something. Its status may be refused for long, and meanwhile somebody
// may take the announcement off, or replace the authority that it is sealed with.
func (p *userPass) remember(u *v1alpha1.KafkaUser) {
	name := batch.Key{Cluster: p.pass.Cluster.Key, Name: users.Name(u)}
	p.r.announced.Put(u.UID, announcement{name, p.pass.Cluster.ID()})
}

// remembered tells whether this process has had an object announce something that has no status yet.
func (p *userPass) remembered(u *v1alpha1.KafkaUser) bool {
	if len(u.Status.Conditions) > 0 {
		return false
	}
	made, is := p.r.announced.Get(u.UID)
	return is && made.clusterID == p.pass.Cluster.ID()
}

// dropAnnounced forgets what objects have announced that have a status by now.
func (p *userPass) dropAnnounced() {
	for _, i := range p.items {
		for _, u := range i.concerned() {
			if len(u.Status.Conditions) > 0 {
				p.r.announced.Forget(u.UID)
			}
		}
	}
}
