package e2e

import (
	"fmt"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/castellan-dev/castellan/api/v1alpha1"
)

// mustRestWhileApplied has Flux apply everything again and again, which is no cause for a write of the operator.
func mustRestWhileApplied(t *testing.T) {
	t.Helper()
	waitQuiet(t)
	pods, before, mark := watchPods(t, sampleNamespace, "events"), lives(t, sampleNamespace, "events"), auditMark(t)
	const times = 5
	for range times {
		reconcile(t, fluxKust, "kafka")
		reconcile(t, fluxKust, "castellan")
		reconcile(t, fluxHelm, "castellan")
	}
	waitFlux(t, time.Minute, fluxKust, "kafka")
	writes, reads := auditSince(t, mark, operatorUser(t))
	if len(writes) > 0 {
		t.Errorf("the operator wrote while Flux applied the same %d times:%s", times, tally(writes))
	}
	figure(t, "operator-writes-while-flux-applies-the-same", "%d", len(writes))
	say(t, "Flux applied the same %d times: %d writes of the operator, reads:%s", times, len(writes), tally(reads))
	mustLiveOn(t, sampleNamespace, "events", before)
	if restarted := pods.restarted(); len(restarted) > 0 {
		t.Errorf("pods were restarted meanwhile: %v", restarted)
	}
	pods.stop()
}

// Keys of config that brokers take without a restart.
const keyOfTeam, keyOfGit = "log.retention.ms", "log.retention.bytes"

// shareConfig has a team own a key of the cluster's config beside those of git, then git take it over, and let go.
func shareConfig(t *testing.T, f *fleetRepository) {
	t.Helper()
	team := func() error {
		path, err := kubectlPath()
		if err != nil {
			return err
		}
		const part = "apiVersion: %s\nkind: KafkaCluster\nmetadata: {name: events}\nspec: {config: {%s: %q}}\n"
		manifest := fmt.Appendf(nil, part, v1alpha1.GroupVersion, keyOfTeam, "7200000")
		as := []string{"-n", sampleNamespace, "apply", "--server-side", "--field-manager=team", "-f", "-"}
		_, err = run(t.Context(), manifest, path, as...)
		return err
	}
	if err := team(); err != nil {
		t.Fatal(err)
	}
	mustHaveConfig(t, v1alpha1.Config{keyOfTeam: "7200000"})
	reconcile(t, fluxKust, "kafka")
	mustHaveConfig(t, v1alpha1.Config{keyOfTeam: "7200000"})

	inGit := fmt.Sprintf("  config:\n    %s: \"1000000000\"\n", keyOfGit)
	f.edit(t, "kafka/cluster.yaml", func(text string) string { return text + inGit })
	applyCommit(t, f, "Set a key beside the team's")
	mustHaveConfig(t, v1alpha1.Config{keyOfTeam: "7200000", keyOfGit: "1000000000"})
	if err := team(); err != nil {
		t.Errorf("the team cannot apply its own key again: %v", err)
	}

	taken := fmt.Sprintf("    %s: \"3600000\"\n", keyOfTeam)
	f.edit(t, "kafka/cluster.yaml", func(text string) string { return text + taken })
	applyCommit(t, f, "Set the team's key, too")
	mustHaveConfig(t, v1alpha1.Config{keyOfTeam: "3600000", keyOfGit: "1000000000"})
	err := team()
	if err == nil || !strings.Contains(err.Error(), `conflict with "kustomize-controller"`) {
		t.Errorf("the team is not told of a conflict: %v", err)
	}
	f.edit(t, "kafka/cluster.yaml", func(text string) string { return replaceOnce(text, inGit+taken, "") })
	applyCommit(t, f, "Let go of the config")
	mustHaveConfig(t, nil)
}

// mustHaveConfig waits until the cluster is Ready, and fails when its config is another.
func mustHaveConfig(t *testing.T, want v1alpha1.Config) {
	t.Helper()
	cluster := clusterNamed(sampleNamespace, "events")
	waitReady(t, time.Minute, cluster)
	if !maps.Equal(cluster.Spec.Config, want) {
		t.Fatalf("the cluster's config is %v, expected %v", cluster.Spec.Config, want)
	}
}
