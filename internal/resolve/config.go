package resolve

import (
	"cmp"
	"regexp"
	"slices"
	"strings"

	"github.com/castellan-dev/castellan/api/v1alpha1"
	"github.com/castellan-dev/castellan/internal/model"
	"github.com/castellan-dev/castellan/internal/verdict"
	"github.com/castellan-dev/castellan/internal/version"
)

// ownedConfig names the keys that follow from other fields, and those fields. A name that ends in '*' is a prefix.
var ownedConfig = []struct {
	keys []string
	use  string
}{
	{[]string{
		"listeners", "advertised.listeners", "listener.security.protocol.map", "inter.broker.listener.name",
		"security.inter.broker.protocol", "controller.listener.names", "early.start.listeners", "connections.max.reauth.ms",
		"listener.name.*", "sasl.*", "ssl.*",
	}, "spec.listeners, or remove the key where no field there takes its place"},
	{[]string{
		"node.id", "broker.id", "process.roles", "cluster.id", "controller.quorum.bootstrap*",
		"controller.quorum.voters*", "controller.quorum.auto*",
	}, "spec.pools"},
	{[]string{"log.dir", "log.dirs", "metadata.log.dir"}, "spec.pools[].storage.volumes"},
	{
		[]string{
			"super.users", "authorizer.class.name", "allow.everyone.if.no.acl.found", "principal.builder.class",
			"castellan.*", // what the class of principal.builder.class reads
		},
		"spec.authorization",
	},
	{[]string{"broker.rack"}, "spec.rack"},
	{
		[]string{
			"remote.log.storage.system.enable", "remote.log.storage.manager.*", "remote.log.metadata.manager.*", "rsm.config.*",
			"rlmm.config.remote.log.metadata.common.client.*", "rlmm.config.remote.log.metadata.producer.*",
			"rlmm.config.remote.log.metadata.consumer.*", "rlmm.config.remote.log.metadata.admin.*",
		},
		tieredField,
	},
}

// ownerOf returns the field that a key follows from; empty = none.
func ownerOf(key string) string {
	for _, owned := range ownedConfig {
		for _, name := range owned.keys {
			prefix, isPrefix := strings.CutSuffix(name, "*")
			if key == name || isPrefix && strings.HasPrefix(key, prefix) {
				return owned.use
			}
		}
	}
	return ""
}

var configKey = regexp.MustCompile(`^[a-zA-Z0-9._-]{1,200}$`)

const maxConfigValue = 8192

// validateConfig checks spec.config, every pool's config and the keys that others set.
func validateConfig(in Inputs, v version.Version) verdict.List {
	spec := in.Spec
	faults := validateKeys("spec.config", spec.Config, tieredBefore(in, ""), v)
	faults = append(faults, validateVariables(spec)...)
	for _, key := range sortedKeys(spec.Config) {
		if slices.Contains(spec.UnmanagedConfig, key) {
			faults.Refuse("spec.unmanagedConfig["+key+"]", "spec.config sets this key too; remove it from one of the two")
		}
	}
	for _, key := range spec.UnmanagedConfig {
		faults = append(faults, validateUnmanaged(key, v)...)
	}
	for _, pool := range spec.Pools {
		faults = append(faults, validatePoolConfig(spec, pool, tieredBefore(in, pool.Name), v)...)
	}
	return faults
}

// tieredBefore is the configuration that was accepted last, of a pool or of the cluster. Keys of tiered storage that
// stand there go on: they were the only way to it once, and the owner shall not need another before anything else can
// change. Beside spec.tieredStorage there is none.
func tieredBefore(in Inputs, pool string) v1alpha1.Config {
	switch {
	case in.Accepted == nil || in.Spec.TieredStorage != nil:
		return nil
	case pool == "":
		return in.Accepted.Config
	}
	for _, p := range in.Accepted.Pools {
		if p.Name == pool {
			return p.Config
		}
	}
	return nil
}

func validateKeys(field string, config, before v1alpha1.Config, v version.Version) verdict.List {
	var faults verdict.List
	for _, key := range sortedKeys(config) {
		value, path := config[key], field+"["+key+"]"
		others := version.NamesWhere(func(w version.Version) bool { return w.Scope(key) != version.Unknown })
		use := ownerOf(key)
		if was, stood := before[key]; use == tieredField && stood && was == value {
			use = ""
		}
		switch {
		case !configKey.MatchString(key):
			faults.Refuse(path, "a key has 1 to 200 letters, digits, dots, underscores and dashes")
		case version.Dropped(key):
			faults.Refuse(path, "%s", dropped(key))
		case use != "":
			faults.Refuse(path, "%s", "this key is owned by the operator; use "+use)
		case version.Foreign(key):
			faults.Refuse(
				path,
				"this key belongs to whoever moves replicas or drains a broker, and the operator leaves it alone; remove it "+
					"here and set it with Kafka's tools",
			)
		case isSecret(key) && !strings.Contains(value, "${"):
			faults.Refuse(path, "a secret would stand in a ConfigMap here, for many to read; remove it, or write a "+
				"variable of a config provider that your own image resolves, such as ${env:NAME}")
		case len(value) > maxConfigValue || strings.ContainsAny(value, "\r\n\x00"):
			faults.Refuse(path, "a value is one line of at most %d characters", maxConfigValue)
		case v.Kafka != "" && v.Scope(key) == version.Unknown && others != "":
			// A key that no version has may be a plug-in's; this one is Kafka's own.
			faults.Refuse(path, "Kafka %s has no such key; remove it, or use a version that has it: %s", v.Kafka, others)
		}
	}
	return faults
}

// secretKey is how the keys of plug-ins end whose values are secret.
var secretKey = regexp.MustCompile(`(^|[._-])(password|passphrase|secret|jaas\.config)$`)

// isSecret tells whether the value of a key is nobody's business: Kafka says so of its own, and of others their name.
func isSecret(key string) bool {
	var kind version.Type
	for _, v := range version.Catalogue {
		kind = cmp.Or(v.Type(key), kind)
	}
	return kind == version.Password || kind == "" && secretKey.MatchString(key)
}

// dropped says what to do with a key of an older Kafka.
func dropped(key string) string {
	const text = "Kafka 4 has dropped this key; remove it"
	if successor := version.Successor(key); successor != "" {
		return text + ", or use " + successor
	}
	return text
}

func validateUnmanaged(key string, v version.Version) verdict.List {
	path := "spec.unmanagedConfig[" + key + "]"
	switch use := ownerOf(key); {
	case version.Dropped(key):
		return verdict.List{verdict.Stalled(verdict.ReasonInvalid, path, "%s", dropped(key))}
	case use != "":
		return verdict.List{
			verdict.Stalled(verdict.ReasonInvalid, path, "%s", "this key is owned by the operator; use "+use),
		}
	case version.Foreign(key):
		return nil // it is left alone anyhow
	case v.Kafka != "" && v.Scope(key) != version.AtRunTime:
		return verdict.List{
			verdict.Stalled(
				verdict.ReasonInvalid,
				path,
				"%s",
				"Kafka "+v.Kafka+" cannot change this key at run time, so that nobody else can set it; remove it here, or set "+
					"it in spec.config",
			),
		}
	}
	return nil
}

func validatePoolConfig(
	spec *v1alpha1.KafkaClusterSpec, pool v1alpha1.Pool, before v1alpha1.Config, v version.Version,
) verdict.List {
	field := model.PoolField(pool.Name, "config")
	faults := validateKeys(field, pool.Config, before, v)
	for _, key := range sortedKeys(pool.Config) {
		path := field + "[" + key + "]"
		_, inSpec := spec.Config[key]
		switch {
		case key == minISRKey:
			faults.Refuse(
				path,
				"Kafka has one min.insync.replicas for all brokers; use spec.config instead, or the topic's config",
			)
		case slices.Contains(spec.UnmanagedConfig, key):
			faults.Refuse(path, "spec.unmanagedConfig names this key; remove it from one of the two")
		case inSpec && isDynamic(spec, v, key) && !pool.HasRole(v1alpha1.RoleBroker):
			faults.Refuse(
				path,
				"spec.config sets this run-time key for all nodes, and a pool without brokers cannot override it; remove it "+
					"from one of the two",
			)
		}
	}
	return faults
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for key := range m {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	return keys
}
