package identity

import (
	"regexp"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/castellan-dev/castellan/api/v1alpha1"
)

func volumeClaim(name, pool, node, clusterID, directory string) *corev1.PersistentVolumeClaim {
	c := &corev1.PersistentVolumeClaim{
		ObjectMeta: metav1.ObjectMeta{Name: name, UID: types.UID("uid-" + name), Labels: map[string]string{
			v1alpha1.LabelPool: pool, v1alpha1.LabelNodeID: node, v1alpha1.LabelClusterID: clusterID,
		}},
		Spec: corev1.PersistentVolumeClaimSpec{VolumeName: "volume-of-" + name},
	}
	if directory != "" {
		c.Annotations = map[string]string{v1alpha1.AnnotationDirectoryID: directory}
	}
	return c
}

func claims(all ...*corev1.PersistentVolumeClaim) map[string]*corev1.PersistentVolumeClaim {
	byName := map[string]*corev1.PersistentVolumeClaim{}
	for _, c := range all {
		byName[c.Name] = c
	}
	return byName
}

func TestEarlierLifeIsReadFromRetainedClaims(t *testing.T) {
	found := earlierLife(claims(
		volumeClaim("data-main-2", "main", "2", "id-1", "dir-2"),
		volumeClaim("data-main-0", "main", "0", "id-1", "dir-0"),
		volumeClaim("data-extra-1001", "extra", "1001", "id-1", ""),
		volumeClaim("data-extra-1000", "extra", "1000", "id-1", ""),
	))
	if found.clusterID != "id-1" {
		t.Errorf("cluster id %q", found.clusterID)
	}
	if len(found.voters) != 2 ||
		found.voters[0] != (v1alpha1.InitialVoter{NodeID: 0, DirectoryID: "dir-0", DiskUID: "uid-data-main-0"}) {
		t.Errorf("initial voters %v", found.voters)
	}
	if len(found.pools) != 2 || found.pools[0] != (v1alpha1.PoolStatus{Name: "main", FirstNodeID: 0}) ||
		found.pools[1] != (v1alpha1.PoolStatus{Name: "extra", FirstNodeID: 1000}) {
		t.Errorf("pools %v", found.pools)
	}
}

func TestClaimsOfTwoClustersTellNothing(t *testing.T) {
	found := earlierLife(
		claims(
			volumeClaim("data-main-0", "main", "0", "id-1", "dir-0"),
			volumeClaim("data-main-1", "main", "1", "id-2", "dir-1"),
		),
	)
	if found.clusterID != "" || len(found.voters) != 0 {
		t.Errorf("took %+v from claims that contradict each other", found)
	}
}

func TestAClaimThatIsBeingDeletedIsNotTaken(t *testing.T) {
	going := volumeClaim("data-main-0", "main", "0", "id-1", "dir-0")
	now := metav1.Now()
	going.DeletionTimestamp = &now
	if found := earlierLife(claims(going)); found.clusterID != "" {
		t.Errorf("took cluster id %q from a claim that is going", found.clusterID)
	}
}

// What was founded outlives the KafkaCluster on its claims; one that knows is enough.
func TestAQuorumThatWasFoundedIsReadFromAnyClaim(t *testing.T) {
	now := metav1.Now()
	cases := map[string]struct {
		mark    func(all []*corev1.PersistentVolumeClaim)
		founded bool
	}{
		"no claim knows of a quorum": {func([]*corev1.PersistentVolumeClaim) {}, false},
		"a broker's claim knows": {func(all []*corev1.PersistentVolumeClaim) {
			all[1].Annotations = map[string]string{v1alpha1.AnnotationFounded: "true"}
		}, true},
		"the claim that knows is being deleted": {func(all []*corev1.PersistentVolumeClaim) {
			all[1].Annotations = map[string]string{v1alpha1.AnnotationFounded: "true"}
			all[1].DeletionTimestamp = &now
		}, true},
		"the claim that knows is of another cluster, and going": {func(all []*corev1.PersistentVolumeClaim) {
			all[1].Annotations = map[string]string{v1alpha1.AnnotationFounded: "true"}
			all[1].Labels[v1alpha1.LabelClusterID], all[1].DeletionTimestamp = "id-2", &now
		}, false},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			all := []*corev1.PersistentVolumeClaim{
				volumeClaim("data-main-0", "main", "0", "id-1", "dir-0"), volumeClaim("data-main-1", "main", "1", "id-1", ""),
			}
			c.mark(all)
			spec := &v1alpha1.KafkaClusterSpec{Pools: []v1alpha1.Pool{{
				Name: "main", Replicas: new(int32(2)), Storage: v1alpha1.Storage{Volumes: []v1alpha1.Volume{{Name: "data"}}},
			}}}
			record, faults := Propose(Inputs{Spec: spec, Claims: claims(all...), NewUUID: NewUUID})
			if len(faults) > 0 || record.ClusterID != "id-1" || record.Bootstrapped != c.founded {
				t.Errorf("%+v, faults %v; expected bootstrapped %t", record, faults, c.founded)
			}
			record.Bootstrapped = false // a status that was lost or put back
			record, _ = Propose(Inputs{Recorded: record, Spec: spec, Claims: claims(all...), NewUUID: NewUUID})
			if record.Bootstrapped != c.founded {
				t.Errorf("bootstrapped %t with a status that does not know", record.Bootstrapped)
			}
		})
	}
}

// A claim without a volume holds nothing: its node may be a founder with whatever disk it gets.
func TestADiskThatNeverWasIsNoFounders(t *testing.T) {
	unbound := volumeClaim("data-main-0", "main", "0", "id-1", "dir-0")
	unbound.Spec.VolumeName = ""
	found := earlierLife(claims(unbound))
	if len(found.voters) != 1 || found.voters[0] != (v1alpha1.InitialVoter{NodeID: 0, DirectoryID: "dir-0"}) {
		t.Errorf("initial voters %v", found.voters)
	}
}

func TestEphemeralQuorumLost(t *testing.T) {
	spec := func(ephemeral bool) *v1alpha1.KafkaClusterSpec {
		return &v1alpha1.KafkaClusterSpec{Pools: []v1alpha1.Pool{{
			Name: "main", Replicas: new(int32(1)), Storage: v1alpha1.Storage{Volumes: []v1alpha1.Volume{{Name: "data", Ephemeral: ephemeral}}},
		}}}
	}
	pod := func(uid string) []corev1.Pod {
		return []corev1.Pod{{ObjectMeta: metav1.ObjectMeta{UID: types.UID(uid)}}}
	}
	voters := []v1alpha1.InitialVoter{{NodeID: 0, DirectoryID: "dir", DiskUID: "pod-1"}}
	cases := map[string]struct {
		pods   []corev1.Pod
		voters []v1alpha1.InitialVoter
		spec   *v1alpha1.KafkaClusterSpec
		lost   bool
	}{
		"another pod has taken the place of the only ephemeral disk": {pod("pod-2"), voters, spec(true), true},
		"the pod of the disk still stands":                           {pod("pod-1"), voters, spec(true), false},
		"no pod is no evidence":                                      {nil, voters, spec(true), false},
		"a persistent disk outlives its pod":                         {pod("pod-2"), voters, spec(false), false},
		"nothing has been formatted yet": {
			pod("pod-2"),
			[]v1alpha1.InitialVoter{{NodeID: 0, DirectoryID: "dir"}},
			spec(true),
			false,
		},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			if lost := ephemeralQuorumLost(c.pods, c.voters, c.spec); lost != c.lost {
				t.Errorf("lost = %v, expected %v", lost, c.lost)
			}
		})
	}
}

func TestNewUUIDFitsKafkaAndLabels(t *testing.T) {
	form := regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_-]{21}$`)
	for range 2000 {
		id := NewUUID()
		if !form.MatchString(id) || len(validation.IsValidLabelValue(id)) > 0 {
			t.Fatalf("%q is not a UUID as Kafka prints it that may stand in a label", id)
		}
	}
}

// Until a disk is told to be a founder's, who founds the quorum follows the spec; directory ids that claims carry stay.
func TestFoundersFollowTheSpecUntilOneOfThemIsTold(t *testing.T) {
	spec := func(replicas int32) *v1alpha1.KafkaClusterSpec {
		return &v1alpha1.KafkaClusterSpec{Pools: []v1alpha1.Pool{{
			Name: "main", Replicas: &replicas, Storage: v1alpha1.Storage{Volumes: []v1alpha1.Volume{{Name: "data"}}},
		}}}
	}
	propose := func(recorded Record, replicas int32) Record {
		record, faults := Propose(Inputs{Recorded: recorded, Spec: spec(replicas), NewUUID: NewUUID})
		if len(faults) > 0 {
			t.Fatal(faults)
		}
		return record
	}
	one := propose(Record{}, 1)
	three := propose(one, 3)
	if len(three.InitialVoters) != 3 || three.InitialVoters[0] != one.InitialVoters[0] || three.ClusterID != one.ClusterID {
		t.Errorf("%+v became %+v", one, three)
	}
	if back := propose(three, 1); !back.Equal(one) {
		t.Errorf("%+v, expected %+v", back, one)
	}
	told, err := three.WithDisks(0, "disk-0", nil)
	if err != nil {
		t.Fatal(err)
	}
	if now := propose(told, 1); !now.Equal(told) {
		t.Errorf("a founder was told, and %+v became %+v", told, now)
	}
	three.Bootstrapped = true
	if now := propose(three, 1); !now.Equal(three) {
		t.Errorf("the quorum was seen, and %+v became %+v", three, now)
	}
}
