// Package plainauth lets SASL/PLAIN users come and go without a restart of a broker: it writes the file of password
// hashes that a broker reads on every login, and carries the one Java class that reads it there.
//
// It is pure. No client, no clock, no randomness (a salt is given by the caller) and no file may enter; only the
// standard library is imported. Where the file and the jar are mounted is not known here.
//
// # The users file
//
// This is the only description of the format; the Java class and this package are held to it by the same testdata.
// Lines end with LF. Empty lines and lines that begin with '#' mean nothing to the class; "#retained <name>" tells this
// package that the line of a name stays although no object stands for it. Every other line is one password of a user:
//
//	<name>:<iterations>:<salt>:<hash>
//
// The four fields are:
//
//   - name: the UTF-8 bytes of the user's name, each one outside A-Z a-z 0-9 - . _ ~ written as %XX with upper-case
//     hexadecimal digits, and no other one. At least one byte, no NUL (SASL/PLAIN cannot carry it), no Unicode
//     normalization (Kafka does none for PLAIN).
//   - iterations: decimal, without sign or leading zero, from MinIterations to MaxIterations.
//   - salt: base64 (RFC 4648 section 4, with padding), MinSaltBytes to MaxSaltBytes.
//   - hash: base64 as above, the 32 bytes of PBKDF2-HMAC-SHA256 of the password's UTF-8 bytes.
//
// A name may stand in two lines, of which each lets in: a password and the one that it replaces. The newer stands
// first, because a class of before Castellan knew of second lines goes by the first alone; the second harms nothing
// there.
//
// One line may be the marker, see Marked. To the class it is a line like others.
//
// A line that is not so, or that repeats a name for the second time, lets nobody in and harms no other line. A file
// that cannot be read, or is larger than 4 MiB, lets nobody in at all. One line takes about 80 bytes and the name, so
// that a Secret (1 MiB) holds some 10,000 users; there may be several, see MaxParts.
package plainauth

import (
	"cmp"
	"crypto/pbkdf2"
	"crypto/sha256"
	"crypto/subtle"
	_ "embed"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

const (
	// JarName is the file name of the jar that belongs on the broker's class path, after Kafka's own jars.
	JarName = "castellan-plain.jar"
	// HandlerClass is the value of listener.name.<listener>.plain.sasl.server.callback.handler.class.
	HandlerClass = "dev.castellan.kafka.FilePlainCallbackHandler"

	// DefaultIterations is the PBKDF2 cost of a new entry: a few milliseconds. It is no higher because the broker pays it
	// on a network thread before it knows the client, so that cost is also a lever for whoever floods it with logins, and
	// because passwords that the operator makes (32 random characters) are beyond guessing at any cost. A user who brings
	// a weak password is not saved by it.
	DefaultIterations = 10_000
	// MinIterations is the least that a line may say; it is also Kafka's own least for SCRAM.
	MinIterations = 4_096
	// MaxIterations is the most that a line may say: a few tenths of a second of a broker's network thread.
	MaxIterations = 1_000_000

	// MinSaltBytes is the shortest salt that a line may hold.
	MinSaltBytes = 16
	// MaxSaltBytes is the longest salt that a line may hold.
	MaxSaltBytes = 64
)

const header = "# PLAIN users of this cluster, written by Castellan; changes made here are overwritten.\n"

//go:generate ./java/build.sh

//go:embed castellan-plain.jar
var jar []byte

// Jar returns a copy of the jar that holds HandlerClass. Its bytes change only when the class does.
func Jar() []byte {
	return slices.Clone(jar)
}

// JaasConfig returns the value of listener.name.<listener>.plain.sasl.jaas.config for a users file at that path.
func JaasConfig(usersFile string) string {
	quoted := strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(usersFile)
	return `org.apache.kafka.common.security.plain.PlainLoginModule required users.file="` + quoted + `";`
}

// Entry is the line of one user: a name and a salted hash of the password. It is made by Hash or ParseUsersFile and
// cannot be invalid, except for the zero value, which stands for no user. Entries are comparable with ==.
type Entry struct {
	name       string
	iterations int
	salt       string
	hash       [sha256.Size]byte
}

// Hash makes the entry of a user. The salt, MinSaltBytes to MaxSaltBytes long, must be random and fresh: a caller keeps
// the existing entry while it still verifies and hashes anew only when it does not. It takes a few milliseconds at
// DefaultIterations. An error tells which argument is out of bounds and never holds the password.
func Hash(name, password string, salt []byte, iterations int) (Entry, error) {
	if err := checkName(name); err != nil {
		return Entry{}, err
	}
	if err := checkPassword(password); err != nil {
		return Entry{}, err
	}
	if err := checkCost(iterations, len(salt)); err != nil {
		return Entry{}, err
	}
	e := Entry{name: name, iterations: iterations, salt: string(salt)}
	hash, err := e.digest(password)
	if err != nil {
		return Entry{}, err
	}
	e.hash = hash
	return e, nil
}

// Name returns the user's name as a client sends it.
func (e Entry) Name() string { return e.name }

// Iterations returns the PBKDF2 cost of the entry, for a caller that wants to raise it.
func (e Entry) Iterations() int { return e.iterations }

// Verify says whether this is the password that the entry was made of. It takes as long as Hash does, so that a caller
// with many users asks only when a password may have changed. The zero Entry verifies nothing.
func (e Entry) Verify(password string) bool {
	if e.name == "" || checkPassword(password) != nil {
		return false
	}
	hash, err := e.digest(password)
	return err == nil && subtle.ConstantTimeCompare(hash[:], e.hash[:]) == 1
}

// String names the entry and keeps its hash out of logs.
func (e Entry) String() string { return fmt.Sprintf("plain user %q", e.name) }

// GoString is String, so that %#v shows no hash either.
func (e Entry) GoString() string { return e.String() }

func (e Entry) digest(password string) ([sha256.Size]byte, error) {
	key, err := pbkdf2.Key(sha256.New, password, []byte(e.salt), e.iterations, sha256.Size)
	if err != nil {
		return [sha256.Size]byte{}, fmt.Errorf("hash the password of plain user %q: %w", e.name, err)
	}
	return [sha256.Size]byte(key), nil
}

// Size is how many bytes the line of the entry takes.
func (e Entry) Size() int { return len(e.line()) }

func (e Entry) line() string {
	return strings.Join([]string{
		encodeName(e.name),
		strconv.Itoa(e.iterations),
		base64.StdEncoding.EncodeToString([]byte(e.salt)),
		base64.StdEncoding.EncodeToString(e.hash[:]),
	}, ":") + "\n"
}

// UsersFile renders the file, sorted by the bytes of the names: equal sets of entries give equal bytes, in whatever
// order names come. Of several entries of one name the first two are written, in the order given; a zero Entry is left
// out. The lines of the retained names stay when nobody asks for them.
func UsersFile(entries []Entry, retained ...string) []byte {
	sorted := slices.Clone(entries)
	slices.SortStableFunc(sorted, func(a, b Entry) int { return cmp.Compare(a.name, b.name) })
	var file strings.Builder
	file.WriteString(header)
	for _, name := range slices.Compact(slices.Sorted(slices.Values(retained))) {
		file.WriteString(retainedMark + encodeName(name) + "\n")
	}
	for n, e := range sorted {
		third := n >= linesOfOne && sorted[n-linesOfOne].name == e.name
		if e.name != "" && !third {
			file.WriteString(e.line())
		}
	}
	return []byte(file.String())
}

const (
	retainedMark = "#retained "
	// linesOfOne is in how many lines a name may stand.
	linesOfOne = 2
)

// RetainedSize is how many bytes it takes to say that the lines of a name stay.
func RetainedSize(name string) int { return len(retainedMark) + len(encodeName(name)) + len("\n") }

// Retained are the names whose lines stay when nobody asks for them.
func Retained(file []byte) map[string]bool {
	names := map[string]bool{}
	for line := range strings.Lines(string(file)) {
		if text, is := strings.CutPrefix(strings.TrimSuffix(line, "\n"), retainedMark); is {
			if name, err := decodeName(text); err == nil {
				names[name] = true
			}
		}
	}
	return names
}

// ParseUsersFile reads what UsersFile wrote, by name, the newer entry of a name first. Faulty lines are left out as the
// broker leaves them out; the error then joins one LineError for each, and the other entries are good and may be kept.
func ParseUsersFile(file []byte) (map[string][]Entry, error) {
	entries := map[string][]Entry{}
	var faults []error
	for i, line := range strings.Split(string(file), "\n") {
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		e, err := parseLine(line)
		if err == nil && len(entries[e.name]) == linesOfOne {
			err = errors.New("the name stands in two earlier lines")
		}
		if err != nil {
			faults = append(faults, LineError{Line: i + 1, Reason: err.Error()})
			continue
		}
		entries[e.name] = append(entries[e.name], e)
	}
	return entries, errors.Join(faults...)
}

// LineError is a line of a users file that lets nobody in. It holds nothing of the line's content.
type LineError struct {
	Line   int // the first line is 1
	Reason string
}

func (e LineError) Error() string { return fmt.Sprintf("users file: line %d: %s", e.Line, e.Reason) }

func parseLine(line string) (Entry, error) {
	fields := strings.Split(line, ":")
	if len(fields) != 4 {
		return Entry{}, errors.New("not four fields")
	}
	name, err := decodeName(fields[0])
	if err != nil {
		return Entry{}, err
	}
	iterations, err := strconv.Atoi(fields[1])
	if err != nil || strconv.Itoa(iterations) != fields[1] {
		return Entry{}, errors.New("the iterations are not a number")
	}
	salt, err := decodeBase64(fields[2])
	if err != nil {
		return Entry{}, err
	}
	hash, err := decodeBase64(fields[3])
	if err != nil {
		return Entry{}, err
	}
	if len(hash) != sha256.Size {
		return Entry{}, fmt.Errorf("the hash is not of %d bytes", sha256.Size)
	}
	if err := checkCost(iterations, len(salt)); err != nil {
		return Entry{}, err
	}
	return Entry{name: name, iterations: iterations, salt: string(salt), hash: [sha256.Size]byte(hash)}, nil
}

// encodeName writes every name in one way only; decodeName takes that way only. So neither side needs to ask whether
// two spellings mean one user.
func encodeName(name string) string {
	var text strings.Builder
	for i := range len(name) {
		if isUnreserved(name[i]) {
			text.WriteByte(name[i])
		} else {
			fmt.Fprintf(&text, "%%%02X", name[i])
		}
	}
	return text.String()
}

func decodeName(text string) (string, error) {
	var name strings.Builder
	for i := 0; i < len(text); i++ {
		if text[i] != '%' {
			name.WriteByte(text[i])
			continue
		}
		if i+2 >= len(text) {
			return "", errNameEncoding
		}
		octet, err := strconv.ParseUint(text[i+1:i+3], 16, 8)
		if err != nil {
			return "", errNameEncoding
		}
		name.WriteByte(byte(octet))
		i += 2
	}
	if encodeName(name.String()) != text {
		return "", errNameEncoding
	}
	return name.String(), checkName(name.String())
}

var errNameEncoding = errors.New("the name is not percent-encoded as it should be")

func isUnreserved(c byte) bool {
	return 'A' <= c && c <= 'Z' || 'a' <= c && c <= 'z' || '0' <= c && c <= '9' || strings.IndexByte("-._~", c) >= 0
}

// decodeBase64 takes only what EncodeToString would have written; the decoder alone would forgive line breaks.
func decodeBase64(text string) ([]byte, error) {
	data, err := base64.StdEncoding.DecodeString(text)
	if err != nil || base64.StdEncoding.EncodeToString(data) != text {
		return nil, errors.New("not base64 with padding")
	}
	return data, nil
}

func checkName(name string) error {
	switch {
	case name == "":
		return errors.New("the name is empty")
	case !utf8.ValidString(name):
		return errors.New("the name is not UTF-8")
	case strings.ContainsRune(name, 0):
		return errors.New("the name holds a NUL, which SASL/PLAIN cannot carry")
	}
	return nil
}

func checkPassword(password string) error {
	switch {
	case password == "":
		return errors.New("the password is empty")
	case !utf8.ValidString(password):
		return errors.New("the password is not UTF-8")
	case strings.ContainsRune(password, 0):
		return errors.New("the password holds a NUL, which SASL/PLAIN cannot carry")
	}
	return nil
}

func checkCost(iterations, saltBytes int) error {
	if iterations < MinIterations || iterations > MaxIterations {
		return fmt.Errorf("the iterations are not between %d and %d", MinIterations, MaxIterations)
	}
	if saltBytes < MinSaltBytes || saltBytes > MaxSaltBytes {
		return fmt.Errorf("the salt is not of %d to %d bytes", MinSaltBytes, MaxSaltBytes)
	}
	return nil
}
