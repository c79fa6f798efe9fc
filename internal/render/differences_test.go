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
	before := files("log.segment.bytes=1073741824\nplugin.password=old\nplugin.key=old\nnum.io.threads=8\nnum.network.threads=3\n", "-Xmx1\n")
	after := files("log.segment.bytes=536870912\nplugin.password=new\nplugin.key=new\nbackground.threads=4\n", "-Xmx2\n")
	want := []string{
		"background.threads 4", "log.segment.bytes 1073741824 -> 536870912", "num.io.threads removed",
		"num.network.threads removed", "plugin.key", "and 2 more",
	}
	if got := Differences(version.Catalogue[0], before, after); !slices.Equal(got, want) {
		t.Errorf("%q\nwant %q", got, want)
	}
	if got := Differences(version.Catalogue[0], before, before); len(got) > 0 {
		t.Errorf("of equal files: %q", got)
	}
}

// Of what a broker advertises only the addresses that change are told: the first ones are long, and stay.
func TestOfAdvertisedAddressesThoseAreToldThatChange(t *testing.T) {
	const own = "REPLICATION://events-main-0.events-nodes.shop.svc.cluster.local:9091"
	files := func(listeners string) NodeFiles {
		return NodeFiles{Data: map[string]string{fileProperties: "advertised.listeners=" + own + listeners + "\n"}}
	}
	for name, tt := range map[string]struct{ before, after, want string }{
		"another address": {",EXTERNAL://lb-a:9094", ",EXTERNAL://lb-b:9094",
			"advertised.listeners EXTERNAL://lb-a:9094 -> EXTERNAL://lb-b:9094"},
		"a first address": {"", ",EXTERNAL://lb-b:9094", "advertised.listeners none -> EXTERNAL://lb-b:9094"},
		"none any more":   {",EXTERNAL://lb-a:9094", "", "advertised.listeners EXTERNAL://lb-a:9094 -> none"},
	} {
		got := Differences(version.Catalogue[0], files(tt.before), files(tt.after))
		if !slices.Equal(got, []string{tt.want}) {
			t.Errorf("%s: %q, want %q", name, got, tt.want)
		}
	}
}
