//go:build linux

package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/castellan-dev/castellan/api/v1alpha1"
	"github.com/castellan-dev/castellan/internal/mechanism"
	"github.com/castellan-dev/castellan/internal/model"
	"github.com/castellan-dev/castellan/internal/pki"
	"github.com/castellan-dev/castellan/internal/resolve"
	"github.com/castellan-dev/castellan/internal/users"
	"github.com/castellan-dev/castellan/test/bench"
)

const (
	quotaKey           = "producer_byte_rate"
	quotaFirst   int64 = 1 << 20
	quotaSecond  int64 = 2 << 20
	request            = "once" // what the annotation says that asks for another credential
	roundFirst         = 0      // of credentials
	roundRotated       = 1
)

// life is all users with one mechanism, and what is known of them beside their objects.
type life struct {
	row     mechanism.Row
	single  bool // there is one broker
	world   *bench.World
	clients pki.Authority // signs users
	host    model.Host    // what users know of the KafkaCluster

	mu     sync.Mutex
	leaves map[string]pki.Leaf             // of users that have been made here, by name
	seen   map[string]mechanism.Credential // of the sample, when it was looked at last
}

// usersOf is the subject: users with three ACLs and a quota that log in by one mechanism.
func usersOf(name v1alpha1.Mechanism, brokers int) (bench.Subject, error) {
	row, known := mechanism.Of(name)
	if !known || !row.IsUsers() || !row.Offered() {
		return bench.Subject{}, fmt.Errorf("no user has the mechanism %q", name)
	}
	brokers = max(brokers, 1)
	now := time.Now()
	clients, err := pki.NewAuthority(pki.ClientsAuthorityName(bench.Namespace, bench.ClusterName, now), now)
	l := &life{
		row: row, single: brokers == 1, clients: clients,
		leaves: map[string]pki.Leaf{}, seen: map[string]mechanism.Credential{},
	}
	return bench.Subject{
		Noun: fmt.Sprintf("users with %s, brokers: %d", name, brokers),
		File: fmt.Sprintf("users-%s-brokers%d", strings.ToLower(string(name)), brokers),
		New:  func(namespace, name string) client.Object { return l.newUser(namespace, name) },
		List: func() client.ObjectList { return &v1alpha1.KafkaUserList{} },
		Status: func(o client.Object) (int64, []metav1.Condition) {
			u := o.(*v1alpha1.KafkaUser)
			return u.Status.ObservedGeneration, u.Status.Conditions
		},
		Idles: true, Looks: looks,
		Brokers: l.brokers, Describe: l.describe, Begin: l.begin,
		Changes: []bench.Change{l.create(), l.requota(), l.rotate(), l.remove()},
	}, err
}

// looks is what one look for drift asks of Kafka at most, with the connections that it opens.
const looks = 12

func (l *life) create() bench.Change {
	return l.counted(bench.Change{
		Verb:   "create",
		Submit: bench.Create,
		Before: []bench.Write{bench.Patch(`{"metadata":{"finalizers":["` + v1alpha1.Finalizer + `"]}}`), l.makeSecret},
		Kafka:  l.grant,
		After:  []bench.Write{l.report(roundFirst)},
		Wrong:  l.wrong(expected{quota: quotaFirst}),
	}, map[string]int{"create": 1, "patch": 2})
}

func (l *life) requota() bench.Change {
	return l.counted(bench.Change{
		Verb:   "quota",
		Submit: bench.Patch(fmt.Sprintf(`{"spec":{"quotas":{"producerByteRate":%d}}}`, quotaSecond)),
		Kafka:  setQuotas,
		After:  []bench.Write{l.report(roundFirst)},
		Wrong:  l.wrong(expected{quota: quotaSecond}),
	}, map[string]int{"patch": 1})
}

func (l *life) rotate() bench.Change {
	annotation := v1alpha1.AnnotationRotatePassword
	if l.row.Layer == mechanism.LayerTLS {
		annotation = v1alpha1.AnnotationReissueCertificate
	}
	return l.counted(bench.Change{
		Verb:   "rotate",
		Submit: bench.Patch(fmt.Sprintf(`{"metadata":{"annotations":{%q:%q}}}`, annotation, request)),
		Before: []bench.Write{l.changeSecret},
		Kafka: func(ctx context.Context, side *bench.Side, names []string) error {
			return l.setCredentials(ctx, side, names, roundRotated)
		},
		After: []bench.Write{l.report(roundRotated)},
		Wrong: l.wrong(expected{quota: quotaSecond, another: true}),
		Done: func(o client.Object) bool {
			status := &o.(*v1alpha1.KafkaUser).Status
			if certificate := users.RecordedCertificate(status.Credentials); certificate != nil {
				return certificate.Request == request
			}
			return status.Rotation != nil && status.Rotation.Request == request
		},
	}, map[string]int{"create": 1, "patch": 1, "update": 1}) // create: an event
}

func (l *life) remove() bench.Change {
	return l.counted(bench.Change{
		Verb:   "delete",
		Submit: bench.Delete,
		Kafka:  l.revoke,
		After:  []bench.Write{bench.Patch(`{"metadata":{"finalizers":null}}`)},
		Wrong:  l.wrong(expected{gone: true}),
		Gone:   true,
		Clean:  []bench.Write{collectGarbage},
	}, map[string]int{"patch": 1})
}

// counted says how many requests there must be, where a user's credential is in Kafka and one broker has it at once.
// Where it is in a file, there are also those of the file, and what a status says while the file is on its way. Of
// several brokers one may be behind, and a status says so.
func (l *life) counted(c bench.Change, requests map[string]int) bench.Change {
	if l.row.Store == mechanism.ScramCredentials && l.single {
		c.Requests = requests
	}
	return c
}

func (l *life) newUser(namespace, name string) *v1alpha1.KafkaUser {
	rule := func(kind v1alpha1.ResourceType, operations ...v1alpha1.Operation) v1alpha1.ACLRule {
		return v1alpha1.ACLRule{
			Resource:   v1alpha1.ACLResource{Type: kind, Name: name + ".", Pattern: v1alpha1.PatternPrefixed},
			Operations: operations,
		}
	}
	rate := quotaFirst
	return &v1alpha1.KafkaUser{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name},
		Spec: v1alpha1.KafkaUserSpec{
			ClusterRef:     v1alpha1.ClusterRef{Name: bench.ClusterName},
			Authentication: v1alpha1.UserAuthentication{Mechanisms: []v1alpha1.Mechanism{l.row.Name}},
			ACLs: []v1alpha1.ACLRule{
				rule(v1alpha1.ResourceTopic, "Read", "Describe"), rule(v1alpha1.ResourceGroup, "Read"),
			},
			Quotas: &v1alpha1.Quotas{ProducerByteRate: &rate},
		},
	}
}

// aclsOfEach is how many ACLs Kafka has of each.
const aclsOfEach = 3

// credential is what a user shows that has been made here. Random as they look, passwords can be told again.
func (l *life) credential(name string, round int) mechanism.Credential {
	shown := mechanism.Credential{Username: name}
	if l.row.Layer == mechanism.LayerSasl {
		shown.Password = digest(name, "password", round)
		return shown
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	shown.Certificate, shown.Key = l.leaves[name].CertPEM, l.leaves[name].KeyPEM
	return shown
}

func digest(name, what string, round int) string {
	sum := sha256.Sum256(fmt.Appendf(nil, "%s %s %d", name, what, round))
	return hex.EncodeToString(sum[:16])
}

func salt(name string) string { return digest(name, "salt", 0) }

// issue makes the certificate of a user that has one.
func (l *life) issue(name string) error {
	if l.row.Layer != mechanism.LayerTLS {
		return nil
	}
	leaf, err := pki.Issue(l.clients, pki.UserRequest(name), time.Now())
	l.mu.Lock()
	defer l.mu.Unlock()
	l.leaves[name] = leaf
	return err
}

func (l *life) makeSecret(ctx context.Context, kube client.Client, o client.Object) error {
	if err := l.issue(o.GetName()); err != nil {
		return err
	}
	return kube.Create(ctx, l.secret(o.(*v1alpha1.KafkaUser), roundFirst))
}

func (l *life) changeSecret(ctx context.Context, kube client.Client, o client.Object) error {
	if err := l.issue(o.GetName()); err != nil {
		return err
	}
	return kube.Update(ctx, l.secret(o.(*v1alpha1.KafkaUser), roundRotated))
}

func secretName(user string) string {
	return users.SecretName(&v1alpha1.KafkaUser{ObjectMeta: metav1.ObjectMeta{Name: user}})
}

// secret is the connection Secret as the operator makes it.
func (l *life) secret(u *v1alpha1.KafkaUser, round int) *corev1.Secret {
	labels := model.Labels(bench.ClusterName)
	labels[v1alpha1.LabelUser] = u.Name
	owner := metav1.NewControllerRef(u, v1alpha1.GroupVersion.WithKind("KafkaUser"))
	data, err := users.Layout{}.Connection(l.credential(u.Name, round), l.world.Authority.CertPEM, l.endpoints())
	if err != nil { // key stores alone have certificates parsed, and nobody asks for any here
		panic(err)
	}
	secret := &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: u.Namespace, Name: users.SecretName(u), Labels: labels,
			OwnerReferences: []metav1.OwnerReference{*owner},
			Annotations:     map[string]string{v1alpha1.AnnotationSalt: salt(u.Name)},
		},
		Type: users.SecretType,
		Data: data,
	}
	l.certificate(u.Name, round).Annotate(secret)
	if made := madeIn(round); made.Rotated && l.row.Layer == mechanism.LayerSasl {
		secret.Annotations[v1alpha1.AnnotationPasswordMade] = made.String()
	}
	return secret
}

func (l *life) endpoints() []users.Endpoint {
	return users.Endpoints(l.host, []v1alpha1.Mechanism{l.row.Name})
}

func madeIn(round int) users.Made {
	if round == roundFirst {
		return users.Made{At: time.Now()}
	}
	return users.Made{At: time.Now(), Rotated: true, Request: request}
}

// certificate is the zero value for users without one.
func (l *life) certificate(name string, round int) users.Certificate {
	l.mu.Lock()
	defer l.mu.Unlock()
	certificate := users.Certificate{Leaf: l.leaves[name]}
	if round == roundRotated && l.row.Layer == mechanism.LayerTLS {
		certificate.Request = request
	}
	return certificate
}

// report writes the status as the operator does.
func (l *life) report(round int) bench.Write {
	return func(ctx context.Context, kube client.Client, o client.Object) error {
		u := o.(*v1alpha1.KafkaUser)
		base := u.DeepCopy()
		record := &v1alpha1.Credentials{
			ClusterID:  l.world.Bench.Brokers.ID,
			Mechanisms: []v1alpha1.CredentialStatus{{Mechanism: l.row.Name, Iterations: l.row.Iterations}},
			ProvenOn:   l.host.Nodes,
		}
		told := users.Report{
			Credentials: record, Secret: users.SecretName(u),
			ACLs: users.ListedACLs(users.ACLsOf(u.Name, u.Spec.ACLs)),
		}
		if l.row.Layer == mechanism.LayerSasl {
			record.PasswordHash = users.PasswordHash(salt(u.Name), l.credential(u.Name, round).Password)
			rotation := users.RotationOf(u, madeIn(round), time.Now())
			told.Rotation = &rotation
		} else {
			users.Certify(record, l.certificate(u.Name, round).Status())
		}
		u.Status = users.StatusOf(u, told, time.Now())
		u.Status.Operator = bench.Installation
		return kube.Status().Patch(ctx, u, client.MergeFrom(base))
	}
}

// collectGarbage is what Kubernetes does once an owner is gone.
func collectGarbage(ctx context.Context, kube client.Client, o client.Object) error {
	secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{
		Namespace: o.GetNamespace(), Name: secretName(o.GetName()),
	}}
	return client.IgnoreNotFound(kube.Delete(ctx, secret))
}

// begin starts what the operator finds beside the KafkaCluster.
func (l *life) begin(ctx context.Context, world *bench.World) error {
	l.world, l.host = world, resolve.HostOf(world.Cluster)
	for _, side := range []*bench.Side{world.Bench, world.Floor} {
		if err := l.mount(ctx, side); err != nil {
			return err
		}
	}
	return world.CreateAuthority(ctx, pki.ClientsAuthoritySecret(bench.ClusterName), l.clients)
}
