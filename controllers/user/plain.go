package user

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/castellan-dev/castellan/api/v1alpha1"
	"github.com/castellan-dev/castellan/controllers/batch"
	"github.com/castellan-dev/castellan/internal/mechanism"
	"github.com/castellan-dev/castellan/internal/render"
	"github.com/castellan-dev/castellan/internal/users"
)

// plain brings the file of PLAIN users to what the objects ask for. It is written when a line differs, and the pods are
// touched while a login by PLAIN, or its refusal, is still to be seen.
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
	key := secretKey(p.Cluster.Key.Namespace, render.PlainUsersSecret(p.Cluster.Key.Name))
	err = p.Client.Get(ctx, key, secret)
	if err != nil && !apierrors.IsNotFound(err) {
		return fmt.Errorf("get Secret %s: %w", key, err)
	}
	exists := err == nil
	if p.Writer.Stale(secret) {
		return errStalePlainFile
	}
	current := secret.Data[render.UsersEntry]
	file, entries, missing, err := users.PlainFile(current, all, set, rand.Reader)
	if err != nil {
		return err
	}
	p.Queue.Mark(p.Cluster.Key, missing...)
	if !exists && len(entries) == 0 {
		return nil // nobody to remove anything from
	}
	if !exists || !bytes.Equal(file, current) {
		if err := p.writePlainFile(ctx, secret, key, file, exists); err != nil {
			return err
		}
	}
	p.mu.Lock()
	for _, i := range p.items {
		if entry, ok := entries[i.Name]; ok {
			p.verified[batch.Key{Cluster: p.Cluster.Key, Name: i.Name}] = verifiedEntry{i.hash, entry}
		}
	}
	p.mu.Unlock()
	if p.plainUnproven() {
		sum := sha256.Sum256(file)
		return p.touch(ctx, hex.EncodeToString(sum[:8]))
	}
	return nil
}

// inFile tells whether the password of a user with these mechanisms stands in the file.
func inFile(mechanisms []v1alpha1.Mechanism) bool {
	return mechanism.Uses(mechanisms, mechanism.PasswordFile)
}

// hadPlain tells whether the holder has a line in the file on record.
func (i *userItem) hadPlain() bool {
	return i.Holder != nil && i.Holder.Status.Credentials != nil &&
		slices.ContainsFunc(i.Holder.Status.Credentials.Mechanisms, func(c v1alpha1.CredentialStatus) bool {
			return inFile([]v1alpha1.Mechanism{c.Mechanism})
		})
}

var errStalePlainFile = errors.New("the cache does not show yet what was last written to the file of PLAIN users")

// plainFailed puts off the users of this flush who log in by PLAIN; the others go on.
func (p *userPass) plainFailed(err error) {
	passing := errors.Is(err, errStalePlainFile) || apierrors.IsConflict(err) || apierrors.IsAlreadyExists(err)
	for _, i := range p.items {
		if i.idle || !i.revoke && !inFile(i.mechanisms) && !i.hadPlain() {
			continue
		}
		if passing {
			i.off, i.idle = true, true
			p.Queue.Retry(p.Cluster.Key, i.Name, batch.CacheLag, batch.ConfirmAfter)
			continue
		}
		i.failed(err)
	}
}

// plainUsers returns the users of this flush that log in by PLAIN, and whether the flush concerns the file at all.
func (p *userPass) plainUsers() (map[string]users.PlainUser, bool) {
	set := map[string]users.PlainUser{}
	concerned := false
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, i := range p.items {
		if i.idle {
			continue
		}
		had := i.revoke || i.hadPlain()
		if inFile(i.desired.Mechanisms) {
			user := users.PlainUser{Password: i.desired.Password}
			if v := p.verified[batch.Key{Cluster: p.Cluster.Key, Name: i.Name}]; v.passwordHash == i.hash {
				user.Proven = v.entry
			}
			set[i.Name], had = user, true
		}
		concerned = concerned || had
	}
	return set, concerned
}

// plainNames returns every name that may stand in the file: those of users that are not being deleted and log in by PLAIN,
// except the ones of this flush that have been found otherwise.
func (p *userPass) plainNames(ctx context.Context) (map[string]bool, error) {
	list, err := p.Of(ctx, p.Cluster.Key)
	if err != nil {
		return nil, err
	}
	all := map[string]bool{}
	for _, u := range list {
		if u.DeletionTimestamp == nil && inFile(u.Spec.Authentication.Mechanisms) {
			all[users.Name(u)] = true
		}
	}
	for _, i := range p.items {
		if !i.idle {
			delete(all, i.Name)
			if inFile(i.desired.Mechanisms) {
				all[i.Name] = true
			}
		}
	}
	return all, nil
}

func (p *userPass) writePlainFile(ctx context.Context, secret *corev1.Secret, key client.ObjectKey, file []byte, exists bool) error {
	secret.Namespace, secret.Name = key.Namespace, key.Name
	if secret.Labels == nil {
		secret.Labels = map[string]string{}
	}
	secret.Labels[v1alpha1.LabelManagedBy], secret.Labels[v1alpha1.LabelCluster] = v1alpha1.ManagedBy, p.Cluster.Key.Name
	if secret.Data == nil {
		secret.Data = map[string][]byte{}
	}
	secret.Data[render.UsersEntry] = file
	write := p.Writer.Update
	if !exists {
		write = p.Writer.Create
		secret.OwnerReferences = []metav1.OwnerReference{
			*metav1.NewControllerRef(p.Cluster.Object, v1alpha1.GroupVersion.WithKind("KafkaCluster")),
		}
	}
	if err := write(ctx, secret); err != nil {
		return fmt.Errorf("write Secret %s: %w", key, err)
	}
	return nil
}

// plainUnproven tells whether the brokers are still to be seen with the file.
func (p *userPass) plainUnproven() bool {
	brokers := batch.Serving(p.Cluster.Object)
	for _, i := range p.items {
		switch {
		case i.idle || !inFile(i.mechanisms):
		case i.revoke:
			return true
		case i.Credentials == nil || len(lacking(brokers, i.Credentials.ProvenOn)) > 0:
			return true
		}
	}
	return false
}

// touch changes an annotation of every broker's pod that has not got it, on which the kubelet looks at the mounted
// Secrets at once instead of within a minute or two.
func (p *userPass) touch(ctx context.Context, hash string) error {
	var pods corev1.PodList
	err := p.Client.List(ctx, &pods, client.InNamespace(p.Cluster.Key.Namespace),
		client.MatchingLabels{v1alpha1.LabelCluster: p.Cluster.Key.Name, v1alpha1.LabelBroker: "true"})
	if err != nil {
		return fmt.Errorf("list the broker pods of KafkaCluster %s: %w", p.Cluster.Key, err)
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
		if err := p.Client.Patch(ctx, pod, client.MergeFrom(base)); client.IgnoreNotFound(err) != nil {
			return fmt.Errorf("touch pod %s/%s: %w", pod.Namespace, pod.Name, err)
		}
	}
	return nil
}

// lacking returns what of want is not in have.
func lacking(want, have []int32) []int32 {
	return slices.DeleteFunc(slices.Clone(want), func(id int32) bool { return slices.Contains(have, id) })
}
