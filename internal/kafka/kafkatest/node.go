package kafkatest

import (
	"context"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// firstController keeps the ids of dedicated controllers apart from those of brokers.
const firstController = 101

// Node is one process of the cluster. Its addresses are host:port; empty = the node has no such listener.
type Node struct {
	NodeID     int32
	Admin      string // plaintext without a login; ANONYMOUS is a super user
	Clients    string // SASL_PLAINTEXT with PLAIN, SCRAM-SHA-256 and SCRAM-SHA-512
	Secure     string // the same mechanisms over TLS
	Mutual     string // TLS with client certificates
	Behind     string // plaintext without a login, for a proxy; with Options.Fronts
	Controller string // plaintext, for the metadata quorum

	directoryID string
	dir         string
	process     *process
}

func (c *Cluster) newNode(id int32, controller, broker bool) (*Node, error) {
	n := &Node{NodeID: id, directoryID: uuid(), dir: filepath.Join(c.dir, strconv.Itoa(int(id)))}
	var addresses []*string
	if controller {
		addresses = append(addresses, &n.Controller)
	}
	if broker {
		addresses = append(addresses, &n.Admin, &n.Clients, &n.Secure, &n.Mutual)
		if len(c.options.Fronts) > 0 {
			addresses = append(addresses, &n.Behind)
		}
	}
	for _, address := range addresses {
		var err error
		if *address, err = freeAddress(); err != nil {
			return nil, err
		}
	}
	return n, nil
}

// PID returns the process id of a running node.
func (n *Node) PID() int { return n.process.cmd.Process.Pid }

// door is the address that run waits for.
func (n *Node) door() string {
	if n.Admin == "" {
		return n.Controller
	}
	return n.Admin
}

// prepare writes the node's files.
func (n *Node) prepare(c *Cluster) error {
	if err := os.MkdirAll(n.dir, 0o700); err != nil {
		return err
	}
	if err := n.Certify(c.CA); err != nil {
		return err
	}
	files := map[string]string{
		"server.properties": c.properties(n),
		"ca.pem":            string(c.CA.PEM),
	}
	for name, content := range files {
		if err := os.WriteFile(filepath.Join(n.dir, name), []byte(content), 0o600); err != nil {
			return err
		}
	}
	return nil
}

// birth returns the flags that format a node's first disk.
func (c *Cluster) birth(n *Node) []string {
	switch {
	case before(c.options.Version, 4):
		return nil // the node's properties name the voters
	case len(c.Controllers) == 0:
		var voters []string
		for _, v := range c.Nodes {
			voters = append(voters, fmt.Sprintf("%d@%s:%s", v.NodeID, v.Controller, v.directoryID))
		}
		return []string{"--initial-controllers", strings.Join(voters, ",")}
	case n == c.Controllers[0]:
		return []string{"--standalone"}
	case n.Controller != "":
		return []string{"--no-initial-controllers"}
	default:
		return nil // a broker needs no flags
	}
}

func (c *Cluster) format(ctx context.Context, n *Node, flags ...string) error {
	log := filepath.Join(n.dir, "format.log")
	command := append([]string{"format", "-t", c.ID, "-c", filepath.Join(n.dir, "server.properties")}, flags...)
	if c.options.Release != "" {
		command = append(command, "--release-version", c.options.Release)
	}
	p, err := spawn(log, c.java("kafka.tools.StorageTool", command...)...)
	if err != nil {
		return err
	}
	defer p.kill()
	select {
	case <-p.done:
	case <-ctx.Done():
		return ctx.Err()
	}
	if p.err != nil {
		return fmt.Errorf("format: %w: %s", p.err, tail(log, 2000))
	}
	return nil
}

func (c *Cluster) java(main string, args ...string) []string {
	classPath := append([]string{filepath.Join(c.libs, "*")}, c.options.Jars...)
	return slices.Concat(
		[]string{"java", "-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"}, c.options.JVM,
		[]string{"-Dlog4j2.configurationFile=" + filepath.Join(c.dir, "log4j2.properties")},
		[]string{"-cp", strings.Join(classPath, ":"), main}, args)
}

func (c *Cluster) properties(n *Node) string {
	var bootstrap []string
	for _, v := range c.all() {
		if v.Controller != "" {
			bootstrap = append(bootstrap, v.Controller)
		}
	}
	config := map[string]string{
		"node.id":                             strconv.Itoa(int(n.NodeID)),
		"log.dirs":                            filepath.Join(n.dir, "data"),
		"controller.quorum.bootstrap.servers": strings.Join(bootstrap, ","),
		"controller.listener.names":           "CONTROLLER",
		"listener.security.protocol.map": "CONTROLLER:PLAINTEXT,ADMIN:PLAINTEXT,CLIENTS:SASL_PLAINTEXT," +
			"SECURE:SASL_SSL,MUTUAL:SSL",
		"authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
		"super.users":           "User:ANONYMOUS;User:CN=" + OperatorName,
		"num.network.threads":   "1",
		"num.io.threads":        "2",
	}
	var roles, listeners []string
	if n.Admin != "" {
		roles = append(roles, "broker")
		listeners = append(listeners,
			"ADMIN://"+n.Admin, "CLIENTS://"+n.Clients, "SECURE://"+n.Secure, "MUTUAL://"+n.Mutual)
		maps.Copy(config, c.brokerProperties(n))
	}
	if n.Behind != "" {
		front := "BEHIND://" + c.options.Fronts[n.NodeID-1]
		config["advertised.listeners"] = strings.Join(slices.Concat(listeners, []string{front}), ",")
		config["listener.security.protocol.map"] += ",BEHIND:PLAINTEXT"
		listeners = append(listeners, "BEHIND://"+n.Behind)
	}
	if n.Controller != "" {
		roles = append(roles, "controller")
		listeners = append(listeners, "CONTROLLER://"+n.Controller)
	}
	config["process.roles"], config["listeners"] = strings.Join(roles, ","), strings.Join(listeners, ",")
	c.age(n, config)
	maps.Copy(config, c.options.Config)
	if n.Admin != "" {
		maps.Copy(config, c.options.BrokerConfig)
	}
	var lines []string
	for key, value := range config {
		value = strings.ReplaceAll(value, "{dir}", n.dir)
		lines = append(lines, key+"="+strings.ReplaceAll(value, `\`, `\\`))
	}
	slices.Sort(lines)
	return strings.Join(lines, "\n") + "\n"
}

func (c *Cluster) brokerProperties(n *Node) map[string]string {
	replicas := strconv.Itoa(min(len(c.Nodes), 3))
	config := map[string]string{
		"inter.broker.listener.name":                       "ADMIN",
		"ssl.keystore.type":                                "PEM",
		"ssl.keystore.location":                            filepath.Join(n.dir, "server.pem"),
		"ssl.truststore.type":                              "PEM",
		"ssl.truststore.location":                          filepath.Join(n.dir, "ca.pem"),
		"listener.name.mutual.ssl.client.auth":             "required",
		"offsets.topic.replication.factor":                 replicas,
		"offsets.topic.num.partitions":                     "1",
		"transaction.state.log.replication.factor":         replicas,
		"transaction.state.log.num.partitions":             "1",
		"share.coordinator.state.topic.replication.factor": replicas,
		"share.coordinator.state.topic.num.partitions":     "1",
		"default.replication.factor":                       replicas,
		"log.cleaner.dedupe.buffer.size":                   "4194304",
		"auto.create.topics.enable":                        "true", // shows a client that forgets to forbid it
	}
	const scramLogin = "org.apache.kafka.common.security.scram.ScramLoginModule required;"
	for _, listener := range []string{"clients", "secure"} {
		prefix := "listener.name." + listener + "."
		config[prefix+"sasl.enabled.mechanisms"] = "PLAIN,SCRAM-SHA-256,SCRAM-SHA-512"
		config[prefix+"plain.sasl.jaas.config"] = plainLogin(c.options.Users)
		for _, mechanism := range []string{"scram-sha-256", "scram-sha-512"} {
			config[prefix+mechanism+".sasl.jaas.config"] = scramLogin
		}
	}
	return config
}

func plainLogin(users map[string]string) string {
	var b strings.Builder
	b.WriteString("org.apache.kafka.common.security.plain.PlainLoginModule required")
	for user, password := range users {
		fmt.Fprintf(&b, " user_%s=%q", user, password)
	}
	return b.String() + ";"
}
