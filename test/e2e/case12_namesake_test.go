package e2e

import (
	"testing"
	"time"
)

func TestCase12_TwoClustersOfOneNameInTwoNamespacesDoNotMeet(t *testing.T) {
	promise(t)
	first := shared(t)
	before := lives(t, first, sharedName)
	second := single.inUse(t)
	a, b := clusterNamed(first, sharedName), clusterNamed(second, sharedName)
	for _, c := range []kafkaCluster{a, b} {
		waitReady(t, time.Minute, c)
	}
	if a.Status.ClusterID == b.Status.ClusterID || b.Status.ClusterID == "" {
		t.Errorf("cluster ids %q and %q", a.Status.ClusterID, b.Status.ClusterID)
	}
	apply(t, second, topicManifest("only-second", ""))
	waitReady(t, time.Minute, topicNamed(second, "only-second"))
	defer mustGo(t, topicNamed(second, "only-second"))
	inFirst, err := sharedAdmin(t).ListTopics(t.Context())
	if err != nil || inFirst.Has("only-second") {
		t.Errorf("the topic of the second cluster stands in the first (error %v)", err)
	}
	mine := loginOf(t, second, adminUser).at(t, second, sharedName, "outside")
	theirs := loginOf(t, first, adminUser).at(t, first, sharedName, "outside")
	if mine.password == theirs.password {
		t.Error("both users have one password")
	}
	mixed := theirs
	mixed.password = mine.password
	if err := tryToLogIn(t, mixed); !isLoginRefused(err) {
		t.Errorf("the second cluster's password at the first cluster: error %v, expected a refused login", err)
	}
	if err := tryToProduce(t, mine, "only-second"); err != nil {
		t.Errorf("the second cluster: %v", err)
	}
	mustLiveOn(t, first, sharedName, before)
	waitReady(t, time.Minute, a)
}
