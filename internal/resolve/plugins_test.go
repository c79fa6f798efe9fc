package resolve

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/castellan-dev/castellan/api/v1alpha1"
	"github.com/castellan-dev/castellan/internal/verdict"
	"github.com/castellan-dev/castellan/internal/version"
)

var anImage = "registry.example.com/team/storage@sha256:" + strings.Repeat("0a", 32)

// plugged gives the cluster a plug-in, as change has it.
func plugged(change func(p *v1alpha1.Plugin)) func(in *Inputs) {
	return func(in *Inputs) {
		in.Spec.Plugins = []v1alpha1.Plugin{{Name: "storage", Image: anImage}}
		change(&in.Spec.Plugins[0])
	}
}

// authorizer has a class decide what a principal may do.
func authorizer(kind v1alpha1.AuthorizationType, class string) func(in *Inputs) {
	return func(in *Inputs) {
		plugged(asIs)(in)
		in.Spec.Authorization = &v1alpha1.Authorization{Type: kind, Class: class}
	}
}

func asIs(*v1alpha1.Plugin) {}

func image(name string) func(in *Inputs) {
	return plugged(func(p *v1alpha1.Plugin) { p.Image = name })
}

func path(folder string) func(in *Inputs) {
	return plugged(func(p *v1alpha1.Plugin) { p.Path = folder })
}

// tiered gives the cluster tiered storage by that plug-in.
func tiered(change func(in *Inputs, t *v1alpha1.TieredStorage)) func(in *Inputs) {
	return func(in *Inputs) {
		plugged(asIs)(in)
		in.Spec.TieredStorage = &v1alpha1.TieredStorage{Plugin: "storage", ClassName: "com.example.Storage",
			Config:     map[string]string{"bucket": "events", "access": "${secret:s3.login:access} ${secret:s3.login:key}"},
			SecretRefs: []v1alpha1.SecretName{{Name: "s3.login"}}}
		change(in, in.Spec.TieredStorage)
	}
}

// value sets a key of the class.
func value(key, value string) func(in *Inputs) {
	return tiered(func(_ *Inputs, t *v1alpha1.TieredStorage) { t.Config[key] = value })
}

func withKey(key, value string) func(in *Inputs) {
	return tiered(func(in *Inputs, _ *v1alpha1.TieredStorage) { in.Spec.Config[key] = value })
}

var pluginFaults = []badInput{
	{"an image by its tag", image("registry.example.com/team/storage:1.0"), verdict.ReasonInvalid,
		"spec.plugins[storage].image", "write it as registry.example.com/plugin@sha256:..."},
	{"an image by a tag and a short digest", image("a/b:1@sha256:12"), verdict.ReasonInvalid, "spec.plugins[storage].image",
		"with 64 digits"},
	{"an image with a blank", image("a b@sha256:" + strings.Repeat("0a", 32)), verdict.ReasonInvalid,
		"spec.plugins[storage].image", "by its digest"},
	{"two plug-ins of one name", func(in *Inputs) {
		plugged(asIs)(in)
		in.Spec.Plugins = append(in.Spec.Plugins, in.Spec.Plugins[0])
	}, verdict.ReasonInvalid, "spec.plugins[storage].name", "give each a name of its own"},
	{"a name that is no part of a path", plugged(func(p *v1alpha1.Plugin) { p.Name = "../a" }), verdict.ReasonInvalid,
		"spec.plugins[../a].name", "choose another"},
	{"a path that leaves the image", path("/opt/../../etc"), verdict.ReasonInvalid, "spec.plugins[storage].path",
		"without a folder that begins with a dot"},
	{"a path that is two for a shell", path("/opt/a /etc"), verdict.ReasonInvalid, "spec.plugins[storage].path",
		"of letters, digits"},
	{"a path that begins nowhere", path("opt"), verdict.ReasonInvalid, "spec.plugins[storage].path", "write it as /opt/plugin"},
	{"a policy of pulling that there is not", plugged(func(p *v1alpha1.Plugin) { p.PullPolicy = "Sometimes" }),
		verdict.ReasonInvalid, "spec.plugins[storage].pullPolicy", "use Always"},
	{"a registry that is not allowed", func(in *Inputs) {
		plugged(asIs)(in)
		in.Registries = []string{"registry.example.com/tea", "docker.io"}
	}, verdict.ReasonInvalid, "spec.plugins[storage].image", "takes plug-ins from registry.example.com/tea, docker.io alone"},
	{"tiered storage by a plug-in that is not there", tiered(func(_ *Inputs, t *v1alpha1.TieredStorage) { t.Plugin = "s3" }),
		verdict.ReasonInvalid, "spec.tieredStorage.plugin", "name one of those there, or add it"},
	{"no class", tiered(func(_ *Inputs, t *v1alpha1.TieredStorage) { t.ClassName = "" }), verdict.ReasonInvalid,
		"spec.tieredStorage.className", "such as com.example.Storage"},
	{"a class that would be a variable", tiered(func(_ *Inputs, t *v1alpha1.TieredStorage) { t.ClassName = "${a:b}" }),
		verdict.ReasonInvalid, "spec.tieredStorage.className", "such as com.example.Storage"},
	{"a secret in the open", value("s3.password", "hush"), verdict.ReasonInvalid, "spec.tieredStorage.config[s3.password]",
		"and write ${secret:<name>:<entry>}"},
	{"an image whose host has capitals", image("Registry.example.com/team/storage@sha256:" + strings.Repeat("0a", 32)),
		verdict.ReasonInvalid, "spec.plugins[storage].image", "by its digest"},
	{"an image whose host has capitals behind", image("rEGISTRY:5000/a@sha256:" + strings.Repeat("0a", 32)),
		verdict.ReasonInvalid, "spec.plugins[storage].image", "by its digest"},
	{"a variable of Kafka's provider", value("a", "${castellan:/etc/castellan/login:x}"), verdict.ReasonInvalid,
		"spec.tieredStorage.config[a]", "there is but one here"},
	{"a variable inside of a variable", value("a", "${env:${secret:s3.login:key}}"), verdict.ReasonInvalid,
		"spec.tieredStorage.config[a]", "there is but one here"},
	{"a variable that is put together of two", value("a", "$${secret:s3.login:key}{env:A}"), verdict.ReasonInvalid,
		"spec.tieredStorage.config[a]", "there is but one here"},
	{"an entry of a Secret that is not listed", value("a", "${secret:other:key}"), verdict.ReasonInvalid,
		"spec.tieredStorage.config[a]", `secretRefs has no Secret "other"`},
	{"a provider of the class's own", value("config.providers", "file"), verdict.ReasonInvalid,
		"spec.tieredStorage.config[config.providers]", "remove this key"},
	{"two lines", value("a", "b\nauthorizer.class.name=c"), verdict.ReasonInvalid, "spec.tieredStorage.config[a]", "one line"},
	{"a key with a line", value("a\nb", "c"), verdict.ReasonInvalid, "spec.tieredStorage.config[a\nb]", "letters"},
	{"a variable elsewhere, where there are Secrets", withKey("my.plugin", "${castellan:/etc/castellan/plugin:s3.login_key}"),
		verdict.ReasonInvalid, "spec.config[my.plugin]", "would read the Secrets of spec.tieredStorage; write the value itself"},
	{"a provider, where there are Secrets", withKey("config.providers.castellan.param.allowed.paths", "/"),
		verdict.ReasonInvalid, "spec.config[config.providers.castellan.param.allowed.paths]", "spec.tieredStorage has secretRefs"},
	{"tiered storage by keys", config("remote.log.storage.system.enable", "true"), verdict.ReasonInvalid,
		"spec.config[remote.log.storage.system.enable]", "use spec.tieredStorage"},
	{"its class by a key", config("remote.log.storage.manager.class.name", "a.B"), verdict.ReasonInvalid,
		"spec.config[remote.log.storage.manager.class.name]", "use spec.tieredStorage"},
	{"its configuration by keys", config("rsm.config.bucket", "a"), verdict.ReasonInvalid, "spec.config[rsm.config.bucket]",
		"use spec.tieredStorage"},
	{"how it logs in, by a key", config("rlmm.config.remote.log.metadata.common.client.security.protocol", "PLAINTEXT"),
		verdict.ReasonInvalid, "spec.config[rlmm.config.remote.log.metadata.common.client.security.protocol]",
		"use spec.tieredStorage"},
	{"who somebody is", config("principal.builder.class", "com.example.Builder"), verdict.ReasonInvalid,
		"spec.config[principal.builder.class]", "use spec.authorization"},
	{"an authorizer by a key", func(in *Inputs) {
		plugged(asIs)(in)
		in.Spec.Config["authorizer.class.name"] = "com.example.Authorizer"
	}, verdict.ReasonInvalid, "spec.config[authorizer.class.name]", "use spec.authorization"},
	{"a class that decides, and nobody asks", authorizer("Simple", "com.example.Authorizer"), verdict.ReasonInvalid,
		"spec.authorization.class", "set type to Custom"},
	{"a class that decides, and has no name", authorizer("Custom", ""), verdict.ReasonInvalid, "spec.authorization.class",
		"such as com.example.Authorizer"},
	{"a class that decides, and is a variable", authorizer("Custom", "${a:b}"), verdict.ReasonInvalid,
		"spec.authorization.class", "such as com.example.Authorizer"},
	{"a class that decides, and no plug-in", func(in *Inputs) {
		authorizer("Custom", "com.example.Authorizer")(in)
		in.Spec.Plugins = nil
	}, verdict.ReasonInvalid, "spec.authorization.class", "name its plug-in in spec.plugins"},
	{"nobody knows who decides", authorizer("Ranger", ""), verdict.ReasonInvalid, "spec.authorization.type",
		"use Simple, None or Custom"},
	{"a handler of logins by a key", func(in *Inputs) {
		plugged(asIs)(in)
		in.Spec.Config["listener.name.clients.plain.sasl.server.callback.handler.class"] = "com.example.Handler"
	}, verdict.ReasonInvalid, "spec.config[listener.name.clients.plain.sasl.server.callback.handler.class]",
		"use spec.listeners"},
}

func TestAClassOfOnesOwnNeedsItsPlugin(t *testing.T) {
	for _, key := range classKeys {
		if version.NamesWhere(func(v version.Version) bool { return v.Scope(key) == version.Unknown }) != "" {
			t.Errorf("some version of Kafka has no key %s", key)
		}
		for name, c := range map[string]struct {
			value   string
			plugged bool
			want    string
		}{
			"its own":             {"org.apache.kafka.common.replica.RackAwareReplicaSelector", false, ""},
			"another":             {"com.example.Class", false, "com.example.Class is none of Kafka's own classes"},
			"one beside its own":  {"org.apache.kafka.common.metrics.JmxReporter, com.example.Class", false, "com.example.Class"},
			"another with a plug": {"com.example.Class", true, ""},
			"a name much like it": {"org.apache.kafkaesque.Class", false, "org.apache.kafkaesque.Class"},
		} {
			for _, field := range []string{"spec.config", "spec.pools[extra].config"} {
				in := running(t, small)
				if c.plugged {
					plugged(asIs)(&in)
				}
				if field == "spec.config" {
					in.Spec.Config[key] = c.value
				} else {
					in.Spec.Pools[1].Config = v1alpha1.Config{key: c.value}
				}
				_, faults := Resolve(in)
				got := fmt.Sprint(faults)
				if c.want == "" && len(faults) > 0 || c.want != "" && (len(faults) != 1 || !strings.Contains(got, c.want) ||
					faults[0].Field != field+"["+key+"]" || !strings.Contains(got, "name the class's plug-in in spec.plugins")) {
					t.Errorf("%s of %s in %s: %s", name, key, field, got)
				}
			}
		}
	}
}

func TestAClassMayBeInAnImageOfTheOwners(t *testing.T) {
	for repository, want := range map[string]bool{
		"apache/kafka": false, "mirror.example.com/apache/kafka": false, "registry.example.com/kafka-with-reporters": true,
		"example.com/myapache/kafka": true,
	} {
		in := running(t, small)
		in.Spec.Config["metric.reporters"], in.ImageRepository = "com.example.Reporter", repository
		if _, faults := Resolve(in); (len(faults) == 0) != want {
			t.Errorf("%s: %v", repository, faults)
		}
	}
}

func TestARegistryIsAllowedWholeOrByItsFolder(t *testing.T) {
	digest := "@sha256:" + strings.Repeat("0a", 32)
	for name, c := range map[string]struct {
		image, registry string
		want            bool
	}{
		"any":                         {"a.example.com/b", "", true},
		"the registry":                {"a.example.com/b", "a.example.com", true},
		"its folder":                  {"a.example.com/team/b", "a.example.com/team", true},
		"its folder with a slash":     {"a.example.com/team/b", "a.example.com/team/", true},
		"a folder that begins so":     {"a.example.com/team-two/b", "a.example.com/team", false},
		"a registry that begins so":   {"a.example.com.evil.org/b", "a.example.com", false},
		"the same on another port":    {"a.example.com:5000/b", "a.example.com", false},
		"Docker's, which has no name": {"b", "docker.io", true},
		"Docker's with a folder":      {"team/b", "docker.io/team", true},
		"another's with that folder":  {"team.example.com/b", "docker.io", false},
		"this machine's":              {"localhost/b", "docker.io", false},
	} {
		in := running(t, small)
		image(c.image + digest)(&in)
		if c.registry != "" {
			in.Registries = []string{c.registry}
		}
		if _, faults := Resolve(in); (len(faults) == 0) != c.want {
			t.Errorf("%s: %v", name, faults)
		}
	}
}

func TestTieredStorageIsTakenWithEveryDefault(t *testing.T) {
	in := running(t, small)
	tiered(func(in *Inputs, _ *v1alpha1.TieredStorage) {
		in.Spec.Config["rlmm.config.remote.log.metadata.topic.num.partitions"] = "5"
		in.Spec.Config["remote.log.manager.task.interval.ms"] = "1000"
		in.Spec.Config["remote.log.manager.copy.max.bytes.per.second"] = "1000"
	})(&in)
	in.Spec.Plugins[0].Path = "/opt/"
	c, faults := Resolve(in)
	if len(faults) > 0 {
		t.Fatal(faults)
	}
	if p := c.Plugins[0]; p.Path != "/opt" || p.PullPolicy != "IfNotPresent" {
		t.Errorf("%+v", p)
	}
	if c.Tiered == nil || !c.Tiered.HasFiles() || fmt.Sprint(c.Tiered.Named()) != "[{s3.login access} {s3.login key}]" {
		t.Errorf("%+v", c.Tiered)
	}
	if told := strings.Join(Warnings(c), "\n"); strings.Contains(told, "rlmm") {
		t.Error(told)
	}
	in.Spec.TieredStorage = nil
	c, _ = Resolve(in)
	if told := strings.Join(Warnings(c), "\n"); !strings.Contains(told, "rlmm") || c.Tiered.HasFiles() {
		t.Error(told)
	}
}

// A reporter that a broker lacks ends it at its start, which one broker tries. At run time all would be told at once.
func TestReportersAreReadFromTheFile(t *testing.T) {
	in := running(t, small)
	plugged(asIs)(&in)
	in.Spec.Config["metric.reporters"] = "com.example.Reporter"
	c, faults := Resolve(in)
	if len(faults) > 0 || c.DynamicConfig["metric.reporters"] != "" || c.Pools[0].StaticConfig["metric.reporters"] == "" {
		t.Errorf("%v; %v", faults, c.DynamicConfig)
	}
	if d := in.Spec; d.Pools[0].HasRole(v1alpha1.RoleBroker) {
		d.Pools[0].Config = v1alpha1.Config{"metric.reporters": "com.example.Other"}
	}
	if c, faults = Resolve(in); len(faults) > 0 || len(c.Pools[0].DynamicConfig) > 0 ||
		c.Pools[0].StaticConfig["metric.reporters"] != "com.example.Other" {
		t.Errorf("a pool's own: %v; %+v", faults, c.Pools[0])
	}
	in = running(t, small)
	in.Spec.UnmanagedConfig = []string{"metric.reporters"}
	if c, faults = Resolve(in); len(faults) > 0 || !c.UnmanagedConfig["metric.reporters"] {
		t.Error(faults)
	}
	v, _ := version.Find("4.3.1")
	if !slices.Contains(v.RunTimeKeys(), "metric.reporters") {
		t.Error("Kafka could change it at run time")
	}
}

// A cluster without plug-ins has its reporters where it has always had them: a new operator restarts nobody for them.
func TestReportersOfAnImageAreSetAtRunTime(t *testing.T) {
	in := running(t, small)
	in.Spec.Config, in.ImageRepository = v1alpha1.Config{"metric.reporters": "com.example.Reporter"}, "example.com/kafka"
	c, faults := Resolve(in)
	if len(faults) > 0 || c.DynamicConfig["metric.reporters"] != "com.example.Reporter" ||
		len(c.Pools[0].StaticConfig) > 0 {
		t.Errorf("%v; %v; %v", faults, c.DynamicConfig, c.Pools[0].StaticConfig)
	}
}

// Before there was spec.tieredStorage, an image of the owner's had it by keys. Such a cluster goes on as it is.
func TestTieredStorageByKeysThatWasAcceptedGoesOn(t *testing.T) {
	keys := v1alpha1.Config{"remote.log.storage.system.enable": "true", "rsm.config.bucket": "a",
		"remote.log.storage.manager.class.name": "com.example.Storage"}
	for name, c := range map[string]struct {
		change func(in *Inputs)
		faults int
	}{
		"as it was":         {func(*Inputs) {}, 0},
		"another change":    {func(in *Inputs) { in.Spec.Config["log.retention.hours"] = "5" }, 0},
		"one key less":      {func(in *Inputs) { delete(in.Spec.Config, "rsm.config.bucket") }, 0},
		"another value":     {func(in *Inputs) { in.Spec.Config["rsm.config.bucket"] = "b" }, 1},
		"one key more":      {func(in *Inputs) { in.Spec.Config["rsm.config.region"] = "b" }, 1},
		"in a pool instead": {func(in *Inputs) { in.Spec.Pools[0].Config = v1alpha1.Config{"rsm.config.bucket": "a"} }, 1},
		"both ways": {func(in *Inputs) {
			tiered(func(*Inputs, *v1alpha1.TieredStorage) {})(in)
		}, 3},
		"a new cluster": {func(in *Inputs) { in.Accepted = nil }, 3},
	} {
		in := running(t, small)
		in.Spec.Config = maps.Clone(keys)
		in.Accepted = in.Spec.DeepCopy()
		c.change(&in)
		got, faults := Resolve(in)
		if len(faults) != c.faults {
			t.Errorf("%s: %v", name, faults)
		}
		if c.faults > 0 {
			continue
		}
		if got.Pools[0].StaticConfig["remote.log.storage.system.enable"] != "true" {
			t.Errorf("%s: brokers lose it: %v", name, got.Pools[0].StaticConfig)
		}
		if told := strings.Join(Warnings(got), "\n"); !strings.Contains(told, "remote.log.storage.manager.class.name") ||
			!strings.Contains(told, "spec.tieredStorage") {
			t.Errorf("%s: %s", name, told)
		}
	}
}

// Whatever sounds like a secret stands in a Secret. What only leads to one may stand in the open.
func TestSecretsOfTieredStorageStandInSecrets(t *testing.T) {
	for key, c := range map[string]struct {
		value  string
		secret bool
	}{
		"storage.aws.secret.access.key": {"hush", true}, "storage.aws.access.key.id": {"hush", true},
		"storage.azure.account.key": {"hush", true}, "sas.token": {"hush", true}, "secret.key": {"hush", true},
		"access_key": {"hush", true}, "storage.gcs.credentials.json": {"{}", true}, "private-key": {"hush", true},
		"storage.gcs.credentials.path": {"/etc/castellan/plugin/a_b", false}, "token.file": {"/etc/castellan/plugin/a_b", false},
		"storage.gcs.credentials.default": {"true", false}, "credentials.provider.class": {"a.B", false},
		"bucket": {"events", false}, "chunk.size": {"4", false}, "key.prefix": {"tiers/", false},
	} {
		for value, refused := range map[string]bool{c.value: c.secret, "${secret:s3.login:key}": false} {
			in := running(t, small)
			tiered(func(_ *Inputs, t *v1alpha1.TieredStorage) { t.Config[key] = value })(&in)
			if _, faults := Resolve(in); len(faults) > 0 != refused {
				t.Errorf("%s=%s: %v", key, value, faults)
			}
		}
	}
}
