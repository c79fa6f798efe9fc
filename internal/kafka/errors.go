package kafka

import (
	"errors"
	"fmt"
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
)

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
