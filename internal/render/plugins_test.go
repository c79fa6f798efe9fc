package render

import (
	"regexp"
	"strings"
	"testing"

	"github.com/castellan-dev/castellan/api/v1alpha1"
	"github.com/castellan-dev/castellan/internal/model"
	"github.com/castellan-dev/castellan/internal/resolve"
)

// withPlugins has tiered storage by one plug-in, a reporter and a policy of another, and a custom login beside them.
const withPlugins = `
version: "4.3.1"
pools:
- {name: control, replicas: 1, roles: [Controller], storage: {volumes: [{name: data, size: 1Gi}]}}
- {name: main, replicas: 1, roles: [Broker], storage: {volumes: [{name: data, size: 1Gi}]}}
listeners:
- {name: clients, port: 9092, authentication: {mechanisms: [Custom], custom: {mechanism: GSSAPI, secret: {name: kerberos}}}}
plugins:
- name: storage
  image: registry.example.com/storage@sha256:0000000000000000000000000000000000000000000000000000000000000001
  path: /opt/storage/
- name: policies
  image: registry.example.com/policies@sha256:0000000000000000000000000000000000000000000000000000000000000002
  pullPolicy: Always
tieredStorage:
  plugin: storage
  className: com.example.Storage
  config:
    bucket: events
    credentials: "${secret:s3.login:access}:${secret:s3.login:the_key}"
    ca.path: /etc/castellan/plugin/s3.login_ca.pem
  secretRefs: [{name: s3.login}]
config:
  metric.reporters: com.example.Reporter
  create.topic.policy.class.name: com.example.Policy
  rlmm.config.remote.log.metadata.topic.num.partitions: "5"
  remote.log.manager.task.interval.ms: "1000"
`

// plugged is the cluster once all files are there.
func plugged(c *model.Cluster) *model.Cluster {
	if c = loggedIn(c); c.Tiered.HasFiles() {
		c.Tiered.Revision = "first"
	}
	return c
}

func TestPluginsGolden(t *testing.T) {
	compareGolden(t, "plugins", printAll(t, plugged(cluster(t, "plugins", withPlugins))))
}

func TestWhatOfPluginsRestartsWhom(t *testing.T) {
	tiers := func(change func(t *v1alpha1.TieredStorage)) func(in *resolve.Inputs) {
		return func(in *resolve.Inputs) { change(in.Spec.TieredStorage) }
	}
	plugin := func(change func(p *v1alpha1.Plugin)) func(in *resolve.Inputs) {
		return func(in *resolve.Inputs) { change(&in.Spec.Plugins[0]) }
	}
	for name, c := range map[string]struct {
		change                    func(in *resolve.Inputs)
		files                     string
		broker, controller, shape bool // the files of each differ, and the templates
	}{
		"nothing":                         {func(*resolve.Inputs) {}, "first", false, false, false},
		"another order of the plug-ins":   {func(in *resolve.Inputs) { p := in.Spec.Plugins; p[0], p[1] = p[1], p[0] }, "first", false, false, false},
		"a default spelled out":           {func(in *resolve.Inputs) { in.Spec.Plugins[0].PullPolicy = "IfNotPresent" }, "first", false, false, false},
		"a path without its last slash":   {plugin(func(p *v1alpha1.Plugin) { p.Path = "/opt/storage" }), "first", false, false, false},
		"a Secret more":                   {tiers(func(t *v1alpha1.TieredStorage) { t.SecretRefs = append(t.SecretRefs, v1alpha1.SecretName{Name: "b"}) }), "first", false, false, false},
		"other files":                     {func(*resolve.Inputs) {}, "second", true, false, false},
		"another key of the class":        {tiers(func(t *v1alpha1.TieredStorage) { t.Config["a"] = "b" }), "first", true, false, false},
		"another class":                   {tiers(func(t *v1alpha1.TieredStorage) { t.ClassName = "a.B" }), "first", true, false, false},
		"another image":                   {plugin(func(p *v1alpha1.Plugin) { p.Image = strings.Replace(p.Image, "01", "03", 1) }), "first", false, false, true},
		"another way to pull":             {plugin(func(p *v1alpha1.Plugin) { p.PullPolicy = "Always" }), "first", false, false, true},
		"another path":                    {plugin(func(p *v1alpha1.Plugin) { p.Path = "/lib" }), "first", true, false, true},
		"no plug-in for policies":         {func(in *resolve.Inputs) { in.Spec.Plugins = in.Spec.Plugins[:1] }, "first", false, false, true},
		"no tiered storage, and no files": {func(in *resolve.Inputs) { in.Spec.TieredStorage = nil }, "", true, true, true},
	} {
		in := inputs(t, "plugins", withPlugins)
		before := desired(plugged(resolved(t, in)))
		c.change(&in)
		cluster := plugged(resolved(t, in))
		if cluster.Tiered != nil {
			cluster.Tiered.Revision = c.files
		}
		after := desired(cluster)
		for what, differs := range map[string][2]bool{
			"brokers":    {before.Files[1000].User != after.Files[1000].User, c.broker},
			"controller": {before.Files[0].User != after.Files[0].User, c.controller},
			"template":   {before.Templates["main"].User != after.Templates["main"].User, c.shape},
		} {
			if differs[0] != differs[1] {
				t.Errorf("%s: %s differ: %t, want %t", name, what, differs[0], differs[1])
			}
		}
	}
}

// A cluster without plug-ins is as it was before there were any: no new operator restarts it.
// A name of a plug-in is part of the name of its volume, and no such name is another volume's.
func TestNoPluginTakesTheNameOfAnotherVolume(t *testing.T) {
	own := []string{
		RevisionVolume, internalVolume, listenersVolume, usersVolume, keysVolume, loginsVolume, podVolume, tmpVolume,
		tieredVolume,
	}
	for _, name := range own {
		if strings.HasPrefix(name, pluginVolume) {
			t.Errorf("a plug-in named %q has the volume %s", strings.TrimPrefix(name, pluginVolume), name)
		}
	}
	c := plugged(cluster(t, "plugins", strings.NewReplacer("name: policies", "name: files").Replace(withPlugins)))
	seen := map[string]bool{}
	for _, v := range StatefulSet(c, &c.Pools[1], "r", 1, nil).Spec.Template.Spec.Volumes {
		if seen[v.Name] {
			t.Errorf("two volumes are named %s", v.Name)
		}
		seen[v.Name] = true
	}
}

func TestNothingOfPluginsStandsWhereThereAreNone(t *testing.T) {
	text := printAll(t, cluster(t, "demo", demo))
	for _, trace := range []string{"plugin", "remote.log", "rlmm", "CASTELLAN_PLUGINS"} {
		if strings.Contains(text, trace) {
			t.Errorf("%q stands in\n%s", trace, text)
		}
	}
}

// Whatever a user writes: variables of a node's file are those of JAAS and of the class of tiered storage.
func TestTheOnlyVariablesOfAPluginAreThoseOfItsSecrets(t *testing.T) {
	variable := regexp.MustCompile(`\$\{castellan:/etc/castellan/plugin:s3\.login_[-._a-zA-Z0-9]+\}`)
	c, found := plugged(cluster(t, "plugins", withPlugins)), 0
	for id, node := range Nodes(c) {
		for line := range strings.Lines(node.Data[fileProperties]) {
			if strings.Contains(line, ".sasl.jaas.config=") {
				continue
			}
			rest := variable.ReplaceAllStringFunc(line, func(string) string { found++; return "" })
			if strings.Contains(rest, "${") || rest != line && !strings.HasPrefix(line, "rsm.config.") {
				t.Errorf("node %d: %s", id, line)
			}
		}
		if paths := readProperties(node.Data[fileProperties])["config.providers.castellan.param.allowed.paths"]; id != 0 &&
			paths != loginsDir+","+pluginFilesDir || id == 0 && paths != "" {
			t.Errorf("node %d may read %q", id, paths)
		}
	}
	if found != 2 {
		t.Errorf("%d variables", found)
	}
}

// Nodes and the operator are super users for whatever class decides.
func TestAClassThatDecidesIsToldOfTheSuperUsers(t *testing.T) {
	in := inputs(t, "plugins", withPlugins)
	in.Spec.Authorization = &v1alpha1.Authorization{Type: v1alpha1.AuthorizationCustom, Class: "com.example.Authorizer",
		SuperUsers: []string{"admin"}}
	c := resolved(t, in)
	for id, node := range Nodes(c) {
		read := readProperties(node.Data[fileProperties])
		if read["authorizer.class.name"] != "com.example.Authorizer" ||
			read["super.users"] != NodePrincipal+";"+OperatorPrincipal+";User:admin" {
			t.Errorf("node %d: %s, %s", id, read["authorizer.class.name"], read["super.users"])
		}
	}
	before := desired(plugged(resolved(t, in)))
	in.Spec.Authorization.Class = "com.example.Other"
	after := desired(plugged(resolved(t, in)))
	for id := range before.Files {
		if before.Files[id].User == after.Files[id].User {
			t.Errorf("node %d does not restart for another class", id)
		}
	}
}

// Where the class of tiered storage runs is what each of its files says.
func TestAControllerKnowsOnlyThatThereIsTieredStorage(t *testing.T) {
	c := plugged(cluster(t, "plugins", withPlugins))
	for line := range strings.Lines(Nodes(c)[0].Data[fileProperties]) {
		if key, _, _ := strings.Cut(line, "="); strings.HasPrefix(key, "rsm.") || strings.HasPrefix(key, "remote.log.storage.manager.") ||
			strings.HasPrefix(key, "remote.log.metadata.manager.") {
			t.Error(line)
		}
	}
	for i := range c.Pools {
		pool := &c.Pools[i]
		if needsPluginFiles(c, pool) != pool.Broker {
			t.Errorf("pool %s mounts the files of the class: %t", pool.Name, !pool.Broker)
		}
		if len(pluginVolumes(c)) != 2 || len(StatefulSet(c, pool, "a", 1, nil).Spec.Template.Spec.Volumes) < 2 {
			t.Errorf("pool %s lacks plug-ins", pool.Name)
		}
	}
}

func TestJarsOfPluginsComeAfterAllOthers(t *testing.T) {
	c := cluster(t, "plugins", withPlugins)
	p := newPod(t, c, 0)
	p.write(podDir+"/format", p.uid+" join 4L6g3nShT-eMCtK--X86sw")
	p.write(pluginsDir+"/policies/policies.jar", "")
	p.write(pluginsDir+"/policies/libs/json.jar", "")
	p.write(pluginsDir+"/policies/libs/deeper/not.jar", "")
	p.write(pluginsDir+"/policies/read.me", "")
	p.write(pluginsDir+"/storage/not.jar", "")
	p.write(pluginsDir+"/storage/opt/storage/a jar.jar", "")
	for _, v := range pluginEnvironment(c) {
		t.Setenv(v.Name, v.Value)
	}
	p.start()
	p.runsKafka()
	var path string
	for line := range strings.Lines(p.read("/started")) {
		if after, is := strings.CutPrefix(line, "class path "); is {
			path = strings.ReplaceAll(strings.TrimSpace(after), p.root, "")
		}
	}
	want := "/castellan-plain.jar:/opt/castellan/plugins/policies/policies.jar:/opt/castellan/plugins/policies/libs/json.jar:" +
		"/opt/castellan/plugins/storage/opt/storage/a jar.jar"
	if !strings.HasSuffix(path, want) {
		t.Errorf("the class path is %s", path)
	}
}
