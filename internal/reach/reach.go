// Package reach is the vocabulary of the way to a broker: its steps, what may fail in each of them, and the cure. The
// steps and the faults are rows of tables. It is pure; internal/reach/dial walks the way.
package reach

import (
	"fmt"
	"net"
	"reflect"
	"strconv"
	"strings"
)

// Step is one thing that has to succeed, after all before it, until a client can use a broker.
type Step int

// The steps, in their order. Nothing of a login is sent before StepName has passed, where there is TLS.
const (
	StepResolve Step = iota // the name has an address
	StepConnect             // a TCP connection is accepted
	StepTLS                 // a certificate of a trusted authority is shown
	StepBroker              // the broker is the one that the address is of
	StepName                // its certificate names the address
	StepSASL                // the mechanisms are offered
	StepLogin               // the login is accepted
	StepAddress             // the broker tells clients the same address
	steps
)

// StepRow says what a step is called.
type StepRow struct {
	Step Step
	// Title is the head of its column, and Sentence what it proves.
	Title, Sentence string
}

// Steps are all steps in their order.
var Steps = []StepRow{
	{StepResolve, "resolves", "the name has an address"},
	{StepConnect, "connects", "the port takes a TCP connection"},
	{StepTLS, "TLS", "a certificate of a trusted authority is shown, and it is valid now"},
	{StepBroker, "broker", "the broker behind the address is the one that the address is of"},
	{StepName, "name", "the certificate names the host that the client connects to"},
	{StepSASL, "SASL", "the listener offers the mechanisms"},
	{StepLogin, "login", "the user is let in"},
	{StepAddress, "address", "the broker tells clients the same address"},
}

func (s Step) String() string { return Steps[s].Title }

// Outcome is what came of a step.
type Outcome int

// What may come of a step.
const (
	NotTried Outcome = iota // the way has ended before, or has no such step
	Passed
	Failed
	NotProven // it was tried, and nothing tells
)

// Finding is what came of one try of a way.
type Finding struct {
	Steps [steps]Outcome
	// Failure is of the step that failed; the zero value = none did.
	Failure Failure
}

// Pass notes that a step has succeeded.
func (f *Finding) Pass(step Step) { f.Steps[step] = Passed }

// Fail notes that a step has failed, which ends the way. values fill the sentences of the fault.
func (f *Finding) Fail(fault Fault, values ...any) { f.FailAt(fault.Row().Step, fault, values...) }

// FailAt is Fail where a fault shows in another step than it mostly does.
func (f *Finding) FailAt(step Step, fault Fault, values ...any) {
	row := fault.Row()
	f.Steps[step] = Failed
	f.Failure = Failure{
		Step: step, Cause: shorten(fill(row.Cause, values)), Cure: shorten(fill(row.Cure, values)),
	}
}

func fill(format string, values []any) string {
	if !strings.Contains(format, "%") {
		return format
	}
	text := fmt.Sprintf(format, values...)
	text, _, _ = strings.Cut(text, "%!(EXTRA")
	return text
}

// OK tells that no step has failed.
func (f Finding) OK() bool { return f.Failure == Failure{} }

// Failure says what is the matter, and what to do.
type Failure struct {
	Step        Step
	Cause, Cure string
}

func (f Failure) String() string { return f.Cause + "; " + f.Cure }

// Way is one way to one broker.
type Way struct {
	Listener string // as in the spec
	// Node is the broker that has to be there; AnyNode = any.
	Node int32
	// Process identifies the process that is there and what it shows: another one is tried anew.
	Process string

	Host string
	Port int32

	TLS bool
	// Anchors are the certificates that are trusted, as PEM; empty = those that this machine trusts.
	Anchors string
	// NodeHost is a name that only the certificates of Node hold; empty = it is not known.
	NodeHost string
	// InternalPort is one at which brokers show a certificate that one of InternalAnchors has signed, whatever the
	// listener shows: the same IP address leads to the same broker. 0 = there is none.
	InternalPort    int32
	InternalAnchors string

	// Mechanisms are those that the listener has to offer; none = it takes no login.
	Mechanisms []string
	// AnyLogin: whether the listener takes a login is not known.
	AnyLogin bool
	// ClientCertificate: the listener asks for one, and tells whoever has none nothing.
	ClientCertificate bool
	// ClusterID is Kafka's id of the cluster; empty = any.
	ClusterID string
}

// AnyNode is the Node of a way that may lead to any broker.
const AnyNode int32 = -1

// Address is host:port.
func (w *Way) Address() string { return net.JoinHostPort(w.Host, strconv.Itoa(int(w.Port))) }

// Equal tells whether two ways are the same.
func (w *Way) Equal(other *Way) bool { return reflect.DeepEqual(w, other) }

// State is how much is known of a way.
type State int

// How much is known.
const (
	Untried State = iota // nothing was ever known of it here, as after a start of the operator
	Pending              // it is being tried, because something has changed
	Tried                // there is a Finding
)

// Known is what is known of a way.
type Known struct {
	Way     Way
	State   State
	Finding Finding
}

// Line is what fails on the way to a broker, and what to do.
func (k Known) Line() string {
	return fmt.Sprintf("broker %d at %s: %s", k.Way.Node, k.Way.Address(), k.Finding.Failure)
}

// NodeNamed is the node id in the names of a certificate: nodes are called <cluster>-<pool>-<id>.<cluster>-nodes. A
// certificate of others has no such name, and then nothing is known.
func NodeNamed(names []string) (int32, bool) {
	for _, name := range names {
		pod, rest, _ := strings.Cut(name, ".")
		service, _, _ := strings.Cut(rest, ".")
		cluster, isService := strings.CutSuffix(service, "-nodes")
		at := strings.LastIndex(pod, "-")
		if !isService || at <= len(cluster) || !strings.HasPrefix(pod, cluster+"-") {
			continue
		}
		if id, err := strconv.ParseInt(pod[at+1:], 10, 32); err == nil && id >= 0 {
			return int32(id), true
		}
	}
	return 0, false
}

// maxSentence bounds a cause and a cure: they may quote what a stranger has sent.
const maxSentence = 300

func shorten(sentence string) string {
	sentence = strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(sentence, "?"))
	if runes := []rune(sentence); len(runes) > maxSentence {
		return string(runes[:maxSentence-3]) + "..."
	}
	return sentence
}
