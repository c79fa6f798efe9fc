package version

import "testing"

func TestTheNearestKeyOfAMisspeltOneIsFound(t *testing.T) {
	v, _ := Find("4.3.1")
	for key, want := range map[string]string{
		"log.segment.byts":       "log.segment.bytes",
		"log.segmnet.bytes":      "log.segment.bytes",
		"min.insync.replica":     "min.insync.replicas",
		"some.plugin":            "",
		"x":                      "",
		"log.segment.bytes.more": "",
	} {
		if got := v.Nearest(key); got != want {
			t.Errorf("%s: %q, want %q", key, got, want)
		}
	}
}
