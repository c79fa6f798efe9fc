package kafka

import (
	"errors"
	"fmt"
	"strings"
	"time"
)

// Errors that callers decide by. Everything else is retried.
var (
	// ErrUnreachable: no broker answered; nothing is known about what was asked.
	ErrUnreachable = errors.New("no broker answered")
	// ErrAuthenticationFailed: a broker refused the credentials.
	ErrAuthenticationFailed = errors.New("authentication failed")
	// ErrTopicExists: the name is taken.
	ErrTopicExists = errors.New("topic exists already")
	// ErrUnknownTopicID: no topic has this UUID.
	ErrUnknownTopicID = errors.New("no topic has this id")
	// ErrTooOld: the cluster is older than Kafka 2.8, which gave topics their UUIDs.
	ErrTooOld = errors.New("the brokers are older than Kafka 2.8")
)

// Cause is why no answer came.
type Cause string

// Causes that can be told apart from outside.
const (
	CauseNoHost      Cause = "the name is not known to DNS"
	CauseRefused     Cause = "the connection is refused"
	CauseNoRoute     Cause = "there is no route to it"
	CauseSilent      Cause = "it does not answer in time"
	CauseClosed      Cause = "it closes the connection without an answer"
	CauseLost        Cause = "the connection has broken off"
	CauseNotKafka    Cause = "what answers is not Kafka"
	CauseNoTLS       Cause = "what answers does not speak TLS"
	CauseWantsTLS    Cause = "what answers speaks TLS only"
	CauseUntrusted   Cause = "its certificate is not trusted"
	CauseCertificate Cause = "it refuses the client's certificate, or wants one"
	CauseLogin       Cause = "it refuses the login"
	CauseMechanism   Cause = "it does not offer the SASL mechanism"
	CauseNoLogin     Cause = "the listener takes no login"
)

// Unanswered is an ErrUnreachable, or an ErrAuthenticationFailed, of which the cause is known.
type Unanswered struct {
	Cause Cause
	Kind  error // ErrUnreachable or ErrAuthenticationFailed
	Err   error
}

func (u *Unanswered) Error() string   { return fmt.Sprintf("%s: %s", u.Kind, u.Err) }
func (u *Unanswered) Unwrap() []error { return []error{u.Kind, u.Err} }

// AnotherCluster tells that the addresses lead to another cluster than they did; nothing has been asked of that one.
type AnotherCluster struct{ Want, Have string } // cluster ids

func (a *AnotherCluster) Error() string {
	return fmt.Sprintf("the cluster that answers has the id %s, not %s", a.Have, a.Want)
}

// Refusal is Kafka's own no to one item of a request: a user's mistake or a limit, which no retry will cure.
type Refusal struct {
	Code    string // Kafka's error name, such as INVALID_CONFIG
	Message string // Kafka's sentence
}

func (r *Refusal) Error() string {
	if r.Message == "" {
		return r.Code
	}
	return r.Message + " (" + r.Code + ")"
}

// TooLarge tells whether it is the size of the request that Kafka refuses. It writes at most 10,000 records of metadata in
// one piece, refuses a request beyond that whole, and calls it a POLICY_VIOLATION, as it does what a policy of the brokers'
// forbids: only the sentence tells the two apart, that of Kafka 4 or that of 3.
func (r *Refusal) TooLarge() bool {
	return strings.HasPrefix(r.Message, "Excessively large number of partitions") ||
		strings.HasPrefix(r.Message, "Unable to perform excessively large batch operation")
}

// Throttled is Kafka's not now to one item of a request: the quota on changes is used up (KIP-599).
type Throttled struct {
	After time.Duration // until Kafka takes it, by its own word
}

func (t *Throttled) Error() string {
	return fmt.Sprintf("the quota on changes is used up for %s (THROTTLING_QUOTA_EXCEEDED)", t.After)
}

// Denied is Kafka's no to the operator itself: its principal lacks a permission.
type Denied struct {
	Code    string // TOPIC_AUTHORIZATION_FAILED or CLUSTER_AUTHORIZATION_FAILED
	Message string // Kafka's sentence, often empty
}

func (d *Denied) Error() string { return (&Refusal{Code: d.Code, Message: d.Message}).Error() }
