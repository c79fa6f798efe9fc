package version

import "testing"

func TestScopeOfKeys(t *testing.T) {
	v := find(t, "4.3.1")
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
	if Names() != "4.1.2, 4.2.2, 4.3.1" {
		t.Errorf("catalogue reads %q", Names())
	}
}

// KIP-1066, and what Kafka itself asks: MetadataVersion.isCordonedLogDirsSupported.
func TestABrokerTakesACordonFromKafka43OnAtItsMetadataVersion(t *testing.T) {
	for _, tt := range []struct {
		kafka string
		level int16
		takes bool
	}{{"4.1.2", 27, false}, {"4.2.2", 29, false}, {"4.2.2", 30, false}, {"4.3.1", 29, false}, {"4.3.1", 30, true}} {
		v, _ := Find(tt.kafka)
		if got := v.Cordons(tt.level); got != tt.takes {
			t.Errorf("Kafka %s takes a cordon at level %d: %t", tt.kafka, tt.level, got)
		}
	}
}

func TestForeignKeysAreDynamicKeysOfEveryVersionThatHasThem(t *testing.T) {
	newest := Catalogue[len(Catalogue)-1]
	for key := range foreign {
		if newest.Scope(key) == Unknown {
			t.Errorf("the newest version does not know %s", key)
		}
		for _, v := range Catalogue {
			if v.Scope(key) == Static {
				t.Errorf("%s: %s is read-only, so that nobody could set it at run time", v.Kafka, key)
			}
		}
	}
}

func TestKeysThatNotEveryVersionTreatsAlike(t *testing.T) {
	for _, tc := range []struct {
		kafka, key string
		want       Scope
	}{
		{"4.1.2", "leader.replication.throttled.rate", AtRunTime}, // a quota, no key of the file
		{"4.2.2", "leader.replication.throttled.rate", AtRunTime},
		{"4.2.2", "cordoned.log.dirs", Unknown}, // KIP-1066 came with 4.3
		{"4.3.1", "cordoned.log.dirs", PerBroker},
		{"4.1.2", "config.providers", Static},
		{"4.1.2", "controller.quorum.auto.join.enable", Unknown}, // KIP-1186 came with 4.2
		{"4.2.2", "controller.quorum.auto.join.enable", Static},
	} {
		if got := find(t, tc.kafka).Scope(tc.key); got != tc.want {
			t.Errorf("%s: scope of %s = %q, want %q", tc.kafka, tc.key, got, tc.want)
		}
	}
}

func find(t *testing.T, kafka string) Version {
	t.Helper()
	v, ok := Find(kafka)
	if !ok {
		t.Fatalf("%s is not in the catalogue", kafka)
	}
	return v
}
