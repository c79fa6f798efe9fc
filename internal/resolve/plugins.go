package resolve

import (
	"cmp"
	"maps"
	"regexp"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/castellan-dev/castellan/api/v1alpha1"
	"github.com/castellan-dev/castellan/internal/model"
	"github.com/castellan-dev/castellan/internal/verdict"
	"github.com/castellan-dev/castellan/internal/version"
)

const (
	maxPluginName = 16
	maxPluginPath = 256
	maxImage      = 512

	tieredField = "spec.tieredStorage"
)

// What the schema permits, too.
var (
	imageByDigest = regexp.MustCompile(`^[a-z0-9][a-z0-9._:/-]*(:[A-Za-z0-9_][A-Za-z0-9._-]*)?@sha256:[0-9a-f]{64}$`)
	pluginPath    = regexp.MustCompile(`^/([A-Za-z0-9_-][A-Za-z0-9._-]*/?)*$`)
)

// classKeys are those whose value names classes that may be a plug-in's.
var classKeys = []string{
	"alter.config.policy.class.name", "client.quota.callback.class", "create.topic.policy.class.name",
	"kafka.metrics.reporters", reportersKey, "replica.selector.class",
}

// kafkaPackages begin the names of Kafka's own classes.
var kafkaPackages = []string{"org.apache.kafka.", "kafka."}

// needsPlugin is the class in the value of a key that is none of Kafka's own; empty = there is none.
func needsPlugin(key, value string) string {
	if !slices.Contains(classKeys, key) {
		return ""
	}
	for class := range strings.SplitSeq(value, ",") {
		class = strings.TrimSpace(class)
		own := slices.ContainsFunc(kafkaPackages, func(begin string) bool { return strings.HasPrefix(class, begin) })
		if class != "" && !own {
			return class
		}
	}
	return ""
}

// stockImage ends the name of the image that has Kafka's own classes alone.
const stockImage = "/apache/kafka"

// validateClassKeys asks for the plug-in of each class that a key names. An image of the owner's may have any class,
// and so may plug-ins: the first node that starts will tell.
func validateClassKeys(spec *v1alpha1.KafkaClusterSpec, repository string) verdict.List {
	if len(spec.Plugins) > 0 || !strings.HasSuffix("/"+repository, stockImage) {
		return nil
	}
	var faults verdict.List
	check := func(field string, config v1alpha1.Config) {
		for _, key := range sortedKeys(config) {
			if class := needsPlugin(key, config[key]); class != "" {
				faults.Refuse(field+"["+key+"]",
					"%s is none of Kafka's own classes; name the class's plug-in in spec.plugins", class)
			}
		}
	}
	check("spec.config", spec.Config)
	for _, pool := range spec.Pools {
		check(model.PoolField(pool.Name, "config"), pool.Config)
	}
	return faults
}

// validateAuthorizer checks who decides what a principal may do. A class of a plug-in has to be named as one: Kafka's
// own is the type Simple.
func validateAuthorizer(spec *v1alpha1.KafkaClusterSpec) verdict.List {
	var faults verdict.List
	const field = "spec.authorization.class"
	a := spec.Authorization
	isCustom := a.Type == v1alpha1.AuthorizationCustom
	switch {
	case a.Type != "" && a.Type != v1alpha1.AuthorizationSimple && a.Type != v1alpha1.AuthorizationNone && !isCustom:
		faults.Refuse("spec.authorization.type", "use Simple, None or Custom")
	case !isCustom && a.Class != "":
		faults.Refuse(field, "it is that of type Custom; remove it, or set type to Custom")
	case isCustom && (len(a.Class) > maxClass || !className.MatchString(a.Class)):
		faults.Refuse(field, "with type Custom it is the name of a Java class with its package, of at most %d "+
			"characters, such as com.example.Authorizer", maxClass)
	case isCustom && len(spec.Plugins) == 0:
		faults.Refuse(field, "no plug-in has %s; name its plug-in in spec.plugins", a.Class)
	}
	return faults
}

func pluginField(name, field string) string { return "spec.plugins[" + name + "]." + field }

// validatePlugins checks the images. registries are those that they may come from; none = any.
func validatePlugins(spec *v1alpha1.KafkaClusterSpec, registries []string) verdict.List {
	var faults verdict.List
	seen := map[string]bool{}
	for _, p := range spec.Plugins {
		if len(p.Name) > maxPluginName || !dnsName.MatchString(p.Name) {
			faults.Refuse(pluginField(p.Name, "name"), "the name must be a lower-case DNS label of at most %d characters that "+
				"starts with a letter; choose another", maxPluginName)
		}
		if seen[p.Name] {
			faults.Refuse(pluginField(p.Name, "name"), "two plug-ins have this name; give each a name of its own")
		}
		seen[p.Name] = true
		switch {
		case len(p.Image) > maxImage:
			faults.Refuse(pluginField(p.Name, "image"), "it is longer than %d characters; use a shorter name", maxImage)
		case !imageByDigest.MatchString(p.Image):
			faults.Refuse(pluginField(p.Name, "image"), "%q does not name an image by its digest, without which nodes "+
				"could run different jars; write it as registry.example.com/plugin@sha256:..., with 64 digits of the "+
				"digest", p.Image)
		case !mayComeFrom(p.Image, registries):
			faults.Refuse(pluginField(p.Name, "image"), "the operator takes plug-ins from %s alone; put the image "+
				"there, or have its value plugins.allowedRegistries changed", strings.Join(registries, ", "))
		}
		if p.Path != "" && (len(p.Path) > maxPluginPath || !pluginPath.MatchString(p.Path)) {
			faults.Refuse(pluginField(p.Name, "path"), "%q is no folder of an image; write it as /opt/plugin, of "+
				"letters, digits and . _ -, and without a folder that begins with a dot", p.Path)
		}
		policies := []corev1.PullPolicy{"", corev1.PullAlways, corev1.PullIfNotPresent, corev1.PullNever}
		if !slices.Contains(policies, p.PullPolicy) {
			faults.Refuse(pluginField(p.Name, "pullPolicy"), "use Always, IfNotPresent or Never")
		}
	}
	return faults
}

// mayComeFrom compares names as they are written: a name without a registry is that of Docker's. Hosts are the same in
// capitals, which the pattern of an image does not admit, and nothing else would find them different.
func mayComeFrom(image string, registries []string) bool {
	if len(registries) == 0 {
		return true
	}
	first, _, nested := strings.Cut(image, "/")
	if !nested || !strings.ContainsAny(first, ".:") && first != "localhost" {
		image = "docker.io/" + image
	}
	return slices.ContainsFunc(registries, func(registry string) bool {
		return strings.HasPrefix(image, strings.TrimSuffix(registry, "/")+"/")
	})
}

// validateTiered checks what a spec says of tiered storage.
func validateTiered(spec *v1alpha1.KafkaClusterSpec) verdict.List {
	t := spec.TieredStorage
	if t == nil {
		return nil
	}
	var faults verdict.List
	refuse := func(field, format string, args ...any) { faults.Refuse(tieredField+field, format, args...) }
	if !slices.ContainsFunc(spec.Plugins, func(p v1alpha1.Plugin) bool { return p.Name == t.Plugin }) {
		refuse(".plugin", "spec.plugins has no plug-in %q; name one of those there, or add it", t.Plugin)
	}
	if len(t.ClassName) > maxClass || !className.MatchString(t.ClassName) {
		refuse(".className", "it is the name of a Java class with its package, of at most %d characters, such as "+
			"com.example.Storage", maxClass)
	}
	var names []string
	for _, ref := range t.SecretRefs {
		if names = append(names, ref.Name); ref.Name == "" {
			refuse(".secretRefs", "a Secret has no name; name it, or remove it")
		}
	}
	for _, key := range slices.Sorted(maps.Keys(t.Config)) {
		faults = append(faults, validateTieredValue(key, t.Config[key], names)...)
	}
	return faults
}

func validateTieredValue(key, value string, secrets []string) verdict.List {
	var faults verdict.List
	path := tieredField + ".config[" + key + "]"
	rest := model.SecretVariable.ReplaceAllString(value, "")
	switch {
	case !configKey.MatchString(key):
		faults.Refuse(path, "a key has 1 to 200 letters, digits, dots, underscores and dashes")
	case strings.HasPrefix(key, "config.providers"):
		faults.Refuse(path, "the class has no provider of its own, and needs none; remove this key, and write "+
			"${secret:<name>:<entry>} for an entry of one of secretRefs")
	case len(value) > maxConfigValue || strings.ContainsAny(value, "\r\n\x00"):
		faults.Refuse(path, "a value is one line of at most %d characters", maxConfigValue)
	case strings.Contains(rest, "${"):
		faults.Refuse(path, "${ begins a variable, and there is but one here; write ${secret:<name>:<entry>} for an "+
			"entry of one of secretRefs")
	case rest == value && (isSecret(key) || version.HoldsSecret(key, value)):
		faults.Refuse(path, "a secret would stand in a ConfigMap here, for many to read; put it into a Secret of "+
			"secretRefs, and write ${secret:<name>:<entry>}")
	}
	for _, found := range model.SecretVariable.FindAllStringSubmatch(value, -1) {
		if !slices.Contains(secrets, found[1]) {
			faults.Refuse(path, "secretRefs has no Secret %q; add it there, or name another", found[1])
			break
		}
	}
	return faults
}

// pluginsOf are the plug-ins with every default filled in, by name.
func pluginsOf(spec *v1alpha1.KafkaClusterSpec) []model.Plugin {
	var plugins []model.Plugin
	for _, p := range spec.Plugins {
		plugins = append(plugins, model.Plugin{Name: p.Name, Image: p.Image, Path: strings.TrimRight(p.Path, "/"),
			PullPolicy: cmp.Or(p.PullPolicy, corev1.PullIfNotPresent)})
	}
	slices.SortFunc(plugins, func(a, b model.Plugin) int { return cmp.Compare(a.Name, b.Name) })
	return plugins
}

func tieredOf(spec *v1alpha1.KafkaClusterSpec) *model.Tiered {
	t := spec.TieredStorage
	if t == nil {
		return nil
	}
	tiered := &model.Tiered{Plugin: t.Plugin, Class: t.ClassName, Config: maps.Clone(t.Config)}
	for _, ref := range t.SecretRefs {
		tiered.Secrets = append(tiered.Secrets, ref.Name)
	}
	slices.Sort(tiered.Secrets)
	return tiered
}
