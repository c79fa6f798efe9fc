package mounts

import (
	"slices"
	"testing"
)

func TestTheTableIsReadWhateverFieldsALineHas(t *testing.T) {
	got := parse(`22 27 0:21 / /proc rw,relatime - proc proc rw
66 63 0:39 /netns /run/netns rw,relatime shared:1 master:2 - tmpfs t rw
67 66 0:4 net:[4026532178] /run/netns/a\040b rw shared:2 - nsfs nsfs rw
half a line
`)
	want := Table{
		{Root: "/", Point: "/proc", Kind: "proc"},
		{Root: "/netns", Point: "/run/netns", Kind: "tmpfs"},
		{Root: "net:[4026532178]", Point: "/run/netns/a b", Kind: "nsfs"},
	}
	if !slices.Equal(got, want) {
		t.Errorf("got %+v", got)
	}
	if !got.Has("/proc") || got.Has("/run") {
		t.Error("a mount point is not told from a folder above one")
	}
}

func TestOwnMountsAreSeen(t *testing.T) {
	points, err := Below("/")
	if err != nil || len(points) == 0 {
		t.Errorf("%v, %v", points, err)
	}
}
