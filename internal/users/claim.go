// Package users decides what is to be done about users: who holds a principal, what has to change in Kafka, what the
// connection Secret and the file of PLAIN users hold, and what the status says. It is pure: no client, no clock, and
// randomness is an argument. What it knows of the cluster is a model.Host; the spec of a KafkaCluster does not enter.
package users

import (
	"cmp"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"strings"

	"github.com/castellan-dev/castellan/api/v1alpha1"
	"github.com/castellan-dev/castellan/internal/claim"
	"github.com/castellan-dev/castellan/internal/kafka"
	"github.com/castellan-dev/castellan/internal/mechanism"
	"github.com/castellan-dev/castellan/internal/model"
	"github.com/castellan-dev/castellan/internal/status"
	"github.com/castellan-dev/castellan/internal/verdict"
)

// Name returns the name that a user logs in with.
func Name(u *v1alpha1.KafkaUser) string { return cmp.Or(u.Spec.Name, u.Name) }

// Recorded returns the credentials that the status records for the given incarnation of the cluster, or nil.
func Recorded(u *v1alpha1.KafkaUser, clusterID string) *v1alpha1.Credentials {
	if c := u.Status.Credentials; c != nil && c.ClusterID == clusterID {
		return c
	}
	return nil
}

// Claim is every KafkaUser that stands for one principal of one cluster.
type Claim = claim.Claim[*v1alpha1.KafkaUser]

// Taken is the record that an object has from before its first write to Kafka: it takes its principal in this
// incarnation of the cluster, and which credentials stand there is not known. It is in the status, because whoever may
// write a KafkaUser could write anything else on it, and take over what is somebody else's; or it is announced.
func Taken(clusterID string) *v1alpha1.Credentials {
	return &v1alpha1.Credentials{ClusterID: clusterID}
}

// Announcement is the value of the annotation by which an object says, ahead of its first status, that it takes its
// principal in this incarnation of the cluster. It saves one of the writes of a creation. It is sealed with a key that
// nobody has who may not read the cluster's own Secrets, and names the object's UID: nobody else can write one, and
// copied to another object it says nothing. Empty = the object can announce nothing, and needs the status for that: it
// has one, which spends what was announced before, or it is of another namespace than its cluster.
func Announcement(u *v1alpha1.KafkaUser, clusterID string, key []byte) string {
	if len(key) == 0 || len(u.Status.Conditions) > 0 || u.Spec.ClusterRef.From(u.Namespace).Namespace != u.Namespace {
		return ""
	}
	seal := hmac.New(sha256.New, key)
	seal.Write([]byte(claim.Intent(u, clusterID, "user")))
	return claim.Intent(u, clusterID, hex.EncodeToString(seal.Sum(nil)[:16]))
}

// Announced tells whether an object has announced that it takes its principal.
func Announced(u *v1alpha1.KafkaUser, clusterID string, key []byte) bool {
	intent := Announcement(u, clusterID, key)
	return intent != "" && hmac.Equal([]byte(u.Annotations[v1alpha1.AnnotationCreating]), []byte(intent))
}

// Owns tells whether the object has put, or may have put, into Kafka what Kafka has of the principal.
func Owns(u *v1alpha1.KafkaUser, clusterID string) bool { return Recorded(u, clusterID) != nil }

// Sort finds the holder of a principal: the object that has it on record, else the oldest. bars says why an object may
// take no part; nil = it may.
func Sort(
	name string, objects []*v1alpha1.KafkaUser, clusterID string, bars func(*v1alpha1.KafkaUser) *claim.Bar,
) Claim {
	return claim.Sort(name, objects, claim.Rules[*v1alpha1.KafkaUser]{
		Recorded: func(u *v1alpha1.KafkaUser) bool { return Recorded(u, clusterID) != nil },
		Bars:     bars,
	})
}

// Presumes refuses a super user's name to a user from another namespace than the cluster's, also to one that had it
// before; nil = the name is allowed.
func Presumes(u *v1alpha1.KafkaUser, host model.Host) *claim.Bar {
	if u.Namespace == host.Namespace || !slices.Contains(host.SuperUsers, Name(u)) {
		return nil
	}
	return &claim.Bar{Evicts: true, Verdict: verdict.Stalled(ReasonSuperUser, "spec.name",
		"%q is a super user of KafkaCluster %s/%s and can only be asked for in the cluster's own namespace; "+
			"choose another name",
		Name(u), host.Namespace, host.Name)}
}

// Retains tells whether a user stays in Kafka when its object goes. One of another namespace does so only where the
// cluster's owner lets that namespace take users over: what stays is nobody's to evict.
func Retains(u *v1alpha1.KafkaUser, host model.Host) bool {
	return u.Spec.DeletionPolicy == v1alpha1.DeletionRetain &&
		claim.Permits(host.Access, host.Namespace, u.Namespace, v1alpha1.PermissionAdopt)
}

// NotRetained says that a user will not stay although its object asks for that; nil = it does not ask, or it stays.
func NotRetained(u *v1alpha1.KafkaUser, host model.Host) *verdict.Verdict {
	if u.Spec.DeletionPolicy != v1alpha1.DeletionRetain || Retains(u, host) {
		return nil
	}
	fault := verdict.Stalled(ReasonBeyond, "spec.deletionPolicy",
		"a user of namespace %q goes with its KafkaUser; use Delete, or ask whoever owns KafkaCluster %s/%s for the "+
			"permission Adopt, in its spec.access.grants", u.Namespace, host.Namespace, host.Name)
	return &fault
}

// LineLost says that a user cannot stay as it asks for: the file of PLAIN users lacks its line.
func LineLost(name string) verdict.Verdict {
	return verdict.Stalled(ReasonLineLost, "spec.deletionPolicy",
		"user %q is to stay in Kafka, but its line is missing in the file of PLAIN users, and no Secret holds its password "+
			"to make it again; set spec.deletionPolicy to Delete to let the user go", name)
}

// HandoverFrozen says of an object that loses its user, and has not lost it yet, why: its successor has taken the user,
// and may take no part any more before every broker was seen to refuse the object's own logins.
func HandoverFrozen(u, successor *v1alpha1.KafkaUser) verdict.Verdict {
	return verdict.Waiting(ReasonRevoking, "", claim.TakenLook, claim.TakenLookLimit,
		"its user goes over to KafkaUser %q, which may not go on, as its status says, so that nobody has seen every broker "+
			"refuse a login; mend that KafkaUser, or delete it, which ends the user", status.NameFrom(u, successor))
}

// Exists refuses a principal of which Kafka has something that no object of the claim has put there. nil = Kafka has
// nothing of that kind, or the holder is to take it over.
//
// A successor of another namespace gets none of the ACLs that others have added to its predecessor's: those were given
// to somebody else.
func Exists(c Claim, live Live, clusterID string, host model.Host) *verdict.Verdict {
	adopts := claim.Permits(host.Access, host.Namespace, c.Holder.Namespace, v1alpha1.PermissionAdopt)
	if adopts && c.Holder.Spec.Adoption == v1alpha1.UserAdoptionAlways || Owns(c.Holder, clusterID) {
		return nil
	}
	stays := stayingOwners(c, clusterID, host)
	if former := formerOwners(c, clusterID); len(former) > 0 && len(stays) == 0 {
		if !slices.ContainsFunc(former, func(u *v1alpha1.KafkaUser) bool { return u.Namespace != c.Holder.Namespace }) {
			return nil
		}
		live = Live{ACLs: slices.DeleteFunc(slices.Clone(live.ACLs), StakeOf(c.Name, clusterID, former).Holds)}
	}
	if adopts && c.Holder.Spec.ACLPolicy == v1alpha1.ACLPolicyMerge { // others may have put some there
		live.ACLs = nil
	}
	if inPlainFile(stays, clusterID) { // which the file does not say yet
		live.Retained = map[string]bool{c.Name: true}
	}
	found := live.of(c.Name)
	if len(found) == 0 {
		return nil
	}
	renewed := "password, "
	if Elsewhere(c.Holder) {
		renewed = ""
	}
	fault := verdict.Stalled(ReasonExists, "spec.adoption",
		"user %q has %s in Kafka already and this object did not put them there; "+
			"to replace what is there by the %sACLs and quotas of this object, set spec.adoption to Always, or choose "+
			"another spec.name",
		c.Name, listed(found), renewed)
	if !adopts {
		fault = verdict.Stalled(ReasonExists, "spec.adoption",
			"user %q has %s in Kafka already and this object did not put them there, and namespace %q may not take it over; "+
				"choose another spec.name, or ask whoever owns KafkaCluster %s/%s for the permission Adopt, in its "+
				"spec.access.grants", c.Name, listed(found), c.Holder.Namespace, host.Namespace, host.Name)
	}
	fault.Doubtful, fault.After, fault.AtMost = true, claim.TakenLook, claim.TakenLookLimit
	return &fault
}

// formerOwners are those of a claim that hand over to its holder what they have in Kafka.
func formerOwners(c Claim, clusterID string) []*v1alpha1.KafkaUser {
	former := slices.DeleteFunc(slices.Clone(c.Leaving),
		func(u *v1alpha1.KafkaUser) bool { return !Owns(u, clusterID) })
	for _, e := range c.Evicted {
		former = append(former, e.Object)
	}
	return former
}

// stayingOwners are those of a claim that go and leave what they have in Kafka, for nobody.
func stayingOwners(c Claim, clusterID string, host model.Host) []*v1alpha1.KafkaUser {
	return slices.DeleteFunc(slices.Clone(c.Leaving),
		func(u *v1alpha1.KafkaUser) bool { return !Owns(u, clusterID) || !Retains(u, host) })
}

// inPlainFile tells whether one of some objects has a line in the file of PLAIN users on record.
func inPlainFile(objects []*v1alpha1.KafkaUser, clusterID string) bool {
	return slices.ContainsFunc(objects, func(u *v1alpha1.KafkaUser) bool {
		return slices.ContainsFunc(Recorded(u, clusterID).Mechanisms, func(s v1alpha1.CredentialStatus) bool {
			return mechanism.Uses([]v1alpha1.Mechanism{s.Mechanism}, mechanism.PasswordFile)
		})
	})
}

func listed(found []string) string {
	last := len(found) - 1
	if last < 1 {
		return strings.Join(found, "")
	}
	return strings.Join(found[:last], ", ") + " and " + found[last]
}

// of lists what Kafka has of a user.
func (l Live) of(name string) []string {
	var found []string
	if len(l.Scram[name]) > 0 {
		found = append(found, "SCRAM credentials")
	}
	if slices.ContainsFunc(l.ACLs, func(a kafka.ACL) bool { return a.Principal == Principal(name) }) {
		found = append(found, "ACLs")
	}
	if len(l.Quotas[name]) > 0 {
		found = append(found, "quotas")
	}
	if l.Retained[name] {
		found = append(found, "a password for PLAIN")
	}
	return found
}
