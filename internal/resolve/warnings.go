package resolve

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/castellan-dev/castellan/api/v1alpha1"
	"github.com/castellan-dev/castellan/internal/mechanism"
	"github.com/castellan-dev/castellan/internal/model"
	"github.com/castellan-dev/castellan/internal/version"
)

// Warnings are sentences about what is carried out as it is asked for and yet deserves a second thought.
func Warnings(c *model.Cluster) []string {
	var warnings []string
	var controllers, brokers int32
	for _, p := range c.Pools {
		if p.Controller {
			controllers += p.Replicas
		}
		if p.Broker {
			brokers += p.Replicas
		}
	}
	switch {
	case controllers > 5:
		warnings = append(
			warnings,
			fmt.Sprintf("spec.pools: %d controllers make every metadata change slower and nothing safer than 5 do", controllers),
		)
	case controllers%2 == 0:
		warnings = append(
			warnings,
			fmt.Sprintf(
				"spec.pools: %d controllers survive no more failures than %d do; 1, 3 or 5 are sound",
				controllers,
				controllers-1,
			),
		)
	}
	if minISR, err := strconv.Atoi(c.DynamicConfig[minISRKey]); err == nil && int32(minISR) > brokers {
		warnings = append(warnings, fmt.Sprintf(
			"spec.config[%s]: %d is more than the %d brokers, so that every write with acks=all is refused as soon as one "+
				"replica is away",
			minISRKey,
			minISR,
			brokers,
		))
	}
	warnings = append(warnings, permissions(c)...)
	warnings = append(warnings, tieredByKeys(c)...)
	for _, l := range c.Listeners {
		for _, m := range l.Mechanisms {
			if row, known := mechanism.Of(m); known && row.Shows(l.SaslName()) && !l.TLS {
				what := "passwords"
				if row.Store == mechanism.IssuerKeys {
					what = "tokens"
				}
				warnings = append(warnings, fmt.Sprintf("spec.listeners[%s]: %s without TLS sends %s as they are over the network",
					l.Name, row.SaslName(l.SaslName()), what))
			}
		}
	}
	return slices.Concat(warnings, prefixWarnings(c), strangers(c), memoryWarnings(c), wallWarnings(c), unknownKeys(c))
}

// strangers tells where clients could not tell a broker from whoever is given the address that its pod had.
func strangers(c *model.Cluster) []string {
	var warnings []string
	for _, l := range c.Listeners {
		if l.OneService && !l.TLS {
			warnings = append(warnings, fmt.Sprintf("spec.listeners[%s].encryption: while no operator runs, clients of a "+
				"broker whose pod is gone are led to whichever pod gets its address next, and without TLS they cannot tell; "+
				"set it to TLS, or exposure.brokers.servicePolicy to %s", l.Name, v1alpha1.ServicePerBroker))
		}
	}
	return warnings
}

// anonymous is the name of clients that do not log in.
const anonymous = "ANONYMOUS"

// permissions tells where the listeners and the authorization make a whole that hardly anybody wants.
func permissions(c *model.Cluster) []string {
	var open, closed []string
	for _, l := range c.Listeners {
		if len(l.Mechanisms) == 0 {
			open = append(open, l.Name)
		} else {
			closed = append(closed, l.Name)
		}
	}
	if c.Authorization == v1alpha1.AuthorizationCustom {
		return nil // whom its class lets do what nobody here knows
	}
	if c.Authorization != v1alpha1.AuthorizationSimple {
		if len(closed) == 0 {
			return nil
		}
		return []string{fmt.Sprintf("spec.authorization.type: it is %s, so that everybody may do everything, though "+
			"spec.listeners[%s] asks for a login; set it to Simple", c.Authorization, closed[0])}
	}
	for _, named := range []struct {
		field string
		users []string
	}{{"superUsers", c.SuperUsers}, {"federatedSuperUsers", c.FederatedSuperUsers}} {
		if !slices.Contains(named.users, anonymous) {
			continue
		}
		who := "as soon as a listener asks for no login, whoever reaches it"
		if len(open) > 0 {
			who = fmt.Sprintf("whoever reaches spec.listeners[%s]", open[0])
		}
		return []string{fmt.Sprintf("spec.authorization.%s[%s]: %s may do everything without a login; remove it, and give "+
			"User:%[2]s ACLs with Kafka's tools", named.field, anonymous, who)}
	}
	var warnings []string
	for _, name := range open {
		warnings = append(warnings, fmt.Sprintf("spec.listeners[%s]: everybody there is User:%s, who may do nothing "+
			"without an ACL; give it some with Kafka's tools, the operator leaves them alone", name, anonymous))
	}
	return warnings
}

// tieredByKeys tells of tiered storage that goes on as it was accepted, by keys.
func tieredByKeys(c *model.Cluster) []string {
	keys := map[string]bool{}
	for _, p := range c.Pools {
		for key := range p.StaticConfig {
			if ownerOf(key) == tieredField {
				keys[key] = true
			}
		}
	}
	if len(keys) == 0 {
		return nil
	}
	return []string{fmt.Sprintf("spec.config: %s go on as they were accepted, and none of them can be changed; move them "+
		"to %s, which names the class's plug-in, in one change", strings.Join(sortedKeys(keys), ", "), tieredField)}
}

// unknownKeys finds what is probably a typing error; it may as well be the key of a plug-in, so that it is passed on.
func unknownKeys(c *model.Cluster) []string {
	v, ok := version.Find(c.Version)
	if !ok {
		return nil
	}
	unknown := map[string]bool{}
	for _, p := range c.Pools {
		for key := range p.StaticConfig {
			if v.Scope(key) == version.Unknown && ownerOf(key) == "" && !strings.HasPrefix(key, "config.providers.") &&
				!(c.Tiered != nil && strings.HasPrefix(key, "rlmm.config.")) {
				unknown[key] = true
			}
		}
	}
	var warnings []string
	for _, key := range sortedKeys(unknown) {
		meant := ""
		if nearest := v.Nearest(key); nearest != "" {
			meant = " (" + nearest + "?)"
		}
		warnings = append(warnings, fmt.Sprintf("spec.config[%s]: Kafka %s has no such key; it is passed on for a plug-in "+
			"to read; check its spelling%s", key, c.Version, meant))
	}
	return warnings
}
