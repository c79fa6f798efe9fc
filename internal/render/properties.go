package render

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode/utf16"

	"github.com/castellan-dev/castellan/api/v1alpha1"
	"github.com/castellan-dev/castellan/internal/mechanism"
	"github.com/castellan-dev/castellan/internal/model"
	"github.com/castellan-dev/castellan/internal/plainauth"
)

// property is one line of server.properties.
type property struct{ key, value string }

// operatorDefaults are the operator's own choices, the same for every node. They are no part of what the user asked
// for: a new operator that chooses otherwise restarts nobody.
var operatorDefaults = []property{
	// Certificates of listeners are replaced on the running broker, and new ones may name other addresses.
	{"ssl.allow.dn.changes", "true"},
	{"ssl.allow.san.changes", "true"},
	// Who a client is depends on the listener at which it comes.
	{"principal.builder.class", plainauth.PrincipalBuilderClass},
}

// brokerDefaults are the operator's own choices for brokers, in the same sense.
var brokerDefaults = []property{
	// How long a broker waits for a controller to register with before it ends by itself. Kafka's default is one minute.
	// The controllers of a cluster that starts whole, or of one whose machines are slow, may need longer, and a broker
	// that ends is held in back-off when they come. Fifteen minutes.
	{"initial.broker.registration.timeout.ms", "900000"},
}

// reauthSeconds cuts a removed user off: without it an open connection lives for ever. Five minutes.
const reauthSeconds int32 = 300

// serverProperties prints the file of one node.
func serverProperties(c *model.Cluster, pool *model.Pool, n *model.Node) string {
	lines := ownProperties(c, pool, n)
	lines = append(lines, storage(pool)...)
	lines = append(lines, fileProvider(c, pool, n)...)
	for _, l := range n.Listeners {
		lines = append(lines, listenerSecurity(c, n, l)...)
	}
	if !pool.Controller {
		// A broker is a client of the controllers' listener, which it does not have itself.
		lines = append(lines, internalSecurity("controller", n)...)
	}
	lines = append(lines, authorization(c)...)
	lines = append(lines, tieredStorage(c, pool, n)...)
	lines = append(lines, operatorDefaults...)
	if pool.Broker {
		lines = append(lines, brokerDefaults...)
	}
	lines = append(lines, userConfig(c, pool)...)

	var b strings.Builder
	b.WriteString("# Written by Castellan from the KafkaCluster; a change there makes a new file.\n")
	for _, p := range lines {
		b.WriteString(p.key + "=" + escapeValue(p.value) + "\n")
	}
	return b.String()
}

// ownProperties says who the node is, where it listens, and where the quorum is.
func ownProperties(c *model.Cluster, pool *model.Pool, n *model.Node) []property {
	var listeners, advertised, protocols []string
	for _, l := range n.Listeners {
		listeners = append(listeners, fmt.Sprintf("%s://:%d", l.Name, l.Port))
		advertised = append(advertised, fmt.Sprintf("%s://%s:%d", l.Name, bracketed(l.AdvertisedHost), l.AdvertisedPort))
		protocols = append(protocols, l.Name+":"+l.SecurityProtocol)
	}
	// Kafka wants a protocol for both internal listeners on every node, also for the one that the node does not have.
	for _, name := range []string{"CONTROLLER", "REPLICATION"} {
		if n.Listener(name) == nil {
			protocols = append(protocols, name+":SSL")
		}
	}
	lines := []property{
		{"process.roles", processRoles(pool)},
		{"node.id", fmt.Sprint(n.ID)},
		{"controller.quorum.bootstrap.servers", c.QuorumServers()},
		{"controller.listener.names", "CONTROLLER"},
		{"inter.broker.listener.name", "REPLICATION"},
		{"listeners", strings.Join(listeners, ",")},
		{"advertised.listeners", strings.Join(advertised, ",")},
		{"listener.security.protocol.map", strings.Join(protocols, ",")},
	}
	if pool.Broker {
		lines = append(lines, property{"broker.rack", model.RackPlaceholder})
	}
	return lines
}

// bracketed is a host before a port: an IPv6 address stands in brackets.
func bracketed(host string) string {
	if strings.Contains(host, ":") {
		return "[" + host + "]"
	}
	return host
}

func processRoles(pool *model.Pool) string {
	var roles []string
	if pool.Broker {
		roles = append(roles, "broker")
	}
	if pool.Controller {
		roles = append(roles, "controller")
	}
	return strings.Join(roles, ",")
}

func storage(pool *model.Pool) []property {
	var dirs []string
	for _, v := range pool.Volumes {
		dirs = append(dirs, model.LogDir(v.Name))
	}
	return []property{{"log.dirs", strings.Join(dirs, ",")}, {"metadata.log.dir", dirs[0]}}
}

func listenerSecurity(c *model.Cluster, n *model.Node, l model.NodeListener) []property {
	name := strings.ToLower(l.Name)
	if l.IsInternal() {
		return internalSecurity(name, n)
	}
	prefix := "listener.name." + name + "."
	var lines []property
	if strings.HasSuffix(l.SecurityProtocol, "SSL") {
		lines = append(lines,
			property{prefix + "ssl.keystore.type", "PEM"},
			property{prefix + "ssl.keystore.location", fmt.Sprintf("%s/%d.%s.pem", listenersDir, n.ID, name)},
			property{prefix + "ssl.client.auth", "none"},
		)
	}
	listener := c.ClientListener(l.Name)
	if listener == nil {
		return lines
	}
	if listener.AsksForCertificates() {
		lines[len(lines)-1].value = "required"
		lines = append(lines,
			property{prefix + "ssl.truststore.type", "PEM"},
			property{prefix + "ssl.truststore.location", listenersDir + "/" + listener.ClientTrust()},
			property{prefix + plainauth.CertificatesFile, usersDir + "/" + CertificatesEntry},
		)
	}
	if len(listener.Protocols) > 0 {
		lines = append(lines, property{prefix + "ssl.enabled.protocols", strings.Join(listener.Protocols, ",")})
	}
	if len(listener.CipherSuites) > 0 {
		lines = append(lines, property{prefix + "ssl.cipher.suites", strings.Join(listener.CipherSuites, ",")})
	}
	if mechanism.IsSasl(listener.Mechanisms) {
		lines = append(lines, saslSecurity(prefix, n, listener)...)
	}
	return lines
}

// internalSecurity is mutual TLS with the cluster's own CA.
func internalSecurity(name string, n *model.Node) []property {
	prefix := "listener.name." + name + ".ssl."
	return []property{
		{prefix + "keystore.type", "PEM"},
		{prefix + "keystore.location", fmt.Sprintf("%s/%d.pem", internalDir, n.ID)},
		{prefix + "truststore.type", "PEM"},
		{prefix + "truststore.location", internalDir + "/" + CAEntry},
		{prefix + "client.auth", "required"},
	}
}

func saslSecurity(prefix string, n *model.Node, l *model.Listener) []property {
	lines := []property{
		{prefix + "sasl.enabled.mechanisms", strings.Join(mechanism.SaslNames(l.Mechanisms, l.SaslName()), ",")},
		{prefix + "connections.max.reauth.ms", fmt.Sprint(cmp.Or(l.ReauthSeconds, reauthSeconds) * 1000)},
	}
	for _, m := range l.Mechanisms {
		if row, known := mechanism.Of(m); known {
			for _, p := range row.Properties(offerOf(n, l)) {
				lines = append(lines, property{prefix + p.Key, p.Value})
			}
		}
	}
	return lines
}

// authorization holds on controllers too: they carry out what brokers forward.
func authorization(c *model.Cluster) []property {
	class := "org.apache.kafka.metadata.authorizer.StandardAuthorizer"
	switch c.Authorization {
	case v1alpha1.AuthorizationSimple:
	case v1alpha1.AuthorizationCustom:
		class = c.Authorizer
	default:
		return nil
	}
	super := []string{NodePrincipal, OperatorPrincipal}
	var federated []string
	for _, name := range c.FederatedSuperUsers {
		federated = append(federated, "User:"+name)
	}
	for _, name := range c.SuperUsers {
		super = append(super, "User:"+name)
	}
	lines := []property{
		{"authorizer.class.name", class},
		{"super.users", strings.Join(append(super, federated...), ";")},
	}
	if len(federated) > 0 {
		lines = append(lines, property{plainauth.FederatedSuperUsers, strings.Join(federated, ";")})
	}
	return lines
}

// userConfig is what the user wrote, over the defaults that depend on the cluster's first size.
func userConfig(c *model.Cluster, pool *model.Pool) []property {
	replication, minISR := fmt.Sprint(c.Defaults.ReplicationFactor), fmt.Sprint(c.Defaults.MinInsyncReplicas)
	config := map[string]string{
		"default.replication.factor":                       replication,
		"offsets.topic.replication.factor":                 replication,
		"transaction.state.log.replication.factor":         replication,
		"transaction.state.log.min.isr":                    minISR,
		"share.coordinator.state.topic.replication.factor": replication,
		"share.coordinator.state.topic.min.isr":            minISR,
	}
	for _, p := range tieredDefaults(c, pool) {
		config[p.key] = p.value
	}
	for key, value := range pool.StaticConfig {
		config[key] = value
	}
	var lines []property
	for key, value := range config {
		lines = append(lines, property{key, value})
	}
	slices.SortFunc(lines, func(a, b property) int { return strings.Compare(a.key, b.key) })
	return lines
}

// escapeValue writes a value so that java.util.Properties, which Kafka reads as ISO 8859-1, gives it back as it is.
func escapeValue(value string) string {
	var b strings.Builder
	for i, r := range value {
		switch {
		case r == '\\':
			b.WriteString(`\\`)
		case r == ' ' && i == 0:
			b.WriteString(`\ `) // else it would be taken for the space around the equals sign
		case r == '\t':
			b.WriteString(`\t`)
		case r == '\f':
			b.WriteString(`\f`)
		case r >= 0x20 && r < 0x7f:
			b.WriteRune(r)
		case r > 0xffff:
			high, low := (r-0x10000)>>10+0xd800, (r-0x10000)&0x3ff+0xdc00
			fmt.Fprintf(&b, `\u%04x\u%04x`, high, low)
		default:
			fmt.Fprintf(&b, `\u%04x`, r)
		}
	}
	return b.String()
}

// unescapeValue gives back what escapeValue was given.
func unescapeValue(text string) string {
	var units []uint16
	for len(text) > 0 {
		if code, err := strconv.ParseUint(text[min(2, len(text)):min(6, len(text))], 16, 16); err == nil &&
			strings.HasPrefix(text, `\u`) {
			units, text = append(units, uint16(code)), text[6:]
			continue
		}
		if text[0] == '\\' && len(text) > 1 {
			text = cmp.Or(map[byte]string{'t': "\t", 'f': "\f"}[text[1]], text[1:2]) + text[2:]
		}
		units, text = append(units, uint16(text[0])), text[1:]
	}
	return string(utf16.Decode(units))
}
