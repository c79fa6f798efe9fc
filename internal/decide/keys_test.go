package decide

import (
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/castellan-dev/castellan/internal/model"
	"github.com/castellan-dev/castellan/internal/observe"
	"github.com/castellan-dev/castellan/internal/pki"
	"github.com/castellan-dev/castellan/internal/render"
)

func TestTheCertificatesNameThePrincipalsThatBrokersTakeForSuperUsers(t *testing.T) {
	node := nodeRequest([]string{"events-main-0"}, nil)
	operator := pki.Request{CommonName: pki.OperatorName, Organization: pki.Organization}
	for principal, want := range map[string]string{node.Principal(): render.NodePrincipal, operator.Principal(): render.OperatorPrincipal} {
		if principal != want {
			t.Errorf("the certificate makes %s, super.users holds %s", principal, want)
		}
	}
}

func TestAListenersCertificateNamesTheAddressOfItsKubernetesNode(t *testing.T) {
	request := nodeRequest([]string{"b", "a", "b"}, model.HostIPs{"10.0.0.7"})
	if got := (Leaf{Request: request}).Names(); got != "a\nb\n10.0.0.7\n" {
		t.Errorf("names %q", got)
	}
}

// A broker that is gone comes back where partitions name it. It then starts on the files that it last ran, and with its
// certificates.
func TestANodeKeepsItsCertificatesAsLongAsItsFiles(t *testing.T) {
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	authority, err := pki.NewAuthority("shop/events", now)
	if err != nil {
		t.Fatal(err)
	}
	c := &model.Cluster{Namespace: "shop", Name: "events", Domain: "cluster.local"}
	c.Pools = []model.Pool{{Name: "main", StatefulSet: "events-main"}}
	o := &model.Observation{Pools: map[string]model.ObservedPool{
		"main":  {Broker: true, Files: map[int32]model.Fingerprint{5: {}, 6: {}}},
		"other": {Broker: true, Files: map[int32]model.Fingerprint{7: {}}},
	}}
	have := map[string][]byte{"5.pem": []byte("five"), "6.pem": []byte("six"), "7.pem": []byte("seven"), "8.pem": []byte("8")}
	for _, name := range []string{c.InternalSecret(&c.Pools[0]), c.ListenersSecrets(&c.Pools[0])[0]} {
		live := &observe.Live{Secrets: map[string]*corev1.Secret{name: {Data: have}}}
		secrets := KeySecrets(c, o, live, AuthorityState{Authority: authority}, now)
		i := slices.IndexFunc(secrets, func(k KeySecret) bool { return k.Name == name })
		if i < 0 {
			t.Fatalf("nothing is said of %s", name)
		}
		kept := slices.Sorted(maps.Keys(secrets[i].Keep))
		if want := []string{"5.pem", "6.pem", "ca.crt"}; !slices.Equal(kept, want) {
			t.Errorf("%s: kept are %v, want %v", name, kept, want)
		}
	}
}

// A broker that leaves may be drained to another Kubernetes node first, and its start script waits for a certificate
// that names the address of that one.
func TestALeavingBrokerThatMovesGetsACertificateForItsNewAddress(t *testing.T) {
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	authority, err := pki.NewAuthority("shop/events", now)
	if err != nil {
		t.Fatal(err)
	}
	const entry = "1.external"
	for _, kept := range []bool{true, false} { // its pool stays in the spec, or has left it
		c := &model.Cluster{Namespace: "shop", Name: "events", Domain: "cluster.local"}
		if kept {
			c.Pools = []model.Pool{{Name: "main", StatefulSet: "events-main"}}
		}
		o := &model.Observation{
			Pools: map[string]model.ObservedPool{"main": {Broker: true}},
			Nodes: map[int32]model.ObservedNode{1: {Pod: &model.ObservedPod{Pool: "main"}}},
		}
		name := c.ListenersSecrets(&model.Pool{Name: "main", StatefulSet: "events-main"})[0]
		live := &observe.Live{
			Pods: []corev1.Pod{{ObjectMeta: metav1.ObjectMeta{Name: "events-main-1"}, Status: corev1.PodStatus{HostIP: "10.0.0.2"}}},
			Secrets: map[string]*corev1.Secret{name: {Data: map[string][]byte{
				entry + ".names": []byte("events-main-1.example\n10.0.0.1\n"), entry + ".pem": []byte("old"),
			}}},
		}
		secrets := KeySecrets(c, o, live, AuthorityState{Authority: authority}, now)
		i := slices.IndexFunc(secrets, func(k KeySecret) bool { return k.Name == name })
		if i < 0 || secrets[i].Current || len(secrets[i].Issue) != 1 {
			t.Fatalf("its pool is in the spec: %t; nothing is issued: %+v", kept, secrets)
		}
		if got := secrets[i].Issue[0]; got.Entry != entry || got.Names() != "events-main-1.example\n10.0.0.2\n" {
			t.Errorf("issued %s for %q", got.Entry, got.Names())
		}
		if got := string(secrets[i].Keep[entry+".names"]); got != "events-main-1.example\n10.0.0.2\n" {
			t.Errorf("the names are %q", got)
		}
		live.Pods[0].Status.HostIP = "10.0.0.1"
		for _, k := range KeySecrets(c, o, live, AuthorityState{Authority: authority}, now) {
			if k.Name == name && len(k.Issue) > 0 {
				t.Errorf("it has not moved, and is issued %+v", k.Issue)
			}
		}
	}
}

// What a listener advertises whatever the Kubernetes node is no address of one, also if it is an IP address.
func TestALeavingBrokerThatMovesKeepsTheAddressesOfItsOwn(t *testing.T) {
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	authority, err := pki.NewAuthority("shop/events", now)
	if err != nil {
		t.Fatal(err)
	}
	for asked, want := range map[string]string{
		"outside 192.0.2.7\noutside b.org\noutside @HOST_IP@\n":   "b.org\n10.0.0.2\n192.0.2.7\n",
		"outside 192.0.2.7\noutside b.org\noutside @HOST_IPV6@\n": "b.org\n10.0.0.2\n192.0.2.7\nfd00::2\n",
		"outside 192.0.2.7\noutside b.org\n":                      "",
	} {
		c := &model.Cluster{Namespace: "shop", Name: "events", Pools: []model.Pool{{Name: "main", StatefulSet: "events-main"}}}
		o := &model.Observation{
			Pools: map[string]model.ObservedPool{"main": {Broker: true}},
			Nodes: map[int32]model.ObservedNode{1: {Pod: &model.ObservedPod{Pool: "main"}}},
		}
		pod := corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "events-main-1"}, Status: corev1.PodStatus{HostIP: "10.0.0.2"}}
		if strings.Contains(asked, model.HostIPv6Placeholder) {
			pod.Status.HostIPs = []corev1.HostIP{{IP: "10.0.0.2"}, {IP: "fd00::2"}}
		}
		pod.Spec.Volumes = []corev1.Volume{{Name: render.RevisionVolume, VolumeSource: corev1.VolumeSource{
			ConfigMap: &corev1.ConfigMapVolumeSource{LocalObjectReference: corev1.LocalObjectReference{Name: "revision"}}}}}
		live := &observe.Live{
			Pods:       []corev1.Pod{pod},
			ConfigMaps: map[string]*corev1.ConfigMap{"revision": {Data: map[string]string{"start.sh": "x", "1.names": asked}}},
			Secrets: map[string]*corev1.Secret{c.ListenersSecrets(&c.Pools[0])[0]: {Data: map[string][]byte{
				"1.outside.names": []byte("b.org\n192.0.2.7\n10.0.0.1\n"), "1.outside.pem": []byte("old")}}},
		}
		var issued string
		for _, k := range KeySecrets(c, o, live, AuthorityState{Authority: authority}, now) {
			for _, leaf := range k.Issue {
				issued += leaf.Names()
			}
		}
		if issued != want {
			t.Errorf("asked for %q: issued for %q, want %q", asked, issued, want)
		}
	}
}

// A client may begin at any address of a Kubernetes node, whichever of them is advertised.
func TestCertificatesNameAllAddressesOfTheKubernetesNode(t *testing.T) {
	for name, tt := range map[string]struct {
		status corev1.PodStatus
		want   string
	}{
		"one family": {corev1.PodStatus{HostIP: "10.0.0.2"}, "a.example\n10.0.0.2\n"},
		"two families": {corev1.PodStatus{HostIP: "10.0.0.2", HostIPs: []corev1.HostIP{{IP: "10.0.0.2"}, {IP: "fd00::2"}}},
			"a.example\n10.0.0.2\nfd00::2\n"},
		"IPv6 first": {corev1.PodStatus{HostIP: "fd00::2", HostIPs: []corev1.HostIP{{IP: "fd00::2"}, {IP: "10.0.0.2"}}},
			"a.example\n10.0.0.2\nfd00::2\n"},
		"no address yet": {corev1.PodStatus{}, ""},
	} {
		c := &model.Cluster{Pools: []model.Pool{{Name: "main"}}, Nodes: []model.Node{{ID: 1, Pool: "main",
			Listeners: []model.NodeListener{{Name: "OUTSIDE", SANs: []string{"a.example"}, NeedsHostIP: true}}}}}
		pods := []corev1.Pod{{ObjectMeta: metav1.ObjectMeta{Name: "events-main-1"}, Status: tt.status}}
		var got string
		for _, leaf := range listenerLeaves(c, &c.Pools[0], Hosts(pods)) {
			got += leaf.Names()
		}
		if got != tt.want {
			t.Errorf("%s: %q, want %q", name, got, tt.want)
		}
	}
}
