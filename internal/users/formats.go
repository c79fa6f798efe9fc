package users

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path"
	"slices"
	"strings"
	"unicode/utf16"
	"unicode/utf8"

	"software.sslmate.com/src/go-pkcs12"

	"github.com/castellan-dev/castellan/api/v1alpha1"
	"github.com/castellan-dev/castellan/internal/mechanism"
	"github.com/castellan-dev/castellan/internal/pki"
	"github.com/castellan-dev/castellan/internal/verdict"
)

const (
	// StorePasswordKey is the key of the password of key stores in a connection Secret.
	StorePasswordKey = "p12.password"
	// FormatsField is what names the formats of a connection Secret.
	FormatsField = "spec.binding.formats"

	defaultMountPath = "/binding"
)

// entries are those of a connection Secret.
type entries map[string][]byte

// place is where a client connects, and what it shows there.
type place struct {
	Endpoint
	shown   mechanism.Credential
	anchors []byte // PEM; none = what the client's system trusts
	layout  Layout
	// listener stands in the names of entries; empty = they are those for the endpoint to use by default.
	listener string
}

// format is one row of the table: the files for one kind of clients.
type format struct {
	name v1alpha1.BindingFormat
	// first and each: a spec that names no formats has it for the endpoint to use by default, and for each listener.
	// With a file of every kind for each listener, three listeners with TLS would need 12 KiB; 20,000 Secrets are
	// written when an authority changes.
	first, each bool
	// lined: its reader takes a setting from one line, and so no certificate. It is then not among those that a spec which
	// names none has: with it such a Secret would have more than 8 KiB.
	lined bool
	// mounted: its files name other files of the Secret, below the path where that is mounted.
	mounted bool
	// stores: its files have a password of their own.
	stores bool
	// unfit says why its reader would not read the credential as it is; nil = it reads any.
	unfit func(mechanism.Credential) string
	write func(to entries, at place) error
}

// formats are all of them. A spec that names some has each for the endpoint to use by default and for each listener.
var formats = []format{
	{name: v1alpha1.FormatClientProperties, first: true, each: true, write: func(to entries, at place) error {
		to[at.entry("client", "properties")] = javaFile(at.java())
		return nil
	}},
	{name: v1alpha1.FormatLibrdkafka, first: true, lined: true, write: func(to entries, at place) error {
		to[at.entry("librdkafka", "config")] = file(at.librdkafka())
		return nil
	}},
	{name: v1alpha1.FormatLibrdkafkaJSON, first: true, write: func(to entries, at place) error {
		return to.putJSON(at.entry("librdkafka", "json"), at.librdkafka())
	}},
	{name: v1alpha1.FormatKafkaPython, mounted: true, write: func(to entries, at place) error {
		settings, err := at.kafkaPython()
		if err != nil {
			return err
		}
		return to.putJSON(at.entry("kafka-python", "json"), settings)
	}},
	{name: v1alpha1.FormatSpring, unfit: placeholder, write: func(to entries, at place) error {
		to[at.entry("spring", "properties")] = javaFile(renamed(at.java(), springName))
		return nil
	}},
	{name: v1alpha1.FormatPKCS12, stores: true, write: at12},
	{name: v1alpha1.FormatEnv, write: func(to entries, at place) error {
		for _, s := range renamed(slices.Concat(at.java(), at.login()), at.variable) {
			to[s.Key] = []byte(s.Value)
		}
		return nil
	}},
}

// write adds the files for a place.
func (l Layout) write(to entries, at place) error {
	for _, f := range formats {
		named := slices.Contains(l.Formats, f.name)
		if len(l.Formats) == 0 {
			named = f.first && at.listener == "" || f.each && at.listener != ""
			named = named && !(f.lined && len(at.shown.Certificate) > 0)
		}
		if !named || f.unfit != nil && f.unfit(at.shown) != "" {
			continue
		}
		if err := f.write(to, at); err != nil {
			return fmt.Errorf("write %s for listener %q: %w", f.name, at.Listener, err)
		}
	}
	return nil
}

// Stores tells whether the layout has files with a password of their own.
func (l Layout) Stores() bool {
	return slices.ContainsFunc(formats, func(f format) bool { return f.stores && slices.Contains(l.Formats, f.name) })
}

// Unfit says which formats of the layout cannot hold a credential as their readers read it.
func (l Layout) Unfit(shown mechanism.Credential) (faults []verdict.Verdict) {
	for _, f := range formats {
		if f.unfit == nil || !slices.Contains(l.Formats, f.name) {
			continue
		}
		if why := f.unfit(shown); why != "" {
			faults = append(faults, verdict.Stalled(ReasonBinding, FormatsField,
				"%s is not written: %s; choose another password, or remove the format", f.name, why))
		}
	}
	return faults
}

// entry is the name of a file.
func (p place) entry(name, extension string) string {
	if p.listener != "" {
		name += "." + p.listener
	}
	return name + "." + extension
}

func (p place) java() []mechanism.Property {
	return slices.Concat(p.settings(p.shown).java, javaTrust(p.Endpoint, p.anchors))
}

func (p place) librdkafka() []mechanism.Property {
	return slices.Concat(p.settings(p.shown).librdkafka, librdkafkaTrust(p.Endpoint, p.anchors))
}

// login is the name and the password of a user that has one, which Java's settings hold in one text.
func (p place) login() []mechanism.Property {
	return slices.DeleteFunc(p.settings(p.shown).librdkafka, func(s mechanism.Property) bool {
		return s.Key != "sasl.username" && s.Key != "sasl.password"
	})
}

// pythonNames are the words of kafka-python for the settings of librdkafka.
var pythonNames = map[string]string{
	"bootstrap.servers": "bootstrap_servers", "security.protocol": "security_protocol",
	"sasl.mechanisms": "sasl_mechanism", "sasl.username": "sasl_plain_username", "sasl.password": "sasl_plain_password",
	"ssl.ca.pem": "ssl_cafile", "ssl.certificate.pem": "ssl_certfile", "ssl.key.pem": "ssl_keyfile",
}

// pemEntries are the entries of the Secret that hold what librdkafka has in its settings. ca.crt may hold more than one
// listener needs.
var pemEntries = map[string]string{
	"ssl.ca.pem": authorityEntry, "ssl.certificate.pem": CertificateEntry, "ssl.key.pem": CertificateKeyEntry,
}

// kafkaPython are the settings of kafka-python, which takes certificates from files alone.
func (p place) kafkaPython() ([]mechanism.Property, error) {
	var all []mechanism.Property
	for _, s := range p.librdkafka() {
		name, known := pythonNames[s.Key]
		if !known {
			return nil, fmt.Errorf("kafka-python has no setting for %s", s.Key)
		}
		if entry, is := pemEntries[s.Key]; is {
			s.Value = path.Join(cmp.Or(p.layout.MountPath, defaultMountPath), entry)
		}
		all = append(all, mechanism.Property{Key: name, Value: s.Value})
	}
	return all, nil
}

func renamed(settings []mechanism.Property, name func(string) string) []mechanism.Property {
	all := slices.Clone(settings)
	for i := range all {
		all[i].Key = name(all[i].Key)
	}
	return all
}

// springName is where Spring Boot has a setting. It has a word of its own for one of ours, and takes any.
func springName(key string) string {
	if key == "bootstrap.servers" {
		return "spring.kafka.bootstrap-servers"
	}
	return "spring.kafka.properties." + key
}

// placeholder says that Spring would put something else in the place of a part of a password: it knows no way to write
// the sign that all of its versions read.
func placeholder(c mechanism.Credential) string {
	if strings.Contains(c.Password, "${") {
		return "the password has \"${\", which Spring takes for the beginning of a placeholder"
	}
	return ""
}

// variable is a name that every shell takes, as Quarkus and others derive it from a setting.
func (p place) variable(key string) string {
	prefix := "KAFKA_"
	if p.listener != "" {
		prefix += strings.ToUpper(p.listener) + "_"
	}
	return prefix + strings.ToUpper(strings.ReplaceAll(key, ".", "_"))
}

// at12 writes key stores, for clients that read no PEM.
func at12(to entries, at place) error {
	if at.layout.StorePassword == "" {
		return errors.New("there is no password for key stores")
	}
	to[StorePasswordKey] = []byte(at.layout.StorePassword)
	if at.TLS && len(at.anchors) > 0 {
		anchors, err := pki.ParseCertificates(pki.CertificatesOnly(at.anchors))
		if err != nil {
			return err
		}
		name := at.entry("truststore", "p12")
		if to[name], err = stored(at.layout.StorePassword, at.anchors).EncodeTrustStore(anchors,
			at.layout.StorePassword); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	if len(at.shown.Certificate) == 0 || at.listener != "" {
		return nil
	}
	chain, err := pki.ParseCertificates(at.shown.Certificate)
	if err != nil {
		return err
	}
	key, err := pki.PrivateKey(at.shown.Key)
	if err != nil {
		return err
	}
	const name = "user.p12"
	if to[name], err = stored(at.layout.StorePassword, at.shown.Certificate, at.shown.Key).Encode(key, chain[0], chain[1:],
		at.layout.StorePassword); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return nil
}

// stored encodes as Java since 8u301 and OpenSSL since 1.1.1 read it. Salts follow from what is encoded and from the
// password, which nobody else has: else the Secret would be another one at every look.
func stored(password string, content ...[]byte) *pkcs12.Encoder {
	seed := sha256.New()
	for _, part := range append([][]byte{[]byte(password)}, content...) {
		fmt.Fprintf(seed, "%d:%s", len(part), part)
	}
	return pkcs12.Modern2023.WithRand(&stream{seed: seed.Sum(nil)})
}

// stream is bytes that follow from a seed without an end.
type stream struct {
	seed, left []byte
	block      uint64
}

var _ io.Reader = (*stream)(nil)

func (s *stream) Read(to []byte) (int, error) {
	if len(s.left) == 0 {
		sum := sha256.Sum256(fmt.Appendf(bytes.Clone(s.seed), "%d", s.block))
		s.left, s.block = sum[:], s.block+1
	}
	n := copy(to, s.left)
	s.left = s.left[n:]
	return n, nil
}

// javaTrust names the CA to Java clients. It stands in the file itself, so that the file works wherever it is mounted.
func javaTrust(e Endpoint, ca []byte) []mechanism.Property {
	text := lines(ca)
	if !e.TLS || text == "" {
		return nil
	}
	return []mechanism.Property{{Key: "ssl.truststore.type", Value: "PEM"},
		{Key: "ssl.truststore.certificates", Value: text}}
}

// librdkafkaTrust names the CA to librdkafka and what is built on it.
func librdkafkaTrust(e Endpoint, ca []byte) []mechanism.Property {
	text := lines(ca)
	if !e.TLS || text == "" {
		return nil
	}
	return []mechanism.Property{{Key: "ssl.ca.pem", Value: text}}
}

// file is a setting a line. In certificates and keys, \n stands for a line's end, which whoever reads the file has to
// put in its place.
func file(settings []mechanism.Property) []byte {
	var text strings.Builder
	for _, p := range settings {
		fmt.Fprintf(&text, "%s=%s\n", p.Key, strings.ReplaceAll(p.Value, "\n", `\n`))
	}
	return []byte(text.String())
}

// putJSON adds an object with a setting a line, in ASCII alone: systems differ in how they read other characters.
func (to entries) putJSON(name string, settings []mechanism.Property) error {
	object := map[string]string{}
	for _, p := range settings {
		object[p.Key] = p.Value
	}
	var text bytes.Buffer
	encoder := json.NewEncoder(&text)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", " ")
	if err := encoder.Encode(object); err != nil {
		return err
	}
	var ascii strings.Builder
	for _, r := range text.String() {
		writeASCII(&ascii, r)
	}
	to[name] = []byte(ascii.String())
	return nil
}

// javaFile is a file of properties. Java reads it as Latin-1, and a backslash in it begins an escape.
func javaFile(settings []mechanism.Property) []byte {
	var text strings.Builder
	for _, p := range settings {
		text.WriteString(p.Key + "=")
		for i, r := range p.Value {
			switch {
			case r == '\\':
				text.WriteString(`\\`)
			case r == '\n':
				text.WriteString(`\n`)
			case r == ' ' && i == 0:
				text.WriteString(`\ `) // else it would belong to the separator
			case r < ' ':
				fmt.Fprintf(&text, `\u%04x`, r)
			default:
				writeASCII(&text, r)
			}
		}
		text.WriteString("\n")
	}
	return []byte(text.String())
}

// writeASCII writes a character as it is, or as Java and JSON escape one that is not of ASCII.
func writeASCII(text *strings.Builder, r rune) {
	if r < utf8.RuneSelf && r != '\x7f' {
		text.WriteRune(r)
		return
	}
	for _, unit := range utf16.Encode([]rune{r}) {
		fmt.Fprintf(text, `\u%04x`, unit)
	}
}

// lines is PEM without what only some systems end a line with.
func lines(pem []byte) string {
	return strings.ReplaceAll(strings.TrimSpace(string(pem)), "\r", "")
}
