package e2e

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/castellan-dev/castellan/api/v1alpha1"
)

// A certificate of a listener of clients is issued anew, and the broker shows it a moment later, without a restart and
// without a client that notices.
func TestCase31_ARenewedCertificateReachesARunningBroker(t *testing.T) {
	promise(t)
	ns := shared(t)
	before := lives(t, ns, sharedName)
	f := startFlow(t, loginOf(t, ns, adminUser).at(t, ns, sharedName, "securenp"), sharedTopic, "certified")
	address := net.JoinHostPort(getPod(t, ns, "events-main-1").Status.PodIP, "9096")
	old := shown(t, address)
	secret := &corev1.Secret{}
	if err := kube.Get(t.Context(), client.ObjectKey{Namespace: ns, Name: "events-main-listeners"}, secret); err != nil {
		t.Fatal(err)
	}
	gone := client.RawPatch("application/merge-patch+json", []byte(`{"data":{"1.securenp.pem":null}}`))
	if err := kube.Patch(t.Context(), secret, gone); err != nil {
		t.Fatal(err)
	}
	took := eventually(t, 20*time.Second, "the broker shows another certificate", func(context.Context) error {
		if now := shown(t, address); now == old {
			return fmt.Errorf("it shows the one with serial %s", now)
		}
		return nil
	})
	figureSeconds(t, "certificate-in-force", took)
	f.progress(t, 30*time.Second)
	f.stopServed(t)
	mustLiveOn(t, ns, sharedName, before)
	waitReady(t, time.Minute, clusterNamed(ns, sharedName))
}

// The key of the cluster's authority is replaced: three rolls, in which every node trusts every other and clients work. The
// operator is killed in each of them.
func TestCase31_TheKeyOfTheAuthorityIsReplacedAndNoClientIsCutOff(t *testing.T) {
	long(t)
	ns := newNamespace(t)
	d := startDisks(t, ns, sharedManifest)
	old := loginOf(t, ns, adminUser).at(t, ns, sharedName, "securenp")
	if err := tryToProduce(t, old, sharedTopic); err != nil {
		t.Fatal(err)
	}
	begin := time.Now()
	change(t, d.cluster, func(c kafkaCluster) {
		if c.Annotations == nil {
			c.Annotations = map[string]string{}
		}
		c.Annotations[v1alpha1.AnnotationReplaceAuthority] = "1"
	})
	seen := map[string]bool{}
	eventually(t, 10*time.Minute, "clients trust another authority alone", func(ctx context.Context) error {
		l := loginOf(t, ns, adminUser).at(t, ns, sharedName, "securenp")
		anchors := bytes.Count(l.ca, []byte("BEGIN CERTIFICATE"))
		if key := fmt.Sprint(anchors); !seen[key] {
			seen[key] = true
			say(t, "clients trust %d authorities", anchors)
			if err := killOperator(ctx); err != nil { // another one goes on in the same round
				t.Error(err)
			}
		}
		if bytes.Contains(l.ca, bytes.TrimSpace(old.ca)) {
			return fmt.Errorf("they trust the old one: %w", errors.Join(isReady(ctx, d.cluster)))
		}
		return isReady(ctx, d.cluster)
	})
	figureSeconds(t, "authority-replaced", time.Since(begin))
	if !seen["2"] {
		t.Error("clients were never given both authorities")
	}
	waitInSync(t, d.login.admin(t))
	d.flow.stopServed(t)
	if err := tryToProduce(t, loginOf(t, ns, adminUser).at(t, ns, sharedName, "securenp"), sharedTopic); err != nil {
		t.Errorf("with the new authority: %v", err)
	}
	if err := tryToProduce(t, old, sharedTopic); err == nil {
		t.Error("whoever trusts the old authority alone is served")
	}
}

// shown is the serial number of the certificate that a server shows.
func shown(t *testing.T, address string) string {
	t.Helper()
	// Its chain and its names are what the clients of the case look at.
	dialer := &tls.Dialer{NetDialer: &net.Dialer{Timeout: pace.Of(5 * time.Second)},
		Config: &tls.Config{InsecureSkipVerify: true, MinVersion: tls.VersionTLS12}}
	conn, err := dialer.DialContext(t.Context(), "tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	return conn.(*tls.Conn).ConnectionState().PeerCertificates[0].SerialNumber.String()
}

// The authority is deleted, brought back without its labels, and then as the backup has it. Each time one line says what
// to do, nobody restarts, and another authority is never made.
func TestCase31_TheAuthorityComesBackFromItsBackup(t *testing.T) {
	long(t)
	ns := small(t, false, "")
	cluster, before := clusterNamed(ns, sharedName), lives(t, ns, sharedName)
	secret := &corev1.Secret{}
	if err := kube.Get(t.Context(), client.ObjectKey{Namespace: ns, Name: "events-ca"}, secret); err != nil {
		t.Fatal(err)
	}
	backup := secret.DeepCopy()
	backup.UID, backup.ResourceVersion = "", ""
	if err := kube.Delete(t.Context(), secret); err != nil {
		t.Fatal(err)
	}
	says := func(what ...string) {
		t.Helper()
		eventually(t, time.Minute, "Ready says it", func(ctx context.Context) error {
			if err := refresh(ctx, cluster); err != nil {
				return err
			}
			ready := meta.FindStatusCondition(cluster.conditions(), v1alpha1.ConditionReady)
			if missing := missingIn(ready.Message, what); missing != "" {
				return fmt.Errorf("%s: %q is not in it", told(cluster.conditions()), missing)
			}
			return nil
		})
	}
	says("Secret events-ca", "is missing", "restore it from a backup")
	bare := backup.DeepCopy()
	bare.Labels, bare.OwnerReferences = nil, nil
	if err := kube.Create(t.Context(), bare); err != nil {
		t.Fatal(err)
	}
	says("Secret events-ca", v1alpha1.LabelCluster)
	if err := kube.Delete(t.Context(), bare); err != nil {
		t.Fatal(err)
	}
	if err := kube.Create(t.Context(), backup); err != nil {
		t.Fatal(err)
	}
	waitReady(t, time.Minute, cluster)
	mustLiveOn(t, ns, sharedName, before)
	if err := kube.Get(t.Context(), client.ObjectKey{Namespace: ns, Name: "events-ca"}, secret); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(secret.Data["ca.crt"], backup.Data["ca.crt"]) {
		t.Error("another authority was made")
	}
}
