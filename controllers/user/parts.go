package user

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
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

// The files of users stand in several Secrets, as one holds 1 MiB: users.SpreadOver says who stands where. The first
// one says which count, by a word that each has. A name stands in one of those at a time, and what has not counted gets
// a new word before it does, so that they may reach a broker in any order. What stands in one that does not count, or
// in one that is not this cluster's, is nobody's.

// partSecret is one of the Secrets, as it was read.
type partSecret struct {
	number  int
	name    string
	secret  *corev1.Secret
	exists  bool
	foreign bool
	part    users.Part // nothing, unless it counts
}

// file is one of the files in it, with its marker; nil = there is none.
func (s *partSecret) file(entry string) []byte {
	return s.secret.Data[plainauth.PartName(entry, s.number)]
}

// readParts reads the Secrets that there may be.
func (p *userPass) readParts(ctx context.Context) (parts []*partSecret, err error) {
	for n, name := range render.PlainUsersSecrets(p.pass.Cluster.Key.Name) {
		key := secretKey(p.pass.Cluster.Key.Namespace, name)
		s := &partSecret{number: n, name: name, secret: &corev1.Secret{}}
		err := p.r.Client.Get(ctx, key, s.secret)
		if s.exists = err == nil; !s.exists && !apierrors.IsNotFound(err) {
			return nil, fmt.Errorf("get Secret %s: %w", key, err)
		}
		s.foreign = s.exists && !p.owns(n, s.secret)
		parts = append(parts, s)
		file, list := s.file(render.UsersEntry), s.file(render.CertificatesEntry)
		counts := n == 0 || n < counted(parts) && plainauth.Counts(parts[0].file(render.UsersEntry), file, n)
		if counts && !s.foreign {
			s.part = users.Part{Users: plainauth.Worded(plainauth.Unmarked(file)),
				Certificates: worded(plainauth.Unmarked(list))}
		}
	}
	return parts, nil
}

// worded is a list of certificates with some words; nil = there is none.
func worded(list []byte, words ...string) []byte {
	if list == nil {
		return nil
	}
	return plainauth.Worded(list, words...)
}

// wordsOf are those of the Secrets beyond the first one that count. One that somebody has deleted counts as well. None
// does where the two files of the first one do not agree.
func wordsOf(first *partSecret) []string {
	words := plainauth.Words(first.file(render.UsersEntry))
	if list := first.file(render.CertificatesEntry); list != nil && !slices.Equal(words, plainauth.Words(list)) {
		return nil
	}
	return words
}

// counted is how many of the Secrets count.
func counted(parts []*partSecret) int {
	if !parts[0].exists {
		return 0
	}
	return 1 + len(wordsOf(parts[0]))
}

// owns tells whether one of the Secrets, which has the labels of one, is this cluster's. Of the first one they suffice,
// as it may have been restored; the others are made again from the users' own Secrets when they are removed.
func (p *userPass) owns(part int, secret *corev1.Secret) bool {
	return part == 0 || metav1.IsControlledBy(secret, p.pass.Cluster.Object)
}

func heldBy(parts []*partSecret) []users.Part {
	all := make([]users.Part, counted(parts))
	for n := range all {
		all[n] = parts[n].part
	}
	return all
}

// writing is the state of the Secrets that comes to be.
type writing struct {
	changed bool      // a line of a PLAIN user differs
	sum     hash.Hash // what tells this state of the files from others
	anew    []bool    // for each kind of file: a marker that nobody knows is made anew
}

// writeParts writes the Secrets in which something differs. The first one is the last: so it does not say that another
// one counts before that holds what it is to hold. It tells whether a line of a PLAIN user differs, and what tells this
// state of the files from others. One that cannot be written holds up no other.
func (p *userPass) writeParts(
	ctx context.Context, parts []*partSecret, next []users.Part,
) (changed bool, state string, err error) {
	w := &writing{sum: sha256.New()}
	for n := range fileKinds {
		w.anew = append(w.anew, p.refusesIn(&fileKinds[n]))
	}
	var errs []error
	words, count := wordsOf(parts[0]), len(next)
	for n := 1; n < len(next); n++ {
		if n > len(words) {
			words = append(words, newWord())
		}
		if err := p.writePart(ctx, w, parts[n], next[n], words[n-1]); err != nil {
			errs = append(errs, err)
			if n >= counted(parts) {
				count = min(count, n)
			}
		}
	}
	if err := p.writePart(ctx, w, parts[0], next[0], words[:count-1]...); err != nil {
		errs = append(errs, err)
	}
	return w.changed, hex.EncodeToString(w.sum.Sum(nil)[:8]), errors.Join(errs...)
}

// newWord is one that no Secret has.
func newWord() string {
	word := make([]byte, plainauth.WordBytes)
	_, _ = rand.Read(word) // never fails (crypto/rand)
	return hex.EncodeToString(word)
}

// writePart writes one of the Secrets if something differs in it.
func (p *userPass) writePart(ctx context.Context, w *writing, s *partSecret, next users.Part, words ...string) error {
	key := secretKey(p.pass.Cluster.Key.Namespace, s.name)
	if s.foreign {
		return fmt.Errorf("write Secret %s: %w", key, p.notOurs())
	}
	next = users.Part{Users: plainauth.Worded(next.Users, words...), Certificates: worded(next.Certificates, words...)}
	files, writes := map[string][]byte{}, !s.exists
	for n := range fileKinds {
		k := &fileKinds[n]
		file, have := k.in(next), s.file(k.entry)
		differs := !s.exists || !bytes.Equal(file, plainauth.Unmarked(have))
		marked, err := p.mark(k, s.number, file, have, differs, w.anew[n])
		if err != nil {
			return err
		}
		w.sum.Write(marked)
		w.changed = w.changed || differs && k.store == mechanism.PasswordFile
		files[plainauth.PartName(k.entry, s.number)], writes = marked, writes || !bytes.Equal(marked, have)
	}
	if !writes {
		return nil
	}
	secret := s.secret
	secret.Namespace, secret.Name = key.Namespace, key.Name
	label(secret, p.pass.Cluster.Key.Name)
	if secret.Data == nil {
		secret.Data = map[string][]byte{}
	}
	for entry, file := range files {
		if secret.Data[entry] = file; file == nil {
			delete(secret.Data, entry)
		}
	}
	write := p.r.Writer.Update
	if !s.exists {
		write = p.r.Writer.Create
		secret.OwnerReferences = []metav1.OwnerReference{
			*metav1.NewControllerRef(p.pass.Cluster.Object, v1alpha1.GroupVersion.WithKind("KafkaCluster")),
		}
	}
	err := write(ctx, secret)
	if apierrors.IsAlreadyExists(err) {
		err = p.unseenPlainFile(ctx, s.number, key)
	}
	if err != nil {
		return fmt.Errorf("write Secret %s: %w", key, err)
	}
	p.wrote = true
	return nil
}

// refusesIn tells whether somebody is to be seen refused who may have stood in files of a kind. That takes a marker of
// which the password or the key is known, so that another one is made where it is not.
func (p *userPass) refusesIn(k *fileKind) bool {
	return slices.ContainsFunc(p.items, func(i *userItem) bool {
		return i.refuses(func(all []v1alpha1.Mechanism) bool { return mechanism.Uses(all, k.store) })
	})
}

// notOurs says of one of the Secrets beyond the first one that it is somebody else's.
func (p *userPass) notOurs() error {
	return fmt.Errorf("it exists and KafkaCluster %s does not control it; remove it, and it is made again with the users "+
		"that stand in it", p.pass.Cluster.Key.Name)
}

// partsSeen is how many of the Secrets the pod of each broker mounts. A pod that was made before there were several has
// one, until it is made anew. Brokers of which no pod is found are left out: they may have all.
func (p *userPass) partsSeen(ctx context.Context, reader client.Reader) (map[int32]int, error) {
	pods, err := p.brokerPods(ctx, reader)
	if err != nil {
		return nil, err
	}
	nodes := map[string]int32{}
	for _, node := range p.pass.Cluster.Object.Status.Nodes {
		nodes[node.Pod] = node.ID
	}
	seen := map[int32]int{}
	serving := batch.Serving(p.pass.Cluster.Object)
	for n := range pods.Items {
		if id, is := nodes[pods.Items[n].Name]; is && slices.Contains(serving, id) {
			seen[id] = render.PlainUsersMounted(&pods.Items[n].Spec)
		}
	}
	return seen, nil
}

// least is how many of the Secrets every broker reads.
func least(seen map[int32]int) int {
	n := plainauth.MaxParts
	for _, parts := range seen {
		n = min(n, parts)
	}
	return n
}

// unseenPlainFile says why the cache does not show a Secret that exists: it is behind, or the Secret has lost the
// labels by which the cache knows ours, and gets them back, or it is somebody else's and stays as it is.
func (p *userPass) unseenPlainFile(ctx context.Context, part int, key client.ObjectKey) error {
	there := &corev1.Secret{}
	if err := p.r.apiReader.Get(ctx, key, there); err != nil {
		return fmt.Errorf("look whose it is: %w", err)
	}
	cluster := p.pass.Cluster.Object
	if !p.owns(part, there) {
		return p.notOurs()
	}
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
