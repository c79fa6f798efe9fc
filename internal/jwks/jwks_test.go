package jwks

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"math/big"
	"slices"
	"strings"
	"testing"
)

type fields = map[string]any

func b64(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

func rsaKey(t *testing.T, bits int) fields {
	t.Helper()
	k, err := rsa.GenerateKey(rand.Reader, bits)
	if err != nil {
		t.Fatal(err)
	}
	return fields{"kty": "RSA", "kid": "r", "alg": "RS256", "use": "sig",
		"n": b64(k.N.Bytes()), "e": b64(big.NewInt(int64(k.E)).Bytes()), "d": b64(k.D.Bytes()), "p": b64(k.Primes[0].Bytes())}
}

func ecKey(t *testing.T, curve elliptic.Curve) fields {
	t.Helper()
	k, err := ecdsa.GenerateKey(curve, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	size := (curve.Params().BitSize + 7) / 8
	public, err := k.PublicKey.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	return fields{"kty": "EC", "kid": "e", "crv": curve.Params().Name, "x": b64(public[1 : 1+size]), "y": b64(public[1+size:])}
}

func set(t *testing.T, keys ...fields) []byte {
	t.Helper()
	text, err := json.Marshal(fields{"keys": append([]fields{}, keys...)})
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func with(k fields, more fields) fields {
	k = maps.Clone(k)
	maps.Copy(k, more)
	return k
}

func TestOnlyKeysThatABrokerMayBelieveAreKept(t *testing.T) {
	r, e := rsaKey(t, 2048), ecKey(t, elliptic.P256())
	offCurve := with(e, fields{"y": b64(make([]byte, 32))})
	for name, c := range map[string]struct {
		key  fields
		kept bool
		told string // of a set with this key alone
	}{
		"RSA of 2048 bits":               {key: r, kept: true},
		"RSA without alg, use and kid":   {key: fields{"kty": "RSA", "n": r["n"], "e": r["e"]}, kept: true},
		"RSA for PSS":                    {key: with(r, fields{"alg": "PS384"}), kept: true},
		"base64 with padding":            {key: with(r, fields{"e": r["e"].(string) + "=="}), kept: true},
		"P-256":                          {key: e, kept: true},
		"P-384":                          {key: ecKey(t, elliptic.P384()), kept: true},
		"P-521":                          {key: ecKey(t, elliptic.P521()), kept: true},
		"for verifying":                  {key: with(e, fields{"key_ops": []string{"verify"}}), kept: true},
		"RSA of 1024 bits":               {key: rsaKey1024(t), told: "1 RSA of fewer than 2048 bits"},
		"RSA of 16384 bits":              {key: with(r, fields{"n": b64(slices.Repeat([]byte{0xff}, 2048))}), told: "more than 8192 bits"},
		"RSA with an exponent of one":    {key: with(r, fields{"e": "AQ"}), told: "malformed"},
		"RSA with an even modulus":       {key: with(r, fields{"n": b64(append(make([]byte, 0), slices.Repeat([]byte{0xfe}, 256)...))}), told: "malformed"},
		"an empty modulus":               {key: with(r, fields{"n": ""}), told: "malformed"},
		"symmetric":                      {key: fields{"kty": "oct", "k": "c2VjcmV0", "alg": "HS256"}, told: "1 symmetric (oct)"},
		"an RSA key that says HS256":     {key: with(r, fields{"alg": "HS256"}), told: "not for signatures"},
		"for encryption":                 {key: with(r, fields{"use": "enc"}), told: "not for signatures"},
		"for encryption by alg":          {key: with(r, fields{"alg": "RSA-OAEP"}), told: "not for signatures"},
		"for deriving":                   {key: with(e, fields{"key_ops": []string{"deriveKey"}}), told: "not for signatures"},
		"P-256 with alg of P-384":        {key: with(e, fields{"alg": "ES384"}), told: "not for signatures"},
		"a point that is not on P-256":   {key: offCurve, told: "malformed"},
		"secp256k1":                      {key: with(e, fields{"crv": "secp256k1"}), told: "on another curve"},
		"Ed25519":                        {key: fields{"kty": "OKP", "crv": "Ed25519", "x": e["x"]}, told: "of another type"},
		"no type":                        {key: fields{"kid": "x"}, told: "of another type"},
		"a number for a modulus":         {key: with(r, fields{"n": 7}), told: "malformed"},
		"a kid of several lines":         {key: with(r, fields{"kid": "a\nb"}), told: "kid"},
		"a kid that is longer than fits": {key: with(r, fields{"kid": strings.Repeat("k", 300)}), told: "kid"},
	} {
		got, err := Parse(set(t, c.key))
		if c.kept != (err == nil) || c.kept != (got.Len() == 1) {
			t.Errorf("%s: %d keys, %v", name, got.Len(), err)
		}
		if err != nil && (!strings.Contains(err.Error(), c.told) || !strings.Contains(err.Error(), "none of its 1 keys")) {
			t.Errorf("%s is told as %q", name, err)
		}
		if both, err := Parse(set(t, c.key, with(e, fields{"kid": "other"}))); err != nil || both.Len() < 1 {
			t.Errorf("%s takes a good key with it: %v", name, err)
		}
	}
}

// Go makes no such key any more, and only its length matters.
func rsaKey1024(t *testing.T) fields {
	t.Helper()
	n := slices.Repeat([]byte{0xff}, 128)
	return fields{"kty": "RSA", "n": b64(n), "e": "AQAB"}
}

func TestNothingPrivateAndNothingUnknownComesThrough(t *testing.T) {
	r := with(rsaKey(t, 2048), fields{"x5c": []string{"MIIC"}, "note": "hush", "k": "c2VjcmV0"})
	got, err := Parse(set(t, r))
	if err != nil || !got.Private {
		t.Fatalf("%v, its private parts are seen: %t", err, got.Private)
	}
	var back struct{ Keys []map[string]string }
	if err := json.Unmarshal(got.JSON(), &back); err != nil {
		t.Fatal(err)
	}
	if names := slices.Sorted(maps.Keys(back.Keys[0])); fmt.Sprint(names) != "[alg e kid kty n use]" {
		t.Errorf("what is kept is %v", names)
	}
	for _, secret := range []string{r["d"].(string), r["p"].(string), "hush"} {
		if strings.Contains(string(got.JSON()), secret) {
			t.Error("a private part has come through")
		}
	}
	delete(r, "d")
	delete(r, "p")
	if got, err := Parse(set(t, r)); err != nil || got.Private {
		t.Errorf("%v, or a public key is taken for a private one", err)
	}
}

func TestWhatIsNoKeySetIsRefusedWithoutItsText(t *testing.T) {
	many := make([]fields, MaxKeys+1)
	for i := range many {
		many[i] = with(ecKey(t, elliptic.P256()), fields{"kid": fmt.Sprint(i)})
	}
	large := make([]fields, MaxKeys)
	for i := range large {
		large[i] = fields{"kty": "RSA", "kid": fmt.Sprint(i), "n": b64(slices.Repeat([]byte{0xff}, 1024)), "e": "AQAB"}
	}
	for name, c := range map[string]struct {
		text []byte
		told string
	}{
		"a page":          {[]byte("<html>topsecret</html>"), "not a key set in JSON"},
		"nothing":         {nil, "not a key set in JSON"},
		"two documents":   {[]byte(`{"keys":[]}{"keys":[]}`), "not a key set in JSON"},
		"a list":          {[]byte(`["topsecret"]`), "not a key set in JSON"},
		"an error":        {[]byte(`{"error":"topsecret"}`), `without a list "keys"`},
		"keys is null":    {[]byte(`{"keys":null}`), `without a list "keys"`},
		"an empty set":    {[]byte(Empty), "it has no keys"},
		"too many keys":   {set(t, many...), "65 keys, and 64 are the most"},
		"too large":       {append(set(t, many[0]), slices.Repeat([]byte(" "), MaxBytes)...), "more than 1048576 bytes"},
		"too large a sum": {set(t, large...), "more than 49152 bytes"},
	} {
		_, err := Parse(c.text)
		if err == nil || !strings.Contains(err.Error(), c.told) || strings.Contains(err.Error(), "topsecret") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestAShuffledSetIsTheSame(t *testing.T) {
	a, b := with(ecKey(t, elliptic.P256()), fields{"kid": "a"}), with(ecKey(t, elliptic.P256()), fields{"kid": "b"})
	parse := func(keys ...fields) []byte {
		s, err := Parse(set(t, keys...))
		if err != nil {
			t.Fatal(err)
		}
		return s.JSON()
	}
	if !Same(parse(a, b), parse(b, a, b)) || Same(parse(a, b), parse(a)) || Same(parse(a), []byte(Empty)) ||
		Same(nil, []byte(Empty)) {
		t.Error("sets are compared wrongly")
	}
	if string(Set{}.JSON()) != Empty {
		t.Errorf("a set without keys is %s", Set{}.JSON())
	}
}
