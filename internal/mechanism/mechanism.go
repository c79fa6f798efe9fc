// Package mechanism is the table of the ways in which users log in. A mechanism is one row, and the row is all there is
// to say of it: what its listener's properties are, what a user's Secret holds, how a credential is set, proven and
// taken away. Rooms that need to know ask the row. It is pure, and holds no credential.
package mechanism

import (
	"fmt"
	"slices"
	"strings"

	"github.com/castellan-dev/castellan/api/v1alpha1"
	"github.com/castellan-dev/castellan/internal/kafka"
	"github.com/castellan-dev/castellan/internal/plainauth"
)

// ScramIterations is the PBKDF2 cost of a SCRAM credential: about Kafka's least, which is 4096 (KIP-84). Cost protects
// guessable passwords; ours have 32 random letters and digits, 190 bits, which no cost makes safer, while every login
// pays it. It is no number that a tool or a person would choose: Kafka tells of a credential nothing but its
// iterations, and by these a password that somebody else has set is seen.
const ScramIterations int32 = 4099

// Store is where a broker looks a credential up. It says how a credential is set, and how it is taken away.
type Store int

// The stores.
const (
	// PasswordFile is the file of users that brokers mount from a Secret and read at every login. A line of the file
	// sets a password; without its line a user is refused.
	PasswordFile Store = iota + 1
	// ScramCredentials are kept in Kafka's metadata. AlterUserScramCredentials (KIP-554) sets and deletes them.
	ScramCredentials
)

// Wire says what somebody learns who reads the traffic of a login without TLS.
type Wire int

// What the traffic shows.
const (
	WireHides Wire = iota + 1 // nothing that opens anything
	WireShows                 // the password
)

// Outside says whether the operator can care for such users in a cluster that it did not make.
type Outside int

// Where the mechanism is offered.
const (
	OutsideToo  Outside = iota + 1 // in external clusters, too
	OutsideNone                    // only in clusters of the operator: it needs a file of the brokers
)

// Property is one setting of a broker or of a client.
type Property struct{ Key, Value string }

// Row is one mechanism. No column may be empty, but for Iterations.
type Row struct {
	Name v1alpha1.Mechanism
	// Listener gives the broker's properties below listener.name.<listener>.<mechanism>.sasl. The file of passwords is
	// at usersFile.
	Listener func(usersFile string) []Property
	// Java and Librdkafka give the settings of a client, as they stand in a user's Secret and in the files in it.
	Java, Librdkafka func(username, password string) []Property
	Store            Store
	// Iterations is what Kafka tells of a credential that the operator has set; 0 = Kafka tells nothing of it.
	Iterations int32
	// Login is how a credential is seen to work, and a removed one to be refused; the address is filled in by the
	// caller.
	Login   func(username, password string) kafka.Login
	Wire    Wire
	Outside Outside
}

// Rows are all mechanisms. The order is that of strength: a client uses the first that its listener offers.
var Rows = []Row{
	scram(v1alpha1.MechanismScram512),
	scram(v1alpha1.MechanismScram256),
	{
		Name: v1alpha1.MechanismPlain,
		Listener: func(usersFile string) []Property {
			return []Property{
				{"jaas.config", plainauth.JaasConfig(usersFile)},
				{"server.callback.handler.class", plainauth.HandlerClass},
			}
		},
		Java:       java(v1alpha1.MechanismPlain, "org.apache.kafka.common.security.plain.PlainLoginModule"),
		Librdkafka: librdkafka(v1alpha1.MechanismPlain),
		Store:      PasswordFile,
		Login:      password(v1alpha1.MechanismPlain),
		Wire:       WireShows,
		Outside:    OutsideNone,
	},
}

const scramModule = "org.apache.kafka.common.security.scram.ScramLoginModule"

func scram(name v1alpha1.Mechanism) Row {
	return Row{
		Name:       name,
		Listener:   func(string) []Property { return []Property{{"jaas.config", scramModule + " required;"}} },
		Java:       java(name, scramModule),
		Librdkafka: librdkafka(name),
		Store:      ScramCredentials,
		Iterations: ScramIterations,
		Login:      password(name),
		Wire:       WireHides,
		Outside:    OutsideToo,
	}
}

func java(name v1alpha1.Mechanism, module string) func(username, password string) []Property {
	return func(username, password string) []Property {
		return []Property{
			{"sasl.mechanism", string(name)},
			{"sasl.jaas.config", fmt.Sprintf(`%s required username=%s password=%s;`, module, quoted(username),
				quoted(password))},
		}
	}
}

// quoted writes a value as Kafka reads it from a JAAS configuration (java.io.StreamTokenizer): in quotes a backslash
// begins an escape.
func quoted(value string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(value) + `"`
}

func librdkafka(name v1alpha1.Mechanism) func(username, password string) []Property {
	return func(username, password string) []Property {
		return []Property{{"sasl.mechanisms", string(name)}, {"sasl.username", username}, {"sasl.password", password}}
	}
}

func password(name v1alpha1.Mechanism) func(username, password string) kafka.Login {
	return func(username, password string) kafka.Login {
		return kafka.Login{Mechanism: string(name), Username: username, Password: password}
	}
}

// Of returns the row of a mechanism; false = there is no such mechanism.
func Of(name v1alpha1.Mechanism) (Row, bool) {
	i := slices.IndexFunc(Rows, func(r Row) bool { return r.Name == name })
	if i < 0 {
		return Row{}, false
	}
	return Rows[i], true
}

// Uses tells whether the credentials of any of these mechanisms are in a store.
func Uses(names []v1alpha1.Mechanism, store Store) bool {
	return slices.ContainsFunc(names, func(name v1alpha1.Mechanism) bool {
		row, known := Of(name)
		return known && row.Store == store
	})
}

// Names lists those that are wanted for a sentence, the strongest first: "A, B or C".
func Names(wanted func(Row) bool) string {
	var names []string
	for _, row := range Rows {
		if wanted(row) {
			names = append(names, string(row.Name))
		}
	}
	return sentence(names)
}

// AllNames lists all of them for a sentence, in the order of the alphabet.
func AllNames() string {
	names := make([]string, len(Rows))
	for i, row := range Rows {
		names[i] = string(row.Name)
	}
	slices.Sort(names)
	return sentence(names)
}

func sentence(names []string) string {
	if len(names) < 2 {
		return strings.Join(names, "")
	}
	return strings.Join(names[:len(names)-1], ", ") + " or " + names[len(names)-1]
}
