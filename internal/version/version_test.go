package version

import "testing"

func TestScopeOfKeys(t *testing.T) {
	v, ok := Find("4.3.1")
	if !ok {
		t.Fatal("4.3.1 is not in the catalogue")
	}
	for _, tc := range []struct {
		name, key string
		scope     Scope
		dynamic   bool
	}{
		{"the retention in ms can change at run time", "log.retention.ms", AtRunTime, true},
		{"the retention in hours cannot", "log.retention.hours", Static, false},
		{"min ISR can change at run time", "min.insync.replicas", AtRunTime, true},
		{"a key store belongs to one broker", "ssl.keystore.location", PerBroker, false},
		{"config providers are needed to read the file", "config.providers", AtRunTime, false},
		{"a key that Kafka does not have is unknown", "log.retention.fortnights", Unknown, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if got := v.Scope(tc.key); got != tc.scope {
				t.Errorf("scope of %s = %q, want %q", tc.key, got, tc.scope)
			}
			if got := v.IsDynamic(tc.key); got != tc.dynamic {
				t.Errorf("IsDynamic(%s) = %v, want %v", tc.key, got, tc.dynamic)
			}
		})
	}
}

func TestUnknownVersionIsNotFound(t *testing.T) {
	if _, ok := Find("4.2.0"); ok {
		t.Error("4.2.0 was found")
	}
	if Names() != "4.3.1" {
		t.Errorf("catalogue reads %q", Names())
	}
}

func TestForeignKeysAreDynamicKeysOfEveryVersion(t *testing.T) {
	for key := range foreign {
		for _, v := range Catalogue {
			if s := v.Scope(key); s != AtRunTime && s != PerBroker {
				t.Errorf("%s: %s has scope %q, so that nobody could set it at run time", v.Kafka, key, s)
			}
		}
	}
}
