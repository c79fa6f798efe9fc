package users

import (
	"fmt"
	"slices"
	"time"

	"github.com/castellan-dev/castellan/api/v1alpha1"
	"github.com/castellan-dev/castellan/internal/kafka"
	"github.com/castellan-dev/castellan/internal/status"
)

// Reasons of Ready, Reconciling and Stalled.
const (
	ReasonInForce       = "InForce"
	ReasonProving       = "ProvingLogin"
	ReasonRetrying      = "Retrying"
	ReasonRevoking      = "Revoking"
	ReasonListener      = "ListenerNotReady"
	ReasonAuthority     = "CertificateAuthorityNotReady"
	ReasonConflict      = "Conflict"
	ReasonExists        = "UserExists"
	ReasonSecret        = "SecretConflict"
	ReasonMechanism     = "MechanismNotOffered"
	ReasonAuthorization = "AuthorizationDisabled"
	ReasonRefused       = "Refused"
	ReasonTooOld        = "KafkaTooOld"
	ReasonOwn           = "OperatorsOwnUser"
	ReasonSuperUser     = "SuperUserElsewhere"
)

// Fault is why a user cannot be as desired until somebody changes something.
type Fault struct {
	Reason  string
	Message string
}

// Explain says Kafka's refusal in the language of the KafkaUser's fields; field is what was being carried out.
func Explain(r *kafka.Refusal, field string) Fault {
	if r.Code == "SECURITY_DISABLED" {
		return NoAuthorizer()
	}
	return Fault{ReasonRefused, fmt.Sprintf("%s: Kafka refuses it: %s", field, r.Error())}
}

// NoAuthorizer says that ACLs are asked for and nobody would mind them.
func NoAuthorizer() Fault {
	return Fault{ReasonAuthorization, "spec.acls: the cluster has no authorizer (authorization.type None), so that everybody may do everything; " +
		"remove spec.acls, or set spec.authorization.type of the KafkaCluster to Simple (authorizer.class.name on brokers of somebody else's)"}
}

// Report is what is known of a holder after a pass.
type Report struct {
	Credentials *v1alpha1.Credentials // nil = nothing of it stands in Kafka
	Secret      string                // empty = there is none of ours
	Faults      []Fault
	// Reason and Message say what is waited for; empty = nothing.
	Reason  string
	Message string
}

// StatusOf returns the status of a claim's holder.
func StatusOf(u *v1alpha1.KafkaUser, r Report, now time.Time) v1alpha1.KafkaUserStatus {
	s := SeenStatus(u)
	s.Credentials, s.Binding = r.Credentials, nil
	if r.Secret != "" {
		s.Binding = &v1alpha1.Binding{Name: r.Secret}
	}
	switch {
	case len(r.Faults) > 0:
		message := r.Faults[0].Message
		for _, f := range r.Faults[1:] {
			message += "; " + f.Message
		}
		status.Stalled(&s.Conditions, u.Generation, r.Faults[0].Reason, message, now)
	case r.Reason != "":
		status.Reconciling(&s.Conditions, u.Generation, r.Reason, r.Message, now)
	default:
		proven := 0
		if r.Credentials != nil {
			proven = len(r.Credentials.ProvenOn)
		}
		status.Ready(&s.Conditions, u.Generation, ReasonInForce, fmt.Sprintf("logs in on %d brokers", proven), now)
	}
	return s
}

// SeenStatus returns the status of an object for the spec as it is now. What it records stays, and what is to be said is
// still to be put in.
func SeenStatus(u *v1alpha1.KafkaUser) v1alpha1.KafkaUserStatus {
	s := *u.Status.DeepCopy()
	s.ObservedGeneration, s.Name = u.Generation, Name(u)
	return s
}

// ConflictStatus returns the status of an object whose principal another one holds. It records no credentials.
func ConflictStatus(u, holder *v1alpha1.KafkaUser, now time.Time) v1alpha1.KafkaUserStatus {
	s := v1alpha1.KafkaUserStatus{Conditions: u.DeepCopy().Status.Conditions, ObservedGeneration: u.Generation, Name: Name(u)}
	status.Stalled(&s.Conditions, u.Generation, ReasonConflict, fmt.Sprintf("spec.name: user %q is held by KafkaUser %q; "+
		"delete one of the two, or choose another spec.name", Name(u), status.NameFrom(u, holder)), now)
	return s
}

// CredentialsOf records what stands in Kafka once the changes are carried out. Brokers on which logins were proven are
// kept as long as the password and the mechanisms are the same and the broker still belongs to the cluster.
func CredentialsOf(u *v1alpha1.KafkaUser, clusterID, hash string, mechanisms []v1alpha1.Mechanism, nodes []int32) *v1alpha1.Credentials {
	c := &v1alpha1.Credentials{ClusterID: clusterID, PasswordHash: hash}
	for _, m := range mechanisms {
		s := v1alpha1.CredentialStatus{Mechanism: m}
		if m != v1alpha1.MechanismPlain {
			s.Iterations = Iterations
		}
		c.Mechanisms = append(c.Mechanisms, s)
	}
	old := Recorded(u, clusterID)
	if old == nil || old.PasswordHash != hash || !slices.Equal(old.Mechanisms, c.Mechanisms) {
		return c
	}
	for _, id := range old.ProvenOn {
		if slices.Contains(nodes, id) {
			c.ProvenOn = append(c.ProvenOn, id)
		}
	}
	return c
}
