package kafka

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"
)

// Errors that callers decide by. A caller retries any other error.
var (
	// ErrUnreachable means that no broker answered. It says nothing about what was asked.
	ErrUnreachable = errors.New("no broker answered")
	// ErrAuthenticationFailed means that a broker refused the credentials.
	ErrAuthenticationFailed = errors.New("authentication failed")
	// ErrTopicExists means that a topic of this name exists.
	ErrTopicExists = errors.New("topic exists already")
	// ErrUnknownTopicID means that no topic has this UUID (KIP-516).
	ErrUnknownTopicID = errors.New("no topic has this id")
	// ErrTooOld means that the brokers are older than Kafka 2.8, the first version whose topics have UUIDs.
	ErrTooOld = errors.New("the brokers are older than Kafka 2.8")
)

// Cause says why no answer came. Its text completes "no broker answers at host:port: ...".
type Cause string

// The causes that a client can tell apart.
const (
	CauseNoHost      Cause = "DNS does not know the name"
	CauseRefused     Cause = "the connection is refused"
	CauseNoRoute     Cause = "there is no route to it"
	CauseSilent      Cause = "it does not answer in time"
	CauseClosed      Cause = "it closes the connection without an answer"
	CauseLost        Cause = "the connection broke off"
	CauseNotKafka    Cause = "what answers is not Kafka"
	CauseNoTLS       Cause = "what answers does not speak TLS"
	CauseWantsTLS    Cause = "what answers speaks TLS only"
	CauseUntrusted   Cause = "its certificate is not trusted"
	CauseCertificate Cause = "it refuses the client's certificate, or wants one"
	CauseLogin       Cause = "it refuses the login"
	CauseMechanism   Cause = "it does not offer the SASL mechanism"
	CauseNoLogin     Cause = "the listener takes no login"
)

// Unreachable tells that no answer came, or none in time: nothing is known, and what was asked may have been done.
func Unreachable(err error) bool {
	return errors.Is(err, ErrUnreachable) || errors.Is(err, context.DeadlineExceeded)
}

// Unanswered is an ErrUnreachable or an ErrAuthenticationFailed with a known cause.
type Unanswered struct {
	Cause Cause
	Kind  error // ErrUnreachable or ErrAuthenticationFailed
	Err   error // the failure itself, with the address
}

func (u *Unanswered) Error() string   { return fmt.Sprintf("%s: %s", u.Kind, u.Err) }
func (u *Unanswered) Unwrap() []error { return []error{u.Kind, u.Err} }

// AnotherCluster means that the addresses lead to another cluster than the expected one. The client asked that cluster
// for nothing but its id.
type AnotherCluster struct{ Want, Have string } // cluster ids

func (a *AnotherCluster) Error() string {
	return fmt.Sprintf("the cluster that answers has the id %s, not %s", a.Have, a.Want)
}

// Refusal is Kafka's no to one item of a request: a user's mistake or a limit. The same request gets the same no again.
type Refusal struct {
	Code    string // Kafka's error name, such as INVALID_CONFIG
	Message string // Kafka's sentence; may be empty
}

func (r *Refusal) Error() string {
	if r.Message == "" {
		return r.Code
	}
	return r.Message + " (" + r.Code + ")"
}

// TooLarge reports whether Kafka refused the request for its size. The controller writes at most 10,000 metadata
// records at once. It refuses a larger request as a whole with POLICY_VIOLATION, the code that it also uses for a
// broker policy. Only the sentence tells the two apart: the first is that of Kafka 4, the second that of Kafka 3.
func (r *Refusal) TooLarge() bool {
	return strings.HasPrefix(r.Message, "Excessively large number of partitions") ||
		strings.HasPrefix(r.Message, "Unable to perform excessively large batch operation")
}

// Throttled means that Kafka refuses one item of a request for now: the quota controller_mutation_rate is used up
// (KIP-599).
type Throttled struct {
	After time.Duration // how long Kafka says to wait
}

func (t *Throttled) Error() string {
	return fmt.Sprintf("the quota controller_mutation_rate is used up; Kafka takes changes again in %s "+
		"(THROTTLING_QUOTA_EXCEEDED)", t.After)
}

// Denied means that the operator's own principal lacks a permission.
type Denied struct {
	Code    string // TOPIC_AUTHORIZATION_FAILED or CLUSTER_AUTHORIZATION_FAILED
	Message string // Kafka's sentence; often empty
}

func (d *Denied) Error() string { return (&Refusal{Code: d.Code, Message: d.Message}).Error() }
