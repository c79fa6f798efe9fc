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
	// CertificateFile is the list of users' certificates that brokers mount from the same Secret as PasswordFile and read
	// as it changes. A certificate that is not in it opens nothing, whoever has signed it.
	CertificateFile
	// Nowhere: the credential is not the operator's. It is neither set, nor proven, nor taken away.
	Nowhere
	// IssuerKeys are the public keys of somebody else who issues tokens. There is no credential that the operator could
	// set: the mechanism is one of listeners, and no KafkaUser's.
	IssuerKeys
	// Directory of somebody else, such as a Kerberos realm or LDAP, which a class in the broker asks. As with IssuerKeys
	// there is nothing to set.
	Directory
)

// Credential is what a client shows, as far as its mechanisms need it.
type Credential struct {
	Username, Password string
	Certificate, Key   []byte // PEM
}

// Wire says what somebody learns who reads the traffic of a login without TLS.
type Wire int

// What the traffic shows.
const (
	WireHides Wire = iota + 1 // nothing that opens anything
	WireShows                 // the password, or a token
)

// Outside says whether the operator can care for such users in a cluster that it did not make.
type Outside int

// Where the mechanism is offered.
const (
	OutsideToo  Outside = iota + 1 // in external clusters, too
	OutsideNone                    // only in clusters of the operator: it needs a file of the brokers
)

// Layer is where a client says who it is.
type Layer int

// The layers.
const (
	LayerSasl Layer = iota + 1
	LayerTLS        // in the handshake, before any byte of Kafka's; such a listener has no other mechanism
	LayerNone       // wherever the owner of the credential has it
)

// Property is one setting of a broker or of a client.
type Property struct{ Key, Value string }

// Offer is what the properties of a listener that offers a mechanism depend on.
type Offer struct {
	UsersFile string // where the file of passwords is
	// OAuth says whose tokens are taken, with every default filled in. KeysURL is where the broker reads the keys from,
	// and CAFile has the certificates by which the host of an https one is known; empty = the public authorities.
	OAuth           *v1alpha1.ListenerOAuth
	KeysURL, CAFile string
	// Custom says what Custom is, with every default filled in, and Jaas is the variable that gives its line of JAAS.
	Custom *v1alpha1.ListenerCustom
	Jaas   string
}

// Row is one mechanism. No column may be empty, but for Iterations, for what listeners are told where none offers it,
// and for what is a user's where no KafkaUser has it, or where its credential is Nowhere.
type Row struct {
	Name  v1alpha1.Mechanism
	Layer Layer
	// Listener gives the broker's properties of SASL below listener.name.<listener>.
	Listener func(Offer) []Property
	// Java and Librdkafka give the settings of a client. What stands in a user's Secret, and in the files in it for any
	// kind of client, is made of them.
	Java, Librdkafka func(Credential) []Property
	Store            Store
	// Iterations is what Kafka tells of a credential that the operator has set; 0 = Kafka tells nothing of it.
	Iterations int32
	// Login is how a credential is seen to work, and a removed one to be refused; the address is filled in by the
	// caller.
	Login   func(Credential) kafka.Login
	Wire    Wire
	Outside Outside
}

// Rows are all mechanisms. The order is that of strength: a client uses the first that its listener offers.
var Rows = []Row{
	scram(v1alpha1.MechanismScram512),
	scram(v1alpha1.MechanismScram256),
	{
		Name:  v1alpha1.MechanismPlain,
		Layer: LayerSasl,
		Listener: func(o Offer) []Property {
			return []Property{
				{"plain.sasl.jaas.config", plainauth.JaasConfig(o.UsersFile)},
				{"plain.sasl.server.callback.handler.class", plainauth.HandlerClass},
			}
		},
		Java:       java(v1alpha1.MechanismPlain, "org.apache.kafka.common.security.plain.PlainLoginModule"),
		Librdkafka: librdkafka(v1alpha1.MechanismPlain),
		Store:      PasswordFile,
		Login:      password(v1alpha1.MechanismPlain),
		Wire:       WireShows,
		Outside:    OutsideNone,
	},
	{
		Name:  v1alpha1.MechanismTLS,
		Layer: LayerTLS,
		// The trust store of the listener holds who may sign; the list of certificates, whose each is.
		Listener: func(Offer) []Property { return nil },
		Java: func(c Credential) []Property {
			return []Property{
				{"ssl.keystore.type", "PEM"},
				{"ssl.keystore.key", strings.TrimSpace(string(c.Key))},
				{"ssl.keystore.certificate.chain", strings.TrimSpace(string(c.Certificate))},
			}
		},
		Librdkafka: func(c Credential) []Property {
			return []Property{
				{"ssl.certificate.pem", strings.TrimSpace(string(c.Certificate))},
				{"ssl.key.pem", strings.TrimSpace(string(c.Key))},
			}
		},
		Store: CertificateFile,
		Login: func(c Credential) kafka.Login {
			return kafka.Login{Mechanism: string(v1alpha1.MechanismTLS), Username: c.Username, Certificate: c.Certificate,
				Key: c.Key}
		},
		Wire:    WireHides,
		Outside: OutsideNone,
	},
	{Name: v1alpha1.MechanismExternal, Layer: LayerNone, Store: Nowhere, Wire: WireHides, Outside: OutsideToo},
	{
		Name:     v1alpha1.MechanismOAuthBearer,
		Layer:    LayerSasl,
		Listener: oauthBearer,
		Store:    IssuerKeys,
		Wire:     WireShows,
		Outside:  OutsideNone,
	},
	{
		Name:     v1alpha1.MechanismCustom,
		Layer:    LayerSasl,
		Listener: custom,
		Store:    Directory,
		Wire:     WireHides, // but for PLAIN: see Shows
		Outside:  OutsideNone,
	},
}

// IsUsers tells whether a KafkaUser may have the mechanism.
func (r Row) IsUsers() bool { return r.Store != IssuerKeys && r.Store != Directory }

// SaslName is what clients and brokers call the mechanism where a listener offers it. custom is what Custom is called
// there.
func (r Row) SaslName(custom string) string {
	if r.Store == Directory {
		return custom
	}
	return string(r.Name)
}

// Shows tells whether somebody who reads the traffic of a login without TLS learns what opens something.
func (r Row) Shows(custom string) bool {
	if r.Store == Directory && custom == string(v1alpha1.MechanismPlain) {
		return true
	}
	return r.Wire == WireShows
}

// Kerberos is the one custom mechanism that changes those beside it.
const Kerberos = "GSSAPI"

// Properties are those of the row, and what it needs beside the custom mechanism of its listener: with Kerberos among
// them, Kafka logs in to the realm for each mechanism of a listener, and does not start where one has no service there.
func (r Row) Properties(o Offer) []Property {
	properties := r.Listener(o)
	if o.Custom != nil && o.Custom.Mechanism == Kerberos && r.Store != Directory {
		properties = append(properties, Property{strings.ToLower(string(r.Name)) + ".sasl.login.class",
			"org.apache.kafka.common.security.authenticator.DefaultLogin"})
	}
	return properties
}

// SaslNames are those of all SASL mechanisms that a listener offers, in their order.
func SaslNames(offered []v1alpha1.Mechanism, custom string) []string {
	var names []string
	for _, m := range offered {
		if row, known := Of(m); known && row.Layer == LayerSasl {
			names = append(names, row.SaslName(custom))
		}
	}
	return names
}

// custom gives the properties of a mechanism whose classes are not the operator's. The JAAS line may hold a secret, so
// that the broker itself reads it, from a file.
func custom(o Offer) []Property {
	if o.Custom == nil {
		return nil
	}
	prefix := strings.ToLower(o.Custom.Mechanism) + ".sasl."
	properties := []Property{{prefix + "jaas.config", o.Jaas}}
	if class := o.Custom.CallbackHandlerClass; class != "" {
		properties = append(properties, Property{prefix + "server.callback.handler.class", class})
	}
	return append(properties, Property{plainauth.CustomMechanism, o.Custom.Mechanism},
		Property{plainauth.CustomPrefix, *o.Custom.PrincipalPrefix})
}

const oauthPackage = "org.apache.kafka.common.security.oauthbearer."

// oauthBearer gives the properties of a listener that takes tokens. Both classes are named: the handler that Kafka
// takes by default believes unsigned tokens, and the validator that it takes by default depends on what else is set.
// The validator is read without the mechanism before it (KIP-1139), so that everything is.
func oauthBearer(o Offer) []Property {
	jaas := oauthPackage + "OAuthBearerLoginModule required"
	if o.CAFile != "" {
		jaas += fmt.Sprintf(` ssl.truststore.type="PEM" ssl.truststore.location="%s"`, o.CAFile)
	}
	properties := []Property{
		{"oauthbearer.sasl.jaas.config", jaas + ";"},
		{"oauthbearer.sasl.server.callback.handler.class", oauthPackage + "OAuthBearerValidatorCallbackHandler"},
		{"sasl.oauthbearer.jwt.validator.class", oauthPackage + "BrokerJwtValidator"},
		{"sasl.oauthbearer.jwks.endpoint.url", o.KeysURL},
	}
	if a := o.OAuth; a != nil {
		properties = append(properties,
			Property{"sasl.oauthbearer.expected.issuer", a.Issuer},
			Property{"sasl.oauthbearer.expected.audience", a.Audience},
			Property{"sasl.oauthbearer.sub.claim.name", a.PrincipalClaim},
			Property{"sasl.oauthbearer.scope.claim.name", a.ScopeClaim},
			Property{"sasl.oauthbearer.clock.skew.seconds", fmt.Sprint(*a.ClockSkewSeconds)},
			Property{plainauth.TokenPrefix, *a.PrincipalPrefix},
		)
	}
	return properties
}

// Offered tells whether listeners offer the mechanism, so that somebody can log in by it.
func (r Row) Offered() bool { return r.Store != Nowhere }

const scramModule = "org.apache.kafka.common.security.scram.ScramLoginModule"

func scram(name v1alpha1.Mechanism) Row {
	return Row{
		Name:  name,
		Layer: LayerSasl,
		Listener: func(Offer) []Property {
			return []Property{{strings.ToLower(string(name)) + ".sasl.jaas.config", scramModule + " required;"}}
		},
		Java:       java(name, scramModule),
		Librdkafka: librdkafka(name),
		Store:      ScramCredentials,
		Iterations: ScramIterations,
		Login:      password(name),
		Wire:       WireHides,
		Outside:    OutsideToo,
	}
}

func java(name v1alpha1.Mechanism, module string) func(Credential) []Property {
	return func(c Credential) []Property {
		return []Property{
			{"sasl.mechanism", string(name)},
			{"sasl.jaas.config", fmt.Sprintf(`%s required username=%s password=%s;`, module, quoted(c.Username),
				quoted(c.Password))},
		}
	}
}

// quoted writes a value as Kafka reads it from a JAAS configuration (java.io.StreamTokenizer): in quotes a backslash
// begins an escape.
func quoted(value string) string { return `"` + escape.Replace(value) + `"` }

var escape = strings.NewReplacer(`\`, `\\`, `"`, `\"`)

func librdkafka(name v1alpha1.Mechanism) func(Credential) []Property {
	return func(c Credential) []Property {
		return []Property{{"sasl.mechanisms", string(name)}, {"sasl.username", c.Username}, {"sasl.password", c.Password}}
	}
}

func password(name v1alpha1.Mechanism) func(Credential) kafka.Login {
	return func(c Credential) kafka.Login {
		return kafka.Login{Mechanism: string(name), Username: c.Username, Password: c.Password}
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

// IsSasl tells whether clients log in by SASL where a listener offers these mechanisms.
func IsSasl(offered []v1alpha1.Mechanism) bool { return At(offered, LayerSasl) }

// At tells whether clients say who they are at a layer by any of these mechanisms.
func At(names []v1alpha1.Mechanism, layer Layer) bool {
	return slices.ContainsFunc(names, func(name v1alpha1.Mechanism) bool {
		row, known := Of(name)
		return known && row.Layer == layer
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

// AllNames lists all that listeners offer for a sentence, in the order of the alphabet.
func AllNames() string {
	var names []string
	for _, row := range Rows {
		if row.Offered() {
			names = append(names, string(row.Name))
		}
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
