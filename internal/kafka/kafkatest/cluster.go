// Package kafkatest starts real Apache Kafka clusters on loopback for tests, and leaves nothing behind: with Kafka 4
// KRaft nodes, combined or dedicated; with Kafka 3 one combined node; with Kafka 2 brokers and a ZooKeeper. Only test
// code may import it. It needs java 17 or later. Its first use also needs mvn and the network, to fetch Kafka's jars
// from Maven Central into the user's cache directory.
package kafkatest

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"
)

// Options describe a cluster.
type Options struct {
	// Version is the version of Apache Kafka. Default: Version.
	Version string
	// Nodes is the number of combined nodes, with ids from 1. Default: 1.
	Nodes int
	// Controllers is the number of dedicated controllers, with ids from 101. With any, the Nodes are only brokers. The
	// first controller founds the quorum as its only voter. The others are observers (KIP-853).
	Controllers int
	// Release is the metadata.version that the cluster is formatted with, such as 4.2-IV1. Default: the newest.
	Release string
	// Users are the users of PLAIN, with their passwords. A test makes SCRAM users through the admin listener.
	Users map[string]string
	// Fronts are addresses of proxies, one for each of the Nodes. With them, brokers have one more listener without a
	// login, whose clients they send to their proxies.
	Fronts []string
	// Jars come after Kafka's own on the class path.
	Jars []string
	// JVM holds options of Java. They come after the defaults, which make a small JVM that starts fast.
	JVM []string
	// Config is added to every node's properties and wins over the defaults, and BrokerConfig wins over both for brokers.
	// In the values of these {dir} stands for the folder of the node, with its files server.pem and ca.pem.
	Config, BrokerConfig map[string]string
}

// Cluster is a running cluster with an authorizer. Its super users are ANONYMOUS and the DN of the operator's
// certificate.
type Cluster struct {
	ID          string
	Nodes       []*Node
	Controllers []*Node    // dedicated controllers, the first voter in front
	CA          *Authority // signs the certificates of the Secure and Mutual listeners
	// StartTook is how long it took until every broker served, without the time to fetch Kafka.
	StartTook time.Duration

	options   Options
	dir       string
	libs      string
	zookeeper *zookeeper // with Kafka 2; else nil
}

// Start formats and starts a cluster, and returns when every broker serves. The caller must call Close, also after ctx
// ended.
func Start(ctx context.Context, o Options) (*Cluster, error) {
	o.Version = cmp.Or(o.Version, Version)
	libs, err := Libs(ctx, o.Version)
	if err != nil {
		return nil, fmt.Errorf("get Kafka %s: %w", o.Version, err)
	}
	dir, err := os.MkdirTemp("", "kafkatest-")
	if err != nil {
		return nil, err
	}
	c := &Cluster{ID: uuid(), options: o, dir: dir, libs: libs}
	began := time.Now()
	if err := c.start(ctx); err != nil {
		c.Close()
		return nil, fmt.Errorf("start Kafka %s: %w", o.Version, err)
	}
	c.StartTook = time.Since(began)
	return c, nil
}

// Admins returns the admin addresses of all brokers.
func (c *Cluster) Admins() []string {
	var all []string
	for _, n := range c.Nodes {
		all = append(all, n.Admin)
	}
	return all
}

// Node returns the node with that id, or nil.
func (c *Cluster) Node(id int32) *Node {
	for _, n := range c.all() {
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

// StopNode ends a node as the kubelet does: SIGTERM, and SIGKILL when ctx ends.
func (c *Cluster) StopNode(ctx context.Context, id int32) { c.Node(id).process.stop(ctx) }

// EmptyNode gives a stopped node an empty disk, formatted for a node that waits to become a voter (KIP-853).
func (c *Cluster) EmptyNode(ctx context.Context, id int32) error {
	n := c.Node(id)
	if err := os.RemoveAll(filepath.Join(n.dir, "data")); err != nil {
		return err
	}
	return c.format(ctx, n, "--no-initial-controllers")
}

// Pause freezes a node (SIGSTOP) until Resume.
func (c *Cluster) Pause(id int32) error { return c.Node(id).process.pause() }

// Resume lets a frozen node run again.
func (c *Cluster) Resume(id int32) error { return c.Node(id).process.resume() }

// Ended returns an error with the end of the log of a node that has ended; nil = the node runs.
func (c *Cluster) Ended(id int32) error {
	select {
	case <-c.Node(id).process.done:
		return fmt.Errorf("node %d has ended; its log says:\n%s", id, c.Log(id))
	default:
		return nil
	}
}

// Log returns the last 4,000 bytes of a node's log.
func (c *Cluster) Log(id int32) string { return tail(filepath.Join(c.Node(id).dir, "log"), 4000) }

// Close kills all nodes and removes their files.
func (c *Cluster) Close() {
	for _, n := range c.all() {
		if n.process != nil {
			n.process.kill()
		}
	}
	if c.zookeeper != nil {
		c.zookeeper.process.kill()
	}
	_ = os.RemoveAll(c.dir)
}

func (c *Cluster) start(ctx context.Context) error {
	var err error
	if c.CA, err = NewAuthority(); err != nil {
		return err
	}
	if err = os.WriteFile(filepath.Join(c.dir, "log4j2.properties"), []byte(log4j), 0o600); err != nil {
		return err
	}
	if before(c.options.Version, 3) {
		if c.zookeeper, err = c.startZooKeeper(ctx); err != nil {
			return err
		}
	}
	for i := range max(c.options.Nodes, 1) {
		n, err := c.newNode(int32(i+1), c.options.Controllers == 0, true)
		if err != nil {
			return err
		}
		c.Nodes = append(c.Nodes, n)
	}
	for i := range c.options.Controllers {
		n, err := c.newNode(int32(firstController+i), true, false)
		if err != nil {
			return err
		}
		c.Controllers = append(c.Controllers, n)
	}
	return c.each(func(n *Node) error {
		if err := n.prepare(c); err != nil {
			return err
		}
		if c.zookeeper == nil {
			if err := c.format(ctx, n, c.birth(n)...); err != nil {
				return err
			}
		}
		return c.run(ctx, n)
	})
}

func (c *Cluster) all() []*Node { return slices.Concat(c.Nodes, c.Controllers) }

func (c *Cluster) each(do func(*Node) error) error {
	nodes := c.all()
	errs := make([]error, len(nodes))
	var wait sync.WaitGroup
	for i, n := range nodes {
		wait.Go(func() {
			if err := do(n); err != nil {
				errs[i] = fmt.Errorf("node %d: %w", n.NodeID, err)
			}
		})
	}
	wait.Wait()
	return errors.Join(errs...)
}

// run starts the node and waits until its listeners are open. A broker opens them when it is caught up and unfenced.
func (c *Cluster) run(ctx context.Context, n *Node) error {
	var err error
	command := c.java("kafka.Kafka", filepath.Join(n.dir, "server.properties"))
	if n.process, err = spawn(filepath.Join(n.dir, "log"), command...); err != nil {
		return err
	}
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		conn, err := (&net.Dialer{Timeout: time.Second}).DialContext(ctx, "tcp", n.door())
		if err == nil {
			return conn.Close()
		}
		select {
		case <-n.process.done:
			return c.Ended(n.NodeID)
		case <-ctx.Done():
			return fmt.Errorf("it does not serve: %w; its log says:\n%s", ctx.Err(), c.Log(n.NodeID))
		case <-tick.C:
		}
	}
}

const log4j = `rootLogger.level=INFO
rootLogger.appenderRef.console.ref=console
appender.console.type=Console
appender.console.name=console
appender.console.layout.type=PatternLayout
appender.console.layout.pattern=%d{ABSOLUTE} %p %m (%c{1})%n%xEx
`

// uuid returns a random UUID in Kafka's text form. It does not start with a dash: Kafka's tools would take it for an
// option.
func uuid() string {
	var id [16]byte
	_, _ = rand.Read(id[:])
	id[0] &= 0x7f
	return base64.RawURLEncoding.EncodeToString(id[:])
}

// given holds the addresses that freeAddress returned.
var given sync.Map

// freeAddress returns an address that nobody listens on, and each address once: the system gives out a port again as
// long as nobody listens on it.
func freeAddress() (string, error) {
	for {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return "", err
		}
		address := l.Addr().String()
		if err := l.Close(); err != nil {
			return "", err
		}
		if _, twice := given.LoadOrStore(address, true); !twice {
			return address, nil
		}
	}
}

// FreePort returns a port of 127.0.0.1 that nobody listens on.
func FreePort() (string, error) {
	address, err := freeAddress()
	if err != nil {
		return "", err
	}
	_, port, err := net.SplitHostPort(address)
	return port, err
}

func tail(file string, n int) string {
	content, err := os.ReadFile(file)
	if err != nil {
		return err.Error()
	}
	return string(content[max(0, len(content)-n):])
}
