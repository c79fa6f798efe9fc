package render

import (
	"fmt"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/castellan-dev/castellan/api/v1alpha1"
	"github.com/castellan-dev/castellan/internal/model"
)

func TestAPoolIsReadBackFromItsStatefulSet(t *testing.T) {
	for name, text := range map[string]string{"demo": demo, "dedicated": dedicated, "single": single} {
		c := cluster(t, name, text)
		for i := range c.Pools {
			pool := &c.Pools[i]
			got := PoolOf(StatefulSet(c, pool, "REVISION", pool.Replicas, nil))
			if got.Name != pool.Name || *got.Replicas != pool.Replicas ||
				got.HasRole(v1alpha1.RoleController) != pool.Controller || got.HasRole(v1alpha1.RoleBroker) != pool.Broker ||
				!equality.Semantic.DeepEqual(got.Storage.Volumes, pool.Volumes) {
				t.Errorf("%s: %+v, expected %+v", name, got, pool)
			}
		}
	}
}

func TestAStatefulSetKeepsItsClaimsUntilTheyAreOthers(t *testing.T) {
	class := func(name string) *string { return &name }
	for name, change := range map[string]func(v []v1alpha1.Volume) []v1alpha1.Volume{
		"another class":  func(v []v1alpha1.Volume) []v1alpha1.Volume { v[0].StorageClassName = class("slow"); return v },
		"no class":       func(v []v1alpha1.Volume) []v1alpha1.Volume { v[0].StorageClassName = nil; return v },
		"static volumes": func(v []v1alpha1.Volume) []v1alpha1.Volume { v[0].StorageClassName = class(""); return v },
		"another size":   func(v []v1alpha1.Volume) []v1alpha1.Volume { v[0].Size = resource.MustParse("6Gi"); return v },
		"ephemeral": func(v []v1alpha1.Volume) []v1alpha1.Volume {
			v[0].Ephemeral, v[0].StorageClassName = true, nil
			return v
		},
		"one more": func(v []v1alpha1.Volume) []v1alpha1.Volume {
			return append(v, v1alpha1.Volume{Name: "more", Size: resource.MustParse("1Gi")})
		},
	} {
		c := cluster(t, "dedicated", dedicated)
		pool := &c.Pools[0]
		set := StatefulSet(c, pool, "REVISION", pool.Replicas, nil)
		if !KeepsClaims(set, c, pool) {
			t.Fatal("it would make other claims than its pool asks for")
		}
		pool.Volumes = change(pool.Volumes)
		if KeepsClaims(set, c, pool) {
			t.Errorf("%s: it keeps its claims", name)
		}
	}
	c := cluster(t, "dedicated", dedicated)
	set := StatefulSet(c, &c.Pools[0], "REVISION", 3, nil)
	c.Pools[0].Volumes[0].Size = resource.MustParse("5120Mi") // the same, spelt otherwise
	if !KeepsClaims(set, c, &c.Pools[0]) {
		t.Error("another spelling of the size makes other claims")
	}
}

// The certificate that a broker shows on a port is that of the entry which its file names.
func TestTheKeyStoresOfANodeAreReadBackFromItsFiles(t *testing.T) {
	for name, text := range map[string]string{"demo": demo, "dedicated": dedicated, "single": single} {
		c := cluster(t, name, text)
		files := Nodes(c)
		for i := range c.Nodes {
			n := &c.Nodes[i]
			want := map[model.KeyStore]bool{}
			for _, l := range n.Listeners {
				if !l.IsInternal() && strings.HasSuffix(l.SecurityProtocol, "SSL") {
					want[model.KeyStore{Entry: fmt.Sprintf("%d.%s", n.ID, strings.ToLower(l.Name)), Port: l.Port}] = true
				}
			}
			got := KeyStores(files[n.ID])
			for _, store := range got {
				if !want[store] {
					t.Errorf("%s: node %d shows %+v, expected %v", name, n.ID, store, want)
				}
			}
			if len(got) != len(want) {
				t.Errorf("%s: node %d has the key stores %v, expected %v", name, n.ID, got, want)
			}
		}
	}
	if got := KeyStores(NodeFiles{}); len(got) != 0 {
		t.Errorf("a revision that is gone has the key stores %v", got)
	}
}

// A name more in a certificate of a listener is taken by the running broker.
func TestANameMoreInACertificateRestartsNobody(t *testing.T) {
	c := cluster(t, "dedicated", dedicated)
	before := desired(c)
	for i := range c.Nodes {
		for k := range c.Nodes[i].Listeners {
			if l := &c.Nodes[i].Listeners[k]; !l.IsInternal() {
				l.SANs = append(l.SANs, "kafka.example.org")
			}
		}
	}
	after := desired(c)
	for id := range before.Files {
		if before.Files[id].User != after.Files[id].User {
			t.Errorf("node %d restarts", id)
		}
	}
	for pool := range before.Templates {
		if before.Templates[pool].User != after.Templates[pool].User {
			t.Errorf("pool %s restarts", pool)
		}
	}
}
