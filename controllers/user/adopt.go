package user

import (
	"context"
	"errors"

	corev1 "k8s.io/api/core/v1"

	"github.com/castellan-dev/castellan/api/v1alpha1"
	"github.com/castellan-dev/castellan/controllers/batch"
	"github.com/castellan-dev/castellan/internal/kafka"
	"github.com/castellan-dev/castellan/internal/mechanism"
	"github.com/castellan-dev/castellan/internal/users"
)

// foundInForce tells what of a user that is taken over stands already as the holder wants it: a SCRAM credential that
// lets in with the password that the holder provides stays as it is. An error means that no broker has answered, and
// that nothing may be replaced.
func (p *userPass) foundInForce(ctx context.Context, i *userItem) (*v1alpha1.Credentials, error) {
	u := i.claim.Holder
	if i.provided == "" || p.inForce(u) {
		return nil, nil
	}
	iterations := map[string]int32{}
	for _, c := range p.live.Scram[i.claim.Name] {
		iterations[c.Mechanism] = c.Iterations
	}
	found := users.Taken(p.pass.Cluster.ID())
	found.PasswordHash = i.hash
	for _, m := range i.mechanisms {
		row, _ := mechanism.Of(m)
		stands, there := iterations[string(m)]
		if !there || row.Store != mechanism.ScramCredentials {
			continue
		}
		lets, err := p.letsIn(ctx, i, m)
		switch {
		case err != nil:
			return nil, err
		case lets:
			found.Mechanisms = append(found.Mechanisms, v1alpha1.CredentialStatus{Mechanism: m, Iterations: stands})
		default: // said before it is done: afterwards nobody can tell, where the answer of Kafka is lost
			p.r.Events.Eventf(u, p.pass.Cluster.Object, corev1.EventTypeWarning, "PasswordReplaced", "Adopt",
				"Kafka has another password of user %q for %s than Secret %q: that of the Secret takes its place",
				i.claim.Name, m, users.SourceOf(u).Secret)
		}
	}
	if len(found.Mechanisms) == 0 {
		return nil, nil
	}
	return found, nil
}

// letsIn asks the brokers, one after the other until one answers, whether the password of an item is in force.
func (p *userPass) letsIn(ctx context.Context, i *userItem, m v1alpha1.Mechanism) (bool, error) {
	var last error
	for _, node := range batch.Serving(p.pass.Cluster.Object) {
		switch err := p.try(ctx, &probe{item: i, node: node, mechanism: m}); {
		case err == nil:
			return true, nil
		case errors.Is(err, kafka.ErrAuthenticationFailed):
			return false, nil
		default:
			last = err
		}
	}
	if last == nil {
		last = errNoAddress
	}
	return false, last
}
