package decide

import (
	"fmt"
	"strings"
	"testing"

	"github.com/castellan-dev/castellan/api/v1alpha1"
	"github.com/castellan-dev/castellan/internal/observe"
	"github.com/castellan-dev/castellan/internal/pki"
	"github.com/castellan-dev/castellan/internal/render"
	"github.com/castellan-dev/castellan/internal/verdict"
)

// large is a pool of brokers with listeners of every mechanism.
func large(t *testing.T, nodes int32, listeners int, tls bool, config int) Inputs {
	t.Helper()
	in := asked(t)
	in.Cluster.Spec.Pools[0].Replicas = nodes
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

func TestWhatDoesNotFitIntoAnObjectIsRefusedByItsSize(t *testing.T) {
	for name, c := range map[string]struct {
		in    Inputs
		field string
		says  string
	}{
		"100 brokers, 4 listeners with TLS, 3 KB": {large(t, 100, 4, true, 3<<10), "", ""},
		"100 brokers, 16 listeners, 3 KB":         {large(t, 100, 16, false, 3<<10), "", ""},
		"45 brokers, 16 listeners with TLS":       {large(t, 45, 16, true, 3<<10), "", ""},
		"100 brokers, 16 listeners with TLS": {large(t, 100, 16, true, 3<<10), "spec.pools[main].replicas",
			"and a Secret has room for 1048576; use fewer such listeners, or spread the nodes over more pools"},
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
	hosts := map[int32]string{}
	for id := range int32(5) {
		hosts[id] = longestIP
	}
	leaves := listenerLeaves(c, pool, hosts)
	if len(leaves) != 15 {
		t.Fatalf("%d leaves", len(leaves))
	}
	written := len(authority.CertPEM)
	for _, leaf := range leaves {
		issued, err := pki.Issue(authority, leaf.Request, start)
		if err != nil {
			t.Fatal(err)
		}
		written += len(issued.Bundle()) + len(leaf.Names())
	}
	if computed := keyBytes(c, leaves); computed < written || computed > written+1024+64*len(leaves) {
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
