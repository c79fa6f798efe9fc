package user

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"slices"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/castellan-dev/castellan/api/v1alpha1"
	"github.com/castellan-dev/castellan/controllers/batch"
	"github.com/castellan-dev/castellan/internal/mechanism"
	"github.com/castellan-dev/castellan/internal/model"
	"github.com/castellan-dev/castellan/internal/observe"
	"github.com/castellan-dev/castellan/internal/plainauth"
	"github.com/castellan-dev/castellan/internal/render"
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
	secret := &corev1.Secret{}
	key := secretKey(p.pass.Cluster.Key.Namespace, render.PlainUsersSecret(p.pass.Cluster.Key.Name))
	err = p.r.Client.Get(ctx, key, secret)
	if err != nil && !apierrors.IsNotFound(err) {
		return fmt.Errorf("get Secret %s: %w", key, err)
	}
	exists := err == nil
	if p.r.Writer.Stale(secret) {
		return errStalePlainFile
	}
	current, known := secret.Data[render.UsersEntry], secret.Data[render.CertificatesEntry]
	set := p.plainUsers()
	p.restoreLines(ctx, current, set)
	file, entries, missing, err := users.PlainFile(current, all, set, rand.Reader, p.markRetained(current))
	if err != nil {
		return err
	}
	certified := p.certifiedUsers()
	file, ended, refused := users.FitPlainFile(file, plainauth.Unmarked(current), users.PlainRoom(known, certified))
	list, unlisted, revoked := users.CertificateList(known, listed, certified, users.ListRoom(len(file)+markerRoom),
		p.r.Clock.Now())
	p.r.Queue.Mark(p.pass.Cluster.Key, p.tellRoom(append(missing, unlisted...), ended, refused)...)
	p.seekLines(file)
	if !exists && len(entries) == 0 && list == nil {
		p.forgetMarker()
		return nil // nobody to remove anything from
	}
	changed := !bytes.Equal(file, plainauth.Unmarked(current))
	if file, err = p.mark(file, current, !exists || changed || !bytes.Equal(list, known)); err != nil {
		return err
	}
	if !bytes.Equal(file, current) || !bytes.Equal(list, known) {
		if err := p.writePlainFile(ctx, secret, key, file, list, exists); err != nil {
			return err
		}
	}
	p.r.mu.Lock()
	for _, i := range p.items {
		i.lineStays = p.leavesLine(i) && !i.lineLost
		if entry, ok := entries[i.claim.Name]; ok {
			p.r.verified[batch.Key{Cluster: p.pass.Cluster.Key, Name: i.claim.Name}] = verifiedEntry{i.hash, entry}
		}
	}
	p.r.mu.Unlock()
	if changed || p.plainUnproven() || revoked { // a line that has gone is proven by nobody
		sum := sha256.Sum256(slices.Concat(file, list))
		return p.touch(ctx, hex.EncodeToString(sum[:8]))
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

var errStalePlainFile = errors.New("the cache does not show yet what was last written to the file of PLAIN users")

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
	for _, u := range list {
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

func (p *userPass) writePlainFile(ctx context.Context, secret *corev1.Secret, key client.ObjectKey,
	file, list []byte, exists bool) error {
	secret.Namespace, secret.Name = key.Namespace, key.Name
	label(secret, p.pass.Cluster.Key.Name)
	if secret.Data == nil {
		secret.Data = map[string][]byte{}
	}
	secret.Data[render.UsersEntry] = file
	if list != nil {
		secret.Data[render.CertificatesEntry] = list
	}
	write := p.r.Writer.Update
	if !exists {
		write = p.r.Writer.Create
		secret.OwnerReferences = []metav1.OwnerReference{
			*metav1.NewControllerRef(p.pass.Cluster.Object, v1alpha1.GroupVersion.WithKind("KafkaCluster")),
		}
	}
	err := write(ctx, secret)
	if apierrors.IsAlreadyExists(err) {
		err = p.unseenPlainFile(ctx, key)
	}
	if err != nil {
		return fmt.Errorf("write Secret %s: %w", key, err)
	}
	return nil
}

// unseenPlainFile says why the cache does not show a Secret that exists: it is behind, or the Secret has lost the
// labels by which the cache knows ours, and gets them back, or it is somebody else's and stays as it is.
func (p *userPass) unseenPlainFile(ctx context.Context, key client.ObjectKey) error {
	there := &corev1.Secret{}
	if err := p.r.apiReader.Get(ctx, key, there); err != nil {
		return fmt.Errorf("look whose it is: %w", err)
	}
	cluster := p.pass.Cluster.Object
	if _, ours := observe.Whose(model.KindSecret, there, cluster); !ours {
		return fmt.Errorf("it exists and is not KafkaCluster %s's; remove it, or if it is that cluster's own, "+
			"label it %s=%s and %s=%s", cluster.Name,
			v1alpha1.LabelManagedBy, v1alpha1.ManagedBy, v1alpha1.LabelCluster, cluster.Name)
	}
	if there.Labels[v1alpha1.LabelManagedBy] == v1alpha1.ManagedBy && there.Labels[v1alpha1.LabelCluster] == cluster.Name {
		return errStalePlainFile
	}
	label(there, cluster.Name)
	if err := p.r.Writer.Update(ctx, there); err != nil {
		return fmt.Errorf("give it back its labels: %w", err)
	}
	return errStalePlainFile
}

// label says that the file is a cluster's.
func label(secret *corev1.Secret, cluster string) {
	if secret.Labels == nil {
		secret.Labels = map[string]string{}
	}
	maps.Copy(secret.Labels, model.Labels(cluster))
}

// plainUnproven tells whether some broker has not been seen to use the files as they are now.
func (p *userPass) plainUnproven() bool {
	brokers := batch.Serving(p.pass.Cluster.Object)
	for _, i := range p.items {
		switch {
		case i.state == granting && !inFiles(i.mechanisms) && len(i.former()) > 0 && i.hadLine():
			return true // nobody logs in by a file to see it, and the former holder's line must go all the same
		case !i.changes() || !inFiles(i.mechanisms):
		case i.takesAway():
			return true
		case i.report.Credentials == nil || len(lacking(brokers, i.report.Credentials.ProvenOn)) > 0:
			return true
		}
	}
	return false
}

// touch changes an annotation of every broker's pod. The kubelet then looks at the mounted Secrets at once, instead of
// within a minute or two.
func (p *userPass) touch(ctx context.Context, hash string) error {
	var pods corev1.PodList
	err := p.r.Client.List(ctx, &pods, client.InNamespace(p.pass.Cluster.Key.Namespace),
		client.MatchingLabels{v1alpha1.LabelCluster: p.pass.Cluster.Key.Name, v1alpha1.LabelBroker: "true"})
	if err != nil {
		return fmt.Errorf("list the broker pods of KafkaCluster %s: %w", p.pass.Cluster.Key, err)
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

// lacking returns the ids in want that are not in have.
func lacking(want, have []int32) []int32 {
	return slices.DeleteFunc(slices.Clone(want), func(id int32) bool { return slices.Contains(have, id) })
}
