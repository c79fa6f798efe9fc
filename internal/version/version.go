// Package version is the catalogue of the Kafka versions that Castellan can run, and what it knows about each: which
// broker keys there are, of which type each is and how a new value of it takes effect, and which levels of which
// features it supports. It is pure; the tables come from Kafka itself (hack/kafkakeys).
package version

import (
	"embed"
	"fmt"
	"slices"
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
	keys  map[string]key
	// topicKeys are the types of the keys of topics.
	topicKeys map[string]Type

	features map[string]feature
	levels   []metadataLevel // of metadata.version, the oldest first
}

// key is what is known of one broker key.
type key struct {
	scope    Scope
	kind     Type
	standard int // the default; only of whole numbers that can be changed at run time
}

//go:embed keys/*.txt topickeys/*.txt features/*.txt former.txt
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
func (v Version) Scope(key string) Scope { return v.keys[key].scope }

// Type is the type of a broker key's value; empty = this version has no such key.
func (v Version) Type(key string) Type { return v.keys[key].kind }

// IsDynamic tells that a key of spec.config lives in Kafka's run-time configuration and not in the file. Kafka has one
// truth per key: a key that it can change for all brokers at run time is never written to a file.
func (v Version) IsDynamic(key string) bool {
	return v.Scope(key) == AtRunTime && !fromTheFile[key]
}

// fromTheFile are keys that Kafka could change at run time, and that are read from the file all the same.
var fromTheFile = map[string]bool{
	"config.providers": true, // needed while the file itself is read, to resolve the variables in it
}

// RunTimeKeys lists the keys that Kafka can change for all brokers or for one at run time, sorted.
func (v Version) RunTimeKeys() []string {
	var keys []string
	for key, known := range v.keys {
		if known.scope == AtRunTime {
			keys = append(keys, key)
		}
	}
	slices.Sort(keys)
	return keys
}

// foreign are run-time keys that belong to whoever moves replicas or drains a broker: they come and go with that work.
var foreign = map[string]bool{
	"leader.replication.throttled.rate":              true,
	"follower.replication.throttled.rate":            true,
	"replica.alter.log.dirs.io.max.bytes.per.second": true,
	CordonKey: true,
}

// CordonKey is the run-time key of single brokers that names log directories which get no new replica; * = all of them
// (KIP-1066).
const CordonKey = "cordoned.log.dirs"

// cordonLevel is the metadata.version from which on Kafka takes a cordon.
const cordonLevel = "4.3-IV0"

// Cordons tells whether a broker of this version takes a cordon while a level of metadata.version is in force.
func (v Version) Cordons(level int16) bool {
	needed, known := v.MetadataLevel(cordonLevel)
	return known && v.Scope(CordonKey) == PerBroker && level >= needed
}

// Foreign tells that a run-time key is set by others as part of their work, and neither managed nor removed.
func Foreign(key string) bool { return foreign[key] }

// threadPools are the keys of which a running broker takes at most double and at least half of what it runs.
var threadPools = []string{
	"background.threads", "log.cleaner.threads", "num.io.threads", "num.network.threads",
	"num.recovery.threads.per.data.dir", "num.replica.fetchers", "remote.log.manager.copier.thread.pool.size",
	"remote.log.manager.expiration.thread.pool.size", "remote.log.manager.follower.thread.pool.size",
	"remote.log.reader.threads",
}

// ThreadPools lists the keys of which a running broker takes at most double and at least half of what it runs: by
// DynamicThreadPool, SocketServer, LogCleaner and DynamicRemoteLogConfig of Kafka.
func ThreadPools() []string { return threadPools }

// IsThreadPool tells whether a key is one of ThreadPools.
func IsThreadPool(key string) bool { return slices.Contains(threadPools, key) }

// Default is what Kafka takes for a whole number that can be changed at run time and that nobody has set.
func (v Version) Default(key string) (int, bool) {
	k := v.keys[key]
	return k.standard, k.scope == AtRunTime && k.kind == Int
}

// load reads the tables of one version. They are part of the program, so that a bad one is a bug that the first test
// shows.
func load(kafka string) Version {
	v := Version{Kafka: kafka, keys: map[string]key{}, topicKeys: map[string]Type{}, features: map[string]feature{}}
	for table, read := range map[string]func(string) error{
		"keys": v.readKey, "topickeys": v.readTopicKey, "features": v.readFeature,
	} {
		readTable(table+"/"+kafka+".txt", read)
	}
	return v
}

// readTable reads a table line by line.
func readTable(name string, read func(line string) error) {
	text, err := tables.ReadFile(name)
	if err != nil {
		panic(err)
	}
	for line := range strings.Lines(string(text)) {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		if err := read(line); err != nil {
			panic(fmt.Sprintf("table %s: %v", name, err))
		}
	}
}

// readKey reads one line of a table: "<key> <update mode> <type> [<default>]".
func (v *Version) readKey(line string) error {
	var name string
	k := key{}
	if n, _ := fmt.Sscan(line, &name, &k.scope, &k.kind, &k.standard); n < 3 {
		return fmt.Errorf("%q is no key with an update mode and a type", line)
	}
	switch k.scope {
	case Static, AtRunTime, PerBroker:
		v.keys[name] = k
		return k.kind.check(line)
	}
	return fmt.Errorf("%q has an update mode that is not known", line)
}

// readTopicKey reads one line of a table: "<key> <type>".
func (v *Version) readTopicKey(line string) error {
	name, kind, _ := strings.Cut(line, " ")
	v.topicKeys[name] = Type(kind)
	return Type(kind).check(line)
}
