package user

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/castellan-dev/castellan/api/v1alpha1"
	"github.com/castellan-dev/castellan/controllers/batch"
	"github.com/castellan-dev/castellan/controllers/controllertest"
	"github.com/castellan-dev/castellan/internal/claim"
	"github.com/castellan-dev/castellan/internal/kafka"
	"github.com/castellan-dev/castellan/internal/mechanism"
	"github.com/castellan-dev/castellan/internal/plainauth"
	"github.com/castellan-dev/castellan/internal/render"
	"github.com/castellan-dev/castellan/internal/resolve"
	"github.com/castellan-dev/castellan/internal/users"
)

// fact is one thing that Kafka has of a user.
type fact struct{ user, kind, text string }

func (h *life) facts() map[fact]bool {
	all := map[fact]bool{}
	for user, credentials := range h.Kafka.Scram {
		for m, c := range credentials {
			all[fact{user, "credential", fmt.Sprintf("%s %d %s", m, c.Iterations, c.Password)}] = true
		}
	}
	for a := range h.Kafka.ACLSet {
		all[fact{strings.TrimPrefix(a.Principal, "User:"), "ACL", fmt.Sprint(a)}] = true
	}
	for user, quotas := range h.Kafka.QuotasOf {
		for key, value := range quotas {
			all[fact{user, "quota", fmt.Sprintf("%s %g", key, value)}] = true
		}
	}
	return all
}

// shown is what a client shows to log in.
type shown struct {
	password    string
	certificate users.Certificate
}

// standing is with what a user logged in when it was Ready last.
type standing struct {
	shown
	mechanisms []v1alpha1.Mechanism
	// between is what its Secret has held since, while it has not logged in by all that it asks for: where something is
	// refused, that may be in force and what came after it not yet.
	between []shown
}

// login is what must open nothing.
type login struct {
	shown
	name, by   string // the object that had it
	mechanisms []v1alpha1.Mechanism
}

// seen is how things were before a flush.
type seen struct {
	objects map[types.UID]*v1alpha1.KafkaUser
	holds   map[types.UID]shown
}

func (h *life) look() seen {
	s := seen{map[types.UID]*v1alpha1.KafkaUser{}, map[types.UID]shown{}}
	for _, u := range h.objects() {
		s.objects[u.UID], s.holds[u.UID] = u, h.shownBy(u)
	}
	return s
}

// shownBy is what the connection Secret of an object holds.
func (h *life) shownBy(u *v1alpha1.KafkaUser) shown {
	s := h.secretOf(u.Namespace, u.Name+"-kafka")
	if s == nil {
		return shown{}
	}
	if owner := metav1.GetControllerOf(s); owner == nil || owner.UID != u.UID {
		return shown{}
	}
	it := shown{string(s.Data[users.PasswordKey]), users.CertificateIn(s)}
	for _, hush := range []string{it.password, string(it.certificate.KeyPEM)} {
		if hush != "" {
			h.hushed[hush] = true
		}
	}
	return it
}

// opens tells whether a broker lets a user in.
func (h *life) opens(broker int32, name string, m v1alpha1.Mechanism, with shown) bool {
	row, known := mechanism.Of(m)
	if !known || !row.Offered() || m == byTLS && len(with.certificate.CertPEM) == 0 || m != byTLS && with.password == "" {
		return false
	}
	l := row.Login(mechanism.Credential{Username: name, Password: with.password, Certificate: with.certificate.CertPEM,
		Key: with.certificate.KeyPEM})
	l.Address = fmt.Sprintf("events-main-%d.", broker)
	return h.TryLogin(context.Background(), l) == nil
}

func (h *life) wants(u *v1alpha1.KafkaUser) []v1alpha1.Mechanism {
	return slices.DeleteFunc(slices.Clone(u.Spec.Authentication.Mechanisms),
		func(m v1alpha1.Mechanism) bool { return !slices.Contains(h.offered, m) })
}

// judge checks what must hold at every moment.
func (h *life) judge(before seen) {
	h.T.Helper()
	h.nothingOfOthersIsTouched(before)
	h.depart(before)
	h.nothingIsNobodys()
	h.nobodyIsGivenAway(before)
	h.nobodyComesBack()
	h.nobodyIsLockedOut()
	h.nothingIsTold()
}

// nothingOfOthersIsTouched: neither what they have in Kafka nor their Secrets.
func (h *life) nothingOfOthersIsTouched(before seen) {
	h.T.Helper()
	for _, u := range before.objects { // these may take it, or take it away
		name, exact := users.Name(u), u.Spec.ACLPolicy != v1alpha1.ACLPolicyMerge
		for f := range h.theirs {
			if f.user == name && (u.Spec.Adoption == v1alpha1.UserAdoptionAlways ||
				f.kind == "ACL" && exact && (h.owned(name) || h.onRecord(u) != nil)) {
				h.theirs[f] = false
			}
		}
	}
	now := h.facts()
	for f, kept := range h.theirs {
		if !now[f] {
			if delete(h.theirs, f); kept {
				h.fail("the %s of somebody else's user %s is gone: %s", f.kind, f.user, f.text)
			}
		}
	}
	for key, was := range h.secrets {
		if s := h.secretOf(key.Namespace, key.Name); s == nil ||
			fmt.Sprint(s.Labels, s.Annotations, s.Data, s.OwnerReferences, s.UID) != was {
			h.fail("Secret %s of somebody else is %v, and was %s", key, s, was)
		}
	}
}

// nothingIsNobodys: for everything that the operator puts into Kafka there is a record by which it is taken away again.
func (h *life) nothingIsNobodys() {
	h.T.Helper()
	for f := range h.facts() {
		if _, others := h.theirs[f]; !others && !h.owned(f.user) {
			h.fail("nobody has on record the %s of user %s: %s", f.kind, f.user, f.text)
		}
	}
}

// nobodyIsGivenAway: no user of another namespace comes to have the name of a super user, and nobody gives ACLs or
// quotas to one that logs in elsewhere.
func (h *life) nobodyIsGivenAway(before seen) {
	h.T.Helper()
	super := superUsers(h.cluster())
	if h.lag != nil && h.lag.ofCluster {
		super = nil // the cluster may have said so a moment ago
	}
	for _, u := range h.objects() {
		was, known := before.objects[u.UID]
		recorded := h.onRecord(u) != nil
		fresh := recorded && (!known || h.onRecord(was) == nil)
		refused := u.Namespace != controllertest.ClusterKey.Namespace || users.Elsewhere(u)
		if fresh && refused && slices.Contains(super, users.Name(u)) {
			h.fail("%s has become super user %s", wish(u), users.Name(u))
		}
	}
}

// depart notes who is gone, or was told to have lost its user.
func (h *life) depart(before seen) {
	h.T.Helper()
	now := h.look()
	for id, was := range before.objects {
		is, there := now.objects[id]
		revoked := there && is.DeletionTimestamp == nil && h.onRecord(was) != nil && h.onRecord(is) == nil &&
			!users.Elsewhere(was)
		stood, ready := h.ready[id]
		if there && !revoked {
			h.begun[id] = h.begun[id] || ready && is.DeletionTimestamp != nil &&
				!h.willLogIn(users.Name(is), stood.mechanisms, stood.shown, now.holds[id])
			continue
		}
		if delete(h.ready, id); h.onRecord(was) == nil {
			continue
		}
		switch stays := h.stays(was, now) || h.dropped[id]; {
		case stays && h.heldBy(users.Name(was)): // somebody has adopted it by then, and nobody was told that it is gone
			h.say("  user %s of %s is another one's", users.Name(was), was.Name)
			continue
		case stays:
			h.isLeft(users.Name(was))
			if ready && !h.begun[id] && !h.dropped[id] && !slices.Contains(stood.mechanisms, byTLS) &&
				!h.willLogIn(users.Name(was), stood.mechanisms, stood.shown, before.holds[id]) {
				h.fail("%s was to be left behind, and does not log in", wish(was))
			}
			h.say("  user %s of %s is left behind", users.Name(was), was.Name)
			continue
		}
		if ready {
			h.goes(was, before.holds[id], stood)
		}
	}
}

// goes notes what must open nothing any more: what the Secret held, and what it held when the user was Ready last. Of
// certificates the operator can try those alone that it has.
func (h *life) goes(u *v1alpha1.KafkaUser, holds shown, stood standing) {
	mechanisms := recorded(h.onRecord(u))
	h.gone = append(h.gone, login{holds, users.Name(u), wish(u), mechanisms})
	if stood.shown.password != holds.password {
		h.gone = append(h.gone, login{shown{password: stood.shown.password}, users.Name(u), wish(u), mechanisms})
	}
	h.say("  user %s of %s is gone", users.Name(u), u.Name)
}

// stays tells whether a user is to stay in Kafka whose object has gone.
func (h *life) stays(u *v1alpha1.KafkaUser, now seen) bool {
	policy := cmp.Or(u.Spec.DeletionPolicy, claim.DefaultPolicy(h.home.Annotations, false, ""))
	return policy == v1alpha1.DeletionRetain && u.Namespace == controllertest.ClusterKey.Namespace &&
		now.objects[u.UID] == nil
}

// isLeft notes that what Kafka has of a user is nobody's from now on, but for the ACLs that the cluster has on record.
func (h *life) isLeft(name string) {
	h.left[name] = true
	remain := slices.Contains(remaining(h.cluster()), name)
	for f := range h.facts() {
		if _, known := h.theirs[f]; f.user == name && !known && !(remain && f.kind == "ACL") {
			h.theirs[f] = true
		}
	}
}

// nobodyComesBack: who was told to be gone logs in no more.
func (h *life) nobodyComesBack() {
	h.T.Helper()
	for _, g := range h.gone {
		if slices.ContainsFunc(h.objects(), func(u *v1alpha1.KafkaUser) bool {
			return users.Name(u) == g.name && g.password != "" && h.shownBy(u).password == g.password
		}) {
			continue // the same Secret provides it
		}
		for _, m := range g.mechanisms {
			if !slices.Contains(h.offered, m) {
				continue
			}
			for _, broker := range batch.Serving(h.cluster()) {
				if h.opens(broker, g.name, m, g.shown) {
					h.fail("user %s is gone, as was said to %s, and broker %d lets it in by %s", g.name, g.by, broker, m)
				}
			}
		}
	}
}

// nobodyIsLockedOut: whoever was Ready logs in, with what its Secret held then or holds now.
func (h *life) nobodyIsLockedOut() {
	h.T.Helper()
	for _, u := range h.living() {
		holds := h.shownBy(u)
		stood, was := h.ready[u.UID]
		if users.Elsewhere(u) {
			delete(h.ready, u.UID)
			continue
		}
		if was {
			for _, broker := range batch.Serving(h.cluster()) {
				in := func(m v1alpha1.Mechanism) bool {
					return h.opensBy(broker, users.Name(u), m, append(stood.between, holds, stood.shown))
				}
				if !all(stood.mechanisms, in) && !all(h.wants(u), in) {
					h.fail("%s was Ready with %v, and broker %d does not let it in", wish(u), stood.mechanisms, broker)
				}
			}
		}
		// What works on every broker takes the place of what did before, also where something else is wrong.
		if (was || kafkaUsers.IsReady(u)) && h.logsIn(u, holds) {
			h.ready[u.UID] = standing{holds, h.wants(u), nil}
		} else if was && !slices.ContainsFunc(stood.between, func(s shown) bool { return s.is(holds) }) {
			stood.between = append(stood.between, holds)
			h.ready[u.UID] = stood
		}
	}
}

// logsIn tells whether a user logs in on every broker by all that it asks for.
func (h *life) logsIn(u *v1alpha1.KafkaUser, with shown) bool {
	return h.logsInBy(users.Name(u), h.wants(u), with)
}

// logsInBy tells whether a user logs in on every broker by all mechanisms, by each with one of what it may show.
func (h *life) logsInBy(name string, mechanisms []v1alpha1.Mechanism, with ...shown) bool {
	return all(batch.Serving(h.cluster()), func(broker int32) bool {
		return all(mechanisms, func(m v1alpha1.Mechanism) bool { return h.opensBy(broker, name, m, with) })
	})
}

// willLogIn tells whether a user logs in on every broker as soon as each has the files as they are now.
func (h *life) willLogIn(name string, mechanisms []v1alpha1.Mechanism, with ...shown) bool {
	mounts := h.Mounts
	defer func() { h.Mounts = mounts }()
	h.Mounts = nil
	return h.logsInBy(name, mechanisms, with...)
}

func (h *life) opensBy(broker int32, name string, m v1alpha1.Mechanism, with []shown) bool {
	return slices.ContainsFunc(with, func(s shown) bool { return h.opens(broker, name, m, s) })
}

func (a shown) is(b shown) bool {
	return a.password == b.password && bytes.Equal(a.certificate.CertPEM, b.certificate.CertPEM)
}

func all[T any](of []T, is func(T) bool) bool {
	return len(of) > 0 && !slices.ContainsFunc(of, func(o T) bool { return !is(o) })
}

// nothingIsTold: no password and no key stands in a status or in an event.
func (h *life) nothingIsTold() {
	h.T.Helper()
	texts := []string{h.told()}
	for _, o := range h.objects() {
		text, _ := json.Marshal(o.Status)
		texts = append(texts, string(text))
	}
	text, _ := json.Marshal(h.cluster().Status)
	for _, text := range append(texts, string(text)) {
		for hush := range h.hushed {
			if strings.Contains(text, hush) {
				h.fail("told %q in %s", hush, text)
			}
		}
	}
}

// converged checks what must hold once everything has come to rest.
func (h *life) converged() {
	h.T.Helper()
	before := h.look()
	h.Reset()
	h.Settle(liveNames...)
	for _, u := range h.objects() {
		if strings.Contains(controllertest.Message(u.Status.Conditions), "has been made by somebody else and is left alone") {
			delete(h.Requests, "create Secret") // which is refused, and shows that somebody else's is there still
		}
	}
	if h.APIWrites() != 0 || h.Kafka.Writes() != 0 || h.Logins != 0 {
		for _, u := range h.objects() {
			was, _ := json.Marshal(before.objects[u.UID].Status)
			is, _ := json.Marshal(u.Status)
			h.say("%s was %s and is %s", wish(u), was, is)
		}
		h.fail("converged and yet written: %v %v, %d logins", h.Requests, h.Kafka.Requests, h.Logins)
	}
	holders := map[string]string{}
	for _, u := range h.objects() {
		s := controllertest.State(u.Status.Conditions)
		switch {
		case strings.Contains(controllertest.Message(u.Status.Conditions), "which may not go on") && h.heldBy(users.Name(u)):
			continue
		case s == "Stalled/LineLost" && h.repentant[u.UID]: // its line had gone by then, and its Secret knows no password
			continue
		case u.DeletionTimestamp != nil:
			h.fail("%s is not let go: %s %s", wish(u), s, controllertest.Message(u.Status.Conditions))
		case s != "Ready" && !h.justified(u, s):
			h.fail("%s is %s (%s)", wish(u), s, controllertest.Message(u.Status.Conditions))
		case s != "Ready":
			continue
		case holders[users.Name(u)] != "":
			h.fail("%s and %s both hold %s", u.Name, holders[users.Name(u)], users.Name(u))
		}
		holders[users.Name(u)] = u.Name
		h.asAsked(u)
	}
	h.filesHaveNobodyElse()
	h.nobodyHasWhatIsBeyondIt()
	if left := remaining(h.cluster()); len(left) > 0 {
		h.fail("ACLs of %v remain", left)
	}
}

// asAsked checks that a user that is Ready has in Kafka what its spec asks for.
func (h *life) asAsked(u *v1alpha1.KafkaUser) {
	h.T.Helper()
	name := users.Name(u)
	if !users.Elsewhere(u) && !h.logsIn(u, h.shownBy(u)) {
		h.fail("%s is Ready and does not log in", wish(u))
	}
	var scram []string
	for _, m := range h.wants(u) {
		if m == scram512 {
			scram = append(scram, string(m))
		}
	}
	if got := slices.Sorted(maps.Keys(h.Kafka.Scram[name])); !slices.Equal(got, scram) {
		h.fail("%s is Ready with credentials %v", wish(u), got)
	}
	if got, want := h.Kafka.QuotasOf[name], users.QuotasOf(u.Spec.Quotas); !maps.Equal(got, want) {
		h.fail("%s is Ready with quotas %v, and asks for %v", wish(u), got, want)
	}
	rules, _ := users.Granted(u, resolve.HostOf(h.cluster()))
	wanted := map[kafka.ACL]bool{}
	for _, a := range users.ACLsOf(name, rules) {
		if wanted[a] = true; !h.Kafka.ACLSet[a] {
			h.fail("%s is Ready without %v", wish(u), a)
		}
	}
	for a := range h.Kafka.ACLSet {
		_, others := h.theirs[fact{name, "ACL", fmt.Sprint(a)}]
		if a.Principal == users.Principal(name) && !wanted[a] && !(others && u.Spec.ACLPolicy == v1alpha1.ACLPolicyMerge) {
			h.fail("%s is Ready, and has %v", wish(u), a)
		}
	}
}

// nobodyHasWhatIsBeyondIt: no guest has an ACL that its cluster does not let it have, unless somebody else has made it.
func (h *life) nobodyHasWhatIsBeyondIt() {
	h.T.Helper()
	if h.cluster().Spec.Access == nil { // they are frozen
		return
	}
	for _, u := range h.living() {
		if h.onRecord(u) == nil {
			continue
		}
		acls := slices.DeleteFunc(slices.Collect(maps.Keys(h.Kafka.ACLSet)),
			func(a kafka.ACL) bool { return a.Principal != users.Principal(users.Name(u)) })
		for _, a := range users.Beyond(u, acls, resolve.HostOf(h.cluster())) {
			if _, others := h.theirs[fact{users.Name(u), "ACL", fmt.Sprint(a)}]; !others {
				h.fail("%s has %v", wish(u), a)
			}
		}
	}
}

// filesHaveNobodyElse: only users that log in so stand in the files that brokers read.
func (h *life) filesHaveNobodyElse() {
	h.T.Helper()
	files := h.Files()
	entries, in := map[string]bool{}, map[fact]int{}
	var list []plainauth.UserCertificate
	for n := range plainauth.MaxParts {
		lines, err := plainauth.ParseUsersFile(files[plainauth.PartName(render.UsersEntry, n)])
		marked := files[plainauth.PartName(render.CertificatesEntry, n)]
		certificates, err2 := plainauth.ParseCertificateList(plainauth.Unmarked(marked))
		if err != nil || err2 != nil {
			h.fail("a faulty line: %v %v", err, err2)
		}
		for name := range lines {
			in[fact{user: name, kind: "line"}]++
			entries[name] = true
		}
		of := map[string]bool{}
		for _, c := range certificates {
			of[c.Name] = true
		}
		for name := range of {
			in[fact{user: name, kind: "certificate"}]++
		}
		list = append(list, certificates...)
	}
	for f, parts := range in {
		if parts > 1 {
			h.fail("the %s of %s stands in %d Secrets", f.kind, f.user, parts)
		}
	}
	has := func(name string, m v1alpha1.Mechanism) bool {
		return slices.ContainsFunc(h.objects(), func(u *v1alpha1.KafkaUser) bool {
			return users.Name(u) == name && slices.Contains(recorded(h.onRecord(u)), m)
		})
	}
	retained := h.retained()
	for name := range entries {
		if !plainauth.IsMarker(name) && !retained[name] && !has(name, plain) && !h.left[name] {
			h.fail("the file of PLAIN users has %s", name)
		}
	}
	for _, line := range list {
		if !has(line.Name, byTLS) && !h.left[line.Name] { // what is left behind stays until the list is written again
			h.fail("the list of certificates has %s", line.Name)
		}
	}
}

// retained are the names whose lines stay although no object stands for them.
func (h *life) retained() map[string]bool {
	files, all := h.Files(), map[string]bool{}
	for n := range plainauth.MaxParts {
		maps.Copy(all, plainauth.Retained(files[plainauth.PartName(render.UsersEntry, n)]))
	}
	return all
}

// justified tells whether an object has a reason not to be Ready that is there for everybody to see.
func (h *life) justified(u *v1alpha1.KafkaUser, state string) bool {
	name, home := users.Name(u), u.Namespace == controllertest.ClusterKey.Namespace
	from := users.SourceOf(u)
	admitted := h.cluster().Spec.Access != nil
	switch state {
	case "Stalled/Conflict":
		return slices.ContainsFunc(h.objects(), func(o *v1alpha1.KafkaUser) bool {
			return users.Name(o) == name && o.UID != u.UID
		})
	case "Stalled/UserExists":
		found := h.retained()[name]
		for f := range h.theirs {
			found = found || f.user == name
		}
		for _, o := range h.objects() { // which stays with its user, and waits for a line that is lost
			found = found || users.Name(o) == name && o.DeletionTimestamp != nil && h.repentant[o.UID]
		}
		return found && (u.Spec.Adoption != v1alpha1.UserAdoptionAlways || !home)
	case "Stalled/MechanismNotOffered":
		return len(h.wants(u)) < len(u.Spec.Authentication.Mechanisms)
	case "Stalled/SecretConflict":
		_, taken := h.secrets[controllertest.ObjectKey(u.Namespace, u.Name+"-kafka")]
		return taken
	case "Stalled/PasswordSecret":
		if from == nil {
			return false
		}
		s := h.secretOf(u.Namespace, from.Secret)
		return s == nil || s.Labels[v1alpha1.LabelUse] != v1alpha1.UsePassword || string(s.Data["password"]) == "a\n"
	case "Stalled/PasswordRotation":
		return from != nil && users.Requested(u) != ""
	case "Reconciling/Paused":
		return u.Annotations[v1alpha1.AnnotationPause] == "true"
	case "Stalled/NotAdmitted":
		return !home && !admitted
	case "Stalled/SuperUserElsewhere":
		return !home && slices.Contains(superUsers(h.cluster()), name)
	case "Stalled/PrincipalRefused":
		return users.Elsewhere(u) && slices.Contains(superUsers(h.cluster()), name)
	case "Stalled/BeyondAccess":
		_, beyond := users.Granted(u, resolve.HostOf(h.cluster()))
		return !home && (len(beyond) > 0 || u.Spec.DeletionPolicy == v1alpha1.DeletionRetain)
	case "Stalled/InvalidACL":
		return len(users.Unfit(u)) > 0
	}
	return false
}
