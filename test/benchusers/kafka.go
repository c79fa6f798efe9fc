//go:build linux

package main

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/castellan-dev/castellan/api/v1alpha1"
	"github.com/castellan-dev/castellan/internal/kafka"
	kafkaclient "github.com/castellan-dev/castellan/internal/kafka/client"
	"github.com/castellan-dev/castellan/internal/kafka/kafkatest"
	"github.com/castellan-dev/castellan/internal/mechanism"
	"github.com/castellan-dev/castellan/internal/plainauth"
	"github.com/castellan-dev/castellan/internal/render"
	"github.com/castellan-dev/castellan/internal/users"
	"github.com/castellan-dev/castellan/test/bench"
)

// trustFile has the certificate of the authority that signs users.
const trustFile = "clients.pem"

// brokers gives brokers the operator's own class, and the files that they read.
func (l *life) brokers(dir string) (kafkatest.Options, error) {
	path := func(name string) string { return filepath.Join(dir, name) }
	for name, content := range map[string][]byte{
		plainauth.JarName: plainauth.Jar(), trustFile: l.clients.CertPEM,
		render.UsersEntry: nil, render.CertificatesEntry: nil,
	} {
		if err := os.WriteFile(path(name), content, 0o600); err != nil {
			return kafkatest.Options{}, err
		}
	}
	return kafkatest.Options{Jars: []string{path(plainauth.JarName)}, Config: map[string]string{
		"principal.builder.class":                                        plainauth.PrincipalBuilderClass,
		"listener.name.clients.plain.sasl.jaas.config":                   plainauth.JaasConfig(path(render.UsersEntry)),
		"listener.name.clients.plain.sasl.server.callback.handler.class": plainauth.HandlerClass,
		"listener.name.mutual.ssl.truststore.location":                   path(trustFile),
		"listener.name.mutual." + plainauth.CertificatesFile:             path(render.CertificatesEntry),
	}}, nil
}

// describe gives the KafkaCluster a listener for passwords and one for certificates.
func (l *life) describe(ctx context.Context, world *bench.World, cluster *v1alpha1.KafkaCluster) error {
	offer := func(name string, port int32, protocol string, mechanisms ...v1alpha1.Mechanism) {
		cluster.Spec.Listeners = append(cluster.Spec.Listeners, v1alpha1.Listener{
			Name: name, Port: port, Exposure: v1alpha1.Exposure{Type: v1alpha1.ExposureInternal},
			Encryption:     v1alpha1.EncryptionTLS,
			Authentication: &v1alpha1.ListenerAuthentication{Mechanisms: mechanisms},
		})
		cluster.Status.Listeners = append(cluster.Status.Listeners, v1alpha1.ListenerStatus{
			Name: name, Type: v1alpha1.ExposureInternal, Port: port, SecurityProtocol: protocol, Mechanisms: mechanisms,
		})
	}
	address := func(l *v1alpha1.ListenerStatus, id, port int32) {
		l.Addresses = append(l.Addresses, v1alpha1.NodeAddress{NodeID: id, Host: "localhost", Port: port})
		l.BootstrapServers = cmp.Or(l.BootstrapServers, fmt.Sprintf("localhost:%d", port))
	}
	offer("passwords", 9092, "SASL_SSL", v1alpha1.MechanismPlain, v1alpha1.MechanismScram256,
		v1alpha1.MechanismScram512)
	offer("certs", 9094, "SSL", v1alpha1.MechanismTLS)
	passwords, certificates := &cluster.Status.Listeners[0], &cluster.Status.Listeners[1]
	certificates.CACertificates = string(world.Bench.Brokers.CA.PEM)
	for _, n := range world.Bench.Brokers.Nodes {
		port, err := world.Front(ctx, n.Clients, &world.Authority)
		if err != nil {
			return err
		}
		address(passwords, n.NodeID, port)
		if port, err = world.Front(ctx, n.Mutual, nil); err != nil {
			return err
		}
		address(certificates, n.NodeID, port)
	}
	return nil
}

// grant gives users all that their objects ask for.
func (l *life) grant(ctx context.Context, side *bench.Side, names []string) error {
	var acls []kafka.ACL
	for _, name := range names {
		acls = append(acls, users.ACLsOf(name, l.newUser(side.Namespace, name).Spec.ACLs)...)
	}
	results, err := side.Admin.CreateACLs(ctx, acls)
	return errors.Join(append(results, err, alterQuotas(ctx, side, names, quotaFirst),
		l.setCredentials(ctx, side, names, roundFirst))...)
}

// revoke takes everything away from users.
func (l *life) revoke(ctx context.Context, side *bench.Side, names []string) error {
	var acls []kafka.ACL
	for _, name := range names {
		acls = append(acls, users.ACLsOf(name, l.newUser(side.Namespace, name).Spec.ACLs)...)
	}
	results, err := side.Admin.DeleteACLs(ctx, acls)
	return errors.Join(append(results, err, alterQuotas(ctx, side, names, 0), l.dropCredentials(ctx, side, names))...)
}

func setQuotas(ctx context.Context, side *bench.Side, names []string) error {
	return alterQuotas(ctx, side, names, quotaSecond)
}

// alterQuotas sets the quota of users; 0 = they have none.
func alterQuotas(ctx context.Context, side *bench.Side, names []string, rate int64) error {
	var value *float64
	if rate > 0 {
		set := float64(rate)
		value = &set
	}
	changes := map[string]map[string]*float64{}
	for _, name := range names {
		changes[name] = map[string]*float64{quotaKey: value}
	}
	results, err := side.Admin.AlterQuotas(ctx, changes)
	return joined(results, err)
}

func joined(results map[string]error, err error) error {
	for _, failure := range results {
		err = errors.Join(err, failure)
	}
	return err
}

func (l *life) setCredentials(ctx context.Context, side *bench.Side, names []string, round int) error {
	if l.row.Store != mechanism.ScramCredentials {
		return l.writeFile(ctx, side, names, round)
	}
	upserts := make([]kafka.ScramUpsert, len(names))
	for i, name := range names {
		upserts[i] = kafka.ScramUpsert{User: name, Mechanism: string(l.row.Name), Iterations: l.row.Iterations,
			Password: l.credential(name, round).Password}
	}
	return joined(side.Admin.AlterScramCredentials(ctx, upserts, nil))
}

func (l *life) dropCredentials(ctx context.Context, side *bench.Side, names []string) error {
	if l.row.Store != mechanism.ScramCredentials {
		return l.writeFile(ctx, side, nil, roundFirst)
	}
	deletions := make([]kafka.ScramDeletion, len(names))
	for i, name := range names {
		deletions[i] = kafka.ScramDeletion{User: name, Mechanism: string(l.row.Name)}
	}
	return joined(side.Admin.AlterScramCredentials(ctx, nil, deletions))
}

// expected is how Kafka has to show users.
type expected struct {
	quota   int64
	another bool // credential than before, which opens nothing any more
	gone    bool
}

const sampleSize = 16

// wrong counts users of which Kafka shows something else: the quota, the ACLs and the SCRAM credentials of all, and
// logins of a sample at every broker.
func (l *life) wrong(want expected) func(context.Context, *bench.Side, []string) (int, error) {
	return func(ctx context.Context, side *bench.Side, names []string) (int, error) {
		bad, err := l.misdescribed(ctx, side, names, want)
		if err != nil {
			return 0, err
		}
		now := map[string]mechanism.Credential{}
		for i := 0; i < len(names); i += (len(names) + sampleSize - 1) / sampleSize {
			shown, err := l.shownBy(ctx, side, names[i])
			if err != nil {
				return 0, err
			}
			now[names[i]] = shown
			if !l.logsIn(ctx, side, shown, want) {
				bad[names[i]] = true
			}
		}
		if len(bad) == 0 {
			l.seen = now
		}
		return len(bad), nil
	}
}

func (l *life) misdescribed(ctx context.Context, side *bench.Side, names []string, want expected) (map[string]bool,
	error) {
	quotas, err1 := side.Admin.Quotas(ctx, nil)
	acls, err2 := side.Admin.ACLs(ctx, nil)
	credentials, err3 := side.Admin.ScramCredentials(ctx, names)
	by := users.Live{ACLs: acls}.ACLsBy()
	bad := map[string]bool{}
	for _, name := range names {
		rules, scram := aclsOfEach, 0
		if l.row.Store == mechanism.ScramCredentials {
			scram = 1
		}
		if want.gone {
			rules, scram = 0, 0
		}
		if quotas[name][quotaKey] != float64(want.quota) || len(by[users.Principal(name)]) != rules ||
			len(credentials[name]) != scram {
			bad[name] = true
		}
	}
	return bad, errors.Join(err1, err2, err3)
}

// shownBy reads what a client of a user shows.
func (l *life) shownBy(ctx context.Context, side *bench.Side, name string) (mechanism.Credential, error) {
	var secret corev1.Secret
	key := client.ObjectKey{Namespace: side.Namespace, Name: secretName(name)}
	err := l.world.Kube.Get(ctx, key, &secret)
	return mechanism.Credential{
		Username: name, Password: string(secret.Data[users.PasswordKey]),
		Certificate: secret.Data[users.CertificateEntry], Key: secret.Data[users.CertificateKeyEntry],
	}, err
}

// logsIn tells whether every broker does with a user's credential as it should, and with the one before.
func (l *life) logsIn(ctx context.Context, side *bench.Side, shown mechanism.Credential, want expected) bool {
	before := l.seen[shown.Username]
	if want.another && before.Password == shown.Password && bytes.Equal(before.Certificate, shown.Certificate) {
		return false
	}
	for _, n := range side.Brokers.Nodes {
		if l.isLetIn(ctx, side, n, shown) == want.gone {
			return false
		}
		// The password before logs in by PLAIN for a while.
		if want.another && l.row.Store != mechanism.PasswordFile && l.isLetIn(ctx, side, n, before) {
			return false
		}
	}
	return true
}

func (l *life) isLetIn(ctx context.Context, side *bench.Side, n *kafkatest.Node, shown mechanism.Credential) bool {
	login := l.row.Login(shown)
	login.Address = n.Clients
	if l.row.Layer == mechanism.LayerTLS {
		login.Address, login.CA, login.ServerName = n.Mutual, side.Brokers.CA.PEM, "localhost"
	}
	return kafkaclient.Prober{}.TryLogin(ctx, login) == nil
}
