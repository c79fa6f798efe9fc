package render

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/castellan-dev/castellan/internal/model"
)

const (
	pluginVolume = model.OwnPrefix + "plugin-" // and the plug-in's name; no other volume's name begins so
	tieredVolume = model.OwnPrefix + "tiered-files"

	pluginsDir     = "/opt/castellan/plugins"
	pluginFilesDir = "/etc/castellan/plugin"

	// pluginsVariable tells start.sh the folders with the jars of plug-ins. It stands in the template, as their mounts do,
	// so that a pod never has one without the other.
	pluginsVariable = "CASTELLAN_PLUGINS"
)

// jarsOf is the folder with the jars of a plug-in in the container.
func jarsOf(p model.Plugin) string { return pluginsDir + "/" + p.Name + p.Path }

// pluginVolumes mount the images of plug-ins in every pod: policies run on controllers, and reporters everywhere.
func pluginVolumes(c *model.Cluster) []corev1.Volume {
	var all []corev1.Volume
	for _, p := range c.Plugins {
		all = append(all, corev1.Volume{Name: pluginVolume + p.Name, VolumeSource: corev1.VolumeSource{
			Image: &corev1.ImageVolumeSource{Reference: p.Image, PullPolicy: p.PullPolicy}}})
	}
	return all
}

func pluginMounts(c *model.Cluster) []corev1.VolumeMount {
	var all []corev1.VolumeMount
	for _, p := range c.Plugins {
		all = append(all, corev1.VolumeMount{
			Name: pluginVolume + p.Name, MountPath: pluginsDir + "/" + p.Name, ReadOnly: true})
	}
	return all
}

func pluginEnvironment(c *model.Cluster) []corev1.EnvVar {
	var folders []string
	for _, p := range c.Plugins {
		folders = append(folders, jarsOf(p))
	}
	if len(folders) == 0 {
		return nil
	}
	return []corev1.EnvVar{{Name: pluginsVariable, Value: strings.Join(folders, " ")}}
}

// needsPluginFiles mounts the files of tiered storage only in brokers, which alone have its class.
func needsPluginFiles(c *model.Cluster, pool *model.Pool) bool {
	return pool.Broker && c.Tiered.HasFiles()
}

// IsPluginFiles tells whether a volume of a pod is that of the files of tiered storage.
func IsPluginFiles(v corev1.Volume) bool { return v.Name == tieredVolume }

// tieredStorage is Kafka's tiered storage (KIP-405) behind a class of a plug-in, with its metadata in a topic of
// Kafka's own. A controller has to know only that there is one: it admits topics.
//
// The class has a loader of its own for the jars that are directly in the plug-in's folder, so that those take none of
// Kafka's libraries for theirs. What that loader does not find is on the class path.
func tieredStorage(c *model.Cluster, pool *model.Pool, n *model.Node) []property {
	t := c.Tiered
	if t == nil {
		return nil
	}
	lines := []property{{"remote.log.storage.system.enable", "true"}}
	if !pool.Broker {
		return lines
	}
	const client = "rlmm.config.remote.log.metadata.common.client."
	lines = append(lines,
		property{"remote.log.storage.manager.class.name", t.Class},
		property{"remote.log.storage.manager.class.path", tieredJars(c) + "/*"},
		property{"remote.log.metadata.manager.listener.name", "REPLICATION"},
		property{client + "ssl.keystore.type", "PEM"},
		property{client + "ssl.keystore.location", fmt.Sprintf("%s/%d.pem", internalDir, n.ID)},
		property{client + "ssl.truststore.type", "PEM"},
		property{client + "ssl.truststore.location", internalDir + "/" + CAEntry},
	)
	for _, key := range sortedKeys(t.Config) {
		lines = append(lines, property{"rsm.config." + key, withFiles(t.Config[key])})
	}
	return lines
}

// HasTiers reads back whether a broker has a class of tiered storage.
func HasTiers(files NodeFiles) bool {
	return readProperties(files.Data[fileProperties])["remote.log.storage.manager.class.name"] != ""
}

// SameTiers tells whether two versions of a broker's files have the same class of tiered storage with the same
// configuration.
func SameTiers(a, b NodeFiles) bool {
	of := func(files NodeFiles) map[string]string {
		all := readProperties(files.Data[fileProperties])
		maps.DeleteFunc(all, func(key, _ string) bool {
			return key != "remote.log.storage.manager.class.name" && !strings.HasPrefix(key, "rsm.config.")
		})
		return all
	}
	return maps.Equal(of(a), of(b))
}

// tieredJars is the folder with the jars of tiered storage.
func tieredJars(c *model.Cluster) string {
	i := slices.IndexFunc(c.Plugins, func(p model.Plugin) bool { return p.Name == c.Tiered.Plugin })
	if i < 0 {
		return pluginsDir // an accepted spec that is refused now; the broker will say that there is no such class
	}
	return jarsOf(c.Plugins[i])
}

// withFiles has Kafka's provider put the entries of Secrets into a value.
func withFiles(value string) string {
	return model.SecretVariable.ReplaceAllStringFunc(value, func(variable string) string {
		found := model.SecretVariable.FindStringSubmatch(variable)
		return fmt.Sprintf("${%s:%s:%s}", filesProvider, pluginFilesDir, model.PluginFile(found[1], found[2]))
	})
}

// tieredDefaults are what a user may choose otherwise in spec.config.
func tieredDefaults(c *model.Cluster, pool *model.Pool) []property {
	if c.Tiered == nil || !pool.Broker {
		return nil
	}
	const topic = "rlmm.config.remote.log.metadata.topic."
	return []property{{topic + "replication.factor", fmt.Sprint(c.Defaults.ReplicationFactor)},
		{topic + "min.isr", fmt.Sprint(c.Defaults.MinInsyncReplicas)}}
}

// tieredRequest is what the user asked for of tiered storage; the rules of nodeRequest hold here too. Files has no
// trace of what is in them.
type tieredRequest struct {
	Class  string            `json:"class,omitempty"`
	Jars   string            `json:"jars,omitempty"`
	Config map[string]string `json:"config,omitempty"`
	Files  string            `json:"files,omitempty"`
}

func askedOfTiered(c *model.Cluster, pool *model.Pool) *tieredRequest {
	switch {
	case c.Tiered == nil:
		return nil
	case !pool.Broker:
		return &tieredRequest{}
	}
	return &tieredRequest{
		Class: c.Tiered.Class, Jars: tieredJars(c), Config: c.Tiered.Config, Files: c.Tiered.Revision}
}

// pluginRequest is what the user asked for of a plug-in; the rules of nodeRequest hold here too. How the image is
// pulled is among it: that may be what keeps a pod from starting.
type pluginRequest struct {
	Name  string `json:"name"`
	Image string `json:"image"`
	Path  string `json:"path,omitempty"`
	Pull  string `json:"pull"`
}

func askedOfPlugins(c *model.Cluster) []pluginRequest {
	var all []pluginRequest
	for _, p := range c.Plugins {
		all = append(all, pluginRequest{Name: p.Name, Image: p.Image, Path: p.Path, Pull: string(p.PullPolicy)})
	}
	return all
}
