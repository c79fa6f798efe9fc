package resolve

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/castellan-dev/castellan/api/v1alpha1"
	"github.com/castellan-dev/castellan/internal/mechanism"
	"github.com/castellan-dev/castellan/internal/model"
	"github.com/castellan-dev/castellan/internal/verdict"
)

// prefix is what the schema permits, too.
var prefix = regexp.MustCompile(`^[A-Za-z0-9._:/@-]{0,64}$`)

// namer is somebody else who names users at a listener, and what stands before the names.
type namer struct {
	listener, field string
	who             string // tells one from another
	what            string // for a sentence
	prefix, usual   string
	written         bool // the prefix stands in the spec
}

// same tells whether it gives the same names, at whichever listener.
func (n namer) same(other namer) bool { return n.who == other.who && n.prefix == other.prefix }

// namersOf are those of a listener.
func namersOf(listener string, o *v1alpha1.ListenerOAuth, c *v1alpha1.ListenerCustom) (all []namer) {
	add := func(field, who, what string, prefix *string, usual string) {
		n := namer{listener: listener, field: model.ListenerField(listener, field), who: who, what: what, prefix: usual,
			usual: usual, written: prefix != nil}
		if prefix != nil {
			n.prefix = *prefix
		}
		all = append(all, n)
	}
	if o != nil {
		add(prefixField, "issuer "+o.Issuer, "the issuer", o.PrincipalPrefix, defaultPrincipalPrefix)
	}
	if c != nil {
		who := "mechanism " + c.Mechanism
		if c.Mechanism != mechanism.Kerberos { // of which a broker has one configuration for all its listeners
			who += " of Secret " + c.Secret.Name
		}
		add(customField+".principalPrefix", who, "mechanism "+c.Mechanism, c.PrincipalPrefix, customPrefix)
	}
	return all
}

func namersIn(spec *v1alpha1.KafkaClusterSpec) (all []namer) {
	if spec == nil {
		return nil
	}
	for _, l := range spec.EffectiveListeners() {
		if a := l.Authentication; a != nil {
			all = append(all, namersOf(l.Name, a.OAuth, a.Custom)...)
		}
	}
	return all
}

// mixups are the pairs of different namers of which one can name whomever the other knows: its prefix begins the
// other's, so that a name makes up for the rest.
func mixups(all []namer) [][2]namer {
	var pairs [][2]namer
	for i, a := range all {
		for _, b := range all[i+1:] {
			if a.who != b.who && (strings.HasPrefix(a.prefix, b.prefix) || strings.HasPrefix(b.prefix, a.prefix)) {
				pairs = append(pairs, [2]namer{a, b})
			}
		}
	}
	return pairs
}

// mixup says what is wrong with a pair.
func mixup(pair [2]namer) string {
	return fmt.Sprintf("it is %q, listener %s has %q for %s, and others give names there, so that one may name whomever "+
		"the other knows; give each a prefix that begins no other's, such as staff: and partner:, or write the prefix out "+
		"at both if they name the same people", pair[1].prefix, pair[0].listener, pair[0].prefix, pair[0].what)
}

// validatePrefixes refuses what is no prefix, and namers that could be taken for each other where the owner has not
// written the prefixes out: who moves from one issuer to the next wants the same principals from both. What was
// accepted so goes on, with a warning as well: another prefix is another principal for everybody, and the owner shall
// not need one before anything else can change.
func validatePrefixes(in Inputs) verdict.List {
	var faults verdict.List
	for _, n := range namersIn(in.Spec) {
		if !prefix.MatchString(n.prefix) {
			faults.Refuse(n.field, "a prefix has at most 64 letters, digits and . _ : / @ -")
		}
	}
	accepted := mixups(namersIn(in.Accepted))
	for _, pair := range mixups(namersIn(in.Spec)) {
		stands := slices.ContainsFunc(accepted, func(before [2]namer) bool {
			return before[0].same(pair[0]) && before[1].same(pair[1]) || before[0].same(pair[1]) && before[1].same(pair[0])
		})
		if !stands && !(pair[0].written && pair[1].written) {
			faults.Refuse(pair[1].field, "%s", mixup(pair))
		}
	}
	return faults
}

// prefixWarnings tells of names that somebody else may give though a KafkaUser, or another namer's user, has them.
func prefixWarnings(c *model.Cluster) []string {
	var warnings []string
	var all []namer
	for _, l := range c.Listeners {
		all = append(all, namersOf(l.Name, l.OAuth, l.Custom)...)
	}
	for _, n := range all {
		switch {
		case n.prefix == "":
			warnings = append(warnings, fmt.Sprintf("%s: it is empty, so that whoever names users for %s may be any KafkaUser; "+
				"set one such as %s", n.field, n.what, n.usual))
		case superUser.MatchString(n.prefix):
			warnings = append(warnings, fmt.Sprintf("%s: names of KafkaUsers may begin with %q, and whoever names users for %s "+
				"may be any of those; end it with a character that they cannot have, as in %[2]s:", n.field, n.prefix, n.what))
		}
	}
	for _, pair := range mixups(all) {
		warnings = append(warnings, pair[1].field+": "+mixup(pair))
	}
	return warnings
}
