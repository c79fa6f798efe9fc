package cluster

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/castellan-dev/castellan/hack/localcluster/internal/console"
	"github.com/castellan-dev/castellan/hack/localcluster/internal/plan"
)

func TestOverlap(t *testing.T) {
	for _, c := range []struct {
		a, b string
		want bool
	}{
		{"10.200.0.5/24", "10.200.0.0/24", true},
		{"10.0.0.1/8", "10.201.0.0/16", true},
		{"10.201.3.4/32", "10.201.0.0/16", true},
		{"192.168.0.1/24", "10.200.0.0/24", false},
		{"fe80::1/64", "10.200.0.0/24", false},
	} {
		if got := overlap(c.a, c.b); got != c.want {
			t.Errorf("%+v: %v", c, got)
		}
	}
}

func TestSave(t *testing.T) {
	cache := plan.Cache(t.TempDir())
	make := func(name string, index, nodes int) error {
		return New(cache, Config{Plan: plan.Plan{Name: name, Index: index, Nodes: nodes, Families: plan.IPv4}}, nil).save(cache)
	}
	for _, c := range []struct {
		name         string
		index, nodes int
		ok           bool
	}{
		{"a", 0, 3, true},
		{"a", 0, 3, true},
		{"b", 0, 3, false}, // the index is in use
		{"b", 1, 1, true},
		{"a", 2, 3, false}, // another index
		{"a", 0, 2, false}, // fewer nodes
		{"a", 0, 4, true},
	} {
		if err := make(c.name, c.index, c.nodes); (err == nil) != c.ok {
			t.Errorf("%+v: %v", c, err)
		}
	}
	if c, err := Load(cache, "a", nil); err != nil || c.Plan.Nodes != 4 {
		t.Errorf("%+v %v", c, err)
	}
	if _, err := Load(cache, "c", nil); err == nil {
		t.Error("a cluster that is not there is loaded")
	}
}

func TestFamilies(t *testing.T) {
	has, lacks := func() error { return nil }, func() error { return errors.New("no nft") }
	for name, c := range map[string]struct {
		asked, old plan.Families
		exists     bool
		kernel     func() error
		want       plan.Families // none = it is refused
	}{
		"both where the kernel has them":                 {"", "", false, has, plan.Both},
		"IPv4 where it has no IPv6":                      {"", "", false, lacks, plan.IPv4},
		"what is asked for":                              {plan.IPv6, "", false, has, plan.IPv6},
		"IPv4 needs nothing of the kernel":               {plan.IPv4, "", false, lacks, plan.IPv4},
		"what the kernel lacks is refused":               {plan.Both, "", false, lacks, ""},
		"a cluster keeps what it has":                    {"", plan.IPv6, true, lacks, plan.IPv6},
		"one of before there was a choice":               {plan.IPv4, "", true, has, ""},
		"one that exists gets no other families":         {plan.Both, plan.IPv4, true, has, "refused"},
		"one of before there was a choice keeps to that": {plan.Both, "", true, has, "refused"},
	} {
		out := console.New(os.Stderr, t.TempDir())
		cl := New(plan.Cache(t.TempDir()), Config{Plan: plan.Plan{Name: "a", Nodes: 1, Families: c.asked}}, out)
		err := cl.settleFamilies(plan.Plan{Families: c.old}, c.exists, c.kernel)
		refused := c.want == "refused" || (c.want == "" && !c.exists)
		if (err != nil) != refused || !refused && cl.Plan.Families != c.want {
			t.Errorf("%s: %q, %v", name, cl.Plan.Families, err)
		}
	}
}

func TestDeleteState(t *testing.T) {
	cache := plan.Cache(t.TempDir())
	c := New(cache, Config{Plan: plan.Plan{Name: "a", Nodes: 1}}, nil)
	for _, d := range []string{"etcd", "run", "log"} {
		if err := os.MkdirAll(c.Dir.Path(d), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := c.deleteState(true, true); err != nil {
		t.Fatal(err)
	}
	left, err := filepath.Glob(c.Dir.Path("*"))
	if err != nil || len(left) != 1 || filepath.Base(left[0]) != "etcd" {
		t.Errorf("%v %v", left, err)
	}
	if err := c.deleteState(false, true); err != nil {
		t.Fatal(err)
	}
	if left, _ := os.ReadDir(cache.Clusters()); len(left) != 0 {
		t.Errorf("%v", left)
	}
}

func TestRemoveCgroup(t *testing.T) {
	root := filepath.Join(t.TempDir(), "c")
	if err := os.MkdirAll(filepath.Join(root, "n1", "pods", "x"), 0o755); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if busy, err := removeCgroup(root); err != nil || len(busy) > 0 {
			t.Error(busy, err)
		}
	}
	if _, err := os.Stat(root); !os.IsNotExist(err) {
		t.Error(err)
	}
}
