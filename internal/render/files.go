package render

import (
	"crypto/sha256"
	_ "embed"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"strconv"
	"strings"

	"github.com/castellan-dev/castellan/api/v1alpha1"
	"github.com/castellan-dev/castellan/internal/model"
	"github.com/castellan-dev/castellan/internal/plainauth"
	"github.com/castellan-dev/castellan/internal/version"
)

// NodeFiles is what one node runs: its files by name, and the fingerprint of them and of what is beside them.
type NodeFiles struct {
	Data        map[string]string // server.properties, jvm, names
	Fingerprint model.Fingerprint
}

// The files of one node.
const (
	fileProperties = "server.properties"
	fileJVM        = "jvm"   // options of the Java virtual machine, one line
	fileNames      = "names" // "<internal or a listener> <name that the certificate must hold>", one a line
)

//go:embed scripts/start.sh
var startScript string

//go:embed scripts/log4j2.properties
var log4jConfig string

// Nodes prints the files of every node; a node that waits for a fact has no entry.
func Nodes(c *model.Cluster) map[int32]NodeFiles {
	nodes := map[int32]NodeFiles{}
	shared := digest(startScript, log4jConfig, string(plainauth.Jar()))
	for i := range c.Nodes {
		n := &c.Nodes[i]
		if n.Waiting != "" {
			continue
		}
		pool := c.PoolOf(n)
		data := map[string]string{
			fileProperties: serverProperties(c, pool, n),
			fileJVM:        jvmOptions(c, pool, n),
			fileNames:      certificateNames(n, c.AuthorityRound),
		}
		asked := digest(toJSON(askedOfNode(c, pool, n)))
		nodes[n.ID] = NodeFiles{Data: data, Fingerprint: model.Fingerprint{
			User: asked,
			// What is asked for need not show in the files: those of a custom mechanism stand in a Secret.
			Whole: digest(toJSON(data), shared, asked),
		}}
	}
	return nodes
}

// Desired gives the fingerprints of all that Nodes, whose result files is, and StatefulSet print.
func Desired(c *model.Cluster, files map[int32]NodeFiles) model.Desired {
	desired := model.Desired{Files: map[int32]model.Fingerprint{}, Templates: map[string]model.Fingerprint{}}
	for id, node := range files {
		desired.Files[id] = node.Fingerprint
	}
	for i := range c.Pools {
		desired.Templates[c.Pools[i].Name] = templateFingerprint(c, &c.Pools[i])
	}
	return desired
}

// jvmOptions fixes the heap: a broker that grows into its memory limit only under load fails at the worst moment. It
// also says where keys of issuers may come from, for a node that takes tokens, and where Kerberos is.
func jvmOptions(c *model.Cluster, pool *model.Pool, n *model.Node) string {
	return fmt.Sprintf("-Xms%[1]d -Xmx%[1]d%[2]s%[3]s\n", pool.HeapBytes, allowedURLs(c, n), kerberosConfig(c, n))
}

// certificateNames lists what the node's certificates must name before it may advertise it; start.sh waits for them.
// Among the internal ones is the round of the authority: a node starts only on what belongs to its files.
func certificateNames(n *model.Node, round int) string {
	var lines []string
	if round > 0 {
		lines = append(lines, internalNames+RoundName(round))
	}
	for _, l := range n.Listeners {
		certificate := strings.ToLower(l.Name)
		if l.IsInternal() {
			certificate = "internal"
		}
		for _, name := range l.SANs {
			if line := certificate + " " + name; !contains(lines, line) {
				lines = append(lines, line)
			}
		}
		if l.NeedsHostIP {
			host := model.HostIPPlaceholder
			if model.IsHostIP(l.AdvertisedHost) {
				host = l.AdvertisedHost
			}
			lines = append(lines, certificate+" "+host)
		}
	}
	return strings.Join(lines, "\n") + "\n"
}

// internalNames begins the lines of what the node's internal certificate must name.
const internalNames = "internal "

// RoundName stands beside the names of an internal certificate that belongs to a round of the authority's replacement.
func RoundName(round int) string { return fmt.Sprintf("%s%d", roundPrefix, round) }

// IsRoundName tells whether a name is that of a round, and not one in a certificate.
func IsRoundName(name string) bool { return strings.HasPrefix(name, roundPrefix) }

const roundPrefix = "castellan-authority-round-"

// RoundOf reads back the round of a node's files.
func RoundOf(files NodeFiles) int {
	for line := range strings.Lines(files.Data[fileNames]) {
		if name, found := strings.CutPrefix(strings.TrimSpace(line), internalNames+roundPrefix); found {
			round, err := strconv.Atoi(name)
			if err == nil {
				return round
			}
		}
	}
	return 0
}

func contains(lines []string, line string) bool {
	for _, l := range lines {
		if l == line {
			return true
		}
	}
	return false
}

// nodeRequest is what the user asked for, as far as one node's files depend on it. It is written out field by field,
// and not taken from the rendered text, so that what the operator adds or words differently restarts nobody. A field
// that is added here must be left out of the JSON when it is zero, or every cluster restarts with the next operator.
type nodeRequest struct {
	ID            int32                      `json:"id"`
	Controller    bool                       `json:"controller,omitempty"`
	Broker        bool                       `json:"broker,omitempty"`
	Volumes       []string                   `json:"volumes"`
	HeapBytes     int64                      `json:"heapBytes"`
	Config        map[string]string          `json:"config,omitempty"`
	Replication   int32                      `json:"replication"`
	MinISR        int32                      `json:"minISR"`
	Authorization v1alpha1.AuthorizationType `json:"authorization"`
	SuperUsers    []string                   `json:"superUsers,omitempty"`
	Federated     []string                   `json:"federatedSuperUsers,omitempty"`
	RackKey       string                     `json:"rackKey,omitempty"`
	Listeners     []listenerRequest          `json:"listeners,omitempty"`
	Authority     int                        `json:"authority,omitempty"`
	Authorizer    string                     `json:"authorizer,omitempty"`
	Tiered        *tieredRequest             `json:"tiered,omitempty"`
}

type listenerRequest struct {
	Name           string               `json:"name"`
	Port           int32                `json:"port"`
	Protocol       string               `json:"protocol"`
	Mechanisms     []v1alpha1.Mechanism `json:"mechanisms,omitempty"`
	AdvertisedHost string               `json:"advertisedHost"`
	AdvertisedPort int32                `json:"advertisedPort"`
	Protocols      []string             `json:"protocols,omitempty"`
	CipherSuites   []string             `json:"cipherSuites,omitempty"`
	ReauthSeconds  int32                `json:"reauthSeconds,omitempty"`
	OAuth          *oauthRequest        `json:"oauth,omitempty"`
	Custom         *customRequest       `json:"custom,omitempty"`
}

func askedOfNode(c *model.Cluster, pool *model.Pool, n *model.Node) nodeRequest {
	r := nodeRequest{
		ID: n.ID, Controller: pool.Controller, Broker: pool.Broker, HeapBytes: pool.HeapBytes, Config: pool.StaticConfig,
		Replication: c.Defaults.ReplicationFactor, MinISR: c.Defaults.MinInsyncReplicas, Authorization: c.Authorization,
		Authority: c.AuthorityRound, Tiered: askedOfTiered(c, pool),
	}
	if c.Authorization == v1alpha1.AuthorizationCustom {
		r.Authorizer = c.Authorizer
	}
	if c.Authorization != v1alpha1.AuthorizationNone {
		r.SuperUsers, r.Federated = c.SuperUsers, c.FederatedSuperUsers
	}
	for _, v := range pool.Volumes {
		r.Volumes = append(r.Volumes, v.Name)
	}
	if !pool.Broker {
		return r
	}
	r.RackKey = c.RackKey
	for _, l := range c.Listeners {
		nl := n.Listener(strings.ToUpper(l.Name))
		if nl == nil {
			continue // it does without until the address is known
		}
		r.Listeners = append(r.Listeners, listenerRequest{
			Name: l.Name, Port: l.Port, Protocol: l.SecurityProtocol(), Mechanisms: l.Mechanisms,
			AdvertisedHost: nl.AdvertisedHost, AdvertisedPort: nl.AdvertisedPort,
			Protocols: l.Protocols, CipherSuites: l.CipherSuites, ReauthSeconds: l.ReauthSeconds, OAuth: askedOfOAuth(l),
			Custom: askedOfCustom(l),
		})
	}
	return r
}

// WithoutDropped is what the files that a node runs count as: keys of an older Kafka among them, which Kafka 4 ignores,
// may leave the spec without a restart.
func WithoutDropped(c *model.Cluster, id int32, ran NodeFiles) model.Fingerprint {
	n := c.Node(id)
	if n == nil || n.Waiting != "" {
		return ran.Fingerprint
	}
	wanted := askedOfNode(c, c.PoolOf(n), n)
	with := wanted
	with.Config = maps.Clone(wanted.Config)
	if with.Config == nil {
		with.Config = map[string]string{}
	}
	for key, value := range readProperties(ran.Data[fileProperties]) {
		if _, asked := wanted.Config[key]; !asked && version.Dropped(key) {
			with.Config[key] = unescapeValue(value)
		}
	}
	if digest(toJSON(with)) != ran.Fingerprint.User {
		return ran.Fingerprint
	}
	return model.Fingerprint{User: digest(toJSON(wanted)), Whole: ran.Fingerprint.Whole}
}

// toJSON is canonical: maps are sorted by key, and nothing that is given to it can fail to be encoded.
func toJSON(value any) string {
	text, err := json.Marshal(value)
	if err != nil {
		panic(fmt.Sprintf("encode %T: %v", value, err))
	}
	return string(text)
}

// digest identifies texts; the length of each keeps neighbours apart.
func digest(texts ...string) string {
	h := sha256.New()
	for _, text := range texts {
		fmt.Fprintf(h, "%d:%s", len(text), text)
	}
	return hex.EncodeToString(h.Sum(nil))[:16]
}
