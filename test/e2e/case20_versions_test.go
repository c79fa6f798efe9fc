package e2e

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/castellan-dev/castellan/api/v1alpha1"
	"github.com/castellan-dev/castellan/internal/version"
)

// olderKafka is the version that case 20 starts from; CASTELLAN_E2E_OLDER_KAFKA names another of the catalogue.
var olderKafka = cmp.Or(os.Getenv("CASTELLAN_E2E_OLDER_KAFKA"), "4.2.2")

// bornOlder has three combined nodes of an older version, and the first metadata.version of its release.
var bornOlder = sharedCluster{what: "cluster of Kafka " + olderKafka, manifest: strings.NewReplacer(
	"VERSION", olderKafka, "RELEASE", releaseOf(olderKafka)).Replace(bornOlderManifest)}

const bornOlderManifest = `
kind: KafkaCluster
metadata: {name: events}
spec:
  version: "VERSION"
  metadataVersion: RELEASE-IV0
  pools:
  - {name: main, replicas: 3, storage: {volumes: [{name: data, size: 1Gi}]}, jvm: {heap: 256Mi}}
  listeners:
  - {name: outside, port: 9094, encryption: None, exposure: {type: NodePort}, authentication: {mechanisms: [PLAIN, SCRAM-SHA-512]}}
  authorization: {type: Simple, superUsers: [admin]}
  config:
    auto.create.topics.enable: "false"
    offsets.topic.num.partitions: "3"
    group.initial.rebalance.delay.ms: "0"
`

// releaseOf is the release of a version: 4.2 of 4.2.2.
func releaseOf(kafka string) string { return kafka[:strings.LastIndexByte(kafka, '.')] }

func TestCase20_UpAndDownAndUpAndFromThereOnlyForward(t *testing.T) {
	long(t)
	older, known := version.Find(olderKafka)
	if !known {
		t.Fatalf("Kafka %s is not in the catalogue: %s", olderKafka, version.Names())
	}
	newer, _ := version.Find(kafkaVersion)
	t.Cleanup(func() {
		if err := bornOlder.remove(context.Background()); err != nil {
			t.Errorf("clean up: %v", err)
		}
	})
	serveKafka(t, olderKafka)
	v := bornOlder.sail(t)
	quorum := watchQuorum(t, v.login)
	v.mustRun(t, olderKafka, levelOf(t, older, releaseOf(olderKafka)+"-IV0"))
	plain := newPlainUser(t, v)
	plain.mustLogIn(t)
	mustRefuseForwardSteps(t, v, older)

	v.changeOfMind(t)
	v.toVersion(t, kafkaVersion, "upgrade-of-3")
	v.mustRun(t, kafkaVersion, levelOf(t, older, releaseOf(olderKafka)+"-IV0"))
	plain.mustLogIn(t)

	named := releaseOf(olderKafka)
	v.rec.mark(t, "metadataVersion %s is asked for", named)
	change(t, v.cluster, func(c kafkaCluster) { c.Spec.MetadataVersion = named })
	waitReady(t, time.Minute, v.cluster)
	v.mustRun(t, kafkaVersion, levelOf(t, older, named))
	v.toVersion(t, olderKafka, "downgrade-of-3") // nothing of the newer one is finalized: Kafka can go back
	v.mustRun(t, olderKafka, levelOf(t, older, named))

	v.rec.mark(t, "version %s is asked for, with metadataVersion Auto", kafkaVersion)
	change(
		t,
		v.cluster,
		func(c kafkaCluster) { c.Spec.Version, c.Spec.MetadataVersion = kafkaVersion, version.AutoMetadata },
	)
	v.waitRaised(t, levelOf(t, older, named))
	waitReady(t, time.Minute, v.cluster)
	v.mustRun(t, kafkaVersion, levelOf(t, newer, version.AutoMetadata))
	mustRefuseToGoBack(t, v)

	record := v.arrive(
		t,
		time.Minute,
		fmt.Sprintf("Three nodes: %s to %s and back, and up again", olderKafka, kafkaVersion),
	)
	restarts := slices.Sorted(maps.Values(record.Restarts()))
	if !slices.Equal(restarts, []int{3, 3, 5}) {
		t.Errorf(
			"restarts %v, expected three of each broker, and two more of the one that was tried when the mind changed",
			record.Restarts(),
		)
	}
	mustStayInOneRack(t, record)
	mustFindEachOther(t, v.ns, sharedName)
	quorum.mustHaveHeld(t)
}

// serveKafka makes the image of a version in the local cluster, which brings only the latest along.
func serveKafka(t *testing.T, kafka string) {
	t.Helper()
	if !isLocal() {
		return // a cluster of one's own has a registry behind it
	}
	ctx, cancel := context.WithTimeout(t.Context(), pace.Of(5*time.Minute))
	defer cancel()
	if _, err := localcluster(ctx, "up", "--kafka", kafka); err != nil {
		t.Fatalf("serve the image of Kafka %s: %v", kafka, err)
	}
	say(t, "the image of Kafka %s is there", kafka)
}

func levelOf(t *testing.T, v version.Version, name string) int32 {
	t.Helper()
	level, known := v.MetadataLevel(name)
	if !known {
		t.Fatalf("Kafka %s knows no metadata.version %s", v.Kafka, name)
	}
	return int32(level)
}

// toVersion asks for a version and waits until every node runs it; the figure is how long that took.
func (v *voyage) toVersion(t *testing.T, kafka, name string) {
	t.Helper()
	v.rec.mark(t, "version %s is asked for", kafka)
	begin := time.Now()
	change(t, v.cluster, func(c kafkaCluster) { c.Spec.Version = kafka })
	waitReady(t, 5*time.Minute, v.cluster)
	figureSeconds(t, name, time.Since(begin))
}

// changeOfMind asks for the newer version, and for the older one again once a node has been given the newer one.
func (v *voyage) changeOfMind(t *testing.T) {
	t.Helper()
	v.rec.mark(t, "version %s is asked for", kafkaVersion)
	change(t, v.cluster, func(c kafkaCluster) { c.Spec.Version = kafkaVersion })
	eventually(t, time.Minute, "a node runs the newer version", func(ctx context.Context) error {
		if err := refresh(ctx, v.cluster); err != nil {
			return err
		}
		if v.cluster.Status.Version != olderKafka+", "+kafkaVersion {
			return fmt.Errorf("the nodes run %s", v.cluster.Status.Version)
		}
		return nil
	})
	v.toVersion(t, olderKafka, "change-of-mind-in-mid-upgrade")
}

// mustRun asks Kafka itself, too, what is finalized.
func (v *voyage) mustRun(t *testing.T, kafka string, level int32) {
	t.Helper()
	status := v.cluster.Status
	if status.Version != kafka || status.MetadataVersion != level || status.Features[version.MetadataVersion] != level {
		t.Errorf("status tells of Kafka %s with metadata.version %d (features %v), expected %s with %d",
			status.Version, status.MetadataVersion, status.Features, kafka, level)
	}
	versions, err := v.login.admin(t).ApiVersions(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for id, broker := range versions {
		features := map[string]int16{}
		for _, f := range broker.Raw().FinalizedFeatures {
			features[f.Name] = f.MaxVersionLevel
		}
		if int32(features[version.MetadataVersion]) != level {
			t.Errorf("broker %d has finalized %v, expected metadata.version %d", id, features, level)
		}
	}
}

// waitRaised waits until metadata.version is above a level, and fails when that was so before every node ran the newer
// version.
func (v *voyage) waitRaised(t *testing.T, level int32) {
	t.Helper()
	eventually(t, 5*time.Minute, "metadata.version is raised", func(ctx context.Context) error {
		if err := isReady(ctx, v.cluster); v.cluster.Status.MetadataVersion <= level {
			return fmt.Errorf("metadata.version is %d: %w", v.cluster.Status.MetadataVersion, err)
		}
		return nil
	})
	if got := v.cluster.Status.Version; got != kafkaVersion {
		t.Errorf("metadata.version was raised while the nodes ran %s", got)
	}
}

// mustRefuseForwardSteps tries what an older version cannot do.
func mustRefuseForwardSteps(t *testing.T, v *voyage, older version.Version) {
	t.Helper()
	mustRefuse(
		t,
		v,
		func(c kafkaCluster) { c.Spec.MetadataVersion = releaseOf(kafkaVersion) },
		"spec.metadataVersion",
		"Kafka "+olderKafka+" knows no metadata.version "+releaseOf(kafkaVersion),
		"use Auto, or one of: "+older.MetadataName(levelFor(older)),
	)
	mustRefuse(t, v, func(c kafkaCluster) { setConfig(c, "group.coordinator.background.threads", "2") },
		"spec.config[group.coordinator.background.threads]", "use a version that has it: "+kafkaVersion)
	if oldest := version.Catalogue[0]; oldest.Kafka != olderKafka {
		mustRefuse(
			t,
			v,
			func(c kafkaCluster) { c.Spec.Version = oldest.Kafka },
			"spec.version",
			"metadata.version",
			"set spec.metadataVersion to "+oldest.MetadataName(levelFor(oldest))+" before the version",
		)
	}
}

func levelFor(v version.Version) int16 {
	level, _ := v.MetadataLevel(version.AutoMetadata)
	return level
}

func mustRefuseToGoBack(t *testing.T, v *voyage) {
	t.Helper()
	before := lives(t, v.ns, sharedName)
	mustRefuse(t, v, func(c kafkaCluster) { c.Spec.Version, c.Spec.MetadataVersion = olderKafka, "" },
		"spec.version", olderKafka, "metadata.version 4.3-IV0", "use one of: "+kafkaVersion)
	mustRefuse(t, v, func(c kafkaCluster) { c.Spec.MetadataVersion = releaseOf(olderKafka) },
		"spec.metadataVersion", "cannot go back", "remove the field, or set it to 4.3-IV0")
	mustLiveOn(t, v.ns, sharedName, before)
}

// mustRefuse makes a change that cannot be carried out, and takes it back.
func mustRefuse(t *testing.T, v *voyage, mistake func(kafkaCluster), says ...string) {
	t.Helper()
	waitReady(t, time.Minute, v.cluster)
	good := v.cluster.Spec.DeepCopy()
	change(t, v.cluster, mistake)
	eventually(t, stallLimit, fmt.Sprintf("Stalled says %q", says), func(ctx context.Context) error {
		return isStalled(ctx, v.cluster, "Invalid", says)
	})
	change(t, v.cluster, func(c kafkaCluster) { c.Spec = *good.DeepCopy() })
	waitReady(t, time.Minute, v.cluster)
}

// plainUser logs in through the handler that the operator brings into the broker.
type plainUser struct{ login }

func newPlainUser(t *testing.T, v *voyage) plainUser {
	t.Helper()
	apply(t, v.ns, userManifest("plain", sharedTopic, v1alpha1.MechanismPlain))
	waitReady(t, time.Minute, userNamed(v.ns, "plain"))
	return plainUser{loginOf(t, v.ns, "plain").at(t, v.ns, sharedName, "outside")}
}

func (u plainUser) mustLogIn(t *testing.T) {
	t.Helper()
	admin := u.admin(t)
	eventually(t, 20*time.Second, "a user logs in with PLAIN", func(ctx context.Context) error {
		topics, err := admin.ListTopics(ctx, sharedTopic)
		if err == nil {
			err = topics.Error()
		}
		return err
	})
}
