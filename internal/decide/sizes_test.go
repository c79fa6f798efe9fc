package decide

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/castellan-dev/castellan/api/v1alpha1"
	"github.com/castellan-dev/castellan/internal/model"
	"github.com/castellan-dev/castellan/internal/observe"
	"github.com/castellan-dev/castellan/internal/pki"
	"github.com/castellan-dev/castellan/internal/render"
	"github.com/castellan-dev/castellan/internal/verdict"
)

// large is a pool of brokers with listeners of every mechanism.
func large(t *testing.T, nodes int32, listeners int, tls bool, config int) Inputs {
	t.Helper()
	in := asked(t)
	in.Cluster.Spec.Pools[0].Replicas = new(nodes)
	in.Cluster.Spec.Config = v1alpha1.Config{}
	for i := 0; config > 0; i, config = i+1, config-8000 {
		in.Cluster.Spec.Config[fmt.Sprint("metrics.some.plug.in.", i)] = strings.Repeat("x", min(config, 8000))
	}
	for i := range listeners {
		l := v1alpha1.Listener{
			Name: fmt.Sprintf("listener%02d", i), Port: int32(10000 + i),
			Exposure:       v1alpha1.Exposure{Type: v1alpha1.ExposureNodePort},
			Authentication: &v1alpha1.ListenerAuthentication{Mechanisms: []v1alpha1.Mechanism{"PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"}},
		}
		if l.Encryption = v1alpha1.EncryptionNone; tls {
			l.Encryption = v1alpha1.EncryptionTLS
		}
		in.Cluster.Spec.Listeners = append(in.Cluster.Spec.Listeners, l)
	}
	return in
}

// longNames gives the cluster and its namespace the longest names that it may have.
func longNames(in Inputs) Inputs {
	in.Cluster.Namespace, in.Cluster.Name = strings.Repeat("n", 63), strings.Repeat("c", 24)
	return in
}

// A pool of the largest size: what is written is weighed, not what was computed.
func TestTheKeysOfManyListenersAreSpreadOverSecrets(t *testing.T) {
	authority, err := pki.NewAuthority(pki.AuthorityName("shop", "events"), start)
	if err != nil {
		t.Fatal(err)
	}
	live := &observe.Live{Secrets: map[string]*corev1.Secret{}}
	where := map[string]string{} // by key
	for _, nodes := range []int32{40, 100} {
		in := large(t, nodes, 16, true, 0)
		d := Decide(in)
		if len(d.Verdicts) > 0 {
			t.Fatalf("%d nodes: %v", nodes, d.Verdicts)
		}
		c := assumed(d.Model)
		names := c.ListenersSecrets(&c.Pools[0])
		for id := range nodes {
			live.Pods = append(live.Pods, corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprintf("events-main-%d", id)},
				Status: corev1.PodStatus{HostIP: longestIP, HostIPs: []corev1.HostIP{{IP: longestIP}, {IP: longestIPv4}}}})
		}
		issued := 0
		for _, k := range KeySecrets(c, d.Observation, live, AuthorityState{Authority: authority}, start) {
			secret := &corev1.Secret{Data: maps.Clone(k.Keep)}
			for _, leaf := range k.Issue {
				bundle, err := pki.Issue(authority, leaf.Request, start)
				if err != nil {
					t.Fatal(err)
				}
				secret.Data[leaf.Entry+".pem"] = bundle.Bundle()
				issued++
			}
			size := 0
			for entry, value := range secret.Data {
				size += len(value)
				if k.Name == c.InternalSecret(&c.Pools[0]) || !strings.HasSuffix(entry, ".pem") {
					continue
				}
				if before := where[entry]; before != "" && before != k.Name {
					t.Errorf("%s goes from %s to %s", entry, before, k.Name)
				}
				where[entry] = k.Name
				if secret.Data[strings.TrimSuffix(entry, ".pem")+".names"] == nil {
					t.Errorf("%s is without its names in %s", entry, k.Name)
				}
			}
			if size > maxObject {
				t.Errorf("%d nodes: %s takes %d bytes", nodes, k.Name, size)
			}
			if !slices.Contains(append(names, c.InternalSecret(&c.Pools[0])), k.Name) {
				t.Errorf("no pod mounts %s", k.Name)
			}
			live.Secrets[k.Name] = secret
			t.Logf("%d nodes: %s has %d entries, %d bytes", nodes, k.Name, len(secret.Data), size)
		}
		if want := int(nodes) * 16; len(where) != want || issued < int(nodes) {
			t.Errorf("%d nodes have %d keys for listeners, expected %d; %d were issued", nodes, len(where), want, issued)
		}
		for _, k := range KeySecrets(c, d.Observation, live, AuthorityState{Authority: authority}, start) {
			if !k.Current {
				t.Errorf("%d nodes: %s is written again, %d keys issued", nodes, k.Name, len(k.Issue))
			}
		}
	}
}

// A pod of an earlier operator mounts the first Secret alone: what is there stays there, whatever comes beside it.
func TestAKeyStaysInItsSecret(t *testing.T) {
	sizes := map[string]int{"0.a": 400, "0.b": 400, "1.a": 400, "1.b": 400}
	for name, c := range map[string]struct {
		stays map[string]int
		want  map[string]int
		fits  bool
		room  int
	}{
		"new keys fill one Secret after the other": {nil, map[string]int{"0.a": 0, "0.b": 0, "1.a": 1, "1.b": 1}, true, keyRoom + 800},
		"what is there stays": {map[string]int{"1.b": 0, "0.a": 2},
			map[string]int{"0.a": 2, "0.b": 0, "1.a": 1, "1.b": 0}, true, keyRoom + 800},
		"what no longer fits goes": {map[string]int{"0.a": 3, "0.b": 3, "1.a": 3}, map[string]int{"0.a": 3, "0.b": 3,
			"1.a": 0, "1.b": 0}, true, 800},
		"too much": {nil, nil, false, 399},
	} {
		t.Run(name, func(t *testing.T) {
			places, fits := placed(sizes, c.stays, c.room)
			if fits != c.fits || c.fits && !maps.Equal(places, c.want) {
				t.Errorf("%v, fits %t; expected %v", places, fits, c.want)
			}
		})
	}
}

func TestWhatDoesNotFitIntoAnObjectIsRefusedByItsSize(t *testing.T) {
	for name, c := range map[string]struct {
		in    Inputs
		field string
		says  string
	}{
		"100 brokers, 4 listeners with TLS, 3 KB":               {large(t, 100, 4, true, 3<<10), "", ""},
		"100 brokers, 16 listeners, 3 KB":                       {large(t, 100, 16, false, 3<<10), "", ""},
		"45 brokers, 16 listeners with TLS":                     {large(t, 45, 16, true, 3<<10), "", ""},
		"100 brokers, 16 listeners with TLS, 3 KB":              {large(t, 100, 16, true, 3<<10), "", ""},
		"100 brokers, 16 listeners with TLS, the longest names": {longNames(large(t, 100, 16, true, 3<<10)), "", ""},
		"100 brokers, 40 listeners with TLS": {large(t, 100, 40, true, 3<<10), "spec.pools[main].replicas",
			" bytes, and 4 Secrets have room for 4046848; use fewer such listeners, or spread the nodes over more pools"},
		"more configuration than anybody needs": {large(t, 3, 1, false, 920<<10), "spec.pools[main].config",
			"and a ConfigMap has room for 917504; shorten the configuration"},
	} {
		t.Run(name, func(t *testing.T) {
			d := Decide(c.in)
			if c.field == "" && len(d.Verdicts) > 0 {
				t.Errorf("%v", d.Verdicts)
			}
			c.in.Accepted = c.in.Cluster.Spec.DeepCopy()
			if d := Decide(c.in); len(d.Verdicts) > 0 {
				t.Errorf("what was accepted once is refused: %v", d.Verdicts)
			}
			if c.field != "" && (len(d.Verdicts) != 1 || d.Verdicts[0].Field != c.field ||
				d.Verdicts[0].Reason != verdict.ReasonInvalid || !strings.Contains(d.Verdicts[0].Text(), c.says)) {
				t.Errorf("%v, expected %s: ...%s", d.Verdicts, c.field, c.says)
			}
		})
	}
}

// What is computed is what is written.
func TestTheSizesAreThoseOfWhatIsWritten(t *testing.T) {
	in := large(t, 5, 3, true, 100)
	d := Decide(in)
	in.Live.Pods = nil
	authority, err := pki.NewAuthority(pki.AuthorityName("shop", "events"), start)
	if err != nil {
		t.Fatal(err)
	}
	c := assumed(d.Model)
	pool := &c.Pools[0]
	hosts := map[int32]model.HostIPs{}
	for id := range int32(5) {
		hosts[id] = model.HostIPs{longestIP, longestIPv4}
	}
	leaves := listenerLeaves(c, pool, hosts)
	if len(leaves) != 15 {
		t.Fatalf("%d leaves", len(leaves))
	}
	written := 0
	for _, leaf := range leaves {
		issued, err := pki.Issue(authority, leaf.Request, start)
		if err != nil {
			t.Fatal(err)
		}
		written += len(issued.Bundle()) + len(leaf.Names())
	}
	computed := 0
	for _, leaf := range leaves {
		computed += leafBytes(leaf, pki.AuthorityName("shop", "events"))
	}
	if computed < written || computed > written+64*len(leaves) {
		t.Errorf("%d bytes are computed, %d are written", computed, written)
	}
	for i := range d.Model.Nodes {
		if d.Model.Nodes[i].Waiting == "" {
			t.Errorf("node %d knows its ports: the test shows nothing", i)
		}
	}
	if d.Model == c || len(render.Nodes(d.Model)) != 0 || len(KeySecrets(d.Model, d.Observation, &observe.Live{}, AuthorityState{Authority: authority}, start)) == 0 {
		t.Error("what is assumed has changed what is decided")
	}
}
