// Package jwks reads the public keys with which an issuer signs its tokens (JWK Set, RFC 7517), and says which of them
// brokers may believe. It is pure: where a key set comes from, and where it goes, is not known here. What it gives back
// is put together anew from the fields that it knows, so that nothing else of a key set reaches a broker or a Secret,
// private parts of keys among it.
package jwks

import (
	"bytes"
	"crypto/ecdh"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"slices"
	"strings"
)

const (
	// MaxBytes is the most that a key set may take as it comes.
	MaxBytes = 1 << 20
	// MaxKeys is the most usable keys that a set may have, and maxUsableBytes what they may take together: the sets of
	// all 16 listeners share one Secret.
	MaxKeys        = 64
	maxUsableBytes = 48 << 10

	minModulusBits, maxModulusBits = 2048, 8192
	maxName                        = 256 // bytes of a kid
)

// Empty is a key set without keys. A broker that reads it takes no token.
const Empty = `{"keys":[]}`

// Source is from where the keys of a listener's issuer are fetched.
type Source struct {
	Listener string
	URL      string
	// Anchors are the certificates, as PEM, by which the host of URL is known; empty = the public authorities.
	Anchors string
}

// Fetched is what is known of a source. The zero value is that nobody has asked it yet.
type Fetched struct {
	Keys    []byte // what a Set's JSON gave when it was fetched last; nil = it never was
	Private bool   // the source shows the private parts of keys
	Fault   string // why the last try gave nothing; empty = it gave Keys, or there was none yet
}

// Set is the usable part of a key set.
type Set struct {
	keys []key
	// Private tells that private parts of keys stood in it: whoever can read it can sign tokens.
	Private bool
}

// key holds all that is kept of a key, in the order in which it is written.
type key struct {
	Type  string `json:"kty"`
	ID    string `json:"kid,omitempty"`
	Use   string `json:"use,omitempty"`
	Alg   string `json:"alg,omitempty"`
	N     string `json:"n,omitempty"`
	E     string `json:"e,omitempty"`
	Curve string `json:"crv,omitempty"`
	X     string `json:"x,omitempty"`
	Y     string `json:"y,omitempty"`
}

// given is a key as it comes.
type given struct {
	key
	Operations []string `json:"key_ops"`
	// Private parts of RSA and EC keys. What they are is not looked at.
	D, P, Q, DP, DQ, QI json.RawMessage
}

// Parse reads a key set. Keys that a broker should not believe are left out. An error says what is wrong with the set
// as a whole, or why none of its keys is usable; it holds nothing of the text.
func Parse(text []byte) (Set, error) {
	if len(text) > MaxBytes {
		return Set{}, fmt.Errorf("it takes more than %d bytes", MaxBytes)
	}
	var whole struct {
		Keys *[]json.RawMessage `json:"keys"`
	}
	if err := json.Unmarshal(text, &whole); err != nil {
		return Set{}, errors.New("it is not a key set in JSON")
	}
	if whole.Keys == nil {
		return Set{}, errors.New(`it is JSON without a list "keys", and so no key set`)
	}
	var set Set
	reasons := map[string]int{}
	for _, raw := range *whole.Keys {
		var g given
		if err := json.Unmarshal(raw, &g); err != nil {
			reasons["malformed"]++
			continue
		}
		k, reason := usable(g)
		if reason != "" {
			reasons[reason]++
			continue
		}
		set.Private = set.Private || g.hasPrivateParts()
		if !slices.Contains(set.keys, k) {
			set.keys = append(set.keys, k)
		}
	}
	switch {
	case len(set.keys) == 0:
		return Set{}, errors.New(noneUsable(len(*whole.Keys), reasons))
	case len(set.keys) > MaxKeys:
		return Set{}, fmt.Errorf("it has %d keys, and %d are the most", len(set.keys), MaxKeys)
	case len(set.JSON()) > maxUsableBytes:
		return Set{}, fmt.Errorf("its keys take more than %d bytes", maxUsableBytes)
	}
	return set, nil
}

func noneUsable(all int, reasons map[string]int) string {
	if all == 0 {
		return "it has no keys"
	}
	var told []string
	for reason, count := range reasons {
		told = append(told, fmt.Sprintf("%d %s", count, reason))
	}
	slices.Sort(told)
	return fmt.Sprintf("none of its %d keys is usable: %s; RSA keys of %d bits or more and EC keys on P-256, P-384 or "+
		"P-521 are, if they are for signatures", all, strings.Join(told, ", "), minModulusBits)
}

func (g *given) hasPrivateParts() bool {
	return slices.ContainsFunc([]json.RawMessage{g.D, g.P, g.Q, g.DP, g.DQ, g.QI},
		func(part json.RawMessage) bool { return len(part) > 0 })
}

// usable gives what is kept of a key, or says why it is left out.
func usable(g given) (k key, reason string) {
	switch {
	case len(g.ID) > maxName || strings.ContainsFunc(g.ID, func(r rune) bool { return r < ' ' }):
		return key{}, "with a kid that is too long or not printable"
	case g.Use != "" && g.Use != "sig", len(g.Operations) > 0 && !slices.Contains(g.Operations, "verify"):
		return key{}, "not for signatures"
	}
	k = key{Type: g.Type, ID: g.ID, Use: g.Use, Alg: g.Alg}
	switch g.Type {
	case "RSA":
		return k, k.takeRSA(g)
	case "EC":
		return k, k.takeEC(g)
	case "oct":
		return key{}, "symmetric (oct)" // whoever has it signs as well as it verifies
	}
	return key{}, "of another type"
}

// takeRSA takes the public parts of an RSA key; a reason = they are not good.
func (k *key) takeRSA(g given) (reason string) {
	if g.Alg != "" && !slices.Contains([]string{"RS256", "RS384", "RS512", "PS256", "PS384", "PS512"}, g.Alg) {
		return "not for signatures"
	}
	n, e := number(g.N), number(g.E)
	switch {
	case n == nil || e == nil || n.Bit(0) == 0 || e.Bit(0) == 0 || e.BitLen() < 2 || e.BitLen() > 31:
		return "malformed"
	case n.BitLen() < minModulusBits:
		return fmt.Sprintf("RSA of fewer than %d bits", minModulusBits)
	case n.BitLen() > maxModulusBits:
		return fmt.Sprintf("RSA of more than %d bits", maxModulusBits)
	}
	k.N, k.E = base64.RawURLEncoding.EncodeToString(n.Bytes()), base64.RawURLEncoding.EncodeToString(e.Bytes())
	return ""
}

// curves are those that Kafka's library knows and that are no weaker than the least RSA key, with the one algorithm
// that each is for (RFC 7518, 3.4).
var curves = map[string]struct {
	curve ecdh.Curve
	bytes int
	alg   string
}{
	"P-256": {ecdh.P256(), 32, "ES256"},
	"P-384": {ecdh.P384(), 48, "ES384"},
	"P-521": {ecdh.P521(), 66, "ES512"},
}

// takeEC takes the public parts of an EC key; a reason = they are not good.
func (k *key) takeEC(g given) (reason string) {
	c, known := curves[g.Curve]
	switch {
	case !known:
		return "on another curve"
	case g.Alg != "" && g.Alg != c.alg:
		return "not for signatures"
	}
	x, y := number(g.X), number(g.Y)
	if x == nil || y == nil || x.BitLen() > 8*c.bytes || y.BitLen() > 8*c.bytes {
		return "malformed"
	}
	point := make([]byte, 1+2*c.bytes)
	point[0] = 4 // uncompressed
	x.FillBytes(point[1 : 1+c.bytes])
	y.FillBytes(point[1+c.bytes:])
	if _, err := c.curve.NewPublicKey(point); err != nil {
		return "malformed"
	}
	k.Curve = g.Curve
	k.X = base64.RawURLEncoding.EncodeToString(point[1 : 1+c.bytes])
	k.Y = base64.RawURLEncoding.EncodeToString(point[1+c.bytes:])
	return ""
}

// number reads base64url, with or without the padding that the standard does not have; nil = it is none.
func number(text string) *big.Int {
	const mostBytes = maxModulusBits/8 + 1 // longer ones are not worth the work
	raw, err := base64.RawURLEncoding.DecodeString(strings.TrimRight(text, "="))
	if err != nil || len(raw) == 0 || len(raw) > 2*mostBytes {
		return nil
	}
	return new(big.Int).SetBytes(raw)
}

// Len is how many usable keys the set has.
func (s Set) Len() int { return len(s.keys) }

// JSON writes the set as a broker reads it. The order of the keys is that in which they came: of those that fit a token
// without a kid, Kafka takes the first.
func (s Set) JSON() []byte {
	keys := s.keys
	if keys == nil {
		keys = []key{}
	}
	text, err := json.Marshal(map[string][]key{"keys": keys})
	if err != nil {
		panic(fmt.Sprintf("print a key set: %v", err)) // it is made of strings
	}
	return text
}

// Same tells whether two sets that JSON has written hold the same keys, in whatever order.
func Same(a, b []byte) bool {
	return bytes.Equal(sorted(a), sorted(b))
}

func sorted(text []byte) []byte {
	var set struct {
		Keys []key `json:"keys"`
	}
	if json.Unmarshal(text, &set) != nil {
		return text
	}
	slices.SortFunc(set.Keys, func(a, b key) int {
		return strings.Compare(fmt.Sprint(a), fmt.Sprint(b))
	})
	return Set{keys: set.Keys}.JSON()
}
