package decide

import (
	"encoding/pem"
	"fmt"
	"maps"
	"slices"

	corev1 "k8s.io/api/core/v1"

	"github.com/castellan-dev/castellan/internal/jwks"
	"github.com/castellan-dev/castellan/internal/model"
	"github.com/castellan-dev/castellan/internal/pki"
	"github.com/castellan-dev/castellan/internal/provided"
	"github.com/castellan-dev/castellan/internal/render"
	"github.com/castellan-dev/castellan/internal/verdict"
)

// TokenKeys is by what brokers know the issuers of tokens.
type TokenKeys struct {
	Mounted
	// Keyless says, by listener, why brokers know no keys at all of its issuer, and refuse every token.
	Keyless map[string]string
}

// giveTokenKeys decides what brokers read of issuers' keys. A key set, if only an empty one, is there for every
// listener before any broker starts with it: Kafka does not start without the file. What was fetched last goes on until
// something better comes, as long as the issuer is the same.
func (d *Decision) giveTokenKeys(in Inputs) {
	name := model.TokenKeysSecret(d.Model.Name)
	live := in.Live.Secrets[name]
	if !d.Model.TakesTokens() && live == nil {
		return
	}
	keys := TokenKeys{Mounted{Secret: name, Data: map[string][]byte{}}, map[string]string{}}
	found := d.findKeys(in)
	for i := range d.Model.Listeners {
		l := &d.Model.Listeners[i]
		switch {
		case l.OAuth == nil:
		case l.KeysInSecret():
			d.giveKeys(&keys, l, live, found[l.Name])
		case l.OAuth.JWKS.CASecret != nil:
			d.giveAuthority(&keys, l, live, in.Provided)
		}
	}
	keys.settle(live, !d.atRest())
	d.TokenKeys = keys
}

// findKeys gives what is known of the issuers' keys, by listener: what was fetched, or stands in a Secret of the user.
func (d *Decision) findKeys(in Inputs) map[string]jwks.Fetched {
	found := map[string]jwks.Fetched{}
	var sources []jwks.Source
	for i := range d.Model.Listeners {
		l := &d.Model.Listeners[i]
		if l.OAuth == nil || !l.KeysInSecret() {
			continue
		}
		if secret := l.OAuth.JWKS.Secret; secret != nil {
			const what = "the key set"
			field := jwksField(l, "secret")
			text, fault := in.Provided.Entry(*secret, field, what)
			if fault == nil {
				set, err := jwks.Parse(text)
				if err == nil {
					found[l.Name] = jwks.Fetched{Keys: set.JSON(), Private: set.Private}
					continue
				}
				wrong := verdict.Stalled(provided.ReasonKeysSecret, field+".key", "entry %q of Secret %q cannot be used: %v; put "+
					"the key set of the issuer there", secret.Key, secret.Name, err)
				fault = &wrong
			}
			d.refuse(fault)
			continue
		}
		source := jwks.Source{Listener: l.Name, URL: l.OAuth.JWKS.URL}
		anchors, fault := authorityOfKeys(l, in.Provided)
		if fault != nil {
			d.refuse(fault)
			continue
		}
		source.Anchors = string(anchors)
		sources = append(sources, source)
	}
	if in.Fetched != nil { // asked also with none, so that those of before are forgotten
		maps.Copy(found, in.Fetched(sources))
	}
	return found
}

// giveKeys writes down the keys of a listener's issuer.
func (d *Decision) giveKeys(keys *TokenKeys, l *model.Listener, live *corev1.Secret, found jwks.Fetched) {
	entry, issuer := l.Name+render.KeysEnd, l.Name+render.IssuerEnd
	text := found.Keys
	var former []byte
	if live != nil && string(live.Data[issuer]) == l.OAuth.Issuer {
		former = live.Data[entry]
	}
	if text == nil || former != nil && jwks.Same(text, former) {
		text = former
	}
	if text == nil {
		text = []byte(jwks.Empty)
	}
	keys.Data[entry], keys.Data[issuer] = text, []byte(l.OAuth.Issuer)
	where := "the keys of issuer " + l.OAuth.Issuer
	if url := l.OAuth.JWKS.URL; url != "" {
		where += " cannot be fetched from " + url
	}
	keyless := string(text) == jwks.Empty
	switch {
	case found.Fault != "" && keyless:
		keys.Keyless[l.Name] = fmt.Sprintf("%s: %s; until they are, every token is refused", where, found.Fault)
	case found.Fault != "":
		d.Warnings = append(d.Warnings, fmt.Sprintf("listener %s: %s: %s; brokers go on with those that were fetched last",
			l.Name, where, found.Fault))
	case keyless:
		keys.Keyless[l.Name] = fmt.Sprintf("the keys of issuer %s are not there yet; until they are, every token is refused",
			l.OAuth.Issuer)
	}
	if found.Private {
		d.Warnings = append(d.Warnings, fmt.Sprintf("listener %s: the key set of issuer %s shows private parts of keys: who "+
			"reads it can sign tokens; have the issuer replace those keys and publish the public parts alone", l.Name,
			l.OAuth.Issuer))
	}
}

// giveAuthority writes down by which certificates brokers know the host from which they fetch keys themselves.
func (d *Decision) giveAuthority(keys *TokenKeys, l *model.Listener, live *corev1.Secret, secrets provided.Secrets) {
	anchors, fault := authorityOfKeys(l, secrets)
	entry := l.Name + render.KeysCAEnd
	if fault != nil {
		d.refuse(fault)
		if live != nil {
			anchors = live.Data[entry]
		}
	}
	if anchors != nil {
		keys.Data[entry] = anchors
	}
}

// authorityOfKeys are the certificates by which the host of the keys is known; nil = by those of public authorities.
func authorityOfKeys(l *model.Listener, secrets provided.Secrets) ([]byte, *verdict.Verdict) {
	secret := l.OAuth.JWKS.CASecret
	if secret == nil {
		return nil, nil
	}
	field := jwksField(l, "caSecret")
	text, fault := secrets.Entry(*secret, field, "certificates as PEM")
	if fault != nil {
		return nil, fault
	}
	certificates, err := pki.ParseCertificates(text)
	if err != nil {
		wrong := verdict.Stalled(provided.ReasonKeysSecret, field+".key", "entry %q of Secret %q holds no certificates as "+
			"PEM; put the authority there that has signed for the host of the keys", secret.Key, secret.Name)
		return nil, &wrong
	}
	var anchors []byte // of the certificates alone, whatever else stands there
	for _, c := range certificates {
		anchors = append(anchors, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw})...)
	}
	return anchors, nil
}

func (d *Decision) refuse(fault *verdict.Verdict) {
	if !slices.Contains(d.Verdicts, *fault) {
		d.Verdicts = append(d.Verdicts, *fault)
	}
}

func jwksField(l *model.Listener, field string) string {
	return model.ListenerField(l.Name, "authentication.oauth.jwks."+field)
}
