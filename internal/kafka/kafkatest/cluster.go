// Package kafkatest starts real Apache Kafka clusters (KRaft, combined nodes) on loopback for tests, and leaves nothing
// behind. Only test code may import it. It needs java (17 or later); the first use also needs mvn and the network, to
// fetch Kafka's jars from Maven Central into the user's cache directory.
package kafkatest

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"maps"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Options describe a cluster.
type Options struct {
	// Nodes is the number of combined nodes, with ids 1..Nodes; default 1.
	Nodes int
	// Users are those that PLAIN knows, with their passwords. SCRAM users are made through the admin listener.
	Users map[string]string
	// Config is added to every node's file.
	Config map[string]string
}

// Cluster is a running cluster. The authorizer is on; ANONYMOUS and the DN of the operator's certificate are super users.
type Cluster struct {
	ID    string
	Nodes []*Node
	CA    *Authority // signs the certificates of the Secure and Mutual listeners

	dir  string
	libs string
}

// Node is one process of the cluster with the addresses (host:port) of its listeners.
type Node struct {
	NodeID  int32
	Admin   string // plaintext, anonymous: a super user
	Clients string // SASL_PLAINTEXT with PLAIN, SCRAM-SHA-256 and SCRAM-SHA-512
	Secure  string // the same mechanisms over TLS
	Mutual  string // TLS with client certificates

	controller  string
	directoryID string
	dir         string
	process     *process
}

// Start formats and starts a cluster and returns when every broker serves. Close must be called also after ctx is over.
func Start(ctx context.Context, o Options) (*Cluster, error) {
	libs, err := jars(ctx)
	if err != nil {
		return nil, fmt.Errorf("get Kafka %s: %w", Version, err)
	}
	dir, err := os.MkdirTemp("", "kafkatest-")
	if err != nil {
		return nil, err
	}
	c := &Cluster{ID: uuid(), dir: dir, libs: libs}
	if err := c.start(ctx, o); err != nil {
		c.Close()
		return nil, fmt.Errorf("start Kafka %s: %w", Version, err)
	}
	return c, nil
}

// Admins are the admin addresses of all nodes.
func (c *Cluster) Admins() []string {
	var all []string
	for _, n := range c.Nodes {
		all = append(all, n.Admin)
	}
	return all
}

// Node returns the node with that id, or nil.
func (c *Cluster) Node(id int32) *Node {
	for _, n := range c.Nodes {
		if n.NodeID == id {
			return n
		}
	}
	return nil
}

// StartNode starts a stopped node again and waits until it serves.
func (c *Cluster) StartNode(ctx context.Context, id int32) error {
	return c.run(ctx, c.Node(id))
}

// StopNode ends a node as the kubelet would (SIGTERM, then SIGKILL when ctx is over).
func (c *Cluster) StopNode(ctx context.Context, id int32) { c.Node(id).process.stop(ctx) }

// Pause freezes a node (SIGSTOP) until Resume.
func (c *Cluster) Pause(id int32) error { return c.Node(id).process.pause() }

// Resume lets a frozen node run on.
func (c *Cluster) Resume(id int32) error { return c.Node(id).process.resume() }

// Log returns the end of a node's log.
func (c *Cluster) Log(id int32) string { return tail(filepath.Join(c.Node(id).dir, "log"), 4000) }

// Close kills all nodes and removes their files.
func (c *Cluster) Close() {
	for _, n := range c.Nodes {
		if n.process != nil {
			n.process.kill()
		}
	}
	_ = os.RemoveAll(c.dir)
}

func (c *Cluster) start(ctx context.Context, o Options) error {
	var err error
	if c.CA, err = NewAuthority(); err != nil {
		return err
	}
	if err = os.WriteFile(filepath.Join(c.dir, "log4j2.properties"), []byte(log4j), 0o600); err != nil {
		return err
	}
	for i := range max(o.Nodes, 1) {
		n := &Node{NodeID: int32(i + 1), directoryID: uuid(), dir: filepath.Join(c.dir, strconv.Itoa(i+1))}
		for _, address := range []*string{&n.Admin, &n.Clients, &n.Secure, &n.Mutual, &n.controller} {
			if *address, err = freeAddress(); err != nil {
				return err
			}
		}
		c.Nodes = append(c.Nodes, n)
	}
	return c.each(func(n *Node) error {
		if err := c.format(ctx, n, o); err != nil {
			return err
		}
		return c.run(ctx, n)
	})
}

func (c *Cluster) each(do func(*Node) error) error {
	errs := make([]error, len(c.Nodes))
	var wait sync.WaitGroup
	for i, n := range c.Nodes {
		wait.Go(func() {
			if err := do(n); err != nil {
				errs[i] = fmt.Errorf("node %d: %w", n.NodeID, err)
			}
		})
	}
	wait.Wait()
	return errors.Join(errs...)
}

// run starts the node and waits until its listeners are open, which a broker does when it is caught up and unfenced.
func (c *Cluster) run(ctx context.Context, n *Node) error {
	var err error
	n.process, err = spawn(filepath.Join(n.dir, "log"), c.java("kafka.Kafka", filepath.Join(n.dir, "server.properties"))...)
	if err != nil {
		return err
	}
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		conn, err := (&net.Dialer{Timeout: time.Second}).DialContext(ctx, "tcp", n.Admin)
		if err == nil {
			return conn.Close()
		}
		select {
		case <-n.process.done:
			return fmt.Errorf("it ended; its log says:\n%s", c.Log(n.NodeID))
		case <-ctx.Done():
			return fmt.Errorf("it does not serve: %w; its log says:\n%s", ctx.Err(), c.Log(n.NodeID))
		case <-tick.C:
		}
	}
}

func (c *Cluster) format(ctx context.Context, n *Node, o Options) error {
	if err := os.MkdirAll(n.dir, 0o700); err != nil {
		return err
	}
	if err := n.Certify(c.CA); err != nil {
		return err
	}
	files := map[string]string{
		"server.properties": c.properties(n, o),
		"ca.pem":            string(c.CA.PEM),
	}
	for name, content := range files {
		if err := os.WriteFile(filepath.Join(n.dir, name), []byte(content), 0o600); err != nil {
			return err
		}
	}
	var voters []string
	for _, v := range c.Nodes {
		voters = append(voters, fmt.Sprintf("%d@%s:%s", v.NodeID, v.controller, v.directoryID))
	}
	log := filepath.Join(n.dir, "format.log")
	p, err := spawn(log, c.java("kafka.tools.StorageTool", "format", "-t", c.ID, "-c", filepath.Join(n.dir, "server.properties"),
		"--initial-controllers", strings.Join(voters, ","))...)
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
	return append([]string{
		"java", "-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1",
		"-Dlog4j2.configurationFile=" + filepath.Join(c.dir, "log4j2.properties"),
		"-cp", filepath.Join(c.libs, "*"), main,
	}, args...)
}

func (c *Cluster) properties(n *Node, o Options) string {
	var bootstrap []string
	for _, v := range c.Nodes {
		bootstrap = append(bootstrap, v.controller)
	}
	replicas := strconv.Itoa(min(len(c.Nodes), 3))
	config := map[string]string{
		"node.id":                             strconv.Itoa(int(n.NodeID)),
		"process.roles":                       "broker,controller",
		"log.dirs":                            filepath.Join(n.dir, "data"),
		"controller.quorum.bootstrap.servers": strings.Join(bootstrap, ","),
		"controller.listener.names":           "CONTROLLER",
		"inter.broker.listener.name":          "ADMIN",
		"listeners": fmt.Sprintf("CONTROLLER://%s,ADMIN://%s,CLIENTS://%s,SECURE://%s,MUTUAL://%s",
			n.controller, n.Admin, n.Clients, n.Secure, n.Mutual),
		"listener.security.protocol.map":                   "CONTROLLER:PLAINTEXT,ADMIN:PLAINTEXT,CLIENTS:SASL_PLAINTEXT,SECURE:SASL_SSL,MUTUAL:SSL",
		"authorizer.class.name":                            "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
		"super.users":                                      "User:ANONYMOUS;User:CN=" + OperatorName,
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
		"num.network.threads":                              "1",
		"num.io.threads":                                   "2",
		"log.cleaner.dedupe.buffer.size":                   "4194304",
		"auto.create.topics.enable":                        "true", // so that a test sees a client that forgets to forbid it
	}
	for _, listener := range []string{"clients", "secure"} {
		prefix := "listener.name." + listener + "."
		config[prefix+"sasl.enabled.mechanisms"] = "PLAIN,SCRAM-SHA-256,SCRAM-SHA-512"
		config[prefix+"plain.sasl.jaas.config"] = plainLogin(o.Users)
		for _, mechanism := range []string{"scram-sha-256", "scram-sha-512"} {
			config[prefix+mechanism+".sasl.jaas.config"] = "org.apache.kafka.common.security.scram.ScramLoginModule required;"
		}
	}
	maps.Copy(config, o.Config)
	var lines []string
	for key, value := range config {
		lines = append(lines, key+"="+strings.ReplaceAll(value, `\`, `\\`))
	}
	slices.Sort(lines)
	return strings.Join(lines, "\n") + "\n"
}

func plainLogin(users map[string]string) string {
	var b strings.Builder
	b.WriteString("org.apache.kafka.common.security.plain.PlainLoginModule required")
	for user, password := range users {
		fmt.Fprintf(&b, " user_%s=%q", user, password)
	}
	return b.String() + ";"
}

const log4j = `rootLogger.level=INFO
rootLogger.appenderRef.console.ref=console
appender.console.type=Console
appender.console.name=console
appender.console.layout.type=PatternLayout
appender.console.layout.pattern=%d{ABSOLUTE} %p %m (%c{1})%n%xEx
`

// uuid is random in Kafka's text form; one that starts with a dash would be taken for an option.
func uuid() string {
	var id [16]byte
	_, _ = rand.Read(id[:])
	id[0] &= 0x7f
	return base64.RawURLEncoding.EncodeToString(id[:])
}

func freeAddress() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return l.Addr().String(), l.Close()
}

func tail(file string, n int) string {
	content, err := os.ReadFile(file)
	if err != nil {
		return err.Error()
	}
	return string(content[max(0, len(content)-n):])
}
