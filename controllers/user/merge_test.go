package user

import (
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/castellan-dev/castellan/api/v1alpha1"
	"github.com/castellan-dev/castellan/controllers/controllertest"
	"github.com/castellan-dev/castellan/internal/kafka"
)

// merging makes a user that may read some topics, beside what others let it do.
func merging(topics ...string) *v1alpha1.KafkaUser {
	u := newUser("app", time.Hour, v1alpha1.MechanismScram512)
	u.Spec.ACLPolicy, u.Spec.ACLs = v1alpha1.ACLPolicyMerge, rulesFor(topics...)
	return u
}

func rulesFor(topics ...string) (rules []v1alpha1.ACLRule) {
	for _, topic := range topics {
		rule, _ := onTopic(topic, "Allow")
		rules = append(rules, rule)
	}
	return rules
}

// byOthers puts ACLs into Kafka.
func (w *world) byOthers(topics ...string) {
	for _, topic := range topics {
		_, acl := onTopic(topic, "Allow")
		w.Kafka.ACLSet[acl] = true
	}
}

// wantTopics compares the topics that Kafka's ACLs let the user read.
func (w *world) wantTopics(when string, want ...string) {
	w.T.Helper()
	var got []string
	for a := range maps.Keys(w.Kafka.ACLSet) {
		got = append(got, a.ResourceName)
	}
	if slices.Sort(got); !slices.Equal(got, want) {
		w.T.Fatalf("%s, Kafka has ACLs for %v, want %v", when, got, want)
	}
}

// wantAdded compares the topics of the ACLs that are on record as the object's own.
func (w *world) wantAdded(record v1alpha1.ACLRecord, want ...string) {
	w.T.Helper()
	c := w.user("app").Status.Credentials
	var got []string
	for _, a := range c.AddedACLs {
		got = append(got, a[strings.LastIndex(a, " ")+1:])
	}
	if c.ACLs != record || !slices.Equal(got, want) {
		w.T.Fatalf("on record are %q %v, want %q %v", c.ACLs, got, record, want)
	}
}

func TestMergeLeavesWhatOthersHaveMade(t *testing.T) {
	w := newUserWorld(t, 1)
	w.byOthers("both", "others") // it is no conflict that they are there
	w.Apply(merging("both", "own"))
	w.Settle("app")
	w.wantUser("app", "Ready")
	w.wantTopics("from the beginning", "both", "others", "own")
	w.wantAdded(v1alpha1.ACLsAdded, "own")
	w.WantSilence("app")
	w.byOthers("later")
	w.changeUser("app", func(u *v1alpha1.KafkaUser) { u.Spec.ACLs = rulesFor("new") })
	w.Settle("app")
	w.wantTopics("after a change", "both", "later", "new", "others")
	w.wantAdded(v1alpha1.ACLsAdded, "new")
	w.restart()
	w.Remove(w.user("app"))
	w.Settle("app")
	if w.user("app") != nil {
		t.Fatal("it is held")
	}
	w.wantTopics("at the end", "both", "later", "others")
}

func TestMergeAddsNothingAndTakesNothing(t *testing.T) {
	w := newUserWorld(t, 1)
	w.byOthers("both")
	w.Apply(merging("both"))
	w.Settle("app")
	w.wantUser("app", "Ready")
	w.wantAdded(v1alpha1.ACLsNone)
	if got := w.user("app").Status.ACLs; !slices.Equal(got, []string{"Allow Read on Topic both"}) {
		t.Errorf("it is told %q", got)
	}
	w.Remove(w.user("app"))
	w.Settle("app")
	w.wantTopics("at the end", "both")
}

func TestBetweenExactAndMerge(t *testing.T) {
	w := newUserWorld(t, 1)
	u := merging("own", "old")
	u.Spec.ACLPolicy = v1alpha1.ACLPolicyExact
	w.Apply(u)
	w.Settle("app")
	w.byOthers("before") // exact until now
	w.changeUser("app", func(u *v1alpha1.KafkaUser) {
		u.Spec.ACLPolicy, u.Spec.ACLs = v1alpha1.ACLPolicyMerge, rulesFor("own")
	})
	w.Settle("app")
	w.wantTopics("from Exact to Merge", "own")
	w.wantAdded(v1alpha1.ACLsAdded, "own")
	w.byOthers("after")
	w.changeUser("app", func(u *v1alpha1.KafkaUser) { u.Spec.ACLs = nil })
	w.Settle("app")
	w.wantTopics("with Merge", "after")
	w.wantAdded(v1alpha1.ACLsNone)
	w.changeUser("app", func(u *v1alpha1.KafkaUser) { u.Spec.ACLPolicy = v1alpha1.ACLPolicyExact })
	w.Settle("app")
	w.wantTopics("from Merge to Exact")
	w.wantAdded(v1alpha1.ACLsNone)
}

func TestWhatWasAddedIsOnRecordBeforeItIsThere(t *testing.T) {
	w := newUserWorld(t, 1)
	w.Apply(merging("own"))
	w.Kafka.Lose = "acl-create" // it goes through, and the answer is lost
	_ = w.Once("app")
	w.wantTopics("while that is not known", "own")
	w.wantAdded(v1alpha1.ACLsAdded, "own")
	w.byOthers("others")
	w.restart()
	w.Remove(w.user("app"))
	w.Settle("app")
	w.wantTopics("at the end", "others")
}

func TestWhatCouldNotBeTakenAwayStaysOnRecord(t *testing.T) {
	w := newUserWorld(t, 1)
	w.Apply(merging("old"))
	w.Settle("app")
	_, old := onTopic("old", "Allow")
	w.Kafka.RefuseACL[old] = &kafka.Refusal{Code: "INVALID_REQUEST", Message: "no"}
	w.changeUser("app", func(u *v1alpha1.KafkaUser) { u.Spec.ACLs = rulesFor("new") })
	_ = w.Once("app")
	w.wantUser("app", "Stalled/Refused")
	w.wantAdded(v1alpha1.ACLsAdded, "new", "old")
	w.changeUser("app", func(u *v1alpha1.KafkaUser) { u.Spec.Grants = []v1alpha1.Grant{{Role: "Producer", Topic: "a b"}} })
	_ = w.Once("app")
	w.wantUser("app", "Stalled/InvalidACL")
	w.wantAdded(v1alpha1.ACLsAdded, "new", "old")
	clear(w.Kafka.RefuseACL)
	w.changeUser("app", func(u *v1alpha1.KafkaUser) { u.Spec.Grants = nil })
	w.Settle("app")
	w.wantAdded(v1alpha1.ACLsAdded, "new")
	w.wantTopics("at the end", "new")
}

func TestAFaultySpecDoesNotMakeACLsOfOthersTheObjectsOwn(t *testing.T) {
	w := newUserWorld(t, 1)
	w.byOthers("others")
	u := merging()
	u.Spec.Grants = []v1alpha1.Grant{{Role: "Producer", Topic: "a b"}}
	w.Apply(u)
	w.Settle("app")
	w.wantUser("app", "Stalled/InvalidACL")
	w.wantAdded(v1alpha1.ACLsNone)
	w.Remove(w.user("app"))
	w.Settle("app")
	w.wantTopics("at the end", "others")
}

func TestASuccessorInheritsWhatWasAdded(t *testing.T) {
	w := newUserWorld(t, 1)
	w.byOthers("others")
	w.Apply(merging("old", "same"))
	w.Settle("app")
	next := merging("same", "new")
	next.Name, next.UID, next.Spec.Name = "next", "uid-next", "app"
	w.Apply(next)
	w.Settle("app")
	w.wantUser("next", "Stalled/Conflict")
	w.Remove(w.user("app"))
	w.Settle("app")
	w.wantUser("next", "Ready")
	w.wantTopics("with the successor", "new", "others", "same")
	w.Remove(w.user("next"))
	w.Settle("app")
	w.wantTopics("at the end", "others")
}

func TestAMergingUserWaitsForAnAuthorizerToGo(t *testing.T) {
	w := newUserWorld(t, 1)
	w.byOthers("others")
	w.Apply(merging("own"))
	w.Settle("app")
	w.authorizer(false)
	w.Settle("app")
	w.wantUser("app", "Stalled/AuthorizationDisabled")
	w.wantAdded(v1alpha1.ACLsAdded, "own")
	w.Remove(w.user("app"))
	_ = w.Once("app")
	if u := w.user("app"); u == nil || len(w.remain()) > 0 ||
		controllertest.State(u.Status.Conditions) != "Reconciling/AuthorizationDisabled" {
		t.Fatalf("%+v", u)
	}
	w.authorizer(true)
	w.Settle("app")
	if w.user("app") != nil {
		t.Fatal("it is held")
	}
	w.wantTopics("at the end", "others")
}

// permitGuests lets the guests do something in the cluster.
func permitGuests(permissions ...v1alpha1.AccessPermission) func(*v1alpha1.KafkaCluster) {
	return func(c *v1alpha1.KafkaCluster) {
		c.Spec.Access.Grants = []v1alpha1.AccessGrant{{Namespace: controllertest.Guests, Permissions: permissions}}
	}
}

func TestAGuestThatMergesTakesNoACLsThatOthersWereGiven(t *testing.T) {
	for name, mechanism := range map[string]v1alpha1.Mechanism{
		"with a password": scram512, "from elsewhere": v1alpha1.MechanismExternal,
	} {
		t.Run(name, func(t *testing.T) {
			w := newGuestWorld(t)
			w.byOthers("others")
			u := merging("own")
			u.Spec.Authentication.Mechanisms = []v1alpha1.Mechanism{mechanism}
			w.Apply(controllertest.FromGuests(u))
			w.Settle("app")
			w.mustSay(controllertest.Guests, "app", "Stalled/UserExists", "ACLs", "permission Adopt")
			w.wantTopics("while it may not take them", "others")
			if len(w.Kafka.Scram["app"]) != 0 {
				t.Error("it logs in")
			}
			w.ChangeCluster(permitGuests(v1alpha1.PermissionAdopt))
			w.Settle("app")
			w.mustSay(controllertest.Guests, "app", "Ready")
			w.wantTopics("once it may", "others", "own")
		})
	}
}

func TestASuccessorOfAnotherNamespaceInheritsNoACLsOfOthers(t *testing.T) {
	for name, c := range map[string]struct {
		policy  v1alpha1.ACLPolicy
		permits []v1alpha1.AccessPermission
		by      string
		others  []string // ACLs of others beside the predecessor's
		takes   bool
	}{
		"a guest that merges":                    {policy: v1alpha1.ACLPolicyMerge, others: []string{"others"}},
		"a guest that does not":                  {policy: v1alpha1.ACLPolicyExact, others: []string{"others"}},
		"a guest that merges, and there is none": {policy: v1alpha1.ACLPolicyMerge, takes: true},
		"a guest that may take users over": {policy: v1alpha1.ACLPolicyMerge, others: []string{"others"}, takes: true,
			permits: []v1alpha1.AccessPermission{v1alpha1.PermissionAdopt}},
	} {
		t.Run(name, func(t *testing.T) {
			w := newGuestWorld(t)
			w.ChangeCluster(permitGuests(c.permits...))
			w.Apply(merging("old"))
			w.Settle("app")
			w.byOthers(c.others...)
			guest := controllertest.FromGuests(merging("own"))
			guest.Spec.ACLPolicy, guest.UID = c.policy, "uid-of-the-guest"
			w.Apply(guest)
			w.Settle("app")
			w.mustSay(controllertest.Guests, "app", "Stalled/Conflict")
			w.Remove(w.user("app"))
			w.Settle("app")
			if w.user("app") != nil {
				t.Fatal("it is held")
			}
			if !c.takes {
				w.mustSay(controllertest.Guests, "app", "Stalled/UserExists", "ACLs")
				w.wantTopics("afterwards", c.others...)
				if len(w.Kafka.Scram["app"])+len(w.Kafka.QuotasOf["app"]) != 0 {
					t.Errorf("left: %v %v", w.Kafka.Scram, w.Kafka.QuotasOf)
				}
				return
			}
			w.mustSay(controllertest.Guests, "app", "Ready")
			w.wantTopics("afterwards", append(c.others, "own")...)
		})
	}
}

func TestWhoTakesANameFromAnEvictedGuestGetsNoACLsOfOthersWithoutAWord(t *testing.T) {
	app := merging("old")
	w := newGuestWorld(t, app)
	w.byOthers("others")
	ours := merging("own")
	ours.UID, ours.Spec.ACLPolicy = "uid-of-ours", v1alpha1.ACLPolicyExact
	w.Apply(ours)
	w.ChangeCluster(superUser("app"))
	w.Settle("app")
	w.mustSay(controllertest.Guests, "app", "Stalled/SuperUserElsewhere")
	w.wantUser("app", "Stalled/UserExists")
	w.wantTopics("afterwards", "others")
	w.changeUser("app", func(u *v1alpha1.KafkaUser) { u.Spec.ACLPolicy = v1alpha1.ACLPolicyMerge })
	w.Settle("app")
	w.wantUser("app", "Ready")
	w.wantTopics("as it merges", "others", "own")
}
