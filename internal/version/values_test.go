package version

import (
	"maps"
	"slices"
	"testing"
)

// spelling is a value as somebody may write it and as a broker tells it (ConfigDef.parseType, then convertToString).
type spelling struct{ written, told string }

// spellings are every way to write a value of each type, and values that Kafka reads differently.
var spellings = map[Type]struct {
	alike     []spelling
	different []spelling
}{
	Boolean: {
		[]spelling{{"true", "true"}, {"TRUE", "true"}, {"False", "false"}, {" true", "true"}, {"true\t", "true"}},
		[]spelling{{"true", "false"}, {"yes", "true"}, {"1", "true"}, {"", "false"}},
	},
	Int: {
		[]spelling{{"5", "5"}, {" 5 ", "5"}, {"+5", "5"}, {"005", "5"}, {"-1", "-1"}, {"+1073741824", "1073741824"},
			{"\x005\x1f", "5"}, {"-0", "0"}},
		[]spelling{{"5", "6"}, {"5.0", "5"}, {"1e3", "1000"}, {"4294967301", "5"}, {"\u00a05", "5"}, {"1_000", "1000"},
			{"", "0"}, {"-5", "5"}},
	},
	Long: {
		[]spelling{{" 86400000", "86400000"}, {"+9223372036854775807", "9223372036854775807"}},
		[]spelling{{"9223372036854775808", "9223372036854775807"}, {"1L", "1"}},
	},
	Short: {[]spelling{{"+1", "1"}}, []spelling{{"65537", "1"}}},
	Double: {
		[]spelling{{"0.50", "0.5"}, {".5", "0.5"}, {"5e-1", "0.5"}, {"1", "1.0"}, {"1.", "1.0"}, {"+0.5", "0.5"},
			{"0.5d", "0.5"}, {"0.00001", "1.0E-5"}, {" 0.5", "0.5"}, {"Infinity", "Infinity"}, {"NaN", "NaN"},
			{"1e999", "Infinity"}},
		[]spelling{{"0.5", "0.51"}, {"inf", "Infinity"}, {"0,5", "0.5"}, {"0.5x", "0.5"}, {"0x1", "1.0"}, {"", "0.0"}},
	},
	List: {
		[]spelling{{"a,b", "a,b"}, {" a , b ", "a,b"}, {"", ""}, {"a,a", "a"}, {"a,a", "a,a"}},
		[]spelling{{"a", "a,b"}, {"A", "a"}, {"a,", "a"}, {"", "a"}},
	},
	String: {
		[]spelling{{"gzip", "gzip"}, {" gzip ", "gzip"}, {"", ""}},
		[]spelling{{"GZIP", "gzip"}, {"", "127.0.0.1:2"}, {"a, b", "a,b"}, {"1", "1.0"}, {"TRUE", "true"}},
	},
	Class: {
		[]spelling{{" org.example.A", "org.example.A"}},
		[]spelling{{"org.example.a", "org.example.A"}},
	},
	Password: {[]spelling{{" s", "s"}}, []spelling{{"s", "S"}}},
}

func TestEverySpellingOfEveryKeyOfTheCatalogueIsReadAsKafkaReadsIt(t *testing.T) {
	check := func(name, key string, kind Type, same func(key, want, have string) bool) {
		if len(spellings[kind].alike) == 0 {
			t.Errorf("%s: %s is of the type %q, which no spelling is known of", name, key, kind)
		}
		for _, s := range spellings[kind].alike {
			if !same(key, s.written, s.told) {
				t.Errorf("%s: %s (%s): %q is not %q", name, key, kind, s.written, s.told)
			}
		}
		for _, s := range spellings[kind].different {
			if same(key, s.written, s.told) {
				t.Errorf("%s: %s (%s): %q is %q", name, key, kind, s.written, s.told)
			}
		}
	}
	for _, v := range Catalogue {
		for key, known := range v.keys {
			check(v.Kafka, key, known.kind, v.Same)
		}
		for key, kind := range v.topicKeys {
			check("topics of "+v.Kafka, key, kind, SameOnTopic)
		}
		if len(v.topicKeys) < 30 || len(v.keys) < 300 {
			t.Errorf("%s: %d keys of brokers, %d of topics", v.Kafka, len(v.keys), len(v.topicKeys))
		}
	}
}

func TestEveryKeyOfATopicIsSentAsKafkaReadsItAndNoStringIsAltered(t *testing.T) {
	for _, v := range Catalogue {
		for key, kind := range v.topicKeys {
			for _, s := range spellings[kind].alike {
				sent, want := SpeltOnTopic(key, s.written), s.told
				switch kind {
				case String, Password:
					want = s.written
				case Double, Class:
					want = Trimmed(s.written)
				case List:
					if want = map[string]string{" a , b ": "a,b"}[s.written]; want == "" {
						want = s.written
					}
				}
				if sent != want || !SameOnTopic(key, sent, s.told) {
					t.Errorf("%s: %s (%s): %q is sent as %q, want %q", v.Kafka, key, kind, s.written, sent, want)
				}
			}
			for _, s := range spellings[kind].different { // what Kafka refuses it is to quote, and nothing becomes another value
				if sent := SpeltOnTopic(key, s.written); SameOnTopic(key, sent, s.told) {
					t.Errorf("%s: %s (%s): %q is sent as %q", v.Kafka, key, kind, s.written, sent)
				}
			}
		}
	}
	for _, written := range []string{" 5", "TRUE ", "a, b", "+1"} {
		if sent := SpeltOnTopic("some.key", written); sent != written {
			t.Errorf("a key that is not known: %q is sent as %q", written, sent)
		}
	}
}

func TestNoKeyOfATopicChangesItsTypeFromOneVersionToTheNext(t *testing.T) {
	newest := Catalogue[len(Catalogue)-1]
	for _, v := range Catalogue {
		for key, kind := range v.topicKeys {
			if next, still := newest.topicKeys[key]; still && next != kind {
				t.Errorf("%s: %s is of type %s, in %s of %s", v.Kafka, key, kind, newest.Kafka, next)
			}
		}
	}
}

func TestPoliciesAreASet(t *testing.T) {
	if !SameOnTopic("cleanup.policy", "delete, compact", "compact,delete") {
		t.Error("the order of cleanup.policy counts")
	}
	if !find(t, "4.3.1").Same("log.cleanup.policy", "delete, compact", "compact,delete") {
		t.Error("the order of log.cleanup.policy counts")
	}
	if find(t, "4.3.1").Same("metric.reporters", "b,a", "a,b") {
		t.Error("the order of metric.reporters does not count")
	}
}

func TestValuesOfAKeyThatIsNotKnownAreComparedByWhatTheyLookLike(t *testing.T) {
	for _, s := range []spelling{
		{"a", "a"}, {" 5 ", "5"}, {"TRUE", "true"}, {"compact, delete", "compact,delete"}, {"0.50", "0.5"}, {"1", "1.0"},
		{"007", "7"}, {"0.00001", "1.0E-5"}, {"compact, delete ,compact", "compact,delete"}, {"\t5 ", "5"},
	} {
		if !SameOnTopic("some.key", s.written, s.told) {
			t.Errorf("%q is not %q", s.written, s.told)
		}
	}
	for _, s := range []spelling{
		{"5", "6"}, {"1e3", "1000"}, {"GZIP", "gzip"}, {"compact", "compact,delete"}, {"true", "1"}, {"", "0"},
		{"inf", "Infinity"}, {"delete,compact", "compact,delete"}, {"compact,", "compact"},
	} {
		if SameOnTopic("some.key", s.written, s.told) {
			t.Errorf("%q is %q", s.written, s.told)
		}
	}
}

func TestNoKeyThatCanChangeForAllBrokersIsASecret(t *testing.T) {
	for _, v := range Catalogue {
		for _, key := range slices.Sorted(maps.Keys(v.keys)) {
			if v.IsDynamic(key) && v.keys[key].kind == Password {
				t.Errorf("%s: Kafka does not tell the value of %s, so that nobody can compare it", v.Kafka, key)
			}
		}
	}
}
