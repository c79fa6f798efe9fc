package user

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/castellan-dev/castellan/api/v1alpha1"
	"github.com/castellan-dev/castellan/controllers/batch"
	"github.com/castellan-dev/castellan/internal/model"
	"github.com/castellan-dev/castellan/internal/observe"
	"github.com/castellan-dev/castellan/internal/plainauth"
	"github.com/castellan-dev/castellan/internal/render"
	"github.com/castellan-dev/castellan/internal/users"
)

// The files of users stand in several Secrets, as one holds 1 MiB: users.SpreadOver says who stands where. A name
// stands in one of them at a time, so that they may be written, and reach a broker, in any order.

// partSecret is one of the Secrets, as it was read.
type partSecret struct {
	number int
	name   string
	secret *corev1.Secret
	exists bool
	bears  []byte // the users file, with its marker
	part   users.Part
}

// readParts reads the Secrets that there are, and those between: none, or all from the first to the last one.
func (p *userPass) readParts(ctx context.Context) (parts []*partSecret, err error) {
	last := 0
	for n, name := range render.PlainUsersSecrets(p.pass.Cluster.Key.Name) {
		key := secretKey(p.pass.Cluster.Key.Namespace, name)
		s := &partSecret{number: n, name: name, secret: &corev1.Secret{}}
		err := p.r.Client.Get(ctx, key, s.secret)
		if s.exists = err == nil; !s.exists && !apierrors.IsNotFound(err) {
			return nil, fmt.Errorf("get Secret %s: %w", key, err)
		}
		s.bears = s.secret.Data[plainauth.PartName(render.UsersEntry, n)]
		s.part = users.Part{Users: plainauth.Unmarked(s.bears),
			Certificates: s.secret.Data[plainauth.PartName(render.CertificatesEntry, n)]}
		if parts = append(parts, s); s.exists {
			last = n + 1
		}
		if n == 0 && s.exists { // one that somebody has deleted counts as well
			last = plainauth.PartsOf(s.bears)
		}
	}
	return parts[:last], nil
}

func heldBy(parts []*partSecret) []users.Part {
	all := make([]users.Part, len(parts))
	for n, s := range parts {
		all[n] = s.part
	}
	return all
}

// writeParts writes the Secrets in which something differs, the first one first, which says how many count. It tells
// whether a line of a PLAIN user differs, and what tells this state of the files from others.
func (p *userPass) writeParts(
	ctx context.Context, parts []*partSecret, next []users.Part,
) (changed bool, state string, err error) {
	sum := sha256.New()
	anew := slices.ContainsFunc(p.items, func(i *userItem) bool { return i.takesAway() && inFile(i.mechanisms) })
	for n, name := range render.PlainUsersSecrets(p.pass.Cluster.Key.Name)[:len(next)] {
		s := &partSecret{number: n, name: name, secret: &corev1.Secret{}}
		if n < len(parts) {
			s = parts[n]
		}
		differs := !bytes.Equal(next[n].Users, s.part.Users)
		relisted := !bytes.Equal(next[n].Certificates, s.part.Certificates)
		file, err := p.mark(n, next[n].Users, s.bears, !s.exists || differs || relisted, anew)
		if err != nil {
			return false, "", err
		}
		sum.Write(file)
		sum.Write(next[n].Certificates)
		changed = changed || differs || !s.exists
		if bytes.Equal(file, s.bears) && !relisted && s.exists {
			continue
		}
		if err := p.writePart(ctx, s, file, next[n].Certificates); err != nil {
			return false, "", err
		}
	}
	return changed, hex.EncodeToString(sum.Sum(nil)[:8]), nil
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

func (p *userPass) writePart(ctx context.Context, s *partSecret, file, list []byte) error {
	secret, key := s.secret, secretKey(p.pass.Cluster.Key.Namespace, s.name)
	secret.Namespace, secret.Name = key.Namespace, key.Name
	label(secret, p.pass.Cluster.Key.Name)
	if secret.Data == nil {
		secret.Data = map[string][]byte{}
	}
	secret.Data[plainauth.PartName(render.UsersEntry, s.number)] = file
	if list != nil {
		secret.Data[plainauth.PartName(render.CertificatesEntry, s.number)] = list
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
