package decide

import (
	"fmt"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/castellan-dev/castellan/api/v1alpha1"
	"github.com/castellan-dev/castellan/internal/pki"
	"github.com/castellan-dev/castellan/internal/render"
)

// withTLS is a running cluster with a listener that has TLS, and the Secrets of its nodes.
func withTLS(t *testing.T) Inputs {
	t.Helper()
	in := running(t)
	in.Cluster.Spec.Listeners = []v1alpha1.Listener{{Name: "clients", Port: 9092, Encryption: v1alpha1.EncryptionTLS}}
	in.Accepted = in.Cluster.Spec.DeepCopy()
	d := Decide(in)
	issueAll(t, in, d)
	return renderedAgain(t, in, d)
}

// renderedAgain lets every pod run what was decided, and gives it an address.
func renderedAgain(t *testing.T, in Inputs, d Decision) Inputs {
	t.Helper()
	pool := &d.Model.Pools[0]
	revision := render.Revision(d.Model, pool, d.Files)
	in.Live.ConfigMaps[revision.Name] = revision
	set := render.StatefulSet(d.Model, pool, revision.Name, pool.Replicas, nil)
	set.UID = "set-uid"
	in.Live.StatefulSets[set.Name] = set
	for i := range in.Live.Pods {
		pod := &in.Live.Pods[i]
		pod.Spec = *set.Spec.Template.Spec.DeepCopy()
		for key, value := range set.Spec.Template.Annotations {
			pod.Annotations[key] = value
		}
		pod.Status.PodIP = fmt.Sprintf("10.1.0.%d", i+1)
		pod.Status.ContainerStatuses[0].State.Running.StartedAt = metav1.NewTime(start.Add(time.Minute))
	}
	return in
}

// issueAll writes the key Secrets as a pass would.
func issueAll(t *testing.T, in Inputs, d Decision) {
	t.Helper()
	for _, k := range KeySecrets(d.Model, d.Observation, in.Live, d.Authority, in.Now) {
		data := map[string][]byte{}
		for entry, value := range k.Keep {
			data[entry] = value
		}
		for _, leaf := range k.Issue {
			issued, err := pki.Issue(d.Authority.Authority, leaf.Request, in.Now)
			if err != nil {
				t.Fatal(err)
			}
			data[leaf.Entry+".pem"] = issued.Bundle()
		}
		in.Live.Secrets[k.Name] = &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: k.Name}, Data: data}
	}
}

func TestABrokerPresentsWhatItsSecretHoldsForTheListenersThatItRuns(t *testing.T) {
	for name, c := range map[string]struct {
		change func(in *Inputs)
		want   int // brokers
	}{
		"all of them": {func(*Inputs) {}, 3},
		"one that leaves its machine": {func(in *Inputs) {
			gone := metav1.NewTime(start)
			in.Live.Pods[1].DeletionTimestamp = &gone
		}, 2},
		"one that is not ready":   {func(in *Inputs) { in.Live.Pods[1].Status.Conditions = nil }, 2},
		"one that has no address": {func(in *Inputs) { in.Live.Pods[1].Status.PodIP = "" }, 2},
		"the Secret is gone":      {func(in *Inputs) { delete(in.Live.Secrets, "events-main-listeners") }, 0},
		"one has lost its entry":  {func(in *Inputs) { delete(in.Live.Secrets["events-main-listeners"].Data, "1.clients.pem") }, 2},
		"the revision has no such listener": {func(in *Inputs) {
			for _, revision := range in.Live.ConfigMaps {
				revision.Data, revision.BinaryData = nil, nil
			}
		}, 0},
		"a listener more in the spec, which nobody runs yet": {func(in *Inputs) {
			in.Cluster.Spec.Listeners = append(in.Cluster.Spec.Listeners,
				v1alpha1.Listener{Name: "more", Port: 9095, Encryption: v1alpha1.EncryptionTLS})
		}, 3},
	} {
		t.Run(name, func(t *testing.T) {
			in := withTLS(t)
			c.change(&in)
			got := Decide(in).Presenting
			if len(got) != c.want {
				t.Fatalf("%d brokers present: %+v, expected %d", len(got), got, c.want)
			}
			for _, p := range got {
				if len(p.Listeners) != 1 || p.Listeners[0].Listener != "clients" || p.Digest == "" {
					t.Errorf("%+v", p)
				}
			}
		})
	}
}

func TestAnotherCertificateIsAnotherDigestOfItsBrokerAlone(t *testing.T) {
	in := withTLS(t)
	before := Decide(in).Presenting
	delete(in.Live.Secrets["events-main-listeners"].Data, "1.clients.pem")
	in.Now = in.Now.Add(time.Hour)
	issueAll(t, in, Decide(in))
	after := Decide(in).Presenting
	for i := range before {
		if changed := before[i].Digest != after[i].Digest; changed != (before[i].Node == 1) {
			t.Errorf("broker %d: its digest changed: %t", before[i].Node, changed)
		}
		if after[i].Renewed() != (after[i].Node == 1) {
			t.Errorf("broker %d: its certificate is newer than its process: %t", after[i].Node, after[i].Renewed())
		}
	}
	if host := before[0].Listeners[0].Address; host != "10.1.0.1:9092" {
		t.Errorf("it is asked at %s", host)
	}
}

// A broker goes on advertising its old name until it restarts: its certificate has both until then, and one afterwards.
func TestABrokerIsShownWithTheNameThatItStillAdvertises(t *testing.T) {
	in := withTLS(t)
	advertise := func(host string) {
		in.Cluster.Spec.Listeners[0].Exposure.Advertised = &v1alpha1.Advertised{HostTemplate: host}
		in.Accepted = in.Cluster.Spec.DeepCopy()
	}
	names := func() string {
		d := Decide(in)
		issueAll(t, in, d)
		return string(in.Live.Secrets["events-main-listeners"].Data["0.clients.names"])
	}
	advertise("b{nodeId}.old.example")
	d := Decide(in)
	issueAll(t, in, d)
	in = renderedAgain(t, in, d)
	advertise("b{nodeId}.new.example")
	if both := names(); !strings.Contains(both, "b0.old.example\n") || !strings.Contains(both, "b0.new.example\n") {
		t.Errorf("before its restart the certificate names %q", both)
	}
	again := Decide(in)
	for _, k := range KeySecrets(again.Model, again.Observation, in.Live, again.Authority, in.Now) {
		if !k.Current {
			t.Errorf("%s is written again although nothing differs", k.Name)
		}
	}
	in = renderedAgain(t, in, Decide(in))
	if one := names(); strings.Contains(one, "old.example") || !strings.Contains(one, "b0.new.example\n") {
		t.Errorf("after its restart the certificate names %q", one)
	}
}
