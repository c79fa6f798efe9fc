package users

import (
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/castellan-dev/castellan/api/v1alpha1"
	"github.com/castellan-dev/castellan/internal/claim"
	"github.com/castellan-dev/castellan/internal/kafka"
	"github.com/castellan-dev/castellan/internal/mechanism"
	"github.com/castellan-dev/castellan/internal/model"
	"github.com/castellan-dev/castellan/internal/status"
	"github.com/castellan-dev/castellan/internal/verdict"
)

// Reasons of Ready, Reconciling and Stalled.
const (
	ReasonInForce       = "InForce"
	ReasonProving       = "ProvingLogin"
	ReasonRevoking      = "Revoking"
	ReasonListener      = "ListenerNotReady"
	ReasonAuthority     = "CertificateAuthorityNotReady"
	ReasonExists        = "UserExists"
	ReasonSecret        = "SecretConflict"
	ReasonMechanism     = "MechanismNotOffered"
	ReasonAuthorization = "AuthorizationDisabled"
	ReasonInvalidACL    = "InvalidACL"
	ReasonRefused       = "Refused"
	ReasonTooOld        = "KafkaTooOld"
	ReasonOwn           = "OperatorsOwnUser"
	ReasonSuperUser     = "SuperUserElsewhere"
	ReasonBeyond        = "BeyondAccess"
	ReasonPrincipal     = "PrincipalRefused"
	ReasonName          = "NameTooLong"
	ReasonNoRoom        = "TooManyCertificates"
	ReasonPassword      = "PasswordSecret"
	ReasonRotation      = "PasswordRotation"
	ReasonPaused        = "Paused"
	ReasonNoPlainRoom   = "TooManyPlainUsers"
	ReasonLineLost      = "LineLost"
	ReasonBinding       = "BindingRefused"
	// Of Warning.
	ReasonIdleAnnotation = "IdleAnnotation"
	ReasonUnlikelyName   = "UnlikelyName"
)

// Explain says Kafka's refusal in the language of the KafkaUser's fields. field is the one that was being carried out.
func Explain(r *kafka.Refusal, field string) verdict.Verdict {
	if r.Code == "SECURITY_DISABLED" {
		return NoAuthorizer(model.Host{})
	}
	return verdict.Stalled(ReasonRefused, field, "Kafka refuses it: %s", r.Error())
}

// NoAuthorizer says that the user asks for ACLs and that the cluster has no authorizer of Kafka's to mind them.
func NoAuthorizer(h model.Host) verdict.Verdict {
	if h.Authorizer != "" {
		return verdict.Stalled(ReasonAuthorization, "spec.acls", "%s decides in the cluster (authorization.type "+
			"Custom), and the operator sets no ACLs there; remove spec.acls and spec.grants, and say there what the user "+
			"may do", h.Authorizer)
	}
	fault := verdict.Stalled(ReasonAuthorization, "spec.acls",
		"the cluster has no authorizer (authorization.type None), so that everybody may do everything; remove "+
			"spec.acls and spec.grants, "+
			"or set spec.authorization.type of the KafkaCluster to Simple (authorizer.class.name on brokers of "+
			"somebody else's)")
	fault.Follows = true
	return fault
}

// Report is what is known of a holder after a pass.
type Report struct {
	Credentials *v1alpha1.Credentials // nil = nothing of it stands in Kafka
	ACLs        []string              // what Listed says of those that are in force
	Secret      string                // empty = there is none of ours
	Retains     bool                  // the user stays in Kafka when its object goes
	// Faults are stalled verdicts: what the user of the object has to change.
	Faults []verdict.Verdict
	// Awaited is what is waited for, or what failed and is tried again; nil = nothing.
	Awaited *verdict.Verdict
	// Rotation is what is known of the password's age; nil = what the status says stays.
	Rotation *Rotation
}

// StatusOf returns the status of a claim's holder.
func StatusOf(u *v1alpha1.KafkaUser, r Report, now time.Time) v1alpha1.KafkaUserStatus {
	s := SeenStatus(u)
	s.Credentials, s.ACLs, s.Binding = r.Credentials, r.ACLs, nil
	if r.Secret != "" {
		s.Binding = &v1alpha1.Binding{Name: r.Secret}
	}
	switch s.DeletionPolicy = v1alpha1.DeletionDelete; {
	case r.Credentials == nil:
		s.DeletionPolicy = ""
	case r.Retains:
		s.DeletionPolicy = v1alpha1.DeletionRetain
	}
	if r.Rotation != nil {
		s.Rotation = r.Rotation.Status
	}
	warn(&s, u, now)
	switch {
	case len(r.Faults) > 0:
		status.Stalled(&s.Conditions, u.Generation, r.Faults[0].Reason, verdict.Texts(r.Faults), now)
	case r.Awaited != nil:
		status.Reconciling(&s.Conditions, u.Generation, r.Awaited.Reason, r.Awaited.Text(), now)
	case Elsewhere(u):
		status.Ready(&s.Conditions, u.Generation, ReasonInForce,
			"its ACLs and quotas are in force; its credential is not the operator's", now)
	default:
		proven := 0
		if r.Credentials != nil {
			proven = len(r.Credentials.ProvenOn)
		}
		message := "logs in on " + verdict.Counted(proven, "broker")
		if c := RecordedCertificate(r.Credentials); c != nil {
			message += ", with a certificate until " + c.NotAfter.UTC().Format(time.RFC3339)
		}
		if at := s.Rotation; at != nil && Requested(u) != at.Request && Requested(u) != "" && at.NextAt != nil {
			message += ", and gets the password that is asked for at " + at.NextAt.UTC().Format(time.RFC3339) +
				", when the one before its present one ends"
		}
		status.Ready(&s.Conditions, u.Generation, ReasonInForce, message, now)
	}
	s.ACLsSince = since(u, s, now)
	return s
}

// since is when what a status lists of ACLs came to be in force.
func since(u *v1alpha1.KafkaUser, s v1alpha1.KafkaUserStatus, now time.Time) *metav1.Time {
	same := slices.Equal(s.ACLs, u.Status.ACLs)
	switch {
	case len(s.ACLs) == 0:
		return nil
	case same && u.Status.ACLsSince != nil: // also while something else of the user is awaited
		return u.Status.ACLsSince
	case !meta.IsStatusConditionTrue(s.Conditions, v1alpha1.ConditionReady):
		return nil
	}
	at := metav1.NewTime(now).Rfc3339Copy()
	return &at
}

// SeenStatus returns the status of an object for the spec as it is now. It keeps what the status records; the caller
// puts in the conditions.
func SeenStatus(u *v1alpha1.KafkaUser) v1alpha1.KafkaUserStatus {
	s := *u.Status.DeepCopy()
	s.ObservedGeneration, s.Name = u.Generation, Name(u)
	return s
}

// RevokedStatus returns the status of an object that has lost its principal, and says why.
func RevokedStatus(u *v1alpha1.KafkaUser, why verdict.Verdict, now time.Time) v1alpha1.KafkaUserStatus {
	s := SeenStatus(u)
	s.Credentials, s.ACLs, s.ACLsSince, s.Binding, s.Rotation, s.DeletionPolicy = nil, nil, nil, nil, nil, ""
	warn(&s, u, now)
	status.Stalled(&s.Conditions, u.Generation, why.Reason, why.Text(), now)
	return s
}

// ConflictStatus returns the status of an object whose principal another one holds. It records no credentials.
func ConflictStatus(u, holder *v1alpha1.KafkaUser, now time.Time) v1alpha1.KafkaUserStatus {
	s := v1alpha1.KafkaUserStatus{Conditions: u.DeepCopy().Status.Conditions, ObservedGeneration: u.Generation,
		Name: Name(u)}
	conflict := claim.Conflict("KafkaUser", "user", Name(u), "", u, holder)
	warn(&s, u, now)
	status.Stalled(&s.Conditions, u.Generation, conflict.Reason, conflict.Text(), now)
	return s
}

// CredentialsOf records what stands in Kafka once the changes are carried out: wanted mechanisms, and those that leave.
// old is what was recorded of the same password; nil = nothing. It keeps the brokers on which logins were proven, as
// long as each wanted mechanism was among those proven there and the broker still belongs to the cluster.
func CredentialsOf(
	old *v1alpha1.Credentials, clusterID, hash string, wanted, leaving []v1alpha1.Mechanism, nodes []int32,
) *v1alpha1.Credentials {
	c := &v1alpha1.Credentials{ClusterID: clusterID, PasswordHash: hash}
	for _, m := range wanted {
		set := credential(m)
		if iterations := recorded(old, m); iterations > 0 {
			set.Iterations = iterations
		}
		c.Mechanisms = append(c.Mechanisms, set)
	}
	known := old != nil && stands(old, c.Mechanisms)
	for _, m := range leaving {
		left := credential(m)
		left.Leaving = true
		c.Mechanisms = append(c.Mechanisms, left)
	}
	if !known {
		return c
	}
	for _, id := range old.ProvenOn {
		if slices.Contains(nodes, id) {
			c.ProvenOn = append(c.ProvenOn, id)
		}
	}
	return c
}

func credential(m v1alpha1.Mechanism) v1alpha1.CredentialStatus {
	row, _ := mechanism.Of(m)
	return v1alpha1.CredentialStatus{Mechanism: m, Iterations: row.Iterations}
}

// stands tells whether all of some credentials are on record, none of them as leaving. Certificates are compared by
// MadeWith.
func stands(c *v1alpha1.Credentials, all []v1alpha1.CredentialStatus) bool {
	return !slices.ContainsFunc(all, func(s v1alpha1.CredentialStatus) bool {
		return !slices.ContainsFunc(c.Mechanisms, func(r v1alpha1.CredentialStatus) bool {
			return r.Mechanism == s.Mechanism && !r.Leaving
		})
	})
}

// Leaving returns the mechanisms on record that are not wanted any more and stay for now: no way in is taken away
// before every broker that serves has accepted a login by each of those that take its place. made is the record if it
// was made from the present password; nil = it was not.
func Leaving(record, made *v1alpha1.Credentials, wanted []v1alpha1.Mechanism, serving []int32) []v1alpha1.Mechanism {
	if record == nil {
		return nil
	}
	var instead []v1alpha1.CredentialStatus
	for _, m := range wanted {
		instead = append(instead, credential(m))
	}
	if made != nil && len(serving) > 0 && stands(made, instead) && !slices.ContainsFunc(serving,
		func(id int32) bool { return !slices.Contains(made.ProvenOn, id) }) {
		return nil
	}
	var leaving []v1alpha1.Mechanism
	for _, s := range record.Mechanisms {
		if row, known := mechanism.Of(s.Mechanism); known && row.Offered() && !slices.Contains(wanted, s.Mechanism) {
			leaving = append(leaving, s.Mechanism)
		}
	}
	return leaving
}

// Unsure records that something was refused, so that it is not known from which password the credentials stand: those
// on record may, and the lines of the files that brokers read do.
func Unsure(record *v1alpha1.Credentials, clusterID string, wanted []v1alpha1.Mechanism) *v1alpha1.Credentials {
	c := Taken(clusterID)
	if record != nil {
		c.Mechanisms = slices.Clone(record.Mechanisms)
	}
	for i := range c.Mechanisms {
		c.Mechanisms[i].Leaving = !slices.Contains(wanted, c.Mechanisms[i].Mechanism)
	}
	for _, m := range wanted {
		if row, _ := mechanism.Of(m); row.Store != mechanism.ScramCredentials &&
			!stands(c, []v1alpha1.CredentialStatus{credential(m)}) {
			c.Mechanisms = append(c.Mechanisms, credential(m))
		}
	}
	return c
}
