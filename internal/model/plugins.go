package model

import (
	"maps"
	"regexp"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
)

// Plugin is an image with jars of the user's own.
type Plugin struct {
	Name, Image, Path string // Path is a folder of the image, without a slash at its end; empty = its root
	PullPolicy        corev1.PullPolicy
}

// Tiered is where segments of topics go that have remote.storage.enable.
type Tiered struct {
	Plugin, Class string
	Config        map[string]string // of the class, without a prefix; SecretVariable stands for entries of Secrets
	Secrets       []string          // of the user's, whose entries are files of the brokers; sorted
	// Revision is made anew with each change of an entry that Config names; empty = there are no files yet.
	Revision string
}

// HasFiles tells whether brokers have files of Secrets for it.
func (t *Tiered) HasFiles() bool { return t != nil && len(t.Secrets) > 0 }

// SecretVariable stands in a value for an entry of a Secret: ${secret:<name>:<entry>}.
var SecretVariable = regexp.MustCompile(`\$\{secret:([a-z0-9](?:[a-z0-9.-]*[a-z0-9])?):([-._a-zA-Z0-9]+)\}`)

// SecretEntry is an entry of a Secret.
type SecretEntry struct{ Secret, Entry string }

// Named lists the entries of Secrets that Config names, sorted, each once.
func (t *Tiered) Named() []SecretEntry {
	named := map[SecretEntry]bool{}
	for _, value := range t.Config {
		for _, found := range SecretVariable.FindAllStringSubmatch(value, -1) {
			named[SecretEntry{found[1], found[2]}] = true
		}
	}
	return slices.SortedFunc(maps.Keys(named), func(a, b SecretEntry) int {
		return strings.Compare(PluginFile(a.Secret, a.Entry), PluginFile(b.Secret, b.Entry))
	})
}
