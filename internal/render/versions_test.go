package render

import (
	"strings"
	"testing"

	"github.com/castellan-dev/castellan/internal/version"
)

// ofTheAuthorizer is a key that the authorizer reads for itself.
const ofTheAuthorizer = "super.users"

// Kafka takes a key that it does not know without a word, and what it was to do is not done.
func TestEveryVersionKnowsTheKeysThatAreRendered(t *testing.T) {
	for _, v := range version.Catalogue {
		for name, spec := range map[string]string{"demo": demo, "dedicated": dedicated, "single": single} {
			c := cluster(t, name, strings.Replace(spec, "4.3.1", v.Kafka, 1))
			if c.Image != "apache/kafka:"+v.Kafka {
				t.Errorf("Kafka %s: image %s", v.Kafka, c.Image)
			}
			for _, files := range Nodes(c) {
				for line := range strings.Lines(files.Data[fileProperties]) {
					key, _, isProperty := strings.Cut(line, "=")
					if isProperty && key != ofTheAuthorizer && v.Scope(withoutListener(key)) == version.Unknown {
						t.Errorf("Kafka %s does not know %s", v.Kafka, key)
					}
				}
			}
			for key := range c.DynamicConfig {
				if !v.IsDynamic(key) {
					t.Errorf("Kafka %s cannot change %s at run time", v.Kafka, key)
				}
			}
		}
	}
}

// withoutListener takes away what makes a key that of one listener, and of one mechanism there.
func withoutListener(key string) string {
	rest, isListener := strings.CutPrefix(key, "listener.name.")
	if !isListener {
		return key
	}
	_, rest, _ = strings.Cut(rest, ".")
	for _, mechanism := range []string{"plain.", "scram-sha-256.", "scram-sha-512."} {
		rest = strings.TrimPrefix(rest, mechanism)
	}
	return rest
}
