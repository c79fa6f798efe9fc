package user

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/castellan-dev/castellan/api/v1alpha1"
	"github.com/castellan-dev/castellan/controllers/controllertest"
	"github.com/castellan-dev/castellan/internal/claim"
	"github.com/castellan-dev/castellan/internal/kafka"
	"github.com/castellan-dev/castellan/internal/plainauth"
	"github.com/castellan-dev/castellan/internal/users"
)

// event lets one thing happen: to objects, in Kafka, or to the operator.
func (h *life) event() {
	name := pick(h.random, liveNames...)
	switch h.random.IntN(22) {
	case 0, 1, 2:
		h.created(name)
	case 3, 4, 5:
		h.edited()
	case 6, 7:
		h.deleted()
	case 8, 9:
		h.annotated()
	case 10:
		h.stranger(name)
	case 11:
		h.meddled(name)
	case 12, 13:
		h.secretTouched()
	case 14:
		h.Kafka.Refuse[name] = pick(h.random, append(kafkaRefuses, nil, nil)...)
		h.say("what is asked of %s is refused: %v", name, h.Kafka.Refuse[name])
	case 15:
		if h.away = nil; h.random.IntN(2) == 0 {
			h.away = fmt.Errorf("%w: connection refused", kafka.ErrUnreachable)
		}
		h.say("Kafka is away: %v", h.away)
	case 16:
		h.lagged()
	case 17:
		if h.random.IntN(3) == 0 {
			id := pick(h.random, allBrokers()...)
			h.restartBroker(id, pick(h.random, plainauth.MaxParts, h.Parts[id]))
			h.say("broker %d starts again, and mounts %d Secrets with files of users", id, h.Parts[id])
			break
		}
		h.late = h.random.IntN(2) == 0
		h.mounted(allBrokers()...)
		h.say("the files of brokers are late: %v", h.late)
	case 18:
		h.ruled()
	case 19:
		h.passed()
	case 20:
		h.unguarded()
	case 21:
		h.repented()
	}
	if h.away != nil && h.random.IntN(3) == 0 {
		h.away = nil
		h.say("  Kafka is back")
	}
	if h.late && h.random.IntN(3) == 0 {
		id := pick(h.random, allBrokers()...)
		h.mounted(id)
		h.say("  broker %d has the files as they are now", id)
	}
}

// shape gives an object a random wish.
func (h *life) shape(u *v1alpha1.KafkaUser) {
	r := h.random
	scram256 := v1alpha1.MechanismScram256 // which no listener offers
	a := v1alpha1.UserAuthentication{Mechanisms: pick(r, []v1alpha1.Mechanism{plain}, []v1alpha1.Mechanism{scram512},
		[]v1alpha1.Mechanism{plain, scram512}, []v1alpha1.Mechanism{scram512, byTLS}, []v1alpha1.Mechanism{byTLS},
		[]v1alpha1.Mechanism{plain, scram512}, []v1alpha1.Mechanism{plain, scram256}, []v1alpha1.Mechanism{scram256},
		[]v1alpha1.Mechanism{v1alpha1.MechanismExternal})}
	byPassword := slices.Contains(a.Mechanisms, plain) || slices.Contains(a.Mechanisms, scram512)
	switch how := r.IntN(6); {
	case !byPassword:
	case how == 0:
		a.PasswordSecret = &v1alpha1.PasswordSecret{Name: pick(r, "own", "other"), Key: "password"}
	case how == 1:
		a.PasswordRotation = &v1alpha1.PasswordRotation{IntervalSeconds: controllertest.PtrTo(int32(3600)),
			OverlapSeconds: controllertest.PtrTo(pick(r, int32(0), 60))}
	}
	u.Spec.Authentication, u.Spec.ACLs, u.Spec.Grants, u.Spec.Quotas = a, nil, nil, nil
	for _, topic := range []string{"t", "v", "not a topic"} {
		if r.IntN(3) == 0 && (topic != "not a topic" || r.IntN(6) == 0) {
			u.Spec.ACLs = append(u.Spec.ACLs, v1alpha1.ACLRule{Permission: pick(r, "", "", "Deny"),
				Resource:   v1alpha1.ACLResource{Type: v1alpha1.ResourceTopic, Name: topic},
				Operations: pick(r, []v1alpha1.Operation{"Read"}, []v1alpha1.Operation{"Read", "Write"})})
		}
	}
	if r.IntN(3) == 0 {
		u.Spec.Grants = []v1alpha1.Grant{{Role: v1alpha1.RoleConsumer, Topic: pick(r, "t", "w"), Group: "g"}}
	}
	if r.IntN(8) == 0 {
		u.Spec.ACLs = append(u.Spec.ACLs, v1alpha1.ACLRule{Operations: []v1alpha1.Operation{"Alter"},
			Resource: v1alpha1.ACLResource{Type: v1alpha1.ResourceCluster}})
	}
	if r.IntN(2) == 0 {
		u.Spec.Quotas = &v1alpha1.Quotas{ProducerByteRate: controllertest.PtrTo(int64(1 + r.IntN(3)))}
	}
	u.Spec.ACLPolicy = pick(r, v1alpha1.ACLPolicyExact, v1alpha1.ACLPolicyExact, v1alpha1.ACLPolicyMerge)
	u.Spec.DeletionPolicy = pick(r, "", "", v1alpha1.DeletionDelete, v1alpha1.DeletionRetain)
	u.Spec.Adoption = pick(r, v1alpha1.UserAdoptionNever, v1alpha1.UserAdoptionNever, v1alpha1.UserAdoptionNever,
		v1alpha1.UserAdoptionAlways)
}

func wish(u *v1alpha1.KafkaUser) string {
	a := u.Spec.Authentication
	return fmt.Sprintf("%s/%s (%s, %s) %v password %v rotation %v, %d rules, %d grants, quotas %v, %s, %s, adoption %s",
		u.Namespace, u.Name, u.UID, users.Name(u), a.Mechanisms, a.PasswordSecret, a.PasswordRotation != nil, len(u.Spec.ACLs),
		len(u.Spec.Grants), u.Spec.Quotas != nil, u.Spec.ACLPolicy, u.Spec.DeletionPolicy, u.Spec.Adoption)
}

// created makes an object, of a name that another one may have had.
func (h *life) created(name string) {
	h.createdAs(pick(h.random, "o1", "o2", "o3", "o4", "o5"), name)
}

func (h *life) createdAs(object, name string) {
	h.serial++
	u := newUser(object, time.Duration(-h.serial)*time.Second)
	u.UID, u.Spec.Name = types.UID(fmt.Sprintf("uid-%d", h.serial)), name
	if h.shape(u); h.random.IntN(4) == 0 {
		controllertest.FromGuests(u)
	}
	if h.userIn(u.Namespace, u.Name) != nil {
		return
	}
	h.Apply(u)
	h.say("create %s", wish(u))
}

func (h *life) put(u *v1alpha1.KafkaUser) {
	h.T.Helper()
	if err := h.Client.Update(context.Background(), u); err != nil {
		h.T.Fatal(err)
	}
}

func (h *life) edited() {
	all := h.living()
	if len(all) == 0 {
		return
	}
	u := pick(h.random, all...)
	before := u.DeepCopy()
	switch h.shape(u); h.random.IntN(5) { // the whole of it, or one thing
	case 0:
		u.Spec.Authentication = before.Spec.Authentication
	case 1:
		spec := before.DeepCopy().Spec
		spec.Authentication = u.Spec.Authentication
		u.Spec = spec
	case 2:
		spec := before.DeepCopy().Spec
		switch h.random.IntN(3) {
		case 0:
			spec.ACLPolicy = u.Spec.ACLPolicy
		case 1:
			spec.DeletionPolicy = u.Spec.DeletionPolicy
		case 2:
			spec.Adoption = u.Spec.Adoption
		}
		u.Spec = spec
	}
	u.Generation++
	h.put(u)
	h.say("edit %s", wish(u))
}

func (h *life) deleted() {
	all := h.living()
	if len(all) == 0 {
		return
	}
	u := pick(h.random, all...)
	if h.random.IntN(3) == 0 {
		u = h.rotatedLate(u)
	}
	if u == nil {
		return
	}
	before := h.look()
	if !claim.HasFinalizer(u) {
		h.dropped[u.UID] = true
	}
	h.Remove(u)
	h.say("delete %s", wish(u))
	h.depart(before)
	h.madeAgain(u)
}

// madeAgain makes an object of the same name as one that has gone, before the operator has looked.
func (h *life) madeAgain(u *v1alpha1.KafkaUser) {
	home := u.Namespace == controllertest.ClusterKey.Namespace
	if h.random.IntN(2) == 0 && home && h.userIn(u.Namespace, u.Name) == nil {
		h.createdAs(u.Name, users.Name(u))
	}
}

// unguarded is what kubectl replace, an impatient person or a restored backup does to what the operator notes on an
// object.
func (h *life) unguarded() {
	all := h.objects()
	if len(all) == 0 {
		return
	}
	u := pick(h.random, all...)
	before := h.look()
	if h.random.IntN(3) == 0 && h.lag == nil {
		if h.onRecord(u) == nil {
			return
		}
		u.Status = v1alpha1.KafkaUserStatus{}
		if err := h.Client.Status().Update(context.Background(), u); err != nil {
			h.T.Fatal(err)
		}
		h.hurt(users.Name(u))
		h.left[users.Name(u)] = true
		h.say("the status of %s is wiped, announced %v", wish(u), h.onRecord(u) != nil)
		for f := range h.theirs { // its record says that all ACLs may be its own
			if f.user == users.Name(u) && f.kind == "ACL" && h.onRecord(u) != nil {
				h.theirs[f] = false
			}
		}
		if !h.heldBy(users.Name(u)) {
			h.isLeft(users.Name(u))
		}
		return
	}
	h.dropped[u.UID] = u.DeletionTimestamp != nil
	u.Finalizers = nil
	h.put(u)
	h.say("the finalizer of %s is taken off, deleted %v", wish(u), u.DeletionTimestamp != nil)
	h.depart(before)
	h.madeAgain(u)
}

// repented is another deletion policy of an object that is being deleted.
func (h *life) repented() {
	all := slices.DeleteFunc(h.objects(), func(u *v1alpha1.KafkaUser) bool { return u.DeletionTimestamp == nil })
	if len(all) == 0 {
		return
	}
	u := pick(h.random, all...)
	u.Spec.DeletionPolicy = pick(h.random, "", v1alpha1.DeletionDelete, v1alpha1.DeletionRetain, v1alpha1.DeletionRetain)
	u.Generation++
	h.put(u)
	h.repentant[u.UID] = true
	h.say("edit while it is deleted: %s", wish(u))
}

// rotatedLate gives a user another password, which brokers do not read: they know the one before alone. It may be gone
// after that.
func (h *life) rotatedLate(u *v1alpha1.KafkaUser) *v1alpha1.KafkaUser {
	h.late = true
	h.mounted(allBrokers()...)
	h.marked++
	if u.Annotations == nil {
		u.Annotations = map[string]string{}
	}
	u.Annotations[v1alpha1.AnnotationRotatePassword] = fmt.Sprint(h.marked)
	h.put(u)
	h.say("the files of brokers are late, and %s/%s is rotated", u.Namespace, u.Name)
	h.once()
	if h.random.IntN(2) == 0 {
		h.begin()
	}
	return h.userIn(u.Namespace, u.Name)
}

func (h *life) annotated() {
	all := h.living()
	if len(all) == 0 {
		return
	}
	u := pick(h.random, all...)
	key := pick(h.random, v1alpha1.AnnotationRotatePassword, v1alpha1.AnnotationRotatePassword,
		v1alpha1.AnnotationReissueCertificate, v1alpha1.AnnotationPause)
	h.marked++
	value := fmt.Sprint(h.marked)
	if key == v1alpha1.AnnotationPause {
		value = pick(h.random, "true", "false", "false")
	}
	if u.Annotations == nil {
		u.Annotations = map[string]string{}
	}
	u.Annotations[key] = value
	h.put(u)
	h.say("annotate %s/%s: %s=%s", u.Namespace, u.Name, key, value)
}

// owned tells whether what Kafka has of a name is, or may be, an object's.
func (h *life) owned(name string) bool {
	return slices.Contains(remaining(h.cluster()), name) || h.heldBy(name)
}

// heldBy tells whether an object has a name on record.
func (h *life) heldBy(name string) bool {
	return slices.ContainsFunc(h.objects(), func(u *v1alpha1.KafkaUser) bool {
		return users.Name(u) == name && h.onRecord(u) != nil
	})
}

// stranger is a user that somebody else makes, or changes, or takes away again, where no object has it.
func (h *life) stranger(name string) {
	if h.owned(name) || slices.ContainsFunc(h.living(), func(u *v1alpha1.KafkaUser) bool {
		return users.Name(u) == name && u.Spec.Adoption == v1alpha1.UserAdoptionAlways
	}) {
		return
	}
	if len(h.Kafka.Scram[name]) > 0 && h.random.IntN(2) == 0 {
		h.vanish(name)
		h.say("somebody removes user %s", name)
		return
	}
	before := h.facts()
	h.serial++
	h.Kafka.Scram[name] = map[string]controllertest.ScramCredential{
		"SCRAM-SHA-512": {Iterations: 8192, Password: fmt.Sprintf("theirs-%d", h.serial)}}
	h.Kafka.ACLSet[aclOn(name, "t")] = true
	h.Kafka.QuotasOf[name] = map[string]float64{"consumer_byte_rate": float64(h.serial)}
	h.isTheirs(before)
	h.say("somebody makes user %s", name)
}

// vanish takes away all that Kafka has of a name.
func (h *life) vanish(name string) {
	delete(h.Kafka.Scram, name)
	delete(h.Kafka.QuotasOf, name)
	for a := range h.Kafka.ACLSet {
		if a.Principal == users.Principal(name) {
			delete(h.Kafka.ACLSet, a)
		}
	}
	for f := range h.theirs {
		if f.user == name {
			delete(h.theirs, f)
		}
	}
}

// isTheirs notes what has come into Kafka.
func (h *life) isTheirs(before map[fact]bool) {
	now := h.facts()
	for f := range h.theirs {
		if !now[f] { // it has been replaced
			delete(h.theirs, f)
		}
	}
	for f := range now {
		if !before[f] {
			h.theirs[f] = true
		}
	}
}

func aclOn(name, topic string) kafka.ACL {
	return kafka.ACL{Principal: users.Principal(name), Host: "*", ResourceType: "Topic", ResourceName: topic,
		Pattern: "Literal", Operation: "Describe", Permission: "Allow"}
}

// meddled is what somebody does to a user that an object has.
func (h *life) meddled(name string) {
	if !h.owned(name) {
		return
	}
	holders := slices.DeleteFunc(h.objects(), func(u *v1alpha1.KafkaUser) bool { return users.Name(u) != name })
	exact := func(u *v1alpha1.KafkaUser) bool {
		return u.Spec.ACLPolicy != v1alpha1.ACLPolicyMerge || h.onRecord(u) != nil && h.onRecord(u).ACLs == ""
	}
	merged := !slices.ContainsFunc(holders, exact)
	before := h.facts()
	switch h.random.IntN(4) {
	case 0:
		a := aclOn(name, pick(h.random, "t", "x"))
		known := slices.ContainsFunc(holders, func(u *v1alpha1.KafkaUser) bool {
			c := h.onRecord(u) // what is on record may not be there yet
			return c != nil && strings.Contains(strings.Join(c.AddedACLs, "\n"), "Describe") && a.ResourceName == "t"
		})
		waits := slices.ContainsFunc(holders, func(u *v1alpha1.KafkaUser) bool { // nobody knows whether it will hold the user
			return h.onRecord(u) == nil && exact(u)
		})
		if h.Kafka.ACLSet[a] || known || waits || h.Kafka.NoAuthorizer || slices.Contains(remaining(h.cluster()), name) {
			return
		}
		if h.Kafka.ACLSet[a] = true; merged {
			h.isTheirs(before)
		}
		h.say("somebody adds an ACL on %s to %s, to be kept %v", a.ResourceName, name, merged)
	case 1:
		if len(h.Kafka.Scram[name]) == 0 {
			return
		}
		delete(h.Kafka.Scram[name], "SCRAM-SHA-512")
		h.hurt(name)
		h.say("somebody deletes a credential of %s", name)
	case 2:
		if _, has := h.Kafka.Scram[name]["SCRAM-SHA-512"]; !has {
			return
		}
		h.Kafka.Scram[name]["SCRAM-SHA-512"] = controllertest.ScramCredential{Iterations: 4096, Password: "meddled"}
		h.hurt(name)
		h.say("somebody sets a credential of %s", name)
	case 3:
		if h.Kafka.QuotasOf[name] == nil {
			h.Kafka.QuotasOf[name] = map[string]float64{}
		}
		h.Kafka.QuotasOf[name]["request_percentage"] = 7
		h.say("somebody sets a quota of %s", name)
	}
	for f := range h.theirs {
		if f.user == name && !h.facts()[f] {
			delete(h.theirs, f)
		}
	}
	if !h.heldBy(name) { // ACLs remain of it, which is all that may be taken from it
		h.isTheirs(before)
	}
}

// hurt says that whoever has a name may not be able to log in, for no fault of the operator.
func (h *life) hurt(name string) {
	for _, u := range h.objects() {
		if users.Name(u) == name {
			delete(h.ready, u.UID)
		}
	}
}

// secretTouched is what somebody does to Secrets.
func (h *life) secretTouched() {
	switch h.random.IntN(6) {
	case 0, 1, 2:
		name := pick(h.random, "own", "other")
		h.serial++
		switch password := fmt.Sprintf("own pass-%d", h.serial); h.random.IntN(5) {
		case 0:
			h.withdraw(name)
			h.say("Secret %s is gone", name)
		case 1:
			h.provide(name, password, nil)
			h.say("Secret %s has no label", name)
		case 2:
			h.provide(name, "a\n", forPassword)
			h.say("Secret %s has a password that nobody can use", name)
		default:
			h.provide(name, password, forPassword)
			h.hushed[password] = true
			h.say("Secret %s has password %s", name, password)
		}
		h.noteSecret(controllertest.ClusterKey.Namespace, name)
	case 3:
		name := pick(h.random, "o1", "o2", "o3", "o4", "o5")
		namespace := pick(h.random, controllertest.ClusterKey.Namespace, controllertest.Guests)
		if h.secretOf(namespace, name+"-kafka") == nil && h.userIn(namespace, name) == nil {
			h.Apply(&corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name + "-kafka"},
				Data: map[string][]byte{"password": []byte("of somebody")}})
			h.noteSecret(namespace, name+"-kafka")
			h.say("somebody makes Secret %s/%s-kafka", namespace, name)
		}
	case 4:
		h.connectionTouched()
	case 5:
		h.collect()
	}
}

// noteSecret remembers a Secret of somebody else as it is.
func (h *life) noteSecret(namespace, name string) {
	key := controllertest.ObjectKey(namespace, name)
	delete(h.secrets, key)
	if s := h.secretOf(namespace, name); s != nil {
		h.secrets[key] = fmt.Sprint(s.Labels, s.Annotations, s.Data, s.OwnerReferences, s.UID)
	}
}

// connectionTouched deletes a connection Secret, or takes something out of it.
func (h *life) connectionTouched() {
	all := h.living()
	if len(all) == 0 {
		return
	}
	u := pick(h.random, all...)
	s := h.secretOf(u.Namespace, u.Name+"-kafka")
	if s == nil || s.Labels[v1alpha1.LabelManagedBy] != v1alpha1.ManagedBy {
		return
	}
	key := pick(h.random, "", users.PasswordKey, users.CertificateEntry, "bootstrap.servers")
	if key == "" {
		h.Remove(s)
		h.say("Secret %s/%s is deleted", s.Namespace, s.Name)
		return
	}
	delete(s.Data, key)
	if err := h.Client.Update(context.Background(), s); err != nil {
		h.T.Fatal(err)
	}
	h.say("Secret %s/%s loses %s", s.Namespace, s.Name, key)
}

// collect is what Kubernetes does of Secrets whose object is gone.
func (h *life) collect() {
	var list corev1.SecretList
	if err := h.Client.List(context.Background(), &list); err != nil {
		h.T.Fatal(err)
	}
	for _, s := range list.Items {
		owner := metav1.GetControllerOf(&s)
		if owner == nil || owner.Kind != "KafkaUser" {
			continue
		}
		if u := h.userIn(s.Namespace, owner.Name); u == nil || u.UID != owner.UID {
			h.Remove(&s)
			h.say("  Secret %s/%s goes with its object", s.Namespace, s.Name)
		}
	}
}

// lagged lets the cache fall behind, or catch up.
func (h *life) lagged() {
	h.lag = nil
	if h.random.IntN(3) > 0 {
		h.lag = &lag{ofUsers: h.random.IntN(2) == 0, ofSecrets: h.random.IntN(2) == 0, ofCluster: h.random.IntN(2) == 0}
		h.lag.look(h)
		h.say("the cache is behind: users %v, Secrets %v, the cluster %v", h.lag.ofUsers, h.lag.ofSecrets, h.lag.ofCluster)
		return
	}
	h.say("the cache is as things are")
}

// ruled is what the owner of the cluster changes.
func (h *life) ruled() {
	switch h.random.IntN(10) {
	case 0:
		names := pick(h.random, []string{"root"}, []string{"root", "a"})
		h.ChangeCluster(func(c *v1alpha1.KafkaCluster) { c.Spec.Authorization.SuperUsers = names })
		for _, u := range h.objects() {
			if u.Namespace == controllertest.Guests && slices.Contains(names, users.Name(u)) {
				delete(h.ready, u.UID)
			}
		}
		h.say("super users are %v", names)
	case 1:
		h.ChangeCluster(controllertest.Admit)
		h.say("guests are admitted")
	case 2:
		h.ChangeCluster(func(c *v1alpha1.KafkaCluster) { c.Spec.Access = nil })
		h.say("guests are not admitted")
	case 3:
		h.authorizes(h.random.IntN(2) == 0)
		h.say("no authorizer: %v", h.Kafka.NoAuthorizer)
	case 4:
		h.renewAuthority("events-ca")
	case 5:
		h.renewAuthority("events-clients-ca")
		for id, s := range h.ready {
			if slices.Contains(s.mechanisms, byTLS) {
				delete(h.ready, id)
			}
		}
	case 6:
		h.home.Annotations = map[string]string{v1alpha1.AnnotationDeletionPolicy: string(pick(h.random,
			v1alpha1.DeletionRetain, v1alpha1.DeletionDelete))}
		if err := h.Client.Update(context.Background(), h.home); err != nil {
			h.T.Fatal(err)
		}
		h.say("users of the cluster's namespace: %v", h.home.Annotations)
	case 7, 8:
		h.offers(pick(h.random, []v1alpha1.Mechanism{plain, scram512}, []v1alpha1.Mechanism{plain},
			[]v1alpha1.Mechanism{scram512})...)
		h.say("the listener offers %v", h.offered)
	case 9:
		var grants []v1alpha1.AccessGrant
		if h.random.IntN(2) == 0 {
			grants = []v1alpha1.AccessGrant{{Namespace: controllertest.Guests,
				ClusterOperations: []v1alpha1.ClusterOperation{"Alter"}}}
		}
		h.ChangeCluster(func(c *v1alpha1.KafkaCluster) {
			if c.Spec.Access != nil {
				c.Spec.Access.Grants = grants
			}
		})
		h.say("guests may alter the cluster: %v", grants != nil)
	}
}

// offers has the listener for passwords offer some mechanisms.
func (h *life) offers(mechanisms ...v1alpha1.Mechanism) {
	h.offered = append([]v1alpha1.Mechanism{byTLS, v1alpha1.MechanismExternal}, mechanisms...)
	h.mounted(allBrokers()...) // they restart for that
	h.ChangeCluster(func(c *v1alpha1.KafkaCluster) {
		for n := range c.Spec.Listeners {
			if c.Spec.Listeners[n].Name == openly.Name {
				c.Spec.Listeners[n].Authentication = &v1alpha1.ListenerAuthentication{Mechanisms: mechanisms}
			}
		}
	})
}

// authorizes turns the authorizer on or off.
func (h *life) authorizes(on bool) {
	h.Kafka.NoAuthorizer = !on
	h.ChangeCluster(func(c *v1alpha1.KafkaCluster) {
		if c.Spec.Authorization.Type = v1alpha1.AuthorizationNone; on {
			c.Spec.Authorization.Type = v1alpha1.AuthorizationSimple
		}
	})
}

func (h *life) renewAuthority(name string) {
	fresh := h.AuthorityIn(name)
	s := h.secretOf(fresh.Namespace, name)
	s.Data = fresh.Data
	if err := h.Client.Update(context.Background(), s); err != nil {
		h.T.Fatal(err)
	}
	h.say("another CA in Secret %s", name)
}

// passed lets time pass, or the operator start again.
func (h *life) passed() {
	switch h.random.IntN(4) {
	case 0:
		h.begin()
	case 1:
		h.Clock.Move(70 * day) // certificates are renewed in the last third of 90 days
		h.say("70 days pass")
		for id, s := range h.ready {
			if slices.Contains(s.mechanisms, byTLS) {
				delete(h.ready, id) // unless the operator has renewed them in time, which it may not have been able to
			}
		}
	default:
		h.Clock.Move(2 * time.Hour)
		h.say("two hours pass")
	}
}
