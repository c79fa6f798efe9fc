package render

import (
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/castellan-dev/castellan/internal/mechanism"
	"github.com/castellan-dev/castellan/internal/model"
)

// The ends of the entries of the Secret model.TokenKeysSecret, behind a listener's name.
const (
	KeysEnd   = ".json"
	IssuerEnd = ".issuer"
	KeysCAEnd = ".ca.pem"
)

// allowedURLsOption is the option of the Java virtual machine without which Kafka reads keys from nowhere, not even
// from a file. It is a list, and compared letter by letter.
const allowedURLsOption = " -Dorg.apache.kafka.sasl.oauthbearer.allowed.urls="

// allowedURLs permits what the listeners of a node name, and nothing else.
func allowedURLs(c *model.Cluster, n *model.Node) string {
	var urls []string
	for i := range c.Listeners {
		l := &c.Listeners[i]
		if l.OAuth != nil && n.Listener(strings.ToUpper(l.Name)) != nil {
			urls = append(urls, keysURL(l))
		}
	}
	if len(urls) == 0 {
		return ""
	}
	return allowedURLsOption + strings.Join(urls, ",")
}

// keysURL is where a broker reads the keys of the issuer. The path of the file follows from the listener's name alone,
// so that nothing in a node's files changes with where the operator has the keys from.
func keysURL(l *model.Listener) string {
	if l.KeysInSecret() {
		return "file://" + keysDir + "/" + l.Name + KeysEnd
	}
	return l.OAuth.JWKS.URL
}

func offerOf(n *model.Node, l *model.Listener) mechanism.Offer {
	o := mechanism.Offer{UsersFile: usersDir + "/" + UsersEntry, OAuth: l.OAuth, Custom: l.Custom, Jaas: jaasOf(n, l)}
	if l.OAuth == nil {
		return o
	}
	o.KeysURL = keysURL(l)
	if !l.KeysInSecret() && l.OAuth.JWKS.CASecret != nil {
		o.CAFile = keysDir + "/" + l.Name + KeysCAEnd
	}
	return o
}

// needsTokenKeys mounts the keys of issuers only where somebody logs in with a token.
func needsTokenKeys(c *model.Cluster, pool *model.Pool) bool {
	return pool.Broker && slices.ContainsFunc(inForce(c, pool), func(l model.Listener) bool { return l.OAuth != nil })
}

// IsTokenKeys tells whether a volume of a pod is that of the keys of issuers.
func IsTokenKeys(v corev1.Volume) bool { return v.Name == keysVolume }

// oauthRequest is what the user asked for of tokens; the rules of nodeRequest hold here too. From where the operator
// has the keys is not in it: that restarts nobody.
type oauthRequest struct {
	Issuer    string `json:"issuer"`
	Audience  string `json:"audience"`
	Principal string `json:"principal"`
	Scope     string `json:"scope"`
	ClockSkew int32  `json:"clockSkew"`
	Prefix    string `json:"prefix"`
	URL       string `json:"url,omitempty"` // that brokers themselves fetch from
	CA        bool   `json:"ca,omitempty"`
}

func askedOfOAuth(l model.Listener) *oauthRequest {
	o := l.OAuth
	if o == nil {
		return nil
	}
	r := &oauthRequest{Issuer: o.Issuer, Audience: o.Audience, Principal: o.PrincipalClaim, Scope: o.ScopeClaim,
		ClockSkew: *o.ClockSkewSeconds, Prefix: *o.PrincipalPrefix}
	if !l.KeysInSecret() {
		r.URL, r.CA = o.JWKS.URL, o.JWKS.CASecret != nil
	}
	return r
}
