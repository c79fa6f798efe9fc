package user

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/castellan-dev/castellan/api/v1alpha1"
	"github.com/castellan-dev/castellan/controllers/controllertest"
	"github.com/castellan-dev/castellan/internal/model"
	"github.com/castellan-dev/castellan/internal/plainauth"
	"github.com/castellan-dev/castellan/internal/render"
	"github.com/castellan-dev/castellan/internal/users"
)

// usersVolume is that of a pod that mounts so many of the Secrets with the files of users. With one it is as it was
// before there were several.
func usersVolume(parts int) []corev1.Volume {
	v := corev1.Volume{Name: model.OwnPrefix + "users"}
	names := render.PlainUsersSecrets(controllertest.ClusterKey.Name)[:parts]
	if parts == 1 {
		v.Secret = &corev1.SecretVolumeSource{SecretName: names[0]}
		return []corev1.Volume{v}
	}
	v.Projected = &corev1.ProjectedVolumeSource{}
	for _, name := range names {
		v.Projected.Sources = append(v.Projected.Sources, corev1.VolumeProjection{
			Secret: &corev1.SecretProjection{LocalObjectReference: corev1.LocalObjectReference{Name: name}}})
	}
	return []corev1.Volume{v}
}

// restartBroker makes a broker's pod anew, which mounts so many Secrets, and as they are now.
func (w *world) restartBroker(id int32, parts int) {
	w.T.Helper()
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: controllertest.ClusterKey.Namespace,
		Name:   fmt.Sprintf("events-main-%d", id),
		Labels: map[string]string{v1alpha1.LabelCluster: controllertest.ClusterKey.Name, v1alpha1.LabelBroker: "true"}},
		Spec: corev1.PodSpec{Volumes: usersVolume(parts)}}
	_ = w.Client.Delete(context.Background(), pod.DeepCopy())
	w.Apply(pod)
	if w.Parts == nil {
		w.Parts = map[int32]int{}
	}
	w.Parts[id] = parts
	if _, late := w.Mounts[id]; late {
		w.Mounts[id] = w.Files()
	}
	started := metav1.NewTime(w.Clock.Now())
	w.ChangeCluster(func(c *v1alpha1.KafkaCluster) {
		for n := range c.Status.Nodes {
			if c.Status.Nodes[n].ID == id {
				c.Status.Nodes[n].StartedAt = &started
			}
		}
	})
}

// inParts lets each of the Secrets with the files of users hold so many lines of PLAIN users with short names.
func (w *world) inParts(lines int) {
	w.room = (220+lines*(85+plainauth.RetainedSize("user-00")))*8/7 + 1 // with what is spared
	w.restart()
}

// partOf is in which of the Secrets a name stands, and in how many.
func (w *world) partOf(name string) (part, in int) {
	files := w.Files()
	for n := range plainauth.MaxParts {
		entries, _ := plainauth.ParseUsersFile(files[plainauth.PartName(render.UsersEntry, n)])
		if len(entries[name]) > 0 {
			part, in = n, in+1
		}
	}
	return part, in
}

// fillParts leaves no room in the Secrets beyond the first one.
func (w *world) fillParts() {
	w.T.Helper()
	var words []string
	for n := 1; n < plainauth.MaxParts; n++ {
		words = append(words, fmt.Sprintf("%016x", n))
		entry := func(name string) plainauth.Entry {
			e, err := plainauth.Hash(name, "one", make([]byte, plainauth.MinSaltBytes), plainauth.MinIterations)
			if err != nil {
				w.T.Fatal(err)
			}
			return e
		}
		short := fmt.Sprint(n)
		taken := entry(short).Size() + plainauth.RetainedSize(short)
		name := short + strings.Repeat("z", (w.users.partRoom-100-taken)/2)
		secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: controllertest.ClusterKey.Namespace,
			Name: render.PlainUsersSecrets(controllertest.ClusterKey.Name)[n], Labels: model.Labels(controllertest.ClusterKey.Name),
			OwnerReferences: w.controlled()},
			Data: map[string][]byte{plainauth.PartName(render.UsersEntry, n): plainauth.Worded(
				plainauth.UsersFile([]plainauth.Entry{entry(name)}, name), words[n-1])}}
		w.Apply(secret)
	}
	w.writeSecret(render.PlainUsersSecret(controllertest.ClusterKey.Name), func(s *corev1.Secret) {
		for entry, file := range s.Data {
			s.Data[entry] = plainauth.Worded(file, words...)
		}
	})
}

func TestUsersBeyondOneSecretStandInTheNextAndStayThere(t *testing.T) {
	w := newUserWorld(t, 2)
	w.inParts(2)
	names := w.many(5, plain)
	w.Settle(names...)
	w.wantAll("Ready", names...)
	places := map[string]int{}
	for _, name := range names {
		part, in := w.partOf(name)
		if places[name] = part; in != 1 {
			t.Errorf("%s stands in %d Secrets", name, in)
		}
	}
	for n, name := range names {
		if places[name] != n/2 {
			t.Errorf("%s stands in part %d", name, places[name])
		}
	}
	w.WantSilence(names...)
	w.restart()
	w.WantSilence(names...)

	password := w.secret(names[0] + "-kafka")["password"]
	w.Remove(w.user(names[0]))
	w.Settle(names[0])
	if w.user(names[0]) != nil || w.login(names[0], password) {
		t.Error("it hangs, or logs in")
	}
	w.Apply(newUser("x", 0, plain))
	w.Settle("x")
	w.wantUser("x", "Ready")
	if part, _ := w.partOf("x"); part != places[names[0]] {
		t.Errorf("the free place in %d is not taken, but one in %d", places[names[0]], part)
	}
	for _, name := range names[1:] {
		if part, in := w.partOf(name); part != places[name] || in != 1 {
			t.Errorf("%s has moved from %d to %d", name, places[name], part)
		}
	}
}

func TestABrokerOfBeforeThereWereSeveralHoldsReadyAndNoDeletion(t *testing.T) {
	w := newUserWorld(t, 2)
	w.inParts(2)
	w.restartBroker(1, 1)
	names := w.many(2, plain)
	w.Settle(names...)
	w.wantAll("Ready", names...)
	w.Apply(newUser("x", 0, plain), newUser("y", 0, plain))
	_ = w.Once("x", "y")
	for range 3 {
		w.Clock.Move(time.Minute)
		_ = w.Once("x", "y")
	}
	w.wantAll("Reconciling/ProvingLogin", "x", "y")
	for _, name := range []string{"x", "y"} {
		const says = "PLAIN on broker 1: it has to restart to see more than 2 PLAIN users"
		if m := controllertest.Message(w.user(name).Status.Conditions); !strings.Contains(m, says) ||
			strings.Contains(m, "broker 0") {
			t.Errorf("it says %q", m)
		}
		if proven := w.user(name).Status.Credentials.ProvenOn; fmt.Sprint(proven) != "[0]" {
			t.Errorf("proven on %v", proven)
		}
	}
	w.Reset()
	w.Clock.Move(time.Minute)
	_ = w.Once(names...)
	if w.APIWrites() != 0 || w.Logins != 0 {
		t.Errorf("others pay for it: %v, %d logins", w.Requests, w.Logins)
	}
	password := w.secret("y-kafka")["password"]
	w.Remove(w.user("y"))
	for range 3 {
		_ = w.Once("y")
		w.Clock.Move(time.Second)
	}
	if w.user("y") != nil || w.login("y", password) {
		t.Error("a deletion waits for a restart, or it logs in")
	}
	w.restartBroker(1, plainauth.MaxParts)
	w.Settle("x")
	w.wantUser("x", "Ready")
	w.WantSilence(append(names, "x")...)
}

func TestADeletionWaitsForEveryFileThatIsLate(t *testing.T) {
	for name, restarts := range map[string]bool{"the operator lives on": false, "the operator starts again": true} {
		t.Run(name, func(t *testing.T) {
			w := newUserWorld(t, 2)
			w.inParts(2)
			names := w.many(3, plain)
			w.Settle(names...)
			w.wantAll("Ready", names...)
			last := names[2]
			if part, _ := w.partOf(last); part != 1 {
				t.Fatalf("it stands in part %d", part)
			}
			former := w.secret(last + "-kafka")["password"]
			w.mountAll(2) // from here on they are late
			w.writeSecret(last+"-kafka", func(s *corev1.Secret) { delete(s.Data, users.PasswordKey) })
			_ = w.Once(last)
			if restarts {
				w.restart()
			}
			w.Remove(w.user(last))
			for range 4 {
				_ = w.Once(last)
				w.Clock.Move(time.Minute)
			}
			if w.user(last) == nil {
				t.Fatal("it is said to be gone, and logs in by its former password: the file is late")
			}
			w.Mounts[0] = w.Files()
			_ = w.Once(last)
			if w.user(last) == nil {
				t.Fatal("the other broker is late still")
			}
			w.mountAll(2)
			w.Clock.Move(time.Minute)
			w.Settle(last)
			if w.user(last) != nil || w.login(last, former) {
				t.Error("it hangs, or logs in")
			}
		})
	}
}

// An operator of before there were several Secrets writes the first one alone, and its users are all that log in.
func TestWhatAnOlderOperatorDoesNotKnowLetsNobodyIn(t *testing.T) {
	w := newUserWorld(t, 2)
	w.inParts(2)
	names := w.many(4, plain)
	w.Settle(names...)
	password := map[string]string{}
	for _, name := range names {
		password[name] = w.secret(name + "-kafka")["password"]
	}
	w.writeSecret("events-plain-users", func(s *corev1.Secret) {
		entries, _ := plainauth.ParseUsersFile(s.Data["users"])
		var all []plainauth.Entry
		for _, of := range entries {
			all = append(all, of...)
		}
		s.Data["users"] = plainauth.UsersFile(all)
	})
	for _, name := range names {
		part, _ := w.partOf(name)
		if w.login(name, password[name]) != (part == 0) {
			t.Errorf("%s of part %d logs in: %t", name, part, part != 0)
		}
	}
	w.Remove(w.user(names[3])) // as the older one might have let go of it
	w.restart()
	w.Settle(names...)
	for _, name := range names[:3] {
		w.wantUser(name, "Ready")
		if !w.login(name, password[name]) {
			t.Errorf("%s does not log in", name)
		}
	}
	if w.user(names[3]) != nil || w.login(names[3], password[names[3]]) {
		t.Error("who has gone hangs, or logs in again")
	}
}

func TestANameThatSomebodyPutsIntoAnotherSecretIsTakenOut(t *testing.T) {
	w := newUserWorld(t, 1)
	w.inParts(2)
	names := w.many(3, plain)
	w.Settle(names...)
	ghost, err := plainauth.Hash(names[0], "of somebody", make([]byte, plainauth.MinSaltBytes), plainauth.MinIterations)
	if err != nil {
		t.Fatal(err)
	}
	w.writeSecret("events-plain-users-1", func(s *corev1.Secret) {
		entries, _ := plainauth.ParseUsersFile(s.Data["users-1"])
		s.Data["users-1"] = plainauth.UsersFile(append(entries[names[2]], ghost))
	})
	if w.login(names[0], "of somebody") {
		t.Error("a line in a second Secret opens")
	}
	w.Settle(names...)
	if _, in := w.partOf(names[0]); in != 1 {
		t.Errorf("it stands in %d Secrets", in)
	}
	w.wantAll("Ready", names...)
	w.Remove(&corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "events-plain-users-1"}})
	w.Settle(names...)
	w.wantAll("Ready", names...)
	if !w.login(names[2], w.secret(names[2] + "-kafka")["password"]) {
		t.Error("a Secret that was deleted is not made again")
	}
	w.WantSilence(names...)
}

// controlled are the owner references of what the cluster controls.
func (w *world) controlled() []metav1.OwnerReference {
	c := &v1alpha1.KafkaCluster{}
	if err := w.Client.Get(context.Background(), controllertest.ClusterKey, c); err != nil {
		w.T.Fatal(err)
	}
	return []metav1.OwnerReference{*metav1.NewControllerRef(c, v1alpha1.GroupVersion.WithKind("KafkaCluster"))}
}

func hashOf(t *testing.T, name, password string) plainauth.Entry {
	t.Helper()
	e, err := plainauth.Hash(name, password, make([]byte, plainauth.MinSaltBytes), plainauth.MinIterations)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func TestASecretOfSomebodyElseLetsNobodyInAndHoldsUpNoRevocation(t *testing.T) {
	predecessor := metav1.OwnerReference{APIVersion: v1alpha1.GroupVersion.String(), Kind: "KafkaCluster",
		Name: controllertest.ClusterKey.Name, UID: "of before", Controller: new(true)}
	other := metav1.OwnerReference{APIVersion: "v1", Kind: "ConfigMap", Name: "z", UID: "z", Controller: new(true)}
	for name, c := range map[string]struct {
		labels map[string]string
		owners []metav1.OwnerReference
	}{
		"it has nothing of ours":                    {},
		"it has our labels":                         {labels: model.Labels("events")},
		"it has our labels and another owner":       {model.Labels("events"), []metav1.OwnerReference{other}},
		"it is a cluster's of before, of this name": {model.Labels("events"), []metav1.OwnerReference{predecessor}},
	} {
		t.Run(name, func(t *testing.T) {
			w := newUserWorld(t, 2)
			w.inParts(2)
			names := w.many(2, plain)
			w.Settle(names...)
			foreign := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: controllertest.ClusterKey.Namespace,
				Name: "events-plain-users-1", Labels: c.labels, OwnerReferences: c.owners},
				Data: map[string][]byte{"users-1": plainauth.UsersFile([]plainauth.Entry{hashOf(t, "admin", "evil")}, "admin")}}
			w.Apply(foreign.DeepCopy())
			w.Settle(names...)
			w.WantSilence(names...)
			w.Apply(newUser("x", time.Hour, plain))
			_ = w.Once("x")
			password := w.secret(names[0] + "-kafka")["password"]
			w.Remove(w.user(names[0]))
			for range 3 {
				_ = w.Once("x", names[0])
				w.Clock.Move(time.Minute)
			}
			if w.login("admin", "evil") || w.login(names[0], password) {
				t.Error("who stands in it logs in, or who has gone")
			}
			if words := plainauth.Words(w.Files()["users"]); len(words) != 0 {
				t.Errorf("it is said to count: %v", words)
			}
			if got := w.secret("events-plain-users-1")["users-1"]; got != string(foreign.Data["users-1"]) {
				t.Error("it was written")
			}
			w.Remove(foreign)
			w.Settle("x", names[0], names[1])
			w.wantAll("Ready", "x", names[1])
			if w.user(names[0]) != nil || w.login("admin", "evil") {
				t.Error("an object hangs, or a stranger logs in")
			}
		})
	}
}

func TestASecretOfSomebodyElseInTheWayIsToldWithItsCure(t *testing.T) {
	for name, labels := range map[string]map[string]string{"without labels": nil, "with ours": model.Labels("events")} {
		t.Run(name, func(t *testing.T) {
			w := newUserWorld(t, 1)
			w.inParts(2)
			names := w.many(2, plain)
			w.Settle(names...)
			w.Apply(&corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: controllertest.ClusterKey.Namespace,
				Name: "events-plain-users-1", Labels: labels}})
			w.Apply(newUser("x", time.Hour, plain))
			for range 3 {
				_ = w.Once("x")
				w.Clock.Move(time.Minute)
			}
			w.mustSay("shop", "x", "events-plain-users-1", "remove it")
		})
	}
}

// An older operator has let go of a user whose line stands in a Secret that it does not know.
func TestTheFirstSecretIsWrittenOnceTheOthersHoldWhatTheyAreToHold(t *testing.T) {
	w := newUserWorld(t, 2)
	w.inParts(2)
	names := w.many(4, plain)
	w.Settle(names...)
	password := w.secret(names[3] + "-kafka")["password"]
	w.olderWrites()
	w.Remove(w.user(names[3]))
	w.changeUser(names[3], func(u *v1alpha1.KafkaUser) { u.Finalizers = nil })
	w.restart()
	w.Around = func(verb, name string, write func() error) error {
		err := write()
		if w.login(names[3], password) {
			t.Errorf("after %s %s, who has gone logs in", verb, name)
		}
		return err
	}
	w.Failing["update events-plain-users-1"] = errors.New("the operator has ended")
	_ = w.Once(names[:3]...)
	if w.login(names[3], password) {
		t.Error("who has gone logs in")
	}
	clear(w.Failing)
	w.Clock.Move(time.Minute)
	w.Settle(names[:3]...)
	w.wantAll("Ready", names[:3]...)
	if !w.login(names[2], w.secret(names[2] + "-kafka")["password"]) {
		t.Error("who stands in the second one does not log in")
	}
}

// olderWrites writes the first Secret as an operator does that knows of no others.
func (w *world) olderWrites() {
	w.writeSecret("events-plain-users", func(s *corev1.Secret) {
		entries, _ := plainauth.ParseUsersFile(s.Data["users"])
		var all []plainauth.Entry
		for _, of := range entries {
			all = append(all, of...)
		}
		s.Data["users"] = plainauth.UsersFile(all)
	})
}

// A kubelet may bring the first one before the others. What those held before lets nobody in.
func TestASecretThatCountsAgainLetsNobodyInByWhatItHeldBefore(t *testing.T) {
	w := newUserWorld(t, 1)
	w.inParts(2)
	names := w.many(4, plain)
	w.Settle(names...)
	gone := w.secret(names[3] + "-kafka")["password"]
	before := w.Files()
	w.olderWrites()
	w.Remove(w.user(names[3]))
	w.changeUser(names[3], func(u *v1alpha1.KafkaUser) { u.Finalizers = nil })
	w.restart()
	w.Settle(names[:3]...)
	w.wantAll("Ready", names[:3]...)
	late := w.Files()
	late["users-1"] = before["users-1"]
	w.Mounts = map[int32]map[string][]byte{0: late}
	if w.login(names[3], gone) {
		t.Error("who has gone logs in while the second file is late")
	}
	w.Mounts = nil
	for _, name := range names[:3] {
		if !w.login(name, w.secret(name + "-kafka")["password"]) {
			t.Errorf("%s does not log in", name)
		}
	}
	// One that counts keeps its word as others come: nobody of it is refused in between.
	words := plainauth.Words(w.Files()["users"])
	w.Apply(newUser("x", time.Hour, plain), newUser("y", time.Hour, plain))
	w.Settle("x", "y")
	if now := plainauth.Words(w.Files()["users"]); len(now) <= len(words) || !slices.Equal(now[:len(words)], words) {
		t.Errorf("the words were %v and are %v", words, now)
	}
}

func TestASecretThatCannotBeWrittenHoldsUpNoRevocationInOthers(t *testing.T) {
	for _, part := range []string{"events-plain-users", "events-plain-users-1"} {
		t.Run(part, func(t *testing.T) {
			w := newUserWorld(t, 2)
			w.inParts(2)
			names := w.many(5, plain)
			w.Settle(names...)
			password := w.secret(names[4] + "-kafka")["password"]
			if n, _ := w.partOf(names[4]); n != 2 {
				t.Fatalf("it stands in part %d", n)
			}
			w.Failing["update "+part] = errors.New("it is immutable")
			w.writeSecret(part, func(s *corev1.Secret) {
				for entry, file := range s.Data {
					s.Data[entry] = append(file, '\n') // it is to be written
				}
			})
			w.Remove(w.user(names[4]))
			for range 3 {
				_ = w.Once(names...)
				w.Clock.Move(time.Minute)
			}
			if w.login(names[4], password) {
				t.Error("who has gone logs in")
			}
		})
	}
}

// A line of it may stand in an earlier file that a broker still has, and counts there.
func TestAUserIsSeenOnceABrokerHasReadTheFilesBeforeItsOwnToo(t *testing.T) {
	file := []byte{}
	r := &reads{spread: &users.Spread{Parts: slices.Repeat([]users.Part{{Users: file, Certificates: file}}, 4),
		Of: map[string]int{"app": 2}, Certified: map[string]int{"app": 1}}}
	r.spread.Parts[2].Certificates = nil
	i := &userItem{}
	i.claim.Name, i.state = "app", granting
	for _, c := range []struct {
		m    v1alpha1.Mechanism
		of   *outgoing
		want string
	}{
		{plain, nil, "[0 1 2]"}, {plain, &outgoing{}, "[0 1 2 3]"},
		{byTLS, nil, "[0 1]"}, {byTLS, &outgoing{}, "[0 1 3]"},
	} {
		var parts []int
		for _, l := range r.needs(&probe{item: i, of: c.of, mechanism: c.m}) {
			parts = append(parts, l.part)
		}
		if fmt.Sprint(parts) != c.want {
			t.Errorf("%s, goes %t: it needs %v", c.m, c.of != nil, parts)
		}
	}
}
