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
	"github.com/castellan-dev/castellan/internal/render"
	"github.com/castellan-dev/castellan/internal/users"
)

// plain writes the file of PLAIN users when a line of it differs. While a login by PLAIN, or its refusal, has not been
// seen yet, it touches the pods so that the kubelets refresh the file.
func (p *userPass) plain(ctx context.Context) error {
	if p.host.External {
		return nil // its brokers read no file of ours
	}
	set, concerned := p.plainUsers()
	if !concerned {
		return nil
	}
	all, err := p.plainNames(ctx)
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
	current := secret.Data[render.UsersEntry]
	file, entries, missing, err := users.PlainFile(current, all, set, rand.Reader, p.markRetained(current))
	if err != nil {
		return err
	}
	p.r.Queue.Mark(p.pass.Cluster.Key, missing...)
	if !exists && len(entries) == 0 {
		for _, i := range p.items {
			i.lineStays = true // there is none
		}
		return nil // nobody to remove anything from
	}
	changed := !bytes.Equal(file, current)
	if !exists || changed {
		if err := p.writePlainFile(ctx, secret, key, file, exists); err != nil {
			return err
		}
	}
	p.r.mu.Lock()
	for _, i := range p.items {
		i.lineStays = p.leavesLine(i)
		if entry, ok := entries[i.claim.Name]; ok {
			p.r.verified[batch.Key{Cluster: p.pass.Cluster.Key, Name: i.claim.Name}] = verifiedEntry{i.hash, entry}
		}
	}
	p.r.mu.Unlock()
	if changed || p.plainUnproven() { // a line that has gone is proven by nobody
		sum := sha256.Sum256(file)
		return p.touch(ctx, hex.EncodeToString(sum[:8]))
	}
	return nil
}

// inFile tells whether the password of a user with these mechanisms stands in the file.
func inFile(mechanisms []v1alpha1.Mechanism) bool {
	return mechanism.Uses(mechanisms, mechanism.PasswordFile)
}

var errStalePlainFile = errors.New("the cache does not show yet what was last written to the file of PLAIN users")

// plainFailed says of the users of this flush who log in by PLAIN that the file could not be written. The others go on.
func (p *userPass) plainFailed(err error) {
	passing := errors.Is(err, errStalePlainFile) || apierrors.IsConflict(err) || apierrors.IsAlreadyExists(err)
	for _, i := range p.items {
		if !i.changes() || i.state == granting && !inFile(i.mechanisms) && !i.hadPlain() {
			continue
		}
		if passing {
			i.state = postponed
			p.r.Queue.Retry(p.pass.Cluster.Key, i.claim.Name, batch.CacheLag, batch.ConfirmAfter)
			continue
		}
		i.failed(err)
		if i.state == granting && !inFile(i.desired.Mechanisms) && len(p.formerOf(i)) == 0 {
			i.report.Credentials = users.Recorded(i.claim.Holder, p.pass.Cluster.ID()).DeepCopy() // its line still stands
		}
	}
}

// plainUsers returns the users of this flush that log in by PLAIN, and whether the flush concerns the file at all.
func (p *userPass) plainUsers() (map[string]users.PlainUser, bool) {
	set := map[string]users.PlainUser{}
	concerned := false
	p.r.mu.Lock()
	defer p.r.mu.Unlock()
	for _, i := range p.items {
		if !i.changes() {
			concerned = concerned || p.leavesLine(i)
			continue
		}
		had := i.takesAway() || i.hadPlain()
		if inFile(i.desired.Mechanisms) {
			user := users.PlainUser{Password: i.desired.Password, Overlap: i.overlap}
			if v := p.r.verified[batch.Key{Cluster: p.pass.Cluster.Key, Name: i.claim.Name}]; v.passwordHash == i.hash {
				user.Proven = v.entry
			}
			set[i.claim.Name], had = user, true
		}
		concerned = concerned || had
	}
	return set, concerned
}

// plainNames returns every name that may stand in the file: users that are not being deleted and have, or may have, a
// line on record. Whoever holds no user keeps no line, and whoever may not change anything takes none away. For the
// users of this flush, what the flush has decided counts.
func (p *userPass) plainNames(ctx context.Context) (map[string]bool, error) {
	list, err := p.r.Of(ctx, p.pass.Cluster.Key)
	if err != nil {
		return nil, err
	}
	all := map[string]bool{}
	for _, u := range list {
		if u.DeletionTimestamp == nil && p.hasLine(u) {
			all[users.Name(u)] = true
		}
	}
	for _, i := range p.items {
		if i.changes() {
			delete(all, i.claim.Name)
			if inFile(i.desired.Mechanisms) {
				all[i.claim.Name] = true
			}
		}
	}
	return all, nil
}

// hasLine tells whether a user has a line in the file, as far as its object tells.
func (p *userPass) hasLine(u *v1alpha1.KafkaUser) bool {
	asks := inFile(u.Spec.Authentication.Mechanisms)
	switch c := users.Recorded(u, p.pass.Cluster.ID()); {
	case p.r.Writer.Stale(u): // it may be on record since
		return asks || recordedInFile(c)
	case c != nil && len(c.Mechanisms) == 0: // which mechanisms stand is not known
		return asks
	default:
		return recordedInFile(c)
	}
}

func recordedInFile(c *v1alpha1.Credentials) bool {
	return c != nil && slices.ContainsFunc(c.Mechanisms, func(s v1alpha1.CredentialStatus) bool {
		return inFile([]v1alpha1.Mechanism{s.Mechanism})
	})
}

func (p *userPass) writePlainFile(ctx context.Context, secret *corev1.Secret, key client.ObjectKey, file []byte,
	exists bool) error {
	secret.Namespace, secret.Name = key.Namespace, key.Name
	label(secret, p.pass.Cluster.Key.Name)
	if secret.Data == nil {
		secret.Data = map[string][]byte{}
	}
	secret.Data[render.UsersEntry] = file
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

// plainUnproven tells whether some broker has not been seen to use the file as it is now.
func (p *userPass) plainUnproven() bool {
	brokers := batch.Serving(p.pass.Cluster.Object)
	for _, i := range p.items {
		switch {
		case i.state == granting && !inFile(i.mechanisms) && len(i.former()) > 0 && i.hadPlain():
			return true // nobody logs in by PLAIN to see it, and the former holder's line must go all the same
		case !i.changes() || !inFile(i.mechanisms):
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
