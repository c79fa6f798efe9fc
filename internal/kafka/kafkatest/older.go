package kafkatest

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// age translates the properties of Kafka 4 into those of an older version.
func (c *Cluster) age(n *Node, config map[string]string) {
	if !before(c.options.Version, 4) {
		return
	}
	id := strconv.Itoa(int(n.NodeID))
	delete(config, "controller.quorum.bootstrap.servers")
	config["controller.quorum.voters"] = id + "@" + n.Controller
	if c.zookeeper == nil {
		return
	}
	for key := range config {
		kraft := strings.HasPrefix(key, "controller.") || key == "process.roles" || key == "node.id"
		// Kafka 2 has no TLS listeners: it reads only an encrypted PEM key, and ours is not encrypted.
		tls := strings.HasPrefix(key, "ssl.") ||
			strings.HasPrefix(key, "listener.name.secure.") || strings.HasPrefix(key, "listener.name.mutual.")
		if kraft || tls {
			delete(config, key)
		}
	}
	config["broker.id"], config["zookeeper.connect"] = id, c.zookeeper.address
	config["authorizer.class.name"] = "kafka.security.authorizer.AclAuthorizer"
	config["listeners"] = "ADMIN://" + n.Admin + ",CLIENTS://" + n.Clients
	config["listener.security.protocol.map"] = "ADMIN:PLAINTEXT,CLIENTS:SASL_PLAINTEXT"
}

// zookeeper holds the metadata of Kafka 2.
type zookeeper struct {
	address string
	process *process
}

func (c *Cluster) startZooKeeper(ctx context.Context) (*zookeeper, error) {
	address, err := freeAddress()
	if err != nil {
		return nil, err
	}
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	dir := filepath.Join(c.dir, "zookeeper")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	file := filepath.Join(dir, "zoo.cfg")
	text := fmt.Sprintf("dataDir=%s\nclientPort=%s\nclientPortAddress=%s\nadmin.enableServer=false\n", dir, port, host)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		return nil, err
	}
	log := filepath.Join(dir, "log")
	p, err := spawn(log, c.java("org.apache.zookeeper.server.quorum.QuorumPeerMain", file)...)
	if err != nil {
		return nil, err
	}
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		conn, err := (&net.Dialer{Timeout: time.Second}).DialContext(ctx, "tcp", address)
		if err == nil {
			return &zookeeper{address, p}, conn.Close()
		}
		select {
		case <-p.done:
			return nil, fmt.Errorf("ZooKeeper ended; its log says:\n%s", tail(log, 4000))
		case <-ctx.Done():
			p.kill()
			return nil, fmt.Errorf("ZooKeeper does not serve: %w; its log says:\n%s", ctx.Err(), tail(log, 4000))
		case <-tick.C:
		}
	}
}
