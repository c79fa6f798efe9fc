package resolve

import (
	"slices"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/castellan-dev/castellan/api/v1alpha1"
	"github.com/castellan-dev/castellan/internal/verdict"
)

// unformed is a cluster whose quorum has not formed; told tells whether a founder's disk was told to be one.
func unformed(t *testing.T, told bool) Inputs {
	t.Helper()
	in := running(t, small)
	in.Cluster.Status.Bootstrapped = false
	in.Cluster.Status.InitialVoters = []v1alpha1.InitialVoter{{NodeID: 0}, {NodeID: 1}, {NodeID: 2}}
	if told {
		in.Cluster.Status.InitialVoters[0].DiskUID = "disk-0"
	}
	return in
}

var lifeChanges = map[string]func(in *Inputs){
	"another class":        func(in *Inputs) { in.Spec.Pools[0].Storage.Volumes[0].StorageClassName = ptr("slow") },
	"no class":             func(in *Inputs) { in.Spec.Pools[0].Storage.Volumes[0].StorageClassName = nil },
	"static volumes":       func(in *Inputs) { in.Spec.Pools[0].Storage.Volumes[0].StorageClassName = ptr("") },
	"a smaller volume":     func(in *Inputs) { in.Spec.Pools[0].Storage.Volumes[0].Size = resource.MustParse("1Gi") },
	"a larger volume":      func(in *Inputs) { in.Spec.Pools[0].Storage.Volumes[0].Size = resource.MustParse("100Gi") },
	"a volume less":        func(in *Inputs) { in.Spec.Pools[0].Storage.Volumes = in.Spec.Pools[0].Storage.Volumes[1:] },
	"volumes change place": func(in *Inputs) { v := in.Spec.Pools[0].Storage.Volumes; v[0], v[1] = v[1], v[0] },
	"an ephemeral volume":  func(in *Inputs) { in.Spec.Pools[1].Storage.Volumes[0].Ephemeral = true },
	"a volume more": func(in *Inputs) {
		in.Spec.Pools[0].Storage.Volumes = append(in.Spec.Pools[0].Storage.Volumes,
			v1alpha1.Volume{Name: "third", Size: resource.MustParse("1Gi")})
	},
}

var founderChanges = map[string]func(in *Inputs){
	"fewer controllers": func(in *Inputs) { in.Spec.Pools[0].Replicas = new(int32(1)) },
	"more controllers":  func(in *Inputs) { in.Spec.Pools[0].Replicas = new(int32(5)) },
	"other controllers": func(in *Inputs) {
		in.Spec.Pools[0].Roles = []v1alpha1.Role{v1alpha1.RoleBroker}
		in.Spec.Pools[1].Roles = nil
	},
	"the pool under another name": func(in *Inputs) { in.Spec.Pools[0].Name = "other" },
	"a pool of controllers more": func(in *Inputs) {
		in.Spec.Pools = append(in.Spec.Pools, *in.Spec.Pools[0].DeepCopy())
		in.Spec.Pools[2].Name = "third"
	},
}

// Nothing was formatted, and nothing is on any disk.
func TestAClusterThatHasNotBegunMayChangeAnything(t *testing.T) {
	for _, changes := range []map[string]func(in *Inputs){lifeChanges, founderChanges} {
		for name, change := range changes {
			in := unformed(t, false)
			change(&in)
			if _, faults := Resolve(in); len(faults) > 0 {
				t.Errorf("%s: %v", name, faults)
			}
		}
	}
}

// Once a disk was told to be a founder's, the founders stay, and what may be on a disk stays; all else may change.
func TestWhatWasBegunStaysUntilTheClusterHasFormed(t *testing.T) {
	for name, change := range founderChanges {
		in := unformed(t, true)
		change(&in)
		if _, faults := Resolve(in); len(faults) == 0 {
			t.Errorf("%s is accepted", name)
		}
	}
	for name, change := range lifeChanges {
		in := unformed(t, true)
		change(&in)
		if _, faults := Resolve(in); len(faults) > 0 {
			t.Errorf("%s, without any disk: %v", name, faults)
		}
		in.Disks = map[string]map[string]string{
			"main":  {"data": "data-events-main-0", "more": "more-events-main-0"},
			"extra": {"data": "data-events-extra-1000"},
		}
		_, faults := Resolve(in)
		first := in
		first.Spec = first.Accepted.DeepCopy()
		first.Spec.Pools[0].Storage.Volumes = slices.Insert(first.Spec.Pools[0].Storage.Volumes, 0,
			v1alpha1.Volume{Name: "third", Size: resource.MustParse("1Gi")})
		if _, faults := Resolve(first); len(faults) != 1 || faults[0].Field != "spec.pools[main].storage.volumes" {
			t.Errorf("another volume for the metadata log: %v", faults)
		}
		if name == "a volume more" || name == "a larger volume" {
			if len(faults) > 0 {
				t.Errorf("%s: %v", name, faults)
			}
			continue
		}
		if len(faults) == 0 {
			t.Errorf("%s is accepted, and disks are there", name)
		}
		for _, fault := range faults {
			text := fault.Text()
			if strings.Contains(text, "new pool") || !strings.Contains(text, "delete the KafkaCluster and its claims") ||
				fault.Reason != verdict.ReasonInvalid {
				t.Errorf("%s: a cure that does not work, or another reason: %s, %s", name, fault.Reason, text)
			}
		}
	}
}

func TestTheClassOfStaticVolumesIsNamedInACure(t *testing.T) {
	in := running(t, strings.Replace(small, "storageClassName: fast", `storageClassName: ""`, 1))
	in.Spec.Pools[0].Storage.Volumes[0].StorageClassName = ptr("slow")
	_, faults := Resolve(in)
	if len(faults) != 1 || !strings.Contains(faults[0].Text(), `set it back to "", or`) {
		t.Errorf("%v", faults)
	}
}

// sizes are what the disks of one volume have.
func sizes(pool, volume, size string) map[string]map[string]resource.Quantity {
	return map[string]map[string]resource.Quantity{pool: {volume: resource.MustParse(size)}}
}

// A size that was raised further than Kubernetes could follow can be lowered to what the disks have, and no further.
func TestASizeChangesWithinWhatDisksCanFollow(t *testing.T) {
	for name, c := range map[string]struct {
		size string
		has  map[string]map[string]resource.Quantity
		ok   bool
	}{
		"larger":                               {"11Gi", sizes("main", "data", "10Gi"), true},
		"larger, and nothing is known":         {"11Gi", nil, true},
		"smaller, and nothing is known":        {"9Gi", nil, false},
		"smaller, and there is no disk":        {"9Gi", sizes("main", "more", "10Gi"), true},
		"smaller, and no disk has grown":       {"9Gi", sizes("main", "data", "8Gi"), true},
		"as small as the largest disk":         {"9Gi", sizes("main", "data", "9Gi"), true},
		"smaller than the largest disk":        {"9Gi", sizes("main", "data", "9217Mi"), false},
		"smaller than what somebody has grown": {"9Gi", sizes("main", "data", "20Gi"), false},
	} {
		in := running(t, small)
		in.Spec.Pools[0].Storage.Volumes[0].Size = resource.MustParse(c.size)
		in.Capacities = c.has
		if _, faults := Resolve(in); len(faults) == 0 != c.ok {
			t.Errorf("%s: %v", name, faults)
		}
	}
}

func TestClaimsAreRetainedUnlessTheUserSaysOtherwise(t *testing.T) {
	in := running(t, small)
	in.Spec.Pools[1].Storage.Retention = &v1alpha1.Retention{WhenDeleted: v1alpha1.RetentionDelete}
	c, faults := Resolve(in)
	if len(faults) > 0 {
		t.Fatal(faults)
	}
	retain := v1alpha1.Retention{WhenScaled: v1alpha1.RetentionRetain, WhenDeleted: v1alpha1.RetentionRetain}
	if c.Pools[0].Retention != retain {
		t.Errorf("without a word: %+v", c.Pools[0].Retention)
	}
	if retain.WhenDeleted = v1alpha1.RetentionDelete; c.Pools[1].Retention != retain {
		t.Errorf("with a word about one: %+v", c.Pools[1].Retention)
	}
}

// A pool that was removed in one edit and comes back in the next is judged by its StatefulSet, which is still there.
func TestAPoolThatComesBackIsJudgedByWhatLives(t *testing.T) {
	extra := func(in *Inputs) *v1alpha1.Pool { return &in.Spec.Pools[1] }
	cases := map[string]struct {
		change       func(in *Inputs)
		reason, says string
	}{
		"as it was":        {func(*Inputs) {}, "", ""},
		"with fewer nodes": {func(in *Inputs) { extra(in).Replicas = new(int32(1)) }, "", ""},
		"without its role": {func(in *Inputs) { extra(in).Roles = []v1alpha1.Role{v1alpha1.RoleController} },
			verdict.ReasonInvalid, "spec.pools[extra].roles: the role Broker cannot be taken"},
		"with another class": {func(in *Inputs) { extra(in).Storage.Volumes[0].StorageClassName = ptr("slow") },
			verdict.ReasonInvalid, "spec.pools[extra].storage.volumes[data].storageClassName: "},
		"with a smaller disk": {func(in *Inputs) { extra(in).Storage.Volumes[0].Size = resource.MustParse("1Gi") },
			verdict.ReasonInvalid, "spec.pools[extra].storage.volumes[data].size: "},
		"with another disk": {func(in *Inputs) { extra(in).Storage.Volumes[0].Name = "other" },
			verdict.ReasonInvalid, "spec.pools[extra].storage.volumes[data]: "},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			in := running(t, small)
			in.Living = map[string]v1alpha1.Pool{"extra": *in.Accepted.Pools[1].DeepCopy()}
			in.Accepted.Pools = in.Accepted.Pools[:1]
			c.change(&in)
			_, faults := Resolve(in)
			if c.says == "" {
				if len(faults) > 0 {
					t.Errorf("%v", faults)
				}
				return
			}
			if !slices.ContainsFunc(faults, func(v verdict.Verdict) bool {
				return v.Reason == c.reason && strings.HasPrefix(v.Text(), c.says)
			}) {
				t.Errorf("%v, expected %s: %s", faults, c.reason, c.says)
			}
			in.Living = nil // its StatefulSet is gone, and with it all that the change could harm
			if _, faults := Resolve(in); len(faults) > 0 {
				t.Errorf("once it is gone: %v", faults)
			}
			in.Living = map[string]v1alpha1.Pool{"extra": *running(t, small).Accepted.Pools[1].DeepCopy()}
			in.Accepted = nil // somebody has deleted the ConfigMap with the accepted spec
			if _, faults := Resolve(in); len(faults) == 0 {
				t.Error("without an accepted spec it is accepted")
			}
		})
	}
}

func TestACordonIsRememberedByTheStatus(t *testing.T) {
	in := running(t, small)
	in.Cluster.Status.Cordoned = []int32{4, 1003}
	c, faults := Resolve(in)
	if len(faults) > 0 || len(c.Cordoned) != 2 || !c.Cordoned[4] || !c.Cordoned[1003] {
		t.Errorf("remembered are %v; faults %v", c.Cordoned, faults)
	}
}

func TestVolumesComeToAPoolAndLeaveIt(t *testing.T) {
	third := v1alpha1.Volume{Name: "third", Size: resource.MustParse("1Gi")}
	for name, change := range map[string]func(in *Inputs){
		"one comes": func(in *Inputs) {
			in.Spec.Pools[0].Storage.Volumes = append(in.Spec.Pools[0].Storage.Volumes, third)
		},
		"one comes between others": func(in *Inputs) {
			in.Spec.Pools[0].Storage.Volumes = slices.Insert(in.Spec.Pools[0].Storage.Volumes, 1, third)
		},
		"one leaves":                     func(in *Inputs) { in.Spec.Pools[0].Storage.Volumes = in.Spec.Pools[0].Storage.Volumes[:1] },
		"one takes the place of another": func(in *Inputs) { in.Spec.Pools[0].Storage.Volumes[1] = third },
		"one comes back": func(in *Inputs) {
			in.Living = map[string]v1alpha1.Pool{"main": *in.Accepted.Pools[0].DeepCopy()}
			in.Accepted.Pools[0].Storage.Volumes = in.Accepted.Pools[0].Storage.Volumes[:1]
		},
	} {
		in := running(t, small)
		change(&in)
		if _, faults := Resolve(in); len(faults) > 0 {
			t.Errorf("%s: %v", name, faults)
		}
	}
}
