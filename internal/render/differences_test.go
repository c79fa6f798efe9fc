package render

import (
	"slices"
	"testing"

	"github.com/castellan-dev/castellan/internal/version"
)

func TestDifferencesAreToldWithoutSecrets(t *testing.T) {
	files := func(properties, jvm string) NodeFiles {
		return NodeFiles{Data: map[string]string{fileProperties: properties, fileJVM: jvm}}
	}
	before := files("log.segment.bytes=1073741824\nplugin.password=old\nplugin.key=old\nnum.io.threads=8\n", "-Xmx1\n")
	after := files("log.segment.bytes=536870912\nplugin.password=new\nplugin.key=new\nbackground.threads=4\n", "-Xmx2\n")
	want := []string{
		"background.threads 4", "log.segment.bytes 1073741824 -> 536870912", "num.io.threads removed", "plugin.key", "plugin.password", "and 1 more",
	}
	if got := Differences(version.Catalogue[0], before, after); !slices.Equal(got, want) {
		t.Errorf("%q\nwant %q", got, want)
	}
	if got := Differences(version.Catalogue[0], before, before); len(got) > 0 {
		t.Errorf("of equal files: %q", got)
	}
}
