package e2e

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/castellan-dev/castellan/api/v1alpha1"
)

// A disk that is grown by hand stays as it is. A class of attributes that the driver does not carry out is told and can
// be taken back. A claim that is taken up again and is not as the spec asks for is told. None of it costs the broker.
func TestCase45_ClaimsThatAreNotAsAskedForStayAndAreTold(t *testing.T) {
	long(t)
	if !isLocal() {
		t.Skip("the class is the local cluster's")
	}
	const claim, field = "data-events-main-0", "spec.pools[main].storage.volumes[data]"
	ns := newNamespace(t)
	apply(t, ns, onClass(smallManifest(false, ""), "sized"))
	d := disks{ns: ns, cluster: clusterNamed(ns, sharedName)}
	waitReady(t, 3*time.Minute, d.cluster)
	before := lives(t, ns, sharedName)

	d.enlarge(t, claim, "600Mi")
	d.warns(t, field, claim+" has 600Mi ", "where the spec asks for 400Mi ", "the disk stays as it is")
	eventually(t, 2*time.Minute, "the disk has grown", func(ctx context.Context) error {
		return d.hasCapacity(ctx, claim, "600Mi")
	})
	waitReady(t, time.Minute, d.cluster)
	change(t, d.cluster, func(c kafkaCluster) { volume(c, 0).Size = resource.MustParse("600Mi") })
	eventually(t, time.Minute, "nothing warns of the claim any more", func(ctx context.Context) error {
		if warning, err := d.warning(ctx); err != nil || strings.Contains(warning, claim) {
			return fmt.Errorf("%s (error %w)", warning, err)
		}
		return nil
	})
	waitReady(t, time.Minute, d.cluster)

	change(t, d.cluster, func(c kafkaCluster) { volume(c, 0).VolumeAttributesClassName = new("gold") })
	eventually(t, time.Minute, "the class that is not in force is told", func(ctx context.Context) error {
		if err := hasReason(ctx, d.cluster, v1alpha1.ConditionReady, "Growing"); err != nil {
			return err
		}
		says := told(d.cluster.conditions())
		if missing := missingIn(says, []string{claim, "VolumeAttributesClass gold is not in force yet"}); missing != "" {
			return fmt.Errorf("%q is missing in %s", missing, says)
		}
		return nil
	})
	change(t, d.cluster, func(c kafkaCluster) { volume(c, 0).VolumeAttributesClassName = nil })
	waitReady(t, time.Minute, d.cluster)
	mustLiveOn(t, ns, sharedName, before)

	old, id := d.claim(t, claim), d.cluster.Status.ClusterID
	if err := kube.Delete(t.Context(), d.cluster.KafkaCluster); err != nil {
		t.Fatal(err)
	}
	waitCtx, cancel := context.WithTimeout(t.Context(), pace.Of(time.Minute))
	defer cancel()
	if err := waitGone(waitCtx, d.cluster.KafkaCluster); err != nil {
		t.Fatal(err)
	}
	d.cluster = clusterNamed(ns, sharedName)
	apply(t, ns, strings.Replace(onClass(smallManifest(false, ""), "standard"), "400Mi", "500Mi", 1))
	waitReady(t, 3*time.Minute, d.cluster)
	d.warns(t, field, claim+" has 600Mi of storage class sized where the spec asks for 500Mi of storage class standard")
	if now := d.claim(t, claim); now.UID != old.UID || d.cluster.Status.ClusterID != id {
		t.Errorf("claim %s of cluster %s has become %s of cluster %s", old.UID, id, now.UID, d.cluster.Status.ClusterID)
	}
}

// warns waits until the condition Warning says something.
func (d disks) warns(t *testing.T, says ...string) {
	t.Helper()
	eventually(t, time.Minute, fmt.Sprintf("the condition Warning says %q", says), func(ctx context.Context) error {
		warning, err := d.warning(ctx)
		if missing := missingIn(warning, says); err != nil || missing != "" {
			return fmt.Errorf("%q is missing in %s (error %w)", missing, warning, err)
		}
		return nil
	})
}

// warning is what the condition Warning says; empty = there is none.
func (d disks) warning(ctx context.Context) (string, error) {
	if err := refresh(ctx, d.cluster); err != nil {
		return "", err
	}
	w := meta.FindStatusCondition(d.cluster.conditions(), v1alpha1.ConditionWarning)
	if w == nil {
		return "", nil
	}
	return w.Message, nil
}
