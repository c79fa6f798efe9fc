// Package version is the catalogue of the Kafka versions that Castellan can run, and what it knows about each: which
// broker keys there are and how a new value of a key takes effect, and which levels of which features it supports. It
// is pure; the tables come from Kafka itself (hack/kafkakeys).
package version

import (
	"embed"
	"fmt"
	"strings"
)

// Scope is how a new value of a broker key takes effect.
type Scope string

// How a new value of a broker key takes effect.
const (
	Unknown   Scope = ""             // no key of this version: a plug-in's, or a mistake
	Static    Scope = "read-only"    // by a restart, from the file
	AtRunTime Scope = "cluster-wide" // at once, for all brokers or for one
	PerBroker Scope = "per-broker"   // at once, only broker by broker
)

// Version is one version of Kafka.
type Version struct {
	Kafka string // such as 4.3.1; also the tag of the image
	keys  map[string]Scope

	features map[string]feature
	levels   []metadataLevel // of metadata.version, the oldest first
}

//go:embed keys/*.txt features/*.txt
var tables embed.FS

// Catalogue lists the versions that Castellan can run, the oldest first. A version enters with its table of keys and
// its tests.
var Catalogue = []Version{load("4.1.2"), load("4.2.2"), load("4.3.1")}

// Find returns a version of the catalogue.
func Find(kafka string) (Version, bool) {
	for _, v := range Catalogue {
		if v.Kafka == kafka {
			return v, true
		}
	}
	return Version{}, false
}

// Names lists the catalogue for a message.
func Names() string { return NamesWhere(func(Version) bool { return true }) }

// NamesWhere lists some of the catalogue for a message.
func NamesWhere(suits func(Version) bool) string {
	var names []string
	for _, v := range Catalogue {
		if suits(v) {
			names = append(names, v.Kafka)
		}
	}
	return strings.Join(names, ", ")
}

// Scope tells how a new value of a broker key takes effect in this version.
func (v Version) Scope(key string) Scope { return v.keys[key] }

// IsDynamic tells that a key of spec.config lives in Kafka's run-time configuration and not in the file. Kafka has one
// truth per key: a key that it can change for all brokers at run time is never written to a file.
func (v Version) IsDynamic(key string) bool {
	// config.providers is needed while the file itself is read, to resolve the variables in it.
	return v.keys[key] == AtRunTime && key != "config.providers"
}

// foreign are run-time keys that belong to whoever moves replicas or drains a broker: they come and go with that work.
var foreign = map[string]bool{
	"leader.replication.throttled.rate":              true,
	"follower.replication.throttled.rate":            true,
	"replica.alter.log.dirs.io.max.bytes.per.second": true,
	"cordoned.log.dirs":                              true, // KIP-1066
}

// Foreign tells that a run-time key is set by others as part of their work, and neither managed nor removed.
func Foreign(key string) bool { return foreign[key] }

// load reads the tables of one version. They are part of the program, so that a bad one is a bug that the first test
// shows.
func load(kafka string) Version {
	v := Version{Kafka: kafka, keys: map[string]Scope{}, features: map[string]feature{}}
	for table, read := range map[string]func(string) error{"keys": v.readKey, "features": v.readFeature} {
		text, err := tables.ReadFile(table + "/" + kafka + ".txt")
		if err != nil {
			panic(err)
		}
		for line := range strings.Lines(string(text)) {
			line = strings.TrimSpace(line)
			if line == "" || strings.HasPrefix(line, "#") {
				continue
			}
			if err := read(line); err != nil {
				panic(fmt.Sprintf("%s of Kafka %s: %v", table, kafka, err))
			}
		}
	}
	return v
}

// readKey reads one line of a table: "<key> <update mode>".
func (v *Version) readKey(line string) error {
	key, mode, _ := strings.Cut(line, " ")
	switch scope := Scope(mode); scope {
	case Static, AtRunTime, PerBroker:
		v.keys[key] = scope
		return nil
	}
	return fmt.Errorf("%q has an update mode that is not known", line)
}
