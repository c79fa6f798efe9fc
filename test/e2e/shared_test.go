package e2e

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"testing"
	"time"
)

// sharedCluster is a cluster that many cases use one after another; none may leave it other than it found it. It exists
// from the first case that needs it to the end of the suite, or to the last case that does.
type sharedCluster struct {
	what     string
	manifest string
	topic    string // more of its topic's manifest; empty = 6 partitions on 3 brokers
	// grow makes it what it is to be, step by step: no more nodes start at once than two cores can bear.
	grow []func(kafkaCluster)

	namespace string
	made      bool
	readyIn   time.Duration // from apply to Ready
	makings   int
	lost      error // why it could not be made, twice
}

// mostMakings is how often a cluster is made for the cases that share it: a second time when something was in the way
// of the first, or a case has left it broken.
const mostMakings = 2

// sharedClusters are all that the suite removes at its end.
var sharedClusters = []*sharedCluster{&fleet, &ruled, &bornOlder, &common, &single}

// single has one broker. It is made before all cases, as the measure of the machine.
var single = sharedCluster{
	what:     "cluster of one broker",
	manifest: smallManifest(true, ""),
	topic:    ", partitions: 3, replicationFactor: 1",
}

// get makes the cluster when it is not there, and waits until it is Ready, with its super user and its topic. The case
// that finds that it cannot be made fails; those after it are not run.
func (s *sharedCluster) get(t *testing.T) (made bool) {
	t.Helper()
	if s.lost != nil {
		skipNotRun(t, "the %s could not be made: %v", s.what, s.lost)
	}
	var err error
	for {
		if !s.made {
			if s.makings == mostMakings {
				s.lost = err
				t.Fatalf("make the %s: %v", s.what, err)
			}
			say(t, "the %s is made", s.what)
			err, made = s.make(t.Context()), true
		} else {
			err = s.whole(t.Context())
		}
		if err == nil {
			break
		}
		say(t, "the %s is not as it should be, and goes: %v", s.what, err)
		artifacts.collect(t, s.namespace)
		if err := s.discard(t.Context()); err != nil {
			s.lost = err
			t.Fatalf("remove the %s: %v", s.what, err)
		}
	}
	s.putBackIfFailed(t)
	t.Cleanup(func() { artifacts.collectIfFailed(t, s.namespace) })
	return made
}

// inUse is get, and returns the namespace.
func (s *sharedCluster) inUse(t *testing.T) (namespace string) {
	t.Helper()
	s.get(t)
	return s.namespace
}

// putBackIfFailed leaves the next case the spec that this one found, also when it fails.
func (s *sharedCluster) putBackIfFailed(t *testing.T) {
	t.Helper()
	cluster := clusterNamed(s.namespace, sharedName)
	if err := refresh(t.Context(), cluster); err != nil {
		t.Fatal(err)
	}
	good, notes := cluster.Spec.DeepCopy(), maps.Clone(cluster.Annotations)
	t.Cleanup(func() {
		if !t.Failed() || !s.made {
			return
		}
		ctx, cancel := context.WithTimeout(context.Background(), pace.Of(time.Minute))
		defer cancel()
		if err := tryChange(ctx, cluster, func(c kafkaCluster) { c.Spec, c.Annotations = *good.DeepCopy(), notes }); err != nil {
			t.Errorf("put the spec back: %v", err)
		}
	})
}

// make makes the cluster in a namespace of its own.
func (s *sharedCluster) make(ctx context.Context) error {
	name, err := makeNamespace(ctx)
	if err != nil {
		return err
	}
	s.namespace, s.made = name, true
	s.makings++
	begin := time.Now()
	if err := tryApply(ctx, name, s.manifest); err != nil {
		return err
	}
	cluster := clusterNamed(name, sharedName)
	if _, err := pollReady(ctx, 5*time.Minute, cluster); err != nil {
		return err
	}
	for _, step := range s.grow {
		if err := tryChange(ctx, cluster, step); err != nil {
			return err
		}
		if _, err := pollReady(ctx, 3*time.Minute, cluster); err != nil {
			return err
		}
	}
	s.readyIn = time.Since(begin)
	topic := topicManifest(sharedTopic, cmp.Or(s.topic, ", partitions: 6, replicationFactor: 3"))
	if err := tryApply(ctx, name, adminManifest+"\n---\n"+topic); err != nil {
		return err
	}
	return s.whole(ctx)
}

// whole waits until the cluster, its super user and its topic are Ready.
func (s *sharedCluster) whole(ctx context.Context) error {
	_, ofCluster := pollReady(ctx, 3*time.Minute, clusterNamed(s.namespace, sharedName))
	if ofCluster != nil {
		return ofCluster
	}
	_, ofUser := pollReady(ctx, time.Minute, userNamed(s.namespace, adminUser))
	_, ofTopic := pollReady(ctx, time.Minute, topicNamed(s.namespace, sharedTopic))
	return errors.Join(ofUser, ofTopic)
}

// login is a super user of the cluster, from outside.
func (s *sharedCluster) login(t *testing.T) login {
	t.Helper()
	return loginOf(t, s.namespace, adminUser).at(t, s.namespace, sharedName, "outside")
}

// remove removes the cluster when no case needs it any more, unless somebody wants to look at it.
func (s *sharedCluster) remove(ctx context.Context) error {
	if !s.made || (os.Getenv("CASTELLAN_E2E_KEEP") != "" && artifacts.used()) {
		return nil
	}
	s.makings = 0
	return s.discard(ctx)
}

func (s *sharedCluster) discard(ctx context.Context) error {
	if s.namespace == "" {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, pace.Of(3*time.Minute))
	defer cancel()
	err := removeNamespace(ctx, s.namespace)
	s.made = err != nil
	if err != nil {
		return fmt.Errorf("namespace %s: %w", s.namespace, err)
	}
	return nil
}
