package decide

import (
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/castellan-dev/castellan/api/v1alpha1"
	"github.com/castellan-dev/castellan/internal/pki"
)

func TestTheWaysAreThoseThatClientsGoToBrokersThatAreUp(t *testing.T) {
	for name, c := range map[string]struct {
		change func(in *Inputs)
		want   int
	}{
		"all of them": {func(*Inputs) {}, 3},
		"one that leaves its machine": {func(in *Inputs) {
			gone := metav1.NewTime(start)
			in.Live.Pods[1].DeletionTimestamp = &gone
		}, 2},
		"one that is not ready": {func(in *Inputs) { in.Live.Pods[1].Status.Conditions = nil }, 2},
		"a listener more, which nobody has yet": {func(in *Inputs) {
			in.Cluster.Spec.Listeners = append(in.Cluster.Spec.Listeners, v1alpha1.Listener{Name: "more", Port: 9095})
		}, 3},
		"other addresses, which nobody advertises yet": {func(in *Inputs) {
			in.Cluster.Spec.Listeners[0].Exposure.Advertised = &v1alpha1.Advertised{HostTemplate: "b{nodeId}.example.com"}
		}, 0},
		"no encryption any more, which brokers still have": {func(in *Inputs) {
			in.Cluster.Spec.Listeners[0].Encryption = v1alpha1.EncryptionNone
		}, 0},
		"a mechanism, which nobody offers yet": {func(in *Inputs) {
			in.Cluster.Spec.Listeners[0].Authentication = &v1alpha1.ListenerAuthentication{
				Mechanisms: []v1alpha1.Mechanism{v1alpha1.MechanismPlain}}
		}, 0},
		"another address of one": {func(in *Inputs) {
			in.Cluster.Spec.Listeners[0].Exposure.Advertised = &v1alpha1.Advertised{
				Overrides: []v1alpha1.AdvertisedOverride{{NodeID: 1, Host: "b1.example.com"}}}
		}, 2},
		"another key in the files":  {func(in *Inputs) { in.Cluster.Spec.Config = map[string]string{"log.segment.bytes": "1048576"} }, 3},
		"an authority that is lost": {func(in *Inputs) { delete(in.Live.Secrets, pki.AuthoritySecret("events")) }, 0},
	} {
		t.Run(name, func(t *testing.T) {
			in := withTLS(t)
			c.change(&in)
			got := Decide(in).Ways
			if len(got) != c.want {
				t.Fatalf("%d ways: %+v, expected %d", len(got), got, c.want)
			}
			for _, w := range got {
				if w.Listener != "clients" || !w.TLS || w.Anchors == "" || w.Port != 9092 || w.NodeHost != w.Host ||
					w.InternalPort != 0 || w.ClusterID == "" || w.Process == "" {
					t.Errorf("%+v", w)
				}
			}
		})
	}
}

// What has been tried proves nothing of another process, or of another certificate.
func TestAWayIsAnotherOnceItsBrokerHasStartedAnewOrShowsAnotherCertificate(t *testing.T) {
	in := withTLS(t)
	before := Decide(in).Ways
	if again := Decide(in).Ways; !again[0].Equal(&before[0]) {
		t.Errorf("nothing has changed: %+v and %+v", before[0], again[0])
	}
	in.Live.Pods[0].Status.ContainerStatuses[0].State.Running.StartedAt = metav1.NewTime(start.Add(2 * time.Minute))
	delete(in.Live.Secrets["events-main-listeners"].Data, "1.clients.pem")
	issueAll(t, in, Decide(in))
	after := Decide(in).Ways
	if after[0].Equal(&before[0]) || after[1].Equal(&before[1]) || !after[2].Equal(&before[2]) {
		t.Errorf("%+v, before %+v", after, before)
	}
}

func TestWithoutTLSTheWayNamesThePortThatShowsTheBroker(t *testing.T) {
	in := running(t)
	port := intstr.FromInt32(19092)
	in.Cluster.Spec.Listeners = []v1alpha1.Listener{{Name: "clients", Port: 9092, Encryption: v1alpha1.EncryptionNone,
		Exposure: v1alpha1.Exposure{Type: v1alpha1.ExposureNodePort, Advertised: &v1alpha1.Advertised{PortTemplate: &port}}}}
	for _, families := range [][]corev1.IPFamily{nil, {corev1.IPv6Protocol}} {
		want := "192.0.2.7:19092"
		if len(families) > 0 {
			in.Cluster.Spec.Listeners[0].Exposure.Services = &v1alpha1.ExposureServices{IPFamilies: families}
			want = "[2001:db8::7]:19092"
		}
		in = runs(t, in)
		for i := range in.Live.Pods {
			in.Live.Pods[i].Status.HostIP = "192.0.2.7"
			in.Live.Pods[i].Status.HostIPs = []corev1.HostIP{{IP: "192.0.2.7"}, {IP: "2001:db8::7"}}
		}
		got := Decide(in).Ways
		if len(got) != 3 {
			t.Fatalf("%+v", got)
		}
		for _, w := range got {
			if w.TLS || w.Anchors != "" || w.InternalPort != 9091 || w.InternalAnchors == "" || w.Address() != want {
				t.Errorf("%+v, want %s", w, want)
			}
		}
	}
}
