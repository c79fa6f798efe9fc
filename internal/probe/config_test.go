package probe

import (
	"maps"
	"testing"
)

func TestAFileOfJavasIsReadAsJavaReadsIt(t *testing.T) {
	text := "# a comment\n! another\n\n  a = 1\nb:2\nc 3\r\nd=x=y\ne=one \\\n   two\nf=a\\nb\\u0041\\:\\\\\ng=ends\\\\\nempty=\nh"
	want := map[string]string{"a": "1", "b": "2", "c": "3", "d": "x=y", "e": "one two", "f": "a\nbA:\\", "g": `ends\`,
		"empty": "", "h": ""}
	if got := properties(text); !maps.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}

func TestAFileOfLibrdkafkaIsReadAsItIs(t *testing.T) {
	got := librdkafka("# a comment\nssl.ca.pem=A\\nB\nsasl.password = a\\nb=c \n\nnonsense\n")
	if want := map[string]string{"ssl.ca.pem": "A\nB", "sasl.password": `a\nb=c`}; !maps.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}

func TestTheOptionsOfALoginModule(t *testing.T) {
	for text, want := range map[string]map[string]string{
		`org.apache.kafka.M required username="app" password="p\"a=;s";`: {"username": "app", "password": `p"a=;s`},
		"M required\n  username='app'\n  password=plain;":                {"username": "app", "password": "plain"},
		`M required;`:    {},
		`M required a=`:  {},
		`M required a="`: {"a": ""},
	} {
		if got := jaasOptions(text); !maps.Equal(got, want) {
			t.Errorf("%s: %q, want %q", text, got, want)
		}
	}
}

func FuzzConfig(f *testing.F) {
	f.Add("bootstrap.servers=b:1\nsasl.jaas.config=M required a=\"\\", true)
	f.Fuzz(func(t *testing.T, text string, java bool) {
		name := "c.config"
		if java {
			name = "c.properties"
		}
		_, _ = readConfig(name, text, func(string) ([]byte, error) { return nil, nil })
		_ = jaasOptions(text)
	})
}
