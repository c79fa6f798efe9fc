package e2e

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/castellan-dev/castellan/api/v1alpha1"
)

// annotate sets an annotation of a cluster; an empty value removes it.
func annotate(t *testing.T, cluster kafkaCluster, key, value string) {
	t.Helper()
	change(t, cluster, func(c kafkaCluster) {
		if c.Annotations == nil {
			c.Annotations = map[string]string{}
		}
		if c.Annotations[key] = value; value == "" {
			delete(c.Annotations, key)
		}
	})
}

// asked is the value of a restart annotation that asks for a restart of whatever is older than now.
func asked(what string) string { return what + "=" + time.Now().UTC().Format(time.RFC3339) }

func TestCase15_ARestartIsAskedForByAnnotationAndAPauseHoldsItInTheMiddle(t *testing.T) {
	long(t)
	v := fleet.sail(t)
	t.Cleanup(func() {
		_ = tryChange(context.Background(), v.cluster, func(c kafkaCluster) {
			delete(c.Annotations, v1alpha1.AnnotationPause)
			delete(c.Annotations, v1alpha1.AnnotationRestart)
		})
	})
	before := lives(t, v.ns, sharedName)
	for name, typo := range map[string]struct{ key, value, cure string }{
		"a pause with a typing error":         {v1alpha1.AnnotationPause, "ture", "true"},
		"a hold with a typing error":          {v1alpha1.AnnotationHoldAuthority, "yes", "true"},
		"a restart of a node that is nowhere": {v1alpha1.AnnotationRestart, asked("77"), "77"},
		"a restart of a pool that is nowhere": {v1alpha1.AnnotationRestart, asked("mian"), "mian"},
		"a restart at no time":                {v1alpha1.AnnotationRestart, "main=yesterday", "yesterday"},
	} {
		t.Run(name, func(t *testing.T) {
			defer func() {
				annotate(t, v.cluster, typo.key, "")
				waitReady(t, stallLimit, v.cluster)
			}()
			annotate(t, v.cluster, typo.key, typo.value)
			says := []string{"metadata.annotations[" + typo.key + "]", typo.cure}
			eventually(t, stallLimit, "Stalled names the annotation and the cure", func(ctx context.Context) error {
				return isStalled(ctx, v.cluster, "", says)
			})
		})
	}
	mustLiveOn(t, v.ns, sharedName, before)

	v.rec.mark(t, "a restart of node 4 is asked for")
	annotate(t, v.cluster, v1alpha1.AnnotationRestart, asked("4"))
	v.waitRestarts(t, 1)
	waitReady(t, 2*time.Minute, v.cluster)
	delete(before, "events-main-4")
	mustLiveOn(t, v.ns, sharedName, before)

	v.rec.mark(t, "a restart of pool main is asked for")
	annotate(t, v.cluster, v1alpha1.AnnotationRestart, asked("main"))
	v.waitRestarts(t, 2) // of brokers; node 4 may be first again
	annotate(t, v.cluster, v1alpha1.AnnotationPause, "true")
	eventually(t, 30*time.Second, "status says that it is paused", func(ctx context.Context) error {
		if err := refresh(ctx, v.cluster); err != nil {
			return err
		}
		if text := planOf(v.cluster); !strings.Contains(strings.ToLower(text), "pause") {
			return fmt.Errorf("it says: %s", text)
		}
		return nil
	})
	v.rec.mark(t, "paused")
	stopped := deletions(v)
	waitInSync(t, v.login.admin(t)) // so that nothing else holds the next one back
	always(t, 15*time.Second, "nobody is restarted while the pause stands", func(context.Context) error {
		if now := deletions(v); !maps.Equal(now, stopped) {
			return fmt.Errorf("%v became %v", stopped, now)
		}
		return nil
	})
	if len(stopped) == len(fleetBrokers) {
		t.Errorf("every broker was restarted before the pause: it proves nothing")
	}
	annotate(t, v.cluster, v1alpha1.AnnotationPause, "")
	v.rec.mark(t, "the pause is over")
	eventually(t, time.Minute, "the restarts go on", func(context.Context) error {
		if now := deletions(v); maps.Equal(now, stopped) {
			return fmt.Errorf("still %v", now)
		}
		return nil
	})
	record := v.arrive(t, 4*time.Minute, "Six brokers in three zones: a restart that was asked for, paused in the middle")
	want := once(fleetBrokers...)
	want["main-4"] = 2
	mustRestart(t, record, want)
	mustStayInOneRack(t, record)
	maps.DeleteFunc(before, func(name, _ string) bool { return strings.HasPrefix(name, "events-main-") })
	mustLiveOn(t, v.ns, sharedName, before) // the controllers, for whom nobody asked
}

// deletions counts the lives that ended, by broker, one that is ending included.
func deletions(v *voyage) map[string]int {
	v.rec.mu.Lock()
	defer v.rec.mu.Unlock()
	counts := v.rec.record.Restarts()
	for name, pod := range v.rec.pods {
		if pod == nil || pod.DeletionTimestamp != nil {
			counts[name]++
		}
	}
	maps.DeleteFunc(counts, func(_ string, n int) bool { return n == 0 })
	return counts
}

// planOf is all that status says about what is done, waited for and held back.
func planOf(c kafkaCluster) string {
	p := c.Status.Plan
	nodes := []string{}
	for _, n := range c.Status.Nodes {
		if n.Message != "" {
			nodes = append(nodes, fmt.Sprintf("%s: %s", n.Pod, n.Message))
		}
	}
	return strings.Join(slices.Concat([]string{told(c.conditions()), p.Summary}, p.Next, p.Held, nodes), "; ")
}
