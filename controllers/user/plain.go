package user

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/castellan-dev/castellan/api/v1alpha1"
	"github.com/castellan-dev/castellan/controllers/batch"
	"github.com/castellan-dev/castellan/internal/mechanism"
	"github.com/castellan-dev/castellan/internal/users"
)

// plain writes the files of PLAIN users and of users' certificates when a line of them differs. While a login by one of
// the two, or its refusal, has not been seen yet, it touches the pods so that the kubelets refresh the files.
func (p *userPass) plain(ctx context.Context) error {
	if p.host.External {
		return nil // its brokers read no file of ours
	}
	if !slices.ContainsFunc(p.items, func(i *userItem) bool { return i.concernsFiles() || p.leavesLine(i) }) {
		return nil
	}
	all, err := p.namesIn(ctx, mechanism.PasswordFile)
	if err != nil {
		return err
	}
	listed, err := p.namesIn(ctx, mechanism.CertificateFile)
	if err != nil {
		return err
	}
	parts, err := p.readParts(ctx)
	if err != nil {
		return err
	}
	if slices.ContainsFunc(parts, func(s *partSecret) bool { return p.r.Writer.Stale(s.secret) }) {
		return errStalePlainFile
	}
	held := heldBy(parts)
	current := users.Joined(held)
	set := p.plainUsers()
	p.restoreLines(ctx, current.Users, set)
	file, entries, missing, err := users.PlainFile(current.Users, all, set, rand.Reader, p.markRetained(current.Users))
	if err != nil {
		return err
	}
	list, unlisted, revoked := users.CertificateList(current.Certificates, listed, p.certifiedUsers(), p.r.Clock.Now())
	seen, err := p.partsSeen(ctx, p.r.Client)
	if err != nil {
		return err
	}
	spread := users.SpreadOver(users.Part{Users: file, Certificates: list}, held, p.r.partRoom, least(seen))
	missing = slices.Concat(missing, unlisted, spread.Unlisted)
	p.r.Queue.Mark(p.pass.Cluster.Key, p.tellRoom(missing, spread.Ended, spread.Refused)...)
	p.seekLines(spread)
	if len(held) == 0 && len(entries) == 0 && list == nil {
		p.forgetMarkers()
		return nil // nobody to remove anything from
	}
	changed, state, err := p.writeParts(ctx, parts, spread.Parts)
	if err != nil {
		return err
	}
	p.files = &spread
	p.r.mu.Lock()
	for _, i := range p.items {
		i.lineStays = p.leavesLine(i) && !i.lineLost
		if entry, ok := entries[i.claim.Name]; ok {
			p.r.verified[batch.Key{Cluster: p.pass.Cluster.Key, Name: i.claim.Name}] = verifiedEntry{i.hash, entry}
		}
	}
	p.r.mu.Unlock()
	if changed || p.plainUnproven() || revoked { // a line that has gone is proven by nobody
		return p.touch(ctx, state)
	}
	return nil
}

// tellRoom tells the users of this flush what there is no room for in the file of PLAIN users. It returns whose lines
// are to be looked at again.
func (p *userPass) tellRoom(open, ended, refused []string) []string {
	for _, i := range p.items {
		if slices.Contains(refused, i.claim.Name) && i.claim.Holder != nil {
			i.fault(users.NoPlainRoom(p.host))
		}
		if slices.Contains(ended, i.claim.Name) && i.claim.Holder != nil {
			p.r.Events.Eventf(i.claim.Holder, p.pass.Cluster.Object, corev1.EventTypeWarning, "OverlapEnded", "Update",
				"The password before logs in no more: the file of PLAIN users of KafkaCluster %q is full", p.pass.Cluster.Key.Name)
		}
	}
	others := slices.DeleteFunc(ended, func(name string) bool {
		return slices.ContainsFunc(p.items, func(i *userItem) bool { return i.claim.Name == name })
	})
	if len(refused) > 0 { // whoever lacks a line finds no room either
		return others
	}
	return append(open, others...)
}

// inFile tells whether the password of a user with these mechanisms stands in the file.
func inFile(mechanisms []v1alpha1.Mechanism) bool {
	return mechanism.Uses(mechanisms, mechanism.PasswordFile)
}

// inFiles tells whether a user with these mechanisms has a line in a file that brokers read.
func inFiles(mechanisms []v1alpha1.Mechanism) bool {
	return inFile(mechanisms) || mechanism.Uses(mechanisms, mechanism.CertificateFile)
}

// concernsFiles tells whether the flush changes, or may change, a line of the user.
func (i *userItem) concernsFiles() bool {
	return i.changes() && (i.takesAway() || i.hadLine() || inFiles(i.desired.Mechanisms))
}

var errStalePlainFile = errors.New("the cache does not show yet what was last written to the files of PLAIN users")

// plainFailed says of the users of this flush who have a line in a file that it could not be written. The others go on.
func (p *userPass) plainFailed(err error) {
	passing := errors.Is(err, errStalePlainFile) || apierrors.IsConflict(err) || apierrors.IsAlreadyExists(err)
	for _, i := range p.items {
		if p.leavesLine(i) && !passing {
			i.lineFailed = err
		}
		if !i.changes() || i.state == granting && !inFiles(i.mechanisms) && !i.hadLine() {
			continue
		}
		if passing {
			i.state = postponed
			p.r.Queue.Retry(p.pass.Cluster.Key, i.claim.Name, batch.CacheLag, batch.ConfirmAfter)
			continue
		}
		i.failed(err)
		if i.state == granting && len(p.formerOf(i)) == 0 && p.losesLine(i) {
			i.report.Credentials = users.Recorded(i.claim.Holder, p.pass.Cluster.ID()).DeepCopy() // its line still stands
		}
	}
}

// losesLine tells whether the holder has a line in one of the files that it shall not have any more.
func (p *userPass) losesLine(i *userItem) bool {
	return slices.ContainsFunc(recorded(users.Recorded(i.claim.Holder, p.pass.Cluster.ID())),
		func(m v1alpha1.Mechanism) bool {
			return inFiles([]v1alpha1.Mechanism{m}) && !slices.Contains(i.desired.Mechanisms, m)
		})
}

// plainUsers returns the users of this flush that log in by PLAIN.
func (p *userPass) plainUsers() map[string]users.PlainUser {
	set := map[string]users.PlainUser{}
	p.r.mu.Lock()
	defer p.r.mu.Unlock()
	for _, i := range p.items {
		if !i.changes() || !inFile(i.desired.Mechanisms) {
			continue
		}
		user := users.PlainUser{Password: i.desired.Password, Overlap: i.overlap}
		if v := p.r.verified[batch.Key{Cluster: p.pass.Cluster.Key, Name: i.claim.Name}]; v.passwordHash == i.hash {
			user.Proven = v.entry
		}
		set[i.claim.Name] = user
	}
	return set
}

// namesIn returns every name that may stand in the file of a store: users that are not being deleted, or may stay, and
// have, or may have, a line on record. Whoever holds no user keeps no line, and whoever may not change anything takes
// none away. For the users of this flush, what the flush has decided counts.
func (p *userPass) namesIn(ctx context.Context, store mechanism.Store) (map[string]bool, error) {
	list, err := p.r.Of(ctx, p.pass.Cluster.Key)
	if err != nil {
		return nil, err
	}
	all := map[string]bool{}
	var policies batch.Policies
	for _, u := range list {
		if u.DeletionTimestamp != nil {
			if u, err = p.pass.WithPolicy(ctx, u, &policies); err != nil {
				return nil, err
			}
		}
		if (u.DeletionTimestamp == nil || p.mayStay(u, store)) && p.hasLine(u, store) {
			all[users.Name(u)] = true
		}
	}
	for _, i := range p.items {
		if i.changes() {
			delete(all, i.claim.Name)
			if mechanism.Uses(i.desired.Mechanisms, store) {
				all[i.claim.Name] = true
			}
		}
	}
	return all, nil
}

// hasLine tells whether a user has a line in the file of a store, as far as its object tells.
func (p *userPass) hasLine(u *v1alpha1.KafkaUser, store mechanism.Store) bool {
	asks := mechanism.Uses(u.Spec.Authentication.Mechanisms, store)
	c := users.Recorded(u, p.pass.Cluster.ID())
	if p.announced(u) { // it is the cache's own
		c = users.Taken(p.pass.Cluster.ID())
	}
	stands := mechanism.Uses(recorded(c), store)
	switch {
	case p.r.Writer.Stale(u): // it may be on record since
		return asks || stands
	case c != nil && len(c.Mechanisms) == 0: // which mechanisms stand is not known
		return asks
	default:
		return stands
	}
}

func recordedInFile(c *v1alpha1.Credentials) bool { return inFile(recorded(c)) }

// plainUnproven tells whether some broker has not been seen to use the files as they are now.
func (p *userPass) plainUnproven() bool {
	brokers := batch.Serving(p.pass.Cluster.Object)
	for _, i := range p.items {
		switch {
		case i.state == granting && !inFiles(i.mechanisms) && len(i.former()) > 0 && i.hadLine():
			return true // nobody logs in by a file to see it, and the former holder's line must go all the same
		case i.refuses(inFiles):
			return true
		case !i.changes() || i.takesAway() || !inFiles(i.mechanisms):
		case i.report.Credentials == nil || len(lacking(brokers, i.report.Credentials.ProvenOn)) > 0:
			return true
		}
	}
	return false
}

// touch changes an annotation of every broker's pod. The kubelet then looks at the mounted Secrets at once, instead of
// within a minute or two.
func (p *userPass) touch(ctx context.Context, hash string) error {
	pods, err := p.brokerPods(ctx, p.r.Client)
	if err != nil {
		return err
	}
	for n := range pods.Items {
		pod := &pods.Items[n]
		if pod.Annotations[v1alpha1.AnnotationTouched] == hash {
			continue
		}
		base := pod.DeepCopy()
		if pod.Annotations == nil {
			pod.Annotations = map[string]string{}
		}
		pod.Annotations[v1alpha1.AnnotationTouched] = hash
		if err := p.r.Client.Patch(ctx, pod, client.MergeFrom(base)); client.IgnoreNotFound(err) != nil {
			return fmt.Errorf("touch pod %s/%s: %w", pod.Namespace, pod.Name, err)
		}
	}
	return nil
}

func (p *userPass) brokerPods(ctx context.Context, reader client.Reader) (pods corev1.PodList, err error) {
	err = reader.List(ctx, &pods, client.InNamespace(p.pass.Cluster.Key.Namespace),
		client.MatchingLabels{v1alpha1.LabelCluster: p.pass.Cluster.Key.Name, v1alpha1.LabelBroker: "true"})
	if err != nil {
		return pods, fmt.Errorf("list the broker pods of KafkaCluster %s: %w", p.pass.Cluster.Key, err)
	}
	return pods, nil
}

// lacking returns what is in want and not in have.
func lacking[T comparable](want, have []T) []T {
	return slices.DeleteFunc(slices.Clone(want), func(one T) bool { return slices.Contains(have, one) })
}
