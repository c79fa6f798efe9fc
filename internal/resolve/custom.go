package resolve

import (
	"regexp"
	"slices"
	"strings"

	"github.com/castellan-dev/castellan/api/v1alpha1"
	"github.com/castellan-dev/castellan/internal/mechanism"
	"github.com/castellan-dev/castellan/internal/model"
	"github.com/castellan-dev/castellan/internal/verdict"
)

const (
	custom       = v1alpha1.MechanismCustom
	customField  = "authentication.custom"
	customPrefix = "custom:"

	maxClass = 256
)

// What the schema permits, too.
var (
	saslName  = regexp.MustCompile(`^[A-Z0-9_-]{1,20}$`)
	className = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*([.$][A-Za-z_][A-Za-z0-9_]*)*$`)
)

// customOf is what Custom is at a listener, with every default filled in; nil = it is not offered.
func customOf(l v1alpha1.Listener) *v1alpha1.ListenerCustom {
	if l.Authentication == nil || l.Authentication.Custom == nil || !slices.Contains(l.Authentication.Mechanisms, custom) {
		return nil
	}
	c := l.Authentication.Custom.DeepCopy()
	if c.PrincipalPrefix == nil {
		prefix := customPrefix
		c.PrincipalPrefix = &prefix
	}
	return c
}

// validateCustom checks what a listener says of a mechanism that is none of the operator's.
func validateCustom(l v1alpha1.Listener) verdict.List {
	var faults verdict.List
	refuse := func(field, format string, args ...any) {
		faults.Refuse(model.ListenerField(l.Name, customField+field), format, args...)
	}
	offered, c := slices.Contains(l.Authentication.Mechanisms, custom), l.Authentication.Custom
	switch {
	case offered && c == nil:
		refuse("", "nothing says what %s is; name mechanism and secret, or take %[1]s out of mechanisms", custom)
		return faults
	case !offered && c != nil:
		refuse("", "nobody logs in so; add %s to mechanisms, or remove it", custom)
		return faults
	case c == nil:
		return nil
	}
	name := v1alpha1.Mechanism(c.Mechanism)
	row, ours := mechanism.Of(name)
	switch {
	case !saslName.MatchString(c.Mechanism):
		refuse(".mechanism", "the name of a mechanism in SASL has 1 to 20 capitals, digits, - and _; write it as clients "+
			"do, such as GSSAPI")
	case name == v1alpha1.MechanismPlain && slices.Contains(l.Authentication.Mechanisms, name):
		refuse(".mechanism", "PLAIN stands in mechanisms, too; remove one of the two, or make a listener of its own")
	case ours && row.Offered() && name != v1alpha1.MechanismPlain:
		refuse(".mechanism", "the operator has %s itself; name it in mechanisms, or choose another here", name)
	}
	if class := c.CallbackHandlerClass; class != "" && (len(class) > maxClass || !className.MatchString(class)) {
		refuse(".callbackHandlerClass", "it is the name of a Java class with its package, of at most %d characters, such as "+
			"com.example.Handler", maxClass)
	}
	if c.Secret.Name == "" {
		refuse(".secret.name", "name the Secret with jaas.conf, the line of JAAS by which brokers know the mechanism")
	}
	return faults
}

// validateVariables keeps a variable out of what users write as soon as brokers resolve any: it counts in every key,
// also in those that everybody may read, so that whoever may write the spec could read what is in the Secret.
func validateVariables(spec *v1alpha1.KafkaClusterSpec) verdict.List {
	resolving, secrets := "", ""
	offering := slices.IndexFunc(spec.Listeners, func(l v1alpha1.Listener) bool { return customOf(l) != nil })
	switch {
	case offering >= 0:
		listener := spec.Listeners[offering].Name
		resolving = "listener " + listener + " has a mechanism " + string(custom)
		secrets = "the secrets of listener " + listener + ", which has a mechanism " + string(custom)
	case spec.TieredStorage != nil && len(spec.TieredStorage.SecretRefs) > 0:
		resolving, secrets = tieredField+" has secretRefs", "the Secrets of "+tieredField
	default:
		return nil
	}
	var faults verdict.List
	check := func(field string, config v1alpha1.Config) {
		for _, key := range sortedKeys(config) {
			switch {
			case key == "config.providers" || strings.HasPrefix(key, "config.providers."):
				faults.Refuse(field+"["+key+"]", "%s, for which brokers have the one provider that they may have; remove this key",
					resolving)
			case strings.Contains(config[key], "${"):
				faults.Refuse(field+"["+key+"]", "${ begins a variable, by which anybody who reads this key would read %s; "+
					"write the value itself, or remove the key", secrets)
			}
		}
	}
	check("spec.config", spec.Config)
	for _, pool := range spec.Pools {
		check(model.PoolField(pool.Name, "config"), pool.Config)
	}
	if spec.Authorization != nil {
		for _, name := range spec.Authorization.FederatedSuperUsers {
			if strings.Contains(name, "${") {
				faults.Refuse("spec.authorization.federatedSuperUsers["+name+"]", "${ begins a variable of Kafka's, and no name; "+
					"remove it")
			}
		}
	}
	return faults
}
